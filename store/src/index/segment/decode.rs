//! What a block of a segment says, taken apart and hashed without the table that it goes into.

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tandem_model::key_len;

use super::{BLOCK_TEXT_BYTES, TAG_BYTES_MAX, TAGS_MAX};
use crate::index::dictionary::hash32;
use crate::index::load::{LoadedBlock, LoadedPair, LoadedSeries};
use crate::wire::{Malformed, Reader};

/// Reads blocks of series.
pub(super) struct Decoder {
    /// The table's.
    hasher: FixedState,
    /// Those that may still come: a segment has its series by their ids, each once.
    ids: Range<u32>,
    /// Places of the block's tag keys, by their hashes.
    keys: HashMap<u64, u32, FixedState>,
    /// The tag that was spelled last.
    text: Vec<u8>,
    /// The series key that was spelled last.
    key: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(hasher: FixedState, ids: Range<u32>) -> Self {
        Self {
            hasher,
            ids,
            keys: HashMap::default(),
            text: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Reads the series of a block.
    pub(super) fn block(&mut self, mut r: Reader<'_>) -> Result<LoadedBlock, Malformed> {
        self.keys.clear();
        self.text.clear();
        let mut block = LoadedBlock::default();
        let mut ids = self.ids.clone();
        let mut id = 0_u32;
        let mut text_bytes = 0;
        let mut last = 0..0;
        while !r.is_empty() {
            id = id.checked_add(r.uint32()?).ok_or(Malformed)?;
            if !ids.contains(&id) {
                return Err(Malformed);
            }
            ids.start = id + 1;
            let measurement = match r.uint32()? {
                0 => {
                    block.measurements.push(r.bytes()?);
                    block.measurements.len() as u32 - 1
                }
                n if n as usize <= block.measurements.len() => n - 1,
                _ => return Err(Malformed),
            };
            let count = r.count()?;
            if count > TAGS_MAX {
                return Err(Malformed);
            }
            let start = block.tags.len();
            for place in 0..count {
                let before = block.tags[last.clone()].get(place).copied();
                let tag = match r.uint32()? {
                    0 => {
                        self.spell_tag(&mut r)?;
                        text_bytes += self.text.len();
                        if text_bytes > 2 * BLOCK_TEXT_BYTES {
                            return Err(Malformed);
                        }
                        self.put_pair(&mut block, before)
                    }
                    1 => before.ok_or(Malformed)?,
                    n if (n as usize - 2) < block.texts.len() => n - 2,
                    _ => return Err(Malformed),
                };
                block.tags.push(tag);
            }
            last = start..block.tags.len();
            let hash = self.hash_of(&block, measurement, &block.tags[last.clone()]);
            block.series.push(LoadedSeries {
                id,
                hash,
                measurement,
                tags_end: last.end,
            });
        }
        self.ids = ids;
        Ok(block)
    }

    fn spell_tag(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        let shared = usize::try_from(r.uint()?).map_err(|_| Malformed)?;
        if shared > self.text.len() {
            return Err(Malformed);
        }
        self.text.truncate(shared);
        self.text.extend_from_slice(r.bytes()?);
        if self.text.len() > TAG_BYTES_MAX {
            return Err(Malformed);
        }
        Ok(())
    }

    /// Adds the tag that was spelled last. `before` is that of the series before in the same place,
    /// mostly of the same key.
    fn put_pair(&mut self, block: &mut LoadedBlock, before: Option<u32>) -> u32 {
        let key_len = key_len(&self.text);
        let text = &self.text[..key_len];
        let before = before.map(|tag| block.pairs[tag as usize].key);
        let is_same = |key: &u32| block.keys.get(*key as usize) == text;
        let key = before.filter(is_same).or_else(|| {
            let known = self.keys.get(&self.hasher.hash_one(text));
            known.copied().filter(is_same)
        });
        let key = key.unwrap_or_else(|| {
            let key = block.keys.len() as u32;
            block.keys.push(text);
            self.keys.insert(self.hasher.hash_one(text), key);
            key
        });
        block.texts.push(&self.text);
        block.pairs.push(LoadedPair {
            hash: hash32(&self.hasher, &self.text),
            key,
            key_len,
        });
        block.pairs.len() as u32 - 1
    }

    /// The hash of a series' canonical key.
    fn hash_of(&mut self, block: &LoadedBlock, measurement: u32, tags: &[u32]) -> u32 {
        self.key.clear();
        let measurement = block.measurements.get(measurement as usize);
        self.key.extend_from_slice(measurement);
        for &tag in tags {
            self.key.push(b',');
            self.key.extend_from_slice(block.texts.get(tag as usize));
        }
        hash32(&self.hasher, &self.key)
    }
}
