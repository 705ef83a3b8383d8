//! Runs an aggregate over the windows of a group.
//!
//! Input comes window by window; inside of a window it may mix the series of a subquery, each of
//! which is reduced for itself. One window is in memory at a time.

use std::collections::BTreeMap;

use super::aggregate::{Aggregate, Reducer};
use super::point::{Peek, Point, Points, SERIES_BYTES, Stream, Tags};
use super::window::Options;
use crate::error::Error;
use crate::meter::{Held, Meter};

/// The aggregate of each window of `input`; the points of a window are in order of time.
pub(crate) fn reduced<'a>(
    input: Stream<'a>,
    aggregate: Aggregate,
    options: &Options,
    meter: &'a Meter<'a>,
) -> Stream<'a> {
    Box::new(Reduce {
        input: Peek::new(input),
        aggregate,
        options: options.clone(),
        ready: Vec::new().into_iter(),
        grouping: Grouping::AsTheyAre,
        by_time: true,
        held: Held::new(meter),
    })
}

/// As [`reduced`], with the time of the window on each point, so that the points of a window are in
/// the order of their series.
pub(crate) fn reduced_and_stamped<'a>(
    input: Stream<'a>,
    aggregate: Aggregate,
    options: &Options,
    meter: &'a Meter<'a>,
) -> Stream<'a> {
    let reduced = Box::new(Reduce {
        input: Peek::new(input),
        aggregate,
        options: options.clone(),
        ready: Vec::new().into_iter(),
        grouping: Grouping::AsTheyAre,
        by_time: false,
        held: Held::new(meter),
    });
    Box::new(Stamp {
        input: reduced,
        options: options.clone(),
    })
}

/// As [`reduced`], over fewer groups than the points are in.
pub(crate) fn regrouped<'a>(
    input: Stream<'a>,
    aggregate: Aggregate,
    options: &Options,
    grouping: Grouping,
    meter: &'a Meter<'a>,
) -> Stream<'a> {
    Box::new(Reduce {
        input: Peek::new(input),
        aggregate,
        options: options.clone(),
        ready: Vec::new().into_iter(),
        grouping,
        by_time: true,
        held: Held::new(meter),
    })
}

/// Which points of a window are reduced together, and which tags the result has.
#[derive(Clone, Debug)]
pub(crate) enum Grouping {
    /// Those with equal tags; the result has them.
    AsTheyAre,
    /// Those that are equal in the tags at these places.
    By {
        /// Places among the tags of the points.
        kept: Vec<usize>,
        /// True when a point that is picked keeps all its tags.
        all_tags: bool,
    },
}

impl Grouping {
    fn key(&self, tags: &Tags) -> Tags {
        match self {
            Self::AsTheyAre => tags.clone(),
            Self::By { kept, .. } => Tags::new(
                kept.iter()
                    .filter_map(|at| tags.get(*at).cloned())
                    .collect(),
            ),
        }
    }
}

struct Reduce<'a> {
    input: Peek<'a>,
    aggregate: Aggregate,
    options: Options,
    /// The points of the last window that were not handed on yet.
    ready: std::vec::IntoIter<Point>,
    grouping: Grouping,
    /// Whether the points of a window are sorted by time, those of each series for themselves.
    by_time: bool,
    /// The points of one window.
    held: Held<'a>,
}

impl Reduce<'_> {
    /// The points of the next window; `None` at the end.
    fn window(&mut self) -> Result<Option<Vec<Point>>, Error> {
        let (start, end) = loop {
            match self.input.peek()? {
                None => return Ok(None),
                Some(point) if point.value.is_null() => {
                    self.input.next()?;
                }
                // Without windows there is the range, and InfluxDB stops at the first point outside: a row of a
                // subquery has the time of its window, which may begin before the range.
                Some(point)
                    if self.options.interval.is_zero()
                        && !self.options.range.contains(point.time_ns) =>
                {
                    return Ok(None);
                }
                Some(point) => {
                    // At the ends of time a window is cut short; its first point is in it all the same.
                    let (start, end) = self.options.window(point.time_ns);
                    let time_ns = point.time_ns;
                    break (start.min(time_ns), end.max(time_ns.saturating_add(1)));
                }
            }
        };
        self.held.set(0)?;
        // Each with the bytes that are accounted for it.
        let mut series: BTreeMap<Tags, (Box<dyn Reducer>, usize)> = BTreeMap::new();
        loop {
            let Some(next) = self.input.peek()? else {
                break;
            };
            let is_inside = start <= next.time_ns && next.time_ns < end;
            let is_null = next.value.is_null();
            // Rows of a subquery may leave a window and come back; with nothing but nulls between, it is
            // still the same one to functions that InfluxDB computes twice.
            let is_kept = is_inside || (is_null && self.aggregate.is_joined());
            if !is_kept {
                break;
            }
            let Some(point) = self.input.next()? else {
                break;
            };
            if is_null {
                continue;
            }
            let key = self.grouping.key(&point.tags);
            if !series.contains_key(&key) {
                self.held.grow(SERIES_BYTES)?;
                series.insert(key.clone(), (self.aggregate.reducer(), 0));
            }
            if let Some((reducer, bytes)) = series.get_mut(&key) {
                reducer.add(&point);
                let now = reducer.bytes();
                if now > *bytes {
                    self.held.grow(now - *bytes)?;
                    *bytes = now;
                }
            }
        }
        let all_tags = matches!(self.grouping, Grouping::By { all_tags: true, .. });
        let mut points = Vec::new();
        let mut emit = |(tags, (mut reducer, _)): (Tags, (Box<dyn Reducer>, usize))| {
            let first = points.len();
            points.extend(reducer.emit().into_iter().map(|reduced| {
                Point {
                    time_ns: reduced.time_ns.unwrap_or(start),
                    tags: reduced
                        .tags
                        .filter(|_| all_tags)
                        .unwrap_or_else(|| tags.clone()),
                    value: reduced.value,
                    aux: reduced.aux,
                }
            }));
            // Each series for itself.
            let own = points.get_mut(first..).unwrap_or_default();
            match (self.by_time, self.options.ascending) {
                (false, _) => {}
                (true, true) => own.sort_by_key(|point| point.time_ns),
                (true, false) => own.sort_by_key(|point| std::cmp::Reverse(point.time_ns)),
            }
        };
        if self.options.ascending {
            series.into_iter().for_each(&mut emit);
        } else {
            series.into_iter().rev().for_each(&mut emit);
        }
        Ok(Some(points))
    }
}

