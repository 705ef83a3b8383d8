//! Threads share one sync, stage while it runs, and fail together.

mod support;

use std::thread;
use std::time::Duration;

use support::{small, try_open};
use tandem_seglog::{Error, Options};
use tandem_testkit::SimFs;

#[test]
fn records_staged_during_a_sync_go_with_the_next() {
    let fs = SimFs::new(1);
    let (log, ..) = try_open(&fs, Options::default()).unwrap();
    let before = fs.data_syncs();
    fs.hold_syncs();
    let first = log.append(&[b"first"]).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| log.commit(&first).unwrap());
        fs.wait_for_held_syncs(1);
        // Staging is not held up, and nothing is durable yet.
        let tickets: Vec<_> = (0..20).map(|n| log.append(&[&[n]]).unwrap()).collect();
        assert_eq!(log.durable_end(), 1);
        for ticket in tickets {
            let log = &log;
            scope.spawn(move || log.commit(&ticket).unwrap());
        }
        fs.release_syncs();
    });
    assert_eq!(log.durable_end(), 22);
    assert_eq!(fs.data_syncs() - before, 2);
}

#[test]
fn what_was_staged_behind_a_failing_group_fails_with_it() {
    let fs = SimFs::new(2);
    let (log, ..) = try_open(&fs, Options::default()).unwrap();
    fs.hold_syncs();
    let first = log.append(&[b"first"]).unwrap();
    let second = thread::scope(|scope| {
        let leader = scope.spawn(|| log.commit(&first).unwrap_err());
        fs.wait_for_held_syncs(1);
        let second = log.append(&[b"second"]).unwrap();
        fs.fail_after(0, std::io::ErrorKind::Other);
        fs.release_syncs();
        leader.join().unwrap();
        second
    });
    let error = log.commit(&second).unwrap_err();
    assert!(matches!(error, Error::Io { action: "sync", .. }), "{error}");
}

#[test]
fn a_reader_never_sees_what_is_not_durable() {
    let fs = SimFs::new(3);
    let (log, ..) = try_open(&fs, Options::default()).unwrap();
    let mut reader = log.reader(1);
    fs.hold_syncs();
    let ticket = log.append(&[b"x"]).unwrap();
    thread::scope(|scope| {
        let leader = scope.spawn(|| log.commit(&ticket).unwrap());
        fs.wait_for_held_syncs(1);
        assert_eq!(reader.next().unwrap(), None);
        fs.release_syncs();
        leader.join().unwrap();
    });
    assert_eq!(reader.next().unwrap(), Some((1, b"x".to_vec())));
}

#[test]
fn a_leader_that_gathers_takes_along_who_comes_in_time() {
    let fs = SimFs::new(4);
    let options = Options {
        // Far longer than the test may take: it ends because the buffer is full.
        commit_delay: Duration::from_secs(600),
        pending_bytes_max: 1000,
        ..Options::default()
    };
    let (log, ..) = try_open(&fs, options).unwrap();
    let before = fs.data_syncs();
    thread::scope(|scope| {
        for n in 0..10_u8 {
            let log = &log;
            scope.spawn(move || {
                let ticket = log.append(&[&[n; 70]]).unwrap();
                log.commit(&ticket).unwrap();
            });
        }
    });
    assert_eq!(fs.data_syncs() - before, 1);
    assert_eq!(log.durable_end(), 11);
}

#[test]
fn staging_without_committing_is_bounded() {
    let fs = SimFs::new(5);
    let options = Options {
        pending_bytes_max: 1000,
        ..Options::default()
    };
    let (log, ..) = try_open(&fs, options).unwrap();
    let tickets: Vec<_> = (0..100).map(|_| log.append(&[&[7; 68]]).unwrap()).collect();
    assert_eq!(log.durable_end(), 91);
    for ticket in &tickets {
        log.commit(ticket).unwrap();
    }
    assert_eq!(log.durable_end(), 101);
}

/// Readers follow and the old end is cut while eight threads append through full disks.
#[test]
fn a_busy_log_loses_nothing_and_repeats_nothing() {
    let fs = SimFs::new(6);
    let (log, ..) = try_open(&fs, small()).unwrap();
    let writers = 8_u8;
    let acknowledged: Vec<Vec<(u64, u8)>> = thread::scope(|scope| {
        let handles: Vec<_> = (0..writers)
            .map(|writer| {
                let (log, fs) = (log.clone(), fs.clone());
                scope.spawn(move || {
                    let mut done = Vec::new();
                    for n in 0..60 {
                        if writer == 0 && n % 20 == 10 {
                            fs.set_capacity(Some(fs.used_bytes() + 50));
                        }
                        if writer == 1 && n % 5 == 0 {
                            fs.set_capacity(None);
                        }
                        let ticket = log.append(&[&[writer, n], &[0; 40]]);
                        if let Ok(ticket) = ticket
                            && log.commit(&ticket).is_ok()
                        {
                            done.push((ticket.sequence(), n));
                        }
                    }
                    fs.set_capacity(None);
                    done
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    });
    let mut reader = log.reader(0);
    let mut read = Vec::new();
    while let Some((sequence, record)) = reader.next().unwrap() {
        read.push((sequence, record[0], record[1]));
    }
    assert!(read.iter().map(|r| r.0).eq(1..log.durable_end()));
    let mut expected: Vec<_> = acknowledged
        .iter()
        .zip(0..)
        .flat_map(|(done, writer)| done.iter().map(move |(s, n)| (*s, writer, *n)))
        .collect();
    expected.sort_unstable();
    assert_eq!(read, expected);
    log.cut_below(log.durable_end()).unwrap();
    assert_eq!(log.segments(), 1);
}

/// A panic in an encoder under the lock must not stop the others, nor leave half a record.
#[test]
fn an_encoder_that_panics_harms_nobody_else() {
    let fs = SimFs::new(7);
    let (log, ..) = try_open(&fs, small()).unwrap();
    let first = log.append(&[b"first"]).unwrap();
    thread::scope(|scope| {
        let panicking = scope.spawn(|| {
            log.append_with(|_, buf| {
                buf.push(1);
                panic!("on purpose");
            })
        });
        panicking.join().unwrap_err();
    });
    let second = log.append(&[b"second"]).unwrap();
    log.commit(&second).unwrap();
    log.commit(&first).unwrap();
    // One that removes what others staged fails them, and only them.
    let third = log.append(&[b"third"]).unwrap();
    let broken = log.append_with(|_, buf| {
        buf.clear();
        Ok(())
    });
    assert!(matches!(broken, Err(Error::Broken { .. })));
    assert!(matches!(log.commit(&third), Err(Error::Broken { .. })));
    let third = log.append(&[b"THIRD"]).unwrap();
    log.commit(&third).unwrap();
    drop(log);
    let (.., found) = try_open(&fs, small()).unwrap();
    let whole = [&b"first"[..], b"second", b"THIRD"];
    assert!(found.iter().map(|r| &r.1[..]).eq(whole));
}
