//! Collectors at work: each at its own ticks, and none can hold up the others.
//!
//! Collectors run one after the other on a worker thread. One that is not done after
//! [`PATIENCE`] keeps its worker to itself, and the rest goes on with another. Its lines come
//! along with the tick during which it ends; while it is busy its ticks are left out and counted,
//! it is never started twice. So there are at most as many threads as collectors, and usually one.

mod slot;
mod workers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use self::slot::{Job, Slot};
use self::workers::{Done, Workers};
use crate::batch::{Sampling, Tags};
use crate::collect::{Chosen, Moment, Source};
use crate::counters::Counters;
use crate::governor::{Budget, Decision, Governor, Over};
use crate::roots::Roots;
use crate::schedule::{Rhythm, Step, round};
use crate::shape::Shape;
use crate::usage;

/// How long the others wait for one collector at a tick.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);
/// What all collectors are told.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) tags: Tags,
    pub(crate) rhythm: Rhythm,
    /// What times are rounded to; without it, by the interval.
    pub(crate) precision: Option<Duration>,
    /// How often is sampled between lines, and by whom.
    pub(crate) sampling: Option<(Duration, Vec<String>)>,
    /// Series of one collector.
    pub(crate) series_max: usize,
    pub(crate) budget: Budget,
    /// What is asked of all lines.
    pub(crate) shape: Shape,
}

/// Runs collectors.
#[derive(Debug)]
pub(crate) struct Gatherer {
    slots: Vec<Slot>,
    next_id: u64,
    workers: Workers,
    counters: Arc<Counters>,
    governor: Governor,
    source: Source,
}

/// What came of the ticks that were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) lines: u64,
    /// Time until the next tick; nothing when it is not known, because some were gathered.
    pub(crate) wait: Duration,
}

impl Gatherer {
    pub(crate) fn new(
        chosen: Vec<Chosen>,
        roots: Roots,
        plan: &Plan,
        patience: Duration,
        counters: Arc<Counters>,
        now_ns: i64,
    ) -> Self {
        let mut gatherer = Self {
            slots: Vec::new(),
            next_id: 0,
            workers: Workers::new(roots, patience),
            counters,
            governor: Governor::new(plan.budget),
            source: Source::default(),
        };
        gatherer.apply(chosen, plan, now_ns);
        gatherer
    }

    /// Takes other settings on. A collector that is told the same as before keeps what it
    /// remembers, so that no difference is lost.
    pub(crate) fn apply(&mut self, chosen: Vec<Chosen>, plan: &Plan, now_ns: i64) {
        let mut old = std::mem::take(&mut self.slots);
        for chosen in chosen {
            let is_same = |slot: &Slot| slot.is_same(&chosen);
            let mut slot = match old.iter().position(is_same) {
                Some(at) => old.swap_remove(at),
                None => {
                    self.next_id += 1;
                    Slot::new(
                        self.next_id,
                        chosen.collector,
                        chosen.options,
                        &self.counters,
                    )
                }
            };
            slot.plan(plan, chosen.timing, &chosen.shape, now_ns);
            self.slots.push(slot);
        }
        self.governor.set_budget(plan.budget);
    }

