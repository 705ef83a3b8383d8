//! What a store holds and has done, in numbers: for metrics, and for whoever looks at one store.
//!
//! Counts begin at zero when the store is opened; sizes and numbers of things are those of the moment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tandem_seglog::{Log, LogStats};

use crate::budget::{MemoryStats, QueryMemory};
use crate::compact::CompactionStats;
use crate::store::Store;
use crate::view::View;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub struct StoreStats {
    /// How long the store has been open.
    pub uptime: Duration,
    /// Databases.
    pub databases: u64,
    /// Series of all databases.
    pub series: u64,
    /// Shards of all databases.
    pub shards: u64,
    /// Block files by how far they are compacted, lowest level first; levels without files are left out.
    pub levels: Vec<LevelStats>,
    /// Deletions whose rows are still in block files, counted once for each shard.
    pub tombstones: u64,
    /// Files that are damaged, or were when the store was opened.
    pub damaged: Vec<PathBuf>,
    /// Files and directories that the start kept although the manifest, having lost its end, does not name them.
    pub orphans: u64,
    /// Rows of the WAL that the start found no place for.
    pub lost_rows: u64,
    /// Rows of the WAL that the start left out because they were dropped.
    pub skipped_rows: u64,
    /// Reads of block files that found damage.
    pub damaged_reads: u64,
    /// Memory by part, and its bounds.
    pub memory: MemoryStats,
    /// Reads of blocks that were found in the cache, and those that were not.
    pub cache_hits: u64,
    /// See `cache_hits`.
    pub cache_misses: u64,
    /// The write-ahead log.
    pub wal: WalStats,
    /// The log of the manifest.
    pub manifest: WalStats,
    /// Flushes.
    pub flushes: FlushStats,
    /// Compactions.
    pub compaction: CompactionStats,
    /// Writes.
    pub writes: WriteStats,
    /// Free bytes of the disk; none where it does not tell.
    pub disk_free_bytes: Option<u64>,
    /// Why the store takes no writes, if it does not.
    pub refusal: Option<String>,
}

/// The block files of one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelStats {
    /// 0 for what flushes write.
    pub level: u8,
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalStats {
    /// Bytes of its segments that hold records.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Files that are kept to be written again.
    pub spares: u64,
    /// What it has done.
    pub log: LogStats,
}

impl WalStats {
    pub(crate) fn of(log: &Log) -> Self {
        Self {
            bytes: log.bytes_total(),
            segments: log.segments() as u64,
            spares: log.spares() as u64,
            log: log.stats(),
        }
    }
}

/// Flushes; their bytes are among those of [`CompactionStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushStats {
    /// How many took effect.
    pub count: u64,
    /// How many failed.
    pub failures: u64,
    /// How long they took, those that failed included.
    pub time: Duration,
}

/// Writes; requests and points that were refused are counted by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Requests that stored something.
    pub requests: u64,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// Points stored.
    pub points: u64,
    /// Values stored.
    pub values: u64,
    /// What was refused, by reason, in the order of [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Lines that cannot be parsed.
    Unparsable,
    /// Points whose field has another type in the shard.
    FieldType,
    /// Points older than the retention policy keeps them.
    Retention,
    /// Points of series, or with tag values, that are too many; also such as can never be stored.
    Limit,
    /// Requests for which there was no memory in time.
    Overloaded,
    /// Requests for which there was no space on the disk.
    Full,
    /// Requests while the store takes no writes.
    ReadOnly,
    /// Requests that failed otherwise.
    Error,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Unparsable,
        Self::FieldType,
        Self::Retention,
        Self::Limit,
        Self::Overloaded,
        Self::Full,
        Self::ReadOnly,
        Self::Error,
    ];

    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unparsable => "unparsable",
            Self::FieldType => "field_type",
            Self::Retention => "retention",
            Self::Limit => "limit",
            Self::Overloaded => "overloaded",
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Error => "error",
        }
    }

    /// True where requests are counted, not points.
    #[must_use]
    pub const fn is_of_requests(self) -> bool {
        matches!(
            self,
            Self::Overloaded | Self::Full | Self::ReadOnly | Self::Error
        )
    }
}

impl Store {
    /// An account for a query, which may hold no more than all queries together are allowed.
    #[must_use]
    pub fn query_memory(&self) -> QueryMemory {
        self.core.budget.query()
    }

    /// Files that are damaged, or were when the store was opened: what is in them does not answer.
    #[must_use]
    pub fn damaged(&self) -> Vec<PathBuf> {
        let mut damaged = self.report.quarantined.clone();
        damaged.extend(self.compactor.stats().damaged);
        damaged.extend(self.core.handles.damaged.list());
        damaged.sort_unstable();
        damaged.dedup();
        damaged
    }

