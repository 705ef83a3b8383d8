//! What the request around a statement does to it: warnings, limits, cancellation, a reader that
//! leaves, and what is not supported.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::Bench;
use serde_json::json;
use tandem_influxql::{Params, parse_statement};
use tandem_model::Precision;
use tandem_query::{Context, Error, Gone, Limits, Message, Paths, Series, Sink};

fn bench(series: usize, rows: usize) -> (Bench, Context) {
    let bench = Bench::new();
    bench
        .store
        .create_database("db", None)
        .expect("create the database");
    let lines: Vec<String> = (0..series)
        .flat_map(|host| {
            (0..rows).map(move |row| format!("m,host=h{host:04} v={row} {}", row * 1_000))
        })
        .collect();
    bench
        .write(
            "db",
            None,
            Precision::Nanosecond,
            0,
            lines.join("\n").as_bytes(),
        )
        .expect("write");
    let context = Context {
        database: Some("db".to_owned()),
        now_ns: 1_000_000_000,
        ..Context::default()
    };
    (bench, context)
}

/// Counts rows, and leaves or cancels after some.
struct Counter {
    rows: usize,
    leave_after: usize,
    cancel: Option<(usize, Arc<AtomicBool>)>,
}

impl Sink for Counter {
    fn series(&mut self, series: Series) -> Result<(), Gone> {
        self.rows += series.values.len();
        if let Some((after, cancel)) = &self.cancel
            && self.rows >= *after
        {
            cancel.store(true, Ordering::Relaxed);
        }
        if self.rows >= self.leave_after {
            Err(Gone)
        } else {
            Ok(())
        }
    }

    fn message(&mut self, _: Message) {}
}

#[test]
fn a_change_by_get_runs_and_warns() {
    let (bench, mut context) = bench(1, 1);
    context.read_only = true;
    let answer = bench.query("CREATE DATABASE x", &context, None);
    let text = "deprecated use of 'CREATE DATABASE x' in a read only context, please use a POST request instead";
    let expected =
        json!({"results": [{"statement_id": 0, "messages": [{"level": "warning", "text": text}]}]});
    assert_eq!(answer, expected);
    assert_eq!(bench.store.databases(), ["db", "x"]);
    let answer = bench.query("SELECT v INTO n FROM (SELECT v FROM m)", &context, None);
    let text = answer["results"][0]["messages"][0]["text"].as_str();
    let shown = "'SELECT v INTO db.autogen.n FROM (SELECT v FROM db.autogen.m)'";
    assert!(text.is_some_and(|text| text.contains(shown)), "{answer}");
    bench.query("DROP DATABASE x", &context, None);
    assert_eq!(bench.store.databases(), ["db"]);
    context.read_only = false;
    let answer = bench.query("DROP DATABASE x; CREATE DATABASE db", &context, None);
    assert_eq!(
        answer,
        json!({"results": [{"statement_id": 0}, {"statement_id": 1}]})
    );
}

#[test]
fn a_database_is_needed() {
    let (bench, mut context) = bench(1, 1);
    context.database = None;
    for statement in [
        "SELECT v FROM m",
        "SHOW MEASUREMENTS",
        "SHOW TAG KEYS",
        "SHOW TAG VALUES WITH KEY = host",
        "SHOW FIELD KEYS",
        "SHOW SERIES",
        "SHOW RETENTION POLICIES",
        "SHOW SERIES CARDINALITY",
    ] {
        let answer = bench.query(statement, &context, None);
        assert_eq!(
            answer["results"][0]["error"], "database name required",
            "{statement}"
        );
    }
    assert_eq!(
        bench.query("SHOW DATABASES", &context, None)["results"][0]["series"][0]["values"],
        json!([["db"]])
    );
}

/// Without a server around it, there is nothing to tell and no other query.
#[test]
fn what_is_about_the_server_needs_none() {
    let (bench, context) = bench(1, 1);
    let result = |statement: &str| bench.query(statement, &context, None)["results"][0].clone();
    for statement in ["SHOW STATS", "SHOW DIAGNOSTICS FOR 'build'"] {
        assert_eq!(result(statement), json!({"statement_id": 0}), "{statement}");
    }
    assert_eq!(result("KILL QUERY 1")["error"], "no such query id: 1");
    let plan = result("EXPLAIN SELECT mean(v), host FROM m");
    let error = "mixing aggregate and non-aggregate queries is not supported";
    assert_eq!(plan["error"], error);
}

