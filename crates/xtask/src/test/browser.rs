//! The page in a headless browser: over the running appliance, and over one that is brought to fail.

use std::{process::Command, time::Duration};

use super::{
    Bench, Tally,
    process::{on_path, run_aloud},
};

/// The browser's own limit is below it.
const LIMIT: Duration = Duration::from_secs(320);
const BROWSER: &str = "/usr/bin/chromium";
/// What the agent collects on any Linux.
const MEASUREMENTS: [&str; 9] = [
    "cpu",
    "disk",
    "diskio",
    "kernel",
    "mem",
    "net",
    "processes",
    "swap",
    "system",
];

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<Tally> {
    let browser = std::env::var_os("CHROMIUM").unwrap_or_else(|| BROWSER.into());
    if !std::path::Path::new(&browser).exists() {
        return Ok(bench.missing("chromium is not installed"));
    }
    if !on_path("node") || !on_path("npm") {
        return Ok(bench.missing("node and npm are not installed"));
    }
    let root = bench.root;
    if !root.join("ui/node_modules/playwright-core").exists() {
        super::ui::install(root)?;
    }
    let pictures = super::appliance::scratch(root)?.join("browser");
    let appliance = bench.appliance()?;
    let (page, binary) = (appliance.page, appliance.binary.clone());
    let mut command = Command::new("node");
    command
        .arg("tests/browser.mjs")
        .arg(format!("http://{page}/"))
        .arg(&pictures);
    command
        .args(MEASUREMENTS)
        .env("CHROMIUM", &browser)
        .current_dir(root.join("ui"));
    let mut tally = judge("ui/tests/browser.mjs", &run_aloud(&mut command, LIMIT)?);
    let mut command = Command::new("node");
    command
        .arg("tests/appliance.mjs")
        .arg(binary)
        .arg(&pictures);
    command
        .env("CHROMIUM", browser)
        .current_dir(root.join("ui"));
    tally.add(judge(
        "ui/tests/appliance.mjs",
        &run_aloud(&mut command, LIMIT)?,
    ));
    println!("pictures are in {}", pictures.display());
    Ok(tally)
}

/// Counts a script that prints `ok  WHAT` a check and ends with 0 when all hold.
pub(super) fn judge(script: &str, finished: &super::process::Finished) -> Tally {
    let mut tally = Tally::default();
    tally.pass(
        finished
            .out
            .lines()
            .filter(|line| line.starts_with("ok  "))
            .count(),
    );
    if !finished.success {
        tally.fail(format!("{script}: {}", finished.how));
    } else if tally.passed() == 0 {
        tally.fail(format!("{script}: it checked nothing"));
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::{super::process::Finished, *};

    #[track_caller]
    fn check(out: &str, success: bool, counts: (usize, usize)) {
        let (how, err) = ("exit status".to_owned(), String::new());
        let tally = judge(
            "script",
            &Finished {
                success,
                how,
                out: out.to_owned(),
                err,
            },
        );
        assert_eq!((tally.passed(), tally.failed()), counts, "{out:?}");
    }

    #[test]
    fn a_script_is_counted_by_its_lines() {
        check("ok  a\nfine\nok  b\n", true, (2, 0));
        check("ok  a\n", false, (1, 1));
        check("", true, (0, 1));
    }
}
