//! The lanes of one backend: who may write to it now, and whether live or through the log.
//!
//! A lane is a group of series (`tandem_line::scan`). Two batches that share a lane never fly
//! together to one backend, because pooled connections reorder. Each lane counts
//! - `flying`: batches on the wire that no hint stands for,
//! - `staging`: batches about to get their place in the log,
//! - `spilled`: hints that the backend's durable cursor has not passed.
//!
//! What always holds:
//! - at most one batch in each lane is flying or staging, and turns are given in order of arrival;
//! - a batch with a spilled lane goes to the log, behind the hints of that lane;
//! - a lane is live again only when every hint in it lies below the durable cursor.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem_line::LANES;
use tokio::sync::{Notify, oneshot};

/// How a batch goes to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// On the wire: its lanes are flying until [`Lanes::landed`] or [`Lanes::flown_to_hint`].
    Live,
    /// Through the log: its lanes are staging until [`Lanes::staged`] or [`Lanes::unstaged`].
    Spill,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    state: Mutex<State>,
    /// Some lane stopped flying.
    landed: Notify,
}

#[derive(Debug, Default)]
struct State {
    flying: Counts,
    staging: Counts,
    spilled: Counts,
    waiters: VecDeque<Waiter>,
    next_id: u64,
}

/// A place in the queue before the lanes. To be handed to [`Lanes::turn`]: one that has its turn
/// and is dropped blocks its lanes.
#[derive(Debug)]
pub(crate) struct Place {
    id: u64,
    turn: oneshot::Receiver<Turn>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    mask: u64,
    turn: oneshot::Sender<Turn>,
}

impl Lanes {
    /// Queues up in the lanes of `mask`. Whoever writes to several backends does this for all of
    /// them before anyone else does it for one, so that all see the same order.
    pub(crate) fn queue_up(&self, mask: u64) -> Place {
        let (sender, turn) = oneshot::channel();
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.waiters.push_back(Waiter {
            id,
            mask,
            turn: sender,
        });
        state.give_turns();
        Place { id, turn }
    }

    /// Waits for the turn of one that has queued up; `None` when it does not come within
    /// `wait_max`: the place is given up then.
    pub(crate) async fn turn(&self, mut place: Place, wait_max: Duration) -> Option<Turn> {
        if let Ok(Ok(turn)) = tokio::time::timeout(wait_max, &mut place.turn).await {
            return Some(turn);
        }
        let mut state = self.lock();
        let before = state.waiters.len();
        state.waiters.retain(|waiter| waiter.id != place.id);
        if state.waiters.len() < before {
            // Those behind it may have waited for it alone.
            state.give_turns();
            return None;
        }
        place.turn.try_recv().ok()
    }

    /// A batch on the wire was answered, and needs no hint.
    pub(crate) fn landed(&self, mask: u64) {
        let mut state = self.lock();
        state.flying.sub(mask);
        state.give_turns();
        drop(state);
        self.landed.notify_waiters();
    }

    /// A batch on the wire has got its place in the log.
    pub(crate) fn flown_to_hint(&self, mask: u64) {
        let mut state = self.lock();
        state.flying.sub(mask);
        state.spilled.add(mask);
        state.give_turns();
        drop(state);
        self.landed.notify_waiters();
    }

    /// The hint of a batch on the wire did not become durable: the wire alone counts again.
    pub(crate) fn hint_to_flown(&self, mask: u64) {
        let mut state = self.lock();
        state.spilled.sub(mask);
        state.flying.add(mask);
    }

    /// A batch has got its place in the log.
    pub(crate) fn staged(&self, mask: u64) {
        let mut state = self.lock();
        state.staging.sub(mask);
        state.spilled.add(mask);
        state.give_turns();
    }

    /// A batch got no place in the log.
    pub(crate) fn unstaged(&self, mask: u64) {
        let mut state = self.lock();
        state.staging.sub(mask);
        state.give_turns();
    }

    /// A hint was found in the log at the start.
    pub(crate) fn recovered(&self, mask: u64) {
        self.lock().spilled.add(mask);
    }

    /// Hints lie below the durable cursor now, or never became durable.
    pub(crate) fn drained(&self, masks: impl IntoIterator<Item = u64>) {
        let mut state = self.lock();
        for mask in masks {
            state.spilled.sub(mask);
        }
        state.give_turns();
    }

    /// Whether a hint in the lanes of `mask` stands in the log.
    pub(crate) fn is_spilled(&self, mask: u64) -> bool {
        self.lock().spilled.mask & mask != 0
    }

