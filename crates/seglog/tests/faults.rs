//! A full disk fails what it concerns and no more; a failed sync stops the log for good.

mod support;

use std::io::ErrorKind;

use support::{small, try_open};
use tandem_seglog::{Error, Log, Options, Ticket};
use tandem_testkit::SimFs;

fn commit(log: &Log, record: &[u8]) -> Result<Ticket, Error> {
    let ticket = log.append(&[record])?;
    log.commit(&ticket)?;
    Ok(ticket)
}

#[test]
fn a_full_disk_fails_the_group_and_gives_its_numbers_out_again() {
    let fs = SimFs::new(3);
    let (log, ..) = try_open(&fs, small()).unwrap();
    commit(&log, b"one").unwrap();
    fs.set_capacity(Some(fs.used_bytes() + 40));
    let second = log.append(&[b"two"]).unwrap();
    let third = log.append(&[&[3; 50]]).unwrap();
    assert_eq!((second.sequence(), third.sequence()), (2, 3));
    let error = log.commit(&second).unwrap_err();
    assert!(error.is_storage_full(), "{error}");
    assert!(log.commit(&third).unwrap_err().is_storage_full());
    assert_eq!((log.durable_end(), log.next_sequence()), (2, 2));
    // Still full.
    assert!(commit(&log, &[9; 50]).unwrap_err().is_storage_full());

    fs.set_capacity(None);
    let again = commit(&log, b"TWO").unwrap();
    assert_eq!(again.sequence(), 2);
    // The number is durable, the record that had it first is not.
    assert!(log.commit(&second).unwrap_err().is_storage_full());
    drop(log);
    for seed in 0..20 {
        let (_, recovery, found) = try_open(&fs.crash(seed), small()).unwrap();
        assert_eq!(found, [(1, b"one".to_vec()), (2, b"TWO".to_vec())]);
        assert_eq!(recovery.corruptions, []);
    }
}

#[test]
fn a_disk_that_is_full_when_a_segment_is_begun_is_waited_out() {
    let fs = SimFs::new(4);
    let options = Options {
        reserve: true,
        ..small()
    };
    let (log, ..) = try_open(&fs, options.clone()).unwrap();
    commit(&log, &[1; 200]).unwrap();
    fs.set_capacity(Some(fs.used_bytes() + 100));
    for _ in 0..3 {
        assert!(commit(&log, &[2; 200]).unwrap_err().is_storage_full());
    }
    assert_eq!(log.segments(), 1);
    fs.set_capacity(None);
    commit(&log, &[3; 200]).unwrap();
    assert_eq!(log.segments(), 2);
    drop(log);
    let (_, recovery, found) = try_open(&fs.crash(0), options).unwrap();
    assert_eq!(found, [(1, vec![1; 200]), (2, vec![3; 200])]);
    assert_eq!((recovery.torn_tail, recovery.corruptions), (None, vec![]));
}

/// The header of a segment that could not be begun may have reached the disk and tells where the one before ends: a record written there
/// afterwards would be taken for one too many.
#[test]
fn a_segment_that_was_not_begun_hides_nothing() {
    for call in 0..5 {
        for seed in 0..200 {
            let fs = SimFs::new(seed);
            let (log, ..) = try_open(&fs, small()).unwrap();
            commit(&log, b"one").unwrap();
            fs.fail_after(call, ErrorKind::Other);
            if log.rotate().is_ok() {
                continue;
            }
            if commit(&log, b"two").is_err() {
                log.check().unwrap_err();
                continue;
            }
            drop(log);
            let whole = [(1, b"one".to_vec()), (2, b"two".to_vec())];
            let (log, recovery, found) = try_open(&fs, small()).unwrap();
            assert_eq!(
                (&found[..], &recovery.corruptions[..]),
                (&whole[..], &[][..])
            );
            drop(log);
            let (.., found) = try_open(&fs.crash(seed), small()).unwrap();
            assert_eq!(found, whole, "call {call}, seed {seed}");
        }
    }
}

