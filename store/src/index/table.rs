//! Series keys to dense ids and back, and everything that is known of a series by its tags.
//!
//! A key is kept as a record: its measurement and the numbers of its tag pairs, whose texts the
//! [`Dictionary`] has once. A hash table of records finds a key; whether it is the one is seen by
//! spelling the record beside it, so a lookup stays one hash and one comparison. A raw key, as it
//! stands on a line with its tags in any order, is looked up first: most clients write the canonical
//! form, and for the others an alias remembers the id, so that sorting and unescaping happen once
//! a series and not once a line.
//!
//! A series enters when a batch is staged, before it is durable. Readers see it only where a shard
//! has rows of it, which is after its first row is applied; so one that never became durable was never
//! seen, and taking it back is removing the table's tail.
//!
//! Ids that were given out and removed with their rows are never given out again. What removed series
//! took stays until the table is written anew ([`SeriesTable::is_wasteful`]).
//!
//! ```text
//! record := id, hash of the key, measurement, count, pair × count        (u32 each)
//! ```

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};
use tandem_model::{EscapedTag, SeriesId, split_escaped};

use super::aliases::Aliases;
use super::arena::Arena;
use super::dictionary::{Dictionary, hash32, spread};
use super::limits::{LimitExceeded, Limits};
use super::places::Places;
use super::postings::{Measurement, Postings};
use super::sets::ID_END;

/// Words of a record before its pairs.
const HEADER_WORDS: usize = 4;
/// Below this many removed series the table is not written anew.
const REMOVED_MIN: usize = 4096;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct SeriesTable {
    /// Counts how often a tail was taken back: ids found before may since name other series.
    generation: u64,
    /// Counts how often it was written anew: pairs have other numbers since.
    rewrites: u64,
    /// Series removed since the table was written anew.
    removed: usize,
    pub(super) hasher: FixedState,
    places: Places,
    records: Arena<u32, 18>,
    by_key: HashTable<u32>,
    /// Records that a later one with the same key hides from `by_key`, by the key's hash: a key that
    /// came again after its series was deleted, or after its first definition was damaged.
    shadowed: HashMap<u32, Vec<u32>, FixedState>,
    pub(super) dictionary: Dictionary,
    pub(super) postings: Postings,
    aliases: Aliases,
    /// Buffers that are used again.
    scratch_keys: Vec<u32>,
    scratch_record: Vec<u32>,
}

impl Default for SeriesTable {
    fn default() -> Self {
        Self::with_hasher(FixedState::with_seed(tandem_vfs::random_u64()))
    }
}

/// A record, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) id: SeriesId,
    pub(super) hash: u32,
    pub(super) measurement: u32,
    pub(super) pairs: &'a [u32],
}

