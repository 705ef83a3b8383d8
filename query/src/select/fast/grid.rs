//! Windows that are equally long: which one a time falls into is a division.
//!
//! Windows of `GROUP BY time(…)` are, but where the clocks of a time zone change and at the ends of
//! time. Without an interval there is one window.

use jiff::Timestamp;
use tandem_model::{MAX_TIME_NS, MIN_TIME_NS, TimeRange};

use crate::select::window::Options;

/// Equally long windows over a range of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// Where the first window begins.
    base_ns: i64,
    /// 0 for one window that has everything.
    duration_ns: i64,
    /// How many there are.
    pub(super) windows: u64,
}

impl Grid {
    /// The windows of `options` over `range`, which is not empty; `None` where they are not equally long.
    pub(super) fn new(options: &Options, range: TimeRange) -> Option<Self> {
        let duration_ns = options.interval.duration_ns;
        if options.interval.is_zero() {
            return Some(Self {
                base_ns: options.range.min_ns,
                duration_ns: 0,
                windows: 1,
            });
        }
        // A window and the offset of a zone or of the interval away from the ends of time.
        let margin_ns = duration_ns
            .checked_mul(2)?
            .checked_add(options.interval.offset_ns.checked_abs()?)?
            .checked_add(2 * 86_400_000_000_000)?;
        let inner = TimeRange::new(
            MIN_TIME_NS.checked_add(margin_ns)?,
            MAX_TIME_NS.checked_sub(margin_ns)?,
        );
        if range.is_empty() || !inner.contains(range.min_ns) || !inner.contains(range.max_ns) {
            return None;
        }
        if let Some(zone) = &options.zone {
            let from = Timestamp::from_nanosecond(i128::from(range.min_ns - margin_ns)).ok()?;
            let to = i128::from(range.max_ns + margin_ns);
            let change = zone.following(from).next();
            if change.is_some_and(|change| change.timestamp().as_nanosecond() <= to) {
                return None;
            }
        }
        let base_ns = options.window(range.min_ns).0;
        let last_ns = options.window(range.max_ns).0;
        let windows = u64::try_from(last_ns.checked_sub(base_ns)? / duration_ns).ok()? + 1;
        Some(Self {
            base_ns,
            duration_ns,
            windows,
        })
    }

    /// The window of a time inside of the range.
    pub(super) const fn window(&self, time_ns: i64) -> u64 {
        if self.duration_ns == 0 {
            return 0;
        }
        ((time_ns - self.base_ns) / self.duration_ns).cast_unsigned()
    }

    /// The window that begins at a time, if it is one of these.
    pub(super) fn place(&self, start_ns: i64) -> Option<usize> {
        let into = u64::try_from(start_ns.checked_sub(self.base_ns)?).ok()?;
        let window = into.checked_div(self.duration_ns.cast_unsigned())?;
        usize::try_from(window)
            .ok()
            .filter(|_| window < self.windows)
    }

    /// The first nanosecond of a window.
    pub(super) const fn start_ns(&self, window: u64) -> i64 {
        self.base_ns + window.cast_signed() * self.duration_ns
    }

    /// The time that a result of a window gets.
    pub(super) const fn stamp_ns(&self, window: u64) -> i64 {
        if self.duration_ns == 0 && self.base_ns == MIN_TIME_NS {
            return 0;
        }
        self.start_ns(window)
    }

    /// The last nanosecond of a window.
    pub(super) const fn last_ns(&self, window: u64) -> i64 {
        if self.duration_ns == 0 {
            return i64::MAX;
        }
        self.start_ns(window) + self.duration_ns - 1
    }

    /// The time of some windows that follow one another.
    pub(super) const fn range(&self, first: u64, last: u64) -> TimeRange {
        TimeRange::new(self.start_ns(first), self.last_ns(last))
    }

    /// Windows `first` to `last` as a grid of their own.
    pub(super) const fn part(&self, first: u64, last: u64) -> Self {
        Self {
            base_ns: self.start_ns(first),
            duration_ns: self.duration_ns,
            windows: last - first + 1,
        }
    }

