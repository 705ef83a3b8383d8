//! A manifest that has lost its end: what that named is kept under another name, as long as nobody takes it away.

mod common;

use std::path::{Path, PathBuf};

use common::{Bed, DIR, points};
use tandem_model::{Precision, SeriesId, TimeRange};
use tandem_store::{Options, PolicyChoice, WriteRequest};
use tandem_vfs::Vfs;

fn options() -> Options {
    Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    }
}

/// The manifest's only segment, and its length.
fn manifest(bed: &Bed) -> (PathBuf, u64) {
    let dir = Path::new(DIR).join("manifest");
    let mut names = bed.fs.read_dir(&dir).unwrap();
    names.retain(|name| name.ends_with(".seg"));
    assert_eq!(names.len(), 1);
    let path = dir.join(&names[0]);
    let len = bed.fs.open(&path).unwrap().len().unwrap();
    (path, len)
}

fn write_other(bed: &Bed, body: &str) {
    let request = WriteRequest {
        database: "other",
        retention_policy: None,
        precision: Precision::Nanosecond,
        now_ns: 0,
    };
    bed.store.write(&request, body.as_bytes()).unwrap();
    bed.store.flush().unwrap();
}

fn names(bed: &Bed, below: &str) -> Vec<String> {
    let mut names = bed.fs.read_dir(&Path::new(DIR).join(below)).unwrap();
    names.sort();
    names
}

fn cut(bed: &Bed, path: &Path, len: u64) {
    bed.fs.open(path).unwrap().set_len(len).unwrap();
}

#[test]
fn a_database_of_which_the_manifest_knows_nothing_any_more_is_kept() {
    let mut bed = Bed::with_options(options());
    bed.write("m,h=a v=1 1").unwrap();
    bed.store.flush().unwrap();
    // What the WAL has of a database keeps its number from being given to another.
    for kept in ["1.orphan", "2.orphan"] {
        let (path, len) = manifest(&bed);
        bed.store.create_database("other", None).unwrap();
        write_other(&bed, "m,h=b v=2 2");
        // In the middle of the record that made the database.
        cut(&bed, &path, len + 40);
        bed.reopen();
        assert_eq!(bed.store.databases(), ["db"]);
        assert_eq!(points(&bed.store, "m"), ["m,h=a v=1 1"]);
        let shards = names(&bed, &format!("data/{kept}"));
        let files = names(&bed, &format!("data/{kept}/{}", shards[0]));
        assert!(files.iter().any(|file| file.ends_with(".blk")), "{files:?}");
    }
    // Also at later starts, and what takes the same number is another.
    bed.store.create_database("other", None).unwrap();
    write_other(&bed, "m,h=c v=3 3");
    bed.reopen();
    assert_eq!(names(&bed, "data"), ["0", "1.orphan", "2.orphan", "3"]);
    assert_eq!(bed.store.report().orphans.len(), 2);
    assert_eq!(bed.store.stats().orphans, 2);
}

/// Rows of the WAL whose database the manifest had lost sight of went without a word, and a database that was made
/// later, with the same number, had them after a restart.
#[test]
fn rows_whose_database_is_not_known_any_more_are_counted_and_turn_up_nowhere() {
    let mut bed = Bed::with_options(options());
    bed.write("m,h=a v=1 1").unwrap();
    let (path, len) = manifest(&bed);
    bed.store.create_database("other", None).unwrap();
    let request = WriteRequest {
        database: "other",
        retention_policy: None,
        precision: Precision::Nanosecond,
        now_ns: 0,
    };
    let body = b"m,h=b v=2 2\nm,h=b v=3 3";
    bed.store.write(&request, body).unwrap();
    cut(&bed, &path, len + 40);
    bed.reopen();
    let report = bed.store.report();
    assert_eq!((report.lost_rows, report.replayed_rows), (2, 1));
    assert_eq!(bed.store.stats().lost_rows, 2);
    // Power goes before the WAL is cut.
    bed.store.create_database("new", None).unwrap();
    let request = WriteRequest {
        database: "new",
        ..request
    };
    bed.store.write(&request, b"m,h=c v=4 4").unwrap();
    let bed = bed.after_power_loss(1);
    let view = bed.store.view("new", PolicyChoice::All, TimeRange::ALL);
    let view = view.unwrap();
    let keys: Vec<Vec<u8>> = view
        .series(b"m")
        .iter()
        .map(|id| view.series_key(SeriesId(id)))
        .collect();
    assert_eq!(keys, [b"m,h=c".to_vec()]);
}

/// What was dropped is no loss.
#[test]
fn rows_that_were_dropped_are_counted_apart() {
    let mut bed = Bed::with_options(options());
    bed.write("m,h=a v=1 1\nm,h=a v=2 2").unwrap();
    bed.store.drop_database("db").unwrap();
    bed.reopen();
    let report = bed.store.report();
    assert_eq!((report.lost_rows, report.skipped_rows), (0, 2));
}

#[test]
fn files_of_which_the_manifest_knows_nothing_any_more_are_kept() {
    let mut bed = Bed::with_options(options());
    bed.write("m,h=a v=1 1").unwrap();
    bed.store.flush().unwrap();
    let (path, len) = manifest(&bed);
    bed.write("m,h=b v=2 2").unwrap();
    bed.store.flush().unwrap();
    cut(&bed, &path, len + 40);
    bed.reopen();
    let shards = names(&bed, "data/0");
    let kept: Vec<String> = shards
        .iter()
        .flat_map(|shard| names(&bed, &format!("data/0/{shard}")))
        .filter(|name| name.ends_with(".orphan"))
        .collect();
    // The second block file, and the segment of the index that took the place of the first one.
    assert_eq!(kept.len(), 2, "{kept:?}");
}

/// Without a torn end there is no doubt.
#[test]
fn what_a_whole_manifest_does_not_name_is_removed() {
    let mut bed = Bed::with_options(options());
    bed.write("m,h=a v=1 1").unwrap();
    bed.store.flush().unwrap();
    let dir = Path::new(DIR).join("data/77/1");
    bed.fs.create_dir_all(&dir).unwrap();
    bed.fs.create_new(&dir.join("1.blk")).unwrap();
    bed.reopen();
    assert_eq!(names(&bed, "data"), ["0"]);
}
