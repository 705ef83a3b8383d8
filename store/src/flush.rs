//! From memtables to block files.
//!
//! A flush takes everything that is applied up to one sequence, of all shards at once: every
//! active memtable is frozen, block files and index segments are written and synced
//! under their final names, one manifest record makes them all true together with "flushed to
//! this sequence", readers change over from the frozen memtables to the files, and the WAL is
//! cut. A flush that fails leaves the frozen memtables as they are, and they are written out again
//! later. Nothing is lost or doubled at any point in between, since only the
//! manifest says what counts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
use crate::schema::Template;
use crate::shard::{FrozenMemtable, Shard, ShardFile};
use crate::tombstone::{Tombstone, visible};

/// Times and values of a series that are laid out at once; a series with more is written in
/// slices of time, so that many fields on many rows do not need their product in memory.
const CELLS_MAX: usize = 1 << 21;
/// Threads that write files at once, where there are many small ones.
const THREADS_MAX: usize = 8;
/// With fewer files another thread is not worth while.
const FILES_PER_THREAD_MIN: usize = 16;
/// Bytes of memtables that make a small file.
const SMALL_BYTES_MAX: usize = 256 << 10;

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
        // Where it takes no changes, each attempt would leave files behind.
        core.manifest().check()?;
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
    ) -> Result<WrittenAll<'_>, StoreError> {
        let mut edits = Vec::new();
        let mut files = Vec::new();
        let mut segments = Vec::new();
        let min_sequence = core.manifest().state().flushed_to + 1;
        let live = self
            .shards
            .iter()
            .filter(|job| exists(&job.database) && !job.shard.data().dropped);
        let mut drafts = Vec::new();
        for job in live {
            let id = core.manifest().reserve_file_id();
            let record = FileRecord {
                id,
                len_bytes: 0,
                min_sequence,
                max_sequence: job.max_sequence(),
                purged_below: job.tombstones.last().map_or(0, |t| t.id + 1),
            };
            let path = job.shard.dir.join(record.name());
            made.push(temporary_name(&path));
            made.push(path.clone());
            drafts.push(Draft { job, record, path });
        }
        // All files first and then all directories: the syncs of the first do most of the work of
        // the second.
        let threads = threads(core, &drafts);
        for_each(threads, &mut drafts, &|draft| draft.write(core))?;
        for_each(threads, &mut drafts, &|draft| draft.name(core))?;
        for draft in drafts {
            let Draft { job, record, path } = draft;
            if record.len_bytes == 0 {
                files.push((job, None));
                continue;
            }
            let block = BlockFile::open(&core.handles, &path)?;
            let block = block.with_cache(Arc::clone(&core.cache));
            Counters::add(&core.counters.flush_bytes, record.len_bytes);
            files.push((job, Some(Arc::new(ShardFile { record, block }))));
            edits.push(Edit::AddFile {
                shard: job.shard.id,
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

/// A file that is being written.
struct Draft<'a> {
    job: &'a Job,
    /// Its length is 0 until it is written, and stays so where nothing is left to write.
    record: FileRecord,
    path: PathBuf,
}

impl Draft<'_> {
    fn write(&mut self, core: &Core) -> Result<(), StoreError> {
        let rows = Visible::of(self.job);
        if !rows.is_empty() {
            let temporary = temporary_name(&self.path);
            self.record.len_bytes = rows.write(core, &temporary, &self.record)?;
        }
        Ok(())
    }

    fn name(&mut self, core: &Core) -> Result<(), StoreError> {
        if self.record.len_bytes == 0 {
            return Ok(());
        }
        let (path, dir) = (&self.path, &self.job.shard.dir);
        core.vfs
            .rename(&temporary_name(path), path)
            .map_err(StoreError::io("rename block file", path))?;
        core.vfs
            .sync_dir(dir)
            .map_err(StoreError::io("sync directory", dir))
    }
}

/// How many threads write these files: small files mostly wait for the disk, and large ones would need
/// much memory at once.
fn threads(core: &Core, drafts: &[Draft<'_>]) -> usize {
    let bytes = drafts.iter().flat_map(|draft| &draft.job.tables);
    let bytes: usize = bytes.map(|frozen| frozen.table.bytes()).sum();
    let is_small = bytes / drafts.len().max(1) <= SMALL_BYTES_MAX;
    if core.options.background && is_small {
        drafts.len().div_ceil(FILES_PER_THREAD_MIN).min(THREADS_MAX)
    } else {
        1
    }
}

/// Runs `action` on all drafts, on this thread and some others. After an error no further ones are begun;
/// one of the errors is returned.
fn for_each(
    threads: usize,
    drafts: &mut [Draft<'_>],
    action: &(dyn Fn(&mut Draft<'_>) -> Result<(), StoreError> + Sync),
) -> Result<(), StoreError> {
    let stopped = AtomicBool::new(false);
    let run = |part: &mut [Draft<'_>]| {
        for draft in part {
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            action(draft).inspect_err(|_| stopped.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    let part = drafts.len().div_ceil(threads.max(1)).max(1);
    let mut parts = drafts.chunks_mut(part);
    let own = parts.next();
    std::thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(|| run(part))).collect();
        let mut done = own.map_or(Ok(()), run);
        for other in others {
            let theirs = other.join();
            done = done.and(theirs.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    })
}

/// The edits that make files and segments true, and these.
type WrittenAll<'a> = (Vec<Edit>, Vec<WrittenFile<'a>>, Vec<WrittenSegment<'a>>);

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
    measurements: BTreeMap<&'a [u8], VisibleMeasurement>,
}

#[derive(Default)]
struct VisibleMeasurement {
    /// The series with rows, ascending.
    series: Vec<u32>,
    /// The numbers of the memtables that have some.
    tables: BTreeSet<usize>,
}

impl<'a> Visible<'a> {
    fn of(job: &'a Job) -> Self {
        let mut measurements: BTreeMap<&[u8], VisibleMeasurement> = BTreeMap::new();
        for (at, frozen) in job.tables.iter().enumerate() {
            for series in frozen.table.series_ids() {
                if let Some(name) = frozen.table.measurement_of(series)
                    && frozen.shows(&job.tombstones, series)
                {
                    let measurement = measurements.entry(name).or_default();
                    measurement.series.push(series.0);
                    measurement.tables.insert(at);
                }
            }
        }
        for measurement in measurements.values_mut() {
            measurement.series.sort_unstable();
            measurement.series.dedup();
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
        let templates = self.templates_by_measurement();
        for (name, measurement) in &self.measurements {
            // Only of memtables that show rows: in one that shows none a field may have another type.
            let fields: BTreeSet<(&[u8], FieldType)> = measurement
                .tables
                .iter()
                .filter_map(|&at| templates.get(at)?.get(name))
                .flatten()
                .flat_map(|template| template.fields.iter().map(|(field, t)| (&**field, *t)))
                .collect();
            let declared: Vec<(Vec<u8>, FieldType)> =
                fields.iter().map(|(f, t)| (f.to_vec(), *t)).collect();
            let names: Vec<&[u8]> = fields.iter().map(|(f, _)| *f).collect();
            writer.measurement(name, &declared)?;
            for &id in &measurement.series {
                self.write_series(&mut writer, SeriesId(id), &names)?;
            }
        }
        Ok(writer.finish()?.len_bytes)
    }

    /// Those of each memtable.
    fn templates_by_measurement(&self) -> Vec<HashMap<&[u8], Vec<&Template>>> {
        let tables = self.job.tables.iter();
        let by_name = tables.map(|frozen| {
            let mut by_name: HashMap<&[u8], Vec<&Template>> = HashMap::new();
            for template in frozen.table.templates() {
                by_name
                    .entry(&template.measurement)
                    .or_default()
                    .push(template);
            }
            by_name
        });
        by_name.collect()
    }

    fn write_series(
        &self,
        writer: &mut BlockWriter,
        id: SeriesId,
        names: &[&[u8]],
    ) -> Result<(), StoreError> {
        let rows_max = CELLS_MAX / (names.len() + 1);
        let shows = |frozen: &&FrozenMemtable| frozen.shows(&self.job.tombstones, id);
        let tables: Vec<&FrozenMemtable> = self.job.tables.iter().filter(shows).collect();
        let tables = || tables.iter().copied();
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
