//! The HTTP side: what a client of InfluxDB's `/write` and `/ping` expects, and `/health` and
//! `/status` for operators.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tandem_http::{
    Answer, Body, HeaderMap, HeaderName, HeaderValue, Incoming, Method, Request, RequestIds,
    Response, StatusCode, discard_body, empty, error_json, full, header,
};

use crate::answer::{Decision, Outcome, Reply, decide};
use crate::backend::{Attempt, Backend};
use crate::batch::Batch;
use crate::lane::Place;
use crate::receive::{ReceiveError, Receiver};
use crate::report::BackendStatus;

/// The version of InfluxDB that clients are told.
const INFLUXDB_VERSION: HeaderValue = HeaderValue::from_static("1.8.10");
const INFLUXDB_BUILD: HeaderValue = HeaderValue::from_static("OSS");
const X_INFLUXDB_VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");
const X_INFLUXDB_BUILD: HeaderName = HeaderName::from_static("x-influxdb-build");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_INFLUXDB_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");
/// Seconds after which a client that got 503 should come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// How much of an unwanted body is read, so that its sender gets to see the answer.
const DISCARD_BYTES_MAX: usize = 64 << 20;
/// For how long.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// Answers requests.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) backends: Vec<Arc<Backend>>,
    pub(crate) receiver: Receiver,
    pub(crate) ids: RequestIds,
    /// Held while a batch queues up at all backends.
    pub(crate) order: Mutex<()>,
}

