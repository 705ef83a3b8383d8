//! Bugs by which other stores lost data, one test for each class. Those on deletions that come
//! back are in `deletes.rs`, those on the index in `index.rs` and `durability.rs`.

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Bed, DIR, open, points, write};
use roaring::RoaringBitmap;
use tandem_model::{SeriesId, TimeRange};
use tandem_store::{Options, PolicyChoice, Store};
use tandem_testkit::{Rng, SimFs};
use tandem_vfs::Vfs;

fn options() -> Options {
    Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    }
}

fn line(i: usize) -> String {
    format!("m,host=h{:02} v={i}i,s=\"text {i}\" {i}", i % 20)
}

fn files_below(fs: &SimFs, dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in fs.read_dir(dir).unwrap_or_default() {
        let path = dir.join(name);
        if fs.open_read(&path).is_ok() {
            files.push(path);
        } else {
            files.extend(files_below(fs, &path));
        }
    }
    files
}

/// InfluxDB #9830 and #9991, VictoriaMetrics #5012: after a power loss there were files of length
/// zero, or none, where the names had not been synced, and the store did not start.
#[test]
fn no_power_cut_leaves_a_file_that_keeps_the_store_from_starting() {
    for call in 0.. {
        let bed = Bed::with_options(options());
        for i in 0..40 {
            bed.write(&line(i)).unwrap();
        }
        bed.store.flush().unwrap();
        for i in 40..80 {
            bed.write(&line(i)).unwrap();
        }
        bed.fs.power_off_after(call);
        let worked = bed.store.compact();
        for seed in 0..3 {
            let after = bed.after_power_loss(call * 31 + seed);
            let report = after.store.report();
            assert!(report.quarantined.is_empty(), "call {call}: {report:?}");
            assert_eq!(points(&after.store, "m").len(), 80, "call {call}");
        }
        if worked.is_ok() {
            assert!(call > 8, "a flush and a merge make calls, not {call}");
            return;
        }
    }
}

/// InfluxDB #5983: records of the log had no checksum, so one that was damaged was taken for what
/// it looked like. Here it is told, with what was in it alone, and a torn tail is no damage.
#[test]
fn a_damaged_record_of_the_log_is_told_and_a_torn_one_is_not() {
    let bed = Bed::with_options(options());
    for i in 0..10 {
        bed.write(&line(i)).unwrap();
    }
    let wal = Path::new(DIR).join("wal");
    let names = bed.fs.read_dir(&wal).unwrap();
    let name = names.iter().find(|name| name.ends_with(".seg")).unwrap();
    let path = wal.join(name);
    let Bed { fs, store, .. } = bed;
    drop(store);
    let file = fs.open(&path).unwrap();
    let len = file.len().unwrap();
    let mut whole = vec![0; len as usize];
    file.read_exact_at(&mut whole, 0).unwrap();
    let at = whole.windows(6).position(|w| w == b"text 4").unwrap() as u64;
    file.write_all_at(b"TEXT 4", at).unwrap();
    let store = open(&fs, &options());
    assert_eq!(store.report().quarantined.len(), 1);
    let found = points(&store, "m");
    assert_eq!(found.len(), 9);
    assert!(!found.iter().any(|line| line.contains("ext 4")));
    drop(store);
    // The end of the last record is missing: it was never acknowledged, as far as one can see.
    let end = fs.open(&path).unwrap().len().unwrap();
    fs.open(&path).unwrap().set_len(end - 1).unwrap();
    let before = points(&open(&fs, &options()), "m").len();
    assert!(before == 8 || before == 9, "{before}");
}

/// InfluxDB #9657: a full disk left half a record in the log, and all that was written behind it
/// later was lost at the next start.
#[test]
fn what_is_written_after_a_full_disk_is_found() {
    for room in (0..400).step_by(9) {
        let mut bed = Bed::with_options(options());
        let mut acknowledged = Vec::new();
        for i in 0..30 {
            let limit = if i % 10 < 5 {
                None
            } else {
                Some(bed.fs.used_bytes() + room)
            };
            bed.fs.set_capacity(limit);
            if bed.write(&line(i)).is_ok() {
                acknowledged.push(i);
            }
        }
        bed.fs.set_capacity(None);
        bed.write(&line(99)).unwrap();
        acknowledged.push(99);
        bed.reopen();
        assert_eq!(points(&bed.store, "m").len(), acknowledged.len(), "{room}");
        let after = bed.after_power_loss(room);
        assert_eq!(points(&after.store, "m").len(), acknowledged.len());
    }
}

/// InfluxDB #8084 and its releases 1.7.1 and 1.7.3: merging files that overlapped dropped points.
#[test]
fn no_order_of_merges_changes_what_is_there() {
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let mut bed = Bed::with_options(options());
        let mut expected = std::collections::BTreeMap::new();
        for round in 0..25_usize {
            let lines: Vec<String> = (0..1 + rng.below(60))
                .map(|_| {
                    let (host, time) = (rng.below(6), rng.below(300));
                    expected.insert((host, time), round);
                    format!("m,host=h{host} v={round}i {time}")
                })
                .collect();
            bed.write(&lines.join("\n")).unwrap();
            match rng.below(4) {
                0 => bed.store.compact().unwrap(),
                1 => bed.reopen(),
                _ => bed.store.flush().unwrap(),
            }
        }
        let lines: Vec<String> = expected
            .iter()
            .map(|((host, time), round)| format!("m,host=h{host} v={round}i {time}"))
            .collect();
        assert_eq!(points(&bed.store, "m"), lines, "seed {seed}");
        bed.store.compact().unwrap();
        bed.reopen();
        assert_eq!(points(&bed.store, "m"), lines, "seed {seed}, merged");
    }
}

