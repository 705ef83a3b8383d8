//! Edits survive their bytes, a reopen and its compaction.

use roaring::RoaringBitmap;
use tandem_model::TimeRange;
use tandem_testkit::SimFs;
use tandem_vfs::Vfs;

use super::edit::{decode_all, encode_all};
use super::*;
use crate::policy::RetentionPolicy;
use crate::tombstone::Tombstone;

fn tombstone(id: u64, sequence: u64) -> Arc<Tombstone> {
    Arc::new(Tombstone {
        id,
        sequence,
        series: RoaringBitmap::from_iter([0, 7, 100_000]),
        range: TimeRange::new(-5, i64::MAX),
    })
}

fn file(id: u64, min_sequence: u64, max_sequence: u64) -> FileRecord {
    FileRecord {
        id,
        len_bytes: 100,
        min_sequence,
        max_sequence,
        purged_below: 0,
    }
}

fn segment(id: u64, first_series: u32, count: u32) -> SegmentRecord {
    SegmentRecord {
        id,
        first_series,
        count,
    }
}

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
                purged_below: 0,
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
                purged_below: 0,
            },
        }])
        .unwrap();
    drop(manifest);
    let again = Manifest::open(fs, Path::new("/m")).unwrap();
    assert!(again.state().shards.is_empty() && again.state().databases.is_empty());
    assert_eq!(again.next_database_id(), DatabaseId(1));
    assert_eq!(again.state().next_file, 12);
}

/// Everything that can be changed in place, after [`sample`].
fn changes() -> Vec<Edit> {
    let (database, shard) = (DatabaseId(0), ShardId(4));
    vec![
        Edit::AddFile {
            shard,
            file: file(10, 4, 6),
        },
        Edit::AddTombstone {
            database,
            shards: vec![shard, ShardId(77)],
            tombstone: tombstone(11, 3),
        },
        Edit::AddTombstone {
            database,
            shards: vec![shard],
            tombstone: tombstone(12, 6),
        },
        Edit::ReplaceFiles {
            shard,
            removed: vec![8, 10],
            added: vec![file(13, 1, 6)],
        },
        Edit::ReplaceSegments {
            database,
            removed: vec![9],
            added: vec![segment(14, 0, 2)],
        },
        Edit::DropTombstones {
            shard,
            ids: vec![11],
        },
    ]
}

#[test]
fn every_edit_is_read_as_it_was_written_and_no_byte_can_be_missing() {
    let mut edits = sample();
    edits.extend(changes());
    edits.extend([
        Edit::NextIds {
            database: 1,
            shard: 5,
            file: 15,
        },
        Edit::DropShard { id: ShardId(4) },
        Edit::DropPolicy {
            database: DatabaseId(0),
            name: "autogen".into(),
        },
        Edit::DefaultPolicy {
            database: DatabaseId(0),
            name: "autogen".into(),
        },
        Edit::DropDatabase { id: DatabaseId(0) },
    ]);
    assert_eq!(decode_all(&encode_all(&edits)).unwrap(), edits);
    for edit in edits {
        let bytes = encode_all(std::slice::from_ref(&edit));
        for len in 1..bytes.len() {
            assert!(decode_all(&bytes[..len]).is_err(), "{edit:?} cut to {len}");
        }
    }
}

#[test]
fn merges_and_deletions_are_the_same_after_a_reopen() {
    let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
    let dir = Path::new("/manifest");
    let mut manifest = Manifest::open(Arc::clone(&fs), dir).unwrap();
    manifest.commit(&sample()).unwrap();
    manifest.commit(&changes()).unwrap();
    let before = manifest.state().clone();
    let shard = ShardId(4);
    assert_eq!(before.shards[&shard].files, [file(13, 1, 6)]);
    assert_eq!(before.tombstones_by_shard()[&shard], [tombstone(12, 6)]);
    assert_eq!(
        before.databases[&DatabaseId(0)].segments,
        [segment(14, 0, 2)]
    );
    assert_eq!(before.next_file, 15);
    drop(manifest);
    for _ in 0..2 {
        let again = Manifest::open(Arc::clone(&fs), dir).unwrap();
        assert_eq!(again.state(), &before);
    }
}

#[test]
fn a_replacement_of_what_is_not_there_changes_nothing() {
    let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
    let mut manifest = Manifest::open(fs, Path::new("/m")).unwrap();
    manifest.commit(&sample()).unwrap();
    let before = manifest.state().clone();
    let (database, shard) = (DatabaseId(0), ShardId(4));
    manifest
        .commit(&[
            Edit::ReplaceFiles {
                shard,
                removed: vec![8, 5],
                added: vec![file(6, 1, 3)],
            },
            Edit::ReplaceSegments {
                database,
                removed: vec![9, 5],
                added: vec![segment(6, 0, 2)],
            },
            Edit::AddTombstone {
                database,
                shards: vec![ShardId(5)],
                tombstone: tombstone(7, 3),
            },
            Edit::DropTombstones {
                shard,
                ids: vec![5],
            },
            Edit::DropShard { id: ShardId(5) },
        ])
        .unwrap();
    assert_eq!(manifest.state(), &before);
}

#[test]
fn a_shard_takes_its_tombstones_along() {
    let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
    let mut manifest = Manifest::open(fs, Path::new("/m")).unwrap();
    manifest.commit(&sample()).unwrap();
    manifest.commit(&changes()).unwrap();
    manifest
        .commit(&[Edit::DropShard { id: ShardId(4) }])
        .unwrap();
    assert!(manifest.state().shards.is_empty() && manifest.state().tombstones.is_empty());
}

/// Ids are not given out twice, but bytes may say anything.
#[test]
fn a_shard_under_the_id_of_another_has_no_tombstones_of_that() {
    let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
    let mut manifest = Manifest::open(fs, Path::new("/m")).unwrap();
    manifest.commit(&sample()).unwrap();
    manifest.commit(&changes()).unwrap();
    assert!(!manifest.state().tombstones.is_empty());
    let id = ShardId(4);
    let shard = manifest.state().shards[&id].clone();
    manifest.commit(&[Edit::AddShard { id, shard }]).unwrap();
    assert!(manifest.state().tombstones.is_empty());
}

/// The name went with the policy.
#[test]
fn the_name_of_a_default_policy_that_was_dropped_is_the_same_after_a_reopen() {
    let fs: Arc<dyn Vfs> = Arc::new(SimFs::new(1));
    let dir = Path::new("/manifest");
    let mut manifest = Manifest::open(Arc::clone(&fs), dir).unwrap();
    manifest.commit(&sample()).unwrap();
    let database = DatabaseId(0);
    let drop_policy = Edit::DropPolicy {
        database,
        name: "autogen".into(),
    };
    manifest.commit(&[drop_policy]).unwrap();
    let before = manifest.state().clone();
    assert_eq!(
        before.databases[&database].policies.default_name(),
        "autogen"
    );
    let mut rebuilt = State::default();
    for edit in before.snapshot() {
        rebuilt.apply(&edit);
    }
    assert_eq!(rebuilt, before);
    let bytes = encode_all(&before.databases[&database].policy_edits(database));
    assert_eq!(bytes, b"\x0f\x00\x07autogen");
    drop(manifest);
    for _ in 0..2 {
        let again = Manifest::open(Arc::clone(&fs), dir).unwrap();
        assert_eq!(again.state(), &before);
    }
}
