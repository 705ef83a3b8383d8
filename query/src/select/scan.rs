//! Reads the rows of one series as points.

use std::rc::Rc;

use tandem_influxql::ast::{DataType, VarRef};
use tandem_model::TimeRange;
use tandem_store::{Order, Rows, SeriesReader, Values};

use super::groups::PlannedSeries;
use super::names::Names;
use super::plan::{Leaf, Slotted};
use super::point::{Point, Points, Tags};
use super::window::Options;
use crate::error::Error;
use crate::meter::{Held, Meter};
use crate::result::Value;
use crate::scalar::Scalar;

/// Bytes of a scan that is not open, with its place among those that are merged, about.
const SCAN_BYTES: usize = 768;
/// Bytes of an open one, beside its rows, about.
const READER_BYTES: usize = 1_024;

/// Where one value of a point comes from.
#[derive(Clone, Debug, PartialEq)]
enum From {
    /// A field, cast to a type.
    Field(usize, Option<DataType>),
    /// A tag of the series, by its place among the tags that are read.
    Tag(usize),
    /// Nowhere.
    Nothing,
}

/// What is read of each series of a leaf.
#[derive(Debug)]
pub(crate) struct Columns {
    /// The fields to read.
    fields: Names,
    /// The tags to look up.
    tags: Vec<String>,
    /// The value of the point; `None` when only what is selected beside it counts.
    driver: Option<From>,
    aux: Vec<From>,
    conditions: Vec<From>,
}

impl Columns {
    /// What has to be read of `leaf` for a driver and the references beside it; `None` when the
    /// measurement has no such field, so that no series of it has any point.
    pub(crate) fn new(
        leaf: &Leaf,
        driver: Option<&VarRef>,
        aux: &[Slotted<VarRef>],
    ) -> Option<Self> {
        let mut columns = Self {
            fields: Names::default(),
            tags: Vec::new(),
            driver: None,
            aux: Vec::new(),
            conditions: Vec::new(),
        };
        if let Some(driver) = driver {
            match columns.source(leaf, driver) {
                field @ From::Field(..) => columns.driver = Some(field),
                _ => return None,
            }
        }
        columns.aux = aux
            .iter()
            .map(|reference| columns.source(leaf, &reference.what))
            .collect();
        if driver.is_none()
            && !columns
                .aux
                .iter()
                .any(|from| matches!(from, From::Field(..)))
        {
            return None;
        }
        columns.conditions = leaf
            .conditions
            .iter()
            .map(|reference| columns.source(leaf, reference))
            .collect();
        Some(columns)
    }

    fn source(&mut self, leaf: &Leaf, reference: &VarRef) -> From {
        let is_field = reference.data_type != Some(DataType::Tag)
            && leaf.measurement.field(&reference.name).is_some();
        if is_field {
            let name = reference.name.as_bytes();
            let at = self.fields.place(name);
            return From::Field(at, reference.data_type);
        }
        match reference.data_type {
            None | Some(DataType::Tag) => {
                self.tags.push(reference.name.clone());
                From::Tag(self.tags.len() - 1)
            }
            Some(_) => From::Nothing,
        }
    }
}

/// The points of one series.
pub(crate) struct Scan<'a> {
    leaf: &'a Leaf,
    columns: Rc<Columns>,
    held: Held<'a>,
    series: &'a PlannedSeries,
    range: TimeRange,
    order: Order,
    tags: Tags,
    /// The values of the tags that the columns name, in their order; null where the series has none.
    tag_values: Vec<Value>,
    state: State,
    slots: Vec<Value>,
}

/// A scan opens its series when its first point is asked for.
enum State {
    Closed,
    Open {
        reader: Box<SeriesReader>,
        rows: Rows,
        at: usize,
    },
    Done,
}

impl<'a> Scan<'a> {
    /// The points of `series` in the range of `options`; `group_by` are the tags that they carry.
    ///
    /// # Errors
    /// When there is no memory for one more.
    pub(crate) fn new(
        leaf: &'a Leaf,
        columns: Rc<Columns>,
        series: &'a PlannedSeries,
        group_by: &[String],
        options: &Options,
        meter: &'a Meter<'a>,
    ) -> Result<Self, Error> {
        let mut held = Held::new(meter);
        held.grow(SCAN_BYTES + columns.aux.len() * size_of::<Value>())?;
        let order = if options.ascending {
            Order::Ascending
        } else {
            Order::Descending
        };
        let tags = Tags::new(leaf.tag_values(series.id, group_by));
        let range = options.range;
        let tag_values = leaf.tags(series.id, &columns.tags);
        Ok(Self {
            leaf,
            columns,
            held,
            series,
            range,
            order,
            tags,
            tag_values,
            state: State::Closed,
            slots: Vec::new(),
        })
    }

