//! A block file that is damaged, gone or unreadable at the start: the rest answers, and nothing is given up
//! meanwhile that its rows need when it is restored.

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{Bed, DIR, points, write};
use roaring::RoaringBitmap;
use tandem_model::{SeriesId, TimeRange};
use tandem_store::{Options, Order, PolicyChoice, Store};
use tandem_testkit::SimFs;
use tandem_vfs::{DirLock, File, Vfs};

const ASIDE: &str = "/aside";

fn options() -> Options {
    Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    }
}

fn bed() -> Bed {
    let bed = Bed::with_options(options());
    bed.fs.create_dir_all(Path::new(ASIDE)).unwrap();
    bed
}

/// The files whose names end so, by name: those that were made first come first.
fn files(fs: &SimFs, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![Path::new(DIR).join("data")];
    while let Some(dir) = dirs.pop() {
        for name in fs.read_dir(&dir).unwrap() {
            let path = dir.join(&name);
            if name.ends_with(end) {
                found.push(path);
            } else if fs.open_read(&path).is_err() {
                dirs.push(path);
            }
        }
    }
    found.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    found
}

/// Writes one file.
fn write_file(bed: &Bed, body: &str) {
    bed.write(body).unwrap();
    bed.store.flush().unwrap();
}

/// Takes the file that was made as number `at` away, and starts without it.
fn lose(bed: &mut Bed, at: usize) -> PathBuf {
    let path = files(&bed.fs, ".blk").swap_remove(at);
    let aside = Path::new(ASIDE).join("file");
    bed.fs.rename(&path, &aside).unwrap();
    bed.reopen();
    assert_eq!(bed.store.report().quarantined, std::slice::from_ref(&path));
    path
}

/// Puts it back and starts again.
fn restore(bed: &mut Bed, path: &Path) {
    bed.fs.rename(&Path::new(ASIDE).join("file"), path).unwrap();
    bed.reopen();
    assert_eq!(bed.store.report().quarantined, [] as [PathBuf; 0]);
}

/// Keys of series were taken out of the index because no file that was open had rows of them.
#[test]
fn series_of_a_lost_file_keep_their_keys() {
    let mut bed = bed();
    write_file(&bed, "m,host=a v=1i 1\nm,host=b v=2i 1\nn,host=a v=3i 1");
    let path = lose(&mut bed, 0);
    assert_eq!(points(&bed.store, "m"), [] as [&str; 0]);
    bed.store.compact().unwrap();
    // A new series has the index segment written anew; one that is known is still the same.
    write_file(&bed, "m,host=c v=4i 1\nm,host=b v=5i 1");
    bed.store.compact().unwrap();
    assert_eq!(
        points(&bed.store, "m"),
        ["m,host=b v=5i 1", "m,host=c v=4i 1"]
    );
    restore(&mut bed, &path);
    let all = ["m,host=a v=1i 1", "m,host=b v=5i 1", "m,host=c v=4i 1"];
    assert_eq!(points(&bed.store, "m"), all);
    assert_eq!(points(&bed.store, "n"), ["n,host=a v=3i 1"]);
    bed.store.compact().unwrap();
    bed.reopen();
    assert_eq!(points(&bed.store, "m"), all);
}

/// Tombstones that only the lost file needed were dropped, and what was deleted came back with it.
#[test]
fn what_was_deleted_in_a_lost_file_stays_deleted() {
    let mut bed = bed();
    write_file(&bed, "m,host=a v=1i 1\nm,host=a v=2i 2");
    write_file(&bed, "m,host=b v=3i 3");
    let view = bed.store.view("db", PolicyChoice::All, TimeRange::ALL);
    let view = view.unwrap();
    let series: RoaringBitmap = view.series(b"m").iter().collect();
    drop(view);
    let first = TimeRange::new(1, 1);
    bed.store.delete("db", &series, first).unwrap();
    let path = lose(&mut bed, 0);
    assert_eq!(points(&bed.store, "m"), ["m,host=b v=3i 3"]);
    bed.store.compact().unwrap();
    bed.reopen();
    bed.store.compact().unwrap();
    restore(&mut bed, &path);
    let left = ["m,host=a v=2i 2", "m,host=b v=3i 3"];
    assert_eq!(points(&bed.store, "m"), left);
    bed.store.compact().unwrap();
    assert_eq!(points(&bed.store, "m"), left);
    assert_eq!(bed.store.shards()[0].tombstones, 0, "it is done with now");
}

