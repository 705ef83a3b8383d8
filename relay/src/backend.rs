//! One backend: its live writes, and what becomes of a batch that it does not confirm in time.
//!
//! ```text
//!            turn           answer in time                     stored, partial, refused
//! batch ──▶ lanes ──live──▶ wire ───────────▶ verdict ──────▶ the client is told
//!             │               │ too slow         │ failed
//!             │ spill         ▼                  ▼
//!             └────────────▶ log (fsync) ──▶ drainer ──▶ wire
//! ```

use std::future::{Future, Pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tandem_http::{Answer, Client, ClientError, Url, header};
use tandem_seglog::Sequence;
use tandem_vfs::Clock;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::answer::Outcome;
use crate::batch::{Batch, Head, Target};
use crate::lane::{Lanes, Place, Turn};
use crate::marks::Settle;
use crate::off_loop::off_loop;
use crate::queue::{Queue, SpillError, Spilled};
use crate::report::{Condition, Report};
use crate::route::Route;
use crate::scope::Scope;
use crate::verdict::{Verdict, may_come_late, verdict};

/// A backend that asks for a longer pause is asked again all the same.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The reason in the gap list.
const UNBURIED: &str = "refused for good, and the dead letters were full";

/// One backend.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    /// How it is reached; may change while the relay runs.
    pub(crate) link: RwLock<Arc<Link>>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) queue: Queue,
    /// Batches that have come in.
    pub(crate) arrivals: AtomicU64,
    pub(crate) report: Report,
    pub(crate) clock: Arc<dyn Clock>,
    /// Held by every task that must end before the relay does.
    pub(crate) busy: watch::Sender<()>,
    /// A delivery did not end in time, and may still be applied.
    pub(crate) cut_off: AtomicBool,
    /// Calls that broke off may be applied until then.
    pub(crate) ghosts_until: Mutex<Option<Instant>>,
}

/// A live write, wherever it is polled.
type Flight = Pin<Box<dyn Future<Output = Landing> + Send>>;

/// How a backend is reached, and what it gets.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) url: Url,
    pub(crate) client: Client,
    /// For reads, whose bounds are others.
    pub(crate) reader: Client,
    /// Which lines it gets, and under which database.
    pub(crate) route: Route,
    pub(crate) hedge_delay: Duration,
    pub(crate) write_timeout: Duration,
    /// How long a batch may wait for its lanes.
    pub(crate) turn_wait_max: Duration,
}

/// What became of a batch, so far.
#[derive(Debug)]
pub(crate) enum Attempt {
    Stored(Answer),
    /// With the backend's words.
    Partial(Answer),
    /// Its lanes are still flying, until [`Backend::keep`] or [`Backend::let_go`].
    Refused(Verdict, Answer),
    /// It is durable in the log, or dropped and in the gap list.
    Hinted(Hinted),
    /// It is nowhere; why.
    Failed(String),
}

/// A batch that is not confirmed and need not be waited for.
#[derive(Debug)]
pub(crate) struct Hinted {
    /// `None` when it was dropped.
    sequence: Option<Sequence>,
    /// Whether its live write, which is still under way, is confirmed after all.
    landing: Option<oneshot::Receiver<bool>>,
    /// What the backend will say to it, if it is a statement.
    result: Told,
}

/// What a backend will say to a hint.
type Told = Option<oneshot::Receiver<Answer>>;

impl Attempt {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Stored(_) => Outcome::Stored,
            Self::Partial(_) => Outcome::Partial,
            Self::Refused(Verdict::Hold(_) | Verdict::TooLarge, _) => Outcome::Hold,
            Self::Refused(..) => Outcome::Dead,
            Self::Hinted(_) => Outcome::Hinted,
            Self::Failed(_) => Outcome::Failed,
        }
    }

    /// What the backend says to a statement that went to its log, once it has run it; nothing if nobody will tell.
    pub(crate) async fn result(&mut self) -> Option<Answer> {
        match self {
            Self::Hinted(hinted) => hinted.result.take()?.await.ok(),
            _ => None,
        }
    }

    /// Whether the backend confirms it, waiting for its live write if that is still under way.
    pub(crate) async fn is_confirmed(&mut self) -> bool {
        match self {
            Self::Stored(_) | Self::Partial(_) => true,
            Self::Hinted(hinted) => match hinted.landing.take() {
                Some(landing) => landing.await.unwrap_or(false),
                None => false,
            },
            Self::Refused(..) | Self::Failed(_) => false,
        }
    }
}

