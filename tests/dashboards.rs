//! Widely used dashboards stay filled: each of their queries has rows over an hour of what this agent recorded.
//!
//! In `agent/tests/dashboards`, `host.influxql` holds the queries that a plain Linux host must fill, `containers.influxql` those that need containers,
//! both with their variables put in; `host.lp` and `containers.lp` are what the agent's collectors made, in an hour, of files that move on as a
//! kernel's do (`agent/src/collect/tests/hour.rs` writes them).

use std::path::Path;
use std::sync::Arc;

use tandem_influxql::{Params, parse_query};
use tandem_model::Precision;
use tandem_query::{Context, Executor, Gone, Message, Series, Sink, Value};
use tandem_store::{Options, Store, WriteRequest};
use tandem_vfs::RealFs;

/// 2024-01-01T00:00:00Z, where the queries look.
const HOUR_NS: i64 = 1_704_067_200_000_000_000;
const HOUR_LENGTH_NS: i64 = 3_600_000_000_000;
/// What is kept of it.
const GATHERS: usize = 20;

/// Counts cells that hold something beside the time.
#[derive(Default)]
struct Counter(usize);

impl Sink for Counter {
    fn series(&mut self, series: Series) -> Result<(), Gone> {
        let cells = series.values.iter().flat_map(|row| row.iter().skip(1));
        self.0 += cells.filter(|cell| !matches!(cell, Value::Null)).count();
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("agent/tests/dashboards")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The lines of each moment, in order.
fn gathers(lines: &str) -> Vec<String> {
    let mut bodies: Vec<String> = Vec::new();
    let mut last = "";
    for line in lines.lines() {
        let (_, time) = line.rsplit_once(' ').unwrap();
        if std::mem::replace(&mut last, time) != time {
            bodies.push(String::new());
        }
        let body = bodies.last_mut().unwrap();
        body.push_str(line);
        body.push('\n');
    }
    bodies
}

fn check(data: &str, queries: &str) {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let store = Store::open(Arc::new(RealFs), &data_dir, Options::default()).unwrap();
    let store = Arc::new(store);
    store.create_database("telegraf", None).unwrap();
    let request = WriteRequest {
        database: "telegraf",
        retention_policy: None,
        precision: Precision::Nanosecond,
        now_ns: HOUR_NS,
    };
    let bodies = gathers(&file(data));
    assert_eq!(bodies.len(), GATHERS, "an hour of {data}");
    for body in bodies {
        store.write(&request, body.as_bytes()).unwrap();
    }
    let executor = Executor::new(store);
    let mut empty = Vec::new();
    let mut asked = 0;
    for text in file(queries).lines().filter(|line| !line.starts_with("--")) {
        let query =
            parse_query(text, &Params::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let context = Context {
            database: Some("telegraf".into()),
            now_ns: HOUR_NS + HOUR_LENGTH_NS,
            ..Context::default()
        };
        for statement in &query.statements {
            let mut counter = Counter::default();
            let done = executor.execute(statement, &context, &mut counter);
            done.unwrap_or_else(|error| panic!("{text}: {error}"));
            asked += 1;
            if counter.0 == 0 {
                empty.push(text.to_owned());
            }
        }
    }
    assert!(asked > 50, "{asked}");
    assert!(
        empty.is_empty(),
        "{} of {asked} without rows:\n{}",
        empty.len(),
        empty.join("\n")
    );
}

#[test]
fn a_plain_host_fills_its_dashboards() {
    check("host.lp", "host.influxql");
}

#[test]
fn containers_fill_theirs() {
    check("containers.lp", "containers.influxql");
}
