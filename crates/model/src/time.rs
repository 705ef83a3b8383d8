//! Time: nanoseconds since 1970-01-01T00:00:00Z, as `i64`.

/// The smallest time a point may have (`influxdata/influxdb models/time.go`).
pub const MIN_TIME_NS: i64 = i64::MIN + 2;
/// The largest time a point may have (`influxdata/influxdb models/time.go`).
pub const MAX_TIME_NS: i64 = i64::MAX - 1;

/// A range of time in nanoseconds, both bounds inclusive. Empty when `min_ns > max_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First nanosecond inside.
    pub min_ns: i64,
    /// Last nanosecond inside.
    pub max_ns: i64,
}

impl TimeRange {
    /// Every time a point may have.
    pub const ALL: Self = Self {
        min_ns: MIN_TIME_NS,
        max_ns: MAX_TIME_NS,
    };

    /// The range from `min_ns` to `max_ns`, both inside.
    #[must_use]
    pub const fn new(min_ns: i64, max_ns: i64) -> Self {
        Self { min_ns, max_ns }
    }

    /// True when no time is inside.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.min_ns > self.max_ns
    }

    /// True when `time_ns` is inside.
    #[must_use]
    pub const fn contains(&self, time_ns: i64) -> bool {
        self.min_ns <= time_ns && time_ns <= self.max_ns
    }

    /// True when some time is inside both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.intersect(other).is_empty()
    }

    /// What is inside both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            min_ns: self.min_ns.max(other.min_ns),
            max_ns: self.max_ns.min(other.max_ns),
        }
    }
}

/// The unit of the timestamps of a request (`precision=` and `epoch=`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// `ns` or `n`, and the default.
    #[default]
    Nanosecond,
    /// `u`, `us` or `µ`.
    Microsecond,
    /// `ms`.
    Millisecond,
    /// `s`.
    Second,
    /// `m`.
    Minute,
    /// `h`.
    Hour,
}

impl Precision {
    /// The unit that InfluxDB 1.x's `/write` knows by this name; `None` for any other.
    #[must_use]
    pub fn parse_v1(name: &str) -> Option<Self> {
        Some(match name {
            "" | "n" | "ns" => Self::Nanosecond,
            "u" => Self::Microsecond,
            "ms" => Self::Millisecond,
            "s" => Self::Second,
            "m" => Self::Minute,
            "h" => Self::Hour,
            _ => return None,
        })
    }

    /// Nanoseconds in one unit.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        match self {
            Self::Nanosecond => 1,
            Self::Microsecond => 1_000,
            Self::Millisecond => 1_000_000,
            Self::Second => 1_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Hour => 3_600_000_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_inclusive_at_both_ends() {
        let r = TimeRange::new(1, 3);
        assert!(r.contains(1) && r.contains(3) && !r.contains(0) && !r.contains(4));
        assert!(r.overlaps(&TimeRange::new(3, 9)));
        assert!(!r.overlaps(&TimeRange::new(4, 9)));
        assert!(r.intersect(&TimeRange::new(4, 9)).is_empty());
    }
}
