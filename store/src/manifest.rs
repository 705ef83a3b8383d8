//! The manifest: the only truth about what exists.
//!
//! It is a log (`tandem_seglog`) whose records are each a list of [`Edit`]s that take effect
//! together or not at all. Databases, retention policies, shards, block files and index segments
//! exist because the manifest says so; a file on disk that it does not name is rubbish of a
//! crash and is removed at the next start. At each start the state is written anew as the first
//! record of a new segment and the older ones are cut, so the log stays as small as the state.
//!
//! ```text
//! record   := edit*
//! edit     := kind u8, fields (see `Edit::encode`), integers varint, names length + bytes
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tandem_model::{DatabaseId, ShardId};
use tandem_seglog::{Log, Options};
use tandem_vfs::Vfs;

use crate::error::StoreError;
use crate::policy::RetentionPolicy;
use crate::wire::{Malformed, Reader, put_bytes, put_int, put_uint};

/// Segments are small: the log is rewritten at each start.
const SEGMENT_BYTES_MAX: u64 = 4 << 20;
/// A state with 10,000 shards of 100 files each stays under it.
const RECORD_BYTES_MAX: u32 = 256 << 20;

/// One change of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// A new database, without policies.
    CreateDatabase { id: DatabaseId, name: String },
    /// The database and all that belongs to it.
    DropDatabase { id: DatabaseId },
    /// A new or changed policy; becomes the only default when it says so.
    PutPolicy {
        database: DatabaseId,
        policy: RetentionPolicy,
    },
    /// The policy and its shards.
    DropPolicy { database: DatabaseId, name: String },
    /// A new shard, without files.
    AddShard { id: ShardId, shard: ShardRecord },
    /// A block file of a shard, complete on disk under its final name.
    AddFile { shard: ShardId, file: FileRecord },
    /// A segment of a database's series index, complete on disk under its final name.
    AddIndexSegment {
        database: DatabaseId,
        segment: SegmentRecord,
    },
    /// Every WAL record up to this sequence, inclusive, is in block files.
    FlushedTo { sequence: u64 },
    /// Ids below these are used up.
    NextIds {
        database: u32,
        shard: u64,
        file: u64,
    },
}

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
}

impl FileRecord {
    pub(crate) fn name(&self) -> String {
        format!("{:016x}.blk", self.id)
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
    pub(crate) fn name(&self) -> String {
        format!("{:016x}.sidx", self.id)
    }
}

/// A database as the manifest knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DatabaseRecord {
    pub(crate) name: String,
    /// In the order of creation, as InfluxDB shows them.
    pub(crate) policies: Vec<RetentionPolicy>,
    pub(crate) segments: Vec<SegmentRecord>,
}

/// All that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) databases: BTreeMap<DatabaseId, DatabaseRecord>,
    pub(crate) shards: BTreeMap<ShardId, ShardRecord>,
    pub(crate) flushed_to: u64,
    pub(crate) next_database: u32,
    pub(crate) next_shard: u64,
    pub(crate) next_file: u64,
}

