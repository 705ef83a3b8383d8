//! One backend: its live writes, and what becomes of a batch that it does not confirm in time.
//!
//! ```text
//!            turn           answer in time                     stored, partial, refused
//! batch ──▶ lanes ──live──▶ wire ───────────▶ verdict ──────▶ the client is told
//!             │               │ too slow         │ failed
//!             │ spill         ▼                  ▼
//!             └────────────▶ log (fsync) ──▶ drainer ──▶ wire
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tandem_http::{Answer, Client, ClientError, Url};
use tandem_seglog::Sequence;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::answer::Outcome;
use crate::batch::{Batch, Head};
use crate::lane::{Lanes, Place, Turn};
use crate::queue::{Queue, Settle, SpillError};
use crate::report::{Condition, Report};
use crate::verdict::{Verdict, verdict};

/// One backend.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) url: Url,
    pub(crate) client: Client,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) queue: Queue,
    pub(crate) report: Report,
    pub(crate) hedge_delay: Duration,
    pub(crate) write_timeout: Duration,
    /// How long a batch may wait for its lanes.
    pub(crate) turn_wait_max: Duration,
    /// Held by every task that must end before the relay does.
    pub(crate) busy: watch::Sender<()>,
}

/// What became of a batch, so far.
#[derive(Debug)]
pub(crate) enum Attempt {
    Stored,
    /// With the backend's words.
    Partial(Answer),
    /// Its lanes are still flying, until [`Backend::keep`] or [`Backend::let_go`].
    Refused(Verdict, Answer),
    /// It is durable in the log.
    Hinted(Sequence),
    /// It is nowhere; why.
    Failed(String),
}

impl Attempt {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Stored => Outcome::Stored,
            Self::Partial(_) => Outcome::Partial,
            Self::Refused(Verdict::Hold, _) => Outcome::Hold,
            Self::Refused(..) => Outcome::Dead,
            Self::Hinted(_) => Outcome::Hinted,
            Self::Failed(_) => Outcome::Failed,
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
}

impl Backend {
    /// Brings a batch that has queued up to the backend, or to its log. Not to be dropped before it
    /// ends.
    pub(crate) async fn write(self: Arc<Self>, batch: Arc<Batch>, place: Place) -> Attempt {
        let hedge_at = Instant::now() + self.hedge_delay;
        match self.lanes.turn(place, self.turn_wait_max).await {
            None => Attempt::Failed("it is busy with earlier writes to the same series".into()),
            Some(Turn::Spill) => {
                let why = "earlier batches are in its queue";
                match self.spill(&batch, Turn::Spill, Settle::Now, why).await {
                    Ok(sequence) => Attempt::Hinted(sequence),
                    Err(error) => Attempt::Failed(error.to_string()),
                }
            }
            Some(Turn::Live) => {
                let mut flight = self.clone().launch(batch.clone());
                match timeout_at(hedge_at, &mut flight).await {
                    Ok(landing) => self.land(&batch, joined(landing), true).await,
                    Err(_) => self.hedge(batch, flight).await,
                }
            }
        }
    }

    /// Puts the copy that the backend refused into its log, where it waits for an operator.
    pub(crate) async fn keep(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        text: &str,
    ) -> Result<Sequence, SpillError> {
        let kept = self.spill(batch, Turn::Live, Settle::Now, text).await;
        if kept.is_err() {
            self.lanes.landed(batch.head.lanes);
        }
        kept
    }

    /// Forgets the copy that the backend refused.
    pub(crate) fn let_go(&self, batch: &Batch) {
        self.lanes.landed(batch.head.lanes);
    }

    /// Takes a hint back; `landed` when its live write has been answered.
    pub(crate) async fn cancel(self: &Arc<Self>, sequence: Sequence, landed: bool) {
        let backend = self.clone();
        let task = tokio::task::spawn_blocking(move || backend.queue.cancel(sequence, landed));
        let cancelled = task.await;
        if let Ok(Err(error)) = cancelled {
            // It is not sent by this process; the next one may send it once more, in its place.
            self.report
                .trouble("a hint was cancelled, but not durably", &error);
        }
    }

