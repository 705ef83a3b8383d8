//! The maxima of a server, with the defaults that a room starts from.

use std::time::Duration;

/// What one listener takes at most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once. For one more, the one that has been without a request for longest is
    /// closed; while all have one, more wait in the kernel's backlog.
    pub connections_max: usize,
    /// Requests being handled at once; more wait for [`Limits::request_wait`].
    pub requests_max: usize,
    /// How long a request waits for its turn before it is answered with 503.
    pub request_wait: Duration,
    /// How long a head may take to arrive, counted from the end of the previous request: it is
    /// also the time after which an idle connection is closed. Callers that pool connections use
    /// a shorter idle time ([`crate::ClientConfig::idle_timeout`]).
    pub header_read_timeout: Duration,
    /// Bytes of a request's head; more is answered with 431.
    pub header_bytes_max: usize,
    /// How long a connection may take until TLS is agreed on.
    pub handshake_timeout: Duration,
    /// How long a peer may take nothing of its answer before its connection is closed.
    pub write_stall_max: Duration,
    /// How long after the stop signal requests in flight may take before they are cut off.
    pub stop_deadline: Duration,
}

impl Limits {
    /// Default of [`Limits::connections_max`].
    pub const CONNECTIONS_MAX: usize = 1024;
    /// Default of [`Limits::requests_max`].
    pub const REQUESTS_MAX: usize = 256;
    /// Default of [`Limits::request_wait`].
    pub const REQUEST_WAIT: Duration = Duration::from_secs(10);
    /// Default of [`Limits::header_read_timeout`].
    pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(75);
    /// Default of [`Limits::header_bytes_max`]: a query may come in the URL, so it is generous.
    pub const HEADER_BYTES_MAX: usize = 256 * 1024;
    /// Default of [`Limits::handshake_timeout`].
    pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
    /// Default of [`Limits::write_stall_max`].
    pub const WRITE_STALL_MAX: Duration = Duration::from_secs(60);
    /// Default of [`Limits::stop_deadline`].
    pub const STOP_DEADLINE: Duration = Duration::from_secs(5);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: Self::CONNECTIONS_MAX,
            requests_max: Self::REQUESTS_MAX,
            request_wait: Self::REQUEST_WAIT,
            header_read_timeout: Self::HEADER_READ_TIMEOUT,
            header_bytes_max: Self::HEADER_BYTES_MAX,
            handshake_timeout: Self::HANDSHAKE_TIMEOUT,
            write_stall_max: Self::WRITE_STALL_MAX,
            stop_deadline: Self::STOP_DEADLINE,
        }
    }
}
