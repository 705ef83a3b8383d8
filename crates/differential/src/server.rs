//! The two servers, each on a fresh directory and on ports of its own on loopback.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value as Json;

use crate::http::{Answer, Client, encode};
use crate::process::Process;

/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(60);
/// Windows that a query may have, on both sides: what is asked at random may cover years by seconds.
pub(crate) const BUCKETS_MAX: usize = 20_000;

/// A server that runs, and a connection to it. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    process: Process,
    pub(crate) client: Client,
}

impl Server {
    /// The real one: Debian's `influxd`, with what it would report about itself turned off.
    pub(crate) fn influxd(program: &Path, work: &Path) -> anyhow::Result<Self> {
        let dir = fresh(work.join("influxd"))?;
        let (address, own) = (free_address()?, free_address()?);
        let config = work.join("influxd.conf");
        let data = dir.display();
        let text = format!(
            "reporting-disabled = true\nbind-address = \"{own}\"\n\
             [meta]\ndir = \"{data}/meta\"\n\
             [data]\ndir = \"{data}/data\"\nwal-dir = \"{data}/wal\"\nquery-log-enabled = false\n\
             [coordinator]\nmax-select-buckets = {BUCKETS_MAX}\nquery-timeout = \"20s\"\n\
             [monitor]\nstore-enabled = false\n\
             [continuous_queries]\nenabled = false\n\
             [http]\nbind-address = \"{address}\"\nlog-enabled = false\n"
        );
        std::fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        let mut command = Command::new(program);
        command.arg("-config").arg(&config);
        let mut process = Process::start(command, &work.join("influxd.log"))?;
        let ready = |_: &str| Client::new(address).get("/ping").ok();
        process.await_some(START_MAX, ready)?;
        Ok(Self {
            name: "influxd",
            process,
            client: Client::new(address),
        })
    }

    /// Ours: a store of its own. `options` go behind the command line.
    pub(crate) fn tandem(program: &Path, work: &Path, options: &[&str]) -> anyhow::Result<Self> {
        let dir = fresh(work.join("tandem"))?;
        let mut command = Command::new(program);
        command
            .args(["store", "--http", "127.0.0.1:0", "--admin", "off"])
            .args(["--log-format", "json", "--data-dir"])
            .arg(dir)
            .args(options)
            .env("TANDEM_STORE_MAX_SELECT_BUCKETS", BUCKETS_MAX.to_string())
            .env("TANDEM_STORE_MONITOR_STORE_ENABLED", "false");
        let mut process = Process::start(command, &work.join("tandem.log"))?;
        let address = process.await_some(START_MAX, ready_address)?;
        Ok(Self {
            name: "tandem",
            process,
            client: Client::new(address),
        })
    }

    /// Asks a query, times in nanoseconds.
    pub(crate) fn query(&mut self, database: &str, text: &str) -> anyhow::Result<Answer> {
        self.query_with(database, text, "&epoch=ns")
    }

    /// Asks a query. `parameters` are more of the target's, each with `&` before it.
    pub(crate) fn query_with(
        &mut self,
        database: &str,
        text: &str,
        parameters: &str,
    ) -> anyhow::Result<Answer> {
        let target = format!("/query?db={}{parameters}", encode(database));
        let body = format!("q={}", encode(text));
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = self.client.send("POST", &target, &form, body.as_bytes());
        self.explain(answer)
    }

    /// Writes line protocol. `parameters` are more of the target's, each with `&` before it.
    pub(crate) fn write(
        &mut self,
        database: &str,
        parameters: &str,
        lines: &[u8],
    ) -> anyhow::Result<Answer> {
        let target = format!("/write?db={}{parameters}", encode(database));
        let answer = self.client.send("POST", &target, &[], lines);
        self.explain(answer)
    }

    /// An exchange that failed because the server has ended says so.
    fn explain(&mut self, answer: anyhow::Result<Answer>) -> anyhow::Result<Answer> {
        answer.or_else(|error| {
            self.process.check_alive()?;
            Err(error.context(self.name))
        })
    }
}

/// Both servers at once: everything that changes data goes to both.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) judge: Server,
    pub(crate) ours: Server,
}

/// Where the programs are, and where they may work.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) influxd: PathBuf,
    pub(crate) tandem: PathBuf,
    pub(crate) work: PathBuf,
}

impl Pair {
    pub(crate) fn start(places: &Places) -> anyhow::Result<Self> {
        let work = &places.work;
        std::fs::create_dir_all(work).with_context(|| format!("make {}", work.display()))?;
        Ok(Self {
            judge: Server::influxd(&places.influxd, work)?,
            ours: Server::tandem(&places.tandem, work, &[])?,
        })
    }
}

/// An empty directory at `path`.
fn fresh(path: PathBuf) -> anyhow::Result<PathBuf> {
    if path.exists() {
        std::fs::remove_dir_all(&path).with_context(|| format!("empty {}", path.display()))?;
    }
    std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
    Ok(path)
}

/// An address of loopback that nobody listens on, for programs that cannot say which port they got.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?)
}

/// The API's address, from the line of the log that says that all is ready.
fn ready_address(log: &str) -> Option<SocketAddr> {
    let mut lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let line = lines.find(|line| line["fields"]["message"] == "ready")?;
    line["fields"]["api"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_log() {
        let log = "{\"fields\":{\"message\":\"read from the WAL\"}}\nnoise\n\
                   {\"level\":\"INFO\",\"fields\":{\"message\":\"ready\",\"api\":\"127.0.0.1:5\"}}\n";
        let port = ready_address(log).map(|address| address.port());
        assert_eq!(port, Some(5));
        assert!(ready_address("{\"fields\":{\"message\":\"rea").is_none());
    }
}
