//! A bound on how many series one collector makes: a host that starts containers by the thousand,
//! or labels that never repeat, must not fill the stores' indexes.
//!
//! Series that were there in the last hour or the one before go on; new ones are let in as long as
//! there is room. What is kept out is counted.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// After this long without a line a series counts as new again, at the latest after twice as long.
const REMEMBERED_NS: i64 = 3_600_000_000_000;

/// The bound of one collector.
#[derive(Debug)]
pub(crate) struct Guard {
    series_max: usize,
    current: HashSet<u64>,
    previous: HashSet<u64>,
    turned_at_ns: i64,
    refused: u64,
}

/// A number for a series, made of its parts in the order in which its collector gives them.
#[derive(Debug, Default)]
pub(crate) struct SeriesHash(DefaultHasher);

impl SeriesHash {
    pub(crate) fn add(&mut self, part: &[u8]) {
        part.hash(&mut self.0);
    }

    pub(crate) fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl Guard {
    pub(crate) fn new(series_max: usize) -> Self {
        Self {
            series_max,
            current: HashSet::new(),
            previous: HashSet::new(),
            turned_at_ns: 0,
            refused: 0,
        }
    }

    pub(crate) fn set_max(&mut self, series_max: usize) {
        self.series_max = series_max;
    }

    /// Whether a line of `series` at `time_ns` is let through.
    pub(crate) fn admits(&mut self, series: u64, time_ns: i64) -> bool {
        // A clock that was set turns once, and no more than that.
        if time_ns.abs_diff(self.turned_at_ns) >= REMEMBERED_NS.unsigned_abs() {
            self.previous = std::mem::take(&mut self.current);
            self.turned_at_ns = time_ns;
        }
        if self.current.contains(&series) {
            return true;
        }
        let is_known = self.previous.contains(&series);
        if !is_known && self.current.len() >= self.series_max {
            self.refused += 1;
            return false;
        }
        self.current.insert(series);
        true
    }

    /// Keeps a line out that no store takes.
    pub(crate) fn refuse(&mut self) {
        self.refused += 1;
    }

    /// Lines that were kept out since the last call.
    pub(crate) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_series_go_on_and_new_ones_wait_for_room() {
        let mut guard = Guard::new(2);
        assert!(guard.admits(1, 0) && guard.admits(2, 0));
        assert!(!guard.admits(3, 0));
        assert!(guard.admits(1, 1), "known");
        assert_eq!(guard.take_refused(), 1);
        // An hour later 1 goes on and 2 is gone: 3 has room.
        let later = REMEMBERED_NS;
        assert!(guard.admits(1, later) && guard.admits(3, later));
        assert!(!guard.admits(4, later));
        assert!(guard.admits(2, later), "it was there in the hour before");
        assert_eq!(guard.take_refused(), 1);
    }
}
