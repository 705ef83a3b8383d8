//! How much of a backlog goes out as one request.
//!
//! It begins small and doubles while the backend is quick, so that a backlog is soon drained by the largest
//! requests; it halves when one takes long, so that live writes beside it do not wait behind large ones; and
//! after a failure it begins anew, for on a slow network a large request would run out of time again and again.

use std::time::Duration;

/// At first, and after a failure.
const BYTES_FIRST: u64 = 16 << 10;
/// Not less.
const BYTES_MIN: u64 = 1 << 10;
/// Lines of one request.
const LINES_MAX: u64 = 5_000;
/// A backend that takes longer gets less at once.
const SLOW: Duration = Duration::from_millis(250);
/// One that is done sooner gets more.
const QUICK: Duration = Duration::from_millis(100);

/// See the module's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stride {
    bytes: u64,
    bytes_max: u64,
}

impl Stride {
    /// Grows up to `bytes_max`; 0 for hints that all go alone.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes: BYTES_FIRST.min(bytes_max),
            bytes_max,
        }
    }

    /// The same, for requests of no more bytes than this.
    pub(crate) fn at_most(self, bytes_max: u64) -> Self {
        Self {
            bytes: self.bytes.min(bytes_max),
            ..self
        }
    }

    /// Whether a request may hold so much.
    pub(crate) const fn allows(&self, bytes: u64, lines: u64) -> bool {
        bytes <= self.bytes && lines <= LINES_MAX
    }

    /// A request of so many bytes was answered after this time.
    pub(crate) fn answered(&mut self, bytes: u64, took: Duration) {
        if took > SLOW {
            self.bytes = (self.bytes / 2).max(BYTES_MIN).min(self.bytes_max);
        } else if took < QUICK && bytes > self.bytes / 2 {
            self.bytes = (self.bytes * 2).min(self.bytes_max);
        }
    }

    /// A request of so many bytes was too large for the backend, which will not change.
    pub(crate) fn too_large(&mut self, bytes: u64) {
        self.bytes_max = self.bytes_max.min(bytes / 2);
        self.bytes = self.bytes.min(self.bytes_max);
    }

    /// A request failed.
    pub(crate) fn failed(&mut self) {
        self.bytes = BYTES_FIRST.min(self.bytes_max).min(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_grows_while_full_ones_are_quick_and_shrinks_when_they_are_not() {
        let mut stride = Stride::new(1 << 20);
        for _ in 0..20 {
            stride.answered(100, MS);
        }
        assert!(
            !stride.allows(BYTES_FIRST + 1, 1),
            "small ones prove nothing"
        );
        for _ in 0..20 {
            stride.answered(stride.bytes, MS);
        }
        assert!(stride.allows(1 << 20, LINES_MAX));
        assert!(!stride.allows((1 << 20) + 1, 1) && !stride.allows(1, LINES_MAX + 1));
        stride.answered(1 << 20, SLOW + MS);
        assert!(stride.allows(1 << 19, 1) && !stride.allows((1 << 19) + 1, 1));
        stride.answered(1 << 19, QUICK + MS);
        assert!(!stride.allows((1 << 19) + 1, 1), "neither quick nor slow");
        stride.failed();
        assert!(!stride.allows(BYTES_FIRST + 1, 1));
        for _ in 0..20 {
            stride.answered(stride.bytes, SLOW + MS);
        }
        assert!(stride.allows(BYTES_MIN, 1));
    }

    #[test]
    fn what_was_too_large_once_is_not_tried_again() {
        let mut stride = Stride::new(1 << 20);
        for _ in 0..20 {
            stride.answered(stride.bytes, MS);
        }
        stride.too_large(1 << 18);
        for _ in 0..20 {
            stride.answered(stride.bytes, MS);
        }
        assert!(stride.allows(1 << 17, 1) && !stride.allows((1 << 17) + 1, 1));
        let none = Stride::new(0);
        assert!(!none.allows(1, 1));
    }
}
