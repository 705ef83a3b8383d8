//! What a drainer sends off, and what it puts aside.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{Drainer, Source, drain};
use crate::backlog::Backlog;
use crate::bundle::Bundle;
use crate::held::{Moved, Way};
use crate::lane::Ahead;
use crate::marks::Settle;
use crate::off_loop::off_loop;
use crate::parcel::Parcel;
use crate::scope::{Domain, Kind, Scope};
use crate::stride::Stride;
use crate::verdict::Lack;
use crate::window::State;

/// When so many hints have found no place, those behind them are not asked.
const UNSEATED_MAX: usize = 64;

/// What is to fly, while it is put together.
struct Take {
    bundles: Vec<Bundle>,
    /// How many there may be.
    bundles_max: usize,
    stride: Stride,
}

/// Where a hint goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    /// With others.
    In(usize),
    /// Into a request of its own.
    New,
    /// It has to wait.
    None,
}

impl Take {
    /// Where a hint may go that nothing else is before: not beside one that it has to follow.
    fn seat(&self, scope: &Scope, parcel: &Parcel) -> Seat {
        let mut before = (0..).zip(&self.bundles).filter(|(_, b)| b.precedes(scope));
        match (before.next(), before.next()) {
            (Some((at, bundle)), None) if bundle.takes(parcel, &self.stride) => Seat::In(at),
            (Some(_), _) => Seat::None,
            (None, _) => {
                let found = self
                    .bundles
                    .iter()
                    .position(|b| b.takes(parcel, &self.stride));
                match found {
                    Some(at) => Seat::In(at),
                    None if self.bundles.len() < self.bundles_max => Seat::New,
                    None => Seat::None,
                }
            }
        }
    }
}

impl Drainer {
    /// Sends off what may go. Gives the time at which to look again, and whether to do so when a
    /// live write lands.
    pub(super) async fn dispatch(&mut self) -> (Option<Instant>, bool) {
        let now = Instant::now();
        self.paused_until = self.paused_until.filter(|until| *until > now);
        let arrivals = self.backend.arrivals.load(Ordering::Relaxed);
        self.pace.hear(now, arrivals);
        if !self.probing && self.paused_until.is_none() {
            let passed: u64 = self.passed.iter().map(|passed| passed.bytes).sum();
            let left = self.backlog.pending().1.saturating_sub(passed);
            self.pace.look(now, left);
        }
        let (flights_max, stride) = if self.probing {
            (1, Stride::new(0))
        } else if self.is_gentle(now) {
            if self.paused_until.is_none()
                && let Some(until) = self.rests_until(now)
            {
                return (Some(until), false);
            }
            (1, self.stride.at_most(self.pace.bytes_max()))
        } else {
            (self.manner.flights_max, self.stride)
        };
        let mut take = Take {
            bundles: Vec::new(),
            bundles_max: flights_max.saturating_sub(self.flights.len()),
            stride,
        };
        if self.paused_until.is_some() || take.bundles_max == 0 {
            // A landing wakes it, too.
            return (self.paused_until, false);
        }
        let mut waits_for_lanes = false;
        let mut unseated = 0;
        let mut wake_at: Option<Instant> = None;
        let mut at_the_latest = |at: Instant| {
            wake_at = Some(wake_at.map_or(at, |wake_at| wake_at.min(at)));
        };
        let mut ahead = Ahead::default();
        for index in 0..self.window.len() {
            let Some(item) = self.window.at(index) else {
                break;
            };
            let scope = item.head.scope;
            let State::Waiting(parcel) = &item.state else {
                item.stand_in_the_way(&mut ahead);
                continue;
            };
            if ahead.precedes(&scope) {
                ahead.add(&scope);
                continue;
            }
            let seat = take.seat(&scope, parcel);
            let (settle, is_wanted) = self.backlog.due(item.sequence);
            match settle {
                Settle::Now => {}
                Settle::At(at) if at <= now => {}
                Settle::At(at) => {
                    at_the_latest(at);
                    ahead.add(&scope);
                    continue;
                }
                Settle::InFlight => {
                    ahead.add(&scope);
                    continue;
                }
            }
            if !is_wanted {
                item.state = State::Done;
                continue;
            }
            if let Some(not_before) = item.not_before.filter(|at| *at > now) {
                at_the_latest(not_before);
                ahead.add(&scope);
                continue;
            }
            if self.held.is_none() && self.backend.queue.held.way(&item.head) != Way::Free {
                // Not past one that is about to fly, and may come back.
                let is_first = !take.bundles.iter().any(|bundle| bundle.precedes(&scope));
                if !is_first || !self.hold(index, None).await {
                    ahead.add(&scope);
                }
                continue;
            }
            if seat == Seat::None {
                // What is about to fly wakes it when it has landed.
                unseated += 1;
                if unseated > UNSEATED_MAX {
                    break;
                }
                ahead.add(&scope);
                continue;
            }
            if self.backend.lanes.is_behind_a_flight(scope) {
                waits_for_lanes = true;
                ahead.add(&scope);
                continue;
            }
            let item = self.window.at(index);
            let part = item.and_then(|item| Some((item.sequence, item.take_off()?)));
            match (part, seat) {
                (Some(part), Seat::In(at)) => match take.bundles.get_mut(at) {
                    Some(bundle) => bundle.add(part),
                    None => take.bundles.push(Bundle::new(part, &take.stride)),
                },
                (Some(part), _) => take.bundles.push(Bundle::new(part, &take.stride)),
                (None, _) => ahead.add(&scope),
            }
        }
        if !take.bundles.is_empty() {
            self.pace.sent(now);
        }
        for bundle in take.bundles {
            let backend = self.backend.clone();
            self.flights
                .spawn(async move { bundle.deliver(&backend).await });
        }
        (wake_at, waits_for_lanes)
    }

    /// Moves a hint to what is held; false when it stays.
    pub(super) async fn hold(&mut self, index: usize, lack: Option<Lack>) -> bool {
        let Some((sequence, (head, body))) = self
            .window
            .at(index)
            .and_then(|item| Some((item.sequence, item.parcel().map(Parcel::rest)?)))
        else {
            return false;
        };
        if head.scope.kind == Kind::Make {
            return false;
        }
        let backend = self.backend.clone();
        let mut result = self.backlog.take_expectation(sequence);
        let holding = off_loop(move || {
            let moved = backend.queue.held.hold(&head, &body, lack, &mut result);
            (moved, result)
        });
        let (moved, result) = holding.await;
        if let Some(result) = result {
            self.backlog.expects(sequence, result);
        }
        match moved {
            Ok(Moved::No) => false,
            Ok(Moved::Failed(domain, backlog)) => {
                self.adopt(domain, backlog);
                self.rest(None);
                false
            }
            Ok(moved) => {
                if let Some(item) = self.window.at(index) {
                    item.state = State::Moved;
                }
                if let Moved::New(domain, backlog) = moved {
                    self.adopt(domain, backlog);
                }
                true
            }
            Err(error) => {
                let what = "a refused batch cannot be put aside and is in the way of others";
                self.backend.report.trouble(what, &error);
                self.rest(None);
                false
            }
        }
    }

    pub(super) fn adopt(&mut self, domain: Domain, backlog: Arc<Backlog>) {
        let source = Source::Held(domain, backlog);
        self.children
            .spawn(drain(self.backend.clone(), source, self.manner.clone()));
    }
}
