//! How much of the time a drainer works while batches come in.
//!
//! What is drained takes processor, disk and backend from what comes in meanwhile. So then one request is under way at a
//! time, it is small, and before the next there is a rest, some times as long as the last one took. A backlog that
//! would not be gone soon at that pace, or grows, is drained faster step by step, up to all that the backend takes; one
//! that would is drained more gently again. While nothing comes in nobody is spared.

use std::time::Duration;

use tokio::time::Instant;

/// Somebody may be disturbed for so long after the last batch.
const QUIET_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked how far it came.
const LOOK: Duration = Duration::from_millis(500);
/// A backlog that takes longer is drained faster, one that takes a quarter of it more gently. An hour of 250 agents takes
/// this long at the gentlest step.
const GOAL: Duration = Duration::from_secs(600);
/// Where a backlog grew at some step, none as gentle is taken for so long: else it would go to and fro between one at which
/// it shrinks and one at which it grows, and never end.
const FLOOR_AGE_MAX: Duration = GOAL;
/// Bytes of a request, and how many halves of what it took the rest behind it is, step by step; at the last step there are
/// none, and as many requests at once as there may be. At the first one draining takes less than a hundredth of the time,
/// which the 99th percentile of what comes in hardly sees.
const STEPS: [(u64, u32); 10] = [
    (16 << 10, 256),
    (16 << 10, 128),
    (32 << 10, 64),
    (64 << 10, 64),
    (64 << 10, 32),
    (64 << 10, 16),
    (64 << 10, 8),
    (128 << 10, 4),
    (256 << 10, 2),
    (512 << 10, 1),
];
/// A rest is not longer, whatever the last request took.
const REST_MAX: Duration = Duration::from_millis(500);

/// See the module's head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    step: usize,
    /// Batches that had come in when it was last looked, and when the last new one was seen.
    arrivals: u64,
    arrived_at: Option<Instant>,
    /// When it was last looked how much is left, and how much that was.
    looked: Option<(Instant, u64)>,
    /// No step below this one is taken until then.
    floor: Option<(usize, Instant)>,
    /// The last request was sent then.
    sent_at: Option<Instant>,
    rest_until: Option<Instant>,
}

impl Pace {
    /// Takes note of how many batches have ever come in. When a backend comes back it is not known yet whether there is
    /// somebody to spare: then it is as if there were.
    pub(super) fn hear(&mut self, now: Instant, arrivals: u64) {
        if arrivals != self.arrivals || self.arrived_at.is_none() {
            self.arrivals = arrivals;
            self.arrived_at = Some(now);
        }
    }

    /// The backend takes nothing for now.
    pub(super) fn failed(&mut self) {
        *self = Self {
            arrivals: self.arrivals,
            ..Self::default()
        };
    }

    /// Takes note of how many bytes of the backlog are left, while the backend takes them.
    pub(super) fn look(&mut self, now: Instant, left: u64) {
        let (since, before) = *self.looked.get_or_insert((now, left));
        let passed = now.duration_since(since);
        if passed < LOOK {
            return;
        }
        self.looked = Some((now, left));
        if passed > LOOK * 4 || !self.is_gentle(now) && self.step < STEPS.len() {
            // It had nothing to do, or was not held back.
            return;
        }
        let done = before.saturating_sub(left);
        let to_go = passed.as_secs_f64() * left as f64 / done as f64;
        if done == 0 || to_go > GOAL.as_secs_f64() {
            self.step = (self.step + 1).min(STEPS.len());
            if left > before {
                self.floor = Some((self.step, now + FLOOR_AGE_MAX));
            }
        } else if to_go < GOAL.as_secs_f64() / 4.0 {
            let floor = self.floor.filter(|(_, until)| now < *until);
            let lowest = floor.map_or(0, |(step, _)| step);
            self.step = self.step.saturating_sub(1).max(lowest);
        }
    }

    /// Whether there is somebody to spare.
    pub(super) fn is_gentle(&self, now: Instant) -> bool {
        self.step < STEPS.len()
            && self
                .arrived_at
                .is_some_and(|at| now.duration_since(at) < QUIET_AFTER)
    }

    /// Bytes of one request, while it is gentle.
    pub(super) fn bytes_max(&self) -> u64 {
        STEPS.get(self.step).map_or(u64::MAX, |(bytes, _)| *bytes)
    }

