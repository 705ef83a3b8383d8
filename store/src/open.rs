//! Opening: from what a clean stop or a crash left to a store that answers.
//!
//! The manifest says what exists. Its index segments give the series, the footers of its block
//! files the rest; then the WAL's records after the last flush are applied in order, as they were
//! when they were first written. What the manifest does not name is removed. A block file or
//! segment that is damaged or gone, or that the disk cannot read, is left alone, reported and
//! counted, and the rest answers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use tandem_model::{DatabaseId, ShardId, TimeRange};
use tandem_seglog::{Log, Options as LogOptions, Sequence, UserError};
use tandem_vfs::Vfs;

use crate::batch::SeriesRef;
use crate::block::{BlockError, BlockFile};
use crate::commit::{Groups, apply};
use crate::core::{Core, make_dir};
use crate::database::{Database, database_dir};
use crate::delete::ReplayMarks;
use crate::error::StoreError;
use crate::flush::{Flush, freeze};
use crate::frame;
use crate::index::{Limits, SegmentRead, read_segment};
use crate::maintain::chain;
use crate::manifest::{DatabaseRecord, Edit, Manifest, ShardRecord, State};
use crate::options::Options;
use crate::schema::Schemas;
use crate::shard::{Shard, ShardFile};
use crate::tombstone::Tombstone;
use crate::unknown::{holds_files, remove_unknown};

/// What the system says of blocks that the disk cannot read; there is no `ErrorKind` for it.
const EIO: i32 = 5;
/// The longest WAL record: one write request's rows.
pub(crate) const WAL_RECORD_BYTES_MAX: u32 = 256 << 20;
/// A segment of the WAL; a flush cuts all but the last.
const WAL_SEGMENT_BYTES_MAX: u64 = 32 << 20;
/// Files of the WAL that are kept to be written again: what comes between two flushes, about.
const WAL_SPARES_MAX: usize = 4;
/// A segment of the WAL without a record: its header.
const SEGMENT_BYTES_MIN: u64 = 48;

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// WAL records applied again.
    pub replayed_records: u64,
    /// Rows in them.
    pub replayed_rows: u64,
    /// Rows in the WAL that belong to a database or shard dropped since.
    pub skipped_rows: u64,
    /// Rows in the WAL that have no place any more: they belong to a database or shard of which the manifest,
    /// having lost its end, knows nothing, or are of another type than what a damaged file made theirs.
    pub lost_rows: u64,
    /// Damaged, unreadable or missing files; what they held does not answer. The directory of the WAL stands for
    /// its segments when all are gone.
    pub quarantined: Vec<PathBuf>,
    /// Files and directories in `data` that are kept although the manifest does not name them.
    pub orphans: Vec<PathBuf>,
}

/// Opens everything in `dir`, which is locked by the caller.
pub(crate) fn open(
    vfs: Arc<dyn Vfs>,
    dir: &Path,
    options: Options,
) -> Result<(Core, Log, OpenReport), StoreError> {
    let mut report = OpenReport::default();
    let manifest = Manifest::open(Arc::clone(&vfs), &dir.join("manifest"))?;
    make_dir(&*vfs, dir, &dir.join("data"))?;
    let state = manifest.state().clone();
    let data = dir.join("data");
    if state == State::default()
        && holds_files(&*vfs, &data).map_err(StoreError::io("list directory", &data))?
    {
        return Err(StoreError::without_manifest(dir));
    }
    let torn = manifest.was_torn();
    let core = Core::new(Arc::clone(&vfs), dir.into(), options, manifest);
    report.orphans = remove_unknown(&core, &state, torn)?;
    let mut tombstones = state.tombstones_by_shard();
    for (&id, record) in &state.databases {
        let database = Database::new(
            id,
            record.name.clone(),
            database_dir(dir, id),
            Limits::of(&core.options),
            Arc::clone(&core.budget.schemas),
        );
        load_index(&core, &database, record, &mut report)?;
        database.policies_mut().list = record.policies.clone();
        for (&shard_id, shard) in state.shards.iter().filter(|(_, s)| s.database == id) {
            let hiding = tombstones.remove(&shard_id).unwrap_or_default();
            let shard_open = load_shard(&core, &database, shard_id, shard, hiding, &mut report)?;
            database
                .policies_mut()
                .add_shard(&shard.policy, Arc::new(shard_open));
        }
        core.show_database(Arc::new(database));
    }
    let wal = replay(&core, &state, &mut report)?;
    if report.skipped_rows > 0 {
        tracing::info!(
            rows = report.skipped_rows,
            "left out rows of the WAL that were dropped since"
        );
    }
    if report.lost_rows > 0 {
        tracing::error!(
            rows = report.lost_rows,
            "rows of the WAL have no place any more and are lost: the manifest has lost its end, or a file that had their types is damaged"
        );
    }
    for file in &report.quarantined {
        tracing::error!(file = %file.display(), "damaged; its data does not answer until it is restored");
    }
    Ok((core, wal, report))
}

