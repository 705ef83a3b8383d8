//! Kernels: a function over the windows of one group, computed from slices of values.
//!
//! A [`Figure`] holds one state for each window of a slab. It takes the values of a series between two
//! window borders at once, in loops that compilers turn into vector instructions, and the statistics of
//! whole pages. Results are those of the plain executor's reducers (`select::aggregate`), ties
//! included; only sums of floats may be added in another order.

use std::cmp::Ordering;

use tandem_store::{Statistics, Summary};

use crate::result::Value;

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Count,
    Sum,
    Mean,
    Min,
    Max,
    Spread,
    First,
    Last,
    Median,
    Stddev,
    /// Nearest rank, in per cent.
    Percentile(f64),
}

impl Kind {
    /// Whether all values of a window are needed at once.
    pub(super) const fn collects(self) -> bool {
        matches!(self, Self::Median | Self::Stddev | Self::Percentile(_))
    }

    const fn keeps_time(self) -> bool {
        matches!(self, Self::Min | Self::Max | Self::First | Self::Last)
    }
}

/// A value that can be computed with.
pub(super) trait Number: Copy + PartialOrd + Default + Send {
    /// Go's addition: integers wrap around.
    fn plus(self, other: Self) -> Self;
    fn as_float(self) -> f64;
    fn value(self) -> Value;
    /// `self - other`, integers wrapping.
    fn minus(self, other: Self) -> Self;
    /// The figures of statistics of this type.
    fn figures(summary: &Summary) -> Option<[Self; 5]>;
    /// Of two first values at one time, the larger stands; of booleans false.
    const FIRST_WINS: Ordering = Ordering::Greater;
}

macro_rules! number {
    ($type:ty, $variant:ident, $plus:expr, $minus:expr) => {
        impl Number for $type {
            fn plus(self, other: Self) -> Self {
                $plus(self, other)
            }
            fn as_float(self) -> f64 {
                self as f64
            }
            fn value(self) -> Value {
                Value::$variant(self)
            }
            fn minus(self, other: Self) -> Self {
                $minus(self, other)
            }
            fn figures(summary: &Summary) -> Option<[Self; 5]> {
                match summary {
                    Summary::$variant(f) => Some([f.min, f.max, f.sum, f.first, f.last]),
                    _ => None,
                }
            }
        }
    };
}

number!(f64, Float, |a: f64, b: f64| a + b, |a: f64, b: f64| a - b);
number!(i64, Integer, i64::wrapping_add, i64::wrapping_sub);
number!(u64, Unsigned, u64::wrapping_add, u64::wrapping_sub);

impl Number for bool {
    fn plus(self, other: Self) -> Self {
        self || other
    }
    fn as_float(self) -> f64 {
        f64::from(u8::from(self))
    }
    fn value(self) -> Value {
        Value::Boolean(self)
    }
    fn minus(self, _: Self) -> Self {
        self
    }
    fn figures(_: &Summary) -> Option<[Self; 5]> {
        None
    }
    const FIRST_WINS: Ordering = Ordering::Less;
}

/// The states of one function over some windows.
#[derive(Debug)]
pub(super) struct Figure<T> {
    kind: Kind,
    /// Values so far; 0 is a window without points.
    counts: Vec<u64>,
    /// Sum, smallest, first or last value; of a spread the smallest.
    values: Vec<T>,
    /// Of a spread the largest.
    largest: Vec<T>,
    /// When a value was that was picked.
    times_ns: Vec<i64>,
    /// All values of a window.
    lists: Vec<Vec<T>>,
}

impl<T: Number> Figure<T> {
    /// No values yet.
    pub(super) fn new(kind: Kind, windows: usize) -> Self {
        let some = |wanted: bool| if wanted { windows } else { 0 };
        Self {
            kind,
            counts: vec![0; windows],
            values: vec![T::default(); some(!kind.collects())],
            largest: vec![T::default(); some(kind == Kind::Spread)],
            times_ns: vec![0; some(kind.keeps_time())],
            lists: vec![Vec::new(); some(kind.collects())],
        }
    }

