//! The parts of an open store that recovery, writes, flushes and readers share, and the
//! statements that change which databases, policies and shards exist.
//!
//! Such a change is first made true by the manifest and then shown to readers, one at a time
//! under the manifest's lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use tandem_model::{ShardId, TimeRange};
use tandem_seglog::Log;
use tandem_vfs::Vfs;

use crate::block::{BlockCache, Handles};
use crate::budget::Budget;
use crate::compact::Counters;
use crate::database::{Database, PolicyChoice, database_dir};
use crate::error::StoreError;
use crate::index::Limits;
use crate::manifest::{Edit, Manifest, ShardRecord};
use crate::options::Options;
use crate::policy::{PolicyChange, PolicySpec, RetentionPolicy, check_name};
use crate::retention::{self, Trust};
use crate::shard::{Shard, ShardInfo};
use crate::stats;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    /// The block files that are open.
    pub(crate) handles: Arc<Handles>,
    /// What was read of them.
    pub(crate) cache: Arc<BlockCache>,
    /// What was written to them.
    pub(crate) counters: Counters,
    /// What writes and flushes did.
    pub(crate) writes: stats::Counters,
    /// Who holds how much memory.
    pub(crate) budget: Arc<Budget>,
    manifest: Mutex<Manifest>,
    manifest_log: Log,
    databases: RwLock<BTreeMap<String, Arc<Database>>>,
    garbage: Mutex<Vec<Garbage>>,
    /// There may be series of which nothing is left.
    series_gone: AtomicBool,
    /// Held while series are taken out of the index.
    pub(crate) reclaiming: Mutex<()>,
    undecided: Arc<AtomicBool>,
    trust: Mutex<Trust>,
    /// Files that a change of the manifest names of which it is undecided whether it happened.
    leftovers: Mutex<Vec<PathBuf>>,
}

/// A directory of what was dropped, to be removed once nobody reads its files: they are opened by
/// name.
#[derive(Debug)]
struct Garbage {
    dir: PathBuf,
    shards: Vec<Weak<Shard>>,
}

impl Garbage {
    fn new<'a>(dir: &Path, shards: impl IntoIterator<Item = &'a Arc<Shard>>) -> Self {
        Self {
            dir: dir.to_owned(),
            shards: shards.into_iter().map(Arc::downgrade).collect(),
        }
    }

    fn is_read(&self) -> bool {
        self.shards.iter().any(|shard| shard.strong_count() > 0)
    }
}

