//! A disk that cannot read some blocks: the log opens without what was in them, says so, and goes on behind.

mod support;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use support::{DIR, Record, small};
use tandem_seglog::{Damage, Error, Log, Options, Recovery};
use tandem_testkit::{Rng, SimFs};
use tandem_vfs::{DirLock, File, Vfs};

/// Bytes of files that cannot be read.
type Bad = Arc<Mutex<Vec<(PathBuf, Range<u64>)>>>;

/// A file system on which some bytes of some files cannot be read.
#[derive(Clone, Debug)]
struct Worn {
    fs: Arc<SimFs>,
    bad: Bad,
}

#[derive(Debug)]
struct WornFile {
    file: Arc<dyn File>,
    path: PathBuf,
    bad: Bad,
}

impl Worn {
    fn new(fs: SimFs) -> Self {
        Worn {
            fs: Arc::new(fs),
            bad: Arc::default(),
        }
    }

    fn wear(&self, path: &Path, bytes: Range<u64>) {
        self.bad.lock().unwrap().push((path.to_owned(), bytes));
    }

    fn file(&self, path: &Path, file: io::Result<Arc<dyn File>>) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(WornFile {
            file: file?,
            path: path.to_owned(),
            bad: Arc::clone(&self.bad),
        }))
    }
}

impl File for WornFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = offset..offset + buf.len() as u64;
        let bad = self.bad.lock().unwrap();
        let meets = |bytes: &Range<u64>| bytes.start < read.end && read.start < bytes.end;
        if bad
            .iter()
            .any(|(path, bytes)| *path == self.path && meets(bytes))
        {
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
        self.file(path, self.fs.open(path))
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

fn open(worn: &Worn, options: Options) -> (Log, Recovery, Vec<Record>) {
    let mut found = Vec::new();
    let mut visit = |sequence: u64, record: &[u8]| {
        found.push((sequence, record.to_vec()));
        Ok(())
    };
    let vfs = Arc::new(worn.clone());
    let (log, recovery) = Log::open(vfs, Path::new(DIR), options, &mut visit).unwrap();
    (log, recovery, found)
}

fn commit(log: &Log, record: &[u8]) -> u64 {
    let ticket = log.append(&[record]).unwrap();
    log.commit(&ticket).unwrap();
    ticket.sequence()
}

/// Segments of about 64 KiB, so that each has several blocks.
fn options() -> Options {
    Options {
        segment_bytes_max: 64 << 10,
        record_bytes_max: 64 << 10,
        ..Options::default()
    }
}

fn written(options: &Options) -> (Worn, Vec<Record>, Vec<PathBuf>) {
    let worn = Worn::new(SimFs::new(1));
    let (log, ..) = open(&worn, options.clone());
    let mut rng = Rng::new(2);
    let records: Vec<Record> = (0..60)
        .map(|_| {
            let record = rng.bytes(3000);
            (commit(&log, &record), record)
        })
        .collect();
    drop(log);
    let mut names = worn.read_dir(Path::new(DIR)).unwrap();
    names.retain(|name| name.ends_with(".seg"));
    names.sort();
    let paths = names.iter().map(|n| Path::new(DIR).join(n)).collect();
    (worn, records, paths)
}

#[test]
fn a_block_that_cannot_be_read_costs_what_was_in_it() {
    let (_, whole, paths) = written(&options());
    assert_eq!(paths.len(), 3);
    for (at, path) in paths.iter().enumerate() {
        for block in 0..14_u64 {
            let (worn, ..) = written(&options());
            let path_here = worn_path(&worn, path);
            worn.wear(&path_here, block * 4096..block * 4096 + 512);
            let (log, recovery, found) = open(&worn, options());
            let said = |n: u64| {
                recovery
                    .corruptions
                    .iter()
                    .any(|c| c.sequences.contains(&n))
            };
            let missing: Vec<u64> = whole
                .iter()
                .filter(|r| !found.contains(r))
                .map(|r| r.0)
                .collect();
            // What the first segment began with is known to its header alone; nothing proves the last group.
            let is_known = |n: u64| n != 60 && (at, block) != (0, 0);
            assert!(
                missing.len() <= 3,
                "segment {at}, block {block}: {missing:?}"
            );
            assert!(
                missing.iter().all(|n| said(*n) || !is_known(*n)),
                "segment {at}, block {block}: {missing:?}, {recovery:?}"
            );
            assert!(found.iter().all(|record| whole.contains(record)));
            assert!(!recovery.corruptions.is_empty() || missing.is_empty());
            // No number is given out twice.
            assert!(commit(&log, b"more") > 60);
            drop(log);
            let (_, _, after) = open(&worn, options());
            assert_eq!(after[..found.len()], found[..]);
            assert_eq!(after.len(), found.len() + 1);
        }
    }
}

/// The names are random, the order is not.
fn worn_path(worn: &Worn, like: &Path) -> PathBuf {
    let index = &like.file_name().unwrap().to_str().unwrap()[..16];
    let names = worn.read_dir(Path::new(DIR)).unwrap();
    let name = names
        .iter()
        .find(|n| n.starts_with(index) && n.ends_with(".seg"));
    Path::new(DIR).join(name.unwrap())
}

/// The end of the last segment cannot be read, and nothing says what was there: not a torn tail, and no number of it comes again.
#[test]
fn an_unreadable_end_is_damage() {
    let (worn, whole, paths) = written(&options());
    worn.wear(&paths[2], 16 << 10..1 << 20);
    let (log, recovery, found) = open(&worn, options());
    assert_eq!(recovery.torn_tail, None);
    let [damage] = &recovery.corruptions[..] else {
        panic!("{recovery:?}");
    };
    assert_eq!((damage.damage, &damage.file), (Damage::Records, &paths[2]));
    assert!(damage.sequences.contains(&60), "{damage:?}");
    assert_eq!(found, whole[..found.len()]);
    assert!(commit(&log, b"more") > 60);
    assert_eq!(
        log.segments(),
        4,
        "a damaged last segment is not written again"
    );
}

#[test]
fn a_whole_segment_that_cannot_be_read_is_reported() {
    let (worn, whole, paths) = written(&options());
    worn.wear(&paths[1], 0..1 << 20);
    let (_, recovery, found) = open(&worn, options());
    assert!(found.len() >= 40 - 2 && found.len() < 60);
    let reported = |n: u64| {
        recovery
            .corruptions
            .iter()
            .any(|c| c.sequences.contains(&n))
    };
    let missing = whole.iter().filter(|r| !found.contains(r));
    assert!(missing.clone().count() >= 20);
    assert!(missing.clone().all(|(n, _)| reported(*n)), "{recovery:?}");
}

/// A reader does not pass over what it cannot read now: its records would be lost to it.
#[test]
fn a_reader_says_what_it_cannot_read_and_tries_again() {
    let (worn, ..) = written(&small_records());
    let (log, ..) = open(&worn, small_records());
    let mut reader = log.reader(0);
    let path = {
        let mut names = worn.read_dir(Path::new(DIR)).unwrap();
        names.retain(|name| name.ends_with(".seg"));
        names.sort();
        Path::new(DIR).join(&names[0])
    };
    worn.wear(&path, 0..1 << 20);
    for _ in 0..2 {
        assert!(matches!(reader.next(), Err(Error::Io { .. })));
    }
    worn.bad.lock().unwrap().clear();
    assert_eq!(reader.next().unwrap().unwrap().0, 1);
}

fn small_records() -> Options {
    Options {
        record_bytes_max: 4000,
        ..small()
    }
}
