//! A database of a backup, as a new database of a store that exists.
//!
//! Series ids belong to a database and stay; the database, its shards, files and tombstones get ids of the store that
//! takes them in. The backup is first restored aside and brought to rest there, so that nothing of it is in a WAL any
//! more. Then its files move to their places, where nobody knows them, and one manifest record makes all of it true.
//! Before that record a crash leaves rubbish that the next start removes.
//!
//! Sequences stay as they are in the files. The record also raises the sequence up to which the store is flushed (its WAL
//! is empty then) above all of them, so that what is written later is newer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_model::ShardId;
use tandem_vfs::Vfs;

use super::error::SnapshotError;
use super::restore::{RestoreOptions, RestoreReport, Source, damaged, restore_from};
use super::selection::is_store;
use super::tree::{Tree, sync_parent};
use crate::core::remove_tree;
use crate::manifest::{Edit, FileRecord, SegmentRecord, ShardRecord, State, read_manifest};
use crate::options::Options;
use crate::policy::check_name;
use crate::store::Store;
use crate::tombstone::Tombstone;

/// Where the backup is brought to rest; in `data`, where the next start removes what nobody knows.
const STAGING_DIR: &str = "restore.tmp";

/// Adds the database that `options` selects from the backup in `backup` to the stopped store in `target`, as `name`.
/// On `Ok` it is durable.
///
/// # Errors
/// See [`SnapshotError`]; the store is as it was then.
pub fn restore_database(
    vfs: &Arc<dyn Vfs>,
    backup: &Path,
    target: &Path,
    name: &str,
    options: &RestoreOptions,
) -> Result<RestoreReport, SnapshotError> {
    check_name(name)?;
    if !is_store(&**vfs, target) {
        return Err(SnapshotError::NotAStore(target.into()));
    }
    let source = Source::open(&**vfs, backup, options)?;
    let store = open_quietly(vfs, target)?;
    if store.databases().iter().any(|taken| taken == name) {
        return Err(SnapshotError::NotThere(format!(
            "a database {name} is there already; nothing is overwritten, give another name with --as"
        )));
    }
    let staging = target.join("data").join(STAGING_DIR);
    let adopted = adopt(vfs, &source, &store, target, &staging, name);
    if let Err(error) = remove_tree(&**vfs, &staging) {
        tracing::warn!(dir = %staging.display(), %error, "cannot remove what the restore left; the next start does");
    }
    adopted
}

