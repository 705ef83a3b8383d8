//! One database: its series index, its schemas, its policies and their shards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use roaring::RoaringBitmap;
use tandem_model::{DatabaseId, ShardId, TimeRange};

use crate::index::{Limits, Segments, SeriesTable};
use crate::policies::PolicyList;
use crate::policy::{RetentionPolicy, shard_bounds};
use crate::schema::{SchemaRoom, Schemas};
use crate::shard::Shard;

/// Which policies a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyChoice<'a> {
    /// The database's default policy.
    Default,
    /// The policy of this name.
    Named(&'a str),
    /// All of them.
    All,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) id: DatabaseId,
    pub(crate) name: String,
    /// Holds one directory for each shard, and `index`.
    pub(crate) dir: PathBuf,
    /// How many series and tag values it may have.
    pub(crate) limits: Limits,
    table: RwLock<SeriesTable>,
    /// Held by writes that use ids which they have looked up.
    ids: RwLock<()>,
    /// What of the table is on disk. Locked while that changes.
    segments: Mutex<Segments>,
    pub(crate) schemas: Schemas,
    policies: RwLock<Policies>,
    /// Bytes of the memtables of its shards, frozen ones included.
    pub(crate) memtable_bytes: AtomicUsize,
    /// Series below this one are durable and applied.
    applied_series: AtomicU32,
}

/// The policies of a database and the shards of each.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    pub(crate) list: PolicyList,
    /// By policy, then by first nanosecond. Shards of one policy never overlap.
    shards: BTreeMap<String, BTreeMap<i64, Arc<Shard>>>,
}

impl Policies {
    /// Takes out a policy; returns the shards that it had.
    pub(crate) fn remove(&mut self, name: &str) -> Vec<Arc<Shard>> {
        self.list.remove(name);
        self.shards
            .remove(name)
            .into_iter()
            .flat_map(BTreeMap::into_values)
            .collect()
    }

    /// Takes out the shards of these ids; returns those that were there.
    pub(crate) fn remove_shards(&mut self, ids: &[ShardId]) -> Vec<Arc<Shard>> {
        let mut removed = Vec::new();
        for shards in self.shards.values_mut() {
            shards.retain(|_, shard| {
                let stays = !ids.contains(&shard.id);
                if !stays {
                    removed.push(Arc::clone(shard));
                }
                stays
            });
        }
        removed
    }

    /// The shard of a policy that holds a time.
    pub(crate) fn shard_at(&self, policy: &str, time_ns: i64) -> Option<&Arc<Shard>> {
        let (_, shard) = self.shards.get(policy)?.range(..=time_ns).next_back()?;
        shard.range.contains(time_ns).then_some(shard)
    }

    /// The shard of a policy that ends last.
    pub(crate) fn newest_shard(&self, policy: &str) -> Option<&Arc<Shard>> {
        self.shards.get(policy)?.values().next_back()
    }

    /// The range that a new shard for `time_ns` takes: the policy's partition, less what its
    /// neighbours have, which were cut when the policy had another shard duration.
    pub(crate) fn range_for(&self, policy: &RetentionPolicy, time_ns: i64) -> TimeRange {
        let (mut min_ns, mut max_ns) = shard_bounds(time_ns, policy.shard_duration_ns);
        if let Some(shards) = self.shards.get(&policy.name) {
            if let Some((_, before)) = shards.range(..=time_ns).next_back() {
                min_ns = min_ns.max(before.range.max_ns.saturating_add(1));
            }
            if let Some((&after_ns, _)) = shards.range(time_ns..).next() {
                max_ns = max_ns.min(after_ns.saturating_sub(1));
            }
        }
        TimeRange::new(min_ns, max_ns)
    }

    pub(crate) fn add_shard(&mut self, policy: &str, shard: Arc<Shard>) {
        self.shards
            .entry(policy.into())
            .or_default()
            .insert(shard.range.min_ns, shard);
    }

    /// The shards of a policy that overlap `range`, by time.
    pub(crate) fn shards_in(
        &self,
        policy: &str,
        range: TimeRange,
    ) -> impl Iterator<Item = &Arc<Shard>> {
        self.shards
            .get(policy)
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(move |shard| shard.range.overlaps(&range))
    }