#[test]
fn a_failed_sync_stops_the_log_and_is_not_retried() {
    let fs = SimFs::new(5);
    let (log, ..) = try_open(&fs, small()).unwrap();
    commit(&log, b"one").unwrap();
    let second = log.append(&[b"two"]).unwrap();
    // The write goes through, the sync does not.
    fs.fail_after(1, ErrorKind::Other);
    let error = log.commit(&second).unwrap_err();
    assert!(matches!(error, Error::Io { action: "sync", .. }), "{error}");
    let calls = fs.calls();
    assert!(matches!(log.append(&[b"x"]), Err(Error::Failed { .. })));
    assert!(matches!(log.check(), Err(Error::Failed { .. })));
    assert!(matches!(log.rotate(), Err(Error::Failed { .. })));
    assert!(matches!(log.cut_below(2), Err(Error::Failed { .. })));
    assert!(matches!(log.commit_all(), Err(Error::Failed { .. })));
    log.commit(&second).unwrap_err();
    assert_eq!(fs.calls(), calls, "nothing was tried again");
    // What was durable can still be read.
    let mut reader = log.reader(0);
    assert_eq!(reader.next().unwrap(), Some((1, b"one".to_vec())));
    assert_eq!(reader.next().unwrap(), None);
}

/// Whoever waited for what was staged then, and for its numbers, waited for ever.
#[test]
fn a_failed_sync_of_a_cut_fails_what_is_staged() {
    let fs = SimFs::new(7);
    let (log, ..) = try_open(&fs, small()).unwrap();
    commit(&log, b"one").unwrap();
    log.rotate().unwrap();
    let staged = log.append(&[b"two"]).unwrap();
    // The segment goes, the sync of its directory does not get through.
    fs.fail_after(1, ErrorKind::Other);
    log.cut_below(2).unwrap_err();
    assert!(log.check().is_err());
    assert_eq!((log.durable_end(), log.next_sequence()), (2, 2));
    let error = log.commit(&staged).unwrap_err();
    assert!(matches!(error, Error::Io { action: "sync", .. }), "{error}");
}

/// As with a cut; what was written before the segment was begun is durable all the same.
#[test]
fn a_failed_sync_of_a_new_segment_fails_what_was_staged_meanwhile() {
    let mut stopped = 0;
    for call in 0..10 {
        let fs = SimFs::new(7);
        let (log, ..) = try_open(&fs, small()).unwrap();
        let first = log.append(&[b"one"]).unwrap();
        fs.hold_syncs();
        let second = std::thread::scope(|scope| {
            let rotation = scope.spawn(|| log.rotate());
            fs.wait_for_held_syncs(1);
            let second = log.append(&[b"two"]).unwrap();
            fs.fail_after(call, ErrorKind::Other);
            fs.release_syncs();
            let _ = rotation.join().unwrap();
            second
        });
        fs.calm();
        if log.check().is_err() && log.durable_end() == 2 {
            stopped += 1;
            log.commit(&first).unwrap();
            assert_eq!(log.next_sequence(), 2, "call {call}");
            let error = log.commit(&second).unwrap_err();
            assert!(matches!(error, Error::Io { action: "sync", .. }), "{error}");
        }
    }
    assert!(stopped > 0);
}

/// After a failed sync the kernel shows pages that the disk never got. A log that is opened on them and says that they are
/// durable has to make them so.
#[test]
fn what_a_failed_sync_left_is_durable_once_it_was_visited() {
    let mut seen = 0;
    for seed in 0..60 {
        let fs = SimFs::new(seed);
        let (log, ..) = try_open(&fs, small()).unwrap();
        commit(&log, b"one").unwrap();
        let second = log.append(&[&[2; 100]]).unwrap();
        fs.fail_after(1, ErrorKind::Other);
        log.commit(&second).unwrap_err();
        drop(log);
        let (log, _, found) = try_open(&fs, small()).unwrap();
        seen += found.len() - 1;
        drop(log);
        let (.., again) = try_open(&fs.crash(seed), small()).unwrap();
        assert_eq!(found, again, "seed {seed}");
    }
    assert_eq!(seen, 60);
}

