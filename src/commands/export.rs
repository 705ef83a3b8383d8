//! `tandem export`

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use tandem_model::TimeRange;
use tandem_store::{BackupList, BackupOptions, ExportRequest, Exported, Options, Selection, Store};
use tandem_vfs::Vfs;

use super::progress::{Progress, Unit};
use super::watched::{Count, Watched};
use super::{check_store_dir, now_ns, text};

/// Options of `tandem export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The database to be written; all of them when not given
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// One retention policy of it only
    #[arg(long, value_name = "NAME", requires = "database")]
    retention_policy: Option<String>,
    /// Points from this time on: 2026-01-31T00:00:00Z, or nanoseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    start: Option<i64>,
    /// Points up to this time, itself included
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    end: Option<i64>,
    /// The file to be made; must not be there yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Compress with gzip
    #[arg(long)]
    compress: bool,
    /// Where a picture of the store is kept meanwhile; best on its own file system [default: --data-dir]
    #[arg(long, value_name = "DIR")]
    temp_dir: Option<PathBuf>,
}

fn parse_time(text: &str) -> Result<i64, String> {
    if let Ok(ns) = text.parse() {
        return Ok(ns);
    }
    let time = text.parse::<jiff::Timestamp>();
    let time = time.map_err(|_| "write it like 2026-01-31T00:00:00Z, or as nanoseconds")?;
    i64::try_from(time.as_nanosecond()).map_err(|_| "it is out of range".to_owned())
}

pub(super) fn run(args: &ExportArgs, dir: &Path) -> anyhow::Result<()> {
    check_store_dir(dir)?;
    let range = TimeRange::new(
        args.start.unwrap_or(TimeRange::ALL.min_ns),
        args.end.unwrap_or(TimeRange::ALL.max_ns),
    );
    if range.is_empty() {
        bail!("--start is behind --end; nothing lies between them");
    }
    let (progress, drawing) = Progress::begin_if(args.out.is_some(), "export", 0, Unit::Bytes);
    let picture = Picture::take(args, dir, &progress)?;
    progress.restart(picture.store.shards().iter().map(|s| s.file_bytes).sum());
    let databases = match &args.database {
        Some(name) => vec![name.clone()],
        None => picture.store.databases(),
    };
    let done = match &args.out {
        Some(path) => write_file(args, path, &picture.store, &databases, range),
        None => {
            let out = BufWriter::new(io::stdout().lock());
            write(args, out, &picture.store, &databases, range).context("write standard output")
        }
    }?;
    drop(drawing);
    eprintln!(
        "{} points with {} values, {} of text",
        text::count(done.points),
        text::count(done.values),
        text::bytes(done.bytes)
    );
    Ok(())
}

/// Writes under another name first, so that the file is there whole or not at all.
fn write_file(
    args: &ExportArgs,
    path: &Path,
    store: &Store,
    databases: &[String],
    range: TimeRange,
) -> anyhow::Result<Exported> {
    if path.exists() {
        bail!(
            "{} is there already; nothing is overwritten",
            path.display()
        );
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = || -> anyhow::Result<Exported> {
        let file = File::create(&partial)?;
        let done = write(args, BufWriter::new(&file), store, databases, range)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        Ok(done)
    };
    written().with_context(|| {
        let _ = std::fs::remove_file(&partial);
        format!("write {}", path.display())
    })
}

fn write(
    args: &ExportArgs,
    mut out: impl Write,
    store: &Store,
    databases: &[String],
    range: TimeRange,
) -> anyhow::Result<Exported> {
    if !args.compress {
        return write_all(args, &mut out, store, databases, range);
    }
    let mut gzip = GzEncoder::new(out, Compression::fast());
    let done = write_all(args, &mut gzip, store, databases, range)?;
    gzip.finish()?.flush()?;
    Ok(done)
}

fn write_all(
    args: &ExportArgs,
    out: &mut dyn Write,
    store: &Store,
    databases: &[String],
    range: TimeRange,
) -> anyhow::Result<Exported> {
    let mut sum = Exported::default();
    for database in databases {
        let request = ExportRequest {
            database,
            retention_policy: args.retention_policy.as_deref(),
            range,
        };
        let done = tandem_store::export(store, &request, out)?;
        sum.points += done.points;
        sum.values += done.values;
        sum.bytes += done.bytes;
    }
    Ok(sum)
}

/// A picture of the store, opened: links to its files in a directory that goes when this is dropped. The store
/// itself may be open in a process and is not touched.
struct Picture {
    store: Store,
    dir: PathBuf,
}

impl Picture {
    fn take(args: &ExportArgs, dir: &Path, progress: &Progress) -> anyhow::Result<Self> {
        let parent = args.temp_dir.as_deref().unwrap_or(dir);
        remove_left_over(parent);
        let place = parent.join(format!("export-{}.tmp", std::process::id()));
        let options = BackupOptions {
            selection: Selection {
                database: args.database.clone(),
                retention_policy: args.retention_policy.clone(),
                shards: Vec::new(),
            },
            now_ns: now_ns(),
            ..BackupOptions::default()
        };
        let vfs = Watched::over(progress, Count::Reads);
        let report = tandem_store::backup(&vfs, dir, &place, &options).with_context(|| {
            format!(
                "take a picture of the store in {} (--temp-dir names another place for it)",
                dir.display()
            )
        })?;
        if let Some(file) = report.missing.first() {
            let _ = std::fs::remove_dir_all(&place);
            bail!(
                "{} is not there; if this is an incremental backup, restore it and export that store",
                file.display()
            );
        }
        let opened = open(vfs, &place);
        if opened.is_err() {
            let _ = std::fs::remove_dir_all(&place);
        }
        Ok(Self {
            store: opened?,
            dir: place,
        })
    }
}

fn open(vfs: Arc<dyn Vfs>, place: &Path) -> anyhow::Result<Store> {
    let options = Options {
        background: false,
        ..Options::default()
    };
    BackupList::remove(&*vfs, place).context("open the picture of the store")?;
    let store = Store::open(vfs, place, options).context("open the picture of the store")?;
    if let Some(file) = store.report().quarantined.first() {
        bail!(
            "{} is damaged; `tandem verify` tells more",
            file.strip_prefix(place).unwrap_or(file).display()
        );
    }
    Ok(store)
}

impl Drop for Picture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Removes pictures whose process was killed.
fn remove_left_over(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        let process = name.strip_prefix("export-").and_then(|rest| {
            rest.strip_suffix(".tmp")
                .or(rest.strip_suffix(".tmp.partial"))
        });
        if let Some(Ok(id)) = process.map(str::parse::<u32>)
            && !Path::new(&format!("/proc/{id}")).exists()
        {
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}
