//! A relay that answers as it is told and remembers what it took.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod engine;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tandem_agent::{Collectors, Config, Hostname, MemOptions};
use tandem_http::{Limits, StatusCode, Url, error_json, full, read_body, serve};

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the relay answers to a write with this body.
pub(crate) type Answer = Box<dyn Fn(&str) -> (u16, &'static str) + Send>;

/// The relay.
pub(crate) struct Relay {
    pub(crate) url: Url,
    state: Arc<Mutex<State>>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

struct State {
    answer: Answer,
    taken: String,
    requests: Vec<(String, String)>,
    kinds: Vec<String>,
    /// `Authorization` and `Content-Encoding` of each request.
    headers: Vec<(String, String)>,
}

impl Relay {
    /// Starts a relay on a free port.
    pub(crate) fn start(answer: Answer) -> Self {
        let state = Arc::new(Mutex::new(State {
            answer,
            taken: String::new(),
            requests: Vec::new(),
            kinds: Vec::new(),
            headers: Vec::new(),
        }));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let handler = move |request: tandem_http::Request<tandem_http::Incoming>, _| {
                    let state = Arc::clone(&shared);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = read_body(body, 1 << 20, PATIENCE).await.unwrap();
                        let text = |name: &str| {
                            let value = head.headers.get(name);
                            value.map_or("", |value| value.to_str().unwrap()).to_owned()
                        };
                        let (authorization, encoding) =
                            (text("authorization"), text("content-encoding"));
                        let mut bytes = body.into_bytes().to_vec();
                        if encoding == "gzip" {
                            let packed = std::mem::take(&mut bytes);
                            let mut decoder = flate2::read::GzDecoder::new(packed.as_slice());
                            std::io::Read::read_to_end(&mut decoder, &mut bytes).unwrap();
                        }
                        let body = String::from_utf8(bytes).unwrap();
                        let kind = text("content-type");
                        state
                            .lock()
                            .unwrap()
                            .headers
                            .push((authorization, encoding));
                        let (status, text) =
                            state
                                .lock()
                                .unwrap()
                                .take(&head.uri.to_string(), &body, kind);
                        let status = StatusCode::from_u16(status).unwrap();
                        if status.is_success() {
                            full(status, "application/json", text.as_bytes())
                        } else {
                            error_json(status, text)
                        }
                    }
                };
                let until = async {
                    let _ = stopped.await;
                };
                serve(listener, handler, Limits::default(), until).await;
            });
        });
        let address = told.recv_timeout(PATIENCE).unwrap();
        Self {
            url: Url::parse(&format!("http://{address}")).unwrap(),
            state,
            _stop: stop,
        }
    }

    /// Changes the answer.
    pub(crate) fn answers(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// Targets and bodies of all requests.
    pub(crate) fn requests(&self) -> Vec<(String, String)> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Content types of all requests.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.state.lock().unwrap().kinds.clone()
    }

    /// `Authorization` and `Content-Encoding` of all requests.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        self.state.lock().unwrap().headers.clone()
    }

    /// The lines of all writes that were answered with success.
    pub(crate) fn taken(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.taken.lines().map(str::to_owned).collect()
    }

    /// Waits until `enough` says so.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            assert!(Instant::now() < deadline, "waited too long for: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl State {
    fn take(&mut self, target: &str, body: &str, kind: String) -> (u16, &'static str) {
        self.requests.push((target.to_owned(), body.to_owned()));
        self.kinds.push(kind);
        if !target.starts_with("/write") {
            return (200, r#"{"results":[{"statement_id":0}]}"#);
        }
        let (status, text) = (self.answer)(body);
        if (200..300).contains(&status) {
            self.taken.push_str(body);
        }
        (status, text)
    }
}

/// Takes everything.
pub(crate) fn takes_all() -> Answer {
    Box::new(|_| (204, ""))
}

/// Answers every write so.
pub(crate) fn always(status: u16, text: &'static str) -> Answer {
    Box::new(move |_| (status, text))
}

/// An agent that gathers `mem` alone, ten times a second, and is quick to try again.
pub(crate) fn config(relays: &[&Relay], data_dir: &Path) -> Config {
    let urls = relays.iter().map(|relay| relay.url.clone()).collect();
    let mut config = Config::new(urls, data_dir.to_path_buf());
    config.interval = Duration::from_millis(100);
    config.hostname = Hostname::Is("web1".into());
    config.collectors = Collectors {
        mem: Some(MemOptions::default()),
        ..Collectors::none()
    };
    config.output.spool_free_bytes_min = 0;
    config.output.retry_delay = Duration::from_millis(20);
    config.output.retry_delay_max = Duration::from_millis(40);
    config
}

/// The times of lines, each once.
pub(crate) fn times(lines: &[String]) -> BTreeSet<i64> {
    let time = |line: &String| line.rsplit(' ').next().unwrap().parse().unwrap();
    lines.iter().map(time).collect()
}

/// Whether the times of lines never go back.
pub(crate) fn is_in_order(lines: &[String]) -> bool {
    let times: Vec<i64> = lines
        .iter()
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    times.windows(2).all(|pair| pair[0] <= pair[1])
}
