//! What a run of the agent is told. How files, environment and flags become this is the
//! program's business; here are the values, their units and their defaults.

use std::path::PathBuf;
use std::time::Duration;

use tandem_http::{ClientTls, Credentials, HeaderValue, Secret, Url};

use crate::collect::Collectors;
use crate::governor::Budget;
use crate::roots::Roots;
use crate::shape::Shape;

/// Everything that one run is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to send: the first that answers is kept until it fails.
    pub relays: Vec<Url>,
    /// The database, made at the start if the relay allows it.
    pub database: String,
    /// The retention policy; without it, the database's own.
    pub retention_policy: Option<String>,
    /// Time between two gathers, aligned to the epoch; never below [`Config::INTERVAL_MIN`].
    pub interval: Duration,
    /// How far behind a multiple of `interval` gathers take place; below it.
    pub offset: Duration,
    /// At most so much later, by chance, at each gather; below `interval`.
    pub jitter: Duration,
    /// Collectors that are sampled more often than their lines are sent; the lines then have the
    /// least, the greatest and the 95th percentile of each float.
    pub sampling: Option<Sampling>,
    /// Series that one collector may make; new ones beyond it are left out and counted.
    pub series_max: usize,
    /// What the agent may take of the host.
    pub budget: Budget,
    /// What timestamps are rounded to; without it, Telegraf's rule: a second, or less where
    /// `interval` is below one.
    pub precision: Option<Duration>,
    /// The tag `host`.
    pub hostname: Hostname,
    /// Tags that every line bears, unless it has one of the same key itself.
    pub global_tags: Vec<(String, String)>,
    /// Which collectors run, and how.
    pub collectors: Collectors,
    /// What is asked of the lines of all collectors, behind what each one's own shape asks.
    pub shape: Shape,
    /// Where the host's files are seen.
    pub roots: Roots,
    /// Directory for the spool; nobody else may use it at the same time.
    pub data_dir: PathBuf,
    /// Bounds of sending.
    pub output: Output,
}

/// Where the tag `host` comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hostname {
    /// `$HOST_ETC/hostname` where `HOST_ETC` is set, else the kernel's name of this host. In a
    /// container the latter is usually the container's id.
    #[default]
    Host,
    /// This text.
    Is(String),
    /// No tag `host`.
    Omit,
}

/// Sampling between lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Time between two samples; a part of the interval.
    pub every: Duration,
    /// The collectors.
    pub collectors: Vec<String>,
}

impl Sampling {
    /// Default of [`Sampling::collectors`]: whose peaks matter, and who are cheap to ask.
    pub const COLLECTORS: [&'static str; 4] = ["cpu", "mem", "diskio", "docker"];
}

/// Bounds of sending.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether bodies are compressed; without a word on it, they are unless every relay is on this
    /// host.
    pub gzip: Option<bool>,
    /// Who the agent is, for relays whose URL has no name and password.
    pub credentials: Option<Credentials>,
    /// A token sent as it is, `Authorization: Token …`; goes over `credentials`.
    pub token: Option<Secret>,
    /// For relays with `https://`.
    pub tls: ClientTls,
    /// Whether the database is made at the start.
    pub create_database: bool,
    /// How long lines are gathered for one request; 0 sends each gather at once.
    pub flush_interval: Duration,
    /// At most so much longer, by chance.
    pub flush_jitter: Duration,
    /// Age of spooled lines at which they are dropped and counted.
    pub spool_age_max: Duration,
    /// Space that must be left on the spool's disk.
    pub spool_free_bytes_min: u64,
    /// How long a request may take in all.
    pub request_timeout: Duration,
    /// Bytes that wait in memory; beyond them the oldest lines are dropped and counted. Only
    /// what cannot be spooled waits here for more than the time of one request.
    pub memory_bytes_max: usize,
    /// Bytes of one request made of spooled batches; a single larger batch goes out alone.
    pub request_bytes_max: usize,
    /// Bytes of the spool on disk; beyond them the oldest lines are dropped and counted.
    pub spool_bytes_max: u64,
    /// How fast the spool is drained, so that a relay that is just back is not flooded.
    pub drain_bytes_per_second: u64,
    /// First pause after a failure; it doubles with each further one.
    pub retry_delay: Duration,
    /// Longest pause.
    pub retry_delay_max: Duration,
    /// How long the last request at the stop may take; what is not sent by then is spooled.
    pub stop_timeout: Duration,
}