/// The lines that InfluxDB has come first.
#[test]
fn explain_tells_what_is_read_and_how() {
    let (bench, context) = bench(3, 2);
    let lines = |statement: &str| -> Vec<String> {
        let answer = bench.query(statement, &context, None);
        let series = &answer["results"][0]["series"][0];
        let column = if statement.contains("ANALYZE") {
            "EXPLAIN ANALYZE"
        } else {
            "QUERY PLAN"
        };
        assert_eq!(series["columns"], json!([column]), "{answer}");
        let rows = series["values"].as_array().expect("rows");
        let line = |row: &serde_json::Value| row[0].as_str().expect("a line").to_owned();
        rows.iter().map(line).collect()
    };
    let plan = lines("EXPLAIN SELECT mean(v), max(v) FROM m GROUP BY host");
    let expected = [
        "EXPRESSION: mean(v::float)",
        "NUMBER OF SHARDS: 1",
        "NUMBER OF SERIES: 3",
        "CACHED VALUES: 6",
        "NUMBER OF FILES: 0",
        "NUMBER OF BLOCKS: 0",
        "SIZE OF BLOCKS: 0",
        "",
        "EXPRESSION: max(v::float)",
    ];
    assert_eq!(plan[..expected.len()], expected);
    assert!(plan.contains(&"NUMBER OF GROUPS: 3".to_owned()), "{plan:?}");
    assert!(
        plan.iter().any(|line| line.starts_with("PATH: ")),
        "{plan:?}"
    );

    bench.store.flush().expect("flush");
    let plan = lines("EXPLAIN SELECT v, host FROM m WHERE host != 'h0001'");
    assert_eq!(plan[0], "EXPRESSION: <nil>");
    assert_eq!(plan[1], "AUXILIARY FIELDS: host::tag, v::float");
    assert_eq!(
        plan[3..7],
        [
            "NUMBER OF SERIES: 2",
            "CACHED VALUES: 0",
            "NUMBER OF FILES: 1",
            "NUMBER OF BLOCKS: 2"
        ]
    );

    let tree = lines("EXPLAIN ANALYZE SELECT mean(v) FROM m WHERE time >= 0 GROUP BY host");
    assert_eq!(tree[..2], [".", "└── select"]);
    for (depth, start) in [
        (1, "execution_time: "),
        (1, "planning_time: "),
        (1, "total_time: "),
        (1, "peak_memory: "),
        (2, "plan"),
        (2, "path: "),
        (2, "taken: "),
        (3, "rows: 3"),
        (3, "shards: 1"),
        (3, "pages: 3"),
    ] {
        let found = tree.iter().any(|line| {
            line.chars().count() >= 4 * (depth + 1)
                && line
                    .chars()
                    .skip(4 * (depth + 1))
                    .collect::<String>()
                    .starts_with(start)
        });
        assert!(found, "{start:?} at {depth} in {tree:#?}");
    }
}

