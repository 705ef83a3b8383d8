//! One collector's place: when it gathers, how often it is held back, and what it said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::Plan;
use crate::batch::{Batch, Sampling, Tags};
use crate::collect::{Chosen, Collector, Moment, Timing, Troubles};
use crate::counters::{Counters, GatherStats};
use crate::schedule::{Rhythm, Schedule, Step, default_precision};
use crate::shape::Shape;
use crate::throttle::Throttle;

/// Nobody waits longer than so many times its interval.
const SLOWDOWN_MAX: u32 = 16;

/// The place.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: u64,
    pub(super) name: &'static str,
    options: String,
    rhythm: Rhythm,
    schedule: Schedule,
    pub(super) precision: Duration,
    /// Time between lines, where it is sampled more often.
    shipped_every: Option<Duration>,
    slowdown: u32,
    /// Nothing while the collector is on a worker.
    pub(super) resting: Option<Box<Job>>,
    pub(super) stats: Arc<GatherStats>,
    /// Time on processors since the last decision about who is costly.
    pub(super) spent: Duration,
    troubles: Throttle,
    refused: Throttle,
    timeouts: Throttle,
}

/// A collector with all that it needs on a worker.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) slot: u64,
    pub(super) collector: Box<dyn Collector>,
    pub(super) batch: Batch,
    pub(super) at: Moment,
    pub(super) sampling: Sampling,
    /// How long it took, and how much of that on a processor.
    pub(super) took: Duration,
    pub(super) cpu: Duration,
}

/// Time that this thread was on a processor.
pub(super) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (s, ns) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(s.unwrap_or(0), ns.unwrap_or(0))
}

impl Slot {
    pub(super) fn new(
        id: u64,
        collector: Box<dyn Collector>,
        options: String,
        counters: &Counters,
    ) -> Self {
        let never = Rhythm {
            interval: Duration::MAX,
            offset: Duration::ZERO,
            jitter: Duration::ZERO,
        };
        Self {
            id,
            name: collector.name(),
            options,
            rhythm: never,
            schedule: Schedule::new(never, 0),
            precision: Duration::from_secs(1),
            shipped_every: None,
            slowdown: 1,
            stats: counters.collector(collector.name()),
            resting: Some(Box::new(Job {
                slot: id,
                collector,
                batch: Batch::new(Tags::from([])),
                at: Moment::default(),
                sampling: Sampling::Off,
                took: Duration::ZERO,
                cpu: Duration::ZERO,
            })),
            spent: Duration::ZERO,
            troubles: Throttle::default(),
            refused: Throttle::default(),
            timeouts: Throttle::default(),
        }
    }

    /// Whether it does already what is chosen. A busy one is replaced: its settings cannot be
    /// reached.
    pub(super) fn is_same(&self, chosen: &Chosen) -> bool {
        self.name == chosen.collector.name()
            && self.options == chosen.options
            && self.resting.is_some()
    }

    /// Takes a plan on.
    pub(super) fn plan(&mut self, plan: &Plan, timing: Timing, shape: &Shape, now_ns: i64) {
        let mut rhythm = Rhythm {
            interval: timing.interval.unwrap_or(plan.rhythm.interval),
            offset: timing.offset.unwrap_or(plan.rhythm.offset),
            jitter: timing.jitter.unwrap_or(plan.rhythm.jitter),
        };
        self.precision = timing
            .precision
            .or(plan.precision)
            .unwrap_or_else(|| default_precision(rhythm.interval));
        self.shipped_every = None;
        if let Some((every, names)) = &plan.sampling
            && *every < rhythm.interval
            && names.iter().any(|name| name == self.name)
        {
            self.shipped_every = Some(rhythm.interval);
            rhythm.interval = *every;
        }
        if rhythm != self.rhythm {
            self.rhythm = rhythm;
            self.slowdown = 1;
            self.schedule = Schedule::new(rhythm, now_ns);
        }
        if let Some(job) = &mut self.resting {
            job.batch.dress(&plan.tags, shape, &plan.shape);
            job.batch.set_series_max(plan.series_max);
        }
    }

    /// What to do now.
    pub(super) fn step(&mut self, now_ns: i64) -> Step {
        self.schedule.step(now_ns)
    }

    /// What becomes of the lines of the tick at `at_ns`: those of the first tick of an interval
    /// are written.
    pub(super) fn sampling(&self, at_ns: i64) -> Sampling {
        let Some(shipped_every) = self.shipped_every else {
            return Sampling::Off;
        };
        let ns = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        let every_ns = ns(self.rhythm.interval * self.slowdown);
        if at_ns.rem_euclid(ns(shipped_every).max(1)) < every_ns {
            Sampling::Write
        } else {
            Sampling::Note
        }
    }

    pub(super) fn slowdown(&self) -> u32 {
        self.slowdown
    }

    pub(super) fn may_slow_down(&self) -> bool {
        self.slowdown < SLOWDOWN_MAX && !self.spent.is_zero()
    }

    /// Waits twice as long from now on; so many times its interval.
    pub(super) fn slow_down(&mut self) -> u32 {
        self.set_slowdown(self.slowdown * 2)
    }

    /// Waits half as long from now on.
    pub(super) fn speed_up(&mut self) -> u32 {
        self.set_slowdown((self.slowdown / 2).max(1))
    }

    fn set_slowdown(&mut self, slowdown: u32) -> u32 {
        self.slowdown = slowdown;
        let rhythm = Rhythm {
            interval: self.rhythm.interval.saturating_mul(slowdown),
            ..self.rhythm
        };
        self.schedule.change(rhythm);
        let times = u64::from(slowdown);
        self.stats.change(|figures| figures.slowdown = times);
        slowdown
    }

    /// Says once a minute what went wrong.
    pub(super) fn report(&mut self, troubles: &Troubles) {
        self.stats
            .change(|figures| figures.errors += troubles.count());
        if let Some(silent) = self.troubles.speak(Instant::now())
            && let Some(first) = troubles.first()
        {
            let source = std::error::Error::source(first).map(ToString::to_string);
            warn!(
                collector = self.name,
                count = troubles.count(),
                silent,
                cause = source.as_deref(),
                "{first}"
            );
        }
    }

    /// Says once a minute that its last gather is not over.
    pub(super) fn report_busy(&mut self) {
        self.stats.change(|figures| figures.timeouts += 1);
        if let Some(silent) = self.timeouts.speak(Instant::now()) {
            let collector = self.name;
            warn!(
                collector,
                silent, "still gathering; this interval is left out"
            );
        }
    }

    /// Says once a minute that there are too many series.
    pub(super) fn report_refused(&mut self, lines: u64) {
        if let Some(silent) = self.refused.speak(Instant::now()) {
            warn!(
                collector = self.name,
                lines, silent, "too many series: new ones are left out until others are gone"
            );
        }
    }
}
