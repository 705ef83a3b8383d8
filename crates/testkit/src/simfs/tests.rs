//! The simulated file system keeps its own promises: what is synced stays, what is not may go in every way, and faults come when ordered.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use tandem_vfs::{File, Vfs};

use super::SimFs;
use crate::{Lie, Op};

fn fs() -> SimFs {
    let fs = SimFs::new(1);
    fs.create_dir_all(Path::new("/d")).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    fs
}

fn contents(fs: &SimFs, path: &str) -> Option<Vec<u8>> {
    let file = match fs.open_read(Path::new(path)) {
        Ok(file) => file,
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::NotFound);
            return None;
        }
    };
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

/// Every state of `path` that many crashes leave.
fn crashes(fs: &SimFs, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    (0..300)
        .map(|seed| contents(&fs.crash(seed), path))
        .collect()
}

fn durable_file(fs: &SimFs, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = fs.create_new(Path::new(path)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(Path::new("/d")).unwrap();
    file
}

#[test]
fn what_is_synced_survives_every_crash() {
    let fs = fs();
    durable_file(&fs, "/d/f", b"kept");
    assert_eq!(crashes(&fs, "/d/f"), [Some(b"kept".to_vec())].into());
}

#[test]
fn a_name_that_was_not_synced_may_be_lost_with_synced_data() {
    let fs = fs();
    let file = fs.create_new(Path::new("/d/f")).unwrap();
    file.write_all_at(b"data", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(crashes(&fs, "/d/f"), [None, Some(b"data".to_vec())].into());
}

#[test]
fn data_that_was_not_synced_may_be_kept_lost_or_torn() {
    let fs = fs();
    let file = durable_file(&fs, "/d/f", b"");
    file.write_all_at(b"abc", 0).unwrap();
    let states = crashes(&fs, "/d/f");
    for state in [&b""[..], b"a", b"ab", b"abc", b"\0\0\0"] {
        assert!(states.contains(&Some(state.to_vec())), "{state:?}");
    }
    assert_eq!(states.len(), 5);
}

#[test]
fn sectors_of_one_write_are_lost_one_by_one() {
    let fs = fs();
    let file = durable_file(&fs, "/d/f", &[0; 1536]);
    file.write_all_at(&[1; 1536], 0).unwrap();
    let states = crashes(&fs, "/d/f");
    let mut hole = vec![1; 1536];
    hole[512..1024].fill(0);
    assert!(states.contains(&Some(hole)));
}

#[test]
fn a_later_write_may_survive_an_earlier_one() {
    let fs = fs();
    let file = durable_file(&fs, "/d/f", b"..");
    file.write_all_at(b"a", 0).unwrap();
    file.write_all_at(b"b", 1).unwrap();
    assert!(crashes(&fs, "/d/f").contains(&Some(b".b".to_vec())));
}

#[test]
fn a_rename_is_whole_or_not_done() {
    let fs = fs();
    durable_file(&fs, "/d/f", b"old");
    durable_file(&fs, "/d/new", b"new");
    fs.rename(Path::new("/d/new"), Path::new("/d/f")).unwrap();
    let states: BTreeSet<_> = (0..100)
        .map(|seed| {
            let fs = fs.crash(seed);
            (contents(&fs, "/d/f"), contents(&fs, "/d/new"))
        })
        .collect();
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    assert_eq!(states, [(old, new.clone()), (new, None)].into());
}

#[test]
fn a_removed_file_may_come_back_until_the_directory_is_synced() {
    let fs = fs();
    durable_file(&fs, "/d/f", b"x");
    fs.remove_file(Path::new("/d/f")).unwrap();
    assert_eq!(crashes(&fs, "/d/f"), [None, Some(b"x".to_vec())].into());
    let fs = fs.crash(2);
    if fs.exists(Path::new("/d/f")) {
        fs.remove_file(Path::new("/d/f")).unwrap();
    }
    fs.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(crashes(&fs, "/d/f"), [None].into());
}

#[test]
fn a_failed_sync_leaves_data_that_no_later_sync_saves() {
    let mut lost = 0;
    for seed in 0..50 {
        let fs = SimFs::new(seed);
        fs.create_dir_all(Path::new("/d")).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        let file = durable_file(&fs, "/d/f", b"");
        file.write_all_at(b"x", 0).unwrap();
        fs.fail_after(0, ErrorKind::Other);
        file.sync_data().unwrap_err();
        assert!(!fs.fault_is_pending());
        assert_eq!(contents(&fs, "/d/f"), Some(b"x".to_vec()));
        file.sync_data().unwrap();
        if contents(&fs.crash(seed), "/d/f") != Some(b"x".to_vec()) {
            lost += 1;
        }
    }
    assert!((10..40).contains(&lost), "{lost} of 50 lost");
}

#[test]
fn a_fault_can_wait_for_what_is_done_to_the_files_of_a_directory() {
    for (op, other) in [(Op::Write, Op::Sync), (Op::Sync, Op::Write)] {
        let fs = fs();
        fs.create_dir_all(Path::new("/e")).unwrap();
        let file = durable_file(&fs, "/d/f", b"x");
        let elsewhere = durable_file(&fs, "/e/f", b"x");
        let on = |file: &Arc<dyn File>, op| match op {
            Op::Write => file.write_all_at(b"y", 0),
            Op::Sync => file.sync_data(),
        };
        fs.fail_at(op, Path::new("/d"), ErrorKind::Other);
        on(&elsewhere, op).unwrap();
        on(&file, other).unwrap();
        file.read_at(&mut [0], 0).unwrap();
        fs.sync_dir(Path::new("/d")).unwrap();
        assert!(fs.fault_is_pending());
        on(&file, op).unwrap_err();
        assert!(!fs.fault_is_pending());
        on(&file, op).unwrap();
        fs.fail_at(op, Path::new("/d"), ErrorKind::Other);
        fs.calm();
        on(&file, op).unwrap();
    }
}

#[test]
fn a_full_disk_refuses_and_takes_again() {
    let fs = fs();
    let file = durable_file(&fs, "/d/f", b"1234");
    fs.set_capacity(Some(10));
    assert_eq!(fs.available_bytes(Path::new("/d")).unwrap(), 6);
    let full = file.write_all_at(b"1234567", 4).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert!(contents(&fs, "/d/f").unwrap().len() <= 10);
    let full = file.reserve(11).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    file.write_all_at(b"123456", 4).unwrap();
    assert_eq!(fs.available_bytes(Path::new("/d")).unwrap(), 0);
    file.set_len(2).unwrap();
    assert_eq!(fs.available_bytes(Path::new("/d")).unwrap(), 8);
    fs.set_capacity(None);
    file.write_all_at(&[0; 100], 0).unwrap();
}

#[test]
fn the_power_goes_at_the_call_that_was_named() {
    let fs = fs();
    let file = durable_file(&fs, "/d/f", b"a");
    let before = fs.calls();
    fs.power_off_after(1);
    file.write_all_at(b"b", 0).unwrap();
    file.sync_data().unwrap_err();
    assert_eq!(fs.calls(), before + 1);
    fs.open(Path::new("/d/f")).unwrap_err();
    assert!(!fs.exists(Path::new("/d/f")));
    let states = crashes(&fs, "/d/f");
    assert!(states.contains(&Some(b"a".to_vec())) && states.contains(&Some(b"b".to_vec())));
    let after = fs.crash(3);
    after.open(Path::new("/d/f")).unwrap();
    file.len().unwrap_err();
}

#[test]
fn a_directory_is_locked_once_and_free_after_a_crash() {
    let fs = fs();
    let lock = fs.lock_dir(Path::new("/d")).unwrap();
    let busy = fs.lock_dir(Path::new("/d")).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::WouldBlock);
    drop(lock);
    let lock = fs.lock_dir(Path::new("/d")).unwrap();
    let after = fs.crash(0);
    let _second = after.lock_dir(Path::new("/d")).unwrap();
    drop(lock);
    assert_eq!(
        after.lock_dir(Path::new("/d")).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[test]
fn names_and_kinds_are_checked_as_on_a_real_one() {
    let fs = fs();
    let file = durable_file(&fs, "/d/f", b"abc");
    let kind = |e: std::io::Error| e.kind();
    assert_eq!(
        fs.create_new(Path::new("/d/f")).map_err(kind).unwrap_err(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        fs.create_new(Path::new("/no/f")).map_err(kind).unwrap_err(),
        ErrorKind::NotFound
    );
    assert_eq!(
        fs.remove_dir(Path::new("/d")).map_err(kind).unwrap_err(),
        ErrorKind::DirectoryNotEmpty
    );
    fs.hard_link(Path::new("/d/f"), Path::new("/d/g")).unwrap();
    file.write_all_at(b"A", 0).unwrap();
    fs.remove_file(Path::new("/d/f")).unwrap();
    assert_eq!(contents(&fs, "/d/g"), Some(b"Abc".to_vec()));
    assert_eq!(fs.read_dir(Path::new("d")).unwrap(), ["g"]);
    let read_only = fs.open_read(Path::new("/d/g")).unwrap();
    assert_eq!(
        read_only.write_all_at(b"x", 0).map_err(kind).unwrap_err(),
        ErrorKind::PermissionDenied
    );
    let mut buf = [9; 5];
    assert_eq!(read_only.read_at(&mut buf, 1).unwrap(), 2);
    assert_eq!(read_only.read_at(&mut buf, 9).unwrap(), 0);
}

#[test]
fn syncs_can_be_held_and_let_go() {
    let fs = fs();
    let file = durable_file(&fs, "/d/f", b"a");
    let before = fs.data_syncs();
    fs.hold_syncs();
    let thread = std::thread::spawn(move || file.sync_data());
    fs.wait_for_held_syncs(1);
    assert_eq!(fs.data_syncs(), before);
    fs.release_syncs();
    thread.join().unwrap().unwrap();
    assert_eq!(fs.data_syncs(), before + 1);
}

/// The same seed and the same calls leave the same bytes.
#[test]
fn a_crash_can_be_repeated() {
    let run = |seed| {
        let fs = fs();
        let file = durable_file(&fs, "/d/f", &[0; 2000]);
        file.write_all_at(&[1; 2000], 0).unwrap();
        contents(&fs.crash(seed), "/d/f")
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
}

#[test]
fn a_lie_about_syncs_loses_what_they_would_have_saved() {
    let lost = |lie: Option<Lie>| {
        let fs = SimFs::new(1);
        if let Some(lie) = lie {
            fs.lie(lie);
        }
        let file = fs.create_new(Path::new("/a")).unwrap();
        file.write_all_at(b"x", 0).unwrap();
        file.sync_data().unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        let whole = |seed| {
            let fs = fs.crash(seed);
            let mut read = [0];
            let file = fs.open_read(Path::new("/a"));
            file.is_ok_and(|file| file.read_at(&mut read, 0).unwrap() == 1)
        };
        !(0..20).all(whole)
    };
    assert!(!lost(None) && !lost(Some(Lie::One(2))));
    for lie in [Lie::Data, Lie::Directories, Lie::One(0), Lie::One(1)] {
        assert!(lost(Some(lie)), "{lie:?}");
    }
}

#[test]
fn what_was_ordered_can_be_taken_back() {
    let fs = SimFs::new(1);
    fs.fail_after(0, ErrorKind::Other);
    fs.power_off_after(1);
    fs.calm();
    for _ in 0..3 {
        fs.sync_dir(Path::new("/")).unwrap();
    }
}