impl Core {
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        dir: PathBuf,
        options: Options,
        manifest: Manifest,
    ) -> Self {
        Self {
            handles: Arc::new(Handles::new(Arc::clone(&vfs), Handles::OPEN_MAX)),
            cache: Arc::new(BlockCache::new(options.block_cache_bytes_max)),
            counters: Counters::default(),
            writes: stats::Counters::default(),
            budget: Arc::new(Budget::new(&options)),
            vfs,
            dir,
            options,
            manifest_log: manifest.log(),
            undecided: manifest.undecided(),
            leftovers: Mutex::default(),
            trust: Mutex::default(),
            manifest: Mutex::new(manifest),
            databases: RwLock::default(),
            garbage: Mutex::default(),
            series_gone: AtomicBool::new(true),
            reclaiming: Mutex::default(),
        }
    }

    /// The manifest's log, without waiting for who writes to it.
    pub(crate) const fn manifest_log(&self) -> &Log {
        &self.manifest_log
    }

    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops shards that are past their retention; returns how many. See [`retention`].
    pub(crate) fn enforce_retention(&self) -> Result<usize, StoreError> {
        let mut trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        retention::enforce(self, &mut trust)
    }

    /// See [`retention::expiry_time`].
    pub(crate) fn expiry_time(&self, now_ns: i64) -> i64 {
        let trust = *self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        retention::expiry_time(self, &trust, now_ns)
    }

    /// See [`Manifest::keep_ballast`].
    pub(crate) fn keep_ballast(&self) {
        self.manifest().keep_ballast(self.options.free_bytes_min);
    }

    /// True when it is not known whether a change of the manifest happened, and cannot be
    /// settled now.
    pub(crate) fn is_undecided(&self) -> bool {
        if self.undecided.load(Ordering::Acquire) {
            self.manifest().settle();
        }
        self.undecided.load(Ordering::Acquire)
    }

    /// Makes edits true that name new files, under the manifest's lock. Where they do not happen the
    /// files are removed, as soon as that is sure.
    pub(crate) fn commit_files(
        &self,
        manifest: &mut Manifest,
        edits: &[Edit],
        files: &[PathBuf],
    ) -> Result<(), StoreError> {
        let done = manifest.commit(edits);
        if done.is_err() {
            if manifest.is_undecided() {
                self.leftovers().extend_from_slice(files);
            } else {
                self.discard(files);
            }
        }
        done
    }

    fn leftovers(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.leftovers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes files that no manifest names; what stays is removed at the next start.
    pub(crate) fn discard(&self, files: &[PathBuf]) {
        for file in files.iter().filter(|file| self.vfs.exists(file)) {
            if let Err(error) = self.vfs.remove_file(file) {
                tracing::warn!(file = %file.display(), %error, "cannot remove an unfinished file");
            }
        }
    }

    /// The database called `name`.
    pub(crate) fn database(&self, name: &str) -> Option<Arc<Database>> {
        self.databases
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// All databases, by name.
    pub(crate) fn databases(&self) -> Vec<Arc<Database>> {
        self.databases
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Bytes of all memtables, frozen ones included.
    pub(crate) fn memtable_bytes(&self) -> usize {
        let databases = self
            .databases
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        databases
            .values()
            .map(|d| d.memtable_bytes.load(Ordering::Acquire))
            .sum()
    }

    /// Has series of which nothing is left looked for soon.
    pub(crate) fn note_series_gone(&self) {
        self.series_gone.store(true, Ordering::Release);
    }

    /// True when there may be series of which nothing is left, since this was last asked.
    pub(crate) fn take_series_gone(&self) -> bool {
        self.series_gone.swap(false, Ordering::AcqRel)
    }

    /// Tells the budget how large the series index is, and what is known of fields.
    pub(crate) fn weigh_index(&self) {
        let databases = self.databases();
        let mut bytes = 0;
        for database in databases {
            bytes += database.table().heap_bytes();
            let shards: Vec<_> = database.policies().all_shards().cloned().collect();
            bytes += shards.iter().map(|s| s.types().heap_bytes()).sum::<usize>();
        }
        self.budget.set_index(bytes);
    }

    pub(crate) fn show_database(&self, database: Arc<Database>) {
        let mut databases = self
            .databases
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        databases.insert(database.name.clone(), database);
    }

    /// Makes a database unless there is one; with `spec`, an existing one must have that policy.
    pub(crate) fn create_database(
        &self,
        name: &str,
        spec: Option<&PolicySpec>,
    ) -> Result<(), StoreError> {
        check_name(name)?;
        let mut policy = spec.cloned().unwrap_or_default().resolve()?;
        policy.is_default = true;
        let mut manifest = self.manifest();
        manifest.check()?;
        if let Some(existing) = self.database(name) {
            let conflict = spec.is_some_and(|spec| {
                let policies = existing.policies();
                let mut known = policies.list.iter();
                !known.any(|policy| policy.is_default && spec.fits(policy))
            });
            return if conflict {
                Err(StoreError::Refused(
                    "retention policy conflicts with an existing policy".into(),
                ))
            } else {
                Ok(())
            };
        }
        let id = manifest.next_database_id();
        let dir = database_dir(&self.dir, id);
        let room = Arc::clone(&self.budget.schemas);
        let limits = Limits::of(&self.options);
        let database = Database::new(id, name.into(), dir, limits, room);
        make_dir(&*self.vfs, &self.dir, &database.index_dir())?;
        manifest.commit(&[
            Edit::CreateDatabase {
                id,
                name: name.into(),
            },
            Edit::PutPolicy {
                database: id,
                policy: policy.clone(),
            },
        ])?;
        database.policies_mut().list.put(policy);
        self.show_database(Arc::new(database));
        Ok(())
    }

    /// Drops a database and all its data, at once and for good when `Ok`; its files follow.
    pub(crate) fn drop_database(&self, name: &str) -> Result<(), StoreError> {
        let mut manifest = self.manifest();
        manifest.check()?;
        let Some(database) = self.database(name) else {
            return Ok(());
        };
        manifest.commit(&[Edit::DropDatabase { id: database.id }])?;
        self.databases
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        self.garbage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Garbage::new(
                &database.dir,
                database.policies().all_shards(),
            ));
        Ok(())
    }

    /// Makes a policy; making the same one again is fine.
    pub(crate) fn create_policy(
        &self,
        database: &str,
        spec: &PolicySpec,
        make_default: bool,
    ) -> Result<(), StoreError> {
        let mut policy = spec.resolve()?;
        let mut manifest = self.manifest();
        manifest.check()?;
        let database = self.find(database)?;
        let existing = database
            .policies()
            .list
            .iter()
            .find(|p| p.name == policy.name)
            .cloned();
        if let Some(existing) = existing {
            let text = if !existing.is_like(&policy) {
                "retention policy already exists"
            } else if make_default && !existing.is_default {
                "retention policy conflicts with an existing policy"
            } else {
                return Ok(());
            };
            return Err(StoreError::Refused(text.into()));
        }
        policy.is_default = make_default;
        manifest.commit(&[Edit::PutPolicy {
            database: database.id,
            policy: policy.clone(),
        }])?;
        database.policies_mut().list.put(policy);
        Ok(())
    }

    /// Changes a policy.
    pub(crate) fn alter_policy(
        &self,
        database: &str,
        name: &str,
        change: &PolicyChange,
    ) -> Result<(), StoreError> {
        let mut manifest = self.manifest();
        manifest.check()?;
        let database = self.find(database)?;
        let changed = {
            let policies = database.policies();
            let found = policies.list.find(PolicyChoice::Named(name))?;
            change.apply(found[0])?
        };
        manifest.commit(&[Edit::PutPolicy {
            database: database.id,
            policy: changed.clone(),
        }])?;
        database.policies_mut().list.put(changed);
        Ok(())
    }

    /// Drops a policy and its data, at once and for good when `Ok`; its files follow.
    pub(crate) fn drop_policy(&self, database: &str, name: &str) -> Result<(), StoreError> {
        let mut manifest = self.manifest();
        manifest.check()?;
        let Some(database) = self.database(database) else {
            return Ok(());
        };
        if !database.policies().list.iter().any(|p| p.name == name) {
            return Ok(());
        }
        manifest.commit(&[Edit::DropPolicy {
            database: database.id,
            name: name.into(),
        }])?;
        let shards = database.policies_mut().remove(name);
        let mut garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner);
        for shard in shards {
            database
                .memtable_bytes
                .fetch_sub(shard.drop_rows(), Ordering::AcqRel);
            garbage.push(Garbage::new(&shard.dir, [&shard]));
            self.note_series_gone();
        }
        Ok(())
    }

    /// Drops a shard, at once and for good when `Ok`; its files follow.
    pub(crate) fn drop_shard(&self, id: ShardId) -> Result<(), StoreError> {
        self.drop_shards(&[id])
    }

    /// Drops those of the shards that there are, all or none.
    pub(crate) fn drop_shards(&self, ids: &[ShardId]) -> Result<(), StoreError> {
        let mut manifest = self.manifest();
        manifest.check()?;
        let shards = &manifest.state().shards;
        let edits: Vec<Edit> = ids
            .iter()
            .filter(|id| shards.contains_key(id))
            .map(|&id| Edit::DropShard { id })
            .collect();
        if edits.is_empty() {
            return Ok(());
        }
        manifest.commit(&edits)?;
        let mut garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner);
        for database in self.databases() {
            for shard in database.policies_mut().remove_shards(ids) {
                database
                    .memtable_bytes
                    .fetch_sub(shard.drop_rows(), Ordering::AcqRel);
                garbage.push(Garbage::new(&shard.dir, [&shard]));
                self.note_series_gone();
            }
        }
        Ok(())
    }

    /// Every shard, by id.
    pub(crate) fn shards(&self) -> Vec<ShardInfo> {
        let mut infos = Vec::new();
        for database in self.databases() {
            let policies = database.policies();
            for policy in policies.list.iter() {
                for shard in policies.shards_in(&policy.name, TimeRange::ALL) {
                    infos.push(shard.info(&database.name, policy));
                }
            }
        }
        infos.sort_by_key(|info| info.id);
        infos
    }

    /// The database called `name`, or InfluxDB's error.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Database>, StoreError> {
        self.database(name)
            .ok_or_else(|| StoreError::DatabaseNotFound(name.into()))
    }

    /// The shard that holds a time. Where it is missing it is made, and with it in one step those that
    /// are missing for the times in `later`.
    pub(crate) fn shard_for(
        &self,
        database: &Database,
        policy: &RetentionPolicy,
        time_ns: i64,
        later: impl Iterator<Item = i64>,
    ) -> Result<Arc<Shard>, StoreError> {
        // Bound first: a guard in the scrutinee would live through the arms.
        let found = database.policies().shard_at(&policy.name, time_ns).cloned();
        match found {
            Some(shard) => Ok(shard),
            None => self.make_shards(database, policy, time_ns, later),
        }
    }

    fn make_shards(
        &self,
        database: &Database,
        policy: &RetentionPolicy,
        time_ns: i64,
        later: impl Iterator<Item = i64>,
    ) -> Result<Arc<Shard>, StoreError> {
        let mut manifest = self.manifest();
        if !manifest.state().databases.contains_key(&database.id) {
            return Err(StoreError::DatabaseNotFound(database.name.clone()));
        }
        // By first nanosecond. Ranges are cut against shards that exist, so two of them are disjoint
        // or the same.
        let mut ranges: BTreeMap<i64, TimeRange> = BTreeMap::new();
        {
            let policies = database.policies();
            // Dropped since it was looked up.
            policies.list.find(PolicyChoice::Named(&policy.name))?;
            if let Some(shard) = policies.shard_at(&policy.name, time_ns) {
                return Ok(Arc::clone(shard));
            }
            let mut last = policies.range_for(policy, time_ns);
            ranges.insert(last.min_ns, last);
            for time_ns in later {
                if !last.contains(time_ns) && policies.shard_at(&policy.name, time_ns).is_none() {
                    last = policies.range_for(policy, time_ns);
                    ranges.insert(last.min_ns, last);
                }
            }
        }
        let first = manifest.next_shard_id().0;
        let mut shards = Vec::with_capacity(ranges.len());
        let mut edits = Vec::with_capacity(ranges.len());
        for (id, range) in (first..).map(ShardId).zip(ranges.into_values()) {
            let shard = Arc::new(Shard::new(id, range, database.shard_dir(id)));
            self.vfs
                .create_dir_all(&shard.dir)
                .map_err(StoreError::io("make directory", &shard.dir))?;
            edits.push(Edit::AddShard {
                id,
                shard: ShardRecord {
                    database: database.id,
                    policy: policy.name.clone(),
                    start_ns: range.min_ns,
                    end_ns: range.max_ns,
                    files: Vec::new(),
                },
            });
            shards.push(shard);
        }
        self.vfs
            .sync_dir(&database.dir)
            .map_err(StoreError::io("sync directory", &database.dir))?;
        manifest.commit(&edits)?;
        let mut policies = database.policies_mut();
        for shard in shards {
            policies.add_shard(&policy.name, shard);
        }
        let made = policies.shard_at(&policy.name, time_ns).cloned();
        made.ok_or_else(|| StoreError::Refused("no shard takes this time".into()))
    }

    /// The shards of a database that overlap `range`, by time.
    pub(crate) fn shards_in(
        database: &Database,
        choice: PolicyChoice<'_>,
        range: TimeRange,
    ) -> Result<Vec<Arc<Shard>>, StoreError> {
        let policies = database.policies();
        let mut shards = Vec::new();
        for policy in policies.list.find(choice)? {
            shards.extend(policies.shards_in(&policy.name, range).cloned());
        }
        shards.sort_by_key(|shard| (shard.range.min_ns, shard.id));
        Ok(shards)
    }

    /// Removes the files of dropped databases, policies and shards that nobody reads any more. What
    /// cannot be removed is rubbish that the next start removes.
    pub(crate) fn remove_garbage(&self) {
        let leftovers = {
            // Held over both steps: a change that fails in between would leave files of its own.
            let mut manifest = self.manifest();
            manifest.settle();
            if manifest.is_undecided() {
                Vec::new()
            } else {
                std::mem::take(&mut *self.leftovers())
            }
        };
        self.discard(&leftovers);
        let mut unread = Vec::new();
        self.garbage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|garbage| {
                let is_read = garbage.is_read();
                if !is_read {
                    unread.push(garbage.dir.clone());
                }
                is_read
            });
        for dir in unread {
            if let Err(error) = remove_tree(&*self.vfs, &dir) {
                tracing::warn!(dir = %dir.display(), %error, "cannot remove the files of a dropped database now");
            }
        }
    }
}

/// Makes a directory below `root` so that it survives a crash.
pub(crate) fn make_dir(vfs: &dyn Vfs, root: &Path, dir: &Path) -> Result<(), StoreError> {
    vfs.create_dir_all(dir)
        .map_err(StoreError::io("make directory", dir))?;
    let mut at = dir;
    while let Some(parent) = at.parent() {
        vfs.sync_dir(parent)
            .map_err(StoreError::io("sync directory", parent))?;
        if parent == root {
            break;
        }
        at = parent;
    }
    Ok(())
}

/// Removes a directory with all that is in it, or a file.
pub(crate) fn remove_tree(vfs: &dyn Vfs, dir: &Path) -> std::io::Result<()> {
    if !vfs.exists(dir) || vfs.remove_file(dir).is_ok() {
        return Ok(());
    }
    for name in vfs.read_dir(dir)? {
        let path = dir.join(name);
        if vfs.remove_file(&path).is_err() {
            remove_tree(vfs, &path)?;
        }
    }
    vfs.remove_dir(dir)
}