impl Points for Reduce<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        loop {
            if let Some(point) = self.ready.next() {
                return Ok(Some(point));
            }
            match self.window()? {
                Some(points) => self.ready = points.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

/// Gives each point the time of its window.
struct Stamp<'a> {
    input: Stream<'a>,
    options: Options,
}

impl Points for Stamp<'_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        Ok(self.input.next()?.map(|mut point| {
            point.time_ns = self.options.stamp(point.time_ns);
            point
        }))
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
    use crate::result::Value;

    fn options(duration_ns: i64, ascending: bool) -> Options {
        Options {
            range: TimeRange::ALL,
            interval: Interval {
                duration_ns,
                offset_ns: 0,
            },
            zone: None,
            ascending,
            fill: Fill::Null,
            limit: 0,
            offset: 0,
        }
    }

    fn run(
        aggregate: Aggregate,
        duration_ns: i64,
        ascending: bool,
        points: Vec<Point>,
    ) -> Vec<(i64, Value)> {
        let options = options(duration_ns, ascending);
        with_meter(1 << 20, &Context::default(), |meter, _| {
            drain(reduced_and_stamped(
                given(points),
                aggregate,
                &options,
                meter,
            ))
        })
        .into_iter()
        .map(|p| (p.time_ns, p.value))
        .collect()
    }

    #[test]
    fn each_window_is_reduced_for_itself() {
        let points = || {
            vec![
                point(1, 1),
                point(9, 2),
                point(3, 3),
                point(25, 4),
                point(27, ()),
                point(31, ()),
            ]
        };
        let up = run(Aggregate::Sum, 10, true, points());
        assert_eq!(up, [(0, 6.into()), (20, 4.into())]);
        let mut down = points();
        down.reverse();
        assert_eq!(
            run(Aggregate::Count, 10, false, down),
            [(20, 1.into()), (0, 3.into())]
        );
    }

    /// The last window is cut short by the end of time, whose last nanosecond was in no window: the
    /// stage waited for it for ever.
    #[test]
    fn the_last_nanosecond_is_in_a_window() {
        let points = vec![point(tandem_model::MAX_TIME_NS, 1)];
        assert_eq!(run(Aggregate::Count, 1_000, true, points).len(), 1);
        let points = vec![point(tandem_model::MIN_TIME_NS, 1)];
        assert_eq!(run(Aggregate::Count, 1_000, false, points).len(), 1);
    }

    #[test]
    fn without_windows_there_is_one_result_at_the_epoch() {
        let all = run(Aggregate::Max, 0, true, vec![point(5, 1.0), point(7, 3.0)]);
        assert_eq!(all, [(0, 3.0.into())]);
        assert_eq!(run(Aggregate::Max, 0, true, vec![]), []);
    }

    /// A median keeps every point of its window, a sum keeps none.
    #[test]
    fn points_that_are_kept_are_accounted() {
        let points = || (0..10_000).map(|t| point(t, t)).collect::<Vec<_>>();
        let options = options(0, true);
        with_meter(0, &Context::default(), |meter, _| {
            let mut sum = reduced(given(points()), Aggregate::Sum, &options, meter);
            assert_eq!(
                sum.next().unwrap().map(|p| p.value),
                Some(49_995_000.into())
            );
            let mut median = reduced(given(points()), Aggregate::Median, &options, meter);
            let error = median.next().unwrap_err().to_string();
            assert!(
                error.starts_with("query-bytes-max limit exceeded"),
                "{error}"
            );
        });
    }

    #[test]
    fn series_of_a_subquery_stay_apart() {
        let of = |host: &str, t: i64, v: i64| Point {
            tags: Tags::new(vec![host.into()]),
            ..point(t, v)
        };
        let points = vec![of("b", 1, 1), of("a", 2, 2), of("b", 3, 4)];
        let options = options(10, true);
        let sums = with_meter(0, &Context::default(), |meter, _| {
            drain(reduced(given(points), Aggregate::Sum, &options, meter))
        });
        let sums: Vec<_> = sums
            .iter()
            .map(|p| (&p.tags[0][..], p.value.clone()))
            .collect();
        assert_eq!(
            sums,
            [(b"a".as_slice(), 2.into()), (b"b".as_slice(), 5.into())]
        );
    }
}
