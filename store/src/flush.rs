//! From memtables to block files.
//!
//! A flush takes everything that is applied up to one sequence, of all shards at once: every
//! active memtable becomes the frozen one, block files and index segments are written and synced
//! under their final names, one manifest record makes them all true together with "flushed to
//! this sequence", readers change over from the frozen memtables to the files, and the WAL is
//! cut. A flush that fails leaves the frozen memtables as they are, and the same [`Frozen`] is
//! written out again later. Nothing is lost or doubled at any point in between, since only the
//! manifest says what counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tandem_model::{FieldType, SeriesId};
use tandem_seglog::Sequence;

use crate::block::{BlockFile, BlockWriter, Effort, Header};
use crate::core::Core;
use crate::database::Database;
use crate::error::StoreError;
use crate::index::write_segment;
use crate::manifest::{Edit, FileRecord, SegmentRecord};
use crate::memtable::Memtable;
use crate::merge::merge;
use crate::shard::Shard;

/// Times and values of a series that are laid out at once; a series with more is written in
/// slices of time, so that many fields on many rows do not need their product in memory.
const CELLS_MAX: usize = 1 << 21;

/// What one flush writes.
#[derive(Debug)]
pub(crate) struct Frozen {
    /// All up to here is in the frozen memtables or in files already.
    through: Sequence,
    shards: Vec<(Arc<Database>, Arc<Shard>, Arc<Memtable>)>,
    /// Databases with the range of series that no index segment has yet.
    series: Vec<(Arc<Database>, u32, u32)>,
}

/// Freezes every active memtable. To be called while nothing is being applied; `through` is the
/// last sequence that was. The [`Frozen`] before must have been written out.
pub(crate) fn freeze(core: &Core, through: Sequence) -> Frozen {
    let mut frozen = Frozen {
        through,
        shards: Vec::new(),
        series: Vec::new(),
    };
    for database in core.databases() {
        for shard in database.policies().all_shards() {
            let mut data = shard.data_mut();
            debug_assert!(data.frozen.is_none(), "the flush before was written out");
            if !data.active.is_empty() {
                let memtable = Arc::new(std::mem::take(&mut data.active));
                data.frozen = Some(Arc::clone(&memtable));
                frozen
                    .shards
                    .push((Arc::clone(&database), Arc::clone(shard), memtable));
            }
        }
        let (first, end) = (database.segmented_series(), database.applied_series());
        if first < end {
            frozen.series.push((database, first, end));
        }
    }
    frozen
}

impl Frozen {
    /// Writes everything out and makes it true. Returns the sequence below which the WAL is not
    /// needed any more. What belongs to a database dropped meanwhile is left out.
    ///
    /// On `Err` it can be called again.
    pub(crate) fn write_out(&self, core: &Core) -> Result<Sequence, StoreError> {
        let exists = |database: &Arc<Database>| {
            core.database(&database.name)
                .is_some_and(|current| Arc::ptr_eq(&current, database))
        };
        let mut made = Vec::new();
        let written = self.write_files(core, &exists, &mut made);
        let (mut edits, files) =
            written.inspect_err(|_| made.iter().for_each(|path| discard(core, path)))?;
        edits.push(Edit::FlushedTo {
            sequence: self.through,
        });
        // From here on nothing is discarded: a failed commit may still be found to have happened.
        core.manifest().commit(&edits)?;
        for (database, shard, memtable, file) in files {
            let mut data = shard.data_mut();
            if data.dropped {
                continue;
            }
            data.files.push(file);
            data.frozen = None;
            database
                .memtable_bytes
                .fetch_sub(memtable.bytes(), Ordering::AcqRel);
        }
        for (database, _, end) in &self.series {
            database.raise_segmented_series(*end);
        }
        Ok(self.through + 1)
    }

