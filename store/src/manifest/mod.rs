//! The manifest: the only truth about what exists.
//!
//! It is a log (`tandem_seglog`) whose records are each a list of [`Edit`]s that take effect
//! together or not at all. Databases, retention policies, shards, block files and index segments
//! exist because the manifest says so; a file on disk that it does not name is rubbish of a
//! crash and is removed at the next start. From time to time the state is written anew as the first
//! record of a new segment and the older ones are cut, so the log stays about as small as the state.
//!
//! A change that fails is usually known not to have happened: what it may have left of its record is
//! overwritten at once. Where that fails too the outcome is [undecided](Manifest::is_undecided) until a
//! later change succeeds; until then the store takes no writes, for a restart might find them in
//! a database that was dropped.
//!
//! ```text
//! record   := edit*
//! edit     := kind u8, fields; see `docs/format.md`
//! ```

mod ballast;
mod edit;
mod offline;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tandem_model::{DatabaseId, ShardId};
use tandem_seglog::{Log, Options, Sequence};
use tandem_vfs::Vfs;

use crate::error::StoreError;
use crate::maintain::chain;
use crate::wire::Malformed;

use ballast::Ballast;
pub(crate) use edit::Edit;
use edit::{decode_all, encode_all};
pub(crate) use offline::{read_manifest, write_manifest};
pub(crate) use state::{DatabaseRecord, FileRecord, SegmentRecord, ShardRecord, State};

/// Takes any bytes for a record: it is refused, or comes back the same when it is written again, as does
/// what it makes of an empty state.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_record(record: &[u8]) {
    let Ok(edits) = decode_all(record) else {
        return;
    };
    assert_eq!(decode_all(&encode_all(&edits)).as_ref(), Ok(&edits));
    let mut state = State::default();
    for edit in &edits {
        state.apply(edit);
    }
    let mut again = State::default();
    for edit in &state.snapshot() {
        again.apply(edit);
    }
    assert_eq!(again, state);
}

/// Segments are small: the log is rewritten at each start.
const SEGMENT_BYTES_MAX: u64 = 4 << 20;
/// A state with 10,000 shards of 100 files each stays under it.
const RECORD_BYTES_MAX: u32 = 256 << 20;

/// The log is left to grow to this before the state is written anew.
const LOG_BYTES_MIN: u64 = 64 << 10;
/// How many times its length after that the log may have before it is done again.
const GROWTH_MAX: u64 = 4;

/// The manifest, open.
#[derive(Debug)]
pub(crate) struct Manifest {
    log: Log,
    state: State,
    torn: bool,
    ballast: Ballast,
    /// Whether it is not known if the last change happened.
    undecided: Arc<AtomicBool>,
    /// Bytes of the log from which on the state is written anew.
    compact_at: u64,
}

impl Manifest {
    /// Opens or makes the manifest in `dir`.
    ///
    /// A damaged record is no reason to go on with half the truth: it is an error.
    pub(crate) fn open(vfs: Arc<dyn Vfs>, dir: &Path) -> Result<Self, StoreError> {
        let mut state = State::default();
        let mut malformed = false;
        let options = Options {
            segment_bytes_max: SEGMENT_BYTES_MAX,
            record_bytes_max: RECORD_BYTES_MAX,
            ..Options::default()
        };
        let ballast = Ballast::beside(Arc::clone(&vfs), dir);
        let (log, recovery) = Log::open(vfs, dir, options, &mut |_, record| {
            match decode_all(record) {
                Ok(edits) => edits.iter().for_each(|edit| state.apply(edit)),
                Err(Malformed) => malformed = true,
            }
            Ok(())
        })
        .map_err(StoreError::log("open manifest"))?;
        if malformed || !recovery.corruptions.is_empty() {
            return Err(StoreError::Corrupt {
                file: recovery
                    .corruptions
                    .first()
                    .map_or_else(|| dir.into(), |c| c.file.clone()),
                offset: recovery.corruptions.first().map_or(0, |c| c.offset),
                what: "the manifest has a damaged record; restore it from a backup",
            });
        }
        let torn = recovery.torn_tail.is_some();
        let mut manifest = Self {
            log,
            state,
            torn,
            ballast,
            undecided: Arc::default(),
            compact_at: LOG_BYTES_MIN,
        };
        manifest.compact_if_due();
        Ok(manifest)
    }

