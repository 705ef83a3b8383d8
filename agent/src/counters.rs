//! What became of every line: the agent's own books.
//!
//! At every moment it holds that `gathered + recovered = written + buffered + dropped + rejected`,
//! in lines, because whoever moves lines from one of them to another does so under one lock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counters that the agent's threads share.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    books: Mutex<Books>,
    collectors: Mutex<Vec<Arc<GatherStats>>>,
}

#[derive(Debug, Default)]
struct Books {
    accounts: Accounts,
    writes: Timings,
}

/// Times since the last reading, for their average.
#[derive(Clone, Copy, Debug, Default)]
struct Timings {
    sum_ns: u64,
    count: u64,
}

/// One reading of the counters. All only grow, but `buffered` and `held_bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Lines made by collectors.
    pub gathered: u64,
    /// Bytes of these lines.
    pub gathered_bytes: u64,
    /// Lines found in the spool at the start.
    pub recovered: u64,
    /// Lines that a relay took.
    pub written: u64,
    /// Bytes of these lines, before they were compressed.
    pub written_bytes: u64,
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
    /// Bytes of lines in memory: those that wait there, those on their way, and those read from the spool for it.
    pub held_bytes: u64,
    /// The most that this was.
    pub held_bytes_most: u64,
}

/// Where lines go that no longer wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Written,
    Dropped,
    Rejected,
}

/// One collector's figures.
#[derive(Debug)]
pub(crate) struct GatherStats {
    pub(crate) name: &'static str,
    figures: Mutex<GatherFigures>,
}

/// One reading of a collector's figures; all only grow, but the last two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GatherFigures {
    pub(crate) lines: u64,
    pub(crate) errors: u64,
    pub(crate) timeouts: u64,
    /// Series that were not reported because the collector has too many.
    pub(crate) refused: u64,
    /// Since the last reading.
    time_sum_ns: u64,
    gathers: u64,
    /// How many times its interval it waits between two gathers, to stay within the budget.
    pub(crate) slowdown: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn to_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Counters {
    /// Reads all counters at one moment.
    pub(crate) fn read(&self) -> Accounts {
        lock(&self.books).accounts
    }

    /// Changes the counters in one step.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Accounts)) {
        change(&mut lock(&self.books).accounts);
    }

    /// Lines were made, and wait.
    pub(crate) fn gathered(&self, lines: u64, bytes: usize) {
        self.change(|accounts| {
            accounts.gathered += lines;
            accounts.gathered_bytes += bytes as u64;
            accounts.buffered += lines;
        });
    }

    /// Moves `lines` out of the buffered ones.
    pub(crate) fn settle(&self, lines: u64, fate: Fate) {
        self.change(|accounts| {
            accounts.buffered = accounts.buffered.saturating_sub(lines);
            *match fate {
                Fate::Written => &mut accounts.written,
                Fate::Dropped => &mut accounts.dropped,
                Fate::Rejected => &mut accounts.rejected,
            } += lines;
        });
    }

    /// Lines of so many bytes are in memory from now on.
    pub(crate) fn hold(&self, bytes: usize) {
        self.change(|accounts| {
            accounts.held_bytes += bytes as u64;
            accounts.held_bytes_most = accounts.held_bytes_most.max(accounts.held_bytes);
        });
    }

    /// They no longer are.
    pub(crate) fn release(&self, bytes: usize) {
        self.change(|accounts| {
            accounts.held_bytes = accounts.held_bytes.saturating_sub(bytes as u64);
        });
    }

    /// A request took so long.
    pub(crate) fn time_write(&self, took: Duration) {
        let mut books = lock(&self.books);
        books.writes.sum_ns = books.writes.sum_ns.saturating_add(to_ns(took));
        books.writes.count += 1;
    }

    /// The average time of requests since the last call.
    pub(crate) fn take_write_time_ns(&self) -> u64 {
        let taken = std::mem::take(&mut lock(&self.books).writes);
        taken.sum_ns.checked_div(taken.count).unwrap_or(0)
    }

    /// The figures of the collector of this name, new ones where it has none.
    pub(crate) fn collector(&self, name: &'static str) -> Arc<GatherStats> {
        let mut all = lock(&self.collectors);
        if let Some(known) = all.iter().find(|stats| stats.name == name) {
            return Arc::clone(known);
        }
        let stats = Arc::new(GatherStats {
            name,
            figures: Mutex::default(),
        });
        all.push(Arc::clone(&stats));
        stats
    }

    /// The figures of all collectors.
    pub(crate) fn collectors(&self) -> Vec<Arc<GatherStats>> {
        lock(&self.collectors).clone()
    }
}

impl GatherStats {
    /// Changes the figures in one step.
    pub(crate) fn change(&self, change: impl FnOnce(&mut GatherFigures)) {
        change(&mut lock(&self.figures));
    }

    /// A gather took so long.
    pub(crate) fn time(&self, took: Duration) {
        self.change(|figures| {
            figures.time_sum_ns = figures.time_sum_ns.saturating_add(to_ns(took));
            figures.gathers += 1;
        });
    }

    /// The figures, and the average time of a gather since the last call.
    pub(crate) fn take(&self) -> (GatherFigures, u64) {
        let mut figures = lock(&self.figures);
        let read = *figures;
        (figures.time_sum_ns, figures.gathers) = (0, 0);
        (
            read,
            read.time_sum_ns.checked_div(read.gathers).unwrap_or(0),
        )
    }
}

impl Accounts {
    /// Whether no line is unaccounted for.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_balance_whatever_becomes_of_lines() {
        let counters = Counters::default();
        counters.gathered(10, 100);
        counters.settle(4, Fate::Written);
        counters.settle(3, Fate::Dropped);
        counters.settle(2, Fate::Rejected);
        let read = counters.read();
        assert_eq!((read.buffered, read.gathered_bytes), (1, 100));
        assert!(read.is_balanced(), "{read}");
    }

    #[test]
    fn times_are_averages_since_the_last_reading() {
        let counters = Counters::default();
        assert_eq!(counters.take_write_time_ns(), 0);
        counters.time_write(Duration::from_nanos(10));
        counters.time_write(Duration::from_nanos(30));
        assert_eq!(counters.take_write_time_ns(), 20);
        assert_eq!(counters.take_write_time_ns(), 0);
        let stats = counters.collector("cpu");
        stats.time(Duration::from_nanos(8));
        assert_eq!(counters.collector("cpu").take().1, 8);
        assert_eq!(counters.collectors().len(), 1);
    }
}
