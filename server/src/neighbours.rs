//! The other parts of the appliance, as this store sees them: the relays that write to it, and its peers, the stores
//! that hold the same data. The page asks for them here, since it may call no other host.
//!
//! Only addresses of the configuration are called, with fixed paths, a short deadline and a bounded answer; a part
//! that is away is part of the answer, never an error of it. A relay never learns who asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tandem_http::{
    Answer, Call, Client, ClientConfig, ClientTls, ClientTlsConfig, HeaderValue, TlsError, Url,
    header,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::statistics::Statistic;

/// How long a part may take to answer: the page looks every two seconds.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// The same for counts of points, which a store may have to compute.
const COUNTS_TIMEOUT: Duration = Duration::from_secs(20);
/// Of one answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Pages that are answered at once.
const PAGES_MAX: usize = 8;
/// Ranges that are shown of a backend's gap list.
const GAPS_MAX: usize = 50;
/// Of the text of an answer that is no success.
const TEXT_CHARS_MAX: usize = 300;

/// What is kept of what a relay tells of a backend: its name for it, and the field's.
const KEPT: [(&str, &str); 15] = [
    ("written_batches", "writtenBatches"),
    ("written_lines", "writtenLines"),
    ("spilled_batches", "spilledBatches"),
    ("spilled_lines", "spilledLines"),
    ("partial_batches", "partialBatches"),
    ("dead_batches", "deadBatches"),
    ("refused_batches", "refusedBatches"),
    ("dropped_lines", "droppedLines"),
    ("divergences", "divergences"),
    ("queued_batches", "queuedBatches"),
    ("queued_bytes", "queuedBytes"),
    ("queue_bytes_max", "queueBytesMax"),
    ("queued_age_ms", "queuedAgeMs"),
    ("tolerable_outage_s", "tolerableOutageS"),
    ("gap_points", "gapPoints"),
];

/// Where the other parts are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeighboursConfig {
    /// The relays that write to this store.
    pub relays: Vec<Url>,
    /// The stores that the same relays write to.
    pub peers: Vec<Url>,
    /// The authorities to trust for `https://`, in place of those of the system.
    pub ca: Option<PathBuf>,
    /// Calls whoever answers.
    pub insecure_skip_verify: bool,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Neighbours {
    relays: Vec<Url>,
    peers: Vec<Url>,
    client: Client,
    pages: Semaphore,
}

impl Neighbours {
    pub(crate) fn new(config: &NeighboursConfig) -> Result<Self, TlsError> {
        let tls = ClientTlsConfig {
            ca: config.ca.clone(),
            insecure_skip_verify: config.insecure_skip_verify,
            ..ClientTlsConfig::default()
        };
        let tls = match tls == ClientTlsConfig::default() {
            true => ClientTls::default(),
            false => ClientTls::load(tls)?,
        };
        Ok(Self {
            relays: config.relays.clone(),
            peers: config.peers.clone(),
            client: Client::new(ClientConfig {
                connect_timeout: TIMEOUT,
                request_timeout: TIMEOUT,
                answer_bytes_max: ANSWER_BYTES_MAX,
                tls,
                ..ClientConfig::default()
            }),
            pages: Semaphore::new(PAGES_MAX),
        })
    }

    /// How relays and peers do, each in the order of the configuration. `credentials` are those of the page's
    /// request: peers ask for them as this store does.
    pub(crate) async fn look(
        self: &Arc<Self>,
        credentials: Option<&HeaderValue>,
    ) -> (Vec<Json>, Vec<Json>) {
        // It is never closed.
        let _page = self.pages.acquire().await;
        let mut asking = JoinSet::new();
        for (at, url) in self.relays.iter().cloned().enumerate() {
            let neighbours = Arc::clone(self);
            asking.spawn(async move { (true, at, neighbours.relay(&url).await) });
        }
        for (at, url) in self.peers.iter().cloned().enumerate() {
            let (neighbours, credentials) = (Arc::clone(self), credentials.cloned());
            asking.spawn(async move { (false, at, neighbours.peer(&url, credentials).await) });
        }
        let mut all = asking.join_all().await;
        all.sort_unstable_by_key(|(_, at, _)| *at);
        let (relays, peers): (Vec<_>, Vec<_>) = all.into_iter().partition(|(relay, _, _)| *relay);
        let told = |all: Vec<(bool, usize, Json)>| all.into_iter().map(|(_, _, json)| json);
        (told(relays).collect(), told(peers).collect())
    }

    /// The figures of each relay and of its backends, for those who keep a history of them.
    pub(crate) async fn figures(self: &Arc<Self>) -> Vec<Statistic> {
        let mut asking = JoinSet::new();
        for url in &self.relays {
            let (neighbours, url) = (Arc::clone(self), url.clone());
            asking.spawn(async move {
                let status = neighbours.json(&url, Call::get("/status")).await;
                figures(&url.authority(), status.ok().as_ref())
            });
        }
        asking.join_all().await.into_iter().flatten().collect()
    }

