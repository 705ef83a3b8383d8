//! `cargo xtask fuzz TARGET [--runs N]`: libFuzzer on a target of one of the fuzz crates.
//!
//! They lie in the crates that they target and are no members of the workspace, so that normal builds
//! do not pay for them. They are built by the toolchain of the repository: the compiler's coverage
//! pass is asked for by flags. What is built and what is found lies in `target/fuzz`; corpora grow
//! there and are not kept with the sources.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::proof::cargo;

/// The targets: their names, the fuzz crate, and the longest input in bytes. Short ones find as much and run
/// faster.
const TARGETS: [(&str, &str, u32); 11] = [
    ("line", "crates/line/fuzz", 300),
    ("codec", "crates/codec/fuzz", 520),
    ("log", "crates/seglog/fuzz", 100),
    ("catalog", "crates/catalog/fuzz", 200),
    ("block", "store/fuzz", 160),
    ("index", "store/fuzz", 300),
    ("manifest", "store/fuzz", 300),
    ("wal", "store/fuzz", 300),
    ("list", "store/fuzz", 500),
    ("influxql", "crates/influxql/fuzz", 120),
    ("query", "crates/influxql/fuzz", 80),
];
/// As cargo-fuzz has them, less the sanitizers, which need a nightly compiler, and less the tracing of
/// comparisons, which takes a third of the time: targets make their own good inputs.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cdebug-assertions=yes -Coverflow-checks=yes";
/// Named, so that build scripts and macros are built without these flags.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// Of the whole process: inputs are so short that no decoder may ask for much.
const MEMORY_MIB_MAX: u32 = 300;
/// Of one input.
const SECONDS_MAX: u32 = 20;
const RUNS: u64 = 100_000;

/// Builds and runs a target; true when nothing was found.
pub(crate) fn run(root: &Path, options: &[&str]) -> anyhow::Result<bool> {
    let (name, runs) = match options {
        [name] => (*name, RUNS),
        [name, "--runs", runs] => (*name, runs.parse().context("--runs needs a number")?),
        _ => bail!("fuzz TARGET [--runs N]; targets are {}", names()),
    };
    let target = TARGETS.iter().find(|(target, ..)| *target == name);
    let Some((_, dir, bytes_max)) = target else {
        bail!("no target {name}; there are {}", names());
    };
    let home = root.join("target/fuzz");
    let mut build = cargo();
    build
        .args(["build", "--release", "--bin", name, "--target", TRIPLE])
        .current_dir(root.join(dir))
        .env("CARGO_TARGET_DIR", &home)
        .env("RUSTFLAGS", FLAGS);
    let built = build.status().context("run cargo build")?;
    ensure!(built.success(), "the target {name} does not build");
    let corpus = home.join("corpus").join(name);
    let found = home.join("found");
    for dir in [&corpus, &found] {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    }
    let mut fuzz = Command::new(home.join(TRIPLE).join("release").join(name));
    fuzz.arg(format!("-runs={runs}"))
        .arg(format!("-max_len={bytes_max}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-timeout={SECONDS_MAX}"))
        .arg(format!("-artifact_prefix={}/{name}-", found.display()))
        // Weighing of inputs and shrinking of old ones cost half of the time, and find no more here.
        .args(["-entropic=0", "-reduce_inputs=0"])
        .arg("-print_final_stats=1")
        .arg(&corpus);
    let status = fuzz.status().context("run the target")?;
    Ok(status.success())
}

fn names() -> String {
    TARGETS.map(|(name, ..)| name).join(", ")
}
