//! How long a statement may take where it was begun.
//!
//! Time passes also while other threads have the processor, most of all when large statements run: so a statement
//! that has hardly done anything yet is waited for longer.
//!
//! Who runs a small statement on a thread that has other work gives it a little time. A statement that is not done
//! then ends as if it had been interrupted, and is run anew where it may take longer: so this is only
//! for statements that change nothing.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::error::Error;

/// Steps of a statement, of some microseconds at most, that are little.
const STEPS_FEW: u32 = 64;
/// By so much longer such a statement is waited for.
const LONGER: u32 = 10;

/// See the module's head.
#[derive(Debug)]
pub struct Patience {
    until: Instant,
    at_last: Instant,
    steps: AtomicU32,
    has_ended: AtomicBool,
}

impl Patience {
    /// From now on, for so long, or ten times as long where little is done in that time.
    #[must_use]
    pub fn new(time_max: Duration) -> Self {
        let now = Instant::now();
        Self {
            until: now.checked_add(time_max).unwrap_or(now),
            at_last: now.checked_add(time_max * LONGER).unwrap_or(now),
            steps: AtomicU32::new(0),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Whether a statement was ended by this.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Fails when the time is over.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let steps = self.steps.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let is_over = now >= self.at_last || (now >= self.until && steps >= STEPS_FEW);
        if self.has_ended() || is_over {
            return Err(self.end());
        }
        Ok(())
    }

    /// Ends it: what comes next would take too long.
    pub(crate) fn end(&self) -> Error {
        self.has_ended.store(true, Ordering::Relaxed);
        Error::Interrupted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_once_and_for_all() {
        let patience = Patience::new(Duration::from_secs(3600));
        assert!(patience.check().is_ok() && !patience.has_ended());
        let none = Patience::new(Duration::ZERO);
        assert!(!none.has_ended());
        assert!(none.check().is_err() && none.has_ended());
    }

    #[test]
    fn who_has_done_little_is_waited_for() {
        let mut patience = Patience::new(Duration::from_secs(3600));
        patience.until = Instant::now();
        for _ in 0..STEPS_FEW {
            assert!(patience.check().is_ok());
        }
        assert!(patience.check().is_err() && patience.check().is_err());
    }
}
