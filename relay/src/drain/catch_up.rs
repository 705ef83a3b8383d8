//! The end of a backlog.
//!
//! Batches that must follow a hint queue up behind it in the log. Where they come in faster than a hint takes from the log
//! to the backend, there would always be one more, and the backend would never be live again. So when little is left
//! and the backend is quick, they wait a moment for the rest to be delivered, and then go live. Nobody waits longer
//! than for a slow backend.

use std::time::Duration;

use tokio::time::Instant;

use super::Drainer;

/// This is little.
const HINTS_MAX: u64 = 512;
const BYTES_MAX: u64 = 1 << 20;
/// So long they wait at most.
const WAIT_MAX: Duration = Duration::from_millis(250);
/// After one that came to nothing there is none for so long.
const REST: Duration = Duration::from_secs(1);

/// See the module's head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CatchUp {
    /// The backend has taken a hint, and failed at none since.
    pub(super) is_flowing: bool,
    /// Batches wait, until then.
    until: Option<Instant>,
    not_before: Option<Instant>,
}

impl CatchUp {
    /// Whether batches wait.
    pub(super) const fn is_on(&self) -> bool {
        self.until.is_some()
    }
}

impl Drainer {
    /// Has batches wait, or lets them go on. Gives the time at which to look again.
    pub(super) fn catch_up(&mut self) -> Option<Instant> {
        if self.held.is_some() {
            return None;
        }
        let now = Instant::now();
        let (hints, bytes) = self.backlog.pending();
        if let Some(until) = self.catch_up.until {
            if hints == 0 {
                self.backend.lanes.hold_back(false);
                self.catch_up.until = None;
            } else if until <= now {
                self.give_up_catching_up();
            }
            return self.catch_up.until;
        }
        let is_near = (1..=HINTS_MAX).contains(&hints) && bytes <= BYTES_MAX;
        let may = self.catch_up.is_flowing
            && self.paused_until.is_none()
            && self.catch_up.not_before.is_none_or(|at| at <= now)
            // One whose live write is still under way takes as long as that does.
            && self.backlog.all_are_settled()
            && self.backend.queue.held.totals().0 == 0;
        if is_near && may {
            self.backend.lanes.hold_back(true);
            let wait = self.backend.link().hedge_delay.min(WAIT_MAX);
            self.catch_up.until = Some(now + wait);
        }
        self.catch_up.until
    }

    /// Lets those that wait go to the log, and has none wait for a while.
    pub(super) fn give_up_catching_up(&mut self) {
        if self.catch_up.until.take().is_some() {
            self.catch_up.not_before = Some(Instant::now() + REST);
            self.backend.lanes.hold_back(false);
        }
    }
}
