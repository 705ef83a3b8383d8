//! `bench chain`: values a second from clients through a relay into two stores, beside one InfluxDB that gets them
//! directly.
//!
//! Clients, relay and both stores share the machine's cores, and time is the wall's: this is what a host
//! of that size takes in. It ends when both stores count every row, not with the last acknowledgement.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::args::Args;
use crate::bodies::Bodies;
use crate::http;
use crate::load::load;
use crate::report::{self, Figure, Goal, Row, Unit};
use crate::servers::{DATABASE, Kind, kinds, relay_between};
use crate::store::remove;
use tandem_benches::generate::{Numbers, Shape};

const SHAPE: Shape = Shape::Cpu {
    hosts: 100,
    numbers: Numbers::Integers,
};
const FIELDS: u64 = 10;
const VALUES: u64 = 50_000_000;
const VALUES_QUICK: u64 = 10_000_000;
/// What InfluxDB gets: its rate does not change with length.
const VALUES_INFLUXD: u64 = 5_000_000;
/// After the last acknowledgement, for what waits in the relay's log.
const EVERYTHING_THERE_MAX: Duration = Duration::from_secs(120);
const NAME: &str = "chain";
const WHAT: &str = "clients, relay and both stores on one machine; influxd: clients and it alone";

/// Measures, prints, writes the report.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        println!("{NAME:<22} {WHAT}");
        return Ok(());
    }
    report::finish(args, "chain", &measure(args)?)
}

/// The row.
pub(crate) fn measure(args: &Args) -> anyhow::Result<Vec<Row>> {
    if !args.wants(NAME) {
        return Ok(Vec::new());
    }
    let run_dir = args.work.join(format!("chain-{}", std::process::id()));
    fs::create_dir_all(&run_dir).with_context(|| format!("make {}", run_dir.display()))?;
    let program = run_dir.join("tandem");
    fs::copy(&args.tandem, &program).with_context(|| format!("copy {}", args.tandem.display()))?;
    let values = if args.quick { VALUES_QUICK } else { VALUES };
    let mut figures = std::collections::BTreeMap::new();
    for kind in kinds(args, program.canonicalize()?) {
        println!("{NAME}: {}", kind.name());
        let measured = match &kind {
            Kind::Tandem(_) => ours(args, &kind, &run_dir, values),
            Kind::Influxd(_) => alone(args, &kind, &run_dir),
            Kind::Victoria(_) => continue,
        };
        match &measured {
            Ok(figure) => println!("  {:.0} {:?}", figure.value, figure.details),
            Err(error) => println!("  failed: {error:#}"),
        }
        figures.insert(kind.name(), measured.map_err(|error| format!("{error:#}")));
    }
    remove(&run_dir)?;
    Ok(vec![Row {
        name: NAME,
        what: WHAT,
        unit: Unit::ValuesPerSecond,
        goal: Goal::AtLeast(3e6),
        figures,
    }])
}

fn ours(
    args: &Args,
    kind: &Kind,
    run_dir: &std::path::Path,
    values: u64,
) -> anyhow::Result<Figure> {
    let Kind::Tandem(program) = kind else {
        bail!("only tandem has a relay");
    };
    let bodies = Bodies::prepare(&args.work.join("bodies"), SHAPE, values, false)?;
    let dirs = ["primary", "backup", "relay"].map(|name| run_dir.join(name));
    let [primary, backup, relay_dir] = &dirs;
    let stores = [kind.start(primary)?, kind.start(backup)?];
    for store in &stores {
        http::query(store.address, "", &format!("CREATE DATABASE {DATABASE}"))?;
    }
    let to = [stores[0].address, stores[1].address];
    let (address, relay) = relay_between(program, relay_dir, to)?;
    let begun = Instant::now();
    let loaded = load(address, &kind.write_target(), &bodies)?;
    for store in to {
        await_rows(store, loaded.values / FIELDS)?;
    }
    let all_there_s = begun.elapsed().as_secs_f64();
    let relay_cpu_s = relay.usage()?.cpu_s;
    let [first, second] = [stores[0].process.usage()?, stores[1].process.usage()?];
    relay.stop()?;
    for store in stores {
        store.process.stop()?;
    }
    for dir in &dirs {
        remove(dir)?;
    }
    Ok(Figure::new(
        loaded.values as f64 / all_there_s,
        [
            ("values", loaded.values as f64),
            ("acknowledged_s", loaded.wall.as_secs_f64()),
            ("relay_cpu_s", relay_cpu_s),
            ("stores_cpu_s", first.cpu_s + second.cpu_s),
            ("refusals", loaded.refusals as f64),
        ],
    ))
}

fn alone(args: &Args, kind: &Kind, run_dir: &std::path::Path) -> anyhow::Result<Figure> {
    let mut bodies = Bodies::prepare(&args.work.join("bodies"), SHAPE, VALUES_QUICK, false)?;
    bodies.truncate(VALUES_INFLUXD);
    let dir = run_dir.join(kind.name());
    let server = kind.start(&dir)?;
    let begun = Instant::now();
    let loaded = load(server.address, &kind.write_target(), &bodies)?;
    await_rows(server.address, loaded.values / FIELDS)?;
    let there_s = begun.elapsed().as_secs_f64();
    server.process.stop()?;
    remove(&dir)?;
    Ok(Figure::new(
        loaded.values as f64 / there_s,
        [
            ("values", loaded.values as f64),
            ("acknowledged_s", loaded.wall.as_secs_f64()),
            ("refusals", loaded.refusals as f64),
        ],
    ))
}

/// Waits until a store counts that many rows; more would be as wrong as less.
fn await_rows(store: SocketAddr, rows: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + EVERYTHING_THERE_MAX;
    loop {
        let answer = http::query(store, DATABASE, "SELECT count(usage_user) FROM cpu")?;
        let count = answer["results"][0]["series"][0]["values"][0][1].as_u64();
        if count == Some(rows) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline && count < Some(rows),
            "{count:?} rows of {rows} are there"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
