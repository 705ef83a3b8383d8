//! A batch on its way to all backends at once, and what its client is told.
//!
//! While all are well this happens in one task: both writes are polled by whoever took the request, so that
//! nothing has to be woken between client and backends. Only what outlives the request gets a task.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use tandem_http::{
    Answer, Body, HeaderName, HeaderValue, Response, StatusCode, empty, error_json, header,
};

use crate::answer::{Decision, Level, Outcome, Reply, decide};
use crate::backend::{Attempt, Backend};
use crate::batch::{Batch, Target};
use crate::queue::Spilled;
use crate::service::Service;

const X_INFLUXDB_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");
/// Seconds after which a client that got 503 should come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A backend, what it got, and how that went.
type Tried = (Arc<Backend>, Arc<Batch>, Attempt);

impl Service {
    /// Brings a batch to every backend, in a task of its own: a client that goes away must not leave
    /// it at one backend only.
    pub(crate) async fn relay(self: &Arc<Self>, batch: Batch, level: Level) -> Response<Body> {
        let service = self.clone();
        let busy = self.busy.subscribe();
        let fan_out = tokio::spawn(async move {
            let response = service.relay_joined(batch, level).await;
            drop(busy);
            response
        });
        match fan_out.await {
            Ok(response) => response,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// The same in the task of the caller, which must not drop it before it ends.
    pub(crate) async fn fan_out(&self, batch: Arc<Batch>, level: Level) -> Response<Body> {
        self.received_bytes
            .fetch_add(batch.bytes(), Ordering::Relaxed);
        let mut tried = self.try_all(&batch).await;
        if tried.is_empty() {
            // All backends leave it out, as the operator chose.
            self.left_out.fetch_add(batch.head.lines, Ordering::Relaxed);
            return empty(StatusCode::NO_CONTENT);
        }
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(tried.len());
        for (_, _, attempt) in &tried {
            outcomes.push(attempt.outcome());
        }
        let decision = decide(&outcomes, level);
        if level.wanted(tried.len()) > 0
            && let Reply::TooFew { .. } = decision.reply
        {
            // What is hinted may be confirmed yet.
            for ((_, _, attempt), outcome) in tried.iter_mut().zip(&mut outcomes) {
                if *outcome == Outcome::Hinted && attempt.is_confirmed().await {
                    *outcome = Outcome::Stored;
                }
            }
        }
        let reply = decide(&outcomes, level).reply;
        let lost = self.settle(&tried, decision).await;
        if batch.head.target == Target::Query {
            if lost.is_empty() {
                await_result(&mut tried).await;
            }
            return statement_answer(&tried, &lost);
        }
        let passed = match reply {
            Reply::Pass(index) => tried.get(index),
            Reply::NoContent if lost.is_empty() => return empty(StatusCode::NO_CONTENT),
            Reply::TooFew { confirmed, wanted } => {
                return unavailable(&format!(
                    "tandem relay: {confirmed} of {wanted} backends confirmed within the time; \
                     the others will get it"
                ));
            }
            Reply::NoContent | Reply::Unavailable => None,
        };
        match passed {
            Some((_, _, Attempt::Refused(_, answer))) => pass(answer),
            Some((_, _, Attempt::Partial(answer))) if lost.is_empty() => pass(answer),
            _ => unavailable(&format!("tandem relay: {}", lost.join("; "))),
        }
    }

    /// Has each backend that wants it try its copy.
    async fn try_all(&self, batch: &Arc<Batch>) -> Vec<Tried> {
        let backends = self.backends();
        let copies: Vec<_> = backends
            .iter()
            .filter_map(|backend| Some((backend, backend.link().route.copy(batch)?)))
            .collect();
        let places: Vec<_> = {
            // Two batches that share a series have the same order everywhere, or the stores differ.
            let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            let queue_up = |(backend, copy): &(&Arc<Backend>, Arc<Batch>)| {
                backend.lanes.queue_up(copy.head.scope)
            };
            copies.iter().map(queue_up).collect()
        };
        let mut writes = Vec::with_capacity(copies.len());
        let mut whose = Vec::with_capacity(copies.len());
        for ((backend, copy), place) in copies.into_iter().zip(places) {
            writes.push(backend.clone().write(copy.clone(), place));
            whose.push((backend.clone(), copy));
        }
        let attempts = together(writes).await;
        let tried = whose.into_iter().zip(attempts);
        tried
            .map(|((backend, copy), attempt)| (backend, copy, attempt))
            .collect()
    }

    /// Does with each copy what was decided. Gives what could not be kept, and why.
    async fn settle(&self, tried: &[Tried], decision: Decision) -> Vec<String> {
        let mut lost = Vec::new();
        for (backend, copy, attempt) in tried {
            match attempt {
                Attempt::Refused(_, answer) => {
                    let outcome = attempt.outcome();
                    let text = words(answer);
                    if outcome == Outcome::Hold && decision.keep_held {
                        match backend.keep(copy, &text).await {
                            Ok(Spilled::Hint(_) | Spilled::Dropped) => {}
                            Err(error) => lost.push(format!("{}: {text}; {error}", backend.name)),
                        }
                        continue;
                    }
                    backend.let_go(copy);
                    if outcome == Outcome::Dead && decision.bury_dead {
                        backend
                            .bury_or_count(&copy.head, copy.body.clone(), &text)
                            .await;
                    }
                }
                Attempt::Partial(answer) if decision.bury_partial => {
                    let reason = format!("in part refused: {}", words(answer));
                    backend
                        .bury_or_count(&copy.head, copy.body.clone(), &reason)
                        .await;
                }
                Attempt::Hinted(hinted) if decision.cancel_hints => {
                    backend.cancel_hint(hinted).await;
                }
                Attempt::Failed(why) => lost.push(format!("{}: {why}", backend.name)),
                Attempt::Stored(_) | Attempt::Partial(_) | Attempt::Hinted(_) => {}
            }
        }
        lost
    }
}

/// Runs all of them in this task, and gives what came out in their order.
async fn together<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut ended: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut left = 0;
        for (future, ended) in running.iter_mut().zip(&mut ended) {
            if ended.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *ended = Some(output),
                    Poll::Pending => left += 1,
                }
            }
        }
        if left == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    ended.into_iter().flatten().collect()
}

