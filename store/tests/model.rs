//! A store against a plain map: any order of writes, deletions, flushes, merges, restarts and
//! queries shows what the map holds. Failures shrink to the operations that matter.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tandem_crash::{Cut, Op, Point, Step, Target, Value, Write, run};
use tandem_model::TimeRange;

/// 2023-11-14T20:00:00Z, an hour's beginning: shards are an hour long.
const FIRST_NS: i64 = 1_699_992_000_000_000_000;
const QUARTER_NS: i64 = 900_000_000_000;

fn target() -> impl Strategy<Value = Target> {
    (0..2_u8).prop_map(|policy| Target {
        database: 0,
        policy,
    })
}

fn time_ns() -> impl Strategy<Value = i64> {
    // On the border of a shard, a nanosecond before it, or inside.
    (0..12_i64, 0..2_i64).prop_map(|(quarter, before)| FIRST_NS + quarter * QUARTER_NS - before)
}

fn range() -> impl Strategy<Value = TimeRange> {
    prop_oneof![
        Just(TimeRange::ALL),
        (time_ns(), time_ns()).prop_map(|(a, b)| TimeRange::new(a.min(b), a.max(b))),
    ]
}

fn series() -> impl Strategy<Value = String> {
    prop_oneof!["[mn]", "[mn],host=[ab]", "[mn],dc=x,host=[ab]"]
}

fn value(name: &str) -> BoxedStrategy<Value> {
    match name {
        "f" => any::<i32>()
            .prop_map(|v| Value::Float((f64::from(v) / 4.0).to_bits()))
            .boxed(),
        "s" => "[a-z]{0,8}".prop_map(Value::String).boxed(),
        "b" => any::<bool>().prop_map(Value::Boolean).boxed(),
        _ => any::<i64>().prop_map(Value::Integer).boxed(),
    }
}

fn point() -> impl Strategy<Value = Point> {
    let field = prop::sample::select(vec!["i", "f", "s", "b"])
        .prop_flat_map(|name| value(name).prop_map(move |value| (name.to_owned(), value)));
    (series(), vec(field, 1..4), time_ns()).prop_map(|(series, fields, time_ns)| Point {
        series,
        fields: fields.into_iter().collect(),
        time_ns,
    })
}

/// Rows at even times: more than one page of a series, or a page of several.
fn many() -> impl Strategy<Value = Vec<Point>> {
    let values = btree_map(series(), any::<i16>(), 1..4);
    (values, time_ns(), 1..700_i64).prop_map(|(series, first_ns, count)| {
        let rows = (0..count).flat_map(|at| series.iter().map(move |s| (at, s)));
        rows.map(|(at, (series, value))| Point {
            series: series.clone(),
            fields: [("i".to_owned(), Value::Integer(i64::from(*value) + at))].into(),
            time_ns: first_ns + at * 1_000_000_000,
        })
        .collect()
    })
}

fn op() -> impl Strategy<Value = Op> {
    let write = |points| Op::Write(points);
    prop_oneof![
        10 => (target(), vec(point(), 1..12))
            .prop_map(move |(target, points)| write(Write { target, points })),
        1 => (target(), many()).prop_map(move |(target, points)| write(Write { target, points })),
        1 => Just(Op::CreatePolicy(Target { database: 0, policy: 1 }, 0)),
        1 => target().prop_map(Op::DropPolicy),
        1 => target().prop_map(Op::DropDatabase),
        2 => target().prop_map(Op::CreateDatabase),
        3 => (target(), "m|n|host=[ab]|dc=x", range())
            .prop_map(|(target, part, range)| Op::Delete { target, part, range }),
        1 => (target(), "[mn]").prop_map(|(target, name)| Op::DropMeasurement(target, name)),
        1 => (0..4_u8).prop_map(Op::DropShard),
        3 => Just(Op::Flush),
        2 => Just(Op::Compact),
        2 => (target(), range()).prop_map(|(target, range)| Op::Read(target, range)),
        2 => any::<bool>().prop_map(|clean| Op::Reopen { clean }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_store_shows_what_a_plain_map_holds(
        ops in vec((op(), prop::bool::weighted(0.3)), 1..40),
        crash in any::<u32>(),
    ) {
        let mut steps = vec![Step::from(Op::CreateDatabase(Target { database: 0, policy: 0 }))];
        steps.extend(ops.into_iter().map(|(op, look)| Step { look, ..Step::from(op) }));
        steps.push(Step {
            cut: Some(Cut { calls: 0, seed: crash.into(), again: None }),
            ..Step::from(Op::Flush)
        });
        if let Err(failure) = run(&steps, None) {
            let told: Vec<String> = steps.iter().map(ToString::to_string).collect();
            return Err(TestCaseError::fail(format!(
                "step {}: {}\n{}", failure.step, failure.what, told.join("\n")
            )));
        }
    }
}