    /// Sends `body` and waits for the answer.
    pub(crate) async fn send(&self, head: &Head, body: Vec<Bytes>) -> Landing {
        let sent_at = Instant::now();
        let landing = match self.client.send(&self.url, head.call(body)).await {
            Ok(answer) => {
                let body = answer.body.clone().into_bytes();
                let text = String::from_utf8_lossy(&body);
                Landing {
                    verdict: verdict(answer.status, &body),
                    text: format!("{} {}", answer.status.as_u16(), text.trim()),
                    answer: Some(answer),
                    ghost_until: None,
                }
            }
            Err(error) => Landing {
                verdict: Verdict::Retry,
                answer: None,
                ghost_until: error
                    .may_have_arrived()
                    .then(|| sent_at + self.write_timeout),
                text: describe(&error),
            },
        };
        self.report.answered(&landing.text);
        landing
    }

    /// Starts the live write in a task of its own, so that nothing cuts it short.
    fn launch(self: Arc<Self>, batch: Arc<Batch>) -> JoinHandle<Landing> {
        let busy = self.busy.subscribe();
        tokio::spawn(async move {
            let landing = self.send(&batch.head, batch.body.clone()).await;
            drop(busy);
            landing
        })
    }

    /// Deals with the end of a live write that no hint stands for.
    async fn land(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        landing: Landing,
        may_spill: bool,
    ) -> Attempt {
        let lanes = batch.head.lanes;
        match (landing.verdict, landing.answer) {
            (Verdict::Stored, _) => {
                self.lanes.landed(lanes);
                self.report.written(batch.head.lines);
                Attempt::Stored
            }
            (Verdict::Partial, Some(answer)) => {
                self.lanes.landed(lanes);
                self.report.written(batch.head.lines);
                self.report.partial(&landing.text);
                Attempt::Partial(answer)
            }
            (verdict @ (Verdict::Hold | Verdict::Dead), Some(answer)) => {
                Attempt::Refused(verdict, answer)
            }
            _ => {
                let mut why = landing.text;
                // A hint in its lanes, from the time when its own failed, has overtaken it.
                if may_spill && !self.lanes.is_spilled(lanes) {
                    let settle = landing.ghost_until.map_or(Settle::Now, Settle::At);
                    match self.spill(batch, Turn::Live, settle, &why).await {
                        Ok(sequence) => return Attempt::Hinted(sequence),
                        Err(error) => why = format!("{why}; {error}"),
                    }
                }
                self.land_when_gone(lanes, landing.ghost_until);
                Attempt::Failed(why)
            }
        }
    }

    /// The backend is slow: the batch goes into the log too, and the client waits no longer.
    async fn hedge(self: Arc<Self>, batch: Arc<Batch>, flight: JoinHandle<Landing>) -> Attempt {
        let why = format!("no answer within {} ms", self.hedge_delay.as_millis());
        match self.spill(&batch, Turn::Live, Settle::InFlight, &why).await {
            Ok(sequence) => {
                let busy = self.busy.subscribe();
                tokio::spawn(async move {
                    let landing = joined(flight.await);
                    self.land_hinted(&batch, sequence, landing).await;
                    drop(busy);
                });
                Attempt::Hinted(sequence)
            }
            Err(error) => {
                let mut landing = joined(flight.await);
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
                if landing.verdict == Verdict::Partial {
                    self.report.partial(&landing.text);
                }
                self.cancel(sequence, true).await;
            }
            _ => {
                let settle = landing.ghost_until.map_or(Settle::Now, Settle::At);
                self.queue.settle(sequence, settle);
            }
        }
    }

    /// Frees the lanes of a batch that is nowhere, once it can no longer appear.
    fn land_when_gone(self: &Arc<Self>, lanes: u64, ghost_until: Option<Instant>) {
        let Some(until) = ghost_until.filter(|until| *until > Instant::now()) else {
            self.lanes.landed(lanes);
            return;
        };
        let backend = self.clone();
        tokio::spawn(async move {
            sleep_until(until).await;
            backend.lanes.landed(lanes);
        });
    }

    async fn spill(
        self: &Arc<Self>,
        batch: &Arc<Batch>,
        turn: Turn,
        settle: Settle,
        why: &str,
    ) -> Result<Sequence, SpillError> {
        let (backend, batch_) = (self.clone(), batch.clone());
        let task = tokio::task::spawn_blocking(move || backend.queue.spill(&batch_, turn, settle));
        let spilled = joined(task.await);
        match &spilled {
            Ok(_) => {
                self.report.spilled(batch.head.lines);
                self.report.now(Condition::Spilling, why);
            }
            Err(error) => self.report.refused(error),
        }
        spilled
    }
}

/// The result of a task of ours. Tasks are not aborted, so what is left is a panic, which goes on.
fn joined<T>(result: Result<T, tokio::task::JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
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
