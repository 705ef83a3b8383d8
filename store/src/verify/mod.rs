//! Checks everything that can be checked of a store on disk, or of a backup: every checksum, and
//! everything that the rest of this crate takes for granted.
//!
//! Nothing is changed, and every fault is told with file and offset. While a process has the store open, what the
//! manifest names at one moment is checked; a file that is gone because a newer manifest does not name it
//! is no fault, and neither is one that is not named yet.

mod manifest;
mod unknown;
mod wal;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_model::{DatabaseId, FieldType, SeriesId, ShardId, TimeRange};
use tandem_vfs::{DirLock, Vfs};

use crate::block::{BlockError, BlockFile, Handles};
use crate::error::StoreError;
use crate::index::{SeriesTable, read_segment};
use crate::inspect::error_text;
use crate::manifest::{FileRecord, State, read_manifest};
use crate::snapshot::{LIST_FILE, RESTORING_FILE, SnapshotError, check_list, is_store};

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Something is not as it must be.
    Fault {
        /// Where.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// Something worth knowing that is in order.
    Note(String),
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Block files and index segments.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Series of all databases.
    pub series: u64,
    /// Rows in block files.
    pub rows: u64,
    /// Values in block files.
    pub values: u64,
    /// Records of the WAL.
    pub wal_records: u64,
    /// How many [`Finding::Fault`]s were told.
    pub faults: u64,
}

/// Checks the store or backup in `dir`, and tells `tell` what it finds, while it goes. `chain` names backups that an
/// incremental one may refer to.
///
/// # Errors
/// When there is nothing to be checked, and when the file system fails in a way that tells nothing about the store.
/// Damage is no error.
pub fn verify(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    chain: &[PathBuf],
    tell: &mut dyn FnMut(Finding),
) -> Result<VerifyReport, SnapshotError> {
    let is_backup = vfs.exists(&dir.join(LIST_FILE));
    if !is_backup && !is_store(&**vfs, dir) {
        return Err(SnapshotError::NotAStore(dir.into()));
    }
    let mut check = Check {
        vfs,
        dir,
        tell,
        report: VerifyReport::default(),
        elsewhere: BTreeMap::new(),
        is_running: false,
    };
    let _lock = check.lock(is_backup);
    if vfs.exists(&dir.join(RESTORING_FILE)) {
        check.fault(
            dir.join(RESTORING_FILE),
            0,
            "a restore did not come to its end; run it again",
        );
    }
    if is_backup {
        let listed = check_list(&**vfs, dir, chain, &mut |file, what| {
            (check.tell)(Finding::Fault {
                file,
                offset: 0,
                what,
            });
            check.report.faults += 1;
        })?;
        check.elsewhere = listed;
    }
    check.run()?;
    Ok(check.report)
}

struct Check<'a> {
    vfs: &'a Arc<dyn Vfs>,
    dir: &'a Path,
    tell: &'a mut dyn FnMut(Finding),
    report: VerifyReport,
    /// Files of a backup that are in another one.
    elsewhere: BTreeMap<String, PathBuf>,
    /// A process has the store open.
    is_running: bool,
}

/// The types of the fields of a shard, by measurement and field, and the file that fixed each.
type Types = BTreeMap<(Vec<u8>, Vec<u8>), FieldType>;

