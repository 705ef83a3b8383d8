//! Functions from point to point: the rate of change, running sums and averages, the area under the
//! curve, indicators of technical analysis, forecasts.
//!
//! Each series of the group has a state of its own, which takes one point and may yield one.
//! Definitions are those of `influxdata/influxdb query/functions.go`.

mod forecast;
mod simplex;
mod technical;

use std::collections::{BTreeMap, VecDeque};

use tandem_model::MIN_TIME_NS;

use super::point::{Point, Points, SERIES_BYTES, Stream, Tags};
use super::window::Options;
use crate::error::Error;
use crate::meter::{Held, Meter};
use crate::result::Value;

use forecast::HoltWinters;
pub(crate) use technical::Technical;

/// Which function is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Transform {
    /// The change in so many nanoseconds.
    Derivative { unit_ns: i64, non_negative: bool },
    /// The change from point to point.
    Difference { non_negative: bool },
    /// The running sum.
    CumulativeSum,
    /// The mean of so many points.
    MovingAverage(usize),
    /// The time from point to point, in units of so many nanoseconds.
    Elapsed { unit_ns: i64 },
    /// The area under the curve, where so many nanoseconds are one; one point for each window.
    Integral { unit_ns: i64 },
    /// An indicator of technical analysis.
    Technical(Technical),
    /// A forecast of so many points, with seasons of so many; the fitted values before it if wanted.
    Forecast {
        horizon: usize,
        season: usize,
        with_fit: bool,
    },
}

/// The points that `transform` makes of `input`.
pub(crate) fn transformed<'a>(
    input: Stream<'a>,
    transform: Transform,
    options: &Options,
    meter: &'a Meter<'a>,
) -> Stream<'a> {
    Box::new(Stage {
        input,
        transform,
        options: options.clone(),
        series: BTreeMap::new(),
        rest: None,
        held: Held::new(meter),
    })
}

struct Stage<'a> {
    input: Stream<'a>,
    transform: Transform,
    options: Options,
    /// Each with the bytes that are accounted for it.
    series: BTreeMap<Tags, (Box<dyn State>, usize)>,
    /// What was left at the end of the input.
    rest: Option<std::vec::IntoIter<Point>>,
    held: Held<'a>,
}

impl Points for Stage<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        if let Some(rest) = &mut self.rest {
            return Ok(rest.next());
        }
        let made = |tags: Tags, (time_ns, value)| Point {
            time_ns,
            tags,
            value,
            aux: Vec::new(),
        };
        while let Some(point) = self.input.next()? {
            if point.value.is_null() {
                continue;
            }
            if !self.series.contains_key(&point.tags) {
                self.held.grow(SERIES_BYTES)?;
                let state = self.transform.state(&self.options);
                self.series.insert(point.tags.clone(), (state, 0));
            }
            let Some((state, bytes)) = self.series.get_mut(&point.tags) else {
                continue;
            };
            let result = state.add(point.time_ns, point.value);
            let now = state.bytes();
            if now > *bytes {
                self.held.grow(now - *bytes)?;
                *bytes = now;
            }
            if let Some(result) = result {
                return Ok(Some(made(point.tags, result)));
            }
        }
        let mut rest: Vec<Point> = Vec::new();
        for (tags, (mut state, _)) in std::mem::take(&mut self.series) {
            let mut held = Held::new(self.held.meter());
            let results = state.finish(&mut held)?;
            self.held.grow(results.len() * size_of::<Point>())?;
            rest.extend(results.into_iter().map(|result| made(tags.clone(), result)));
        }
        Ok(self.rest.insert(rest.into_iter()).next())
    }
}

/// A time in nanoseconds and the value there.
type Sample = (i64, Value);

/// What a function remembers of one series.
trait State {
    /// Takes a point whose value is not null; may yield one.
    fn add(&mut self, time_ns: i64, value: Value) -> Option<Sample>;

    /// Bytes of the points that it keeps.
    fn bytes(&self) -> usize {
        0
    }

