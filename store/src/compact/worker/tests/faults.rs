//! Crashes, failing calls, full disks and damaged files in the middle of a compaction.

use std::io::ErrorKind;

use tandem_vfs::Vfs;

use super::*;

/// Four files of two series that overlap, and a deletion.
fn prepared() -> Bed {
    let bed = Bed::new();
    for file in 0..4 {
        let a = rows("m,h=a", "v", file * 5..file * 5 + 30);
        bed.write_file(&(a + &rows("n,h=b", "w", file..file + 3)));
    }
    bed.delete("m,h=a", TimeRange::new(NOW_NS, NOW_NS + 3_000_000_000));
    bed
}

/// How many calls of the file system a compaction takes.
fn calls() -> u64 {
    let bed = prepared();
    let before = bed.fs.calls();
    bed.store.compact().unwrap();
    bed.fs.calls() - before
}

#[test]
fn a_crash_at_any_call_leaves_the_rows_as_they_are() {
    for call in 0..calls() {
        let bed = prepared();
        let before = bed.contents();
        bed.fs.power_off_after(call);
        let _ = bed.store.compact();
        for seed in 0..2 {
            let fs = bed.fs.crash(seed);
            let store = open(&fs, &bed.clock);
            let clock = Arc::clone(&bed.clock);
            let mut after = Bed { fs, clock, store };
            let quarantined = after.store.report().quarantined.len();
            assert_eq!(quarantined, 0, "call {call}");
            assert!(after.contents() == before, "call {call}");
            after.store.compact().unwrap();
            assert_eq!(after.levels(), [2], "call {call}");
            assert!(after.contents() == before, "call {call}");
            after.reopen();
            assert!(after.contents() == before, "call {call}");
        }
    }
}

#[test]
fn a_call_that_fails_loses_nothing() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        for call in 0..calls() {
            let mut bed = prepared();
            let before = bed.contents();
            bed.fs.fail_after(call, kind);
            let result = bed.store.compact();
            assert!(
                bed.contents() == before,
                "{kind} at call {call}: {result:?}"
            );
            // A failed sync of a log is for good until the next start.
            bed.reopen();
            assert!(bed.contents() == before, "{kind} at call {call}");
            bed.store.compact().unwrap();
            // One that could not be read at first may have been left out of the merge.
            let levels = bed.levels();
            assert!(
                levels.len() <= 3 && levels.iter().all(|level| *level == 2),
                "{levels:?}"
            );
            assert!(bed.contents() == before, "{kind} at call {call}");
        }
    }
}

#[test]
fn a_full_disk_stops_compaction_before_it_begins() {
    let bed = prepared();
    let before = bed.contents();
    let merges = bed.store.compaction_stats().merges;
    bed.fs.set_capacity(Some(bed.fs.used_bytes() + 100));
    let error = bed.store.compact().unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error}");
    let stats = bed.store.compaction_stats();
    assert_eq!((stats.merges, stats.failures), (merges, 0));
    assert!(stats.no_space > 0);
    assert!(bed.contents() == before);
    bed.fs.set_capacity(None);
    bed.store.compact().unwrap();
    assert_eq!(bed.levels(), [2]);
    assert!(bed.contents() == before);
}

#[test]
fn a_full_disk_is_not_said_each_second() {
    let (mut watch, every) = (Watch::default(), SAY_FULL_EVERY_NS);
    let said = [5, 6, every, every + 5, every + 6, 3].map(|now_ns| watch.may_say_full(now_ns));
    assert_eq!(said, [true, false, false, true, false, true]);
}

/// What is hidden as a whole goes also when there is no room for anything.
#[test]
fn a_full_disk_gives_up_deleted_files() {
    let bed = Bed::new();
    bed.write_file(&rows("m,h=a", "v", 0..3000));
    bed.store.compact().unwrap();
    bed.delete("m,h=a", TimeRange::ALL);
    let used = bed.fs.used_bytes();
    bed.fs.set_capacity(Some(used + 200));
    bed.store.compact().unwrap();
    assert!(bed.fs.used_bytes() < used - 100);
}

/// A damaged page loses what it held and nothing else, and compaction goes around its file.
#[test]
fn a_damaged_input_is_named_and_left_alone() {
    let mut bed = Bed::new();
    for file in 0..7 {
        bed.write_file(&rows("m,h=a", "v", file * 100..file * 100 + 100));
    }
    let before = bed.contents();
    let damaged = bed.shard().data().files[3].path().to_owned();
    let file = bed.fs.open(&damaged).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 40).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 40).unwrap();
    file.sync_data().unwrap();
    bed.reopen();
    bed.store.compact().unwrap();
    assert_eq!(bed.levels(), [2, 0, 2]);
    let stats = bed.store.compaction_stats();
    assert_eq!((stats.damaged, stats.failures), (vec![damaged.clone()], 1));
    assert!(bed.fs.exists(&damaged));
    bed.store.compact().unwrap();
    assert_eq!(bed.store.compaction_stats().failures, 1, "tried once");
    let view = bed.store.view("db", PolicyChoice::All, TimeRange::ALL);
    let view = view.unwrap();
    let second = 1_000_000_000;
    for (from, to, good) in [(0, 299, true), (300, 399, false), (400, 699, true)] {
        let range = TimeRange::new(NOW_NS + from * second, NOW_NS + to * second);
        let mut reader = view.read(SeriesId(0), &[b"v"], range, Order::Ascending);
        match reader.next() {
            Ok(rows) => assert!(good && rows.unwrap().len() as i64 == to - from + 1),
            Err(error) => assert!(!good, "{error}"),
        }
    }
    // Once it is mended, all is there.
    file.write_all_at(&byte, 40).unwrap();
    bed.reopen();
    bed.store.compact().unwrap();
    assert!(bed.store.compaction_stats().damaged.is_empty());
    assert!(bed.contents() == before);
}

#[test]
fn a_file_that_cannot_be_read_now_is_tried_again_later() {
    let barred = (0..calls()).find_map(|call| {
        let bed = prepared();
        bed.fs.fail_after(call, ErrorKind::Other);
        let _ = bed.store.compact();
        (!bed.store.compaction_stats().damaged.is_empty()).then_some(bed)
    });
    let bed = barred.expect("some call reads an input");
    let before = bed.contents();
    assert_eq!(bed.store.compaction_stats().damaged.len(), 1);
    assert!(bed.levels().len() > 1);
    bed.clock.advance(BARRED_AFTER_IO);
    bed.store.compact().unwrap();
    assert!(bed.levels().iter().all(|level| *level == 2));
    assert!(bed.contents() == before);
}

/// Each merge that was tried after the manifest's log had failed left its result on the disk.
#[test]
fn nothing_is_merged_when_the_manifest_takes_no_changes() {
    let mut found = 0;
    for call in 0..calls() {
        let bed = prepared();
        let before = bed.contents();
        bed.fs.fail_after(call, ErrorKind::Other);
        let _ = bed.store.compactor.settle();
        if bed.store.core.manifest().check().is_ok() {
            continue;
        }
        found += 1;
        let used = bed.fs.used_bytes();
        for _ in 0..3 {
            bed.store.compactor.settle().unwrap_err();
            assert_eq!(bed.fs.used_bytes(), used, "call {call}");
        }
        assert!(bed.contents() == before, "call {call}");
    }
    assert!(found > 0, "some call is a sync of the manifest");
}
