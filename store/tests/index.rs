//! Index and data agree: every row that is there has its series, no row has another's, and series of
//! which nothing is left are gone from the index, its limits and its files.

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Bed, DIR, NOW_NS, open, points, write};
use tandem_model::{SeriesId, TimeRange};
use tandem_store::{Options, PolicyChoice, Store, WriteError};
use tandem_testkit::SimFs;
use tandem_vfs::Vfs;

const HOUR_NS: i64 = 3_600_000_000_000;
const WEEK_NS: i64 = 7 * 24 * HOUR_NS;

/// Nothing happens by itself, so that calls of the file system repeat.
fn options() -> Options {
    Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    }
}

fn lines(series: std::ops::Range<usize>, time_ns: i64) -> String {
    let line = |n| format!("m,host=h{n},rack=r{} v={n}i {time_ns}\n", n % 3);
    series.map(line).collect()
}

/// The ids and keys of the series with rows in a range, by key.
fn series(store: &Store, range: TimeRange) -> Vec<(String, u32)> {
    let view = store.view("db", PolicyChoice::All, range).unwrap();
    let ids = view
        .measurements()
        .into_iter()
        .flat_map(|m| view.series(&m));
    let mut series: Vec<(String, u32)> = ids
        .map(|id| {
            (
                String::from_utf8(view.series_key(SeriesId(id))).unwrap(),
                id,
            )
        })
        .collect();
    series.sort();
    series
}

fn delete_host(store: &Store, host: &str) {
    let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
    let series = view.series_with_value(b"m", b"host", host.as_bytes());
    assert_eq!(series.len(), 1);
    store.delete("db", &series, TimeRange::ALL).unwrap();
}

fn segment_files(fs: &SimFs) -> Vec<PathBuf> {
    let dir = Path::new(DIR).join("data/0/index");
    let names = fs.read_dir(&dir).unwrap();
    names.into_iter().map(|name| dir.join(name)).collect()
}

/// InfluxDB #9863 (data invisible after kill -9), VictoriaMetrics #4873, Prometheus #17029: rows that
/// lost their series while the index was being written, merged or cleaned.
#[test]
fn power_may_go_at_any_call_of_flushes_merges_and_removals_of_series() {
    let mut calls = 0;
    loop {
        let fs = SimFs::new(calls);
        let store = open(&fs, &options());
        store.create_database("db", None).unwrap();
        fs.power_off_after(calls);
        let mut acknowledged: Vec<String> = Vec::new();
        let mut live = |store: &Store| -> Option<()> {
            for round in 0..3 {
                let new = round * 10..round * 10 + 10;
                write(store, &lines(new.clone(), 1)).ok()?;
                acknowledged.extend(lines(new, 1).lines().map(String::from));
                store.flush().ok()?;
            }
            let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
            let gone = view.series_with_value(b"m", b"host", b"h7");
            // From here on it may be deleted or not; what else there is has to be there.
            acknowledged.retain(|line| !line.contains("host=h7,"));
            store.delete("db", &gone, TimeRange::ALL).ok()?;
            store.compact().ok()?;
            write(store, &lines(30..33, 1)).ok()?;
            acknowledged.extend(lines(30..33, 1).lines().map(String::from));
            store.flush().ok()
        };
        let lived = live(&store);
        drop(store);
        let after = fs.crash(calls);
        let store = open(&after, &options());
        assert!(store.report().quarantined.is_empty(), "call {calls}");
        let found = points(&store, "m");
        for line in &acknowledged {
            assert!(found.contains(line), "call {calls}: {line} is lost");
        }
        let before = series(&store, TimeRange::ALL);
        // Rows go to the series that they name, old or new, and new ones get ids of their own.
        write(&store, &lines(0..40, 2)).unwrap();
        let later = series(&store, TimeRange::ALL);
        assert_eq!(later.len(), 40, "call {calls}");
        assert!(
            before.iter().all(|known| later.contains(known)),
            "call {calls}"
        );
        let mut ids: Vec<u32> = later.iter().map(|(_, id)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 40, "call {calls}");
        let second = points(&store, "m")
            .into_iter()
            .filter(|line| line.ends_with(" 2"));
        let mut expected: Vec<String> = lines(0..40, 2).lines().map(String::from).collect();
        expected.sort();
        assert_eq!(second.collect::<Vec<_>>(), expected, "call {calls}");
        if lived.is_some() {
            break;
        }
        calls += 1;
    }
    assert!(calls > 40, "{calls} calls");
}