/// A deletion was only for series that were seen to have rows.
#[test]
fn a_measurement_that_is_dropped_is_dropped_in_a_lost_file_too() {
    let mut bed = bed();
    write_file(&bed, "m,host=a v=1i 1\nn,host=a v=2i 1");
    write_file(&bed, "m,host=b v=3i 1");
    let path = lose(&mut bed, 0);
    assert!(bed.store.drop_measurement("db", b"m").unwrap());
    bed.store.compact().unwrap();
    write_file(&bed, "m,host=a v=4i 2");
    restore(&mut bed, &path);
    assert_eq!(points(&bed.store, "m"), ["m,host=a v=4i 2"]);
    assert_eq!(points(&bed.store, "n"), ["n,host=a v=2i 1"]);
}

/// An older and a newer file were merged over the place of the lost one, and then the older one's values
/// were newer than the lost one's.
#[test]
fn no_merge_makes_older_values_newer_than_those_of_a_lost_file() {
    let mut bed = bed();
    write_file(&bed, "m v=1i 1");
    write_file(&bed, "m v=2i 1");
    write_file(&bed, "m v=3i 2");
    write_file(&bed, "m v=4i 3");
    let path = lose(&mut bed, 1);
    bed.store.compact().unwrap();
    // Behind it there is still something to do.
    assert_eq!(bed.store.shards()[0].files, 2);
    assert_eq!(
        points(&bed.store, "m"),
        ["m v=1i 1", "m v=3i 2", "m v=4i 3"]
    );
    restore(&mut bed, &path);
    let all = ["m v=2i 1", "m v=3i 2", "m v=4i 3"];
    assert_eq!(points(&bed.store, "m"), all);
    bed.store.compact().unwrap();
    assert_eq!(bed.store.shards()[0].files, 2, "two pairs");
    assert_eq!(points(&bed.store, "m"), all);
}

/// A shard that is dropped takes its lost file along, and series of which nothing is left go again.
#[test]
fn dropping_the_shard_ends_the_waiting_for_its_lost_file() {
    let mut bed = bed();
    let far = 1_000_000_000_000_000_000_i64;
    write_file(&bed, "m,host=a v=1i 1");
    write_file(&bed, &format!("m,host=b v=2i {far}"));
    lose(&mut bed, 0);
    bed.store.compact().unwrap();
    assert_eq!(bed.store.stats().series, 2);
    let first = bed.store.shards()[0].id;
    bed.store.drop_shard(first).unwrap();
    bed.store.compact().unwrap();
    assert_eq!(bed.store.stats().series, 1);
    bed.reopen();
    assert_eq!(bed.store.report().quarantined, [] as [PathBuf; 0]);
    assert_eq!(points(&bed.store, "m"), [format!("m,host=b v=2i {far}")]);
}

/// A damaged page that had to be read to see what a deletion left made the whole file unused.
#[test]
fn a_damaged_page_beside_a_deletion_costs_what_was_in_it() {
    let mut bed = bed();
    let rows: Vec<String> = (0..200_i64)
        .map(|i| format!("m v={i}i {}", i * i))
        .collect();
    write_file(&bed, &(rows.join("\n") + "\nn v=1i 1\nn v=2i 2"));
    let view = bed.store.view("db", PolicyChoice::All, TimeRange::ALL);
    let view = view.unwrap();
    let series: RoaringBitmap = view.series(b"m").iter().collect();
    drop(view);
    // Both ends, so that what is between has to be looked at.
    for time_ns in [0, 199 * 199] {
        let range = TimeRange::new(time_ns, time_ns);
        bed.store.delete("db", &series, range).unwrap();
    }
    let path = files(&bed.fs, ".blk").swap_remove(0);
    let file = bed.fs.open(&path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 40).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 40).unwrap();
    file.sync_data().unwrap();
    bed.reopen();
    assert_eq!(bed.store.report().quarantined, [] as [PathBuf; 0]);
    assert_eq!(points(&bed.store, "n"), ["n v=1i 1", "n v=2i 2"]);
    let view = bed.store.view("db", PolicyChoice::All, TimeRange::ALL);
    let view = view.unwrap();
    let id = view.series(b"m").min().unwrap();
    let mut reader = view.read(SeriesId(id), &[b"v"], TimeRange::ALL, Order::Ascending);
    assert!(reader.next().is_err(), "the damage is in what is read");
    drop(reader);
    drop(view);
    file.write_all_at(&byte, 40).unwrap();
    bed.reopen();
    assert_eq!(points(&bed.store, "m").len(), 198);
}

