//! A default policy that is dropped and made again, and the order and bounds of shards: the answers of
//! InfluxDB 1.6.7, which is asked the same where it is installed.

use std::time::{SystemTime, UNIX_EPOCH};

use tandem_http::percent_encode;

use crate::common::{Caller, Running};
use crate::influxd::Influxd;

/// Asked while the default policy of `db` is not there; it has another one, `b`, with one row.
const WITHOUT: &[&str] = &[
    "SHOW RETENTION POLICIES ON db",
    "SELECT f FROM m",
    "SELECT f FROM db..m",
    "SELECT f FROM autogen.m",
    "SELECT f FROM b.m",
    "SELECT f FROM (SELECT f FROM m)",
    "EXPLAIN SELECT f FROM m",
    "SHOW SERIES",
    "SHOW SERIES FROM m",
    "SHOW MEASUREMENTS",
    "SHOW TAG KEYS",
    "SHOW TAG KEYS FROM autogen.m",
    "SHOW TAG VALUES WITH KEY = t",
    "SHOW FIELD KEYS",
    "SHOW FIELD KEYS FROM nope.m",
    "SHOW SERIES CARDINALITY",
    "SHOW SERIES EXACT CARDINALITY",
    "SHOW MEASUREMENT CARDINALITY",
    "SHOW MEASUREMENT EXACT CARDINALITY",
    "SHOW TAG KEY CARDINALITY",
    "SHOW TAG KEY EXACT CARDINALITY",
    "SHOW FIELD KEY CARDINALITY",
    "SHOW FIELD KEY EXACT CARDINALITY",
    "SHOW TAG VALUES CARDINALITY WITH KEY = t",
    "SHOW TAG VALUES EXACT CARDINALITY WITH KEY = t",
    "SELECT f INTO x FROM b.m",
    "SELECT f INTO b.x FROM m",
    "SELECT f INTO autogen.x FROM b.m",
    "DELETE FROM m WHERE time < 0",
    "DROP SERIES FROM nope",
    "CREATE CONTINUOUS QUERY c ON db BEGIN SELECT mean(f) INTO x FROM m GROUP BY time(1m) END",
    "CREATE CONTINUOUS QUERY c ON db BEGIN SELECT mean(f) INTO b.x FROM b.m GROUP BY time(1m) END",
    "SHOW CONTINUOUS QUERIES",
    "CREATE DATABASE db",
    "CREATE DATABASE db WITH NAME b",
    "CREATE DATABASE db WITH DURATION 2d NAME b",
    "CREATE DATABASE db WITH NAME autogen",
    "CREATE DATABASE db WITH NAME other",
    "CREATE SUBSCRIPTION s ON db.autogen DESTINATIONS ALL 'udp://127.0.0.1:9'",
    "ALTER RETENTION POLICY autogen ON db DEFAULT",
    "DROP RETENTION POLICY autogen ON db",
    "SHOW SHARDS",
];

/// Asked when it was made again.
const AGAIN: &[&str] = &[
    "CREATE RETENTION POLICY autogen ON db DURATION 30d REPLICATION 1",
    "CREATE RETENTION POLICY b ON db DURATION 2d REPLICATION 1 DEFAULT",
    "SHOW RETENTION POLICIES ON db",
    "CREATE DATABASE db WITH DURATION 30d",
    "SHOW RETENTION POLICIES ON db",
];

async fn ask(caller: &Caller, statement: &str) -> String {
    let target = format!("/query?db=db&epoch=ns&q={}", percent_encode(statement));
    let got = caller.post(&target, "").await;
    format!("{statement}: {} {}", got.status, got.text())
}

async fn write(caller: &Caller, rest: &str, body: &str) -> String {
    let got = caller
        .post(&format!("/write?db=db&precision=s{rest}"), body.to_owned())
        .await;
    format!("write {rest} {body}: {} {}", got.status, got.text())
}

/// All answers of one server.
async fn drop_and_create(caller: &Caller, now_s: u64) -> Vec<String> {
    let mut told = Vec::new();
    ask(caller, "CREATE DATABASE db").await;
    let made = "CREATE RETENTION POLICY b ON db DURATION 2d REPLICATION 1";
    told.push(ask(caller, made).await);
    let line = format!("m,t=a f=1 {now_s}");
    told.push(write(caller, "", &line).await);
    told.push(write(caller, "&rp=b", &line).await);
    told.push(ask(caller, "DROP RETENTION POLICY autogen ON db").await);
    for body in [&line, "bad", &format!("{line}\nbad"), ""] {
        told.push(write(caller, "", body).await);
    }
    for statement in WITHOUT {
        told.push(ask(caller, statement).await);
    }
    let made = "CREATE RETENTION POLICY autogen ON db DURATION 30d REPLICATION 1";
    told.push(ask(caller, made).await);
    told.push(write(caller, "", &line).await);
    told.push(ask(caller, "SELECT f FROM m").await);
    for statement in AGAIN {
        told.push(ask(caller, statement).await);
    }
    told
}