    /// How many files that hold rows or series of what `view` sees are damaged or missing, so that queries over
    /// it answer without them.
    #[must_use]
    pub fn missing_files(&self, view: &View) -> usize {
        view.count_files(&self.report.quarantined)
    }

    /// What the store holds and has done.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let core = &self.core;
        core.weigh_index();
        let compaction = self.compactor.stats();
        let (cache_hits, cache_misses) = core.cache.hits_and_misses();
        let mut stats = StoreStats {
            damaged: self.damaged(),
            orphans: self.report.orphans.len() as u64,
            lost_rows: self.report.lost_rows,
            skipped_rows: self.report.skipped_rows,
            damaged_reads: core.handles.damaged.reads(),
            memory: MemoryStats {
                memtable_bytes: core.memtable_bytes() as u64,
                cache_bytes: core.cache.bytes() as u64,
                cache_bytes_max: core.options.block_cache_bytes_max as u64,
                ..core.budget.stats()
            },
            cache_hits,
            cache_misses,
            wal: WalStats::of(self.committer.wal()),
            manifest: WalStats::of(core.manifest_log()),
            compaction,
            disk_free_bytes: core.vfs.available_bytes(&core.dir).ok(),
            refusal: self.check().err().map(|error| error.to_string()),
            ..core.writes.snapshot()
        };
        let mut levels: BTreeMap<u8, LevelStats> = BTreeMap::new();
        for database in core.databases() {
            stats.databases += 1;
            stats.series += database.table().series_count() as u64;
            for shard in database.policies().all_shards() {
                stats.shards += 1;
                let data = shard.data();
                stats.tombstones += data.tombstones.len() as u64;
                for file in &data.files {
                    let level = file.meta().level;
                    let sum = levels.entry(level).or_insert(LevelStats {
                        level,
                        ..LevelStats::default()
                    });
                    sum.files += 1;
                    sum.bytes += file.record.len_bytes;
                }
            }
        }
        stats.levels = levels.into_values().collect();
        stats
    }
}

/// The counts of writes and flushes as they are made.
#[derive(Debug)]
pub(crate) struct Counters {
    opened: Instant,
    requests: AtomicU64,
    bytes: AtomicU64,
    points: AtomicU64,
    values: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    flushes: AtomicU64,
    flush_failures: AtomicU64,
    flush_ns: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            requests: AtomicU64::default(),
            bytes: AtomicU64::default(),
            points: AtomicU64::default(),
            values: AtomicU64::default(),
            refused: std::array::from_fn(|_| AtomicU64::default()),
            flushes: AtomicU64::default(),
            flush_failures: AtomicU64::default(),
            flush_ns: AtomicU64::default(),
        }
    }
}

impl Counters {
    /// Counts a request that stored something.
    pub(crate) fn stored(&self, points: u64, values: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.points.fetch_add(points, Ordering::Relaxed);
        self.values.fetch_add(values, Ordering::Relaxed);
    }

    /// Counts a body, whatever becomes of it.
    pub(crate) fn body(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts what is not stored.
    pub(crate) fn refused(&self, reason: Refusal, count: u64) {
        if let Some(counter) = self.refused.get(reason as usize) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Counts a flush.
    pub(crate) fn flushed(&self, took: Duration, is_done: bool) {
        let counter = if is_done {
            &self.flushes
        } else {
            &self.flush_failures
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.flush_ns.fetch_add(took_ns, Ordering::Relaxed);
    }

    /// The part of the statistics that is counted here.
    pub(crate) fn snapshot(&self) -> StoreStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            uptime: self.opened.elapsed(),
            flushes: FlushStats {
                count: get(&self.flushes),
                failures: get(&self.flush_failures),
                time: Duration::from_nanos(get(&self.flush_ns)),
            },
            writes: WriteStats {
                requests: get(&self.requests),
                bytes: get(&self.bytes),
                points: get(&self.points),
                values: get(&self.values),
                refused: std::array::from_fn(|at| self.refused.get(at).map_or(0, get)),
            },
            ..StoreStats::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_counted_by_its_reason() {
        let counters = Counters::default();
        for (at, reason) in Refusal::ALL.into_iter().enumerate() {
            counters.refused(reason, at as u64 + 1);
        }
        let refused = counters.snapshot().writes.refused;
        assert_eq!(refused, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn failed_flushes_take_time_too() {
        let counters = Counters::default();
        counters.flushed(Duration::from_millis(3), true);
        counters.flushed(Duration::from_millis(4), false);
        let flushes = counters.snapshot().flushes;
        assert_eq!((flushes.count, flushes.failures), (1, 1));
        assert_eq!(flushes.time, Duration::from_millis(7));
    }
}
