//! How a relay runs. The struct of the run, not of the file: the binary fills it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tandem_http::{ClientTlsConfig, Limits, Network, Url};

pub use crate::compare::CompareConfig;
pub use crate::route::Route;

/// What becomes of a batch that a backend's queue has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The client gets 503 and keeps it.
    #[default]
    Refuse,
    /// The oldest batches of the queue are dropped and go to the gap list.
    DropOldest,
    /// The batch itself is dropped for this backend and goes to the gap list.
    DropNewest,
}

/// Line protocol in datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpConfig {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The database that lines go to.
    pub database: String,
    /// Their retention policy; empty for the default one.
    pub retention_policy: String,
    /// The unit of their times, as the parameter `precision`; empty for nanoseconds.
    pub precision: String,
}

/// One backend.
#[derive(Clone, Debug)]
pub struct BackendConfig {
    /// Its name: the identity of its queue on disk and its name in logs. Letters, digits, `-`, `_`
    /// and `.`, not starting with a dot; a backend that gets another name gets another queue.
    pub name: String,
    /// Where it is. May change from run to run, the queue stays. A name and a password in it take
    /// the place of what clients send, and then no credentials are kept in hints.
    pub url: Url,
    /// Which lines it gets, and under which database.
    pub route: Route,
    /// What a full queue does.
    pub overflow: Overflow,
    /// Takes the place of [`Config::write_timeout`].
    pub write_timeout: Option<Duration>,
    /// For `https://`: whom it trusts, and how the relay shows who it is.
    pub tls: ClientTlsConfig,
}

impl BackendConfig {
    /// A backend that gets everything, and whose queue refuses when it is full.
    #[must_use]
    pub fn new(name: impl Into<String>, url: Url) -> Self {
        Self {
            name: name.into(),
            url,
            route: Route::default(),
            overflow: Overflow::default(),
            write_timeout: None,
            tls: ClientTlsConfig::default(),
        }
    }
}

/// How a relay runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who gets every batch; at least one, names distinct. The first is the primary: where answers
    /// of the same kind differ in text, the client sees that of the first.
    pub backends: Vec<BackendConfig>,
    /// Holds one directory for each backend, named as it.
    pub data_dir: PathBuf,
    /// Bounds of the listener.
    pub limits: Limits,
    /// Bytes of a body as it comes; more is answered with 413.
    pub body_bytes_max: usize,
    /// Bytes of a gzip body when inflated; more is answered with 413.
    pub inflated_bytes_max: usize,
    /// Bytes of all bodies held in memory, for their clients or for a slow backend. A request that
    /// finds no room for [`Limits::request_wait`] is answered with 503.
    pub memory_bytes_max: usize,
    /// How long a client may pause in the middle of a body.
    pub body_stall_max: Duration,
    /// How long a backend may take before the batch goes to its log as well, so that the client
    /// need not wait for it.
    pub hedge_delay: Duration,
    /// How long a write to a backend may take in all, and for how long one that broke off may
    /// still be applied there. Not less than the backend's own write timeout (InfluxDB: 10 s).
    pub write_timeout: Duration,
    /// How long opening a connection to a backend may take.
    pub connect_timeout: Duration,
    /// Connections to one backend.
    pub connections_max: usize,
    /// Bytes on disk of one backend's log; a batch that would go beyond is answered with 503.
    pub queue_bytes_max: u64,
    /// Bytes on disk of the batches that one backend refused for good after their clients had
    /// their 204. When it is reached, such a batch stays at the head of the queue.
    pub dead_bytes_max: u64,
    /// Hints that are delivered to one backend at once; those of one series never are.
    pub drain_flights_max: usize,
    /// Bytes of hints that go to a backend as one request; 0: each goes alone.
    pub drain_request_bytes_max: u64,
    /// Where datagrams are taken.
    pub udp: Vec<UdpConfig>,
    /// Where HTTP is served beside the listener, if anywhere.
    pub unix_socket: Option<PathBuf>,
    /// The retention policy of writes that name none; empty for the backend's default one.
    pub default_retention_policy: String,
    /// The first pause of the drainer after a failure; doubles with each, and is scattered by half.
    pub retry_delay_min: Duration,
    /// The longest pause of the drainer.
    pub retry_delay_max: Duration,
    /// How often each backend gets a line in the log.
    pub report_interval: Duration,
    /// Bytes of bodies a second from one client's address; more is answered with 429. No bound if not set.
    pub client_bytes_per_s: Option<u64>,
    /// Bytes of bodies a second for one database; more is answered with 429. No bound if not set.
    pub database_bytes_per_s: Option<u64>,
    /// How long a small write waits for others that go with it; zero: none does.
    pub join_delay: Duration,
    /// Bytes of small writes that go together at most.
    pub join_bytes_max: u64,
    /// How the backends are compared, if they are.
    pub compare: CompareConfig,
    /// Whether the parameter `consistency` of a write counts. InfluxDB 1.x, of which there is one, reads it and
    /// does nothing with it, and clients such as its shell send `all` without being asked; so that is the default.
    /// The header `tandem-consistency` always counts.
    pub consistency_of_clients: bool,
    /// Takes the place of TCP on the way to backends with `http://`, if set.
    pub network: Option<Arc<dyn Network>>,
    /// Makes the scattering of pauses repeatable, if set.
    pub scatter_seed: Option<u64>,
}

