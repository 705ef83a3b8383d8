//! Functions that need all values of a window at once.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::{Point, Reduced, Reducer, Value};

/// Gathers the points of a window and hands them to a function.
pub(super) struct Collect<F> {
    points: Vec<Point>,
    finish: F,
}

impl<F: Fn(Vec<Point>) -> Option<Reduced>> Collect<F> {
    pub(super) const fn new(finish: F) -> Self {
        Self {
            points: Vec::new(),
            finish,
        }
    }
}

impl<F: Fn(Vec<Point>) -> Option<Reduced>> Reducer for Collect<F> {
    fn add(&mut self, point: &Point) {
        self.points.push(point.clone());
    }

    fn emit(&mut self) -> Vec<Reduced> {
        (self.finish)(std::mem::take(&mut self.points))
            .into_iter()
            .collect()
    }
}

fn sort_by_value(points: &mut [Point]) {
    points.sort_by(|a, b| a.value.compare(&b.value).unwrap_or(Ordering::Equal));
}

/// `median()`: the middle value, or half way between the two in the middle.
pub(super) fn median(mut points: Vec<Point>) -> Option<Reduced> {
    sort_by_value(&mut points);
    let middle = points.len() / 2;
    let high = points.get(middle)?;
    let value = if points.len().is_multiple_of(2) {
        let low = points.get(middle.checked_sub(1)?)?;
        let gap = match (&high.value, &low.value) {
            (Value::Integer(high), Value::Integer(low)) => {
                Value::Integer(high.wrapping_sub(*low)).as_float()?
            }
            (Value::Unsigned(high), Value::Unsigned(low)) => {
                Value::Unsigned(high - low).as_float()?
            }
            (high, low) => high.as_float()? - low.as_float()?,
        };
        low.value.as_float()? + gap / 2.0
    } else {
        high.value.as_float()?
    };
    Some(Reduced::of_window(Value::Float(value)))
}

/// `mode()`: the most frequent value; the lowest when no value comes twice. Of two equally frequent
/// ones the higher wins if it was first seen before the lower was last seen, and true before false.
pub(super) fn mode(mut points: Vec<Point>) -> Option<Reduced> {
    if let Some(Value::Boolean(_)) = points.first().map(|point| &point.value) {
        let count = points
            .iter()
            .filter(|point| point.value == Value::Boolean(true))
            .count();
        return Some(Reduced::of_window(Value::Boolean(
            2 * count >= points.len(),
        )));
    }
    sort_by_value(&mut points);
    let mut best = points.first()?;
    let (mut best_count, mut best_time_ns) = (1, best.time_ns);
    let mut start = 0;
    while let Some(first) = points.get(start) {
        let count = points[start..]
            .iter()
            .take_while(|p| p.value == first.value)
            .count();
        let wins = count > best_count || (count == best_count && first.time_ns <= best_time_ns);
        if count > 1 && wins {
            best = first;
            best_count = count;
            best_time_ns = points[start + count - 1].time_ns;
        }
        start += count;
    }
    Some(Reduced::of_window(best.value.clone()))
}

/// `stddev()` of a sample; NaN for a single point.
pub(super) fn stddev(points: Vec<Point>) -> Option<Reduced> {
    let values: Vec<f64> = points.iter().filter_map(|p| p.value.as_float()).collect();
    if values.len() < 2 {
        return Some(Reduced::of_window(Value::Float(f64::NAN)));
    }
    let mut mean = 0.0;
    for (at, value) in values.iter().enumerate() {
        mean += (value - mean) / (at + 1) as f64;
    }
    let variance: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some(Reduced::of_window(Value::Float(
        (variance / (values.len() - 1) as f64).sqrt(),
    )))
}

/// `percentile()` by nearest rank: the point itself, or nothing where the rank is outside.
pub(super) fn percentile(mut points: Vec<Point>, percent: f64) -> Option<Reduced> {
    let rank = (points.len() as f64 * percent / 100.0 + 0.5).floor() as i64 - 1;
    let rank = usize::try_from(rank)
        .ok()
        .filter(|rank| *rank < points.len())?;
    sort_by_value(&mut points);
    Some(Reduced::selected(points.swap_remove(rank)))
}

/// `distinct()`: each value once, with the time of its first point, in order of time.
#[derive(Default)]
pub(super) struct Distinct {
    seen: HashSet<Key>,
    points: Vec<Point>,
}

/// A value by its bits; both zeros are one.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Bits(u64),
    Bytes(Vec<u8>),
}

impl Reducer for Distinct {
    fn add(&mut self, point: &Point) {
        let key = match &point.value {
            Value::Float(v) if *v == 0.0 => Key::Bits(0),
            Value::Float(v) => Key::Bits(v.to_bits()),
            Value::Integer(v) | Value::Time(v) => Key::Bits(v.cast_unsigned()),
            Value::Unsigned(v) => Key::Bits(*v),
            Value::Boolean(v) => Key::Bits(u64::from(*v)),
            Value::String(v) => Key::Bytes(v.clone()),
            Value::Null | Value::Strings(_) => return,
        };
        if self.seen.insert(key) {
            self.points.push(Point {
                aux: Vec::new(),
                ..point.clone()
            });
        }
    }

    fn emit(&mut self) -> Vec<Reduced> {
        let mut points = std::mem::take(&mut self.points);
        points.sort_by(|a, b| {
            a.time_ns
                .cmp(&b.time_ns)
                .then_with(|| a.value.compare(&b.value).unwrap_or(Ordering::Equal))
        });
        points.into_iter().map(Reduced::selected).collect()
    }
}
