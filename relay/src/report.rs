//! What an operator sees of a backend: a line at each change of its condition, a line a minute,
//! and the figures behind them.
//!
//! No line holds a query string or a header: passwords travel in them.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tracing::{error, info, warn};

use crate::queue::Queue;

/// Texts of backends are cut here before they are kept or logged.
const TEXT_BYTES_MAX: usize = 300;

/// How a backend is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Every batch goes to it at once.
    #[default]
    Live,
    /// Batches go to its log.
    Spilling,
    /// It takes what is in its log.
    Draining,
    /// It takes batches, but refuses those for some database; an operator has to mend something.
    Holding,
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Spilling => "spilling",
            Self::Draining => "draining",
            Self::Holding => "holding",
        })
    }
}

/// A backend at one instant. Counts are since the start of the relay.
#[derive(Clone, Debug, Serialize)]
pub struct BackendStatus {
    /// Its configured name.
    pub name: String,
    /// How it is doing.
    pub condition: Condition,
    /// Batches it has confirmed, live or from the log.
    pub written_batches: u64,
    /// Lines in them.
    pub written_lines: u64,
    /// Batches that went to its log.
    pub spilled_batches: u64,
    /// Lines in them.
    pub spilled_lines: u64,
    /// Batches of which it dropped some lines, as it said.
    pub partial_batches: u64,
    /// Batches it refused for good after their clients had their 204, kept as dead letters.
    pub dead_batches: u64,
    /// Batches that neither it nor its log took; their clients were told.
    pub refused_batches: u64,
    /// Batches dropped because its queue was full, as the operator chose; they are in the gap list.
    pub dropped_batches: u64,
    /// Lines in them.
    pub dropped_lines: u64,
    /// Places of its log that were damaged.
    pub corruptions: u64,
    /// Windows in which the comparer found that it differs from the first backend.
    pub divergences: u64,
    /// Batches in its log.
    pub queued_batches: u64,
    /// Bytes of them.
    pub queued_bytes: u64,
    /// The bound of the queue's bytes on disk.
    pub queue_bytes_max: u64,
    /// Bytes of it that are taken.
    pub queue_bytes: u64,
    /// Age of the oldest batch in its log, in milliseconds; 0 without one.
    pub queued_age_ms: u64,
    /// For how long the queue takes what comes in at present, in seconds; none while nothing comes.
    pub tolerable_outage_s: Option<u64>,
    /// Databases that it refuses until an operator mends something, with what waits for that.
    pub held: Vec<HeldStatus>,
    /// Bytes on disk of the dead letters.
    pub dead_bytes: u64,
    /// Points in the gap list.
    pub gap_points: u64,
    /// The last thing it, or the network, said.
    pub last_answer: String,
}

/// What waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldStatus {
    /// The database.
    pub database: String,
    /// Batches for it.
    pub batches: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// The figures of one backend.
#[derive(Debug)]
pub(crate) struct Report {
    name: String,
    condition: Mutex<Condition>,
    last_answer: Mutex<String>,
    written_batches: AtomicU64,
    written_lines: AtomicU64,
    spilled_batches: AtomicU64,
    spilled_lines: AtomicU64,
    partial_batches: AtomicU64,
    dead_batches: AtomicU64,
    refused_batches: AtomicU64,
    dropped_batches: AtomicU64,
    dropped_lines: AtomicU64,
    corruptions: AtomicU64,
    divergences: AtomicU64,
    /// Databases of which the operator has been told.
    holding: Mutex<BTreeSet<String>>,
}

