//! The connections to one server: a bounded number, the last used one first.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::AbortHandle,
    time::Instant,
};
use tracing::debug;

use crate::Body;

/// A set of connections; each is either idle in here or lent out.
#[derive(Debug)]
pub(super) struct Pool {
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    idle_timeout: Duration,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// Whether a call may go out on a connection that has carried one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    Allowed,
    Forbidden,
}

/// A connection that is out of the pool; dropped, it is closed.
pub(super) struct Lent {
    connection: Option<Connection>,
    reused: bool,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

/// An open connection and the task that drives it, which ends with it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Body>,
    driver: AbortHandle,
}

impl Pool {
    pub(super) fn new(connections_max: usize, idle_timeout: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(connections_max)),
            idle: Mutex::default(),
            idle_timeout,
        }
    }

    /// Takes an idle connection, or opens one with `open` when there is none; waits while all are
    /// lent out.
    pub(super) async fn take<F, E>(
        self: &Arc<Self>,
        reuse: Reuse,
        open: impl FnOnce() -> F,
    ) -> Result<Lent, E>
    where
        F: Future<Output = Result<Connection, E>>,
    {
        let place = match self.places.clone().acquire_owned().await {
            Ok(place) => place,
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        };
        let kept = if reuse == Reuse::Allowed {
            self.take_idle()
        } else {
            None
        };
        let (connection, reused) = match kept {
            Some(connection) => (connection, true),
            None => (open().await?, false),
        };
        Ok(Lent {
            connection: Some(connection),
            reused,
            pool: self.clone(),
            _place: place,
        })
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.lock();
        let now = Instant::now();
        idle.retain(|idle| {
            !idle.connection.sender.is_closed() && now - idle.since < self.idle_timeout
        });
        idle.pop().map(|idle| idle.connection)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    /// Whether it has carried a request before.
    pub(super) fn reused(&self) -> bool {
        self.reused
    }

    /// Sends a request; the answer's head comes back.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        match &mut self.connection {
            Some(connection) => {
                connection.sender.ready().await?;
                connection.sender.send_request(request).await
            }
            None => std::future::pending().await,
        }
    }

    /// Keeps the connection for the next call: only after an answer was read to its end.
    pub(super) fn give_back(mut self) {
        if let Some(connection) = self
            .connection
            .take()
            .filter(|connection| !connection.sender.is_closed())
        {
            self.pool.lock().push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }
}

impl Connection {
    /// Begins HTTP/1.1 on any byte stream.
    pub(super) async fn open<I>(io: I) -> Result<Self, hyper::Error>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) = http1::Builder::new().handshake(TokioIo::new(io)).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = driver.await {
                debug!(%error, "connection ended");
            }
        });
        Ok(Self {
            sender,
            driver: task.abort_handle(),
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