/// How one call ended.
#[derive(Debug)]
pub(crate) struct Landing {
    pub(crate) verdict: Verdict,
    pub(crate) answer: Option<Answer>,
    /// What the backend, or the network, said.
    pub(crate) text: String,
    /// It may be applied until then, though it was not answered.
    pub(crate) ghost_until: Option<Instant>,
    /// The backend wants to be left alone for so long.
    pub(crate) retry_after: Option<Duration>,
}

impl Backend {
    /// Brings a batch that has queued up to the backend, or to its log. Not to be dropped before it
    /// ends.
    pub(crate) async fn write(self: Arc<Self>, batch: Arc<Batch>, place: Place) -> Attempt {
        self.arrivals.fetch_add(1, Ordering::Relaxed);
        let link = self.link();
        // Whoever sends a statement wants to see its result.
        let patience = match batch.head.target {
            Target::Write | Target::PromWrite => link.hedge_delay,
            Target::Query => link.write_timeout,
        };
        let hedge_at = Instant::now() + patience;
        match self.lanes.turn(place, link.turn_wait_max).await {
            None => Attempt::Failed("it is busy with earlier writes to the same series".into()),
            Some(Turn::Spill) => {
                let why = "earlier batches are in its queue";
                match self.spill(&batch, Turn::Spill, Settle::Now, why).await {
                    (Ok(spilled), result) => hinted(spilled, None, result),
                    (Err(error), _) => Attempt::Failed(error.to_string()),
                }
            }
            Some(Turn::Live) => {
                let mut flight = self.clone().flight(batch.clone());
                match timeout_at(hedge_at, &mut flight).await {
                    Ok(landing) => self.land(&batch, landing, true).await,
                    Err(_) => {
                        let flight = self.launch(flight);
                        self.hedge(batch, flight, patience).await
                    }
                }
            }
        }
    }

