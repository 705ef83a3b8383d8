//! `bench mixed`: small queries beside many that want everything.
//!
//! A store with a million series is asked by fifty clients for all rows of all series, grouped by all tags, over
//! and over, each reading as fast as it can, while one client asks for the newest value of one series after
//! another. Queries together may hold 512 MiB. Each large query must be answered, or refused by the name of the limit;
//! the store's memory must stay bounded; and the small ones should hardly notice.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::args::Args;
use crate::bodies::Bodies;
use crate::http::Connection;
use crate::load::load;
use crate::report::{Figure, Goal, Row, Unit, finish};
use crate::servers::{DATABASE, Kind, start_tandem};
use crate::store::remove;
use tandem_benches::generate::Shape;

/// Clients that want everything.
const LARGE_CLIENTS: usize = 50;
/// What all queries together may hold.
const QUERY_BYTES_MAX: u64 = 512 << 20;
/// What the store may hold beside them.
const REST_BYTES_MAX: u64 = 512 << 20;
/// The environment of the store.
const SETTINGS: [(&str, &str); 3] = [
    ("TANDEM_STORE_QUERY_BYTES_MAX", "512MiB"),
    ("TANDEM_STORE_MEMORY_BYTES_MAX", "1GiB"),
    ("TANDEM_STORE_CONCURRENT_QUERIES_MAX", "64"),
];
/// Bytes at the beginning and at the end of a large answer that are looked at.
const LOOKED_AT: usize = 4_096;

/// What became of large queries.
#[derive(Debug, Default)]
struct Outcomes {
    answered: u64,
    /// By the text of the error.
    refused: BTreeMap<String, u64>,
    /// Cut off when the time was over.
    left: u64,
    failed: Vec<String>,
    bytes: u64,
}

