//! Widely used dashboards stay filled: each of their queries has rows over an hour of what this agent recorded.
//!
//! In `agent/tests/dashboards`, `host.influxql` holds the queries that a plain Linux host must fill, `containers.influxql` those that need containers,
//! both with their variables put in; `host.lp` and `containers.lp` are one gather each, which stands for every
//! ten seconds of the hour with its counters going on.

use std::path::Path;
use std::sync::Arc;

use tandem_influxql::{Params, parse_query};
use tandem_model::Precision;
use tandem_query::{Context, Executor, Gone, Message, Series, Sink, Value};
use tandem_store::{Options, Store, WriteRequest};
use tandem_vfs::RealFs;

/// 2024-01-01T00:00:00Z, where the queries look.
const HOUR_NS: i64 = 1_704_067_200_000_000_000;
const STEPS: i64 = 360;
const STEP_NS: i64 = 10_000_000_000;

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

/// An hour of the gather in `lines`: integers grow by one at each step.
fn hour(lines: &str) -> Vec<String> {
    let at = |step: i64| {
        let mut body = String::new();
        for line in lines.lines() {
            let (rest, _) = line.rsplit_once(' ').unwrap();
            let (key, fields) = split_key(rest);
            body.push_str(key);
            body.push(' ');
            for (number, field) in split_fields(fields).into_iter().enumerate() {
                if number > 0 {
                    body.push(',');
                }
                let (name, value) = field.split_once('=').unwrap();
                match value
                    .strip_suffix('i')
                    .and_then(|text| text.parse::<i64>().ok())
                {
                    Some(value) => {
                        body.push_str(&format!("{name}={}i", value.saturating_add(step)));
                    }
                    None => body.push_str(field),
                }
            }
            body.push_str(&format!(" {}\n", HOUR_NS + step * STEP_NS));
        }
        body
    };
    (0..STEPS).map(at).collect()
}

/// Cuts a line at its first blank without a backslash.
fn split_key(line: &str) -> (&str, &str) {
    let mut blanks = line.match_indices(' ');
    let (at, _) = blanks.find(|(at, _)| !line[..*at].ends_with('\\')).unwrap();
    (&line[..at], &line[at + 1..])
}

/// Cuts fields at commas that are not in a string.
fn split_fields(fields: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, byte) in fields.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(&fields[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&fields[start..]);
    parts
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
    for body in hour(&file(data)) {
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
            now_ns: HOUR_NS + STEPS * STEP_NS,
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