    /// Takes values of one series that fall into `window`; times ascend. Not empty.
    pub(super) fn add(&mut self, window: usize, times_ns: &[i64], values: &[T]) {
        let Some((&first, &last)) = values.first().zip(values.last()) else {
            return;
        };
        match self.kind {
            Kind::Count => {}
            Kind::Sum | Kind::Mean => {
                let start = if self.counts[window] == 0 {
                    T::default()
                } else {
                    self.values[window]
                };
                self.values[window] = values.iter().fold(start, |sum, value| sum.plus(*value));
            }
            Kind::Min => {
                let value = smallest(first, values);
                self.pick_time(window, value, times_ns, values, Ordering::Less);
            }
            Kind::Max => {
                let value = largest(first, values);
                self.pick_time(window, value, times_ns, values, Ordering::Greater);
            }
            Kind::Spread => {
                let (low, high) = (smallest(first, values), largest(first, values));
                self.spread(window, low, high);
            }
            Kind::First => self.pick_first(window, times_ns[0], first),
            Kind::Last => self.pick_last(window, times_ns[times_ns.len() - 1], last),
            Kind::Median | Kind::Stddev | Kind::Percentile(_) => {
                self.lists[window].extend_from_slice(values);
            }
        }
        self.counts[window] += values.len() as u64;
    }

    /// Takes `count` values of which nothing more is asked for. For `count()`.
    pub(super) fn add_count(&mut self, window: usize, count: usize) {
        self.counts[window] += count as u64;
    }

    /// Whether statistics can stand for values. `exact_time` is whether the time of a picked value
    /// matters.
    pub(super) const fn takes_statistics(kind: Kind, exact_time: bool) -> bool {
        match kind {
            Kind::Count | Kind::Sum | Kind::Mean | Kind::Spread | Kind::First | Kind::Last => true,
            Kind::Min | Kind::Max => !exact_time,
            Kind::Median | Kind::Stddev | Kind::Percentile(_) => false,
        }
    }

    /// Takes the statistics of values that all fall into `window`; false where they do not say enough.
    pub(super) fn add_statistics(&mut self, window: usize, statistics: &Statistics) -> bool {
        if statistics.count == 0 {
            return true;
        }
        if self.kind == Kind::Count {
            self.counts[window] += statistics.count as u64;
            return true;
        }
        let Some([min, max, sum, first, last]) = statistics.summary.as_ref().and_then(T::figures)
        else {
            return false;
        };
        match self.kind {
            Kind::Sum | Kind::Mean => {
                let so_far = self.values[window];
                self.values[window] = if self.counts[window] == 0 {
                    sum
                } else {
                    so_far.plus(sum)
                };
            }
            Kind::Min if self.wins(window, min, Ordering::Less) => {
                self.values[window] = min;
                self.times_ns[window] = statistics.first_ns;
            }
            Kind::Max if self.wins(window, max, Ordering::Greater) => {
                self.values[window] = max;
                self.times_ns[window] = statistics.first_ns;
            }
            Kind::Spread => self.spread(window, min, max),
            Kind::First => self.pick_first(window, statistics.first_ns, first),
            Kind::Last => self.pick_last(window, statistics.last_ns, last),
            _ => {}
        }
        self.counts[window] += statistics.count as u64;
        true
    }

    fn wins(&self, window: usize, value: T, order: Ordering) -> bool {
        self.counts[window] == 0 || value.partial_cmp(&self.values[window]) == Some(order)
    }

