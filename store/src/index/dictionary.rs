//! Every tag pair of a database, `key=value` with its escapes, once.
//!
//! Series keys are lists of pairs, and a fleet's pairs are far fewer than its keys have bytes: a
//! container has a dozen series and one id. A pair has a number, dense, and its text lies in an arena.
//! For each tag key there is the list of its pairs; it is put into the order of the values when
//! somebody asks, and stays so as long as no value is added.

use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::FixedState;
use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};
use tandem_model::{EscapedTag, unescape_tag};

use super::arena::{Arena, Blocks};

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    texts: Arena<u8, 20>,
    pairs: Blocks<Pair>,
    by_text: HashTable<u32>,
    keys: Vec<Key>,
    by_key: HashMap<Box<[u8]>, u32, FixedState>,
    has_nul: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    text: u32,
    hash: u32,
    key: u32,
    len: u16,
    key_len: u16,
}

#[derive(Debug)]
struct Key {
    /// Without escapes.
    name: Box<[u8]>,
    /// The pairs as they were added.
    pairs: Blocks<u32>,
    sorted: RwLock<Arc<Vec<u32>>>,
}

/// 32 bits of a text's hash, as they are kept.
pub(super) fn hash32(hasher: &FixedState, text: &[u8]) -> u32 {
    (hasher.hash_one(text) >> 32) as u32
}

