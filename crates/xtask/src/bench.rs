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

/// The mark for queries, from PyPI.
const DUCKDB: &str = "duckdb==2.0.0";
const INSTALL_MAX: Duration = Duration::from_secs(5 * 60);

/// Counts instructions.
const COUNTER: (&str, &str) = ("valgrind", "valgrind");

/// Runs the benchmark that `options` names; true when all figures were measured.
pub(crate) fn run(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    let (install, options): (Vec<&str>, Vec<&str>) =
        options.iter().partition(|option| **option == "--install");
    if options.first() == Some(&"kernels") {
        return kernels(root, &options[1..]);
    }
    // It runs no server.
    let is_guard = options.first() == Some(&"guard");
    if !install.is_empty() {
        let packages = if is_guard { &[COUNTER][..] } else { &RIVALS };
        install_packages(packages)?;
    }
    // What was built lies beside this program's own profile.
    let own = std::env::current_exe().context("find this program")?;
    let target = own
        .ancestors()
        .nth(2)
        .context("find the target directory")?;
    let work = target.join("bench");
    if !install.is_empty() && matches!(options.first(), Some(&("rivals" | "query"))) {
        install_duckdb(&work.join("duckdb"))?;
    }
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--release", "--package", "tandem-benches"]);
    if !is_guard {
        build.args(["--package", "tandem"]);
    }
    let built = run_aloud(build.current_dir(root), BUILD_MAX)?;
    ensure!(built.success, "cargo build: {}", built.how);
    let mut bench = Command::new(target.join("release/tandem-benches"));
    bench.args(options).current_dir(root);
    bench.arg("--tandem").arg(target.join("release/tandem"));
    bench.arg("--work").arg(&work);
    let status = bench.status().context("start the benchmarks")?;
    Ok(status.success())
}

/// The inner loops alone, which are a program of their own; `options` are divan's.
fn kernels(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    let mut bench = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    bench.args(["bench", "--package", "tandem-benches", "--bench", "kernels"]);
    let status = bench.arg("--").args(options).current_dir(root).status();
    Ok(status.context("start the benchmarks")?.success())
}

/// Brings DuckDB from PyPI into a virtual environment of its own.
fn install_duckdb(dir: &Path) -> anyhow::Result<()> {
    if dir.join("bin/python").is_file() {
        return Ok(());
    }
    let mut make = Command::new("python3");
    let made = run_aloud(make.args(["-m", "venv"]).arg(dir), INSTALL_MAX)?;
    ensure!(made.success, "make {}: {}", dir.display(), made.how);
    let mut install = Command::new(dir.join("bin/pip"));
    install.args(["install", "--quiet", DUCKDB]);
    let installed = run_aloud(&mut install, INSTALL_MAX)?;
    ensure!(installed.success, "install {DUCKDB}: {}", installed.how);
    Ok(())
}
