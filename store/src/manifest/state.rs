//! All that exists, as the sum of the manifest's edits.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use tandem_model::{DatabaseId, ShardId};

use super::edit::Edit;
use crate::policies::PolicyList;
use crate::tombstone::{Age, Tombstone};

/// A shard as the manifest knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardRecord {
    pub(crate) database: DatabaseId,
    pub(crate) policy: String,
    /// First nanosecond inside.
    pub(crate) start_ns: i64,
    /// Last nanosecond inside.
    pub(crate) end_ns: i64,
    pub(crate) files: Vec<FileRecord>,
}

/// A block file as the manifest knows it. Its name is [`FileRecord::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileRecord {
    pub(crate) id: u64,
    pub(crate) len_bytes: u64,
    /// Lowest WAL sequence that may be inside.
    pub(crate) min_sequence: u64,
    /// Highest WAL sequence that may be inside.
    pub(crate) max_sequence: u64,
    /// What tombstones of lower ids hid was left out when it was written.
    pub(crate) purged_below: u64,
}

impl FileRecord {
    pub(crate) fn name(&self) -> String {
        format!("{:016x}.blk", self.id)
    }

    /// Which tombstones concern it.
    pub(crate) const fn age(&self) -> Age {
        Age {
            max_sequence: self.max_sequence,
            purged_below: self.purged_below,
        }
    }
}

/// A segment of a series index: the series `first_series .. first_series + count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRecord {
    pub(crate) id: u64,
    pub(crate) first_series: u32,
    pub(crate) count: u32,
}

impl SegmentRecord {
    /// The ids that it is about.
    pub(crate) fn ids(&self) -> Range<u32> {
        self.first_series..self.first_series.saturating_add(self.count)
    }

    pub(crate) fn name(&self) -> String {
        format!("{:016x}.sidx", self.id)
    }
}

/// A database as the manifest knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DatabaseRecord {
    pub(crate) name: String,
    pub(crate) policies: PolicyList,
    pub(crate) segments: Vec<SegmentRecord>,
}

impl DatabaseRecord {
    /// The edits that give a database of this id, which has none yet, the same policies.
    pub(crate) fn policy_edits(&self, id: DatabaseId) -> Vec<Edit> {
        let policies = self.policies.iter().map(|policy| Edit::PutPolicy {
            database: id,
            policy: policy.clone(),
        });
        let mut edits: Vec<Edit> = policies.collect();
        if !self.policies.iter().any(|policy| policy.is_default) {
            edits.push(Edit::DefaultPolicy {
                database: id,
                name: self.policies.default_name().into(),
            });
        }
        edits
    }
}

/// A tombstone and the shards where it still hides something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TombstoneRecord {
    pub(crate) database: DatabaseId,
    pub(crate) shards: BTreeSet<ShardId>,
    pub(crate) tombstone: Arc<Tombstone>,
}

/// All that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) databases: BTreeMap<DatabaseId, DatabaseRecord>,
    pub(crate) shards: BTreeMap<ShardId, ShardRecord>,
    /// By their ids, which ascend with time.
    pub(crate) tombstones: BTreeMap<u64, TombstoneRecord>,
    pub(crate) flushed_to: u64,
    pub(crate) next_database: u32,
    pub(crate) next_shard: u64,
    pub(crate) next_file: u64,
}

