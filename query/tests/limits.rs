//! A statement ends when it is killed, when its time is over, and when it would hold more memory than it
//! may: by name, soon, and wherever it is just then.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Bench;
use tandem_influxql::{Params, parse_statement};
use tandem_model::Precision;
use tandem_query::{
    Context, Error, Gone, Limits, Message, Path, Paths, Series, Sink, TaskLimits, Tasks,
};

/// How soon after its end a statement must stop; far more than it takes, on a machine that is busy too.
const SOON: Duration = Duration::from_secs(10);

/// Statements that would run for hours without reading more than a few points, each in another loop.
const ENDLESS: [&str; 6] = [
    "SELECT mean(v) FROM m WHERE time >= 0s AND time < 9000d GROUP BY time(1ms), * fill(0)",
    "SELECT count(mean) FROM (SELECT mean(v) FROM m WHERE time >= 0s AND time < 9000d GROUP BY time(1ms) fill(0))",
    "SELECT max(sum) FROM (SELECT sum(mean) FROM (SELECT mean(v) FROM m WHERE time >= 0s AND time < 9000d GROUP BY time(1ms) fill(previous)) GROUP BY time(1h))",
    "SELECT mean FROM (SELECT mean(v) FROM m WHERE time >= 0s AND time < 9000d GROUP BY time(1ms) fill(linear)) WHERE mean > 1000000",
    "EXPLAIN ANALYZE SELECT mean(v) FROM m WHERE time >= 0s AND time < 9000d GROUP BY time(1ms) fill(0)",
    "SELECT holt_winters(mean(v), 10, 0) FROM m WHERE time >= 0s AND time < 1h GROUP BY time(1ms) fill(0)",
];

fn bench(series: usize, rows: usize) -> (Bench, Context) {
    let bench = Bench::new();
    bench.store.create_database("db", None).expect("a database");
    let mut lines = String::new();
    for host in 0..series {
        for row in 0..rows {
            lines += &format!("m,host=h{host:05} v={row} {}\n", row * 1_000_000_000);
        }
    }
    let written = bench.write("db", None, Precision::Nanosecond, 0, lines.as_bytes());
    written.expect("write");
    let context = Context {
        database: Some("db".to_owned()),
        now_ns: 1_000_000_000_000_000_000,
        ..Context::default()
    };
    (bench, context)
}

/// Takes rows and forgets them.
struct Nowhere;

