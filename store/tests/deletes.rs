//! What is deleted is gone at once, for good, and alone: through flushes, restarts, power loss, later
//! writes of the same series, backfill, a full disk and flushes that fail.

mod common;

use std::io::ErrorKind;

use common::{Bed, open, points};
use roaring::RoaringBitmap;
use tandem_model::{SeriesId, TimeRange};
use tandem_store::{Options, PolicyChoice, Store, StoreError};
use tandem_testkit::SimFs;

const HOUR_NS: i64 = 3_600_000_000_000;
const WEEK_NS: i64 = 7 * 24 * HOUR_NS;

/// The series of a measurement that carry a tag value.
fn series(store: &Store, measurement: &str, key: &str, value: &str) -> RoaringBitmap {
    let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
    view.tag_values(measurement.as_bytes(), key.as_bytes())
        .into_iter()
        .find(|(v, _)| v == value.as_bytes())
        .map(|(_, series)| series)
        .unwrap_or_default()
}

fn delete(store: &Store, host: &str, min_ns: i64, max_ns: i64) {
    let series = series(store, "m", "host", host);
    store
        .delete("db", &series, TimeRange::new(min_ns, max_ns))
        .unwrap();
}

/// The keys of all series that are listed, sorted.
fn listed(store: &Store) -> Vec<String> {
    let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
    let mut keys: Vec<String> = view
        .measurements()
        .iter()
        .flat_map(|m| view.series(m))
        .map(|id| String::from_utf8(view.series_key(SeriesId(id))).unwrap())
        .collect();
    keys.sort();
    keys
}

/// Holds the rows of `m` against `expected` now, after a flush, and after each kind of restart.
fn always(bed: &mut Bed, expected: &[&str], keys: &[&str]) {
    let check = |store: &Store, when: &str| {
        assert_eq!(points(store, "m"), expected, "{when}");
        assert_eq!(listed(store), keys, "{when}");
    };
    check(&bed.store, "now");
    for seed in 0..5 {
        *bed = bed.after_power_loss(seed);
        check(&bed.store, "after power loss");
    }
    bed.reopen();
    check(&bed.store, "after a restart");
    bed.store.flush().unwrap();
    check(&bed.store, "after a flush");
    bed.reopen();
    check(&bed.store, "after a flush and a restart");
    bed.store.close().unwrap();
    bed.reopen();
    check(&bed.store, "after a close");
}

#[test]
fn a_series_is_deleted_in_memory_and_what_is_written_later_stays() {
    let mut bed = Bed::new();
    bed.write("m,host=a v=1i 1\nm,host=b v=2i 1\nm,host=a v=3i 5")
        .unwrap();
    delete(&bed.store, "a", i64::MIN, i64::MAX);
    always(&mut bed, &["m,host=b v=2i 1"], &["m,host=b"]);
    bed.write("m,host=a v=9i 1").unwrap();
    always(
        &mut bed,
        &["m,host=a v=9i 1", "m,host=b v=2i 1"],
        &["m,host=a", "m,host=b"],
    );
}

#[test]
fn a_part_of_the_time_is_deleted_over_files_and_memtables_alike() {
    let mut bed = Bed::new();
    bed.write("m,host=a v=1i 1\nm,host=a v=2i 2\nm,host=a v=3i 3")
        .unwrap();
    bed.store.flush().unwrap();
    bed.write("m,host=a v=4i 2\nm,host=a v=5i 4\nm,host=b v=6i 2")
        .unwrap();
    delete(&bed.store, "a", 2, 3);
    bed.write("m,host=a v=7i 3").unwrap();
    always(
        &mut bed,
        &[
            "m,host=a v=1i 1",
            "m,host=a v=7i 3",
            "m,host=a v=5i 4",
            "m,host=b v=6i 2",
        ],
        &["m,host=a", "m,host=b"],
    );
}

