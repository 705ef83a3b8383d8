//! The built binary at work: the whole appliance, or one store, on free ports with data of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::Value as Json;

use super::process::{self, Running, Stream, free_addresses, get};

/// Compiling everything from nothing on two cores.
const BUILD_MAX: Duration = Duration::from_secs(40 * 60);
/// The promise is 15 s; a busy machine gets more here, the promise has its own test.
const START_MAX: Duration = Duration::from_secs(60);

/// `tandem up`, ended when dropped.
#[derive(Debug)]
pub(super) struct Appliance {
    running: Running,
    /// The program itself.
    pub(super) binary: PathBuf,
    /// The primary's API.
    pub(super) api: SocketAddr,
    /// The primary's page.
    pub(super) page: SocketAddr,
    /// The backup's API.
    pub(super) backup: SocketAddr,
    /// The relay.
    pub(super) relay: SocketAddr,
}

impl Appliance {
    /// Builds it, starts it, and waits until both stores hold a first gather.
    pub(super) fn start(root: &Path) -> anyhow::Result<Self> {
        let binary = build(root)?;
        let scratch = scratch(root)?;
        let data = emptied(&scratch.join("appliance"))?;
        let [api, page, backup, backup_page, relay] = free_addresses()?;
        let mut command = Command::new(&binary);
        command.arg("up").arg("--data-dir").arg(data);
        let options = [
            "--http",
            "--admin",
            "--backup-http",
            "--backup-admin",
            "--relay-http",
        ];
        for (option, address) in options
            .into_iter()
            .zip([api, page, backup, backup_page, relay])
        {
            command.args([option, &address.to_string()]);
        }
        let mut running = Running::start(&mut command, &scratch.join("appliance.log"))?;
        let gathered = |address| {
            // The last one by name, and one that exists from the second gather on.
            let answer = get(address, "/query?db=telegraf&q=SHOW%20MEASUREMENTS");
            answer.is_some_and(|(_, body)| body.contains("\"system\"") && body.contains("\"cpu\""))
        };
        running.await_that("both stores hold a gather", START_MAX, || {
            gathered(api) && gathered(backup)
        })?;
        println!("tandem up runs: API {api}, page {page}, backup {backup}, relay {relay}");
        Ok(Self {
            running,
            binary,
            api,
            page,
            backup,
            relay,
        })
    }

    /// Stops it.
    pub(super) fn end(self) {
        drop(self.running);
    }
}

/// `tandem store` with nothing in it, ended when dropped.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) running: Running,
    pub(super) api: SocketAddr,
}

impl Store {
    pub(super) fn start(root: &Path) -> anyhow::Result<Self> {
        Self::configured(root, "store", "", true)
    }

    /// With a clock that is so many seconds off, by Debian's `faketime`, whose library is at `library`. What is
    /// measured and not told, as timeouts are, goes by the real one.
    pub(super) fn with_clock(root: &Path, library: &Path, off_s: i64) -> anyhow::Result<Self> {
        let environment = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME", format!("{off_s:+}")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        Self::with_environment(root, "store", "", true, &environment)
    }

    /// With this configuration, and `name` for its files. Where it does not answer in plain text, whoever
    /// starts it waits for it.
    pub(super) fn configured(
        root: &Path,
        name: &str,
        config: &str,
        is_plain: bool,
    ) -> anyhow::Result<Self> {
        Self::with_environment(root, name, config, is_plain, &[])
    }

    fn with_environment(
        root: &Path,
        name: &str,
        config: &str,
        is_plain: bool,
        environment: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let binary = build(root)?;
        let scratch = scratch(root)?;
        let data = emptied(&scratch.join(name))?;
        let file = scratch.join(format!("{name}.toml"));
        fs::write(&file, config).with_context(|| format!("write {}", file.display()))?;
        let [api] = free_addresses()?;
        let mut command = Command::new(binary);
        command
            .args([
                "store",
                "--admin",
                "off",
                "--http",
                &api.to_string(),
                "--data-dir",
            ])
            .arg(data)
            .arg("--config")
            .arg(file)
            // What a test counts is what it has written.
            .env("TANDEM_STORE_MONITOR_STORE_ENABLED", "false")
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let log = scratch.join(format!("{name}.log"));
        let mut running = Running::start(&mut command, &log)?;
        if is_plain {
            running.await_that("it answers", START_MAX, || get(api, "/ping").is_some())?;
        }
        Ok(Self { running, api })
    }
}

/// A directory below `target/` for what tests leave behind.
pub(super) fn scratch(root: &Path) -> anyhow::Result<PathBuf> {
    let scratch = root.join("target/xtask");
    fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
    Ok(scratch)
}

fn emptied(directory: &Path) -> anyhow::Result<PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("empty {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    Ok(directory.to_path_buf())
}

/// Builds the binary `tandem`; its path is what cargo says.
pub(crate) fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([
        "build",
        "--bin",
        "tandem",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let done = process::run(command.current_dir(root), BUILD_MAX, |stream, line| {
        if stream == Stream::Err {
            println!("{line}");
        }
    })?;
    ensure!(done.success, "cargo build: {}", done.how);
    executable(&done.out).context("cargo build named no executable tandem")
}

/// The executable among cargo's messages, one JSON object a line.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Json>(line).ok());
    messages
        .filter(|message| message["target"]["name"] == "tandem")
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"tandem"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"tandem"},"executable":"/x/tandem"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/x/tandem")));
        assert_eq!(executable("{}"), None);
    }
}
