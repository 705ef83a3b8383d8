//! One tick: every collector gathers, and none can hold up the others.
//!
//! Collectors run one after the other on a worker thread. One that is not done after
//! [`PATIENCE`] keeps its worker to itself, and the rest goes on with another. Its lines come
//! along with the tick during which it ends; while it is busy its ticks are left out and counted,
//! it is never started twice. So there are at most as many threads as collectors, and usually one.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::batch::{Batch, Tags};
use crate::collect::{Collector, Moment, Troubles};
use crate::counters::{Counters, add};
use crate::roots::Roots;
use crate::throttle::Throttle;

/// How long the others wait for one collector at a tick.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);
/// Enough for any collector: their buffers are on the heap.
const STACK_BYTES: usize = 256 << 10;

/// Runs collectors.
#[derive(Debug)]
pub(crate) struct Gatherer {
    slots: Vec<Slot>,
    roots: Arc<Roots>,
    patience: Duration,
    idle_workers: Vec<Sender<Box<Job>>>,
    done: Receiver<Done>,
    finished: Sender<Done>,
    counters: Arc<Counters>,
}

/// One collector's place.
#[derive(Debug)]
struct Slot {
    name: &'static str,
    /// Nothing while the collector is on a worker.
    resting: Option<Box<Job>>,
    troubles: Throttle,
    timeouts: Throttle,
}

