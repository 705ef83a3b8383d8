//! One shard: a time partition of a retention policy, with the rows of all its series.
//!
//! Rows are in the active memtable, in frozen ones until they are written out, or in block files. Their sources have disjoint ranges of WAL sequences, files before frozen before active,
//! so reading merges them in that order. A reader takes all of a series' sources under one lock,
//! so that a row that moves from memtable to file meanwhile is seen once and not missed.
//!
//! A shard also fixes the type of each field of each measurement in it: the first value written
//! decides, as in InfluxDB.

mod file;
mod info;
mod scan;
mod types;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use roaring::RoaringBitmap;
use tandem_model::{FieldType, SeriesId, ShardId, TimeRange};

use crate::error::StoreError;
use crate::manifest::FileRecord;
use crate::memtable::{self, Memtable};
use crate::merge::merge;
use crate::rows::Rows;
use crate::slices::{Span, cut};
use crate::tombstone::{Age, Tombstone, visible};

pub(crate) use file::ShardFile;
pub use info::ShardInfo;
pub(crate) use types::{FieldTypes, NotAccepted, TypeConflict};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    /// First and last nanosecond inside.
    pub(crate) range: TimeRange,
    pub(crate) dir: PathBuf,
    types: Mutex<FieldTypes>,
    data: RwLock<ShardData>,
}

/// The sources of a shard's rows.
#[derive(Debug, Default)]
pub(crate) struct ShardData {
    pub(crate) active: Memtable,
    /// Waiting to be written out, oldest first.
    pub(crate) frozen: Vec<FrozenMemtable>,
    /// In the order of their sequences, oldest first.
    pub(crate) files: Vec<Arc<ShardFile>>,
    /// Files that are not used because they are damaged or gone, in the same order. They may be
    /// restored before the next start. Until then nothing is given up that they need: keys of
    /// series, tombstones, their place in the order.
    pub(crate) lost: Vec<FileRecord>,
    /// What hides rows of files and frozen memtables, oldest first.
    pub(crate) tombstones: Vec<Arc<Tombstone>>,
    /// Every series that has rows, not hidden, in one of the sources.
    pub(crate) series: RoaringBitmap,
    /// The time of the newest row that came in; `None` before the first.
    pub(crate) newest_ns: Option<i64>,
    /// Takes no more rows: its policy was dropped.
    pub(crate) dropped: bool,
}

/// A memtable that takes no more rows.
#[derive(Clone, Debug)]
pub(crate) struct FrozenMemtable {
    /// All of its rows have this WAL sequence or a lower one, and all rows that came later a
    /// higher one.
    pub(crate) max_sequence: u64,
    pub(crate) table: Arc<Memtable>,
}

impl FrozenMemtable {
    /// Which tombstones concern it.
    pub(crate) const fn age(&self) -> Age {
        Age {
            max_sequence: self.max_sequence,
            purged_below: 0,
        }
    }

    /// True when a row of the series is there and not hidden.
    pub(crate) fn shows(&self, tombstones: &[Arc<Tombstone>], series: SeriesId) -> bool {
        visible(tombstones, self.age(), series, TimeRange::ALL)
            .into_iter()
            .any(|part| self.table.has_rows(series, part))
    }
}

impl ShardData {
    /// Those of `series` that a source may hold which no tombstone of `sequence` concerns.
    pub(crate) fn written_after(&self, sequence: u64, series: &RoaringBitmap) -> RoaringBitmap {
        let mut written: RoaringBitmap = series
            .iter()
            .filter(|&id| {
                let id = SeriesId(id);
                let frozen = self.frozen.iter().filter(|f| f.max_sequence > sequence);
                self.active.has_rows(id, TimeRange::ALL)
                    || frozen
                        .into_iter()
                        .any(|f| f.table.has_rows(id, TimeRange::ALL))
            })
            .collect();
        for file in self
            .files
            .iter()
            .filter(|f| f.record.max_sequence > sequence)
        {
            for measurement in file.measurements() {
                written |= &measurement.series & series;
            }
        }
        written
    }

