//! `tandem backup`

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use tandem_store::{BackupList, BackupOptions, Selection};
use tandem_vfs::RealFs;

use super::progress::{Progress, Unit};
use super::watched::{Count, Watched, bytes_below};
use super::{check_store_dir, now_ns, text};

/// Options of `tandem backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The directory to be made; it must not be there yet
    #[arg(value_name = "OUT")]
    target: PathBuf,
    #[command(flatten)]
    part: PartArgs,
    /// Back up these shards only; `tandem inspect` lists them
    #[arg(long = "shard", value_name = "ID", requires = "database")]
    shards: Vec<u64>,
    /// Copy only what the newest backup of this store beside OUT does not have
    #[arg(long, conflicts_with = "base")]
    incremental: bool,
    /// Copy only what this backup does not have
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// Where else the backups may be that the base refers to
    #[arg(long, value_name = "DIR")]
    chain: Vec<PathBuf>,
}

/// Which part of a store or backup.
#[derive(Debug, Default, Args)]
pub(crate) struct PartArgs {
    /// One database only
    #[arg(long, value_name = "NAME")]
    pub(super) database: Option<String>,
    /// One retention policy of that database only
    #[arg(long, value_name = "NAME", requires = "database")]
    pub(super) retention_policy: Option<String>,
}

impl PartArgs {
    pub(super) fn selection(&self) -> Selection {
        Selection {
            database: self.database.clone(),
            retention_policy: self.retention_policy.clone(),
            shards: Vec::new(),
        }
    }
}

pub(super) fn run(args: &BackupArgs, dir: &Path) -> anyhow::Result<()> {
    check_store_dir(dir)?;
    let target = std::path::absolute(&args.target).context("the path of the backup")?;
    let data = std::path::absolute(dir.join("data")).context("the path of the store")?;
    if target.starts_with(&data) {
        bail!(
            "{} is inside the store's own data and would be removed at its next start; give another place",
            target.display()
        );
    }
    let base = match &args.base {
        None if args.incremental => Some(newest_beside(&target)?),
        base => base.clone(),
    };
    let options = BackupOptions {
        selection: Selection {
            shards: args.shards.clone(),
            ..args.part.selection()
        },
        base: base.clone(),
        chain: args.chain.clone(),
        now_ns: now_ns(),
    };
    let start = Instant::now();
    let (progress, drawing) = Progress::begin("backup", bytes_below(dir), Unit::Bytes);
    let vfs = Watched::over(&progress, Count::Copies);
    let report = tandem_store::backup(&vfs, dir, &args.target, &options);
    drop(drawing);
    let report = report
        .with_context(|| format!("back up {} to {}", dir.display(), args.target.display()))?;
    let (all, own) = report.list.bytes();
    let files = report.list.files.len();
    text::print(format_args!(
        "{}: {} in {} files, made in {:.1} s",
        args.target.display(),
        text::bytes(all),
        text::count(files as u64),
        start.elapsed().as_secs_f64()
    ));
    if let Some(base) = base {
        text::print(format_args!(
            "of these {} are here; the rest is in {}, without which this backup cannot be restored",
            text::bytes(own),
            match report.list.bases.len() {
                0 | 1 => base.display().to_string(),
                more => format!("{} and {} before it", base.display(), more - 1),
            }
        ));
    }
    for file in &report.missing {
        eprintln!(
            "tandem: {} is named by the manifest and not there",
            file.display()
        );
    }
    for damage in &report.log_damage {
        eprintln!("tandem: {damage}");
    }
    if !report.missing.is_empty() || !report.log_damage.is_empty() {
        bail!(
            "the backup is made, and the store in {} is damaged, so the backup is as well; `tandem verify` tells more",
            dir.display()
        );
    }
    Ok(())
}

/// The newest backup in the directory in which `target` is to be.
fn newest_beside(target: &Path) -> anyhow::Result<PathBuf> {
    let beside = target.parent().unwrap_or(Path::new("/"));
    let entries =
        std::fs::read_dir(beside).with_context(|| format!("list {}", beside.display()))?;
    let mut newest: Option<(i64, PathBuf)> = None;
    for entry in entries {
        let path = entry
            .with_context(|| format!("list {}", beside.display()))?
            .path();
        if let Ok(list) = BackupList::read(&RealFs, &path)
            && newest.as_ref().is_none_or(|(made, _)| *made < list.made_ns)
        {
            newest = Some((list.made_ns, path));
        }
    }
    match newest {
        Some((_, path)) => Ok(path),
        None => bail!(
            "there is no backup in {} to build on; make a full one first, or name one with --base",
            beside.display()
        ),
    }
}
