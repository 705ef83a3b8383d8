//! What lies in `data` and the manifest does not name: rubbish of a crash, removed at the next start.
//!
//! Unless the manifest has lost its end: what is lost may have named it. Then data is kept, under a
//! name that is never used for anything else, for an operator to decide. `tandem verify` tells of it. A database
//! or shard whose number what is left of the manifest has given out was dropped by it, and is rubbish all the same.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use tandem_vfs::Vfs;

use crate::core::{Core, remove_tree};
use crate::error::StoreError;
use crate::manifest::State;

/// The end of the name of what nothing names and is kept.
const ORPHAN: &str = ".orphan";

/// Removes every file and directory that the manifest does not name; with `torn`, keeps what has data. Tells what is
/// kept, also from earlier starts.
pub(crate) fn remove_unknown(
    core: &Core,
    state: &State,
    torn: bool,
) -> Result<Vec<PathBuf>, StoreError> {
    let mut kept = Vec::new();
    let vfs = &*core.vfs;
    let list = |dir: &Path| {
        vfs.read_dir(dir)
            .map_err(StoreError::io("list directory", dir))
    };
    let data = core.dir.join("data");
    for name in list(&data)? {
        let path = data.join(&name);
        let Some((&id, record)) = state
            .databases
            .iter()
            .find(|(id, _)| id.to_string() == name)
        else {
            let was_dropped = name.parse().is_ok_and(|id: u32| id < state.next_database);
            kept.extend(remove_dir(vfs, &path, torn && !was_dropped)?);
            continue;
        };
        let mut known: Vec<(String, BTreeSet<String>)> = state
            .shards
            .iter()
            .filter(|(_, shard)| shard.database == id)
            .map(|(shard_id, shard)| {
                (
                    shard_id.to_string(),
                    shard.files.iter().map(|f| f.name()).collect(),
                )
            })
            .collect();
        known.push((
            "index".into(),
            record.segments.iter().map(|s| s.name()).collect(),
        ));
        for sub in list(&path)? {
            let sub_path = path.join(&sub);
            let Some((_, files)) = known.iter().find(|(name, _)| *name == sub) else {
                let was_dropped = sub.parse().is_ok_and(|id: u64| id < state.next_shard);
                kept.extend(remove_dir(vfs, &sub_path, torn && !was_dropped)?);
                continue;
            };
            for file in list(&sub_path)?
                .iter()
                .filter(|file| !files.contains(*file))
            {
                kept.extend(remove_file(vfs, &sub_path.join(file), torn)?);
            }
        }
    }
    Ok(kept)
}

/// Gives back the path where it is kept.
fn remove_dir(vfs: &dyn Vfs, path: &Path, torn: bool) -> Result<Option<PathBuf>, StoreError> {
    if is_kept(path) {
        return Ok(Some(path.into()));
    }
    if torn && holds_files(vfs, path).map_err(StoreError::io("list directory", path))? {
        return keep(vfs, path);
    }
    remove_tree(vfs, path).map_err(StoreError::io("remove", path))?;
    Ok(None)
}

/// Gives back the path where it is kept.
fn remove_file(vfs: &dyn Vfs, path: &Path, torn: bool) -> Result<Option<PathBuf>, StoreError> {
    if is_kept(path) {
        return Ok(Some(path.into()));
    }
    let is_data = path
        .extension()
        .is_some_and(|end| end == "blk" || end == "sidx");
    if torn && is_data {
        return keep(vfs, path);
    }
    vfs.remove_file(path)
        .map_err(StoreError::io("remove", path))?;
    Ok(None)
}

fn is_kept(path: &Path) -> bool {
    path.to_string_lossy().ends_with(ORPHAN)
}

fn keep(vfs: &dyn Vfs, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let name = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        if n > 0 {
            name.push(format!(".{n}"));
        }
        name.push(ORPHAN);
        PathBuf::from(name)
    };
    // Ids come again when the record that gave them out is lost.
    let mut names = (0..u32::MAX).map(name);
    let Some(kept) = names.find(|kept| !vfs.exists(kept)) else {
        return Ok(None);
    };
    tracing::error!(file = %kept.display(), "kept: the manifest's last record is torn and may have named it");
    vfs.rename(path, &kept)
        .map_err(StoreError::io("rename", path))?;
    Ok(Some(kept))
}

/// True when there is a file in one of the directories below `dir`.
pub(crate) fn holds_files(vfs: &dyn Vfs, dir: &Path) -> io::Result<bool> {
    for name in vfs.read_dir(dir)? {
        // What has no entries to list is a file.
        if holds_files(vfs, &dir.join(name)).unwrap_or(true) {
            return Ok(true);
        }
    }
    Ok(false)
}
