//! The connections that a listener has at once: a bounded number, and an idle one makes room for a
//! new one.
//!
//! Who opens connections and says nothing, or sends a head byte by byte, holds seats without a request.
//! Once all seats are taken, the one that has been without a request for longest is closed for each
//! new connection, so that such a crowd cannot keep others out. A seat counts as idle when no request
//! is being handled and all of the last answer has left; it is safe for [`IDLE_MIN`] after that, so
//! that whoever just came has time to ask. A request that waits for more of its body is idle too, and takes no
//! turn among the requests meanwhile ([`waits_for_peer`]): a crowd of slow bodies is no better than one of slow heads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use crate::ListenerStats;
use crate::serve::Turn;

/// For how long a seat that became idle is left alone.
const IDLE_MIN: Duration = Duration::from_millis(250);

/// How soon it is looked again whether a seat has become old enough.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The seats of one listener.
#[derive(Debug)]
pub struct Seats {
    seats_max: usize,
    state: Mutex<State>,
    freed: Notify,
    stats: Arc<ListenerStats>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    next: u64,
    /// In the order in which they became idle.
    idle: BTreeMap<u64, Idle>,
}

#[derive(Debug)]
struct Idle {
    since: Instant,
    told: Arc<Told>,
}

/// What a seat and its connection tell each other.
#[derive(Debug, Default)]
pub(crate) struct Told {
    evicted: Notify,
    /// Part of an answer waits for the peer to read.
    pub(crate) unread: AtomicBool,
}

/// A connection's seat, free again when dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    told: Arc<Told>,
    /// Its key among the idle ones.
    idle: Mutex<Option<u64>>,
}

/// Keeps a seat from being idle.
#[derive(Debug)]
pub struct Busy(Arc<Seat>);

/// What a request that is being handled holds.
#[derive(Debug)]
pub(crate) struct Handled {
    seat: Arc<Seat>,
    turn: Arc<Turn>,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

tokio::task_local! {
    /// The request that this task handles.
    static HANDLED: Arc<Handled>;
}

/// A request is waiting for its peer as long as this is there.
#[derive(Debug)]
pub struct Waiting(Arc<Handled>);

/// Gives up what the request at hand holds of what others want, until its peer has sent what it waits for. Nothing outside of
/// a handler. For who reads a body by hand; [`crate::read_body`] does it by itself.
#[must_use]
pub fn waits_for_peer() -> Option<Waiting> {
    let handled = HANDLED.try_with(Arc::clone).ok()?;
    handled.seat.become_idle();
    drop(handled.lock().take());
    Some(Waiting(handled))
}

/// Completes when the seat of the request at hand is wanted for another, which is only while it waits.
pub(crate) async fn evicted() {
    match HANDLED.try_with(Arc::clone) {
        Ok(handled) => handled.seat.evicted().await,
        Err(_) => std::future::pending().await,
    }
}

impl Waiting {
    /// Takes a turn again. When there is none for too long it goes on without: what it holds now is only freed so.
    pub async fn end(self) {
        let handled = self.0.clone();
        drop(self);
        let place = handled.turn.take().await;
        *handled.lock() = place;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.seat.become_busy();
    }
}

impl Handled {
    /// Runs `handler` with this at hand.
    pub(crate) async fn run<F: Future>(
        seat: Arc<Seat>,
        turn: Arc<Turn>,
        place: OwnedSemaphorePermit,
        handler: F,
    ) -> F::Output {
        let handled = Self {
            seat,
            turn,
            place: Mutex::new(Some(place)),
        };
        HANDLED.scope(Arc::new(handled), handler).await
    }

