//! From memtables to block files.
//!
//! A flush takes everything that is applied up to one sequence, of all shards at once: every
//! active memtable is frozen, block files and index segments are written and synced
//! under their final names, one manifest record makes them all true together with "flushed to
//! this sequence", readers change over from the frozen memtables to the files, and the WAL is
//! cut. A flush that fails leaves the frozen memtables as they are, and they are written out again
//! later. Nothing is lost or doubled at any point in between, since only the
//! manifest says what counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tandem_model::{FieldType, SeriesId};
use tandem_seglog::Sequence;

use crate::block::{BlockFile, BlockWriter, Effort, Header};
use crate::compact::Counters;
use crate::core::Core;
use crate::database::Database;
use crate::error::StoreError;
use crate::index::{Plan, write_segment};
use crate::manifest::{Edit, FileRecord, SegmentRecord};
use crate::memtable::slices;
use crate::merge::merge;
use crate::shard::{FrozenMemtable, Shard, ShardFile};
use crate::tombstone::{Tombstone, visible};

/// Times and values of a series that are laid out at once; a series with more is written in
/// slices of time, so that many fields on many rows do not need their product in memory.
const CELLS_MAX: usize = 1 << 21;

/// What one flush writes.
#[derive(Debug)]
pub(crate) struct Flush {
    /// All up to here is in the frozen memtables or in files already.
    through: Sequence,
    shards: Vec<Job>,
    /// Databases, and below which series all are to be in index segments.
    series: Vec<(Arc<Database>, u32)>,
}

/// The memtables of one shard that become one file.
#[derive(Debug)]
struct Job {
    database: Arc<Database>,
    shard: Arc<Shard>,
    /// Oldest first, not empty.
    tables: Vec<FrozenMemtable>,
    /// What hid rows of them when the flush began.
    tombstones: Vec<Arc<Tombstone>>,
}

/// Freezes every active memtable. To be called while nothing is being applied; `through` is the
/// last sequence that was.
pub(crate) fn freeze(core: &Core, through: Sequence) {
    for database in core.databases() {
        for shard in database.policies().all_shards() {
            shard.data_mut().rotate(through);
        }
    }
}

impl Flush {
    /// Everything frozen up to `through`, with which [`freeze`] was called.
    pub(crate) fn gather(core: &Core, through: Sequence) -> Self {
        let mut flush = Self {
            through,
            shards: Vec::new(),
            series: Vec::new(),
        };
        for database in core.databases() {
            for shard in database.policies().all_shards() {
                let data = shard.data();
                let frozen = data.frozen.iter();
                let tables: Vec<FrozenMemtable> = frozen
                    .take_while(|frozen| frozen.max_sequence <= through)
                    .cloned()
                    .collect();
                if !tables.is_empty() {
                    flush.shards.push(Job {
                        database: Arc::clone(&database),
                        shard: Arc::clone(shard),
                        tables,
                        tombstones: data.tombstones.clone(),
                    });
                }
            }
            let end = database.applied_series();
            flush.series.push((database, end));
        }
        flush
    }

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
        let (mut edits, files, segments) = written.inspect_err(|_| core.discard(&made))?;
        edits.push(Edit::FlushedTo {
            sequence: self.through,
        });
        core.commit_files(&mut core.manifest(), &edits, &made)?;
        for (job, file) in files {
            let mut data = job.shard.data_mut();
            if data.dropped {
                continue;
            }
            data.files.extend(file);
            // The oldest ones are those of the job: others are frozen behind them only.
            data.frozen.drain(..job.tables.len());
            let bytes: usize = job.tables.iter().map(|frozen| frozen.table.bytes()).sum();
            job.database
                .memtable_bytes
                .fetch_sub(bytes, Ordering::AcqRel);
        }
        for segment in segments {
            let (plan, record) = (&segment.plan, segment.record);
            let database = segment.database;
            database.segments().replace(plan, record, segment.series);
            for old in &plan.removed {
                core.discard(&[database.index_dir().join(old.name())]);
            }
        }
        Ok(self.through + 1)
    }

    fn write_files(
        &self,
        core: &Core,
        exists: &dyn Fn(&Arc<Database>) -> bool,
        made: &mut Vec<PathBuf>,
    ) -> Result<(Vec<Edit>, Vec<WrittenFile<'_>>, Vec<WrittenSegment<'_>>), StoreError> {
        let mut edits = Vec::new();
        let mut files = Vec::new();
        let mut segments = Vec::new();
        let min_sequence = core.manifest().state().flushed_to + 1;
        let live = self
            .shards
            .iter()
            .filter(|job| exists(&job.database) && !job.shard.data().dropped);
        for job in live {
            let shard = &job.shard;
            let rows = Visible::of(job);
            if rows.is_empty() {
                files.push((job, None));
                continue;
            }
            let id = core.manifest().reserve_file_id();
            let record = FileRecord {
                id,
                len_bytes: 0,
                min_sequence,
                max_sequence: job.max_sequence(),
                purged_below: job.tombstones.last().map_or(0, |t| t.id + 1),
            };
            let path = shard.dir.join(record.name());
            let temporary = temporary_name(&path);
            made.push(temporary.clone());
            let len_bytes = rows.write(core, &temporary, &record)?;
            made.push(path.clone());
            core.vfs
                .rename(&temporary, &path)
                .map_err(StoreError::io("rename block file", &path))?;
            core.vfs
                .sync_dir(&shard.dir)
                .map_err(StoreError::io("sync directory", &shard.dir))?;
            let record = FileRecord {
                len_bytes,
                ..record
            };
            let block = BlockFile::open(&core.handles, &path)?;
            let block = block.with_cache(Arc::clone(&core.cache));
            Counters::add(&core.counters.flush_bytes, len_bytes);
            files.push((job, Some(Arc::new(ShardFile { record, block }))));
            edits.push(Edit::AddFile {
                shard: shard.id,
                file: record,
            });
        }
        for (database, end) in self.series.iter().filter(|(d, ..)| exists(d)) {
            let Some(plan) = database.segments().plan(&database.table(), *end) else {
                continue;
            };
            let record = SegmentRecord {
                id: core.manifest().reserve_file_id(),
                first_series: plan.first,
                count: plan.end - plan.first,
            };
            let dir = database.index_dir();
            let path = dir.join(record.name());
            made.push(path.clone());
            let ids = plan.first..plan.end;
            let series = write_segment(&*core.vfs, &path, ids, &|| database.table())?;
            core.vfs
                .sync_dir(&dir)
                .map_err(StoreError::io("sync directory", &dir))?;
            edits.push(Edit::ReplaceSegments {
                database: database.id,
                removed: plan.removed.iter().map(|segment| segment.id).collect(),
                added: vec![record],
            });
            segments.push(WrittenSegment {
                database,
                plan,
                record,
                series,
            });
        }
        Ok((edits, files, segments))
    }
}