/// What is foretold is what is done.
#[test]
fn explain_names_the_way_that_is_taken() {
    let (bench, context) = bench(3, 40);
    bench.store.flush().expect("flush");
    for (statement, path) in [
        ("SELECT v FROM m", "columns"),
        ("SELECT mean(v) FROM m GROUP BY host", "windows"),
        (
            "SELECT max(v) FROM m WHERE time >= 0 AND time < 40000 GROUP BY time(10u)",
            "windows",
        ),
        ("SELECT last(v) FROM m GROUP BY host", "ends"),
        ("SELECT derivative(v) FROM m", "rows"),
        ("SELECT v * 2 FROM m", "rows"),
        ("SELECT mean(v) FROM (SELECT v FROM m)", "rows"),
    ] {
        let line = |statement: &str, start: &str| {
            let answer = bench.query(statement, &context, None);
            let rows = answer["results"][0]["series"][0]["values"].as_array();
            let lines = rows.into_iter().flatten().filter_map(|row| row[0].as_str());
            let lines: Vec<String> = lines
                .map(|line| {
                    line.trim_start_matches(['│', '├', '└', '─', ' '])
                        .to_owned()
                })
                .collect();
            let found = lines.iter().find_map(|line| line.strip_prefix(start));
            found
                .unwrap_or_else(|| panic!("{start} in {lines:?}"))
                .to_owned()
        };
        let plan = line(&format!("EXPLAIN {statement}"), "PATH: ");
        assert!(
            plan.starts_with(&format!("{path} (")),
            "{statement}: {plan}"
        );
        let analyzed = format!("EXPLAIN ANALYZE {statement}");
        assert_eq!(line(&analyzed, "path: "), path, "{statement}");
        let taken = line(&analyzed, "taken: ");
        let ways: Vec<&str> = taken
            .split(", ")
            .filter_map(|way| way.split(' ').next())
            .collect();
        assert!(ways.contains(&path), "{statement}: {taken}");
        assert!(
            path == "rows" || !ways.contains(&"rows"),
            "{statement}: {taken}"
        );
    }
}

#[test]
fn measurements_of_all_databases_say_where_they_are() {
    let (bench, context) = bench(1, 1);
    bench.query(
        "CREATE DATABASE other; CREATE RETENTION POLICY rp ON other DURATION INF REPLICATION 1",
        &context,
        None,
    );
    let write = |policy| {
        let written = bench.write("other", policy, Precision::Nanosecond, 0, b"n v=1 1");
        written.expect("write");
    };
    write(None);
    write(Some("rp"));
    let rows = |statement: &str| {
        bench.query(statement, &context, None)["results"][0]["series"][0]["values"].clone()
    };
    let all = json!([
        ["m", "db", "autogen"],
        ["n", "other", "autogen"],
        ["n", "other", "rp"]
    ]);
    assert_eq!(rows("SHOW MEASUREMENTS ON *.*"), all);
    assert_eq!(rows("SHOW MEASUREMENTS ON *"), all);
    assert_eq!(
        rows("SHOW MEASUREMENTS ON other.* LIMIT 1"),
        json!([["n", "other", "autogen"]])
    );
    assert_eq!(
        rows("SHOW MEASUREMENTS ON *.rp"),
        json!([["n", "other", "rp"]])
    );
    assert_eq!(rows("SHOW MEASUREMENTS ON other.rp"), json!([["n"]]));
    let found = rows("SHOW MEASUREMENTS ON *.* WITH MEASUREMENT =~ /m/ WHERE host = 'h0000'");
    assert_eq!(found, json!([["m", "db", "autogen"]]));
}

/// Rows come in pieces: smaller ones where each is computed for itself.
fn pieces() -> [(Paths, usize); 2] {
    [(Paths::plain(), 1_000), (Paths::default(), 8_192)]
}

#[test]
fn a_cancelled_statement_stops() {
    let (bench, context) = bench(20, 1_000);
    let statement = parse_statement("SELECT v FROM m", &Params::default()).expect("parse");
    for (paths, piece) in pieces() {
        let context = Context {
            paths,
            cancel: Arc::default(),
            ..context.clone()
        };
        let cancel = Some((1_000, context.cancel.clone()));
        let mut counter = Counter {
            rows: 0,
            leave_after: usize::MAX,
            cancel,
        };
        let error = bench
            .executor
            .execute(&statement, &context, &mut counter)
            .expect_err("it was cancelled");
        assert!(matches!(error, Error::Interrupted), "{error}");
        assert_eq!(error.to_string(), "query interrupted");
        let rows = counter.rows;
        assert!(rows <= 2 * piece, "{rows} rows in pieces of {piece}");
    }
}

