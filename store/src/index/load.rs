//! Taking the series of a segment into the table, many at a time.
//!
//! What needs no table comes done, maybe from another thread: a [`LoadedBlock`] has its texts taken
//! apart and hashed. Of the rest two things are cheaper for many than for each. The sets of series grow
//! by ranges, where series that follow one another carry the same tag keys. And the hash table of
//! keys is filled last, in the order of its memory: in the order of ids nearly every entry would wait
//! for a part of the table that was not near.

use std::ops::Range;

use tandem_model::{EscapedTag, SeriesId};

use super::SeriesTable;
use super::dictionary::spread;
use super::segment::Part;
use super::sets::ID_END;
use crate::rows::Strings;

/// Records that wait for the hash table; bounds the memory that they take meanwhile.
const UNKEYED_MAX: usize = 1 << 20;
/// Parts of the hash table that are filled one after the other, as a power of two: of a large table
/// one fits the processor's cache.
const PARTS_LOG: u32 = 9;

/// Series of a segment's block, with their tags as places in the block's own lists.
#[derive(Debug, Default)]
pub(super) struct LoadedBlock {
    /// Measurements as they stand in series keys.
    pub(super) measurements: Strings,
    /// Tag keys with their escapes.
    pub(super) keys: Strings,
    /// Tag pairs, each once.
    pub(super) texts: Strings,
    /// The same: one for each text.
    pub(super) pairs: Vec<LoadedPair>,
    /// The tags of one series after the other: places in `pairs`.
    pub(super) tags: Vec<u32>,
    pub(super) series: Vec<LoadedSeries>,
}

/// One tag pair of a [`LoadedBlock`].
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadedPair {
    pub(super) hash: u32,
    /// The place of its key.
    pub(super) key: u32,
    /// Where in the text its key ends.
    pub(super) key_len: usize,
}

/// One series of a [`LoadedBlock`].
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadedSeries {
    pub(super) id: u32,
    /// Of its canonical key.
    pub(super) hash: u32,
    /// The place of its measurement.
    pub(super) measurement: u32,
    /// Where its tags end; they begin where those of the series before do.
    pub(super) tags_end: usize,
}

/// Fills a table, which is whole again once this is dropped.
pub(super) struct Loader<'a> {
    table: &'a mut SeriesTable,
    /// Hashes and addresses of records that no key finds yet.
    unkeyed: Vec<(u32, u32)>,
    /// The measurement and the tag keys of the last series.
    alike: (u32, Vec<u32>),
    /// Series behind it that are like it, and are not in the sets of their measurement yet.
    ids: Range<u32>,
    /// Buffers that are used again.
    numbers: Vec<u32>,
    series_keys: Vec<u32>,
    pairs: Vec<u32>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(table: &'a mut SeriesTable) -> Self {
        Self {
            table,
            unkeyed: Vec::new(),
            alike: (u32::MAX, Vec::new()),
            ids: 0..0,
            numbers: Vec::new(),
            series_keys: Vec::new(),
            pairs: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, part: &Part) {
        match part {
            Part::Size { series, pairs } => {
                self.table.reserve(*series, *pairs);
                self.unkeyed.reserve((*series).min(UNKEYED_MAX));
            }
            Part::Series(block) => self.load(block),
        }
    }

    /// Takes in series, as [`SeriesTable::insert_at`] does one.
    fn load(&mut self, block: &LoadedBlock) {
        let table = &mut *self.table;
        let measurements = block.measurements.iter();
        let measurements: Vec<u32> = measurements.map(|m| table.postings.intern(m)).collect();
        let keys = block.keys.iter();
        let keys: Vec<u32> = keys.map(|key| table.dictionary.intern_key(key)).collect();
        // Each lookup in a large table waits for memory. So those of the whole block are begun before
        // the first is needed, and wait together.
        for pair in &block.pairs {
            table.dictionary.touch(pair.hash);
        }
        self.numbers.clear();
        for (text, pair) in block.texts.iter().zip(&block.pairs) {
            let key_len = pair.key_len;
            let tag = EscapedTag { text, key_len };
            let key = keys[pair.key as usize];
            let (number, new) = table.dictionary.intern_hashed(pair.hash, tag, Some(key));
            if new {
                table.postings.sets.push_empty();
            }
            self.numbers.push(number);
        }
        let mut start = 0;
        for series in &block.series {
            let tags = &block.tags[start..series.tags_end];
            start = series.tags_end;
            if series.id < self.table.len() || series.id >= ID_END {
                continue;
            }
            self.pairs.clear();
            self.series_keys.clear();
            for &tag in tags {
                self.pairs.push(self.numbers[tag as usize]);
                let key = block.pairs[tag as usize].key;
                self.series_keys.push(keys[key as usize]);
            }
            let measurement = measurements[series.measurement as usize];
            self.put(SeriesId(series.id), series.hash, measurement);
        }
    }

    /// Takes in the series whose pairs and keys are in the buffers.
    fn put(&mut self, id: SeriesId, hash: u32, measurement: u32) {
        let is_alike = self.alike.0 == measurement && self.alike.1 == self.series_keys;
        if is_alike && self.ids.end == id.0 {
            for &pair in &self.pairs {
                self.table.postings.sets.insert(pair, id.0);
            }
            self.ids.end += 1;
        } else {
            self.end_alike();
            let postings = &mut self.table.postings;
            postings.insert(id, measurement, &self.pairs, &self.series_keys);
            self.alike.0 = measurement;
            self.alike.1.clone_from(&self.series_keys);
            self.ids = id.0 + 1..id.0 + 1;
        }
        let address = self.table.put_unkeyed(id, hash, measurement, &self.pairs);
        self.unkeyed.push((hash, address));
        if self.unkeyed.len() == UNKEYED_MAX {
            self.give_keys();
        }
    }

    fn end_alike(&mut self) {
        let ids = std::mem::replace(&mut self.ids, 0..0);
        if !ids.is_empty() {
            let (measurement, keys) = &self.alike;
            self.table.postings.insert_alike(ids, *measurement, keys);
        }
    }

    /// Lets keys find the records that wait for it.
    fn give_keys(&mut self) {
        let unkeyed = std::mem::take(&mut self.unkeyed);
        if unkeyed.is_empty() {
            return;
        }
        let buckets = self.table.key_buckets(unkeyed.len());
        // Where in the table an entry is looked for first: hashbrown takes the lower bits.
        let shift = buckets.ilog2().saturating_sub(PARTS_LOG);
        let part_of = |hash: u32| (spread(hash) as usize & (buckets - 1)) >> shift;
        let mut starts = vec![0; 1 + (1 << PARTS_LOG)];
        for (hash, _) in &unkeyed {
            starts[part_of(*hash) + 1] += 1;
        }
        for part in 1..starts.len() {
            starts[part] += starts[part - 1];
        }
        // Entries of one part stay in the order of their ids: of equal keys the last one counts.
        let mut ordered = vec![(0, 0); unkeyed.len()];
        for (hash, address) in unkeyed {
            let place = &mut starts[part_of(hash)];
            ordered[*place] = (hash, address);
            *place += 1;
        }
        for (hash, address) in ordered {
            self.table.give_key(hash, address);
        }
    }
}

impl Drop for Loader<'_> {
    fn drop(&mut self) {
        self.end_alike();
        self.give_keys();
    }
}
