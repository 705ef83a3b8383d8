//! Backups and restores whose power is cut, or whose file system fails, at any of their calls: what they make is whole
//! or not there, and what was there stays as it was.

mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;

use common::{DIR, open, points, write};
use tandem_store::{
    BackupOptions, Options, RestoreOptions, Selection, SnapshotError, Store, StoreError,
};
use tandem_testkit::SimFs;
use tandem_vfs::Vfs;

const BACKUP: &str = "/backup";
const NEW: &str = "/new";
/// Calls that are cut short at most; all commands here need fewer.
const CALLS_MAX: u64 = 2000;

fn options() -> Options {
    Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    }
}

fn vfs(fs: &SimFs) -> Arc<dyn Vfs> {
    Arc::new(fs.clone())
}

/// A store with rows in a file and rows in the WAL, stopped.
fn sample() -> (SimFs, Vec<String>) {
    let fs = SimFs::new(1);
    let store = open(&fs, &options());
    store.create_database("db", None).unwrap();
    write(&store, "m,host=a v=1i 1\nm,host=b v=2i,s=\"x\" 2").unwrap();
    store.flush().unwrap();
    write(&store, "m,host=a v=3i 1\nm,host=c v=4i 700000000000000").unwrap();
    let all = points(&store, "m");
    drop(store);
    (fs, all)
}

fn with_backup() -> (SimFs, Vec<String>) {
    let (fs, all) = sample();
    backup(&fs).unwrap();
    (fs, all)
}

fn backup(fs: &SimFs) -> Result<(), SnapshotError> {
    let (dir, target) = (Path::new(DIR), Path::new(BACKUP));
    tandem_store::backup(&vfs(fs), dir, target, &BackupOptions::default()).map(|_| ())
}

fn restore(fs: &SimFs) -> Result<(), SnapshotError> {
    let (backup, target) = (Path::new(BACKUP), Path::new(NEW));
    tandem_store::restore(&vfs(fs), backup, target, &RestoreOptions::default()).map(|_| ())
}

/// Adds the backup's database to its own store as `again`.
fn add(fs: &SimFs) -> Result<(), SnapshotError> {
    add_to(fs, DIR)
}

/// Adds the backup's database to a store as `again`.
fn add_to(fs: &SimFs, target: &str) -> Result<(), SnapshotError> {
    let options = RestoreOptions {
        selection: Selection {
            database: Some("db".into()),
            ..Selection::default()
        },
        ..RestoreOptions::default()
    };
    let (backup, target) = (Path::new(BACKUP), Path::new(target));
    tandem_store::restore_database(&vfs(fs), backup, target, "again", &options).map(|_| ())
}

fn open_new(fs: &SimFs) -> Result<Store, StoreError> {
    Store::open(vfs(fs), Path::new(NEW), options())
}

#[track_caller]
fn assert_restores(fs: &SimFs, expected: &[String], at: u64) {
    restore(fs).unwrap_or_else(|error| panic!("call {at}: {error}"));
    assert_eq!(points(&open_new(fs).unwrap(), "m"), expected, "call {at}");
}

/// Runs `command` again and again, each time with the power cut one call later, until it comes to its end before.
fn cut_at_every_call(
    make: impl Fn() -> (SimFs, Vec<String>),
    command: impl Fn(&SimFs) -> Result<(), SnapshotError>,
    check: impl Fn(&SimFs, &[String], bool, u64),
) {
    for at in 0..CALLS_MAX {
        let (fs, expected) = make();
        fs.power_off_after(at);
        let done = command(&fs).is_ok();
        let is_over = !fs.is_off();
        let after = fs.crash(at);
        check(&after, &expected, done, at);
        if is_over {
            assert!(done);
            return;
        }
    }
    panic!("it takes more than {CALLS_MAX} calls");
}

#[test]
fn a_backup_is_whole_or_not_there_after_a_power_cut_at_any_call() {
    cut_at_every_call(sample, backup, |fs, expected, done, at| {
        assert!(!done || fs.exists(Path::new(BACKUP)), "call {at}");
        if !fs.exists(Path::new(BACKUP)) {
            backup(fs).unwrap_or_else(|error| panic!("call {at}: {error}"));
        }
        assert_restores(fs, expected, at);
        assert_eq!(points(&open(fs, &options()), "m"), expected, "call {at}");
    });
}

#[test]
fn a_restore_is_whole_or_no_store_after_a_power_cut_at_any_call() {
    cut_at_every_call(with_backup, restore, |fs, expected, done, at| {
        let manifest = fs.read_dir(&Path::new(NEW).join("manifest"));
        let has_marker = fs.exists(&Path::new(NEW).join("RESTORING"));
        let is_whole =
            manifest.is_ok_and(|names| names.iter().any(|n| n.ends_with(".seg"))) && !has_marker;
        assert!(!done || is_whole, "call {at}");
        if is_whole {
            assert_eq!(points(&open_new(fs).unwrap(), "m"), expected, "call {at}");
            return;
        }
        if has_marker {
            let error = open_new(fs).unwrap_err();
            assert!(
                matches!(error, StoreError::Restoring(_)),
                "call {at}: {error}"
            );
        }
        assert_restores(fs, expected, at);
    });
}

#[test]
fn an_added_database_is_whole_or_not_there_after_a_power_cut_at_any_call() {
    cut_at_every_call(with_backup, add, |fs, expected, done, at| {
        let store = open(fs, &options());
        assert_eq!(points(&store, "m"), expected, "call {at}");
        let there = store.databases().contains(&"again".to_owned());
        assert!(!done || there, "call {at}");
        drop(store);
        if !there {
            add(fs).unwrap_or_else(|error| panic!("call {at}: {error}"));
        }
        let mut faults = Vec::new();
        let report =
            tandem_store::verify(&vfs(fs), Path::new(DIR), &[], &mut |f| faults.push(f)).unwrap();
        assert_eq!(report.faults, 0, "call {at}: {faults:?}");
        assert!(report.rows > 0);
    });
}

/// The files of the unfinished restore looked like those of a store whose manifest was lost.
#[test]
fn a_store_without_a_database_opens_after_a_power_cut_while_one_is_added() {
    let make = || {
        let (fs, expected) = with_backup();
        drop(open_new(&fs).unwrap());
        (fs, expected)
    };
    let command = |fs: &SimFs| add_to(fs, NEW);
    cut_at_every_call(make, command, |fs, _, done, at| {
        let store = open_new(fs).unwrap_or_else(|error| panic!("call {at}: {error}"));
        let there = !store.databases().is_empty();
        assert!(!done || there, "call {at}");
        drop(store);
        if !there {
            add_to(fs, NEW).unwrap_or_else(|error| panic!("call {at}: {error}"));
        }
    });
}

#[test]
fn after_an_error_at_any_call_the_target_is_as_it_was() {
    for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        for at in 0..CALLS_MAX {
            let (fs, expected) = with_backup();
            fs.fail_after(at, kind);
            let result = restore(&fs);
            if fs.fault_is_pending() {
                assert!(result.is_ok());
                break;
            }
            if result.is_err() {
                assert!(!fs.exists(&Path::new(NEW).join("data")), "call {at}");
                assert_restores(&fs, &expected, at);
            } else {
                assert_eq!(points(&open_new(&fs).unwrap(), "m"), expected, "call {at}");
            }
        }
    }
}
