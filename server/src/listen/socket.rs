//! Datagrams: read as many as there are, decode them, hand them over, never wait.

use std::future::Future;
use std::io;

use tokio::net::UdpSocket;
use tracing::warn;

use super::InputCounters;
use super::batches::Feeder;
use crate::throttle::Throttle;

/// The largest datagram that there can be.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;

/// Bytes of lines after which they are handed over although more datagrams are there.
const CHUNK_BYTES_MAX: usize = 64 << 10;

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

/// Reads until `stop`, then what is there already.
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
    let mut stopping = false;
    while !stopping {
        tokio::select! {
            ready = socket.readable() => if let Err(error) = ready {
                complain(&counters, &failures, &error).await;
            },
            () = &mut stop => stopping = true,
        }
        let (mut lines, mut points) = (Vec::new(), 0);
        loop {
            match socket.try_recv(&mut buffer) {
                Ok(length) => {
                    counters.messages.add(1);
                    counters.bytes.add(length as u64);
                    let datagram = buffer.get(..length).unwrap_or_default();
                    points += decode.decode(datagram, crate::api::now_ns(), &counters, &mut lines);
                    if lines.len() >= CHUNK_BYTES_MAX {
                        feeder.offer(std::mem::take(&mut lines), points);
                        points = 0;
                        // Others on this thread have their turn.
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    complain(&counters, &failures, &error).await;
                    break;
                }
            }
        }
        feeder.offer(lines, points);
    }
}

/// A socket that reports an error once may do so again at once.
async fn complain(counters: &InputCounters, failures: &Throttle, error: &io::Error) {
    if let Some(silent) = failures.speak() {
        let (listener, bind) = (counters.kind, &counters.bind);
        warn!(listener, bind, %error, silent, "a datagram could not be read");
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}
