//! The power goes at every call of a scenario: what was acknowledged is found, in order and without a hole, and nothing that
//! was never staged; what is found once stays found.

mod support;

use std::path::Path;

use support::{Promises, recycling, small, try_open};
use tandem_seglog::{Cursor, Error, Log, Options};
use tandem_testkit::{Rng, SimFs};
use tandem_vfs::Vfs;

/// A short life of a log, noted as it goes: groups of several records, full segments, a rotation, cuts, a clean reopening.
fn live(fs: &SimFs, options: &Options, promises: &mut Promises) -> Result<(), Error> {
    for round in 0..3_u8 {
        let (log, recovery, found) = try_open(fs, options.clone())?;
        promises.check(&recovery, &found).unwrap();
        for step in 0..5_u8 {
            for part in 0..=step % 3 {
                let body = vec![round * 16 + step; 20 * usize::from(step)];
                let ticket = log.append(&[&[part], &body])?;
                promises.staged(ticket.sequence(), &[&[part][..], &body].concat());
                if part == step % 3 {
                    log.commit(&ticket)?;
                    promises.durable_below(ticket.sequence() + 1);
                }
            }
        }
        if round == 1 {
            log.rotate()?;
            promises.cut = log.next_sequence() - 3;
            log.cut_below(promises.cut)?;
        }
        if options.spare_segments_max > 0 {
            recycle(&log, promises)?;
        }
    }
    Ok(())
}

/// Goes on in files that were cut, which are longer than what is written to them, and gives the others back.
fn recycle(log: &Log, promises: &mut Promises) -> Result<(), Error> {
    for length in [150_u8, 90, 90, 30, 10] {
        promises.cut = log.next_sequence() - 1;
        log.cut_below(promises.cut)?;
        let ticket = log.append(&[&vec![length; length.into()]])?;
        promises.staged(ticket.sequence(), &vec![length; length.into()]);
        log.commit(&ticket)?;
        promises.durable_below(ticket.sequence() + 1);
    }
    if promises.cut > 40 {
        log.release_spares()?;
    }
    Ok(())
}

fn with_parent(seed: u64) -> SimFs {
    let fs = SimFs::new(seed);
    fs.create_dir_all(Path::new("/data")).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    fs
}

#[test]
fn nothing_acknowledged_is_lost_at_any_call() {
    power_goes_at_every_call(&small());
}

#[test]
fn nothing_acknowledged_is_lost_at_any_call_where_files_are_written_again() {
    power_goes_at_every_call(&recycling());
}

fn power_goes_at_every_call(options: &Options) {
    let fs = with_parent(0);
    let before = fs.calls();
    live(&fs, options, &mut Promises::default()).unwrap();
    let calls = fs.calls() - before;
    assert!(calls > 100, "{calls}");
    for call in 0..calls {
        let fs = with_parent(call);
        let mut promises = Promises::default();
        fs.power_off_after(call);
        live(&fs, options, &mut promises).unwrap_err();
        for seed in 0..24 {
            let at = format!("power off at call {call}, crash {seed}");
            let mut promises = promises.clone();
            let fs = fs.crash(seed);
            let (log, recovery, found) = try_open(&fs, options.clone()).unwrap();
            promises
                .check(&recovery, &found)
                .unwrap_or_else(|e| panic!("{at}: {e}"));
            // What was visited is durable, with nothing done since.
            drop(log);
            let fs = fs.crash(seed);
            let (log, recovery, again) = try_open(&fs, options.clone()).unwrap();
            assert_eq!((&again, &recovery.torn_tail), (&found, &None), "{at}");
            // And the log goes on.
            let ticket = log.append(&[b"more"]).unwrap();
            log.commit(&ticket).unwrap();
            promises.staged(ticket.sequence(), b"more");
            promises.durable_below(log.durable_end());
            drop(log);
            let (_, recovery, found) = try_open(&fs.crash(seed), options.clone()).unwrap();
            promises
                .check(&recovery, &found)
                .unwrap_or_else(|e| panic!("{at}, later: {e}"));
        }
    }
}

/// Each call fails in turn, once. The program goes on where it can, opens the log again where that has stopped, and
/// then the power goes.
#[test]
fn nothing_acknowledged_is_lost_when_any_call_fails() {
    every_call_fails(&small());
}

#[test]
fn nothing_acknowledged_is_lost_when_any_call_fails_where_files_are_written_again() {
    every_call_fails(&recycling());
}

fn every_call_fails(options: &Options) {
    let fs = with_parent(0);
    let before = fs.calls();
    live(&fs, options, &mut Promises::default()).unwrap();
    let calls = fs.calls() - before;
    let mut failed = 0;
    for call in 0..calls {
        for seed in 0..6 {
            let at = format!("call {call} fails, seed {seed}");
            let fs = with_parent(seed);
            let mut promises = Promises::default();
            fs.fail_after(call, std::io::ErrorKind::Other);
            failed += u32::from(live(&fs, options, &mut promises).is_err());
            assert!(!fs.fault_is_pending(), "{at}");
            let (log, recovery, found) = try_open(&fs, options.clone()).unwrap();
            promises
                .check(&recovery, &found)
                .unwrap_or_else(|e| panic!("{at}: {e}"));
            let ticket = log.append(&[b"more"]).unwrap();
            log.commit(&ticket).unwrap();
            promises.staged(ticket.sequence(), b"more");
            promises.durable_below(log.durable_end());
            drop(log);
            let (_, recovery, found) = try_open(&fs.crash(seed), options.clone()).unwrap();
            promises
                .check(&recovery, &found)
                .unwrap_or_else(|e| panic!("{at}, after a crash: {e}"));
        }
    }
    assert!(failed > 100, "{failed}");
}

