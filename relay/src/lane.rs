//! The lanes of one backend: who may write to it now, and whether live or through the log.
//!
//! A lane is a group of series of one database (`tandem_line::scan`). Two requests of which one must
//! follow the other ([`Scope::follows`]) never fly together to one backend, because pooled
//! connections reorder. Counted are, for each lane of each database,
//! - `flying`: requests on the wire that no hint stands for,
//! - `staging`: requests about to get their place in the log,
//! - `spilled`: hints that the backend has not durably passed.
//!
//! What always holds:
//! - of requests that must keep their order at most one is flying or staging, and turns are given in
//!   order of arrival;
//! - a request that must follow a hint goes to the log, behind it;
//! - a lane is live again only when every hint in it is durably passed.
//!
//! Near the end of a backlog ([`Lanes::hold_back`]) what must follow a hint waits here instead.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem_line::LANES;
use tokio::sync::{Notify, oneshot};

use crate::scope::{Domain, Kind, Scope};

/// Databases whose counts are kept although nothing of them is under way.
const IDLE_DOMAINS_MAX: usize = 64;

/// How a request goes to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// On the wire: it is flying until [`Lanes::landed`] or [`Lanes::flown_to_hint`].
    Live,
    /// Through the log: it is staging until [`Lanes::staged`] or [`Lanes::unstaged`].
    Spill,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    state: Mutex<State>,
    /// Something stopped flying.
    landed: Notify,
}

#[derive(Debug, Default)]
struct State {
    flying: Tally,
    staging: Tally,
    spilled: Tally,
    waiters: VecDeque<Waiter>,
    next_id: u64,
    /// Nobody is to go to the log.
    is_held_back: bool,
}

/// A place in the queue before the lanes. To be handed to [`Lanes::turn`]: one that has its turn
/// and is dropped blocks its lanes.
#[derive(Debug)]
pub(crate) enum Place {
    /// It was free.
    Given(Turn),
    /// Somebody is before it.
    Waiting {
        id: u64,
        turn: oneshot::Receiver<Turn>,
    },
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    scope: Scope,
    turn: oneshot::Sender<Turn>,
}

impl Lanes {
    /// Queues up. Whoever writes to several backends does this for all of them before anyone else
    /// does it for one, so that all see the same order.
    pub(crate) fn queue_up(&self, scope: Scope) -> Place {
        let mut state = self.lock();
        let is_free = !state.blocks(&scope)
            && !state
                .waiters
                .iter()
                .any(|waiter| scope.follows(&waiter.scope));
        if is_free {
            return Place::Given(state.take(&scope));
        }
        let (sender, turn) = oneshot::channel();
        let id = state.next_id;
        state.next_id += 1;
        state.waiters.push_back(Waiter {
            id,
            scope,
            turn: sender,
        });
        Place::Waiting { id, turn }
    }

    /// Waits for the turn of one that has queued up; `None` when it does not come within
    /// `wait_max`: the place is given up then.
    pub(crate) async fn turn(&self, place: Place, wait_max: Duration) -> Option<Turn> {
        let (id, mut turn) = match place {
            Place::Given(turn) => return Some(turn),
            Place::Waiting { id, turn } => (id, turn),
        };
        if let Ok(Ok(turn)) = tokio::time::timeout(wait_max, &mut turn).await {
            return Some(turn);
        }
        let mut state = self.lock();
        let before = state.waiters.len();
        state.waiters.retain(|waiter| waiter.id != id);
        if state.waiters.len() < before {
            // Those behind it may have waited for it alone.
            state.give_turns();
            return None;
        }
        turn.try_recv().ok()
    }

    /// A request on the wire was answered, and needs no hint.
    pub(crate) fn landed(&self, scope: Scope) {
        let mut state = self.lock();
        state.flying.sub(&scope);
        state.give_turns();
        drop(state);
        self.landed.notify_waiters();
    }

