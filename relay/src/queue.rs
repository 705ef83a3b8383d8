//! The hinted-handoff log of one backend, with its identity, its cursor and its dead letters.
//!
//! ```text
//! <data>/<backend's name>/id       the queue's UUID, as text
//!                        /cursor   all hints below it are delivered; carries the UUID too
//!                        /hints/   the log
//!                        /dead/    a log of the hints that the backend refused for good
//! ```
//!
//! A queue belongs to the backend's configured name, never to its address or its place in the
//! configuration, and nothing here is ever removed because no backend has its name.
//!
//! What always holds: a hint is counted in its lanes before anyone can see it as durable, and
//! until the durable cursor has passed it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem_seglog::{Cursor, Log, Options, Reader, Sequence};
use tandem_vfs::Vfs;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::error;

use crate::batch::{Batch, Head};
use crate::hint::{self, Record};
use crate::identity::identity;
use crate::lane::{Lanes, Turn};

/// Segments of a log; smaller ones where the log's bound is small.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;
/// Longer than any batch: bodies have their own bounds.
const RECORD_BYTES_MAX: u32 = 1 << 30;
/// A drained log that is larger than this gets a new, empty segment.
const IDLE_BYTES_MAX: u64 = 1 << 20;

/// Why a queue could not be opened.
#[derive(Debug, Error)]
pub enum QueueError {
    /// The name cannot be that of a directory.
    #[error("backend name {0:?}: use letters, digits, '-', '_' and '.', not starting with '.'")]
    Name(String),
    /// The directory belongs to another queue.
    #[error(
        "{}: the cursor is of queue {cursor}, the id file says {id}; move the wrong one away",
        dir.display()
    )]
    Foreign {
        /// The queue's directory.
        dir: PathBuf,
        /// What the id file holds.
        id: String,
        /// What the cursor holds.
        cursor: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The log or the cursor could not be opened.
    #[error("open the hinted-handoff log")]
    Log(#[from] tandem_seglog::Error),
}

/// Why a batch did not get into the log. Nothing of it is durable that counts.
#[derive(Debug, Error)]
pub(crate) enum SpillError {
    #[error("its queue is full ({bytes} of {bytes_max} bytes)")]
    Full { bytes: u64, bytes_max: u64 },
    #[error("its queue failed: {0}")]
    Log(tandem_seglog::Error),
}

/// When a hint may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    /// Its live write has no answer yet.
    InFlight,
    /// Its live write broke off and may be applied until then.
    At(Instant),
    /// At once.
    Now,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Queue {
    log: Log,
    dead: Log,
    cursor: Mutex<Cursor>,
    lanes: Arc<Lanes>,
    state: Mutex<State>,
    /// Something changed that the drainer may wait for.
    wake: Notify,
    bytes_max: u64,
    dead_bytes_max: u64,
    /// Hints behind the cursor: how many, and bytes of their records.
    pub(crate) pending: Pending,
}

#[derive(Debug, Default)]
pub(crate) struct Pending {
    batches: AtomicU64,
    bytes: AtomicU64,
}

impl Pending {
    /// Hints, and bytes of them.
    pub(crate) fn get(&self) -> (u64, u64) {
        (
            self.batches.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    fn add(&self, bytes: u64) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sub(&self, bytes: u64) {
        self.batches.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct State {
    /// Hints that must wait, and the staging they came from: numbers are given out again when a
    /// commit fails.
    unsettled: HashMap<Sequence, (u64, Settle)>,
    /// Hints that must not be sent.
    cancelled: HashSet<Sequence>,
    stagings: u64,
}

/// What was found in the log at the start.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) hints: u64,
    pub(crate) corruptions: Vec<String>,
}

impl Queue {
    /// Opens the queue of the backend `name` below `data_dir`, making it where there is none, and
    /// marks the lanes of the hints in it as spilled. Blocks.
    ///
    /// A hint whose live write had begun is not sent before `write_timeout` has passed since.
    pub(crate) fn open(
        vfs: &Arc<dyn Vfs>,
        data_dir: &Path,
        name: &str,
        bounds: (u64, u64),
        (now_ns, write_timeout): (i64, Duration),
        lanes: Arc<Lanes>,
    ) -> Result<(Self, Recovered), QueueError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(allowed) {
            return Err(QueueError::Name(name.to_owned()));
        }
        let dir = data_dir.join(name);
        let id = identity(&**vfs, data_dir, &dir)?;
        let mut cursor = Cursor::open(&**vfs, &dir.join("cursor"))?;
        if cursor.payload().is_empty() {
            cursor.store_with(cursor.value(), id.as_bytes())?;
        } else if cursor.payload() != id.as_bytes() {
            return Err(QueueError::Foreign {
                dir,
                id,
                cursor: String::from_utf8_lossy(cursor.payload()).into_owned(),
            });
        }
        let (bytes_max, dead_bytes_max) = bounds;
        let from = cursor.value().max(1);
        let options = |bytes_max: u64, first_sequence| Options {
            segment_bytes_max: SEGMENT_BYTES_MAX.min(bytes_max / 8),
            record_bytes_max: RECORD_BYTES_MAX,
            first_sequence,
            ..Options::default()
        };
        let pending = Pending::default();
        let mut state = State::default();
        let mut hints = 0;
        let mut visit = |sequence: Sequence, record: &[u8]| {
            if sequence < from {
                return Ok(());
            }
            match hint::decode(record) {
                Ok(Record::Hint { head, sent, .. }) => {
                    hints += 1;
                    lanes.recovered(head.lanes);
                    pending.add(record.len() as u64);
                    if sent {
                        let since = now_ns.saturating_sub(head.received_ns);
                        let since = Duration::from_nanos(u64::try_from(since).unwrap_or(0));
                        let at = Instant::now() + write_timeout.saturating_sub(since);
                        state.unsettled.insert(sequence, (0, Settle::At(at)));
                    }
                }
                Ok(Record::Cancel(cancelled)) if cancelled >= from => {
                    state.cancelled.insert(cancelled);
                }
                Ok(Record::Cancel(_)) => {}
                Err(e) => error!(backend = name, sequence, error = %e, "a record is skipped"),
            }
            Ok(())
        };
        let log_dir = dir.join("hints");
        let (log, recovery) =
            Log::open(vfs.clone(), &log_dir, options(bytes_max, from), &mut visit)?;
        let dead_options = options(dead_bytes_max, 1);
        let (dead, _) = Log::open(vfs.clone(), &dir.join("dead"), dead_options, &mut |_, _| {
            Ok(())
        })?;
        let recovered = Recovered {
            hints,
            corruptions: recovery
                .corruptions
                .iter()
                .map(|c| format!("{c:?}"))
                .collect(),
        };
        let queue = Self {
            log,
            dead,
            cursor: Mutex::new(cursor),
            lanes,
            state: Mutex::new(state),
            wake: Notify::new(),
            bytes_max,
            dead_bytes_max,
            pending,
        };
        Ok((queue, recovered))
    }

    /// Puts a batch into the log; durable on `Ok`. Blocks.
    ///
    /// `turn` is how the batch got its lanes; they are handed over to the hint as soon as it has
    /// its place in the log. On an error the lanes of a `Live` turn are flying again, and those of
    /// a `Spill` turn are free.
    pub(crate) fn spill(
        &self,
        batch: &Batch,
        turn: Turn,
        settle: Settle,
    ) -> Result<Sequence, SpillError> {
        let lanes = batch.head.lanes;
        let refuse = |error| {
            if turn == Turn::Spill {
                self.lanes.unstaged(lanes);
            }
            Err(error)
        };
        let bytes = self.log.bytes_total() + batch.bytes();
        if bytes > self.bytes_max {
            return refuse(SpillError::Full {
                bytes,
                bytes_max: self.bytes_max,
            });
        }
        let mut staged = None;
        let appended = self.log.append_with(|sequence, out| {
            let start = out.len();
            hint::encode_head(&batch.head, turn == Turn::Live, out);
            for slice in &batch.body {
                out.extend_from_slice(slice);
            }
            // Counted in here: once the record is staged, another's commit may make it durable.
            let staging = {
                let mut state = self.lock();
                state.stagings += 1;
                let staging = state.stagings;
                // A number that a failed staging had before may carry that one's marks.
                state.unsettled.remove(&sequence);
                state.cancelled.remove(&sequence);
                if settle != Settle::Now {
                    state.unsettled.insert(sequence, (staging, settle));
                }
                staging
            };
            match turn {
                Turn::Live => self.lanes.flown_to_hint(lanes),
                Turn::Spill => self.lanes.staged(lanes),
            }
            let bytes = (out.len() - start) as u64;
            self.pending.add(bytes);
            staged = Some((sequence, staging, bytes));
            Ok(())
        });
        let outcome = appended.and_then(|ticket| self.log.commit(&ticket));
        match (outcome, staged) {
            (Ok(()), Some((sequence, ..))) => {
                self.wake.notify_one();
                Ok(sequence)
            }
            (Err(error), Some((sequence, staging, bytes))) => {
                let mut state = self.lock();
                if state
                    .unsettled
                    .get(&sequence)
                    .is_some_and(|(id, _)| *id == staging)
                {
                    state.unsettled.remove(&sequence);
                }
                drop(state);
                self.pending.sub(bytes);
                match turn {
                    Turn::Live => self.lanes.hint_to_flown(lanes),
                    Turn::Spill => self.lanes.drained([lanes]),
                }
                Err(SpillError::Log(error))
            }
            (Err(error), None) => refuse(SpillError::Log(error)),
            (Ok(()), None) => refuse(SpillError::Full {
                bytes: 0,
                bytes_max: self.bytes_max,
            }),
        }
    }

    /// The live write of a hint has come to an end.
    pub(crate) fn settle(&self, sequence: Sequence, settle: Settle) {
        let mut state = self.lock();
        if settle == Settle::Now {
            state.unsettled.remove(&sequence);
        } else if let Some((_, current)) = state.unsettled.get_mut(&sequence) {
            *current = settle;
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Takes a hint back: it is not sent. Durable on `Ok`. Blocks.
    ///
    /// Unless its live write has `landed`, that still has to settle before the hint is passed:
    /// until then it is in the way of whatever shares a lane with it.
    pub(crate) fn cancel(
        &self,
        sequence: Sequence,
        landed: bool,
    ) -> Result<(), tandem_seglog::Error> {
        {
            let mut state = self.lock();
            state.cancelled.insert(sequence);
            if landed {
                state.unsettled.remove(&sequence);
            }
        }
        self.wake.notify_one();
        let ticket = self.log.append(&[&hint::encode_cancel(sequence)])?;
        self.log.commit(&ticket)?;
        self.wake.notify_one();
        Ok(())
    }

    /// When a hint may be dealt with, and whether it is to be sent then.
    pub(crate) fn due(&self, sequence: Sequence) -> (Settle, bool) {
        let state = self.lock();
        let settle = state.unsettled.get(&sequence);
        (
            settle.map_or(Settle::Now, |(_, settle)| *settle),
            !state.cancelled.contains(&sequence),
        )
    }

    /// Waits for a spill, a settling or a cancel after the last call.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Reads the hints that the cursor has not passed.
    pub(crate) fn reader(&self) -> Reader {
        let from = self.lock_cursor().value().max(1);
        self.log.reader(from)
    }

    /// True when nothing durable is left at or above `next`.
    pub(crate) fn is_drained(&self, next: Sequence) -> bool {
        self.log.durable_end() <= next
    }

    /// Moves the cursor to `next`: all hints below are delivered, cancelled or dead; `passed` are
    /// those since the last call, as sequence, lanes and bytes. Then, and only when that is
    /// durable, their lanes may be live again. Blocks.
    pub(crate) fn advance(
        &self,
        next: Sequence,
        passed: &[(Sequence, u64, u64)],
    ) -> Result<(), tandem_seglog::Error> {
        self.lock_cursor().store(next)?;
        let mut state = self.lock();
        for (sequence, ..) in passed {
            state.unsettled.remove(sequence);
            state.cancelled.remove(sequence);
        }
        drop(state);
        for (_, _, bytes) in passed {
            self.pending.sub(*bytes);
        }
        self.lanes
            .drained(passed.iter().map(|(_, lanes, _)| *lanes));
        Ok(())
    }

    /// Gives back the space of what lies below `next`, which the cursor has passed. Blocks.
    pub(crate) fn tidy(&self, next: Sequence) -> Result<(), tandem_seglog::Error> {
        if self.is_drained(next) && self.log.bytes_total() > IDLE_BYTES_MAX.min(self.bytes_max / 8)
        {
            self.log.rotate()?;
        }
        self.log.cut_below(next)
    }

    /// Keeps a hint that the backend has refused for good, with what it said; durable on `Ok`.
    /// False when there is no room. Blocks.
    pub(crate) fn bury(
        &self,
        head: &Head,
        body: &[u8],
        reason: &str,
    ) -> Result<bool, tandem_seglog::Error> {
        let mut record = Vec::new();
        hint::encode_head(head, true, &mut record);
        if self.dead.bytes_total() + (record.len() + body.len()) as u64 > self.dead_bytes_max {
            return Ok(false);
        }
        let length = (reason.len() as u32).to_le_bytes();
        let ticket = self
            .dead
            .append(&[&length, reason.as_bytes(), &record, body])?;
        self.dead.commit(&ticket).map(|()| true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_cursor(&self) -> MutexGuard<'_, Cursor> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
