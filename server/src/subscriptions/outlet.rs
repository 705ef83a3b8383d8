//! A bounded queue of writes, and the task that delivers them one after another.

use std::sync::Arc;

use bytes::Bytes;
use tandem_line::{ParseOptions, lines};
use tandem_model::Precision;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::warn;

use super::destination::{Destination, DestinationCounters};
use crate::stamped::stamp;
use crate::throttle::Throttle;

/// Writes that wait at most (InfluxDB `write-buffer-size`), beside the bound of their bytes.
const WRITES_MAX: usize = 1000;

/// What was written.
#[derive(Clone, Debug)]
pub(super) struct Copied {
    pub(super) body: Bytes,
    pub(super) precision: Precision,
    pub(super) now_ns: i64,
    pub(super) _room: Arc<OwnedSemaphorePermit>,
}

/// Dropped, it delivers what waits and ends.
#[derive(Debug)]
pub(super) struct Outlet {
    queue: mpsc::Sender<Copied>,
    destinations: Vec<(String, Arc<DestinationCounters>)>,
}

impl Outlet {
    pub(super) fn begin(
        runtime: &Handle,
        database: &str,
        policy: &str,
        destinations: Vec<Destination>,
    ) -> Self {
        let (queue, writes) = mpsc::channel(WRITES_MAX);
        let named = destinations
            .iter()
            .map(|one| (one.name().to_owned(), one.counters()))
            .collect();
        let target = Destination::target(database, policy);
        runtime.spawn(deliver(writes, destinations, target));
        Self {
            queue,
            destinations: named,
        }
    }

    /// Puts a write into the queue, or drops it.
    pub(super) fn offer(&self, copied: Copied) {
        if self.queue.try_send(copied).is_err() {
            self.dropped();
        }
    }

    /// Counts a write for which there is no room; at the first destination, since none has been chosen.
    pub(super) fn dropped(&self) {
        if let Some((_, counters)) = self.destinations.first() {
            counters.writes_dropped.add(1);
        }
    }

    pub(super) fn destinations(&self) -> &[(String, Arc<DestinationCounters>)] {
        &self.destinations
    }
}

async fn deliver(
    mut writes: mpsc::Receiver<Copied>,
    mut destinations: Vec<Destination>,
    target: String,
) {
    let complaints = Throttle::default();
    while let Some(copied) = writes.recv().await {
        let stamping = tokio::task::spawn_blocking(move || {
            let (lines, points) = stamped(&copied);
            (lines, points, copied._room)
        });
        let Ok((lines, points, _room)) = stamping.await else {
            return;
        };
        if points == 0 {
            continue;
        }
        for at in 0..destinations.len() {
            let Some(destination) = destinations.get_mut(at) else {
                break;
            };
            match destination.send(&target, &lines).await {
                Ok(()) => {
                    destination.counters().points.add(points);
                    // The next write goes to the next one.
                    destinations.rotate_left(at + 1);
                    break;
                }
                Err(error) => {
                    destination.counters().failures.add(1);
                    if let Some(silent) = complaints.speak() {
                        let destination = destination.name();
                        warn!(
                            destination,
                            error, silent, "a subscription was not delivered"
                        );
                    }
                }
            }
        }
    }
}

/// The lines of a write with their times, and how many they are.
fn stamped(copied: &Copied) -> (Bytes, u64) {
    let options = ParseOptions {
        precision: copied.precision,
        unsigned: true,
    };
    let mut out = Vec::with_capacity(copied.body.len() + copied.body.len() / 4);
    let mut points = 0;
    for raw in lines(&copied.body) {
        points += u64::from(stamp(raw, options, copied.now_ns, &mut out).is_ok());
    }
    (out.into(), points)
}