/// A collector with all that it needs on a worker.
#[derive(Debug)]
struct Job {
    slot: usize,
    collector: Box<dyn Collector>,
    batch: Batch,
    at: Moment,
    /// The worker's own queue: it comes back with the job, so that an idle worker does not keep
    /// itself alive.
    worker: Option<Sender<Box<Job>>>,
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
        collectors: Vec<Box<dyn Collector>>,
        roots: Roots,
        tags: &Tags,
        patience: Duration,
        counters: Arc<Counters>,
    ) -> Self {
        let (finished, done) = channel();
        let slots = collectors
            .into_iter()
            .enumerate()
            .map(|(slot, collector)| Slot {
                name: collector.name(),
                resting: Some(Box::new(Job {
                    slot,
                    collector,
                    batch: Batch::new(Arc::clone(tags)),
                    at: Moment::default(),
                    worker: None,
                })),
                troubles: Throttle::default(),
                timeouts: Throttle::default(),
            });
        Self {
            slots: slots.collect(),
            roots: Arc::new(roots),
            patience,
            idle_workers: Vec::new(),
            done,
            finished,
            counters,
        }
    }

    /// Starts every collector that is not busy and appends the lines of those that end in time,
    /// now or from earlier ticks, to `out`; the number of lines is returned.
    ///
    /// # Panics
    /// When a collector panicked.
    pub(crate) fn tick(&mut self, at: Moment, out: &mut Vec<u8>) -> u64 {
        let mut lines = 0;
        while let Ok(done) = self.done.try_recv() {
            lines += self.take(done, out).1;
        }
        for index in 0..self.slots.len() {
            lines += self.run(index, at, out);
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

    fn run(&mut self, index: usize, at: Moment, out: &mut Vec<u8>) -> u64 {
        let Some(slot) = self.slots.get_mut(index) else {
            return 0;
        };
        let Some(mut job) = slot.resting.take() else {
            add(&self.counters.gather_timeouts, 1);
            if let Some(silent) = slot.timeouts.speak(Instant::now()) {
                let collector = slot.name;
                warn!(
                    collector,
                    silent, "still gathering; this interval is left out"
                );
            }
            return 0;
        };
        job.at = at;
        if let Err((job, error)) = self.dispatch(job) {
            add(&self.counters.gather_errors, 1);
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
                    if ended == index {
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
    fn take(&mut self, done: Done, out: &mut Vec<u8>) -> (usize, u64) {
        let Done::Gathered { mut job, result } = done else {
            panic!("a collector panicked");
        };
        self.idle_workers.extend(job.worker.take());
        let Some(slot) = self.slots.get_mut(job.slot) else {
            return (job.slot, 0);
        };
        if let Err(troubles) = result {
            add(&self.counters.gather_errors, troubles.count());
            if let Some(silent) = slot.troubles.speak(Instant::now())
                && let Some(first) = troubles.first()
            {
                let source = std::error::Error::source(first).map(ToString::to_string);
                warn!(
                    collector = slot.name,
                    count = troubles.count(),
                    silent,
                    cause = source.as_deref(),
                    "{first}"
                );
            }
        }
        out.extend_from_slice(job.batch.as_bytes());
        let (index, lines) = (job.slot, job.batch.lines());
        slot.resting = Some(job);
        (index, lines)
    }
}

fn work(jobs: &Receiver<Box<Job>>, finished: &Sender<Done>, roots: &Roots) {
    let _alarm = Alarm(finished.clone());
    while let Ok(mut job) = jobs.recv() {
        job.batch.start(job.at.time_ns);
        let result = job.collector.gather(roots, job.at, &mut job.batch);
        if finished.send(Done::Gathered { job, result }).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{SyncSender, sync_channel};

    use super::*;

    /// Gathers one line, after a signal where it is given a channel for them.
    #[derive(Debug)]
    struct Fake {
        name: &'static str,
        gate: Option<Receiver<()>>,
    }

    impl Collector for Fake {
        fn name(&self) -> &'static str {
            self.name
        }

        fn gather(&mut self, _: &Roots, _: Moment, out: &mut Batch) -> Result<(), Troubles> {
            if let Some(gate) = &self.gate {
                let _ = gate.recv();
            }
            out.line(self.name).unsigned("v", 1).finish();
            Ok(())
        }
    }

    fn gated(name: &'static str) -> (Box<dyn Collector>, SyncSender<()>) {
        let (open, gate) = sync_channel(1);
        let gate = Some(gate);
        (Box::new(Fake { name, gate }), open)
    }

    fn plain(name: &'static str) -> Box<dyn Collector> {
        Box::new(Fake { name, gate: None })
    }

    fn gatherer(collectors: Vec<Box<dyn Collector>>) -> (Gatherer, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let roots = Roots::default();
        let gatherer = Gatherer::new(
            collectors,
            roots,
            &Tags::from([]),
            PATIENCE * 5,
            counters.clone(),
        );
        (gatherer, counters)
    }

    fn at(time_ns: i64) -> Moment {
        Moment {
            time_ns,
            monotonic_ns: 0,
        }
    }

    fn tick(gatherer: &mut Gatherer, time_ns: i64) -> (String, u64) {
        let mut out = Vec::new();
        let lines = gatherer.tick(at(time_ns), &mut out);
        (String::from_utf8(out).unwrap(), lines)
    }

    #[test]
    fn one_that_hangs_delays_nothing_and_comes_back() {
        let (stuck, open) = gated("stuck");
        let (mut gatherer, counters) = gatherer(vec![plain("a"), stuck, plain("b")]);
        assert_eq!(tick(&mut gatherer, 1), ("a v=1i 1\nb v=1i 1\n".into(), 2));
        assert_eq!(tick(&mut gatherer, 2), ("a v=1i 2\nb v=1i 2\n".into(), 2));
        assert_eq!(counters.read().gather_timeouts, 1);
        open.send(()).unwrap();
        let mut out = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(gatherer.settle(deadline, &mut out), 1);
        assert_eq!(out, b"stuck v=1i 1\n", "the time is that of its own tick");
        open.send(()).unwrap();
        let (text, lines) = tick(&mut gatherer, 3);
        assert_eq!(lines, 3, "{text}");
        assert_eq!(counters.read().gather_timeouts, 1);
    }

    #[test]
    fn settling_ends_at_its_deadline() {
        let (stuck, _open) = gated("stuck");
        let (mut gatherer, _) = gatherer(vec![stuck]);
        assert_eq!(tick(&mut gatherer, 1).1, 0);
        assert_eq!(gatherer.settle(Instant::now(), &mut Vec::new()), 0);
    }

    #[test]
    fn collectors_share_one_worker() {
        let (mut gatherer, _) = gatherer(vec![plain("a"), plain("b"), plain("c")]);
        for time_ns in 0..3 {
            assert_eq!(tick(&mut gatherer, time_ns).1, 3);
        }
        assert_eq!(gatherer.idle_workers.len(), 1);
    }

    #[test]
    #[should_panic(expected = "a collector panicked")]
    fn a_panic_is_loud() {
        #[derive(Debug)]
        struct Broken;
        impl Collector for Broken {
            fn name(&self) -> &'static str {
                "broken"
            }
            fn gather(&mut self, _: &Roots, _: Moment, _: &mut Batch) -> Result<(), Troubles> {
                panic!("on purpose");
            }
        }
        let (mut gatherer, _) = gatherer(vec![Box::new(Broken)]);
        let deadline = Instant::now() + Duration::from_secs(60);
        tick(&mut gatherer, 1);
        gatherer.settle(deadline, &mut Vec::new());
    }
}
