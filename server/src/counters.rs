//! What a server has done since it started, under the names of InfluxDB's `httpd` statistics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only grow, but for those that end in `_active`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests of all kinds.
    pub requests: Counter,
    /// Requests being handled.
    pub requests_active: Counter,
    /// Nanoseconds spent on requests of all kinds, until their answers began.
    pub request_ns: Counter,
    /// Queries that are being computed.
    pub queries_active: Counter,
    /// Requests to `/query`.
    pub queries: Counter,
    /// Nanoseconds spent on queries, until their answers began.
    pub query_ns: Counter,
    /// Bytes of answers to queries, before gzip.
    pub query_bytes: Counter,
    /// Requests to `/write`.
    pub writes: Counter,
    /// Requests to `/write` being handled.
    pub writes_active: Counter,
    /// Nanoseconds spent on writes.
    pub write_ns: Counter,
    /// Bytes of bodies written, after gunzip.
    pub write_bytes: Counter,
    /// Points stored.
    pub points_written: Counter,
    /// Points that the store dropped.
    pub points_dropped: Counter,
    /// Requests to `/ping`.
    pub pings: Counter,
    /// Samples asked for by Prometheus (`/api/v1/prom/read`).
    pub prometheus_reads: Counter,
    /// Samples sent by Prometheus (`/api/v1/prom/write`); they are among `writes` too.
    pub prometheus_writes: Counter,
    /// Requests refused with 401.
    pub auth_failures: Counter,
    /// Requests answered with 400 to 499.
    pub client_errors: Counter,
    /// Requests answered with 500 to 599.
    pub server_errors: Counter,
    /// Runs of continuous queries.
    pub continuous_ok: Counter,
    /// Runs of continuous queries that failed.
    pub continuous_failed: Counter,
    /// Requests refused with 503 because too much was going on.
    pub throttled: Counter,
}

/// One number, read and changed from any thread.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Counts one until the guard is dropped.
    pub(crate) fn hold(&self) -> Held<'_> {
        self.add(1);
        Held(self)
    }
}

/// Takes one off its counter when dropped.
pub(crate) struct Held<'a>(&'a Counter);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