    /// Waits until nothing flies in the lanes of `mask`.
    pub(crate) async fn clear_of_flights(&self, mask: u64) {
        loop {
            let landed = self.landed.notified();
            let mut landed = std::pin::pin!(landed);
            landed.as_mut().enable();
            if self.lock().flying.mask & mask == 0 {
                return;
            }
            landed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn give_turns(&mut self) {
        let mut blocked = self.flying.mask | self.staging.mask;
        let mut at = 0;
        while let Some(waiter) = self.waiters.get(at) {
            let mask = waiter.mask;
            if mask & blocked != 0 {
                blocked |= mask;
                at += 1;
                continue;
            }
            let Some(waiter) = self.waiters.remove(at) else {
                return;
            };
            let turn = if mask & self.spilled.mask == 0 {
                Turn::Live
            } else {
                Turn::Spill
            };
            // One that has gone away takes no turn.
            if waiter.turn.send(turn).is_ok() {
                blocked |= mask;
                match turn {
                    Turn::Live => self.flying.add(mask),
                    Turn::Spill => self.staging.add(mask),
                }
            }
        }
    }
}

/// A number for each lane, and which of them are not zero.
#[derive(Debug)]
struct Counts {
    of: [u64; LANES as usize],
    mask: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            of: [0; LANES as usize],
            mask: 0,
        }
    }
}

impl Counts {
    fn add(&mut self, mask: u64) {
        for (lane, count) in self.of.iter_mut().enumerate() {
            *count += mask >> lane & 1;
        }
        self.mask |= mask;
    }

    fn sub(&mut self, mask: u64) {
        for (lane, count) in self.of.iter_mut().enumerate() {
            let bit = mask >> lane & 1;
            debug_assert!(*count >= bit, "lane {lane} counted twice");
            *count = count.saturating_sub(bit);
            if *count == 0 {
                self.mask &= !(1 << lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const NOW: Duration = Duration::ZERO;

    impl Lanes {
        async fn enter(&self, mask: u64, wait_max: Duration) -> Option<Turn> {
            self.turn(self.queue_up(mask), wait_max).await
        }
    }

    #[tokio::test]
    async fn batches_that_share_a_lane_take_turns_in_order_of_arrival() {
        let lanes = Lanes::default();
        assert_eq!(lanes.enter(0b01, SOON).await, Some(Turn::Live));
        assert_eq!(lanes.enter(0b10, SOON).await, Some(Turn::Live));
        let second = lanes.enter(0b01, SOON);
        let third = lanes.enter(0b01, SOON);
        let (mut second, mut third) = (Box::pin(second), Box::pin(third));
        tokio::select! {
            biased;
            _ = &mut second => panic!("shares a lane with a flight"),
            _ = &mut third => panic!("shares a lane with a flight"),
            () = std::future::ready(()) => {}
        }
        lanes.landed(0b01);
        assert_eq!(second.await, Some(Turn::Live));
        assert!(tokio::time::timeout(NOW, &mut third).await.is_err());
        lanes.landed(0b01);
        assert_eq!(third.await, Some(Turn::Live));
    }

    #[tokio::test]
    async fn one_that_waits_is_not_overtaken_by_one_that_shares_its_lane() {
        let lanes = Lanes::default();
        assert_eq!(lanes.enter(0b001, SOON).await, Some(Turn::Live));
        let mut both = Box::pin(lanes.enter(0b011, SOON));
        assert!(tokio::time::timeout(NOW, &mut both).await.is_err());
        assert_eq!(
            lanes.enter(0b010, NOW).await,
            None,
            "behind the one that waits"
        );
        assert_eq!(lanes.enter(0b100, NOW).await, Some(Turn::Live));
        lanes.landed(0b001);
        assert_eq!(both.await, Some(Turn::Live));
    }

    #[tokio::test]
    async fn one_that_gave_up_holds_nobody_back() {
        let lanes = Lanes::default();
        assert_eq!(lanes.enter(0b01, SOON).await, Some(Turn::Live));
        assert_eq!(lanes.enter(0b11, NOW).await, None);
        assert_eq!(lanes.enter(0b10, SOON).await, Some(Turn::Live));
    }

    #[tokio::test]
    async fn a_lane_is_live_again_only_when_its_last_hint_is_drained() {
        let lanes = Lanes::default();
        lanes.enter(0b1, SOON).await;
        lanes.flown_to_hint(0b1);
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Spill));
        lanes.staged(0b1);
        lanes.drained([0b1]);
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Spill));
        lanes.unstaged(0b1);
        lanes.drained([0b1]);
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Live));
    }

    #[tokio::test]
    async fn a_hint_that_failed_leaves_its_flight_in_the_way() {
        let lanes = Lanes::default();
        lanes.enter(0b1, SOON).await;
        lanes.flown_to_hint(0b1);
        lanes.hint_to_flown(0b1);
        assert_eq!(lanes.enter(0b1, NOW).await, None);
        let clear = lanes.clear_of_flights(0b1);
        assert!(tokio::time::timeout(NOW, clear).await.is_err());
        lanes.landed(0b1);
        lanes.clear_of_flights(0b1).await;
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Live));
    }
}