#[test]
fn a_statement_ends_when_nobody_reads() {
    let (bench, context) = bench(20, 1_000);
    let statement = parse_statement("SELECT v FROM m", &Params::default()).expect("parse");
    for (paths, piece) in pieces() {
        let context = Context {
            paths,
            ..context.clone()
        };
        let mut counter = Counter {
            rows: 0,
            leave_after: 1,
            cancel: None,
        };
        let error = bench
            .executor
            .execute(&statement, &context, &mut counter)
            .expect_err("nobody reads");
        assert!(matches!(error, Error::Interrupted), "{error}");
        assert!((1..=piece).contains(&counter.rows), "{} rows", counter.rows);
    }
}

#[test]
fn limits_hold() {
    let (bench, mut context) = bench(5, 100);
    let error = |limits: Limits, statement: &str, context: &mut Context| {
        context.limits = limits;
        bench.query(statement, context, None)["results"][0]["error"].clone()
    };
    let series = Limits {
        series_max: 4,
        ..Limits::default()
    };
    assert_eq!(
        error(series, "SELECT v FROM m", &mut context),
        "max-select-series limit exceeded: (5/4)"
    );
    assert_eq!(
        error(series, "SELECT v FROM m WHERE host = 'h0001'", &mut context),
        json!(null)
    );
    let points = Limits {
        points_max: 499,
        ..Limits::default()
    };
    assert_eq!(
        error(points, "SELECT v FROM m", &mut context),
        "max-select-point limit exceeed: (500/499)"
    );
    // Whole pages are counted where rows are read by the page.
    context.paths = Paths::plain();
    assert_eq!(
        error(points, "SELECT v FROM m LIMIT 10", &mut context),
        json!(null)
    );
    let buckets = Limits {
        buckets_max: 9,
        ..Limits::default()
    };
    let statement = "SELECT mean(v) FROM m WHERE time >= 0 AND time < 100u GROUP BY time(10u)";
    assert_eq!(
        error(buckets, statement, &mut context),
        "max-select-buckets limit exceeded: (10/9)"
    );
    assert_eq!(error(buckets, "SELECT v FROM m", &mut context), json!(null));
}

#[test]
fn windows_end_now_unless_told_otherwise() {
    let (bench, mut context) = bench(1, 5);
    context.now_ns = 2_500;
    let count = |statement: &str| {
        bench.query(statement, &context, Some(1))["results"][0]["series"][0]["values"].clone()
    };
    let windows = count("SELECT count(v) FROM m WHERE time >= 0 GROUP BY time(1u)");
    assert_eq!(windows, json!([[0, 1], [1_000, 1], [2_000, 1]]));
    assert_eq!(
        count("SELECT count(v) FROM m WHERE time >= 0"),
        json!([[0, 5]])
    );
    assert_eq!(
        count("SELECT count(v) FROM m WHERE time <= now()"),
        json!([[0, 3]])
    );
}

#[test]
fn a_long_series_comes_in_pieces_and_whole() {
    let (bench, context) = bench(2, 2_500);
    let answer = bench.query("SELECT v FROM m GROUP BY host", &context, Some(1));
    let series = answer["results"][0]["series"].as_array().expect("series");
    assert_eq!(series.len(), 2);
    for series in series {
        let values = series["values"].as_array().expect("values");
        assert_eq!(values.len(), 2_500);
        assert_eq!(values[2_499], json!([2_499_000, 2_499.0]));
    }
}

#[test]
fn a_tag_in_double_quotes_is_told_to_the_user() {
    let (bench, context) = bench(1, 1);
    let answer = bench.query("SHOW TAG KEYS WHERE host = \"a\"", &context, None);
    let error = answer["results"][0]["error"]
        .as_str()
        .expect("an error")
        .to_owned();
    assert!(
        error.starts_with("bad WHERE clause for metaquery; one term must be a string literal"),
        "{error}"
    );
}

#[test]
fn bad_regular_expressions_are_refused() {
    let (bench, context) = bench(1, 1);
    for statement in [
        "SELECT v FROM /(/",
        "SELECT v FROM m WHERE host =~ /[/",
        "SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?=a)/",
    ] {
        let answer = bench.query(statement, &context, None);
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(
            error.starts_with("error parsing query: error parsing regexp: "),
            "{statement}: {answer}"
        );
    }
}