    /// Keeps a lowest or highest value with the first time that has it.
    fn pick_time(
        &mut self,
        window: usize,
        value: T,
        times_ns: &[i64],
        values: &[T],
        order: Ordering,
    ) {
        let is_equal = self.counts[window] > 0 && value == self.values[window];
        if !is_equal && !self.wins(window, value, order) {
            return;
        }
        let at = values.iter().position(|other| *other == value).unwrap_or(0);
        let (time_ns, value) = (times_ns[at], values[at]);
        if !is_equal || time_ns < self.times_ns[window] {
            self.values[window] = value;
            self.times_ns[window] = time_ns;
        }
    }

    fn spread(&mut self, window: usize, low: T, high: T) {
        let empty = self.counts[window] == 0;
        if empty || low < self.values[window] {
            self.values[window] = low;
        }
        if empty || high > self.largest[window] {
            self.largest[window] = high;
        }
    }

    fn pick_first(&mut self, window: usize, time_ns: i64, value: T) {
        let kept_ns = self.times_ns[window];
        let order = value.partial_cmp(&self.values[window]);
        if self.counts[window] == 0
            || time_ns < kept_ns
            || (time_ns == kept_ns && order == Some(T::FIRST_WINS))
        {
            self.values[window] = value;
            self.times_ns[window] = time_ns;
        }
    }

    fn pick_last(&mut self, window: usize, time_ns: i64, value: T) {
        let kept_ns = self.times_ns[window];
        if self.counts[window] == 0
            || time_ns > kept_ns
            || (time_ns == kept_ns && value > self.values[window])
        {
            self.values[window] = value;
            self.times_ns[window] = time_ns;
        }
    }

    /// Takes what was computed of other series of the group.
    pub(super) fn merge(&mut self, other: Self) {
        for (window, count) in other.counts.iter().copied().enumerate() {
            if count == 0 {
                continue;
            }
            match self.kind {
                Kind::Count => {}
                Kind::Sum | Kind::Mean => {
                    let (a, b) = (self.values[window], other.values[window]);
                    self.values[window] = if self.counts[window] == 0 {
                        b
                    } else {
                        a.plus(b)
                    };
                }
                Kind::Min | Kind::Max => {
                    let order = if self.kind == Kind::Min {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    };
                    let times_ns = &other.times_ns[window..=window];
                    let values = &other.values[window..=window];
                    self.pick_time(window, values[0], times_ns, values, order);
                }
                Kind::Spread => self.spread(window, other.values[window], other.largest[window]),
                Kind::First => {
                    self.pick_first(window, other.times_ns[window], other.values[window]);
                }
                Kind::Last => self.pick_last(window, other.times_ns[window], other.values[window]),
                Kind::Median | Kind::Stddev | Kind::Percentile(_) => {
                    self.lists[window].extend_from_slice(&other.lists[window]);
                }
            }
            self.counts[window] += count;
        }
    }

    /// What a window comes to, and when the value was where it was picked; `None` without points.
    pub(super) fn result(&mut self, window: usize) -> Option<(Option<i64>, Value)> {
        let count = self.counts[window];
        if count == 0 {
            return None;
        }
        let of_window = |value| Some((None, value));
        match self.kind {
            Kind::Count => of_window(Value::Integer(count.cast_signed())),
            Kind::Sum => of_window(self.values[window].value()),
            Kind::Mean => of_window(Value::Float(self.values[window].as_float() / count as f64)),
            Kind::Spread => of_window(self.largest[window].minus(self.values[window]).value()),
            Kind::Min | Kind::Max | Kind::First | Kind::Last => {
                Some((Some(self.times_ns[window]), self.values[window].value()))
            }
            Kind::Median => of_window(Value::Float(median(&mut self.lists[window])?)),
            Kind::Stddev => of_window(Value::Float(stddev(&self.lists[window]))),
            Kind::Percentile(percent) => {
                let value = percentile(&mut self.lists[window], percent)?;
                of_window(value.value())
            }
        }
    }
}

fn smallest<T: PartialOrd + Copy>(first: T, values: &[T]) -> T {
    let least = |a: T, b: &T| if *b < a { *b } else { a };
    values.iter().fold(first, least)
}

