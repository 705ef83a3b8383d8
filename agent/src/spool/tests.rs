//! The spool alone: order, limits, and what a power cut leaves.

use std::path::Path;

use bytes::Bytes;
use tandem_testkit::SimFs;

use super::*;

const DIR: &str = "/data/agent";
const LIMIT: u64 = 1 << 20;

fn record(number: u64, bytes: usize) -> Record {
    let body = Bytes::from(vec![b'x'; bytes]);
    Record::new(number % 7 + 1, number.cast_signed(), body)
}

fn open(fs: &SimFs, bytes_max: u64) -> (Spool, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
    let spool = Spool::open(&vfs, Path::new(DIR), bytes_max, Arc::clone(&counters)).unwrap();
    (spool, counters)
}

/// Puts a record in as the sender does, with its lines in the books.
fn put(spool: &mut Spool, counters: &Counters, number: u64, bytes: usize) {
    let record = record(number, bytes);
    counters.gathered(record.lines, record.body.len());
    spool.append(&record, 0).unwrap();
}

fn times(spool: &mut Spool, bytes_max: usize) -> Vec<i64> {
    let peeked = spool.peek(bytes_max).unwrap();
    peeked.map(|record| record.time_ns).collect()
}

#[test]
fn records_come_out_in_order_and_stay_until_they_are_settled() {
    let fs = SimFs::new(1);
    let (mut spool, counters) = open(&fs, LIMIT);
    assert!(spool.is_empty());
    for number in 1..=5 {
        put(&mut spool, &counters, number, 100);
    }
    assert_eq!(times(&mut spool, 250), [1, 2]);
    assert_eq!(times(&mut spool, 250), [1, 2], "asked again, the same");
    assert_eq!(times(&mut spool, 1), [1], "one at least");
    spool.settle(2).unwrap();
    drop(spool);
    let (mut spool, counters) = open(&fs, LIMIT);
    assert_eq!(times(&mut spool, 10_000), [3, 4, 5]);
    let lines = 4 + 5 + 6;
    assert_eq!(spool.lines(), lines);
    assert_eq!(counters.read().recovered, lines);
    assert!(counters.read().is_balanced());
    put(&mut spool, &counters, 6, 100);
    assert_eq!(times(&mut spool, 10_000), [3, 4, 5, 6]);
    spool.settle(4).unwrap();
    assert!(spool.is_empty());
    assert_eq!(times(&mut spool, 10_000), [0_i64; 0]);
}