    /// What a peer answers to a statement of this store, status and body as they are; none without such a peer.
    pub(crate) async fn ask_peer(
        &self,
        peer: usize,
        target: String,
        credentials: Option<&HeaderValue>,
    ) -> Option<Result<Answer, String>> {
        let url = self.peers.get(peer)?;
        let mut call = Call::get(target);
        call.timeout = Some(COUNTS_TIMEOUT);
        if let Some(credentials) = credentials {
            call.headers
                .insert(header::AUTHORIZATION, credentials.clone());
        }
        let answer = self.client.send(url, call).await;
        Some(answer.map_err(|error| chain(&error)))
    }

    async fn relay(&self, url: &Url) -> Json {
        let status = self.json(url, Call::get("/status")).await;
        let backends = match status {
            Ok(backends) => backends,
            Err(error) => return json!({ "url": url.to_string(), "error": error }),
        };
        // Most relays have no gaps, and their list is not asked for then.
        let lost = backends.as_array().into_iter().flatten();
        let gaps = match lost.filter_map(|b| b["gap_points"].as_u64()).sum::<u64>() {
            0 => Json::Array(Vec::new()),
            _ => self.json(url, Call::get("/gaps")).await.map_or_else(
                |error| json!([{ "error": error }]),
                |mut gaps| {
                    for backend in gaps.as_array_mut().into_iter().flatten() {
                        if let Some(ranges) = backend["gaps"].as_array_mut() {
                            ranges.truncate(GAPS_MAX);
                        }
                    }
                    gaps
                },
            ),
        };
        json!({ "url": url.to_string(), "backends": backends, "gaps": gaps })
    }

    async fn peer(&self, url: &Url, credentials: Option<HeaderValue>) -> Json {
        let mut call = Call::get("/appliance?alone=true");
        if let Some(credentials) = credentials {
            call.headers.insert(header::AUTHORIZATION, credentials);
        }
        match self.json(url, call).await {
            Ok(told) => json!({ "url": url.to_string(), "store": told["store"] }),
            Err(error) => json!({ "url": url.to_string(), "error": error }),
        }
    }

    async fn json(&self, url: &Url, call: Call) -> Result<Json, String> {
        let answer = self.client.send(url, call).await;
        let answer = answer.map_err(|error| chain(&error))?;
        let body = answer.body.into_bytes();
        if !answer.status.is_success() {
            let text: String = String::from_utf8_lossy(&body)
                .trim()
                .chars()
                .take(TEXT_CHARS_MAX)
                .collect();
            return Err(format!("{}: {text}", answer.status));
        }
        serde_json::from_slice(&body).map_err(|error| format!("no JSON: {error}"))
    }
}

/// What becomes of a relay's status; of none where it did not answer.
fn figures(relay: &str, status: Option<&Json>) -> Vec<Statistic> {
    let relay = || ("relay", relay.to_owned());
    let is_up = u64::from(status.is_some());
    let mut all = vec![Statistic::new("tandem_relay", [relay()], [("up", is_up)])];
    for backend in status.and_then(Json::as_array).into_iter().flatten() {
        let Some(name) = backend["name"].as_str() else {
            continue;
        };
        // What is not told is left out: for how long the queue has room while nothing comes.
        let kept = KEPT
            .iter()
            .filter_map(|(told, field)| Some((*field, backend[*told].as_u64()?)));
        let is_live = u64::from(backend["condition"] == "live");
        all.push(Statistic::new(
            "tandem_relay_backend",
            [relay(), ("backend", name.to_owned())],
            kept.chain([("live", is_live)]),
        ));
    }
    all
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_what_a_relay_tells_in_numbers() {
        let status = json!([
            { "name": "primary", "condition": "live", "written_lines": 7, "tolerable_outage_s": null, "last_answer": "x" },
            { "name": "backup", "condition": "spilling", "queued_bytes": 9, "queued_age_ms": -1 },
            { "condition": "live" },
            3,
        ]);
        let told = figures("r:9096", Some(&status));
        let relay = || ("relay", "r:9096".to_owned());
        let backend = |name: &str, values: [(&'static str, u64); 2]| {
            let tags = [relay(), ("backend", name.to_owned())];
            Statistic::new("tandem_relay_backend", tags, values)
        };
        let expected = vec![
            Statistic::new("tandem_relay", [relay()], [("up", 1)]),
            backend("primary", [("live", 1), ("writtenLines", 7)]),
            backend("backup", [("live", 0), ("queuedBytes", 9)]),
        ];
        assert_eq!(told, expected);
        let away = vec![Statistic::new("tandem_relay", [relay()], [("up", 0)])];
        assert_eq!(figures("r:9096", None), away);
    }
}
