//! A backup of a store that may be running, without its help.
//!
//! First the WAL is copied (and the catalog's log, which nothing else depends on), then the manifest read, then every file that it names linked or copied. What was
//! acknowledged before the first step is in the copy of the WAL, or in files that the manifest named by
//! the third. The result is what a crash could have left that cost the WAL its end: an ordinary
//! store. A file that compaction or a drop took away meanwhile means that there is a newer manifest; that one is read and
//! the files already there are kept. The manifest is written anew, so that it says what was selected and
//! nothing else. The list is last, and a rename makes the backup appear whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tandem_seglog::Peek;
use tandem_vfs::Vfs;

use super::chain::Chain;
use super::error::SnapshotError;
use super::list::{BackupList, LIST_FILE, ListedFile};
use super::log::{CATALOG_LOG_DIR, WAL_DIR, copy_log, prune, segment_paths};
use super::selection::{Selection, dirs_and_files, is_store};
use super::tree::{Tree, content, sync_parent};
use crate::core::remove_tree;
use crate::manifest::{State, read_manifest, write_manifest};
use crate::store_id::{UniqueId, read_store_id};

/// How often the manifest is read again because a file that it names went away.
const TRIES_MAX: u32 = 50;
/// A file that the manifest goes on to name, and that is not there so often in a row, is lost.
const MISSING_TRIES_MAX: u32 = 5;
/// How long to wait before another try.
const RETRY_DELAY: Duration = Duration::from_millis(20);
/// Marks a directory as a backup that did not come to its end.
const PARTIAL_FILE: &str = "PARTIAL";

/// What is to be backed up, and how.
#[derive(Clone, Debug, Default)]
pub struct BackupOptions {
    /// Which part of the store.
    pub selection: Selection,
    /// An earlier backup of the same store: files that it has are referred to and not copied.
    pub base: Option<PathBuf>,
    /// Where else the backups may be that the base refers to.
    pub chain: Vec<PathBuf>,
    /// The time that the backup gets, in nanoseconds since 1970.
    pub now_ns: i64,
}

/// What a backup has.
#[derive(Clone, Debug)]
pub struct BackupReport {
    /// Its list.
    pub list: BackupList,
    /// Files that the store's manifest names and that are not there: the store is damaged.
    pub missing: Vec<PathBuf>,
    /// Damage of the store's WAL or catalog, which the copy has as well.
    pub log_damage: Vec<String>,
}

/// Makes a backup of the store in `dir` as the directory `target`, which must not be there yet. Nothing in `dir`
/// is locked or changed; a process may have it open and write. On `Ok` the backup is durable and holds at least
/// everything that was acknowledged before the call.
///
/// # Errors
/// See [`SnapshotError`]; `target` is not there then.
pub fn backup(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    target: &Path,
    options: &BackupOptions,
) -> Result<BackupReport, SnapshotError> {
    if !is_store(&**vfs, dir) {
        return Err(SnapshotError::NotAStore(dir.into()));
    }
    if vfs.exists(target) {
        return Err(SnapshotError::Exists(target.into()));
    }
    let base = match &options.base {
        Some(base) => Some(read_base(&**vfs, dir, base, options)?),
        None => None,
    };
    let partial = partial_name(target);
    begin(&**vfs, &partial)?;
    let made = make(vfs, dir, target, &partial, base.as_ref(), options);
    if made.is_err()
        && let Err(error) = remove_tree(&**vfs, &partial)
    {
        tracing::warn!(dir = %partial.display(), %error, "cannot remove an unfinished backup");
    }
    made
}

/// Makes the directory in which the backup grows, in place of one that was left by a backup that was cut short.
fn begin(vfs: &dyn Vfs, partial: &Path) -> Result<(), SnapshotError> {
    let marker = partial.join(PARTIAL_FILE);
    if vfs.exists(partial) {
        let names = vfs.read_dir(partial).unwrap_or_default();
        // Without the marker it is one that was just begun, or whole but for its name.
        let is_ours =
            names.is_empty() || vfs.exists(&marker) || vfs.exists(&partial.join(LIST_FILE));
        if !is_ours {
            return Err(SnapshotError::Exists(partial.into()));
        }
        remove_tree(vfs, partial).map_err(SnapshotError::io("remove", partial))?;
    }
    vfs.create_dir_all(partial)
        .map_err(SnapshotError::io("make directory", partial))?;
    vfs.create_new(&marker)
        .map_err(SnapshotError::io("make", &marker))?;
    vfs.sync_dir(partial)
        .map_err(SnapshotError::io("sync directory", partial))
}

