//! What a server tells of itself: statistics in its own database and by statements; and copies of writes for who has
//! subscribed.

use std::sync::Arc;
use std::time::Duration;

use tandem_model::Precision;
use tandem_server::{Config, MonitorConfig};
use tandem_store::{Options, Store, WriteRequest};
use tandem_vfs::RealFs;
use tokio::net::UdpSocket;

use crate::common::{Running, open_catalog};

#[tokio::test(flavor = "multi_thread")]
async fn statistics_go_into_the_store_and_are_shown() {
    let monitor = MonitorConfig {
        store_enabled: true,
        store_interval: Duration::from_secs(1),
        hostname: "h1".to_owned(),
        ..MonitorConfig::default()
    };
    let running = Running::with(Config {
        monitor,
        ..Config::default()
    })
    .await;
    let api = running.api();
    api.write("m v=1\n").await;
    let q = "SELECT last(writeReq) FROM _internal.monitor.httpd WHERE hostname = 'h1'";
    let mut text = String::new();
    for _ in 0..100 {
        text = api.query(q, "").await.text();
        if text.contains(",1]]") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(text.contains(",1]]"), "{text}");
    let names = api.query("SHOW MEASUREMENTS ON _internal", "").await.text();
    for name in [
        "cq",
        "database",
        "httpd",
        "queryExecutor",
        "runtime",
        "shard",
        "subscriber",
        "write",
    ] {
        assert!(names.contains(&format!("[\"{name}\"]")), "{name}: {names}");
    }
    let kept = api
        .query("SHOW RETENTION POLICIES ON _internal", "")
        .await
        .text();
    assert!(
        kept.contains("[\"monitor\",\"168h0m0s\",\"24h0m0s\",1,true]"),
        "{kept}"
    );

    let stats = api.query("SHOW STATS FOR 'httpd'", "").await.text();
    assert!(
        stats.contains("\"name\":\"httpd\"") && stats.contains("\"writeReq\""),
        "{stats}"
    );
    let diagnostics = api.query("SHOW DIAGNOSTICS", "").await.text();
    for word in ["\"build\"", "\"system\"", "\"1.8.10\"", "\"uptime\""] {
        assert!(diagnostics.contains(word), "{word}: {diagnostics}");
    }
}

/// A query over a file that is gone answered with nothing, and nobody said why.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let lose = move || {
        let store = Store::open(Arc::new(RealFs), &path, Options::default()).unwrap();
        store.create_database("db", None).unwrap();
        let request = WriteRequest {
            database: "db",
            retention_policy: None,
            precision: Precision::Nanosecond,
            now_ns: 0,
        };
        store.write(&request, b"m,host=a v=1 1").unwrap();
        store.close().unwrap();
        drop(store);
        let shard = path.join("data/0/1");
        for entry in std::fs::read_dir(&shard).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    };
    tokio::task::spawn_blocking(lose).await.unwrap();
    let catalog = open_catalog(&dir.path().join("catalog"));
    let running = Running::over(dir, catalog, Config::default()).await;
    let api = running.api();
    let health = api.get("/health").await;
    assert_eq!(health.status, 200);
    let text = health.text();
    assert!(
        text.contains("\"status\":\"pass\"") && text.contains("damaged or missing files: 1"),
        "{text}"
    );
    let told = "\"messages\":[{\"level\":\"warning\",\"text\":\"1 file of what was asked for cannot be read";
    for statement in [
        "SELECT v FROM m",
        "SELECT count(mean) FROM (SELECT mean(v) FROM m)",
        "SHOW TAG VALUES WITH KEY = host",
        "SHOW TAG KEYS",
        "SHOW SERIES",
    ] {
        let text = api.query(statement, "").await.text();
        assert!(text.contains(told), "{statement}: {text}");
    }
    let elsewhere = "SELECT v FROM m WHERE time > '2020-01-01T00:00:00Z'";
    let text = api.query(elsewhere, "").await.text();
    assert_eq!(text, "{\"results\":[{\"statement_id\":0}]}\n");
    let text = api.query("SHOW DIAGNOSTICS", "").await.text();
    assert!(
        text.contains("\"damagedFiles\"") && text.contains(".blk\"]]"),
        "{text}"
    );
    let text = api.get("/metrics").await.text();
    for name in ["damaged_files", "orphan_files", "wal_lost_rows"] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("tandem_store_{name}")));
        let value = u8::from(name == "damaged_files");
        assert!(
            line.is_some_and(|line| line.ends_with(&format!(" {value}"))),
            "{name}: {line:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_subscribed_gets_what_is_written() {
    let running = Running::with(Config::default()).await;
    let api = running.api();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = socket.local_addr().unwrap();
    api.write("early v=1 1\n").await;
    let create = format!("CREATE SUBSCRIPTION s ON db.autogen DESTINATIONS ALL 'udp://{to}'");
    let post = tandem_http::Method::POST;
    let target = |q: &str| format!("/query?q={}", tandem_http::percent_encode(q));
    let made = api.call(post.clone(), &target(&create), &[], "").await;
    assert_eq!(made.text(), "{\"results\":[{\"statement_id\":0}]}\n");
    for (body, expected) in [
        ("a v=1 5\n".to_owned().into_bytes(), "a v=1 5\n"),
        (
            crate::bodies::gzip(b"b,t=x v=2i 6\nbad\n"),
            "b,t=x v=2i 6\n",
        ),
    ] {
        let zipped = [("Content-Encoding", "gzip")];
        let headers = if body.starts_with(b"\x1f\x8b") {
            &zipped[..]
        } else {
            &[]
        };
        api.call(post.clone(), "/write?db=db", headers, body).await;
        let mut datagram = [0; 100];
        let received = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut datagram));
        let length = received.await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&datagram[..length]), expected);
    }
    // So do points that a statement writes, whoever runs it.
    api.call(
        post.clone(),
        &target("SELECT v INTO db.autogen.copy FROM db.autogen.a"),
        &[],
        "",
    )
    .await;
    let mut datagram = [0; 100];
    let received = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut datagram));
    let length = received.await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&datagram[..length]), "copy v=1 5\n");
    let metrics = api.get("/metrics").await.text();
    assert!(
        metrics.contains("tandem_subscription_points_total{instance=\"monitoring-server\",database=\"db\",policy=\"autogen\""),
        "{metrics}"
    );
    // Gone with its database.
    api.call(post.clone(), &target("DROP DATABASE db"), &[], "")
        .await;
    api.call(post.clone(), &target("CREATE DATABASE db"), &[], "")
        .await;
    api.write("late v=1 7\n").await;
    let mut nothing = [0; 100];
    let late = tokio::time::timeout(Duration::from_millis(200), socket.recv(&mut nothing));
    assert!(late.await.is_err());
}
