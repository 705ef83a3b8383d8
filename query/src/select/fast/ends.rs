//! `first()` and `last()` of the whole range: each series is read from that end, until it has a value.
//!
//! Mostly the statistics of the outermost page say it, and nothing is decoded. Of several series the
//! plain executor looks at the two points that come first when all are merged by time; one point of each
//! series is enough for that, because two points of one series never have the same time.

use tandem_influxql::ast::DataType;
use tandem_store::{Batch, Flow, Order, Segment, StoreError, Summary, Visitor};

use super::cells::cast_cell;
use super::filter::Rows;
use super::sweep::{Sweep, has_type};
use crate::error::Error;
use crate::paths::Path;
use crate::result::Value;

/// For each member of a sweep, the value of each function and its time.
pub(super) type Ends = Vec<Vec<Option<(i64, Value)>>>;
/// Bytes of one of them, but for those of a string.
pub(super) const FOUND_BYTES: usize = size_of::<Option<(i64, Value)>>();

/// Finds the values of the sweep's functions, all of them `first()` for an ascending order and `last()`
/// for a descending one.
pub(super) fn ends(sweep: &Sweep<'_>, order: Order) -> Result<Ends, Error> {
    let wants = sweep.wants;
    let Some(range) = wants.iter().map(|want| want.range).next() else {
        return Ok(Vec::new());
    };
    let ids: Vec<_> = sweep.members.iter().map(|member| member.id).collect();
    let mut finder = Finder {
        sweep,
        order,
        has_filters: sweep.members.iter().any(|member| member.filter.is_some()),
        found: vec![vec![None; wants.len()]; ids.len()],
        fits: Vec::new(),
        flow: Flow::On,
        failed: None,
    };
    sweep.scan(range, order, &ids, &mut finder)?;
    match finder.failed {
        Some(error) => Err(error),
        None => Ok(finder.found),
    }
}

struct Finder<'s> {
    sweep: &'s Sweep<'s>,
    order: Order,
    has_filters: bool,
    found: Ends,
    fits: Vec<bool>,
    /// After the last statistics.
    flow: Flow,
    failed: Option<Error>,
}

impl Finder<'_> {
    fn after(&self, series: usize) -> Flow {
        let wants = self.sweep.wants.iter().zip(&self.found[series]);
        // A field that the measurement does not have is never found.
        let is_done = wants
            .into_iter()
            .all(|(want, found)| found.is_some() || want.field.is_none());
        if is_done { Flow::SeriesDone } else { Flow::On }
    }

    fn take(&mut self, series: usize, batch: &mut Batch<'_, '_>) -> Result<(), Error> {
        let member = &self.sweep.members[series];
        let fitting = match &member.filter {
            None => Rows::All,
            Some(filter) => filter.fitting(batch, &mut self.fits)?,
        };
        let rows = batch.times_ns().len();
        self.sweep.meter.count_points(rows as u64)?;
        let count = match &fitting {
            Rows::None => return Ok(()),
            Rows::All => rows,
            Rows::Some(some) => some.len(),
        };
        for (at, want) in self.sweep.wants.iter().enumerate() {
            let Some(field) = want.field.filter(|_| self.found[series][at].is_none()) else {
                continue;
            };
            batch.load(field)?;
            let Some(column) = batch.column(field) else {
                continue;
            };
            for step in 0..count {
                let nth = match self.order {
                    Order::Ascending => step,
                    Order::Descending => count - 1 - step,
                };
                let row = match &fitting {
                    Rows::Some(some) => some[nth] as usize,
                    _ => nth,
                };
                let value = cast_cell(Some(&column), row, Some(want.data_type));
                if value != Value::Null {
                    self.found[series][at] = Some((batch.times_ns()[row], value));
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Visitor for Finder<'_> {
    fn wants_statistics(&self, _: tandem_model::TimeRange) -> bool {
        !self.has_filters
    }

    fn statistics(&mut self, series: usize, segment: &Segment<'_>) -> bool {
        let wants = self.sweep.wants;
        let mut values = Vec::with_capacity(wants.len());
        for (at, want) in wants.iter().enumerate() {
            let statistics = want.field.and_then(|field| *segment.fields.get(field)?);
            let is_open = self.found[series][at].is_none();
            let Some(found) = statistics.filter(|found| is_open && found.count > 0) else {
                continue;
            };
            let value = match &found.summary {
                Some(summary) if has_type(found, want) => end(summary, self.order),
                _ => return false,
            };
            let time_ns = match self.order {
                Order::Ascending => found.first_ns,
                Order::Descending => found.last_ns,
            };
            values.push((at, time_ns, value));
        }
        self.sweep.paths.took(Path::Statistics);
        for (at, time_ns, value) in values {
            self.found[series][at] = Some((time_ns, value));
        }
        self.flow = self.after(series);
        true
    }

    fn rows(&mut self, series: usize, batch: &mut Batch<'_, '_>) -> Result<Flow, StoreError> {
        if let Err(error) = self.take(series, batch) {
            self.failed = Some(error);
            return Ok(Flow::Stop);
        }
        self.flow = self.after(series);
        Ok(self.flow)
    }

    fn flow(&self) -> Flow {
        self.flow
    }

    fn begin(&mut self, _: usize) {
        self.flow = Flow::On;
    }
}

/// Whether a summary is of values of this type, so that it says what the rows would.
pub(super) const fn summary_is(summary: &Summary, data_type: DataType) -> bool {
    matches!(
        (summary, data_type),
        (Summary::Float(_), DataType::Float)
            | (Summary::Integer(_), DataType::Integer)
            | (Summary::Unsigned(_), DataType::Unsigned)
    )
}

/// The value at the end where an order begins.
pub(super) fn end(summary: &Summary, order: Order) -> Value {
    let is_first = order == Order::Ascending;
    match summary {
        Summary::Float(f) => Value::Float(if is_first { f.first } else { f.last }),
        Summary::Integer(f) => Value::Integer(if is_first { f.first } else { f.last }),
        Summary::Unsigned(f) => Value::Unsigned(if is_first { f.first } else { f.last }),
    }
}

#[cfg(test)]
mod tests {
    use tandem_store::Figures;

    use super::*;

    #[test]
    fn an_end_is_that_of_the_order() {
        let summary = Summary::Integer(Figures {
            min: 1,
            max: 9,
            sum: 20,
            first: 3,
            last: 4,
        });
        assert_eq!(end(&summary, Order::Ascending), Value::Integer(3));
        assert_eq!(end(&summary, Order::Descending), Value::Integer(4));
    }
}
