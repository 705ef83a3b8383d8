//! `tandem` itself: a store, the whole appliance, the agent alone.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value as Json;

use super::{START_MAX, Server};
use crate::process::{Process, Usage};

/// How long the forced compaction of one data directory may take.
const COMPACT_MAX: Duration = Duration::from_secs(1_800);
const LOOPBACK: &str = "127.0.0.1:0";

pub(super) fn start(program: &Path, dir: &Path, log: &Path) -> anyhow::Result<Server> {
    start_with(program, dir, log, &[])
}

/// Starts a store with these variables in its environment.
pub(super) fn start_with(
    program: &Path,
    dir: &Path,
    log: &Path,
    settings: &[(&str, &str)],
) -> anyhow::Result<Server> {
    // The log of a start before this one must not be taken for this one's.
    let earlier = std::fs::read_to_string(log).map_or(0, |text| text.len());
    let mut command = Command::new(program);
    command.args([
        "store",
        "--http",
        LOOPBACK,
        "--admin",
        "off",
        "--log-format",
        "json",
    ]);
    command.arg("--data-dir").arg(dir);
    // A row has a million values of one tag.
    command.env("TANDEM_STORE_MAX_VALUES_PER_TAG", "0");
    // InfluxDB's own statistics are off too.
    command.env("TANDEM_STORE_MONITOR_STORE_ENABLED", "false");
    command.envs(settings.iter().copied());
    let mut process = Process::start(command, log)?;
    let ready = |text: &str| {
        ready_line(text.get(earlier..)?)?["api"]
            .as_str()?
            .parse()
            .ok()
    };
    let address: SocketAddr = process.await_some(START_MAX, ready)?;
    Ok(Server { process, address })
}

/// The fields of the line that says that all is ready.
fn ready_line(log: &str) -> Option<Json> {
    let mut lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let line = lines.find(|line| line["fields"]["message"] == "ready")?;
    Some(line["fields"].clone())
}

/// A clean stop flushes; `tandem compact` does what compaction is left.
pub(super) fn settle_and_stop(program: &Path, server: Server, dir: &Path) -> anyhow::Result<Usage> {
    let served = server.process.stop()?;
    let mut command = Command::new(program);
    command.arg("compact").arg("--data-dir").arg(dir);
    let log = dir.with_extension("compact.log");
    let compacted = Process::start(command, &log)?.ended(COMPACT_MAX);
    let compacted = match compacted.context("tandem compact") {
        Ok(used) => used,
        // So that versions from before that command can be compared.
        Err(error) if format!("{error:#}").contains("unrecognized subcommand") => {
            println!("  this tandem has no `compact`: measured without");
            Usage::default()
        }
        Err(error) => return Err(error),
    };
    Ok(Usage {
        cpu_s: served.cpu_s + compacted.cpu_s,
        system_s: served.system_s + compacted.system_s,
        rss_bytes: 0,
        anonymous_bytes: 0,
        peak_bytes: served.peak_bytes.max(compacted.peak_bytes),
    })
}

/// Starts agent, relay, both stores and the pages in one process.
pub(crate) fn up(program: &Path, dir: &Path) -> anyhow::Result<Process> {
    std::fs::create_dir_all(dir)?;
    let mut command = Command::new(program);
    command.args(["up", "--http", LOOPBACK, "--admin", LOOPBACK]);
    command.args(["--backup-http", LOOPBACK, "--backup-admin", LOOPBACK]);
    command.args([
        "--relay-http",
        LOOPBACK,
        "--log-format",
        "json",
        "--data-dir",
    ]);
    command.arg(dir);
    let mut process = Process::start(command, &dir.with_extension("log"))?;
    process.await_some(START_MAX, |log| log.contains("Ctrl-C stops").then_some(()))?;
    Ok(process)
}

/// Starts a relay to these backends; gives where it listens.
pub(crate) fn relay_between(
    program: &Path,
    dir: &Path,
    backends: [SocketAddr; 2],
) -> anyhow::Result<(SocketAddr, Process)> {
    std::fs::create_dir_all(dir)?;
    let mut command = Command::new(program);
    command.args(["relay", "--http", LOOPBACK, "--log-format", "json"]);
    for (name, address) in ["a", "b"].iter().zip(backends) {
        command
            .arg("--backend")
            .arg(format!("{name}=http://{address}"));
    }
    command.arg("--data-dir").arg(dir);
    let mut process = Process::start(command, &dir.with_extension("log"))?;
    let ready = |log: &str| ready_line(log)?["listen"].as_str()?.parse().ok();
    let address = process.await_some(START_MAX, ready)?;
    Ok((address, process))
}

/// Starts an agent that sends to `relay`.
pub(crate) fn agent(program: &Path, dir: &Path, relay: SocketAddr) -> anyhow::Result<Process> {
    std::fs::create_dir_all(dir)?;
    let mut command = Command::new(program);
    command.args(["agent", "--interval", "1s", "--relay"]);
    command.arg(format!("http://{relay}"));
    command.arg("--data-dir").arg(dir);
    Process::start(command, &dir.with_extension("log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_log() {
        let log = "{\"fields\":{\"message\":\"read from the WAL\"}}\nnoise\n\
                   {\"level\":\"INFO\",\"fields\":{\"message\":\"ready\",\"api\":\"127.0.0.1:5\"}}\n";
        assert_eq!(ready_line(log).unwrap()["api"], "127.0.0.1:5");
        assert!(ready_line("{\"fields\":{\"message\":\"rea").is_none());
    }
}