/// InfluxDB #8822, #8937 and #8981: a block that a deletion had emptied ended the merge there, and
/// the series behind it were gone.
#[test]
fn a_merge_goes_on_behind_series_that_were_deleted_whole() {
    for gone in ["h00", "h07", "h19"] {
        let mut bed = Bed::with_options(options());
        for part in 0..3 {
            let lines: Vec<String> = (0..60).map(|i| line(i + 60 * part)).collect();
            bed.write(&lines.join("\n")).unwrap();
            bed.store.flush().unwrap();
        }
        bed.store
            .delete("db", &series_ending(&bed.store, gone), TimeRange::ALL)
            .unwrap();
        for _ in 0..2 {
            let found = points(&bed.store, "m");
            assert_eq!(found.len(), 171, "{gone}");
            assert!(!found.iter().any(|line| line.contains(gone)));
            bed.store.compact().unwrap();
            bed.reopen();
        }
    }
}

fn series_ending(store: &Store, end: &str) -> RoaringBitmap {
    let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
    let all = view.series(b"m");
    let chosen = all
        .iter()
        .filter(|id| view.series_key(SeriesId(*id)).ends_with(end.as_bytes()));
    chosen.collect()
}

/// Prometheus #6934: a log that was longer than memory could not be replayed, and the server died
/// at each start.
#[test]
fn a_log_longer_than_memory_is_replayed_within_it() {
    let bed = Bed::with_options(options());
    for round in 0..60 {
        let lines: Vec<String> = (0..100)
            .map(|i| format!("m,host=h{i} v={round}i,s=\"{i:60}\" {round}"))
            .collect();
        bed.write(&lines.join("\n")).unwrap();
    }
    let fs = bed.fs.clone();
    drop(bed);
    let small = Options {
        memtable_bytes_max: 128 << 10,
        overload_wait: Duration::ZERO,
        ..options()
    };
    let store = open(&fs, &small);
    assert_eq!(store.report().replayed_rows, 6_000);
    let held: usize = store
        .shards()
        .iter()
        .map(|shard| shard.memtable_bytes)
        .sum();
    assert!(held <= 128 << 10, "{held}");
    assert!(store.shards().iter().any(|shard| shard.files > 0));
    assert_eq!(points(&store, "m").len(), 6_000);
}

/// InfluxDB #14180 put good files aside when reading them failed for another reason, and #9949
/// tried a bad one again and again. An error of the disk is no proof of damage: the start fails, and
/// the next one finds everything.
#[test]
fn a_read_error_at_the_start_puts_no_good_file_aside() {
    let bed = Bed::with_options(options());
    for part in 0..3 {
        let lines: Vec<String> = (0..40).map(|i| line(i + 40 * part)).collect();
        bed.write(&lines.join("\n")).unwrap();
        bed.store.flush().unwrap();
    }
    bed.write("m,host=h00 v=7i 9999").unwrap();
    let fs = bed.fs.clone();
    drop(bed);
    let mut failed = 0;
    for call in 0..2_000 {
        fs.fail_after(call, io::ErrorKind::Other);
        let vfs: std::sync::Arc<dyn Vfs> = std::sync::Arc::new(fs.clone());
        let opened = Store::open(vfs, Path::new(DIR), options());
        let came = !fs.fault_is_pending();
        fs.calm();
        failed += usize::from(opened.is_err());
        drop(opened);
        let store = open(&fs, &options());
        assert!(store.report().quarantined.is_empty(), "call {call}");
        assert_eq!(points(&store, "m").len(), 121, "call {call}");
        if !came {
            assert!(failed > 10, "{failed}");
            return;
        }
    }
    panic!("opening makes too many calls");
}

/// Prometheus #7772: a block that was being deleted when the process died was found in part, and
/// answered so.
#[test]
fn what_is_dropped_is_there_whole_or_not_at_all_after_a_power_cut() {
    for call in 0..200 {
        let bed = Bed::with_options(options());
        bed.store.create_database("other", None).unwrap();
        for part in 0..3 {
            let lines: Vec<String> = (0..40).map(|i| line(i + 40 * part)).collect();
            bed.write(&lines.join("\n")).unwrap();
            bed.store.flush().unwrap();
        }
        let files = files_below(&bed.fs, Path::new(DIR)).len();
        bed.fs.power_off_after(call);
        let dropped = bed
            .store
            .drop_database("db")
            .and_then(|()| bed.store.close());
        for seed in 0..4 {
            let after = bed.after_power_loss(call * 7 + seed);
            if after.store.databases().contains(&"db".to_owned()) {
                assert_eq!(points(&after.store, "m").len(), 120, "call {call}");
            } else {
                let left = files_below(&after.fs, &Path::new(DIR).join("data"));
                assert!(left.is_empty(), "call {call}: {left:?}");
                after.store.create_database("db", None).unwrap();
                assert!(points(&after.store, "m").is_empty());
                write(&after.store, "m v=1i 1").unwrap();
                assert_eq!(points(&after.store, "m"), ["m v=1i 1"]);
            }
        }
        if dropped.is_ok() {
            assert!(call > 3 && files > 5);
            return;
        }
    }
    panic!("dropping makes too many calls");
}
