//! `bench guard`: hot paths in instructions, held against a committed baseline.
//!
//! Times of a shared machine tell nothing small; instructions of a fixed piece of work are the same
//! each time to a few in a thousand. Each path runs in a process of its own under callgrind, which counts what the
//! thread that works does inside [`measured`] and nothing else: not the preparation, not the kernel.
//! What no instruction shows (waiting, cache misses, system calls) the other benchmarks show.
//!
//! The baseline is `benches/guard.txt`, a path a line. A path that needs more than [`SLACK`] over its
//! line fails the guard; `--bless` writes what was counted, for a change that is meant.

mod baseline;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::args::Args;
use baseline::{Baseline, Verdict};
use tandem_benches::paths::{self, Work};

/// How much more than the baseline a path may need.
const SLACK: f64 = 0.05;
const VALGRIND: &str = "valgrind";
/// As callgrind names [`measured`].
const MEASURED: &str = "tandem_benches::guard::measured*";

/// Counts every path that is asked for and compares; an error when one grew.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let names = paths::NAMES.iter().filter(|name| args.wants(name));
    if args.list {
        names.for_each(|name| println!("{name}"));
        return Ok(());
    }
    let there = Command::new(VALGRIND).arg("--version").output();
    ensure!(
        there.is_ok_and(|output| output.status.success()),
        "valgrind is not there: `apt-get install valgrind`, or `--install` as root on Debian"
    );
    let file = baseline_file();
    let mut baseline = Baseline::read(&file)?;
    let dir = args.work.join(format!("guard-{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let mut grown = Vec::new();
    println!(
        "{:<18} {:>14} {:>14} {:>8}",
        "path", "instructions", "baseline", "change"
    );
    for &name in names {
        let counted = count(name, &dir).with_context(|| format!("count {name}"));
        let _ = fs::remove_dir_all(dir.join(name));
        let counted = counted?;
        let before = baseline.of(name);
        let verdict = Verdict::of(counted, before, SLACK);
        let before = before.map_or_else(|| "–".into(), |count| count.to_string());
        println!("{name:<18} {counted:>14} {before:>14} {verdict:>8}");
        if verdict.is_failure() {
            grown.push(name);
        }
        baseline.set(name, counted);
    }
    fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    if args.bless {
        baseline.write(&file)?;
        println!("written to {}", file.display());
        return Ok(());
    }
    ensure!(
        grown.is_empty(),
        "{} need over {:.0} % more than {} says, or have no line there; find out why, or write new ones with --bless",
        grown.join(", "),
        SLACK * 100.0,
        file.display()
    );
    Ok(())
}

/// Runs one path in this process, with its files in `dir`.
pub(crate) fn run_path(name: &str, dir: &Path) -> anyhow::Result<()> {
    // One processor: work that two threads would share is done, and counted, by one.
    let mut first = rustix::thread::CpuSet::new();
    let allowed = rustix::thread::sched_getaffinity(None)?;
    let processor = (0..rustix::thread::CpuSet::MAX_CPU).find(|&at| allowed.is_set(at));
    first.set(processor.context("no processor is allowed")?);
    rustix::thread::sched_setaffinity(None, &first)?;
    let mut work = paths::prepare(name, dir)?;
    // Once for what is only done the first time: lazy tables, caches, growing buffers.
    work()?;
    measured(&mut work)
}

/// The only function that is counted, with all that it calls.
#[inline(never)]
fn measured(work: &mut Work) -> anyhow::Result<()> {
    let done = work();
    // Something behind the call, so that it stays a call.
    std::hint::black_box(&done);
    done
}

/// Instructions that callgrind counts for a path.
fn count(name: &str, dir: &Path) -> anyhow::Result<u64> {
    let own = dir.join(name);
    fs::create_dir_all(&own)?;
    let out = own.join("callgrind.out");
    let output = Command::new(VALGRIND)
        .args(["--tool=callgrind", "--error-exitcode=9"])
        .arg(format!("--toggle-collect={MEASURED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().context("find this program")?)
        .args(["guard-path", name])
        .arg(&own)
        .stdin(Stdio::null())
        .output()
        .context("start valgrind")?;
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = fs::read_to_string(&out).with_context(|| format!("read {}", out.display()))?;
    let total = text.lines().find_map(|line| {
        let rest = line
            .strip_prefix("summary:")
            .or_else(|| line.strip_prefix("totals:"))?;
        rest.trim().parse::<u64>().ok()
    });
    match total {
        None | Some(0) => bail!("callgrind did not see the function that is counted"),
        Some(count) => Ok(count),
    }
}

fn baseline_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guard.txt")
}
