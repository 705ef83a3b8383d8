//! The page's own checks: types, and the tests of the modules that touch no browser.

use std::{path::Path, process::Command, time::Duration};

use anyhow::Context;
use serde_json::Value as Json;

use super::{
    Bench, Tally,
    process::{on_path, run_aloud},
};

const LIMIT: Duration = Duration::from_secs(10 * 60);

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<Tally> {
    if !on_path("npm") {
        return Ok(bench.missing("npm is not installed"));
    }
    let mut tally = Tally::default();
    install(bench.root)?;
    let checked = run_aloud(npm(bench.root).args(["run", "--silent", "check"]), LIMIT)?;
    if checked.success {
        tally.pass(1);
    } else {
        tally.fail(format!("npm run check: {}", checked.how));
    }
    let report = super::appliance::scratch(bench.root)?.join("ui.json");
    let mut command = npm(bench.root);
    command.args([
        "test",
        "--silent",
        "--",
        "--reporter=default",
        "--reporter=json",
    ]);
    command.arg(format!("--outputFile={}", report.display()));
    // Of an earlier run.
    let _ = std::fs::remove_file(&report);
    let tested = run_aloud(&mut command, LIMIT)?;
    let text =
        std::fs::read_to_string(&report).with_context(|| format!("npm test: {}", tested.how))?;
    judge(&text, tested.success, &mut tally)?;
    Ok(tally)
}

/// Brings what the page's tests need, as the lock file says.
pub(crate) fn install(root: &Path) -> anyhow::Result<()> {
    let done = run_aloud(
        npm(root).args(["ci", "--no-audit", "--no-fund", "--prefer-offline"]),
        LIMIT,
    )?;
    anyhow::ensure!(done.success, "npm ci: {}", done.how);
    Ok(())
}

fn npm(root: &Path) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(root.join("ui"));
    command
}

/// Counts what the report of vitest says.
fn judge(report: &str, success: bool, tally: &mut Tally) -> anyhow::Result<()> {
    let report: Json = serde_json::from_str(report).context("read the report of vitest")?;
    let number = |key: &str| {
        report[key]
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(0)
    };
    tally.pass(number("numPassedTests"));
    let failed = number("numFailedTests");
    if failed > 0 {
        tally.fail_many(failed, "npm test");
    } else if !success {
        tally.fail("npm test: a file of tests did not run");
    }
    let left_out = number("numPendingTests") + number("numTodoTests");
    if left_out > 0 {
        tally.skip_many(left_out, "marked so in ui/src");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_counted() {
        let mut tally = Tally::default();
        judge(
            r#"{"numPassedTests":7,"numFailedTests":2}"#,
            false,
            &mut tally,
        )
        .expect("a report");
        judge(r#"{"numPassedTests":1}"#, false, &mut tally).expect("a report");
        assert_eq!((tally.passed(), tally.failed()), (8, 3));
        assert!(judge("", true, &mut tally).is_err());
    }
}