impl State {
    /// Applies one edit. An edit about what does not exist (any more) changes nothing: a flush
    /// may finish after its database was dropped.
    fn apply(&mut self, edit: &Edit) {
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
            }
            Edit::PutPolicy { database, policy } => {
                if let Some(record) = self.databases.get_mut(database) {
                    if policy.is_default {
                        for other in &mut record.policies {
                            other.is_default = false;
                        }
                    }
                    match record.policies.iter_mut().find(|p| p.name == policy.name) {
                        Some(place) => *place = policy.clone(),
                        None => record.policies.push(policy.clone()),
                    }
                }
            }
            Edit::DropPolicy { database, name } => {
                if let Some(record) = self.databases.get_mut(database) {
                    record.policies.retain(|p| p.name != *name);
                }
                self.shards
                    .retain(|_, shard| shard.database != *database || shard.policy != *name);
            }
            Edit::AddShard { id, shard } => {
                self.next_shard = self.next_shard.max(id.0.saturating_add(1));
                if self.databases.contains_key(&shard.database) {
                    self.shards.insert(*id, shard.clone());
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

    /// The edits that make this state out of nothing.
    fn snapshot(&self) -> Vec<Edit> {
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
            for policy in &record.policies {
                edits.push(Edit::PutPolicy {
                    database: id,
                    policy: policy.clone(),
                });
            }
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
        edits
    }
}

impl Edit {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::CreateDatabase { id, name } => {
                out.push(1);
                put_uint(out, id.0.into());
                put_bytes(out, name.as_bytes());
            }
            Self::DropDatabase { id } => {
                out.push(2);
                put_uint(out, id.0.into());
            }
            Self::PutPolicy { database, policy } => {
                out.push(3);
                put_uint(out, database.0.into());
                put_bytes(out, policy.name.as_bytes());
                put_int(out, policy.duration_ns);
                put_int(out, policy.shard_duration_ns);
                put_uint(out, policy.replicas.into());
                out.push(u8::from(policy.is_default));
            }
            Self::DropPolicy { database, name } => {
                out.push(9);
                put_uint(out, database.0.into());
                put_bytes(out, name.as_bytes());
            }
            Self::AddShard { id, shard } => {
                out.push(4);
                put_uint(out, id.0);
                put_uint(out, shard.database.0.into());
                put_bytes(out, shard.policy.as_bytes());
                put_int(out, shard.start_ns);
                put_int(out, shard.end_ns);
            }
            Self::AddFile { shard, file } => {
                out.push(5);
                put_uint(out, shard.0);
                put_uint(out, file.id);
                put_uint(out, file.len_bytes);
                put_uint(out, file.min_sequence);
                put_uint(out, file.max_sequence);
            }
            Self::AddIndexSegment { database, segment } => {
                out.push(6);
                put_uint(out, database.0.into());
                put_uint(out, segment.id);
                put_uint(out, segment.first_series.into());
                put_uint(out, segment.count.into());
            }
            Self::FlushedTo { sequence } => {
                out.push(7);
                put_uint(out, *sequence);
            }
            Self::NextIds {
                database,
                shard,
                file,
            } => {
                out.push(8);
                put_uint(out, (*database).into());
                put_uint(out, *shard);
                put_uint(out, *file);
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match r.byte()? {
            1 => Self::CreateDatabase {
                id: DatabaseId(r.uint32()?),
                name: r.text()?,
            },
            2 => Self::DropDatabase {
                id: DatabaseId(r.uint32()?),
            },
            3 => Self::PutPolicy {
                database: DatabaseId(r.uint32()?),
                policy: RetentionPolicy {
                    name: r.text()?,
                    duration_ns: r.int()?,
                    shard_duration_ns: r.int()?,
                    replicas: r.uint32()?,
                    is_default: r.byte()? != 0,
                },
            },
            4 => Self::AddShard {
                id: ShardId(r.uint()?),
                shard: ShardRecord {
                    database: DatabaseId(r.uint32()?),
                    policy: r.text()?,
                    start_ns: r.int()?,
                    end_ns: r.int()?,
                    files: Vec::new(),
                },
            },
            5 => Self::AddFile {
                shard: ShardId(r.uint()?),
                file: FileRecord {
                    id: r.uint()?,
                    len_bytes: r.uint()?,
                    min_sequence: r.uint()?,
                    max_sequence: r.uint()?,
                },
            },
            6 => Self::AddIndexSegment {
                database: DatabaseId(r.uint32()?),
                segment: SegmentRecord {
                    id: r.uint()?,
                    first_series: r.uint32()?,
                    count: r.uint32()?,
                },
            },
            7 => Self::FlushedTo {
                sequence: r.uint()?,
            },
            8 => Self::NextIds {
                database: r.uint32()?,
                shard: r.uint()?,
                file: r.uint()?,
            },
            9 => Self::DropPolicy {
                database: DatabaseId(r.uint32()?),
                name: r.text()?,
            },
            _ => return Err(Malformed),
        })
    }
}

fn encode_all(edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::new();
    for edit in edits {
        edit.encode(&mut out);
    }
    out
}

fn decode_all(record: &[u8]) -> Result<Vec<Edit>, Malformed> {
    let mut reader = Reader::new(record);
    let mut edits = Vec::new();
    while !reader.is_empty() {
        edits.push(Edit::decode(&mut reader)?);
    }
    Ok(edits)
}

/// The manifest, open.
#[derive(Debug)]
pub(crate) struct Manifest {
    log: Log,
    state: State,
    torn: bool,
}

impl Manifest {
    /// Opens or makes the manifest in `dir`, and compacts it.
    ///
    /// A damaged record is no reason to go on with half the truth: it is an error.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, dir: &Path) -> Result<Self, StoreError> {
        let mut state = State::default();
        let mut malformed = false;
        let options = Options {
            segment_bytes_max: SEGMENT_BYTES_MAX,
            record_bytes_max: RECORD_BYTES_MAX,
            ..Options::default()
        };
        let (log, recovery) = Log::open(vfs, dir, options, &mut |_, record| {
            match decode_all(record) {
                Ok(edits) => edits.iter().for_each(|edit| state.apply(edit)),
                Err(Malformed) => malformed = true,
            }
            Ok(())
        })
        .map_err(StoreError::log("open manifest"))?;
        if malformed || !recovery.corruptions.is_empty() {
            return Err(StoreError::Corrupt {
                file: recovery
                    .corruptions
                    .first()
                    .map_or_else(|| dir.into(), |c| c.file.clone()),
                offset: recovery.corruptions.first().map_or(0, |c| c.offset),
                what: "the manifest has a damaged record; restore it from a backup",
            });
        }
        let torn = recovery.torn_tail.is_some();
        let mut manifest = Self { log, state, torn };
        manifest.compact()?;
        Ok(manifest)
    }

