//! When to gather: at multiples of the interval since the epoch, on the host's clock, later by an
//! offset that is always the same and by a jitter that is drawn anew for each tick.
//!
//! The schedule does not drift: a gather's length or a late wake-up moves no later tick. Of
//! several ticks that passed unnoticed only the last one is gathered. A clock that was set moves
//! the schedule along.

use std::time::Duration;

/// How ticks follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rhythm {
    pub(crate) interval: Duration,
    /// Below the interval.
    pub(crate) offset: Duration,
    /// Below the interval.
    pub(crate) jitter: Duration,
}

/// The ticks of one rhythm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    interval_ns: i64,
    offset_ns: i64,
    jitter_ns: i64,
    /// The next tick, and how much later than that it is due.
    next_ns: i64,
    delay_ns: i64,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing for so long, as far as is known now.
    Wait(Duration),
    /// Gather.
    Gather(Tick),
}

/// A tick that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    pub(crate) at_ns: i64,
    next_ns: i64,
    now_ns: i64,
    /// Ticks before this one that were missed.
    pub(crate) skipped: u64,
}

fn to_ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Rhythm {
    /// Aligned ticks without offset and jitter.
    #[cfg(test)]
    pub(crate) fn every(interval: Duration) -> Self {
        Self {
            interval,
            offset: Duration::ZERO,
            jitter: Duration::ZERO,
        }
    }
}

impl Schedule {
    /// The first tick is the first of the rhythm after `now_ns`.
    pub(crate) fn new(rhythm: Rhythm, now_ns: i64) -> Self {
        let interval_ns = to_ns(rhythm.interval).max(1);
        let mut schedule = Self {
            interval_ns,
            offset_ns: to_ns(rhythm.offset) % interval_ns,
            jitter_ns: to_ns(rhythm.jitter).min(interval_ns - 1),
            next_ns: 0,
            delay_ns: 0,
        };
        schedule.plan_after(schedule.last_before(now_ns));
        schedule
    }

    /// The last tick not after `now_ns`.
    fn last_before(&self, now_ns: i64) -> i64 {
        let since = now_ns
            .saturating_sub(self.offset_ns)
            .rem_euclid(self.interval_ns);
        now_ns.saturating_sub(since)
    }

    /// Goes on with another rhythm, from the tick that is next.
    pub(crate) fn change(&mut self, rhythm: Rhythm) {
        let next_ns = self.next_ns;
        *self = Self::new(rhythm, next_ns.saturating_sub(1));
    }

    fn plan_after(&mut self, at_ns: i64) {
        self.next_ns = at_ns.saturating_add(self.interval_ns);
        self.delay_ns = match self.jitter_ns {
            0 => 0,
            most => tandem_vfs::random_u64().cast_signed().rem_euclid(most + 1),
        };
    }

    /// What to do at `now_ns`.
    pub(crate) fn step(&mut self, now_ns: i64) -> Step {
        let due_ns = self.next_ns.saturating_add(self.delay_ns);
        if now_ns < due_ns {
            if self.next_ns.saturating_sub(now_ns) > self.interval_ns {
                // The clock was set back.
                self.plan_after(self.last_before(now_ns));
            }
            let due_ns = self.next_ns.saturating_add(self.delay_ns);
            let wait_ns = due_ns.saturating_sub(now_ns).max(0).unsigned_abs();
            return Step::Wait(Duration::from_nanos(wait_ns));
        }
        let at_ns = self.last_before(now_ns);
        let missed_ns = at_ns.saturating_sub(self.next_ns).max(0);
        self.plan_after(at_ns);
        Step::Gather(Tick {
            at_ns,
            next_ns: self.next_ns,
            now_ns,
            skipped: (missed_ns / self.interval_ns).unsigned_abs(),
        })
    }
}

impl Tick {
    /// The time that the lines bear: that of the gather, rounded, but always before the next
    /// tick, so that a late gather's lines are not overwritten by those of the next.
    pub(crate) fn time_ns(&self, precision: Duration) -> i64 {
        let rounded = round(self.now_ns, precision);
        if rounded < self.next_ns {
            rounded
        } else {
            self.next_ns
                .saturating_sub(to_ns(precision).max(1))
                .max(self.at_ns)
        }
    }
}

/// `time_ns` rounded half up to a multiple of `precision`.
pub(crate) fn round(time_ns: i64, precision: Duration) -> i64 {
    let unit = to_ns(precision).max(1);
    let below = time_ns.rem_euclid(unit);
    let floor = time_ns.saturating_sub(below);
    if below >= unit - below {
        floor.saturating_add(unit)
    } else {
        floor
    }
}

/// What timestamps are rounded to at this interval (`influxdata/telegraf agent/agent.go`
/// `getPrecision`).
pub(crate) fn default_precision(interval: Duration) -> Duration {
    const UNITS: [Duration; 3] = [
        Duration::from_secs(1),
        Duration::from_millis(1),
        Duration::from_micros(1),
    ];
    UNITS
        .into_iter()
        .find(|unit| interval >= *unit)
        .unwrap_or(Duration::from_nanos(1))
}

#[cfg(test)]
mod tests {
    use tandem_testkit::ManualClock;
    use tandem_vfs::Clock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SECOND_NS: i64 = 1_000_000_000;