    /// A request on the wire has got its place in the log.
    pub(crate) fn flown_to_hint(&self, scope: Scope) {
        let mut state = self.lock();
        state.flying.sub(&scope);
        state.spilled.add(&scope);
        state.give_turns();
        drop(state);
        self.landed.notify_waiters();
    }

    /// The hint of a request on the wire did not become durable: the wire alone counts again.
    pub(crate) fn hint_to_flown(&self, scope: Scope) {
        let mut state = self.lock();
        state.spilled.sub(&scope);
        state.flying.add(&scope);
    }

    /// A request has got its place in the log.
    pub(crate) fn staged(&self, scope: Scope) {
        let mut state = self.lock();
        state.staging.sub(&scope);
        state.spilled.add(&scope);
        state.give_turns();
    }

    /// A request got no place in the log.
    pub(crate) fn unstaged(&self, scope: Scope) {
        let mut state = self.lock();
        state.staging.sub(&scope);
        state.give_turns();
    }

    /// A hint was found in the log at the start.
    pub(crate) fn recovered(&self, scope: Scope) {
        self.lock().spilled.add(&scope);
    }

    /// Hints are durably passed now, or never became durable.
    pub(crate) fn drained(&self, scopes: impl IntoIterator<Item = Scope>) {
        let mut state = self.lock();
        for scope in scopes {
            state.spilled.sub(&scope);
        }
        state.give_turns();
    }

    /// Whether requests that must follow a hint wait until it is passed, instead of going to the log behind it.
    pub(crate) fn hold_back(&self, is_held_back: bool) {
        let mut state = self.lock();
        state.is_held_back = is_held_back;
        state.give_turns();
    }

    /// Whether a hint stands in the log that this would have to follow.
    pub(crate) fn is_spilled(&self, scope: Scope) -> bool {
        self.lock().spilled.precedes(&scope)
    }

    /// Whether anything is on the wire that this would have to follow.
    pub(crate) fn is_behind_a_flight(&self, scope: Scope) -> bool {
        self.lock().flying.precedes(&scope)
    }

    /// Waits until something lands after the call of this function; to be called before what it is
    /// waited for is looked at.
    pub(crate) fn next_landing(&self) -> tokio::sync::futures::Notified<'_> {
        self.landed.notified()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn give_turns(&mut self) {
        let mut ahead = Ahead::default();
        let mut at = 0;
        while let Some(waiter) = self.waiters.get(at) {
            let scope = waiter.scope;
            if self.blocks(&scope) || ahead.precedes(&scope) {
                ahead.add(&scope);
                at += 1;
                continue;
            }
            let Some(waiter) = self.waiters.remove(at) else {
                return;
            };
            // One that has gone away takes no turn.
            let turn = self.take(&scope);
            if waiter.turn.send(turn).is_err() {
                match turn {
                    Turn::Live => self.flying.sub(&scope),
                    Turn::Spill => self.staging.sub(&scope),
                }
            }
        }
    }

    /// Whether it has to wait for something that is under way.
    fn blocks(&self, scope: &Scope) -> bool {
        self.flying.precedes(scope)
            || self.staging.precedes(scope)
            || self.is_held_back && self.spilled.precedes(scope)
    }

    /// Takes the lanes of one that nobody is before.
    fn take(&mut self, scope: &Scope) -> Turn {
        if self.spilled.precedes(scope) {
            self.staging.add(scope);
            Turn::Spill
        } else {
            self.flying.add(scope);
            Turn::Live
        }
    }
}

/// What stands before a request and has not ended: a short list, for there are few databases.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    scopes: Vec<Scope>,
}

impl Ahead {
    pub(crate) fn add(&mut self, scope: &Scope) {
        let same = self
            .scopes
            .iter_mut()
            .find(|other| other.kind == scope.kind && other.domain == scope.domain);
        match same {
            Some(other) => other.lanes |= scope.lanes,
            None => self.scopes.push(*scope),
        }
    }

