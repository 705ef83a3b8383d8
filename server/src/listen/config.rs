//! What a listener beside HTTP is told, with documented defaults: those of InfluxDB where it has the setting.

use std::path::PathBuf;
use std::time::Duration;

use tandem_model::Precision;

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputConfig {
    /// Where it listens, `HOST:PORT`.
    pub bind: String,
    /// Where its points go; made when it is not there.
    pub database: String,
    /// The default one when `None`; must be there.
    pub retention_policy: Option<String>,
    /// How points become batches.
    pub batch: BatchConfig,
    /// Bytes that the kernel keeps for a UDP socket until they are read; its own default when `None`.
    pub read_buffer_bytes: Option<usize>,
    /// Connections at once, of listeners that have any; more are closed as they come.
    pub connections_max: usize,
    /// What it speaks.
    pub kind: InputKind,
}

/// How the points of a listener become batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// Points after which a batch is written.
    pub points_max: usize,
    /// How long a point waits for others at most.
    pub age_max: Duration,
    /// Bytes of lines that wait at most. Once they are full, datagrams are dropped and connections wait.
    pub queue_bytes_max: usize,
    /// How long a batch that the store cannot take now is offered again.
    pub retry_max: Duration,
}

/// What a listener speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Line protocol in datagrams.
    Udp(UdpConfig),
    /// Graphite's plain text.
    Graphite(GraphiteConfig),
    /// OpenTSDB's telnet and HTTP.
    OpenTsdb(OpenTsdbConfig),
    /// collectd's binary protocol.
    Collectd(CollectdConfig),
}

/// Line protocol in datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpConfig {
    /// The unit of its times.
    pub precision: Precision,
}

/// What Graphite's lines come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphiteTransport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Graphite's plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphiteConfig {
    /// What its lines come by.
    pub transport: GraphiteTransport,
    /// Stands between parts of a name that templates put together.
    pub separator: String,
    /// `key=value` for every point that has no such tag itself.
    pub tags: Vec<String>,
    /// `[filter] template [key=value,…]` each; without any, the whole name is the measurement.
    pub templates: Vec<String>,
}

/// OpenTSDB's telnet and HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTsdbConfig {
    /// Bytes of a body as it comes; more is answered with 413.
    pub body_bytes_max: usize,
    /// Bytes of a body after gunzip; more is answered with 413.
    pub inflated_bytes_max: usize,
    /// Bodies that are handled at once; more get 503 when none ends in time.
    pub requests_max: usize,
}

/// What of collectd's packets is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectdSecurity {
    /// All.
    None,
    /// Those that are signed or encrypted.
    Sign,
    /// Those that are encrypted.
    Encrypt,
}

/// What becomes of a value list with several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiValue {
    /// A measurement `plugin_name` for each value, with the field `value`.
    Split,
    /// One point of the measurement `plugin`, with a field for each value.
    Join,
}

/// collectd's binary protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectdConfig {
    /// Files, or directories of files, that name the values of types (`types.db`). Those that are not there
    /// are left out; types that none of them knows have numbers for names.
    pub types: Vec<PathBuf>,
    /// Which packets are taken.
    pub security: CollectdSecurity,
    /// Lines `user: password`, for packets that are signed or encrypted.
    pub auth_file: Option<PathBuf>,
    /// What becomes of several values.
    pub multi_value: MultiValue,
}

impl InputConfig {
    /// Default of [`InputConfig::connections_max`].
    pub const CONNECTIONS_MAX: usize = 1000;
}

impl BatchConfig {
    /// Default of [`BatchConfig::points_max`].
    pub const POINTS_MAX: usize = 5000;
    /// Default of [`BatchConfig::age_max`].
    pub const AGE_MAX: Duration = Duration::from_secs(1);
    /// Default of [`BatchConfig::queue_bytes_max`].
    pub const QUEUE_BYTES_MAX: usize = 16 << 20;
    /// Default of [`BatchConfig::retry_max`].
    pub const RETRY_MAX: Duration = Duration::from_secs(30);
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            points_max: Self::POINTS_MAX,
            age_max: Self::AGE_MAX,
            queue_bytes_max: Self::QUEUE_BYTES_MAX,
            retry_max: Self::RETRY_MAX,
        }
    }
}

impl GraphiteConfig {
    /// Default of [`GraphiteConfig::separator`].
    pub const SEPARATOR: &str = ".";
}

impl Default for GraphiteConfig {
    fn default() -> Self {
        Self {
            transport: GraphiteTransport::Tcp,
            separator: Self::SEPARATOR.to_owned(),
            tags: Vec::new(),
            templates: Vec::new(),
        }
    }
}

impl OpenTsdbConfig {
    /// Default of [`OpenTsdbConfig::body_bytes_max`].
    pub const BODY_BYTES_MAX: usize = 8 << 20;
    /// Default of [`OpenTsdbConfig::inflated_bytes_max`].
    pub const INFLATED_BYTES_MAX: usize = 32 << 20;
    /// Default of [`OpenTsdbConfig::requests_max`].
    pub const REQUESTS_MAX: usize = 4;
}

impl Default for OpenTsdbConfig {
    fn default() -> Self {
        Self {
            body_bytes_max: Self::BODY_BYTES_MAX,
            inflated_bytes_max: Self::INFLATED_BYTES_MAX,
            requests_max: Self::REQUESTS_MAX,
        }
    }
}

impl CollectdConfig {
    /// Default of [`CollectdConfig::types`]: where collectd brings it.
    pub const TYPES: &str = "/usr/share/collectd/types.db";
}

impl Default for CollectdConfig {
    fn default() -> Self {
        Self {
            types: vec![Self::TYPES.into()],
            security: CollectdSecurity::None,
            auth_file: None,
            multi_value: MultiValue::Split,
        }
    }
}
