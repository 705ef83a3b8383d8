//! Calling: a bounded pool of kept connections per server, requests made of several `Bytes`, bounded
//! answers, and errors that tell whether the server may have acted.

mod pool;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Version,
    header::{AUTHORIZATION, CONTENT_LENGTH, HOST},
};
use thiserror::Error;
use tokio::{net::TcpStream, time::Instant};

use self::pool::{Connection, Pool, Reuse};
use crate::tls::Transport;
use crate::{Body, BodyError, ClientTls, Payload, Url, read_body};

/// Bounds of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Connections to one server, busy and idle; further calls wait for one.
    pub connections_max: usize,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// How long a call may take in all, with waiting for a connection and reading the answer.
    pub request_timeout: Duration,
    /// How long an unused connection is kept; below the header-read timeout of the server, so that
    /// this end closes first.
    pub idle_timeout: Duration,
    /// Bytes of an answer's body; more is an error.
    pub answer_bytes_max: usize,
    /// For servers with `https://`.
    pub tls: ClientTls,
}

impl ClientConfig {
    /// Default of [`ClientConfig::connections_max`].
    pub const CONNECTIONS_MAX: usize = 16;
    /// Default of [`ClientConfig::connect_timeout`].
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
    /// Default of [`ClientConfig::request_timeout`].
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
    /// Default of [`ClientConfig::idle_timeout`].
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
    /// Default of [`ClientConfig::answer_bytes_max`].
    pub const ANSWER_BYTES_MAX: usize = 1 << 20;
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connections_max: Self::CONNECTIONS_MAX,
            connect_timeout: Self::CONNECT_TIMEOUT,
            request_timeout: Self::REQUEST_TIMEOUT,
            idle_timeout: Self::IDLE_TIMEOUT,
            answer_bytes_max: Self::ANSWER_BYTES_MAX,
            tls: ClientTls::default(),
        }
    }
}

/// One request. The URL's credentials become an `Authorization` header unless `headers` has one.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query, such as `/write?db=telegraf`; the URL's prefix goes before it.
    pub target: String,
    /// Headers beside `Host`, `Content-Length` and `Authorization`.
    pub headers: HeaderMap,
    /// The body's pieces; sent as they are, with their exact length announced.
    pub body: Vec<Bytes>,
    /// Whether it may be sent a second time when a kept connection turns out to be closed before
    /// the answer began. Right for what changes nothing when it is applied twice, as writing points.
    pub replayable: bool,
    /// Takes the place of [`ClientConfig::request_timeout`] when set.
    pub timeout: Option<Duration>,
}

impl Call {
    /// A replayable `GET` without a body.
    #[must_use]
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            target: target.into(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            replayable: true,
            timeout: None,
        }
    }

    /// A `POST` of `body`, which is sent twice only if `replayable`.
    #[must_use]
    pub fn post(target: impl Into<String>, body: Vec<Bytes>, replayable: bool) -> Self {
        Self {
            method: Method::POST,
            body,
            replayable,
            ..Self::get(target)
        }
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Payload,
}

/// Why a call has no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The target or a header cannot be sent; nothing was.
    #[error("invalid request")]
    Invalid(#[source] http::Error),
    /// No connection could be opened, or no TLS agreed on.
    #[error("connect to {authority}")]
    Connect {
        /// `host:port`.
        authority: String,
        /// What the operating system, or TLS, said.
        source: io::Error,
    },
    /// The time was over before the request was handed to a connection.
    #[error("no connection to {authority} within {} ms", waited.as_millis())]
    ConnectTimeout {
        /// `host:port`.
        authority: String,
        /// How long it was waited.
        waited: Duration,
    },
    /// The time was over after the request was, at least in part, under way.
    #[error("no answer from {authority} within {} ms", waited.as_millis())]
    Timeout {
        /// `host:port`.
        authority: String,
        /// How long it was waited.
        waited: Duration,
    },
    /// The connection broke before the answer began.
    #[error("call {authority}")]
    Broken {
        /// `host:port`.
        authority: String,
        /// What went wrong.
        source: hyper::Error,
    },
    /// The answer began and its body could not be read, or is too large.
    #[error("read the answer of {authority} (status {status})")]
    Answer {
        /// `host:port`.
        authority: String,
        /// The status that had arrived.
        status: StatusCode,
        /// What went wrong.
        source: BodyError,
    },
}

impl ClientError {
    /// Whether the server may have seen the request, and so may act on it, even later.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. } | Self::Broken { .. } | Self::Answer { .. }
        )
    }
}

/// How an attempt failed.
struct Failed {
    error: ClientError,
    /// A kept connection was closed before the answer began: most likely it had been idle too long.
    on_reused: bool,
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self {
            error,
            on_reused: false,
        }
    }
}

