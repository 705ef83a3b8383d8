//! Commands that work on a store's directory and end: one file a command.
//!
//! Those that only read (`backup`, `verify`, `inspect`, `export`) work beside a running store, without its help. Those
//! that change a store (`restore`, `compact`, `import --data-dir`) take its lock.

mod backup;
mod compact;
mod du;
mod export;
mod import;
mod inspect;
mod progress;
pub(crate) mod queue;
mod repair;
mod restore;
mod text;
mod verify;
mod watched;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;
use clap::Subcommand;

use crate::config::Config;

/// What to do with a store's directory.
#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// Copy a store while it runs, wholly or in part
    Backup(backup::BackupArgs),
    /// Make a store from a backup, or add a database of a backup to a store
    Restore(restore::RestoreArgs),
    /// Check every checksum and every invariant of a store or a backup
    Verify(verify::VerifyArgs),
    /// Show what a store consists of and what its bytes are spent on
    Inspect(inspect::InspectArgs),
    /// Merge the files of a stopped store as far as it goes
    Compact(compact::CompactArgs),
    /// Write a database as text that `influx -import` and `tandem import` read
    Export(export::ExportArgs),
    /// Compare two servers, and copy to one what it lacks
    Repair(repair::RepairArgs),
    /// Write exports of `tandem export` or `influx_inspect export` to a server or a stopped store
    Import(import::ImportArgs),
}

/// Runs a tool to its end. `given_dir` is the data directory if the command line names one.
pub(crate) fn run(tool: &Tool, config: &Config, given_dir: Option<&Path>) -> anyhow::Result<()> {
    let dir = config.data_dir();
    match tool {
        Tool::Backup(args) => backup::run(args, &dir),
        Tool::Restore(args) => restore::run(args, &dir),
        Tool::Verify(args) => verify::run(args, &dir),
        Tool::Inspect(args) => inspect::run(args, &dir),
        Tool::Compact(args) => compact::run(args, &dir),
        Tool::Export(args) => export::run(args, &dir),
        Tool::Repair(args) => repair::run(args, &dir),
        Tool::Import(args) => import::run(args, given_dir),
    }
}

/// Writes one export to a server, as `tandem import` does.
pub(crate) fn import_file(
    path: &Path,
    url: &str,
    database: &str,
    precision: &str,
    pps: u64,
) -> anyhow::Result<()> {
    import::run_one(path, url, database, precision, pps)
}

/// Refuses a directory that is not there, or that holds the stores of `tandem up` instead of being one.
fn check_store_dir(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        bail!(
            "{} does not exist; name the directory of a store with --data-dir",
            dir.display()
        );
    }
    let stores: Vec<PathBuf> = ["primary", "backup"]
        .iter()
        .map(|name| dir.join(name))
        .filter(|path| path.join("manifest").is_dir())
        .collect();
    if !dir.join("manifest").is_dir() && !stores.is_empty() {
        let stores: Vec<String> = stores.iter().map(|s| s.display().to_string()).collect();
        bail!(
            "{} holds several stores; name one of them: --data-dir {}",
            dir.display(),
            stores.join(" or ")
        );
    }
    Ok(())
}

/// Nanoseconds since 1970.
fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}
