//! What is served on: an open socket, its TLS if it has any, and what it has counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;

use crate::ServerTls;

/// A socket to serve on.
#[derive(Debug)]
pub struct Listener {
    pub(crate) tcp: TcpListener,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) stats: Arc<ListenerStats>,
}

/// What a listener has seen since it was opened.
#[derive(Debug, Default)]
pub struct ListenerStats {
    pub(crate) accepted: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
}

impl Listener {
    /// Lets in only who speaks TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The counters, to be kept while the listener is served.
    #[must_use]
    pub fn stats(&self) -> Arc<ListenerStats> {
        self.stats.clone()
    }

    /// Its TLS, if it has any.
    #[must_use]
    pub fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    /// The socket.
    #[must_use]
    pub fn tcp(&self) -> &TcpListener {
        &self.tcp
    }
}

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self {
            tcp,
            tls: None,
            stats: Arc::default(),
        }
    }
}

impl ListenerStats {
    /// Connections taken.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Idle connections that were closed to make room for new ones.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Connections that did not get as far as HTTP because they did not speak TLS, or not ours.
    #[must_use]
    pub fn handshakes_failed(&self) -> u64 {
        self.handshakes_failed.load(Ordering::Relaxed)
    }
}