/// The cut behind a group that failed may be lost by a failed sync while the system takes it for done. A log that is opened then
/// shows no record there, and none may turn up later.
#[test]
fn what_an_open_did_not_show_does_not_turn_up_later() {
    let mut cut = 0;
    for seed in 0..300 {
        let fs = SimFs::new(seed);
        let (log, ..) = try_open(&fs, small()).unwrap();
        commit(&log, b"one").unwrap();
        // Written in part, the first record whole.
        log.append(&[b"two"]).unwrap();
        fs.set_capacity(Some(fs.used_bytes() + 80));
        // The write fails, the cut behind it goes through, the sync of that does not.
        fs.fail_after(2, ErrorKind::Other);
        commit(&log, &[3; 100]).unwrap_err();
        fs.set_capacity(None);
        commit(&log, b"TWO").unwrap_err();
        log.check().unwrap_err();
        drop(log);
        let (log, _, shown) = try_open(&fs, small()).unwrap();
        cut += usize::from(shown.len() == 1);
        drop(log);
        let (.., found) = try_open(&fs.crash(seed), small()).unwrap();
        assert_eq!(found, shown, "seed {seed}");
    }
    assert_eq!(cut, 300);
}

/// A record whose write failed is gone at once, not only when the next one is written: another log may go on as if it had
/// never been.
#[test]
fn a_record_whose_write_failed_is_not_found_although_nothing_followed_it() {
    for seed in 0..300 {
        let fs = SimFs::new(seed);
        let (log, ..) = try_open(&fs, small()).unwrap();
        commit(&log, b"one").unwrap();
        fs.fail_after(0, ErrorKind::Other);
        commit(&log, b"two").unwrap_err();
        log.check().unwrap();
        drop(log);
        let (.., found) = try_open(&fs.crash(seed), small()).unwrap();
        assert_eq!(found.len(), 1, "seed {seed}");
    }
}

/// A group that failed must not come back behind its successors because the bytes fit: [a b] fails after it was written, then [A] is
/// committed over a, and b lies where the next record would.
#[test]
fn what_is_left_of_a_failed_group_never_follows_its_successor() {
    use std::path::Path;
    use tandem_vfs::Vfs;
    let fs = SimFs::new(6);
    let (log, ..) = try_open(&fs, small()).unwrap();
    commit(&log, b"one").unwrap();
    log.append(&[b"a"]).unwrap();
    let failed = log.append(&[b"b"]).unwrap();
    log.commit(&failed).unwrap();
    drop(log);
    let names = fs.read_dir(Path::new(support::DIR)).unwrap();
    let name = names.iter().find(|name| name.ends_with(".seg")).unwrap();
    let path = Path::new(support::DIR).join(name);
    let file = fs.open(&path).unwrap();
    let mut old = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut old, 0).unwrap();
    // The same log, cut back to its first record and gone on differently.
    let first_bytes = 48 + 32 + 3;
    file.set_len(first_bytes).unwrap();
    let (log, ..) = try_open(&fs, small()).unwrap();
    commit(&log, b"A").unwrap();
    drop(log);
    let end = file.len().unwrap();
    assert_eq!(end, first_bytes + 33);
    file.write_all_at(&old[end as usize..], end).unwrap();
    let (_, recovery, found) = try_open(&fs, small()).unwrap();
    assert_eq!(found, [(1, b"one".to_vec()), (2, b"A".to_vec())]);
    assert_eq!(recovery.torn_tail.unwrap().bytes, 33);
    assert_eq!(recovery.corruptions, []);
}