    /// How it is reached now.
    pub(crate) fn link(&self) -> Arc<Link> {
        self.link
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes how it is reached; what is under way goes on as it was.
    pub(crate) fn relink(&self, link: Link) {
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(link);
    }

    /// Puts the copy that the backend refused into its log, where it waits for an operator.
    pub(crate) async fn keep(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        text: &str,
    ) -> Result<Spilled, SpillError> {
        let (kept, _) = self.spill(batch, Turn::Live, Settle::Now, text).await;
        if !matches!(kept, Ok(Spilled::Hint(_))) {
            self.lanes.landed(batch.head.scope);
        }
        kept
    }

    /// Forgets the copy that the backend refused.
    pub(crate) fn let_go(&self, batch: &Batch) {
        self.lanes.landed(batch.head.scope);
    }

    /// Keeps a batch that the backend refused for good, with what it said; false when there is no
    /// room for it.
    pub(crate) async fn bury(
        self: &Arc<Self>,
        head: &Head,
        body: Vec<Bytes>,
        reason: &str,
    ) -> bool {
        let (backend, head, text) = (self.clone(), head.clone(), reason.to_owned());
        let now_ns = self.clock.now_ns();
        let burying = off_loop(move || backend.queue.dead.bury(&head, &body, &text, now_ns));
        match burying.await {
            Ok(true) => {
                self.report.dead(reason);
                true
            }
            Ok(false) => {
                let why = "the dead letters have reached their bound";
                self.report
                    .trouble("a refused batch is not put aside", &why);
                false
            }
            Err(error) => {
                self.report
                    .trouble("a refused batch is not put aside", &error);
                false
            }
        }
    }

    /// As [`Backend::bury`]; what finds no room is counted in the gap list.
    pub(crate) async fn bury_or_count(
        self: &Arc<Self>,
        head: &Head,
        body: Vec<Bytes>,
        reason: &str,
    ) {
        if self.bury(head, body.clone(), reason).await {
            return;
        }
        let (backend, counted) = (self.clone(), head.clone());
        let counting = off_loop(move || {
            backend
                .queue
                .gaps
                .record(&counted, &body.concat(), UNBURIED)
        });
        match counting.await {
            Ok(()) => self.report.dropped(head.lines),
            Err(error) => self.report.trouble("a loss cannot be recorded", &error),
        }
    }

    /// Takes the hint of an attempt back.
    pub(crate) async fn cancel_hint(self: &Arc<Self>, hinted: &Hinted) {
        if let Some(sequence) = hinted.sequence {
            self.cancel(sequence, false).await;
        }
    }

    /// Takes a hint back; `landed` when its live write has been answered.
    async fn cancel(self: &Arc<Self>, sequence: Sequence, landed: bool) {
        let backend = self.clone();
        let cancelled = off_loop(move || backend.queue.main.cancel(sequence, landed)).await;
        if let Err(error) = cancelled {
            // It is not sent by this process; the next one may send it once more, in its place.
            self.report
                .trouble("a hint was cancelled, but not durably", &error);
        }
    }

    /// Sends `body` and waits for the answer.
    pub(crate) async fn send(&self, head: &Head, body: Vec<Bytes>) -> Landing {
        let sent_at = Instant::now();
        let link = self.link();
        let landing = match link.client.send(&link.url, head.call(body)).await {
            Ok(answer) => {
                let body = answer.body.clone().into_bytes();
                let text = match head.target {
                    // The result of a statement is its client's business.
                    Target::Query if answer.status.is_success() => "".into(),
                    _ => String::from_utf8_lossy(&body),
                };
                let seconds = answer.headers.get(header::RETRY_AFTER);
                let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
                Landing {
                    verdict: verdict(answer.status, &body),
                    text: format!("{} {}", answer.status.as_u16(), text.trim()),
                    // Whoever answered gave up on it, and may not be who works on it.
                    ghost_until: may_come_late(answer.status, &body)
                        .then(|| Instant::now() + link.write_timeout),
                    answer: Some(answer),
                    retry_after: seconds.map(|s| Duration::from_secs(s).min(RETRY_AFTER_MAX)),
                }
            }
            Err(error) => Landing {
                verdict: Verdict::Retry,
                answer: None,
                ghost_until: error
                    .may_have_arrived()
                    .then(|| sent_at + link.write_timeout),
                text: describe(&error),
                retry_after: None,
            },
        };
        if let Some(until) = landing.ghost_until {
            self.ghosts_until(until);
        }
        self.report.answered(&landing.text);
        landing
    }

    fn flight(self: Arc<Self>, batch: Arc<Batch>) -> Flight {
        Box::pin(async move { self.send(&batch.head, batch.body.clone()).await })
    }

    /// Gives a live write a task of its own, so that it goes on when nobody waits for it.
    fn launch(&self, flight: Flight) -> JoinHandle<Landing> {
        let busy = self.busy.subscribe();
        tokio::spawn(async move {
            let landing = flight.await;
            drop(busy);
            landing
        })
    }

    /// Calls that broke off may be applied until then, at least.
    pub(crate) fn ghosts_until(&self, until: Instant) {
        let mut ghosts_until = lock(&self.ghosts_until);
        *ghosts_until = (*ghosts_until).max(Some(until));
    }

    /// Whether a call that broke off may still be applied.
    pub(crate) fn has_ghosts(&self) -> bool {
        let until = *lock(&self.ghosts_until);
        until.is_some_and(|until| until > Instant::now())
    }

    /// Deals with the end of a live write that no hint stands for.
    async fn land(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        landing: Landing,
        may_spill: bool,
    ) -> Attempt {
        let scope = batch.head.scope;
        match (landing.verdict, landing.answer) {
            (Verdict::Stored, Some(answer)) => {
                self.lanes.landed(scope);
                self.report.written(batch.head.lines);
                Attempt::Stored(answer)
            }
            (Verdict::Partial, Some(answer)) => {
                self.lanes.landed(scope);
                self.report.written(batch.head.lines);
                self.report.partial(&landing.text);
                Attempt::Partial(answer)
            }
            (verdict @ (Verdict::Hold(_) | Verdict::TooLarge | Verdict::Dead), Some(answer)) => {
                Attempt::Refused(verdict, answer)
            }
            _ => {
                let mut why = landing.text;
                // A hint in its lanes, from the time when its own failed, has overtaken it.
                if may_spill && !self.lanes.is_spilled(scope) {
                    let settle = landing.ghost_until.map_or(Settle::Now, Settle::At);
                    match self.spill(batch, Turn::Live, settle, &why).await {
                        (Ok(Spilled::Dropped), _) => {
                            self.land_when_gone(scope, landing.ghost_until);
                            return hinted(Spilled::Dropped, None, None);
                        }
                        (Ok(spilled), result) => return hinted(spilled, None, result),
                        (Err(error), _) => why = format!("{why}; {error}"),
                    }
                }
                self.land_when_gone(scope, landing.ghost_until);
                Attempt::Failed(why)
            }
        }
    }

    /// The backend is slow: the batch goes into the log too, and the client waits no longer.
    async fn hedge(
        self: Arc<Self>,
        batch: Arc<Batch>,
        flight: JoinHandle<Landing>,
        patience: Duration,
    ) -> Attempt {
        let why = format!("no answer within {} ms", patience.as_millis());
        match self.spill(&batch, Turn::Live, Settle::InFlight, &why).await {
            (Ok(spilled), result) => {
                let busy = self.busy.subscribe();
                let (landed, landing) = oneshot::channel();
                tokio::spawn(async move {
                    let landing = match flight.await {
                        Ok(landing) => landing,
                        Err(error) => lost(error).await,
                    };
                    let confirmed = matches!(landing.verdict, Verdict::Stored | Verdict::Partial);
                    match spilled {
                        Spilled::Hint(sequence) => {
                            self.land_hinted(&batch, sequence, landing).await;
                        }
                        Spilled::Dropped => {
                            self.land_when_gone(batch.head.scope, landing.ghost_until);
                        }
                    }
                    // Nobody asks, mostly.
                    let _ = landed.send(confirmed);
                    drop(busy);
                });
                hinted(spilled, Some(landing), result)
            }
            (Err(error), _) => {
                let mut landing = match flight.await {
                    Ok(landing) => landing,
                    Err(error) => lost(error).await,
                };
                landing.text = format!("{}; {error}", landing.text);
                self.land(&batch, landing, false).await
            }
        }
    }

    /// Deals with the end of a live write whose hint is in the log.
    async fn land_hinted(self: &Arc<Self>, batch: &Batch, sequence: Sequence, landing: Landing) {
        match landing.verdict {
            Verdict::Stored | Verdict::Partial => {
                self.report.written(batch.head.lines);
                self.cancel(sequence, true).await;
                if landing.verdict == Verdict::Partial {
                    self.report.partial(&landing.text);
                    let reason = format!("in part refused: {}", landing.text);
                    self.bury_or_count(&batch.head, batch.body.clone(), &reason)
                        .await;
                }
            }
            _ => {
                let settle = landing.ghost_until.map_or(Settle::Now, Settle::At);
                self.queue.main.settle(sequence, settle);
            }
        }
    }

    /// Frees the lanes of a batch that is nowhere, once it can no longer appear.
    fn land_when_gone(self: &Arc<Self>, scope: Scope, ghost_until: Option<Instant>) {
        let Some(until) = ghost_until.filter(|until| *until > Instant::now()) else {
            self.lanes.landed(scope);
            return;
        };
        let backend = self.clone();
        tokio::spawn(async move {
            sleep_until(until).await;
            backend.lanes.landed(scope);
        });
    }

    async fn spill(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        turn: Turn,
        settle: Settle,
        why: &str,
    ) -> (Result<Spilled, SpillError>, Told) {
        let (result, told) = match batch.head.target {
            Target::Write | Target::PromWrite => (None, None),
            Target::Query => {
                let (result, told) = oneshot::channel();
                (Some(result), Some(told))
            }
        };
        let (backend, batch_) = (self.clone(), batch.clone());
        let spilled = off_loop(move || backend.queue.spill(&batch_, turn, settle, result)).await;
        match &spilled {
            Ok(Spilled::Hint(_)) => {
                self.report.spilled(batch.head.lines);
                self.report.now(Condition::Spilling, why);
            }
            Ok(Spilled::Dropped) => self.report.dropped(batch.head.lines),
            Err(error) => self.report.refused(error),
        }
        (spilled, told)
    }
}

fn hinted(spilled: Spilled, landing: Option<oneshot::Receiver<bool>>, result: Told) -> Attempt {
    let sequence = match spilled {
        Spilled::Hint(sequence) => Some(sequence),
        Spilled::Dropped => None,
    };
    Attempt::Hinted(Hinted {
        sequence,
        landing,
        result,
    })
}

/// The result of a task of ours.
pub(crate) async fn joined<T>(result: Result<T, JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => lost(error).await,
    }
}

/// What comes of a task that has no result. A panic of it goes on. Tasks are not aborted but with the whole runtime, and
/// then who waits for one is about to be dropped as well. Requests wait in this instead of in [`joined`], which keeps room for
/// the result in each of them.
fn lost<T>(error: JoinError) -> Pending<T> {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => std::future::pending(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error with its sources; holds no query string and no password.
fn describe(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