fn open_quietly(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Store, SnapshotError> {
    let options = Options {
        background: false,
        ..Options::default()
    };
    Ok(Store::open(Arc::clone(vfs), dir, options)?)
}

fn adopt(
    vfs: &Arc<dyn Vfs>,
    source: &Source,
    store: &Store,
    target: &Path,
    staging: &Path,
    name: &str,
) -> Result<RestoreReport, SnapshotError> {
    let fs = &**vfs;
    remove_tree(fs, staging).map_err(SnapshotError::io("remove", staging))?;
    {
        // A store that never had anything would take the files of a restore that is cut short for its own,
        // whose manifest was lost.
        let mut manifest = store.core.manifest();
        if *manifest.state() == State::default() {
            let shard = manifest.next_shard_id().0;
            manifest.commit(&[Edit::NextIds {
                database: 0,
                shard,
                file: 0,
            }])?;
        }
    }
    let report = restore_from(vfs, source, staging, false)?;
    let staged = open_quietly(vfs, staging)?;
    if let Some(file) = staged.report().quarantined.first() {
        return Err(damaged(file, "it cannot be read"));
    }
    staged.close()?;
    drop(staged);
    let (state, _) = read_manifest(fs, &staging.join("manifest"))?;
    // What the store still has in its WAL goes to files, so that sequences can be raised.
    store.close()?;
    let mut manifest = store.core.manifest();
    let ids = Ids {
        next_database: manifest.next_database_id(),
        next_shard: manifest.next_shard_id().0,
    };
    let moved = ids.renumber(&state, name, || manifest.reserve_file_id());
    let Some(moved) = moved else {
        return Err(SnapshotError::NotThere(
            "the selection holds no database".into(),
        ));
    };
    let mut tree = Tree::new(fs, &target.join("data").join(moved.dir.clone()))?;
    for dir in &moved.dirs {
        tree.make_dir(dir)?;
    }
    for (from, to) in &moved.files {
        let (from, to) = (
            staging.join("data").join(from),
            target.join("data").join(to),
        );
        fs.rename(&from, &to)
            .map_err(SnapshotError::io("rename to", &to))?;
    }
    tree.sync()?;
    sync_parent(fs, &target.join("data"))?;
    manifest.commit(&moved.edits)?;
    Ok(report)
}

/// The ids that the store gives out next.
struct Ids {
    next_database: tandem_model::DatabaseId,
    next_shard: u64,
}

/// A database under its new ids.
struct Moved {
    /// The database's directory in `data`.
    dir: PathBuf,
    /// Directories in it.
    dirs: Vec<String>,
    /// Old and new place of each file in `data`.
    files: Vec<(PathBuf, PathBuf)>,
    edits: Vec<Edit>,
}

impl Ids {
    /// Gives the only database of `state` new ids.
    fn renumber(
        &self,
        state: &State,
        name: &str,
        mut file_id: impl FnMut() -> u64,
    ) -> Option<Moved> {
        let (old, record) = state.databases.iter().next()?;
        let id = self.next_database;
        let (old_dir, dir) = (
            PathBuf::from(old.to_string()),
            PathBuf::from(id.to_string()),
        );
        let mut edits = vec![Edit::CreateDatabase {
            id,
            name: name.into(),
        }];
        let mut dirs = vec!["index".to_owned()];
        let mut files = Vec::new();
        edits.extend(record.policy_edits(id));
        for segment in &record.segments {
            let new = SegmentRecord {
                id: file_id(),
                ..*segment
            };
            files.push((
                old_dir.join("index").join(segment.name()),
                dir.join("index").join(new.name()),
            ));
            edits.push(Edit::AddIndexSegment {
                database: id,
                segment: new,
            });
        }
        // They ascend as the old ones do, and a file says from which one on they concern it.
        let tombstones: BTreeMap<u64, u64> = state
            .tombstones
            .keys()
            .map(|&old| (old, file_id()))
            .collect();
        let purged_below = |old: u64| match tombstones.range(old..).next() {
            Some((_, new)) => *new,
            None => tombstones.values().next_back().map_or(0, |last| last + 1),
        };
        let mut sequence = state.flushed_to;
        let mut shards: BTreeMap<ShardId, ShardId> = BTreeMap::new();
        for (next, (&old_id, shard)) in (self.next_shard..).zip(&state.shards) {
            let new_id = ShardId(next);
            shards.insert(old_id, new_id);
            dirs.push(new_id.to_string());
            edits.push(Edit::AddShard {
                id: new_id,
                shard: ShardRecord {
                    database: id,
                    files: Vec::new(),
                    ..shard.clone()
                },
            });
            for file in &shard.files {
                let new = FileRecord {
                    id: file_id(),
                    purged_below: purged_below(file.purged_below),
                    ..*file
                };
                files.push((
                    old_dir.join(old_id.to_string()).join(file.name()),
                    dir.join(new_id.to_string()).join(new.name()),
                ));
                sequence = sequence.max(file.max_sequence);
                edits.push(Edit::AddFile {
                    shard: new_id,
                    file: new,
                });
            }
        }
        for (old, record) in &state.tombstones {
            sequence = sequence.max(record.tombstone.sequence);
            let concerned = record.shards.iter().filter_map(|id| shards.get(id));
            edits.push(Edit::AddTombstone {
                database: id,
                shards: concerned.copied().collect(),
                tombstone: Arc::new(Tombstone {
                    id: tombstones.get(old).copied().unwrap_or(0),
                    ..(*record.tombstone).clone()
                }),
            });
        }
        edits.push(Edit::FlushedTo { sequence });
        Some(Moved {
            dir,
            dirs,
            files,
            edits,
        })
    }
}