#[test]
fn a_shard_that_a_delete_straddles_keeps_its_other_half() {
    let mut bed = Bed::new();
    let lines: Vec<String> = (0..6)
        .map(|i| format!("m,host=a v={i}i {}", i * WEEK_NS / 2))
        .collect();
    bed.write(&lines.join("\n")).unwrap();
    bed.store.flush().unwrap();
    bed.write(&format!("m,host=b v=9i {}", WEEK_NS / 4))
        .unwrap();
    // From the middle of one shard over a whole one to the middle of a third.
    let all = &series(&bed.store, "m", "host", "a") | &series(&bed.store, "m", "host", "b");
    let range = TimeRange::new(WEEK_NS / 4, 2 * WEEK_NS);
    bed.store.delete("db", &all, range).unwrap();
    let last = format!("m,host=a v=5i {}", 5 * WEEK_NS / 2);
    always(&mut bed, &["m,host=a v=0i 0", &last], &["m,host=a"]);
}

#[test]
fn a_series_leaves_the_lists_once_its_last_row_is_deleted_bit_by_bit() {
    let mut bed = Bed::new();
    bed.write("m,host=a v=1i 1\nm,host=a v=2i 5\nm,host=a v=3i 9\nm,host=b v=4i 5")
        .unwrap();
    bed.store.flush().unwrap();
    delete(&bed.store, "a", 0, 3);
    delete(&bed.store, "a", 8, 20);
    assert_eq!(listed(&bed.store), ["m,host=a", "m,host=b"]);
    delete(&bed.store, "a", 4, 6);
    always(&mut bed, &["m,host=b v=4i 5"], &["m,host=b"]);
}

#[test]
fn a_dropped_measurement_can_come_back_with_other_types() {
    let mut bed = Bed::new();
    bed.write("m,host=a v=1i,w=2i 1\nother v=1i 1").unwrap();
    bed.store.flush().unwrap();
    bed.write("m,host=a v=2i 2").unwrap();
    assert!(bed.write("m,host=a v=\"text\" 3").is_err());
    assert!(bed.store.drop_measurement("db", b"m").unwrap());
    assert!(!bed.store.drop_measurement("db", b"m").unwrap());
    assert!(!bed.store.drop_measurement("db", b"never").unwrap());
    bed.write("m,host=a v=\"text\" 1").unwrap();
    assert!(bed.write("other v=\"text\" 3").is_err());
    let view = bed.store.view("db", PolicyChoice::All, TimeRange::ALL);
    let fields = view.unwrap().fields(b"m");
    assert_eq!(
        fields,
        [(b"v".to_vec(), tandem_model::FieldType::String)],
        "the old fields are gone"
    );
    always(&mut bed, &["m,host=a v=\"text\" 1"], &["m,host=a", "other"]);
    assert!(bed.write("m,host=a v=1i 9").is_err());
}

#[test]
fn a_measurement_that_was_deleted_by_time_can_come_back_with_other_types() {
    let mut bed = Bed::new();
    bed.write("m,host=a v=1i 1\nm,host=a v=1i 7").unwrap();
    bed.store.flush().unwrap();
    bed.write("m,host=a v=2i 3").unwrap();
    delete(&bed.store, "a", 1, 6);
    assert!(bed.write("m,host=a v=1.5 2").is_err(), "a row remains");
    delete(&bed.store, "a", 7, 8);
    bed.write("m,host=a v=1.5 2").unwrap();
    always(&mut bed, &["m,host=a v=1.5 2"], &["m,host=a"]);
}

/// Files of both types could not be merged any more.
#[test]
fn a_measurement_that_several_deletes_hide_together_is_compacted_with_its_new_types() {
    let mut bed = Bed::new();
    bed.write("m,host=a v=1i 1\nm,host=a v=1i 7\nother v=1i 1")
        .unwrap();
    bed.store.flush().unwrap();
    delete(&bed.store, "a", i64::MIN, 4);
    delete(&bed.store, "a", 5, i64::MAX);
    bed.write("m,host=a v=1.5 2").unwrap();
    bed.store.compact().unwrap();
    let stats = bed.store.compaction_stats();
    assert_eq!((stats.damaged, stats.merges), (vec![], 1));
    always(&mut bed, &["m,host=a v=1.5 2"], &["m,host=a", "other"]);
}

