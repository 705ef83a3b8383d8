//! `cargo xtask bench`: builds the release binary and the benchmarks, and runs them.
//!
//! The benchmarks are a program of their own (`benches/`), since a client in a debug build would be what
//! is measured. `--install` brings the rivals; without it, those that are missing are named and left out.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::test::{install_packages, run_aloud};

/// With a cold target directory, on two cores.
const BUILD_MAX: Duration = Duration::from_secs(40 * 60);
/// The rivals: Debian's package, and the program that shows that it is there.
const RIVALS: [(&str, &str); 2] = [
    ("influxdb", "influxd"),
    ("victoria-metrics", "victoria-metrics"),
];

/// Counts instructions.
const COUNTER: (&str, &str) = ("valgrind", "valgrind");

/// Runs the benchmark that `options` names; true when all figures were measured.
pub(crate) fn run(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    let (install, options): (Vec<&str>, Vec<&str>) =
        options.iter().partition(|option| **option == "--install");
    // It runs no server.
    let is_guard = options.first() == Some(&"guard");
    if !install.is_empty() {
        let packages = if is_guard { &[COUNTER][..] } else { &RIVALS };
        install_packages(packages)?;
    }
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--release", "--package", "tandem-benches"]);
    if !is_guard {
        build.args(["--package", "tandem"]);
    }
    let built = run_aloud(build.current_dir(root), BUILD_MAX)?;
    ensure!(built.success, "cargo build: {}", built.how);
    // What was built lies beside this program's own profile.
    let own = std::env::current_exe().context("find this program")?;
    let target = own
        .ancestors()
        .nth(2)
        .context("find the target directory")?;
    let mut bench = Command::new(target.join("release/tandem-benches"));
    bench.args(options).current_dir(root);
    bench.arg("--tandem").arg(target.join("release/tandem"));
    bench.arg("--work").arg(target.join("bench"));
    let status = bench.status().context("start the benchmarks")?;
    Ok(status.success())
}
