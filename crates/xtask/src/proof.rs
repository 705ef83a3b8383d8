//! `cargo xtask crash`, `kill`, `relay-soak` and `agent-outage`: the long runs of what `cargo xtask test` does for
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
    let kill = Proof {
        package: "tandem",
        test: "kill_store",
        option: "--cycles",
        variable: "TANDEM_TEST_KILL_CYCLES",
    };
    kill.run(root, options, &[])
}

/// Faults of two stores, a relay and what lies between them.
pub(crate) fn relay_soak(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    let soak = Proof {
        package: "tandem",
        test: "relay_soak",
        option: "--cycles",
        variable: "TANDEM_TEST_RELAY_CYCLES",
    };
    soak.run(root, options, &[])
}

/// Lives of a relay in simulated time.
pub(crate) fn relay_sim(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    let sim = Proof {
        package: "tandem-relay",
        test: "sim",
        option: "--seeds",
        variable: "TANDEM_TEST_SIM_SEEDS",
    };
    sim.run(root, options, &["--profile", "fast"])
}

/// How long the relay is away from an agent where nobody says.
const OUTAGE_S: u64 = 120;

/// A relay that is away, and an agent that is killed meanwhile.
pub(crate) fn agent_outage(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    let seconds = match options {
        [] => OUTAGE_S,
        ["--seconds", text] => text
            .parse()
            .with_context(|| format!("--seconds {text}: not a number"))?,
        other => bail!("unknown options: {other:?}; there is --seconds N"),
    };
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "tandem"]);
    command.args(["--test", "agent_outage", "--", "--nocapture"]);
    command.env("TANDEM_TEST_OUTAGE_SECONDS", seconds.to_string());
    run(&mut command, root)
}

/// A test that reads its length and its seed from the environment.
struct Proof {
    package: &'static str,
    test: &'static str,
    /// What says its length.
    option: &'static str,
    variable: &'static str,
}

impl Proof {
    fn run(&self, root: &Path, options: &[&str], build: &[&str]) -> anyhow::Result<bool> {
        let mut command = cargo();
        command.args(["test", "--quiet", "--package", self.package]);
        command.args(build);
        command.args(["--test", self.test, "--", "--nocapture"]);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let variable = match *option {
                "--seed" => "TANDEM_TEST_SEED",
                option if option == self.option => self.variable,
                other => bail!(
                    "unknown option: {other}; there are {} N and --seed S",
                    self.option
                ),
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
}
