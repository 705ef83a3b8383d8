//! Whatever byte is changed on the disk: the log opens, what it visits is right, and what is missing is reported.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::{DIR, Record, small, try_open};
use tandem_seglog::{Cursor, Damage, Error, Options};
use tandem_testkit::{Rng, SimFs};
use tandem_vfs::{File, Vfs};

/// Three segments, each record committed on its own.
fn written() -> (SimFs, Vec<Record>) {
    let fs = SimFs::new(1);
    let (log, ..) = try_open(&fs, small()).unwrap();
    let mut rng = Rng::new(9);
    for length in [10, 0, 90, 60, 70, 80, 5, 6, 30] {
        let ticket = log.append(&[&rng.bytes(length)]).unwrap();
        log.commit(&ticket).unwrap();
    }
    assert_eq!(log.segments(), 3);
    drop(log);
    let (_, recovery, records) = try_open(&fs, small()).unwrap();
    assert_eq!((recovery.torn_tail, recovery.corruptions), (None, vec![]));
    (fs, records)
}

fn segments(fs: &SimFs) -> Vec<PathBuf> {
    let mut names = fs.read_dir(Path::new(DIR)).unwrap();
    names.retain(|name| name.ends_with(".seg"));
    names.sort();
    names.iter().map(|name| Path::new(DIR).join(name)).collect()
}

fn read(fs: &SimFs, path: &Path) -> Vec<u8> {
    let file = fs.open_read(path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Checks one damaged log: what is found is a part of what was written, and what is missing is said to be.
fn check_damaged(fs: &SimFs, whole: &[Record], at: &str) {
    let (log, recovery, found) = try_open(fs, small()).unwrap_or_else(|e| panic!("{at}: {e}"));
    assert!(
        found.iter().all(|record| whole.contains(record)),
        "{at}: wrong data"
    );
    assert!(found.is_sorted_by(|a, b| a.0 < b.0), "{at}: out of order");
    let reported = |n: u64| {
        recovery
            .corruptions
            .iter()
            .any(|c| c.sequences.contains(&n))
    };
    for (n, _) in whole.iter().filter(|record| !found.contains(record)) {
        // The last group has no later one to prove that it had been synced.
        let last_group = *n == 9 && recovery.torn_tail.is_some();
        assert!(
            reported(*n) || last_group,
            "{at}: record {n} is missing: {recovery:?}"
        );
    }
    assert!(
        found.len() + 1 >= whole.len(),
        "{at}: more than one record lost"
    );
    for corruption in &recovery.corruptions {
        assert!(fs.exists(corruption.kept.as_ref().unwrap()), "{at}");
        assert!(!corruption.to_string().is_empty());
    }
    // A reader tells of the same holes and goes on behind them.
    let mut reader = log.reader(0);
    let mut read = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(record)) => read.push(record),
            Ok(None) => break,
            Err(Error::Corrupt { sequences, .. }) => {
                assert!(sequences.clone().all(reported), "{at}");
            }
            Err(e) => panic!("{at}: {e}"),
        }
    }
    assert_eq!(read, found, "{at}");
    // The log goes on, and the next opening finds the same and what was added.
    let ticket = log.append(&[b"more"]).unwrap();
    log.commit(&ticket).unwrap();
    drop((log, reader));
    let (_, again, after) = try_open(&fs.crash(1), small()).unwrap();
    assert_eq!(after[..found.len()], found[..], "{at}");
    assert_eq!(
        after[found.len()..],
        [(ticket.sequence(), b"more".to_vec())],
        "{at}"
    );
    assert_eq!(again.torn_tail, None, "{at}");
    assert_eq!(again.corruptions, recovery.corruptions, "{at}");
}

#[test]
fn every_changed_byte_is_noticed_and_costs_one_record() {
    let (fs, whole) = written();
    let files = segments(&fs)
        .into_iter()
        .map(|path| (read(&fs, &path), path));
    for ((bytes, path), at) in files.collect::<Vec<_>>().iter().zip(0..) {
        for (offset, byte) in bytes.iter().enumerate() {
            for flip in [0x01, 0x80, 0xff] {
                let fs = fs.crash(7);
                let file = fs.open(path).unwrap();
                file.write_all_at(&[byte ^ flip], offset as u64).unwrap();
                file.sync_data().unwrap();
                check_damaged(
                    &fs,
                    &whole,
                    &format!("segment {at}, byte {offset} ^ {flip:#x}"),
                );
            }
        }
    }
}