/// Rows know their series by id alone: when the key is lost they must not answer under another one.
#[test]
fn rows_of_a_damaged_segment_are_hidden_and_come_back_with_it() {
    let mut bed = Bed::with_options(options());
    bed.write(&lines(0..20, 1)).unwrap();
    bed.store.flush().unwrap();
    let before = series(&bed.store, TimeRange::ALL);
    let [path] = <[PathBuf; 1]>::try_from(segment_files(&bed.fs)).unwrap();
    let file = bed.fs.open(&path).unwrap();
    let mut byte = [0];
    let middle = file.len().unwrap() / 2;
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 4], middle).unwrap();
    bed.reopen();
    assert_eq!(bed.store.report().quarantined, std::slice::from_ref(&path));
    assert!(points(&bed.store, "m").is_empty());
    // What is written now gets other ids, and the damaged file is neither merged nor removed.
    bed.write("m,host=new v=1i 5").unwrap();
    bed.write(&lines(3..4, 9)).unwrap();
    bed.store.flush().unwrap();
    bed.store.compact().unwrap();
    let new = ["m,host=h3,rack=r0 v=3i 9", "m,host=new v=1i 5"];
    assert_eq!(points(&bed.store, "m"), new);
    let ids: Vec<u32> = before.iter().map(|(_, id)| *id).collect();
    let others = series(&bed.store, TimeRange::ALL);
    assert!(others.iter().all(|(_, id)| !ids.contains(id)));
    assert_eq!(segment_files(&bed.fs).len(), 2);
    bed.fs
        .open(&path)
        .unwrap()
        .write_all_at(&byte, middle)
        .unwrap();
    bed.reopen();
    assert!(bed.store.report().quarantined.is_empty());
    let mut expected: Vec<String> = lines(0..20, 1).lines().map(String::from).collect();
    expected.extend(new.map(String::from));
    expected.sort();
    let mut found = points(&bed.store, "m");
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn containers_that_are_gone_vanish_from_recent_queries_and_with_their_shard_from_the_index() {
    let mut bed = Bed::with_options(Options {
        max_series_per_database: 20,
        ..options()
    });
    let old = NOW_NS - 4 * WEEK_NS;
    bed.write(&lines(0..20, old)).unwrap();
    bed.write(&lines(0..2, NOW_NS)).unwrap();
    bed.store.flush().unwrap();
    let recent = TimeRange::new(NOW_NS - HOUR_NS, i64::MAX);
    let view = bed.store.view("db", PolicyChoice::All, recent).unwrap();
    assert_eq!(view.tag_values_of(b"m", b"host", None), [b"h0", b"h1"]);
    assert_eq!(view.series_count(b"m"), 2);
    bed.write(&lines(20..21, NOW_NS)).unwrap_err();
    let shards = bed.store.shards();
    let first = shards
        .iter()
        .min_by_key(|shard| shard.range.min_ns)
        .unwrap();
    bed.store.drop_shard(first.id).unwrap();
    bed.store.compact().unwrap();
    // There is room for new series, none of which gets an id that was given out.
    let kept = series(&bed.store, TimeRange::ALL);
    assert_eq!(kept.len(), 2);
    bed.write(&lines(20..38, NOW_NS)).unwrap();
    bed.write(&lines(38..39, NOW_NS)).unwrap_err();
    let all = series(&bed.store, TimeRange::ALL);
    assert_eq!(all.iter().filter(|(_, id)| *id < 20).count(), 2);
    for _ in 0..2 {
        bed.reopen();
        assert_eq!(series(&bed.store, TimeRange::ALL), all);
        bed.store.compact().unwrap();
        bed.write(&lines(38..39, NOW_NS)).unwrap_err();
    }
    let values = |store: &Store| {
        let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
        view.tag_values_of(b"m", b"host", None).len()
    };
    assert_eq!(values(&bed.store), 20);
}

