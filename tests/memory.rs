//! A store with little memory is written to by many at once, with large bodies of ever new series: it
//! stays within what it was given and some slack, says 503 while there is no room, and every point that
//! it acknowledged is there, also after a restart.

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

#[test]
fn a_store_with_little_memory_stays_within_it_and_loses_nothing() {
    let home = tempfile::tempdir().expect("a directory");
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
    let mut process = Process::start(&arguments, home.path(), "store");
    process.await_ping(address);

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
    let mut process = Process::start(&arguments, home.path(), "store");
    process.await_ping(address);
    await_true("all points", Duration::from_secs(30), || {
        count(address) == Some(points)
    });
}