/// Data written before a delete came back in other stores when an older file was merged with a
/// newer one, or when the log was replayed over the tombstone.
#[test]
fn deleted_data_is_never_resurrected_by_backfill_before_and_after() {
    let mut bed = Bed::new();
    for round in 0..3 {
        bed.write(&format!(
            "m,host=a v=1i {}\nm,host=a v=2i {}",
            100 + round,
            50 - round
        ))
        .unwrap();
        if round == 1 {
            bed.store.flush().unwrap();
        }
    }
    delete(&bed.store, "a", i64::MIN, i64::MAX);
    bed.write("m,host=a v=3i 49").unwrap();
    bed.store.flush().unwrap();
    bed.write("m,host=a v=4i 48\nm,host=b v=5i 48").unwrap();
    delete(&bed.store, "a", 49, 49);
    bed.write("m,host=a v=6i 10").unwrap();
    always(
        &mut bed,
        &["m,host=a v=6i 10", "m,host=a v=4i 48", "m,host=b v=5i 48"],
        &["m,host=a", "m,host=b"],
    );
}

#[test]
fn deletes_without_writes_between_them_all_count() {
    let mut bed = Bed::new();
    bed.write("m,host=a v=1i 1\nm,host=b v=1i 1\nm,host=c v=1i 1")
        .unwrap();
    delete(&bed.store, "a", 0, 5);
    delete(&bed.store, "b", 0, 5);
    delete(&bed.store, "b", 0, 5);
    always(&mut bed, &["m,host=c v=1i 1"], &["m,host=c"]);
}

#[test]
fn deleting_the_same_again_and_again_leaves_one_tombstone() {
    let bed = Bed::with_options(Options {
        background: false,
        free_bytes_min: 0,
        ..Default::default()
    });
    bed.write("m,host=a v=1i 1\nm,host=a v=1i 100").unwrap();
    bed.store.flush().unwrap();
    for end_ns in 1..20 {
        delete(&bed.store, "a", 0, end_ns);
        bed.write(&format!("m,host=a v=2i {end_ns}")).unwrap();
        bed.store.flush().unwrap();
    }
    assert_eq!(bed.store.shards()[0].tombstones, 1);
    assert_eq!(
        points(&bed.store, "m"),
        ["m,host=a v=2i 19", "m,host=a v=1i 100"]
    );
    bed.store.compact().unwrap();
    assert_eq!(bed.store.shards()[0].tombstones, 0);
    let after = bed.after_power_loss(1);
    assert_eq!(
        points(&after.store, "m"),
        ["m,host=a v=2i 19", "m,host=a v=1i 100"]
    );
    bed_is_closed(&after);
}

fn bed_is_closed(bed: &Bed) {
    bed.store.close().unwrap();
    let none = RoaringBitmap::from_iter([0]);
    assert!(bed.store.delete("db", &none, TimeRange::ALL).is_err());
}

#[test]
fn a_delete_goes_through_all_policies_and_only_one_database() {
    let bed = Bed::new();
    let spec = tandem_store::PolicySpec {
        name: Some("other".into()),
        ..Default::default()
    };
    bed.store.create_policy("db", &spec, false).unwrap();
    bed.store.create_database("db2", None).unwrap();
    let write = |database, retention_policy| {
        let request = tandem_store::WriteRequest {
            database,
            retention_policy,
            precision: tandem_model::Precision::Nanosecond,
            now_ns: common::NOW_NS,
        };
        bed.store.write(&request, b"m,host=a v=1i 1").unwrap();
    };
    write("db", None);
    write("db", Some("other"));
    write("db2", None);
    assert_eq!(points(&bed.store, "m").len(), 2);
    delete(&bed.store, "a", 0, 5);
    assert!(points(&bed.store, "m").is_empty());
    let view = bed.store.view("db2", PolicyChoice::All, TimeRange::ALL);
    assert_eq!(view.unwrap().measurements(), [b"m".to_vec()]);
}

