//! `cargo xtask crash`, `kill` and `relay-soak`: the long runs of what `cargo xtask test` does for
//! a short while.
//!
//! `crash` hands its arguments to `tandem-crash`, built with all checks on and fast; the others run
//! the tests of the real processes for as many cycles as asked for.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// Runs `command` in `root` with this process' own input and output; true when it went well.
pub(crate) fn run(command: &mut Command, root: &Path) -> anyhow::Result<bool> {
    let name = format!("{command:?}");
    let status = command.current_dir(root).status();
    Ok(status.with_context(|| format!("run {name}"))?.success())
}

pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Lives of the store on a simulated file system.
pub(crate) fn crash(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--profile", "fast"]);
    command.args(["--package", "tandem-crash", "--"]);
    run(command.args(options), root)
}

/// Kills of the real process.
pub(crate) fn kill(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    cycles(root, options, "kill_store", "TANDEM_TEST_KILL_CYCLES")
}

/// Faults of two stores, a relay and what lies between them.
pub(crate) fn relay_soak(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    cycles(root, options, "relay_soak", "TANDEM_TEST_RELAY_CYCLES")
}

/// Runs a test of the binary that reads its length and its seed from the environment.
fn cycles(root: &Path, options: &[&str], test: &str, length: &str) -> anyhow::Result<bool> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "tandem"]);
    command.args(["--test", test, "--", "--nocapture"]);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let variable = match *option {
            "--cycles" => length,
            "--seed" => "TANDEM_TEST_SEED",
            other => bail!("unknown option: {other}; there are --cycles N and --seed S"),
        };
        let value = options
            .next()
            .with_context(|| format!("{option} needs a number"))?;
        value
            .parse::<u64>()
            .with_context(|| format!("{option} {value}"))?;
        command.env(variable, value);
    }
    run(&mut command, root)
}
