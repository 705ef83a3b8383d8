//! `tandem up`: fifteen seconds after its start, everything works on what the host gives.

mod common;

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use common::{await_some, await_true, http, process::Process};
use serde_json::{Value as Json, json};

/// What is promised to who runs it for the first time.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(15);
const MEASUREMENTS: [&str; 9] = [
    "cpu",
    "disk",
    "diskio",
    "kernel",
    "mem",
    "net",
    "processes",
    "swap",
    "system",
];

/// The addresses in the table that it prints: relay, primary, its page, backup, its page.
fn addresses(table: &str) -> Option<[SocketAddr; 5]> {
    let words = table
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("http://"));
    let addresses: Vec<SocketAddr> = words.filter_map(|word| word.parse().ok()).collect();
    addresses.try_into().ok()
}

fn measurements(store: SocketAddr) -> Vec<Json> {
    http::rows(store, "telegraf", "SHOW MEASUREMENTS").unwrap_or_default()
}

#[test]
fn fifteen_seconds_after_its_start_both_stores_answer_alike() {
    let home = tempfile::tempdir().expect("a directory");
    let started_at = Instant::now();
    let left = || FIRST_LOOK_MAX.saturating_sub(started_at.elapsed());
    let mut arguments = vec!["up"];
    for option in [
        "--http",
        "--admin",
        "--backup-http",
        "--backup-admin",
        "--relay-http",
    ] {
        arguments.extend([option, "127.0.0.1:0"]);
    }
    // Data goes to ./data, as it does for who names no directory.
    let mut tandem = Process::start(&arguments, home.path(), "up");
    let [relay, primary, page, backup, backup_page] =
        await_some("a table of what runs where", left(), || {
            tandem.assert_alive();
            addresses(&tandem.out())
        });

    let wanted: Vec<Json> = MEASUREMENTS.iter().map(|name| json!([name])).collect();
    for store in [primary, backup] {
        let what = format!("all measurements; there are {:?}", measurements(store));
        await_true(&what, left(), || {
            let there = measurements(store);
            wanted.iter().all(|name| there.contains(name))
        });
    }

    let newest = await_some("points older than 3 s", left(), || {
        let now = SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("a clock after 1970");
        let until_ns = now.saturating_sub(Duration::from_secs(3)).as_nanos();
        let query =
            format!("select * from cpu where time < {until_ns} order by time desc limit 100");
        let both = [primary, backup].map(|store| http::series(store, "telegraf", &query));
        let [Some(first), Some(second)] = both else {
            return None;
        };
        assert_eq!(first, second, "the stores differ: {query}");
        (!first.is_empty()).then_some(first)
    });
    assert_eq!(newest[0]["columns"][0], "time");

    for page in [page, backup_page] {
        let (status, body) = http::get(page, "/").expect("the page");
        assert!(
            status == 200 && body.contains("<!doctype html>"),
            "{status} {body}"
        );
        let there = measurements(page);
        assert!(
            wanted.iter().all(|name| there.contains(name)),
            "the page's own way to the data: {there:?}"
        );
    }
    let (status, _) = http::get(relay, "/ping").expect("the relay");
    assert_eq!(status, 204);
    assert!(home.path().join("data/primary").is_dir());
}