    /// True when a source has one of `series` under this measurement; the index may have lost its key.
    pub(crate) fn has_series_of(&self, measurement: &[u8], series: &RoaringBitmap) -> bool {
        let in_files = self.files.iter().any(|file| {
            let at = file.measurement(measurement);
            at.is_some_and(|at| !file.measurements()[at].series.is_disjoint(series))
        });
        let frozen = self.frozen.iter().map(|frozen| &*frozen.table);
        in_files
            || frozen.chain([&self.active]).any(|table| {
                let mut named = table.templates().map(|template| &*template.measurement);
                named.any(|name| name == measurement)
                    && table.series_ids().any(|id| {
                        let name = table.measurement_of(id).map(|name| &**name);
                        series.contains(id.0) && name == Some(measurement)
                    })
            })
    }

    /// Freezes the active memtable, unless it is empty. `through` is the last sequence applied.
    pub(crate) fn rotate(&mut self, through: u64) {
        if !self.active.is_empty() {
            self.frozen.push(FrozenMemtable {
                max_sequence: through,
                table: Arc::new(std::mem::take(&mut self.active)),
            });
        }
    }
}

impl Shard {
    pub(crate) fn new(id: ShardId, range: TimeRange, dir: PathBuf) -> Self {
        Self {
            id,
            range,
            dir,
            types: Mutex::default(),
            data: RwLock::default(),
        }
    }

    pub(crate) fn data(&self) -> RwLockReadGuard<'_, ShardData> {
        self.data.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn data_mut(&self) -> RwLockWriteGuard<'_, ShardData> {
        self.data.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of everything; returns the bytes that memtables held. Files stay readable for
    /// views that have them.
    pub(crate) fn drop_rows(&self) -> usize {
        let mut data = self.data_mut();
        data.dropped = true;
        let active = std::mem::take(&mut data.active);
        let frozen = std::mem::take(&mut data.frozen);
        active.bytes() + frozen.iter().map(|f| f.table.bytes()).sum::<usize>()
    }

    /// When rows can be; `None` where there are none.
    pub(crate) fn extent(&self) -> Option<TimeRange> {
        let data = self.data();
        if !data.active.is_empty() || !data.frozen.is_empty() {
            return Some(self.range);
        }
        let files = data.files.iter().map(|file| file.meta().range);
        files.reduce(|a, b| TimeRange::new(a.min_ns.min(b.min_ns), a.max_ns.max(b.max_ns)))
    }

    /// The time of the newest row that came in.
    pub(crate) fn newest_ns(&self) -> Option<i64> {
        self.data().newest_ns
    }

