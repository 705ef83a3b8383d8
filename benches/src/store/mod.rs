//! `bench store`: ingest, bytes on disk, opening and memory of one store.
//!
//! Every row runs on a fresh directory below the work directory, which is removed afterwards. The rivals
//! get the same bodies; of the long loads only the first so many, since their rates do not change with
//! length and ours, which includes settling, does.

mod bytes;
mod ingest;
mod memory;
mod open;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::args::Args;
use crate::bodies::Bodies;
use crate::report::{Figure, Goal, Row, Unit, finish};
use crate::servers::{Kind, kinds};
use tandem_benches::generate::Shape;

/// A row before it is measured.
#[derive(Clone, Copy, Debug)]
struct Plan {
    name: &'static str,
    what: &'static str,
    unit: Unit,
    goal: Goal,
    /// Whether the rivals are measured too.
    rivals: Rivals,
    measure: fn(&Bench<'_>, &Plan, &Kind) -> anyhow::Result<Figure>,
}

/// Which rivals have a row's figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rivals {
    All,
    /// InfluxDB 1.x would take too long or more memory than there is.
    VictoriaOnly,
    None,
}

/// What all rows share.
#[derive(Debug)]
struct Bench<'a> {
    args: &'a Args,
    /// Loads, kept for the next run.
    bodies_dir: PathBuf,
    /// Data directories.
    run_dir: PathBuf,
}

impl Bench<'_> {
    /// `full`, or `quick` where that was asked for.
    const fn size(&self, full: u64, quick: u64) -> u64 {
        if self.args.quick { quick } else { full }
    }

    fn bodies(&self, shape: Shape, values_min: u64, zipped: bool) -> anyhow::Result<Bodies> {
        Bodies::prepare(&self.bodies_dir, shape, values_min, zipped)
    }

    /// A directory for a server's data that is not there yet.
    fn fresh_dir(&self, row: &str, kind: &Kind) -> anyhow::Result<PathBuf> {
        let dir = self.run_dir.join(format!("{row}-{}", kind.name()));
        remove(&dir)?;
        Ok(dir)
    }
}

/// Measures what is asked for, prints it and writes the report.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        plans().for_each(|plan| println!("{:<22} {}", plan.name, plan.what));
        return Ok(());
    }
    ensure!(
        plans().any(|plan| args.wants(plan.name)),
        "no row's name starts so; --list names them"
    );
    finish(args, "store", &measure(args)?)
}

fn plans() -> impl Iterator<Item = &'static Plan> {
    [ingest::PLANS, bytes::PLANS, open::PLANS, memory::PLANS]
        .into_iter()
        .flatten()
}

/// The rows that are asked for.
pub(crate) fn measure(args: &Args) -> anyhow::Result<Vec<Row>> {
    if !plans().any(|plan| args.wants(plan.name)) {
        return Ok(Vec::new());
    }
    ensure!(
        args.tandem.is_file(),
        "{} is not there: cargo build --release",
        args.tandem.display()
    );
    let bench = Bench {
        args,
        bodies_dir: args.work.join("bodies"),
        run_dir: args.work.join(format!("run-{}", std::process::id())),
    };
    fs::create_dir_all(&bench.run_dir)
        .with_context(|| format!("make {}", bench.run_dir.display()))?;
    // A copy, so that a build that goes on meanwhile does not change what is measured.
    let program = bench.run_dir.join("tandem");
    fs::copy(&args.tandem, &program).with_context(|| format!("copy {}", args.tandem.display()))?;
    let kinds = kinds(args, program.canonicalize()?);
    let rows: Vec<Row> = plans()
        .filter(|plan| args.wants(plan.name))
        .map(|plan| bench.row(plan, &kinds))
        .collect();
    remove(&bench.run_dir)?;
    Ok(rows)
}

impl Bench<'_> {
    fn row(&self, plan: &Plan, kinds: &[Kind]) -> Row {
        let mut figures = BTreeMap::new();
        for kind in kinds.iter().filter(|kind| plan.has(kind)) {
            println!("{}: {}", plan.name, kind.name());
            let begun = Instant::now();
            let measured = (plan.measure)(self, plan, kind);
            match &measured {
                Ok(figure) => {
                    let details: Vec<String> = figure
                        .details
                        .iter()
                        .map(|(name, value)| format!("{name} {value:.3}"))
                        .collect();
                    println!(
                        "  {:.4} ({}) in {:.1} s",
                        figure.value,
                        details.join(", "),
                        begun.elapsed().as_secs_f64()
                    );
                }
                Err(error) => println!("  failed: {error:#}"),
            }
            figures.insert(kind.name(), measured.map_err(|error| format!("{error:#}")));
        }
        Row {
            name: plan.name,
            what: plan.what,
            unit: plan.unit,
            goal: plan.goal,
            figures,
        }
    }
}

impl Plan {
    fn has(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Tandem(_) => true,
            Kind::Influxd(_) => self.rivals == Rivals::All,
            Kind::Victoria(_) => self.rivals != Rivals::None,
        }
    }
}

/// Removes a directory, if it is there.
pub(crate) fn remove(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}
