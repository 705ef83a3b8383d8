//! Opening a store of a million series: from the start of the process to the first right answer.

use std::time::Instant;

use anyhow::{Context, ensure};

use super::{Bench, Plan, Rivals, remove};
use crate::http;
use crate::load::load;
use crate::report::{Figure, Goal, Unit};
use crate::servers::{DATABASE, Kind};
use tandem_benches::generate::Shape;

const SERIES: u32 = 1_000_000;
/// Points of each series.
const ROUNDS: u64 = 2;

pub(super) const PLANS: &[Plan] = &[
    Plan {
        name: "open-clean",
        what: "open 1 M series after a clean stop, to the first answer",
        unit: Unit::Seconds,
        goal: Goal::AtMost(1.0),
        rivals: Rivals::None,
        measure: |bench, plan, kind| open(bench, plan, kind, true),
    },
    Plan {
        name: "open-kill",
        what: "open 1 M series after kill -9, to the first answer",
        unit: Unit::Seconds,
        goal: Goal::AtMost(5.0),
        rivals: Rivals::None,
        measure: |bench, plan, kind| open(bench, plan, kind, false),
    },
];

fn open(bench: &Bench<'_>, plan: &Plan, kind: &Kind, clean: bool) -> anyhow::Result<Figure> {
    let shape = Shape::Series { count: SERIES };
    let series = u64::from(SERIES);
    let bodies = bench.bodies(shape, series * ROUNDS, false)?;
    let dir = bench.fresh_dir(plan.name, kind)?;
    let server = kind.start(&dir)?;
    load(server.address, &kind.write_target(), &bodies)?;
    if clean {
        server.process.stop()?;
    } else {
        server.process.kill()?;
    }
    let begun = Instant::now();
    let server = kind.start(&dir)?;
    let last = series - 1;
    let text = format!("SELECT count(served) FROM requests WHERE instance = 'i{last}'");
    let answer = http::query(server.address, DATABASE, &text)?;
    let opened_s = begun.elapsed().as_secs_f64();
    let points = answer["results"][0]["series"][0]["values"][0][1].as_u64();
    ensure!(
        points == Some(ROUNDS),
        "the last series was not found whole: {answer}"
    );
    let used = server.process.usage()?;
    server.process.kill().context("end the store")?;
    remove(&dir)?;
    Ok(Figure::new(
        opened_s,
        [
            ("series", series as f64),
            ("cpu_s", used.cpu_s),
            ("rss_mib", used.rss_bytes as f64 / f64::from(1 << 20)),
            ("peak_mib", used.peak_bytes as f64 / f64::from(1 << 20)),
        ],
    ))
}
