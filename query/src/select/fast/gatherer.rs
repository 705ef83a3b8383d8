//! Copies the rows of many series, to be merged: all that fit, up to a limit, in columns for each series. With a
//! [`Bound`] it stops in each series behind what may be among the first rows of all.
//!
//! The first or the last row alone is taken from the statistics of its page where they tell it, so that nothing is
//! decoded.

use std::collections::BinaryHeap;

use tandem_model::TimeRange;
use tandem_store::{Batch, Flow, Order, Segment, StoreError, Visitor};

use super::cells::load;
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

/// The times of the first rows of all that were seen so far: what lies behind them is none of the first.
#[derive(Debug)]
pub(super) struct Bound {
    rows_max: usize,
    /// The last one on top.
    keys: BinaryHeap<i64>,
    ascending: bool,
}

impl Bound {
    /// Of the first `rows_max` rows, at least one.
    pub(super) fn new(rows_max: usize, ascending: bool) -> Self {
        Self {
            rows_max: rows_max.max(1),
            keys: BinaryHeap::new(),
            ascending,
        }
    }

    /// What is less comes first.
    const fn key(&self, time_ns: i64) -> i64 {
        if self.ascending { time_ns } else { !time_ns }
    }

    /// Whether a row of this time is none of the first.
    fn excludes(&self, time_ns: i64) -> bool {
        let is_full = self.keys.len() >= self.rows_max;
        is_full
            && self
                .keys
                .peek()
                .is_some_and(|last| self.key(time_ns) > *last)
    }

    /// Takes a row of this time; false where it is none of the first.
    fn take(&mut self, time_ns: i64) -> bool {
        if self.excludes(time_ns) {
            return false;
        }
        self.keys.push(self.key(time_ns));
        if self.keys.len() > self.rows_max {
            self.keys.pop();
        }
        true
    }

    /// What so many rows take at most, as the list of them grows.
    const fn bytes_of(rows: usize) -> usize {
        2 * size_of::<i64>() * rows
    }
}

/// Copies the rows of many series.
pub(super) struct Gatherer<'s, 'p> {
    pub(super) selection: &'s Selection<'p>,
    /// What is copied of the rows.
    pub(super) columns: &'s [Source],
    pub(super) members: &'s [Member],
    /// What ends a series early.
    pub(super) bound: Option<Bound>,
    /// What may be held.
    pub(super) bytes_max: usize,
    pub(super) found: Vec<Gathered>,
    pub(super) ascending: bool,
    /// Rows of each series.
    pub(super) limit: usize,
    /// Whether only the outermost row of a series is wanted, whatever it holds.
    pub(super) ends: bool,
    /// Whether rows have to fit a condition.
    pub(super) filtered: bool,
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
        // The row behind those that may be among the first stays: the order of others depends on it.
        let bound = self.bound.as_mut();
        let beyond = bound.and_then(|bound| {
            let times_ns = batch.times_ns();
            rows.iter()
                .position(|row| !bound.take(times_ns[*row as usize]))
        });
        rows.truncate(beyond.map_or(wanted, |last| last + 1));
        let is_last = beyond.is_some() || rows.len() == wanted;
        // What lies behind the last row that is wanted is not read.
        let read = match rows.last() {
            Some(last) if is_last && self.ascending => *last as usize + 1,
            Some(last) if is_last => count - *last as usize,
            _ => count,
        };
        self.points += read as u64;
        for source in self.columns {
            if let Source::Field(field, _) = source {
                let loaded = load(batch, *field);
                loaded.map_err(|why| Failure::Error(why.into()))?;
            }
        }
        let mut bytes = found.bytes_of(batch, &rows, self.columns);
        if self.bound.is_some() {
            bytes += Bound::bytes_of(rows.len());
        }
        if self.bytes + bytes > self.bytes_max {
            return Err(Failure::TooMuch);
        }
        self.meter.grow(bytes).map_err(error)?;
        self.bytes += bytes;
        found.append(batch, &rows, self.columns);
        Ok(if is_last || found.len() >= self.limit {
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
        let values: Option<Vec<Value>> = self.columns.iter().map(value).collect();
        let Some(values) = values else {
            return Ok(false);
        };
        self.meter.check()?;
        if let Some(bound) = &mut self.bound {
            bound.take(time_ns);
        }
        let bytes = self.found[series].push(time_ns, values.into_iter(), self.columns);
        self.meter.grow(bytes)?;
        self.bytes += bytes;
        self.points += 1;
        if self.bytes > self.bytes_max {
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

    fn wants_statistics(&self, range: TimeRange) -> bool {
        let first_ns = match self.ascending {
            true => range.min_ns,
            false => range.max_ns,
        };
        // Of what lies behind the first rows, only that it is there is wanted.
        let is_beyond = |bound: &Bound| bound.excludes(first_ns);
        self.ends || !self.filtered && self.bound.as_ref().is_some_and(is_beyond)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_tightens_and_keeps_equal_times() {
        let mut rising = Bound::new(2, true);
        assert!([9, 7].into_iter().all(|time_ns| rising.take(time_ns)));
        assert!(!rising.excludes(9) && rising.excludes(10));
        assert!(rising.take(3));
        assert!(rising.excludes(8) && !rising.take(8) && rising.take(7));
        let mut falling = Bound::new(1, false);
        assert!(falling.take(i64::MIN) && falling.take(5) && falling.take(i64::MAX));
        assert!(falling.excludes(i64::MAX - 1) && !falling.excludes(i64::MAX));
    }
}
