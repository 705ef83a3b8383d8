//! Functions that keep a bounded number of points of a window.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use super::{Point, Reduced, Reducer};

/// `top()` and `bottom()`: the highest or lowest points, the earlier of equal ones.
pub(super) struct Rank {
    kept: BTreeSet<Ranked>,
    count: usize,
    descending: bool,
    arrived: u64,
}

/// A point, the better the smaller.
struct Ranked {
    point: Point,
    descending: bool,
    arrival: u64,
}

impl Rank {
    pub(super) const fn top(count: usize) -> Self {
        Self {
            kept: BTreeSet::new(),
            count,
            descending: true,
            arrived: 0,
        }
    }

    pub(super) const fn bottom(count: usize) -> Self {
        Self {
            kept: BTreeSet::new(),
            count,
            descending: false,
            arrived: 0,
        }
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_value = self
            .point
            .value
            .compare(&other.point.value)
            .unwrap_or(Ordering::Equal);
        let by_value = if self.descending {
            by_value.reverse()
        } else {
            by_value
        };
        by_value
            .then(self.point.time_ns.cmp(&other.point.time_ns))
            .then(self.arrival.cmp(&other.arrival))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

impl Reducer for Rank {
    fn add(&mut self, point: &Point) {
        self.arrived += 1;
        self.kept.insert(Ranked {
            point: point.clone(),
            descending: self.descending,
            arrival: self.arrived,
        });
        if self.kept.len() > self.count {
            self.kept.pop_last();
        }
    }

    fn bytes(&self) -> usize {
        self.kept.len() * 2 * size_of::<Ranked>()
    }

    fn emit(&mut self) -> Vec<Reduced> {
        std::mem::take(&mut self.kept)
            .into_iter()
            .map(|ranked| Reduced::selected(ranked.point))
            .collect()
    }
}

/// `sample()`: points drawn at random, each with the same chance, in order of time.
pub(super) struct Sample {
    kept: Vec<Point>,
    count: usize,
    seen: u64,
    random: RandomState,
}

impl Sample {
    pub(super) fn new(count: usize) -> Self {
        Self {
            kept: Vec::new(),
            count,
            seen: 0,
            random: RandomState::new(),
        }
    }
}

impl Reducer for Sample {
    fn add(&mut self, point: &Point) {
        self.seen += 1;
        if self.kept.len() < self.count {
            self.kept.push(point.clone());
            return;
        }
        let drawn = self.random.hash_one(self.seen) % self.seen;
        if let Some(place) = usize::try_from(drawn)
            .ok()
            .and_then(|at| self.kept.get_mut(at))
        {
            *place = point.clone();
        }
    }

    fn bytes(&self) -> usize {
        self.kept.capacity() * size_of::<Point>()
    }

    fn emit(&mut self) -> Vec<Reduced> {
        let mut kept = std::mem::take(&mut self.kept);
        kept.sort_by_key(|point| point.time_ns);
        kept.into_iter().map(Reduced::selected).collect()
    }
}