    /// A request is on its way.
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent_at = Some(now);
    }

    /// A request has been answered.
    pub(super) fn answered(&mut self, now: Instant) {
        if let (Some(sent_at), Some((_, halves))) = (self.sent_at, STEPS.get(self.step)) {
            let rest = now.duration_since(sent_at) * *halves / 2;
            self.rest_until = Some(now + rest.min(REST_MAX));
        }
    }

    /// When the rest ends, if it is one.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.rest_until
            .filter(|until| *until > now && self.is_gentle(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Looks for some seconds, with a batch at each look, while so many bytes of `left` go each time.
    fn after(pace: &mut Pace, now: &mut Instant, mut left: u64, gone: i64) {
        for _ in 0..20 {
            *now += LOOK;
            left = left.saturating_add_signed(-gone);
            pace.hear(*now, pace.arrivals + 1);
            pace.look(*now, left);
        }
    }

    #[test]
    fn it_rests_in_proportion_while_batches_come_and_not_at_all_when_none_do() {
        let (mut pace, came_back) = (Pace::default(), Instant::now());
        pace.hear(came_back, 0);
        assert!(pace.is_gentle(came_back), "somebody may be there");
        let begun = came_back + QUIET_AFTER;
        pace.hear(begun, 0);
        pace.look(begun, 1 << 30);
        pace.sent(begun);
        pace.answered(begun + MS * 2);
        assert_eq!(pace.rests_until(begun + MS * 2), None, "nobody is there");
        pace.hear(begun + MS * 3, 1);
        pace.sent(begun + MS * 3);
        pace.answered(begun + MS * 5);
        let rested = begun + MS * 5 + MS * STEPS[0].1;
        assert_eq!(pace.rests_until(begun + MS * 5), Some(rested));
        assert_eq!(pace.rests_until(rested), None);
        pace.sent(begun);
        pace.answered(begun + REST_MAX);
        assert_eq!(
            pace.rests_until(begun + REST_MAX),
            Some(begun + REST_MAX * 2)
        );
        pace.sent(begun);
        pace.answered(begun + QUIET_AFTER + MS * 4);
        assert_eq!(pace.rests_until(begun + QUIET_AFTER + MS * 4), None);
    }

    #[test]
    fn a_backlog_that_would_not_end_soon_is_drained_at_full_speed_in_the_end() {
        for gone in [0, 1_000] {
            let (mut pace, mut now) = (Pace::default(), Instant::now());
            after(&mut pace, &mut now, 1 << 30, gone);
            assert!(!pace.is_gentle(now), "{gone} bytes at a time");
            // Once little is left it spares the others again.
            after(&mut pace, &mut now, 1 << 30, 40 << 20);
            assert!(pace.is_gentle(now), "{gone} bytes at a time");
            assert_eq!(pace.bytes_max(), STEPS[0].0);
        }
    }

    #[test]
    fn a_step_at_which_a_backlog_grew_is_not_taken_again_soon() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        after(&mut pace, &mut now, 1 << 30, -1_000_000);
        assert!(!pace.is_gentle(now));
        after(&mut pace, &mut now, 1 << 30, 40 << 20);
        assert!(!pace.is_gentle(now), "it would grow again");
        now += FLOOR_AGE_MAX;
        after(&mut pace, &mut now, 1 << 30, 40 << 20);
        assert!(pace.is_gentle(now) && pace.step == 0);
    }

    /// It counted the time in which the backend was away as slow draining, and drained at full speed when it came back.
    #[test]
    fn it_begins_gently_after_a_failure() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        after(&mut pace, &mut now, 1 << 30, -1_000_000);
        assert!(!pace.is_gentle(now));
        pace.failed();
        now += LOOK * 3;
        pace.hear(now, pace.arrivals);
        assert!(pace.is_gentle(now) && pace.step == 0);
        pace.hear(now, pace.arrivals + 1);
        pace.look(now, 1 << 30);
        assert!(
            pace.is_gentle(now) && pace.step == 0,
            "nothing is known yet"
        );
    }

    #[test]
    fn one_that_ends_soon_is_drained_gently() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        after(&mut pace, &mut now, 1 << 30, 1 << 20);
        assert!(pace.is_gentle(now) && pace.step == 0);
    }
}
