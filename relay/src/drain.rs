//! The drainer: delivers the hints of one backlog, each as soon as nothing before it has to come
//! first.
//!
//! It drops nothing by itself: a hint is passed when the backend has stored it, when it was
//! cancelled, when it lies among the dead letters or with what is held of its database, or when
//! the operator chose that a full queue drops its oldest and the gap list says so. What the backend
//! may yet take is tried again, for ever, with pauses that double.
//!
//! The drainer of the queue moves what the backend refuses for now to `held`, and starts a drainer
//! there, which tries again and again.
//!
//! Hints of one kind go out as one request (`bundle`), and when little is left, what comes in waits for the rest instead of
//! queueing up behind it (`catch_up`): so a backlog comes to its end however much comes in meanwhile. Until then it takes no
//! more of the time than it must (`pace`).

mod catch_up;
mod dispatch;
mod overflow;
mod pace;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tandem_seglog::{Reader, Sequence};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::backend::{Backend, joined};
use crate::backlog::{Backlog, Passed};
use crate::bundle::Landed;
use crate::hint::{self, Record};
use crate::off_loop::off_loop;
use crate::parcel::{Delivered, Parcel};
use crate::report::Condition;
use crate::scope::Domain;
use crate::stride::Stride;
use crate::verdict::Lack;
use crate::window::{Item, State, Window};

use self::catch_up::CatchUp;
use self::pace::Pace;

/// Hints passed before the cursor is stored, while there are more.
const PASSED_MAX: usize = 512;
const PASSED_GENTLE_MAX: usize = 8 * PASSED_MAX;
/// Time after which the cursor is stored, while there are more.
const PASSED_AGE_MAX: Duration = Duration::from_millis(100);
/// The same while others are spared: storing it takes a disk's time and a processor's.
const PASSED_AGE_GENTLE_MAX: Duration = Duration::from_secs(1);
/// What an operator has to mend is looked at this often, at least.
const HELD_PAUSE_MAX: Duration = Duration::from_secs(15);

/// How a drainer goes about it.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// The first pause after a failure; doubles with each, and is scattered by half.
    pub(crate) pause_min: Duration,
    pub(crate) pause_max: Duration,
    /// Deliveries at once.
    pub(crate) flights_max: usize,
    /// Bytes of hints that go out as one request; 0: each goes alone.
    pub(crate) request_bytes_max: u64,
    /// Nothing is sent before: a killed relay's writes may still be under way.
    pub(crate) not_before: Option<Instant>,
    pub(crate) stop: watch::Receiver<bool>,
    /// How long a delivery that is under way at the stop may take.
    pub(crate) stop_deadline: Duration,
    /// Where the scattering of pauses begins.
    pub(crate) scatter_seed: u64,
}

/// Which hints are drained.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The queue's own.
    Main,
    /// Those that are held of a database.
    Held(Domain, Arc<Backlog>),
}

struct Drainer {
    backend: Arc<Backend>,
    backlog: Arc<Backlog>,
    held: Option<Domain>,
    manner: Manner,
    reader: Option<Reader>,
    /// All records below this have been read.
    read_to: Sequence,
    window: Window,
    passed: Vec<Passed>,
    passed_since: Instant,
    /// Where the cursor stands, once it has been stored.
    stored: Option<Sequence>,
    flights: JoinSet<Landed>,
    stride: Stride,
    catch_up: CatchUp,
    pace: Pace,
    /// After a failure one delivery at a time is tried, until one succeeds.
    probing: bool,
    pause: Duration,
    paused_until: Option<Instant>,
    scatter: u64,
    /// Drainers of what is held.
    children: JoinSet<()>,
}