    /// Called once, after the last point; may yield more. What it needs meanwhile goes to `held`.
    fn finish(&mut self, held: &mut Held<'_>) -> Result<Vec<Sample>, Error> {
        let _ = held;
        Ok(Vec::new())
    }
}

impl Transform {
    fn state(self, options: &Options) -> Box<dyn State> {
        match self {
            Self::Derivative {
                unit_ns,
                non_negative,
            } => Box::new(Derivative {
                unit_ns,
                non_negative,
                ascending: options.ascending,
                current: None,
            }),
            Self::Difference { non_negative } => Box::new(Difference {
                non_negative,
                current: None,
            }),
            Self::CumulativeSum => Box::new(CumulativeSum(None)),
            Self::MovingAverage(count) => Box::new(MovingAverage {
                count,
                recent: VecDeque::new(),
                sum: None,
            }),
            Self::Elapsed { unit_ns } => Box::new(Elapsed {
                unit_ns,
                previous_ns: None,
            }),
            Self::Integral { unit_ns } => Box::new(Integral {
                unit_ns,
                sum: 0.0,
                previous: None,
                window: (0, 0),
                options: options.clone(),
            }),
            Self::Technical(technical) => technical.state(),
            Self::Forecast {
                horizon,
                season,
                with_fit,
            } => Box::new(HoltWinters {
                horizon,
                season,
                with_fit,
                interval_ns: options.interval.duration_ns,
                points: Vec::new(),
            }),
        }
    }
}

/// `new - old`, in the type of both.
fn subtract(new: &Value, old: &Value) -> Option<Value> {
    Some(match (new, old) {
        (Value::Float(a), Value::Float(b)) => Value::Float(a - b),
        (Value::Integer(a), Value::Integer(b)) => Value::Integer(a.wrapping_sub(*b)),
        (Value::Unsigned(a), Value::Unsigned(b)) => Value::Unsigned(a.wrapping_sub(*b)),
        _ => return None,
    })
}

fn add(a: &Value, b: &Value) -> Option<Value> {
    Some(match (a, b) {
        (Value::Float(a), Value::Float(b)) => Value::Float(a + b),
        (Value::Integer(a), Value::Integer(b)) => Value::Integer(a.wrapping_add(*b)),
        (Value::Unsigned(a), Value::Unsigned(b)) => Value::Unsigned(a.wrapping_add(*b)),
        _ => return None,
    })
}

struct Derivative {
    unit_ns: i64,
    non_negative: bool,
    ascending: bool,
    current: Option<Sample>,
}

impl State for Derivative {
    fn add(&mut self, time_ns: i64, value: Value) -> Option<Sample> {
        // Of several points at one time the first counts.
        if self.current.as_ref().is_some_and(|(at, _)| *at == time_ns) {
            return None;
        }
        let previous = self.current.replace((time_ns, value.clone()));
        let (before_ns, before) = previous?;
        let change = match (&value, &before) {
            (Value::Unsigned(a), Value::Unsigned(b)) if a < b => -((b - a) as f64),
            _ => subtract(&value, &before)?.as_float()?,
        };
        let elapsed_ns = if self.ascending {
            time_ns.wrapping_sub(before_ns)
        } else {
            before_ns.wrapping_sub(time_ns)
        };
        if self.non_negative && change < 0.0 {
            return None;
        }
        Some((
            time_ns,
            Value::Float(change / (elapsed_ns as f64 / self.unit_ns as f64)),
        ))
    }
}

struct Difference {
    non_negative: bool,
    current: Option<Sample>,
}

impl State for Difference {
    fn add(&mut self, time_ns: i64, value: Value) -> Option<Sample> {
        // Of several points at one time the first counts.
        if self.current.as_ref().is_some_and(|(at, _)| *at == time_ns) {
            return None;
        }
        let previous = self.current.replace((time_ns, value.clone()));
        let (_, before) = previous?;
        let falls = value.compare(&before) == Some(std::cmp::Ordering::Less);
        if self.non_negative && falls {
            return None;
        }
        Some((time_ns, subtract(&value, &before)?))
    }
}