/// What a hash table is asked with, whose low and high bits both must differ.
pub(super) const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Dictionary {
    /// True when no further pair can be taken.
    pub(super) fn is_full(&self) -> bool {
        self.texts.is_full()
    }

    /// The number of a pair, and whether it is new.
    pub(super) fn intern(&mut self, hasher: &FixedState, tag: EscapedTag<'_>) -> (u32, bool) {
        self.intern_hashed(hash32(hasher, tag.text), tag, None)
    }

    /// Has the processor fetch what a lookup of this hash needs; many of these overlap.
    pub(super) fn touch(&self, hash: u32) {
        std::hint::black_box(self.by_text.find(spread(hash), |_| false));
    }

    /// As [`Dictionary::intern`], of a pair whose hash is known, and maybe the number of its key.
    pub(super) fn intern_hashed(
        &mut self,
        hash: u32,
        tag: EscapedTag<'_>,
        key: Option<u32>,
    ) -> (u32, bool) {
        let number = self.pairs.len();
        let (pairs, texts) = (&self.pairs, &self.texts);
        let is_same = |&at: &u32| {
            let pair: &Pair = pairs.get(at);
            pair.hash == hash && texts.from(pair.text)[..pair.len as usize] == *tag.text
        };
        let hash_of = |&at: &u32| spread(pairs.get(at).hash);
        match self.by_text.entry(spread(hash), is_same, hash_of) {
            Entry::Occupied(found) => return (*found.get(), false),
            Entry::Vacant(place) => {
                place.insert(number);
            }
        }
        let key = key.unwrap_or_else(|| self.intern_key(&tag.text[..tag.key_len]));
        self.pairs.push(Pair {
            text: self.texts.push(tag.text),
            hash,
            key,
            // Keys have at most 65,535 bytes, so their parts do.
            len: tag.text.len() as u16,
            key_len: tag.key_len as u16,
        });
        self.keys[key as usize].pairs.push(number);
        self.has_nul |= tag.text.contains(&0);
        (number, true)
    }

    /// Whether a NUL is in any pair there ever was.
    pub(super) const fn has_nul(&self) -> bool {
        self.has_nul
    }

    /// Makes room for more pairs at once.
    pub(super) fn reserve(&mut self, more: usize) {
        let pairs = &self.pairs;
        self.by_text.reserve(more, |&at| spread(pairs.get(at).hash));
    }

    /// How many pairs there are.
    pub(super) const fn len(&self) -> u32 {
        self.pairs.len()
    }

    /// The number of a tag key, given with its escapes.
    pub(super) fn intern_key(&mut self, escaped: &[u8]) -> u32 {
        let name = unescape_tag(escaped);
        if let Some(&key) = self.by_key.get(&*name) {
            return key;
        }
        let key = self.keys.len() as u32;
        self.keys.push(Key {
            name: (*name).into(),
            pairs: Blocks::default(),
            sorted: RwLock::default(),
        });
        self.by_key.insert((*name).into(), key);
        key
    }

    fn find_hashed(&self, hash: u32, text: &[u8]) -> Option<u32> {
        let found = self.by_text.find(spread(hash), |&at| {
            self.pairs.get(at).hash == hash && self.text(at) == text
        });
        found.copied()
    }

    /// The number of the pair with this text.
    pub(super) fn find(&self, hasher: &FixedState, text: &[u8]) -> Option<u32> {
        self.find_hashed(hash32(hasher, text), text)
    }

    /// A pair as it stands in a canonical key.
    pub(super) fn text(&self, number: u32) -> &[u8] {
        let pair = self.pairs.get(number);
        &self.texts.from(pair.text)[..pair.len as usize]
    }

    /// A pair with where its key ends.
    pub(super) fn tag(&self, number: u32) -> EscapedTag<'_> {
        EscapedTag {
            text: self.text(number),
            key_len: self.pairs.get(number).key_len.into(),
        }
    }

    /// A pair's value, with its escapes.
    pub(super) fn value(&self, number: u32) -> &[u8] {
        let tag = self.tag(number);
        tag.text.get(tag.key_len + 1..).unwrap_or_default()
    }

    /// The number of a pair's key.
    pub(super) fn key_of(&self, number: u32) -> u32 {
        self.pairs.get(number).key
    }

    /// The number of a tag key, given without escapes.
    pub(super) fn key(&self, name: &[u8]) -> Option<u32> {
        self.by_key.get(name).copied()
    }

    /// A tag key without escapes.
    pub(super) fn key_name(&self, key: u32) -> &[u8] {
        &self.keys[key as usize].name
    }

    /// How many pairs of a key there are, in whatever series.
    pub(super) fn pairs_of(&self, key: u32) -> u32 {
        self.keys[key as usize].pairs.len()
    }

    /// The pairs of a key.
    pub(super) fn pairs(&self, key: u32) -> impl Iterator<Item = u32> {
        let pairs = &self.keys[key as usize].pairs;
        (0..pairs.len()).map(|at| *pairs.get(at))
    }

    /// The pairs of a key in the order of their values.
    pub(super) fn sorted(&self, key: u32) -> Arc<Vec<u32>> {
        let key = &self.keys[key as usize];
        {
            let sorted = key.sorted.read().unwrap_or_else(PoisonError::into_inner);
            if sorted.len() == key.pairs.len() as usize {
                return Arc::clone(&sorted);
            }
        }
        let mut sorted = key.sorted.write().unwrap_or_else(PoisonError::into_inner);
        if sorted.len() < key.pairs.len() as usize {
            let new = (sorted.len() as u32..key.pairs.len()).map(|at| *key.pairs.get(at));
            let merged = self.merge_sorted(&sorted, new.collect());
            *sorted = Arc::new(merged);
        }
        Arc::clone(&sorted)
    }

    /// Pairs of one key in the order of their values.
    pub(super) fn sort(&self, mut pairs: Vec<u32>) -> Vec<u32> {
        // Values mostly begin alike. What comes after that, as far as it goes in eight bytes, decides
        // nearly always, without a look at the texts, which lie far apart.
        let Some((&first, rest)) = pairs.split_first() else {
            return pairs;
        };
        let mut common = self.value(first);
        for &pair in rest {
            let value = self.value(pair);
            let alike = common.iter().zip(value).take_while(|(a, b)| a == b).count();
            common = &common[..alike];
        }
        // Before an escape the order is that of the texts themselves.
        let skip = memchr::memchr(b'\\', common).unwrap_or(common.len());
        let mut keyed: Vec<(u64, u32)> = pairs
            .iter()
            .map(|&pair| {
                let rest = unescape_tag(&self.value(pair)[skip..]);
                let mut head = [0; 8];
                let len = rest.len().min(8);
                head[..len].copy_from_slice(&rest[..len]);
                (u64::from_be_bytes(head), pair)
            })
            .collect();
        keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.compare(a.1, b.1)));
        pairs.clear();
        pairs.extend(keyed.into_iter().map(|(_, pair)| pair));
        pairs
    }

    fn merge_sorted(&self, old: &[u32], new: Vec<u32>) -> Vec<u32> {
        let new = self.sort(new);
        let mut merged = Vec::with_capacity(old.len() + new.len());
        let mut rest = old;
        for pair in new {
            let before = rest.partition_point(|&other| self.compare(other, pair).is_lt());
            merged.extend_from_slice(&rest[..before]);
            merged.push(pair);
            rest = &rest[before..];
        }
        merged.extend_from_slice(rest);
        merged
    }

    fn compare(&self, a: u32, b: u32) -> std::cmp::Ordering {
        unescape_tag(self.value(a)).cmp(&unescape_tag(self.value(b)))
    }

    /// Bytes taken from the allocator, near enough.
    pub(super) fn heap_bytes(&self) -> usize {
        let keys = self.keys.iter().map(|key| {
            let sorted = key.sorted.read().unwrap_or_else(PoisonError::into_inner);
            key.pairs.heap_bytes() + sorted.capacity() * 4 + key.name.len() * 2 + 64
        });
        let keys: usize = keys.sum();
        let slots = self.by_text.capacity() * 8 / 7 * 5;
        self.texts.heap_bytes()
            + self.pairs.heap_bytes()
            + slots
            + self.keys.capacity() * size_of::<Key>()
            + keys
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tandem_model::{escape_tag, split_escaped};

    use super::*;

    fn intern(dictionary: &mut Dictionary, key: &str, value: &[u8]) -> u32 {
        let mut text = b"m,".to_vec();
        escape_tag(key.as_bytes(), &mut text);
        text.push(b'=');
        escape_tag(value, &mut text);
        let tag = split_escaped(&text).1.next().unwrap();
        dictionary.intern(&FixedState::with_seed(3), tag).0
    }

    #[test]
    fn a_pair_is_kept_once() {
        let mut dictionary = Dictionary::default();
        let a = intern(&mut dictionary, "host name", b"a=1");
        let b = intern(&mut dictionary, "host name", b"b");
        assert_eq!(intern(&mut dictionary, "host name", b"a=1"), a);
        assert_eq!((a, b, dictionary.pairs.len()), (0, 1, 2));
        assert_eq!(dictionary.text(a), br"host\ name=a\=1");
        assert_eq!(dictionary.value(b), b"b");
        let key = dictionary.key(b"host name").unwrap();
        assert_eq!(dictionary.key_name(key), b"host name");
        assert_eq!((dictionary.key_of(b), dictionary.pairs_of(key)), (key, 2));
        assert_eq!(dictionary.key(b"host"), None);
    }

    proptest! {
        #[test]
        fn values_come_in_their_order_also_after_more_were_added(
            values in prop::collection::btree_set("(ab|)[ab, =]{0,11}", 1..40),
            order in any::<u64>(),
        ) {
            let mut expected: Vec<Vec<u8>> = values.into_iter().map(String::into_bytes).collect();
            expected.retain(|v| !v.is_empty());
            let mut shuffled = expected.clone();
            shuffled.sort_by_key(|v| hash32(&FixedState::with_seed(order), v));
            let mut dictionary = Dictionary::default();
            let (first, second) = shuffled.split_at(shuffled.len() / 2);
            for half in [first, second] {
                for value in half {
                    intern(&mut dictionary, "k", value);
                }
                if let Some(key) = dictionary.key(b"k") {
                    dictionary.sorted(key);
                }
            }
            if let Some(key) = dictionary.key(b"k") {
                let sorted = dictionary.sorted(key);
                let got: Vec<Vec<u8>> = sorted
                    .iter()
                    .map(|&pair| unescape_tag(dictionary.value(pair)).into_owned())
                    .collect();
                prop_assert_eq!(got, expected);
            }
        }
    }
}
