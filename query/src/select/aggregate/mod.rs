//! Functions that make one or a few points of all points of a window.
//!
//! A [`Reducer`] is made for each window and series; it takes the points in the order of the stage
//! before it and is asked once for the result. Definitions and tie-breaks are those of
//! `influxdata/influxdb query/functions.go` and `query/call_iterator.go`.

mod collect;
mod fold;
mod rank;
mod sort;

use super::point::{Point, Tags};
use crate::result::Value;

/// What a window comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reduced {
    /// The point's own time; `None` takes the start of the window.
    pub(crate) time_ns: Option<i64>,
    /// The value.
    pub(crate) value: Value,
    /// What was selected beside the value, where the point is one of those that came in.
    pub(crate) aux: Vec<Value>,
    /// The tags of the point that came in, where it is one.
    pub(crate) tags: Option<Tags>,
}

impl Reduced {
    /// A value that belongs to the window and to no point in it.
    fn of_window(value: Value) -> Self {
        Self {
            time_ns: None,
            value,
            aux: Vec::new(),
            tags: None,
        }
    }

    /// One of the points that came in.
    fn selected(point: Point) -> Self {
        Self {
            time_ns: Some(point.time_ns),
            value: point.value,
            aux: point.aux,
            tags: Some(point.tags),
        }
    }
}

/// The state of one window.
pub(crate) trait Reducer {
    /// Takes a point whose value is not null.
    fn add(&mut self, point: &Point);

    /// Bytes of the points that it keeps.
    fn bytes(&self) -> usize {
        0
    }

    /// What the window comes to. Asked once, after at least one point.
    fn emit(&mut self) -> Vec<Reduced>;
}

/// Which function is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aggregate {
    Count,
    Sum,
    Mean,
    Min,
    Max,
    First,
    Last,
    Median,
    Mode,
    Stddev,
    Spread,
    Distinct,
    /// Nearest rank, in per cent.
    Percentile(f64),
    /// How many points.
    Top(usize),
    /// How many points.
    Bottom(usize),
    /// How many points.
    Sample(usize),
}

impl Aggregate {
    /// True for functions that InfluxDB computes for each source, and then again over the results.
    pub(crate) const fn is_joined(self) -> bool {
        matches!(
            self,
            Self::Count | Self::Sum | Self::Mean | Self::Min | Self::Max | Self::First | Self::Last
        )
    }

