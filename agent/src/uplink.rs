//! The relays, as the agent calls them: `/write` and `CREATE DATABASE`, on the first that
//! answers.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tandem_http::{
    Answer, Call, Client, ClientConfig, ClientError, HeaderValue, StatusCode, Url, header,
    percent_encode,
};

use tracing::debug;

use crate::config::Config;
use crate::verdict::Verdict;

/// Bytes of an answer that are read; errors are short.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Connections to one relay: the sender has one request in flight.
const CONNECTIONS_MAX: usize = 1;

/// Calls to the relays.
#[derive(Debug)]
pub(crate) struct Uplink {
    client: Client,
    relays: Vec<Url>,
    /// The one that answered last.
    current: usize,
    database: String,
    write_target: String,
    is_gzip: bool,
    /// `Authorization`, where the URL has no name and password of its own.
    authorization: Option<HeaderValue>,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// Which relay said what, when it was not simply written.
    pub(crate) reason: String,
    /// How long the relay asked to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Uplink {
    pub(crate) fn new(config: &Config) -> Self {
        let client = Client::new(ClientConfig {
            connections_max: CONNECTIONS_MAX,
            connect_timeout: config.output.request_timeout,
            request_timeout: config.output.request_timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
            tls: config.output.tls.clone(),
            ..ClientConfig::default()
        });
        let mut write_target = format!("/write?db={}", percent_encode(&config.database));
        if let Some(policy) = &config.retention_policy {
            write_target += &format!("&rp={}", percent_encode(policy));
        }
        Self {
            client,
            relays: config.relays.clone(),
            current: 0,
            write_target,
            database: config.database.clone(),
            is_gzip: config.is_gzip(),
            authorization: config.output.authorization(),
        }
    }

    /// Sends lines to the relays in turn until one of them has an answer that settles them; a
    /// missing database is made once.
    pub(crate) async fn write(&mut self, body: &[Bytes], timeout: Duration) -> Outcome {
        let mut outcome = self.write_once(body, timeout).await;
        if outcome.verdict == Verdict::NoDatabase && self.create_database(timeout).await.is_ok() {
            outcome = self.write_once(body, timeout).await;
        }
        outcome
    }

    async fn write_once(&mut self, body: &[Bytes], timeout: Duration) -> Outcome {
        let mut call = Call::post(&self.write_target, body.to_vec(), true);
        if self.is_gzip
            && let Some(packed) = gzip(body)
        {
            call.body = vec![packed];
            let gzip = HeaderValue::from_static("gzip");
            call.headers.insert(header::CONTENT_ENCODING, gzip);
        }
        call.timeout = Some(timeout);
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        call.headers.insert(header::CONTENT_TYPE, plain);
        let mut last = Outcome {
            verdict: Verdict::Later,
            reason: "no relay is configured".to_owned(),
            retry_after: None,
        };
        for _ in 0..self.relays.len() {
            let (url, answer) = self.call(call.clone()).await;
            last = outcome(&url, answer);
            if last.verdict != Verdict::Later {
                return last;
            }
            self.current += 1;
        }
        last
    }

    /// Makes the database.
    ///
    /// # Errors
    /// Why not, for the log: the relay may well pass writes on all the same.
    pub(crate) async fn create_database(&mut self, timeout: Duration) -> Result<(), String> {
        let name = self.database.replace('\\', "\\\\").replace('"', "\\\"");
        let statement = format!("CREATE DATABASE \"{name}\"");
        let form = format!("q={}", percent_encode(&statement));
        let mut call = Call::post("/query", vec![Bytes::from(form)], true);
        call.timeout = Some(timeout);
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        call.headers.insert(header::CONTENT_TYPE, kind);
        let (url, answer) = self.call(call).await;
        let answer = answer.map_err(|error| describe(&url, &error))?;
        let (status, body) = (answer.status, answer.body.into_bytes());
        if status == StatusCode::NOT_FOUND {
            // A relay that only takes writes, as influxdb-relay does. The stores behind it say so
            // themselves when they lack the database.
            debug!("{url} takes no statements; the database must exist behind it");
            return Ok(());
        }
        if status.is_success() && memchr::memmem::find(&body, b"\"error\"").is_none() {
            return Ok(());
        }
        Err(format!(
            "{url} answered {status}: {}",
            crate::text::excerpt(&body)
        ))
    }

    async fn call(&self, mut call: Call) -> (String, Result<Answer, ClientError>) {
        let agent = concat!("tandem-agent/", env!("CARGO_PKG_VERSION"));
        call.headers
            .insert(header::USER_AGENT, HeaderValue::from_static(agent));
        if let Some(value) = &self.authorization {
            call.headers.insert(header::AUTHORIZATION, value.clone());
        }
        // An index past the end cannot be: there is at least one relay where this is called.
        match self.relays.get(self.current % self.relays.len().max(1)) {
            Some(url) => (url.to_string(), self.client.send(url, call).await),
            None => std::future::pending().await,
        }
    }
}

/// The quickest level: of text that repeats itself as lines do, higher ones save a tenth more for
/// several times the work.
fn gzip(body: &[Bytes]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in body {
        encoder.write_all(piece).ok()?;
    }
    encoder.finish().ok().map(Bytes::from)
}

fn describe(url: &str, error: &ClientError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{url}: {error}{}", source.unwrap_or_default())
}

fn outcome(url: &str, answer: Result<Answer, ClientError>) -> Outcome {
    match answer {
        Err(error) => Outcome {
            verdict: Verdict::Later,
            reason: describe(url, &error),
            retry_after: None,
        },
        Ok(answer) => {
            let asked_for = answer.headers.get(header::RETRY_AFTER);
            let retry_after = asked_for.and_then(|value| value.to_str().ok()?.parse().ok());
            let (status, body) = (answer.status, answer.body.into_bytes());
            Outcome {
                retry_after: retry_after.map(Duration::from_secs),
                verdict: Verdict::of(status, &body),
                reason: format!("{url} answered {status}: {}", crate::text::excerpt(&body)),
            }
        }
    }
}
