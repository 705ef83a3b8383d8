//! Memory: of what idles, and of a store that a million series write to.

use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Bench, Plan, Rivals, remove};
use crate::load::load_at;
use crate::process::Usage;
use crate::report::{Figure, Goal, Unit};
use crate::servers::{Kind, agent, up};
use crate::sink::Sink;
use tandem_benches::generate::Shape;

const SERIES: u32 = 1_000_000;
const MIB: f64 = (1 << 20) as f64;

pub(super) const PLANS: &[Plan] = &[
    Plan {
        name: "memory-idle",
        what: "whole appliance that watches its own host, resident",
        unit: Unit::Bytes,
        goal: Goal::AtMost(64.0 * MIB),
        rivals: Rivals::None,
        measure: |bench, plan, kind| idle(bench, plan, kind, Role::Appliance),
    },
    Plan {
        name: "memory-agent",
        what: "agent alone, resident",
        unit: Unit::Bytes,
        goal: Goal::AtMost(10.0 * MIB),
        rivals: Rivals::None,
        measure: |bench, plan, kind| idle(bench, plan, kind, Role::Agent),
    },
    Plan {
        name: "memory-series",
        what: "store with 1 M live series of one field, the most resident",
        unit: Unit::Bytes,
        goal: Goal::AtMost(300.0 * MIB),
        rivals: Rivals::VictoriaOnly,
        measure: series,
    },
];

/// How many times faster than life the series send.
const HURRY: u64 = 10;

#[derive(Clone, Copy, Debug)]
enum Role {
    Appliance,
    Agent,
}

/// Starts it, lets it run for a while, and looks.
fn idle(bench: &Bench<'_>, plan: &Plan, kind: &Kind, role: Role) -> anyhow::Result<Figure> {
    let Kind::Tandem(program) = kind else {
        anyhow::bail!("only tandem has this role");
    };
    let dir = bench.fresh_dir(plan.name, kind)?;
    let sink = Sink::start("204 No Content")?;
    let process = match role {
        Role::Appliance => up(program, &dir)?,
        Role::Agent => agent(program, &dir, sink.address)?,
    };
    thread::sleep(Duration::from_secs(bench.size(60, 15)));
    let used = process.usage()?;
    process.stop().context("stop it")?;
    if matches!(role, Role::Agent) {
        ensure!(sink.bytes() > 0, "the agent sent nothing");
    }
    remove(&dir)?;
    Ok(figure(used.rss_bytes, used, []))
}

/// A point a minute of every series, ten times as fast as live series send them.
fn series(bench: &Bench<'_>, plan: &Plan, kind: &Kind) -> anyhow::Result<Figure> {
    let shape = Shape::Series { count: SERIES };
    let rounds = bench.size(20, 5);
    let bodies = bench.bodies(shape, u64::from(SERIES) * rounds, false)?;
    let dir = bench.fresh_dir(plan.name, kind)?;
    let server = kind.start(&dir)?;
    let rate = u64::from(SERIES) / 60 * HURRY;
    let loaded = load_at(server.address, &kind.write_target(), &bodies, rate)?;
    let used = server.process.usage()?;
    server.process.kill()?;
    remove(&dir)?;
    let details = [
        ("series", f64::from(SERIES)),
        ("values", loaded.values as f64),
        ("refusals", loaded.refusals as f64),
    ];
    Ok(figure(used.peak_bytes, used, details))
}

fn figure<const N: usize>(bytes: u64, used: Usage, details: [(&'static str, f64); N]) -> Figure {
    let mut figure = Figure::new(bytes as f64, details);
    figure
        .details
        .insert("rss_mib", used.rss_bytes as f64 / MIB);
    figure
        .details
        .insert("peak_mib", used.peak_bytes as f64 / MIB);
    figure.details.insert("cpu_s", used.cpu_s);
    figure
}
