//! Functions that need all values of a window at once.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::sort::sort;
use super::{Point, Reduced, Reducer, Value};

/// Gathers the points of a window and hands them to a function.
pub(super) struct Collect<F> {
    points: Vec<Point>,
    /// Bytes of what the points have beside their places.
    extra_bytes: usize,
    finish: F,
}

impl<F: Fn(Vec<Point>) -> Option<Reduced>> Collect<F> {
    pub(super) const fn new(finish: F) -> Self {
        Self {
            points: Vec::new(),
            extra_bytes: 0,
            finish,
        }
    }
}

impl<F: Fn(Vec<Point>) -> Option<Reduced>> Reducer for Collect<F> {
    fn add(&mut self, point: &Point) {
        self.extra_bytes += point.bytes() - size_of::<Point>();
        self.points.push(point.clone());
    }

    fn bytes(&self) -> usize {
        self.points.capacity() * size_of::<Point>() + self.extra_bytes
    }

    fn emit(&mut self) -> Vec<Reduced> {
        (self.finish)(std::mem::take(&mut self.points))
            .into_iter()
            .collect()
    }
}

fn sort_by_value(points: &mut [Point]) {
    sort(points, |a, b| {
        a.value.compare(&b.value) == Some(Ordering::Less)
    });
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

/// `mode()`: the most frequent value; the lowest when no value comes twice. Of equally frequent ones
/// the higher wins, unless its first point is younger than the last one of the lower; first and last
/// are what the sort left there. True wins over false.
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
    let first = points.first()?;
    // With the last of its points so far.
    let (mut best, mut best_count) = (first, 0);
    // The run of equal values that is being counted, by its first point.
    let (mut run, mut count) = (first, 0);
    for point in &points {
        if point.value != run.value {
            (run, count) = (point, 1);
            continue;
        }
        count += 1;
        let is_younger = best_count == count && run.time_ns > best.time_ns;
        if best_count <= count && !is_younger {
            (best, best_count) = (point, count);
        }
    }
    Some(Reduced::of_window(best.value.clone()))
}

/// `stddev()` of a sample; NaN for a single point. What is no number does not count, and nothing but such is
/// minus zero, as it comes out of InfluxDB's division.
pub(super) fn stddev(points: Vec<Point>) -> Option<Reduced> {
    let values = points.iter().filter_map(|p| p.value.as_float());
    let values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    if points.len() < 2 {
        return Some(Reduced::of_window(Value::Float(f64::NAN)));
    }
    let mut mean = 0.0;
    for (at, value) in values.iter().enumerate() {
        mean += (value - mean) / (at + 1) as f64;
    }
    let squares = values.iter().map(|value| (value - mean).powi(2));
    // Not `sum()`, of which nothing is minus zero.
    let variance = squares.fold(0.0, |sum, square| sum + square);
    Some(Reduced::of_window(Value::Float(
        (variance / (values.len() as f64 - 1.0)).sqrt(),
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
    /// Bytes of both.
    bytes: usize,
}

/// A value by its bits; both zeros are one.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Bits(u64),
    Bytes(Vec<u8>),
    /// By its place.
    Nan(usize),
}

impl Reducer for Distinct {
    fn add(&mut self, point: &Point) {
        let key = match &point.value {
            // What is no number is equal to nothing, not even to itself.
            Value::Float(v) if v.is_nan() => Key::Nan(self.points.len()),
            Value::Float(v) if *v == 0.0 => Key::Bits(0),
            Value::Float(v) => Key::Bits(v.to_bits()),
            Value::Integer(v) | Value::Time(v) => Key::Bits(v.cast_unsigned()),
            Value::Unsigned(v) => Key::Bits(*v),
            Value::Boolean(v) => Key::Bits(u64::from(*v)),
            Value::String(v) => Key::Bytes(v.clone()),
            Value::Null | Value::Strings(_) => return,
        };
        if self.seen.insert(key) {
            self.bytes += 2 * size_of::<Key>() + 2 * point.bytes();
            self.points.push(Point {
                aux: Vec::new(),
                ..point.clone()
            });
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
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