/// What a backend said, in one line.
fn words(answer: &Answer) -> String {
    let body = answer.body.clone().into_bytes();
    let text = String::from_utf8_lossy(&body);
    format!("{} {}", answer.status.as_u16(), text.trim())
}

/// Where a statement waits in the log of every backend that would take it, its client is told what the first of them
/// says, if it comes in time: one that is told to come again would put another behind it each time, and never
/// see the end of them.
async fn await_result(tried: &mut [Tried]) {
    let waits = |attempt: &Attempt| matches!(attempt, Attempt::Hinted(_) | Attempt::Failed(_));
    if !tried.iter().all(|(_, _, attempt)| waits(attempt)) {
        return;
    }
    let patience = tried
        .iter()
        .map(|(backend, ..)| backend.link().write_timeout);
    let patience = patience.max().unwrap_or_default();
    let mut results: Vec<_> = tried
        .iter_mut()
        .map(|(_, _, attempt)| Some(Box::pin(attempt.result())))
        .collect();
    let first = poll_fn(|cx| {
        for (at, slot) in results.iter_mut().enumerate() {
            let polled = slot.as_mut().map(|result| result.as_mut().poll(cx));
            match polled {
                Some(Poll::Ready(Some(answer))) => return Poll::Ready(Some((at, answer))),
                Some(Poll::Ready(None)) => *slot = None,
                Some(Poll::Pending) | None => {}
            }
        }
        if results.iter().all(Option::is_none) {
            return Poll::Ready(None);
        }
        Poll::Pending
    });
    let first = tokio::time::timeout(patience, first).await;
    drop(results);
    if let Ok(Some((at, answer))) = first
        && let Some((_, _, attempt)) = tried.get_mut(at)
    {
        *attempt = Attempt::Stored(answer);
    }
}

/// Of a statement, the client sees what the first backend said that ran it, or else refused it. One that some have run
/// or will run, and another neither ran nor could keep, is to come again: else the stores would differ.
fn statement_answer(tried: &[Tried], lost: &[String]) -> Response<Body> {
    let answered = tried.iter().find_map(|(_, _, attempt)| match attempt {
        Attempt::Stored(answer) => Some(answer),
        _ => None,
    });
    let refused = tried.iter().find_map(|(_, _, attempt)| match attempt {
        Attempt::Refused(_, answer) | Attempt::Partial(answer) => Some(answer),
        _ => None,
    });
    match answered.or(refused) {
        Some(_) if answered.is_some() && !lost.is_empty() => unavailable(&format!(
            "tandem relay: {}; another backend has run the statement: send it again",
            lost.join("; ")
        )),
        Some(answer) => pass(answer),
        None if !lost.is_empty() => unavailable(&format!("tandem relay: {}", lost.join("; "))),
        None => unavailable(
            "tandem relay: no backend answered; the statement is queued and will be run",
        ),
    }
}

/// A backend's answer, with the headers that mean something to a client.
pub(crate) fn pass(answer: &Answer) -> Response<Body> {
    let mut response = Response::new(Body::frames(answer.body.chunks().iter().cloned()));
    *response.status_mut() = answer.status;
    for name in [
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::WWW_AUTHENTICATE,
        header::RETRY_AFTER,
        X_INFLUXDB_ERROR,
    ] {
        if let Some(value) = answer.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// 503, to be tried again soon.
pub(crate) fn unavailable(text: &str) -> Response<Body> {
    let mut response = error_json(StatusCode::SERVICE_UNAVAILABLE, text);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}
