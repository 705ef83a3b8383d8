//! Recorded conversations with InfluxDB 1.6.7: every answer is the same, or says what is not
//! supported yet.

mod common;

use std::collections::BTreeSet;
use std::io::Read;

use common::{Bench, same, shared};
use serde_json::Value as Json;
use tandem_influxql::{Params, ast::Statement, parse_query};
use tandem_model::{Precision, TimeRange};
use tandem_query::Context;
use tandem_store::{PolicyChoice, PolicySpec};

/// The parameters of a request's path, decoded.
fn parameters(path: &str) -> Vec<(String, String)> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
            match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
                (b'%', Some(decoded)) => {
                    bytes.push(decoded);
                    rest = &tail[2..];
                }
                _ => {
                    bytes.push(byte);
                    rest = tail;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// About when a case was recorded: some of its points have the time of then, in policies that keep
/// them for an hour.
fn recorded_at_ns(case: &Json) -> i64 {
    let elapsed = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock");
    let now_ns = i64::try_from(elapsed.as_nanos()).expect("a time");
    let bodies = case["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| step["body"].as_str());
    bodies
        .flat_map(|body| body.split_ascii_whitespace())
        .filter_map(|word| word.parse::<i64>().ok())
        .filter(|time_ns| (1_600_000_000_000_000_000..now_ns).contains(time_ns))
        .max()
        .map_or(now_ns, |time_ns| time_ns + 1_000_000_000)
}

/// Plays one case; the steps that differ, and whether something was not supported.
fn play(case: &Json) -> (Vec<String>, bool) {
    let bench = Bench::new();
    let now_ns = recorded_at_ns(case);
    let mut wrong = Vec::new();
    let mut lacking = false;
    for step in case["steps"].as_array().expect("steps") {
        let path = step["path"].as_str().expect("a path");
        let parameters = parameters(path);
        let get = |key: &str| {
            parameters
                .iter()
                .find(|(k, _)| k == key)
                .map(|(_, value)| value.as_str())
        };
        let database = get("db").filter(|name| !name.is_empty());
        let policy = get("rp").filter(|name| !name.is_empty());
        if path.starts_with("/write") {
            let precision = get("precision").map_or(Precision::Nanosecond, |p| {
                Precision::parse_v1(p).unwrap_or_default()
            });
            let body = step["body"].as_str().unwrap_or_default();
            let written = bench.write(
                database.unwrap_or_default(),
                policy,
                precision,
                now_ns,
                body.as_bytes(),
            );
            // How a refusal is worded is not the matter here.
            lacking |= written.is_err() && step["status"] == 204;
            continue;
        }
        let Some(query) = get("q").filter(|_| path.starts_with("/query")) else {
            // Another way of writing.
            lacking |= path.starts_with("/api");
            continue;
        };
        let context = Context {
            database: database.map(str::to_owned),
            retention_policy: policy.map(str::to_owned),
            now_ns,
            read_only: step["method"] == "GET",
            ..Context::default()
        };
        if made_policy(&bench, query) {
            continue;
        }
        if query.to_lowercase().contains("retention polic") {
            lacking = true;
            continue;
        }
        let epoch_ns = get("epoch").map(|p| Precision::parse_v1(p).unwrap_or_default().nanos());
        let found = bench.query(query, &context, epoch_ns);
        let expected = step["response"].as_str().expect("a response");
        let Ok(expected) = serde_json::from_str::<Json>(expected) else {
            continue;
        };
        if found.to_string().contains("is not supported yet") {
            lacking = true;
        } else if !same(&found, &expected) {
            wrong.push(format!(
                "> {query}\n  expected {expected}\n  found    {found}"
            ));
        }
    }
    (wrong, lacking)
}

/// The conversations make a default policy right after their database; where the store makes policies
/// only with a database, the database is made anew with it. True if that is what `query` asks for.
fn made_policy(bench: &Bench, query: &str) -> bool {
    let Ok(query) = parse_query(query, &Params::default()) else {
        return false;
    };
    let [Statement::CreateRetentionPolicy(create)] = query.statements.as_slice() else {
        return false;
    };
    let has_data = bench
        .store
        .view(&create.database, PolicyChoice::All, TimeRange::ALL)
        .is_ok_and(|view| !view.measurements().is_empty());
    if has_data || !create.default {
        return false;
    }
    let spec = PolicySpec {
        name: Some(create.name.clone()),
        duration_ns: Some(create.duration_ns),
        shard_duration_ns: create.shard_duration_ns,
        replicas: Some(create.replication),
    };
    bench
        .store
        .drop_database(&create.database)
        .expect("drop the database");
    bench
        .store
        .create_database(&create.database, Some(&spec))
        .is_ok()
}

#[test]
fn recorded_conversations_hold() {
    let Some(path) = shared("conformance/influxdb-1x.json.gz") else {
        return;
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("open the conversations");
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("inflate");
    let cases: Json = serde_json::from_str(&text).expect("JSON");
    let (mut whole, mut partly, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for case in cases.as_array().expect("a list") {
        let name = case["name"].as_str().expect("a name");
        let (differing, lacking) = play(case);
        if lacking {
            partly.insert(name);
        } else if differing.is_empty() {
            whole += 1;
        }
        if !differing.is_empty() && !lacking {
            wrong.push(format!(
                "{name}: {} differ\n{}",
                differing.len(),
                differing.join("\n")
            ));
        }
    }
    println!(
        "{whole} hold, {} use what is not supported yet: {partly:?}",
        partly.len()
    );
    assert!(
        wrong.is_empty(),
        "{} cases differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
