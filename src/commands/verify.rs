//! `tandem verify`

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use tandem_store::Finding;

use super::progress::{Progress, Unit};
use super::watched::{Count, Watched, bytes_below};
use super::{check_store_dir, text};

/// Options of `tandem verify`. --data-dir may be a store, running or not, or a backup.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Where else the backups may be that an incremental one refers to
    #[arg(long, value_name = "DIR")]
    chain: Vec<PathBuf>,
}

pub(super) fn run(args: &VerifyArgs, dir: &Path) -> anyhow::Result<()> {
    check_store_dir(dir)?;
    let start = Instant::now();
    let (progress, drawing) = Progress::begin("verify", bytes_below(dir), Unit::Bytes);
    let mut tell = |finding: Finding| {
        progress.aside(|| match finding {
            Finding::Fault { file, offset, what } => {
                text::print(format_args!(
                    "fault: {}: at byte {offset}: {what}",
                    file.display()
                ));
            }
            Finding::Note(text) => text::print(format_args!("note: {text}")),
        });
    };
    let vfs = Watched::over(&progress, Count::Reads);
    let report = tandem_store::verify(&vfs, dir, &args.chain, &mut tell);
    drop(drawing);
    let report = report.with_context(|| format!("verify {}", dir.display()))?;
    text::print(format_args!(
        "{}: {} files, {}, {} series, {} rows, {} values, {} WAL records checked in {:.1} s: {}",
        dir.display(),
        text::count(report.files),
        text::bytes(report.bytes),
        text::count(report.series),
        text::count(report.rows),
        text::count(report.values),
        text::count(report.wal_records),
        start.elapsed().as_secs_f64(),
        match report.faults {
            0 => "all good".to_owned(),
            1 => "1 fault".to_owned(),
            faults => format!("{} faults", text::count(faults)),
        }
    ));
    if report.faults > 0 {
        bail!(
            "{} is damaged; what is whole still answers, the rest can be restored from a backup",
            dir.display()
        );
    }
    Ok(())
}
