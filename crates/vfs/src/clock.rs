//! Time as a value.

use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time of day. Durations that must not jump are measured with `Instant` instead.
pub trait Clock: Debug + Send + Sync {
    /// Nanoseconds since 1970-01-01T00:00:00Z; may go backwards when the host's clock is set.
    fn now_ns(&self) -> i64;
}

/// The host's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ns(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => clamp_ns(since),
            Err(before) => -clamp_ns(before.duration()),
        }
    }
}

fn clamp_ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
