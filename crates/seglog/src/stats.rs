//! What a log has done since it was opened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds, inclusive, of the buckets that syncs are counted in; the last bucket has none.
pub const SYNC_BOUNDS: [Duration; 12] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
];

/// What a log has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Groups of records that were written and synced.
    pub syncs: u64,
    /// How long those syncs took together, the writes before them not included.
    pub sync_time: Duration,
    /// How many of them fall in each bucket of [`SYNC_BOUNDS`]; the last has those above all bounds.
    pub sync_buckets: [u64; SYNC_BOUNDS.len() + 1],
    /// Records in those groups.
    pub records: u64,
    /// Bytes of those groups, frame headers included.
    pub bytes: u64,
    /// Segments that were begun in a file written before.
    pub recycled: u64,
}

/// The numbers as they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    sync_ns: AtomicU64,
    sync_buckets: [AtomicU64; SYNC_BOUNDS.len() + 1],
    records: AtomicU64,
    bytes: AtomicU64,
    recycled: AtomicU64,
}

impl Counters {
    /// Counts a group that is durable now.
    pub(crate) fn group(&self, records: u64, bytes: u64, sync_time: Duration) {
        let bucket = SYNC_BOUNDS.partition_point(|bound| *bound < sync_time);
        if let Some(bucket) = self.sync_buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let sync_ns = u64::try_from(sync_time.as_nanos()).unwrap_or(u64::MAX);
        self.sync_ns.fetch_add(sync_ns, Ordering::Relaxed);
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a segment begun in a spare file.
    pub(crate) fn recycled(&self) {
        self.recycled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> LogStats {
        let sync_buckets = std::array::from_fn(|at| {
            let bucket = self.sync_buckets.get(at);
            bucket.map_or(0, |bucket| bucket.load(Ordering::Relaxed))
        });
        LogStats {
            syncs: sync_buckets.iter().sum(),
            sync_time: Duration::from_nanos(self.sync_ns.load(Ordering::Relaxed)),
            sync_buckets,
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            recycled: self.recycled.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_is_counted_in_the_bucket_whose_bound_it_does_not_exceed() {
        let counters = Counters::default();
        counters.group(3, 500, Duration::from_micros(100));
        counters.group(1, 40, Duration::from_micros(101));
        counters.group(1, 40, Duration::from_secs(9));
        let stats = counters.read();
        assert_eq!((stats.syncs, stats.records, stats.bytes), (3, 5, 580));
        assert_eq!(stats.sync_buckets[..3], [1, 1, 0]);
        assert_eq!(stats.sync_buckets.last(), Some(&1));
        assert_eq!(stats.sync_time, Duration::from_micros(9_000_201));
    }
}
