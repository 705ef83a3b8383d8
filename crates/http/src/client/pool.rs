//! The connections to one server: a bounded number, the last used one first.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::wire::Wire;

/// A set of connections; each is either idle in here or lent out.
#[derive(Debug)]
pub(super) struct Pool {
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    idle_timeout: Duration,
}

#[derive(Debug)]
struct Idle {
    wire: Wire,
    since: Instant,
}

/// Whether a call may go out on a connection that has carried one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    Allowed,
    Forbidden,
}

/// A connection that is out of the pool; dropped, it is closed.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) wire: Wire,
    reused: bool,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
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
        F: Future<Output = Result<Wire, E>>,
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
        let (wire, reused) = match kept {
            Some(wire) => (wire, true),
            None => (open().await?, false),
        };
        Ok(Lent {
            wire,
            reused,
            pool: self.clone(),
            _place: place,
        })
    }

    /// The last used one that the server has not closed meanwhile: sent into a closed connection, nobody
    /// could say whether a call had arrived.
    fn take_idle(&self) -> Option<Wire> {
        loop {
            let mut idle = self.lock();
            let now = Instant::now();
            idle.retain(|idle| now - idle.since < self.idle_timeout);
            let last = idle.pop()?.wire;
            drop(idle);
            if !last.is_stale() {
                return Some(last);
            }
        }
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

    /// Keeps the connection for the next call, if it can carry one.
    pub(super) fn give_back(self) {
        if self.wire.is_idle() {
            self.pool.lock().push(Idle {
                wire: self.wire,
                since: Instant::now(),
            });
        }
    }
}
