//! Files of cut segments are written again: they are, there are not too many, and what they held before neither passes for
//! records nor hides or feigns damage.

mod support;

use std::path::{Path, PathBuf};

use support::{DIR, Record, recycling, try_open};
use tandem_seglog::{Error, Log, Options, Sequence};
use tandem_testkit::{Rng, SimFs};
use tandem_vfs::Vfs;

fn files(fs: &SimFs, ending: &str) -> Vec<PathBuf> {
    let mut names = fs.read_dir(Path::new(DIR)).unwrap();
    names.retain(|name| name.ends_with(ending));
    names.sort();
    names.iter().map(|name| Path::new(DIR).join(name)).collect()
}

fn read(fs: &SimFs, path: &Path) -> Vec<u8> {
    let file = fs.open_read(path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn commit(log: &Log, record: &[u8]) -> Sequence {
    let ticket = log.append(&[record]).unwrap();
    log.commit(&ticket).unwrap();
    ticket.sequence()
}

/// A log whose last segment has two records, in a file that had held three: the third old one lies where the next new one goes.
fn recycled() -> (SimFs, Vec<Record>) {
    let fs = SimFs::new(1);
    let (log, ..) = try_open(&fs, recycling()).unwrap();
    let mut rng = Rng::new(2);
    for length in [60, 60, 20].repeat(3) {
        commit(&log, &rng.bytes(length));
    }
    log.rotate().unwrap();
    log.cut_below(log.next_sequence()).unwrap();
    assert_eq!((log.segments(), log.spares()), (1, 2));
    let mut written = Vec::new();
    for length in [50, 100, 90, 30] {
        let record = rng.bytes(length);
        written.push((commit(&log, &record), record));
    }
    assert_eq!((log.segments(), log.spares()), (2, 1));
    drop(log);
    (fs, written)
}

/// Where the last segment of [`recycled`] ends.
const END: usize = 48 + 122 + 62;

/// Opens a copy of the disk.
fn reopened(fs: &SimFs) -> (Log, tandem_seglog::Recovery, Vec<Record>) {
    try_open(&fs.crash(1), recycling()).unwrap()
}

#[test]
fn a_file_is_written_again_and_what_it_held_is_nothing() {
    let (fs, written) = recycled();
    let last = files(&fs, ".seg").pop().unwrap();
    assert_eq!(
        read(&fs, &last).len(),
        END + 52,
        "an old record lies behind"
    );
    let (log, recovery, found) = reopened(&fs);
    assert_eq!(found, written);
    assert_eq!((recovery.torn_tail, recovery.corruptions), (None, vec![]));
    assert_eq!(commit(&log, b"more"), written[3].0 + 1);
}

#[test]
fn no_more_are_kept_than_asked_and_none_once_they_are_given_back() {
    let fs = SimFs::new(1);
    let (log, ..) = try_open(&fs, recycling()).unwrap();
    for _ in 0..20 {
        commit(&log, &[7; 150]);
    }
    assert!(log.segments() > 10);
    log.cut_below(log.next_sequence()).unwrap();
    assert_eq!((log.spares(), files(&fs, ".spare").len()), (2, 2));
    // A recycled one is the last.
    log.rotate().unwrap();
    commit(&log, b"x");
    log.cut_below(log.next_sequence()).unwrap();
    log.release_spares().unwrap();
    assert_eq!(files(&fs, ".spare"), [] as [PathBuf; 0]);
    let left = files(&fs, ".seg");
    assert_eq!(left.len(), 1);
    assert_eq!(read(&fs, &left[0]).len(), 48 + 33);
    commit(&log, b"y");
    drop(log);

    // Asked for fewer at the next opening.
    let (log, ..) = try_open(&fs, recycling()).unwrap();
    log.rotate().unwrap();
    log.cut_below(log.next_sequence()).unwrap();
    assert_eq!(log.spares(), 1);
    drop(log);
    let none = Options {
        spare_segments_max: 0,
        ..recycling()
    };
    let (log, ..) = try_open(&fs, none).unwrap();
    assert_eq!((log.spares(), files(&fs, ".spare").len()), (0, 0));
}

/// Old records must not stand in for a group that was cut short, nor make it look like damage.
#[test]
fn a_group_cut_short_over_old_records_is_torn() {
    let (fs, written) = recycled();
    let last = files(&fs, ".seg").pop().unwrap();
    let before = read(&fs, &last);
    let (log, ..) = try_open(&fs, recycling()).unwrap();
    log.append(&[&[1; 40]]).unwrap();
    commit(&log, &[2; 40]);
    drop(log);
    let after = read(&fs, &last);
    // Every way to get only a part of the group in one piece, old bytes behind it.
    for cut in END..after.len() {
        let fs = fs.crash(3);
        let file = fs.open(&last).unwrap();
        let mixed = [&after[..cut], before.get(cut..).unwrap_or_default()].concat();
        file.write_all_at(&mixed, 0).unwrap();
        file.sync_data().unwrap();
        let (_, recovery, found) = reopened(&fs);
        assert_eq!(recovery.corruptions, [], "cut at {cut}");
        let whole = usize::from(cut >= END + 72);
        assert_eq!(found.len(), written.len() + whole, "cut at {cut}");
        assert_eq!(found[..written.len()], written);
    }
}

/// Damage to a record that had been synced is told from old bytes.
#[test]
fn every_changed_byte_is_noticed_and_costs_one_record() {
    let (fs, written) = recycled();
    let begins = u64::from_le_bytes(
        *read(&fs, &files(&fs, ".seg")[1])[24..]
            .first_chunk()
            .unwrap(),
    );
    assert_eq!(begins, written[2].0);
    let paths = [files(&fs, ".seg"), files(&fs, ".spare")].concat();
    let contents: Vec<_> = paths.iter().map(|path| read(&fs, path)).collect();
    for (path, bytes) in paths.iter().zip(contents) {
        for (offset, byte) in bytes.iter().enumerate() {
            let at = format!("{}, byte {offset}", path.display());
            let fs = fs.crash(7);
            let file = fs.open(path).unwrap();
            file.write_all_at(&[!byte], offset as u64).unwrap();
            file.sync_data().unwrap();
            let (log, recovery, found) = reopened(&fs);
            for (n, record) in &found {
                assert!(written.contains(&(*n, record.clone())), "{at}");
            }
            for (n, _) in written.iter().filter(|r| !found.contains(r)) {
                // Nothing proves that the last group had been synced.
                let said = recovery.corruptions.iter().any(|c| c.sequences.contains(n));
                assert!(
                    said || *n == written[3].0,
                    "{at}: {n} is missing: {recovery:?}"
                );
            }
            assert!(found.len() + 1 >= written.len(), "{at}");
            assert!(commit(&log, b"more") > written[2].0, "{at}");
        }
    }
}

/// A reader has the file open while its segment is cut and the file is written again.
#[test]
fn a_reader_goes_on_when_its_file_has_become_another_segment() {
    let fs = SimFs::new(3);
    let options = Options {
        segment_bytes_max: 1 << 20,
        record_bytes_max: 1 << 20,
        spare_segments_max: 2,
        ..Options::default()
    };
    let (log, ..) = try_open(&fs, options).unwrap();
    let mut rng = Rng::new(4);
    let mut add = || commit(&log, &rng.bytes(10_000));
    let mut reader = log.reader(0);
    for _ in 0..90 {
        add();
    }
    assert_eq!(log.segments(), 1);
    assert_eq!(reader.next().unwrap().unwrap().0, 1);
    log.rotate().unwrap();
    log.cut_below(log.next_sequence()).unwrap();
    assert_eq!(log.spares(), 1);
    log.rotate().unwrap();
    let first = add();
    log.rotate().unwrap();
    assert_eq!(log.spares(), 0, "the file is in use again");
    // The reader looks where its second record was; there is none of its segment any more.
    assert_eq!(reader.next().unwrap().unwrap().0, first);
    assert_eq!(reader.next().unwrap(), None);
}

/// Readers run while a writer cuts and writes files again as fast as it can.
#[test]
fn readers_never_take_new_bytes_for_damage() {
    let fs = SimFs::new(5);
    let options = Options {
        segment_bytes_max: 8 << 10,
        spare_segments_max: 3,
        ..Options::default()
    };
    let (log, ..) = try_open(&fs, options).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut reader = log.reader(0);
                let mut last = 0;
                while !done.load(std::sync::atomic::Ordering::Acquire) {
                    match reader.next() {
                        Ok(Some((n, record))) => {
                            assert!(n > last);
                            assert_eq!(record, n.to_le_bytes().repeat(100), "record {n}");
                            last = n;
                        }
                        Ok(None) => std::thread::yield_now(),
                        Err(e) => panic!("{e}"),
                    }
                }
                assert!(last > 0);
            });
        }
        for n in 1..=4000_u64 {
            assert_eq!(commit(&log, &n.to_le_bytes().repeat(100)), n);
            if n % 16 == 0 {
                log.cut_below(n - 10).unwrap();
            }
        }
        done.store(true, std::sync::atomic::Ordering::Release);
    });
    assert!(log.spares() > 0);
}

