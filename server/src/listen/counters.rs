//! What one listener beside HTTP has done.

use std::sync::Arc;

use tandem_http::ListenerStats;

use crate::counters::Counter;

/// Counters that only grow, but for those that end in `_active` and `_pending`.
#[derive(Debug)]
pub(crate) struct InputCounters {
    /// `udp`, `graphite`, `opentsdb` or `collectd`: InfluxDB's name for its statistics.
    pub(crate) kind: &'static str,
    /// Whether it takes datagrams.
    pub(crate) is_udp: bool,
    /// Where it listens.
    pub(crate) bind: String,
    /// Bytes that came.
    pub(crate) bytes: Counter,
    /// Datagrams, lines or bodies that came.
    pub(crate) messages: Counter,
    /// Of these, or of the lines in them, those that could not be decoded.
    pub(crate) malformed: Counter,
    /// Values that are no numbers, and so no points; Graphite and collectd send them on purpose.
    pub(crate) not_a_number: Counter,
    /// Points that were decoded.
    pub(crate) points: Counter,
    /// Points that are stored.
    pub(crate) points_stored: Counter,
    /// Points for which there was no room.
    pub(crate) dropped_queue: Counter,
    /// Points that the store refused, or could not take in time.
    pub(crate) dropped_store: Counter,
    /// Bytes of lines that wait.
    pub(crate) bytes_pending: Counter,
    /// Batches that were stored.
    pub(crate) batches: Counter,
    /// Batches of which nothing was stored.
    pub(crate) batches_failed: Counter,
    /// Connections open.
    pub(crate) connections_active: Counter,
    /// Connections taken.
    pub(crate) connections: Counter,
    /// Of the connections, those that were closed to make room for others.
    pub(crate) seats: Arc<ListenerStats>,
}

impl InputCounters {
    pub(crate) fn new(kind: &'static str, is_udp: bool, bind: String) -> Self {
        Self {
            kind,
            is_udp,
            bind,
            bytes: Counter::default(),
            messages: Counter::default(),
            malformed: Counter::default(),
            not_a_number: Counter::default(),
            points: Counter::default(),
            points_stored: Counter::default(),
            dropped_queue: Counter::default(),
            dropped_store: Counter::default(),
            bytes_pending: Counter::default(),
            batches: Counter::default(),
            batches_failed: Counter::default(),
            connections_active: Counter::default(),
            connections: Counter::default(),
            seats: Arc::default(),
        }
    }
}