    pub(crate) fn precedes(&self, scope: &Scope) -> bool {
        self.scopes.iter().any(|earlier| scope.follows(earlier))
    }
}

/// Requests in one condition, counted so that [`Scope::follows`] can be asked of all at once.
#[derive(Debug, Default)]
struct Tally {
    domains: HashMap<Domain, Counts>,
    /// Writes to any database.
    writes: u64,
    statements: u64,
    /// Statements that concern every database.
    statements_on_all: u64,
}

impl Tally {
    fn precedes(&self, scope: &Scope) -> bool {
        let counts = || scope.domain.and_then(|domain| self.domains.get(&domain));
        match scope.kind {
            Kind::Write => {
                self.statements_on_all > 0
                    || counts().is_some_and(|counts| {
                        counts.statements > 0 || counts.mask & scope.lanes != 0
                    })
            }
            Kind::Make => self.statements > 0,
            Kind::Destroy => {
                self.statements > 0
                    || match scope.domain {
                        Some(_) => counts().is_some_and(|counts| counts.writes > 0),
                        None => self.writes > 0,
                    }
            }
        }
    }

    fn add(&mut self, scope: &Scope) {
        match (scope.kind, scope.domain) {
            (Kind::Write, domain) => {
                self.writes += 1;
                self.counts(domain.unwrap_or_default()).add(scope.lanes);
            }
            (_, domain) => {
                self.statements += 1;
                match domain {
                    Some(domain) => self.counts(domain).statements += 1,
                    None => self.statements_on_all += 1,
                }
            }
        }
    }

    fn sub(&mut self, scope: &Scope) {
        match (scope.kind, scope.domain) {
            (Kind::Write, domain) => {
                self.writes = self.writes.saturating_sub(1);
                self.counts(domain.unwrap_or_default()).sub(scope.lanes);
            }
            (_, domain) => {
                self.statements = self.statements.saturating_sub(1);
                let of_domain = match domain {
                    Some(domain) => &mut self.counts(domain).statements,
                    None => &mut self.statements_on_all,
                };
                *of_domain = of_domain.saturating_sub(1);
            }
        }
        let domain = scope.domain.unwrap_or_default();
        let idle = |counts: &Counts| counts.writes == 0 && counts.statements == 0;
        if self.domains.len() > IDLE_DOMAINS_MAX && self.domains.get(&domain).is_some_and(idle) {
            self.domains.remove(&domain);
        }
    }

    fn counts(&mut self, domain: Domain) -> &mut Counts {
        self.domains.entry(domain).or_default()
    }
}

/// Of one database: a number for each lane, and which of them are not zero.
#[derive(Debug)]
struct Counts {
    of: [u32; LANES as usize],
    mask: u64,
    writes: u64,
    statements: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            of: [0; LANES as usize],
            mask: 0,
            writes: 0,
            statements: 0,
        }
    }
}

impl Counts {
    fn add(&mut self, lanes: u64) {
        self.writes += 1;
        for lane in ones(lanes) {
            self.of[lane] += 1;
        }
        self.mask |= lanes;
    }

    fn sub(&mut self, lanes: u64) {
        debug_assert!(self.writes > 0, "a write is counted off twice");
        self.writes = self.writes.saturating_sub(1);
        for lane in ones(lanes) {
            self.of[lane] = self.of[lane].saturating_sub(1);
            if self.of[lane] == 0 {
                self.mask &= !(1 << lane);
            }
        }
    }
}

