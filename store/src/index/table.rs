//! Series keys to dense ids and back.
//!
//! Keys lie end to end in chunks of an arena; a hash table of ids finds them. A raw key, as it
//! stands on a line with its tags in any order, is looked up first: most clients write the
//! canonical form, and for the others an alias remembers the id, so that sorting and unescaping
//! happen once a series and not once a line. Aliases are a cache of bounded size.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use tandem_model::SeriesId;

/// Aliases kept before all are forgotten.
const ALIASES_MAX: usize = 1 << 20;
/// Bytes of one chunk of the arena; a key is at most 65,535 bytes, so at least 15 fit.
const CHUNK_BYTES: usize = 1 << 20;
/// A series that has had no line yet has no layout to predict.
const NO_HINT: u32 = u32::MAX;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct SeriesTable {
    /// Counts how often a tail was taken back: ids found before may since name other series.
    generation: u64,
    hasher: FixedState,
    keys: KeyArena,
    by_key: HashTable<u32>,
    hints: Vec<AtomicU32>,
    aliases: HashTable<u32>,
    alias_keys: KeyArena,
    alias_ids: Vec<u32>,
}

impl Default for SeriesTable {
    fn default() -> Self {
        Self {
            generation: 0,
            hasher: FixedState::with_seed(tandem_vfs::random_u64()),
            keys: KeyArena::default(),
            by_key: HashTable::new(),
            hints: Vec::new(),
            aliases: HashTable::new(),
            alias_keys: KeyArena::default(),
            alias_ids: Vec::new(),
        }
    }
}

impl SeriesTable {
    /// Changes whenever ids are taken back.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// How many ids have been given out, those of holes included.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.hints.len()).unwrap_or(u32::MAX)
    }

    /// The series that a raw key names, if it was seen in this form or in the canonical one.
    pub(crate) fn find_raw(&self, raw: &[u8]) -> Option<SeriesId> {
        let hash = self.hasher.hash_one(raw);
        if let Some(&id) = self.by_key.find(hash, |&id| self.keys.get(id) == raw) {
            return Some(SeriesId(id));
        }
        if self.aliases.is_empty() {
            return None;
        }
        let at = *self
            .aliases
            .find(hash, |&at| self.alias_keys.get(at) == raw)?;
        Some(SeriesId(self.alias_ids[at as usize]))
    }

    /// The series with this canonical key.
    pub(crate) fn find(&self, canonical: &[u8]) -> Option<SeriesId> {
        let hash = self.hasher.hash_one(canonical);
        self.by_key
            .find(hash, |&id| self.keys.get(id) == canonical)
            .map(|&id| SeriesId(id))
    }

    /// Gives the next id to a canonical key that has none yet.
    pub(crate) fn insert(&mut self, canonical: &[u8]) -> SeriesId {
        debug_assert!(self.find(canonical).is_none(), "a key has one id");
        let id = self.keys.push(canonical);
        self.hints.push(AtomicU32::new(NO_HINT));
        let hash = self.hasher.hash_one(canonical);
        let (keys, hasher) = (&self.keys, &self.hasher);
        self.by_key
            .insert_unique(hash, id, |&id| hasher.hash_one(keys.get(id)));
        SeriesId(id)
    }

    /// Makes holes of the ids below `len` that nobody defined.
    pub(crate) fn pad_to(&mut self, len: u32) {
        while self.len() < len {
            self.keys.push(b"");
            self.hints.push(AtomicU32::new(NO_HINT));
        }
    }

    /// Puts a key at a given id during recovery; ids before it that nobody defined become holes.
    /// Does nothing when the id is taken.
    pub(crate) fn insert_at(&mut self, id: SeriesId, canonical: &[u8]) {
        self.pad_to(id.0);
        if self.len() != id.0 {
            return;
        }
        if self.find(canonical).is_none() {
            self.insert(canonical);
        } else {
            // A key that got a second id while its first definition was damaged: rows of both
            // must be found, and new ones go to the first.
            self.keys.push(canonical);
            self.hints.push(AtomicU32::new(NO_HINT));
        }
    }

    /// Remembers that a raw key, not canonical, names `id`.
    pub(crate) fn alias(&mut self, raw: &[u8], id: SeriesId) {
        if self.find_raw(raw).is_some() {
            return;
        }
        if self.alias_ids.len() >= ALIASES_MAX {
            self.forget_aliases();
        }
        let at = self.alias_keys.push(raw);
        self.alias_ids.push(id.0);
        let hash = self.hasher.hash_one(raw);
        let (keys, hasher) = (&self.alias_keys, &self.hasher);
        self.aliases
            .insert_unique(hash, at, |&at| hasher.hash_one(keys.get(at)));
    }

    fn forget_aliases(&mut self) {
        self.aliases = HashTable::new();
        self.alias_keys = KeyArena::default();
        self.alias_ids = Vec::new();
    }

    /// Takes back every id from `len` on, as if it had never been given out.
    pub(crate) fn truncate(&mut self, len: u32) {
        if len >= self.len() {
            return;
        }
        self.generation += 1;
        for id in len..self.len() {
            let hash = self.hasher.hash_one(self.keys.get(id));
            if let Ok(entry) = self.by_key.find_entry(hash, |&other| other == id) {
                entry.remove();
            }
        }
        self.keys.truncate(len as usize);
        self.hints.truncate(len as usize);
        self.forget_aliases();
    }

    /// The canonical key of a series; empty for a hole or an id never given out.
    pub(crate) fn key(&self, id: SeriesId) -> &[u8] {
        if id.0 < self.len() {
            self.keys.get(id.0)
        } else {
            b""
        }
    }

    /// The layout of the series' last line.
    pub(crate) fn hint(&self, id: SeriesId) -> Option<u32> {
        let hint = self.hints.get(id.0 as usize)?.load(Ordering::Relaxed);
        (hint != NO_HINT).then_some(hint)
    }

    /// Remembers the layout of the series' last line. A race loses nothing but a prediction.
    pub(crate) fn set_hint(&self, id: SeriesId, layout: u32) {
        if let Some(hint) = self.hints.get(id.0 as usize) {
            hint.store(layout, Ordering::Relaxed);
        }
    }
}

