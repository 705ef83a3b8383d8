//! More is written than memory holds: what is held stays within its bound, refusals come and go, and nothing acknowledged
//! is missing.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::{Bed, write};
use tandem_model::TimeRange;
use tandem_store::{Options, PolicyChoice, Refusal, Store, WriteError};

/// Of about 100 kB, all of new series.
fn body(writer: u64, round: u64) -> String {
    let mut body = String::new();
    for host in 0..1000 {
        let _ = writeln!(
            body,
            "m,writer=w{writer},round=r{round},host=h{host} a={round}i,b={host}.5,c=\"text {host}\" {}",
            1_700_000_000_000_000_000_u64 + round,
        );
    }
    body
}

fn series(store: &Store) -> usize {
    let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
    view.series(b"m").len() as usize
}

#[test]
fn many_writers_stay_within_the_memory_for_writes() {
    let memtable_bytes_max = 2 << 20;
    let bed = Bed::with_options(Options {
        memtable_bytes_max,
        overload_wait: Duration::from_millis(20),
        free_bytes_min: 0,
        ..Options::default()
    });
    let (refused, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let stored = Mutex::new(BTreeSet::new());
    let most = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Acquire) {
                let memory = bed.store.stats().memory;
                most = most.max(memory.memtable_bytes + memory.writing_bytes);
                std::thread::sleep(Duration::from_millis(1));
            }
            most
        });
        let writers: Vec<_> = (0..6)
            .map(|writer| {
                let (bed, refused, stored) = (&bed, &refused, &stored);
                scope.spawn(move || {
                    for round in 0..12 {
                        let body = body(writer, round);
                        loop {
                            match write(&bed.store, &body) {
                                Ok(written) => {
                                    assert_eq!(written.points, 1000);
                                    stored.lock().unwrap().insert((writer, round));
                                    break;
                                }
                                Err(WriteError::Overloaded(text)) => {
                                    assert!(text.contains("cache-max-memory-size"), "{text}");
                                    refused.fetch_add(1, Ordering::Relaxed);
                                }
                                Err(e) => panic!("{e}"),
                            }
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|w| w.join().unwrap());
        done.store(true, Ordering::Release);
        watch.join().unwrap()
    });
    // A write may turn out to hold more than was reserved for it.
    assert!(
        most <= memtable_bytes_max as u64 * 3 / 2,
        "{most} bytes were held"
    );
    assert_eq!(stored.into_inner().unwrap().len(), 72);
    assert_eq!(series(&bed.store), 72_000);
    let stats = bed.store.stats();
    assert!(stats.memory.writes_waited > 0);
    assert_eq!(stats.memory.writes_refused, refused.into_inner());
    let overloaded = stats.writes.refused[Refusal::Overloaded as usize];
    assert_eq!(overloaded, stats.memory.writes_refused);
    assert_eq!(stats.memory.writing_bytes, 0);
    assert!(stats.flushes.count >= 3, "{:?}", stats.flushes);
    assert_eq!(
        (stats.writes.points, stats.writes.values),
        (72_000, 216_000)
    );
}

/// While nothing can be flushed, writes are refused; once it can, they go on.
#[test]
fn refusals_end_when_flushes_go_through_again() {
    let bed = Bed::with_options(Options {
        memtable_bytes_max: 1 << 20,
        overload_wait: Duration::from_millis(5),
        free_bytes_min: 0,
        background: false,
        ..Options::default()
    });
    write(&bed.store, &body(0, 0)).unwrap();
    // Room for the WAL, none for files.
    let mut round = 1;
    bed.fs.set_capacity(Some(bed.fs.used_bytes() + (3 << 20)));
    let error = loop {
        match write(&bed.store, &body(0, round)) {
            Ok(_) => round += 1,
            Err(error) => break error,
        }
        bed.fs.set_capacity(Some(bed.fs.used_bytes() + (512 << 10)));
        assert!(round < 1000, "memory was never used up");
    };
    assert!(
        matches!(error, WriteError::Overloaded(_) | WriteError::Full(_)),
        "{error:?}"
    );
    assert_eq!(series(&bed.store) as u64, round * 1000);
    bed.fs.set_capacity(None);
    write(&bed.store, &body(0, round)).unwrap();
    assert_eq!(series(&bed.store) as u64, (round + 1) * 1000);
    let after = bed.after_power_loss(3);
    assert_eq!(series(&after.store) as u64, (round + 1) * 1000);
}

/// A body larger than all memory for writes passes when nothing else is there.
#[test]
fn a_body_larger_than_the_bound_is_taken_alone() {
    let bed = Bed::with_options(Options {
        memtable_bytes_max: 64 << 10,
        overload_wait: Duration::from_secs(20),
        free_bytes_min: 0,
        ..Options::default()
    });
    for round in 0..3 {
        assert_eq!(write(&bed.store, &body(0, round)).unwrap().points, 1000);
    }
    assert_eq!(series(&bed.store), 3000);
}

#[test]
fn statistics_tell_what_was_stored_and_what_was_refused() {
    let bed = Bed::with_options(Options {
        max_series_per_database: 3,
        free_bytes_min: 0,
        ..Options::default()
    });
    write(&bed.store, "m,k=1 a=1,b=2 1\nm,k=2 a=1 2").unwrap();
    write(&bed.store, "m,k=1 a=\"text\" 3\nm,k=1 b=1 3").unwrap_err();
    write(&bed.store, "not a line\nm,k=1 a=1 4").unwrap_err();
    write(&bed.store, "m,k=3 a=1 5\nm,k=4 a=1 5").unwrap_err();
    bed.store.flush().unwrap();
    let stats = bed.store.stats();
    let writes = stats.writes;
    assert_eq!((writes.points, writes.values), (5, 6));
    let refused: Vec<(&str, u64)> = Refusal::ALL
        .iter()
        .map(|reason| reason.name())
        .zip(writes.refused)
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(
        refused,
        [("unparsable", 1), ("field_type", 1), ("limit", 1)]
    );
    assert_eq!((stats.databases, stats.series, stats.shards), (1, 3, 1));
    assert_eq!((stats.levels.len(), stats.levels[0].files), (1, 1));
    assert!(stats.levels[0].bytes > 0 && stats.compaction.flush_bytes == stats.levels[0].bytes);
    assert_eq!((stats.flushes.count, stats.flushes.failures), (1, 0));
    assert_eq!(stats.wal.log.records, 4);
    assert!(stats.wal.log.syncs >= 4 && stats.manifest.log.syncs > 0);
    assert_eq!(stats.refusal, None);
    assert!(stats.damaged.is_empty());
    bed.store.close().unwrap();
    assert!(bed.store.stats().refusal.is_some());
}

#[test]
fn unsigned_integers_are_taken_where_they_are_asked_for() {
    let bed = Bed::new();
    let error = write(&bed.store, "m v=5u 1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "unable to parse 'm v=5u 1': invalid number"
    );
    let bed = Bed::with_options(Options {
        unsigned: true,
        free_bytes_min: 0,
        ..Options::default()
    });
    write(&bed.store, "m v=5u 1").unwrap();
}
