//! Where points go: a stopped store, or a server that speaks InfluxDB's HTTP API.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tandem_http::{Call, Client, ClientConfig, StatusCode, Url, percent_encode};
use tandem_influxql::ast::Statement;
use tandem_model::Precision;
use tandem_query::{Executor, Gone, Message, Series, Sink};
use tandem_store::{Options, Store, WriteError, WriteRequest};
use tandem_vfs::RealFs;
use tokio::runtime::Runtime;

use crate::commands::now_ns;

/// How long a target that is overloaded or away is tried again.
const RETRY_MAX: Duration = Duration::from_secs(120);
/// How long the first pause is; each next one is twice as long, up to [`RETRY_DELAY_MAX`].
const RETRY_DELAY: Duration = Duration::from_millis(100);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);
/// How long a server may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Where points belong.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) database: Option<String>,
    pub(super) retention_policy: Option<String>,
    pub(super) precision: Precision,
}

/// What came of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All is stored.
    Stored,
    /// Some points, or all, were refused for good, with the target's words.
    Refused(String),
}

/// See the module's head.
pub(super) enum Target {
    Store(Arc<Store>),
    Server {
        runtime: Runtime,
        client: Client,
        url: Url,
    },
}

/// One attempt.
enum Attempt {
    Done(Outcome),
    /// Worth another one.
    Again(anyhow::Error),
}

impl Target {
    pub(super) fn store(dir: &Path) -> anyhow::Result<Self> {
        let options = Options {
            unsigned: true,
            ..Options::default()
        };
        let store = Store::open(Arc::new(RealFs), dir, options)
            .with_context(|| format!("open the store in {}", dir.display()))?;
        Ok(Self::Store(Arc::new(store)))
    }

    pub(super) fn server(url: &str) -> anyhow::Result<Self> {
        let url = match url.contains("://") {
            true => Url::parse(url),
            false => Url::parse(&format!("http://{url}")),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the runtime")?;
        let config = ClientConfig {
            request_timeout: ANSWER_TIMEOUT,
            ..ClientConfig::default()
        };
        Ok(Self::Server {
            runtime,
            client: Client::new(config),
            url: url.context("--url")?,
        })
    }

    /// Runs a statement that makes or changes a database or retention policy. The inner error is the
    /// target's refusal.
    pub(super) fn statement(
        &self,
        text: &str,
        statement: &Statement,
    ) -> anyhow::Result<Result<(), String>> {
        match self {
            Self::Store(store) => {
                let executor = Executor::new(Arc::clone(store));
                let context = tandem_query::Context {
                    now_ns: now_ns(),
                    ..tandem_query::Context::default()
                };
                let done = executor.execute(statement, &context, &mut Nowhere);
                Ok(done.map_err(|error| error.to_string()))
            }
            Self::Server {
                runtime,
                client,
                url,
            } => {
                let call = Call::post(
                    format!("/query?q={}", percent_encode(text)),
                    Vec::new(),
                    false,
                );
                let answer = runtime
                    .block_on(client.send(url, call))
                    .with_context(|| format!("run a statement at {}", url.authority()))?;
                let status = answer.status;
                let body = answer.body.into_bytes();
                Ok(match error_of(&body) {
                    Some(error) => Err(error),
                    None if status.is_success() => Ok(()),
                    None => Err(format!("the server answered {status}")),
                })
            }
        }
    }

    /// Writes lines. While the target is overloaded or away it is tried again for a while.
    ///
    /// An error means that nothing of this can be stored here, now.
    pub(super) fn write(&self, place: &Place, body: &[u8]) -> anyhow::Result<Outcome> {
        let Some(database) = &place.database else {
            bail!("the file names no database (# CONTEXT-DATABASE:); name one with --database");
        };
        let deadline = Instant::now() + RETRY_MAX;
        let mut delay = RETRY_DELAY;
        loop {
            let attempt = match self {
                Self::Store(store) => write_store(store, database, place, body)?,
                Self::Server {
                    runtime,
                    client,
                    url,
                } => write_server(runtime, client, url, database, place, body)?,
            };
            match attempt {
                Attempt::Done(outcome) => return Ok(outcome),
                Attempt::Again(error) if Instant::now() + delay > deadline => return Err(error),
                Attempt::Again(_) => std::thread::sleep(delay),
            }
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    /// Brings everything to rest.
    pub(super) fn finish(&self) -> anyhow::Result<()> {
        match self {
            Self::Store(store) => store.close().context("close the store; nothing is lost"),
            Self::Server { .. } => Ok(()),
        }
    }
}

fn write_store(
    store: &Store,
    database: &str,
    place: &Place,
    body: &[u8],
) -> anyhow::Result<Attempt> {
    let request = WriteRequest {
        database,
        retention_policy: place.retention_policy.as_deref(),
        precision: place.precision,
        now_ns: now_ns(),
    };
    match store.write(&request, body) {
        Ok(_) => Ok(Attempt::Done(Outcome::Stored)),
        Err(error @ (WriteError::Unparsable(_) | WriteError::Partial { .. })) => {
            Ok(Attempt::Done(Outcome::Refused(error.to_string())))
        }
        Err(error @ WriteError::Overloaded(_)) => Ok(Attempt::Again(error.into())),
        Err(error) => Err(error.into()),
    }
}

fn write_server(
    runtime: &Runtime,
    client: &Client,
    url: &Url,
    database: &str,
    place: &Place,
    body: &[u8],
) -> anyhow::Result<Attempt> {
    let mut target = format!(
        "/write?db={}&precision={}",
        percent_encode(database),
        precision_param(place.precision)
    );
    if let Some(policy) = &place.retention_policy {
        target.push_str(&format!("&rp={}", percent_encode(policy)));
    }
    let body = vec![bytes::Bytes::copy_from_slice(body)];
    let answer = runtime.block_on(client.send(url, Call::post(target, body, true)));
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let error = anyhow::Error::new(error).context("write to the server");
            return Ok(Attempt::Again(error));
        }
    };
    let status = answer.status;
    if status.is_success() {
        return Ok(Attempt::Done(Outcome::Stored));
    }
    let body = answer.body.into_bytes();
    let what = error_of(&body).unwrap_or_else(|| format!("the server answered {status}"));
    match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => {
            Ok(Attempt::Done(Outcome::Refused(what)))
        }
        StatusCode::TOO_MANY_REQUESTS => Ok(Attempt::Again(anyhow::anyhow!(what))),
        _ if status.is_server_error() => Ok(Attempt::Again(anyhow::anyhow!(what))),
        StatusCode::NOT_FOUND => {
            bail!("{what}; make the database first, or leave the file's # DDL in it")
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            bail!("{what}; give user and password in --url, http://USER:PASSWORD@HOST:PORT")
        }
        _ => bail!("{what} ({status})"),
    }
}

const fn precision_param(precision: Precision) -> &'static str {
    match precision {
        Precision::Nanosecond => "n",
        Precision::Microsecond => "u",
        Precision::Millisecond => "ms",
        Precision::Second => "s",
        Precision::Minute => "m",
        Precision::Hour => "h",
    }
}

/// The error that an answer carries, of the request or of its first statement.
fn error_of(body: &[u8]) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = answer["error"]
        .as_str()
        .or(answer["results"][0]["error"].as_str());
    text.map(str::to_owned)
}

/// Statements that change something answer with nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn series(&mut self, _: Series) -> Result<(), Gone> {
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}
