//! Logs that repeat are said once a minute, with how often they were not.

use std::time::{Duration, Instant};

/// Time between two logs of the same thing.
const PAUSE: Duration = Duration::from_secs(60);

/// Decides whether to speak.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    last: Option<Instant>,
    silent: u64,
}

impl Throttle {
    /// `Some` when it is time to speak again, with how often it was not since.
    pub(crate) fn speak(&mut self, now: Instant) -> Option<u64> {
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < PAUSE)
        {
            self.silent += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_the_silent_are_counted() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.speak(start), Some(0));
        assert_eq!(throttle.speak(start + PAUSE / 2), None);
        assert_eq!(throttle.speak(start + PAUSE / 2), None);
        assert_eq!(throttle.speak(start + PAUSE), Some(2));
        assert_eq!(throttle.speak(start + PAUSE * 2), Some(0));
    }
}
