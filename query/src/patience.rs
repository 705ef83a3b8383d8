//! How long a statement may take where it was begun.
//!
//! Who runs a small statement on a thread that has other work gives it a little time. A statement that is not done
//! then ends as if it had been interrupted, and is run anew where it may take longer: so this is only
//! for statements that change nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::Error;

/// See the module's head.
#[derive(Debug)]
pub struct Patience {
    until: Instant,
    has_ended: AtomicBool,
}

impl Patience {
    /// From now on, for so long.
    #[must_use]
    pub fn new(time_max: Duration) -> Self {
        let now = Instant::now();
        Self {
            until: now.checked_add(time_max).unwrap_or(now),
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
        if self.has_ended() || Instant::now() >= self.until {
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
}
