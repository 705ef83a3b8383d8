//! The drainer: delivers the hints of one backend, one after another, in the order of the log.
//!
//! It drops nothing: a hint is passed when the backend has stored it, when it was cancelled, or
//! when it lies among the dead letters. What the backend may yet take is tried again, for ever,
//! with pauses that double; what an operator has to mend holds the queue.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tandem_seglog::{Reader, Sequence};
use tandem_vfs::random_u64;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::backend::Backend;
use crate::batch::Head;
use crate::hint::{self, Record};
use crate::queue::Settle;
use crate::report::Condition;
use crate::verdict::Verdict;

/// Hints passed before the cursor is stored, while there are more.
const PASSED_MAX: usize = 64;
/// Time after which the cursor is stored, while there are more.
const PASSED_AGE_MAX: Duration = Duration::from_millis(100);

/// The pauses of a drainer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

struct Drainer {
    backend: Arc<Backend>,
    pauses: Pauses,
    /// All records below this are passed.
    next: Sequence,
    /// Hints passed since the cursor was stored: sequence, lanes, bytes.
    passed: Vec<(Sequence, u64, u64)>,
    passed_since: Instant,
    pause: Duration,
    stop: watch::Receiver<bool>,
}

/// Drains until `stop` says so. A delivery that is under way then has `stop_deadline` to end; what
/// was passed is stored before this returns.
pub(crate) async fn drain(
    backend: Arc<Backend>,
    pauses: Pauses,
    stop: watch::Receiver<bool>,
    stop_deadline: Duration,
) {
    let mut drainer = Drainer {
        pauses,
        next: 0,
        passed: Vec::new(),
        passed_since: Instant::now(),
        pause: pauses.min,
        backend,
        stop: stop.clone(),
    };
    let overdue = async {
        stopped(stop).await;
        sleep(stop_deadline).await;
    };
    tokio::select! {
        Stopped = drainer.run() => {}
        () = overdue => {}
    }
    drainer.store().await;
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that nobody is left who could say so: then it is over, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The drainer was told to stop.
struct Stopped;

impl Drainer {
    async fn run(&mut self) -> Stopped {
        let mut reader = self.backend.queue.reader();
        self.next = reader.position();
        loop {
            if *self.stop.borrow() {
                return Stopped;
            }
            let (returned, read) = read(reader).await;
            reader = returned;
            match read {
                Ok(Some((sequence, record))) => {
                    if let Err(stopped) = self.pass(sequence, record).await {
                        return stopped;
                    }
                    self.next = sequence + 1;
                    let due = self.passed.len() >= PASSED_MAX
                        || self.passed_since.elapsed() >= PASSED_AGE_MAX
                        || self.backend.queue.is_drained(self.next);
                    if due {
                        self.store().await;
                    }
                }
                Ok(None) => {
                    self.store().await;
                    if self.backend.queue.is_drained(self.next) {
                        self.backend.report.head_received(0);
                        self.backend.report.now(Condition::Live, "");
                        self.wait(None).await;
                    }
                }
                Err(error @ tandem_seglog::Error::Corrupt { .. }) => {
                    // The lanes of what is lost stay spilled until the next start.
                    self.backend.report.corrupt(&error);
                    self.next = reader.position();
                }
                Err(error) => {
                    self.backend.report.trouble("cannot read the queue", &error);
                    self.rest(None).await;
                }
            }
        }
    }

    /// Deals with one record, until it needs no more dealing with.
    async fn pass(&mut self, sequence: Sequence, record: Vec<u8>) -> Result<(), Stopped> {
        let bytes = record.len() as u64;
        match hint::decode(&record) {
            Ok(Record::Cancel(_)) => {}
            Ok(Record::Hint { head, body_at, .. }) => {
                self.backend.report.head_received(head.received_ns);
                let body = Bytes::from(record).slice(body_at..);
                self.deliver(sequence, &head, &body).await?;
                if self.passed.is_empty() {
                    self.passed_since = Instant::now();
                }
                self.passed.push((sequence, head.lanes, bytes));
            }
            Err(error) => self.backend.report.corrupt(&error),
        }
        Ok(())
    }

    async fn deliver(
        &mut self,
        sequence: Sequence,
        head: &Head,
        body: &Bytes,
    ) -> Result<(), Stopped> {
        let backend = self.backend.clone();
        loop {
            if *self.stop.borrow() {
                return Err(Stopped);
            }
            match backend.queue.due(sequence) {
                (Settle::InFlight, _) => {
                    self.wait(None).await;
                    continue;
                }
                (Settle::At(at), _) if at > Instant::now() => {
                    self.wait(Some(at)).await;
                    continue;
                }
                (_, true) => {}
                (_, false) => return Ok(()),
            }
            backend.lanes.clear_of_flights(head.lanes).await;
            let landing = backend.send(head, vec![body.clone()]).await;
            match landing.verdict {
                Verdict::Stored | Verdict::Partial => {
                    self.pause = self.pauses.min;
                    backend.report.written(head.lines);
                    if landing.verdict == Verdict::Partial {
                        backend.report.partial(&landing.text);
                    }
                    backend.report.now(Condition::Draining, "");
                    return Ok(());
                }
                Verdict::Dead => {
                    if self.bury(head, body, &landing.text).await {
                        return Ok(());
                    }
                    backend.report.now(Condition::Holding, &landing.text);
                }
                Verdict::Hold => backend.report.now(Condition::Holding, &landing.text),
                Verdict::Retry => backend.report.fell_back(&landing.text),
            }
            // While it waits, what it has passed should count.
            self.store().await;
            self.rest(landing.ghost_until).await;
        }
    }

    /// Puts a hint among the dead letters; false when it must stay.
    async fn bury(&self, head: &Head, body: &Bytes, reason: &str) -> bool {
        let (backend, head, body) = (self.backend.clone(), head.clone(), body.clone());
        let text = reason.to_owned();
        let task = tokio::task::spawn_blocking(move || backend.queue.bury(&head, &body, &text));
        match task.await {
            Ok(Ok(true)) => {
                self.backend.report.dead(reason);
                true
            }
            Ok(Ok(false)) => {
                let why = "the dead letters have reached their bound";
                self.backend
                    .report
                    .trouble("a refused batch stays in the queue", &why);
                false
            }
            Ok(Err(error)) => {
                self.backend
                    .report
                    .trouble("a refused batch stays in the queue", &error);
                false
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Stores the cursor. What could not be stored counts as not passed, and is stored next time.
    async fn store(&mut self) {
        let (backend, next) = (self.backend.clone(), self.next);
        let passed = std::mem::take(&mut self.passed);
        let task =
            tokio::task::spawn_blocking(move || match backend.queue.advance(next, &passed) {
                Ok(()) => (backend.queue.tidy(next), Vec::new()),
                Err(error) => (Err(error), passed),
            });
        match task.await {
            Ok((outcome, passed)) => {
                self.passed = passed;
                if let Err(error) = outcome {
                    // At worst it is delivered again after a restart, in order: harmless.
                    let what = "cannot store the position in the queue";
                    self.backend.report.trouble(what, &error);
                }
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Waits for a change in the queue, for `at`, or for the stop.
    async fn wait(&self, at: Option<Instant>) {
        let at = async {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.backend.queue.changed() => {}
            () = at => {}
            () = stopped(self.stop.clone()) => {}
        }
    }

    /// A pause, twice as long as the last one up to the bound, scattered by half; and not before
    /// what may still arrive has arrived.
    async fn rest(&mut self, not_before: Option<Instant>) {
        let half = self.pause / 2;
        let scatter = half.mul_f64((random_u64() >> 11) as f64 / (1_u64 << 53) as f64);
        self.pause = (self.pause * 2).min(self.pauses.max);
        let until = Instant::now() + half + scatter;
        tokio::select! {
            () = sleep_until(not_before.map_or(until, |at| at.max(until))) => {}
            () = stopped(self.stop.clone()) => {}
        }
    }
}

type Read = Result<Option<(Sequence, Vec<u8>)>, tandem_seglog::Error>;

/// Reads the next record off the event loop.
async fn read(mut reader: Reader) -> (Reader, Read) {
    let task = tokio::task::spawn_blocking(move || {
        let read = reader.next();
        (reader, read)
    });
    match task.await {
        Ok(pair) => pair,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
