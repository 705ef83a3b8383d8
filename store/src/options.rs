//! How a store is run.

use std::time::Duration;

/// How a store is run. Nothing here changes what is on disk.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of rows that may wait in memory for their block files. Half of it fills before a
    /// flush starts; when all of it is used, writes wait and then are refused as overloaded. At
    /// most [`Options::MEMTABLE_BYTES_LIMIT`] is used.
    pub memtable_bytes_max: usize,
    /// How long a write waits for memory before it is refused.
    pub overload_wait: Duration,
    /// Rows are in a block file at the latest this long after they were written.
    pub flush_age_max: Duration,
    /// Bytes of WAL at which a flush starts, so that a restart has no more than this to read.
    pub wal_bytes_max: u64,
    /// How long a write waits for others to share its sync (InfluxDB's `wal-fsync-delay`).
    pub wal_fsync_delay: Duration,
    /// Free bytes below which writes are refused, so that what is held can still be flushed.
    pub free_bytes_min: u64,
}

impl Options {
    /// Default of `memtable_bytes_max`.
    pub const MEMTABLE_BYTES_MAX: usize = 256 << 20;
    /// The most that `memtable_bytes_max` can be: places of strings in a memtable are 32 bits wide.
    pub const MEMTABLE_BYTES_LIMIT: usize = 2 << 30;
    /// Default of `overload_wait`.
    pub const OVERLOAD_WAIT: Duration = Duration::from_secs(2);
    /// Default of `flush_age_max`, that of InfluxDB's `cache-snapshot-write-cold-duration`.
    pub const FLUSH_AGE_MAX: Duration = Duration::from_secs(600);
    /// Default of `wal_bytes_max`.
    pub const WAL_BYTES_MAX: u64 = 512 << 20;
    /// Default of `free_bytes_min`.
    pub const FREE_BYTES_MIN: u64 = 64 << 20;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memtable_bytes_max: Self::MEMTABLE_BYTES_MAX,
            overload_wait: Self::OVERLOAD_WAIT,
            flush_age_max: Self::FLUSH_AGE_MAX,
            wal_bytes_max: Self::WAL_BYTES_MAX,
            wal_fsync_delay: Duration::ZERO,
            free_bytes_min: Self::FREE_BYTES_MIN,
        }
    }
}