#[test]
fn every_length_that_a_file_is_cut_to_is_noticed() {
    let (fs, whole) = written();
    let first = segments(&fs).remove(0);
    let last = segments(&fs).pop().unwrap();
    // A segment's header says with which record it begins.
    let last_begins = u64::from_le_bytes(*read(&fs, &last)[24..].first_chunk().unwrap());
    let files = segments(&fs)
        .into_iter()
        .map(|path| (read(&fs, &path).len() as u64, path));
    for ((length, path), at) in files.collect::<Vec<_>>().iter().zip(0..) {
        for cut in 0..*length {
            let at = format!("segment {at} cut to {cut} of {length}");
            let fs = fs.crash(7);
            let file = fs.open(path).unwrap();
            file.set_len(cut).unwrap();
            file.sync_data().unwrap();
            let (_, recovery, found) = try_open(&fs, small()).unwrap();
            assert!(found.iter().all(|record| whole.contains(record)), "{at}");
            let missing: Vec<_> = whole.iter().filter(|r| !found.contains(r)).collect();
            if missing.iter().any(|(n, _)| *n < last_begins) {
                // Not in the last segment: nothing goes without a word. Where the first segment began is known
                // to its header alone.
                let said = |n: u64| {
                    recovery.corruptions.iter().any(|c| {
                        let unknown = c.damage == Damage::Header && *path == first;
                        unknown || c.sequences.contains(&n)
                    })
                };
                assert!(missing.iter().all(|(n, _)| said(*n)), "{at}: {recovery:?}");
            }
        }
    }
}

#[test]
fn random_damage_never_panics_nor_gives_wrong_data() {
    let (fs, whole) = written();
    let paths = segments(&fs);
    for seed in 0..3000 {
        let fs = fs.crash(7);
        let mut rng = Rng::new(seed);
        for _ in 0..rng.within(1..6) {
            let file = fs.open(&paths[rng.below(paths.len())]).unwrap();
            let length = file.len().unwrap();
            let offset = rng.within(0..length + 1);
            match rng.within(0..4) {
                0 => file.set_len(offset).unwrap(),
                1 => {
                    let count = rng.below(300);
                    file.write_all_at(&rng.bytes(count), offset).unwrap();
                }
                2 => {
                    let count = rng.below(300);
                    file.write_all_at(&vec![0; count], offset).unwrap();
                }
                _ => {
                    // A piece of one segment in another.
                    let from = read(&fs, &paths[rng.below(paths.len())]);
                    let start = rng.below(from.len() + 1);
                    let end = start + rng.below(from.len() - start + 1);
                    file.write_all_at(&from[start..end], offset).unwrap();
                }
            }
            file.sync_data().unwrap();
        }
        let (log, _, found) = try_open(&fs, small()).unwrap();
        assert!(
            found.iter().all(|record| whole.contains(record)),
            "seed {seed}"
        );
        assert!(found.is_sorted_by(|a, b| a.0 < b.0), "seed {seed}");
        let ticket = log.append(&[b"more"]).unwrap();
        log.commit(&ticket).unwrap();
        drop(log);
        let (.., after) = try_open(&fs.crash(seed), small()).unwrap();
        assert_eq!(after[..found.len()], found[..], "seed {seed}");
        assert_eq!(
            after[found.len()..],
            [(ticket.sequence(), b"more".to_vec())],
            "seed {seed}"
        );
    }
}

#[test]
fn a_lost_segment_is_reported_and_the_others_are_visited() {
    let (fs, whole) = written();
    let paths = segments(&fs);
    fs.remove_file(&paths[1]).unwrap();
    for _ in 0..2 {
        let (_, recovery, found) = try_open(&fs, small()).unwrap();
        let [lost] = &recovery.corruptions[..] else {
            panic!("{recovery:?}");
        };
        assert_eq!((lost.damage, &lost.file), (Damage::LostSegment, &paths[0]));
        let left: Vec<_> = whole
            .iter()
            .filter(|r| !lost.sequences.contains(&r.0))
            .cloned()
            .collect();
        assert!(!lost.sequences.is_empty() && left.len() < whole.len());
        assert_eq!(found, left);
    }
}

/// The damaged bytes outlive the segment.
#[test]
fn damaged_bytes_are_kept_when_the_segment_is_cut() {
    let (fs, _) = written();
    let path = &segments(&fs)[0];
    let file = fs.open(path).unwrap();
    file.write_all_at(b"?", 90).unwrap();
    file.sync_data().unwrap();
    let damaged = read(&fs, path);
    let (log, recovery, _) = try_open(&fs, small()).unwrap();
    log.rotate().unwrap();
    log.cut_below(log.next_sequence()).unwrap();
    assert_eq!(log.segments(), 1);
    drop(log);
    let fs = fs.crash(0);
    assert!(!fs.exists(path));
    let kept = recovery.corruptions[0].kept.clone().unwrap();
    assert_eq!(read(&fs, &kept), damaged);
    let (_, recovery, found) = try_open(&fs, small()).unwrap();
    assert_eq!((recovery.corruptions, found), (vec![], vec![]));
}