    /// Starts every collector whose tick has come and that is not busy, and appends the lines of
    /// those that end in time, now or from earlier ticks, to `out`.
    ///
    /// # Panics
    /// When a collector panicked.
    pub(crate) fn run_due(&mut self, now_ns: i64, monotonic_ns: u64, out: &mut Vec<u8>) -> Round {
        let mut round = Round {
            lines: 0,
            wait: Duration::MAX,
        };
        let mut ticks = Vec::new();
        let mut skipped = 0;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            match slot.step(now_ns) {
                Step::Wait(wait) => round.wait = round.wait.min(wait),
                Step::Gather(tick) => {
                    // The same moment passed unnoticed for all of them.
                    skipped = skipped.max(tick.skipped);
                    let at = Moment {
                        time_ns: tick.time_ns(slot.precision),
                        monotonic_ns,
                    };
                    ticks.push((index, at, slot.sampling(tick.at_ns)));
                }
            }
        }
        if skipped > 0 {
            self.counters
                .change(|accounts| accounts.gathers_skipped += skipped);
        }
        let is_due = !ticks.is_empty();
        // Also where none is due: one may have come back.
        round.lines = self.run(ticks, out);
        if is_due {
            round.wait = Duration::ZERO;
            self.govern();
        }
        round
    }

    /// Starts every collector at once, whatever its ticks.
    pub(crate) fn run_all(&mut self, at: Moment, out: &mut Vec<u8>) -> u64 {
        let tick = |(index, slot): (usize, &Slot)| {
            let time_ns = round(at.time_ns, slot.precision);
            (index, Moment { time_ns, ..at }, Sampling::Off)
        };
        let ticks = self.slots.iter().enumerate().map(tick).collect();
        self.run(ticks, out)
    }

    /// Waits for the collectors still busy, until `deadline`.
    pub(crate) fn settle(&mut self, deadline: Instant, out: &mut Vec<u8>) -> u64 {
        let mut lines = 0;
        while self.slots.iter().any(|slot| slot.resting.is_none()) {
            let done = self.workers.wait(deadline);
            if done.is_empty() {
                break;
            }
            lines += self.take_all(done, out);
        }
        lines
    }

    /// Has the collectors of `ticks` gather, by their places.
    fn run(&mut self, ticks: Vec<(usize, Moment, Sampling)>, out: &mut Vec<u8>) -> u64 {
        let mut jobs = Vec::with_capacity(ticks.len());
        for (index, at, sampling) in ticks {
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            match slot.resting.take() {
                Some(mut job) => {
                    (job.at, job.sampling) = (at, sampling);
                    jobs.push(job);
                }
                None => {
                    self.counters
                        .change(|accounts| accounts.gather_timeouts += 1);
                    slot.report_busy();
                }
            }
        }
        let done = self.workers.run(jobs);
        self.take_all(done, out)
    }

    fn take_all(&mut self, done: Vec<Done>, out: &mut Vec<u8>) -> u64 {
        done.into_iter().map(|done| self.take(done, out)).sum()
    }

    /// Puts a collector that is done back in its place; how many lines it made.
    fn take(&mut self, done: Done, out: &mut Vec<u8>) -> u64 {
        let (mut job, result) = match done {
            Done::Gathered { job, result } => (job, result),
            Done::Unstarted { job, error } => {
                self.counters.change(|accounts| accounts.gather_errors += 1);
                warn!(collector = job.collector.name(), %error, "no thread to gather on");
                self.put_back(job);
                return 0;
            }
            Done::Panicked => panic!("a collector panicked"),
        };
        self.governor.spend(job.cpu);
        let (id, lines) = (job.slot, job.batch.lines());
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) else {
            // Other settings came while it was busy.
            return 0;
        };
        if let Err(troubles) = result {
            self.counters
                .change(|accounts| accounts.gather_errors += troubles.count());
            slot.report(&troubles);
        }
        let refused = job.batch.take_refused();
        if refused > 0 {
            self.counters.change(|accounts| {
                accounts.gathered += refused;
                accounts.dropped += refused;
            });
            slot.report_refused(refused);
        }
        slot.spent += job.cpu;
        slot.stats.time(job.took);
        slot.stats.change(|figures| {
            figures.lines += lines + refused;
            figures.refused += refused;
        });
        out.extend_from_slice(job.batch.as_bytes());
        slot.resting = Some(job);
        lines
    }

    fn put_back(&mut self, job: Box<Job>) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == job.slot) {
            slot.resting = Some(job);
        }
    }

    /// Keeps the agent within its own limits.
    fn govern(&mut self) {
        let source = &mut self.source;
        match self
            .governor
            .decide(Instant::now(), || usage::read(source).rss_bytes)
        {
            Decision::Keep => {}
            Decision::SlowDown(over) => {
                if matches!(over, Over::MemoryBytes(_)) {
                    self.workers.rest();
                    let resting = self
                        .slots
                        .iter_mut()
                        .filter_map(|slot| slot.resting.as_mut());
                    resting.for_each(|job| job.batch.shrink());
                }
                let costliest = self
                    .slots
                    .iter_mut()
                    .filter(|slot| slot.may_slow_down())
                    .max_by_key(|slot| slot.spent);
                if let Some(slot) = costliest {
                    let times = slot.slow_down();
                    warn!(
                        collector = slot.name,
                        times, "the agent is over its budget ({over}): gathered less often"
                    );
                }
                self.slots
                    .iter_mut()
                    .for_each(|slot| slot.spent = Duration::ZERO);
            }
            Decision::SpeedUp => {
                let slowest = self.slots.iter_mut().max_by_key(|slot| slot.slowdown());
                if let Some(slot) = slowest.filter(|slot| slot.slowdown() > 1) {
                    let times = slot.speed_up();
                    info!(collector = slot.name, times, "gathered more often again");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
