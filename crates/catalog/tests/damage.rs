//! Damage to the log is reported by the name of the file. It costs nothing while a view still knows everything;
//! without one, a catalog that may have forgotten a REVOKE does not open. Nor does one whose log has lost its end, or
//! is gone, where the view tells.

mod support;

use std::path::{Path, PathBuf};

use support::{DIR, LIFE, disk, dump, open, open_with, view};
use tandem_catalog::{Catalog, CatalogError, Granted, Options, ViewFound};
use tandem_testkit::SimFs;
use tandem_vfs::Vfs;
use tempfile::TempDir;

fn segments(fs: &SimFs) -> Vec<PathBuf> {
    let dir = Path::new(DIR).join("log");
    let mut names = fs.read_dir(&dir).unwrap();
    names.retain(|name| name.ends_with(".seg"));
    names.sort();
    names.iter().map(|name| dir.join(name)).collect()
}

/// Flips a bit of the second record of the first segment.
fn damage(fs: &SimFs) -> PathBuf {
    let path = segments(fs).remove(0);
    flip(fs, &path, 180);
    path
}

fn flip(fs: &SimFs, path: &Path, at: u64) {
    let file = fs.open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    file.sync_data().unwrap();
}

fn live(catalog: &Catalog, steps: usize) -> String {
    for step in &LIFE[..steps] {
        step(catalog).unwrap();
    }
    dump(catalog)
}

#[test]
fn lost_operations_are_reported_by_the_name_of_the_file() {
    let (fs, first) = (disk(1), view());
    drop(live(
        &open_with(&fs, &first, Options::default()).unwrap(),
        10,
    ));
    let path = damage(&fs);
    for _ in 0..2 {
        let error = open_with(&fs, &view(), Options::default()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert!(text.contains("lost") && text.contains("backup"), "{text}");
        let CatalogError::Damaged { corruptions, .. } = error else {
            panic!("{text}");
        };
        assert!(corruptions[0].kept.is_some());
    }
}

#[test]
fn a_view_that_fits_mends_the_log() {
    let (fs, kept) = (disk(1), view());
    let known = live(&open_with(&fs, &kept, Options::default()).unwrap(), 10);
    let path = damage(&fs);
    let catalog = open_with(&fs, &kept, Options::default()).unwrap();
    assert!(catalog.report().healed);
    assert_eq!(catalog.report().view, ViewFound::Fits);
    assert_eq!(catalog.report().corruptions[0].file, path);
    assert_eq!(dump(&catalog), known);
    drop(catalog);
    // Now the log alone is enough again.
    let catalog = open_with(&fs.crash(1), &view(), Options::default()).unwrap();
    assert!(!catalog.report().healed);
    assert_eq!(dump(&catalog), known);
}

/// A snapshot is all that there is of what came before it.
#[test]
fn a_lost_snapshot_is_reported() {
    let (fs, first) = (disk(1), view());
    drop(live(&open(&fs, &first).unwrap(), LIFE.len()));
    let path = segments(&fs).remove(0);
    assert!(!path.ends_with("0000000000000001"), "{path:?} is not cut");
    flip(&fs, &path, 90);
    let error = open(&fs, &view()).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

/// Refused, each time, with the way on, and nothing is made or changed.
#[track_caller]
fn check_refused(fs: &SimFs, view: &TempDir) {
    for _ in 0..2 {
        let error = open_with(fs, view, Options::default()).unwrap_err();
        assert!(matches!(error, CatalogError::Shortened { .. }), "{error}");
        let text = error.to_string();
        for words in ["/data/catalog/log", "backup", "move it away", "view.seal"] {
            assert!(text.contains(words), "{words:?} is not in {text:?}");
        }
    }
}

/// An empty log made an empty catalog, in which anybody could make himself an admin.
#[test]
fn a_log_that_is_gone_or_empty_is_refused_while_there_is_a_view() {
    type Loss = fn(&SimFs, &Path);
    let losses: [Loss; 3] = [
        |fs, path| fs.remove_file(path).unwrap(),
        |fs, path| fs.open(path).unwrap().set_len(0).unwrap(),
        // No record is left.
        |fs, path| fs.open(path).unwrap().set_len(48).unwrap(),
    ];
    for (at, loss) in losses.iter().enumerate() {
        let (fs, first) = (disk(1), view());
        drop(live(
            &open_with(&fs, &first, Options::default()).unwrap(),
            LIFE.len(),
        ));
        let [path] = &segments(&fs)[..] else {
            panic!("several segments");
        };
        loss(&fs, path);
        check_refused(&fs, &first);
        // Nor after a crash, which leaves no seal, where that can be told.
        if at < 2 {
            std::fs::remove_file(first.path().join("view.seal")).unwrap();
            check_refused(&fs, &first);
        }
        // That is how one begins anew without users.
        let catalog = open_with(&disk(1), &view(), Options::default()).unwrap();
        assert_eq!(catalog.user_count(), 0);
    }
}

/// A right that was taken away was back when the log had lost the record of that.
#[test]
fn a_log_that_ends_before_what_the_view_has_is_refused() {
    let (fs, first) = (disk(1), view());
    let catalog = open_with(&fs, &first, Options::default()).unwrap();
    live(&catalog, 10);
    let path = segments(&fs).remove(0);
    let before = fs.open(&path).unwrap().len().unwrap();
    catalog.revoke("bob", "db0", Granted::Read).unwrap();
    drop(catalog);
    fs.open(&path).unwrap().set_len(before + 10).unwrap();
    check_refused(&fs, &first);
    // With the log that was there it goes on, and without the view as the log says.
    std::fs::remove_dir_all(first.path().join("view")).unwrap();
    std::fs::remove_file(first.path().join("view.seal")).unwrap();
    let catalog = open_with(&fs, &first, Options::default()).unwrap();
    assert_eq!(catalog.report().view, ViewFound::Missing);
    assert_eq!(catalog.granted("bob", "db0").unwrap(), Granted::Read);
}

#[test]
fn damage_before_a_snapshot_costs_nothing() {
    let (fs, first) = (disk(1), view());
    let options = Options::default();
    let catalog = open_with(&fs, &first, options.clone()).unwrap();
    live(&catalog, 10);
    drop(catalog);
    damage(&fs);
    // The view mends the log by a snapshot; the damaged segment goes with it.
    drop(open_with(&fs, &first, options.clone()).unwrap());
    let catalog = open_with(&fs, &view(), options).unwrap();
    assert!(!catalog.report().healed);
    assert_eq!(catalog.report().corruptions, []);
}