#[test]
fn a_delete_of_what_is_not_there_is_fine() {
    let bed = Bed::new();
    bed.write("m,host=a v=1i 1").unwrap();
    let calls = bed.fs.calls();
    bed.store
        .delete("db", &RoaringBitmap::from_iter([77]), TimeRange::ALL)
        .unwrap();
    let none = series(&bed.store, "m", "host", "a");
    bed.store
        .delete("db", &none, TimeRange::new(2 * WEEK_NS, 3 * WEEK_NS))
        .unwrap();
    assert_eq!(bed.fs.calls(), calls, "nothing was written");
    assert!(bed.store.delete("nodb", &none, TimeRange::ALL).is_err());
    assert_eq!(points(&bed.store, "m").len(), 1);
}

/// Every write is one series at one time, so that each either came before the delete or after it.
#[test]
fn a_delete_that_races_writes_takes_whole_batches_and_none_written_after_it() {
    let bed = Bed::new();
    bed.write("m,host=a v=0i 0").unwrap();
    let target = series(&bed.store, "m", "host", "a");
    for round in 0..20_i64 {
        let after = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for i in 1..20_i64 {
                    let time_ns = round * 1000 + i;
                    bed.write(&format!(
                        "m,host=a v={i}i {time_ns}\nm,host=a v={i}i {}",
                        time_ns + 500
                    ))
                    .unwrap();
                }
            });
            bed.store.delete("db", &target, TimeRange::ALL).unwrap();
            writer.join().unwrap();
            points(&bed.store, "m")
        });
        // What is left is a run of the last batches, each of them whole.
        let first = |offset: i64| {
            let times = after.iter().map(|line| line.rsplit(' ').next().unwrap());
            let times: Vec<i64> = times.map(|t| t.parse().unwrap()).collect();
            let mut of: Vec<i64> = times
                .into_iter()
                .map(|t| t - round * 1000 - offset)
                .filter(|t| (1..20).contains(t))
                .collect();
            of.sort_unstable();
            of
        };
        assert_eq!(first(0), first(500), "a batch was torn");
        let left = first(0);
        let expected: Vec<i64> = (20 - left.len() as i64..20).collect();
        assert_eq!(left, expected, "an earlier write outlived a later one");
    }
}

#[test]
fn a_delete_works_while_the_disk_is_full_and_flushes_fail() {
    let mut bed = Bed::new();
    bed.write("m,host=a v=1i 1\nm,host=b v=2i 1").unwrap();
    bed.store.flush().unwrap();
    bed.write("m,host=a v=3i 2").unwrap();
    bed.fs.set_capacity(Some(bed.fs.used_bytes()));
    assert!(bed.store.flush().is_err(), "the disk is full");
    delete(&bed.store, "a", i64::MIN, i64::MAX);
    assert_eq!(points(&bed.store, "m"), ["m,host=b v=2i 1"]);
    bed.fs.set_capacity(None);
    bed.store.flush().unwrap();
    always(&mut bed, &["m,host=b v=2i 1"], &["m,host=b"]);
}

