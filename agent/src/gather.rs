//! Collectors at work: each at its own ticks, and none can hold up the others.
//!
//! Collectors run one after the other on a worker thread. One that is not done after
//! [`PATIENCE`] keeps its worker to itself, and the rest goes on with another. Its lines come
//! along with the tick during which it ends; while it is busy its ticks are left out and counted,
//! it is never started twice. So there are at most as many threads as collectors, and usually one.

mod slot;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use self::slot::{Job, Slot, cpu_time};
use crate::batch::{Sampling, Tags};
use crate::collect::{Chosen, Moment, Source, Troubles};
use crate::counters::Counters;
use crate::governor::{Budget, Decision, Governor, Over};
use crate::roots::Roots;
use crate::schedule::{Rhythm, Step};
use crate::usage;

/// How long the others wait for one collector at a tick.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);
/// Enough for any collector: their buffers are on the heap.
const STACK_BYTES: usize = 256 << 10;

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
}

/// Runs collectors.
#[derive(Debug)]
pub(crate) struct Gatherer {
    slots: Vec<Slot>,
    next_id: u64,
    roots: Arc<Roots>,
    patience: Duration,
    idle_workers: Vec<Sender<Box<Job>>>,
    done: Receiver<Done>,
    finished: Sender<Done>,
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

#[derive(Debug)]
enum Done {
    Gathered {
        job: Box<Job>,
        result: Result<(), Troubles>,
    },
    Panicked,
}

/// Tells when its worker unwinds.
struct Alarm(Sender<Done>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send(Done::Panicked);
        }
    }
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
        let (finished, done) = channel();
        let mut gatherer = Self {
            slots: Vec::new(),
            next_id: 0,
            roots: Arc::new(roots),
            patience,
            idle_workers: Vec::new(),
            done,
            finished,
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
            slot.plan(plan, chosen.timing, now_ns);
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
            lines: self.collect_late(out),
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
        for (index, at, sampling) in ticks {
            round.wait = Duration::ZERO;
            round.lines += self.run(index, at, sampling, out);
        }
        if round.wait.is_zero() {
            self.govern();
        }
        round
    }

    /// Starts every collector at once, whatever its ticks.
    pub(crate) fn run_all(&mut self, at: Moment, out: &mut Vec<u8>) -> u64 {
        let mut lines = self.collect_late(out);
        for index in 0..self.slots.len() {
            lines += self.run(index, at, Sampling::Off, out);
        }
        lines
    }

    /// Waits for the collectors still busy, until `deadline`.
    pub(crate) fn settle(&mut self, deadline: Instant, out: &mut Vec<u8>) -> u64 {
        let mut lines = 0;
        while self.slots.iter().any(|slot| slot.resting.is_none()) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.done.recv_timeout(left) {
                Ok(done) => lines += self.take(done, out).1,
                Err(_) => break,
            }
        }
        lines
    }

    fn collect_late(&mut self, out: &mut Vec<u8>) -> u64 {
        let mut lines = 0;
        while let Ok(done) = self.done.try_recv() {
            lines += self.take(done, out).1;
        }
        lines
    }

    fn run(&mut self, index: usize, at: Moment, sampling: Sampling, out: &mut Vec<u8>) -> u64 {
        let Some(slot) = self.slots.get_mut(index) else {
            return 0;
        };
        let id = slot.id;
        let Some(mut job) = slot.resting.take() else {
            self.counters
                .change(|accounts| accounts.gather_timeouts += 1);
            slot.stats.change(|figures| figures.timeouts += 1);
            if let Some(silent) = slot.timeouts.speak(Instant::now()) {
                let collector = slot.name;
                warn!(
                    collector,
                    silent, "still gathering; this interval is left out"
                );
            }
            return 0;
        };
        (job.at, job.sampling) = (at, sampling);
        if let Err((job, error)) = self.dispatch(job) {
            self.counters.change(|accounts| accounts.gather_errors += 1);
            warn!(collector = job.collector.name(), %error, "no thread to gather on");
            if let Some(slot) = self.slots.get_mut(index) {
                slot.resting = Some(job);
            }
            return 0;
        }
        let deadline = Instant::now() + self.patience;
        let mut lines = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.done.recv_timeout(left) {
                Ok(done) => {
                    let (ended, more) = self.take(done, out);
                    lines += more;
                    if ended == id {
                        return lines;
                    }
                }
                // This one holds its own sender, so that the channel never closes.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return lines,
            }
        }
    }

    fn dispatch(&mut self, mut job: Box<Job>) -> Result<(), (Box<Job>, io::Error)> {
        let worker = match self.idle_workers.pop() {
            Some(worker) => worker,
            None => match self.start_worker() {
                Ok(worker) => worker,
                Err(error) => return Err((job, error)),
            },
        };
        job.worker = Some(worker.clone());
        worker
            .send(job)
            .map_err(|unsent| (unsent.0, io::Error::other("the worker ended")))
    }

    fn start_worker(&self) -> io::Result<Sender<Box<Job>>> {
        let (worker, jobs) = channel();
        let finished = self.finished.clone();
        let roots = Arc::clone(&self.roots);
        std::thread::Builder::new()
            .name("agent-collect".into())
            .stack_size(STACK_BYTES)
            .spawn(move || work(&jobs, &finished, &roots))?;
        Ok(worker)
    }

    /// Puts a collector that is done back in its place; which one, and how many lines it made.
    fn take(&mut self, done: Done, out: &mut Vec<u8>) -> (u64, u64) {
        let Done::Gathered { mut job, result } = done else {
            panic!("a collector panicked");
        };
        // One that is enough stays; what hung for a while leaves no thread behind.
        if self.idle_workers.is_empty() {
            self.idle_workers.extend(job.worker.take());
        } else {
            job.worker = None;
        }
        self.governor.spend(job.cpu);
        let (id, lines) = (job.slot, job.batch.lines());
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) else {
            // Other settings came while it was busy.
            return (id, 0);
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
        (id, lines)
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
                    self.idle_workers.clear();
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

fn work(jobs: &Receiver<Box<Job>>, finished: &Sender<Done>, roots: &Roots) {
    let _alarm = Alarm(finished.clone());
    while let Ok(mut job) = jobs.recv() {
        let (began, cpu_began) = (Instant::now(), cpu_time());
        job.batch.sample(job.sampling);
        job.batch.start(job.at.time_ns);
        let result = job.collector.gather(roots, job.at, &mut job.batch);
        job.took = began.elapsed();
        job.cpu = cpu_time().saturating_sub(cpu_began);
        if finished.send(Done::Gathered { job, result }).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