/// Measures, prints and writes the report.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        println!("mixed              small queries beside fifty that want everything");
        return Ok(());
    }
    ensure!(
        args.tandem.is_file(),
        "{} is not there: cargo build --release",
        args.tandem.display()
    );
    let dir = args.work.join(format!("mixed-{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let program = dir.join("tandem");
    fs::copy(&args.tandem, &program).with_context(|| format!("copy {}", args.tandem.display()))?;
    let program = program.canonicalize()?;
    let rows = measure(args, &program, &dir.join("data"));
    remove(&dir)?;
    finish(args, "mixed", &rows?)
}

fn measure(
    args: &Args,
    program: &std::path::Path,
    dir: &std::path::Path,
) -> anyhow::Result<Vec<Row>> {
    let (series, points, seconds) = if args.quick {
        (100_000, 20, 10)
    } else {
        (1_000_000, 100, 60)
    };
    let shape = Shape::Series { count: series };
    let values = u64::from(series) * points;
    let bodies = Bodies::prepare(&args.work.join("bodies"), shape, values, false)?;
    let kind = Kind::Tandem(program.to_owned());
    println!("loading {values} points of {series} series");
    let server = kind.start(dir)?;
    load(server.address, &kind.write_target(), &bodies)?;
    kind.settle_and_stop(server, dir)?;
    let server = start_tandem(program, dir, &SETTINGS)?;
    let address = server.address;

    let alone = small_queries(
        address,
        series,
        Instant::now() + Duration::from_secs(seconds / 2),
    )?;
    let before = server.process.usage()?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let outcomes = Mutex::new(Outcomes::default());
    let beside = thread::scope(|scope| {
        for _ in 0..LARGE_CLIENTS {
            scope.spawn(|| {
                while Instant::now() < end {
                    let outcome = large_query(address, end);
                    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    outcomes.add(outcome);
                }
            });
        }
        small_queries(address, series, end)
    })?;
    let used = server.process.usage()?;
    let outcomes = outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    println!("large queries: {outcomes:#?}");
    // It still works, and gives back what it held.
    small_queries(address, series, Instant::now() + Duration::from_millis(200))?;
    server.process.stop()?;
    ensure!(
        outcomes.failed.is_empty(),
        "large queries failed: {:?}",
        outcomes.failed
    );

    let refused: u64 = outcomes.refused.values().sum();
    let memory = Figure::new(
        used.peak_bytes as f64,
        [
            (
                "rss_before_mib",
                before.rss_bytes as f64 / f64::from(1 << 20),
            ),
            ("answered", outcomes.answered as f64),
            ("refused", refused as f64),
            ("left", outcomes.left as f64),
            ("gigabytes_sent", outcomes.bytes as f64 / 1e9),
        ],
    );
    let row = |name, what, unit, goal, figure| Row {
        name,
        what,
        unit,
        goal,
        figures: [("tandem", Ok(figure))].into(),
    };
    let peak = Goal::AtMost((QUERY_BYTES_MAX + REST_BYTES_MAX) as f64);
    Ok(vec![
        row(
            "mixed-small-alone",
            "newest value of one series, nothing else, median",
            Unit::Milliseconds,
            Goal::None,
            latency(alone, 0.5),
        ),
        row(
            "mixed-small",
            "the same beside 50 large queries, median",
            Unit::Milliseconds,
            Goal::None,
            latency(beside.clone(), 0.5),
        ),
        row(
            "mixed-small-p99",
            "the same, 99th of a hundred",
            Unit::Milliseconds,
            Goal::None,
            latency(beside, 0.99),
        ),
        row(
            "mixed-memory",
            "the most resident meanwhile",
            Unit::Bytes,
            peak,
            memory,
        ),
    ])
}

/// The time that so large a part of the answers took at most.
fn latency(mut times: Vec<Duration>, part: f64) -> Figure {
    times.sort_unstable();
    let at = |part: f64| {
        let place = (times.len() as f64 * part) as usize;
        let time = times.get(place.min(times.len().saturating_sub(1)));
        time.map_or(f64::NAN, Duration::as_secs_f64) * 1e3
    };
    Figure::new(
        at(part),
        [
            ("answers", times.len() as f64),
            ("p50_ms", at(0.5)),
            ("p99_ms", at(0.99)),
            ("max_ms", at(1.0)),
        ],
    )
}

/// Asks for one series after another until `end`; returns how long each answer took.
fn small_queries(address: SocketAddr, series: u32, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let mut times = Vec::new();
    let mut instance = 0_u32;
    while Instant::now() < end {
        // Far apart, so that no page is asked for twice in a row.
        instance = (instance + 7_919) % series;
        let request = request(
            address,
            &format!("SELECT last(served) FROM requests WHERE instance = 'i{instance}'"),
            "keep-alive",
        );
        let begun = Instant::now();
        let answer = connection.exchange(request.as_bytes())?;
        times.push(begun.elapsed());
        let body = String::from_utf8_lossy(&answer.body);
        ensure!(
            answer.status == 200 && body.contains("\"values\""),
            "a small query was answered with {}: {body}",
            answer.status
        );
    }
    Ok(times)
}

fn request(address: SocketAddr, text: &str, connection: &str) -> String {
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!(
        "GET /query?db={DATABASE}&epoch=ns&q={encoded} HTTP/1.1\r\nHost: {address}\r\nConnection: {connection}\r\n\r\n"
    )
}

/// What became of one large query.
enum Outcome {
    Answered { bytes: u64 },
    Refused { why: String },
    Left { bytes: u64 },
}

impl Outcomes {
    fn add(&mut self, outcome: anyhow::Result<Outcome>) {
        match outcome {
            Ok(Outcome::Answered { bytes }) => {
                self.answered += 1;
                self.bytes += bytes;
            }
            Ok(Outcome::Refused { why }) => *self.refused.entry(why).or_default() += 1,
            Ok(Outcome::Left { bytes }) => {
                self.left += 1;
                self.bytes += bytes;
            }
            Err(error) => self.failed.push(format!("{error:#}")),
        }
    }
}

/// Asks for everything and reads until `end`; then it leaves.
fn large_query(address: SocketAddr, end: Instant) -> anyhow::Result<Outcome> {
    let mut stream = TcpStream::connect(address).context("connect")?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let request = request(address, "SELECT * FROM requests GROUP BY *", "close");
    stream.write_all(request.as_bytes()).context("send")?;
    let mut piece = vec![0; 256 << 10];
    let (mut first, mut last, mut bytes) = (Vec::new(), Vec::new(), 0);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                let piece = &piece[..length];
                bytes += length as u64;
                if first.len() < LOOKED_AT {
                    first.extend_from_slice(piece);
                }
                last.extend_from_slice(&piece[length.saturating_sub(LOOKED_AT)..]);
                last.drain(..last.len().saturating_sub(LOOKED_AT));
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(error) => return Err(error).context("receive"),
        }
        if Instant::now() >= end {
            return Ok(Outcome::Left { bytes });
        }
    }
    let (first, last) = (
        String::from_utf8_lossy(&first),
        String::from_utf8_lossy(&last),
    );
    let why = last.split_once("\"error\":\"").map(|(_, rest)| {
        let text = rest.split('"').next().unwrap_or_default();
        // The numbers in it differ from time to time.
        text.split('(').next().unwrap_or_default().trim().to_owned()
    });
    match why {
        Some(why) => Ok(Outcome::Refused { why }),
        None if first.starts_with("HTTP/1.1 200") => Ok(Outcome::Answered { bytes }),
        None => bail!("answered with {first:.200}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_of_the_part_asked_for() {
        let times = || {
            (1..=100)
                .rev()
                .map(Duration::from_millis)
                .collect::<Vec<_>>()
        };
        assert_eq!(latency(times(), 0.5).value, 51.0);
        assert_eq!(latency(times(), 0.99).value, 100.0);
        assert!(latency(Vec::new(), 0.5).value.is_nan());
    }

    /// What becomes of a large query that is answered with this text, and then with nothing more.
    fn outcome(answer: &'static str, hangs: bool) -> Outcomes {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4_096];
            let _ = stream.read(&mut head).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            hangs.then_some(stream)
        });
        let time = if hangs { 0 } else { 60 };
        let mut outcomes = Outcomes::default();
        outcomes.add(large_query(
            address,
            Instant::now() + Duration::from_secs(time),
        ));
        drop(server.join().unwrap());
        outcomes
    }

    #[test]
    fn outcomes_are_told_apart() {
        let answered = outcome(
            "HTTP/1.1 200 OK\r\n\r\n{\"results\":[{\"statement_id\":0}]}",
            false,
        );
        assert_eq!(answered.answered, 1, "{answered:?}");
        let refused = outcome(
            "HTTP/1.1 200 OK\r\n\r\n{\"results\":[{\"error\":\"query-bytes-max limit exceeded: (9/8)\"}]}",
            false,
        );
        let expected = BTreeMap::from([("query-bytes-max limit exceeded:".to_owned(), 1)]);
        assert_eq!(refused.refused, expected);
        let failed = outcome("HTTP/1.1 500 Oh\r\n\r\n", false);
        assert_eq!(failed.failed.len(), 1, "{failed:?}");
        let left = outcome("HTTP/1.1 200 OK\r\n\r\n{", true);
        assert_eq!(left.left, 1, "{left:?}");
    }
}
