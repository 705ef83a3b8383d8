//! From a backup back to a store.
//!
//! The marker `RESTORING` is made in the target before anything else and removed behind everything
//! else. A directory that has it is no store: opening it is refused, and the next restore into it clears
//! it and begins anew. So a crash at any point leaves what it found, a directory without a store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_vfs::Vfs;

use super::chain::Chain;
use super::error::SnapshotError;
use super::list::ListedFile;
use super::log::{CATALOG_DIR, CATALOG_LOG_DIR, WAL_DIR};
use super::selection::{Selection, dirs_and_files, is_store};
use super::tree::{Tree, content, sync_parent};
use crate::core::remove_tree;
use crate::error::StoreError;
use crate::inspect::error_text;
use crate::manifest::{State, read_manifest, write_manifest};

/// Marks a directory into which a restore has not come to its end.
pub(crate) const RESTORING_FILE: &str = "RESTORING";
/// What may be in a directory that counts as empty.
const HARMLESS: [&str; 2] = ["LOCK", "lost+found"];
/// What a restore makes.
const MADE: [&str; 4] = ["manifest", WAL_DIR, CATALOG_DIR, "data"];

/// What is to be restored.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// Which part of the backup.
    pub selection: Selection,
    /// Where else the backups may be that an incremental one refers to.
    pub chain: Vec<PathBuf>,
}

/// What a restore brought back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// How many files.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Files that the store had lost when the backup was made.
    pub missing: Vec<String>,
}

/// Makes the store of the backup in `backup` anew in `target`, a directory that is not there or empty. Every
/// file is checked against the backup's list; with one that does not fit, nothing is restored. On `Ok` the store
/// is durable and can be opened.
///
/// # Errors
/// See [`SnapshotError`]; `target` is empty then.
pub fn restore(
    vfs: &Arc<dyn Vfs>,
    backup: &Path,
    target: &Path,
    options: &RestoreOptions,
) -> Result<RestoreReport, SnapshotError> {
    let source = Source::open(&**vfs, backup, options)?;
    restore_from(vfs, &source, target, false)
}

/// A backup that is whole, and what of it is wanted.
pub(super) struct Source {
    chain: Chain,
    pub(super) state: State,
    /// Directories of logs that are wanted.
    logs: Vec<&'static str>,
}

impl Source {
    /// Checks the list, the manifest, and that every file wanted is at hand.
    pub(super) fn open(
        vfs: &dyn Vfs,
        backup: &Path,
        options: &RestoreOptions,
    ) -> Result<Self, SnapshotError> {
        let chain = Chain::read(vfs, backup, &options.chain)?;
        let files = chain.list.files.iter();
        for file in files.filter(|file| file.path.starts_with("manifest/")) {
            let path = chain.find(file)?;
            check(&path, file, content(vfs, &path)?)?;
        }
        let (state, _) = read_manifest(vfs, &backup.join("manifest"))?;
        let state = options.selection.apply(state)?;
        for name in dirs_and_files(&state).1 {
            if let Some(file) = chain.file(&name) {
                let path = chain.find(file)?;
                let opened = vfs.open_read(&path).and_then(|file| file.len());
                if opened.map_err(SnapshotError::io("open", &path))? != file.len_bytes {
                    return Err(damaged(&path, "its length is not the one in the list"));
                }
            }
        }
        let mut logs = vec![WAL_DIR];
        if options.selection.database.is_none() {
            logs.push(CATALOG_LOG_DIR);
        }
        Ok(Self { chain, state, logs })
    }
}

/// As [`restore`]; with `link`, block files get a second name instead of being copied where that is possible.
pub(super) fn restore_from(
    vfs: &Arc<dyn Vfs>,
    source: &Source,
    target: &Path,
    link: bool,
) -> Result<RestoreReport, SnapshotError> {
    let fs = &**vfs;
    fs.create_dir_all(target)
        .map_err(SnapshotError::io("make directory", target))?;
    let _lock = fs.lock_dir(target).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => StoreError::InUse(target.into()).into(),
        _ => SnapshotError::io("lock", target)(e),
    })?;
    let marker = target.join(RESTORING_FILE);
    if fs.exists(&marker) {
        clear(fs, target).map_err(SnapshotError::io("clear", target))?;
    } else if !is_empty(fs, target).map_err(SnapshotError::io("list directory", target))? {
        return Err(SnapshotError::NotEmpty(target.into()));
    } else {
        fs.create_new(&marker)
            .map_err(SnapshotError::io("make", &marker))?;
        fs.sync_dir(target)
            .map_err(SnapshotError::io("sync directory", target))?;
        sync_parent(fs, target)?;
    }
    let finish = || {
        fs.remove_file(&marker)?;
        fs.sync_dir(target)
    };
    let restored = fill(vfs, source, target, link).and_then(|report| {
        finish().map_err(SnapshotError::io("finish the restore in", target))?;
        Ok(report)
    });
    if restored.is_err() {
        let undo = || {
            if !fs.exists(&marker) {
                fs.create_new(&marker)?;
            }
            clear(fs, target)?;
            finish()
        };
        if let Err(error) = undo() {
            tracing::warn!(dir = %target.display(), %error, "cannot clear what an unfinished restore made; the next one does");
        }
    }
    restored
}

