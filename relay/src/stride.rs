//! How much of a backlog goes out as one request.
//!
//! It begins small and doubles while the backend is quick, so that a backlog is soon drained by the largest
//! requests; it halves when one takes long, so that live writes beside it do not wait behind large ones; and
//! after a failure it begins anew, for on a slow network a large request would run out of time again and again.
//!
//! A backend that takes long for whatever it gets (its disk is slow to sync) is not quicker with less, only later done
//! with all. So where half as much takes nearly as long, it goes back, and for a while it doubles as long as twice as much
//! takes hardly longer.

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
/// Requests after which what was found by a trial is no longer believed.
const TRUST: u32 = 64;

/// See the module's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stride {
    bytes: u64,
    bytes_max: u64,
    trial: Trial,
    /// For so many requests yet it is taken as known that less is not quicker.
    less_is_vain: u32,
    /// For so many, that more takes longer.
    more_is_vain: u32,
}

/// How much a request held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    /// How much it might have held; a single hint may be larger.
    pub(crate) allowed: u64,
}

/// What the size was changed for, and is to be judged by the next full request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trial {
    #[default]
    None,
    /// Half as much as what took so long.
    Less(Duration),
    /// Twice as much.
    More(Duration),
}

impl Stride {
    /// Grows up to `bytes_max`; 0 for hints that all go alone.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes: BYTES_FIRST.min(bytes_max),
            bytes_max,
            trial: Trial::None,
            less_is_vain: 0,
            more_is_vain: 0,
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

    /// How much it is at present.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A request was answered after this time.
    pub(crate) fn answered(&mut self, Size { bytes, allowed }: Size, took: Duration) {
        self.less_is_vain = self.less_is_vain.saturating_sub(1);
        self.more_is_vain = self.more_is_vain.saturating_sub(1);
        let is_full = bytes > self.bytes / 2;
        // Others were under way before the size was changed, or were kept smaller for another's sake.
        if is_full && allowed == self.bytes {
            match std::mem::take(&mut self.trial) {
                Trial::Less(before) if took > before / 4 * 3 => {
                    self.less_is_vain = TRUST;
                    self.set(self.bytes * 2);
                    return;
                }
                Trial::More(before) if took > before / 2 * 3 => {
                    self.more_is_vain = TRUST;
                    self.set(self.bytes / 2);
                    return;
                }
                Trial::None | Trial::Less(_) | Trial::More(_) => {}
            }
        }
        if took < QUICK && is_full {
            self.set(self.bytes * 2);
        }
        if took <= SLOW || allowed != self.bytes {
            return;
        }
        if self.less_is_vain == 0 && self.bytes > BYTES_MIN {
            self.set(self.bytes / 2);
            self.trial = Trial::Less(took);
        } else if is_full && self.more_is_vain == 0 {
            self.set(self.bytes * 2);
            self.trial = Trial::More(took);
        }
    }

    fn set(&mut self, bytes: u64) {
        self.bytes = bytes.max(BYTES_MIN).min(self.bytes_max);
    }

    /// A request of so many bytes was too large for the backend, which will not change.
    pub(crate) fn too_large(&mut self, bytes: u64) {
        self.bytes_max = self.bytes_max.min(bytes / 2);
        self.bytes = self.bytes.min(self.bytes_max);
    }

    /// A request failed.
    pub(crate) fn failed(&mut self) {
        self.bytes = BYTES_FIRST.min(self.bytes_max).min(self.bytes);
        self.trial = Trial::None;
        self.less_is_vain = 0;
        self.more_is_vain = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    impl Stride {
        fn full(&self) -> Size {
            self.with(self.bytes)
        }

        fn with(&self, bytes: u64) -> Size {
            Size {
                bytes,
                allowed: self.bytes,
            }
        }
    }

    #[test]
    fn it_grows_while_full_ones_are_quick_and_shrinks_when_they_are_not() {
        let mut stride = Stride::new(1 << 20);
        for _ in 0..20 {
            stride.answered(stride.with(100), MS);
        }
        assert!(
            !stride.allows(BYTES_FIRST + 1, 1),
            "small ones prove nothing"
        );
        for _ in 0..20 {
            stride.answered(stride.full(), MS);
        }
        assert!(stride.allows(1 << 20, LINES_MAX));
        assert!(!stride.allows((1 << 20) + 1, 1) && !stride.allows(1, LINES_MAX + 1));
        stride.answered(stride.full(), SLOW + MS);
        assert!(stride.allows(1 << 19, 1) && !stride.allows((1 << 19) + 1, 1));
        stride.answered(stride.full(), QUICK + MS);
        assert!(!stride.allows((1 << 19) + 1, 1), "neither quick nor slow");
        stride.failed();
        assert!(!stride.allows(BYTES_FIRST + 1, 1));
    }

    /// Answers `count` full requests of a backend that needs so long for each, and for each KiB.
    fn full(stride: &mut Stride, count: usize, (each, kib): (Duration, Duration)) {
        for _ in 0..count {
            stride.answered(stride.full(), each + kib * (stride.bytes >> 10) as u32);
        }
    }

    #[test]
    fn a_backend_that_is_slow_by_the_byte_gets_as_much_as_it_does_in_time() {
        let mut stride = Stride::new(1 << 20);
        full(&mut stride, 20, (MS, MS));
        for _ in 0..100 {
            full(&mut stride, 1, (MS, MS));
            assert!((64 << 10..=256 << 10).contains(&stride.bytes), "{stride:?}");
        }
        full(&mut stride, 100, (MS, MS * 300));
        assert!(stride.bytes <= BYTES_MIN * 2, "{stride:?}");
    }

    /// It was given less and less, until a backlog grew faster than it went.
    #[test]
    fn a_backend_that_is_slow_whatever_it_gets_gets_much() {
        let mut stride = Stride::new(1 << 20);
        full(&mut stride, 100, (MS, Duration::ZERO));
        full(&mut stride, 2, (SLOW * 2, Duration::ZERO));
        assert_eq!(stride.bytes, 1 << 20);
        for begins_at in [BYTES_MIN, BYTES_FIRST] {
            stride.bytes = begins_at;
            full(&mut stride, 40, (SLOW * 2, MS / 100));
            assert!(stride.bytes >= 1 << 19, "{stride:?}");
        }
        // Hints that are larger than a request should be are sent one by one, whatever it takes.
        stride.bytes = BYTES_MIN;
        for _ in 0..40 {
            let bytes = stride.bytes.max(5_000);
            stride.answered(stride.with(bytes), SLOW * 2);
        }
        assert_eq!(stride.bytes, 1 << 20);
    }

    #[test]
    fn what_was_too_large_once_is_not_tried_again() {
        let mut stride = Stride::new(1 << 20);
        for _ in 0..20 {
            stride.answered(stride.full(), MS);
        }
        stride.too_large(1 << 18);
        for _ in 0..20 {
            stride.answered(stride.full(), MS);
        }
        assert!(stride.allows(1 << 17, 1) && !stride.allows((1 << 17) + 1, 1));
        let none = Stride::new(0);
        assert!(!none.allows(1, 1));
    }
}
