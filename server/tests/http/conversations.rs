//! Recorded conversations about users, rights, continuous queries and subscriptions: the server answers each request as
//! a real InfluxDB did, and where one is installed, it still does.
//!
//! A file in `conversations/` is a list of requests to a new server and their answers:
//! ```text
//! > method | path | credentials | parameters | statement or lines
//! < status body
//! ```

use tandem_http::{Method, percent_encode};
use tandem_server::{AuthConfig, Config};

use crate::common::{Caller, Got, Running, basic};
use crate::influxd::Influxd;

/// One request and its answer.
struct Step {
    request: &'static str,
    answer: &'static str,
}

fn steps(text: &'static str) -> Vec<Step> {
    let mut lines = text.lines().filter(|line| line.starts_with(['>', '<']));
    let mut steps = Vec::new();
    while let Some(request) = lines.next() {
        let request = request.strip_prefix('>').expect("a request");
        let answer = lines.next().and_then(|line| line.strip_prefix('<'));
        steps.push(Step {
            request: request.trim(),
            answer: answer.expect("an answer").trim(),
        });
    }
    steps
}

async fn ask(caller: &Caller, request: &str) -> Got {
    let parts: Vec<&str> = request.splitn(5, '|').map(str::trim).collect();
    let &[method, path, credentials, parameters, text] = &parts[..] else {
        panic!("{request}");
    };
    let method: Method = method.parse().unwrap();
    let schemes = ["basic", "token", "bearer", "digest"];
    let scheme = credentials.split(' ').next().unwrap().to_lowercase();
    let credentials = match credentials {
        "" => None,
        header if schemes.contains(&&*scheme) => Some(header.to_owned()),
        user => Some(basic(user)),
    };
    let headers: Vec<(&str, &str)> = credentials
        .iter()
        .map(|header| ("authorization", header.as_str()))
        .collect();
    let (query, body) = match path {
        "/query" => (format!("&q={}", percent_encode(text)), ""),
        _ => (String::new(), text),
    };
    let target = format!("{path}?{parameters}{query}");
    let body = body.to_owned();
    caller.call(method, &target, &headers, body).await
}

async fn play(caller: &Caller, who: &str, text: &'static str) -> usize {
    let steps = steps(text);
    let mut differences = Vec::new();
    for Step { request, answer } in &steps {
        let got = ask(caller, request).await;
        let found = format!("{} {}", got.status, got.text());
        if found.trim() != *answer {
            differences.push(format!("{request}\n  want {answer}\n  got  {found}"));
        }
        let asks = got.header("www-authenticate");
        let want = if got.status == 401 {
            "Basic realm=\"InfluxDB\""
        } else {
            ""
        };
        assert_eq!(asks, want, "{request}");
        assert_eq!(
            got.header("x-influxdb-error").is_empty(),
            matches!(got.status, 200 | 204 | 401)
        );
    }
    let count = differences.len();
    assert_eq!(count, 0, "{who}:\n{}", differences.join("\n"));
    steps.len()
}

async fn check(text: &'static str, auth: bool) {
    let config = Config {
        auth: AuthConfig {
            enabled: auth,
            shared_secret: Some(tandem_http::Secret::new("s3cr3t")),
            ..AuthConfig::default()
        },
        ..Config::default()
    };
    let running = Running::bare(config).await;
    assert!(play(&running.api(), "tandem", text).await > 20);
    let lines = format!("auth-enabled = {auth}\nshared-secret = \"s3cr3t\"");
    let Some(real) = Influxd::installed(&lines).await else {
        return;
    };
    play(&real.caller, "influxd", text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_grants() {
    check(include_str!("conversations/users.txt"), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn continuous_queries() {
    check(include_str!("conversations/continuous.txt"), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions() {
    check(include_str!("conversations/subscriptions.txt"), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials() {
    check(include_str!("conversations/credentials.txt"), true).await;
}