fn same(ours: &[String], theirs: &[String]) {
    assert_eq!(ours.len(), theirs.len());
    let apart = ours.iter().zip(theirs).filter(|(a, b)| a != b);
    let apart: Vec<String> = apart
        .map(|(a, b)| format!("ours   {a}influxd {b}"))
        .collect();
    assert!(apart.is_empty(), "{}", apart.join("\n"));
}

/// It had no default then, for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_default_policy_that_is_dropped_is_the_default_when_it_is_made_again() {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let running = Running::start().await;
    let ours = drop_and_create(&running.api(), now_s).await;
    let line = format!("m,t=a f=1 {now_s}");
    for wanted in [
        format!("write  {line}: 500 {{\"error\":\"retention policy not found: autogen\"}}\n"),
        "SELECT f FROM m: 200 {\"results\":[{\"statement_id\":0,\"error\":\"retention policy not found: autogen\"}]}\n".into(),
        format!("write  {line}: 204 "),
        format!(
            "SELECT f FROM m: 200 {{\"results\":[{{\"statement_id\":0,\"series\":[{{\"name\":\"m\",\"columns\":[\"time\",\"f\"],\"values\":[[{now_s}000000000,1]]}}]}}]}}\n"
        ),
    ] {
        assert!(ours.contains(&wanted), "{wanted}: {ours:#?}");
    }
    let policies = ours.last().unwrap();
    assert!(
        policies.contains(
            "[\"b\",\"48h0m0s\",\"24h0m0s\",1,false],[\"autogen\",\"720h0m0s\",\"24h0m0s\",1,true]"
        ),
        "{policies}"
    );
    if let Some(real) = Influxd::installed("").await {
        same(&ours, &drop_and_create(&real.caller, now_s).await);
    }
}

async fn shards_out_of_order(caller: &Caller) -> Vec<String> {
    ask(caller, "CREATE DATABASE db").await;
    ask(caller, "CREATE DATABASE a").await;
    for statement in [
        "CREATE RETENTION POLICY q1 ON db DURATION 0s REPLICATION 1 SHARD DURATION 1d",
        "CREATE RETENTION POLICY a1 ON db DURATION 0s REPLICATION 1",
    ] {
        ask(caller, statement).await;
    }
    let mut told = Vec::new();
    for (policy, time_s) in [
        ("q1", 1_700_000_000),
        ("q1", 1_600_000_000),
        ("q1", 1_650_000_000),
        ("autogen", 1_700_000_000),
        ("autogen", 1_600_000_000),
        ("a1", 1_900_000_000_i64),
        ("a1", 1_800_000_000),
    ] {
        let rest = format!("&rp={policy}");
        told.push(write(caller, &rest, &format!("m f=1 {time_s}")).await);
    }
    for time_ns in ["-9223372036854775806", "9223372036854775806"] {
        let got = caller.post("/write?db=a", format!("m f=1 {time_ns}")).await;
        told.push(format!("{time_ns}: {}", got.status));
    }
    told.push(ask(caller, "SHOW SHARDS").await);
    told.push(ask(caller, "SHOW SHARD GROUPS").await);
    told
}

/// They came by their ids, and the first of all time began where its rows may.
#[tokio::test(flavor = "multi_thread")]
async fn shards_are_shown_by_database_policy_and_time() {
    let running = Running::start().await;
    let ours = shards_out_of_order(&running.api()).await;
    let groups = ours.last().unwrap();
    let ids: Vec<&str> = groups
        .split("[")
        .filter_map(|row| row.split_once(",\""))
        .filter_map(|(id, _)| id.parse::<u64>().is_ok().then_some(id))
        .collect();
    assert_eq!(
        ids,
        ["5", "4", "2", "3", "1", "7", "6", "8", "9"],
        "{groups}"
    );
    let first = "[8,\"a\",\"autogen\",\"1677-09-20T00:00:00Z\",\"1677-09-27T00:00:00Z\",";
    assert!(groups.contains(first), "{groups}");
    if let Some(real) = Influxd::installed("").await {
        same(&ours, &shards_out_of_order(&real.caller).await);
    }
}
