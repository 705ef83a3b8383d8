//! `bench query`: how long a query takes, beside goals and rivals.
//!
//! Each server gets the same day of 100 hosts, settles, and is started again. Then all of them stand
//! side by side and are asked row by row, one after the other, each variant of a row in turn over one kept
//! connection, until there are enough answers for a median. VictoriaMetrics is asked the nearest PromQL, its
//! cache of results off. DuckDB has the same rows in memory and is asked in SQL, without a network in between.

mod duckdb;
mod plans;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use self::duckdb::Duck;
use self::plans::{PLANS, Plan, Question};
use crate::args::Args;
use crate::bodies::Bodies;
use crate::http::Connection;
use crate::load::load;
use crate::report::{Figure, Row, Unit, finish};
use crate::servers::{DATABASE, Kind, Server, kinds};
use crate::store::remove;
use tandem_benches::generate::{Numbers, START_NS, Shape};

const HOSTS: u32 = 100;
const FIELDS: u64 = 10;
/// Rows of a host and field in an hour.
const ROWS_PER_HOUR: u64 = 360;
/// Answers before the first that counts, for each variant.
const WARM_UP_ROUNDS: usize = 2;
/// Answers of a row at least and at most, and how long it is asked in between.
const ANSWERS_MIN: usize = 15;
const ANSWERS_MAX: usize = 1_000;
const ASK_TIME: Duration = Duration::from_secs(4);

/// A server with its day of data.
struct Ready {
    kind: Kind,
    server: Server,
}

/// Measures what is asked for, prints it and writes the report.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        for plan in PLANS {
            println!("{:<22} {}", plan.name, plan.what);
        }
        return Ok(());
    }
    ensure!(
        PLANS.iter().any(|plan| args.wants(plan.name)),
        "no row's name starts so; --list names them"
    );
    finish(args, "query", &measure(args)?)
}

/// The rows that are asked for.
pub(crate) fn measure(args: &Args) -> anyhow::Result<Vec<Row>> {
    if !PLANS.iter().any(|plan| args.wants(plan.name)) {
        return Ok(Vec::new());
    }
    ensure!(
        args.tandem.is_file(),
        "{} is not there: cargo build --release",
        args.tandem.display()
    );
    let run_dir = args.work.join(format!("query-{}", std::process::id()));
    fs::create_dir_all(&run_dir).with_context(|| format!("make {}", run_dir.display()))?;
    let program = run_dir.join("tandem");
    fs::copy(&args.tandem, &program).with_context(|| format!("copy {}", args.tandem.display()))?;

    let hours: i64 = if args.quick { 12 } else { 24 };
    let values = u64::from(HOSTS) * FIELDS * ROWS_PER_HOUR * hours.unsigned_abs();
    let shape = Shape::Cpu {
        hosts: HOSTS,
        numbers: Numbers::Integers,
    };
    let mut bodies = Bodies::prepare(&args.work.join("bodies"), shape, 8_640_000, false)?;
    bodies.truncate(values);
    let mut servers = Vec::new();
    for kind in kinds(args, program.canonicalize()?) {
        println!("loading {}", kind.name());
        let dir = run_dir.join(format!("data-{}", kind.name()));
        let server = kind.start(&dir)?;
        load(server.address, &kind.write_target(), &bodies)?;
        kind.settle_and_stop(server, &dir)?;
        let server = kind.start(&dir)?;
        servers.push(Ready { kind, server });
    }
    let mut duck = match duckdb::find(args) {
        Some(python) => {
            println!("loading duckdb");
            Some(Duck::start(&python, &run_dir, &bodies)?)
        }
        None => None,
    };
    let rows: Vec<Row> = PLANS
        .iter()
        .filter(|plan| args.wants(plan.name))
        .map(|plan| row(plan, &servers, duck.as_mut(), hours))
        .collect();
    drop(duck);
    for ready in servers {
        ready.server.process.stop()?;
    }
    remove(&run_dir)?;
    Ok(rows)
}

fn row(plan: &Plan, servers: &[Ready], duck: Option<&mut Duck>, hours: i64) -> Row {
    let questions = plan.questions(START_NS, hours);
    let mut figures = BTreeMap::new();
    for ready in servers {
        let requests = requests(ready, plan, &questions);
        if requests.is_empty() {
            continue;
        }
        let measured = match plan.unit {
            Unit::MegabytesPerCpuSecond => stream(ready, &requests[0]),
            _ => median(ready, &requests),
        };
        note(&mut figures, plan, ready.kind.name(), measured);
    }
    let statements: Vec<&str> = questions.iter().filter_map(|q| q.sql.as_deref()).collect();
    if let Some(duck) = duck.filter(|_| !statements.is_empty()) {
        note(&mut figures, plan, "duckdb", duck_median(duck, &statements));
    }
    Row {
        name: plan.name,
        what: plan.what,
        unit: plan.unit,
        goal: plan.goal,
        figures,
    }
}

