//! A clock that is turned by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tandem_vfs::Clock;

/// Shows the time that a test gives it.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now_ns` nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn new(now_ns: i64) -> Self {
        ManualClock(AtomicI64::new(now_ns))
    }

    /// Sets the time, backwards too.
    pub fn set(&self, now_ns: i64) {
        self.0.store(now_ns, Ordering::SeqCst);
    }

    /// Turns the clock forward. Stops at the last instant that it can show.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                Some(now.saturating_add(by))
            })
            .ok();
    }
}

impl Clock for ManualClock {
    fn now_ns(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_what_it_was_set_to() {
        let clock = ManualClock::new(-5);
        assert_eq!(clock.now_ns(), -5);
        clock.advance(Duration::from_micros(1));
        assert_eq!(clock.now_ns(), 995);
        clock.set(7);
        assert_eq!(clock.now_ns(), 7);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now_ns(), i64::MAX);
    }
}
