//! `tandem repair`: compares two servers and copies to one what it lacks.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use tandem_http::Url;
use tandem_relay::offline;
use tandem_relay::repair::{Difference, Extent, Findings, Told, Way, repair};
use tandem_vfs::{RealFs, Vfs};

use super::progress::{Progress, Unit};
use super::text;

/// Options of `tandem repair`. Both sides may be any server that speaks InfluxDB 1.x.
#[derive(Debug, Args)]
pub(crate) struct RepairArgs {
    /// The server that is whole, http://[USER:PASSWORD@]HOST:PORT
    #[arg(long, value_name = "URL")]
    from: String,
    /// The server that lacks something
    #[arg(long, value_name = "URL")]
    to: String,
    /// Only this database; may be given more than once
    #[arg(long)]
    database: Vec<String>,
    /// Only from this time on, in nanoseconds since 1970
    #[arg(long, value_name = "NS", allow_hyphen_values = true)]
    start: Option<i64>,
    /// Only before this time
    #[arg(long, value_name = "NS", allow_hyphen_values = true)]
    end: Option<i64>,
    /// Only what the gap list of this backend names; its relay's directory is --data-dir
    #[arg(long, value_name = "NAME", conflicts_with_all = ["database", "start", "end"])]
    gaps_of: Option<String>,
    /// Points are counted by windows of this length
    #[arg(long, default_value = "1h", value_parser = crate::units::parse_duration)]
    window: std::time::Duration,
    /// Compare values, too, where the counts are equal
    #[arg(long)]
    deep: bool,
    /// Compare only; exit code 1 when the two differ
    #[arg(long)]
    dry_run: bool,
    /// Wait after each window, to leave the servers their strength
    #[arg(long, default_value = "0s", value_parser = crate::units::parse_duration)]
    pause: std::time::Duration,
}

pub(super) fn run(args: &RepairArgs, dir: &Path) -> anyhow::Result<()> {
    let from = Url::parse(&args.from).context("--from")?;
    let to = Url::parse(&args.to).context("--to")?;
    let way = Way {
        window: args.window,
        deep: args.deep,
        mend: !args.dry_run,
        pause: args.pause,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let (progress, drawing) = Progress::begin("repair, by measurement", 0, Unit::Things);
    let mut told = |told: Told<'_>| match told {
        Told::Begins(measurements) => progress.expect(measurements),
        Told::Compared => progress.add(1),
        Told::Differs(found) => progress.aside(|| tell(found)),
    };
    let mut all = Findings::default();
    for extent in extents(args, dir)? {
        let found = runtime.block_on(repair(&from, &to, &extent, way, &mut told))?;
        all.windows += found.windows;
        all.copied += found.copied;
        all.differences.extend(found.differences);
    }
    drop(drawing);
    let surplus: u64 = all.differences.iter().map(|found| found.surplus).sum();
    text::print(format_args!(
        "{} windows compared, {} differ; {} points copied; {} points only at {}",
        text::count(all.windows),
        text::count(all.differences.len() as u64),
        text::count(all.copied),
        text::count(surplus),
        to.authority(),
    ));
    if args.dry_run && !all.differences.is_empty() {
        bail!("the servers differ");
    }
    Ok(())
}

fn extents(args: &RepairArgs, dir: &Path) -> anyhow::Result<Vec<Extent>> {
    let Some(name) = &args.gaps_of else {
        return Ok(vec![Extent {
            databases: args.database.clone(),
            retention_policy: None,
            start_ns: args.start,
            end_ns: args.end,
        }]);
    };
    let vfs: Arc<dyn Vfs> = Arc::new(RealFs);
    let summary = offline::summary(&*vfs, dir, name)
        .with_context(|| format!("read the gap list of {name}"))?;
    let extent = |gap: tandem_relay::Gap| Extent {
        databases: vec![gap.database],
        // An empty one is the default policy, whatever its name is: all are looked through.
        retention_policy: Some(gap.retention_policy),
        start_ns: Some(gap.first_ns),
        end_ns: Some(gap.last_ns.saturating_add(1)),
    };
    Ok(summary.gaps.into_iter().map(extent).collect())
}

fn tell(found: &Difference) {
    text::print(format_args!(
        "{}.{}.{} from {} to {} ns: {} points lacking, {} only there",
        found.database,
        found.retention_policy,
        found.measurement,
        found.range_ns.start,
        found.range_ns.end,
        text::count(found.lacking),
        text::count(found.surplus),
    ));
}
