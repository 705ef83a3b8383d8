//! What an operator sees of a backend: a line at each change of its condition, a line a minute,
//! and the figures behind them.
//!
//! No line holds a query string or a header: passwords travel in them.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tracing::{error, info, warn};

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
    /// It refuses what is at the head of its log; an operator has to mend something.
    Holding,
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
    /// Places of its log that were damaged.
    pub corruptions: u64,
    /// Batches in its log.
    pub queued_batches: u64,
    /// Bytes of them.
    pub queued_bytes: u64,
    /// Age of the batch at the head of its log, in milliseconds; 0 without one.
    pub queued_age_ms: u64,
    /// The last thing it, or the network, said.
    pub last_answer: String,
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
    corruptions: AtomicU64,
    /// Time of receipt of the batch at the head of the log; 0 without one.
    head_received_ns: AtomicU64,
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
            corruptions: AtomicU64::default(),
            head_received_ns: AtomicU64::default(),
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
        error!(backend = %self.name, answer = cut(text), "an acknowledged batch is refused for good; it is kept in the directory 'dead' of the queue");
    }

    pub(crate) fn corrupt(&self, why: &impl Display) {
        add(&self.corruptions, 1);
        error!(backend = %self.name, %why, "the queue is damaged: batches are lost for this backend; repair it from another");
    }

    pub(crate) fn trouble(&self, what: &str, why: &impl Display) {
        error!(backend = %self.name, %why, "{what}");
    }

    pub(crate) fn answered(&self, text: &str) {
        let mut last = lock(&self.last_answer);
        if *last != cut(text) {
            cut(text).clone_into(&mut last);
        }
    }

    pub(crate) fn head_received(&self, received_ns: i64) {
        let received_ns = u64::try_from(received_ns).unwrap_or(0);
        self.head_received_ns.store(received_ns, Ordering::Relaxed);
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
            Condition::Holding => {
                error!(backend = %self.name, why, "holding: it refuses the batch at the head of its queue; mend what it says");
            }
        }
    }

    pub(crate) fn status(&self, now_ns: i64, (batches, bytes): (u64, u64)) -> BackendStatus {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let head = get(&self.head_received_ns);
        let age_ns = u64::try_from(now_ns).unwrap_or(0).saturating_sub(head);
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
            corruptions: get(&self.corruptions),
            queued_batches: batches,
            queued_bytes: bytes,
            queued_age_ms: if head == 0 || batches == 0 {
                0
            } else {
                age_ns / 1_000_000
            },
            last_answer: lock(&self.last_answer).clone(),
        }
    }
}

/// The line of every minute.
pub(crate) fn log_status(status: &BackendStatus) {
    info!(
        backend = %status.name,
        condition = ?status.condition,
        written_batches = status.written_batches,
        written_lines = status.written_lines,
        spilled_batches = status.spilled_batches,
        partial_batches = status.partial_batches,
        dead_batches = status.dead_batches,
        refused_batches = status.refused_batches,
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
