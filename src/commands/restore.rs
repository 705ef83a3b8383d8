//! `tandem restore`

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use tandem_store::{BackupList, RestoreOptions, RestoreReport};
use tandem_vfs::RealFs;

use super::backup::PartArgs;
use super::progress::{Progress, Unit};
use super::text;
use super::watched::{Count, Watched};

/// Options of `tandem restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    #[command(flatten)]
    part: PartArgs,
    /// Add the database to the stopped store in --data-dir under this name, instead of making a store
    #[arg(long = "as", value_name = "NEW", requires = "database")]
    new_name: Option<String>,
    /// Where else the backups may be that an incremental one refers to
    #[arg(long, value_name = "DIR")]
    chain: Vec<PathBuf>,
}

pub(super) fn run(args: &RestoreArgs, dir: &Path) -> anyhow::Result<()> {
    if !args.backup.exists() {
        bail!(
            "{} does not exist; name a directory that `tandem backup` made",
            args.backup.display()
        );
    }
    // What is wrong with the list is told below.
    let bytes = BackupList::read(&RealFs, &args.backup).map_or(0, |list| list.bytes().0);
    let (progress, drawing) = Progress::begin("restore", bytes, Unit::Bytes);
    let vfs = Watched::over(&progress, Count::Reads);
    let options = RestoreOptions {
        selection: args.part.selection(),
        chain: args.chain.clone(),
    };
    let start = Instant::now();
    let report = match &args.new_name {
        Some(name) => {
            super::check_store_dir(dir)?;
            tandem_store::restore_database(&vfs, &args.backup, dir, name, &options)
        }
        None => tandem_store::restore(&vfs, &args.backup, dir, &options),
    };
    drop(drawing);
    let report = report
        .with_context(|| format!("restore {} into {}", args.backup.display(), dir.display()))?;
    tell(&report, dir, start);
    if !report.missing.is_empty() {
        for file in &report.missing {
            eprintln!("tandem: {file} was already lost when the backup was made");
        }
        bail!("the rest is restored");
    }
    Ok(())
}

fn tell(report: &RestoreReport, dir: &Path, start: Instant) {
    text::print(format_args!(
        "{}: {} in {} files restored and checked in {:.1} s",
        dir.display(),
        text::bytes(report.bytes),
        text::count(report.files),
        start.elapsed().as_secs_f64()
    ));
}