/// A directory that was made and not synced would vanish with all acknowledged records.
#[test]
fn the_directories_above_are_made_durable() {
    let fs = SimFs::new(1);
    let (log, ..) = try_open(&fs, small()).unwrap();
    let ticket = log.append(&[b"x"]).unwrap();
    log.commit(&ticket).unwrap();
    for seed in 0..20 {
        let (.., found) = try_open(&fs.crash(seed), small()).unwrap();
        assert_eq!(found, [(1, b"x".to_vec())]);
    }
}

#[test]
fn a_cursor_is_at_its_last_value_or_the_one_being_stored() {
    let path = Path::new("/data/cursor");
    // Returns the last value acknowledged, and the one that was being stored.
    let live = |fs: &SimFs| -> (Option<u64>, u64) {
        let mut acknowledged = None;
        for round in 0..3 {
            let Ok(mut cursor) = Cursor::open(fs, path) else {
                return (acknowledged, acknowledged.unwrap_or(0));
            };
            acknowledged = Some(cursor.value());
            for step in 1..4 {
                let value = round * 10 + step;
                let payload = Rng::new(value).bytes(value as usize * 9);
                if cursor.store_with(value, &payload).is_err() {
                    return (acknowledged, value);
                }
                acknowledged = Some(value);
            }
        }
        (acknowledged, 23)
    };
    let fs = with_parent(0);
    let before = fs.calls();
    assert_eq!(live(&fs), (Some(23), 23));
    let calls = fs.calls() - before;
    let verify = |fs: &SimFs, acknowledged: Option<u64>, asked: u64, at: &str| {
        let cursor = Cursor::open(fs, path).unwrap_or_else(|e| panic!("{at}: {e}"));
        let value = cursor.value();
        let known = [acknowledged.unwrap_or(0), asked];
        assert!(known.contains(&value), "{at}: {value} of {known:?}");
        let payload = Rng::new(value).bytes(value as usize * 9);
        assert_eq!(cursor.payload(), payload, "{at}");
        value
    };
    for call in 0..calls {
        let off = with_parent(call);
        off.power_off_after(call);
        let (acknowledged, asked) = live(&off);
        let faulty = with_parent(call);
        faulty.fail_after(call, std::io::ErrorKind::Other);
        let (acknowledged_there, asked_there) = live(&faulty);
        let at = format!("call {call} fails");
        let found = verify(&faulty, acknowledged_there, asked_there, &at);
        for seed in 0..24 {
            let at = format!("call {call}, crash {seed}");
            let fs = off.crash(seed);
            let value = verify(&fs, acknowledged, asked, &at);
            assert_eq!(verify(&fs.crash(seed), Some(value), value, &at), value);
            // What an open has shown is durable, also where a failed sync left only the system's word for it.
            verify(&faulty.crash(seed), Some(found), found, &at);
        }
    }
}

#[test]
fn a_cursor_whose_sync_failed_goes_on_in_a_new_file() {
    let path = Path::new("/data/cursor");
    // Gives the last value that was acknowledged, and the last that was to be stored.
    let live = |fs: &SimFs| {
        let Ok(mut cursor) = Cursor::open(fs, path) else {
            return (0, 0);
        };
        let mut acknowledged = cursor.value();
        for value in 1..6 {
            let mut stored = cursor.store(value);
            for _ in 0..3 {
                stored = stored.or_else(|_| cursor.store_anew(fs, value));
            }
            if stored.is_err() {
                return (acknowledged, value);
            }
            acknowledged = value;
        }
        (acknowledged, 5)
    };
    let fs = with_parent(0);
    let before = fs.calls();
    assert_eq!(live(&fs), (5, 5));
    let calls = fs.calls() - before;
    let mut mended = 0;
    for call in 0..calls {
        let faulty = with_parent(call);
        faulty.fail_after(call, std::io::ErrorKind::Other);
        let (acknowledged, _) = live(&faulty);
        mended += u64::from(acknowledged == 5);
        for seed in 0..8 {
            let fs = faulty.crash(seed);
            let cursor = Cursor::open(&fs, path).unwrap();
            assert_eq!(cursor.value(), acknowledged, "call {call}, crash {seed}");
        }
        for off_after in 0..8 {
            let off = with_parent(call);
            off.fail_after(call, std::io::ErrorKind::Other);
            off.power_off_after(call + off_after);
            let (acknowledged, asked) = live(&off);
            for seed in 0..8 {
                let at = format!("call {call}, off after {off_after}, crash {seed}");
                let cursor = Cursor::open(&off.crash(seed), path).unwrap();
                let value = cursor.value();
                assert!(value == acknowledged || value == asked, "{at}: {value}");
            }
        }
    }
    assert!(mended > calls / 2, "{mended} of {calls}");
    let mut cursor = Cursor::open(&fs, path).unwrap();
    let backwards = cursor.store_anew(&fs, 4).unwrap_err();
    assert!(matches!(backwards, Error::Backwards { .. }));
}
