//! A relay in a runtime of its own, so that it can be killed, and backends that do as they are told.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tandem_http::{
    Answer, Body, Call, Client, ClientConfig, HeaderValue, Incoming, Limits, Request, Response,
    StatusCode, Url, empty, error_json, full, header, read_body, serve,
};
use tandem_relay::{BackendConfig, Config, Relay};
use tandem_testkit::ManualClock;
use tandem_vfs::{Clock, RealFs, SystemClock, Vfs};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{oneshot, watch};

/// Nothing in these tests takes longer.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A line of each of two series of which neither waits for the other.
pub(crate) fn lines_apart() -> [&'static str; 2] {
    let [one, other] = ["m,host=a v=1 1", "m,host=b v=1 1"];
    let lanes = |body: &str| tandem_line::scan(body.as_bytes()).lanes;
    assert_eq!(lanes(one) & lanes(other), 0, "choose other hosts");
    [one, other]
}

/// What a backend does with a write.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// Stores it, 204.
    Store,
    /// Stores nothing, this status and text.
    Refuse(u16, &'static str),
    /// Stores it and says that some of it is lost.
    Partial,
    /// Neither stores nor answers until the mode changes; then stores, 204.
    Hang,
    /// Refuses writes whose query string holds the first text with a status and a text.
    RefuseQuery(&'static str, u16, &'static str),
    /// Refuses bodies that hold the text, 400.
    RefuseText(&'static str),
    /// Answers bodies that hold the text with this status, and stores nothing of them.
    FailText(u16, &'static str),
    /// Stores the lines that do not hold the text, and says so.
    PartialText(&'static str),
    /// Refuses bodies with more bytes, 413.
    TooLarge(usize),
    /// Stores it, 204, after a while.
    Slow(Duration),
}

/// A write as a backend got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) content_encoding: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

#[derive(Debug)]
struct Shared {
    mode: watch::Sender<Mode>,
    arrived: Mutex<Vec<(std::time::Instant, Write)>>,
    stored: Mutex<Vec<Write>>,
}

/// A backend.
pub(crate) struct Fake {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<(oneshot::Sender<()>, tokio::task::JoinHandle<()>)>,
    /// Never listens: while the backend is down, nobody else is given its port.
    _port: TcpSocket,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let port = shared_port("127.0.0.1:0".parse().unwrap());
        let addr = port.local_addr().unwrap();
        let mut fake = Self {
            addr,
            shared: Arc::new(Shared {
                mode: watch::Sender::new(Mode::Store),
                arrived: Mutex::default(),
                stored: Mutex::default(),
            }),
            stop: None,
            _port: port,
        };
        fake.up().await;
        fake
    }

    fn serve(&mut self, listener: TcpListener) {
        let shared = self.shared.clone();
        let handler = move |request, _| answer(shared.clone(), request);
        let (stop, stopped) = oneshot::channel();
        let limits = Limits {
            stop_deadline: Duration::ZERO,
            ..Limits::default()
        };
        let task = tokio::spawn(async move {
            serve(listener, handler, limits, async {
                let _ = stopped.await;
            })
            .await;
        });
        self.stop = Some((stop, task));
    }

    /// Closes port and connections.
    pub(crate) async fn down(&mut self) {
        let (stop, task) = self.stop.take().unwrap();
        stop.send(()).unwrap();
        task.await.unwrap();
    }

    pub(crate) async fn up(&mut self) {
        self.serve(shared_port(self.addr).listen(1024).unwrap());
    }

    pub(crate) fn mode(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// What it has stored, in order.
    pub(crate) fn stored(&self) -> Vec<Write> {
        self.shared.stored.lock().unwrap().clone()
    }

    pub(crate) fn stored_bodies(&self) -> Vec<String> {
        let stored = self.stored();
        let text = |write: &Write| String::from_utf8(write.body.to_vec()).unwrap();
        stored.iter().map(text).collect()
    }

    /// Every line that it has stored, in order; what is drained comes with others in one body.
    pub(crate) fn stored_lines(&self) -> Vec<String> {
        let bodies = self.stored_bodies();
        let lines = bodies.iter().flat_map(|body| body.lines());
        lines.map(str::to_owned).collect()
    }

    /// Every write that reached it, stored or not, and when.
    pub(crate) fn arrived(&self) -> Vec<(std::time::Instant, Write)> {
        self.shared.arrived.lock().unwrap().clone()
    }

    /// Waits until it has stored so many lines.
    pub(crate) async fn stores(&self, count: usize) {
        until(&format!("{count} lines are stored"), || {
            let stored = self.stored();
            let lines = stored
                .iter()
                .flat_map(|write| write.body.split(|byte| *byte == b'\n'));
            lines.filter(|line| !line.is_empty()).count() >= count
        })
        .await;
    }

    pub(crate) async fn gets(&self, count: usize) {
        until(&format!("{count} writes have arrived"), || {
            self.arrived().len() >= count
        })
        .await;
    }
}

/// A socket at this address, which another of these may have too.
fn shared_port(addr: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(addr).unwrap();
    socket
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let (head, body) = request.into_parts();
    let Ok(payload) = read_body(body, 64 << 20, SOON).await else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let header = |name| head.headers.get(name).cloned();
    let is_query = path == "/query";
    let write = Write {
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: header(header::AUTHORIZATION),
        content_type: header(header::CONTENT_TYPE),
        content_encoding: header(header::CONTENT_ENCODING),
        body: payload.into_bytes(),
    };
    let now = std::time::Instant::now();
    shared.arrived.lock().unwrap().push((now, write.clone()));
    let mut modes = shared.mode.subscribe();
    let mode = modes.borrow().clone();
    if let Mode::Hang = mode {
        // Goes on even when the caller has given up: a store does, too.
        let (answered, answer) = oneshot::channel();
        tokio::spawn(async move {
            let _ = modes.wait_for(|mode| !matches!(mode, Mode::Hang)).await;
            shared.stored.lock().unwrap().push(write);
            let _ = answered.send(());
        });
        let _ = answer.await;
        return empty(StatusCode::NO_CONTENT);
    }
    if let Mode::Slow(delay) = mode {
        tokio::time::sleep(delay).await;
    }
    let refused = match &mode {
        Mode::Refuse(status, text) => Some((*status, *text)),
        Mode::RefuseQuery(word, status, text) if write.query.contains(word) => {
            Some((*status, *text))
        }
        Mode::RefuseText(word) if contains(&write.body, word) => Some((400, "unable to parse")),
        Mode::FailText(status, word) if contains(&write.body, word) => Some((*status, "no")),
        Mode::TooLarge(bytes_max) if write.body.len() > *bytes_max => Some((413, "too large")),
        _ => None,
    };
    if let Some((status, text)) = refused {
        return error_json(StatusCode::from_u16(status).unwrap(), text);
    }
    if let Mode::PartialText(word) = mode
        && contains(&write.body, word)
    {
        let text = String::from_utf8(write.body.to_vec()).unwrap();
        let good = text
            .split_inclusive('\n')
            .filter(|line| !line.contains(word));
        let body = good.collect::<String>().into();
        shared.stored.lock().unwrap().push(Write { body, ..write });
        let text = "partial write: field type conflict dropped=1";
        return error_json(StatusCode::BAD_REQUEST, text);
    }
    shared.stored.lock().unwrap().push(write);
    if let Mode::Partial = mode {
        let text = "partial write: field type conflict dropped=1";
        return error_json(StatusCode::BAD_REQUEST, text);
    }
    if is_query {
        let body = r#"{"results":[{"statement_id":0}]}"#;
        return full(StatusCode::OK, "application/json", body);
    }
    empty(StatusCode::NO_CONTENT)
}

fn contains(body: &[u8], word: &str) -> bool {
    body.windows(word.len())
        .any(|window| window == word.as_bytes())
}

/// Waits for a condition, and says which one if it never comes.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < SOON, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A relay that can be killed.
pub(crate) struct Running {
    pub(crate) relay: Relay,
    runtime: tokio::runtime::Runtime,
    stop: oneshot::Sender<()>,
    client: Client,
}

impl Running {
    /// A relay before `backends`, named `a`, `b` and so on, with its queues in `dir`.
    pub(crate) async fn start(
        dir: &Path,
        backends: &[&Fake],
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        Self::start_in(
            Arc::new(RealFs),
            Arc::new(SystemClock),
            dir,
            backends,
            adjust,
        )
        .await
    }

    pub(crate) async fn start_in(
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        backends: &[&Fake],
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        let url = |fake: &&Fake| Url::parse(&format!("http://{}", fake.addr)).unwrap();
        let urls: Vec<Url> = backends.iter().map(url).collect();
        Self::start_config(vfs, clock, Self::config(dir, &urls), adjust).await
    }

    /// The same before backends of any kind.
    pub(crate) async fn start_with_urls(dir: &Path, urls: &[Url]) -> Self {
        Self::start_with(dir, urls, |_| {}).await
    }

    pub(crate) async fn start_with(
        dir: &Path,
        urls: &[Url],
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        let (vfs, clock) = (Arc::new(RealFs), Arc::new(SystemClock));
        Self::start_config(vfs, clock, Self::config(dir, urls), adjust).await
    }

    fn config(dir: &Path, urls: &[Url]) -> Config {
        let backends = urls.iter().zip(["a", "b", "c"]);
        let backends = backends.map(|(url, name)| BackendConfig::new(name, url.clone()));
        Config::new(backends.collect(), dir)
    }

    async fn start_config(
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        mut config: Config,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        // Long enough that only a test that asks for it sees a hedge.
        config.hedge_delay = SOON;
        // After a broken connection, and after a kill, nothing moves for so long.
        config.write_timeout = Duration::from_millis(500);
        config.retry_delay_min = Duration::from_millis(2);
        config.retry_delay_max = Duration::from_millis(20);
        adjust(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let begun = std::time::Instant::now();
        loop {
            let (stop, stopped) = oneshot::channel::<()>();
            let (config, vfs, clock) = (config.clone(), vfs.clone(), clock.clone());
            let starting = runtime.spawn(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let stopped = async {
                    let _ = stopped.await;
                };
                Relay::start(config, vfs, clock, listener, stopped).await
            });
            match starting.await.unwrap() {
                Ok(relay) => {
                    return Self {
                        relay,
                        runtime,
                        stop,
                        client: Client::new(ClientConfig {
                            request_timeout: SOON,
                            ..ClientConfig::default()
                        }),
                    };
                }
                // One that was killed may need a moment to let go of its directories.
                Err(error) => assert!(begun.elapsed() < SOON, "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// As `kill -9`: nothing is flushed, nothing is told.
    pub(crate) fn kill(self) {
        self.runtime.shutdown_background();
    }

    /// As SIGTERM.
    pub(crate) async fn stop(self) {
        let Self {
            relay,
            runtime,
            stop,
            ..
        } = self;
        stop.send(()).unwrap();
        relay.stopped().await;
        runtime.shutdown_background();
    }

    pub(crate) async fn send(&self, call: Call) -> Answer {
        let url = Url::parse(&format!("http://{}", self.relay.local_addr())).unwrap();
        self.client.send(&url, call).await.unwrap()
    }

    /// Writes to database `d` and gives the status.
    pub(crate) async fn write(&self, body: &str) -> u16 {
        self.write_to("db=d", body).await.status.as_u16()
    }

    pub(crate) async fn write_to(&self, query: &str, body: &str) -> Answer {
        let body = vec![Bytes::copy_from_slice(body.as_bytes())];
        self.send(Call::post(format!("/write?{query}"), body, true))
            .await
    }

    /// The condition of the backend with this index.
    pub(crate) fn condition(&self, index: usize) -> tandem_relay::Condition {
        self.relay.status()[index].condition
    }

    pub(crate) async fn is_live(&self, index: usize) {
        until("the backend is live", || {
            let status = &self.relay.status()[index];
            status.condition == tandem_relay::Condition::Live && status.queued_batches == 0
        })
        .await;
    }
}

/// Writes to database `d` of the relay at `addr`; none when it went away meanwhile.
pub(crate) async fn try_write(client: &Client, addr: SocketAddr, body: &str) -> Option<u16> {
    let url = Url::parse(&format!("http://{addr}")).unwrap();
    let call = Call::post("/write?db=d", vec![body.to_owned().into()], true);
    let answer = client.send(&url, call).await.ok()?;
    Some(answer.status.as_u16())
}

pub(crate) fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone().into_bytes().to_vec()).unwrap()
}

pub(crate) fn manual_clock(now_ns: i64) -> Arc<ManualClock> {
    Arc::new(ManualClock::new(now_ns))
}