    fn lock(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    /// So many seats, counted in `stats`.
    #[must_use]
    pub fn new(seats_max: usize, stats: Arc<ListenerStats>) -> Arc<Self> {
        Arc::new(Self {
            seats_max,
            state: Mutex::default(),
            freed: Notify::new(),
            stats,
        })
    }

    /// Takes a seat for a connection that has just come; waits for one while nobody can go. May be dropped.
    pub async fn take(self: &Arc<Self>) -> Arc<Seat> {
        loop {
            let freed = self.freed.notified();
            if let Some(seat) = self.try_take() {
                return seat;
            }
            drop(tokio::time::timeout(LOOK_AGAIN, freed).await);
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Arc<Seat>> {
        let mut state = self.lock();
        if state.taken >= self.seats_max {
            let now = Instant::now();
            let old = |idle: &&Idle| now.duration_since(idle.since) >= IDLE_MIN;
            let idle = state.idle.iter().take_while(|(_, idle)| old(idle));
            let oldest = idle
                .filter(|(_, idle)| !idle.told.unread.load(Ordering::Relaxed))
                .map(|(&key, _)| key)
                .next();
            if let Some(evicted) = oldest.and_then(|key| state.idle.remove(&key)) {
                evicted.told.evicted.notify_one();
                self.stats.evicted.fetch_add(1, Ordering::Relaxed);
            }
            return None;
        }
        state.taken += 1;
        self.stats.open.fetch_add(1, Ordering::Relaxed);
        drop(state);
        let seat = Arc::new(Seat {
            seats: self.clone(),
            told: Arc::default(),
            idle: Mutex::default(),
        });
        seat.become_idle();
        Some(seat)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// A request has come; until what is returned is dropped, the seat is not idle.
    #[must_use]
    pub fn busy(self: &Arc<Self>) -> Busy {
        self.become_busy();
        Busy(self.clone())
    }

    fn become_busy(&self) {
        let key = self.idle_key().take();
        if let Some(key) = key {
            self.seats.lock().idle.remove(&key);
        }
    }

    /// Completes when the seat is wanted for another.
    pub async fn evicted(&self) {
        self.told.evicted.notified().await;
    }

    pub(crate) fn told(&self) -> Arc<Told> {
        self.told.clone()
    }

    fn become_idle(&self) {
        let mut state = self.seats.lock();
        let key = state.next;
        state.next += 1;
        let (since, told) = (Instant::now(), self.told.clone());
        state.idle.insert(key, Idle { since, told });
        drop(state);
        *self.idle_key() = Some(key);
    }

    fn idle_key(&self) -> MutexGuard<'_, Option<u64>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let key = self.idle_key().take();
        let mut state = self.seats.lock();
        if let Some(key) = key {
            state.idle.remove(&key);
        }
        state.taken -= 1;
        drop(state);
        self.seats.stats.open.fetch_sub(1, Ordering::Relaxed);
        self.seats.freed.notify_one();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.become_idle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_evicted(seat: &Seat) -> bool {
        use std::future::Future;
        use std::task::{Context, Poll, Waker};
        let told = std::pin::pin!(seat.evicted());
        told.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[tokio::test]
    async fn the_one_without_a_request_for_longest_goes() {
        let stats = Arc::<ListenerStats>::default();
        let seats = Seats::new(3, stats.clone());
        let (first, second, third) = (seats.take().await, seats.take().await, seats.take().await);
        // The first has asked since, the second is asking.
        drop(first.busy());
        let _asking = second.busy();
        tokio::time::sleep(IDLE_MIN).await;
        assert!(seats.try_take().is_none());
        assert!(is_evicted(&third) && !is_evicted(&first) && !is_evicted(&second));
        drop(third);
        let fourth = seats.take().await;
        assert_eq!((stats.open(), stats.evicted()), (3, 1));
        // An answer that is still being read protects.
        first.told().unread.store(true, Ordering::Relaxed);
        tokio::time::sleep(IDLE_MIN).await;
        assert!(seats.try_take().is_none());
        assert!(is_evicted(&fourth) && !is_evicted(&first));
    }

    #[tokio::test]
    async fn who_waits_for_a_body_has_no_turn_and_may_go() {
        let seats = Seats::new(1, Arc::default());
        let seat = seats.take().await;
        let turn = Arc::new(Turn::new(1, Duration::from_millis(10)));
        let place = turn.take().await.unwrap();
        assert!(turn.take().await.is_none());
        let busy = seat.busy();
        Handled::run(seat.clone(), turn.clone(), place, async {
            let waiting = waits_for_peer().unwrap();
            tokio::time::sleep(IDLE_MIN).await;
            assert!(seats.try_take().is_none() && is_evicted(&seat));
            let other = turn.take().await.unwrap();
            // The other one does not end: it goes on all the same.
            waiting.end().await;
            drop(other);
            let waiting = waits_for_peer().unwrap();
            waiting.end().await;
            assert!(turn.take().await.is_none());
            tokio::time::sleep(IDLE_MIN).await;
            assert!(seats.try_take().is_none() && !is_evicted(&seat));
        })
        .await;
        assert!(turn.take().await.is_some());
        drop(busy);
        assert!(waits_for_peer().is_none());
    }

    #[tokio::test]
    async fn who_just_came_is_left_alone_for_a_moment() {
        let seats = Seats::new(1, Arc::default());
        let first = seats.take().await;
        assert!(seats.try_take().is_none());
        assert!(!is_evicted(&first));
        // Two wait for one seat, and the one who gives it up wakes the next.
        let waiting = tokio::spawn({
            let seats = seats.clone();
            async move { seats.take().await }
        });
        first.evicted().await;
        drop(first);
        waiting.await.unwrap();
    }
}
