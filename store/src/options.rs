//! How a store is run.
//!
//! The memory of a store has parts, and each has its own bound: rows on their way to files, the
//! cache of blocks, what queries hold. [`Options::within`] splits one figure among them. The
//! series index is no part that can be bounded, so it takes from what rows may use.

use std::sync::Arc;
use std::time::Duration;

use tandem_vfs::{Clock, SystemClock};

/// How a store is run. Nothing here changes what is on disk.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tells the time of day to what goes by it: retention, and which shards are cold. Writes bring
    /// their own time.
    pub clock: Arc<dyn Clock>,
    /// Whether threads of the store flush, compact and enforce retention by themselves. Without
    /// them that happens only in the calls that ask for it, and in a write that finds no memory:
    /// for tests that must repeat, and for tools.
    pub background: bool,

    /// Bytes of rows that may wait in memory for their block files, and of batches on their way
    /// there. Half of it fills before a flush starts; when all of it is used, writes wait and then
    /// are refused as overloaded. At most [`Options::MEMTABLE_BYTES_LIMIT`] is used.
    pub memtable_bytes_max: usize,
    /// Bytes of blocks that are kept in memory to be read again; 0 for none.
    pub block_cache_bytes_max: usize,
    /// Bytes that all queries together may hold.
    pub query_bytes_max: usize,
    /// Bytes of what is remembered of how lines look, so that the next one like them is read quickly.
    pub schema_bytes_max: usize,
    /// Bytes of the series index that are not taken from `memtable_bytes_max`. What the index needs
    /// beyond them makes room for rows smaller, down to an eighth of it.
    pub index_bytes_free: usize,
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

    /// Bytes of block files that compaction may read in a second; 0 for as many as it can.
    pub compaction_bytes_per_s: u64,
    /// A shard that got no write for this long is compacted as far as it goes (InfluxDB's
    /// `compact-full-write-cold-duration`).
    pub cold_after: Duration,
    /// How often shards that are past their retention are looked for (InfluxDB's
    /// `[retention] check-interval`).
    pub retention_check_interval: Duration,
    /// How long before the end of a policy's newest shard the next one is made (InfluxDB's
    /// `[shard-precreation] advance-period`); zero to make it when its first row comes.
    pub shard_advance: Duration,

    /// Series that a database may have; points of further ones are dropped. 0 for no limit.
    pub max_series_per_database: usize,
    /// Values that a tag key of a measurement may have; points with further ones are dropped.
    /// 0 for no limit.
    pub max_values_per_tag: usize,
    /// Fields that a measurement may have in one shard; points with further ones are dropped, as are those of a
    /// request whose lines have more between them than is remembered of how lines look. 0 for no limit.
    pub max_fields_per_measurement: usize,
    /// Whether `5u` is taken as an unsigned integer. InfluxDB 1.x as it is shipped refuses it.
    pub unsigned: bool,
}

impl Options {
    /// Default of `memtable_bytes_max`.
    pub const MEMTABLE_BYTES_MAX: usize = 128 << 20;
    /// The most that `memtable_bytes_max` can be: places of strings in a memtable are 32 bits wide.
    pub const MEMTABLE_BYTES_LIMIT: usize = 2 << 30;
    /// Default of `block_cache_bytes_max`.
    pub const BLOCK_CACHE_BYTES_MAX: usize = 64 << 20;
    /// Default of `query_bytes_max`.
    pub const QUERY_BYTES_MAX: usize = 128 << 20;
    /// Default of `schema_bytes_max`.
    pub const SCHEMA_BYTES_MAX: usize = 16 << 20;
    /// Default of `index_bytes_free`.
    pub const INDEX_BYTES_FREE: usize = 64 << 20;
    /// Default of `overload_wait`.
    pub const OVERLOAD_WAIT: Duration = Duration::from_secs(2);
    /// Default of `flush_age_max`, that of InfluxDB's `cache-snapshot-write-cold-duration`.
    pub const FLUSH_AGE_MAX: Duration = Duration::from_secs(600);
    /// Default of `wal_bytes_max`.
    pub const WAL_BYTES_MAX: u64 = 512 << 20;
    /// Default of `free_bytes_min`.
    pub const FREE_BYTES_MIN: u64 = 64 << 20;
    /// Default of `compaction_bytes_per_s`.
    pub const COMPACTION_BYTES_PER_S: u64 = 64 << 20;
    /// Default of `cold_after`, InfluxDB's.
    pub const COLD_AFTER: Duration = Duration::from_secs(4 * 3600);
    /// Default of `retention_check_interval`, InfluxDB's.
    pub const RETENTION_CHECK_INTERVAL: Duration = Duration::from_secs(30 * 60);
    /// Default of `shard_advance`, InfluxDB's.
    pub const SHARD_ADVANCE: Duration = Duration::from_secs(30 * 60);
    /// Default of `max_series_per_database`, InfluxDB's.
    pub const MAX_SERIES_PER_DATABASE: usize = 1_000_000;
    /// Default of `max_values_per_tag`, InfluxDB's.
    pub const MAX_VALUES_PER_TAG: usize = 100_000;
    /// Default of `max_fields_per_measurement`; InfluxDB 1.x has no such limit.
    pub const MAX_FIELDS_PER_MEASUREMENT: usize = 100_000;
    /// The least that [`Options::within`] splits; with less, no write of usual size would pass.
    pub const MEMORY_BYTES_MIN: usize = 32 << 20;

