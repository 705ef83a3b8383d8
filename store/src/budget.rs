//! Who holds how much memory: one account for each use, with its bound.
//!
//! - *Writes*: rows in memtables, bodies and batches on their way there. A write asks before it parses; it waits
//!   while there is no room, and is refused as overloaded when that takes too long. One write at a time
//!   is let in however large it is, as long as memtables leave half of the room, so that no body that the server takes is
//!   refused for ever.
//! - *Queries*: what they hold beside the block cache. A query that asks for more than there is gets an error.
//! - *Schemas*: how lines look, remembered while there is room.
//! - *Index*: cannot be refused, only limited by numbers of series. What it takes beyond its share
//!   makes the room for writes smaller, down to an eighth of it.
//!
//! The block cache keeps its own bound. Memtables count themselves, shard by shard; here they are only read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::schema::SchemaRoom;

/// Of the room for writes, what the index leaves however large it is.
const WRITES_KEPT_PART: usize = 8;
/// How long a write that waits goes without looking at the memtables.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Budget {
    writes_max: usize,
    queries_max: usize,
    index_bytes_free: usize,
    /// Bytes that writes hold that are under way.
    writing: Mutex<usize>,
    /// Room may have become free.
    freed: Condvar,
    querying: AtomicUsize,
    pub(crate) schemas: Arc<SchemaRoom>,
    index: AtomicUsize,
    /// Writes that waited for room, and those that waited in vain.
    waited: AtomicUsize,
    refused: AtomicUsize,
}

/// Bytes in use and their bounds, by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// Rows that wait for their files.
    pub memtable_bytes: u64,
    /// Bodies and batches of writes that are under way.
    pub writing_bytes: u64,
    /// The bound of the two before together, as the index leaves it.
    pub writes_bytes_max: u64,
    /// What queries hold.
    pub query_bytes: u64,
    /// The bound of it.
    pub query_bytes_max: u64,
    /// Blocks that are kept to be read again.
    pub cache_bytes: u64,
    /// The bound of it.
    pub cache_bytes_max: u64,
    /// The series index and the types of fields, which have no bound of their own.
    pub index_bytes: u64,
    /// What is remembered of how lines look.
    pub schema_bytes: u64,
    /// The bound of it.
    pub schema_bytes_max: u64,
    /// Writes that found no room and waited, since the store was opened.
    pub writes_waited: u64,
    /// Of these, writes that were refused.
    pub writes_refused: u64,
}

impl Budget {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            writes_max: options.memtable_bytes_max,
            queries_max: options.query_bytes_max,
            index_bytes_free: options.index_bytes_free,
            writing: Mutex::default(),
            freed: Condvar::new(),
            querying: AtomicUsize::default(),
            schemas: Arc::new(SchemaRoom::new(options.schema_bytes_max)),
            index: AtomicUsize::default(),
            waited: AtomicUsize::default(),
            refused: AtomicUsize::default(),
        }
    }

    /// Notes the bytes of the series index.
    pub(crate) fn set_index(&self, bytes: usize) {
        self.index.store(bytes, Ordering::Relaxed);
    }

    /// The bound of memtables and writes under way.
    pub(crate) fn writes_max(&self) -> usize {
        let over = self
            .index
            .load(Ordering::Relaxed)
            .saturating_sub(self.index_bytes_free);
        let least = self.writes_max / WRITES_KEPT_PART;
        self.writes_max.saturating_sub(over).max(least)
    }

    /// Room for a write. Waits for it, at most for `wait`; `memtable_bytes` tells what rows hold, and `wake` is called when
    /// that is to become less. The error says how much is used, and of how much.
    pub(crate) fn hold_write(
        self: &Arc<Self>,
        bytes: usize,
        wait: Duration,
        memtable_bytes: &dyn Fn() -> usize,
        wake: &dyn Fn(),
    ) -> Result<HeldWrite, (usize, usize)> {
        let mut writing = self.writing();
        let mut deadline = None;
        loop {
            let (rows, max) = (memtable_bytes(), self.writes_max());
            let fits = rows.saturating_add(*writing).saturating_add(bytes) <= max;
            let alone = *writing == 0 && rows < max.div_ceil(2);
            if fits || alone {
                *writing += bytes;
                return Ok(HeldWrite {
                    budget: Arc::clone(self),
                    bytes,
                    grown: 0,
                });
            }
            let until = *deadline.get_or_insert_with(|| {
                self.waited.fetch_add(1, Ordering::Relaxed);
                Instant::now() + wait
            });
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Err((rows.saturating_add(*writing), max));
            };
            drop(writing);
            wake();
            writing = self
                .freed
                .wait_timeout(self.writing(), left.min(LOOK_EVERY))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Tells writes that wait that memtables have become smaller.
    pub(crate) fn freed(&self) {
        self.freed.notify_all();
    }

    /// An account for a query, empty at first.
    pub(crate) fn query(self: &Arc<Self>) -> QueryMemory {
        QueryMemory {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }

    /// All but what the caller knows: memtables and cache.
    pub(crate) fn stats(&self) -> MemoryStats {
        let get = |counter: &AtomicUsize| counter.load(Ordering::Relaxed) as u64;
        MemoryStats {
            writing_bytes: *self.writing() as u64,
            writes_bytes_max: self.writes_max() as u64,
            query_bytes: get(&self.querying),
            query_bytes_max: self.queries_max as u64,
            index_bytes: get(&self.index),
            schema_bytes: self.schemas.bytes() as u64,
            schema_bytes_max: self.schemas.bytes_max() as u64,
            writes_waited: get(&self.waited),
            writes_refused: get(&self.refused),
            ..MemoryStats::default()
        }
    }

    fn writing(&self) -> MutexGuard<'_, usize> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room that a write has until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldWrite {
    budget: Arc<Budget>,
    bytes: usize,
    /// By how much [`HeldWrite::grow`] has made it more.
    grown: usize,
}

/// Why a write cannot hold more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// Others hold too much.
    Now { used: usize, max: usize },
    /// It is more than all writes may hold.
    Ever { max: usize },
}

