//! A view that does not fit the log is built again, whatever is wrong with it; one that fits is used.

mod support;

use std::fs;

use support::{LIFE, copy, disk, dump, files, open, view};
use tandem_catalog::ViewFound;
use tandem_testkit::SimFs;
use tempfile::TempDir;

/// A catalog that has lived up to step `steps` and was closed.
fn lived(steps: usize) -> (SimFs, TempDir, String) {
    let (disk, view) = (disk(1), view());
    let catalog = open(&disk, &view).unwrap();
    for step in &LIFE[..steps] {
        step(&catalog).unwrap();
    }
    let known = dump(&catalog);
    drop(catalog);
    (disk, view, known)
}

#[track_caller]
fn check(disk: &SimFs, view: &TempDir, known: &str, found: ViewFound) {
    let catalog = open(disk, view).unwrap();
    assert_eq!(catalog.report().view, found);
    assert!(!catalog.report().healed);
    assert_eq!(dump(&catalog), known);
}

#[test]
fn a_view_that_was_closed_is_used() {
    let (disk, view, known) = lived(12);
    check(&disk, &view, &known, ViewFound::Fits);
    check(&disk, &view, &known, ViewFound::Fits);
}

#[test]
fn a_view_that_is_gone_is_built() {
    let (disk, _, known) = lived(12);
    check(&disk, &view(), &known, ViewFound::Missing);
    let (disk, view, known) = lived(12);
    fs::remove_dir_all(view.path().join("view")).unwrap();
    check(&disk, &view, &known, ViewFound::Missing);
    fs::remove_file(view.path().join("view.seal")).unwrap();
    check(&disk, &view, &known, ViewFound::Missing);
    check(&disk, &view, &known, ViewFound::Fits);
}

/// The log is the truth: what it has and the view has not is true.
#[test]
fn a_view_that_is_older_is_built_again() {
    let (_, old_view, _) = lived(12);
    let (disk, _, known) = lived(14);
    check(&disk, &old_view, &known, ViewFound::Older);
}

/// Restored from different backups, log and view may have come to one number by different ways.
#[test]
fn a_view_of_another_log_is_built_again() {
    let (disk, other) = (disk(2), view());
    let catalog = open(&disk, &other).unwrap();
    for step in 0..12 {
        let name = format!("user-{step}");
        catalog.create_user(&name, "hash", true).unwrap();
    }
    let known = dump(&catalog);
    let (_, view, _) = lived(12);
    drop(catalog);
    check(&disk, &view, &known, ViewFound::Foreign);
}

#[test]
fn a_view_that_is_damaged_is_built_again() {
    let (disk, view, known) = lived(12);
    let kept = support::view();
    copy(view.path(), kept.path());
    let names = files(kept.path());
    assert!(names.len() >= 3, "{names:?}");
    for file in names {
        let bytes = fs::read(&file).unwrap();
        let name = file.strip_prefix(kept.path()).unwrap();
        let step = (bytes.len() / 8).max(1);
        for at in (0..bytes.len()).step_by(step) {
            fs::remove_dir_all(view.path().join("view")).unwrap();
            copy(kept.path(), view.path());
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            fs::write(view.path().join(name), damaged).unwrap();
            let catalog = open(&disk, &view).unwrap();
            let found = catalog.report().view;
            assert_ne!(found, ViewFound::Fits, "{name:?} at {at}");
            assert_eq!(dump(&catalog), known);
        }
        fs::remove_dir_all(view.path().join("view")).unwrap();
        copy(kept.path(), view.path());
        fs::write(view.path().join(name), &bytes[..bytes.len() / 2]).unwrap();
        let catalog = open(&disk, &view).unwrap();
        assert_ne!(catalog.report().view, ViewFound::Fits, "{name:?} cut");
        assert_eq!(dump(&catalog), known);
    }
}