    /// Cuts ascending times into the windows that they fall into: calls `run` with each window and
    /// the rows of it.
    pub(super) fn cut(&self, times_ns: &[i64], mut run: impl FnMut(u64, std::ops::Range<usize>)) {
        let mut start = 0;
        while let Some(&first_ns) = times_ns.get(start) {
            let window = self.window(first_ns);
            let last_ns = self.last_ns(window);
            let end = start + upto(&times_ns[start..], last_ns);
            run(window, start..end);
            start = end;
        }
    }
}

/// How many of ascending times, of which the first counts, are up to `last_ns`: steps that double,
/// since windows are mostly short and rows regular.
fn upto(times_ns: &[i64], last_ns: i64) -> usize {
    if times_ns.last().is_some_and(|time| *time <= last_ns) {
        return times_ns.len();
    }
    let mut step = 4;
    while times_ns.get(step).is_some_and(|time| *time <= last_ns) {
        step *= 2;
    }
    let from = step / 2;
    let from = if from < 4 { 0 } else { from };
    let to = step.min(times_ns.len());
    from + times_ns[from..to].partition_point(|time| *time <= last_ns)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use tandem_influxql::ast::Fill;

    use super::*;
    use crate::select::window::Interval;

    fn options(duration_ns: i64, offset_ns: i64, zone: Option<&str>) -> Options {
        Options {
            range: TimeRange::new(0, 1_000_000),
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

    #[test]
    fn windows_are_those_of_the_options() {
        const HOUR: i64 = 3_600_000_000_000;
        for (duration_ns, offset_ns, zone) in [
            (7, 0, None),
            (7, 3, None),
            (1_000, -3, None),
            (24 * HOUR, HOUR, Some("Asia/Kolkata")),
            (24 * HOUR, 0, Some("America/New_York")),
        ] {
            let options = options(duration_ns, offset_ns, zone);
            let step = duration_ns / 3 + 1;
            let range = TimeRange::new(-40 * step, 90 * step);
            let grid = Grid::new(&options, range).unwrap();
            for at in -40..=90 {
                let time_ns = at * step;
                let window = grid.window(time_ns);
                assert!(window < grid.windows);
                let (start, end) = options.window(time_ns);
                assert_eq!(grid.start_ns(window), start, "{duration_ns} {zone:?} {at}");
                assert_eq!(grid.last_ns(window) + 1, end);
                assert_eq!(grid.stamp_ns(window), options.stamp(time_ns));
            }
        }
    }

    #[test]
    fn where_clocks_change_there_is_none() {
        const DAY: i64 = 86_400_000_000_000;
        let options = options(DAY, 0, Some("America/New_York"));
        assert_eq!(Grid::new(&options, TimeRange::new(0, 365 * DAY)), None);
        assert_eq!(Grid::new(&options, TimeRange::new(MIN_TIME_NS, 0)), None);
    }

    #[test]
    fn times_are_cut_where_windows_end() {
        let grid = Grid::new(&options(10, 0, None), TimeRange::new(0, 2_000)).unwrap();
        let mut times: Vec<i64> = (0..37).map(|at| at * 3).collect();
        times.extend([500, 501, 502, 1_999]);
        times.extend(2_000..2_000);
        let mut seen = 0;
        grid.cut(&times, |window, rows| {
            assert_eq!(rows.start, seen);
            assert!(!rows.is_empty());
            for row in rows.clone() {
                assert_eq!(grid.window(times[row]), window);
            }
            seen = rows.end;
        });
        assert_eq!(seen, times.len());
    }

    #[test]
    fn without_an_interval_there_is_one_window() {
        let mut options = options(0, 0, None);
        let grid = Grid::new(&options, TimeRange::ALL).unwrap();
        assert_eq!((grid.windows, grid.window(55), grid.stamp_ns(0)), (1, 0, 0));
        options.range.min_ns = 7;
        let grid = Grid::new(&options, TimeRange::ALL).unwrap();
        assert_eq!(grid.stamp_ns(0), 7);
    }
}