impl Config {
    /// Default of [`Config::interval`].
    pub const INTERVAL: Duration = Duration::from_secs(10);
    /// Shortest [`Config::interval`].
    pub const INTERVAL_MIN: Duration = Duration::from_millis(100);
    /// Default of [`Config::database`].
    pub const DATABASE: &'static str = "telegraf";

    /// Default of [`Config::series_max`].
    pub const SERIES_MAX: usize = 20_000;

    /// The defaults, with `HOST_*` taken from the environment.
    #[must_use]
    pub fn new(relays: Vec<Url>, data_dir: PathBuf) -> Self {
        Self {
            relays,
            database: Self::DATABASE.to_owned(),
            retention_policy: None,
            interval: Self::INTERVAL,
            offset: Duration::ZERO,
            jitter: Duration::ZERO,
            sampling: None,
            series_max: Self::SERIES_MAX,
            budget: Budget::default(),
            precision: None,
            hostname: Hostname::default(),
            global_tags: Vec::new(),
            collectors: Collectors::default(),
            shape: Shape::default(),
            roots: Roots::from_env(),
            data_dir,
            output: Output::default(),
        }
    }

    /// Whether bodies are compressed.
    #[must_use]
    pub fn is_gzip(&self) -> bool {
        let is_here = |url: &Url| {
            let host = url.socket().0;
            host == "localhost" || host == "::1" || host.starts_with("127.")
        };
        let is_far = !self.relays.iter().all(is_here);
        self.output.gzip.unwrap_or(is_far)
    }
}

impl Output {
    /// The header that says who the agent is.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        if let Some(token) = &self.token {
            let mut value = HeaderValue::try_from(format!("Token {}", token.expose())).ok()?;
            value.set_sensitive(true);
            return Some(value);
        }
        self.credentials.as_ref().and_then(Credentials::to_header)
    }

    /// Default of [`Output::spool_age_max`].
    pub const SPOOL_AGE_MAX: Duration = Duration::from_secs(7 * 86_400);
    /// Default of [`Output::spool_free_bytes_min`].
    pub const SPOOL_FREE_BYTES_MIN: u64 = 64 << 20;
    /// Default of [`Output::request_timeout`].
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
    /// Default of [`Output::memory_bytes_max`].
    pub const MEMORY_BYTES_MAX: usize = 2 << 20;
    /// Default of [`Output::request_bytes_max`].
    pub const REQUEST_BYTES_MAX: usize = 256 << 10;
    /// Default of [`Output::spool_bytes_max`]: a day of a host with a hundred containers.
    pub const SPOOL_BYTES_MAX: u64 = 300 << 20;
    /// Default of [`Output::drain_bytes_per_second`].
    pub const DRAIN_BYTES_PER_SECOND: u64 = 1 << 20;
    /// Default of [`Output::retry_delay`].
    pub const RETRY_DELAY: Duration = Duration::from_secs(1);
    /// Default of [`Output::retry_delay_max`].
    pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);
    /// Default of [`Output::stop_timeout`].
    pub const STOP_TIMEOUT: Duration = Duration::from_secs(3);
}

impl Default for Output {
    fn default() -> Self {
        Self {
            gzip: None,
            credentials: None,
            token: None,
            tls: ClientTls::default(),
            create_database: true,
            flush_interval: Duration::ZERO,
            flush_jitter: Duration::ZERO,
            spool_age_max: Self::SPOOL_AGE_MAX,
            spool_free_bytes_min: Self::SPOOL_FREE_BYTES_MIN,
            request_timeout: Self::REQUEST_TIMEOUT,
            memory_bytes_max: Self::MEMORY_BYTES_MAX,
            request_bytes_max: Self::REQUEST_BYTES_MAX,
            spool_bytes_max: Self::SPOOL_BYTES_MAX,
            drain_bytes_per_second: Self::DRAIN_BYTES_PER_SECOND,
            retry_delay: Self::RETRY_DELAY,
            retry_delay_max: Self::RETRY_DELAY_MAX,
            stop_timeout: Self::STOP_TIMEOUT,
        }
    }
}
