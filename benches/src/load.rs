//! Sends a load over a few kept connections, each with one body under way.
//!
//! Connections take bodies from one queue, as TSBS's workers do, so bodies of neighbouring times may
//! arrive in either order. Every body must be acknowledged; a server that says it is overloaded gets the
//! same body again.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::bodies::Bodies;
use crate::http::Connection;

/// Connections at work at once.
const CONNECTIONS: usize = 2;
/// Before a body that was refused for overload is sent again.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// For so long a server may be overloaded without a break.
const OVERLOAD_MAX: Duration = Duration::from_secs(120);

/// What was sent and acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    pub(crate) values: u64,
    pub(crate) wall: Duration,
    /// Answers that asked to come again.
    pub(crate) refusals: u64,
}

/// Sends all bodies to `POST target`, as fast as they are taken, and returns when all are acknowledged with 204 (or 200).
pub(crate) fn load(address: SocketAddr, target: &str, bodies: &Bodies) -> anyhow::Result<Loaded> {
    load_at(address, target, bodies, u64::MAX)
}

/// The same, but never ahead of `values_per_s`.
pub(crate) fn load_at(
    address: SocketAddr,
    target: &str,
    bodies: &Bodies,
    values_per_s: u64,
) -> anyhow::Result<Loaded> {
    let (next, values) = (AtomicUsize::new(0), AtomicU64::new(0));
    let (refusals, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let work = || -> anyhow::Result<()> {
        let mut connection =
            Connection::open(address).with_context(|| format!("connect to {address}"))?;
        let mut request = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(body) = bodies.index().get(place) else {
                break;
            };
            // All bodies have the same number of values.
            let due_s = place as f64 * body.values as f64 / values_per_s as f64;
            thread::sleep(Duration::from_secs_f64(due_s).saturating_sub(begun.elapsed()));
            request.clear();
            let encoding = if bodies.zipped {
                "Content-Encoding: gzip\r\n"
            } else {
                ""
            };
            let head = format!(
                "POST {target} HTTP/1.1\r\nHost: {address}\r\n{encoding}Content-Length: {}\r\n\r\n",
                body.len_bytes
            );
            request.extend_from_slice(head.as_bytes());
            bodies.read(body, &mut request).context("read a body")?;
            let deadline = Instant::now() + OVERLOAD_MAX;
            loop {
                let answer = connection.exchange(&request)?;
                match answer.status {
                    200 | 204 => break,
                    503 if Instant::now() < deadline => {
                        refusals.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(RETRY_DELAY);
                    }
                    status => {
                        let text = String::from_utf8_lossy(&answer.body);
                        bail!("a body was answered with {status}: {text:.300}");
                    }
                }
            }
            values.fetch_add(body.values, Ordering::Relaxed);
        }
        Ok(())
    };
    let work = || work().inspect_err(|_| failed.store(true, Ordering::Relaxed));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| match worker.join() {
                Ok(done) => done,
                Err(_) => bail!("a connection's thread panicked"),
            })
    })?;
    let values = values.into_inner();
    ensure!(
        values == bodies.values(),
        "{values} values were acknowledged of {}",
        bodies.values()
    );
    Ok(Loaded {
        values,
        wall: begun.elapsed(),
        refusals: refusals.into_inner(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Sink;
    use tandem_benches::generate::Shape;

    fn bodies(zipped: bool) -> Bodies {
        let dir = tempfile::tempdir().unwrap();
        Bodies::prepare(dir.path(), Shape::Series { count: 9 }, 15_001, zipped).unwrap()
    }

    #[test]
    fn every_body_arrives_once_and_its_values_are_counted() {
        for zipped in [false, true] {
            let (sink, bodies) = (Sink::start("204 No Content").unwrap(), bodies(zipped));
            let loaded = load(sink.address, "/write?db=x", &bodies).unwrap();
            assert_eq!((loaded.values, loaded.refusals), (20_000, 0));
            let bytes: usize = bodies.index().iter().map(|body| body.len_bytes).sum();
            assert_eq!(sink.bytes(), bytes as u64);
        }
    }

    #[test]
    fn a_load_keeps_to_its_rate() {
        let (sink, bodies) = (Sink::start("204 No Content").unwrap(), bodies(false));
        let loaded = load_at(sink.address, "/write?db=x", &bodies, 50_000).unwrap();
        // The last of four bodies of 5,000 values is due after 0.3 s.
        assert!(
            loaded.wall >= Duration::from_millis(300),
            "{:?}",
            loaded.wall
        );
    }

    #[test]
    fn a_body_that_is_refused_ends_the_load() {
        let sink = Sink::start("400 Bad Request").unwrap();
        let error = load(sink.address, "/write?db=x", &bodies(false)).unwrap_err();
        assert!(format!("{error:#}").contains("400"), "{error:#}");
    }
}