impl Report {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            condition: Mutex::default(),
            last_answer: Mutex::default(),
            written_batches: AtomicU64::default(),
            written_lines: AtomicU64::default(),
            spilled_batches: AtomicU64::default(),
            spilled_lines: AtomicU64::default(),
            partial_batches: AtomicU64::default(),
            dead_batches: AtomicU64::default(),
            refused_batches: AtomicU64::default(),
            dropped_batches: AtomicU64::default(),
            dropped_lines: AtomicU64::default(),
            corruptions: AtomicU64::default(),
            divergences: AtomicU64::default(),
            holding: Mutex::default(),
        }
    }

    pub(crate) fn written(&self, lines: u64) {
        add(&self.written_batches, 1);
        add(&self.written_lines, lines);
    }

    pub(crate) fn spilled(&self, lines: u64) {
        add(&self.spilled_batches, 1);
        add(&self.spilled_lines, lines);
    }

    /// The backend dropped part of a batch, and said so.
    pub(crate) fn partial(&self, text: &str) {
        if add(&self.partial_batches, 1) == 0 {
            warn!(backend = %self.name, answer = cut(text), "part of a batch was refused; more of this is counted only");
        }
    }

    /// A batch is neither at the backend nor in its log; its client is told.
    pub(crate) fn refused(&self, why: &impl Display) {
        if add(&self.refused_batches, 1) == 0 {
            error!(backend = %self.name, %why, "a batch got no place in the queue: clients get 503; more of this is counted only");
        }
    }

    /// A batch that had been acknowledged was refused for good.
    pub(crate) fn dead(&self, text: &str) {
        add(&self.dead_batches, 1);
        error!(backend = %self.name, answer = cut(text), "a batch is refused for good; it is kept among the dead letters of the queue");
    }

    pub(crate) fn corrupt(&self, why: &impl Display) {
        add(&self.corruptions, 1);
        error!(backend = %self.name, %why, "the queue is damaged: batches are lost for this backend; repair it from another");
    }

    /// The comparer found a window in which it differs from the first backend.
    pub(crate) fn diverged(&self) {
        add(&self.divergences, 1);
    }

    pub(crate) fn trouble(&self, what: &str, why: &impl Display) {
        error!(backend = %self.name, %why, "{what}");
    }

    pub(crate) fn answered(&self, text: &str) {
        // A status may have no text behind it.
        let text = cut(text).trim_end();
        let mut last = lock(&self.last_answer);
        if *last != text {
            text.clone_into(&mut last);
        }
    }

    /// A batch was dropped because the queue was full, as the operator chose.
    pub(crate) fn dropped(&self, lines: u64) {
        add(&self.dropped_lines, lines);
        if add(&self.dropped_batches, 1) == 0 {
            error!(backend = %self.name, "the queue is full and drops batches; they are in the gap list, more of this is counted only");
        }
    }

    /// A database is refused until an operator mends something.
    pub(crate) fn holds(&self, database: &str, why: &str) {
        if lock(&self.holding).insert(database.to_owned()) {
            error!(backend = %self.name, database, why = cut(why), "holding: it refuses batches for this database; mend what it says");
        }
    }

    /// Nothing is held of a database any more.
    pub(crate) fn released(&self, database: &str) {
        if lock(&self.holding).remove(database.trim()) {
            info!(backend = %self.name, database = database.trim(), "what was held of this database is delivered");
        }
    }

    /// Sets the condition; a change is a line in the log.
    ///
    /// Batches that spill while the drainer is at work, or waits for an operator, change nothing.
    pub(crate) fn now(&self, condition: Condition, why: &str) {
        let mut current = lock(&self.condition);
        let known = *current == condition
            || condition == Condition::Spilling && *current != Condition::Live;
        if known {
            return;
        }
        *current = condition;
        self.log_change(condition, cut(why));
    }

    /// The drainer failed: back to spilling, from whatever it was.
    pub(crate) fn fell_back(&self, why: &str) {
        let mut current = lock(&self.condition);
        if *current != Condition::Spilling {
            *current = Condition::Spilling;
            self.log_change(Condition::Spilling, cut(why));
        }
    }

    fn log_change(&self, condition: Condition, why: &str) {
        match condition {
            Condition::Live => info!(backend = %self.name, "live: its queue is empty"),
            Condition::Draining => info!(backend = %self.name, "draining its queue"),
            Condition::Spilling => {
                warn!(backend = %self.name, why, "spilling: batches go to its queue");
            }
            Condition::Holding => {}
        }
    }

    /// The figures that the report itself has.
    pub(crate) fn status(&self) -> BackendStatus {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BackendStatus {
            name: self.name.clone(),
            condition: *lock(&self.condition),
            written_batches: get(&self.written_batches),
            written_lines: get(&self.written_lines),
            spilled_batches: get(&self.spilled_batches),
            spilled_lines: get(&self.spilled_lines),
            partial_batches: get(&self.partial_batches),
            dead_batches: get(&self.dead_batches),
            refused_batches: get(&self.refused_batches),
            dropped_batches: get(&self.dropped_batches),
            dropped_lines: get(&self.dropped_lines),
            corruptions: get(&self.corruptions),
            divergences: get(&self.divergences),
            queued_batches: 0,
            queued_bytes: 0,
            queue_bytes_max: 0,
            queue_bytes: 0,
            queued_age_ms: 0,
            tolerable_outage_s: None,
            held: Vec::new(),
            dead_bytes: 0,
            gap_points: 0,
            last_answer: lock(&self.last_answer).clone(),
        }
    }
}

impl BackendStatus {
    /// Adds what the queue says of itself; so much comes in a second.
    pub(crate) fn with_queue(mut self, queue: &Queue, now_ns: i64, bytes_per_s: u64) -> Self {
        let (batches, bytes, oldest_ns) = queue.pending();
        let age_ns = u64::try_from(now_ns).unwrap_or(0).saturating_sub(oldest_ns);
        self.queued_batches = batches;
        self.queued_bytes = bytes;
        self.queued_age_ms = if oldest_ns == 0 || batches == 0 {
            0
        } else {
            age_ns / 1_000_000
        };
        self.queue_bytes_max = queue.bytes_max();
        self.queue_bytes = queue.bytes_total();
        let room = self.queue_bytes_max.saturating_sub(self.queue_bytes);
        self.tolerable_outage_s = room.checked_div(bytes_per_s);
        let held = queue.held.figures();
        self.held = held
            .into_iter()
            .map(|(database, batches, bytes)| HeldStatus {
                database,
                batches,
                bytes,
            })
            .collect();
        if !self.held.is_empty() && self.condition != Condition::Spilling {
            self.condition = Condition::Holding;
        }
        self.dead_bytes = queue.dead.bytes_total();
        self.gap_points = queue.gaps.points();
        self
    }
}

/// The line of every minute.
pub(crate) fn log_status(status: &BackendStatus) {
    info!(
        backend = %status.name,
        condition = %status.condition,
        written_batches = status.written_batches,
        written_lines = status.written_lines,
        spilled_batches = status.spilled_batches,
        partial_batches = status.partial_batches,
        dead_batches = status.dead_batches,
        refused_batches = status.refused_batches,
        dropped_batches = status.dropped_batches,
        held_databases = status.held.len(),
        queued_batches = status.queued_batches,
        queued_bytes = status.queued_bytes,
        queued_age_ms = status.queued_age_ms,
        last_answer = %status.last_answer,
        "backend"
    );
}

fn add(counter: &AtomicU64, n: u64) -> u64 {
    counter.fetch_add(n, Ordering::Relaxed)
}

fn cut(text: &str) -> &str {
    let end = (0..=TEXT_BYTES_MAX.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
