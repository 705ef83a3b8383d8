//! What a query sees: some shards of one database, and the series that have rows in them.

mod cost;
mod tags;

use std::path::PathBuf;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use roaring::RoaringBitmap;
use tandem_model::{FieldType, SeriesId, ShardId, TimeRange};

use crate::database::Database;
use crate::error::StoreError;
use crate::rows::{Column, Rows, Strings, Validity, Values};
use crate::scan::{Flow, Place, Visitor, Wanted};
use crate::shard::Shard;

pub use cost::ReadCost;

/// The order in which rows are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// A picture of the shards of a database that overlap a time range.
///
/// Which shards and series there are is fixed when it is made. Rows are those that are readable
/// at the moment of [`SeriesReader::next`]: a row written meanwhile may be seen, and a row seen
/// once stays. Dropping the database meanwhile changes nothing for a view.
#[derive(Clone, Debug)]
pub struct View {
    database: Arc<Database>,
    /// By time.
    shards: Vec<Arc<Shard>>,
    series: RoaringBitmap,
}

impl View {
    pub(crate) fn new(database: Arc<Database>, shards: Vec<Arc<Shard>>) -> Self {
        let series = Database::series_of(&shards);
        Self {
            database,
            shards,
            series,
        }
    }

    /// The same without the shards that do not hold all of `range`.
    #[must_use]
    pub fn around(self, range: TimeRange) -> Self {
        let holds = |shard: &Arc<Shard>| {
            shard.range.contains(range.min_ns) && shard.range.contains(range.max_ns)
        };
        let shards = self.shards.into_iter().filter(holds).collect();
        Self::new(self.database, shards)
    }

    /// The measurements that have rows here, sorted.
    #[must_use]
    pub fn measurements(&self) -> Vec<Vec<u8>> {
        self.database.table().measurements(&self.series)
    }

    /// The series of a measurement that have rows here, as the numbers of their [`SeriesId`].
    #[must_use]
    pub fn series(&self, measurement: &[u8]) -> RoaringBitmap {
        self.database.table().series(measurement, &self.series)
    }

    /// The lowest id of a shard where a measurement has rows.
    #[must_use]
    pub fn first_shard_of(&self, measurement: &[u8]) -> Option<ShardId> {
        let series = self.series(measurement);
        self.shards
            .iter()
            .filter(|shard| !shard.data().series.is_disjoint(&series))
            .map(|shard| shard.id)
            .min()
    }

    /// The canonical key of a series; empty when there is none of this id.
    #[must_use]
    pub fn series_key(&self, id: SeriesId) -> Vec<u8> {
        self.database.table().key(id)
    }

    /// The fields of a measurement here, sorted by name. Where shards disagree on a type, the
    /// first in the order of [`FieldType`] stands, as in InfluxDB.
    #[must_use]
    pub fn fields(&self, measurement: &[u8]) -> Vec<(Vec<u8>, FieldType)> {
        let mut fields: HashMap<Vec<u8>, FieldType, RandomState> = HashMap::default();
        for shard in &self.shards {
            shard.visit_fields(measurement, |name, field_type| match fields.get_mut(name) {
                Some(known) => *known = (*known).min(field_type),
                None => {
                    fields.insert(name.to_vec(), field_type);
                }
            });
        }
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_unstable();
        fields
    }

    /// As [`View::fields`], but with every type that a field has in one of the shards, sorted by
    /// name and then by the name of the type.
    #[must_use]
    pub fn field_types(&self, measurement: &[u8]) -> Vec<(Vec<u8>, FieldType)> {
        let mut known: HashMap<Vec<u8>, Vec<FieldType>, RandomState> = HashMap::default();
        for shard in &self.shards {
            shard.visit_fields(measurement, |name, field_type| match known.get_mut(name) {
                Some(types) if types.contains(&field_type) => {}
                Some(types) => types.push(field_type),
                None => {
                    known.insert(name.to_vec(), vec![field_type]);
                }
            });
        }
        let mut fields = Vec::with_capacity(known.len());
        for (name, types) in known {
            fields.extend(types.into_iter().map(|one| (name.clone(), one)));
        }
        fields.sort_unstable_by(|(a, s), (b, t)| a.cmp(b).then_with(|| s.name().cmp(t.name())));
        fields
    }

    /// The names of a measurement's fields in those shards that have one of `series`, sorted.
    #[must_use]
    pub fn fields_beside(&self, measurement: &[u8], series: &RoaringBitmap) -> Vec<Vec<u8>> {
        let mut fields: HashSet<Vec<u8>, RandomState> = HashSet::default();
        for shard in &self.shards {
            if shard.data().series.is_disjoint(series) {
                continue;
            }
            shard.visit_fields(measurement, |name, _| {
                if !fields.contains(name) {
                    fields.insert(name.to_vec());
                }
            });
        }
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_unstable();
        fields
    }

    /// Whether one of the shards has both: a field of this name with a type that fits, and one of `series`.
    #[must_use]
    pub fn has_field_beside(
        &self,
        measurement: &[u8],
        field: &[u8],
        fits: impl Fn(FieldType) -> bool,
        series: &RoaringBitmap,
    ) -> bool {
        self.shards.iter().any(|shard| {
            let mut has_field = false;
            shard.visit_fields(measurement, |name, field_type| {
                has_field |= name == field && fits(field_type);
            });
            has_field && !shard.data().series.is_disjoint(series)
        })
    }

    /// How many of the files among `paths` would hold rows or series of what is seen here.
    pub(crate) fn count_files(&self, paths: &[PathBuf]) -> usize {
        if paths.is_empty() {
            return 0;
        }
        let index = self.database.index_dir();
        let is_here = |path: &&PathBuf| {
            path.starts_with(&index) || self.shards.iter().any(|s| path.starts_with(&s.dir))
        };
        paths.iter().filter(is_here).count()
    }

