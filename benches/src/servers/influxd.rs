//! InfluxDB 1.x, as Debian's package `influxdb` brings it, with its default engine settings.
//!
//! It syncs every write, so its acknowledgements mean what ours mean. Full compaction of a shard that is
//! no longer written to is due after seconds and not after hours, so that it settles within a run.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::{DATABASE, START_MAX, Server, free_address};
use crate::http;
use crate::process::{Process, Usage};

/// Longer than the pauses between its own steps.
const QUIET: Duration = Duration::from_secs(14);
const SETTLE_MAX: Duration = Duration::from_secs(900);

pub(super) fn start(program: &Path, dir: &Path, log: &Path) -> anyhow::Result<Server> {
    let (address, own) = (free_address()?, free_address()?);
    let config = dir.with_extension("conf");
    let data = dir.display();
    let text = format!(
        "reporting-disabled = true\nbind-address = \"{own}\"\n\
         [meta]\ndir = \"{data}/meta\"\n\
         [data]\ndir = \"{data}/data\"\nwal-dir = \"{data}/wal\"\nmax-series-per-database = 0\nquery-log-enabled = false\n\
         cache-snapshot-write-cold-duration = \"3s\"\ncompact-full-write-cold-duration = \"5s\"\n\
         [monitor]\nstore-enabled = false\n\
         [http]\nbind-address = \"{address}\"\nlog-enabled = false\n"
    );
    std::fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
    let mut command = Command::new(program);
    command.arg("-config").arg(&config);
    let mut process = Process::start(command, log)?;
    let create = format!("CREATE DATABASE {DATABASE}");
    process.await_some(START_MAX, |_| http::query(address, "", &create).ok())?;
    Ok(Server { process, address })
}

pub(super) fn settle_and_stop(server: Server) -> anyhow::Result<Usage> {
    server.process.await_quiet(QUIET, SETTLE_MAX)?;
    server.process.stop()
}