#[test]
fn a_delete_that_fails_at_any_call_happens_wholly_or_not_at_all() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        for calls in 0.. {
            let bed = Bed::new();
            bed.write("m,host=a v=1i 1\nm,host=b v=2i 1").unwrap();
            bed.store.flush().unwrap();
            bed.write("m,host=a v=3i 2").unwrap();
            let target = series(&bed.store, "m", "host", "a");
            bed.fs.fail_after(calls, kind);
            let result = bed.store.delete("db", &target, TimeRange::ALL);
            let hit = !bed.fs.fault_is_pending();
            bed.fs.calm();
            let whole = ["m,host=a v=1i 1", "m,host=a v=3i 2", "m,host=b v=2i 1"];
            let expected = if result.is_ok() { &whole[2..] } else { &whole };
            assert_eq!(points(&bed.store, "m"), expected, "call {calls}");
            for seed in 0..4 {
                let after = bed.after_power_loss(seed);
                let found = points(&after.store, "m");
                let fine = found == whole[2..] || (result.is_err() && found == whole);
                assert!(fine, "call {calls}, seed {seed}: {found:?}");
            }
            if !hit {
                break;
            }
        }
    }
}

/// The file of a dropped database's shard could be taken for one of a new database of that name.
#[test]
fn drop_and_create_of_one_name_around_a_crash_keep_their_data_apart() {
    for calls in 0..60 {
        let bed = Bed::new();
        bed.write("m,host=old v=1i 1").unwrap();
        bed.store.flush().unwrap();
        bed.write("m,host=old v=2i 2").unwrap();
        delete(&bed.store, "old", 2, 2);
        bed.fs.power_off_after(calls);
        let _ = bed.store.drop_database("db");
        let created = bed.store.create_database("db", None).is_ok();
        let written = created && bed.write("m,host=new v=\"text\" 1").is_ok();
        let flushed = bed.store.flush();
        for seed in 0..3 {
            let after = bed.after_power_loss(seed);
            let found = if after.store.databases().is_empty() {
                Vec::new()
            } else {
                points(&after.store, "m")
            };
            let new = ["m,host=new v=\"text\" 1"];
            let known = if written {
                found == new
            } else {
                found.is_empty() || found == ["m,host=old v=1i 1"] || found == new
            };
            assert!(known, "call {calls}, seed {seed}: {found:?}, {flushed:?}");
        }
    }
}

/// A write that failed may be found after a restart where its sync, or the cut behind it, failed too. A deletion that
/// was acknowledged in between would be older than its rows.
#[test]
fn a_deletion_is_refused_while_a_failed_write_may_still_be_found() {
    let all = |store: &Store| {
        let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
        view.series(b"m")
    };
    let (mut refusals, mut found_again) = (0, 0);
    // What a failed sync loses is up to the file system's seed.
    for (calls, fs_seed) in (0..6).flat_map(|calls| (0..12).map(move |seed| (calls, seed))) {
        let options = Options {
            background: false,
            free_bytes_min: 0,
            ..Options::default()
        };
        let fs = SimFs::new(fs_seed);
        let store = open(&fs, &options);
        store.create_database("db", None).unwrap();
        let bed = Bed { fs, store, options };
        bed.write("m v=1i 1").unwrap();
        bed.fs.fail_after(calls, ErrorKind::StorageFull);
        let written = bed.write("m v=2i 2");
        bed.fs.calm();
        if written.is_ok() {
            continue;
        }
        let deleted = bed.store.delete("db", &all(&bed.store), TimeRange::ALL);
        let is_refused = matches!(deleted, Err(StoreError::ReadOnly(_)));
        assert!(is_refused || deleted.is_ok(), "{calls}: {deleted:?}");
        refusals += usize::from(is_refused);
        for seed in 0..4 {
            let later = bed.after_power_loss(seed);
            let found = points(&later.store, "m");
            if !is_refused {
                assert!(found.is_empty(), "{calls}, {seed}: {found:?}");
                continue;
            }
            assert_eq!(found[0], "m v=1i 1", "{calls}, {seed}");
            found_again += usize::from(found.len() == 2);
            later
                .store
                .delete("db", &all(&later.store), TimeRange::ALL)
                .unwrap();
            let later = later.after_power_loss(seed);
            assert!(points(&later.store, "m").is_empty(), "{calls}, {seed}");
        }
    }
    assert!(
        refusals > 0 && found_again > 0,
        "nothing was in doubt: {refusals} refusals, {found_again} found again"
    );
}
