//! A copy of a log that a store may be writing: its WAL, or the log of its catalog.
//!
//! A segment is copied through its name, and the name is looked for again behind the copy. While it is
//! there, the file was that segment's all the time: it grew at its end and nothing else, so that the copy
//! is a prefix of it. A name that is gone was cut, because all of its records are elsewhere: those of the WAL in block
//! files that the manifest named before, so that whoever reads the manifest after this copy does not need them; those of
//! the catalog in a later record. So the copies of that segment and of all before it are thrown away. Files are
//! never linked: a cut one is written again under another name.
//!
//! The group that is being written at that moment may be copied with its end and without its beginning, which
//! looks like damage. Damage counts only when a second copy has it too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tandem_seglog::{Options, Peek, peek};
use tandem_vfs::Vfs;

use super::error::SnapshotError;
use super::tree::Tree;
use crate::error::StoreError;
use crate::open::WAL_RECORD_BYTES_MAX;

/// How often the copy is begun anew because the log changed under it.
const TRIES_MAX: u32 = 20;
/// How often damage must be found in a row to be believed.
const DAMAGED_TRIES_MAX: u32 = 4;
/// How long to wait before another try.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// The directory of the WAL, in a store and in its copies.
pub(super) const WAL_DIR: &str = "wal";
/// What a server keeps beside its store: users, grants, continuous queries.
pub(super) const CATALOG_DIR: &str = "catalog";
/// The log of that, in which all of it is.
pub(crate) const CATALOG_LOG_DIR: &str = "catalog/log";

/// The options under which a log is looked at.
pub(crate) fn log_options() -> Options {
    Options {
        record_bytes_max: WAL_RECORD_BYTES_MAX,
        ..Options::default()
    }
}

/// Copies the log `name` of the store in `dir` into the tree at `target`. On `Ok` the copy has every record that was
/// acknowledged before the call and is still needed. A log that is not there has no records.
pub(super) fn copy_log(
    vfs: &dyn Vfs,
    dir: &Path,
    target: &Path,
    name: &str,
) -> Result<Peek, SnapshotError> {
    let copy = target.join(name);
    if !vfs.exists(&dir.join(name)) {
        return Ok(Peek::default());
    }
    let mut damaged = 0;
    for attempt in 0..TRIES_MAX {
        if attempt > 0 {
            std::thread::sleep(RETRY_DELAY);
        }
        remove_files(vfs, &copy)?;
        if !copy_once(vfs, dir, target, name)? {
            continue;
        }
        let found = peek(vfs, &copy, &log_options(), &mut |_, _| Ok(()))
            .map_err(StoreError::log("read the copy of a log"))?;
        if !found.recovery.corruptions.is_empty() {
            damaged += 1;
            if damaged < DAMAGED_TRIES_MAX {
                continue;
            }
        } else {
            trim(vfs, &found)?;
        }
        return Ok(found);
    }
    Err(SnapshotError::Busy(dir.into()))
}

/// False when the last segment was cut meanwhile, so that there may be later ones.
fn copy_once(vfs: &dyn Vfs, dir: &Path, target: &Path, name: &str) -> Result<bool, SnapshotError> {
    let log = dir.join(name);
    let mut tree = Tree::new(vfs, target)?;
    tree.make_dir(name)?;
    let mut names = vfs
        .read_dir(&log)
        .map_err(SnapshotError::io("list directory", &log))?;
    names.retain(|name| name.ends_with(".seg"));
    names.sort_unstable();
    let mut copied: Vec<PathBuf> = Vec::new();
    let mut is_last_there = true;
    for segment in names {
        let path = format!("{name}/{segment}");
        let from = log.join(&segment);
        let result = tree.place(&from, &path, false);
        is_last_there = vfs.exists(&from);
        match result {
            Ok(_) if is_last_there => copied.push(target.join(&path)),
            Err(error) if is_last_there => return Err(error),
            _ => {
                copied.push(target.join(&path));
                for gone in copied.drain(..).filter(|gone| vfs.exists(gone)) {
                    vfs.remove_file(&gone)
                        .map_err(SnapshotError::io("remove", &gone))?;
                }
            }
        }
    }
    Ok(is_last_there)
}

/// Cuts what does not belong to the log off the copies.
fn trim(vfs: &dyn Vfs, found: &Peek) -> Result<(), SnapshotError> {
    for segment in found.segments.iter().filter(|s| s.bytes < s.file_bytes) {
        let cut = || {
            let file = vfs.open(&segment.path)?;
            file.set_len(segment.bytes)?;
            file.sync_data()
        };
        cut().map_err(SnapshotError::io("cut", &segment.path))?;
    }
    if let Some(path) = &found.unfinished {
        vfs.remove_file(path)
            .map_err(SnapshotError::io("remove", path))?;
    }
    Ok(())
}

/// Removes the copies of segments of a WAL all of whose records are in block files.
pub(super) fn prune(vfs: &dyn Vfs, found: &mut Peek, flushed_to: u64) -> Result<(), SnapshotError> {
    let done = found
        .segments
        .iter()
        .skip(1)
        .take_while(|next| next.previous_end <= flushed_to.saturating_add(1))
        .count();
    for segment in found.segments.drain(..done) {
        vfs.remove_file(&segment.path)
            .map_err(SnapshotError::io("remove", &segment.path))?;
    }
    Ok(())
}

/// The segments of a copied log, relative to the tree's root.
pub(super) fn segment_paths<'a>(
    found: &'a Peek,
    name: &'a str,
) -> impl Iterator<Item = String> + 'a {
    let names = found
        .segments
        .iter()
        .filter_map(|s| s.path.file_name()?.to_str());
    names.map(move |file| format!("{name}/{file}"))
}

fn remove_files(vfs: &dyn Vfs, dir: &Path) -> Result<(), SnapshotError> {
    if !vfs.exists(dir) {
        return Ok(());
    }
    let names = vfs
        .read_dir(dir)
        .map_err(SnapshotError::io("list directory", dir))?;
    for name in names {
        let path = dir.join(name);
        vfs.remove_file(&path)
            .map_err(SnapshotError::io("remove", &path))?;
    }
    Ok(())
}
