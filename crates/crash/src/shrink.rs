//! Cuts a failing life down to the steps that matter.

use std::time::{Duration, Instant};

use tandem_testkit::Lie;

use crate::life::{Failure, run};
use crate::op::Step;

/// The shortest life found within `limit` that still fails, with its failure; `None` when it does
/// not fail again.
#[must_use]
pub fn shrink(steps: &[Step], lie: Option<Lie>, limit: Duration) -> Option<(Vec<Step>, Failure)> {
    let deadline = Instant::now() + limit;
    let mut failure = run(steps, lie).err()?;
    let mut steps = steps[..=failure.step].to_vec();
    let mut piece = steps.len() / 2;
    while piece > 0 {
        let mut at = 0;
        let mut found = false;
        while at < steps.len() {
            if Instant::now() > deadline {
                return Some((steps, failure));
            }
            let end = (at + piece).min(steps.len());
            let shorter = [&steps[..at], &steps[end..]].concat();
            match run(&shorter, lie) {
                Err(still) => {
                    steps = shorter[..=still.step].to_vec();
                    failure = still;
                    found = true;
                }
                Ok(_) => at = end,
            }
        }
        if !found || piece > 1 {
            piece /= 2;
        }
    }
    Some((steps, failure))
}
