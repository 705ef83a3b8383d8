//! All ways in: they end as the same write at every backend.

use std::time::Duration;

use tandem_http::{Call, Url};
use tandem_relay::{BackendConfig, Route, UdpConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Fake, Mode, Running, manual_clock, text, until};

/// A crowd that sends bodies slowly holds neither all connections, nor all places, nor all memory.
#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_keep_nobody_out() {
    const CROWD: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let a = Fake::start().await;
    let relay = Running::start(dir.path(), &[&a], |config| {
        config.limits.connections_max = CROWD;
        config.limits.requests_max = CROWD / 2;
        config.limits.request_wait = Duration::from_secs(4);
        config.memory_bytes_max = 4 << 20;
        config.body_stall_max = crate::support::SOON;
    })
    .await;
    // Plain ones, and such as the ordinary server has to read.
    for framing in ["Content-Length: 2000000", "Transfer-Encoding: chunked"] {
        let head = format!("POST /write?db=d HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n3\r\nm v");
        let mut crowd = Vec::new();
        for _ in 0..CROWD {
            let addr = relay.relay.local_addr();
            let mut slow = tokio::net::TcpStream::connect(addr).await.unwrap();
            slow.write_all(head.as_bytes()).await.unwrap();
            crowd.push(slow);
        }
        let begun = std::time::Instant::now();
        let addr = relay.relay.local_addr();
        let good = tandem_http::Client::new(tandem_http::ClientConfig::default());
        let status = crate::support::try_write(&good, addr, "m v=1 1").await;
        assert_eq!(status, Some(204), "{framing}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{framing}");
    }
    relay.stop().await;
}

