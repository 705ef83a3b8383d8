//! Logs that repeat are said once a minute, with how often they were not.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two logs of the same thing.
const PAUSE: Duration = Duration::from_secs(60);

/// Decides whether to speak.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    silent: u64,
}

impl Throttle {
    /// `Some` when it is time to speak again, with how often it was not since.
    pub(crate) fn speak(&self) -> Option<u64> {
        self.speak_at(Instant::now())
    }

    fn speak_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state
            .last
            .is_some_and(|last| now.duration_since(last) < PAUSE)
        {
            state.silent += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_the_silent_are_counted() {
        let throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.speak_at(start), Some(0));
        assert_eq!(throttle.speak_at(start + PAUSE / 2), None);
        assert_eq!(throttle.speak_at(start + PAUSE), Some(1));
        assert_eq!(throttle.speak_at(start + PAUSE * 2), Some(0));
    }
}