impl HeldWrite {
    /// As much more room as that, beside `memtable_bytes` of rows; never waits. What a write grows by is never more
    /// than the room, not even when it is alone.
    pub(crate) fn grow(&mut self, bytes: usize, memtable_bytes: usize) -> Result<(), NoRoom> {
        let budget = &*self.budget;
        let mut writing = budget.writing();
        let max = budget.writes_max();
        let used = memtable_bytes.saturating_add(*writing);
        let alone = *writing == self.bytes && memtable_bytes < max.div_ceil(2);
        let grown = self.grown.saturating_add(bytes);
        let refusal = if grown > max {
            NoRoom::Ever { max }
        } else if used.saturating_add(bytes) > max && !alone {
            NoRoom::Now { used, max }
        } else {
            *writing += bytes;
            self.bytes += bytes;
            self.grown = grown;
            return Ok(());
        };
        budget.refused.fetch_add(1, Ordering::Relaxed);
        Err(refusal)
    }

    /// Counts what the write turned out to hold. Never waits: it holds it already.
    pub(crate) fn set(&mut self, bytes: usize) {
        let mut writing = self.budget.writing();
        *writing = (*writing + bytes).saturating_sub(self.bytes);
        let shrinks = bytes < self.bytes;
        self.bytes = bytes;
        drop(writing);
        if shrinks {
            self.budget.freed();
        }
    }
}

impl Drop for HeldWrite {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Why a query may not hold more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "query needs {asked_bytes} more bytes of memory, and {held_bytes} of the {bytes_max} for all queries are in use"
)]
pub struct OutOfMemory {
    /// What it asked for.
    pub asked_bytes: usize,
    /// What all queries hold.
    pub held_bytes: usize,
    /// What they may hold together.
    pub bytes_max: usize,
}

/// What one query holds; given back when this is dropped.
#[derive(Debug)]
pub struct QueryMemory {
    budget: Arc<Budget>,
    bytes: usize,
}

