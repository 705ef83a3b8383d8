//! Authentication, beyond the recorded conversations: tokens, restarts, many at once.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tandem_catalog::Granted;
use tandem_http::{Method, Secret, percent_encode};
use tandem_server::{AuthConfig, Config, hash_password};

use crate::common::{Caller, Got, Running, basic, open_catalog};

fn config(auth: AuthConfig) -> Config {
    Config {
        auth: AuthConfig {
            enabled: true,
            shared_secret: Some(Secret::new("s3cr3t")),
            ..auth
        },
        ..Config::default()
    }
}

/// With the admin root and the database db0.
async fn guarded(auth: AuthConfig) -> Running {
    let running = Running::bare(config(auth)).await;
    let api = running.api();
    for statement in [
        "CREATE USER root WITH PASSWORD 'p:w' WITH ALL PRIVILEGES",
        "CREATE DATABASE db0",
    ] {
        let got = ask(&api, statement, &basic("root:p:w")).await;
        assert_eq!(got.text(), "{\"results\":[{\"statement_id\":0}]}\n");
    }
    running
}

async fn ask(caller: &Caller, statement: &str, authorization: &str) -> Got {
    let target = format!("/query?q={}", percent_encode(statement));
    let headers = [("authorization", authorization)];
    caller.call(Method::POST, &target, &headers, "").await
}

