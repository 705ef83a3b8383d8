//! The HTTP API of InfluxDB 1.x: routes, and what all answers have in common.
//!
//! Status, header and text of every answer follow influxdata/influxdb 1.8,
//! `services/httpd/handler.go`.

mod bind_params;
mod query;
mod write;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tandem_catalog::{Catalog, CatalogError};
use tandem_http::{
    Body, HeaderMap, HeaderName, HeaderValue, Incoming, Method, Params, Peer, Request, RequestIds,
    Response, StatusCode, discard_body, empty, full, header, write_json_string,
};
use tandem_influxql::redact_passwords;
use tandem_store::Store;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinHandle},
};
use tracing::{debug, error, info};

use crate::{
    Config, Counters,
    auth::{Auth, Denied, Identity, Refusal},
    buffers::Buffers,
    continuous::ContinuousQueries,
    metrics,
    output::{Format, error_body},
    page,
    statements::Runner,
};

const X_INFLUXDB_VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");
const X_INFLUXDB_BUILD: HeaderName = HeaderName::from_static("x-influxdb-build");
const X_INFLUXDB_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request without good credentials is asked for.
const REALM: HeaderValue = HeaderValue::from_static("Basic realm=\"InfluxDB\"");

/// Where the text in `X-Influxdb-Error` is cut, in bytes.
const ERROR_HEADER_BYTES_MAX: usize = 1024;

/// The text of an answer with 503.
const THROTTLED: &str = "request throttled, exceeds timeout";

/// How long the rest of a body that nobody wants is read before the answer leaves.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(3);

/// Sent when a request names its origin.
const CORS: [(HeaderName, &str); 3] = [
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        "DELETE, GET, OPTIONS, POST, PUT",
    ),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Accept, Accept-Encoding, Authorization, Content-Length, Content-Type, X-CSRF-Token, X-HTTP-Method-Override",
    ),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "Date, X-InfluxDB-Version, X-InfluxDB-Build",
    ),
];

/// Which listener a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mount {
    /// The API, with the page below `/ui/`.
    Api,
    /// The page, with the API beside it.
    Page,
}

/// Answers requests for one store.
pub(crate) struct Api {
    store: Arc<Store>,
    catalog: Arc<Catalog>,
    runner: Arc<Runner>,
    auth: Auth,
    config: Config,
    counters: Arc<Counters>,
    ids: RequestIds,
    version: HeaderValue,
    writes: Arc<Semaphore>,
    queries: Arc<Semaphore>,
    body_kib: Arc<Semaphore>,
    buffers: Buffers,
}

/// What is known of a request before its body is read.
struct Ask {
    method: Method,
    params: Params,
    headers: HeaderMap,
    format: Format,
    pretty: bool,
}

impl Ask {
    fn error(&self, status: StatusCode, text: &str) -> Response<Body> {
        error_answer(status, text, self.format, self.pretty)
    }
}

impl Api {
    pub(crate) fn new(
        store: Arc<Store>,
        catalog: Arc<Catalog>,
        config: Config,
    ) -> io::Result<Self> {
        let version = HeaderValue::try_from(&config.version);
        let auth = Auth::new(catalog.clone(), config.auth.clone(), config.queue_wait)?;
        let runner = Runner::new(store.clone(), catalog.clone(), auth.passwords());
        runner.forget_lost_databases().map_err(io::Error::other)?;
        Ok(Self {
            store,
            catalog,
            runner: Arc::new(runner),
            auth,
            counters: Arc::default(),
            ids: RequestIds::new(),
            version: version.unwrap_or(HeaderValue::from_static(Config::VERSION)),
            writes: Arc::new(Semaphore::new(config.writes_max)),
            queries: Arc::new(Semaphore::new(config.queries_max)),
            body_kib: Arc::new(Semaphore::new(config.bodies_bytes_max / 1024)),
            buffers: Buffers::default(),
            config,
        })
    }

