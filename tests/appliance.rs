//! What the view Appliance of a page tells comes from its store: a backup that is killed shows there within five
//! seconds, and that it is whole again shows too.

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{PATIENCE, await_true, http, process::Process, process::free_addresses};
use serde_json::Value as Json;

/// What is promised to who looks at the page.
const SEEN_MAX: Duration = Duration::from_secs(5);

fn look(page: SocketAddr) -> Json {
    let (status, body) = http::get(page, "/appliance").expect("an answer");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

/// The relay's view of the backup.
fn backup(told: &Json) -> &Json {
    &told["relays"][0]["backends"][1]
}

#[test]
fn a_killed_backup_shows_within_five_seconds_and_heals() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    let [primary, page, second, second_page, relay] = free_addresses();
    let url = |address: SocketAddr| format!("http://{address}");
    let store = |api: SocketAddr, page: SocketAddr, peer: SocketAddr, name: &str| {
        let [api, page] = [api, page].map(|address| address.to_string());
        let arguments = [
            "store",
            "--http",
            &api,
            "--admin",
            &page,
            "--relay",
            &url(relay),
            "--peer",
            &url(peer),
            "--data-dir",
            name,
        ];
        Process::start(&arguments, dir, name)
    };
    let mut first = store(primary, page, second, "primary");
    let mut other = store(second, second_page, primary, "backup");
    first.await_ping(primary);
    other.await_ping(second);
    let backends = [
        format!("--backend=primary={}", url(primary)),
        format!("--backend=backup={}", url(second)),
    ];
    let arguments = [
        "relay",
        "--http",
        &relay.to_string(),
        &backends[0],
        &backends[1],
        "--data-dir",
        "relay",
    ];
    let mut relaying = Process::start(&arguments, dir, "relay");
    relaying.await_ping(relay);
    let arguments = [
        "agent",
        "--relay",
        &url(relay),
        "--interval",
        "1s",
        "--data-dir",
        "agent",
    ];
    let _agent = Process::start(&arguments, dir, "agent");
    await_true("both stores get lines", PATIENCE, || {
        let told = look(page);
        let written = |at: usize| told["relays"][0]["backends"][at]["written_lines"].as_u64();
        written(0) > Some(0) && written(1) > Some(0)
    });
    let told = look(page);
    assert_eq!(backup(&told)["condition"], "live", "{told}");
    assert!(
        told["peers"][0]["store"]["counts"]["points_written"].as_u64() > Some(0),
        "{told}"
    );

    drop(other);
    let killed = Instant::now();
    await_true("both ways of seeing it show it", SEEN_MAX, || {
        let told = look(page);
        told["peers"][0]["error"].is_string() && backup(&told)["condition"] == "spilling"
    });
    println!("seen after {:?}", killed.elapsed());
    let told = look(page);
    assert!(backup(&told)["queued_bytes"].as_u64() > Some(0), "{told}");
    assert!(
        !backup(&told)["last_answer"]
            .as_str()
            .unwrap_or_default()
            .is_empty(),
        "{told}"
    );
    // The other store's own page is gone with it; the relay still answers here.
    assert!(http::get(second_page, "/appliance").is_err());

    let mut other = store(second, second_page, primary, "backup");
    other.await_ping(second);
    await_true(
        "it is live again and nothing waits for it",
        PATIENCE,
        || {
            let told = look(page);
            backup(&told)["condition"] == "live"
                && backup(&told)["queued_bytes"] == 0
                && told["peers"][0]["store"]["counts"]["points_written"].as_u64() > Some(0)
        },
    );
    // Each store shows the other.
    assert!(look(second_page)["peers"][0]["error"].is_null());
}
