//! The HTTP side: what a client of InfluxDB's writes, `/query` and `/ping` expects, and `/health`,
//! `/ready`, `/status`, `/gaps` and `/metrics` for operators.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tandem_http::{
    Body, Express, HeaderMap, HeaderName, HeaderValue, Incoming, Method, Params, Peer, Request,
    RequestIds, Response, StatusCode, WireBody, empty, error_json, full, header,
};
use tokio::sync::watch;

use crate::answer::Level;
use crate::api::Api;
use crate::backend::Backend;
use crate::batch::Batch;
use crate::compare::Compared;
use crate::join::Joiner;
use crate::metrics;
use crate::metronome::Metronome;
use crate::rate::{Rates, Sender};
use crate::receive::{Inflow, ReceiveError, Receiver};
use crate::report::{BackendStatus, Condition};
use crate::write::unavailable;

/// The version of InfluxDB that clients are told.
const INFLUXDB_VERSION: HeaderValue = HeaderValue::from_static("1.8.10");
const INFLUXDB_BUILD: HeaderValue = HeaderValue::from_static("OSS");
const X_INFLUXDB_VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");
const X_INFLUXDB_BUILD: HeaderName = HeaderName::from_static("x-influxdb-build");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A level of consistency, as the parameter of that name.
const TANDEM_CONSISTENCY: HeaderName = HeaderName::from_static("tandem-consistency");

/// How much of an unwanted body is read, so that its sender gets to see the answer.
const DISCARD_BYTES_MAX: usize = 64 << 20;
/// For how long.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// Answers requests.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) backends: RwLock<Arc<Vec<Arc<Backend>>>>,
    pub(crate) receiver: Receiver,
    /// Goes to writes that name none; empty for the backend's default one.
    pub(crate) default_retention_policy: String,
    pub(crate) ids: RequestIds,
    /// Held while a batch queues up at all backends.
    pub(crate) order: Mutex<()>,
    /// Bytes of bodies that were relayed.
    pub(crate) received_bytes: AtomicU64,
    /// How many of them in a second, lately.
    pub(crate) received_bytes_per_s: AtomicU64,
    /// Lines that no backend wants.
    pub(crate) left_out: AtomicU64,
    /// Lines that came in datagrams and were refused.
    pub(crate) udp_failed: AtomicU64,
    /// Held while a request is in work: what must have ended before the relay has.
    pub(crate) busy: watch::Sender<()>,
    pub(crate) rates: Rates,
    pub(crate) joiner: Joiner,
    pub(crate) compared: Compared,
    pub(crate) metronome: Metronome,
    /// Whether the parameter `consistency` counts.
    pub(crate) consistency_of_clients: bool,
}

/// Takes plain writes from the wire, with nothing between.
#[derive(Clone, Debug)]
pub(crate) struct Door(pub(crate) Arc<Service>);

impl Express for Door {
    fn wants(&self, path: &str) -> bool {
        Api::of_path(path).is_some()
    }

    async fn answer(
        &self,
        request: Request<()>,
        body: &mut WireBody<'_>,
        peer: Peer,
    ) -> Response<Body> {
        let _busy = self.0.busy.subscribe();
        self.0.metronome.heard();
        let headers = request.headers();
        let id = self.0.request_id(headers);
        let response = match Api::of_path(request.uri().path()) {
            Some(api) => {
                let query = request.uri().query().unwrap_or_default();
                let body = Inflow::Express(body);
                match self.0.take(api, query, headers, body, peer).await {
                    // Nobody drops this before it ends, so it needs no task of its own.
                    Ok((batch, level)) => self.0.relay_joined(batch, level).await,
                    Err(refusal) => refusal,
                }
            }
            None => empty(StatusCode::NOT_FOUND),
        };
        stamped(response, id)
    }
}

