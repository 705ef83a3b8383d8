//! Puts the streams of a group side by side: one row for each time.
//!
//! Each function has a stream of its own; a row takes from each what it has at the row's time and
//! the statement's fill where it has nothing.

use tandem_influxql::ast::{Call, DataType, Fill};

use super::groups::compare_values;
use super::plan::{Level, Slotted};
use super::point::{Peek, Stream, Tags};
use super::window::Options;
use crate::error::Error;
use crate::meter::Meter;
use crate::result::Value;
use crate::scalar::IntegerDivision;

/// Rows between two looks at whether the query is still wanted: rows of empty windows are made without any
/// point being read.
const ROWS_PER_CHECK: u64 = 256;

/// The rows of a group.
pub(crate) struct Cursor<'a> {
    level: &'a Level,
    meter: &'a Meter<'a>,
    rows: u64,
    inputs: Vec<Input<'a>>,
    ascending: bool,
    /// What a slot gets that has no value; `None` leaves what it had in the row before.
    default: Option<Value>,
    slots: Vec<Value>,
    /// The series of the last row.
    tags: Option<Tags>,
}

/// A stream and where its values go.
struct Input<'a> {
    points: Peek<'a>,
    value: Option<(usize, Option<DataType>)>,
}

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    /// Nanoseconds.
    pub(crate) time_ns: i64,
    /// The series inside of the group.
    pub(crate) tags: Tags,
    /// A value for each column but time.
    pub(crate) values: Vec<Value>,
}

impl<'a> Cursor<'a> {
    /// A cursor without streams, which has no rows.
    pub(crate) fn new(level: &'a Level, options: &Options, meter: &'a Meter<'a>) -> Self {
        let default = match options.fill {
            Fill::Previous => None,
            Fill::Number(number) => Some(Value::from(number)),
            Fill::Null | Fill::None | Fill::Linear => Some(Value::Null),
        };
        let slots = vec![Value::Null; level.slots];
        Self {
            level,
            meter,
            rows: 0,
            inputs: Vec::new(),
            ascending: options.ascending,
            default,
            slots,
            tags: None,
        }
    }

    /// Adds the stream of a function, or the one that rows without functions are made of.
    pub(crate) fn add(&mut self, call: Option<&Slotted<Call>>, points: Stream<'a>) {
        let value = call.map(|call| (call.slot, call.data_type));
        self.inputs.push(Input {
            points: Peek::new(points),
            value,
        });
    }

    /// The next row.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, Error> {
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_PER_CHECK) {
            self.meter.check()?;
        }
        let mut next: Option<(Tags, i64)> = None;
        for input in &mut self.inputs {
            let Some(point) = input.points.peek()? else {
                continue;
            };
            let sooner = next.as_ref().is_none_or(|(tags, time_ns)| {
                let order = compare_values(&point.tags, tags).then(point.time_ns.cmp(time_ns));
                if self.ascending {
                    order.is_lt()
                } else {
                    order.is_gt()
                }
            });
            if sooner {
                next = Some((point.tags.clone(), point.time_ns));
            }
        }
        let Some((tags, time_ns)) = next else {
            return Ok(None);
        };
        if self.tags.as_ref() != Some(&tags) {
            self.slots.fill(Value::Null);
            self.tags = Some(tags.clone());
        }
        for at in 0..self.inputs.len() {
            self.take(at, &tags, time_ns)?;
        }
        // NaN is a value to a statement around this one.
        let values = self
            .level
            .outputs
            .iter()
            .map(|output| output.scalar.eval(&self.slots, IntegerDivision::Exact));
        Ok(Some(Row {
            time_ns,
            tags,
            values: values.collect(),
        }))
    }

    /// Takes the values of one stream into the row.
    fn take(&mut self, at: usize, tags: &Tags, time_ns: i64) -> Result<(), Error> {
        let Some(input) = self.inputs.get_mut(at) else {
            return Ok(());
        };
        let is_due = input
            .points
            .peek()?
            .is_some_and(|point| point.time_ns == time_ns && point.tags == *tags);
        let point = if is_due { input.points.next()? } else { None };
        let (value, aux) = match point {
            Some(point) => (point.value, point.aux),
            None => (Value::Null, Vec::new()),
        };
        if let Some((slot, data_type)) = input.value {
            set(
                &mut self.slots,
                slot,
                data_type,
                value,
                self.default.as_ref(),
            );
        }
        let mut aux = aux.into_iter();
        for reference in &self.level.references {
            let value = aux.next().unwrap_or(Value::Null);
            set(
                &mut self.slots,
                reference.slot,
                reference.data_type,
                value,
                self.default.as_ref(),
            );
        }
        Ok(())
    }
}

fn set(
    slots: &mut [Value],
    slot: usize,
    data_type: Option<DataType>,
    value: Value,
    default: Option<&Value>,
) {
    let value = match (value, default) {
        (Value::Null, None) => return,
        (Value::Null, Some(default)) => match data_type {
            Some(data_type) => default
                .clone()
                .cast(data_type)
                .unwrap_or_else(|| default.clone()),
            None => default.clone(),
        },
        (value, _) => value,
    };
    if let Some(place) = slots.get_mut(slot) {
        *place = value;
    }
}