/// Drains until it is told to stop; what was passed is stored before this returns.
///
/// Boxed, because the drainer of a queue starts others of its kind.
pub(crate) fn drain(
    backend: Arc<Backend>,
    source: Source,
    manner: Manner,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let (backlog, held) = match source {
            Source::Main => (backend.queue.main.clone(), None),
            Source::Held(domain, backlog) => (backlog, Some(domain)),
        };
        let reader = backlog.reader();
        let mut drainer = Drainer {
            read_to: reader.position(),
            reader: Some(reader),
            backlog,
            held,
            window: Window::default(),
            passed: Vec::new(),
            passed_since: Instant::now(),
            stored: None,
            flights: JoinSet::new(),
            stride: Stride::new(manner.request_bytes_max),
            catch_up: CatchUp::default(),
            pace: Pace::default(),
            probing: held.is_some(),
            pause: manner.pause_min,
            paused_until: manner.not_before,
            scatter: manner.scatter_seed,
            children: JoinSet::new(),
            backend,
            manner: manner.clone(),
        };
        if held.is_none() {
            for (domain, backlog) in drainer.backend.queue.held.backlogs() {
                drainer.adopt(domain, backlog);
            }
        }
        let overdue = async {
            stopped(manner.stop.clone()).await;
            sleep(manner.stop_deadline).await;
        };
        tokio::select! {
            biased;
            () = drainer.run() => {}
            () = overdue => drainer.backend.cut_off.store(true, Ordering::Relaxed),
        }
        drainer.give_up_catching_up();
        drainer.store().await;
        while let Some(child) = drainer.children.join_next().await {
            joined(child).await;
        }
    })
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that nobody is left who could say so: then it is over, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Drainer {
    async fn run(&mut self) {
        loop {
            if *self.manner.stop.borrow() {
                // What is under way ends; nothing new begins.
                while let Some(landed) = self.flights.join_next().await {
                    self.land(joined(landed).await).await;
                }
                self.window.pass(&mut self.passed);
                return;
            }
            self.fill().await;
            self.drop_what_is_asked().await;
            let lanes = self.backend.lanes.clone();
            let landing = lanes.next_landing();
            let mut landing = std::pin::pin!(landing);
            landing.as_mut().enable();
            let (mut wake_at, waits_for_lanes) = self.dispatch().await;
            if self.pass().await {
                continue;
            }
            if self.backlog.has_doubts() {
                let backlog = self.backlog.clone();
                if !off_loop(move || backlog.settle_doubts()).await {
                    let at = Instant::now() + self.manner.pause_max;
                    wake_at = Some(wake_at.map_or(at, |wake_at| wake_at.min(at)));
                }
            }
            // A pause may have begun since: for what could not be put aside, or a position that could not be stored.
            for at in [self.catch_up(), self.paused_until].into_iter().flatten() {
                wake_at = Some(wake_at.map_or(at, |wake_at| wake_at.min(at)));
            }
            let timer = async {
                match wake_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(landed) = self.flights.join_next() => self.land(joined(landed).await).await,
                () = self.backlog.changed() => {}
                () = landing, if waits_for_lanes => {}
                () = timer => {}
                () = stopped(self.manner.stop.clone()) => {}
            }
        }
    }

    /// Reads what the window has room for. While nothing is sent there is no need for more than the oldest, but where
    /// room is asked for.
    async fn fill(&mut self) {
        let is_paused = self.paused_until.is_some_and(|at| at > Instant::now());
        if is_paused && self.window.front().is_some() && self.backlog.bytes_to_drop() == 0 {
            return;
        }
        while self.window.has_room() && !self.backlog.is_drained(self.read_to) {
            let Some(reader) = self.reader.take() else {
                return;
            };
            let room = self.window.room();
            let (reader, records, error) = off_loop(move || read(reader, room)).await;
            let position = reader.position();
            self.reader = Some(reader);
            let none = records.is_empty();
            for (sequence, record) in records {
                self.take(sequence, record);
            }
            self.read_to = position;
            match error {
                None if none => return,
                None => {}
                Some(error @ tandem_seglog::Error::Corrupt { .. }) => {
                    // The lanes of what is lost stay spilled until the next start.
                    self.backend.report.corrupt(&error);
                }
                Some(error) => {
                    self.backend.report.trouble("cannot read the queue", &error);
                    self.rest(None);
                    return;
                }
            }
        }
    }

    fn take(&mut self, sequence: Sequence, record: Vec<u8>) {
        let bytes = record.len() as u64;
        match hint::decode(&record) {
            Ok(Record::Cancel(_)) => {}
            Ok(Record::Hint { head, body_at, .. }) => {
                let body = Bytes::from(record).slice(body_at..);
                self.window.push(Item {
                    sequence,
                    state: State::Waiting(Parcel::new(head.clone(), body)),
                    head,
                    bytes,
                    not_before: None,
                    ghost_until: None,
                    pause: self.manner.pause_min,
                });
            }
            Err(error) => self.backend.report.corrupt(&error),
        }
    }

    /// Deals with a delivery that has ended.
    async fn land(&mut self, landed: Landed) {
        self.pace.answered(Instant::now());
        if let Some((size, took)) = landed.first {
            self.stride.answered(size, took);
            if landed.too_large {
                self.stride.too_large(size.bytes);
            }
        }
        let mut failure = None;
        // One that could not be put aside: what comes behind it must not be put aside before it.
        let mut is_stuck = false;
        for ((sequence, mut parcel), delivered) in landed.parts {
            let Some(item) = self.window.find(sequence) else {
                continue;
            };
            if let Delivered::All = delivered {
                item.state = State::Done;
                if let Some(result) = parcel.take_result() {
                    self.backlog.answered(sequence, result);
                }
                self.delivered();
                continue;
            }
            item.state = State::Waiting(parcel);
            match delivered {
                Delivered::All | Delivered::Untried => {}
                Delivered::Later {
                    text,
                    ghost_until,
                    retry_after,
                    failed_at_it,
                } => {
                    item.not_before = ghost_until;
                    item.ghost_until = ghost_until;
                    if failed_at_it {
                        // If it fails for what it holds, the others have their turn meanwhile.
                        let at = Instant::now() + scattered(item.pause * 2, &mut self.scatter);
                        item.not_before = item.not_before.max(Some(at));
                        item.pause = (item.pause * 2).min(self.manner.pause_max);
                    }
                    failure = Some((text, retry_after));
                }
                Delivered::Held(..) | Delivered::Unburied(_) if is_stuck => {}
                Delivered::Held(lack, text) => {
                    is_stuck = !self.refused(sequence, lack, &text).await;
                }
                Delivered::Unburied(text) => {
                    is_stuck = !self.refused(sequence, Lack::Right, &text).await;
                }
            }
        }
        if let Some((text, retry_after)) = failure {
            self.failed(&text, retry_after).await;
        }
    }

    /// The backend has taken a hint.
    fn delivered(&mut self) {
        self.probing = false;
        self.catch_up.is_flowing = true;
        self.pause = self.manner.pause_min;
        if self.held.is_none() {
            self.backend.report.now(Condition::Draining, "");
        }
    }

    /// The backend is away, or busy.
    async fn failed(&mut self, text: &str, retry_after: Option<Duration>) {
        self.probing = true;
        self.stride.failed();
        self.catch_up.is_flowing = false;
        self.pace.failed();
        self.give_up_catching_up();
        self.rest(retry_after);
        if self.held.is_none() {
            self.backend.report.fell_back(text);
        }
        // While it waits, what it has passed should count.
        self.window.pass(&mut self.passed);
        self.store().await;
    }

    /// The backend answers, and refuses this hint for now; false when it should be elsewhere and is not.
    async fn refused(&mut self, sequence: Sequence, lack: Lack, text: &str) -> bool {
        self.pause = self.manner.pause_min;
        let Some(item) = self.window.find(sequence) else {
            return true;
        };
        let not_before = Some(Instant::now() + scattered(item.pause, &mut self.scatter));
        item.not_before = not_before;
        item.pause = (item.pause * 2).min(HELD_PAUSE_MAX.min(self.manner.pause_max * 3));
        if self.held.is_some() && lack == Lack::Database {
            // So it would be with all the others.
            self.paused_until = not_before;
        }
        let database = item.head.place().0;
        self.backend.report.holds(&database, text);
        if self.held.is_some() {
            return true;
        }
        self.probing = false;
        let index = (0..self.window.len()).find(|at| {
            self.window
                .at(*at)
                .is_some_and(|item| item.sequence == sequence)
        });
        match index {
            Some(index) => self.hold(index, Some(lack)).await,
            None => true,
        }
    }

    /// Passes what has ended at the front; true when there is more to read at once.
    async fn pass(&mut self) -> bool {
        if self.passed.is_empty() {
            self.passed_since = Instant::now();
        }
        let before = self.passed.len();
        self.window.pass(&mut self.passed);
        let has_moved_on = self.passed.len() > before;
        let front = self.window.front().map(|item| item.head.received_ns);
        self.backlog.head_received(front.unwrap_or(0));
        let is_drained = self.window.front().is_none() && self.backlog.is_drained(self.read_to);
        let (count_max, age_max) = if self.is_gentle(Instant::now()) {
            (PASSED_GENTLE_MAX, PASSED_AGE_GENTLE_MAX)
        } else {
            (PASSED_MAX, PASSED_AGE_MAX)
        };
        let due = self.passed.len() >= count_max
            || self.passed_since.elapsed() >= age_max
            || is_drained
            || self.flights.is_empty() && self.rests_until(Instant::now()).is_none();
        if due {
            self.store().await;
        }
        if is_drained && self.passed.is_empty() {
            match self.held {
                None => self.backend.report.now(Condition::Live, ""),
                Some(domain) => {
                    self.backend.queue.held.release(domain, self.read_to);
                    self.backend.report.released(&self.backlog.note);
                }
            }
        }
        has_moved_on && (self.window.has_room() && !self.backlog.is_drained(self.read_to))
    }

    /// Whether others are spared: somebody is there, and there is room for what comes in meanwhile.
    fn is_gentle(&self, now: Instant) -> bool {
        self.pace.is_gentle(now) && !self.catch_up.is_on() && !self.backlog.is_tight()
    }

    fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.pace.rests_until(now).filter(|_| self.is_gentle(now))
    }

    /// Stores the cursor, if it has moved. What could not be stored counts as not passed, and is stored next time.
    async fn store(&mut self) {
        let next = self
            .window
            .front()
            .map_or(self.read_to, |item| item.sequence);
        if self.passed.is_empty() && self.stored == Some(next) {
            return;
        }
        let (backend, backlog) = (self.backend.clone(), self.backlog.clone());
        let passed = std::mem::take(&mut self.passed);
        let storing = off_loop(move || match backlog.advance(next, &passed) {
            Ok(()) => (backlog.tidy(next), Vec::new()),
            Err(error) => (Err(error), passed),
        });
        let (outcome, passed) = storing.await;
        self.passed = passed;
        if !self.passed.is_empty() {
            self.rest(None);
        }
        self.stored = outcome.is_ok().then_some(next);
        if let Err(error) = outcome {
            // At worst it is delivered again after a restart, in order: harmless.
            let what = "cannot store the position in the queue";
            backend.report.trouble(what, &error);
        }
    }

    /// A pause for all, twice as long as the last one up to the bound.
    fn rest(&mut self, at_least: Option<Duration>) {
        if self.paused_until.is_some() && at_least.is_none() {
            // Several deliveries failed together.
            return;
        }
        let pause = scattered(self.pause, &mut self.scatter).max(at_least.unwrap_or_default());
        self.pause = (self.pause * 2).min(self.manner.pause_max);
        self.paused_until = Some(Instant::now() + pause);
    }
}

/// Half of a pause, and a part of the other half that looks random (xorshift).
fn scattered(pause: Duration, state: &mut u64) -> Duration {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    let half = pause / 2;
    half + half.mul_f64((*state >> 11) as f64 / (1_u64 << 53) as f64)
}

type Read = (
    Reader,
    Vec<(Sequence, Vec<u8>)>,
    Option<tandem_seglog::Error>,
);

/// Reads records, up to what there is room for. Blocks.
fn read(mut reader: Reader, (count, bytes): (usize, u64)) -> Read {
    let mut records = Vec::new();
    let mut taken = 0;
    while records.len() < count && taken < bytes {
        match reader.next() {
            Ok(Some((sequence, record))) => {
                taken += record.len() as u64;
                records.push((sequence, record));
            }
            Ok(None) => break,
            Err(error) => return (reader, records, Some(error)),
        }
    }
    (reader, records, None)
}
