//! Index segments.

use std::ops::Range;
use std::path::Path;
use std::sync::RwLock;

use tandem_model::SeriesId;

use super::Bytes;
use super::patch::patched;
use crate::index::{SeriesTable, read_segment_file, write_segment_file};

/// The ids that segments here are about.
const IDS: Range<u32> = 100..3_000;
const HASH_SEED: u64 = 7;

/// Good segments.
#[must_use]
pub fn index_samples() -> Vec<Vec<u8>> {
    let mut samples = Vec::new();
    for series in [0, 1, 5, 40] {
        let mut table = SeriesTable::seeded(HASH_SEED);
        table.pad_to(IDS.start);
        for n in 0..series {
            let name = if n % 4 == 3 { r"a\ b" } else { "cpu" };
            let key = format!(r"{name},dc=eu-{},host=h{n},z\ k=v\,{}", n % 3, n % 7);
            table.insert(key.as_bytes());
        }
        table.insert(b"plain");
        samples.push(written(table));
    }
    samples
}

/// Reads a segment: one of `samples` with the changes that `input` describes, or its bytes.
pub fn index(samples: &[Vec<u8>], input: &[u8]) {
    let Some((&which, rest)) = input.split_first() else {
        return;
    };
    if which == 0xff {
        read(rest.to_vec());
    } else if let Some(sample) = samples.get(usize::from(which) % samples.len().max(1)) {
        read(patched(sample, rest));
    }
}

fn loaded(bytes: Vec<u8>) -> (SeriesTable, bool) {
    let mut table = SeriesTable::seeded(HASH_SEED);
    table.pad_to(IDS.start);
    let file = Bytes::new(bytes);
    let read = read_segment_file(&file, Path::new("fuzzed"), IDS, &mut table);
    let read = read.expect("memory can be read");
    assert_eq!(read.series as usize, table.series_count());
    (table, read.damage.is_none())
}

fn read(bytes: Vec<u8>) {
    let (table, is_whole) = loaded(bytes);
    assert!(table.len() <= IDS.end);
    for id in table.ids_in(0..IDS.end) {
        let key = table.key(id);
        let found = table.find(&key).expect("a key finds a series");
        assert_eq!(table.key(found), key);
        assert!(IDS.contains(&id.0) && table.count_in(id.0..id.0 + 1) == 1);
        assert!(key.starts_with(table.measurement_of(id)) || key.contains(&b'\\'));
    }
    if is_whole {
        let keys = keys(&table);
        let (again, is_whole) = loaded(written(table));
        assert!(is_whole);
        assert_eq!(self::keys(&again), keys);
    }
}

fn keys(table: &SeriesTable) -> Vec<(SeriesId, Vec<u8>)> {
    let ids = table.ids_in(0..IDS.end);
    ids.map(|id| (id, table.key(id))).collect()
}

fn written(table: SeriesTable) -> Vec<u8> {
    let table = RwLock::new(table);
    let lock = || table.read().expect("nobody panics with it");
    let file = Bytes::default();
    write_segment_file(&file, Path::new("written"), IDS, &lock).expect("memory can be written");
    file.to_vec()
}
