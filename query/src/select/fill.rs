//! `fill(…)`: points for the windows that have none.
//!
//! Only windows between the bounds of the range are filled, and only in a group that has at least
//! one point. Windows are made one by one as they are asked for.

use tandem_influxql::ast::{DataType, Fill, FillValue};
use tandem_model::MIN_TIME_NS;

use super::point::{Peek, Point, Points, Stream, Tags};
use super::window::Options;
use crate::error::Error;
use crate::meter::Meter;
use crate::result::Value;

/// Windows between two looks at whether the query is still wanted.
const WINDOWS_PER_CHECK: u64 = 1_024;

impl From<FillValue> for Value {
    fn from(value: FillValue) -> Self {
        match value {
            FillValue::Integer(v) => Self::Integer(v),
            FillValue::Float(v) => Self::Float(v),
        }
    }
}

/// Fills the windows of `input`, whose points are stamped with the start of theirs.
///
/// `before` is what `fill(previous)` begins with; a series that it is of is filled even if it has no point.
/// `data_type` is the type of the values, `aux` how many values are selected beside each.
pub(crate) fn filled<'a>(
    input: Stream<'a>,
    before: Option<Point>,
    data_type: Option<DataType>,
    aux: usize,
    options: &Options,
    meter: &'a Meter<'a>,
) -> Stream<'a> {
    let (first, last) = if options.ascending {
        (options.range.min_ns, options.range.max_ns)
    } else {
        (options.range.max_ns, options.range.min_ns)
    };
    // The beginning of time is no window, whatever the offset: filling towards it would not end.
    let window = |time_ns| match time_ns {
        MIN_TIME_NS => MIN_TIME_NS,
        time_ns => options.window(time_ns).0,
    };
    let constant = match options.fill {
        Fill::Number(number) => {
            let number = Value::from(number);
            match data_type {
                Some(data_type) => number
                    .cast(data_type)
                    .unwrap_or_else(|| Value::zero(data_type)),
                None => number,
            }
        }
        _ => Value::Null,
    };
    Box::new(FillStage {
        input: Peek::new(input),
        before,
        first: window(first),
        last: window(last),
        constant,
        aux,
        options: options.clone(),
        series: None,
        meter,
        windows: 0,
    })
}

struct FillStage<'a> {
    input: Peek<'a>,
    before: Option<Point>,
    /// The start of the first window of the range, in the order of time of the statement.
    first: i64,
    /// The start of the last window.
    last: i64,
    /// What `fill(number)` fills with; null for any other fill.
    constant: Value,
    aux: usize,
    options: Options,
    series: Option<Series>,
    meter: &'a Meter<'a>,
    windows: u64,
}

/// Where the stage stands in a series.
struct Series {
    tags: Tags,
    /// The start of the window that comes next.
    window: i64,
    zone_offset_ns: i64,
    /// The last point that was not made here.
    previous: Option<(i64, Value)>,
}

impl FillStage<'_> {
    fn begin(&mut self, point: &Point) -> Series {
        let window = match self.first {
            MIN_TIME_NS => self.options.window(point.time_ns).0,
            first => first,
        };
        let before = self.before.take();
        let before = before.filter(|before| before.tags == point.tags);
        Series {
            tags: point.tags.clone(),
            window,
            zone_offset_ns: self.options.zone_offset_ns(window),
            previous: before.map(|before| (before.time_ns, before.value)),
        }
    }

    /// True while windows of the series are left to fill.
    fn has_windows(&self, series: &Series) -> bool {
        if self.options.ascending {
            series.window <= self.last
        } else {
            series.window >= self.last && self.last != MIN_TIME_NS
        }
    }

    /// The value of an empty window.
    fn value(&mut self, series: &Series) -> Result<Value, Error> {
        Ok(match self.options.fill {
            Fill::Number(_) => self.constant.clone(),
            Fill::Previous => series
                .previous
                .as_ref()
                .map_or(Value::Null, |(_, value)| value.clone()),
            Fill::Linear => {
                let duration_ns = self.options.interval.duration_ns;
                match (&series.previous, self.input.peek()?) {
                    (Some((time_ns, value)), Some(next)) if next.tags == series.tags => linear(
                        series.window / duration_ns,
                        (time_ns / duration_ns, value),
                        (next.time_ns / duration_ns, &next.value),
                    ),
                    _ => Value::Null,
                }
            }
            Fill::Null | Fill::None => Value::Null,
        })
    }

    fn advance(&self, series: &mut Series) {
        let duration_ns = self.options.interval.duration_ns;
        let step = if self.options.ascending {
            duration_ns
        } else {
            -duration_ns
        };
        series.window = series.window.saturating_add(step);
        if self.options.zone.is_some() {
            let zone_offset_ns = self.options.zone_offset_ns(series.window.saturating_sub(1));
            let change = series.zone_offset_ns - zone_offset_ns;
            if change != 0 && change.abs() < duration_ns {
                series.window = series.window.saturating_add(change);
            }
            series.zone_offset_ns = zone_offset_ns;
        }
    }
}

