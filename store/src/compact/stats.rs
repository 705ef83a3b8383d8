//! What was written to block files, and why.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// What flushes and compactions did since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactionStats {
    /// Bytes of block files that flushes wrote.
    pub flush_bytes: u64,
    /// Bytes of block files that merges within hot shards wrote.
    pub level_bytes: u64,
    /// Bytes of block files that were written as small as they get.
    pub cold_bytes: u64,
    /// Bytes of the files that were merged.
    pub read_bytes: u64,
    /// Merges that took effect.
    pub merges: u64,
    /// Merges that were given up because of an error.
    pub failures: u64,
    /// Merges that were not begun because the disk had no room for them.
    pub no_space: u64,
    /// Files that were replaced and that a reader still has.
    pub removals_pending: u64,
    /// Files that cannot be read as a whole, and therefore stay as they are.
    pub damaged: Vec<PathBuf>,
}

impl CompactionStats {
    /// Bytes written to block files for each byte that flushes wrote; 1 while there was no merge.
    #[must_use]
    pub fn write_amplification(&self) -> f64 {
        let written = self.flush_bytes + self.level_bytes + self.cold_bytes;
        match self.flush_bytes {
            0 => 1.0,
            flushed => written as f64 / flushed as f64,
        }
    }
}

/// Counts as [`CompactionStats`], from any thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) flush_bytes: AtomicU64,
    pub(crate) level_bytes: AtomicU64,
    pub(crate) cold_bytes: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) merges: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) no_space: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> CompactionStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CompactionStats {
            flush_bytes: get(&self.flush_bytes),
            level_bytes: get(&self.level_bytes),
            cold_bytes: get(&self.cold_bytes),
            read_bytes: get(&self.read_bytes),
            merges: get(&self.merges),
            failures: get(&self.failures),
            no_space: get(&self.no_space),
            removals_pending: 0,
            damaged: Vec::new(),
        }
    }
}