/// A file that a file system handed out again, with the bytes of an older segment behind the new records.
#[test]
fn bytes_of_an_older_segment_never_pass_for_records() {
    let (fs, whole) = written();
    let paths = segments(&fs);
    let stale = read(&fs, &paths[0]);
    let last = fs.open(&paths[2]).unwrap();
    let end = last.len().unwrap();
    last.write_all_at(&stale[48..], end).unwrap();
    let (_, recovery, found) = try_open(&fs, small()).unwrap();
    assert_eq!(found, whole);
    assert_eq!(recovery.torn_tail.unwrap().offset, end);
    assert_eq!(recovery.corruptions, []);
    assert_eq!(last.len().unwrap(), end, "cut off");
}

#[test]
fn a_last_segment_without_its_header_is_a_crash_while_it_was_begun() {
    for length in [0, 1, 47, 48] {
        let (fs, whole) = written();
        let name = "0000000000000004-00000001.seg";
        let file = fs.create_new(&Path::new(DIR).join(name)).unwrap();
        file.write_all_at(&vec![0; length], 0).unwrap();
        let (_, recovery, found) = try_open(&fs, small()).unwrap();
        assert_eq!(found, whole);
        assert_eq!(recovery.corruptions, []);
        assert_eq!(
            recovery.torn_tail.map_or(0, |torn| torn.bytes),
            length as u64
        );
        assert!(!fs.exists(&Path::new(DIR).join(name)));
    }
}

#[test]
fn a_segment_of_a_later_version_or_twice_is_not_guessed_at() {
    let (fs, _) = written();
    let path = &segments(&fs)[1];
    let bytes = read(&fs, path);
    let mut name = path.file_name().unwrap().to_str().unwrap().to_owned();
    name.replace_range(17..25, "00000000");
    let twin = path.with_file_name(name);
    let file = fs.create_new(&twin).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    let error = try_open(&fs, small()).unwrap_err();
    assert!(matches!(error, Error::Twins { .. }), "{error}");
    fs.remove_file(&twin).unwrap();

    let mut later = bytes[..48].to_vec();
    later[8] = 9;
    let salt = u32::from_le_bytes([later[12], later[13], later[14], later[15]]);
    let crc = crc32c::crc32c_append(salt, &later[..44]);
    later[44..].copy_from_slice(&crc.to_le_bytes());
    fs.open(path).unwrap().write_all_at(&later, 0).unwrap();
    let error = try_open(&fs, small()).unwrap_err();
    assert!(matches!(error, Error::Version { found: 9, .. }), "{error}");
}

/// A log opened with a smaller limit than it was written with still holds all its records.
#[test]
fn a_lower_limit_for_new_records_does_not_hide_old_ones() {
    let (fs, whole) = written();
    let lower = Options {
        record_bytes_max: 8,
        ..small()
    };
    let (log, recovery, found) = try_open(&fs, lower).unwrap();
    assert_eq!((found, recovery.corruptions), (whole.clone(), vec![]));
    let mut reader = log.reader(0);
    let read: Vec<_> = std::iter::from_fn(|| reader.next().unwrap()).collect();
    assert_eq!(read, whole);
    assert!(matches!(
        log.append(&[&[0; 9]]),
        Err(Error::TooLarge { .. })
    ));
}

fn cursor_file(fs: &SimFs) -> Arc<dyn File> {
    let mut cursor = Cursor::open(fs, Path::new("/c")).unwrap();
    cursor.store_with(5, b"five").unwrap();
    cursor.store_with(6, b"six").unwrap();
    fs.open(Path::new("/c")).unwrap()
}

#[test]
fn a_damaged_cursor_falls_back_one_step_or_says_so() {
    let fs = SimFs::new(1);
    let length = cursor_file(&fs).len().unwrap();
    for offset in 0..length {
        let fs = SimFs::new(1);
        let file = cursor_file(&fs);
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[!byte[0]], offset).unwrap();
        let cursor = Cursor::open(&fs, Path::new("/c")).unwrap();
        let found = (cursor.value(), cursor.payload());
        assert!(
            [(5, &b"five"[..]), (6, b"six")].contains(&found),
            "byte {offset}"
        );
    }
    let fs = SimFs::new(1);
    let file = cursor_file(&fs);
    file.write_all_at(b"?", 3).unwrap();
    file.write_all_at(b"?", 4096 + 3).unwrap();
    let error = Cursor::open(&fs, Path::new("/c")).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    let mut cursor = Cursor::open(&SimFs::new(1), Path::new("/c")).unwrap();
    let error = cursor.store_with(1, &[0; 481]).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert_eq!(cursor.value(), 0);
}
