//! The store: open it, write to it, look at it, close it.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use roaring::RoaringBitmap;
use tandem_model::{ShardId, TimeRange};
use tandem_vfs::{DirLock, Vfs};

use crate::commit::Committer;
use crate::compact::{CompactionStats, Compactor};
use crate::core::Core;
use crate::database::PolicyChoice;
use crate::delete::delete;
use crate::error::{StoreError, WriteError};
use crate::maintain::{Flusher, Maintenance};
use crate::open::{OpenReport, open};
use crate::options::Options;
use crate::policy::{PolicyChange, PolicySpec, RetentionPolicy};
use crate::precreate::precreate;
use crate::purge::purge;
use crate::reclaim::reclaim;
use crate::shard::ShardInfo;
use crate::site::check_site;
use crate::snapshot::RESTORING_FILE;
use crate::store_id::ensure_store_id;
use crate::view::View;

/// An open store. All methods block; all may be called from many threads at once.
#[derive(Debug)]
pub struct Store {
    pub(crate) core: Arc<Core>,
    pub(crate) committer: Arc<Committer>,
    flusher: Arc<Flusher>,
    pub(crate) compactor: Arc<Compactor>,
    pub(crate) report: OpenReport,
    closed: AtomicBool,
    /// `None` once the store is closed, and where nothing is to run in the background.
    maintenance: Mutex<Option<Maintenance>>,
    _lock: Box<dyn DirLock>,
}

