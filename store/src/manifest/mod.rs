//! The manifest: the only truth about what exists.
//!
//! It is a log (`tandem_seglog`) whose records are each a list of [`Edit`]s that take effect
//! together or not at all. Databases, retention policies, shards, block files and index segments
//! exist because the manifest says so; a file on disk that it does not name is rubbish of a
//! crash and is removed at the next start. At each start the state is written anew as the first
//! record of a new segment and the older ones are cut, so the log stays as small as the state.
//!
//! ```text
//! record   := edit*
//! edit     := kind u8, fields; see `docs/format.md`
//! ```

mod edit;
mod offline;
mod state;

use std::path::Path;
use std::sync::Arc;

use tandem_model::{DatabaseId, ShardId};
use tandem_seglog::{Log, Options};
use tandem_vfs::Vfs;

use crate::error::StoreError;
use crate::wire::Malformed;

pub(crate) use edit::Edit;
use edit::{decode_all, encode_all};
pub(crate) use offline::{read_manifest, write_manifest};
pub(crate) use state::{DatabaseRecord, FileRecord, SegmentRecord, ShardRecord, State};

/// Segments are small: the log is rewritten at each start.
const SEGMENT_BYTES_MAX: u64 = 4 << 20;
/// A state with 10,000 shards of 100 files each stays under it.
const RECORD_BYTES_MAX: u32 = 256 << 20;

/// The manifest, open.
#[derive(Debug)]
pub(crate) struct Manifest {
    log: Log,
    state: State,
    torn: bool,
}

impl Manifest {
    /// Opens or makes the manifest in `dir`, and compacts it.
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
        let mut manifest = Self { log, state, torn };
        manifest.compact()?;
        Ok(manifest)
    }

    /// Writes the state as one record and cuts all before it.
    fn compact(&mut self) -> Result<(), StoreError> {
        self.log
            .rotate()
            .map_err(StoreError::log("rotate manifest"))?;
        let record = encode_all(&self.state.snapshot());
        let ticket = self
            .log
            .append(&[&record])
            .map_err(StoreError::log("append to manifest"))?;
        self.log
            .commit(&ticket)
            .map_err(StoreError::log("sync manifest"))?;
        self.log
            .cut_below(ticket.sequence())
            .map_err(StoreError::log("cut manifest"))
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

    /// Makes `edits` true, all or none, durably when `Ok`. On `Err` the edits may be found to
    /// have happened after a restart.
    pub(crate) fn commit(&mut self, edits: &[Edit]) -> Result<(), StoreError> {
        let record = encode_all(edits);
        let ticket = self
            .log
            .append(&[&record])
            .map_err(StoreError::log("append to manifest"))?;
        self.log
            .commit(&ticket)
            .map_err(StoreError::log("sync manifest"))?;
        for edit in edits {
            self.state.apply(edit);
        }
        Ok(())
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
        ShardId(self.state.next_shard)
    }
}

#[cfg(test)]
mod tests;
