//! What a run of the agent is told. How files, environment and flags become this is the
//! program's business; here are the values, their units and their defaults.

use std::path::PathBuf;
use std::time::Duration;

use tandem_http::Url;

use crate::collect::Collectors;
use crate::roots::Roots;

/// Everything that one run is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to send: the first that answers is kept until it fails.
    pub relays: Vec<Url>,
    /// The database, made at the start if the relay allows it.
    pub database: String,
    /// Time between two gathers, aligned to the epoch; never below [`Config::INTERVAL_MIN`].
    pub interval: Duration,
    /// What timestamps are rounded to; without it, Telegraf's rule: a second, or less where
    /// `interval` is below one.
    pub precision: Option<Duration>,
    /// The tag `host`.
    pub hostname: Hostname,
    /// Tags that every line bears, unless it has one of the same key itself.
    pub global_tags: Vec<(String, String)>,
    /// Which collectors run, and how.
    pub collectors: Collectors,
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

/// Bounds of sending.
#[derive(Clone, Debug)]
pub struct Output {
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

    /// The defaults, with `HOST_*` taken from the environment.
    #[must_use]
    pub fn new(relays: Vec<Url>, data_dir: PathBuf) -> Self {
        Self {
            relays,
            database: Self::DATABASE.to_owned(),
            interval: Self::INTERVAL,
            precision: None,
            hostname: Hostname::default(),
            global_tags: Vec::new(),
            collectors: Collectors::default(),
            roots: Roots::from_env(),
            data_dir,
            output: Output::default(),
        }
    }
}

impl Output {
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
