//! Windows of `GROUP BY time(…)`: where they begin and end.
//!
//! Windows are aligned to the epoch in UTC, or in the time zone of the statement, where a day has
//! 23, 24 or 25 hours. They are computed, never listed. The rules are those of
//! `influxdata/influxdb query/iterator.go` `IteratorOptions.Window`.

use jiff::{Timestamp, tz::TimeZone};
use tandem_influxql::ast::Fill;
use tandem_model::{MAX_TIME_NS, MIN_TIME_NS, TimeRange};

/// The `time(duration, offset)` of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    /// Nanoseconds; 0 when the statement has no windows.
    pub(crate) duration_ns: i64,
    /// Nanoseconds by which the windows are moved; may be negative.
    pub(crate) offset_ns: i64,
}

impl Interval {
    /// True when the statement has no windows.
    pub(crate) const fn is_zero(self) -> bool {
        self.duration_ns == 0
    }
}

/// What every stage of one statement, or of one subquery, needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// What is read.
    pub(crate) range: TimeRange,
    /// The windows.
    pub(crate) interval: Interval,
    /// The zone by which windows are aligned; `None` is UTC.
    pub(crate) zone: Option<TimeZone>,
    /// The order of time.
    pub(crate) ascending: bool,
    /// What empty windows hold.
    pub(crate) fill: Fill,
    /// Rows per series; 0 is no limit.
    pub(crate) limit: u64,
    /// Rows of each series to leave out first.
    pub(crate) offset: u64,
}

impl Options {
    /// The window that `time_ns` falls into: its first nanosecond, and the one after its last.
    pub(crate) fn window(&self, time_ns: i64) -> (i64, i64) {
        let Interval {
            duration_ns,
            offset_ns,
        } = self.interval;
        if self.interval.is_zero() {
            return (self.range.min_ns, self.range.max_ns.saturating_add(1));
        }
        let time = time_ns.saturating_sub(offset_ns);
        let zone = self.zone_offset_ns(time);
        let into = time.saturating_add(zone).rem_euclid(duration_ns);

        let mut start = if MIN_TIME_NS.saturating_add(into) >= time {
            MIN_TIME_NS
        } else {
            time - into
        };
        // The clocks may have changed between the start of the window and the time in it; a change
        // as large as the window itself does not move it.
        let change = zone - self.zone_offset_ns(start);
        if change != 0 && change.abs() < duration_ns {
            start = start.saturating_add(change);
        }

        let left = duration_ns - into;
        let mut end = if MAX_TIME_NS - left <= time {
            MAX_TIME_NS
        } else {
            time + left
        };
        let end_zone = self.zone_offset_ns(end);
        let change = zone - end_zone;
        // Time that is added belongs to the window before the change, time that is left out to the
        // window after it.
        if change != 0
            && change.abs() < duration_ns
            && (change > 0 || self.zone_offset_ns(end.saturating_add(change)) == end_zone)
        {
            end = end.saturating_add(change);
        }
        (
            start.saturating_add(offset_ns),
            end.saturating_add(offset_ns),
        )
    }

    /// How far the clocks of the zone are ahead of UTC at this time.
    pub(crate) fn zone_offset_ns(&self, time_ns: i64) -> i64 {
        let Some(zone) = &self.zone else {
            return 0;
        };
        Timestamp::from_nanosecond(i128::from(time_ns)).map_or(0, |at| {
            i64::from(zone.to_offset(at).seconds()) * 1_000_000_000
        })
    }

    /// The time that an aggregate without a time of its own gets: the start of its window, or the
    /// epoch where no start was asked for.
    pub(crate) fn stamp(&self, time_ns: i64) -> i64 {
        match self.window(time_ns).0 {
            MIN_TIME_NS => 0,
            start => start,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    fn options(duration_ns: i64, offset_ns: i64, zone: Option<&str>) -> Options {
        Options {
            range: TimeRange::ALL,
            interval: Interval {
                duration_ns,
                offset_ns,
            },
            zone: zone.map(|name| TimeZone::get(name).unwrap()),
            ascending: true,
            fill: Fill::Null,
            limit: 0,
            offset: 0,
        }
    }

    fn at(text: &str) -> i64 {
        i64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
    }

    #[test]
    fn windows_are_aligned_to_the_epoch() {
        let o = options(10, 0, None);
        assert_eq!(o.window(25), (20, 30));
        assert_eq!(o.window(20), (20, 30));
        assert_eq!(o.window(-1), (-10, 0));
        assert_eq!(options(10, 3, None).window(25), (23, 33));
        assert_eq!(options(10, -3, None).window(25), (17, 27));
    }

    #[test]
    fn windows_stay_inside_of_time() {
        let o = options(10, 0, None);
        assert_eq!(o.window(MIN_TIME_NS).0, MIN_TIME_NS);
        assert_eq!(o.window(MAX_TIME_NS).1, MAX_TIME_NS);
    }

    #[test]
    fn without_windows_the_range_is_the_window() {
        let mut o = options(0, 0, None);
        assert_eq!(o.stamp(5), 0);
        o.range.min_ns = 7;
        assert_eq!(o.stamp(9), 7);
    }

    #[test]
    fn days_follow_the_clocks() {
        let o = options(24 * HOUR, 0, Some("America/Los_Angeles"));
        // Clocks went forward on 2000-04-02 and back on 2000-10-29.
        let (start, end) = o.window(at("2000-04-02T12:00:00Z"));
        assert_eq!(
            (start, end),
            (at("2000-04-02T08:00:00Z"), at("2000-04-03T07:00:00Z"))
        );
        let (start, end) = o.window(at("2000-10-29T12:00:00Z"));
        assert_eq!(
            (start, end),
            (at("2000-10-29T07:00:00Z"), at("2000-10-30T08:00:00Z"))
        );
    }
}