struct CumulativeSum(Option<Value>);

impl State for CumulativeSum {
    fn add(&mut self, time_ns: i64, value: Value) -> Option<Sample> {
        let sum = match &self.0 {
            Some(sum) => add(sum, &value)?,
            None => value,
        };
        self.0 = Some(sum.clone());
        Some((time_ns, sum))
    }
}

struct MovingAverage {
    count: usize,
    recent: VecDeque<Value>,
    sum: Option<Value>,
}

impl State for MovingAverage {
    fn add(&mut self, time_ns: i64, value: Value) -> Option<Sample> {
        if self.recent.len() == self.count
            && let Some(oldest) = self.recent.pop_front()
        {
            self.sum = self.sum.as_ref().and_then(|sum| subtract(sum, &oldest));
        }
        self.sum = match &self.sum {
            Some(sum) => add(sum, &value),
            None => Some(value.clone()),
        };
        self.recent.push_back(value);
        if self.recent.len() < self.count {
            return None;
        }
        Some((
            time_ns,
            Value::Float(self.sum.as_ref()?.as_float()? / self.count as f64),
        ))
    }

    fn bytes(&self) -> usize {
        self.recent.capacity() * size_of::<Value>()
    }
}

struct Elapsed {
    unit_ns: i64,
    previous_ns: Option<i64>,
}

impl State for Elapsed {
    fn add(&mut self, time_ns: i64, _: Value) -> Option<Sample> {
        let before_ns = self.previous_ns.replace(time_ns)?;
        Some((
            time_ns,
            Value::Integer(time_ns.wrapping_sub(before_ns) / self.unit_ns),
        ))
    }
}

/// The area under the curve, window by window.
///
/// InfluxDB has two ways here. Of floats, what is past the end of a window is taken from the point
/// where the curve crosses it. Of whole numbers it is taken from the value before the window, with
/// the crossing in the place of the value after it; and without windows their area has the time of
/// the start of the range.
struct Integral {
    unit_ns: i64,
    sum: f64,
    previous: Option<(i64, f64)>,
    /// Start and end of the window that is summed, in the order of time of the statement.
    window: (i64, i64),
    options: Options,
}

impl Integral {
    /// The area between two points.
    fn area(&self, from: (i64, f64), to: (i64, f64)) -> f64 {
        0.5 * (from.1 + to.1) * (to.0.wrapping_sub(from.0) as f64 / self.unit_ns as f64)
    }

    fn enter_window(&mut self, time_ns: i64) {
        let (start, end) = self.options.window(time_ns);
        self.window = if self.options.ascending {
            (start, end)
        } else {
            (end, start)
        };
    }
}

impl State for Integral {
    fn add(&mut self, time_ns: i64, value: Value) -> Option<Sample> {
        let is_whole = matches!(value, Value::Integer(_) | Value::Unsigned(_));
        let point = (time_ns, value.as_float()?);
        let has_windows = !self.options.interval.is_zero();
        let Some(mut previous) = self.previous.replace(point) else {
            if has_windows || is_whole {
                self.enter_window(time_ns);
            }
            if self.window.0 == MIN_TIME_NS {
                self.window.0 = 0;
            }
            return None;
        };
        if previous.0 == time_ns {
            return None;
        }
        let (start, end) = self.window;
        let past_window = if self.options.ascending {
            time_ns >= end
        } else {
            time_ns <= end
        };
        let mut finished = None;
        let mut to = point;
        if has_windows && past_window {
            if previous.0 != end {
                let slope = (point.1 - previous.1) / point.0.wrapping_sub(previous.0) as f64;
                let crossing = (
                    end,
                    slope * end.wrapping_sub(previous.0) as f64 + previous.1,
                );
                self.sum += self.area(previous, crossing);
                if is_whole {
                    previous.0 = end;
                    to.1 = crossing.1;
                } else {
                    previous = crossing;
                }
            }
            finished = Some((start, Value::Float(self.sum)));
            self.enter_window(time_ns);
            self.sum = 0.0;
        }
        self.sum += self.area(previous, to);
        finished
    }