type Pools = HashMap<(bool, String), Arc<Pool>>;

/// Calls servers; cheap to clone, clones share the connections.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    /// By whether it is TLS, and `host:port`.
    pools: Arc<Mutex<Pools>>,
}

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Self {
            config: Arc::new(config),
            pools: Arc::default(),
        }
    }

    /// Sends `call` to `url` and reads the answer, whatever its status.
    ///
    /// # Errors
    /// See [`ClientError`]; [`ClientError::may_have_arrived`] tells whether the server may act on
    /// the call all the same. Dropping the future counts as such an error.
    pub async fn send(&self, url: &Url, call: Call) -> Result<Answer, ClientError> {
        let waited = call.timeout.unwrap_or(self.config.request_timeout);
        let deadline = Instant::now() + waited;
        let authority = url.authority();
        match self
            .attempt(url, &authority, &call, (deadline, waited), Reuse::Allowed)
            .await
        {
            Err(Failed {
                error,
                on_reused: true,
            }) if call.replayable => {
                let again = self
                    .attempt(url, &authority, &call, (deadline, waited), Reuse::Forbidden)
                    .await;
                again.map_err(|failed| match failed.error.may_have_arrived() {
                    true => failed.error,
                    // The first attempt may have, and that is what counts.
                    false => error,
                })
            }
            result => result.map_err(|failed| failed.error),
        }
    }

    async fn attempt(
        &self,
        url: &Url,
        authority: &str,
        call: &Call,
        (deadline, waited): (Instant, Duration),
        reuse: Reuse,
    ) -> Result<Answer, Failed> {
        let name = || authority.to_owned();
        let request = request(url, authority, call).map_err(ClientError::Invalid)?;
        let pool = self.pool((url.is_https(), name()));
        let opened = pool.take(reuse, || self.connect(url, authority));
        let mut connection = tokio::time::timeout_at(deadline, opened)
            .await
            .map_err(|_| ClientError::ConnectTimeout {
                authority: name(),
                waited,
            })??;
        let too_late = |_| ClientError::Timeout {
            authority: name(),
            waited,
        };
        let sent = tokio::time::timeout_at(deadline, connection.send(request))
            .await
            .map_err(too_late)?;
        let response = sent.map_err(|source| Failed {
            error: ClientError::Broken {
                authority: name(),
                source,
            },
            on_reused: connection.reused(),
        })?;
        let (head, body) = response.into_parts();
        let reading = read_body(body, self.config.answer_bytes_max, waited);
        let body = tokio::time::timeout_at(deadline, reading)
            .await
            .map_err(too_late)?
            .map_err(|source| ClientError::Answer {
                authority: name(),
                status: head.status,
                source,
            })?;
        connection.give_back();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    fn pool(&self, server: (bool, String)) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&server) {
            return pool.clone();
        }
        let pool = Arc::new(Pool::new(
            self.config.connections_max,
            self.config.idle_timeout,
        ));
        pools.insert(server, pool.clone());
        pool
    }

    async fn connect(&self, url: &Url, authority: &str) -> Result<Connection, ClientError> {
        let waited = self.config.connect_timeout;
        let connecting = async {
            let stream = TcpStream::connect(url.socket()).await?;
            stream.set_nodelay(true)?;
            if !url.is_https() {
                return Ok(Transport::Plain(stream));
            }
            let stream = self.config.tls.connect(stream, url.socket().0).await?;
            Ok(Transport::Tls(Box::new(stream.into())))
        };
        let stream = tokio::time::timeout(waited, connecting)
            .await
            .map_err(|_| ClientError::ConnectTimeout {
                authority: authority.to_owned(),
                waited,
            })?
            .map_err(|source| ClientError::Connect {
                authority: authority.to_owned(),
                source,
            })?;
        Connection::open(stream)
            .await
            .map_err(|source| ClientError::Broken {
                authority: authority.to_owned(),
                source,
            })
    }
}

fn request(url: &Url, authority: &str, call: &Call) -> Result<Request<Body>, http::Error> {
    let mut request = Request::builder()
        .method(&call.method)
        .uri(url.target(&call.target))
        .version(Version::HTTP_11)
        .body(Body::frames(call.body.iter().cloned()))?;
    let length: usize = call.body.iter().map(Bytes::len).sum();
    let headers = request.headers_mut();
    *headers = call.headers.clone();
    headers.insert(HOST, HeaderValue::try_from(authority)?);
    if length > 0 || call.method == Method::POST {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if !headers.contains_key(AUTHORIZATION)
        && let Some(value) = url.credentials().and_then(crate::Credentials::to_header)
    {
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}