#[test]
fn the_oldest_make_room_and_are_counted() {
    let fs = SimFs::new(2);
    let (mut spool, counters) = open(&fs, LIMIT);
    const BYTES: usize = 20_000;
    const RECORDS: u64 = 200;
    for number in 1..=RECORDS {
        put(&mut spool, &counters, number, BYTES);
        assert!(spool.log.bytes_total() <= LIMIT);
        assert!(fs.used_bytes() <= LIMIT + LIMIT / 4);
        // Some of them were already read ahead, as while a request fails.
        if number % 10 == 0 {
            assert!(!times(&mut spool, BYTES * 3).is_empty());
        }
    }
    let accounts = counters.read();
    assert!(accounts.dropped > 0 && accounts.is_balanced(), "{accounts}");
    assert_eq!(accounts.buffered, spool.lines());
    let rest = times(&mut spool, usize::MAX);
    assert_eq!(rest.last(), Some(&RECORDS.cast_signed()));
    assert!(rest.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert!(
        rest.len() as u64 * BYTES as u64 > LIMIT / 2,
        "most of it is used"
    );
    // The position was stored: what was dropped does not come back.
    drop(spool);
    let (mut spool, counters) = open(&fs, LIMIT);
    assert_eq!(times(&mut spool, usize::MAX), rest);
    assert_eq!(counters.read().recovered, spool.lines());
}

/// One failed sync of the cursor left everything spooled until the next start.
#[test]
fn a_position_that_cannot_be_stored_once_is_stored_all_the_same() {
    // The write of the position, and its sync.
    for call in 0..2 {
        let fs = SimFs::new(call);
        let (mut spool, counters) = open(&fs, LIMIT);
        for number in 1..=3 {
            put(&mut spool, &counters, number, 100);
        }
        assert_eq!(times(&mut spool, 1), [1]);
        fs.fail_after(call, std::io::ErrorKind::Other);
        spool.settle(1).unwrap();
        assert!(!fs.fault_is_pending());
        assert_eq!(times(&mut spool, 10_000), [2, 3]);
        spool.settle(2).unwrap();
        assert!(spool.is_empty());
        drop(spool);
        let (spool, _) = open(&fs.crash(call), LIMIT);
        assert!(spool.is_empty(), "what was sent is not sent again");
    }
}

#[test]
fn an_empty_spool_gives_its_space_back() {
    let fs = SimFs::new(3);
    let (mut spool, counters) = open(&fs, LIMIT);
    for number in 1..=10 {
        put(&mut spool, &counters, number, 50_000);
    }
    let records = times(&mut spool, usize::MAX).len();
    spool.settle(records).unwrap();
    assert!(spool.is_empty());
    assert!(fs.used_bytes() < 20_000, "{}", fs.used_bytes());
}

#[test]
fn a_log_removed_by_hand_does_not_swallow_new_records() {
    let fs = SimFs::new(4);
    let (mut spool, counters) = open(&fs, LIMIT);
    for number in 1..=9 {
        put(&mut spool, &counters, number, 10);
    }
    let records = times(&mut spool, usize::MAX).len();
    spool.settle(records).unwrap();
    drop(spool);
    let log = Path::new(DIR).join("spool");
    for name in fs.read_dir(&log).unwrap() {
        fs.remove_file(&log.join(name)).unwrap();
    }
    let (mut spool, counters) = open(&fs, LIMIT);
    put(&mut spool, &counters, 20, 10);
    assert_eq!(times(&mut spool, usize::MAX), [20]);
}

/// Appends ten records and settles three of them. What was acknowledged: how many were appended,
/// how many settled, and how many may have been settled.
fn scenario(fs: &SimFs) -> (i64, i64, i64) {
    let (mut appended, mut settled, mut maybe_settled) = (0, 0, 0);
    let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
    let Ok(mut spool) = Spool::open(&vfs, Path::new(DIR), LIMIT, Arc::default()) else {
        return (0, 0, 0);
    };
    for number in 1..=10 {
        if spool.append(&record(number, 500), 0).is_ok() {
            appended = number.cast_signed();
        } else {
            break;
        }
        if number % 3 == 0 && spool.peek(1).is_ok_and(|records| records.count() == 1) {
            maybe_settled += 1;
            if spool.settle(1).is_err() {
                break;
            }
            settled = maybe_settled;
        }
    }
    (appended, settled, maybe_settled)
}

#[test]
fn what_was_spooled_survives_a_power_cut_at_any_call() {
    let whole = SimFs::new(5);
    assert_eq!(scenario(&whole), (10, 3, 3));
    for calls in 0..whole.calls() {
        for seed in 0..3 {
            let fs = SimFs::new(seed);
            fs.power_off_after(calls);
            let (appended, settled, maybe_settled) = scenario(&fs);
            let (mut spool, counters) = open(&fs.crash(seed), LIMIT);
            let found = times(&mut spool, usize::MAX);
            let first = found.first().copied().unwrap_or(appended + 1);
            assert!(
                (settled + 1..=maybe_settled + 1).contains(&first),
                "cut at call {calls}, seed {seed}: settled {settled}, found {found:?}"
            );
            let end = first + found.len() as i64;
            assert_eq!(found, (first..end).collect::<Vec<_>>());
            // One record may be there without having been acknowledged.
            assert!(
                end == appended + 1 || end == appended + 2,
                "cut at call {calls}, seed {seed}: appended {appended}, found {found:?}"
            );
            assert_eq!(counters.read().buffered, spool.lines());
        }
    }
}

#[test]
fn a_lock_that_is_about_to_go_is_waited_for() {
    // After `kill -9` the lock stays until the last thread of the killed agent is gone: one that was started at
    // once found its spool in use, and ended.
    let fs = SimFs::new(11);
    let (mut first, counters) = open(&fs, LIMIT);
    put(&mut first, &counters, 1, 100);
    let second = std::thread::spawn(move || open(&fs, LIMIT).0.lines());
    // Whether it waits already or not: as long as the first is there, the second is not.
    std::thread::sleep(LOCK_PAUSE * 3);
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(second.join().unwrap(), 2);
}

#[test]
fn a_lock_that_stays_is_an_error() {
    let fs = SimFs::new(12);
    let (_first, counters) = open(&fs, LIMIT);
    let vfs: Arc<dyn Vfs> = Arc::new(fs);
    let error = Spool::open_within(LOCK_PAUSE * 2, &vfs, Path::new(DIR), LIMIT, counters);
    assert!(matches!(error, Err(tandem_seglog::Error::Locked { .. })));
}