    /// A new window.
    pub(crate) fn reducer(self) -> Box<dyn Reducer> {
        match self {
            Self::Count => Box::new(fold::Count::default()),
            Self::Sum => Box::new(fold::Sum::default()),
            Self::Mean => Box::new(fold::Mean::default()),
            Self::Min => Box::new(fold::Pick::new(fold::is_lower)),
            Self::Max => Box::new(fold::Pick::new(fold::is_higher)),
            Self::First => Box::new(fold::Pick::new(fold::is_earlier)),
            Self::Last => Box::new(fold::Pick::new(fold::is_later)),
            Self::Median => Box::new(collect::Collect::new(collect::median)),
            Self::Mode => Box::new(collect::Collect::new(collect::mode)),
            Self::Stddev => Box::new(collect::Collect::new(collect::stddev)),
            Self::Spread => Box::new(fold::Spread::default()),
            Self::Distinct => Box::new(collect::Distinct::default()),
            Self::Percentile(percent) => Box::new(collect::Collect::new(move |points| {
                collect::percentile(points, percent)
            })),
            Self::Top(count) => Box::new(rank::Rank::top(count)),
            Self::Bottom(count) => Box::new(rank::Rank::bottom(count)),
            Self::Sample(count) => Box::new(rank::Sample::new(count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::testing::point;
    use super::*;

    /// What `aggregate` makes of these values, one a nanosecond from 1 on.
    fn reduce<V: Into<Value> + Clone>(
        aggregate: Aggregate,
        values: &[V],
    ) -> Vec<(Option<i64>, Value)> {
        let mut reducer = aggregate.reducer();
        for (value, time) in values.iter().zip(1..) {
            reducer.add(&point(time, value.clone()));
        }
        reducer
            .emit()
            .into_iter()
            .map(|r| (r.time_ns, r.value))
            .collect()
    }

    #[track_caller]
    fn check<V: Into<Value> + Clone>(
        aggregate: Aggregate,
        values: &[V],
        time_ns: Option<i64>,
        value: impl Into<Value>,
    ) {
        assert_eq!(reduce(aggregate, values), [(time_ns, value.into())]);
    }

    #[test]
    fn aggregates() {
        check(Aggregate::Count, &["a", "b"], None, 2);
        check(Aggregate::Sum, &[1.5, 2.5], None, 4.0);
        check(Aggregate::Sum, &[i64::MAX, 1], None, i64::MIN);
        check(Aggregate::Mean, &[1, 2], None, 1.5);
        check(Aggregate::Spread, &[3, -1, 9], None, 10);
        check(Aggregate::Median, &[4, 1, 3, 2], None, 2.5);
        check(Aggregate::Median, &[5.0, 1.0, 3.0], None, 3.0);
        check(
            Aggregate::Stddev,
            &[1.0, 2.0, 3.0, 4.0],
            None,
            1.290_994_448_735_805_6,
        );
    }

    #[test]
    fn selectors_keep_their_time() {
        check(Aggregate::Min, &[2, 1, 1], Some(2), 1);
        check(Aggregate::Max, &[2.0, 1.0, 2.0], Some(1), 2.0);
        check(Aggregate::Max, &[false, true], Some(2), true);
        check(Aggregate::First, &["b", "a"], Some(1), "b");
        check(Aggregate::Last, &["b", "a"], Some(2), "a");
        check(Aggregate::Percentile(50.0), &[3, 1, 2, 4], Some(3), 2);
        assert_eq!(reduce(Aggregate::Percentile(10.0), &[1, 2]), []);
    }

    #[test]
    fn equal_times_go_to_the_larger_value() {
        for aggregate in [Aggregate::First, Aggregate::Last] {
            let mut reducer = aggregate.reducer();
            for value in [1, 3, 2] {
                reducer.add(&point(5, value));
            }
            assert_eq!(reducer.emit()[0].value, Value::Integer(3));
        }
        let mut first = Aggregate::First.reducer();
        first.add(&point(5, true));
        first.add(&point(5, false));
        assert_eq!(first.emit()[0].value, Value::Boolean(false));
    }

    #[test]
    fn one_value_has_no_deviation() {
        assert!(
            matches!(reduce(Aggregate::Stddev, &[1.0])[..], [(None, Value::Float(v))] if v.is_nan())
        );
    }

    #[test]
    fn mode_is_the_most_frequent() {
        check(Aggregate::Mode, &["b", "a", "b", "a"], None, "b");
        check(Aggregate::Mode, &["a", "b", "a", "b"], None, "b");
        check(Aggregate::Mode, &["a", "a", "b", "b"], None, "a");
        check(Aggregate::Mode, &[3, 1, 2], None, 1);
        check(Aggregate::Mode, &[3, 1, 1, 2], None, 1);
    }

    #[test]
    fn distinct_values_keep_their_first_time() {
        let found = reduce(Aggregate::Distinct, &[2.0, 1.0, 2.0, 3.0]);
        assert_eq!(
            found,
            [
                (Some(1), 2.0.into()),
                (Some(2), 1.0.into()),
                (Some(4), 3.0.into())
            ]
        );
    }

    #[test]
    fn top_and_bottom_prefer_the_earlier() {
        let found = reduce(Aggregate::Top(2), &[1, 5, 5, 5]);
        assert_eq!(found, [(Some(2), 5.into()), (Some(3), 5.into())]);
        let found = reduce(Aggregate::Bottom(2), &[4, 1, 1, 0]);
        assert_eq!(found, [(Some(4), 0.into()), (Some(2), 1.into())]);
    }

    #[test]
    fn what_is_no_number_keeps_its_place_in_front_of_a_rank() {
        let values = [f64::NAN, 3.0, f64::NAN, 9.0, 2.0];
        for aggregate in [Aggregate::Top(3), Aggregate::Bottom(3)] {
            let mut times: Vec<_> = reduce(aggregate, &values).iter().map(|r| r.0).collect();
            times.sort();
            assert_eq!(times, [Some(1), Some(2), Some(3)]);
        }
        // Where a number stands in front, better ones come.
        let mut times: Vec<_> = reduce(Aggregate::Top(2), &[1.0, f64::NAN, 4.0, 2.0])
            .iter()
            .map(|r| r.0)
            .collect();
        times.sort();
        assert_eq!(times, [Some(2), Some(3)]);
    }

    #[test]
    fn a_sample_is_a_part() {
        let found = reduce(Aggregate::Sample(3), &[1, 2, 3, 4, 5, 6]);
        assert_eq!(found.len(), 3);
        assert!(
            found.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "in order of time: {found:?}"
        );
        assert_eq!(reduce(Aggregate::Sample(9), &[1, 2]).len(), 2);
    }
}
