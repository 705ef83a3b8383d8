//! The servers under measurement, each on a fresh directory and a port of its own on loopback.

mod influxd;
mod tandem;
mod victoria;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::args::Args;
use crate::process::{Process, Usage, find};

pub(crate) use tandem::{agent, relay_between, up};

/// The database that loads go to.
pub(crate) const DATABASE: &str = "telegraf";
/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(120);

/// What can be measured.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// With the path of the program.
    Tandem(PathBuf),
    Influxd(PathBuf),
    Victoria(PathBuf),
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Kind {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Tandem(_) => "tandem",
            Self::Influxd(_) => "influxd",
            Self::Victoria(_) => "victoria-metrics",
        }
    }

    /// Starts it on `dir`, made where it is missing. Returns when it answers and takes writes.
    pub(crate) fn start(&self, dir: &Path) -> anyhow::Result<Server> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let log = dir.with_extension("log");
        let started = match self {
            Self::Tandem(program) => tandem::start(program, dir, &log),
            Self::Influxd(program) => influxd::start(program, dir, &log),
            Self::Victoria(program) => victoria::start(program, dir, &log),
        };
        started.with_context(|| format!("start {}", self.name()))
    }

    /// Lets it do all that is due with its data, stops it, and returns what it used in all, the work of
    /// settling included.
    pub(crate) fn settle_and_stop(&self, server: Server, dir: &Path) -> anyhow::Result<Usage> {
        let settled = match self {
            Self::Tandem(program) => tandem::settle_and_stop(program, server, dir),
            Self::Influxd(_) => influxd::settle_and_stop(server),
            Self::Victoria(_) => victoria::settle_and_stop(server),
        };
        settled.with_context(|| format!("settle {}", self.name()))
    }

    /// Where it takes line protocol.
    pub(crate) fn write_target(&self) -> String {
        format!("/write?db={DATABASE}")
    }
}

/// Starts a store with these variables in its environment, on a directory that is there.
pub(crate) fn start_tandem(
    program: &Path,
    dir: &Path,
    settings: &[(&str, &str)],
) -> anyhow::Result<Server> {
    tandem::start_with(program, dir, &dir.with_extension("log"), settings).context("start tandem")
}

/// The servers that are there; says aloud which are not.
pub(crate) fn kinds(args: &Args, tandem: PathBuf) -> Vec<Kind> {
    let mut kinds = vec![Kind::Tandem(tandem)];
    if args.alone {
        return kinds;
    }
    for (program, package) in [
        ("influxd", "influxdb"),
        ("victoria-metrics", "victoria-metrics"),
    ] {
        match find(program) {
            Some(path) if program == "influxd" => kinds.push(Kind::Influxd(path)),
            Some(path) => kinds.push(Kind::Victoria(path)),
            None => println!(
                "{program} is not here and is left out (Debian's package {package}; --install brings it)"
            ),
        }
    }
    kinds
}

/// An address of loopback that nobody listens on, for programs that cannot say which port they got.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?)
}
