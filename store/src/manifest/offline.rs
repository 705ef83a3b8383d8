//! The manifest of a store that is not opened: read while a process may be writing it, and written
//! anew for a copy of the store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tandem_seglog::{Log, Options, Peek, peek};
use tandem_vfs::Vfs;

use super::edit::{decode_all, encode_all};
use super::state::State;
use super::{RECORD_BYTES_MAX, SEGMENT_BYTES_MAX};
use crate::error::StoreError;
use crate::wire::Malformed;

/// How often a manifest is read again that was being written, or cut, meanwhile.
const TRIES_MAX: u32 = 10;
/// How long to wait before that.
const RETRY_DELAY: Duration = Duration::from_millis(5);

fn options() -> Options {
    Options {
        segment_bytes_max: SEGMENT_BYTES_MAX,
        record_bytes_max: RECORD_BYTES_MAX,
        ..Options::default()
    }
}

/// What a store's manifest said at one moment of the call, and the log that it stands in. Nothing is
/// locked or changed.
pub(crate) fn read_manifest(vfs: &dyn Vfs, dir: &Path) -> Result<(State, Peek), StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match read_once(vfs, dir) {
            Ok(read) => return Ok(read),
            Err(error) if tries == TRIES_MAX || !vfs.exists(dir) => return Err(error),
            Err(_) => std::thread::sleep(RETRY_DELAY),
        }
    }
}

fn read_once(vfs: &dyn Vfs, dir: &Path) -> Result<(State, Peek), StoreError> {
    let mut state = State::default();
    let mut malformed = false;
    let found = peek(vfs, dir, &options(), &mut |_, record| {
        match decode_all(record) {
            Ok(edits) => edits.iter().for_each(|edit| state.apply(edit)),
            Err(Malformed) => malformed = true,
        }
        Ok(())
    })
    .map_err(StoreError::log("read manifest"))?;
    if malformed || !found.recovery.corruptions.is_empty() {
        let first = found.recovery.corruptions.first();
        return Err(StoreError::Corrupt {
            file: first.map_or_else(|| dir.into(), |c| c.file.clone()),
            offset: first.map_or(0, |c| c.offset),
            what: "the manifest has a damaged record; restore it from a backup",
        });
    }
    Ok((state, found))
}

/// Makes a manifest in `dir`, which has none, that says `state`; durable on `Ok`.
pub(crate) fn write_manifest(
    vfs: Arc<dyn Vfs>,
    dir: &Path,
    state: &State,
) -> Result<(), StoreError> {
    let (log, _) = Log::open(vfs, dir, options(), &mut |_, _| Ok(()))
        .map_err(StoreError::log("make manifest"))?;
    let record = encode_all(&state.snapshot());
    let ticket = log
        .append(&[&record])
        .map_err(StoreError::log("append to manifest"))?;
    log.commit(&ticket)
        .map_err(StoreError::log("sync manifest"))
}
