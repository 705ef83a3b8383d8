//! What became of every line: the agent's own books.
//!
//! At rest it always holds that
//! `gathered + recovered = written + buffered + dropped + rejected`, in lines.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that the agent's threads share; all only grow, but `buffered`.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) gathered: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) buffered: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) gather_errors: AtomicU64,
    pub(crate) gather_timeouts: AtomicU64,
    pub(crate) gathers_skipped: AtomicU64,
    pub(crate) write_errors: AtomicU64,
}

/// One reading of the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Lines made by collectors.
    pub gathered: u64,
    /// Lines found in the spool at the start.
    pub recovered: u64,
    /// Lines that a relay took.
    pub written: u64,
    /// Lines in memory and in the spool.
    pub buffered: u64,
    /// Lines given up because a limit was reached or the spool was damaged.
    pub dropped: u64,
    /// Lines that a relay refused for good.
    pub rejected: u64,
    /// Files or mounts that could not be read or understood.
    pub gather_errors: u64,
    /// Gathers left out because the one before was not done.
    pub gather_timeouts: u64,
    /// Ticks that passed without any gather.
    pub gathers_skipped: u64,
    /// Requests that failed, whatever became of their lines.
    pub write_errors: u64,
}

pub(crate) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

impl Counters {
    /// Reads all counters.
    pub(crate) fn read(&self) -> Accounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Accounts {
            gathered: read(&self.gathered),
            recovered: read(&self.recovered),
            written: read(&self.written),
            buffered: read(&self.buffered),
            dropped: read(&self.dropped),
            rejected: read(&self.rejected),
            gather_errors: read(&self.gather_errors),
            gather_timeouts: read(&self.gather_timeouts),
            gathers_skipped: read(&self.gathers_skipped),
            write_errors: read(&self.write_errors),
        }
    }

    /// Moves `lines` out of the buffered ones, into `to`.
    pub(crate) fn settle(&self, lines: u64, to: &AtomicU64) {
        self.buffered.fetch_sub(lines, Ordering::Relaxed);
        add(to, lines);
    }
}

impl Accounts {
    /// Whether no line is unaccounted for; meaningful while nothing is on its way.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.gathered + self.recovered
            == self.written + self.buffered + self.dropped + self.rejected
    }
}

impl fmt::Display for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "lines: {} gathered + {} recovered = {} written + {} buffered + {} dropped + {} rejected",
            self.gathered, self.recovered, self.written, self.buffered, self.dropped, self.rejected
        )
    }
}