    /// What runs the store's continuous queries, if they are to be run.
    pub(crate) fn continuous_queries(&self) -> Option<ContinuousQueries> {
        self.config.continuous_queries.then(|| {
            let (catalog, runner) = (self.catalog.clone(), self.runner.clone());
            ContinuousQueries::new(catalog, runner, self.config.query_limits)
        })
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Answers one request.
    pub(crate) async fn handle(
        &self,
        mount: Mount,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<Body> {
        let begun = Instant::now();
        self.counters.requests.add(1);
        let _active = self.counters.requests_active.hold();
        let (method, target) = (request.method().clone(), request.uri().clone());
        let mut response = self.route(mount, request).await;
        let headers = response.headers_mut();
        headers.insert(X_INFLUXDB_VERSION, self.version.clone());
        headers.insert(X_INFLUXDB_BUILD, HeaderValue::from_static("OSS"));
        let status = response.status();
        match status.as_u16() {
            400..=499 => self.counters.client_errors.add(1),
            500..=599 => self.counters.server_errors.add(1),
            _ => {}
        }
        debug!(
            target: "tandem_server::access",
            peer = %peer.0, %method, target = %redacted(&target), status = status.as_u16(),
            micros = begun.elapsed().as_micros(),
        );
        response
    }

    async fn route(&self, mount: Mount, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        let allowed: &[Method] = match path {
            "/query" => &[Method::OPTIONS, Method::GET, Method::POST],
            "/write" => &[Method::OPTIONS, Method::POST],
            "/ping" | "/status" | "/health" | "/metrics" => &[Method::GET, Method::HEAD],
            _ => return asset(mount, request.method(), path).unwrap_or_else(not_found),
        };
        if !allowed.contains(request.method()) {
            return method_not_allowed(allowed);
        }
        let headers = request.headers().clone();
        let mut response = match *request.method() {
            Method::OPTIONS if headers.contains_key(header::ORIGIN) => empty(StatusCode::OK),
            Method::OPTIONS => empty(StatusCode::NO_CONTENT),
            _ => self.answer(request).await,
        };
        self.identify(&headers, &mut response);
        response
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let params = Params::parse(head.uri.query().unwrap_or_default());
        let accept = head
            .headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let ask = Ask {
            format: Format::negotiate(accept),
            pretty: params.get("pretty") == Some("true"),
            method: head.method,
            headers: head.headers,
            params,
        };
        let path = head.uri.path();
        let mut response = match self.identity(path, &ask).await {
            Err(refused) => refused,
            Ok(identity) => match path {
                "/query" => self.query(&ask, identity, &mut body).await,
                "/write" => self.write(&ask, &identity, &mut body).await,
                "/health" => self.health(),
                "/metrics" => self.metrics().await,
                path => self.ping(path, &ask.params),
            },
        };
        if !response.status().is_success() {
            discard_body(
                &mut body,
                self.config.body_bytes_max.saturating_mul(2),
                DISCARD_TIME_MAX,
            )
            .await;
        }
        let content_type = HeaderValue::from_static(ask.format.content_type());
        response
            .headers_mut()
            .entry(header::CONTENT_TYPE)
            .or_insert(content_type);
        response
    }

    /// Who sends a request to `path`; an error is the answer to it.
    async fn identity(&self, path: &str, ask: &Ask) -> Result<Identity, Response<Body>> {
        if !matches!(path, "/query" | "/write") && !self.auth.guards_pings() {
            return Ok(Identity::Anyone);
        }
        let refusal = match self.auth.identify(&ask.params, &ask.headers).await {
            Ok(identity) => return Ok(identity),
            Err(refusal) => refusal,
        };
        Err(match refusal {
            Refusal::Unauthorized(text) => {
                self.counters.auth_failures.add(1);
                let mut response = ask.error(StatusCode::UNAUTHORIZED, &text);
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, REALM);
                response
            }
            Refusal::Busy => {
                self.counters.throttled.add(1);
                ask.error(StatusCode::SERVICE_UNAVAILABLE, THROTTLED)
            }
            Refusal::Failed(error) => self.rights_unknown(ask, error),
        })
    }

    /// The answer to a request that its user may not make.
    fn denied(&self, ask: &Ask, denied: Denied) -> Response<Body> {
        match denied {
            Denied::Forbidden(text) => {
                info!(reason = text, "a request was denied");
                ask.error(StatusCode::FORBIDDEN, &text)
            }
            Denied::Failed(error) => self.rights_unknown(ask, error),
        }
    }

    /// Users and grants cannot be read: nobody gets anything.
    fn rights_unknown(&self, ask: &Ask, error: CatalogError) -> Response<Body> {
        error!(
            error = &error as &dyn std::error::Error,
            "users and grants cannot be read"
        );
        ask.error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
    }

    /// Adds the request's id, its own or a new one, and what browsers of other origins need.
    fn identify(&self, asked: &HeaderMap, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        let own = asked
            .get(X_REQUEST_ID)
            .or_else(|| asked.get(REQUEST_ID))
            .filter(|id| !id.is_empty());
        if let Some(id) = own
            .cloned()
            .or_else(|| HeaderValue::try_from(self.ids.next_id()).ok())
        {
            headers.insert(REQUEST_ID, id.clone());
            headers.insert(X_REQUEST_ID, id);
        }
        if let Some(origin) = asked
            .get(header::ORIGIN)
            .filter(|origin| !origin.is_empty())
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            for (name, value) in CORS {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
    }

    fn ping(&self, path: &str, params: &Params) -> Response<Body> {
        self.counters.pings.add(1);
        match params.get("verbose") {
            Some(verbose) if path == "/ping" && !matches!(verbose, "" | "0" | "false") => full(
                StatusCode::OK,
                "application/json",
                format!("{{\"version\":\"{}\"}}", self.config.version),
            ),
            _ => empty(StatusCode::NO_CONTENT),
        }
    }

    /// What this store and its listeners hold and have done.
    async fn metrics(&self) -> Response<Body> {
        let store = Arc::clone(&self.store);
        let stats = finished(tokio::task::spawn_blocking(move || store.stats())).await;
        let text = metrics::exposition(&self.config.instance, &stats, &self.counters);
        full(StatusCode::OK, metrics::CONTENT_TYPE, text)
    }

    /// Passes while the store takes writes; queries are answered either way.
    fn health(&self) -> Response<Body> {
        let (status, name, message) = match self.store.check() {
            Ok(()) => (
                StatusCode::OK,
                "pass",
                "ready for queries and writes".to_owned(),
            ),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, "fail", error.to_string()),
        };
        let mut body = b"{\"checks\":[],\"message\":".to_vec();
        write_json_string(&mut body, message.as_bytes());
        body.extend_from_slice(b",\"name\":\"influxdb\",\"status\":");
        write_json_string(&mut body, name.as_bytes());
        body.extend_from_slice(b",\"version\":");
        write_json_string(&mut body, self.config.version.as_bytes());
        body.push(b'}');
        full(status, "application/json", body)
    }

    /// Waits for a place; an error is the answer when there is none for too long.
    async fn turn(
        &self,
        places: &Arc<Semaphore>,
        count: u32,
        ask: &Ask,
    ) -> Result<OwnedSemaphorePermit, Response<Body>> {
        let waiting = places.clone().acquire_many_owned(count);
        match tokio::time::timeout(self.config.queue_wait, waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                self.counters.throttled.add(1);
                Err(ask.error(StatusCode::SERVICE_UNAVAILABLE, THROTTLED))
            }
        }
    }
}