    fn open(&self) -> State {
        if self.range.is_empty() {
            return State::Done;
        }
        let fields: Vec<&[u8]> = self.columns.fields.iter().map(Vec::as_slice).collect();
        let reader =
            self.leaf
                .measurement
                .view
                .read(self.series.id, &fields, self.range, self.order);
        State::Open {
            reader: Box::new(reader),
            rows: Rows::default(),
            at: 0,
        }
    }

    /// The point of row `at`; `None` when it has no value or does not fit the condition.
    fn point(&mut self, rows: &Rows, at: usize) -> Option<Point> {
        let columns = self.columns.clone();
        let value = match &columns.driver {
            Some(driver) => {
                let value = self.value(driver, rows, at);
                if value.is_null() {
                    return None;
                }
                value
            }
            None => Value::Null,
        };
        let aux: Vec<Value> = columns
            .aux
            .iter()
            .map(|from| self.value(from, rows, at))
            .collect();
        if columns.driver.is_none() {
            let is_written = |(from, value): (&From, &Value)| {
                matches!(from, From::Field(..)) && !value.is_null()
            };
            if !columns.aux.iter().zip(&aux).any(is_written) {
                return None;
            }
        }
        if let Some(residual) = &self.series.residual
            && !self.fits(residual, rows, at)
        {
            return None;
        }
        let time_ns = *rows.times_ns.get(at)?;
        Some(Point {
            time_ns,
            tags: self.tags.clone(),
            value,
            aux,
        })
    }

    fn fits(&mut self, residual: &Scalar, rows: &Rows, at: usize) -> bool {
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        slots.extend(
            self.columns
                .conditions
                .iter()
                .map(|from| self.value(from, rows, at)),
        );
        let fits = residual.is_true(&slots);
        self.slots = slots;
        fits
    }

    fn value(&self, from: &From, rows: &Rows, at: usize) -> Value {
        match from {
            From::Field(column, data_type) => {
                let column = rows.columns.get(*column).and_then(Option::as_ref);
                let value = column.and_then(|column| column.get(at)).map(Value::from);
                match (value, data_type) {
                    (Some(value), Some(data_type)) => value.cast(*data_type).unwrap_or(Value::Null),
                    (value, _) => value.unwrap_or(Value::Null),
                }
            }
            From::Tag(at) => self.tag_values.get(*at).cloned().unwrap_or(Value::Null),
            From::Nothing => Value::Null,
        }
    }
}

/// Bytes of a batch of rows.
fn bytes_of(rows: &Rows) -> usize {
    let columns = rows
        .columns
        .iter()
        .flatten()
        .map(|column| match &column.values {
            Values::Boolean(values) => values.len(),
            Values::String(values) => values.iter().map(|text| text.len() + 4).sum(),
            values => values.len() * 8,
        });
    rows.len() * 8 + columns.sum::<usize>()
}

impl Points for Scan<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Ok(None),
                State::Closed => self.state = self.open(),
                State::Open {
                    mut reader,
                    rows,
                    at,
                } if at >= rows.len() => {
                    let meter = self.held.meter();
                    meter.check()?;
                    drop(rows);
                    if let Some(rows) = meter.reading(|| reader.next())? {
                        self.held.set(SCAN_BYTES + READER_BYTES + bytes_of(&rows))?;
                        self.state = State::Open {
                            reader,
                            rows,
                            at: 0,
                        };
                    } else {
                        self.held.set(SCAN_BYTES)?;
                    }
                }
                State::Open { reader, rows, at } => {
                    let point = self.point(&rows, at);
                    self.state = State::Open {
                        reader,
                        rows,
                        at: at + 1,
                    };
                    self.held.meter().count_point()?;
                    if point.is_some() {
                        return Ok(point);
                    }
                }
            }
        }
    }
}
