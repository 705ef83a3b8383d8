//! On a full disk the store starts and answers, what it has can be deleted and dropped, and it goes
//! on once there is space.

mod common;

use std::time::{Duration, Instant};

use common::{Bed, open, points};
use tandem_model::TimeRange;
use tandem_store::{Options, PolicyChoice, WriteError};
use tandem_vfs::Vfs;

fn options() -> Options {
    Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    }
}

/// A flush that found no space while the log was replayed kept the store from starting.
#[test]
fn a_store_starts_on_a_full_disk_although_its_log_is_longer_than_memory_takes() {
    let bed = Bed::with_options(options());
    for round in 0..200 {
        let lines: Vec<String> = (0..20)
            .map(|i| format!("m,k={i} v={round}i,s=\"{:100}\" {round}", ""))
            .collect();
        bed.write(&lines.join("\n")).unwrap();
    }
    let fs = bed.fs.clone();
    drop(bed);
    fs.set_capacity(Some(fs.used_bytes()));
    let small = Options {
        memtable_bytes_max: 64 << 10,
        overload_wait: Duration::ZERO,
        ..options()
    };
    let store = open(&fs, &small);
    assert_eq!(points(&store, "m").len(), 4000);
    let refused = common::write(&store, "m,k=new v=1i 1").unwrap_err();
    let retried = matches!(refused, WriteError::Full(_) | WriteError::Overloaded(_));
    assert!(retried, "{refused:?}");
    let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
    let doomed = view.series(b"m");
    store
        .delete("db", &doomed, TimeRange::new(100, i64::MAX))
        .unwrap();
    assert_eq!(points(&store, "m").len(), 2000);
    fs.set_capacity(None);
    store.flush().unwrap();
    common::write(&store, "m,k=new v=1i 1").unwrap();
    drop(store);
    let again = open(&fs, &small);
    assert_eq!(points(&again, "m").len(), 2001);
}

#[test]
fn everything_can_be_dropped_on_a_full_disk_and_space_comes_back() {
    for what in 0..4 {
        let bed = Bed::with_options(options());
        let line = format!("m,k=1 s=\"{:50000}\" 1", "");
        bed.write(&line).unwrap();
        bed.store.flush().unwrap();
        bed.write("m,k=2 v=1i 1").unwrap();
        assert!(bed.fs.exists(format!("{}/ballast", common::DIR).as_ref()));
        let used = bed.fs.used_bytes();
        bed.fs.set_capacity(Some(used));
        assert!(matches!(
            bed.write("m,k=3 v=1i 1"),
            Err(WriteError::Full(_))
        ));
        match what {
            0 => bed.store.drop_database("db").unwrap(),
            1 => bed.store.drop_policy("db", "autogen").unwrap(),
            2 => bed.store.drop_shard(bed.store.shards()[0].id).unwrap(),
            _ => assert!(bed.store.drop_measurement("db", b"m").unwrap()),
        }
        let ballast = 1 << 20;
        assert!(bed.fs.used_bytes() < used - ballast / 2, "the ballast went");
        for seed in 0..3 {
            let mut after = bed.after_power_loss(seed);
            after.fs.set_capacity(None);
            if what == 0 {
                assert!(after.store.databases().is_empty());
            } else {
                assert!(points(&after.store, "m").is_empty());
            }
            after.store.close().unwrap();
            assert!(!after.fs.exists(format!("{}/ballast", common::DIR).as_ref()));
            after.reopen();
        }
    }
}

/// A line of about 100 bytes that hardly shrink.
fn noise(measurement: &str, number: u64) -> String {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + 2 + (state % 56) as u8)
    };
    let text: String = (0..80).map(letter).collect();
    format!("{measurement} s=\"{text}\" {number}")
}

/// Of a file half is deleted, and nothing else makes room: the log is cut although no write ends its last segment, and
/// the file is written again although less is free than writes leave free.
#[test]
fn what_a_deletion_frees_on_a_full_disk_is_there_for_writes_without_a_restart() {
    let bed = Bed::with_options(Options {
        background: true,
        free_bytes_min: 2 << 20,
        flush_age_max: Duration::from_millis(500),
        ..Options::default()
    });
    bed.fs.set_capacity(Some(16 << 20));
    let mut numbers = 0..;
    let mut write = |deadline: Duration| {
        let begun = Instant::now();
        let from: u64 = numbers.next().unwrap();
        let lines = from * 2_000..from * 2_000 + 2_000;
        let lines = lines.map(|n| noise(if n % 2 == 0 { "even" } else { "odd" }, n));
        let body = lines.collect::<Vec<_>>().join("\n");
        loop {
            match bed.write(&body) {
                Ok(_) => {
                    // Files are small, and it may be full for this one too.
                    let _ = bed.store.flush();
                    return true;
                }
                Err(WriteError::Full(_)) if begun.elapsed() > deadline => return false,
                Err(WriteError::Full(_)) => std::thread::sleep(Duration::from_millis(50)),
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    let mut written = 0;
    while write(Duration::from_secs(4)) {
        written += 1_000;
        assert!(written < 1_000_000, "the disk never fills");
    }
    assert!(bed.store.drop_measurement("db", b"even").unwrap());
    assert!(write(Duration::from_secs(30)), "no space came back");
    assert_eq!(points(&bed.store, "odd").len(), written + 1_000);
    assert_eq!(points(&bed.store, "even").len(), 1_000);
}

/// The change might be found after a restart, and with it what was written since would be gone.
#[test]
fn while_it_is_unknown_whether_a_drop_happened_nothing_is_written() {
    for calls in 0..12 {
        let bed = Bed::with_options(options());
        bed.write("m v=1i 1").unwrap();
        bed.fs.fail_after(calls, std::io::ErrorKind::StorageFull);
        let dropped = bed.store.drop_database("db").is_ok();
        bed.fs.calm();
        let written = bed.write("m v=2i 2").is_ok();
        for seed in 0..4 {
            let after = bed.after_power_loss(seed);
            let there = !after.store.databases().is_empty();
            assert_eq!(there, !dropped, "call {calls}, seed {seed}");
            if there {
                let expected = 1 + usize::from(written);
                assert_eq!(points(&after.store, "m").len(), expected);
            }
        }
    }
}