impl Service {
    /// Answers one request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let id = self.request_id(request.headers());
        let mut response = self.route(request).await;
        let headers = response.headers_mut();
        headers.insert(X_INFLUXDB_VERSION, INFLUXDB_VERSION);
        headers.insert(X_INFLUXDB_BUILD, INFLUXDB_BUILD);
        if let Some(id) = id {
            headers.insert(REQUEST_ID, id.clone());
            headers.insert(X_REQUEST_ID, id);
        }
        headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        response
    }

    /// How each backend is doing.
    pub(crate) fn status(&self) -> Vec<BackendStatus> {
        let now_ns = self.receiver.clock.now_ns();
        let status = |backend: &Arc<Backend>| {
            let queued = backend.queue.pending.get();
            backend.report.status(now_ns, queued)
        };
        self.backends.iter().map(status).collect()
    }

    async fn route(self: &Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/write" if request.method() == Method::POST => self.write(request).await,
            "/write" if request.method() == Method::OPTIONS => empty(StatusCode::NO_CONTENT),
            "/ping" if get => ping(request.uri().query().unwrap_or_default()),
            "/health" if get => full(
                StatusCode::OK,
                "application/json",
                r#"{"checks":[],"message":"ready for writes","name":"tandem-relay","status":"pass","version":"1.8.10"}"#,
            ),
            "/status" if get => match serde_json::to_vec(&self.status()) {
                Ok(body) => full(StatusCode::OK, "application/json", body),
                Err(error) => error_json(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            "/write" | "/ping" | "/health" | "/status" => not_allowed(request.uri().path()),
            _ => full(
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "404 page not found\n",
            ),
        }
    }

    async fn write(self: &Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        let batch = match self.receiver.receive(query, &head.headers, &mut body).await {
            Ok(batch) => Arc::new(batch),
            Err(error) => {
                let whole = discard_body(&mut body, DISCARD_BYTES_MAX, DISCARD_TIME_MAX).await;
                return refusal(&error, whole);
            }
        };
        // A client that goes away must not leave the batch at one backend only.
        let service = self.clone();
        let fan_out = tokio::spawn(async move { service.fan_out(batch).await });
        match fan_out.await {
            Ok(response) => response,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Brings a batch to every backend at once and decides what the client is told.
    async fn fan_out(&self, batch: Arc<Batch>) -> Response<Body> {
        let places: Vec<_> = {
            // Two batches that share a series have the same order everywhere, or the stores differ.
            let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            let lanes = batch.head.lanes;
            let queue_up = |backend: &Arc<Backend>| backend.lanes.queue_up(lanes);
            self.backends.iter().map(queue_up).collect()
        };
        let write = |(backend, place): (&Arc<Backend>, Place)| {
            tokio::spawn(backend.clone().write(batch.clone(), place))
        };
        let tasks: Vec<_> = self.backends.iter().zip(places).map(write).collect();
        let mut attempts = Vec::with_capacity(tasks.len());
        for task in tasks {
            match task.await {
                Ok(attempt) => attempts.push(attempt),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        let outcomes: Vec<Outcome> = attempts.iter().map(Attempt::outcome).collect();
        let Decision {
            reply,
            keep_held,
            cancel_hints,
        } = decide(&outcomes);
        let mut lost = Vec::new();
        for (backend, attempt) in self.backends.iter().zip(&attempts) {
            match attempt {
                Attempt::Refused(_, answer) if keep_held => {
                    let text =
                        String::from_utf8_lossy(&answer.body.clone().into_bytes()).into_owned();
                    if let Err(error) = backend.keep(&batch, text.trim()).await {
                        lost.push(format!("{}: {}; {error}", backend.name, text.trim()));
                    }
                }
                Attempt::Refused(..) => backend.let_go(&batch),
                Attempt::Hinted(sequence) if cancel_hints => backend.cancel(*sequence, false).await,
                Attempt::Failed(why) => lost.push(format!("{}: {why}", backend.name)),
                Attempt::Stored | Attempt::Partial(_) | Attempt::Hinted(_) => {}
            }
        }
        let passed = match reply {
            Reply::Pass(index) => attempts.get(index),
            Reply::NoContent if lost.is_empty() => return empty(StatusCode::NO_CONTENT),
            Reply::NoContent | Reply::Unavailable => None,
        };
        match passed {
            Some(Attempt::Refused(_, answer)) => pass(answer),
            Some(Attempt::Partial(answer)) if lost.is_empty() => pass(answer),
            _ => unavailable(&format!("tandem relay: {}", lost.join("; "))),
        }
    }

    fn request_id(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        headers
            .get(X_REQUEST_ID)
            .or_else(|| headers.get(REQUEST_ID))
            .cloned()
            .or_else(|| HeaderValue::try_from(self.ids.next_id()).ok())
    }
}

/// A backend's answer, with the headers that mean something to a client.
fn pass(answer: &Answer) -> Response<Body> {
    let mut response = Response::new(Body::frames(answer.body.chunks().iter().cloned()));
    *response.status_mut() = answer.status;
    for name in [
        header::CONTENT_TYPE,
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

fn unavailable(text: &str) -> Response<Body> {
    let mut response = error_json(StatusCode::SERVICE_UNAVAILABLE, text);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

/// The answer to a request that is no batch; `whole` when its body has been read to the end.
fn refusal(error: &ReceiveError, whole: bool) -> Response<Body> {
    let text = error.to_string();
    let mut response = match error.status() {
        StatusCode::SERVICE_UNAVAILABLE => unavailable(&text),
        status => error_json(status, &text),
    };
    if !whole {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn not_allowed(path: &str) -> Response<Body> {
    let mut response = full(
        StatusCode::METHOD_NOT_ALLOWED,
        "text/plain; charset=utf-8",
        "Method Not Allowed\n",
    );
    let allowed = if path == "/write" {
        "OPTIONS, POST"
    } else {
        "GET, HEAD"
    };
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// InfluxDB's `/ping`: 204, or with `verbose` the version.
fn ping(query: &str) -> Response<Body> {
    let params = tandem_http::Params::parse(query);
    match params.get("verbose").unwrap_or_default() {
        "" | "0" | "false" => empty(StatusCode::NO_CONTENT),
        _ => full(
            StatusCode::OK,
            "application/json",
            "{\"version\":\"1.8.10\"}\n",
        ),
    }
}
