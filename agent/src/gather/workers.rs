//! The threads that collectors gather on: one for all, and another one in place of each that hangs.
//!
//! The jobs of a tick go to the worker at once, and the gatherer is woken when all are done: each time one thread
//! wakes another costs more than what most collectors do. A worker that stays with one job beyond the patience is
//! left alone with it, and the jobs behind it go to a new one. When it comes back, it leaves its job with those that
//! are done, and ends.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::slot::{Job, cpu_time};
use crate::collect::Troubles;
use crate::roots::Roots;

/// Enough for any collector: their buffers are on the heap.
const STACK_BYTES: usize = 256 << 10;

/// What came of a job.
#[derive(Debug)]
pub(super) enum Done {
    Gathered {
        job: Box<Job>,
        result: Result<(), Troubles>,
    },
    /// There is no thread to gather on.
    Unstarted {
        job: Box<Job>,
        error: io::Error,
    },
    Panicked,
}

/// See the module's head. Dropped, its threads end as soon as they are done.
#[derive(Debug)]
pub(super) struct Workers {
    shared: Arc<Shared>,
    roots: Arc<Roots>,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// For the worker: there are jobs, or another one takes them.
    to_do: Condvar,
    /// For the gatherer: all is done, or a worker that was left alone came back.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// To be done, in order.
    jobs: VecDeque<Box<Job>>,
    done: Vec<Done>,
    /// Who takes jobs; none where there is no such thread.
    worker: Option<u64>,
    /// How many there were.
    started: u64,
    /// Since when the worker is at a job.
    busy_since: Option<Instant>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets the worker go: it ends when it has no job, or when it is done with that.
    fn leave_worker(&mut self) {
        self.worker = None;
        self.busy_since = None;
    }
}

impl Workers {
    pub(super) fn new(roots: Roots, patience: Duration) -> Self {
        Self {
            shared: Arc::default(),
            roots: Arc::new(roots),
            patience,
        }
    }

    /// Has `jobs` done one after the other, and waits for each at most for the patience. Returns what is done, also
    /// of earlier jobs that took longer; the rest comes with a later call.
    pub(super) fn run(&self, jobs: impl IntoIterator<Item = Box<Job>>) -> Vec<Done> {
        let mut state = self.shared.lock();
        state.jobs.extend(jobs);
        if state.worker.is_some() && !state.jobs.is_empty() {
            self.shared.to_do.notify_all();
        }
        while !state.jobs.is_empty() || state.busy_since.is_some() {
            if state.worker.is_none()
                && let Err(error) = self.start(&mut state)
            {
                let kind = error.kind();
                let left = std::mem::take(&mut state.jobs);
                let unstarted = left.into_iter().map(|job| Done::Unstarted {
                    job,
                    error: kind.into(),
                });
                state.done.extend(unstarted);
                break;
            }
            // One that has not begun yet waits for a processor, and so would any other.
            let busy = state.busy_since.map_or(Duration::ZERO, |at| at.elapsed());
            let left = self.patience.saturating_sub(busy);
            if left.is_zero() {
                state.leave_worker();
                continue;
            }
            let waited = self.shared.done.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut state.done)
    }

    /// What is done by now, or once something is, until `deadline`; nothing after it.
    pub(super) fn wait(&self, deadline: Instant) -> Vec<Done> {
        let mut state = self.shared.lock();
        while state.done.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.shared.done.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut state.done)
    }

    /// Ends the thread that has nothing to do, for the memory that it takes.
    pub(super) fn rest(&self) {
        let mut state = self.shared.lock();
        if state.jobs.is_empty() && state.busy_since.is_none() {
            state.leave_worker();
            self.shared.to_do.notify_all();
        }
    }

    /// Whether a thread waits for jobs.
    #[cfg(test)]
    pub(super) fn started(&self) -> u64 {
        self.shared.lock().started
    }

    fn start(&self, state: &mut State) -> io::Result<()> {
        let number = state.started + 1;
        let (shared, roots) = (Arc::clone(&self.shared), Arc::clone(&self.roots));
        std::thread::Builder::new()
            .name("agent-collect".into())
            .stack_size(STACK_BYTES)
            .spawn(move || work(&shared, &roots, number))?;
        state.started = number;
        state.worker = Some(number);
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.jobs.clear();
        state.leave_worker();
        self.shared.to_do.notify_all();
    }
}

/// Tells when its worker unwinds.
struct Alarm<'a>(&'a Shared);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.lock();
            state.done.push(Done::Panicked);
            state.leave_worker();
            self.0.done.notify_all();
        }
    }
}

/// Does jobs as long as it is the worker that takes them.
fn work(shared: &Shared, roots: &Roots, number: u64) {
    let _alarm = Alarm(shared);
    let mut state = shared.lock();
    while state.worker == Some(number) {
        let Some(mut job) = state.jobs.pop_front() else {
            let waited = shared.to_do.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let began = Instant::now();
        state.busy_since = Some(began);
        drop(state);
        let cpu_began = cpu_time();
        job.batch.sample(job.sampling);
        job.batch.start(job.at.time_ns);
        let result = job.collector.gather(roots, job.at, &mut job.batch);
        job.took = began.elapsed();
        job.cpu = cpu_time().saturating_sub(cpu_began);
        state = shared.lock();
        state.done.push(Done::Gathered { job, result });
        if state.worker == Some(number) {
            state.busy_since = None;
            if !state.jobs.is_empty() {
                continue;
            }
        }
        shared.done.notify_all();
    }
}