    fn write_files(
        &self,
        core: &Core,
        exists: &dyn Fn(&Arc<Database>) -> bool,
        made: &mut Vec<PathBuf>,
    ) -> Result<(Vec<Edit>, Vec<WrittenFile<'_>>), StoreError> {
        let mut edits = Vec::new();
        let mut files = Vec::new();
        let min_sequence = core.manifest().state().flushed_to + 1;
        let live = self
            .shards
            .iter()
            .filter(|(d, shard, _)| exists(d) && !shard.data().dropped);
        for (database, shard, memtable) in live {
            let id = core.manifest().reserve_file_id();
            let record = FileRecord {
                id,
                len_bytes: 0,
                min_sequence,
                max_sequence: self.through,
            };
            let path = shard.dir.join(record.name());
            let temporary = temporary_name(&path);
            made.push(temporary.clone());
            let len_bytes = write_memtable(core, shard, memtable, &temporary, &record)?;
            made.push(path.clone());
            core.vfs
                .rename(&temporary, &path)
                .map_err(StoreError::io("rename block file", &path))?;
            core.vfs
                .sync_dir(&shard.dir)
                .map_err(StoreError::io("sync directory", &shard.dir))?;
            let file = core
                .vfs
                .open_read(&path)
                .map_err(StoreError::io("open block file", &path))?;
            files.push((
                database,
                shard,
                memtable,
                Arc::new(BlockFile::open(file, &path)?),
            ));
            edits.push(Edit::AddFile {
                shard: shard.id,
                file: FileRecord {
                    len_bytes,
                    ..record
                },
            });
        }
        for (database, first, end) in self.series.iter().filter(|(d, ..)| exists(d)) {
            let id = core.manifest().reserve_file_id();
            let segment = SegmentRecord {
                id,
                first_series: *first,
                count: end - first,
            };
            let dir = database.index_dir();
            let path = dir.join(segment.name());
            made.push(path.clone());
            write_segment(&*core.vfs, &path, &database.table(), *first, end - first)?;
            core.vfs
                .sync_dir(&dir)
                .map_err(StoreError::io("sync directory", &dir))?;
            edits.push(Edit::AddIndexSegment {
                database: database.id,
                segment,
            });
        }
        Ok((edits, files))
    }
}

/// A file on its way into the manifest, and the memtable whose place it takes.
type WrittenFile<'a> = (
    &'a Arc<Database>,
    &'a Arc<Shard>,
    &'a Arc<Memtable>,
    Arc<BlockFile>,
);

fn temporary_name(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// Removes what a failed flush left; what stays is removed at the next start.
fn discard(core: &Core, path: &Path) {
    if core.vfs.exists(path)
        && let Err(error) = core.vfs.remove_file(path)
    {
        tracing::warn!(file = %path.display(), %error, "cannot remove an unfinished file");
    }
}

/// Writes the rows of a memtable, by measurement and series. Returns the file's length in bytes.
fn write_memtable(
    core: &Core,
    shard: &Shard,
    memtable: &Memtable,
    path: &Path,
    record: &FileRecord,
) -> Result<u64, StoreError> {
    let mut measurements: BTreeMap<&[u8], Vec<SeriesId>> = BTreeMap::new();
    for series in memtable.series_ids() {
        if let Some(name) = memtable.measurement_of(series) {
            measurements.entry(name).or_default().push(series);
        }
    }
    let header = Header {
        shard: shard.id,
        min_seq: record.min_sequence,
        max_seq: record.max_sequence,
        level: 0,
    };
    let mut writer = BlockWriter::create(&*core.vfs, path, header, Effort::Hot)?;
    for (name, mut series) in measurements {
        series.sort_unstable();
        let fields: BTreeSet<(&[u8], FieldType)> = memtable
            .templates()
            .filter(|template| *template.measurement == *name)
            .flat_map(|template| template.fields.iter().map(|(field, t)| (&**field, *t)))
            .collect();
        let declared: Vec<(Vec<u8>, FieldType)> =
            fields.iter().map(|(f, t)| (f.to_vec(), *t)).collect();
        let names: Vec<&[u8]> = fields.iter().map(|(f, _)| *f).collect();
        writer.measurement(name, &declared)?;
        for id in series {
            for range in memtable.slices(id, CELLS_MAX / (names.len() + 1)) {
                let rows = merge(memtable.read(id, &names, range), names.len());
                writer.series(id, &rows)?;
            }
        }
    }
    Ok(writer.finish()?.len_bytes)
}
