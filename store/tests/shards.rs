//! Shards are listed, dropped one by one, and many of them cost little.

mod common;

use common::{Bed, points};
use tandem_model::{ShardId, TimeRange};
use tandem_vfs::Vfs;

const WEEK_NS: i64 = 7 * 24 * 3_600_000_000_000;

#[test]
fn a_shard_is_dropped_with_its_rows_and_files_and_no_other() {
    let mut bed = Bed::new();
    bed.write(&format!(
        "m v=1i 0\nm v=2i {WEEK_NS}\nm v=3i {}",
        2 * WEEK_NS
    ))
    .unwrap();
    bed.store.flush().unwrap();
    bed.write(&format!("m v=4i {}", WEEK_NS + 1)).unwrap();
    let shards = bed.store.shards();
    assert_eq!(shards.len(), 3);
    assert_eq!(shards[0].id, ShardId(1), "ids begin with 1, as InfluxDB's");
    let second = shards
        .iter()
        .find(|shard| shard.range.contains(WEEK_NS))
        .unwrap();
    assert_eq!((second.files, second.series), (1, 1));
    assert!(second.file_bytes > 0 && second.memtable_bytes > 0);
    assert_eq!(second.expires_ns, None);
    bed.store.drop_shard(second.id).unwrap();
    bed.store.drop_shard(second.id).unwrap();
    bed.store.drop_shard(ShardId(999)).unwrap();
    let left = ["m v=1i 0".to_owned(), format!("m v=3i {}", 2 * WEEK_NS)];
    assert_eq!(points(&bed.store, "m"), left);
    bed = bed.after_power_loss(3);
    assert_eq!(points(&bed.store, "m"), left, "after power loss");
    // Its time can be written again, into a new one.
    bed.write(&format!("m v=5i {WEEK_NS}")).unwrap();
    assert_eq!(points(&bed.store, "m").len(), 3);
    bed.reopen();
    assert_eq!(points(&bed.store, "m").len(), 3);
    assert!(bed.store.shards().iter().all(|shard| shard.id != second.id));
}

#[test]
fn a_reader_made_before_its_shard_is_dropped_still_answers() {
    let bed = Bed::new();
    bed.write("m v=1i 0").unwrap();
    bed.store.flush().unwrap();
    let policy = tandem_store::PolicyChoice::All;
    let view = bed.store.view("db", policy, TimeRange::ALL).unwrap();
    let id = view.series(b"m").iter().next().unwrap();
    let order = tandem_store::Order::Ascending;
    let mut reader = view.read(tandem_model::SeriesId(id), &[b"v"], TimeRange::ALL, order);
    bed.store.drop_shard(bed.store.shards()[0].id).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().times_ns, [0]);
}

/// Each new shard used to take a change of the manifest and three syncs of directories, and each of
/// their files two more.
#[test]
fn a_backfill_over_very_many_shards_takes_few_syncs() {
    const SHARDS: u64 = 300;
    let bed = Bed::new();
    let lines: Vec<String> = (0..SHARDS)
        .map(|i| format!("m,k={} v={i}i {}", i % 3, i as i64 * WEEK_NS))
        .collect();
    let (calls, syncs) = (bed.fs.calls(), bed.fs.data_syncs());
    bed.write(&lines.join("\n")).unwrap();
    assert!(bed.fs.data_syncs() - syncs <= 2, "manifest and WAL");
    let made = bed.fs.calls() - calls;
    assert!(
        made < SHARDS + 20,
        "{made}: a directory each, and little more"
    );
    let syncs = bed.fs.data_syncs();
    bed.store.flush().unwrap();
    let syncs = bed.fs.data_syncs() - syncs;
    assert!(syncs < SHARDS + 10, "{syncs}: one for each file");
    assert_eq!(points(&bed.store, "m").len(), SHARDS as usize);
    let after = bed.after_power_loss(1);
    assert_eq!(points(&after.store, "m").len(), SHARDS as usize);
}

/// A file whose rows are all deleted used to wait for a merge.
#[test]
fn files_whose_rows_are_all_deleted_go_without_a_rewrite() {
    let bed = Bed::new();
    bed.write("m,host=a v=1i 0\nm,host=b v=1i 1").unwrap();
    bed.store.flush().unwrap();
    bed.write("n,host=a v=1i 0").unwrap();
    bed.store.flush().unwrap();
    bed.store.drop_measurement("db", b"m").unwrap();
    let files = || {
        let info = &bed.store.shards()[0];
        (info.files, info.tombstones)
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while files() != (1, 0) {
        assert!(std::time::Instant::now() < until, "{:?}", files());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(points(&bed.store, "n").len(), 1);
    assert!(bed.fs.exists(common::DIR.as_ref()));
}
