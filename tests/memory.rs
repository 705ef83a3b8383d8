//! A store with little memory stays within what it was given and some slack.
//!
//! It is written to by many at once, with large bodies of ever new series: it says 503 while there is no room, and every
//! point that it acknowledged is there, also after a restart. It is asked for all of a table of thousands of fields,
//! each of which one series has: that is answered, or refused by the name of the limit. And it gets as many
//! measurements as others have series, which do not keep it from writing files and ending in time.

mod common;

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use common::{
    await_true, http,
    process::{Process, free_addresses},
};

const MEMORY_BYTES_MAX: u64 = 64 << 20;
/// Beside what is accounted for: the program, its threads' stacks, open files, buffers of flush and merge, and what the
/// allocator keeps.
const SLACK_BYTES: u64 = 112 << 20;
const WRITERS: usize = 8;
const ROUNDS: usize = 10;
/// Of some 80 bytes each.
const LINES: usize = 12_000;
/// Of each writer.
const SERIES: usize = 12_000;

fn body(writer: usize, round: usize) -> String {
    let mut body = String::with_capacity(LINES * 100);
    for line in 0..LINES {
        let series = (round * LINES + line) % SERIES;
        let _ = writeln!(
            body,
            "load,writer=w{writer},host=host-{series:05} a={round}i,b={line}.25,note=\"round {round}\" {}",
            1_700_000_000_000_000_000_u64 + (round * LINES + line) as u64,
        );
    }
    body
}

fn count(address: SocketAddr) -> Option<u64> {
    http::rows(address, "telegraf", "SELECT count(a) FROM load")?.first()?[1].as_u64()
}

/// A number of `/metrics`.
fn metric(text: &str, sample: &str) -> f64 {
    let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
    let start = format!("{name}{{instance=\"small\"{labels}");
    let line = text.lines().find_map(|l| l.strip_prefix(&start));
    let value = line.unwrap_or_else(|| panic!("{start} is not there:\n{text}"));
    value.trim().parse().expect("a number")
}

/// A store with little memory, what it was started with, and where it listens.
fn start(home: &tempfile::TempDir) -> (Process, Vec<String>, SocketAddr) {
    let config = home.path().join("tandem.toml");
    let text = format!(
        "[store]\nname = \"small\"\nmemory-bytes-max = {MEMORY_BYTES_MAX}\noverload-wait = \"10ms\"\nfree-bytes-min = \"1MiB\"\n"
    );
    fs::write(&config, text).expect("a configuration");
    let [address] = free_addresses();
    let (config, data) = (config.display().to_string(), home.path().join("data"));
    let (data, address_text) = (data.display().to_string(), address.to_string());
    let arguments = [
        "store",
        "--config",
        &config,
        "--data-dir",
        &data,
        "--http",
        &address_text,
        "--admin",
        "off",
    ];
    let arguments = arguments.map(str::to_owned).to_vec();
    (run(home, &arguments, address), arguments, address)
}

fn run(home: &tempfile::TempDir, arguments: &[String], address: SocketAddr) -> Process {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut process = Process::start(&arguments, home.path(), "store");
    process.await_ping(address);
    process
}