fn partial_name(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn read_base(
    vfs: &dyn Vfs,
    dir: &Path,
    base: &Path,
    options: &BackupOptions,
) -> Result<Chain, SnapshotError> {
    let chain = Chain::read(vfs, base, &options.chain)?;
    let bad = |what| SnapshotError::BadBase {
        base: base.into(),
        what,
    };
    match (read_store_id(vfs, dir), chain.list.store) {
        (Some(store), Some(of_base)) if store == of_base => Ok(chain),
        (Some(_), Some(_)) => Err(bad("it is of another store; make a full backup")),
        _ => Err(bad(
            "the store has no number yet, or had none then; start it once and make a full backup",
        )),
    }
}

fn make(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    target: &Path,
    partial: &Path,
    base: Option<&Chain>,
    options: &BackupOptions,
) -> Result<BackupReport, SnapshotError> {
    let fs = &**vfs;
    let mut wal = copy_log(fs, dir, partial, WAL_DIR)?;
    let catalog = match options.selection.database {
        None => copy_log(fs, dir, partial, CATALOG_LOG_DIR)?,
        Some(_) => Peek::default(),
    };
    let mut tree = Tree::new(fs, partial)?;
    let (state, files, missing) = place_files(fs, dir, &mut tree, base, options)?;
    prune(fs, &mut wal, state.flushed_to)?;
    write_manifest(Arc::clone(vfs), &partial.join("manifest"), &state)?;

    let mut list = BackupList {
        id: UniqueId::random(),
        store: read_store_id(fs, dir),
        made_ns: options.now_ns,
        bases: Vec::new(),
        files: Vec::new(),
    };
    tree.make_dir("manifest")?;
    tree.make_dir(WAL_DIR)?;
    let manifest = fs
        .read_dir(&partial.join("manifest"))
        .map_err(SnapshotError::io("list directory", partial))?;
    let manifest = manifest.iter().filter(|name| name.ends_with(".seg"));
    let logs = manifest
        .map(|name| format!("manifest/{name}"))
        .chain(segment_paths(&wal, WAL_DIR))
        .chain(segment_paths(&catalog, CATALOG_LOG_DIR));
    for path in logs {
        let content = content(fs, &partial.join(&path))?;
        list.files.push(ListedFile {
            path,
            len_bytes: content.len_bytes,
            crc32c: content.crc32c,
            holder: None,
        });
    }
    let holders: BTreeSet<UniqueId> = files.iter().filter_map(|file| file.holder).collect();
    if let Some(base) = base {
        let bases = holders.iter().map(|&id| (id, base.place_for(id, target)));
        list.bases = bases.collect();
    }
    list.files.extend(files);
    tree.sync()?;
    list.write(fs, partial)?;
    let marker = partial.join(PARTIAL_FILE);
    fs.remove_file(&marker)
        .map_err(SnapshotError::io("remove", &marker))?;
    fs.sync_dir(partial)
        .map_err(SnapshotError::io("sync directory", partial))?;
    if fs.exists(target) {
        return Err(SnapshotError::Exists(target.into()));
    }
    fs.rename(partial, target)
        .map_err(SnapshotError::io("rename to", target))?;
    sync_parent(fs, target)?;
    Ok(BackupReport {
        list,
        missing,
        log_damage: [&wal, &catalog]
            .into_iter()
            .flat_map(|log| log.recovery.corruptions.iter().map(ToString::to_string))
            .collect(),
    })
}

/// Reads the manifest and places all files that it names, again and again until they belong together.
fn place_files(
    vfs: &dyn Vfs,
    dir: &Path,
    tree: &mut Tree<'_>,
    base: Option<&Chain>,
    options: &BackupOptions,
) -> Result<(State, Vec<ListedFile>, Vec<PathBuf>), SnapshotError> {
    let mut placed: BTreeMap<String, ListedFile> = BTreeMap::new();
    let mut gone: BTreeMap<String, u32> = BTreeMap::new();
    for attempt in 0..TRIES_MAX {
        if attempt > 0 {
            std::thread::sleep(RETRY_DELAY);
        }
        let (state, _) = read_manifest(vfs, &dir.join("manifest"))?;
        let state = options.selection.apply(state)?;
        let (dirs, names) = dirs_and_files(&state);
        for dir in &dirs {
            tree.make_dir(dir)?;
        }
        let mut is_whole = true;
        for name in &names {
            if placed.contains_key(name) {
                continue;
            }
            match place_file(vfs, dir, tree, base, name) {
                Ok(file) => {
                    placed.insert(name.clone(), file);
                }
                Err(SnapshotError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    let times = gone.entry(name.clone()).or_default();
                    *times += 1;
                    is_whole &= *times >= MISSING_TRIES_MAX;
                }
                Err(error) => return Err(error),
            }
        }
        if !is_whole {
            continue;
        }
        let names: BTreeSet<String> = names.into_iter().collect();
        let missing = names
            .iter()
            .filter(|name| !placed.contains_key(*name))
            .map(|name| dir.join(name))
            .collect();
        let mut files = Vec::with_capacity(placed.len());
        for (name, file) in placed {
            if names.contains(&name) {
                files.push(file);
            } else if file.holder.is_none() {
                tree.remove(&name)?;
            }
        }
        return Ok((state, files, missing));
    }
    Err(SnapshotError::Busy(dir.into()))
}

/// Places one file of the store, or finds it in the base.
fn place_file(
    vfs: &dyn Vfs,
    dir: &Path,
    tree: &mut Tree<'_>,
    base: Option<&Chain>,
    name: &str,
) -> Result<ListedFile, SnapshotError> {
    let from = dir.join(name);
    if let Some(base) = base
        && let Some(file) = base.file(name)
    {
        let len = |path: &Path| vfs.open_read(path).and_then(|file| file.len());
        let own = len(&from).map_err(SnapshotError::io("open", &from))?;
        let held = base.find(file).ok().and_then(|path| len(&path).ok());
        if own == file.len_bytes && held == Some(own) {
            return Ok(ListedFile {
                holder: file.holder.or(Some(base.list.id)),
                ..file.clone()
            });
        }
    }
    let content = tree.place(&from, name, true)?;
    Ok(ListedFile {
        path: name.into(),
        len_bytes: content.len_bytes,
        crc32c: content.crc32c,
        holder: None,
    })
}
