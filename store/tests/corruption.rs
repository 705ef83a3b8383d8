//! Every byte of every file of a store is damaged: opening and reading give an error, or just the
//! right data less what is reported as damaged; never a panic, wrong data or much memory.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{DIR, NOW_NS};
use roaring::RoaringBitmap;
use tandem_model::{FieldValue, Precision, SeriesId, TimeRange};
use tandem_store::{Options, Order, PolicyChoice, PolicySpec, Store, WriteRequest};
use tandem_testkit::SimFs;
use tandem_vfs::Vfs;

const HOUR_NS: i64 = 3_600_000_000_000;
/// Of this whole process, at its peak.
const MEMORY_BYTES_MAX: u64 = 400 << 20;

/// Every file with its bytes.
type Image = BTreeMap<PathBuf, Vec<u8>>;
/// Values as text by database, series key, time and field.
type Rows = BTreeMap<(String, Vec<u8>, i64, Vec<u8>), String>;

fn options() -> Options {
    Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    }
}

fn open(fs: &SimFs) -> Result<Store, tandem_store::StoreError> {
    let fs: Arc<dyn Vfs> = Arc::new(fs.clone());
    Store::open(fs, Path::new(DIR), options())
}

fn write(store: &Store, body: &str) {
    let request = WriteRequest {
        database: "db",
        retention_policy: None,
        precision: Precision::Nanosecond,
        now_ns: NOW_NS,
    };
    store.write(&request, body.as_bytes()).unwrap();
}

/// A store with files of every kind: merged and new block files of two shards, index segments, a
/// deletion, rows in the log; and all rows that were ever written.
fn sample() -> (Image, Rows, Rows) {
    let fs = SimFs::new(1);
    let store = open(&fs).unwrap();
    let spec = PolicySpec {
        shard_duration_ns: Some(HOUR_NS),
        ..PolicySpec::default()
    };
    store.create_database("db", Some(&spec)).unwrap();
    let mut ever = Rows::new();
    for round in 0..4_i64 {
        let lines: Vec<String> = (0..12_i64)
            .map(|at| {
                let time_ns = (at % 2) * HOUR_NS + at * 1_000 + round % 2;
                format!(
                    "m,host=h{} i={at}i,s=\"text {round} {at}\",f={round}.5 {time_ns}",
                    at % 3
                )
            })
            .collect();
        write(&store, &lines.join("\n"));
        read_into(&store, &mut ever).unwrap();
        if round < 3 {
            store.flush().unwrap();
        }
        if round == 1 {
            store.compact().unwrap();
        }
    }
    write(&store, "n,host=h9 v=1i,b=true 5\nm,host=h1 i=77i 1000");
    read_into(&store, &mut ever).unwrap();
    let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
    let gone: RoaringBitmap = view
        .series(b"m")
        .into_iter()
        .filter(|id| view.series_key(SeriesId(*id)).ends_with(b"h2"))
        .collect();
    drop(view);
    store.delete("db", &gone, TimeRange::ALL).unwrap();
    write(&store, "m,host=h2 i=5i 77");
    let mut rows = Rows::new();
    read_into(&store, &mut rows).unwrap();
    ever.extend(rows.clone());
    // Damage to the last record of a log cannot be told from a write that the power cut, nor can
    // damage that goes from the record before into it: these hold nothing that is missed.
    for last in 0..2 {
        write(&store, &format!("tail v={last}i 1"));
        store.create_database(&format!("tail{last}"), None).unwrap();
    }
    drop(store);
    (image(&fs, Path::new(DIR)), rows, ever)
}

fn image(fs: &SimFs, dir: &Path) -> Image {
    let mut all = Image::new();
    // The ballast's bytes mean nothing.
    for name in fs
        .read_dir(dir)
        .unwrap()
        .iter()
        .filter(|name| *name != "ballast")
    {
        let path = dir.join(name);
        match fs.open_read(&path) {
            Ok(file) => {
                let mut bytes = vec![0; file.len().unwrap() as usize];
                file.read_exact_at(&mut bytes, 0).unwrap();
                all.insert(path, bytes);
            }
            Err(_) => all.extend(image(fs, &path)),
        }
    }
    all
}

fn build(image: &Image, changed: &Path, bytes: &[u8]) -> SimFs {
    let fs = SimFs::new(1);
    let dirs: BTreeSet<&Path> = image.keys().filter_map(|path| path.parent()).collect();
    for dir in dirs {
        fs.create_dir_all(dir).unwrap();
    }
    for (path, whole) in image {
        let file = fs.create_new(path).unwrap();
        let bytes = if path == changed { bytes } else { whole };
        file.write_all_at(bytes, 0).unwrap();
    }
    fs
}