impl Config {
    /// InfluxDB's `max-body-size`.
    pub const BODY_BYTES_MAX: usize = 25_000_000;
    /// Default of [`Config::inflated_bytes_max`].
    pub const INFLATED_BYTES_MAX: usize = 64 << 20;
    /// Default of [`Config::memory_bytes_max`].
    pub const MEMORY_BYTES_MAX: usize = 256 << 20;
    /// Default of [`Config::body_stall_max`].
    pub const BODY_STALL_MAX: Duration = Duration::from_secs(10);
    /// Default of [`Config::hedge_delay`].
    pub const HEDGE_DELAY: Duration = Duration::from_millis(250);
    /// Default of [`Config::write_timeout`].
    pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
    /// Default of [`Config::connect_timeout`].
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
    /// Default of [`Config::connections_max`].
    pub const CONNECTIONS_MAX: usize = 16;
    /// Default of [`Config::queue_bytes_max`].
    pub const QUEUE_BYTES_MAX: u64 = 8 << 30;
    /// Default of [`Config::dead_bytes_max`].
    pub const DEAD_BYTES_MAX: u64 = 1 << 30;
    /// Default of [`Config::drain_flights_max`].
    pub const DRAIN_FLIGHTS_MAX: usize = 4;
    /// Default of [`Config::drain_request_bytes_max`].
    pub const DRAIN_REQUEST_BYTES_MAX: u64 = 1 << 20;
    /// Default of [`Config::retry_delay_min`].
    pub const RETRY_DELAY_MIN: Duration = Duration::from_millis(100);
    /// Default of [`Config::retry_delay_max`].
    pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);
    /// Default of [`Config::report_interval`].
    pub const REPORT_INTERVAL: Duration = Duration::from_secs(60);

    /// Default of [`Config::join_bytes_max`].
    pub const JOIN_BYTES_MAX: u64 = 256 << 10;

    /// Every bound at its default.
    #[must_use]
    pub fn new(backends: Vec<BackendConfig>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            backends,
            data_dir: data_dir.into(),
            limits: Limits::default(),
            body_bytes_max: Self::BODY_BYTES_MAX,
            inflated_bytes_max: Self::INFLATED_BYTES_MAX,
            memory_bytes_max: Self::MEMORY_BYTES_MAX,
            body_stall_max: Self::BODY_STALL_MAX,
            hedge_delay: Self::HEDGE_DELAY,
            write_timeout: Self::WRITE_TIMEOUT,
            connect_timeout: Self::CONNECT_TIMEOUT,
            connections_max: Self::CONNECTIONS_MAX,
            queue_bytes_max: Self::QUEUE_BYTES_MAX,
            dead_bytes_max: Self::DEAD_BYTES_MAX,
            drain_flights_max: Self::DRAIN_FLIGHTS_MAX,
            drain_request_bytes_max: Self::DRAIN_REQUEST_BYTES_MAX,
            udp: Vec::new(),
            unix_socket: None,
            default_retention_policy: String::new(),
            retry_delay_min: Self::RETRY_DELAY_MIN,
            retry_delay_max: Self::RETRY_DELAY_MAX,
            report_interval: Self::REPORT_INTERVAL,
            client_bytes_per_s: None,
            database_bytes_per_s: None,
            join_delay: Duration::ZERO,
            join_bytes_max: Self::JOIN_BYTES_MAX,
            compare: CompareConfig::default(),
            consistency_of_clients: false,
            network: None,
            scatter_seed: None,
        }
    }
}
