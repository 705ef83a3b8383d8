//! The bounds of a store's API, with documented defaults.

use std::time::Duration;

use tandem_http::{Limits, Pace};

use crate::{AuthConfig, MonitorConfig, NeighboursConfig, SubscriptionConfig};

/// How a [`crate::Server`] behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections, heads and stopping.
    pub limits: Limits,
    /// Users, and what they must prove.
    pub auth: AuthConfig,
    /// The store's name, in the label `instance` of its metrics.
    pub instance: String,
    /// Where the API listens, in the tag `bind` of its statistics.
    pub bind: String,
    /// The version that is announced (`X-Influxdb-Version`, `/ping`, `/health`).
    pub version: String,
    /// Bytes of a request's body as it comes over the network; more is answered with 413.
    pub body_bytes_max: usize,
    /// Bytes of a body after gunzip; more is answered with 413.
    pub inflated_bytes_max: usize,
    /// Bytes of all bodies that are held at once, as they come; more wait for `queue_wait`, then get
    /// 503. What was announced and has not come does not count.
    pub bodies_bytes_max: usize,
    /// How long a sender may pause within a body.
    pub body_stall_max: Duration,
    /// Bytes of a body that a sender has to send each second, on the average of some `body_stall_max`; 0 for no such
    /// bound.
    pub body_bytes_per_s_min: u64,
    /// Writes that are applied at once; more wait for `queue_wait`, then get 503.
    pub writes_max: usize,
    /// How long a write may take once it has its turn; then it is answered with 500, as by InfluxDB, and may or may
    /// not be stored.
    pub write_timeout: Duration,
    /// Queries that are computed at once; more wait for `queue_wait`, then get 503.
    pub queries_max: usize,
    /// What all queries may do: how many at once, for how long.
    pub task_limits: tandem_query::TaskLimits,
    /// What one statement may read; without bounds by default, as in InfluxDB.
    pub query_limits: tandem_query::Limits,
    /// What of a statement from outside goes beyond InfluxDB; nothing by default.
    pub query_extensions: tandem_query::Extensions,
    /// Whether continuous queries are run; they are stored and listed either way.
    pub continuous_queries: bool,
    /// How far each run of a continuous query goes back at least, for points that came late; 0 for its last
    /// window alone, as InfluxDB.
    pub continuous_late: Duration,
    /// How subscriptions are served.
    pub subscriptions: SubscriptionConfig,
    /// Whether the store writes its statistics into itself.
    pub monitor: MonitorConfig,
    /// The other parts of the appliance, for the page.
    pub neighbours: NeighboursConfig,
    /// How long a write or query waits for its turn.
    pub queue_wait: Duration,
    /// How long a reader may take nothing of an answer before its query is ended.
    pub reader_stall_max: Duration,
    /// Rows of an answer that is not chunked (`max-row-limit`); more are left out, and the series says
    /// `"partial":true`. 0 is no limit, as in InfluxDB.
    pub rows_max: usize,
    /// Rows of a document in a chunked answer when the request does not say.
    pub chunk_rows: usize,
    /// Rows of a document in a chunked answer at most, whatever the request says.
    pub chunk_rows_max: usize,
}

impl Config {
    /// Default of [`Config::instance`].
    pub const INSTANCE: &str = "monitoring-server";
    /// Default of [`Config::bind`], that of InfluxDB.
    pub const BIND: &str = ":8086";
    /// Default of [`Config::version`]: the one whose clients are promised to work.
    pub const VERSION: &str = "1.8.10";
    /// Default of [`Config::body_bytes_max`], that of InfluxDB.
    pub const BODY_BYTES_MAX: usize = 25_000_000;
    /// Default of [`Config::inflated_bytes_max`]; InfluxDB has no such bound.
    pub const INFLATED_BYTES_MAX: usize = 100_000_000;
    /// Default of [`Config::bodies_bytes_max`].
    pub const BODIES_BYTES_MAX: usize = 256 << 20;
    /// Default of [`Config::body_stall_max`].
    pub const BODY_STALL_MAX: Duration = Duration::from_secs(30);
    /// Default of [`Config::body_bytes_per_s_min`]: a modem, and a body of 25 MB in an hour and three quarters.
    pub const BODY_BYTES_PER_S_MIN: u64 = 4096;
    /// Default of [`Config::writes_max`].
    pub const WRITES_MAX: usize = 16;
    /// Default of [`Config::write_timeout`], that of InfluxDB.
    pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
    /// Default of [`Config::queries_max`].
    pub const QUERIES_MAX: usize = 32;
    /// Default of [`Config::queue_wait`]; below the 10 s after which a relay's write gives up.
    pub const QUEUE_WAIT: Duration = Duration::from_secs(5);
    /// Default of [`Config::reader_stall_max`].
    pub const READER_STALL_MAX: Duration = Duration::from_secs(60);
    /// Default of [`Config::chunk_rows`], that of InfluxDB.
    pub const CHUNK_ROWS: usize = 10_000;
    /// Default of [`Config::chunk_rows_max`].
    pub const CHUNK_ROWS_MAX: usize = 1_000_000;
}

impl Config {
    /// How slowly a body may come.
    pub(crate) const fn pace(&self) -> Pace {
        Pace {
            stall_max: self.body_stall_max,
            bytes_per_s_min: self.body_bytes_per_s_min,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            auth: AuthConfig::default(),
            instance: Self::INSTANCE.to_owned(),
            bind: Self::BIND.to_owned(),
            version: Self::VERSION.to_owned(),
            body_bytes_max: Self::BODY_BYTES_MAX,
            inflated_bytes_max: Self::INFLATED_BYTES_MAX,
            bodies_bytes_max: Self::BODIES_BYTES_MAX,
            body_stall_max: Self::BODY_STALL_MAX,
            body_bytes_per_s_min: Self::BODY_BYTES_PER_S_MIN,
            writes_max: Self::WRITES_MAX,
            write_timeout: Self::WRITE_TIMEOUT,
            queries_max: Self::QUERIES_MAX,
            task_limits: tandem_query::TaskLimits::default(),
            query_limits: tandem_query::Limits::default(),
            query_extensions: tandem_query::Extensions::default(),
            continuous_queries: true,
            continuous_late: Duration::ZERO,
            subscriptions: SubscriptionConfig::default(),
            monitor: MonitorConfig::default(),
            neighbours: NeighboursConfig::default(),
            queue_wait: Self::QUEUE_WAIT,
            reader_stall_max: Self::READER_STALL_MAX,
            rows_max: 0,
            chunk_rows: Self::CHUNK_ROWS,
            chunk_rows_max: Self::CHUNK_ROWS_MAX,
        }
    }
}
