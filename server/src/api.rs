//! The HTTP API of InfluxDB 1.x: routes, and what all answers have in common.
//!
//! Status, header and text of every answer follow influxdata/influxdb 1.8,
//! `services/httpd/handler.go`.

mod answers;
mod appliance;
mod at_once;
mod bind_params;
mod buckets;
mod delete;
mod encoding;
mod go_json;
mod health;
mod multipart;
mod prometheus;
mod query;
mod requests;
mod route;
mod vars;
mod write;

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tandem_catalog::{Catalog, CatalogError};
use tandem_http::{
    Body, HeaderMap, HeaderName, HeaderValue, Incoming, Method, Params, Peer, Request, RequestIds,
    Response, Room, StatusCode, discard_body, empty, full, header,
};
use tandem_influxql::redact_passwords;
use tandem_store::Store;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinHandle},
};
use tracing::{debug, error, info};

use self::{
    answers::{error_answer, method_not_allowed, not_found, plain, refused_expectation},
    at_once::AtOnce,
    requests::{Kind, Watches},
    route::Route,
};
use crate::{
    Config, Counters,
    auth::{Auth, Denied, Identity, Refusal},
    buffers::Buffers,
    continuous::ContinuousQueries,
    intake::Intake,
    metrics,
    neighbours::Neighbours,
    output::Format,
    page,
    sources::Sources,
    statements::Runner,
};

const X_INFLUXDB_VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");
const X_INFLUXDB_BUILD: HeaderName = HeaderName::from_static("x-influxdb-build");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request without good credentials is asked for.
const REALM: HeaderValue = HeaderValue::from_static("Basic realm=\"InfluxDB\"");

/// The text of an answer with 503.
const THROTTLED: &str = "request throttled, exceeds timeout";

/// InfluxDB's answer to a query in Flux.
const NO_FLUX: &str = "Flux query service disabled. Verify flux-enabled=true in the [http] section of the InfluxDB config.\n";

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
    sources: Arc<Sources>,
    neighbours: Arc<Neighbours>,
    ids: RequestIds,
    version: HeaderValue,
    writes: Arc<Semaphore>,
    queries: Arc<Semaphore>,
    bodies: Room,
    buffers: Buffers,
    watches: Watches,
    at_once: AtOnce,
    /// Seconds since 1970.
    started_s: i64,
}

/// What is known of a request before its body is read.
struct Ask {
    method: Method,
    params: Params,
    headers: HeaderMap,
    format: Format,
    pretty: bool,
    ip: IpAddr,
}

impl Ask {
    /// 400, with this text.
    fn bad(&self, text: &str) -> Response<Body> {
        self.error(StatusCode::BAD_REQUEST, text)
    }

    fn error(&self, status: StatusCode, text: &str) -> Response<Body> {
        error_answer(status, text, self.format, self.pretty)
    }
}

impl Api {
    pub(crate) fn new(
        store: Arc<Store>,
        catalog: Arc<Catalog>,
        config: Config,
        sources: Arc<Sources>,
    ) -> io::Result<Self> {
        let version = HeaderValue::try_from(&config.version);
        let neighbours = Neighbours::new(&config.neighbours).map_err(io::Error::other)?;
        let auth = Auth::new(catalog.clone(), config.auth.clone(), config.queue_wait)?;
        let runner = Runner::new(store.clone(), catalog.clone(), auth.passwords())
            .telling(sources.parts.feed.clone())
            .showing(sources.clone());
        runner.forget_lost_databases().map_err(io::Error::other)?;
        Ok(Self {
            store,
            catalog,
            runner: Arc::new(runner),
            auth,
            counters: sources.counters.clone(),
            sources,
            neighbours: Arc::new(neighbours),
            ids: RequestIds::new(),
            version: version.unwrap_or(HeaderValue::from_static(Config::VERSION)),
            writes: Arc::new(Semaphore::new(config.writes_max)),
            queries: Arc::new(Semaphore::new(config.queries_max)),
            bodies: Room::new(config.bodies_bytes_max, config.queue_wait),
            buffers: Buffers::default(),
            watches: Watches::default(),
            at_once: AtOnce::default(),
            started_s: now_ns() / 1_000_000_000,
            config,
        })
    }

    /// What runs the store's continuous queries, if they are to be run.
    pub(crate) fn continuous_queries(&self) -> Option<ContinuousQueries> {
        self.config.continuous_queries.then(|| {
            let (catalog, runner) = (self.catalog.clone(), self.runner.clone());
            ContinuousQueries::new(catalog, runner, self.config.query_limits)
                .counting(self.counters.clone())
                .reaching_back(self.config.continuous_late)
        })
    }

    /// The other parts of the appliance.
    pub(crate) fn neighbours(&self) -> Arc<Neighbours> {
        self.neighbours.clone()
    }

