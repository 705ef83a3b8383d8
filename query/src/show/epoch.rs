//! What a condition asks of fields where no rows are shown.
//!
//! InfluxDB shows series, tag keys and the like as values at the epoch, and asks a condition's fields for what they
//! are at that time. A series has one such row at most, and only the first of what is shown of it finds it there; the
//! others find nothing. `SHOW SERIES` without a time asks the index instead, and nothing of this holds.

use roaring::RoaringBitmap;
use tandem_influxql::ast::{DataType, Expr, VarRef};
use tandem_model::{FieldType, SeriesId, TimeRange};
use tandem_store::{Order, View};

use super::EPOCH_NS;
use crate::error::Error;
use crate::meter::Meter;
use crate::predicate::Predicate;
use crate::result::Value;

/// The row that is asked.
const EPOCH: TimeRange = TimeRange::new(EPOCH_NS, EPOCH_NS);

/// The series of a measurement that fit a condition.
#[derive(Debug)]
pub(super) struct Fitting {
    /// Of which something is shown.
    pub(super) series: RoaringBitmap,
    /// Those among them that fit only by their row at the epoch: one thing is shown of each.
    pub(super) by_row: RoaringBitmap,
}

impl Fitting {
    /// The series that fit `condition` within `range`.
    ///
    /// # Errors
    /// A regular expression that does not compile; a file that cannot be read; when the statement is not wanted any
    /// more.
    pub(super) fn new(
        condition: Option<&Expr>,
        view: &View,
        measurement: &[u8],
        range: TimeRange,
        meter: &Meter<'_>,
    ) -> Result<Self, Error> {
        let mut by_row = RoaringBitmap::new();
        if condition.is_none() {
            let series = view.series(measurement);
            return Ok(Self { series, by_row });
        }
        let fields = view.fields(measurement);
        let predicate = Predicate::new(condition, view, measurement, &fields, meter)?;
        let asked = Asked::new(predicate.references(), &fields);
        let series = predicate.fitting(meter, |id, condition| {
            if condition.is_true(&asked.without_row(view, id)) {
                return Ok(true);
            }
            let fits = range.contains(EPOCH_NS)
                && asked
                    .at_the_epoch(view, id)?
                    .is_some_and(|row| condition.is_true(&row));
            if fits {
                by_row.insert(id.0);
            }
            Ok(fits)
        })?;
        Ok(Self { series, by_row })
    }

    /// Only the series of a group, if there are groups.
    pub(super) fn within(mut self, group: Option<&RoaringBitmap>) -> Self {
        if let Some(group) = group {
            self.series &= group;
            self.by_row &= group;
        }
        self
    }

    /// Those of which all is shown.
    pub(super) fn whole(&self) -> RoaringBitmap {
        &self.series - &self.by_row
    }
}

/// What conditions ask of a series.
struct Asked<'a> {
    references: Vec<VarRef>,
    fields: &'a [(Vec<u8>, FieldType)],
}

impl<'a> Asked<'a> {
    fn new(references: &[VarRef], fields: &'a [(Vec<u8>, FieldType)]) -> Self {
        Self {
            references: references.to_vec(),
            fields,
        }
    }

    fn is_field(&self, reference: &VarRef) -> bool {
        let name = reference.name.as_bytes();
        reference.data_type != Some(DataType::Tag)
            && self
                .fields
                .binary_search_by(|(field, _)| field.as_slice().cmp(name))
                .is_ok()
    }

    /// Where no field has a value.
    fn without_row(&self, view: &View, id: SeriesId) -> Vec<Value> {
        let tag = |reference: &VarRef| {
            let is_tag = matches!(reference.data_type, None | Some(DataType::Tag));
            if self.is_field(reference) || !is_tag {
                return Value::Null;
            }
            let values = view.tag_values_at(id, std::slice::from_ref(&reference.name));
            match values.and_then(|mut values| values.pop()) {
                Some(value) if !value.is_empty() => Value::String(value),
                _ => Value::Null,
            }
        };
        self.references.iter().map(tag).collect()
    }

    /// What the row at the epoch has, if there is one.
    fn at_the_epoch(&self, view: &View, id: SeriesId) -> Result<Option<Vec<Value>>, Error> {
        let fields = self.references.iter().filter(|name| self.is_field(name));
        let mut names: Vec<&[u8]> = fields.map(|field| field.name.as_bytes()).collect();
        names.sort_unstable();
        names.dedup();
        let mut reader = view.read(id, &names, EPOCH, Order::Ascending);
        let Some(rows) = reader.next()? else {
            return Ok(None);
        };
        let mut slots = self.without_row(view, id);
        for (slot, reference) in slots.iter_mut().zip(&self.references) {
            if !self.is_field(reference) {
                continue;
            }
            let at = names.binary_search(&reference.name.as_bytes()).ok();
            let column = at.and_then(|at| rows.columns.get(at)?.as_ref());
            let value = column.and_then(|column| column.get(0)).map(Value::from);
            let cast = |value: Value| match reference.data_type {
                Some(data_type) => value.cast(data_type),
                None => Some(value),
            };
            *slot = value.and_then(cast).unwrap_or(Value::Null);
        }
        Ok(Some(slots))
    }
}