/// Prints a figure and keeps it.
fn note(
    figures: &mut BTreeMap<&'static str, Result<Figure, String>>,
    plan: &Plan,
    server: &'static str,
    measured: anyhow::Result<Figure>,
) {
    match &measured {
        Ok(figure) => println!(
            "{:<22} {server:<17} {:10.3} {:?}",
            plan.name, figure.value, figure.details
        ),
        Err(error) => println!("{:<22} {server}: failed: {error:#}", plan.name),
    }
    let figure = measured.map_err(|error| format!("{error:#}"));
    figures.insert(server, figure);
}

/// The requests for all variants; none where the server cannot be asked.
fn requests(ready: &Ready, plan: &Plan, questions: &[Question]) -> Vec<Vec<u8>> {
    let is_stream = plan.unit == Unit::MegabytesPerCpuSecond;
    let target = |question: &Question| match &ready.kind {
        Kind::Victoria(_) => question.promql.as_ref().map(|range| {
            format!(
                "/api/v1/query_range?nocache=1&start={}&end={}&step={}&query={}",
                range.start_s,
                range.end_s,
                range.step,
                encoded(&range.query)
            )
        }),
        _ => {
            let chunked = if is_stream {
                "&chunked=true&chunk_size=10000"
            } else {
                ""
            };
            Some(format!(
                "/query?db={DATABASE}{chunked}&q={}",
                encoded(&question.influxql)
            ))
        }
    };
    let request = |target: String| {
        let host = ready.server.address;
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
    };
    questions.iter().filter_map(target).map(request).collect()
}

/// The median time of an answer, in milliseconds.
fn median(ready: &Ready, requests: &[Vec<u8>]) -> anyhow::Result<Figure> {
    let mut connection = Connection::open(ready.server.address).context("connect")?;
    let mut empty = 0;
    for request in requests {
        for _ in 0..WARM_UP_ROUNDS {
            let answer = connection.exchange(request)?;
            let text = String::from_utf8_lossy(&answer.body);
            ensure!(
                answer.status == 200 && !text.contains("\"error\""),
                "{}: {text:.300}",
                answer.status
            );
            let nothing = "{\"results\":[{\"statement_id\":0}]}";
            empty += usize::from(text.contains("\"result\":[]") || text.trim() == nothing);
        }
    }
    // Some hosts have nothing to tell, but not all of them.
    ensure!(
        empty < WARM_UP_ROUNDS * requests.len(),
        "every answer is empty"
    );
    let before = ready.server.process.usage()?;
    let mut bytes = 0;
    let mut figure = median_of(requests, |request| {
        let asked = Instant::now();
        bytes += connection.exchange(request)?.body.len();
        Ok(asked.elapsed().as_secs_f64() * 1e3)
    })?;
    let used = ready.server.process.usage()?;
    let count = figure.details["answers"];
    let cpu_ms = (used.cpu_s - before.cpu_s) * 1e3;
    figure.details.insert("server_cpu_ms", cpu_ms / count);
    figure.details.insert("answer_bytes", bytes as f64 / count);
    Ok(figure)
}

/// The same of DuckDB.
fn duck_median(duck: &mut Duck, statements: &[&str]) -> anyhow::Result<Figure> {
    let mut has_rows = false;
    for statement in statements {
        for _ in 0..WARM_UP_ROUNDS {
            has_rows |= duck.ask(statement)?.1;
        }
    }
    ensure!(has_rows, "every answer is empty");
    median_of(statements, |statement| Ok(duck.ask(statement)?.0))
}

/// Asks in turn until there are enough answers; the median of what `ask` says they took, in milliseconds.
fn median_of<T>(
    questions: &[T],
    mut ask: impl FnMut(&T) -> anyhow::Result<f64>,
) -> anyhow::Result<Figure> {
    let begun = Instant::now();
    let mut times_ms = Vec::new();
    while times_ms.len() < ANSWERS_MIN
        || (begun.elapsed() < ASK_TIME && times_ms.len() < ANSWERS_MAX)
    {
        times_ms.push(ask(&questions[times_ms.len() % questions.len()])?);
    }
    times_ms.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| times_ms[((times_ms.len() - 1) as f64 * part) as usize];
    let count = times_ms.len() as f64;
    let details = [("answers", count), ("p10_ms", at(0.1)), ("p90_ms", at(0.9))];
    Ok(Figure::new(at(0.5), details))
}

/// Bytes of a long answer for each CPU second of the server.
fn stream(ready: &Ready, request: &[u8]) -> anyhow::Result<Figure> {
    let mut connection = Connection::open(ready.server.address).context("connect")?;
    connection.drain(request)?;
    let before = ready.server.process.usage()?;
    let begun = Instant::now();
    let mut bytes = 0;
    let mut rounds = 0.0;
    while rounds < 3.0 && begun.elapsed() < 4 * ASK_TIME {
        bytes += connection.drain(request)?;
        rounds += 1.0;
    }
    let cpu_s = ready.server.process.usage()?.cpu_s - before.cpu_s;
    let wall_s = begun.elapsed().as_secs_f64();
    Ok(Figure::new(
        bytes as f64 / cpu_s,
        [
            ("answer_bytes", bytes as f64 / rounds),
            ("cpu_s", cpu_s / rounds),
            ("wall_s", wall_s / rounds),
        ],
    ))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
