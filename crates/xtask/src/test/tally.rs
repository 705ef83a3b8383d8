//! What became of a group's tests, and the summary over all groups.

use std::fmt::Write;

/// Counts of one group, with a sentence for whatever did not pass.
#[derive(Debug, Default)]
pub(super) struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    failures: Vec<String>,
    reasons: Vec<String>,
}

impl Tally {
    pub(super) fn pass(&mut self, count: usize) {
        self.passed += count;
    }

    pub(super) fn fail(&mut self, what: impl Into<String>) {
        self.fail_many(1, what);
    }

    /// `count` tests failed, which `what` names.
    pub(super) fn fail_many(&mut self, count: usize, what: impl Into<String>) {
        self.failed += count;
        self.failures.push(what.into());
    }

    pub(super) fn skip(&mut self, reason: impl Into<String>) {
        self.skip_many(1, reason);
    }

    /// `count` tests were left out for one reason.
    pub(super) fn skip_many(&mut self, count: usize, reason: impl Into<String>) {
        self.skipped += count;
        self.reasons.push(reason.into());
    }

    /// Adds the counts of a part.
    pub(super) fn add(&mut self, part: Self) {
        self.passed += part.passed;
        self.failed += part.failed;
        self.skipped += part.skipped;
        self.failures.extend(part.failures);
        self.reasons.extend(part.reasons);
    }

    pub(super) fn passed(&self) -> usize {
        self.passed
    }

    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    fn counts(&self) -> String {
        let Self {
            passed,
            failed,
            skipped,
            ..
        } = self;
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// A table of all groups, whose last line is `N passed, M failed, K skipped`; and the sums.
pub(super) fn summary(tallies: &[(&str, Tally)]) -> (String, Tally) {
    let mut text = String::from("== summary\n");
    let mut whole = Tally::default();
    for (name, tally) in tallies {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<12} {}", tally.counts());
        for what in &tally.failures {
            let _ = writeln!(text, "             failed: {what}");
        }
        for reason in &tally.reasons {
            let _ = writeln!(text, "             skipped: {reason}");
        }
        whole.passed += tally.passed;
        whole.failed += tally.failed;
        whole.skipped += tally.skipped;
    }
    text.push_str(&whole.counts());
    (text, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_sum() {
        let (mut a, mut b) = (Tally::default(), Tally::default());
        a.pass(3);
        a.fail("x broke");
        b.pass(1);
        b.skip_many(2, "no browser");
        let (text, whole) = summary(&[("rust", a), ("ui", b)]);
        assert_eq!(text.lines().last(), Some("4 passed, 1 failed, 2 skipped"));
        assert!(
            text.contains("failed: x broke") && text.contains("skipped: no browser"),
            "{text}"
        );
        assert_eq!(whole.failed(), 1);
    }

    #[test]
    fn nothing_ran() {
        assert_eq!(
            summary(&[]).0.lines().last(),
            Some("0 passed, 0 failed, 0 skipped")
        );
    }
}