    /// The defaults, with their memory made out of `memory_bytes_max`: three eighths of it for rows, two for
    /// queries, and one each for cached blocks and the series index. The last one is for the
    /// bodies that a server has not handed over yet, but for a quarter of it, which is for schemas. Less than
    /// [`Options::MEMORY_BYTES_MIN`] is taken for that. Rows get no more than
    /// [`Options::MEMTABLE_BYTES_MAX`]: files that are larger than half of that are hardly better.
    #[must_use]
    pub fn within(memory_bytes_max: usize) -> Self {
        let whole = memory_bytes_max.max(Self::MEMORY_BYTES_MIN);
        Self {
            memtable_bytes_max: (whole / 8 * 3).min(Self::MEMTABLE_BYTES_MAX),
            block_cache_bytes_max: whole / 8,
            query_bytes_max: whole / 4,
            schema_bytes_max: whole / 32,
            index_bytes_free: whole / 8,
            ..Self::default()
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            background: true,
            memtable_bytes_max: Self::MEMTABLE_BYTES_MAX,
            block_cache_bytes_max: Self::BLOCK_CACHE_BYTES_MAX,
            query_bytes_max: Self::QUERY_BYTES_MAX,
            schema_bytes_max: Self::SCHEMA_BYTES_MAX,
            index_bytes_free: Self::INDEX_BYTES_FREE,
            overload_wait: Self::OVERLOAD_WAIT,
            flush_age_max: Self::FLUSH_AGE_MAX,
            wal_bytes_max: Self::WAL_BYTES_MAX,
            wal_fsync_delay: Duration::ZERO,
            free_bytes_min: Self::FREE_BYTES_MIN,
            compaction_bytes_per_s: Self::COMPACTION_BYTES_PER_S,
            cold_after: Self::COLD_AFTER,
            retention_check_interval: Self::RETENTION_CHECK_INTERVAL,
            shard_advance: Self::SHARD_ADVANCE,
            max_series_per_database: Self::MAX_SERIES_PER_DATABASE,
            max_values_per_tag: Self::MAX_VALUES_PER_TAG,
            max_fields_per_measurement: Self::MAX_FIELDS_PER_MEASUREMENT,
            unsigned: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_memory_are_not_more_than_the_whole() {
        for whole in [64 << 20, 100 << 20, 1 << 30, 64 << 30_usize] {
            let options = Options::within(whole);
            let parts = [
                options.memtable_bytes_max,
                options.block_cache_bytes_max,
                options.query_bytes_max,
                options.schema_bytes_max,
                options.index_bytes_free,
            ];
            assert!(
                parts.iter().sum::<usize>() <= whole / 8 * 7 + whole / 32,
                "{whole}: {parts:?}"
            );
        }
        let least = Options::within(0);
        assert_eq!(least.memtable_bytes_max, Options::MEMORY_BYTES_MIN / 8 * 3);
    }
}