/// A file system of which one file cannot be read for some time.
#[derive(Clone, Debug)]
struct Worn {
    fs: SimFs,
    bad: Arc<Mutex<PathBuf>>,
    /// How many reads still fail.
    failing: Arc<AtomicUsize>,
}

impl Worn {
    fn open(&self, path: &Path, failing: usize) -> Store {
        path.clone_into(&mut self.bad.lock().unwrap());
        self.failing.store(failing, Ordering::SeqCst);
        Store::open(Arc::new(self.clone()), Path::new(DIR), options()).unwrap()
    }

    fn file(&self, path: &Path, file: io::Result<Arc<dyn File>>) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(WornFile {
            file: file?,
            is_bad: path == *self.bad.lock().unwrap(),
            failing: Arc::clone(&self.failing),
        }))
    }
}

#[derive(Debug)]
struct WornFile {
    file: Arc<dyn File>,
    is_bad: bool,
    failing: Arc<AtomicUsize>,
}

impl File for WornFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = |left: usize| left.checked_sub(1);
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        if self.is_bad && self.failing.fetch_update(set, fetch, count).is_ok() {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file.read_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.file.reserve(len)
    }
}

impl Vfs for Worn {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.file(path, self.fs.create_new(path))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.file(path, Vfs::open(&self.fs, path))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.file(path, self.fs.open_read(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.fs.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.fs.read_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        self.fs.lock_dir(path)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        self.fs.available_bytes(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.fs.exists(path)
    }
}

/// One file on bad blocks kept the whole store from opening.
#[test]
fn a_file_that_the_disk_cannot_read_is_left_alone_and_the_rest_answers() {
    let bed = bed();
    write_file(&bed, "m,host=a v=1i 1");
    write_file(&bed, "n,host=b v=2i 1");
    let (fs, all) = (bed.fs.clone(), ["m,host=a v=1i 1"]);
    drop(bed);
    let worn = Worn {
        fs: fs.clone(),
        bad: Arc::default(),
        failing: Arc::default(),
    };
    for end in [".blk", ".sidx"] {
        let path = files(&fs, end).swap_remove(0);
        // What passes is no damage.
        let store = worn.open(&path, 1);
        assert_eq!(worn.failing.load(Ordering::SeqCst), 0);
        assert_eq!(store.report().quarantined, [] as [PathBuf; 0]);
        assert_eq!(points(&store, "m"), all);
        drop(store);
        let store = worn.open(&path, usize::MAX);
        assert_eq!(store.report().quarantined, std::slice::from_ref(&path));
        if end == ".blk" {
            assert_eq!(points(&store, "m"), [] as [&str; 0]);
            assert_eq!(points(&store, "n"), ["n,host=b v=2i 1"]);
        }
        write(&store, "new v=1i 1").unwrap();
        store.compact().unwrap();
        assert_eq!(points(&store, "new"), ["new v=1i 1"]);
        drop(store);
        let store = worn.open(&path, 0);
        assert_eq!(store.report().quarantined, [] as [PathBuf; 0]);
        assert_eq!(points(&store, "m"), all);
        assert_eq!(points(&store, "n"), ["n,host=b v=2i 1"]);
    }
}

/// It is told at the start alone, and must not be missed by who only looks at the figures.
#[test]
fn a_damaged_segment_of_the_wal_counts_as_a_damaged_file() {
    let mut bed = bed();
    for body in ["m,h=a v=1 1", "m,h=b v=2 2", "m,h=c v=3 3"] {
        bed.write(body).unwrap();
    }
    let dir = Path::new(DIR).join("wal");
    let mut names = bed.fs.read_dir(&dir).unwrap();
    names.retain(|name| name.ends_with(".seg"));
    let path = dir.join(&names[0]);
    // In the first record, behind the headers of segment and frame.
    let file = bed.fs.open(&path).unwrap();
    file.write_all_at(&[0xff], 48 + 32 + 3).unwrap();
    bed.reopen();
    assert_eq!(bed.store.report().quarantined, std::slice::from_ref(&path));
    assert_eq!(bed.store.stats().damaged, [path]);
    assert_eq!(points(&bed.store, "m"), ["m,h=b v=2 2", "m,h=c v=3 3"]);
}

/// A WAL that was removed or emptied cost what was acknowledged, and nothing was said.
#[test]
fn a_wal_that_is_gone_is_told_and_counted() {
    type Loss = fn(&SimFs, &Path);
    let losses: [Loss; 2] = [
        |fs, path| fs.remove_file(path).unwrap(),
        |fs, path| fs.open(path).unwrap().set_len(0).unwrap(),
    ];
    for loss in losses {
        let mut bed = bed();
        write_file(&bed, "m,host=a v=1i 1");
        bed.write("m,host=a v=2i 2").unwrap();
        let wal = Path::new(DIR).join("wal");
        for name in bed.fs.read_dir(&wal).unwrap() {
            if name.ends_with(".seg") {
                loss(&bed.fs, &wal.join(name));
            }
        }
        bed.reopen();
        assert_eq!(bed.store.report().quarantined, std::slice::from_ref(&wal));
        assert_eq!(bed.store.damaged(), [wal]);
        assert_eq!(points(&bed.store, "m"), ["m,host=a v=1i 1"]);
        // What comes now is safe again.
        bed.write("m,host=a v=3i 3").unwrap();
        bed.reopen();
        assert_eq!(bed.store.report().quarantined, [] as [PathBuf; 0]);
        assert_eq!(points(&bed.store, "m").len(), 2);
    }
}

/// Neither a first start, nor a clean stop, nor a start that is cut short leaves a store without a WAL.
#[test]
fn a_wal_is_missed_only_where_there_was_one() {
    let options = options();
    let calls = {
        let fs = SimFs::new(1);
        common::open(&fs, &options);
        fs.calls()
    };
    for call in 0..=calls {
        let fs = SimFs::new(call);
        fs.power_off_after(call);
        let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
        drop(Store::open(vfs, Path::new(DIR), options.clone()));
        let store = common::open(&fs.crash(call), &options);
        assert_eq!(store.report().quarantined, [] as [PathBuf; 0], "{call}");
    }
    let mut bed = bed();
    bed.write("m,host=a v=1i 1").unwrap();
    bed.store.close().unwrap();
    bed.reopen();
    assert_eq!(bed.store.report().quarantined, [] as [PathBuf; 0]);
}

/// Queries say what they lack: by the shards that they look at.
#[test]
fn a_view_knows_of_the_files_that_it_lacks() {
    const DAY_NS: i64 = 86_400_000_000_000;
    let mut bed = bed();
    write_file(&bed, "m,host=a v=1i 1");
    write_file(&bed, &format!("m,host=a v=2i {}", 100 * DAY_NS));
    let missing = |bed: &Bed, range| {
        let view = bed.store.view("db", PolicyChoice::All, range).unwrap();
        bed.store.missing_files(&view)
    };
    assert_eq!(missing(&bed, TimeRange::ALL), 0);
    lose(&mut bed, 0);
    assert_eq!(missing(&bed, TimeRange::ALL), 1);
    assert_eq!(missing(&bed, TimeRange::new(0, 10)), 1);
    assert_eq!(missing(&bed, TimeRange::new(99 * DAY_NS, 100 * DAY_NS)), 0);
}