/// An answer with the headers that each has.
fn stamped(mut response: Response<Body>, id: Option<HeaderValue>) -> Response<Body> {
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

impl Service {
    /// Answers one request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<Body> {
        let _busy = self.busy.subscribe();
        let id = self.request_id(request.headers());
        let response = self.route(request, peer).await;
        stamped(response, id)
    }
    /// Who gets batches now.
    pub(crate) fn backends(&self) -> Arc<Vec<Arc<Backend>>> {
        self.backends
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Lines that came in datagrams were refused by a backend, or found no room.
    pub(crate) fn udp_failed(&self, lines: u64) {
        self.udp_failed.fetch_add(lines, Ordering::Relaxed);
    }

    /// How each backend is doing.
    pub(crate) fn status(&self) -> Vec<BackendStatus> {
        let now_ns = self.receiver.clock.now_ns();
        let bytes_per_s = self.received_bytes_per_s.load(Ordering::Relaxed);
        let status = |backend: &Arc<Backend>| {
            let report = backend.report.status();
            report.with_queue(&backend.queue, now_ns, bytes_per_s)
        };
        self.backends().iter().map(status).collect()
    }

    async fn route(self: &Arc<Self>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        let post = request.method() == Method::POST;
        let path = request.uri().path();
        if let Some(api) = Api::of_path(path) {
            return match *request.method() {
                Method::POST => self.write(api, request, peer).await,
                Method::OPTIONS => empty(StatusCode::NO_CONTENT),
                _ => not_allowed("OPTIONS, POST"),
            };
        }
        match path {
            "/query" if get || post => self.query(request).await,
            "/query" if request.method() == Method::OPTIONS => empty(StatusCode::NO_CONTENT),
            "/query" => not_allowed("GET, HEAD, OPTIONS, POST"),
            "/ping" | "/health" | "/ready" | "/status" | "/gaps" | "/differences" | "/metrics"
                if !get =>
            {
                not_allowed("GET, HEAD")
            }
            "/ping" => ping(request.uri().query().unwrap_or_default()),
            "/health" => self.health(),
            "/ready" => self.ready(),
            "/status" => json(&self.status()),
            "/gaps" => {
                let backends = self.backends();
                let gaps = |backend: &Arc<Backend>| serde_json::json!({"name": backend.name, "gaps": backend.queue.gaps.list()});
                json(&backends.iter().map(gaps).collect::<Vec<_>>())
            }
            "/differences" => json(&self.compared.list()),
            "/metrics" => {
                let received = self.received_bytes.load(Ordering::Relaxed);
                let left_out = self.left_out.load(Ordering::Relaxed);
                let udp_failed = self.udp_failed.load(Ordering::Relaxed);
                let [windows, mended, failures] = self.compared.figures();
                let all = [received, left_out, udp_failed, windows, mended, failures];
                let text = metrics::text(&self.status(), all);
                full(StatusCode::OK, metrics::CONTENT_TYPE, text)
            }
            _ => full(
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "404 page not found\n",
            ),
        }
    }

    async fn write(
        self: &Arc<Self>,
        api: Api,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default();
        let body = Inflow::Ordinary(&mut body);
        match self.take(api, query, &head.headers, body, peer).await {
            Ok((batch, level)) => self.relay(batch, level).await,
            Err(refusal) => refusal,
        }
    }

    /// Reads a write, or says why it is none.
    async fn take(
        &self,
        api: Api,
        query: &str,
        headers: &HeaderMap,
        mut body: Inflow<'_, '_>,
        peer: Peer,
    ) -> Result<(Batch, Level), Response<Body>> {
        let level = self.level(query, headers);
        let ask = api.ask(query, &self.default_retention_policy);
        let (level, ask) = match (level, ask) {
            (Some(level), Ok(ask)) => (level, ask),
            (level, ask) => {
                let whole = body.discard(DISCARD_BYTES_MAX, DISCARD_TIME_MAX).await;
                let text = match (level, ask) {
                    (_, Err(text)) => text,
                    _ => "invalid consistency level".to_owned(),
                };
                return Err(closing(error_json(StatusCode::BAD_REQUEST, &text), whole));
            }
        };
        let database = ask.database.clone();
        let sender = Sender {
            client: Some(peer.0.ip()).filter(|client| !client.is_unspecified()),
            database: &database,
        };
        if let Err(wait) = self.rates.admit(&sender) {
            let whole = body.discard(DISCARD_BYTES_MAX, DISCARD_TIME_MAX).await;
            return Err(closing(too_many(wait), whole));
        }
        match self.receiver.receive(ask, headers, &mut body).await {
            Ok(batch) => {
                self.rates.charge(&sender, batch.bytes());
                Ok((batch, level))
            }
            // There is nothing to wait for.
            Err(error @ ReceiveError::Broken(_)) => Err(refusal(&error, false)),
            Err(error) => {
                let whole = body.discard(DISCARD_BYTES_MAX, DISCARD_TIME_MAX).await;
                Err(refusal(&error, whole))
            }
        }
    }

    /// How many backends must have confirmed; none for what is no level.
    fn level(&self, query: &str, headers: &HeaderMap) -> Option<Level> {
        let params = Params::parse(query);
        let asked = Level::parse(params.get("consistency"))?;
        match headers.get(TANDEM_CONSISTENCY) {
            Some(own) => Level::parse(Some(own.to_str().ok()?)),
            None if self.consistency_of_clients => Some(asked),
            None => Some(Level::Kept),
        }
    }

    /// Whether it does its work: 503 when no backend takes anything, live or through its log.
    fn health(&self) -> Response<Body> {
        let broken: Vec<String> = self
            .backends()
            .iter()
            .filter_map(|backend| {
                let failed = backend.queue.main.check().err()?;
                Some(format!("{}: {failed}", backend.name))
            })
            .collect();
        let (status, message, word) = if broken.is_empty() {
            (StatusCode::OK, "ready for writes".to_owned(), "pass")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, broken.join("; "), "fail")
        };
        let body = serde_json::json!({
            "checks": [], "message": message, "name": "tandem-relay", "status": word, "version": "1.8.10",
        });
        full(status, "application/json", format!("{body}\n"))
    }

    /// Whether a load balancer should send writes here: as health; a backend that is away is no
    /// reason to go elsewhere.
    fn ready(&self) -> Response<Body> {
        let health = self.health();
        if health.status() != StatusCode::OK {
            return health;
        }
        let live = self
            .status()
            .iter()
            .filter(|s| s.condition == Condition::Live)
            .count();
        let body = serde_json::json!({"status": "ready", "live_backends": live});
        full(StatusCode::OK, "application/json", format!("{body}\n"))
    }

    fn request_id(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        headers
            .get(X_REQUEST_ID)
            .or_else(|| headers.get(REQUEST_ID))
            .cloned()
            .or_else(|| HeaderValue::try_from(self.ids.next_id()).ok())
    }
}