impl QueryMemory {
    /// Bytes held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Asks for more bytes, before they are allocated.
    ///
    /// # Errors
    /// [`OutOfMemory`] when all queries together would hold too much; then nothing more is held.
    pub fn grow(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        let bytes_max = self.budget.queries_max;
        let fitting = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= bytes_max);
        let grown =
            self.budget
                .querying
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fitting);
        match grown {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(held_bytes) => Err(OutOfMemory {
                asked_bytes: bytes,
                held_bytes,
                bytes_max,
            }),
        }
    }

    /// Gives bytes back, at most what is held.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.querying.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for QueryMemory {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn budget(writes: usize, queries: usize) -> Arc<Budget> {
        Arc::new(Budget::new(&Options {
            memtable_bytes_max: writes,
            query_bytes_max: queries,
            index_bytes_free: 100,
            ..Options::default()
        }))
    }

    fn try_hold(budget: &Arc<Budget>, bytes: usize, rows: usize) -> Option<HeldWrite> {
        let held = budget.hold_write(bytes, Duration::ZERO, &|| rows, &|| {});
        held.ok()
    }

    #[test]
    fn writes_and_rows_share_their_room() {
        let budget = budget(1000, 0);
        let first = try_hold(&budget, 600, 200).unwrap();
        assert!(try_hold(&budget, 300, 200).is_none());
        let second = try_hold(&budget, 200, 200).unwrap();
        assert_eq!(budget.stats().writing_bytes, 800);
        drop(first);
        assert!(try_hold(&budget, 300, 200).is_some());
        drop(second);
        assert_eq!(budget.stats().writing_bytes, 0);
        let stats = budget.stats();
        assert_eq!((stats.writes_waited, stats.writes_refused), (1, 1));
    }

    #[test]
    fn one_write_is_let_in_however_large_it_is() {
        let budget = budget(1000, 0);
        let large = try_hold(&budget, 9000, 400).unwrap();
        assert!(try_hold(&budget, 1, 0).is_none(), "not beside another one");
        drop(large);
        assert!(try_hold(&budget, 9000, 600).is_none(), "rows come first");
    }

    #[test]
    fn what_a_write_turns_out_to_hold_counts() {
        let budget = budget(1000, 0);
        let mut write = try_hold(&budget, 100, 0).unwrap();
        write.set(950);
        assert!(try_hold(&budget, 100, 0).is_none());
        write.set(10);
        assert!(try_hold(&budget, 100, 0).is_some());
    }

    #[test]
    fn a_write_grows_while_there_is_room_or_it_is_alone() {
        let budget = budget(1000, 0);
        let (mut one, two) = (
            try_hold(&budget, 100, 0).unwrap(),
            try_hold(&budget, 100, 0),
        );
        one.grow(700, 100).unwrap();
        let now = NoRoom::Now {
            used: 1000,
            max: 1000,
        };
        assert_eq!(one.grow(1, 100), Err(now));
        drop(two);
        one.grow(300, 400).unwrap();
        assert_eq!(one.grow(1, 0), Err(NoRoom::Ever { max: 1000 }));
        drop(one);
        assert_eq!(budget.stats().writing_bytes, 0);
    }

    #[test]
    fn a_write_waits_until_rows_are_flushed() {
        let budget = budget(1000, 0);
        let (rows, woken) = (AtomicUsize::new(900), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                budget.hold_write(
                    500,
                    Duration::from_secs(60),
                    &|| rows.load(Ordering::Relaxed),
                    &|| woken.store(true, Ordering::Relaxed),
                )
            });
            while !woken.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            rows.store(0, Ordering::Relaxed);
            budget.freed();
            waiting.join().unwrap().unwrap();
        });
        let stats = budget.stats();
        assert_eq!((stats.writes_waited, stats.writes_refused), (1, 0));
    }

    #[test]
    fn the_index_takes_from_writes_and_leaves_an_eighth() {
        let budget = budget(1000, 0);
        for (index, left) in [(0, 1000), (100, 1000), (400, 700), (1 << 40, 125)] {
            budget.set_index(index);
            assert_eq!(budget.writes_max(), left, "index of {index} bytes");
        }
    }

    #[test]
    fn queries_together_stay_within_their_bound() {
        let budget = budget(0, 1000);
        let (mut one, mut two) = (budget.query(), budget.query());
        one.grow(600).unwrap();
        let error = two.grow(500).unwrap_err();
        assert_eq!((error.held_bytes, error.bytes_max), (600, 1000));
        assert_eq!(two.bytes(), 0);
        two.grow(400).unwrap();
        one.shrink(9999);
        two.grow(usize::MAX).unwrap_err();
        two.grow(600).unwrap();
        drop((one, two));
        assert_eq!(budget.stats().query_bytes, 0);
    }
}
