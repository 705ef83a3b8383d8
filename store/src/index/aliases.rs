//! Series keys as clients write them, where that is not the canonical form.
//!
//! A cache of bounded size: when it is full all is forgotten, and each key is made canonical once
//! more. So a client that writes its tags out of order pays for that once a series.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use tandem_model::SeriesId;

use super::arena::{Arena, Blocks};

/// Bytes of raw keys.
const BYTES_MAX: usize = 32 << 20;
/// Charged for an entry beside its key.
const ENTRY_BYTES: usize = 32;

#[derive(Debug)]
struct Alias {
    text: u32,
    len: u32,
    id: SeriesId,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    texts: Arena<u8, 20>,
    all: Blocks<Alias>,
    by_text: HashTable<u32>,
    bytes: usize,
}

impl Aliases {
    fn text(&self, alias: &Alias) -> &[u8] {
        &self.texts.from(alias.text)[..alias.len as usize]
    }

    /// The series that `raw` names; `hash` is that of `raw`.
    pub(super) fn find(&self, hash: u64, raw: &[u8]) -> Option<SeriesId> {
        if self.by_text.is_empty() {
            return None;
        }
        let at = self
            .by_text
            .find(hash, |&at| self.text(self.all.get(at)) == raw)?;
        Some(self.all.get(*at).id)
    }

    /// Remembers that `raw` names `id`.
    pub(super) fn insert(&mut self, hasher: &FixedState, raw: &[u8], id: SeriesId) {
        if self.bytes + raw.len() + ENTRY_BYTES > BYTES_MAX {
            *self = Self::default();
        }
        let hash = hasher.hash_one(raw);
        let at = self.all.len();
        self.all.push(Alias {
            text: self.texts.push(raw),
            len: raw.len() as u32,
            id,
        });
        self.bytes += raw.len() + ENTRY_BYTES;
        let (texts, all) = (&self.texts, &self.all);
        self.by_text.insert_unique(hash, at, |&at| {
            let alias: &Alias = all.get(at);
            hasher.hash_one(&texts.from(alias.text)[..alias.len as usize])
        });
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.texts.heap_bytes() + self.all.heap_bytes() + self.by_text.capacity() * 6
    }
}
