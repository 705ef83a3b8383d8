//! Datagrams: read as many as there are, decode them, hand them over, never wait.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tracing::warn;

use super::InputCounters;
use super::batches::Feeder;
use crate::throttle::Throttle;

/// The largest datagram that there can be.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;

/// Bytes of lines after which they are handed over although more datagrams are there.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Datagrams after which others on this thread have their turn: a flood of bad ones makes no lines.
const DATAGRAMS_AT_ONCE: u32 = 64;

/// How long datagrams are still read once it is time to stop. A sender may send faster than they are decoded.
const LAST_READ_MAX: Duration = Duration::from_millis(500);

/// Decodes the datagrams of a listener.
pub(super) trait Decode: Send {
    /// Appends the lines of a datagram to `out`, each with its time; returns how many points they are.
    /// What cannot be decoded is counted.
    fn decode(
        &mut self,
        datagram: &[u8],
        now_ns: i64,
        counters: &InputCounters,
        out: &mut Vec<u8>,
    ) -> u64;
}

/// Reads until `stop`, then what is there already, for a moment.
pub(super) async fn receive(
    socket: UdpSocket,
    mut decode: impl Decode,
    counters: std::sync::Arc<InputCounters>,
    feeder: Feeder,
    stop: impl Future<Output = ()>,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let failures = Throttle::default();
    let mut stop = std::pin::pin!(stop);
    let mut last_until = None;
    loop {
        // What is left at the end is read without a wait.
        if last_until.is_none() {
            tokio::select! {
                biased;
                () = &mut stop => last_until = Some(Instant::now() + LAST_READ_MAX),
                ready = socket.readable() => if let Err(error) = ready {
                    complain(&counters, &failures, &error).await;
                },
            }
        }
        let (mut lines, mut points, mut is_empty) = (Vec::new(), 0, false);
        for _ in 0..DATAGRAMS_AT_ONCE {
            match socket.try_recv(&mut buffer) {
                Ok(length) => {
                    counters.messages.add(1);
                    counters.bytes.add(length as u64);
                    let datagram = buffer.get(..length).unwrap_or_default();
                    points += decode.decode(datagram, crate::api::now_ns(), &counters, &mut lines);
                    if lines.len() >= CHUNK_BYTES_MAX {
                        break;
                    }
                }
                Err(error) => {
                    is_empty = true;
                    if error.kind() != io::ErrorKind::WouldBlock {
                        complain(&counters, &failures, &error).await;
                    }
                    break;
                }
            }
        }
        feeder.offer(lines, points);
        if last_until.is_some_and(|until| is_empty || Instant::now() >= until) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// A socket that reports an error once may do so again at once.
async fn complain(counters: &InputCounters, failures: &Throttle, error: &io::Error) {
    if let Some(silent) = failures.speak() {
        let (listener, bind) = (counters.kind, &counters.bind);
        warn!(listener, bind, %error, silent, "a datagram could not be read");
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
}