#[test]
fn a_series_deleted_and_written_again_is_one_series_also_after_restarts() {
    let mut bed = Bed::with_options(options());
    bed.write(&lines(0..3, 1)).unwrap();
    bed.store.flush().unwrap();
    delete_host(&bed.store, "h1");
    bed.write(&lines(1..2, 5)).unwrap();
    bed.store.flush().unwrap();
    for time_ns in 6..9 {
        bed.reopen();
        bed.write(&lines(1..2, time_ns)).unwrap();
        bed.store.compact().unwrap();
        assert_eq!(series(&bed.store, TimeRange::ALL).len(), 3);
    }
    let of_host: Vec<String> = points(&bed.store, "m")
        .into_iter()
        .filter(|line| line.contains("host=h1,"))
        .collect();
    let expected: Vec<String> = (5..9).map(|t| lines(1..2, t).trim_end().into()).collect();
    assert_eq!(of_host, expected);
}

#[test]
fn only_the_lines_that_exceed_a_limit_are_dropped() {
    let bed = Bed::with_options(Options {
        max_series_per_database: 12,
        max_values_per_tag: 10,
        ..options()
    });
    let refused = |written: Result<_, WriteError>| match written {
        Err(WriteError::Partial {
            message,
            points,
            dropped,
        }) => (message, points, dropped),
        other => panic!("{other:?}"),
    };
    let body = format!("{}{}", lines(0..11, 1), lines(0..11, 2));
    assert_eq!(
        refused(bed.write(&body)),
        (
            "partial write: max-values-per-tag limit exceeded (10/10): measurement=\"m\" tag=\"host\" value=\"h10\" dropped=2".into(),
            20,
            2
        )
    );
    assert_eq!(
        refused(bed.write("n,a=1 v=1 1\nn,a=2 v=1 1\nn,a=3 v=1 1\nm,host=h1,rack=r1 v=5i 9")),
        (
            "partial write: max-series-per-database limit exceeded: (12) dropped=1".into(),
            3,
            1
        )
    );
    // Another database has its own.
    bed.store.create_database("other", None).unwrap();
    assert_eq!(series(&bed.store, TimeRange::ALL).len(), 12);
    assert_eq!(points(&bed.store, "m").len(), 21);
}

/// A batch that was parsed before its series was removed must not write to what is no more.
#[test]
fn series_that_are_written_while_they_are_deleted_and_removed_stay_whole() {
    let fs = SimFs::new(3);
    let store = open(&fs, &options());
    store.create_database("db", None).unwrap();
    // Writes go on until some series were removed, however late that thread gets its turn.
    let has_removed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let is_wanted = |time_ns: &i64| *time_ns < 300 || !has_removed.load(Ordering::Relaxed);
            for time_ns in (1..100_000).take_while(is_wanted) {
                write(&store, &lines(0..20, time_ns)).unwrap();
            }
        });
        let mut removed = 0;
        while !writer.is_finished() {
            let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
            let all = view.series(b"m");
            store.delete("db", &all, TimeRange::ALL).unwrap();
            store.compact().unwrap();
            removed += all.len();
            has_removed.store(removed > 0, Ordering::Relaxed);
        }
        writer.join().unwrap();
        assert!(removed > 0);
    });
    write(&store, &lines(0..20, 1_000_000)).unwrap();
    let found = series(&store, TimeRange::ALL);
    assert_eq!(found.len(), 20, "{found:?}");
    let last = points(&store, "m")
        .into_iter()
        .filter(|line| line.ends_with(" 1000000"));
    assert_eq!(last.count(), 20);
    drop(store);
    let store = open(&fs, &options());
    assert_eq!(series(&store, TimeRange::ALL).len(), 20);
}