fn json(value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(body) => full(StatusCode::OK, "application/json", body),
        Err(error) => error_json(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The answer to who sends more than is allowed.
fn too_many(wait: Duration) -> Response<Body> {
    let text = "tandem relay: more than the allowed bytes a second, come again later";
    let mut response = error_json(StatusCode::TOO_MANY_REQUESTS, text);
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

/// The answer to a request that is no batch; `whole` when its body has been read to the end.
fn refusal(error: &ReceiveError, whole: bool) -> Response<Body> {
    let text = error.to_string();
    let response = match error.status() {
        StatusCode::SERVICE_UNAVAILABLE => unavailable(&text),
        status => error_json(status, &text),
    };
    closing(response, whole)
}

/// Closes the connection, unless the `whole` body has been read.
fn closing(mut response: Response<Body>, whole: bool) -> Response<Body> {
    if !whole {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = full(
        StatusCode::METHOD_NOT_ALLOWED,
        "text/plain; charset=utf-8",
        "Method Not Allowed\n",
    );
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// InfluxDB's `/ping`: 204, or with `verbose` the version.
fn ping(query: &str) -> Response<Body> {
    let params = Params::parse(query);
    match params.get("verbose").unwrap_or_default() {
        "" | "0" | "false" => empty(StatusCode::NO_CONTENT),
        _ => full(
            StatusCode::OK,
            "application/json",
            "{\"version\":\"1.8.10\"}\n",
        ),
    }
}