    /// Every shard of every policy.
    pub(crate) fn all_shards(&self) -> impl Iterator<Item = &Arc<Shard>> {
        self.shards.values().flat_map(BTreeMap::values)
    }
}

impl Database {
    pub(crate) fn new(
        id: DatabaseId,
        name: String,
        dir: PathBuf,
        limits: Limits,
        room: Arc<SchemaRoom>,
    ) -> Self {
        Self {
            id,
            limits,
            name,
            dir,
            table: RwLock::default(),
            ids: RwLock::default(),
            segments: Mutex::default(),
            schemas: Schemas::new(room),
            policies: RwLock::default(),
            memtable_bytes: AtomicUsize::new(0),
            applied_series: AtomicU32::new(0),
        }
    }

    pub(crate) fn table(&self) -> RwLockReadGuard<'_, SeriesTable> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn table_mut(&self) -> RwLockWriteGuard<'_, SeriesTable> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the series that are looked up from now on from being removed. To be held until the batch
    /// that has them is staged.
    pub(crate) fn using_ids(&self) -> RwLockReadGuard<'_, ()> {
        self.ids.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no write uses ids, and lets none begin.
    pub(crate) fn awaiting_ids(&self) -> RwLockWriteGuard<'_, ()> {
        self.ids.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every series that has rows in some shard.
    pub(crate) fn all_series(&self) -> RoaringBitmap {
        let mut series = RoaringBitmap::new();
        for shard in self.policies().all_shards() {
            series |= &shard.data().series;
        }
        series
    }

    /// True when a block file is not used because it is damaged or gone. Any series may have rows in it.
    pub(crate) fn has_lost_files(&self) -> bool {
        let policies = self.policies();
        policies
            .all_shards()
            .any(|shard| !shard.data().lost.is_empty())
    }

    pub(crate) fn segments(&self) -> MutexGuard<'_, Segments> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn policies(&self) -> RwLockReadGuard<'_, Policies> {
        self.policies.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn policies_mut(&self) -> RwLockWriteGuard<'_, Policies> {
        self.policies
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_dir(&self) -> PathBuf {
        self.dir.join("index")
    }

    /// Where the block files of a shard lie.
    pub(crate) fn shard_dir(&self, shard: ShardId) -> PathBuf {
        self.dir.join(shard.to_string())
    }

    /// Series below the returned one are durable and applied.
    pub(crate) fn applied_series(&self) -> u32 {
        self.applied_series.load(Ordering::Acquire)
    }

    pub(crate) fn raise_applied_series(&self, to: u32) {
        self.applied_series.fetch_max(to, Ordering::AcqRel);
    }

    /// Every series that has rows in one of `shards`.
    pub(crate) fn series_of(shards: &[Arc<Shard>]) -> RoaringBitmap {
        let mut series = RoaringBitmap::new();
        for shard in shards {
            series |= &shard.data().series;
        }
        series
    }
}

/// The directory of a database's files in a store's directory.
pub(crate) fn database_dir(store_dir: &Path, id: DatabaseId) -> PathBuf {
    store_dir.join("data").join(id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicySpec;

    #[test]
    fn shards_of_one_policy_never_overlap_when_its_shard_duration_changes() {
        const HOUR_NS: i64 = 3_600_000_000_000;
        let mut policies = Policies::default();
        let mut policy = PolicySpec::default().resolve().unwrap();
        policy.shard_duration_ns = HOUR_NS;
        let time_ns = 10 * HOUR_NS + 5;
        let first = policies.range_for(&policy, time_ns);
        assert_eq!(first, TimeRange::new(10 * HOUR_NS, 11 * HOUR_NS - 1));
        policies.add_shard(
            "autogen",
            Arc::new(Shard::new(ShardId(0), first, PathBuf::new())),
        );
        policy.shard_duration_ns = 24 * HOUR_NS;
        let before = policies.range_for(&policy, 2 * HOUR_NS);
        assert_eq!(before, TimeRange::new(0, 10 * HOUR_NS - 1));
        let after = policies.range_for(&policy, 12 * HOUR_NS);
        assert_eq!(after, TimeRange::new(11 * HOUR_NS, 24 * HOUR_NS - 1));
        assert!(policies.shard_at("autogen", time_ns).is_some());
        assert!(policies.shard_at("autogen", 11 * HOUR_NS).is_none());
        assert!(policies.shard_at("other", time_ns).is_none());
    }
}
