//! Brings the Debian packages that tests and benchmarks use; only as root, only on Debian, only what is missing.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{bail, ensure};

use super::process::{on_path, run_aloud};

const LIMIT: Duration = Duration::from_secs(20 * 60);
/// A package, and the program that shows it is there whoever brought it.
const PACKAGES: [(&str, &str); 15] = [
    ("influxdb", "influxd"),
    ("influxdb-client", "influx"),
    ("chromium", "chromium"),
    ("nodejs", "node"),
    ("npm", "npm"),
    ("python3", "python3"),
    ("python3-venv", ""),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("collectd-core", ""),
    ("prometheus", "prometheus"),
    ("docker.io", "dockerd"),
    ("busybox-static", "busybox"),
    ("iproute2", "ip"),
    ("faketime", "faketime"),
];

/// Installs what is missing; `Err` when it cannot.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("== install");
    packages(&PACKAGES)
}

/// Installs what of `wanted` is missing: packages, each with the program that shows it is there.
pub(crate) fn packages(wanted: &[(&str, &str)]) -> anyhow::Result<()> {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(package, program)| !is_there(package, program))
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        println!("all packages are there");
        return Ok(());
    }
    let wanted = missing.join(" ");
    if !Path::new("/etc/debian_version").exists() {
        bail!("this is not Debian: install {wanted} by hand");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("only root installs packages: run `apt-get install {wanted}` first");
    }
    apt(&["update"])?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(&missing);
    apt(&install)?;
    // These packages start servers, influxdb on the very port that the appliance wants.
    for (package, service) in [
        ("docker.io", "docker"),
        ("influxdb", "influxdb"),
        ("victoria-metrics", "victoria-metrics"),
        ("prometheus", "prometheus"),
        ("collectd-core", "collectd"),
    ] {
        if missing.contains(&package) && Path::new("/run/systemd/system").exists() {
            run_aloud(
                Command::new("systemctl").args(["disable", "--now", service]),
                LIMIT,
            )?;
        }
    }
    Ok(())
}

fn is_there(package: &str, program: &str) -> bool {
    if !program.is_empty() {
        return on_path(program);
    }
    let asked = Command::new("dpkg-query")
        .args(["-W", "-f=${Status}", package])
        .output();
    asked.is_ok_and(|output| output.stdout.ends_with(b"ok installed"))
}

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(["-o", "Acquire::Retries=3"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let done = run_aloud(&mut command, LIMIT)?;
    ensure!(
        done.success,
        "apt-get {}: {}",
        arguments.join(" "),
        done.how
    );
    Ok(())
}