impl Store {
    /// Opens or makes the store in `dir`.
    ///
    /// # Errors
    /// [`StoreError::IsBackup`] and [`StoreError::IsInfluxDb`] when something else lives there, which is left as it
    /// is; [`StoreError::InUse`] when a process has it open; [`StoreError::Corrupt`] when the manifest
    /// is damaged or gone; whatever the file system reports. A damaged data file is no error: see
    /// [`Store::report`].
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path, options: Options) -> Result<Self, StoreError> {
        check_site(&*vfs, dir)?;
        vfs.create_dir_all(dir)
            .map_err(StoreError::io("make data directory", dir))?;
        let lock = vfs.lock_dir(dir).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => StoreError::InUse(dir.into()),
            _ => StoreError::Io {
                action: "lock data directory",
                path: dir.into(),
                source: error,
            },
        })?;
        if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
            vfs.sync_dir(parent)
                .map_err(StoreError::io("sync directory", parent))?;
        }
        let memtable_bytes_max = options
            .memtable_bytes_max
            .min(Options::MEMTABLE_BYTES_LIMIT);
        let options = Options {
            memtable_bytes_max,
            ..options
        };
        if vfs.exists(&dir.join(RESTORING_FILE)) {
            return Err(StoreError::Restoring(dir.into()));
        }
        ensure_store_id(&*vfs, dir)?;
        let (core, wal, report) = open(vfs, dir, options)?;
        let core = Arc::new(core);
        core.keep_ballast();
        let committer = Arc::new(Committer::new(wal));
        let flusher = Arc::new(Flusher::new(Arc::clone(&core), Arc::clone(&committer)));
        let compactor = Arc::new(Compactor::new(Arc::clone(&core)));
        let maintenance = if core.options.background {
            let (core, flusher) = (Arc::clone(&core), Arc::clone(&flusher));
            let started = Maintenance::start(core, flusher, Arc::clone(&compactor));
            Some(started.map_err(StoreError::io("start a thread for", dir))?)
        } else {
            None
        };
        Ok(Self {
            core,
            committer,
            flusher,
            compactor,
            report,
            closed: AtomicBool::new(false),
            maintenance: Mutex::new(maintenance),
            _lock: lock,
        })
    }

    /// What opening found.
    #[must_use]
    pub const fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Why the store takes no writes, if it does not.
    ///
    /// # Errors
    /// [`WriteError::ReadOnly`] after a failed sync or after [`Store::close`];
    /// [`WriteError::Full`] while the disk is full.
    pub fn check(&self) -> Result<(), WriteError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(WriteError::ReadOnly("engine is closed".into()));
        }
        if let Err(error) = self.committer.wal().check() {
            return Err(WriteError::ReadOnly(format!("engine: read-only: {error}")));
        }
        if let Err(error) = self.core.manifest_log().check() {
            return Err(WriteError::ReadOnly(format!(
                "engine: read-only: manifest: {error}"
            )));
        }
        if self.core.is_undecided() {
            return Err(WriteError::Full(
                "engine: a change of the manifest could not be settled; try again".into(),
            ));
        }
        match self.core.vfs.available_bytes(&self.core.dir) {
            Ok(free) if free < self.core.options.free_bytes_min => Err(WriteError::Full(format!(
                "engine: no space left on device: {free} bytes are free, {} are kept back",
                self.core.options.free_bytes_min
            ))),
            _ => Ok(()),
        }
    }

    /// Names of the databases, in the order in which they were made.
    #[must_use]
    pub fn databases(&self) -> Vec<String> {
        let mut databases = self.core.databases();
        databases.sort_by_key(|database| database.id);
        databases.iter().map(|d| d.name.clone()).collect()
    }

    /// Makes a database, durably, unless there is one. With `policy` it gets that as its default
    /// one; an existing database must already have it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with InfluxDB's text.
    pub fn create_database(
        &self,
        name: &str,
        policy: Option<&PolicySpec>,
    ) -> Result<(), StoreError> {
        self.core.create_database(name, policy)
    }

    /// Drops a database and its data, durably and at once. Dropping one that is not there is fine.
    ///
    /// # Errors
    /// When the manifest cannot be written; the database may or may not be there after a restart.
    pub fn drop_database(&self, name: &str) -> Result<(), StoreError> {
        self.core.drop_database(name)?;
        self.wake();
        Ok(())
    }

    /// The retention policies of a database, in the order of their creation.
    ///
    /// # Errors
    /// [`StoreError::DatabaseNotFound`].
    pub fn retention_policies(&self, database: &str) -> Result<Vec<RetentionPolicy>, StoreError> {
        Ok(self.core.find(database)?.policies().list.to_vec())
    }

    /// The name of a database's default retention policy. The policy itself is not there when it was
    /// dropped: it is the default again when one of this name is made.
    ///
    /// # Errors
    /// [`StoreError::DatabaseNotFound`].
    pub fn default_policy(&self, database: &str) -> Result<String, StoreError> {
        Ok(self
            .core
            .find(database)?
            .policies()
            .list
            .default_name()
            .into())
    }

    /// Makes a retention policy, durably; with `make_default` it becomes the default. Making the
    /// same one again is fine.
    ///
    /// # Errors
    /// [`StoreError::DatabaseNotFound`]; [`StoreError::Refused`] with InfluxDB's text.
    pub fn create_policy(
        &self,
        database: &str,
        spec: &PolicySpec,
        make_default: bool,
    ) -> Result<(), StoreError> {
        self.core.create_policy(database, spec, make_default)
    }

    /// Changes a retention policy, durably. Shards that exist stay as they are.
    ///
    /// # Errors
    /// When database or policy do not exist; [`StoreError::Refused`] with InfluxDB's text.
    pub fn alter_policy(
        &self,
        database: &str,
        name: &str,
        change: &PolicyChange,
    ) -> Result<(), StoreError> {
        self.core.alter_policy(database, name, change)
    }

    /// Drops a retention policy and its data, durably and at once. Dropping one that is not there
    /// is fine.
    ///
    /// # Errors
    /// When the manifest cannot be written; the policy may or may not be there after a restart.
    pub fn drop_policy(&self, database: &str, name: &str) -> Result<(), StoreError> {
        self.core.drop_policy(database, name)?;
        self.wake();
        Ok(())
    }

    /// Deletes the rows that some series have in `range`, in all retention policies, durably and at
    /// once. `series` holds the numbers of [`tandem_model::SeriesId`]s. What is written later stays,
    /// also with the same times. Needs no space on the disk; the space of the rows comes back with
    /// compaction.
    ///
    /// # Errors
    /// [`StoreError::DatabaseNotFound`]; when the manifest cannot be written: the rows are there
    /// still, and may be gone after a restart.
    pub fn delete(
        &self,
        database: &str,
        series: &RoaringBitmap,
        range: TimeRange,
    ) -> Result<(), StoreError> {
        self.check_open()?;
        let database = self.core.find(database)?;
        let choose = |present: &RoaringBitmap| present & series;
        delete(&self.core, &self.committer, &database, choose, range)?;
        self.wake();
        Ok(())
    }

    /// Deletes a measurement: all series of this name, as [`Store::delete`] does. It may be written
    /// with other types of fields after that. Returns whether there was one.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn drop_measurement(&self, database: &str, name: &[u8]) -> Result<bool, StoreError> {
        self.check_open()?;
        let database = self.core.find(database)?;
        let mut found = false;
        let choose = |present: &RoaringBitmap| {
            let series = database.table().series(name, present);
            found = !series.is_empty();
            series
        };
        delete(
            &self.core,
            &self.committer,
            &database,
            choose,
            TimeRange::ALL,
        )?;
        self.wake();
        Ok(found)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::ReadOnly("it is closed".into()));
        }
        Ok(())
    }

    /// Every shard of every database, by id.
    #[must_use]
    pub fn shards(&self) -> Vec<ShardInfo> {
        self.core.shards()
    }

    /// Drops a shard and its rows, durably and at once. Dropping one that is not there is fine.
    ///
    /// # Errors
    /// When the manifest cannot be written; the shard may or may not be there after a restart.
    pub fn drop_shard(&self, id: ShardId) -> Result<(), StoreError> {
        self.core.drop_shard(id)?;
        self.wake();
        Ok(())
    }

    /// Drops the shards all of whose rows are past their policy's duration by the store's clock;
    /// returns how many. The store does it by itself every `retention_check_interval` where it works in
    /// the background.
    ///
    /// A clock that is far ahead of the newest row in the store is believed only after a day of
    /// steady going; until then shards are dropped as of that row.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub fn enforce_retention(&self) -> Result<usize, StoreError> {
        let dropped = self.core.enforce_retention()?;
        self.wake();
        Ok(dropped)
    }

    /// Makes the shards that follow those which end soon and have rows; returns how many. The store does
    /// it by itself where it works in the background: `shard_advance` before the end of a policy's
    /// newest shard.
    ///
    /// # Errors
    /// When a directory or the manifest cannot be written.
    pub fn precreate_shards(&self) -> Result<usize, StoreError> {
        precreate(&self.core)
    }

    /// The rows of some shards, as a query sees them.
    ///
    /// # Errors
    /// When database or policy do not exist.
    pub fn view(
        &self,
        database: &str,
        policy: PolicyChoice<'_>,
        range: TimeRange,
    ) -> Result<View, StoreError> {
        let database = self.core.find(database)?;
        let shards = Core::shards_in(&database, policy, range)?;
        Ok(View::new(database, shards))
    }

    pub(crate) fn wake(&self) {
        if let Some(maintenance) = self
            .maintenance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
        {
            maintenance.wake();
        }
    }

    /// Writes everything in memory into block files.
    ///
    /// # Errors
    /// What the file system reports; nothing is lost by it.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.flusher.flush()
    }

    /// Writes everything in memory into block files, and merges them until they are settled: as few
    /// and as small as they get, with nothing in them that was deleted. As fast as it can; a shard
    /// that gets writes meanwhile may have something to do again.
    ///
    /// A file that is damaged stays as it is: see [`CompactionStats::damaged`].
    ///
    /// # Errors
    /// [`StoreError::NoSpace`]; what the file system reports; nothing is lost by it.
    pub fn compact(&self) -> Result<(), StoreError> {
        self.check_open()?;
        self.flusher.flush()?;
        self.compactor.settle()?;
        purge(&self.core)?;
        reclaim(&self.core, &self.committer);
        Ok(())
    }

    /// What was written to block files since the store was opened.
    #[must_use]
    pub fn compaction_stats(&self) -> CompactionStats {
        self.compactor.stats()
    }

    /// Refuses further writes, writes everything out and leaves an empty WAL, so that the next
    /// start has nothing to replay. A store that is dropped without it loses nothing either.
    ///
    /// # Errors
    /// What the file system reports; nothing is lost by it.
    pub fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Release);
        // Ended without the lock: who wakes the thread must not have to wait for its end.
        let maintenance = self
            .maintenance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(maintenance);
        self.committer.close();
        self.flusher.flush()?;
        let wal = self.committer.wal();
        wal.rotate().map_err(StoreError::log("rotate WAL"))?;
        wal.cut_below(wal.next_sequence())
            .map_err(StoreError::log("cut WAL"))?;
        wal.release_spares().map_err(StoreError::log("cut WAL"))?;
        self.committer.forget();
        self.core.remove_garbage();
        self.core.manifest().drop_ballast();
        Ok(())
    }
}