    fn finish(&mut self, _: &mut Held<'_>) -> Result<Vec<Sample>, Error> {
        // A last point at the very start of a window spans no area.
        let (start, _) = self.window;
        let ends_later = self.previous.is_some_and(|(last_ns, _)| last_ns != start);
        let area = ends_later.then_some((start, Value::Float(self.sum)));
        Ok(area.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use tandem_influxql::ast::Fill;
    use tandem_model::TimeRange;

    use super::super::point::testing::{drain, given, point};
    use super::super::window::Interval;
    use super::*;
    use crate::context::Context;
    use crate::meter::testing::with_meter;

    #[track_caller]
    fn check<const N: usize>(
        transform: Transform,
        duration_ns: i64,
        points: Vec<Point>,
        expected: [(i64, Value); N],
    ) {
        let options = Options {
            range: TimeRange::ALL,
            interval: Interval {
                duration_ns,
                offset_ns: 0,
            },
            zone: None,
            ascending: true,
            fill: Fill::Null,
            limit: 0,
            offset: 0,
        };
        let found = with_meter(1 << 20, &Context::default(), |meter, _| {
            drain(transformed(given(points), transform, &options, meter))
        });
        let found: Vec<_> = found.into_iter().map(|p| (p.time_ns, p.value)).collect();
        assert_eq!(found, expected);
    }

    fn saw() -> Vec<Point> {
        vec![
            point(0, 1.0),
            point(10, 3.0),
            point(10, 9.0),
            point(20, ()),
            point(30, 2.0),
        ]
    }

    #[test]
    fn rates_of_change() {
        let derivative = |non_negative| Transform::Derivative {
            unit_ns: 5,
            non_negative,
        };
        check(
            derivative(false),
            0,
            saw(),
            [(10, 1.0.into()), (30, (-0.25).into())],
        );
        check(derivative(true), 0, saw(), [(10, 1.0.into())]);
        check(
            Transform::Difference {
                non_negative: false,
            },
            0,
            saw(),
            [(10, 2.0.into()), (30, (-1.0).into())],
        );
        check(
            Transform::Difference { non_negative: true },
            0,
            saw(),
            [(10, 2.0.into())],
        );
        let elapsed = Transform::Elapsed { unit_ns: 3 };
        check(
            elapsed,
            0,
            saw(),
            [(10, 3.into()), (10, 0.into()), (30, 6.into())],
        );
    }

    #[test]
    fn running_values() {
        let counts = || vec![point(1, 1), point(2, 2), point(3, 4)];
        check(
            Transform::CumulativeSum,
            0,
            counts(),
            [(1, 1.into()), (2, 3.into()), (3, 7.into())],
        );
        check(
            Transform::MovingAverage(2),
            0,
            counts(),
            [(2, 1.5.into()), (3, 3.0.into())],
        );
        check(Transform::MovingAverage(4), 0, counts(), []);
    }

    #[test]
    fn the_area_is_cut_at_windows() {
        let integral = Transform::Integral { unit_ns: 1 };
        let line = || vec![point(0, 0.0), point(20, 20.0)];
        check(
            integral,
            0,
            vec![point(5, 1.0), point(15, 1.0)],
            [(0, 10.0.into())],
        );
        check(integral, 10, line(), [(0, 50.0.into())]);
    }

    #[test]
    fn series_have_states_of_their_own() {
        let of = |host: &str, t: i64, v: i64| Point {
            tags: Tags::new(vec![host.into()]),
            ..point(t, v)
        };
        let points = vec![of("a", 1, 1), of("b", 2, 10), of("a", 3, 2), of("b", 4, 20)];
        let difference = Transform::Difference {
            non_negative: false,
        };
        check(difference, 0, points, [(3, 1.into()), (4, 10.into())]);
    }
}
