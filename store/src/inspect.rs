//! What a store consists of: shards, files, series, rows, and what the bytes are spent on.
//!
//! Works on the directory alone, whether or not a process has the store open, and changes nothing. It tells
//! what the manifest names at one moment. Rows that are not yet in block files are counted in the WAL.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringBitmap;
use tandem_model::{FieldType, TimeRange};
use tandem_seglog::{Peek, peek};
use tandem_vfs::Vfs;

use crate::block::{BlockError, BlockFile, Handles, MeasurementUsage};
use crate::error::StoreError;
use crate::frame;
use crate::index::{SeriesTable, read_segment};
use crate::manifest::{State, read_manifest};
use crate::policy::RetentionPolicy;
use crate::schema::Schemas;
use crate::snapshot::{SnapshotError, is_store, log_options};

/// How often the manifest is read again because a file that it names went away.
const TRIES_MAX: u32 = 20;

/// What a store consists of.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// By name.
    pub databases: Vec<DatabaseUse>,
    /// The log of what is not yet in block files.
    pub wal: WalUse,
    /// Files of the manifest, and their bytes.
    pub manifest: (u64, u64),
    /// Files that the manifest names and that are missing or damaged, each with what is wrong.
    pub damaged: Vec<(PathBuf, String)>,
}

/// The WAL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalUse {
    /// Segments.
    pub files: u64,
    /// Bytes of records in them, headers included. Files may be longer.
    pub bytes: u64,
    /// Rows that no block file has yet.
    pub rows: u64,
}

/// A database.
#[derive(Clone, Debug)]
pub struct DatabaseUse {
    /// Its name.
    pub name: String,
    /// Its directory, relative to the store's.
    pub dir: PathBuf,
    /// Series that index segments define.
    pub series: u64,
    /// Segments of the series index, and their bytes.
    pub index: (u64, u64),
    /// In the order of creation.
    pub policies: Vec<(RetentionPolicy, Vec<ShardUse>)>,
    /// By name.
    pub measurements: Vec<MeasurementUse>,
}

/// A shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardUse {
    /// Its id.
    pub id: u64,
    /// First and last nanosecond that belong to it.
    pub range: TimeRange,
    /// Block files, and their bytes.
    pub files: (u64, u64),
    /// Rows in block files; one that was written again may count twice until files are merged.
    pub rows: u64,
    /// Values in block files, counted likewise.
    pub values: u64,
    /// Series with rows in block files.
    pub series: u64,
    /// From the first to the last row; `None` without rows.
    pub data: Option<TimeRange>,
    /// Deletions whose rows are still in files.
    pub tombstones: u64,
}

/// A measurement in the block files of all shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasurementUse {
    /// Raw bytes.
    pub name: Vec<u8>,
    /// Series with rows.
    pub series: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of everything that belongs to it.
    pub bytes: u64,
    /// Bytes of the times.
    pub time_bytes: u64,
    /// By name and type.
    pub columns: Vec<ColumnUse>,
}

/// A field of a measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnUse {
    /// Raw bytes.
    pub name: Vec<u8>,
    /// Its type; a field that has another one in other shards comes once for each.
    pub field_type: FieldType,
    /// Values that were written.
    pub values: u64,
    /// Bytes that they take in files, times not included.
    pub bytes: u64,
    /// Bytes that they take uncompressed: 8 for a number, 1 for a boolean, their length for strings.
    pub raw_bytes: u64,
}

/// Looks at the store in `dir`. Reads and decodes every block file.
///
/// # Errors
/// [`SnapshotError::NotAStore`]; a damaged manifest; what the file system reports. A damaged block file is told in
/// [`Inspection::damaged`].
pub fn inspect(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Inspection, SnapshotError> {
    if !is_store(&**vfs, dir) {
        return Err(SnapshotError::NotAStore(dir.into()));
    }
    for _ in 0..TRIES_MAX {
        let (state, manifest) = read_manifest(&**vfs, &dir.join("manifest"))?;
        let mut inspection = Inspection {
            manifest: log_files(&manifest),
            ..Inspection::default()
        };
        let handles = Arc::new(Handles::new(Arc::clone(vfs), 8));
        let mut changed = false;
        for &id in state.databases.keys() {
            let mut counted = Counted {
                vfs: &**vfs,
                dir,
                state: &state,
                handles: &handles,
                measurements: BTreeMap::new(),
                damaged: &mut inspection.damaged,
            };
            let database = counted.database(id)?;
            inspection.databases.push(database);
        }
        for (file, _) in &inspection.damaged {
            changed |= !vfs.exists(file);
        }
        if changed {
            let (now, _) = read_manifest(&**vfs, &dir.join("manifest"))?;
            if now != state {
                continue;
            }
        }
        inspection.databases.sort_by(|a, b| a.name.cmp(&b.name));
        inspection.wal = wal_use(&**vfs, dir, state.flushed_to)?;
        return Ok(inspection);
    }
    Err(SnapshotError::Busy(dir.into()))
}

fn log_files(log: &Peek) -> (u64, u64) {
    let bytes = log.segments.iter().map(|s| s.file_bytes).sum();
    (log.segments.len() as u64, bytes)
}

/// What the WAL has, as far as it can be read.
fn wal_use(vfs: &dyn Vfs, dir: &Path, flushed_to: u64) -> Result<WalUse, SnapshotError> {
    let mut rows = 0;
    let schemas = Schemas::default();
    let found = peek(vfs, &dir.join("wal"), &log_options(), &mut |seq, record| {
        if seq > flushed_to
            && let Ok(decoded) = frame::decode(record, &schemas)
        {
            rows += decoded.batch.rows.len() as u64;
        }
        Ok(())
    });
    match found {
        Ok(found) => Ok(WalUse {
            files: found.segments.len() as u64,
            bytes: found.segments.iter().map(|s| s.bytes).sum(),
            rows,
        }),
        // A segment that was cut meanwhile: the store is busy, and this is a picture of it.
        Err(tandem_seglog::Error::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Ok(WalUse::default())
        }
        Err(error) => Err(StoreError::log("read WAL")(error).into()),
    }
}

/// One database, while it is counted.
struct Counted<'a> {
    vfs: &'a dyn Vfs,
    dir: &'a Path,
    state: &'a State,
    handles: &'a Arc<Handles>,
    measurements: BTreeMap<Vec<u8>, Counting>,
    damaged: &'a mut Vec<(PathBuf, String)>,
}

