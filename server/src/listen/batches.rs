//! From chunks of lines to batches in the store: one writer a listener.
//!
//! What waits is bounded in bytes. A batch that the store cannot take now (no memory, no space) is
//! offered again for a while; meanwhile the queue fills, connections wait and datagrams are dropped. A
//! batch that it refuses is dropped, counted and logged: nobody is there to be told.

use std::sync::Arc;
use std::time::Duration;

use tandem_http::Drained;
use tandem_store::WriteError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tracing::warn;

use super::{BatchConfig, InputConfig, InputCounters, until};
use crate::intake::Intake;
use crate::throttle::Throttle;

/// Bytes of lines after which a batch is written, however few points they are.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Chunks that wait at most, beside the bound of their bytes.
const CHUNKS_MAX: usize = 4096;

/// Pause before a batch is offered again.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// Lines on their way to the writer.
#[derive(Debug)]
struct Chunk {
    lines: Vec<u8>,
    points: u64,
    _room: OwnedSemaphorePermit,
}

/// The side that decodes. Clones feed the same writer, which ends when the last one is dropped.
#[derive(Clone, Debug)]
pub(super) struct Feeder {
    chunks: mpsc::Sender<Chunk>,
    /// KiB that may wait.
    room: Arc<Semaphore>,
    room_kib: u32,
    counters: Arc<InputCounters>,
}

/// The side that writes.
#[derive(Debug)]
pub(super) struct Writer {
    chunks: mpsc::Receiver<Chunk>,
    config: BatchConfig,
    database: String,
    policy: Option<String>,
    intake: Intake,
    counters: Arc<InputCounters>,
    refused: Throttle,
    stopped: watch::Receiver<bool>,
}

pub(super) fn open(
    config: &InputConfig,
    intake: Intake,
    counters: Arc<InputCounters>,
    stopped: watch::Receiver<bool>,
) -> (Feeder, Writer) {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let room_kib = u32::try_from(config.batch.queue_bytes_max / 1024)
        .unwrap_or(u32::MAX >> 4)
        .clamp(1, u32::MAX >> 4);
    let feeder = Feeder {
        chunks: sender,
        room: Arc::new(Semaphore::new(room_kib as usize)),
        room_kib,
        counters: counters.clone(),
    };
    let writer = Writer {
        chunks: receiver,
        config: config.batch,
        database: config.database.clone(),
        policy: config.retention_policy.clone(),
        intake,
        counters,
        refused: Throttle::default(),
        stopped,
    };
    (feeder, writer)
}

impl Feeder {
    /// Hands lines over, and drops them when there is no room: for who cannot wait.
    pub(super) fn offer(&self, lines: Vec<u8>, points: u64) {
        if points == 0 {
            return;
        }
        self.counters.points.add(points);
        let room = self.room.clone().try_acquire_many_owned(self.kib(&lines));
        let handed_over = room.is_ok_and(|room| {
            let bytes = lines.len() as u64;
            let chunk = Chunk {
                lines,
                points,
                _room: room,
            };
            self.counters.bytes_pending.add(bytes);
            let sent = self.chunks.try_send(chunk).is_ok();
            if !sent {
                self.counters.bytes_pending.sub(bytes);
            }
            sent
        });
        if !handed_over {
            self.counters.dropped_queue.add(points);
        }
    }

    /// Hands lines over as soon as there is room.
    pub(super) async fn send(&self, lines: Vec<u8>, points: u64) {
        if points == 0 {
            return;
        }
        self.counters.points.add(points);
        let room = self.room.clone().acquire_many_owned(self.kib(&lines));
        let bytes = lines.len() as u64;
        if let Ok(room) = room.await {
            self.counters.bytes_pending.add(bytes);
            let chunk = Chunk {
                lines,
                points,
                _room: room,
            };
            if self.chunks.send(chunk).await.is_ok() {
                return;
            }
            self.counters.bytes_pending.sub(bytes);
        }
        // The writer has gone, which it does not before its feeders.
        self.counters.dropped_queue.add(points);
    }

    fn kib(&self, lines: &[u8]) -> u32 {
        u32::try_from(lines.len() / 1024)
            .unwrap_or(u32::MAX)
            .clamp(1, self.room_kib)
    }
}

impl Writer {
    /// Writes until all feeders are gone and all they fed is written.
    pub(super) async fn run(mut self) -> Drained {
        let (mut lines, mut points, mut rooms) = (Vec::new(), 0_u64, Vec::new());
        let mut due = Instant::now();
        loop {
            let is_empty = points == 0;
            let chunk = tokio::select! {
                chunk = self.chunks.recv() => chunk,
                () = tokio::time::sleep_until(due), if !is_empty => {
                    lines = self.write(lines, points, &mut rooms).await;
                    points = 0;
                    continue;
                }
            };
            let Some(chunk) = chunk else {
                if !is_empty {
                    self.write(lines, points, &mut rooms).await;
                }
                return Drained { cut_off: 0 };
            };
            if is_empty {
                due = Instant::now() + self.config.age_max;
            }
            lines.extend_from_slice(&chunk.lines);
            points += chunk.points;
            rooms.push(chunk._room);
            if points >= self.config.points_max as u64 || lines.len() >= BATCH_BYTES_MAX {
                lines = self.write(lines, points, &mut rooms).await;
                points = 0;
            }
        }
    }

    /// Writes a batch; its buffer comes back empty.
    async fn write(
        &self,
        mut lines: Vec<u8>,
        points: u64,
        rooms: &mut Vec<OwnedSemaphorePermit>,
    ) -> Vec<u8> {
        let give_up = Instant::now() + self.config.retry_max;
        loop {
            let (intake, database, policy) = (
                self.intake.clone(),
                self.database.clone(),
                self.policy.clone(),
            );
            let writing = tokio::task::spawn_blocking(move || {
                let written = intake.write(&database, policy.as_deref(), &lines);
                (lines, written)
            });
            let (buffer, written) = match writing
                .await
                .map_err(tokio::task::JoinError::try_into_panic)
            {
                Ok(done) => done,
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                Err(Err(_cancelled)) => return Vec::new(),
            };
            lines = buffer;
            match written {
                Ok(taken) => {
                    self.counters.batches.add(1);
                    self.counters.points_stored.add(taken.stored);
                    // Among them those that the store finds it cannot parse, as for a key that is too long.
                    let dropped = points.saturating_sub(taken.stored);
                    self.counters.dropped_store.add(dropped);
                    if dropped > 0 {
                        self.complain(dropped, "some of its points were refused");
                    }
                    break;
                }
                // At a stop it is offered once: nobody waits for thirty seconds then.
                Err(WriteError::Overloaded(_) | WriteError::Full(_))
                    if Instant::now() < give_up && !*self.stopped.borrow() =>
                {
                    let mut stopped = self.stopped.clone();
                    drop(tokio::time::timeout(RETRY_DELAY, until(&mut stopped)).await);
                }
                Err(error) => {
                    self.counters.batches_failed.add(1);
                    self.counters.dropped_store.add(points);
                    self.complain(points, &error.to_string());
                    break;
                }
            }
        }
        self.counters.bytes_pending.sub(lines.len() as u64);
        rooms.clear();
        lines.clear();
        lines
    }

    fn complain(&self, points: u64, error: &str) {
        if let Some(silent) = self.refused.speak() {
            // Texts about points repeat them, and there may be thousands.
            let error: String = error.chars().take(500).collect();
            warn!(
                listener = self.counters.kind,
                bind = self.counters.bind,
                database = self.database,
                points,
                error,
                silent,
                "points were dropped"
            );
        }
    }
}