/// The lanes of a mask.
fn ones(mut lanes: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = (lanes != 0).then(|| lanes.trailing_zeros() as usize);
        lanes &= lanes.wrapping_sub(1);
        lane
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const NOW: Duration = Duration::ZERO;

    impl Lanes {
        async fn enter(&self, mask: u64, wait_max: Duration) -> Option<Turn> {
            self.turn(self.queue_up(on(mask)), wait_max).await
        }
    }

    /// Lanes of one database.
    fn on(lanes: u64) -> Scope {
        Scope::write("d", lanes)
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
        lanes.landed(on(0b01));
        assert_eq!(second.await, Some(Turn::Live));
        assert!(tokio::time::timeout(NOW, &mut third).await.is_err());
        lanes.landed(on(0b01));
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
        lanes.landed(on(0b001));
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
        lanes.flown_to_hint(on(0b1));
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Spill));
        lanes.staged(on(0b1));
        lanes.drained([on(0b1)]);
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Spill));
        lanes.unstaged(on(0b1));
        lanes.drained([on(0b1)]);
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Live));
    }

    #[tokio::test]
    async fn while_held_back_what_follows_a_hint_waits_for_it_and_goes_live() {
        let lanes = Lanes::default();
        lanes.enter(0b1, SOON).await;
        lanes.flown_to_hint(on(0b1));
        lanes.hold_back(true);
        let (first, second) = (lanes.queue_up(on(0b1)), lanes.queue_up(on(0b11)));
        assert_eq!(
            lanes.enter(0b100, NOW).await,
            Some(Turn::Live),
            "has nothing to follow"
        );
        assert_eq!(lanes.enter(0b10, NOW).await, None, "behind the second");
        lanes.drained([on(0b1)]);
        assert_eq!(lanes.turn(first, NOW).await, Some(Turn::Live));
        lanes.flown_to_hint(on(0b1));
        lanes.hold_back(false);
        assert_eq!(lanes.turn(second, NOW).await, Some(Turn::Spill));
    }

    #[tokio::test]
    async fn a_hint_that_failed_leaves_its_flight_in_the_way() {
        let lanes = Lanes::default();
        lanes.enter(0b1, SOON).await;
        lanes.flown_to_hint(on(0b1));
        lanes.hint_to_flown(on(0b1));
        assert_eq!(lanes.enter(0b1, NOW).await, None);
        assert!(lanes.is_behind_a_flight(on(0b1)));
        lanes.landed(on(0b1));
        assert!(!lanes.is_behind_a_flight(on(0b1)));
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Live));
    }

    #[tokio::test]
    async fn databases_do_not_wait_for_each_other() {
        let lanes = Lanes::default();
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Live));
        let other = lanes.queue_up(Scope::write("other", 0b1));
        assert_eq!(lanes.turn(other, NOW).await, Some(Turn::Live));
        lanes.flown_to_hint(on(0b1));
        lanes.landed(Scope::write("other", 0b1));
        let other = lanes.queue_up(Scope::write("other", 0b1));
        assert_eq!(lanes.turn(other, NOW).await, Some(Turn::Live));
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Spill));
    }

    #[tokio::test]
    async fn a_statement_that_destroys_comes_behind_the_writes_before_it_and_before_those_behind_it()
     {
        let lanes = Lanes::default();
        let destroy = Scope {
            kind: Kind::Destroy,
            domain: Some(crate::scope::domain("d")),
            lanes: 0,
        };
        let make = Scope {
            kind: Kind::Make,
            ..destroy
        };
        assert_eq!(lanes.enter(0b1, SOON).await, Some(Turn::Live));
        let place = lanes.queue_up(destroy);
        assert_eq!(lanes.enter(0b10, NOW).await, None);
        lanes.landed(on(0b1));
        assert_eq!(lanes.turn(place, SOON).await, Some(Turn::Live));
        lanes.flown_to_hint(destroy);
        assert_eq!(lanes.enter(0b10, SOON).await, Some(Turn::Spill));
        lanes.staged(on(0b10));
        lanes.drained([destroy]);
        // One that makes something does not wait for writes in the log.
        let place = lanes.queue_up(make);
        assert_eq!(lanes.turn(place, SOON).await, Some(Turn::Live));
    }
}
