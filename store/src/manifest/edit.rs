//! The changes of the manifest's state, and their bytes.
//!
//! The bytes of each kind are in `docs/format.md`. A kind is never given a second meaning.

use std::sync::Arc;

use tandem_model::{DatabaseId, ShardId};

use super::state::{FileRecord, SegmentRecord, ShardRecord};
use crate::policy::RetentionPolicy;
use crate::tombstone::Tombstone;
use crate::wire::{Malformed, Reader, put_bytes, put_int, put_uint};

/// One change of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// A new database, without policies.
    CreateDatabase { id: DatabaseId, name: String },
    /// The database and all that belongs to it.
    DropDatabase { id: DatabaseId },
    /// A new or changed policy; becomes the database's default one when it says so, or has the name of
    /// that.
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
    /// Some block files of a shard take the place of others: a merge. It changes nothing unless the
    /// shard has all of `removed`.
    ReplaceFiles {
        shard: ShardId,
        removed: Vec<u64>,
        added: Vec<FileRecord>,
    },
    /// A deletion in some shards of a database. Shards that do not exist are left out.
    AddTombstone {
        database: DatabaseId,
        shards: Vec<ShardId>,
        tombstone: Arc<Tombstone>,
    },
    /// No source of the shard needs these tombstones any more.
    DropTombstones { shard: ShardId, ids: Vec<u64> },
    /// The shard and its files.
    DropShard { id: ShardId },
    /// Some index segments take the place of others. It changes nothing unless the database has
    /// all of `removed`.
    ReplaceSegments {
        database: DatabaseId,
        removed: Vec<u64>,
        added: Vec<SegmentRecord>,
    },
    /// The name of the database's default policy, whether or not there is one of that name.
    DefaultPolicy { database: DatabaseId, name: String },
    /// Ids below these are used up.
    NextIds {
        database: u32,
        shard: u64,
        file: u64,
    },
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
                put_file(out, file);
            }
            Self::AddIndexSegment { database, segment } => {
                out.push(6);
                put_uint(out, database.0.into());
                put_segment(out, segment);
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
            Self::ReplaceFiles {
                shard,
                removed,
                added,
            } => {
                out.push(10);
                put_uint(out, shard.0);
                put_list(out, removed, |out, id| put_uint(out, *id));
                put_list(out, added, put_file);
            }
            Self::AddTombstone {
                database,
                shards,
                tombstone,
            } => {
                out.push(11);
                put_uint(out, database.0.into());
                put_list(out, shards, |out, id| put_uint(out, id.0));
                tombstone.encode(out);
            }
            Self::DropTombstones { shard, ids } => {
                out.push(12);
                put_uint(out, shard.0);
                put_list(out, ids, |out, id| put_uint(out, *id));
            }
            Self::DropShard { id } => {
                out.push(13);
                put_uint(out, id.0);
            }
            Self::ReplaceSegments {
                database,
                removed,
                added,
            } => {
                out.push(14);
                put_uint(out, database.0.into());
                put_list(out, removed, |out, id| put_uint(out, *id));
                put_list(out, added, put_segment);
            }
            Self::DefaultPolicy { database, name } => {
                out.push(15);
                put_uint(out, database.0.into());
                put_bytes(out, name.as_bytes());
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
                file: take_file(r)?,
            },
            6 => Self::AddIndexSegment {
                database: DatabaseId(r.uint32()?),
                segment: take_segment(r)?,
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
            10 => Self::ReplaceFiles {
                shard: ShardId(r.uint()?),
                removed: take_list(r, |r| r.uint())?,
                added: take_list(r, take_file)?,
            },
            11 => Self::AddTombstone {
                database: DatabaseId(r.uint32()?),
                shards: take_list(r, |r| r.uint().map(ShardId))?,
                tombstone: Arc::new(Tombstone::decode(r)?),
            },
            12 => Self::DropTombstones {
                shard: ShardId(r.uint()?),
                ids: take_list(r, |r| r.uint())?,
            },
            13 => Self::DropShard {
                id: ShardId(r.uint()?),
            },
            14 => Self::ReplaceSegments {
                database: DatabaseId(r.uint32()?),
                removed: take_list(r, |r| r.uint())?,
                added: take_list(r, take_segment)?,
            },
            15 => Self::DefaultPolicy {
                database: DatabaseId(r.uint32()?),
                name: r.text()?,
            },
            _ => return Err(Malformed),
        })
    }
}

fn put_list<T>(out: &mut Vec<u8>, list: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_uint(out, list.len() as u64);
    for item in list {
        put(out, item);
    }
}

fn take_list<T>(
    r: &mut Reader<'_>,
    take: impl for<'a> Fn(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    (0..r.count()?).map(|_| take(r)).collect()
}

fn put_file(out: &mut Vec<u8>, file: &FileRecord) {
    put_uint(out, file.id);
    put_uint(out, file.len_bytes);
    put_uint(out, file.min_sequence);
    put_uint(out, file.max_sequence);
    put_uint(out, file.purged_below);
}

fn take_file(r: &mut Reader<'_>) -> Result<FileRecord, Malformed> {
    Ok(FileRecord {
        id: r.uint()?,
        len_bytes: r.uint()?,
        min_sequence: r.uint()?,
        max_sequence: r.uint()?,
        purged_below: r.uint()?,
    })
}

fn put_segment(out: &mut Vec<u8>, segment: &SegmentRecord) {
    put_uint(out, segment.id);
    put_uint(out, segment.first_series.into());
    put_uint(out, segment.count.into());
}

fn take_segment(r: &mut Reader<'_>) -> Result<SegmentRecord, Malformed> {
    Ok(SegmentRecord {
        id: r.uint()?,
        first_series: r.uint32()?,
        count: r.uint32()?,
    })
}

pub(super) fn encode_all(edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::new();
    for edit in edits {
        edit.encode(&mut out);
    }
    out
}

pub(super) fn decode_all(record: &[u8]) -> Result<Vec<Edit>, Malformed> {
    let mut reader = Reader::new(record);
    let mut edits = Vec::new();
    while !reader.is_empty() {
        edits.push(Edit::decode(&mut reader)?);
    }
    Ok(edits)
}