/// Waits for work on another thread; a panic there goes on here.
async fn finished<T>(work: JoinHandle<T>) -> T {
    match work.await.map_err(JoinError::try_into_panic) {
        Ok(value) => value,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is going down and will drop this future too.
        Err(Err(_cancelled)) => std::future::pending().await,
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The page's file at `path`, where this listener has it.
fn asset(mount: Mount, method: &Method, path: &str) -> Option<Response<Body>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    match mount {
        Mount::Page => page::serve(path.strip_prefix('/')?),
        Mount::Api if path == "/ui" => {
            let mut response = empty(StatusCode::PERMANENT_REDIRECT);
            response
                .headers_mut()
                .insert(header::LOCATION, HeaderValue::from_static("/ui/"));
            Some(response)
        }
        Mount::Api => page::serve(path.strip_prefix("/ui/")?),
    }
}

/// An answer that is an error, in the form that was asked for.
fn error_answer(status: StatusCode, text: &str, format: Format, pretty: bool) -> Response<Body> {
    let mut response = full(
        status,
        format.content_type(),
        error_body(format, pretty, text),
    );
    if status != StatusCode::UNAUTHORIZED
        && let Some(value) = tandem_http::header_text(text, ERROR_HEADER_BYTES_MAX)
    {
        response.headers_mut().insert(X_INFLUXDB_ERROR, value);
    }
    response
}

/// As Go's `http.Error`.
fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = full(status, "text/plain; charset=utf-8", text);
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn method_not_allowed(allowed: &[Method]) -> Response<Body> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// What of a request's target may be logged: without the password in `p` and those in a query.
fn redacted(target: &tandem_http::Uri) -> String {
    let Some(query) = target.query() else {
        return target.path().to_owned();
    };
    let shown = Params::parse(query)
        .iter()
        .fold(String::new(), |mut shown, (key, value)| {
            let value = match key {
                "p" => "[REDACTED]".to_owned(),
                "q" => redact_passwords(value),
                _ => value.to_owned(),
            };
            shown.push(if shown.is_empty() { '?' } else { '&' });
            shown.extend([key, "=", &value]);
            shown
        });
    format!("{}{}", target.path(), shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_logged() {
        let target = "/query?u=root&p=hunter2&db=x&q=CREATE+USER+bob+WITH+PASSWORD+%27hunter2%27"
            .parse()
            .unwrap();
        let shown = redacted(&target);
        assert!(
            shown.starts_with("/query?u=root&p=[REDACTED]&db=x&q=CREATE USER bob"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(redacted(&"/ping".parse().unwrap()), "/ping");
    }

    #[test]
    fn a_line_end_cannot_forge_a_log_line() {
        assert!(!redacted(&"/query?q=a%0Ab%1B".parse().unwrap()).contains(['\n', '\u{1b}']));
    }
}
