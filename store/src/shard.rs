//! One shard: a time partition of a retention policy, with the rows of all its series.
//!
//! Rows are in the active memtable, in frozen ones until they are written out, or in block files. Their sources have disjoint ranges of WAL sequences, files before frozen before active,
//! so reading merges them in that order. A reader takes all of a series' sources under one lock,
//! so that a row that moves from memtable to file meanwhile is seen once and not missed.
//!
//! A shard also fixes the type of each field of each measurement in it: the first value written
//! decides, as in InfluxDB.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use roaring::RoaringBitmap;
use tandem_model::{FieldType, SeriesId, ShardId, TimeRange};

use crate::block::BlockFile;
use crate::error::StoreError;
use crate::memtable::Memtable;
use crate::merge::merge;
use crate::rows::Rows;
use crate::schema::Template;
use crate::tombstone::{Tombstone, visible};

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
    pub(crate) files: Vec<Arc<BlockFile>>,
    /// What hides rows of files and frozen memtables, oldest first.
    pub(crate) tombstones: Vec<Arc<Tombstone>>,
    /// Every series that has rows, not hidden, in one of the sources.
    pub(crate) series: RoaringBitmap,
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
    /// True when a row of the series is there and not hidden.
    pub(crate) fn shows(&self, tombstones: &[Arc<Tombstone>], series: SeriesId) -> bool {
        visible(tombstones, self.max_sequence, series, TimeRange::ALL)
            .into_iter()
            .any(|part| self.table.has_rows(series, part))
    }
}

impl ShardData {
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

    /// The types as writers see them: staged ones included. Taken under the commit lock only.
    pub(crate) fn types(&self) -> MutexGuard<'_, FieldTypes> {
        self.types.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over an open block file, with its series and types.
    pub(crate) fn add_file(&self, file: Arc<BlockFile>) {
        let mut types = self.types();
        let mut data = self.data_mut();
        for measurement in file.measurements() {
            data.series |= &measurement.series;
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
                for part in visible(&data.tombstones, frozen.max_sequence, series, range) {
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
            for part in visible(&tombstones, file.meta().max_seq, series, range) {
                sources.push(file.read(measurement, series, fields, part)?);
            }
        }
        sources.append(&mut newer);
        Ok(merge(sources, fields.len()))
    }

    /// Calls `visit` with name and type of each field of a measurement; a field may come often.
    pub(crate) fn visit_fields(&self, measurement: &[u8], mut visit: impl FnMut(&[u8], FieldType)) {
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

type Fields = HashMap<Arc<[u8]>, FieldType, RandomState>;

/// The types of the fields of a shard, and which templates are known to agree with them.
#[derive(Debug, Default)]
pub(crate) struct FieldTypes {
    measurements: HashMap<Arc<[u8]>, Fields, RandomState>,
    accepted: HashSet<u32, RandomState>,
}

/// A field that already has another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeConflict {
    pub(crate) field: Arc<[u8]>,
    pub(crate) given: FieldType,
    pub(crate) existing: FieldType,
}

impl FieldTypes {
    fn set(&mut self, measurement: &[u8], field: &[u8], field_type: FieldType) {
        let fields = self.measurements.entry(measurement.into()).or_default();
        fields.entry(field.into()).or_insert(field_type);
    }

    /// Checks a template and fixes the types of fields that had none; those are returned, to be
    /// given to [`FieldTypes::take_back`] when the write fails.
    pub(crate) fn accept(&mut self, template: &Template) -> Result<Vec<Arc<[u8]>>, TypeConflict> {
        if self.accepted.contains(&template.id) {
            return Ok(Vec::new());
        }
        let known = self
            .measurements
            .entry(Arc::clone(&template.measurement))
            .or_default();
        for (name, given) in &template.fields {
            match known.get(&**name) {
                Some(existing) if existing != given => {
                    return Err(TypeConflict {
                        field: Arc::clone(name),
                        given: *given,
                        existing: *existing,
                    });
                }
                _ => {}
            }
        }
        let mut new = Vec::new();
        for (name, given) in &template.fields {
            if !known.contains_key(&**name) {
                known.insert(Arc::clone(name), *given);
                new.push(Arc::clone(name));
            }
        }
        if template.shared {
            self.accepted.insert(template.id);
        }
        Ok(new)
    }

    /// Forgets fields that [`FieldTypes::accept`] returned.
    pub(crate) fn take_back(&mut self, measurement: &[u8], fields: &[Arc<[u8]>]) {
        if let Some(known) = self.measurements.get_mut(measurement) {
            for field in fields {
                known.remove(&**field);
            }
        }
        self.accepted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schemas;

    #[test]
    fn the_first_type_wins_and_can_be_taken_back() {
        let schemas = Schemas::default();
        let template = |fields: &[(&str, FieldType)]| {
            schemas.template(
                b"m",
                fields
                    .iter()
                    .map(|&(n, t)| (Arc::from(n.as_bytes()), t))
                    .collect(),
            )
        };
        let mut types = FieldTypes::default();
        let new = types.accept(&template(&[("a", FieldType::Float)])).unwrap();
        assert_eq!(new.len(), 1);
        let both = template(&[("a", FieldType::Integer), ("b", FieldType::Integer)]);
        let conflict = types.accept(&both).unwrap_err();
        assert_eq!(
            (conflict.given, conflict.existing),
            (FieldType::Integer, FieldType::Float)
        );
        // The refused template fixed nothing.
        assert_eq!(
            types
                .accept(&template(&[("b", FieldType::String)]))
                .unwrap()
                .len(),
            1
        );
        types.take_back(
            b"m",
            &[Arc::from(b"a".as_slice()), Arc::from(b"b".as_slice())],
        );
        assert_eq!(types.accept(&both).unwrap().len(), 2);
    }
}