impl Points for FillStage<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        self.windows += 1;
        if self.windows.is_multiple_of(WINDOWS_PER_CHECK) {
            self.meter.check()?;
        }
        let next_tags = self.input.peek()?.map(|point| point.tags.clone());
        let mut series = match self.series.take() {
            Some(series)
                if next_tags.as_ref() == Some(&series.tags) || self.has_windows(&series) =>
            {
                series
            }
            _ => match self.input.peek()?.or(self.before.as_ref()).cloned() {
                Some(point) => self.begin(&point),
                None => return Ok(None),
            },
        };
        let ascending = self.options.ascending;
        let due = self.input.peek()?.is_some_and(|point| {
            let later = if ascending {
                point.time_ns > series.window
            } else {
                point.time_ns < series.window
            };
            point.tags == series.tags && !later
        });
        let point = match if due { self.input.next()? } else { None } {
            Some(point) => {
                series.previous =
                    (!point.value.is_null()).then(|| (point.time_ns, point.value.clone()));
                point
            }
            None => Point {
                time_ns: series.window,
                tags: series.tags.clone(),
                value: self.value(&series)?,
                aux: vec![Value::Null; self.aux],
            },
        };
        self.advance(&mut series);
        self.series = Some(series);
        Ok(Some(point))
    }
}

/// The value at `window` on the line from `from` to `to`, times counted in windows.
fn linear(window: i64, from: (i64, &Value), to: (i64, &Value)) -> Value {
    let span = to.0.wrapping_sub(from.0) as f64;
    let into = window.wrapping_sub(from.0) as f64;
    // What is too large becomes what a cast makes of it.
    let cast = |value: f64, data_type| {
        let value = Value::Float(value).cast(data_type);
        value.unwrap_or(Value::Null)
    };
    match (from.1, to.1) {
        (Value::Float(a), Value::Float(b)) => Value::Float((b - a) / span * into + a),
        (Value::Integer(a), Value::Integer(b)) => {
            let value = b.wrapping_sub(*a) as f64 / span * into + *a as f64;
            cast(value, DataType::Integer)
        }
        (Value::Unsigned(a), Value::Unsigned(b)) => {
            let value = b.wrapping_sub(*a) as f64 / span * into + *a as f64;
            cast(value, DataType::Unsigned)
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use tandem_model::TimeRange;

    use super::super::point::testing::{drain, given, point};
    use super::super::window::Interval;
    use super::*;
    use crate::context::Context;
    use crate::meter::testing::with_meter;

    fn run(fill: Fill, range: TimeRange, ascending: bool, points: Vec<Point>) -> Vec<(i64, Value)> {
        let options = Options {
            range,
            interval: Interval {
                duration_ns: 10,
                offset_ns: 0,
            },
            zone: None,
            ascending,
            fill,
            limit: 0,
            offset: 0,
        };
        let points = with_meter(0, &Context::default(), |meter, _| {
            let data_type = Some(DataType::Integer);
            drain(filled(given(points), None, data_type, 1, &options, meter))
        });
        assert!(
            points
                .iter()
                .all(|p| p.aux.is_empty() || p.aux == [Value::Null])
        );
        points.into_iter().map(|p| (p.time_ns, p.value)).collect()
    }

    fn some() -> Vec<Point> {
        vec![point(10, 1), point(40, 4)]
    }

    const RANGE: TimeRange = TimeRange::new(3, 55);

    #[test]
    fn fills_from_bound_to_bound() {
        let null = run(Fill::Null, RANGE, true, some());
        assert_eq!(
            null,
            [
                (0, ().into()),
                (10, 1.into()),
                (20, ().into()),
                (30, ().into()),
                (40, 4.into()),
                (50, ().into())
            ]
        );
        let previous = run(Fill::Previous, RANGE, true, some());
        assert_eq!(
            previous,
            [
                (0, ().into()),
                (10, 1.into()),
                (20, 1.into()),
                (30, 1.into()),
                (40, 4.into()),
                (50, 4.into())
            ]
        );
        let linear = run(Fill::Linear, RANGE, true, some());
        assert_eq!(
            linear,
            [
                (0, ().into()),
                (10, 1.into()),
                (20, 2.into()),
                (30, 3.into()),
                (40, 4.into()),
                (50, ().into())
            ]
        );
        let number = run(Fill::Number(FillValue::Float(7.9)), RANGE, true, some());
        assert_eq!(number[0], (0, 7.into()));
    }

    #[test]
    fn fills_downwards() {
        let down = run(
            Fill::Previous,
            RANGE,
            false,
            vec![point(40, 4), point(10, 1)],
        );
        let expected = [
            (50, ().into()),
            (40, 4.into()),
            (30, 4.into()),
            (20, 4.into()),
            (10, 1.into()),
            (0, 1.into()),
        ];
        assert_eq!(down, expected);
    }

    #[test]
    fn an_empty_group_stays_empty() {
        assert_eq!(
            run(Fill::Number(FillValue::Integer(0)), RANGE, true, vec![]),
            []
        );
    }

    #[test]
    fn without_a_lower_bound_the_first_point_begins() {
        let range = TimeRange::new(MIN_TIME_NS, 55);
        assert_eq!(
            run(Fill::Null, range, true, vec![point(40, 4)]),
            [(40, 4.into()), (50, ().into())]
        );
        let down = run(Fill::Null, range, false, vec![point(40, 4), point(20, 2)]);
        assert_eq!(
            down,
            [
                (50, ().into()),
                (40, 4.into()),
                (30, ().into()),
                (20, 2.into())
            ]
        );
    }

    #[test]
    fn each_series_is_filled_for_itself() {
        let of = |host: &str, t: i64| Point {
            tags: Tags::new(vec![host.into()]),
            ..point(t, t)
        };
        let range = TimeRange::new(0, 15);
        let filled = run(Fill::Previous, range, true, vec![of("a", 0), of("b", 10)]);
        assert_eq!(
            filled,
            [
                (0, 0.into()),
                (10, 0.into()),
                (0, ().into()),
                (10, 10.into())
            ]
        );
    }
}
