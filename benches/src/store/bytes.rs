//! Bytes per value of the whole data directory, settled and stopped, as `du` counts them: InfluxDB makes files
//! with holes, whose lengths would tell too much.

use super::{Bench, Plan, Rivals, remove};
use crate::disk::size;
use crate::load::load;
use crate::report::{Figure, Goal, Unit};
use crate::servers::Kind;
use tandem_benches::generate::{Numbers, Shape};

/// Values of 100 hosts in a day, of 4,000 hosts in an hour, of 100 hosts in six hours.
const DAY_VALUES: u64 = 8_640 * 100 * 10;
const HOUR_VALUES: u64 = 360 * 4_000 * 10;
const SIX_HOURS_VALUES: u64 = 2_160 * 100 * 10;
const FLEET_VALUES: u64 = 6_000_000;

const fn plan(
    name: &'static str,
    what: &'static str,
    goal: Goal,
    measure: fn(&Bench<'_>, &Plan, &Kind) -> anyhow::Result<Figure>,
) -> Plan {
    Plan {
        name,
        what,
        unit: Unit::BytesPerValue,
        goal,
        rivals: Rivals::All,
        measure,
    }
}

pub(super) const PLANS: &[Plan] = &[
    plan(
        "bytes-100",
        "data directory, 100 hosts, 24 h, integers",
        Goal::AtMost(0.30),
        |bench, plan, kind| bytes(bench, plan, kind, cpu(100, Numbers::Integers), DAY_VALUES),
    ),
    plan(
        "bytes-4000",
        "data directory, 4,000 hosts, 1 h, integers",
        Goal::AtMost(0.38),
        |bench, plan, kind| {
            bytes(
                bench,
                plan,
                kind,
                cpu(4_000, Numbers::Integers),
                HOUR_VALUES,
            )
        },
    ),
    plan(
        "bytes-2-decimal",
        "data directory, 100 hosts, 6 h, two decimals",
        Goal::AtMost(1.25),
        |bench, plan, kind| {
            bytes(
                bench,
                plan,
                kind,
                cpu(100, Numbers::TwoDecimals),
                SIX_HOURS_VALUES,
            )
        },
    ),
    plan(
        "bytes-full",
        "data directory, 100 hosts, 6 h, full floats",
        Goal::AtMost(6.4),
        |bench, plan, kind| bytes(bench, plan, kind, cpu(100, Numbers::Full), SIX_HOURS_VALUES),
    ),
    plan(
        "bytes-fleet",
        "data directory, containers that come and go, strings, gaps",
        Goal::None,
        |bench, plan, kind| bytes(bench, plan, kind, Shape::Fleet, FLEET_VALUES),
    ),
];

const fn cpu(hosts: u32, numbers: Numbers) -> Shape {
    Shape::Cpu { hosts, numbers }
}

fn bytes(
    bench: &Bench<'_>,
    plan: &Plan,
    kind: &Kind,
    shape: Shape,
    values: u64,
) -> anyhow::Result<Figure> {
    let bodies = bench.bodies(shape, values, false)?;
    let dir = bench.fresh_dir(plan.name, kind)?;
    let server = kind.start(&dir)?;
    let loaded = load(server.address, &kind.write_target(), &bodies)?;
    let used = kind.settle_and_stop(server, &dir)?;
    let size = size(&dir)?;
    remove(&dir)?;
    let values = loaded.values as f64;
    Ok(Figure::new(
        size.allocated_bytes as f64 / values,
        [
            ("values", values),
            ("bytes", size.bytes as f64),
            ("allocated_bytes", size.allocated_bytes as f64),
            ("files", size.files as f64),
            ("cpu_s", used.cpu_s),
        ],
    ))
}
