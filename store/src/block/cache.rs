//! A cache of what was decoded, shared by all files.
//!
//! It holds two generations: what is used moves to the young one, and once that is half of the
//! whole the old one goes. A file's entries are under a number that no other file of the process
//! gets, so that those of a removed file only wait to be forgotten.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// What can be cached.
pub(super) trait Weigh: Any + Send + Sync {
    /// About how much memory it takes.
    fn heap_bytes(&self) -> usize;
}

/// Which thing of which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) file: u64,
    pub(super) measurement: usize,
    pub(super) item: Item,
}

/// Which thing of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Directory(usize),
    Chunk(usize),
    Column {
        chunk: usize,
        column: usize,
    },
    Page {
        chunk: usize,
        column: usize,
        page: usize,
    },
}

/// See the module's head. Takes at most about as many bytes as it was made for.
#[derive(Debug)]
pub(crate) struct BlockCache {
    generations: Mutex<Generations>,
    bytes_max: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    entries: HashMap<Key, (Arc<dyn Any + Send + Sync>, usize), RandomState>,
    bytes: usize,
}

/// What an entry takes beside what it holds.
const ENTRY_BYTES: usize = 128;

impl BlockCache {
    /// An empty cache for `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let generations = Mutex::default();
        Self {
            generations,
            bytes_max,
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
        }
    }

    /// How many reads found what they looked for, and how many did not.
    pub(crate) fn hits_and_misses(&self) -> (u64, u64) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (get(&self.hits), get(&self.misses))
    }

    /// About how many bytes it takes now.
    pub(crate) fn bytes(&self) -> usize {
        let generations = self.lock();
        generations.young.bytes + generations.old.bytes
    }

    pub(super) fn get<T: Weigh>(&self, key: Key) -> Option<Arc<T>> {
        let found = self.find(key);
        let counter = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found?.downcast().ok()
    }

    fn find(&self, key: Key) -> Option<Arc<dyn Any + Send + Sync>> {
        let mut generations = self.lock();
        let found = match generations.young.entries.get(&key) {
            Some((found, _)) => Arc::clone(found),
            None => {
                let (found, bytes) = generations.old.entries.remove(&key)?;
                generations.old.bytes -= bytes;
                self.push(&mut generations, key, Arc::clone(&found), bytes);
                found
            }
        };
        drop(generations);
        Some(found)
    }

    pub(super) fn insert<T: Weigh>(&self, key: Key, item: Arc<T>) {
        let bytes = item.heap_bytes() + ENTRY_BYTES;
        if bytes < self.bytes_max / 8 {
            self.push(&mut self.lock(), key, item, bytes);
        }
    }

    fn push(
        &self,
        generations: &mut Generations,
        key: Key,
        item: Arc<dyn Any + Send + Sync>,
        bytes: usize,
    ) {
        if generations.young.bytes + bytes > self.bytes_max / 2 {
            generations.old = std::mem::take(&mut generations.young);
        }
        let young = &mut generations.young;
        young.bytes += bytes;
        if let Some((_, replaced)) = young.entries.insert(key, (item, bytes)) {
            young.bytes -= replaced;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for usize {
        fn heap_bytes(&self) -> usize {
            1000
        }
    }

    fn key(at: usize) -> Key {
        Key {
            file: 1,
            measurement: 0,
            item: Item::Chunk(at),
        }
    }

    #[test]
    fn what_is_used_stays_and_the_bound_holds() {
        let cache = BlockCache::new(100_000);
        for at in 0..10_000 {
            cache.insert(key(at), Arc::new(at));
            assert!(cache.bytes() <= 100_000);
            assert_eq!(cache.get::<usize>(key(0)).as_deref(), Some(&0));
            assert_eq!(cache.get::<usize>(key(at)).as_deref(), Some(&at));
        }
        assert_eq!(cache.get::<usize>(key(1)), None);
        assert!(cache.bytes() > 30_000);
    }

    #[test]
    fn a_cache_without_room_takes_nothing() {
        let cache = BlockCache::new(0);
        cache.insert(key(1), Arc::new(1_usize));
        assert_eq!((cache.get::<usize>(key(1)), cache.bytes()), (None, 0));
    }
}