#[test]
fn a_store_with_little_memory_stays_within_it_and_loses_nothing() {
    let home = tempfile::tempdir().expect("a directory");
    let (mut process, arguments, address) = start(&home);

    let refused = AtomicU64::new(0);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let refused = &refused;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let body = body(writer, round);
                    await_true("an answer of 204", common::PATIENCE, || {
                        match http::write(address, "telegraf", &body) {
                            Ok((204, _)) => true,
                            Ok((503, _)) => {
                                refused.fetch_add(1, Ordering::Relaxed);
                                false
                            }
                            other => panic!("{other:?}"),
                        }
                    });
                }
            });
        }
    });
    let (rss, refused) = (process.rss_bytes_max(), refused.into_inner());
    let points = (WRITERS * ROUNDS * LINES) as u64;
    println!(
        "memory: {} MiB at most for {points} points; {refused} refusals",
        rss >> 20
    );
    assert!(
        rss <= MEMORY_BYTES_MAX + SLACK_BYTES,
        "{rss} bytes of memory"
    );
    assert!(refused > 0, "never out of memory");
    assert_eq!(count(address), Some(points));

    let (status, text) = http::get(address, "/metrics").expect("metrics");
    assert_eq!(status, 200);
    assert_eq!(metric(&text, "tandem_store_points_total"), points as f64);
    assert_eq!(metric(&text, "tandem_store_writable"), 1.0);
    let overloaded = metric(
        &text,
        "tandem_store_writes_refused_total{,reason=\"overloaded\"}",
    );
    assert!(overloaded > 0.0);
    let used: f64 = ["memtables", "writing", "index", "cache", "queries"]
        .iter()
        .map(|part| {
            metric(
                &text,
                &format!("tandem_store_memory_bytes{{,part=\"{part}\"}}"),
            )
        })
        .sum();
    assert!(
        used <= MEMORY_BYTES_MAX as f64,
        "{used} bytes accounted for"
    );
    assert!(metric(&text, "tandem_store_log_sync_seconds_count{,log=\"wal\"}") >= 1.0);

    process.kill();
    let _process = run(&home, &arguments, address);
    await_true("all points", Duration::from_secs(30), || {
        count(address) == Some(points)
    });
}

#[test]
fn a_table_of_thousands_of_fields_is_queried_within_the_memory() {
    const FIELDS: usize = 4_000;
    let home = tempfile::tempdir().expect("a directory");
    let (process, _, address) = start(&home);
    let lines = (0..FIELDS).map(|n| format!("wide,h={n} f{n}={n} {}\n", n + 1));
    let (status, text) =
        http::write(address, "telegraf", &lines.collect::<String>()).expect("an answer");
    assert_eq!(status, 204, "{text}");
    let mut told = 0;
    for query in [
        "SELECT * FROM wide LIMIT 1",
        "SELECT * FROM wide ORDER BY time DESC LIMIT 2",
        "SELECT * FROM wide",
        "SELECT * FROM wide GROUP BY *",
        "SELECT last(*) FROM wide",
    ] {
        let target = format!(
            "/query?db=telegraf&q={}",
            query.replace(' ', "%20").replace('*', "%2A")
        );
        let (status, text) = http::get(address, &target).expect("an answer");
        let is_refused = text.contains("query-bytes-max limit exceeded");
        assert!(
            is_refused || text.contains("\"series\""),
            "{query}: {status} {}",
            &text[..text.len().min(300)]
        );
        told += usize::from(!is_refused);
    }
    let rss = process.rss_bytes_max();
    println!("memory: {} MiB at most, {told} of 5 answered", rss >> 20);
    assert!(
        rss <= MEMORY_BYTES_MAX + SLACK_BYTES,
        "{rss} bytes of memory"
    );
    let one = http::rows(address, "telegraf", "SELECT f7 FROM wide").expect("rows");
    assert_eq!(one.len(), 1);
}

#[test]
fn as_many_measurements_as_series_are_written_to_files_and_the_store_ends_in_time() {
    const MEASUREMENTS: usize = 60_000;
    let home = tempfile::tempdir().expect("a directory");
    let (mut process, arguments, address) = start(&home);
    for first in (0..MEASUREMENTS).step_by(10_000) {
        let lines = (first..first + 10_000).map(|n| format!("m{n} v={n}i {}\n", n + 1));
        let lines: String = lines.collect();
        await_true("an answer of 204", common::PATIENCE, || {
            matches!(http::write(address, "telegraf", &lines), Ok((204, _)))
        });
    }
    process.signal("TERM");
    let status = process.ended(Duration::from_secs(60));
    assert!(status.success(), "{status}");
    let _process = run(&home, &arguments, address);
    let found = http::measurements(address, "telegraf");
    assert_eq!(found.len(), MEASUREMENTS);
    let one = http::rows(address, "telegraf", "SELECT v FROM m59999").expect("rows");
    assert_eq!(one[0][1].as_u64(), Some(59_999));
}
