//! Calling: a bounded pool of kept connections per server, requests made of several `Bytes`, bounded
//! answers, and errors that tell whether the server may have acted.

mod link;
mod pool;
mod wire;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use thiserror::Error;
use tokio::{net::TcpStream, time::Instant};

use self::link::Link;
pub use self::link::{Network, Opening, Stream};
use self::pool::{Lent, Pool, Reuse};
use self::wire::Wire;
use crate::tls::Transport;
use crate::{BodyError, ClientTls, Payload, Url};

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
    /// Takes the place of TCP for servers with `http://`, if set.
    pub network: Option<Arc<dyn Network>>,
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
            network: None,
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

/// An answer whose body may still be on its way. Dropped, it closes its connection.
#[derive(Debug)]
pub struct Streamed {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// What the body begins with.
    pub begun: Payload,
    /// A server that sends nothing for so long has broken off.
    stall_max: Duration,
    /// `None` when that is all of it.
    lent: Option<Lent>,
}

impl Streamed {
    /// Whether [`Streamed::begun`] is all of the body.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.lent.is_none()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the connection breaks before the end, or nothing comes for as long as the call may take in all.
    pub async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let Some(lent) = &mut self.lent else {
            return Ok(None);
        };
        let coming = tokio::time::timeout(self.stall_max, lent.wire.piece());
        let piece = coming
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        if piece.is_none()
            && let Some(lent) = self.lent.take()
        {
            lent.give_back();
        }
        Ok(piece)
    }
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
        source: io::Error,
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

    /// As [`Client::send`], but a body longer than `begun_bytes_max` is not waited for: the rest is read piece
    /// by piece. Nothing is sent twice.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn open(
        &self,
        url: &Url,
        call: &Call,
        begun_bytes_max: usize,
    ) -> Result<Streamed, ClientError> {
        let waited = call.timeout.unwrap_or(self.config.request_timeout);
        let authority = url.authority();
        let mut is_under_way = false;
        let asking = async {
            let asked = self.ask(url, &authority, call, Reuse::Allowed, &mut is_under_way);
            let (mut lent, status, headers) = asked.await.map_err(|failed| failed.error)?;
            let mut begun = Payload::default();
            let mut is_whole = false;
            while !is_whole && begun.len() < begun_bytes_max {
                let piece = lent.wire.piece().await;
                match piece.map_err(|error| ClientError::Answer {
                    authority: authority.clone(),
                    status,
                    source: BodyError::Broken(error),
                })? {
                    Some(piece) => begun.push(piece),
                    None => is_whole = true,
                }
            }
            let mut lent = Some(lent);
            if is_whole && let Some(lent) = lent.take() {
                lent.give_back();
            }
            Ok(Streamed {
                status,
                headers,
                begun,
                stall_max: waited,
                lent,
            })
        };
        let asked = tokio::time::timeout(waited, asking).await;
        asked.unwrap_or_else(|_| Err(out_of_time(&authority, waited, is_under_way)))
    }

    async fn attempt(
        &self,
        url: &Url,
        authority: &str,
        call: &Call,
        (deadline, waited): (Instant, Duration),
        reuse: Reuse,
    ) -> Result<Answer, Failed> {
        let mut is_under_way = false;
        let asking = async {
            let (mut lent, status, headers) = self
                .ask(url, authority, call, reuse, &mut is_under_way)
                .await?;
            let body = read_answer(&mut lent.wire, self.config.answer_bytes_max).await;
            let body = body.map_err(|source| ClientError::Answer {
                authority: authority.to_owned(),
                status,
                source,
            })?;
            lent.give_back();
            Ok(Answer {
                status,
                headers,
                body,
            })
        };
        let asked = tokio::time::timeout_at(deadline, asking).await;
        asked.unwrap_or_else(|_| Err(out_of_time(authority, waited, is_under_way).into()))
    }

    /// Gets as far as the head of the answer; says when bytes of the request may have left.
    async fn ask(
        &self,
        url: &Url,
        authority: &str,
        call: &Call,
        reuse: Reuse,
        is_under_way: &mut bool,
    ) -> Result<(Lent, StatusCode, HeaderMap), Failed> {
        let head = head(url, authority, call).map_err(ClientError::Invalid)?;
        let pool = self.pool((url.is_https(), authority.to_owned()));
        let mut lent = pool.take(reuse, || self.connect(url, authority)).await?;
        *is_under_way = true;
        match lent.wire.ask(&head, &call.body, &call.method).await {
            Ok(head) => Ok((lent, head.status, head.headers)),
            Err(source) => Err(Failed {
                error: ClientError::Broken {
                    authority: authority.to_owned(),
                    source,
                },
                on_reused: lent.reused(),
            }),
        }
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

    async fn connect(&self, url: &Url, authority: &str) -> Result<Wire, ClientError> {
        let waited = self.config.connect_timeout;
        let connecting = async {
            let (host, port) = url.socket();
            if let Some(network) = &self.config.network
                && !url.is_https()
            {
                return network.connect(host, port).await.map(Link::Other);
            }
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            if !url.is_https() {
                return Ok(Link::Socket(Transport::Plain(stream)));
            }
            let stream = self.config.tls.connect(stream, host).await?;
            Ok(Link::Socket(Transport::Tls(Box::new(stream.into()))))
        };
        let link = tokio::time::timeout(waited, connecting)
            .await
            .map_err(|_| ClientError::ConnectTimeout {
                authority: authority.to_owned(),
                waited,
            })?
            .map_err(|source| ClientError::Connect {
                authority: authority.to_owned(),
                source,
            })?;
        Ok(Wire::new(link))
    }
}

fn out_of_time(authority: &str, waited: Duration, is_under_way: bool) -> ClientError {
    let authority = authority.to_owned();
    if is_under_way {
        ClientError::Timeout { authority, waited }
    } else {
        ClientError::ConnectTimeout { authority, waited }
    }
}

async fn read_answer(wire: &mut Wire, bytes_max: usize) -> Result<Payload, BodyError> {
    let mut payload = Payload::default();
    while let Some(piece) = wire.piece().await.map_err(BodyError::Broken)? {
        if payload.len() + piece.len() > bytes_max {
            return Err(BodyError::TooLarge { bytes_max });
        }
        payload.push(piece);
    }
    Ok(payload)
}

/// The head of a request, as it goes over the wire.
fn head(url: &Url, authority: &str, call: &Call) -> Result<Vec<u8>, http::Error> {
    let target = url.target(&call.target);
    // Nothing that would end the line early.
    Uri::try_from(target.as_str())?;
    let host = HeaderValue::try_from(authority)?;
    let mut out = Vec::with_capacity(256);
    for part in [call.method.as_str(), " ", &target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let mut field = |name: &HeaderName, value: &[u8]| {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    field(&HOST, host.as_bytes());
    let own = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING];
    let others = call.headers.iter().filter(|(name, _)| !own.contains(name));
    for (name, value) in others {
        field(name, value.as_bytes());
    }
    if !call.headers.contains_key(AUTHORIZATION)
        && let Some(value) = url.credentials().and_then(crate::Credentials::to_header)
    {
        field(&AUTHORIZATION, value.as_bytes());
    }
    let length: usize = call.body.iter().map(Bytes::len).sum();
    if length > 0 || call.method == Method::POST {
        field(&CONTENT_LENGTH, length.to_string().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}