/// A file on its way into the manifest, and the memtables whose place it takes; none when all that
/// they held is hidden.
type WrittenFile<'a> = (&'a Job, Option<Arc<ShardFile>>);

impl Job {
    fn max_sequence(&self) -> Sequence {
        self.tables.last().map_or(0, |frozen| frozen.max_sequence)
    }
}

/// An index segment on its way into the manifest.
struct WrittenSegment<'a> {
    database: &'a Arc<Database>,
    plan: Plan,
    record: SegmentRecord,
    series: u32,
}

fn temporary_name(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

/// The rows of a job that no tombstone hides.
struct Visible<'a> {
    job: &'a Job,
    /// By measurement: its series with rows, and for each the numbers of the memtables that have some.
    measurements: BTreeMap<&'a [u8], BTreeMap<u32, Vec<usize>>>,
}

impl<'a> Visible<'a> {
    fn of(job: &'a Job) -> Self {
        let mut measurements: BTreeMap<&[u8], BTreeMap<u32, Vec<usize>>> = BTreeMap::new();
        for (at, frozen) in job.tables.iter().enumerate() {
            for series in frozen.table.series_ids() {
                if let Some(name) = frozen.table.measurement_of(series)
                    && frozen.shows(&job.tombstones, series)
                {
                    let of_measurement = measurements.entry(name).or_default();
                    of_measurement.entry(series.0).or_default().push(at);
                }
            }
        }
        Self { job, measurements }
    }

    fn is_empty(&self) -> bool {
        self.measurements.is_empty()
    }

    /// Writes them, by measurement and series, into a new file. Returns its length in bytes.
    fn write(&self, core: &Core, path: &Path, record: &FileRecord) -> Result<u64, StoreError> {
        let header = Header {
            shard: self.job.shard.id,
            min_seq: record.min_sequence,
            max_seq: record.max_sequence,
            level: 0,
        };
        let mut writer = BlockWriter::create(&*core.vfs, path, header, Effort::Hot)?;
        for (name, series) in &self.measurements {
            // Only of memtables that show rows: in one that shows none a field may have another type.
            let tables: BTreeSet<usize> = series.values().flatten().copied().collect();
            let fields: BTreeSet<(&[u8], FieldType)> = tables
                .iter()
                .flat_map(|&at| self.job.tables[at].table.templates())
                .filter(|template| *template.measurement == **name)
                .flat_map(|template| template.fields.iter().map(|(field, t)| (&**field, *t)))
                .collect();
            let declared: Vec<(Vec<u8>, FieldType)> =
                fields.iter().map(|(f, t)| (f.to_vec(), *t)).collect();
            let names: Vec<&[u8]> = fields.iter().map(|(f, _)| *f).collect();
            writer.measurement(name, &declared)?;
            for (&id, tables) in series {
                self.write_series(&mut writer, SeriesId(id), tables, &names)?;
            }
        }
        Ok(writer.finish()?.len_bytes)
    }

    fn write_series(
        &self,
        writer: &mut BlockWriter,
        id: SeriesId,
        tables: &[usize],
        names: &[&[u8]],
    ) -> Result<(), StoreError> {
        let rows_max = CELLS_MAX / (names.len() + 1);
        let tables = || tables.iter().map(|&at| &self.job.tables[at]);
        for range in slices(tables().map(|frozen| &*frozen.table), id, rows_max) {
            let mut sources = Vec::new();
            for frozen in tables() {
                for part in visible(&self.job.tombstones, frozen.age(), id, range) {
                    sources.append(&mut frozen.table.read(id, names, part));
                }
            }
            let rows = merge(sources, names.len());
            if !rows.is_empty() {
                writer.series(id, &rows)?;
            }
        }
        Ok(())
    }
}