/// Byte strings, end to end in chunks, addressed by number.
#[derive(Debug, Default)]
struct KeyArena {
    chunks: Vec<Vec<u8>>,
    /// Chunk (24 bits), offset in it (24 bits), length (16 bits).
    places: Vec<u64>,
}

impl KeyArena {
    fn push(&mut self, key: &[u8]) -> u32 {
        assert!(
            key.len() <= usize::from(u16::MAX),
            "the parser bounds keys to 65,535 bytes"
        );
        let id = u32::try_from(self.places.len()).expect("series ids are 32 bits wide");
        let fits = self
            .chunks
            .last()
            .is_some_and(|c| c.len() + key.len() <= CHUNK_BYTES);
        if !fits {
            let first_is_small = if self.chunks.is_empty() {
                4096
            } else {
                CHUNK_BYTES
            };
            self.chunks
                .push(Vec::with_capacity(first_is_small.max(key.len())));
        }
        let chunk = self.chunks.len() - 1;
        let offset = self.chunks[chunk].len();
        self.chunks[chunk].extend_from_slice(key);
        self.places
            .push((chunk as u64) << 40 | (offset as u64) << 16 | key.len() as u64);
        id
    }

    fn get(&self, id: u32) -> &[u8] {
        let place = self.places[id as usize];
        let (chunk, offset, len) = (
            (place >> 40) as usize,
            (place >> 16 & 0xff_ffff) as usize,
            (place & 0xffff) as usize,
        );
        &self.chunks[chunk][offset..offset + len]
    }

    /// Forgets the keys from `len` on; their bytes at the end of the last chunk are used again.
    fn truncate(&mut self, len: usize) {
        let Some(&place) = self.places.get(len) else {
            return;
        };
        let (chunk, offset) = ((place >> 40) as usize, (place >> 16 & 0xff_ffff) as usize);
        self.chunks.truncate(chunk + 1);
        self.chunks[chunk].truncate(offset);
        self.places.truncate(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_aliases_find_their_series() {
        let mut table = SeriesTable::default();
        let a = table.insert(b"cpu,a=1,b=2");
        let b = table.insert(b"mem");
        table.alias(b"cpu,b=2,a=1", a);
        assert_eq!(table.find_raw(b"cpu,a=1,b=2"), Some(a));
        assert_eq!(table.find_raw(b"cpu,b=2,a=1"), Some(a));
        assert_eq!(table.find(b"cpu,b=2,a=1"), None);
        assert_eq!(table.find_raw(b"mem"), Some(b));
        assert_eq!(table.key(b), b"mem");
        assert_eq!(table.key(SeriesId(7)), b"");
    }

    #[test]
    fn a_tail_that_is_taken_back_was_never_there() {
        let mut table = SeriesTable::default();
        let kept: Vec<SeriesId> = (0..1000)
            .map(|i| table.insert(format!("m,k={i}").as_bytes()))
            .collect();
        for i in 0..30_000 {
            table.insert(format!("m,{}=v{i}", "x".repeat(90)).as_bytes());
        }
        table.alias(b"other", kept[3]);
        table.truncate(1000);
        assert_eq!((table.len(), table.generation()), (1000, 1));
        assert_eq!(table.find_raw(b"other"), None);
        assert_eq!(
            table.find(format!("m,{}=v7", "x".repeat(90)).as_bytes()),
            None
        );
        for (i, &id) in kept.iter().enumerate() {
            assert_eq!(table.find(format!("m,k={i}").as_bytes()), Some(id));
        }
        assert_eq!(table.insert(b"new"), SeriesId(1000));
    }

    #[test]
    fn recovery_leaves_holes_where_definitions_were_lost() {
        let mut table = SeriesTable::default();
        table.insert_at(SeriesId(2), b"c");
        table.insert_at(SeriesId(2), b"other");
        assert_eq!(table.key(SeriesId(0)), b"");
        assert_eq!(table.find(b"c"), Some(SeriesId(2)));
        assert_eq!(table.len(), 3);
    }
}
