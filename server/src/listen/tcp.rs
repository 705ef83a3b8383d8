//! Connections: a bounded number, one task each, and lines out of what they send.
//!
//! Once there are as many as there may be, the one that has sent nothing of use for longest makes room for each new
//! one: InfluxDB has no bound here, and a crowd of silent ones must not keep everybody out.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use memchr::memchr;
use tandem_http::{Seat, Seats};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::{InputCounters, until};

/// Bytes of a line; the rest of a longer one is dropped with it. A series key may be longer, but not in these protocols.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Room for one read.
const READ_BYTES: usize = 16 << 10;

/// How long a connection may be silent. Senders of metrics keep theirs open and come back sooner.
const IDLE_MAX: Duration = Duration::from_secs(600);

/// Pause after a failed accept.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Takes connections until `stopped`, and ends when all have. A handler ends when its seat is wanted for another.
pub(super) async fn accept<H, F>(
    listener: TcpListener,
    connections_max: usize,
    counters: Arc<InputCounters>,
    mut stopped: watch::Receiver<bool>,
    handler: H,
) where
    H: Fn(TcpStream, SocketAddr, Arc<Seat>) -> F,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let seats = Seats::new(connections_max, counters.seats.clone());
    let mut tasks = JoinSet::new();
    // Accepted, and without a seat yet.
    let mut waiting: Option<(TcpStream, SocketAddr)> = None;
    loop {
        tokio::select! {
            biased;
            () = until(&mut stopped) => break,
            Some(ended) = tasks.join_next() => pass_panic_on(ended),
            seat = seats.take(), if waiting.is_some() => if let Some((stream, peer)) = waiting.take() {
                let (serving, counters) = (handler(stream, peer, seat), counters.clone());
                tasks.spawn(async move {
                    let _active = counters.connections_active.hold();
                    if let Err(error) = serving.await {
                        debug!(listener = counters.kind, %peer, %error, "connection ended");
                    }
                });
            },
            accepted = listener.accept(), if waiting.is_none() => match accepted {
                Ok(accepted) => {
                    counters.connections.add(1);
                    waiting = Some(accepted);
                }
                Err(error) => {
                    warn!(listener = counters.kind, %error, "accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            },
        }
    }
    drop((listener, waiting));
    while let Some(ended) = tasks.join_next().await {
        pass_panic_on(ended);
    }
}

fn pass_panic_on(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// Lines out of a stream, in the pieces in which they come.
#[derive(Debug)]
pub(super) struct LineReader<S> {
    stream: S,
    /// The last bytes of these have not been given out.
    buffer: Vec<u8>,
    /// What is read belongs to a line that was too long.
    skipping: bool,
    at_end: bool,
}

impl<S: AsyncRead + Unpin> LineReader<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            skipping: false,
            at_end: false,
        }
    }

    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Reads once and hands each line that is complete now, without its end, to `take`; false when
    /// nothing will come any more.
    ///
    /// # Errors
    /// When the stream fails, or is silent for too long.
    pub(super) async fn read(
        &mut self,
        counters: &InputCounters,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        self.buffer.reserve(READ_BYTES);
        let reading = self.stream.read_buf(&mut self.buffer);
        let length = tokio::time::timeout(IDLE_MAX, reading)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        counters.bytes.add(length as u64);
        let mut start = 0;
        while let Some(rest) = self.buffer.get(start..)
            && let Some(length) = memchr(b'\n', rest)
        {
            let line = rest.get(..length).unwrap_or_default();
            if !std::mem::take(&mut self.skipping) {
                take(line.strip_suffix(b"\r").unwrap_or(line));
            }
            start += length + 1;
        }
        self.buffer.drain(..start);
        if self.buffer.is_empty() {
            // Thousands of connections say nothing for most of the time.
            self.buffer = Vec::new();
        }
        if length == 0 {
            self.at_end = true;
            if !self.buffer.is_empty() && !self.skipping {
                take(&self.buffer);
            }
            self.buffer.clear();
        } else if self.buffer.len() > LINE_BYTES_MAX {
            if !self.skipping {
                counters.messages.add(1);
                counters.malformed.add(1);
            }
            self.skipping = true;
            self.buffer = Vec::new();
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines_of(pieces: &[&[u8]]) -> (Vec<String>, u64) {
        let counters = InputCounters::new("test", false, String::new());
        let (mut far, near) = tokio::io::duplex(1 << 20);
        let mut reader = LineReader::new(near);
        let mut lines = Vec::new();
        for piece in pieces {
            tokio::io::AsyncWriteExt::write_all(&mut far, piece)
                .await
                .unwrap();
            let mut take = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
            reader.read(&counters, &mut take).await.unwrap();
        }
        drop(far);
        let mut take = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
        while reader.read(&counters, &mut take).await.unwrap() {}
        (lines, counters.malformed.get())
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        let (lines, malformed) = lines_of(&[b"a b", b"c\nd\r\n\ne", b"f"]).await;
        assert_eq!(lines, ["a bc", "d", "", "ef"]);
        assert_eq!(malformed, 0);
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_dropped_and_the_next_one_comes() {
        let mut pieces = vec![b"x".repeat(10 << 10); 20];
        pieces.push(b"y\ngood\n".to_vec());
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        assert_eq!(lines_of(&pieces).await, (vec!["good".to_owned()], 1));
    }
}
