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
use crate::held::{Moved, Way};
use crate::hint::{self, Record};
use crate::lane::Ahead;
use crate::marks::Settle;
use crate::off_loop::off_loop;
use crate::parcel::{Delivered, Parcel};
use crate::queue::DROPPED_OLDEST;
use crate::report::Condition;
use crate::scope::{Domain, Kind};
use crate::verdict::Lack;
use crate::window::{Item, State, Window};

/// Hints passed before the cursor is stored, while there are more.
const PASSED_MAX: usize = 64;
/// Time after which the cursor is stored, while there are more.
const PASSED_AGE_MAX: Duration = Duration::from_millis(100);
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
    flights: JoinSet<(Sequence, Parcel, Delivered)>,
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
            flights: JoinSet::new(),
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
        drainer.store().await;
        while let Some(child) = drainer.children.join_next().await {
            joined(child);
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
                    self.land(joined(landed)).await;
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
            let (wake_at, waits_for_lanes) = self.dispatch().await;
            if self.pass().await {
                continue;
            }
            let timer = async {
                match wake_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(landed) = self.flights.join_next() => self.land(joined(landed)).await,
                () = self.backlog.changed() => {}
                () = landing, if waits_for_lanes => {}
                () = timer => {}
                () = stopped(self.manner.stop.clone()) => {}
            }
        }
    }

    /// Reads what the window has room for.
    async fn fill(&mut self) {
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
                    pause: self.manner.pause_min,
                });
            }
            Err(error) => self.backend.report.corrupt(&error),
        }
    }

    /// Sends off what may go. Gives the time at which to look again, and whether to do so when a
    /// live write lands.
    async fn dispatch(&mut self) -> (Option<Instant>, bool) {
        let now = Instant::now();
        let mut waits_for_lanes = false;
        let mut wake_at: Option<Instant> = None;
        let mut at_the_latest = |at: Instant| {
            wake_at = Some(wake_at.map_or(at, |wake_at| wake_at.min(at)));
        };
        self.paused_until = self.paused_until.filter(|until| *until > now);
        if let Some(until) = self.paused_until {
            at_the_latest(until);
        }
        let mut ahead = Ahead::default();
        for index in 0..self.window.len() {
            let flights_max = if self.probing {
                1
            } else {
                self.manner.flights_max
            };
            let may_fly = self.paused_until.is_none() && self.flights.len() < flights_max;
            let Some(item) = self.window.at(index) else {
                break;
            };
            let State::Waiting(_) = item.state else {
                item.stand_in_the_way(&mut ahead);
                continue;
            };
            let scope = item.head.scope;
            let (settle, is_wanted) = self.backlog.due(item.sequence);
            match settle {
                Settle::Now => {}
                Settle::At(at) if at <= now => {}
                Settle::At(at) => {
                    at_the_latest(at);
                    ahead.add(&scope);
                    continue;
                }
                Settle::InFlight => {
                    ahead.add(&scope);
                    continue;
                }
            }
            if !is_wanted {
                item.state = State::Done;
                continue;
            }
            if ahead.precedes(&scope) {
                ahead.add(&scope);
                continue;
            }
            if let Some(not_before) = item.not_before.filter(|at| *at > now) {
                at_the_latest(not_before);
                ahead.add(&scope);
                continue;
            }
            if self.held.is_none() {
                match self.backend.queue.held.way(&item.head) {
                    Way::Free => {}
                    Way::Behind(_) => {
                        if !self.hold(index, None).await
                            && let Some(item) = self.window.at(index)
                        {
                            item.stand_in_the_way(&mut ahead);
                        }
                        continue;
                    }
                }
            }
            let is_behind_a_flight = may_fly && self.backend.lanes.is_behind_a_flight(scope);
            waits_for_lanes |= is_behind_a_flight;
            ahead.add(&scope);
            if may_fly
                && !is_behind_a_flight
                && let Some(item) = self.window.at(index)
                && let Some(mut parcel) = item.take_off()
            {
                let (sequence, backend) = (item.sequence, self.backend.clone());
                self.flights.spawn(async move {
                    let delivered = parcel.deliver(&backend).await;
                    (sequence, parcel, delivered)
                });
            }
        }
        (wake_at, waits_for_lanes)
    }

    /// Deals with a delivery that has ended.
    async fn land(&mut self, (sequence, parcel, delivered): (Sequence, Parcel, Delivered)) {
        let Some(item) = self.window.find(sequence) else {
            return;
        };
        match delivered {
            Delivered::All => {
                item.state = State::Done;
                self.probing = false;
                self.pause = self.manner.pause_min;
                if self.held.is_none() {
                    self.backend.report.now(Condition::Draining, "");
                }
            }
            Delivered::Later {
                text,
                ghost_until,
                retry_after,
            } => {
                item.state = State::Waiting(parcel);
                item.not_before = ghost_until;
                self.probing = true;
                self.rest(retry_after);
                if self.held.is_none() {
                    self.backend.report.fell_back(&text);
                }
                // While it waits, what it has passed should count.
                self.window.pass(&mut self.passed);
                self.store().await;
            }
            Delivered::Held(lack, text) => {
                item.state = State::Waiting(parcel);
                self.refused(sequence, lack, &text).await;
            }
            Delivered::Unburied(text) => {
                item.state = State::Waiting(parcel);
                self.refused(sequence, Lack::Right, &text).await;
            }
        }
    }

    /// The backend answers, and refuses this hint for now.
    async fn refused(&mut self, sequence: Sequence, lack: Lack, text: &str) {
        self.pause = self.manner.pause_min;
        let Some(item) = self.window.find(sequence) else {
            return;
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
        if self.held.is_none() {
            self.probing = false;
            let index = (0..self.window.len()).find(|at| {
                self.window
                    .at(*at)
                    .is_some_and(|item| item.sequence == sequence)
            });
            if let Some(index) = index {
                self.hold(index, Some(lack)).await;
            }
        }
    }

    /// Moves a hint to what is held; false when it stays.
    async fn hold(&mut self, index: usize, lack: Option<Lack>) -> bool {
        let Some((head, body)) = self
            .window
            .at(index)
            .and_then(|item| item.parcel().map(Parcel::rest))
        else {
            return false;
        };
        if head.scope.kind == Kind::Make {
            return false;
        }
        let backend = self.backend.clone();
        match off_loop(move || backend.queue.held.hold(&head, &body, lack)).await {
            Ok(Moved::No) => false,
            Ok(Moved::Failed(domain, backlog)) => {
                self.adopt(domain, backlog);
                self.rest(None);
                false
            }
            Ok(moved) => {
                if let Some(item) = self.window.at(index) {
                    item.state = State::Moved;
                }
                if let Moved::New(domain, backlog) = moved {
                    self.adopt(domain, backlog);
                }
                true
            }
            Err(error) => {
                let what = "a refused batch cannot be put aside and is in the way of others";
                self.backend.report.trouble(what, &error);
                self.rest(None);
                false
            }
        }
    }

    fn adopt(&mut self, domain: Domain, backlog: Arc<Backlog>) {
        let source = Source::Held(domain, backlog);
        self.children
            .spawn(drain(self.backend.clone(), source, self.manner.clone()));
    }

    /// Drops the oldest hints, as far as somebody who needs the room asks for it.
    async fn drop_what_is_asked(&mut self) {
        let mut index = 0;
        while self.backlog.bytes_to_drop() > 0 {
            let Some(item) = self.window.at(index) else {
                break;
            };
            if let State::Flying = item.state {
                // It is older than all behind it: they wait until it has landed.
                break;
            }
            index += 1;
            let Some((head, body)) = item.parcel().map(Parcel::rest) else {
                continue;
            };
            let bytes = item.bytes;
            let backend = self.backend.clone();
            let lines = head.lines;
            let recorded =
                off_loop(move || backend.queue.gaps.record(&head, &body, DROPPED_OLDEST));
            if let Err(error) = recorded.await {
                let what = "a loss cannot be recorded, so nothing is dropped";
                self.backend.report.trouble(what, &error);
                return;
            }
            self.backend.report.dropped(lines);
            if let Some(item) = self.window.at(index - 1) {
                item.state = State::Done;
            }
            self.backlog.dropped(bytes);
        }
        if index > 0 {
            // Somebody waits for the room.
            self.window.pass(&mut self.passed);
            self.store().await;
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
        let due = self.passed.len() >= PASSED_MAX
            || self.passed_since.elapsed() >= PASSED_AGE_MAX
            || is_drained
            || self.flights.is_empty();
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

    /// Stores the cursor. What could not be stored counts as not passed, and is stored next time.
    async fn store(&mut self) {
        let next = self
            .window
            .front()
            .map_or(self.read_to, |item| item.sequence);
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
