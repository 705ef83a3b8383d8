//! A limit on bytes per second.

use std::time::{Duration, Instant};

/// Lets so many bytes pass in a second, and a second's worth at once after a rest.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// 0 for no limit.
    bytes_per_s: u64,
    /// When all that passed would have passed at an even pace.
    paid_until: Instant,
}

/// How much may pass at once after a rest.
const BURST: Duration = Duration::from_secs(1);

impl Limiter {
    pub(crate) fn new(bytes_per_s: u64, now: Instant) -> Self {
        Self {
            bytes_per_s,
            paid_until: now,
        }
    }

    /// Counts `bytes` that pass `now`, and says how long to wait before more do.
    pub(crate) fn pass(&mut self, bytes: u64, now: Instant) -> Duration {
        if self.bytes_per_s == 0 {
            return Duration::ZERO;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_s as f64);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        self.paid_until = self.paid_until.max(earliest) + cost;
        self.paid_until.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut limiter = Limiter::new(1_000, start);
        let rested = start + Duration::from_secs(5);
        assert_eq!(limiter.pass(1_000, rested), Duration::ZERO);
        assert_eq!(limiter.pass(500, rested), Duration::from_millis(500));
        let later = rested + Duration::from_millis(400);
        assert_eq!(limiter.pass(100, later), Duration::from_millis(200));
        let rested = later + Duration::from_secs(60);
        assert_eq!(limiter.pass(2_000, rested), Duration::from_secs(1));
    }

    #[test]
    fn zero_is_no_limit() {
        let now = Instant::now();
        assert_eq!(Limiter::new(0, now).pass(u64::MAX, now), Duration::ZERO);
    }
}