impl Sink for Nowhere {
    fn series(&mut self, _: Series) -> Result<(), Gone> {
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}

fn run(bench: &Bench, context: &Context, text: &str) -> Result<(), Error> {
    let statement = parse_statement(text, &Params::default()).expect(text);
    bench.executor.execute(&statement, context, &mut Nowhere)
}

#[test]
fn a_statement_ends_when_its_time_is_over() {
    let (bench, context) = bench(2, 10);
    let tasks = Tasks::new(TaskLimits {
        time_max: Duration::from_millis(100),
        ..TaskLimits::default()
    });
    for text in ENDLESS {
        let running = tasks.attach(text.to_owned(), None).expect("attach");
        let context = Context {
            task: Some(running.task()),
            ..context.clone()
        };
        let begun = Instant::now();
        let error = run(&bench, &context, text).expect_err(text).to_string();
        assert_eq!(error, "query-timeout limit exceeded", "{text}");
        assert!(begun.elapsed() < SOON, "{text}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_statement_ends_when_it_is_killed() {
    let (bench, context) = bench(2, 10);
    let tasks = bench.executor.tasks().clone();
    for text in ENDLESS {
        let running = tasks.attach(text.to_owned(), Some("db")).expect("attach");
        let statement = Context {
            task: Some(running.task()),
            ..context.clone()
        };
        std::thread::scope(|scope| {
            let killed = scope.spawn(|| run(&bench, &statement, text));
            let listed = bench.query("SHOW QUERIES", &context, None);
            let row = &listed["results"][0]["series"][0]["values"][0];
            assert_eq!(row[1], text);
            assert_eq!(row[2], "db");
            assert_eq!(row[4], "running");
            let kill = format!("KILL QUERY {}", row[0]);
            let answer = bench.query(&kill, &context, None);
            assert_eq!(answer["results"][0]["error"], serde_json::Value::Null);
            let begun = Instant::now();
            let error = killed.join().expect("no panic").expect_err(text);
            assert_eq!(error.to_string(), "query interrupted", "{text}");
            assert!(begun.elapsed() < SOON, "{text}: {:?}", begun.elapsed());
        });
    }
    let listed = bench.query("SHOW QUERIES", &context, None);
    let none = serde_json::json!([{"columns": ["qid", "query", "database", "duration", "status"]}]);
    assert_eq!(listed["results"][0]["series"], none);
}

#[test]
fn what_would_hold_too_much_is_refused_by_name() {
    let (bench, context) = bench(6_000, 1);
    let mut lines = String::new();
    for row in 0..30_000 {
        lines += &format!("long v={row},s=\"text {row}\" {row}\n");
    }
    let written = bench.write("db", None, Precision::Nanosecond, 0, lines.as_bytes());
    written.expect("write");
    let capped = Context {
        limits: Limits {
            bytes_max: 500 << 10,
            ..Limits::default()
        },
        paths: Paths::plain(),
        ..context.clone()
    };
    for text in [
        "SELECT * FROM m GROUP BY *",
        "SELECT * FROM m",
        "SELECT median(v) FROM long",
        "SELECT percentile(v, 50) FROM long",
        "SELECT mode(s) FROM long",
        "SELECT distinct(s) FROM long",
        "SELECT top(v, 20000) FROM long",
        "SELECT sample(v, 20000) FROM long",
        "SELECT moving_average(v, 29000) FROM long",
        "SELECT kaufmans_efficiency_ratio(v, 29000) FROM long",
        "SELECT holt_winters(mean(v), 1000000000000, 0) FROM long WHERE time >= 0 AND time < 10u GROUP BY time(1u)",
        "SELECT sum(v) FROM (SELECT v FROM m GROUP BY host) GROUP BY host",
        "EXPLAIN SELECT * FROM m GROUP BY *",
        "SHOW SERIES",
    ] {
        let error = run(&bench, &capped, text).expect_err(text).to_string();
        assert!(
            error.starts_with("each-query-bytes-max limit exceeded: ("),
            "{text}: {error}"
        );
        // All of it is given back.
        assert_eq!(bench.store.stats().memory.query_bytes, 0, "{text}");
    }
    for text in [
        "SELECT mean(v) FROM long",
        "SELECT top(v, 10) FROM long",
        "SELECT last(v) FROM m WHERE host = 'h00007'",
        "SELECT derivative(v) FROM long",
    ] {
        run(&bench, &capped, text).expect(text);
        run(&bench, &context, text).expect(text);
    }
}

/// All columns of all series were held until the limit was looked at, which took many times what the rows take.
#[test]
fn a_limit_over_very_many_series_holds_no_more_than_their_times() {
    const SERIES: usize = 12_000;
    let (bench, context) = bench(0, 0);
    for part in 0..4 {
        let mut lines = String::new();
        for series in (part..SERIES).step_by(4) {
            let fields: Vec<String> = (0..20).map(|at| format!("v{at}={series}.5")).collect();
            // Neighbours have equal times, some with an earlier row, and the first rows are not those of the first series.
            let time_s = (SERIES - series) / 7;
            let (name, fields) = (format!("wide,host=h{series:05}"), fields.join(","));
            lines += &format!(
                "{name} {fields} {time_s}\n{name} v3=1,a=\"x{}\" {}\n",
                series % 5,
                time_s + 3
            );
        }
        let written = bench.write("db", None, Precision::Second, 0, lines.as_bytes());
        written.expect("write");
        // One half lies in files, the other in memory.
        if part == 1 {
            bench.store.flush().expect("flush");
        }
    }
    let plain = Context {
        paths: Paths::plain(),
        ..context.clone()
    };
    let capped = Context {
        limits: Limits {
            bytes_max: 6 << 20,
            ..Limits::default()
        },
        ..context
    };
    let many: Vec<String> = (0..12).map(|at| format!("v{at}")).collect();
    let many = many.join(", ");
    // What is compared at equal times: tags, and a field of strings, and both in the others.
    let of_tags = format!("SELECT host, {many} FROM wide LIMIT 30");
    let of_strings = format!("SELECT a, {many} FROM wide ORDER BY time DESC LIMIT 9");
    for text in [
        "SELECT * FROM wide LIMIT 5",
        "SELECT * FROM wide ORDER BY time DESC LIMIT 20 OFFSET 3",
        "SELECT v0, v19 FROM wide WHERE v3 > 7 AND time > 300s LIMIT 1",
        &of_tags,
        &of_strings,
        "SELECT * FROM wide WHERE a = 'x3' LIMIT 12 OFFSET 2000",
        "SELECT * FROM wide LIMIT 7 OFFSET 30000",
    ] {
        let found = bench.query(text, &capped, Some(1));
        let expected = bench.query(text, &plain, Some(1));
        assert_eq!(found, expected, "{text}");
        assert_eq!(
            expected["results"][0]["error"],
            serde_json::Value::Null,
            "{text}"
        );
    }
    assert_eq!(capped.paths.count(Path::Late), 6);
    assert_eq!(bench.store.stats().memory.query_bytes, 0);
    // Without a limit they are all wanted.
    let error = run(&bench, &capped, "SELECT * FROM wide").expect_err("all rows");
    assert!(
        error
            .to_string()
            .starts_with("each-query-bytes-max limit exceeded: (")
    );
}

#[test]
fn what_a_limit_leaves_unread_does_not_count() {
    let (bench, context) = bench(1, 3_000);
    for paths in [Paths::plain(), Paths::default(), Paths::eager()] {
        let context = Context {
            limits: Limits {
                points_max: 20,
                ..Limits::default()
            },
            paths,
            ..context.clone()
        };
        bench.store.flush().expect("flush");
        for text in [
            "SELECT v FROM m LIMIT 5",
            "SELECT v FROM m ORDER BY time DESC LIMIT 1",
            "SELECT v FROM m ORDER BY time DESC LIMIT 5 OFFSET 3",
            "SELECT v FROM m WHERE v > 3 LIMIT 5",
            "SELECT v FROM m WHERE v < 2990 ORDER BY time DESC LIMIT 5",
        ] {
            run(&bench, &context, text).expect(text);
        }
        for text in [
            "SELECT v FROM m LIMIT 50",
            "SELECT v FROM m WHERE v > 100 LIMIT 5",
            "SELECT v FROM m",
        ] {
            let error = run(&bench, &context, text).expect_err(text).to_string();
            assert!(error.starts_with("max-select-point limit"), "{error}");
        }
    }
}

#[test]
fn as_many_queries_run_as_may() {
    let (bench, context) = bench(1, 1);
    let limits = TaskLimits {
        queries_max: 2,
        ..TaskLimits::default()
    };
    let tasks = Tasks::new(limits);
    let executor = tandem_query::Executor::new(Arc::clone(&bench.store)).with_tasks(tasks.clone());
    let one = tasks.attach("one".into(), None).expect("attach");
    let _two = tasks.attach("two".into(), None).expect("attach");
    let error = tasks.attach("three".into(), None).expect_err("a third");
    assert_eq!(
        error.to_string(),
        "max-concurrent-queries limit exceeded(2, 2)"
    );
    drop(one);
    let _three = tasks.attach("three".into(), None).expect("attach");
    let statement = parse_statement("SHOW QUERIES", &Params::default()).expect("a statement");
    executor
        .execute(&statement, &context, &mut Nowhere)
        .expect("runs");
}

/// A long condition was looked up term by term to its end, however long its client had been gone.
#[test]
fn a_condition_is_looked_up_only_while_it_is_wanted() {
    let (bench, context) = bench(2, 2);
    let gone = Context {
        cancel: Arc::new(true.into()),
        ..context.clone()
    };
    for text in [
        "SHOW TAG KEYS WHERE host = 'h00001' OR host = 'h00000'",
        "SHOW TAG KEYS WHERE _name = 'm' OR _name = 'n'",
        "SHOW TAG VALUES WITH KEY = host WHERE host = 'h00001' OR host = 'h00000'",
        "SHOW MEASUREMENTS WHERE host = 'h00001' OR host = 'h00000'",
        "SHOW SERIES EXACT CARDINALITY WHERE host = 'h00001' OR host = 'h00000'",
        "SHOW SERIES WHERE host = 'h00001' OR host = 'h00000'",
        "DELETE FROM m WHERE host = 'h00001' OR host = 'h00000'",
        "SELECT v FROM m WHERE host = 'h00001' OR host = 'h00000'",
    ] {
        let error = run(&bench, &gone, text).expect_err(text);
        assert_eq!(error.to_string(), "query interrupted", "{text}");
        if !text.starts_with("DELETE") {
            run(&bench, &context, text).expect(text);
        }
    }
}

/// Whether a name is one of a measurement's fields took a look at all of them, for each term of a condition: here
/// that would be a thousand million looks.
#[test]
fn many_terms_over_many_fields_are_planned_soon() {
    let (bench, context) = bench(1, 1);
    let fields: Vec<String> = (0..50_000).map(|at| format!("f{at}=1")).collect();
    let line = format!("wide,host=a {} 1", fields.join(","));
    let written = bench.write("db", None, Precision::Nanosecond, 0, line.as_bytes());
    written.expect("write");
    let terms = vec!["host = 'a'"; 20_000].join(" AND ");
    let text = format!("SHOW TAG VALUES WITH KEY = host WHERE {terms}");
    let begun = Instant::now();
    run(&bench, &context, &text).expect("values");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}