fn load_index(
    core: &Core,
    database: &Database,
    record: &DatabaseRecord,
    report: &mut OpenReport,
) -> Result<(), StoreError> {
    let mut table = database.table_mut();
    for segment in &record.segments {
        let path = database.index_dir().join(segment.name());
        let end = segment.ids().end;
        let read = match twice(|| read_segment(&*core.vfs, &path, segment.ids(), &mut table)) {
            Err(error) if is_lost(&error) => SegmentRead {
                series: 0,
                damage: Some(error),
            },
            read => read?,
        };
        if let Some(error) = &read.damage {
            tracing::error!(%error, read = read.series, "index segment is damaged; rows of the series that it lost do not answer until it is restored");
            report.quarantined.push(path);
        }
        let damaged = read.damage.is_some();
        database.segments().push(*segment, read.series, damaged);
        table.pad_to(end);
        database.raise_applied_series(end);
    }
    Ok(())
}

fn load_shard(
    core: &Core,
    database: &Database,
    id: ShardId,
    record: &ShardRecord,
    tombstones: Vec<Arc<Tombstone>>,
    report: &mut OpenReport,
) -> Result<Shard, StoreError> {
    let shard = Shard::new(
        id,
        TimeRange::new(record.start_ns, record.end_ns),
        database.shard_dir(id),
    );
    shard.data_mut().tombstones = tombstones;
    for &record in &record.files {
        let path = shard.dir.join(record.name());
        let opened = twice(|| Ok(BlockFile::open(&core.handles, &path)?));
        match opened {
            Ok(block) => {
                let block = block.with_cache(Arc::clone(&core.cache));
                shard.add_file(Arc::new(ShardFile { record, block }));
            }
            Err(error) if is_lost(&error) => {
                tracing::error!(%error, "block file is not used");
                report.quarantined.push(path);
                shard.data_mut().lost.push(record);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(shard)
}

/// True when a file is damaged, gone, or on blocks that the disk cannot read; another error may pass,
/// and opening with a part of the data would do harm.
fn is_lost(error: &StoreError) -> bool {
    match error {
        StoreError::Corrupt { .. } | StoreError::Block(BlockError::Corrupt { .. }) => true,
        StoreError::Io { source, .. } | StoreError::Block(BlockError::Io { source, .. }) => {
            source.kind() == std::io::ErrorKind::NotFound || source.raw_os_error() == Some(EIO)
        }
        _ => false,
    }
}

/// Reads once more where the disk could not read: some errors pass.
fn twice<T>(mut read: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    match read() {
        Err(StoreError::Io { source, .. } | StoreError::Block(BlockError::Io { source, .. }))
            if source.raw_os_error() == Some(EIO) =>
        {
            read()
        }
        done => done,
    }
}

/// Opens the WAL and applies what is not in files yet. When memory fills up, files are written
/// in between, so replay needs no more memory than writing did.
fn replay(core: &Core, state: &State, report: &mut OpenReport) -> Result<Log, StoreError> {
    let flushed_to = state.flushed_to;
    let mut marks = ReplayMarks::of(core, flushed_to);
    let options = LogOptions {
        record_bytes_max: WAL_RECORD_BYTES_MAX,
        // A damaged WAL may end before the last deletion, whose sequence must not come again.
        first_sequence: marks.last().map_or(flushed_to, |last| last.max(flushed_to)) + 1,
        commit_delay: core.options.wal_fsync_delay,
        segment_bytes_max: WAL_SEGMENT_BYTES_MAX,
        spare_segments_max: WAL_SPARES_MAX,
        pending_bytes_max: LogOptions::PENDING_BYTES_MAX.min(core.options.memtable_bytes_max / 8),
        ..LogOptions::default()
    };
    let memtable_bytes_max = core.options.memtable_bytes_max / 2;
    let mut places = Places::of(core, state);
    // No reason not to start: all of it was in memory before, and it answers.
    let mut full = false;
    let mut visit = |sequence: Sequence, record: &[u8]| -> Result<(), UserError> {
        if sequence <= flushed_to {
            return Ok(());
        }
        marks.pass(sequence);
        replay_record(&mut places, record, report)?;
        if core.memtable_bytes() >= memtable_bytes_max && !full {
            // A deletion right behind this record finds what it hides before it is left out.
            marks.pass(sequence.saturating_add(1));
            freeze(core, sequence);
            let flushed = Flush::gather(core, sequence).write_out(core);
            full = flushed.as_ref().is_err_and(StoreError::is_storage_full);
            if full {
                tracing::error!(
                    "the disk is full: what the WAL has stays in memory, and no write is taken"
                );
            } else {
                flushed?;
            }
        }
        Ok(())
    };
    let wal_dir = core.dir.join("wal");
    let is_gone = *state != State::default() && !holds_segment(&*core.vfs, &wal_dir);
    let opened = Log::open(Arc::clone(&core.vfs), &wal_dir, options, &mut visit);
    let (wal, recovery) = opened.map_err(StoreError::log("open WAL"))?;
    if is_gone {
        tracing::error!(
            dir = %wal_dir.display(),
            "the WAL is gone; what was acknowledged and not in a block file yet is lost"
        );
        report.quarantined.push(wal_dir);
    }
    places.keep_numbers(core);
    marks.pass(Sequence::MAX);
    for corruption in &recovery.corruptions {
        tracing::error!(
            file = %corruption.file.display(),
            offset = corruption.offset,
            "the WAL is damaged there; what was acknowledged and stood in the damaged records is lost"
        );
        report.quarantined.push(corruption.file.clone());
    }
    Ok(wal)
}

/// Whether there is a segment, of which a store has one from before its first manifest record on.
fn holds_segment(vfs: &dyn Vfs, dir: &Path) -> bool {
    let names = vfs.read_dir(dir).unwrap_or_default();
    let holds = |name: &String| {
        let opened = vfs.open_read(&dir.join(name)).and_then(|file| file.len());
        // Of what cannot be opened the log tells. A shorter one has lost its header, or never had one.
        opened.map_or(true, |bytes| bytes >= SEGMENT_BYTES_MIN)
    };
    names.iter().filter(|n| n.ends_with(".seg")).any(holds)
}

/// Where rows go, by id.
struct Places {
    databases: HashMap<DatabaseId, Arc<Database>, RandomState>,
    shards: HashMap<(DatabaseId, ShardId), Arc<Shard>, RandomState>,
    /// The numbers that the manifest gives out next; those below have been given out.
    next: (DatabaseId, ShardId),
    /// Those that it has to give out next, by what is in the WAL.
    next_seen: (DatabaseId, ShardId),
}

impl Places {
    fn of(core: &Core, state: &State) -> Self {
        let next = (DatabaseId(state.next_database), ShardId(state.next_shard));
        let (mut databases, mut shards) = (HashMap::default(), HashMap::default());
        for database in core.databases() {
            for shard in database.policies().all_shards() {
                shards.insert((database.id, shard.id), Arc::clone(shard));
            }
            databases.insert(database.id, database);
        }
        Self {
            databases,
            shards,
            next,
            next_seen: next,
        }
    }

    /// Counts rows of a shard that is not there.
    fn miss(&mut self, id: DatabaseId, shard: ShardId, rows: usize, report: &mut OpenReport) {
        let was_dropped = id < self.next.0 && shard < self.next.1;
        let count = if was_dropped {
            &mut report.skipped_rows
        } else {
            &mut report.lost_rows
        };
        *count += rows as u64;
        let seen = &mut self.next_seen;
        seen.0 = seen.0.max(DatabaseId(id.0.saturating_add(1)));
        seen.1 = seen.1.max(ShardId(shard.0.saturating_add(1)));
    }

    /// Has the manifest never give out numbers again that rows in the WAL have and it knows nothing of: they would
    /// turn up in another database.
    fn keep_numbers(&self, core: &Core) {
        if self.next_seen == self.next {
            return;
        }
        let edit = Edit::NextIds {
            database: self.next_seen.0.0,
            shard: self.next_seen.1.0,
            file: 0,
        };
        if let Err(error) = core.manifest().commit(&[edit]) {
            tracing::warn!(error = chain(&error), "cannot set numbers aside now");
        }
    }
}

fn replay_record(
    places: &mut Places,
    record: &[u8],
    report: &mut OpenReport,
) -> Result<(), UserError> {
    let malformed = |_| UserError::from("a WAL record is malformed although its checksum matches");
    let id = frame::database_of(record).map_err(malformed)?;
    let Some(database) = places.databases.get(&id).cloned() else {
        let decoded = frame::decode(record, &Schemas::default()).map_err(malformed)?;
        for (shard_id, rows) in decoded.groups {
            places.miss(id, shard_id, rows.len(), report);
        }
        return Ok(());
    };
    let decoded = frame::decode(record, &database.schemas).map_err(malformed)?;
    {
        let mut table = database.table_mut();
        for (id, key) in &decoded.new_series {
            table.insert_at(*id, key);
        }
        // A series whose definition was in a damaged record must not pass its rows on to the next
        // series that is made: its id is used up.
        let ids = decoded
            .batch
            .rows
            .iter()
            .filter_map(|row| match row.series {
                SeriesRef::Known(id) => Some(id.0.saturating_add(1)),
                SeriesRef::Unknown(_) => None,
            });
        let end = ids.max().unwrap_or(0);
        table.pad_to(end);
        database.raise_applied_series(end);
    }
    let mut groups: Groups = Vec::new();
    for (shard_id, rows) in decoded.groups {
        let Some(shard) = places.shards.get(&(id, shard_id)) else {
            places.miss(id, shard_id, rows.len(), report);
            continue;
        };
        // Types were checked when the record was staged; they can only differ where a file that
        // fixed them is damaged, and then the rows cannot stand beside those that are there.
        let templates: BTreeSet<u32> = rows
            .iter()
            .map(|&at| decoded.batch.rows[at as usize].template)
            .collect();
        let refused: BTreeSet<u32> = templates
            .into_iter()
            .filter(|&at| {
                shard
                    .types()
                    .accept(&decoded.batch.templates[at as usize], Limits::default())
                    .is_err()
            })
            .collect();
        let before = rows.len();
        let mut rows = rows;
        rows.retain(|&at| !refused.contains(&decoded.batch.rows[at as usize].template));
        report.lost_rows += (before - rows.len()) as u64;
        report.replayed_rows += rows.len() as u64;
        groups.push((Arc::clone(shard), rows));
    }
    report.replayed_records += 1;
    apply(
        &database,
        &decoded.batch,
        &groups,
        decoded.new_series.iter().map(|(id, _)| *id),
    );
    Ok(())
}
