//! What happens to a shard while some of its files are being merged.

use tandem_vfs::Vfs;

use super::*;

/// Begins a merge of all files and writes the result; `meanwhile` runs before it takes effect.
fn merge_while(bed: &Bed, meanwhile: impl FnOnce(&Bed)) -> Outcome {
    let compactor = &bed.store.compactor;
    let shard = bed.shard();
    let inputs = shard.data().files.clone();
    let job = compactor.begin(&shard, inputs, 1, Effort::Hot).unwrap();
    let path = shard.dir.join(job.record.name());
    let temporary = path.with_extension("tmp");
    let len_bytes = compactor.write(&job, &temporary, Mode::Settle).unwrap();
    meanwhile(bed);
    compactor.finish(job, len_bytes, &temporary, &path).unwrap()
}

fn two_files() -> Bed {
    let bed = Bed::new();
    bed.write_file(&(rows("m,h=a", "v", 0..50) + &rows("m,h=b", "v", 0..50)));
    bed.write_file(&rows("m,h=a", "v", 50..100));
    bed
}

#[test]
fn a_deletion_applies_to_the_result() {
    let mut bed = two_files();
    let range = TimeRange::new(NOW_NS, NOW_NS + 60_000_000_000);
    merge_while(&bed, |bed| bed.delete("m,h=a", range));
    assert_eq!(bed.levels(), [1]);
    let left = bed.contents();
    assert_eq!(left.len(), 50 + 39);
    bed.reopen();
    assert_eq!(bed.contents(), left);
    bed.store.compact().unwrap();
    assert_eq!(bed.contents(), left);
    bed.reopen();
    assert_eq!(bed.contents(), left);
}

#[test]
fn rows_that_are_written_and_flushed_stay_newer_than_the_result() {
    let mut bed = two_files();
    merge_while(&bed, |bed| {
        bed.write_file("m,h=a v=77 1700000000000000000");
    });
    assert_eq!(bed.levels(), [1, 0]);
    let key = ("m,h=a".to_owned(), NOW_NS);
    assert_eq!(bed.contents()[&key]["v"], "Float(77.0)");
    bed.reopen();
    bed.store.compact().unwrap();
    assert_eq!(bed.contents()[&key]["v"], "Float(77.0)");
    assert_eq!(bed.contents().len(), 150);
}

#[test]
fn a_shard_or_database_that_is_dropped_stays_dropped() {
    let bed = two_files();
    let id = bed.shard().id;
    merge_while(&bed, |bed| bed.store.drop_shard(id).unwrap());
    assert!(bed.contents().is_empty());
    let mut bed = two_files();
    merge_while(&bed, |bed| {
        bed.store.drop_database("db").unwrap();
        bed.store.create_database("db", None).unwrap();
    });
    assert!(bed.contents().is_empty());
    bed.reopen();
    assert!(bed.contents().is_empty());
}

#[test]
fn two_merges_of_the_same_files_take_effect_once() {
    let bed = two_files();
    let before = bed.contents();
    merge_while(&bed, |bed| {
        bed.merge(0..2, 2);
    });
    assert_eq!(bed.levels(), [2]);
    assert!(bed.contents() == before);
}

#[test]
fn a_reader_keeps_the_files_that_it_began_with() {
    let bed = two_files();
    let shard = bed.shard();
    let files = shard.data().files.clone();
    bed.merge(0..2, 1);
    assert_eq!(bed.store.compaction_stats().removals_pending, 2);
    for file in &files {
        file.verify().unwrap();
    }
    drop(files);
    assert_eq!(bed.store.compaction_stats().removals_pending, 0);
}

#[test]
fn a_stopped_merge_leaves_nothing_behind() {
    let bed = two_files();
    let (before, used) = (bed.contents(), bed.fs.used_bytes());
    bed.store.compactor.stop();
    bed.store.compactor.settle().unwrap();
    assert_eq!(bed.levels(), [0, 0]);
    assert!(bed.contents() == before);
    assert_eq!(bed.fs.used_bytes(), used);
}

#[test]
fn a_view_keeps_the_files_of_what_is_dropped() {
    let bed = two_files();
    let view = bed.store.view("db", PolicyChoice::All, TimeRange::ALL);
    let dir = bed.shard().dir.clone();
    bed.store.drop_database("db").unwrap();
    bed.store.core.remove_garbage();
    assert!(bed.fs.exists(&dir));
    let view = view.unwrap();
    let mut reader = view.read(SeriesId(0), &[b"v"], TimeRange::ALL, Order::Ascending);
    assert_eq!(reader.next().unwrap().unwrap().len(), 100);
    drop((reader, view));
    bed.store.close().unwrap();
    assert!(!bed.fs.exists(&dir));
}
