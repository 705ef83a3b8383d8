//! Who may do what: every statement and endpoint, for nobody, with a wrong password, and for users with every kind of grant.
//! The table is `grants.txt`; a real InfluxDB, where one is installed, must still agree with it.

use std::collections::BTreeSet;

use tandem_http::{Method, percent_encode};
use tandem_server::{AuthConfig, Config};

use crate::common::{Caller, Got, Running, basic};
use crate::influxd::Influxd;
use crate::prometheus;

const TABLE: &str = include_str!("grants.txt");
const ASKERS: [&str; 7] = [
    "",
    "reader:bad",
    "nogrant:pw",
    "reader:pw",
    "writer:pw",
    "owner:pw",
    "root:pw",
];
const SETUP: [&str; 10] = [
    "CREATE USER nogrant WITH PASSWORD 'pw'",
    "CREATE USER reader WITH PASSWORD 'pw'",
    "CREATE USER writer WITH PASSWORD 'pw'",
    "CREATE USER owner WITH PASSWORD 'pw'",
    "CREATE DATABASE db0",
    "CREATE DATABASE db1",
    "GRANT READ ON db0 TO reader",
    "GRANT WRITE ON db0 TO writer",
    "GRANT ALL ON db0 TO owner",
    "CREATE USER victim WITH PASSWORD 'x'",
];

/// Bodies of requests of version 2.
const DELETION: &str = "{\"start\":\"1970-01-01T00:00:00Z\",\"stop\":\"1970-01-02T00:00:00Z\"}";
const BUCKET: &str = "{\"name\":\"db0/made\"}";

/// What a row of the table is about, and the outcomes it names.
struct Row {
    what: &'static str,
    influxdb: Vec<&'static str>,
    tandem: Option<Vec<&'static str>>,
}

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in TABLE
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let Some(outcomes) = line.strip_prefix("    ") else {
            rows.push(Row {
                what: line,
                influxdb: Vec::new(),
                tandem: None,
            });
            continue;
        };
        let outcomes: Vec<&str> = outcomes.split_whitespace().collect();
        assert_eq!(outcomes.len(), ASKERS.len(), "{line}");
        let row = rows.last_mut().unwrap();
        if row.influxdb.is_empty() {
            row.influxdb = outcomes;
        } else {
            row.tandem = Some(outcomes);
        }
    }
    rows
}

async fn ask(caller: &Caller, what: &str, asker: &str) -> Got {
    let authorization = match asker {
        "" => String::new(),
        user => basic(user),
    };
    let headers = [("authorization", authorization.as_str())];
    let headers = if asker.is_empty() {
        &[][..]
    } else {
        &headers[..]
    };
    match what.split_once(" /") {
        Some((method, path)) if method.len() <= 6 && !method.contains(' ') => {
            let body = match path.split('?').next() {
                Some("api/v1/prom/write") => prometheus::snap(b""),
                Some("api/v1/prom/read") => {
                    prometheus::snap(&prometheus::query(0, 1, &[(0, "__name__", "m")]))
                }
                Some("api/v2/delete") => DELETION.into(),
                Some("api/v2/buckets") => BUCKET.into(),
                _ if method == "PATCH" => b"{}".to_vec(),
                _ if method == "POST" => b"m v=1".to_vec(),
                _ => Vec::new(),
            };
            let method: Method = method.parse().unwrap();
            caller
                .call(method, &format!("/{path}"), headers, body)
                .await
        }
        _ => {
            let target = format!("/query?db=db0&q={}", percent_encode(what));
            caller.call(Method::POST, &target, headers, "").await
        }
    }
}

/// The short word for an answer.
fn outcome(got: &Got) -> String {
    let text = got.text();
    let error = text
        .trim()
        .trim_start_matches("{\"error\":\"")
        .trim_end_matches("\"}");
    let last = error.trim_end_matches(['"', '\\']).chars().last();
    match (got.status, error) {
        (200 | 201 | 204, _) => "ok".into(),
        (404, _) => "404".into(),
        (401, "unable to parse authentication credentials") => "none".into(),
        (401, "authorization failed") => "wrong".into(),
        (403, error) if error.ends_with("requires admin privilege") => "admin".into(),
        (403, error) if error.contains("requires READ on db") => format!("r{}", last.unwrap()),
        (403, error) if error.contains("requires WRITE on db") => format!("w{}", last.unwrap()),
        (403, error) if error.contains("user is not authorized to write to database") => {
            format!("w{}", last.unwrap())
        }
        (403, error) if error.contains("is not authorized to delete from") => {
            format!("w{}", last.unwrap())
        }
        (403, error) if error.contains("Flux query service disabled") => "flux".into(),
        (405, _) => "405".into(),
        other => format!("{other:?}"),
    }
}