fn token(claims: &str, secret: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("Bearer {signed}.{signature}")
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_version_1_8_is_taken() {
    let running = guarded(AuthConfig::default()).await;
    for (token, want) in [
        ("Token root:p:w", 200),
        ("Token root:bad", 401),
        ("Token :p", 401),
    ] {
        let got = ask(&running.api(), "SHOW DATABASES", token).await;
        assert_eq!(got.status, want, "{token}: {}", got.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_is_taken_while_it_lasts() {
    let running = guarded(AuthConfig::default()).await;
    let api = running.api();
    let claims = |name: &str, exp: u64| format!("{{\"username\":\"{name}\",\"exp\":{exp}}}");
    let (later, before) = (now_s() + 600, now_s() - 10);
    for (token, want) in [
        (token(&claims("root", later), "s3cr3t"), ""),
        (
            token(&claims("root", later), "other"),
            "signature is invalid",
        ),
        (token(&claims("root", before), "s3cr3t"), "Token is expired"),
        (token(&claims("nobody", later), "s3cr3t"), "user not found"),
        (
            token("{\"username\":\"root\"}", "s3cr3t"),
            "token expiration required",
        ),
    ] {
        let got = ask(&api, "SHOW USERS", &token).await;
        if want.is_empty() {
            assert_eq!(got.status, 200, "{}", got.text());
            continue;
        }
        assert_eq!(
            (got.status, got.text()),
            (401, format!("{{\"error\":\"{want}\"}}\n"))
        );
        assert_eq!(got.header("www-authenticate"), "Basic realm=\"InfluxDB\"");
    }
    // A user who is dropped is noticed, whatever the token says.
    ask(
        &api,
        "CREATE USER bob WITH PASSWORD 'x'",
        &basic("root:p:w"),
    )
    .await;
    let bob = token(&claims("bob", later), "s3cr3t");
    assert_eq!(ask(&api, "SHOW DATABASES", &bob).await.status, 200);
    assert_eq!(ask(&api, "SHOW USERS", &bob).await.status, 403);
    ask(&api, "DROP USER bob", &basic("root:p:w")).await;
    assert_eq!(ask(&api, "SHOW DATABASES", &bob).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_no_signed_token_is_taken() {
    let running = guarded(AuthConfig::default()).await;
    drop(running);
    let config = Config {
        auth: AuthConfig {
            enabled: true,
            ..AuthConfig::default()
        },
        ..Config::default()
    };
    let running = Running::bare(config).await;
    let admin = "CREATE USER root WITH PASSWORD 'pw' WITH ALL PRIVILEGES";
    ask(&running.api(), admin, "").await;
    let claims = format!("{{\"username\":\"root\",\"exp\":{}}}", now_s() + 600);
    let got = ask(&running.api(), "SHOW USERS", &token(&claims, "")).await;
    assert_eq!(
        (got.status, got.text().as_str()),
        (401, "{\"error\":\"bearer auth disabled\"}\n")
    );
}

/// Of two who make the first admin at once, only one may.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_first_admin() {
    for _ in 0..5 {
        let running = Running::bare(config(AuthConfig::default())).await;
        let api = running.api();
        let make = |name: &str| {
            let (api, name) = (api.clone(), name.to_owned());
            async move {
                let text = format!("CREATE USER {name} WITH PASSWORD 'pw' WITH ALL PRIVILEGES");
                ask(&api, &text, "").await
            }
        };
        let (one, other) = tokio::join!(make("one"), make("other"));
        let is_made = |got: &Got| got.text() == "{\"results\":[{\"statement_id\":0}]}\n";
        assert!(
            is_made(&one) != is_made(&other),
            "{} {}",
            one.text(),
            other.text()
        );
    }
}

/// Checks of passwords wait for one another, those beyond the maximum get 503, and who was checked goes on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_passwords_is_bounded() {
    let auth = AuthConfig {
        checks_max: 1,
        checks_waiting_max: 4,
        ..AuthConfig::default()
    };
    let running = guarded(auth).await;
    let api = running.api();
    let flood: Vec<_> = (0..50)
        .map(|at| {
            let api = api.clone();
            let credentials = basic(&format!("root:wrong-{at}"));
            tokio::spawn(async move { ask(&api, "SHOW DATABASES", &credentials).await })
        })
        .collect();
    let known = ask(&api, "SHOW DATABASES", &basic("root:p:w")).await;
    assert_eq!(known.status, 200);
    let (mut refused, mut busy) = (0, 0);
    for got in flood {
        let got = got.await.unwrap();
        match got.status {
            401 => refused += 1,
            503 => {
                assert_eq!(
                    got.text(),
                    "{\"error\":\"request throttled, exceeds timeout\"}\n"
                );
                busy += 1;
            }
            status => panic!("{status}"),
        }
    }
    assert!(refused >= 1 && busy >= 1, "{refused} refused, {busy} busy");
    // A wrong password that is known to be wrong costs nothing.
    let wrong = basic("root:bad");
    assert_eq!(ask(&api, "SHOW DATABASES", &wrong).await.status, 401);
    let counters = running.server.counters();
    let before = counters.throttled.get();
    for _ in 0..20 {
        assert_eq!(ask(&api, "SHOW DATABASES", &wrong).await.status, 401);
    }
    assert_eq!(counters.throttled.get(), before);
    assert!(counters.auth_failures.get() > 20);
}

/// The drop of a database was cut short between store and catalog: nobody gets at the next of that name.
#[tokio::test(flavor = "multi_thread")]
async fn old_grants_do_not_open_a_new_database() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = open_catalog(&dir.path().join("catalog"));
    let hash = hash_password(&Secret::new("pw")).unwrap();
    catalog.create_user("root", &hash, true).unwrap();
    catalog.create_user("bob", &hash, false).unwrap();
    catalog.grant("bob", "db0", Granted::All).unwrap();
    catalog.create_continuous_query("db0", "q", "…").unwrap();
    let running = Running::over(dir, Arc::clone(&catalog), config(AuthConfig::default())).await;
    assert_eq!(catalog.granted("bob", "db0").unwrap(), Granted::Nothing);
    assert_eq!(catalog.continuous_queries(None).unwrap(), []);
    // And while it runs.
    catalog.grant("bob", "db0", Granted::All).unwrap();
    let made = ask(&running.api(), "CREATE DATABASE db0", &basic("root:pw")).await;
    assert_eq!(made.text(), "{\"results\":[{\"statement_id\":0}]}\n");
    assert_eq!(catalog.granted("bob", "db0").unwrap(), Granted::Nothing);
    let got = ask(&running.api(), "SHOW DATABASES", &basic("bob:pw")).await;
    assert!(!got.text().contains("db0"), "{}", got.text());
    // A database that is there keeps its grants when it is made again.
    catalog.grant("bob", "db0", Granted::Read).unwrap();
    ask(&running.api(), "CREATE DATABASE db0", &basic("root:pw")).await;
    assert_eq!(catalog.granted("bob", "db0").unwrap(), Granted::Read);
}

/// A page of another origin may ask which methods there are before it knows a password.
#[tokio::test(flavor = "multi_thread")]
async fn preflights_need_no_password() {
    let running = guarded(AuthConfig::default()).await;
    let origin = [("origin", "http://page")];
    let got = running
        .api()
        .call(Method::OPTIONS, "/query", &origin, "")
        .await;
    assert_eq!(got.status, 200);
    let got = running
        .api()
        .call(Method::GET, "/query?q=x", &origin, "")
        .await;
    assert_eq!(got.status, 401);
    assert_eq!(got.header("access-control-allow-origin"), "http://page");
}

/// Bodies of requests that are refused are not read into memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_changes_nothing() {
    let running = guarded(AuthConfig::default()).await;
    let api = running.api();
    let got = api.post("/write?db=db0", "m v=1 1").await;
    assert_eq!(got.status, 401);
    tokio::time::timeout(Duration::from_secs(10), async {
        let rows = ask(&api, "SELECT * FROM db0..m", &basic("root:p:w")).await;
        assert_eq!(rows.text(), "{\"results\":[{\"statement_id\":0}]}\n");
    })
    .await
    .unwrap();
}