fn largest<T: PartialOrd + Copy>(first: T, values: &[T]) -> T {
    let most = |a: T, b: &T| if *b > a { *b } else { a };
    values.iter().fold(first, most)
}

fn by_value<T: PartialOrd>(a: &T, b: &T) -> Ordering {
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}

fn median<T: Number>(values: &mut [T]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    let high = *values.select_nth_unstable_by(middle, by_value).1;
    if values.len().is_multiple_of(2) {
        let low = values[..middle].iter().copied();
        let low = low.reduce(|a, b| if b > a { b } else { a })?;
        return Some(low.as_float() + high.minus(low).as_float() / 2.0);
    }
    Some(high.as_float())
}

fn percentile<T: Number>(values: &mut [T], percent: f64) -> Option<T> {
    let rank = (values.len() as f64 * percent / 100.0 + 0.5).floor() as i64 - 1;
    let rank = usize::try_from(rank)
        .ok()
        .filter(|rank| *rank < values.len())?;
    Some(*values.select_nth_unstable_by(rank, by_value).1)
}

fn stddev<T: Number>(values: &[T]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    let mut mean = 0.0;
    for (at, value) in values.iter().enumerate() {
        mean += (value.as_float() - mean) / (at + 1) as f64;
    }
    let variance: f64 = values.iter().map(|v| (v.as_float() - mean).powi(2)).sum();
    (variance / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one<T: Number>(kind: Kind, parts: &[(&[i64], &[T])]) -> Option<(Option<i64>, Value)> {
        let mut whole = Figure::new(kind, 1);
        let mut merged = Figure::new(kind, 1);
        for (times, values) in parts {
            whole.add(0, times, values);
            let mut part = Figure::new(kind, 1);
            part.add(0, times, values);
            merged.merge(part);
        }
        let result = whole.result(0);
        assert_eq!(result, merged.result(0), "{kind:?}");
        result
    }

    #[test]
    fn windows_come_to_what_reducers_say() {
        let parts: &[(&[i64], &[i64])] = &[(&[1, 2, 3], &[5, 1, 9]), (&[1, 3], &[9, 1])];
        let integer = |value| Value::Integer(value);
        for (kind, expected) in [
            (Kind::Count, (None, integer(5))),
            (Kind::Sum, (None, integer(25))),
            (Kind::Mean, (None, Value::Float(5.0))),
            (Kind::Spread, (None, integer(8))),
            (Kind::Min, (Some(2), integer(1))),
            (Kind::Max, (Some(1), integer(9))),
            (Kind::First, (Some(1), integer(9))),
            (Kind::Last, (Some(3), integer(9))),
            (Kind::Median, (None, Value::Float(5.0))),
            (Kind::Percentile(50.0), (None, integer(5))),
        ] {
            assert_eq!(one(kind, parts), Some(expected), "{kind:?}");
        }
        assert_eq!(one::<f64>(Kind::Sum, &[]), None);
        assert_eq!(one::<i64>(Kind::Percentile(1.0), parts), None);
    }

    #[test]
    fn integers_wrap_and_the_first_boolean_is_false() {
        let sum = one::<i64>(Kind::Sum, &[(&[1, 2], &[i64::MAX, 1])]);
        assert_eq!(sum, Some((None, Value::Integer(i64::MIN))));
        let first = one(Kind::First, &[(&[1], &[true]), (&[1], &[false])]);
        assert_eq!(first, Some((Some(1), Value::Boolean(false))));
        let last = one(Kind::Last, &[(&[1], &[false]), (&[1], &[true])]);
        assert_eq!(last, Some((Some(1), Value::Boolean(true))));
    }

    #[test]
    fn a_median_of_two_lies_between() {
        let median = one(Kind::Median, &[(&[1, 2, 3, 4], &[4.0, 1.0, 3.0, 2.0])]);
        assert_eq!(median, Some((None, Value::Float(2.5))));
    }
}