    /// Writes the state as one record and cuts all before it.
    fn compact(&mut self) -> Result<(), StoreError> {
        self.log
            .rotate()
            .map_err(StoreError::log("rotate manifest"))?;
        let record = encode_all(&self.state.snapshot());
        let ticket = self
            .log
            .append(&[&record])
            .map_err(StoreError::log("append to manifest"))?;
        self.log
            .commit(&ticket)
            .map_err(StoreError::log("sync manifest"))?;
        self.log
            .cut_below(ticket.sequence())
            .map_err(StoreError::log("cut manifest"))
    }

    /// True when the last record was torn when this was opened: what it named may be on disk.
    pub(crate) const fn was_torn(&self) -> bool {
        self.torn
    }

    /// The log itself, to ask whether it still takes records.
    pub(crate) fn log(&self) -> Log {
        self.log.clone()
    }

    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// Makes `edits` true, all or none, durably when `Ok`. On `Err` the edits may be found to
    /// have happened after a restart.
    pub(crate) fn commit(&mut self, edits: &[Edit]) -> Result<(), StoreError> {
        let record = encode_all(edits);
        let ticket = self
            .log
            .append(&[&record])
            .map_err(StoreError::log("append to manifest"))?;
        self.log
            .commit(&ticket)
            .map_err(StoreError::log("sync manifest"))?;
        for edit in edits {
            self.state.apply(edit);
        }
        Ok(())
    }

    /// A file id that was never used. It is used up for good once an edit names it.
    pub(crate) fn reserve_file_id(&mut self) -> u64 {
        let id = self.state.next_file;
        self.state.next_file += 1;
        id
    }

    pub(crate) fn next_database_id(&self) -> DatabaseId {
        DatabaseId(self.state.next_database)
    }

    pub(crate) fn next_shard_id(&self) -> ShardId {
        ShardId(self.state.next_shard)
    }
}

#[cfg(test)]
mod tests {
    use tandem_testkit::SimFs;

    use super::*;

    fn sample() -> Vec<Edit> {
        let id = DatabaseId(0);
        vec![
            Edit::CreateDatabase {
                id,
                name: "telegraf".into(),
            },
            Edit::PutPolicy {
                database: id,
                policy: RetentionPolicy {
                    name: "autogen".into(),
                    duration_ns: 0,
                    shard_duration_ns: 7,
                    replicas: 1,
                    is_default: true,
                },
            },
            Edit::AddShard {
                id: ShardId(4),
                shard: ShardRecord {
                    database: id,
                    policy: "autogen".into(),
                    start_ns: -5,
                    end_ns: 9,
                    files: Vec::new(),
                },
            },
            Edit::AddFile {
                shard: ShardId(4),
                file: FileRecord {
                    id: 8,
                    len_bytes: 100,
                    min_sequence: 1,
                    max_sequence: 3,
                },
            },
            Edit::AddIndexSegment {
                database: id,
                segment: SegmentRecord {
                    id: 9,
                    first_series: 0,
                    count: 2,
                },
            },
            Edit::FlushedTo { sequence: 3 },
        ]
    }

    #[test]
    fn the_state_is_the_same_after_a_reopen_and_its_compaction() {
        let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
        let dir = Path::new("/manifest");
        let mut manifest = Manifest::open(Arc::clone(&fs), dir).unwrap();
        manifest.commit(&sample()).unwrap();
        let before = manifest.state().clone();
        assert_eq!(before.next_file, 10);
        drop(manifest);
        for _ in 0..3 {
            let again = Manifest::open(Arc::clone(&fs), dir).unwrap();
            assert_eq!(again.state(), &before);
        }
    }

    #[test]
    fn dropping_a_database_takes_its_shards_and_its_id_is_not_used_again() {
        let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
        let mut manifest = Manifest::open(Arc::clone(&fs), Path::new("/m")).unwrap();
        manifest.commit(&sample()).unwrap();
        manifest
            .commit(&[Edit::DropDatabase { id: DatabaseId(0) }])
            .unwrap();
        // A flush that was under way when the database went.
        manifest
            .commit(&[Edit::AddFile {
                shard: ShardId(4),
                file: FileRecord {
                    id: 11,
                    len_bytes: 1,
                    min_sequence: 4,
                    max_sequence: 4,
                },
            }])
            .unwrap();
        drop(manifest);
        let again = Manifest::open(fs, Path::new("/m")).unwrap();
        assert!(again.state().shards.is_empty() && again.state().databases.is_empty());
        assert_eq!(again.next_database_id(), DatabaseId(1));
        assert_eq!(again.state().next_file, 12);
    }
}
