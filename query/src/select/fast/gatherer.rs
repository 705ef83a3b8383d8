//! Copies the rows of many series, to be merged: all that fit, up to a limit, in columns for each series.
//!
//! The first or the last row alone is taken from the statistics of its page where they tell it, so that nothing is
//! decoded.

use tandem_model::TimeRange;
use tandem_store::{Batch, Flow, Order, Segment, StoreError, Visitor};

use super::ends::{end, summary_is};
use super::filter::Rows;
use super::gather::Gathered;
use super::raw::{Selection, Source, rows_of};
use super::sweep::Member;
use crate::error::Error;
use crate::meter::Meter;
use crate::paths::{Path, Paths};
use crate::result::Value;

/// What is gathered at once.
pub(super) const GATHERED_BYTES_MAX: usize = 64 << 20;

/// Why gathering ended early.
pub(super) enum Failure {
    /// More rows than may be held.
    TooMuch,
    Error(Error),
}

/// Copies the rows of many series.
pub(super) struct Gatherer<'s, 'p> {
    pub(super) selection: &'s Selection<'p>,
    pub(super) members: &'s [Member],
    pub(super) found: Vec<Gathered>,
    pub(super) ascending: bool,
    /// Rows of each series.
    pub(super) limit: usize,
    /// Whether only the outermost row of a series is wanted, whatever it holds.
    pub(super) ends: bool,
    /// After the last statistics.
    pub(super) flow: Flow,
    pub(super) bytes: usize,
    /// Rows that were read: they count once it is known that nothing has to be read again.
    pub(super) points: u64,
    pub(super) fits: Vec<bool>,
    pub(super) meter: &'s Meter<'s>,
    pub(super) paths: &'s Paths,
    pub(super) failed: Option<Failure>,
}

impl Gatherer<'_, '_> {
    fn take(&mut self, series: usize, batch: &mut Batch<'_, '_>) -> Result<Flow, Failure> {
        let error = |error: Error| Failure::Error(error);
        self.meter.check().map_err(error)?;
        let count = batch.times_ns().len();
        let filter = self.members[series].filter.as_deref();
        let rows = rows_of(self.selection, filter, batch, &mut self.fits)
            .map_err(|why| Failure::Error(why.into()))?;
        let found = &mut self.found[series];
        let wanted = self.limit.saturating_sub(found.len());
        let mut rows: Vec<u32> = match (rows, self.ascending) {
            (Rows::None, _) => {
                self.points += count as u64;
                return Ok(Flow::On);
            }
            (Rows::All, true) => (0..count.min(wanted) as u32).collect(),
            (Rows::All, false) => {
                let first = count.saturating_sub(wanted) as u32;
                (first..count as u32).rev().collect()
            }
            (Rows::Some(rows), true) => rows,
            (Rows::Some(mut rows), false) => {
                rows.reverse();
                rows
            }
        };
        rows.truncate(wanted);
        // What lies behind the last row that is wanted is not read.
        let read = match rows.last() {
            Some(last) if rows.len() == wanted && self.ascending => *last as usize + 1,
            Some(last) if rows.len() == wanted => count - *last as usize,
            _ => count,
        };
        self.points += read as u64;
        let bytes = found.append(batch, &rows, &self.selection.columns);
        self.meter.grow(bytes).map_err(error)?;
        self.bytes += bytes;
        if self.bytes > GATHERED_BYTES_MAX {
            return Err(Failure::TooMuch);
        }
        Ok(if found.len() >= self.limit {
            Flow::SeriesDone
        } else {
            Flow::On
        })
    }
}

impl Gatherer<'_, '_> {
    /// Takes the outermost row of a segment from its statistics; false where they do not tell it. A field
    /// whose outermost value is of an earlier time, or a later one, has none in that row.
    fn take_end(&mut self, series: usize, segment: &Segment<'_>) -> Result<bool, Error> {
        let order = match self.ascending {
            true => Order::Ascending,
            false => Order::Descending,
        };
        let time_ns = match order {
            Order::Ascending => segment.range.min_ns,
            Order::Descending => segment.range.max_ns,
        };
        let value = |source: &Source| {
            let Source::Field(field, data_type) = source else {
                return Some(Value::Null);
            };
            let found = segment.fields.get(*field).copied().flatten();
            let Some(found) = found.filter(|found| found.count > 0) else {
                return Some(Value::Null);
            };
            let summary = found.summary.as_ref();
            let summary = summary.filter(|summary| summary_is(summary, *data_type))?;
            let found_ns = match order {
                Order::Ascending => found.first_ns,
                Order::Descending => found.last_ns,
            };
            Some(match found_ns == time_ns {
                true => end(summary, order),
                false => Value::Null,
            })
        };
        // A row is one where a field that is selected has a value.
        let mut has_value = false;
        for reference in &self.selection.references {
            let Some(value) = value(reference) else {
                return Ok(false);
            };
            has_value |= value != Value::Null;
        }
        if !has_value {
            return Ok(false);
        }
        let columns = self.selection.columns.iter();
        let values: Option<Vec<Value>> = columns.map(value).collect();
        let Some(values) = values else {
            return Ok(false);
        };
        self.meter.check()?;
        let columns = &self.selection.columns;
        let bytes = self.found[series].push(time_ns, values.into_iter(), columns);
        self.meter.grow(bytes)?;
        self.bytes += bytes;
        self.points += 1;
        if self.bytes > GATHERED_BYTES_MAX {
            self.failed = Some(Failure::TooMuch);
            self.flow = Flow::Stop;
        }
        Ok(true)
    }
}

impl Visitor for Gatherer<'_, '_> {
    fn begin(&mut self, _: usize) {
        self.flow = Flow::On;
    }

    fn wants_statistics(&self, _: TimeRange) -> bool {
        self.ends
    }

    fn statistics(&mut self, series: usize, segment: &Segment<'_>) -> bool {
        match self.take_end(series, segment) {
            Ok(true) => {
                self.paths.took(Path::Statistics);
                if self.failed.is_none() {
                    self.flow = Flow::SeriesDone;
                }
                true
            }
            Ok(false) => false,
            Err(error) => {
                self.failed = Some(Failure::Error(error));
                self.flow = Flow::Stop;
                true
            }
        }
    }

    fn flow(&self) -> Flow {
        self.flow
    }

    fn rows(&mut self, series: usize, batch: &mut Batch<'_, '_>) -> Result<Flow, StoreError> {
        Ok(self.take(series, batch).unwrap_or_else(|failure| {
            self.failed = Some(failure);
            Flow::Stop
        }))
    }
}