    /// Compacts a log that has grown. Where it cannot be done now it is tried again later.
    fn compact_if_due(&mut self) {
        if self.log.bytes_total() < self.compact_at {
            return;
        }
        if let Err(error) = self.compact() {
            tracing::warn!(error = chain(&error), "cannot compact the manifest now");
        }
        self.compact_at = LOG_BYTES_MIN.max(self.log.bytes_total().saturating_mul(GROWTH_MAX));
    }

    /// Writes the state as one record and cuts all before it.
    fn compact(&mut self) -> Result<(), StoreError> {
        self.log
            .rotate()
            .map_err(StoreError::log("rotate manifest"))?;
        let sequence = self.append(&encode_all(&self.state.snapshot()))?;
        self.log
            .cut_below(sequence)
            .map_err(StoreError::log("cut manifest"))
    }

    fn append(&self, record: &[u8]) -> Result<Sequence, StoreError> {
        let ticket = self
            .log
            .append(&[record])
            .map_err(StoreError::log("append to manifest"))?;
        self.log
            .commit(&ticket)
            .map_err(StoreError::log("sync manifest"))?;
        Ok(ticket.sequence())
    }

    /// True when the last record was torn when this was opened: what it named may be on disk.
    pub(crate) const fn was_torn(&self) -> bool {
        self.torn
    }

    /// The log itself, to ask whether it still takes records.
    pub(crate) fn log(&self) -> Log {
        self.log.clone()
    }

    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    /// Whether changes can be made. A statement that finds nothing to change asks this all the same: after
    /// a failed change nobody knows what a restart finds, and `Ok` would be a promise.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.log
            .check()
            .map_err(StoreError::log("change the manifest"))
    }

    /// Makes `edits` true, all or none, durably when `Ok`. On `Err` they did not happen, unless
    /// [`Manifest::is_undecided`]: then they may be found to have happened after a restart.
    pub(crate) fn commit(&mut self, edits: &[Edit]) -> Result<(), StoreError> {
        let record = encode_all(edits);
        let mut done = self.append(&record);
        if done.as_ref().is_err_and(StoreError::is_storage_full) && self.ballast.release() {
            tracing::warn!(
                "the disk is full: the ballast is given up for a change of the manifest"
            );
            done = self.append(&record);
        }
        if let Err(error) = done {
            self.undecided.store(true, Ordering::Release);
            self.settle();
            return Err(error);
        }
        self.undecided.store(false, Ordering::Release);
        for edit in edits {
            self.state.apply(edit);
        }
        self.compact_if_due();
        Ok(())
    }

    /// Writes over what a failed change may have left in the log.
    pub(crate) fn settle(&mut self) {
        if self.is_undecided() && self.append(&[]).is_ok() {
            self.undecided.store(false, Ordering::Release);
        }
    }

    /// Whether it is not known if the change that failed last happened.
    pub(crate) fn is_undecided(&self) -> bool {
        self.undecided.load(Ordering::Acquire)
    }

    /// [`Manifest::is_undecided`], without waiting for who writes to the manifest.
    pub(crate) fn undecided(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.undecided)
    }

    /// Takes up some space for a time when there is none, as long as that leaves `free_bytes_min`.
    pub(crate) fn keep_ballast(&self, free_bytes_min: u64) {
        if let Err(error) = self.ballast.make(free_bytes_min) {
            tracing::warn!(%error, "cannot make the ballast file now");
        }
    }

    /// Gives the ballast back at the end.
    pub(crate) fn drop_ballast(&self) {
        self.ballast.release();
    }

    /// A file id that was never used. It is used up for good once an edit names it.
    pub(crate) fn reserve_file_id(&mut self) -> u64 {
        let id = self.state.next_file;
        self.state.next_file += 1;
        id
    }

    pub(crate) fn next_database_id(&self) -> DatabaseId {
        DatabaseId(self.state.next_database)
    }

    pub(crate) fn next_shard_id(&self) -> ShardId {
        // From 1, as InfluxDB's.
        ShardId(self.state.next_shard.max(1))
    }
}

#[cfg(test)]
mod tests;