    fn gather(schedule: &mut Schedule, clock: &ManualClock) -> Tick {
        match schedule.step(clock.now_ns()) {
            Step::Gather(tick) => tick,
            Step::Wait(wait) => panic!("not due for {wait:?}"),
        }
    }

    fn wait(schedule: &mut Schedule, clock: &ManualClock) -> Duration {
        match schedule.step(clock.now_ns()) {
            Step::Wait(wait) => wait,
            Step::Gather(tick) => panic!("due: {tick:?}"),
        }
    }

    #[test]
    fn ticks_are_aligned_and_do_not_drift() {
        let clock = ManualClock::new(1_003 * SECOND_NS + 7);
        let mut schedule = Schedule::new(Rhythm::every(10 * SECOND), clock.now_ns());
        for expected_s in [1_010, 1_020, 1_030, 1_040] {
            clock.advance(wait(&mut schedule, &clock));
            assert_eq!(clock.now_ns(), expected_s * SECOND_NS);
            // Woken late, and busy for a while: the next tick does not move.
            clock.advance(Duration::from_millis(300));
            let tick = gather(&mut schedule, &clock);
            assert_eq!((tick.at_ns, tick.skipped), (expected_s * SECOND_NS, 0));
            assert_eq!(tick.time_ns(SECOND), expected_s * SECOND_NS);
            clock.advance(3 * SECOND);
        }
    }

    #[test]
    fn of_missed_ticks_only_the_last_is_gathered() {
        let clock = ManualClock::new(0);
        let mut schedule = Schedule::new(Rhythm::every(10 * SECOND), clock.now_ns());
        clock.advance(45 * SECOND);
        let tick = gather(&mut schedule, &clock);
        assert_eq!((tick.at_ns, tick.skipped), (40 * SECOND_NS, 3));
        assert_eq!(tick.time_ns(SECOND), 45 * SECOND_NS);
        assert_eq!(wait(&mut schedule, &clock), 5 * SECOND);
    }

    #[test]
    fn a_late_gather_does_not_take_the_next_ones_time() {
        let clock = ManualClock::new(0);
        let mut schedule = Schedule::new(Rhythm::every(SECOND), clock.now_ns());
        clock.advance(Duration::from_millis(1_700));
        let late = gather(&mut schedule, &clock).time_ns(SECOND);
        clock.advance(Duration::from_millis(310));
        let next = gather(&mut schedule, &clock).time_ns(SECOND);
        assert_eq!((late, next), (SECOND_NS, 2 * SECOND_NS));
    }

    #[test]
    fn an_offset_moves_all_ticks_and_jitter_each() {
        let clock = ManualClock::new(1_003 * SECOND_NS);
        let rhythm = Rhythm {
            interval: 10 * SECOND,
            offset: 2 * SECOND,
            jitter: 3 * SECOND,
        };
        let mut schedule = Schedule::new(rhythm, clock.now_ns());
        let mut delays = std::collections::BTreeSet::new();
        for expected_s in (1_012..1_300).step_by(10) {
            clock.advance(wait(&mut schedule, &clock));
            let tick = gather(&mut schedule, &clock);
            assert_eq!((tick.at_ns, tick.skipped), (expected_s * SECOND_NS, 0));
            let delay_ns = clock.now_ns() - tick.at_ns;
            assert!((0..=3 * SECOND_NS).contains(&delay_ns), "{delay_ns}");
            delays.insert(delay_ns);
        }
        assert!(delays.len() > 10, "drawn anew: {delays:?}");
    }

    #[test]
    fn a_clock_that_is_set_moves_the_schedule() {
        let clock = ManualClock::new(5_000 * SECOND_NS);
        let mut schedule = Schedule::new(Rhythm::every(10 * SECOND), clock.now_ns());
        clock.set(1_001 * SECOND_NS);
        assert_eq!(wait(&mut schedule, &clock), 9 * SECOND);
        clock.set(90_000 * SECOND_NS);
        assert_eq!(gather(&mut schedule, &clock).at_ns, 90_000 * SECOND_NS);
        // Before the epoch, and at the ends of time.
        for now_ns in [-5 * SECOND_NS, i64::MIN, i64::MAX] {
            clock.set(now_ns);
            let _ = schedule.step(clock.now_ns());
        }
    }

    #[test]
    fn rounding_is_half_up() {
        for (time_ns, expected_ns) in [
            (SECOND_NS + 499_999_999, SECOND_NS),
            (SECOND_NS + 500_000_000, 2 * SECOND_NS),
            (-1, 0),
            (-500_000_000, 0),
            (-500_000_001, -SECOND_NS),
            (0, 0),
        ] {
            assert_eq!(round(time_ns, SECOND), expected_ns, "{time_ns}");
        }
        assert_eq!(round(1_234, Duration::from_nanos(1)), 1_234);
        assert_eq!(round(1_500, Duration::from_micros(1)), 2_000);
    }

    #[test]
    fn precision_follows_the_interval() {
        for (interval, precision) in [
            (10 * SECOND, SECOND),
            (SECOND, SECOND),
            (Duration::from_millis(999), Duration::from_millis(1)),
            (Duration::from_micros(5), Duration::from_micros(1)),
            (Duration::from_nanos(5), Duration::from_nanos(1)),
        ] {
            assert_eq!(default_precision(interval), precision);
        }
    }
}