impl SeriesTable {
    /// An empty table that hashes as others of this seed do.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::with_hasher(FixedState::with_seed(seed))
    }

    fn with_hasher(hasher: FixedState) -> Self {
        Self {
            generation: 0,
            rewrites: 0,
            removed: 0,
            hasher,
            places: Places::default(),
            records: Arena::default(),
            by_key: HashTable::new(),
            shadowed: HashMap::default(),
            dictionary: Dictionary::default(),
            postings: Postings::default(),
            aliases: Aliases::default(),
            scratch_keys: Vec::new(),
            scratch_record: Vec::new(),
        }
    }

    /// Changes whenever ids are taken back: one found before may now name another series.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Changes whenever the table is written anew.
    pub(super) const fn rewrites(&self) -> u64 {
        self.rewrites
    }

    /// How many ids have been given out, those of holes included.
    pub(crate) const fn len(&self) -> u32 {
        self.places.len()
    }

    /// How many series there are.
    pub(crate) const fn series_count(&self) -> usize {
        self.places.taken()
    }

    pub(super) fn record(&self, address: u32) -> Record<'_> {
        let words = self.records.from(address);
        Record {
            id: SeriesId(words[0]),
            hash: words[1],
            measurement: words[2],
            pairs: &words[HEADER_WORDS..][..words[3] as usize],
        }
    }

    pub(super) fn record_of(&self, id: SeriesId) -> Option<Record<'_>> {
        Some(self.record(self.places.get(id)?))
    }

    /// True when the record's canonical key is `key`.
    fn spells(&self, record: Record<'_>, key: &[u8]) -> bool {
        let Some(mut rest) = key.strip_prefix(&*self.postings.at(record.measurement).escaped)
        else {
            return false;
        };
        for &pair in record.pairs {
            let Some((b',', tag)) = rest.split_first() else {
                return false;
            };
            let Some(after) = tag.strip_prefix(self.dictionary.text(pair)) else {
                return false;
            };
            rest = after;
        }
        rest.is_empty()
    }

    fn find_hashed(&self, hash: u32, key: &[u8]) -> Option<SeriesId> {
        let found = self.by_key.find(spread(hash), |&address| {
            let record = self.record(address);
            record.hash == hash && self.spells(record, key)
        });
        found.map(|&address| self.record(address).id)
    }

    /// The series that a raw key names, if it was seen in this form or in the canonical one.
    pub(crate) fn find_raw(&self, raw: &[u8]) -> Option<SeriesId> {
        let hash = self.hasher.hash_one(raw);
        self.find_hashed((hash >> 32) as u32, raw)
            .or_else(|| self.aliases.find(hash, raw))
    }

    /// The series with this canonical key.
    pub(crate) fn find(&self, canonical: &[u8]) -> Option<SeriesId> {
        self.find_hashed(hash32(&self.hasher, canonical), canonical)
    }

    /// Gives the next id to a canonical key that has none yet, if the limits let it.
    pub(crate) fn insert_within(
        &mut self,
        canonical: &[u8],
        limits: Limits,
    ) -> Result<SeriesId, LimitExceeded> {
        limits.check(self, canonical)?;
        Ok(self.insert(canonical))
    }

    /// Gives the next id to a canonical key that has none yet.
    pub(crate) fn insert(&mut self, canonical: &[u8]) -> SeriesId {
        debug_assert!(self.find(canonical).is_none(), "a key has one id");
        let id = SeriesId(self.len());
        self.put(id, canonical);
        id
    }

    /// True when no further series can be taken, whatever the limits are.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= ID_END || self.records.is_full() || self.dictionary.is_full()
    }

    fn put(&mut self, id: SeriesId, canonical: &[u8]) {
        let (measurement, tags) = split_escaped(canonical);
        let measurement = self.postings.intern(measurement);
        let mut pairs = Vec::new();
        for tag in tags {
            pairs.push(self.intern_tag(tag));
        }
        self.put_record(id, hash32(&self.hasher, canonical), measurement, &pairs);
    }

    fn intern_tag(&mut self, tag: EscapedTag<'_>) -> u32 {
        let (pair, new) = self.dictionary.intern(&self.hasher, tag);
        if new {
            self.postings.sets.push_empty();
        }
        pair
    }

    fn put_record(&mut self, id: SeriesId, hash: u32, measurement: u32, pairs: &[u32]) {
        let mut keys = std::mem::take(&mut self.scratch_keys);
        keys.clear();
        keys.extend(pairs.iter().map(|&pair| self.dictionary.key_of(pair)));
        self.postings.insert(id, measurement, pairs, &keys);
        self.scratch_keys = keys;
        let address = self.put_unkeyed(id, hash, measurement, pairs);
        self.give_key(hash, address);
    }

    /// Puts a record in its place, where its id finds it; its key does not yet.
    pub(super) fn put_unkeyed(
        &mut self,
        id: SeriesId,
        hash: u32,
        measurement: u32,
        pairs: &[u32],
    ) -> u32 {
        let record = &mut self.scratch_record;
        record.clear();
        record.extend_from_slice(&[id.0, hash, measurement, pairs.len() as u32]);
        record.extend_from_slice(pairs);
        let address = self.records.push(record);
        self.places.set(id, address);
        address
    }

    /// Lets the record's key find it, and no record of the same key before it.
    pub(super) fn give_key(&mut self, hash: u32, address: u32) {
        let records = &self.records;
        // What a key is: measurement, count and pairs.
        let key_of = |address: u32| {
            let record = records.from(address);
            &record[2..][..2 + record[3] as usize]
        };
        let is_same =
            |&other: &u32| records.from(other)[1] == hash && key_of(other) == key_of(address);
        let hash_of = |&other: &u32| spread(records.from(other)[1]);
        match self.by_key.entry(spread(hash), is_same, hash_of) {
            Entry::Occupied(mut entry) => {
                let hidden = std::mem::replace(entry.get_mut(), address);
                self.shadowed.entry(hash).or_default().push(hidden);
            }
            Entry::Vacant(entry) => {
                entry.insert(address);
            }
        }
    }

    /// Makes room for so many more keys, and says how many places the hash table has.
    pub(super) fn key_buckets(&mut self, more: usize) -> usize {
        let records = &self.records;
        self.by_key
            .reserve(more, |&other| spread(records.from(other)[1]));
        self.by_key.num_buckets()
    }

    /// Makes room for more series and pairs at once.
    pub(super) fn reserve(&mut self, series: usize, pairs: usize) {
        let records = &self.records;
        self.by_key
            .reserve(series, |&other| spread(records.from(other)[1]));
        self.dictionary.reserve(pairs);
    }

    /// How many pairs a part of the series has, if it is like the whole.
    pub(super) fn pairs_of_part(&self, series: usize) -> u64 {
        let pairs = u64::from(self.dictionary.len()) * series as u64;
        pairs / self.series_count().max(1) as u64
    }

    fn keys_of(&self, pairs: &[u32]) -> Vec<u32> {
        let keys = pairs.iter().map(|&pair| self.dictionary.key_of(pair));
        keys.collect()
    }

    /// Makes holes of the ids below `len` that nobody defined.
    pub(crate) fn pad_to(&mut self, len: u32) {
        self.places.pad_to(len.min(ID_END));
    }

    /// Puts a key at a given id during recovery; ids before it that nobody defined become holes.
    /// Does nothing when the id is taken, or was given out and has no key any more. Of several series
    /// with one key the rows of all are found, and new rows go to the last.
    pub(crate) fn insert_at(&mut self, id: SeriesId, canonical: &[u8]) {
        if canonical.is_empty() || id.0 < self.len() || id.0 >= ID_END {
            return;
        }
        self.put(id, canonical);
    }

    /// Remembers that a raw key, not canonical, names `id`.
    pub(crate) fn alias(&mut self, raw: &[u8], id: SeriesId) {
        if self.find_raw(raw).is_none() {
            self.aliases.insert(&self.hasher, raw, id);
        }
    }

    /// Takes back every id from `len` on, as if it had never been given out.
    pub(crate) fn truncate(&mut self, len: u32) {
        if len >= self.len() {
            return;
        }
        self.generation += 1;
        let taken: Vec<SeriesId> = self.places.taken_in(len, self.len()).collect();
        for id in taken.into_iter().rev() {
            self.take_out(id);
        }
        self.places.truncate(len);
        self.aliases = Aliases::default();
    }

    /// Removes series for good; their ids are not given out again.
    pub(crate) fn remove(&mut self, ids: impl Iterator<Item = SeriesId>) {
        let before = self.removed;
        for id in ids {
            self.take_out(id);
        }
        if self.removed != before {
            self.aliases = Aliases::default();
        }
    }

    fn take_out(&mut self, id: SeriesId) {
        let Some(address) = self.places.get(id) else {
            return;
        };
        let record = self.record(address);
        let (hash, measurement, pairs) = (record.hash, record.measurement, record.pairs.to_vec());
        let found = self
            .by_key
            .find_entry(spread(hash), |&other| other == address);
        if let Ok(entry) = found {
            entry.remove();
            self.show_shadowed(address);
        } else if let Some(hidden) = self.shadowed.get_mut(&hash) {
            hidden.retain(|other| *other != address);
        }
        let keys = self.keys_of(&pairs);
        self.postings.remove(id, measurement, &pairs, &keys);
        self.places.clear(id);
        self.removed += 1;
    }

    /// Lets the last record that this one hid be found again.
    fn show_shadowed(&mut self, address: u32) {
        if self.shadowed.is_empty() {
            return;
        }
        let record = self.record(address);
        let hash = record.hash;
        let Some(hidden) = self.shadowed.get(&hash) else {
            return;
        };
        let same = hidden.iter().rposition(|&other| {
            let other = self.record(other);
            other.measurement == record.measurement && other.pairs == record.pairs
        });
        if let Some(at) = same
            && let Some(hidden) = self.shadowed.get_mut(&hash)
        {
            let shown = hidden.remove(at);
            if hidden.is_empty() {
                self.shadowed.remove(&hash);
            }
            let records = &self.records;
            self.by_key
                .insert_unique(spread(hash), shown, |&other| spread(records.from(other)[1]));
        }
    }

    /// True when what removed series left behind is worth writing the table anew without it.
    pub(crate) fn is_wasteful(&self) -> bool {
        self.removed >= REMOVED_MIN && self.removed >= self.series_count()
    }

    /// An empty table with the same hasher, to copy this one's series into.
    pub(crate) fn fresh(&self) -> Self {
        Self::with_hasher(self.hasher.clone())
    }

    /// Copies the series with ids in `ids` from `old`, as they are there.
    pub(crate) fn copy_from(&mut self, old: &Self, ids: Range<u32>) {
        for id in old.places.taken_in(ids.start, ids.end) {
            self.insert_at(id, &old.key(id));
        }
        self.pad_to(ids.end);
    }

    /// Takes the place of `old`, of which this is a complete copy: layouts and counters go on.
    pub(crate) fn succeed(&mut self, old: &Self) {
        for id in old.places.taken_in(0, old.len()) {
            if let Some(layout) = old.places.layout(id) {
                self.places.set_layout(id, layout);
            }
        }
        self.pad_to(old.len());
        self.generation = old.generation;
        self.rewrites = old.rewrites + 1;
    }

    /// The ids in a range that have a series, ascending.
    pub(crate) fn ids_in(&self, ids: Range<u32>) -> impl Iterator<Item = SeriesId> {
        self.places.taken_in(ids.start, ids.end)
    }

    /// How many ids in a range have a series.
    pub(crate) fn count_in(&self, ids: Range<u32>) -> usize {
        self.places.count_in(ids.start, ids.end)
    }

    /// True when the id names a series.
    pub(crate) fn contains(&self, id: SeriesId) -> bool {
        self.places.get(id).is_some()
    }

    /// The canonical key of a series; empty for a hole or an id never given out.
    pub(crate) fn key(&self, id: SeriesId) -> Vec<u8> {
        let mut key = Vec::new();
        self.spell(id, &mut key);
        key
    }

    /// Appends the canonical key of a series to `out`.
    pub(crate) fn spell(&self, id: SeriesId, out: &mut Vec<u8>) {
        if let Some(record) = self.record_of(id) {
            self.spell_parts(record.measurement, record.pairs, out);
        }
    }

    fn spell_parts(&self, measurement: u32, pairs: &[u32], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.postings.at(measurement).escaped);
        for &pair in pairs {
            out.push(b',');
            out.extend_from_slice(self.dictionary.text(pair));
        }
    }

    /// The measurement of a series, without escapes; empty for none.
    pub(crate) fn measurement_of(&self, id: SeriesId) -> &[u8] {
        let record = self.record_of(id);
        record.map_or(b"", |record| &self.postings.at(record.measurement).name)
    }

    pub(super) fn measurement(&self, name: &[u8]) -> Option<&Measurement> {
        self.postings.named(name)
    }

    /// The layout of the series' last line.
    pub(crate) fn hint(&self, id: SeriesId) -> Option<u32> {
        self.places.layout(id)
    }

    /// Remembers the layout of the series' last line. A race loses nothing but a prediction.
    pub(crate) fn set_hint(&self, id: SeriesId, layout: u32) {
        self.places.set_layout(id, layout);
    }

    /// Bytes taken from the allocator, near enough.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.places.heap_bytes()
            + self.records.heap_bytes()
            + self.by_key.capacity() * 8 / 7 * 5
            + self.dictionary.heap_bytes()
            + self.postings.heap_bytes()
            + self.aliases.heap_bytes()
    }
}