/// Users of newer clients: influxdb-relay #81, #84, #87, veepee #50.
#[tokio::test(flavor = "multi_thread")]
async fn writes_of_newer_apis_arrive_as_writes_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let clock = manual_clock(1_700_000_000_123_456_789);
    let vfs = std::sync::Arc::new(tandem_vfs::RealFs);
    let relay = Running::start_in(vfs, clock, dir.path(), &[&a, &b], |_| {}).await;
    for (target, body, query, arrived) in [
        (
            "/api/v2/write?org=o&bucket=d/week&precision=us",
            "m v=1",
            "db=d&rp=week&precision=u",
            "m v=1 1700000000123456",
        ),
        (
            "/api/v3/write_lp?db=d&precision=millisecond",
            "m v=1",
            "db=d&precision=ms",
            "m v=1 1700000000123",
        ),
        (
            "/api/v3/write_lp?db=d",
            "m v=1 1700000000\nm v=2",
            "db=d&precision=s",
            "m v=1 1700000000\nm v=2 1700000000",
        ),
    ] {
        let answer = relay
            .send(Call::post(target, vec![body.into()], true))
            .await;
        assert_eq!(answer.status, 204, "{target}");
        for fake in [&a, &b] {
            let write = fake.stored().pop().unwrap();
            assert_eq!(
                (write.path.as_str(), write.query.as_str()),
                ("/write", query)
            );
            assert_eq!(write.body, arrived);
        }
    }
    let answer = relay
        .send(Call::post(
            "/api/v2/write?org=o",
            vec!["m v=1".into()],
            true,
        ))
        .await;
    assert_eq!(answer.status, 400);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_writes_go_on_as_they_came_and_through_the_queue_too() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    let body = bytes::Bytes::from_static(b"\x00\xffsnappy \"no lines\n");
    let target = "/api/v1/prom/write?db=p";
    let call = Call::post(target, vec![body.clone()], true);
    assert_eq!(relay.send(call).await.status, 204);
    b.up().await;
    b.stores(1).await;
    assert_eq!(a.stored(), b.stored());
    let write = &b.stored()[0];
    assert_eq!(write.path, "/api/v1/prom/write");
    assert_eq!(write.body, body);
    assert_eq!(write.content_encoding.as_ref().unwrap(), "snappy");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_are_as_safe_as_requests() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.udp.push(UdpConfig {
            addr: "127.0.0.1:0".parse().unwrap(),
            database: "u".into(),
            retention_policy: String::new(),
            precision: "s".into(),
        });
    })
    .await;
    b.down().await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = relay.relay.udp_addrs()[0];
    for n in 0..10 {
        // Without a newline at the end: they must not run into one another.
        let line = format!("m v={n} {n}");
        socket.send_to(line.as_bytes(), to).await.unwrap();
    }
    b.up().await;
    let lines = |fake: &Fake| {
        let bodies = fake.stored_bodies().concat();
        bodies.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let want: Vec<String> = (0..10).map(|n| format!("m v={n} {n}")).collect();
    until("all datagrams are at both", || {
        lines(&a) == want && lines(&b) == want
    })
    .await;
    assert_eq!(a.stored()[0].query, "db=u&precision=s");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_speaks_the_same_http() {
    let dir = tempfile::tempdir().unwrap();
    let a = Fake::start().await;
    let path = dir.path().join("relay.sock");
    for round in 0..2 {
        // The second one finds the file that the first has left.
        let relay = Running::start(dir.path(), &[&a], |config| {
            config.unix_socket = Some(path.clone());
        })
        .await;
        let mut client = tokio::net::UnixStream::connect(&path).await.unwrap();
        let request = b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nm v=1 1";
        client.write_all(request).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 204");
        a.stores(round + 1).await;
        relay.kill();
    }
}

/// influxdb-relay #11, #64; veepee #16, #24, #33.
#[tokio::test(flavor = "multi_thread")]
async fn reads_go_to_a_backend_that_is_not_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (mut a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    let read = async |database: &str| {
        let target = format!("/query?db={database}&q=SELECT+v+FROM+m");
        let answer = relay.send(Call::get(target)).await;
        let backend = answer.headers.get("x-tandem-backend");
        (
            answer.status.as_u16(),
            backend.map(|name| name.to_str().unwrap().to_owned()),
        )
    };
    assert_eq!(read("d").await, (200, Some("a".into())));
    a.down().await;
    assert_eq!(read("d").await, (200, Some("b".into())));
    assert_eq!(relay.write("m v=1 1").await, 204);
    a.mode(Mode::RefuseQuery("db=d", 404, "database not found: \"d\""));
    a.up().await;
    until("it is held", || relay.relay.status()[0].held.len() == 1).await;
    // It lacks something of that database and of no other.
    assert_eq!(read("d").await, (200, Some("b".into())));
    assert_eq!(read("e").await, (200, Some("a".into())));
    b.down().await;
    assert_eq!(read("d").await, (503, None));
    a.mode(Mode::Store);
    relay.is_live(0).await;
    assert_eq!(read("d").await, (200, Some("a".into())));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_change_something_reach_all_backends_in_order_with_the_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    let drop = async || {
        let form = bytes::Bytes::from_static(b"q=DROP+MEASUREMENT+m");
        let mut call = Call::post("/query?db=d", vec![form], false);
        let kind = "application/x-www-form-urlencoded".parse().unwrap();
        call.headers.insert("content-type", kind);
        relay.send(call).await
    };
    assert_eq!(relay.write("m v=1 1").await, 204);
    let answer = drop().await;
    assert_eq!(answer.status, 200);
    assert!(text(&answer).contains("statement_id"));
    assert_eq!(relay.write("m v=2 1").await, 204);
    b.up().await;
    relay.is_live(1).await;
    let paths = |fake: &Fake| {
        let stored = fake.stored();
        stored
            .iter()
            .map(|write| write.path.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&a), ["/write", "/query", "/write"]);
    assert_eq!(paths(&b), paths(&a));
    assert_eq!(b.stored()[1].body, "q=DROP%20MEASUREMENT%20m");
    // With none that answers, nobody has run it; it is told so.
    b.mode(Mode::Refuse(503, "busy"));
    a.mode(Mode::Refuse(503, "busy"));
    assert_eq!(drop().await.status, 503);
    let kill = Call::post("/query?q=KILL+QUERY+5", Vec::new(), false);
    assert_eq!(relay.send(kill).await.status, 400);
    a.mode(Mode::Store);
    b.mode(Mode::Store);
    relay.is_live(1).await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_credentials_take_the_place_of_the_clients_and_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        let own = format!("http://relay:own%20word@{}", b.addr);
        config.backends[1].url = Url::parse(&own).unwrap();
    })
    .await;
    b.down().await;
    let query = "db=d&u=me&p=clientword";
    assert_eq!(relay.write_to(query, "m v=1 1").await.status, 204);
    b.up().await;
    b.stores(1).await;
    assert_eq!(a.stored()[0].query, query);
    let write = &b.stored()[0];
    assert_eq!(write.query, "db=d");
    assert_eq!(
        write.authorization.as_ref().unwrap(),
        "Basic cmVsYXk6b3duIHdvcmQ="
    );
    relay.stop().await;
    for file in std::fs::read_dir(dir.path().join("b/hints")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let kept = String::from_utf8_lossy(&bytes);
        assert!(!kept.contains("clientword") && !kept.contains("own word"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_gets_the_lines_that_its_route_lets_through() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |config| {
        config.backends[1].route = Route {
            measurements: vec!["cpu*".into()],
            rename: [("d".into(), "archive".into())].into(),
            ..Route::default()
        };
    })
    .await;
    let body = "cpu v=1 1\nmem v=1 1\ncpu_load v=1 1\n";
    assert_eq!(relay.write(body).await, 204);
    assert_eq!(relay.write("mem v=2 1\n").await, 204);
    b.down().await;
    assert_eq!(relay.write(body).await, 204);
    b.up().await;
    relay.is_live(1).await;
    assert_eq!(a.stored().len(), 3);
    assert_eq!(b.stored_bodies(), ["cpu v=1 1\ncpu_load v=1 1\n"; 2]);
    assert!(b.stored().iter().all(|write| write.query == "db=archive"));
    relay.stop().await;
}

/// A backend moves, another joins, one leaves: no request is refused meanwhile, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn backends_change_while_writes_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b, moved, c) = (
        Fake::start().await,
        Fake::start().await,
        Fake::start().await,
        Fake::start().await,
    );
    let mut config = None;
    let relay = Running::start(dir.path(), &[&a, &b], |own| config = Some(own.clone())).await;
    let mut config = config.unwrap();
    config.write_timeout = Duration::from_millis(500);
    b.down().await;
    assert_eq!(relay.write("m v=1 1").await, 204);
    let url = |fake: &Fake| Url::parse(&format!("http://{}", fake.addr)).unwrap();
    config.backends[1].url = url(&moved);
    config.backends.push(BackendConfig::new("c", url(&c)));
    relay.relay.reload(&config).await.unwrap();
    assert_eq!(relay.write("m v=2 1").await, 204);
    relay.is_live(1).await;
    assert_eq!(moved.stored_lines(), ["m v=1 1", "m v=2 1"]);
    assert_eq!(c.stored_lines(), ["m v=2 1"]);
    config.backends.remove(0);
    relay.relay.reload(&config).await.unwrap();
    assert_eq!(relay.write("m v=3 1").await, 204);
    assert_eq!(a.stored_lines(), ["m v=1 1", "m v=2 1"]);
    assert_eq!(c.stored_lines(), ["m v=2 1", "m v=3 1"]);
    config.backends.clear();
    relay.relay.reload(&config).await.unwrap_err();
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_can_look() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.down().await;
    assert_eq!(
        relay.write_to("db=d&p=hunter2", "m v=1 1").await.status,
        204
    );
    let get = async |path: &str| {
        let answer = relay.send(Call::get(path)).await;
        assert_eq!(answer.status, 200, "{path}");
        let text = text(&answer);
        assert!(!text.contains("hunter2"), "{path}");
        text
    };
    for path in ["/health", "/ready", "/status", "/gaps"] {
        serde_json::from_str::<serde_json::Value>(&get(path).await).unwrap();
    }
    let metrics = get("/metrics").await;
    for line in [
        "tandem_relay_backend_written_batches_total{backend=\"a\"} 1",
        "tandem_relay_backend_queued_batches{backend=\"b\"} 1",
        "tandem_relay_backend_live{backend=\"b\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let post = Call::post("/metrics", Vec::new(), true);
    assert_eq!(relay.send(post).await.status, 405);
    relay.stop().await;
}
