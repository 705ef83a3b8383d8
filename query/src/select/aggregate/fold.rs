//! Functions that need no more than one running value.

use std::cmp::Ordering;

use super::{Point, Reduced, Reducer, Value};

/// `count()`
#[derive(Default)]
pub(super) struct Count(i64);

impl Reducer for Count {
    fn add(&mut self, _: &Point) {
        self.0 += 1;
    }

    fn emit(&mut self) -> Vec<Reduced> {
        vec![Reduced::of_window(Value::Integer(self.0))]
    }
}

/// `sum()`; whole numbers wrap around, as in Go.
#[derive(Default)]
pub(super) struct Sum(Option<Value>);

impl Reducer for Sum {
    fn add(&mut self, point: &Point) {
        self.0 = Some(match (self.0.take(), &point.value) {
            (Some(Value::Float(a)), Value::Float(b)) => Value::Float(a + b),
            (Some(Value::Integer(a)), Value::Integer(b)) => Value::Integer(a.wrapping_add(*b)),
            (Some(Value::Unsigned(a)), Value::Unsigned(b)) => Value::Unsigned(a.wrapping_add(*b)),
            (Some(sum), _) => sum,
            (None, value) => value.clone(),
        });
    }

    fn emit(&mut self) -> Vec<Reduced> {
        self.0.take().map(Reduced::of_window).into_iter().collect()
    }
}

/// `mean()`
#[derive(Default)]
pub(super) struct Mean {
    sum: Sum,
    count: u64,
}

impl Reducer for Mean {
    fn add(&mut self, point: &Point) {
        self.sum.add(point);
        self.count += 1;
    }

    fn emit(&mut self) -> Vec<Reduced> {
        let sum = self.sum.0.take().and_then(|sum| sum.as_float());
        sum.map(|sum| Reduced::of_window(Value::Float(sum / self.count as f64)))
            .into_iter()
            .collect()
    }
}

/// `spread()`: the largest less the smallest.
#[derive(Default)]
pub(super) struct Spread(Option<(Value, Value)>);

impl Reducer for Spread {
    fn add(&mut self, point: &Point) {
        let value = &point.value;
        let (min, max) = self.0.get_or_insert_with(|| (value.clone(), value.clone()));
        // What is no number stays: nothing is less or more than it.
        let is_nan = matches!(value, Value::Float(number) if number.is_nan());
        if is_nan || value.compare(min) == Some(Ordering::Less) {
            *min = value.clone();
        }
        if is_nan || value.compare(max) == Some(Ordering::Greater) {
            *max = value.clone();
        }
    }

    fn emit(&mut self) -> Vec<Reduced> {
        let value = match self.0.take() {
            Some((Value::Float(min), Value::Float(max))) => Value::Float(max - min),
            Some((Value::Integer(min), Value::Integer(max))) => {
                Value::Integer(max.wrapping_sub(min))
            }
            Some((Value::Unsigned(min), Value::Unsigned(max))) => {
                Value::Unsigned(max.wrapping_sub(min))
            }
            _ => return Vec::new(),
        };
        vec![Reduced::of_window(value)]
    }
}

/// Keeps the one point that no later point displaces.
pub(super) struct Pick {
    kept: Option<Point>,
    displaces: fn(&Point, &Point) -> bool,
}

impl Pick {
    /// `displaces(new, kept)` tells whether the new point takes the place of the kept one.
    pub(super) fn new(displaces: fn(&Point, &Point) -> bool) -> Self {
        Self {
            kept: None,
            displaces,
        }
    }
}

impl Reducer for Pick {
    fn add(&mut self, point: &Point) {
        if self
            .kept
            .as_ref()
            .is_none_or(|kept| (self.displaces)(point, kept))
        {
            self.kept = Some(point.clone());
        }
    }

    fn emit(&mut self) -> Vec<Reduced> {
        self.kept
            .take()
            .map(Reduced::selected)
            .into_iter()
            .collect()
    }
}

/// `min()`: the lowest value, the earliest of equal ones.
pub(super) fn is_lower(new: &Point, kept: &Point) -> bool {
    match new.value.compare(&kept.value) {
        Some(Ordering::Less) => true,
        Some(Ordering::Equal) => new.time_ns < kept.time_ns,
        _ => false,
    }
}

/// `max()`: the highest value, the earliest of equal ones.
pub(super) fn is_higher(new: &Point, kept: &Point) -> bool {
    match new.value.compare(&kept.value) {
        Some(Ordering::Greater) => true,
        Some(Ordering::Equal) => new.time_ns < kept.time_ns,
        _ => false,
    }
}

/// `first()`: the earliest point, the highest value at equal times, but false before true.
pub(super) fn is_earlier(new: &Point, kept: &Point) -> bool {
    let wins = if matches!(new.value, Value::Boolean(_)) {
        Ordering::Less
    } else {
        Ordering::Greater
    };
    new.time_ns < kept.time_ns
        || (new.time_ns == kept.time_ns && new.value.compare(&kept.value) == Some(wins))
}

/// `last()`: the latest point, the highest value at equal times.
pub(super) fn is_later(new: &Point, kept: &Point) -> bool {
    new.time_ns > kept.time_ns
        || (new.time_ns == kept.time_ns
            && new.value.compare(&kept.value) == Some(Ordering::Greater))
}
