//! Ingest: values stored per second of the server's CPU time.
//!
//! Ours counts until the store is settled: the load, a clean stop, which flushes, and `tandem compact`. The
//! rivals' count ends with their last acknowledgement, which is in their favour.

use super::{Bench, Plan, Rivals, remove};
use crate::load::load;
use crate::report::{Figure, Goal, Unit};
use crate::servers::Kind;
use tandem_benches::generate::{Numbers, Shape};

const HUNDRED: Shape = Shape::Cpu {
    hosts: 100,
    numbers: Numbers::Integers,
};
const FOUR_THOUSAND: Shape = Shape::Cpu {
    hosts: 4_000,
    numbers: Numbers::Integers,
};
/// Values that the rivals get, and all get in a quick run.
const QUICK_VALUES: u64 = 10_000_000;

pub(super) const PLANS: &[Plan] = &[
    Plan {
        name: "ingest-100",
        what: "ingest, 100 hosts, durable before ack, until settled",
        unit: Unit::ValuesPerCpuSecond,
        goal: Goal::AtLeast(8e6),
        rivals: Rivals::All,
        measure: |bench, plan, kind| ingest(bench, plan, kind, HUNDRED, 100_000_000, false),
    },
    Plan {
        name: "ingest-4000",
        what: "ingest, 4,000 hosts",
        unit: Unit::ValuesPerCpuSecond,
        goal: Goal::AtLeast(5e6),
        rivals: Rivals::All,
        measure: |bench, plan, kind| ingest(bench, plan, kind, FOUR_THOUSAND, 50_000_000, false),
    },
    Plan {
        name: "ingest-gzip",
        what: "ingest, 100 hosts, gzip bodies",
        unit: Unit::ValuesPerCpuSecond,
        goal: Goal::AtLeast(5e6),
        rivals: Rivals::All,
        measure: |bench, plan, kind| ingest(bench, plan, kind, HUNDRED, 50_000_000, true),
    },
];

fn ingest(
    bench: &Bench<'_>,
    plan: &Plan,
    kind: &Kind,
    shape: Shape,
    full_values: u64,
    zipped: bool,
) -> anyhow::Result<Figure> {
    let mut bodies = bench.bodies(shape, bench.size(full_values, QUICK_VALUES), zipped)?;
    let ours = matches!(kind, Kind::Tandem(_));
    if !ours {
        bodies.truncate(QUICK_VALUES);
    }
    let dir = bench.fresh_dir(plan.name, kind)?;
    let server = kind.start(&dir)?;
    let loaded = load(server.address, &kind.write_target(), &bodies)?;
    let at_ack = server.process.usage()?;
    let used = if ours {
        kind.settle_and_stop(server, &dir)?
    } else {
        server.process.stop()?;
        at_ack
    };
    remove(&dir)?;
    let wall_s = loaded.wall.as_secs_f64();
    Ok(Figure::new(
        loaded.values as f64 / used.cpu_s,
        [
            ("values", loaded.values as f64),
            ("cpu_s", used.cpu_s),
            ("system_s", used.system_s),
            ("cpu_s_at_last_ack", at_ack.cpu_s),
            ("wall_s", wall_s),
            (
                "peak_mib",
                used.peak_bytes.max(at_ack.peak_bytes) as f64 / f64::from(1 << 20),
            ),
            ("refusals", loaded.refusals as f64),
        ],
    ))
}