    /// Reads the rows of a series in `range`, with a column for each of `fields`, in the given
    /// order of time.
    #[must_use]
    pub fn read(
        &self,
        id: SeriesId,
        fields: &[&[u8]],
        range: TimeRange,
        order: Order,
    ) -> SeriesReader {
        let measurement = self.database.table().measurement_of(id).to_vec();
        let mut shards: Vec<Arc<Shard>> = self
            .shards
            .iter()
            .filter(|s| s.range.overlaps(&range))
            .cloned()
            .collect();
        if order == Order::Ascending {
            shards.reverse();
        }
        SeriesReader {
            measurement,
            id,
            fields: fields.iter().map(|f| f.to_vec()).collect(),
            range,
            order,
            shards,
            slices: Vec::new(),
        }
    }
}

impl View {
    /// Shows `visitor` the rows of many series of a measurement in `range`. `fields` are what its batches have
    /// columns for; the visitor knows a series by its place in `series`.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn scan(
        &self,
        measurement: &[u8],
        fields: &[&[u8]],
        range: TimeRange,
        order: Order,
        series: &[SeriesId],
        visitor: &mut dyn Visitor,
    ) -> Result<(), StoreError> {
        // In order of id, in which series share pages and heads of chunks.
        let mut places: Vec<Place> = series.iter().copied().enumerate().collect();
        places.sort_unstable_by_key(|(_, id)| *id);
        let mut shards: Vec<&Arc<Shard>> = self.shards.iter().collect();
        if order == Order::Descending {
            shards.reverse();
        }
        for shard in shards.into_iter().filter(|s| s.range.overlaps(&range)) {
            let wanted = Wanted {
                measurement,
                fields,
                range: range.intersect(&shard.range),
                order,
            };
            if shard.scan(&wanted, &mut places, visitor)? == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    /// About how many rows a measurement has in `range`, in files: what deciding how to read them takes.
    #[must_use]
    pub fn rows_about(&self, measurement: &[u8], range: TimeRange) -> u64 {
        let shards = self.shards.iter().filter(|s| s.range.overlaps(&range));
        shards
            .map(|shard| shard.rows_about(measurement, range))
            .sum()
    }

    /// When rows can be: from the first to the last of files, and all the time of shards that have rows in
    /// memory. Empty where there are none.
    #[must_use]
    pub fn extent(&self) -> TimeRange {
        let extents = self.shards.iter().filter_map(|shard| shard.extent());
        extents
            .reduce(|a, b| TimeRange::new(a.min_ns.min(b.min_ns), a.max_ns.max(b.max_ns)))
            .unwrap_or(TimeRange::new(1, 0))
    }
}

/// What the rows of one call of [`SeriesReader::next`] take, about. A query may have many readers.
const SLICE_BYTES_MAX: usize = 256 << 10;

/// Reads one series, shard after shard and each in slices of time, so that no more than some
/// thousand rows are in memory at once.
#[derive(Debug)]
pub struct SeriesReader {
    measurement: Vec<u8>,
    id: SeriesId,
    fields: Vec<Vec<u8>>,
    range: TimeRange,
    order: Order,
    /// The next one last.
    shards: Vec<Arc<Shard>>,
    /// What is still to be read of the last of `shards`, the next one last.
    slices: Vec<TimeRange>,
}

impl SeriesReader {
    /// The next rows, never empty; `None` after the last. The columns of one call have the types
    /// of one shard; the next may have others.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    #[expect(clippy::should_implement_trait, reason = "an error is not the end")]
    pub fn next(&mut self) -> Result<Option<Rows>, StoreError> {
        let fields: Vec<&[u8]> = self.fields.iter().map(Vec::as_slice).collect();
        while let Some(shard) = self.shards.last() {
            if self.slices.is_empty() {
                let range = self.range.intersect(&shard.range);
                let (name, bytes_max) = (&self.measurement, SLICE_BYTES_MAX);
                self.slices = shard.slices(name, self.id, &fields, range, bytes_max)?;
                if self.order == Order::Ascending {
                    self.slices.reverse();
                }
            }
            let rows = match self.slices.pop() {
                Some(slice) => shard.read(&self.measurement, self.id, &fields, slice)?,
                None => Rows::default(),
            };
            if self.slices.is_empty() {
                self.shards.pop();
            }
            if !rows.is_empty() {
                return Ok(Some(match self.order {
                    Order::Ascending => rows,
                    Order::Descending => reversed(rows),
                }));
            }
        }
        Ok(None)
    }
}

fn reversed(mut rows: Rows) -> Rows {
    rows.times_ns.reverse();
    for column in rows.columns.iter_mut().flatten() {
        reverse_column(column);
    }
    rows
}

fn reverse_column(column: &mut Column) {
    match &mut column.values {
        Values::Float(v) => v.reverse(),
        Values::Integer(v) => v.reverse(),
        Values::Unsigned(v) => v.reverse(),
        Values::Boolean(v) => v.reverse(),
        Values::String(v) => {
            let mut reversed = Strings::default();
            (0..v.len()).rev().for_each(|at| reversed.push(v.get(at)));
            *v = reversed;
        }
    }
    if let Validity::Some(bits) = &mut column.validity {
        let mut reversed = crate::rows::Bitmap::default();
        (0..bits.len())
            .rev()
            .for_each(|at| reversed.push(bits.get(at)));
        *bits = reversed;
    }
}

#[cfg(test)]
mod tests;