    /// Where points go that come by other ways.
    pub(crate) fn intake(&self) -> Intake {
        Intake::new(
            self.store.clone(),
            self.runner.clone(),
            self.sources.parts.feed.clone(),
        )
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
        let mut response = self.route(mount, request, peer.0.ip()).await;
        let headers = response.headers_mut();
        headers.insert(X_INFLUXDB_VERSION, self.version.clone());
        headers.insert(X_INFLUXDB_BUILD, HeaderValue::from_static("OSS"));
        let taken = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counters.request_ns.add(taken);
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

    async fn route(&self, mount: Mount, request: Request<Incoming>, ip: IpAddr) -> Response<Body> {
        if let Some(refused) = refused_expectation(request.headers()) {
            return refused;
        }
        let path = request.uri().path();
        let Some(route) = Route::of(path) else {
            let gzip = takes_gzip(request.headers());
            return asset(mount, request.method(), path, gzip).unwrap_or_else(not_found);
        };
        let allowed = route.methods();
        if !allowed.contains(request.method()) {
            return method_not_allowed(allowed);
        }
        let headers = request.headers().clone();
        let mut response = match *request.method() {
            Method::OPTIONS if !matches!(route, Route::Vars | Route::Requests) => {
                empty(StatusCode::OK)
            }
            _ => self.answer(&route, request, ip).await,
        };
        self.identify(&headers, &mut response);
        response
    }

    async fn answer(
        &self,
        route: &Route,
        request: Request<Incoming>,
        ip: IpAddr,
    ) -> Response<Body> {
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
            ip,
        };
        let mut response = match self.identity(route, &ask).await {
            Err(refused) => refused,
            Ok(identity) => self.dispatch(route, &ask, identity, &mut body).await,
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

    async fn dispatch(
        &self,
        route: &Route,
        ask: &Ask,
        identity: Identity,
        body: &mut Incoming,
    ) -> Response<Body> {
        match route {
            Route::Query => {
                self.watches.add(Kind::Query, ask.ip, &identity);
                self.query(ask, identity, body).await
            }
            Route::Write => {
                self.watches.add(Kind::Write, ask.ip, &identity);
                self.write(ask, &identity, body).await
            }
            Route::WriteV2 => {
                self.watches.add(Kind::Write, ask.ip, &identity);
                self.write_v2(ask, &identity, body).await
            }
            Route::PrometheusWrite => {
                self.watches.add(Kind::Write, ask.ip, &identity);
                self.prometheus_write(ask, &identity, body).await
            }
            Route::PrometheusRead => {
                self.watches.add(Kind::Query, ask.ip, &identity);
                self.prometheus_read(ask, identity, body).await
            }
            Route::DeleteV2 => self.delete(ask, identity, body).await,
            Route::Buckets if ask.method == Method::POST => {
                self.create_bucket(ask, &identity, body).await
            }
            Route::Buckets => self.buckets(ask, &identity).await,
            Route::Bucket(name) => self.bucket(ask, identity, name, body).await,
            Route::BucketPart(part) => ask.error(
                StatusCode::METHOD_NOT_ALLOWED,
                &format!("bucket {part} not supported in this version"),
            ),
            Route::QueryV2 => plain(StatusCode::FORBIDDEN, NO_FLUX),
            Route::Health => self.health(),
            Route::Metrics => self.metrics().await,
            Route::Vars => self.vars().await,
            Route::Requests => self.requests(ask).await,
            Route::Appliance => self.appliance(ask, &identity).await,
            Route::PeerCounts => self.peer_counts(ask, &identity).await,
            Route::Ping | Route::Status => self.ping(route, &ask.params),
        }
    }

    /// Who sends a request; an error is the answer to it.
    async fn identity(&self, route: &Route, ask: &Ask) -> Result<Identity, Response<Body>> {
        if !route.is_of_data() && !self.auth.guards_pings() {
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

    fn ping(&self, route: &Route, params: &Params) -> Response<Body> {
        self.counters.pings.add(1);
        match params.get("verbose") {
            Some(verbose) if *route == Route::Ping && !matches!(verbose, "" | "0" | "false") => {
                full(
                    StatusCode::OK,
                    "application/json",
                    format!("{{\"version\":\"{}\"}}", self.config.version),
                )
            }
            _ => empty(StatusCode::NO_CONTENT),
        }
    }

    /// What this store and its listeners hold and have done.
    async fn metrics(&self) -> Response<Body> {
        let store = Arc::clone(&self.store);
        let stats = finished(tokio::task::spawn_blocking(move || store.stats())).await;
        let text = metrics::exposition(
            &self.config.instance,
            &stats,
            &self.counters,
            Some(&self.sources.parts),
        );
        full(StatusCode::OK, metrics::CONTENT_TYPE, text)
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
pub(crate) async fn finished<T>(work: JoinHandle<T>) -> T {
    match work.await.map_err(JoinError::try_into_panic) {
        Ok(value) => value,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is going down and will drop this future too.
        Err(Err(_cancelled)) => std::future::pending().await,
    }
}

/// Sets its flag when it is dropped before it is disarmed: the client went away.
struct SetOnDrop(Option<Arc<AtomicBool>>);

impl SetOnDrop {
    fn new(flag: Arc<AtomicBool>) -> Self {
        Self(Some(flag))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        if let Some(flag) = &self.0 {
            flag.store(true, Ordering::Relaxed);
        }
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Whether a client takes an answer after gzip.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("gzip"))
}

/// The page's file at `path`, where this listener has it.
fn asset(mount: Mount, method: &Method, path: &str, gzip: bool) -> Option<Response<Body>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    match mount {
        Mount::Page => page::serve(path.strip_prefix('/')?, gzip),
        Mount::Api if path == "/ui" => {
            let mut response = empty(StatusCode::PERMANENT_REDIRECT);
            response
                .headers_mut()
                .insert(header::LOCATION, HeaderValue::from_static("/ui/"));
            Some(response)
        }
        Mount::Api => page::serve(path.strip_prefix("/ui/")?, gzip),
    }
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