impl Check<'_> {
    fn fault(&mut self, file: PathBuf, offset: u64, what: impl Into<String>) {
        self.report.faults += 1;
        let what = what.into();
        (self.tell)(Finding::Fault { file, offset, what });
    }

    fn note(&mut self, text: String) {
        (self.tell)(Finding::Note(text));
    }

    /// Keeps others from opening the store meanwhile, or finds out that one has it open.
    fn lock(&mut self, is_backup: bool) -> Option<Box<dyn DirLock>> {
        if is_backup {
            return None;
        }
        match self.vfs.lock_dir(self.dir) {
            Ok(lock) => Some(lock),
            Err(error) => {
                self.is_running = error.kind() == io::ErrorKind::WouldBlock;
                if self.is_running {
                    self.note(format!(
                        "{} is open in a process; what its manifest names now is checked",
                        self.dir.display()
                    ));
                }
                None
            }
        }
    }

    fn run(&mut self) -> Result<(), SnapshotError> {
        let state = match read_manifest(&**self.vfs, &self.dir.join("manifest")) {
            Ok((state, log)) => {
                if let Some(torn) = log.recovery.torn_tail {
                    self.note(format!(
                        "{}: {} bytes at its end were not written to the end; opening cuts them off",
                        torn.file.display(),
                        torn.bytes
                    ));
                }
                state
            }
            Err(StoreError::Corrupt { file, offset, what }) => {
                self.fault(file, offset, what);
                self.note("without its manifest nothing else of the store can be checked".into());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        for (what, file) in manifest::faults(&state) {
            let file = file.map_or_else(|| self.dir.join("manifest"), |f| self.dir.join(f));
            self.fault(file, 0, what);
        }
        let mut tables = BTreeMap::new();
        for &id in state.databases.keys() {
            tables.insert(id, self.index(&state, id)?);
        }
        let handles = Arc::new(Handles::new(Arc::clone(self.vfs), 8));
        for (&id, shard) in &state.shards {
            let mut types = Types::new();
            let range = TimeRange::new(shard.start_ns, shard.end_ns);
            for record in &shard.files {
                let name = format!("data/{}/{id}/{}", shard.database, record.name());
                let path = self.path(&name);
                match BlockFile::open(&handles, &path) {
                    Ok(block) => {
                        let table = tables.get(&shard.database);
                        self.block(&block, record, range, table, &mut types);
                    }
                    Err(error) => self.block_fault(&state, &path, id, record, &error)?,
                }
            }
        }
        self.wal(&state, &tables)?;
        self.catalog()?;
        self.unknown_files(&state)
    }

    /// Where a file of the store is.
    fn path(&self, name: &str) -> PathBuf {
        let elsewhere = self.elsewhere.get(name);
        elsewhere.map_or_else(|| self.dir.join(name), Clone::clone)
    }

    /// True when the manifest does not say any more what it said.
    fn is_outdated(&self, state: &State) -> Result<bool, SnapshotError> {
        if !self.is_running {
            return Ok(false);
        }
        let (now, _) = read_manifest(&**self.vfs, &self.dir.join("manifest"))?;
        Ok(now != *state)
    }

    /// Reads the index of a database.
    fn index(&mut self, state: &State, id: DatabaseId) -> Result<SeriesTable, SnapshotError> {
        let mut table = SeriesTable::default();
        let segments = state.databases.get(&id).map(|d| d.segments.clone());
        for segment in segments.unwrap_or_default() {
            let path = self.path(&format!("data/{id}/index/{}", segment.name()));
            match read_segment(&**self.vfs, &path, segment.ids(), &mut table) {
                Ok(read) => {
                    self.report.files += 1;
                    let opened = self.vfs.open_read(&path).and_then(|file| file.len());
                    self.report.bytes += opened.unwrap_or(0);
                    self.report.series += u64::from(read.series);
                    if let Some(error) = read.damage {
                        self.store_fault(&path, &error);
                    } else if table.count_in(segment.ids()) as u64 != u64::from(read.series) {
                        self.fault(
                            path,
                            0,
                            "it holds series outside of its range, or one twice",
                        );
                    }
                }
                Err(error) => {
                    let is_gone = matches!(&error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound);
                    if !is_gone {
                        self.store_fault(&path, &error);
                    } else if !self.is_outdated(state)? {
                        self.fault(path, 0, "the manifest names it and it is not there");
                    }
                }
            }
            table.pad_to(segment.ids().end);
        }
        Ok(table)
    }

    fn store_fault(&mut self, path: &Path, error: &StoreError) {
        let (offset, what) = match error {
            StoreError::Corrupt { offset, what, .. } => (*offset, (*what).to_owned()),
            other => (0, error_text(other)),
        };
        self.fault(path.into(), offset, what);
    }

    fn block_fault(
        &mut self,
        state: &State,
        path: &Path,
        shard: ShardId,
        record: &FileRecord,
        error: &BlockError,
    ) -> Result<(), SnapshotError> {
        let (offset, what) = match error {
            BlockError::Corrupt {
                offset,
                what,
                source,
                ..
            } => {
                let source = source
                    .as_ref()
                    .map_or_else(String::new, |e| format!(": {e}"));
                (*offset, format!("{what}{source}"))
            }
            BlockError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                let now = if self.is_running {
                    Some(read_manifest(&**self.vfs, &self.dir.join("manifest"))?.0)
                } else {
                    None
                };
                let now = now.as_ref().unwrap_or(state);
                let is_named = now
                    .shards
                    .get(&shard)
                    .is_some_and(|s| s.files.contains(record));
                if !is_named {
                    return Ok(());
                }
                (0, "the manifest names it and it is not there".to_owned())
            }
            other => (0, error_text(other)),
        };
        self.fault(path.into(), offset, what);
        Ok(())
    }

    /// Checks a block file against itself, the manifest, its shard and the index.
    fn block(
        &mut self,
        block: &BlockFile,
        record: &FileRecord,
        range: TimeRange,
        table: Option<&SeriesTable>,
        types: &mut Types,
    ) {
        let path = block.path().to_owned();
        let meta = block.meta().clone();
        self.report.files += 1;
        self.report.bytes += meta.len_bytes;
        self.report.rows += meta.rows;
        self.report.values += meta.values;
        if meta.len_bytes != record.len_bytes {
            let what = format!(
                "it has {} bytes, the manifest says {}",
                meta.len_bytes, record.len_bytes
            );
            self.fault(path.clone(), 0, what);
        }
        if (meta.min_seq, meta.max_seq) != (record.min_sequence, record.max_sequence) {
            let what = format!(
                "its sequences are {}..={}, the manifest says {}..={}",
                meta.min_seq, meta.max_seq, record.min_sequence, record.max_sequence
            );
            self.fault(path.clone(), 0, what);
        }
        let is_inside = range.contains(meta.range.min_ns) && range.contains(meta.range.max_ns);
        if !meta.range.is_empty() && !is_inside {
            self.fault(path.clone(), 0, "it has rows outside of its shard's time");
        }
        for measurement in block.measurements() {
            for (field, field_type) in &measurement.fields {
                let key = (measurement.name.clone(), field.clone());
                if *types.entry(key).or_insert(*field_type) != *field_type {
                    let what = format!(
                        "field {} has another type than in an older file of the shard",
                        String::from_utf8_lossy(field)
                    );
                    self.fault(path.clone(), 0, what);
                }
            }
            let Some(table) = table else { continue };
            let strangers = measurement.series.iter().filter(|&id| {
                let id = SeriesId(id);
                !table.contains(id) || table.measurement_of(id) != measurement.name
            });
            let strangers: BTreeSet<u32> = strangers.collect();
            if let Some(first) = strangers.first() {
                let what = format!(
                    "{} series that the index does not have under {}, the first {first}",
                    strangers.len(),
                    String::from_utf8_lossy(&measurement.name)
                );
                self.fault(path.clone(), 0, what);
            }
        }
        if let Err(error) = block.verify() {
            let (offset, what) = match &error {
                BlockError::Corrupt { offset, what, .. } => (*offset, (*what).to_owned()),
                other => (0, error_text(other)),
            };
            self.fault(path, offset, what);
        }
    }
}
