//! VictoriaMetrics, as Debian's package `victoria-metrics` brings it.
//!
//! It acknowledges before data is durable. Retention is as long as it can be, since loads are old.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{START_MAX, Server, free_address};
use crate::http;
use crate::process::{Process, Usage};

const QUIET: Duration = Duration::from_secs(4);
const SETTLE_MAX: Duration = Duration::from_secs(900);

pub(super) fn start(program: &Path, dir: &Path, log: &Path) -> anyhow::Result<Server> {
    let address = free_address()?;
    let mut command = Command::new(program);
    command
        .arg(format!("-httpListenAddr={address}"))
        .arg(format!("-storageDataPath={}", dir.display()))
        .args(["-retentionPeriod=100y", "-loggerLevel=WARN"]);
    let mut process = Process::start(command, log)?;
    let answers = || http::get(address, "/health").is_ok_and(|answer| answer.status == 200);
    process.await_some(START_MAX, |_| answers().then_some(()))?;
    Ok(Server { process, address })
}

pub(super) fn settle_and_stop(server: Server) -> anyhow::Result<Usage> {
    for target in ["/internal/force_flush", "/internal/force_merge"] {
        http::get(server.address, target)?;
        server.process.await_quiet(QUIET, SETTLE_MAX)?;
    }
    server.process.stop()
}