async fn play(caller: &Caller, want: impl Fn(&Row) -> Vec<&'static str>) -> Vec<String> {
    let admin = "CREATE USER root WITH PASSWORD 'pw' WITH ALL PRIVILEGES";
    ask(caller, admin, "").await;
    let mut differences = Vec::new();
    for statement in SETUP {
        let text = ask(caller, statement, "root:pw").await.text();
        assert_eq!(
            text, "{\"results\":[{\"statement_id\":0}]}\n",
            "{statement}"
        );
    }
    for row in rows() {
        let mut found = Vec::new();
        for asker in ASKERS {
            found.push(outcome(&ask(caller, row.what, asker).await));
            for again in [
                "CREATE DATABASE db0",
                "CREATE USER victim WITH PASSWORD 'x'",
            ] {
                if row.what.contains("DROP") {
                    ask(caller, again, "root:pw").await;
                }
            }
        }
        if found != want(&row) {
            differences.push(format!("{}\n    {}", row.what, found.join(" ")));
        }
    }
    differences
}

fn config() -> Config {
    Config {
        auth: AuthConfig {
            enabled: true,
            ..AuthConfig::default()
        },
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_may_do_what_the_table_says() {
    let running = Running::bare(config()).await;
    let want = |row: &Row| row.tandem.clone().unwrap_or_else(|| row.influxdb.clone());
    let differences = play(&running.api(), want).await;
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn influxdb_agrees_with_the_table() {
    let Some(real) = Influxd::installed("auth-enabled = true").await else {
        return;
    };
    let differences = play(&real.caller, |row| row.influxdb.clone()).await;
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Where tandem differs from InfluxDB, it allows less.
#[test]
fn tandem_allows_nothing_that_influxdb_does_not() {
    for row in rows() {
        let Some(tandem) = row.tandem else { continue };
        // What InfluxDB 1.6.7 does not have, it cannot allow.
        if row
            .influxdb
            .iter()
            .all(|outcome| *outcome == "404" || *outcome == "405")
        {
            continue;
        }
        assert_ne!(tandem, row.influxdb, "{}", row.what);
        for (ours, theirs) in tandem.iter().zip(&row.influxdb) {
            assert!(ours == theirs || *ours != "ok", "{}", row.what);
        }
    }
}

/// The table has every kind of statement that the parser knows.
#[test]
fn no_statement_is_missing() {
    let kinds = |text: &str| {
        let query = tandem_influxql::parse_query(text, &tandem_influxql::Params::new());
        let statements = query.map(|query| query.statements).unwrap_or_default();
        statements
            .iter()
            .map(|statement| {
                let name = format!("{statement:?}");
                name.split(|char: char| !char.is_alphanumeric())
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    let found: BTreeSet<String> = rows().iter().flat_map(|row| kinds(row.what)).collect();
    assert_eq!(found.len(), 44, "{found:?}");
}

/// `/ping` and its kin answer everyone, unless they are guarded too.
#[tokio::test(flavor = "multi_thread")]
async fn pings_are_guarded_on_demand() {
    let mut config = config();
    config.auth.ping_enabled = true;
    let running = Running::bare(config).await;
    let api = running.api();
    let admin = "CREATE USER root WITH PASSWORD 'pw' WITH ALL PRIVILEGES";
    for path in ["/ping", "/status", "/health"] {
        assert!(api.get(path).await.status < 300, "{path} without users");
    }
    assert_eq!(ask(&api, admin, "").await.status, 200);
    assert_eq!(ask(&api, SETUP[0], "root:pw").await.status, 200);
    for path in ["GET /ping", "HEAD /ping", "GET /status", "GET /health"] {
        for (asker, want) in [
            ("", 401),
            ("root:bad", 401),
            ("nogrant:pw", 2),
            ("root:pw", 2),
        ] {
            let status = ask(&api, path, asker).await.status;
            assert_eq!(
                if status < 300 { 2 } else { status },
                want,
                "{path} as {asker}"
            );
        }
    }
}