/// A damaged segment has a second name; its file must not be written again under it.
#[test]
fn the_bytes_of_a_damaged_segment_are_not_written_over() {
    let (fs, _) = recycled();
    let path = &files(&fs, ".seg")[0];
    let file = fs.open(path).unwrap();
    file.write_all_at(b"?", 48 + 40).unwrap();
    file.sync_data().unwrap();
    let damaged = read(&fs, path);
    let (log, recovery, _) = try_open(&fs, recycling()).unwrap();
    let kept = recovery.corruptions[0].kept.clone().unwrap();
    for _ in 0..10 {
        log.rotate().unwrap();
        commit(&log, &[9; 100]);
        log.cut_below(log.next_sequence()).unwrap();
    }
    assert_eq!(read(&fs, &kept), damaged);
}

#[test]
fn a_full_disk_does_not_stop_what_is_written_over() {
    let fs = SimFs::new(6);
    let (log, ..) = try_open(&fs, recycling()).unwrap();
    for _ in 0..6 {
        commit(&log, &[1; 150]);
    }
    log.cut_below(log.next_sequence()).unwrap();
    fs.set_capacity(Some(fs.used_bytes()));
    assert_eq!(log.spares(), 2);
    log.rotate().unwrap();
    commit(&log, &[2; 100]);
    log.rotate().unwrap();
    commit(&log, &[3; 100]);
    let error = log.rotate().and_then(|()| {
        let ticket = log.append(&[b"x"])?;
        log.commit(&ticket)
    });
    assert!(matches!(&error, Err(e) if e.is_storage_full()), "{error:?}");
    assert!(!matches!(log.check(), Err(Error::Failed { .. })));
}