    /// The types as writers see them: staged ones included. Taken under the commit lock only.
    pub(crate) fn types(&self) -> MutexGuard<'_, FieldTypes> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over an open block file, with those of its series and types that are not hidden. Where
    /// that cannot be read they count as not hidden.
    pub(crate) fn add_file(&self, file: Arc<ShardFile>) {
        let mut types = self.types();
        let mut data = self.data_mut();
        let mut shown = Vec::new();
        for (at, measurement) in file.measurements().iter().enumerate() {
            let read = file.shown(&data.tombstones, at, &measurement.series);
            shown.push(read.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot tell what a deletion left; its series stay listed");
                measurement.series.clone()
            }));
        }
        for (measurement, shown) in file.measurements().iter().zip(shown) {
            if shown.is_empty() {
                continue;
            }
            data.series |= shown;
            data.newest_ns = data.newest_ns.max(Some(file.meta().range.max_ns));
            for (name, field_type) in &measurement.fields {
                types.set(&measurement.name, name, *field_type);
            }
        }
        data.files.push(file);
    }

    /// The rows of a series in `range`, merged, with a column for each of `fields`.
    pub(crate) fn read(
        &self,
        measurement: &[u8],
        series: SeriesId,
        fields: &[&[u8]],
        range: TimeRange,
    ) -> Result<Rows, StoreError> {
        let (files, tombstones, mut newer) = {
            let data = self.data();
            if !data.series.contains(series.0) {
                return Ok(merge(Vec::new(), fields.len()));
            }
            let mut newer = Vec::new();
            for frozen in &data.frozen {
                for part in visible(&data.tombstones, frozen.age(), series, range) {
                    newer.append(&mut frozen.table.read(series, fields, part));
                }
            }
            newer.append(&mut data.active.read(series, fields, range));
            (data.files.clone(), data.tombstones.clone(), newer)
        };
        let mut sources = Vec::with_capacity(files.len() + newer.len());
        for file in &files {
            let Some(measurement) = file.measurement(measurement) else {
                continue;
            };
            for part in visible(&tombstones, file.age(), series, range) {
                if !file.meta().range.overlaps(&part) {
                    continue;
                }
                sources.push(file.read(measurement, series, fields, part)?);
            }
        }
        sources.append(&mut newer);
        Ok(merge(sources, fields.len()))
    }

    /// Cuts `range` into slices, by time, whose rows of a series take about `bytes_max`, or those of
    /// a page of each file.
    pub(crate) fn slices(
        &self,
        measurement: &[u8],
        series: SeriesId,
        fields: &[&[u8]],
        range: TimeRange,
        bytes_max: usize,
    ) -> Result<Vec<TimeRange>, StoreError> {
        let row_bytes = 8 * (1 + fields.len());
        let (files, mut spans) = {
            let data = self.data();
            if !data.series.contains(series.0) {
                return Ok(vec![range]);
            }
            let frozen = data.frozen.iter().map(|frozen| &*frozen.table);
            let rows_max = (bytes_max / 4 / row_bytes).max(1);
            let parts = memtable::slices(frozen.chain([&data.active]), series, rows_max);
            let spans = parts.into_iter().map(|range| Span {
                range,
                bytes: rows_max * row_bytes,
            });
            (data.files.clone(), spans.collect::<Vec<_>>())
        };
        let mut readers = Vec::new();
        let (mut rows, mut has_strings) = (0, false);
        for file in files.iter().filter(|f| f.meta().range.overlaps(&range)) {
            let Some(at) = file.measurement(measurement) else {
                continue;
            };
            let mut reader = file.reader(at, fields);
            if let Some((count, extent)) = reader.extent(series)?
                && extent.overlaps(&range)
            {
                rows += count;
                has_strings |= reader.has_strings();
                readers.push(reader);
            }
        }
        let small = (bytes_max / row_bytes) as u64;
        if spans.len() <= 1 && rows <= small && !has_strings {
            return Ok(vec![range]);
        }
        for mut reader in readers {
            spans.append(&mut reader.spans(series)?);
        }
        Ok(cut(spans, range, bytes_max))
    }

    /// Calls `visit` with name and type of each field of a measurement; a field may come often.
    pub(crate) fn visit_fields(&self, measurement: &[u8], mut visit: impl FnMut(&[u8], FieldType)) {
        let types = self.types();
        // What is hidden as a whole may have had other types, or fields that are no more.
        let mut visit = |name: &[u8], field_type| {
            if types.get(measurement, name) == Some(field_type) {
                visit(name, field_type);
            }
        };
        let data = self.data();
        for file in &data.files {
            let found = file.measurements().iter().find(|m| *m.name == *measurement);
            for (name, field_type) in found.iter().flat_map(|m| &m.fields) {
                visit(name, *field_type);
            }
        }
        let frozen = data.frozen.iter().map(|frozen| &*frozen.table);
        let memtables = frozen.chain([&data.active]);
        for template in memtables.flat_map(Memtable::templates) {
            if *template.measurement == *measurement {
                for (name, field_type) in &template.fields {
                    visit(name, *field_type);
                }
            }
        }
    }
}