impl State {
    /// Applies one edit. An edit about what does not exist (any more) changes nothing: a flush
    /// may finish after its database was dropped.
    pub(super) fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::CreateDatabase { id, name } => {
                self.databases.insert(
                    *id,
                    DatabaseRecord {
                        name: name.clone(),
                        ..DatabaseRecord::default()
                    },
                );
                self.next_database = self.next_database.max(id.0.saturating_add(1));
            }
            Edit::DropDatabase { id } => {
                self.databases.remove(id);
                self.shards.retain(|_, shard| shard.database != *id);
                self.tombstones.retain(|_, t| t.database != *id);
            }
            Edit::PutPolicy { database, policy } => {
                if let Some(record) = self.databases.get_mut(database) {
                    record.policies.put(policy.clone());
                }
            }
            Edit::DefaultPolicy { database, name } => {
                if let Some(record) = self.databases.get_mut(database) {
                    record.policies.set_default(name);
                }
            }
            Edit::DropPolicy { database, name } => {
                if let Some(record) = self.databases.get_mut(database) {
                    record.policies.remove(name);
                }
                self.shards
                    .retain(|_, shard| shard.database != *database || shard.policy != *name);
                self.forget_tombstones();
            }
            Edit::AddShard { id, shard } => {
                self.next_shard = self.next_shard.max(id.0.saturating_add(1));
                // Ids are not given out twice; should a log say so, nothing of the old shard hides rows of the new one.
                if self.databases.contains_key(&shard.database)
                    && self.shards.insert(*id, shard.clone()).is_some()
                {
                    for record in self.tombstones.values_mut() {
                        record.shards.remove(id);
                    }
                    self.forget_tombstones();
                }
            }
            Edit::AddFile { shard, file } => {
                self.next_file = self.next_file.max(file.id.saturating_add(1));
                if let Some(record) = self.shards.get_mut(shard) {
                    record.files.push(*file);
                    record.files.sort_by_key(|f| (f.max_sequence, f.id));
                }
            }
            Edit::AddIndexSegment { database, segment } => {
                self.next_file = self.next_file.max(segment.id.saturating_add(1));
                if let Some(record) = self.databases.get_mut(database) {
                    record.segments.push(*segment);
                }
            }
            Edit::ReplaceFiles {
                shard,
                removed,
                added,
            } => {
                for file in added {
                    self.next_file = self.next_file.max(file.id.saturating_add(1));
                }
                if let Some(record) = self.shards.get_mut(shard)
                    && removed
                        .iter()
                        .all(|id| record.files.iter().any(|f| f.id == *id))
                {
                    record.files.retain(|f| !removed.contains(&f.id));
                    record.files.extend_from_slice(added);
                    record.files.sort_by_key(|f| (f.max_sequence, f.id));
                }
            }
            Edit::AddTombstone {
                database,
                shards,
                tombstone,
            } => {
                self.next_file = self.next_file.max(tombstone.id.saturating_add(1));
                let shards: BTreeSet<ShardId> = shards
                    .iter()
                    .copied()
                    .filter(|id| self.shards.get(id).is_some_and(|s| s.database == *database))
                    .collect();
                if !shards.is_empty() {
                    let record = TombstoneRecord {
                        database: *database,
                        shards,
                        tombstone: Arc::clone(tombstone),
                    };
                    self.tombstones.insert(tombstone.id, record);
                }
            }
            Edit::DropTombstones { shard, ids } => {
                for id in ids {
                    if let Some(record) = self.tombstones.get_mut(id) {
                        record.shards.remove(shard);
                        if record.shards.is_empty() {
                            self.tombstones.remove(id);
                        }
                    }
                }
            }
            Edit::DropShard { id } => {
                self.shards.remove(id);
                self.forget_tombstones();
            }
            Edit::ReplaceSegments {
                database,
                removed,
                added,
            } => {
                for segment in added {
                    self.next_file = self.next_file.max(segment.id.saturating_add(1));
                }
                if let Some(record) = self.databases.get_mut(database)
                    && removed
                        .iter()
                        .all(|id| record.segments.iter().any(|s| s.id == *id))
                {
                    record.segments.retain(|s| !removed.contains(&s.id));
                    record.segments.extend_from_slice(added);
                    record.segments.sort_by_key(|s| (s.first_series, s.id));
                }
            }
            Edit::FlushedTo { sequence } => self.flushed_to = self.flushed_to.max(*sequence),
            Edit::NextIds {
                database,
                shard,
                file,
            } => {
                self.next_database = self.next_database.max(*database);
                self.next_shard = self.next_shard.max(*shard);
                self.next_file = self.next_file.max(*file);
            }
        }
    }

    /// Forgets tombstones of shards that are gone.
    fn forget_tombstones(&mut self) {
        let shards = &self.shards;
        self.tombstones.retain(|_, record| {
            record.shards.retain(|id| shards.contains_key(id));
            !record.shards.is_empty()
        });
    }

    /// The tombstones of each shard that has some, oldest first.
    pub(crate) fn tombstones_by_shard(&self) -> BTreeMap<ShardId, Vec<Arc<Tombstone>>> {
        let mut by_shard: BTreeMap<ShardId, Vec<Arc<Tombstone>>> = BTreeMap::new();
        for record in self.tombstones.values() {
            for &shard in &record.shards {
                let list = by_shard.entry(shard).or_default();
                list.push(Arc::clone(&record.tombstone));
            }
        }
        by_shard
    }

    /// The edits that make this state out of nothing.
    pub(super) fn snapshot(&self) -> Vec<Edit> {
        let mut edits = vec![
            Edit::FlushedTo {
                sequence: self.flushed_to,
            },
            Edit::NextIds {
                database: self.next_database,
                shard: self.next_shard,
                file: self.next_file,
            },
        ];
        for (&id, record) in &self.databases {
            edits.push(Edit::CreateDatabase {
                id,
                name: record.name.clone(),
            });
            edits.extend(record.policy_edits(id));
            for &segment in &record.segments {
                edits.push(Edit::AddIndexSegment {
                    database: id,
                    segment,
                });
            }
        }
        for (&id, shard) in &self.shards {
            edits.push(Edit::AddShard {
                id,
                shard: ShardRecord {
                    files: Vec::new(),
                    ..shard.clone()
                },
            });
            for &file in &shard.files {
                edits.push(Edit::AddFile { shard: id, file });
            }
        }
        for record in self.tombstones.values() {
            edits.push(Edit::AddTombstone {
                database: record.database,
                shards: record.shards.iter().copied().collect(),
                tombstone: Arc::clone(&record.tombstone),
            });
        }
        edits
    }
}