fn fill(
    vfs: &Arc<dyn Vfs>,
    source: &Source,
    target: &Path,
    link: bool,
) -> Result<RestoreReport, SnapshotError> {
    let mut tree = Tree::new(&**vfs, target)?;
    let (dirs, names) = dirs_and_files(&source.state);
    for dir in dirs.iter().map(String::as_str).chain(["data", WAL_DIR]) {
        tree.make_dir(dir)?;
    }
    let mut report = RestoreReport::default();
    let chain = &source.chain;
    let mut put = |file: &ListedFile, link: bool| {
        let from = chain.find(file)?;
        let content = tree.place(&from, &file.path, link)?;
        check(&from, file, content)?;
        report.files += 1;
        report.bytes += content.len_bytes;
        Ok::<(), SnapshotError>(())
    };
    let files = chain.list.files.iter();
    for file in files {
        let dir = file.path.rsplit_once('/').map_or("", |(dir, _)| dir);
        if source.logs.contains(&dir) {
            put(file, false)?;
        }
    }
    let mut missing = Vec::new();
    for name in names {
        match chain.file(&name) {
            Some(file) => put(file, link)?,
            None => missing.push(name),
        }
    }
    write_manifest(Arc::clone(vfs), &target.join("manifest"), &source.state)?;
    tree.sync()?;
    Ok(RestoreReport { missing, ..report })
}

/// Checks every file of a backup against its list and tells `fault` what does not fit. Gives back the places of
/// those files that are in another backup.
pub(crate) fn check_list(
    vfs: &dyn Vfs,
    dir: &Path,
    more: &[PathBuf],
    fault: &mut dyn FnMut(PathBuf, String),
) -> Result<BTreeMap<String, PathBuf>, SnapshotError> {
    let chain = Chain::read(vfs, dir, more)?;
    let mut elsewhere = BTreeMap::new();
    for file in &chain.list.files {
        let path = match chain.find(file) {
            Ok(path) => path,
            Err(error) => {
                fault(file.in_dir(dir), error.to_string());
                continue;
            }
        };
        let checked = content(vfs, &path).and_then(|content| check(&path, file, content));
        match checked {
            Err(SnapshotError::Damaged { file, what }) => fault(file, what),
            Err(error) => fault(path.clone(), error_text(&error)),
            Ok(()) => {}
        }
        if file.holder.is_some() {
            elsewhere.insert(file.path.clone(), path);
        }
    }
    Ok(elsewhere)
}

fn check(
    path: &Path,
    file: &ListedFile,
    content: super::tree::Content,
) -> Result<(), SnapshotError> {
    if content.len_bytes != file.len_bytes {
        return Err(damaged(path, "its length is not the one in the list"));
    }
    if content.crc32c != file.crc32c {
        return Err(damaged(path, "its checksum is not the one in the list"));
    }
    Ok(())
}

pub(super) fn damaged(path: &Path, what: &str) -> SnapshotError {
    SnapshotError::Damaged {
        file: path.into(),
        what: what.into(),
    }
}

fn is_empty(vfs: &dyn Vfs, dir: &Path) -> std::io::Result<bool> {
    let names = vfs.read_dir(dir)?;
    // A manifest without records is a store that was begun and never used; it is not overwritten either.
    Ok(!is_store(vfs, dir) && names.iter().all(|name| HARMLESS.contains(&name.as_str())))
}

/// Removes what a restore made, but for its marker.
fn clear(vfs: &dyn Vfs, dir: &Path) -> std::io::Result<()> {
    for name in MADE {
        remove_tree(vfs, &dir.join(name))?;
    }
    vfs.sync_dir(dir)
}
