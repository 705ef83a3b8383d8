//! Listeners beside HTTP: line protocol over UDP, Graphite, OpenTSDB and collectd. None is open unless the
//! configuration names it.
//!
//! ```text
//! socket ─ decode ─ stamped lines ─ chunks ─ batch ─ store
//!                                     │
//!                       bounded; full: a datagram is dropped and
//!                       counted, a connection waits
//! ```
//!
//! Each decodes its protocol into lines with their times ([`crate::stamped`]) and feeds them, in chunks, to
//! the writer of its listener ([`batches`]), which makes batches of them. What cannot be decoded is
//! counted and dropped, never an error for what comes after it. Only HTTP of OpenTSDB has an answer, and
//! that is written before it is given.
//!
//! What InfluxDB 1.8 does is the measure (`influxdata/influxdb services/{udp,graphite,opentsdb,collectd}`);
//! where this differs on purpose, the head of the file says so.

mod batches;
mod collectd;
mod config;
mod counters;
mod graphite;
mod input;
mod opentsdb;
mod socket;
mod tcp;
mod udp;

pub use collectd::{CollectdAuthError, CollectdTypesError};
pub use config::{
    BatchConfig, CollectdConfig, CollectdSecurity, GraphiteConfig, GraphiteTransport, InputConfig,
    InputKind, MultiValue, OpenTsdbConfig, UdpConfig,
};
pub(crate) use counters::InputCounters;
pub use graphite::TemplateError;
pub use input::{Input, InputError};

use tokio::sync::watch;

/// Completes when it is time to stop.
async fn until(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stopped| *stopped).await);
}
