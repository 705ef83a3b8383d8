//! Functions that keep a bounded number of points of a window.

use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};

use super::sort::sort;
use super::{Point, Reduced, Reducer};

/// `top()` and `bottom()`: the highest or lowest points, the earlier of equal ones.
///
/// A heap with the worst point in front, moved step by step as Go's `container/heap` does it: which points stay beside
/// what is no number, and where it comes among them, follows from the comparisons that are made.
pub(super) struct Rank {
    kept: Vec<Point>,
    count: usize,
    /// The value of a point that another one beats.
    worse: Ordering,
}

impl Rank {
    pub(super) const fn top(count: usize) -> Self {
        Self {
            kept: Vec::new(),
            count,
            worse: Ordering::Less,
        }
    }

    pub(super) const fn bottom(count: usize) -> Self {
        Self {
            kept: Vec::new(),
            count,
            worse: Ordering::Greater,
        }
    }

    fn is_worse(&self, a: &Point, b: &Point) -> bool {
        match a.value.compare(&b.value) {
            Some(Ordering::Equal) => a.time_ns > b.time_ns,
            // Nothing is known of what is no number: it is not worse than anything, and nothing is worse than it.
            order => order == Some(self.worse),
        }
    }

    /// Moves the last point to the front as long as it is worse than what is before it.
    fn rise(&mut self) {
        let mut at = self.kept.len().saturating_sub(1);
        while at > 0 {
            let above = (at - 1) / 2;
            if !self.is_worse(&self.kept[at], &self.kept[above]) {
                return;
            }
            self.kept.swap(at, above);
            at = above;
        }
    }

    /// Moves the first point back as long as something behind it is worse.
    fn sink(&mut self) {
        let mut at = 0;
        loop {
            let mut below = 2 * at + 1;
            if below >= self.kept.len() {
                return;
            }
            if below + 1 < self.kept.len()
                && self.is_worse(&self.kept[below + 1], &self.kept[below])
            {
                below += 1;
            }
            if !self.is_worse(&self.kept[below], &self.kept[at]) {
                return;
            }
            self.kept.swap(at, below);
            at = below;
        }
    }
}

impl Reducer for Rank {
    fn add(&mut self, point: &Point) {
        if self.kept.len() < self.count {
            self.kept.push(point.clone());
            self.rise();
        } else if let Some(worst) = self.kept.first()
            && self.is_worse(worst, point)
        {
            self.kept[0] = point.clone();
            self.sink();
        }
    }

    fn bytes(&self) -> usize {
        self.kept.capacity() * size_of::<Point>()
    }

    fn emit(&mut self) -> Vec<Reduced> {
        let mut kept = std::mem::take(&mut self.kept);
        sort(&mut kept, |a, b| self.is_worse(b, a));
        kept.into_iter().map(Reduced::selected).collect()
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
