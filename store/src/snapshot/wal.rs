//! A copy of the WAL of a store that may be writing it.
//!
//! A segment is copied through its name, and the name is looked for again behind the copy. While it is
//! there, the file was that segment's all the time: it grew at its end and nothing else, so that the copy
//! is a prefix of it. A name that is gone was cut, because all of its records are in block files that the
//! manifest named before; whoever reads the manifest after this copy does not need them. So the copies of
//! that segment and of all before it are thrown away. Files are never linked: a cut one is written again under
//! another name.
//!
//! The group that is being written at that moment may be copied with its end and without its beginning, which
//! looks like damage. Damage counts only when a second copy has it too.

use std::collections::BTreeSet;
use std::io;
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

/// The options under which a WAL is looked at.
pub(crate) fn wal_options() -> Options {
    Options {
        record_bytes_max: WAL_RECORD_BYTES_MAX,
        ..Options::default()
    }
}

/// Copies the WAL of the store in `dir` into the tree at `target`. On `Ok` the copy has every record that was
/// acknowledged before the call and is not yet in block files that the manifest names now.
pub(super) fn copy_wal(vfs: &dyn Vfs, dir: &Path, target: &Path) -> Result<Peek, SnapshotError> {
    let copy = target.join(WAL_DIR);
    let mut damaged = 0;
    for attempt in 0..TRIES_MAX {
        if attempt > 0 {
            std::thread::sleep(RETRY_DELAY);
        }
        remove_files(vfs, &copy)?;
        if !copy_once(vfs, dir, target)? {
            continue;
        }
        let found = peek(vfs, &copy, &wal_options(), &mut |_, _| Ok(()))
            .map_err(StoreError::log("read the copy of the WAL"))?;
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
fn copy_once(vfs: &dyn Vfs, dir: &Path, target: &Path) -> Result<bool, SnapshotError> {
    let wal = dir.join(WAL_DIR);
    let mut tree = Tree::new(vfs, target)?;
    tree.make_dir(WAL_DIR)?;
    let mut names = match vfs.read_dir(&wal) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(SnapshotError::io("list directory", &wal)(e)),
    };
    names.retain(|name| name.ends_with(".seg"));
    names.sort_unstable();
    let mut copied: Vec<PathBuf> = Vec::new();
    let mut is_last_there = true;
    for name in names {
        let path = format!("{WAL_DIR}/{name}");
        let from = wal.join(&name);
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

/// Removes the copies of segments all of whose records are in block files, and gives back the names of the others.
pub(super) fn prune(
    vfs: &dyn Vfs,
    found: &Peek,
    flushed_to: u64,
) -> Result<BTreeSet<String>, SnapshotError> {
    let needed = found
        .segments
        .iter()
        .skip(1)
        .take_while(|next| next.previous_end <= flushed_to.saturating_add(1))
        .count();
    for segment in found.segments.iter().take(needed) {
        vfs.remove_file(&segment.path)
            .map_err(SnapshotError::io("remove", &segment.path))?;
    }
    let kept = found.segments.iter().skip(needed);
    let names = kept.filter_map(|s| s.path.file_name()?.to_str().map(String::from));
    Ok(names.collect())
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
