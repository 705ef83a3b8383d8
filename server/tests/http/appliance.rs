//! `/appliance`: what the page shows of this store, its relays and its peers.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tandem_http::{Method, Secret, Url, percent_encode};
use tandem_server::{AuthConfig, Config, NeighboursConfig};

use crate::common::{Caller, Got, Running, basic};

/// Nothing listens there.
const NOBODY: &str = "http://127.0.0.1:1";

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn beside(relays: &[&str], peers: &[String]) -> Config {
    Config {
        neighbours: NeighboursConfig {
            relays: relays.iter().map(|text| url(text)).collect(),
            peers: peers.iter().map(|text| url(text)).collect(),
            ..NeighboursConfig::default()
        },
        ..Config::default()
    }
}

fn address(running: &Running) -> String {
    format!("http://{}", running.server.api_addr())
}

fn json(got: &Got) -> Json {
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(got.header("cache-control"), "no-store");
    serde_json::from_slice(&got.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_tells_of_itself_and_of_its_peers() {
    let peer = Running::start().await;
    peer.api().write("m v=1 1\nm v=2 2").await;
    let running = Running::with(beside(&[], &[address(&peer), NOBODY.to_owned()])).await;
    running.page().post("/write?db=db", "m v=1 1").await;
    // The page asks beside itself.
    let told = json(&running.page().get("/appliance").await);
    assert_eq!(told["store"]["counts"]["points_written"], 1);
    assert_eq!(told["store"]["name"], "monitoring-server");
    assert_eq!(told["store"]["refusal"], Json::Null);
    assert_eq!(told["store"]["shards"][0]["database"], "db");
    assert!(told["store"]["memory"]["resident_bytes"].as_u64() > Some(1 << 20));
    assert_eq!(told["relays"], json!([]));
    assert_eq!(told["peers"][0]["store"]["counts"]["points_written"], 2);
    assert_eq!(told["peers"][0]["url"], address(&peer));
    // One that is away is part of the answer.
    let why = told["peers"][1]["error"].as_str().unwrap();
    assert!(why.contains("refused"), "{why}");
    // Stores that name each other do not ask in circles.
    let alone = json(&running.api().get("/appliance?alone=true").await);
    assert_eq!(alone["peers"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_answer_is_waited_for_shortly() {
    // It takes connections, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let running = Running::with(beside(&[&address, NOBODY], std::slice::from_ref(&address))).await;
    let begun = Instant::now();
    let told = json(&running.page().get("/appliance").await);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    for part in [&told["relays"][0], &told["relays"][1], &told["peers"][0]] {
        assert!(part["error"].is_string(), "{told}");
    }
    assert!(told["store"]["uptime_ms"].is_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_asked_how_many_points_it_has() {
    let peer = Running::start().await;
    peer.api()
        .write("m v=1,w=2 1000000\nm v=2 2000000\nn x=1 1000000000")
        .await;
    let running = Running::with(beside(&[], &[address(&peer)])).await;
    let page = running.page();
    let got = page
        .get("/appliance/counts?peer=0&db=db&from_ms=1&to_ms=3")
        .await;
    let told = json(&got);
    let series = &told["results"][0]["series"];
    assert_eq!(series.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(series[0]["name"], "m");
    assert_eq!(
        series[0]["columns"],
        json!(["time", "count_v", "count_w", "count_x"])
    );
    assert_eq!(series[0]["values"][0][1], 2);
    for (target, status) in [
        ("/appliance/counts?peer=1&db=db&from_ms=1&to_ms=3", 404),
        ("/appliance/counts?peer=0&db=db&from_ms=1", 400),
        ("/appliance/counts?peer=0&db=db&from_ms=1&to_ms=now()", 400),
        ("/appliance/counts?peer=0&from_ms=1&to_ms=2", 400),
    ] {
        assert_eq!(page.get(target).await.status, status, "{target}");
    }
    let alone = Running::with(beside(&[], &[NOBODY.to_owned()])).await;
    let got = alone
        .page()
        .get("/appliance/counts?peer=0&db=db&from_ms=1&to_ms=3")
        .await;
    assert_eq!(got.status, 502, "{}", got.text());
}

/// With an admin and a reader.
async fn guarded(peers: &[String]) -> Running {
    let config = Config {
        auth: AuthConfig {
            enabled: true,
            shared_secret: Some(Secret::new("s3cr3t")),
            ..AuthConfig::default()
        },
        ..beside(&[], peers)
    };
    let running = Running::bare(config).await;
    let api = running.api();
    for statement in [
        "CREATE USER root WITH PASSWORD 'pw' WITH ALL PRIVILEGES",
        "CREATE USER reader WITH PASSWORD 'pw'",
        "CREATE DATABASE db",
    ] {
        let target = format!("/query?q={}", percent_encode(statement));
        ask(&api, Method::POST, &target, "root:pw").await;
    }
    running
}

async fn ask(caller: &Caller, method: Method, target: &str, user: &str) -> Got {
    let headers = [("authorization", &*basic(user))];
    caller.call(method, target, &headers, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_authentication_admins_alone_see_the_appliance() {
    let peer = guarded(&[]).await;
    let running = guarded(&[address(&peer)]).await;
    let page = running.page();
    for target in [
        "/appliance",
        "/appliance/counts?peer=0&db=db&from_ms=1&to_ms=2",
    ] {
        assert_eq!(page.get(target).await.status, 401, "{target}");
        let got = ask(&page, Method::GET, target, "reader:pw").await;
        assert_eq!(got.status, 403, "{target}");
        // The peer is asked in the name of who asks here.
        let got = ask(&page, Method::GET, target, "root:pw").await;
        assert_eq!(got.status, 200, "{target}: {}", got.text());
        assert!(
            !got.text().contains("\"error\""),
            "{target}: {}",
            got.text()
        );
    }
}