/// One measurement, while it is counted.
#[derive(Default)]
struct Counting {
    series: RoaringBitmap,
    rows: u64,
    bytes: u64,
    time_bytes: u64,
    columns: BTreeMap<(Vec<u8>, FieldType), ColumnUse>,
}

impl Counted<'_> {
    fn database(&mut self, id: tandem_model::DatabaseId) -> Result<DatabaseUse, SnapshotError> {
        let dir = PathBuf::from("data").join(id.to_string());
        let Some(record) = self.state.databases.get(&id) else {
            return Err(SnapshotError::NotAStore(self.dir.into()));
        };
        let mut index = (0, 0);
        let mut table = SeriesTable::default();
        let mut series = 0;
        for segment in &record.segments {
            let path = self.dir.join(&dir).join("index").join(segment.name());
            match self.vfs.open_read(&path).and_then(|file| file.len()) {
                Ok(bytes) => index = (index.0 + 1, index.1 + bytes),
                Err(error) => {
                    self.damaged.push((path, error.to_string()));
                    continue;
                }
            }
            let read = read_segment(self.vfs, &path, segment.ids(), &mut table)?;
            series += u64::from(read.series);
            if let Some(damage) = read.damage {
                self.damaged.push((path, error_text(&damage)));
            }
        }
        let tombstones = self.state.tombstones_by_shard();
        let mut policies = Vec::with_capacity(record.policies.len());
        for policy in record.policies.iter() {
            let mut shards = Vec::new();
            for (&shard, _) in self
                .state
                .shards
                .iter()
                .filter(|(_, s)| s.database == id && s.policy == policy.name)
            {
                let hiding = tombstones.get(&shard).map_or(0, Vec::len) as u64;
                shards.push(self.shard(&dir, shard, hiding));
            }
            shards.sort_by_key(|shard: &ShardUse| (shard.range.min_ns, shard.id));
            policies.push((policy.clone(), shards));
        }
        let measurements = std::mem::take(&mut self.measurements).into_iter();
        Ok(DatabaseUse {
            name: record.name.clone(),
            dir,
            series,
            index,
            policies,
            measurements: measurements
                .map(|(name, counting)| counting.finish(name))
                .collect(),
        })
    }

    fn shard(&mut self, dir: &Path, id: tandem_model::ShardId, tombstones: u64) -> ShardUse {
        let mut counted = ShardUse {
            id: id.0,
            range: TimeRange::new(0, 0),
            files: (0, 0),
            rows: 0,
            values: 0,
            series: 0,
            data: None,
            tombstones,
        };
        let Some(record) = self.state.shards.get(&id) else {
            return counted;
        };
        counted.range = TimeRange::new(record.start_ns, record.end_ns);
        let mut series = RoaringBitmap::new();
        for file in &record.files {
            let path = self.dir.join(dir).join(id.to_string()).join(file.name());
            match self.file(&path) {
                Ok(block) => {
                    let meta = block.meta();
                    counted.files = (counted.files.0 + 1, counted.files.1 + meta.len_bytes);
                    counted.rows += meta.rows;
                    counted.values += meta.values;
                    counted.data = match counted.data {
                        _ if meta.range.is_empty() => counted.data,
                        None => Some(meta.range),
                        Some(data) => Some(TimeRange::new(
                            data.min_ns.min(meta.range.min_ns),
                            data.max_ns.max(meta.range.max_ns),
                        )),
                    };
                    for measurement in block.measurements() {
                        series |= &measurement.series;
                    }
                }
                Err(error) => self.damaged.push((path, error_text(&error))),
            }
        }
        counted.series = series.len();
        counted
    }

    /// Counts a file; on an error nothing of it is counted.
    fn file(&mut self, path: &Path) -> Result<BlockFile, BlockError> {
        let block = BlockFile::open(self.handles, path)?;
        let usage = block.usage()?;
        for (measurement, info) in usage.into_iter().zip(block.measurements()) {
            let counting = self
                .measurements
                .entry(measurement.name.clone())
                .or_default();
            counting.series |= &info.series;
            counting.add(measurement);
        }
        Ok(block)
    }
}

impl Counting {
    fn add(&mut self, usage: MeasurementUsage) {
        self.rows += usage.rows;
        self.bytes += usage.bytes;
        self.time_bytes += usage.time_bytes;
        for column in usage.columns {
            let key = (column.name.clone(), column.field_type);
            let sum = self.columns.entry(key).or_insert(ColumnUse {
                name: column.name,
                field_type: column.field_type,
                values: 0,
                bytes: 0,
                raw_bytes: 0,
            });
            sum.values += column.values;
            sum.bytes += column.bytes;
            sum.raw_bytes += column.raw_bytes;
        }
    }

    fn finish(self, name: Vec<u8>) -> MeasurementUse {
        MeasurementUse {
            name,
            series: self.series.len(),
            rows: self.rows,
            bytes: self.bytes,
            time_bytes: self.time_bytes,
            columns: self.columns.into_values().collect(),
        }
    }
}

/// An error with what is behind it, in one line.
pub(crate) fn error_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
