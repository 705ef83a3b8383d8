//! A real InfluxDB 1.x with its client, where Debian's packages are installed.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{PATIENCE, await_true, http, process::free_addresses};

const INFLUXD: &str = "/usr/bin/influxd";
pub(crate) const INFLUX: &str = "/usr/bin/influx";

/// Running; killed when dropped.
#[derive(Debug)]
pub(crate) struct Influxd {
    child: Child,
    pub(crate) address: SocketAddr,
    _home: TempDir,
}

impl Influxd {
    /// Starts one on free ports, or says aloud that the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        for program in [INFLUXD, INFLUX] {
            if !Path::new(program).exists() {
                println!(
                    "SKIPPED: {program} is not installed (Debian packages influxdb, influxdb-client)"
                );
                return None;
            }
        }
        let home = tempfile::tempdir().expect("a directory");
        let [address, rpc] = free_addresses();
        let at = |name: &str| home.path().join(name).display().to_string();
        let config = format!(
            "reporting-disabled = true\nbind-address = \"{rpc}\"\n\
             [meta]\ndir = \"{}\"\n[data]\ndir = \"{}\"\nwal-dir = \"{}\"\n\
             [http]\nbind-address = \"{address}\"\nlog-enabled = false\n\
             [monitor]\nstore-enabled = false\n",
            at("meta"),
            at("data"),
            at("wal")
        );
        let file = home.path().join("influxd.toml");
        fs::write(&file, config).expect("its configuration");
        let child = Command::new(INFLUXD)
            .arg("-config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start influxd");
        let started = Self {
            child,
            address,
            _home: home,
        };
        await_true("an answer from influxd", PATIENCE, || {
            http::get(address, "/ping").is_ok_and(|(status, _)| status == 204)
        });
        Some(started)
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