/// Adds what a store shows, but the rows that are only there to be the last ones.
fn read_into(store: &Store, rows: &mut Rows) -> Result<(), tandem_store::StoreError> {
    for database in store.databases() {
        let view = store.view(&database, PolicyChoice::All, TimeRange::ALL)?;
        for measurement in view.measurements() {
            let fields = view.fields(&measurement);
            let names: Vec<&[u8]> = fields.iter().map(|(name, _)| name.as_slice()).collect();
            if measurement == b"tail" {
                continue;
            }
            for id in view.series(&measurement) {
                let key = view.series_key(SeriesId(id));
                let mut reader = view.read(SeriesId(id), &names, TimeRange::ALL, Order::Ascending);
                while let Some(found) = reader.next()? {
                    for (at, &time_ns) in found.times_ns.iter().enumerate() {
                        for (name, column) in names.iter().zip(&found.columns) {
                            let value = column.as_ref().and_then(|column| column.get(at));
                            if let Some(value) = value {
                                let place = (database.clone(), key.clone(), time_ns, name.to_vec());
                                rows.insert(place, text(value));
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

fn text(value: FieldValue<'_>) -> String {
    match value {
        FieldValue::String(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        other => format!("{other:?}"),
    }
}

/// What became of one damage.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Harmless,
    Refused,
    Reported,
    NotRead,
    EndsEarly,
}

/// Database, series key, time and field of a value.
type Cell = (String, Vec<u8>, i64, Vec<u8>);

struct Bed {
    image: Image,
    rows: Rows,
    /// Each value that some place ever had.
    ever: BTreeMap<Cell, BTreeSet<String>>,
    outcomes: BTreeMap<(String, Outcome), u32>,
}

impl Bed {
    /// Opens the store with one file changed, and judges. A log that is cut off ends earlier, as if
    /// the power had gone then: that cannot be told.
    fn check(&mut self, path: &Path, bytes: &[u8], how: &str) {
        let is_log = path.extension().is_some_and(|extension| extension == "seg");
        let may_end_early = is_log && bytes.len() < self.image[path].len();
        let at = format!("{} {how}", path.display());
        let fs = build(&self.image, path, bytes);
        let outcome = match open(&fs) {
            Err(_) => Outcome::Refused,
            Ok(store) => {
                let quarantined = store.report().quarantined.clone();
                assert!(
                    may_end_early || quarantined.iter().all(|named| same_name(named, path)),
                    "{at}: {quarantined:?} are named"
                );
                let mut found = Rows::new();
                let read = read_into(&store, &mut found);
                for (place, value) in &found {
                    let known = self.ever.get(place);
                    assert!(
                        known.is_some_and(|values| values.contains(value)),
                        "{at}: {place:?} is {value}, and was {known:?}"
                    );
                }
                if read.is_err() {
                    Outcome::NotRead
                } else if !quarantined.is_empty() {
                    Outcome::Reported
                } else if may_end_early && found != self.rows {
                    Outcome::EndsEarly
                } else {
                    assert!(
                        found == self.rows,
                        "{at}: not what was there, and no word of it"
                    );
                    Outcome::Harmless
                }
            }
        };
        let kind = path.extension().map(|e| e.to_string_lossy().into_owned());
        let parent = path.parent().and_then(Path::file_name).unwrap_or_default();
        let kind = format!("{}/{}", parent.to_string_lossy(), kind.unwrap_or_default());
        *self.outcomes.entry((kind, outcome)).or_default() += 1;
    }
}

/// Whether `named` is `path`, or the name under which that is kept.
fn same_name(named: &Path, path: &Path) -> bool {
    let (named, path) = (named.to_string_lossy(), path.to_string_lossy());
    named.starts_with(&*path) || path.starts_with(&*named)
}

/// The most memory that this process ever had.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) << 10
}

#[test]
fn damage_anywhere_is_an_error_or_reported_and_never_wrong_data() {
    let (image, rows, all) = sample();
    assert!(rows.len() > 40, "{}", rows.len());
    let mut ever: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (place, value) in all.iter().chain(&rows) {
        ever.entry(place.clone()).or_default().insert(value.clone());
    }
    // Values that were overwritten come again when the newer file is lost.
    for round in 0..4 {
        for (place, value) in &all {
            let values = ever.entry(place.clone()).or_default();
            values.insert(value.clone());
            match place.3.as_slice() {
                b"f" => drop(values.insert(format!("Float({round}.5)"))),
                b"s" => {
                    let at = value.rsplit(' ').next().unwrap_or_default().to_owned();
                    values.insert(format!("\"text {round} {at}"));
                }
                b"i" => {
                    let at = place.2 % HOUR_NS / 1_000;
                    values.insert(format!("Integer({at})"));
                }
                _ => {}
            }
        }
    }
    let mut bed = Bed {
        image,
        rows,
        ever,
        outcomes: BTreeMap::new(),
    };
    let files: Vec<(PathBuf, Vec<u8>)> = bed.image.clone().into_iter().collect();
    for (path, whole) in &files {
        println!("{}: {} bytes", path.display(), whole.len());
        bed.check(path, whole, "as it was");
        if whole.is_empty() {
            continue;
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            bed.check(
                path,
                &bytes,
                &format!("with bit {} of byte {at} turned", at % 8),
            );
        }
        for at in (0..whole.len()).step_by(16) {
            let mut bytes = whole.clone();
            let end = (at + 40).min(bytes.len());
            bytes[at..end].fill(0);
            if bytes != *whole {
                bed.check(path, &bytes, &format!("with zeros from byte {at}"));
            }
        }
        for len in (0..whole.len()).rev().step_by(3) {
            bed.check(path, &whole[..len], &format!("cut to {len} bytes"));
        }
    }
    for (kind, count) in &bed.outcomes {
        println!("{kind:?}: {count}");
    }
    let damaged = |outcome: &Outcome| *outcome != Outcome::Harmless;
    assert!(bed.outcomes.keys().any(|(_, outcome)| damaged(outcome)));
    let peak = peak_bytes();
    assert!(peak < MEMORY_BYTES_MAX, "{} MiB at the peak", peak >> 20);
}
