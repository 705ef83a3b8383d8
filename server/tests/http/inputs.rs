//! Points that come by other protocols are in the store, and what cannot be taken is counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tandem_server::{
    BatchConfig, Config, GraphiteConfig, GraphiteTransport, Input, InputConfig, InputKind,
    OpenTsdbConfig, UdpConfig,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::common::{Caller, Running};

fn input(kind: InputKind) -> InputConfig {
    InputConfig {
        bind: "127.0.0.1:0".to_owned(),
        database: "made".to_owned(),
        retention_policy: None,
        batch: BatchConfig {
            age_max: Duration::from_millis(20),
            ..BatchConfig::default()
        },
        read_buffer_bytes: None,
        connections_max: 2,
        kind,
    }
}

/// A server with one such listener, and where that is.
async fn listening(config: InputConfig) -> (Running, SocketAddr) {
    let input = Input::open(config).await.unwrap();
    let addr = input.local_addr().unwrap();
    let running = Running::with_inputs(Config::default(), vec![input]).await;
    (running, addr)
}

/// Waits until a query of `made` is answered with these rows, in CSV without its head.
async fn until(api: &Caller, query: &str, expected: &str) {
    let target = format!("/query?db=made&q={}", tandem_http::percent_encode(query));
    let mut last = String::new();
    for _ in 0..1000 {
        let got = api
            .call(
                tandem_http::Method::GET,
                &target,
                &[("Accept", "application/csv")],
                "",
            )
            .await;
        last = got.text();
        let rows = last.split_once('\n').map_or("", |(_, rows)| rows);
        if rows == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{query}: {last}");
}

/// A number of `/metrics` of the only listener.
async fn metric(api: &Caller, name: &str) -> u64 {
    let text = api.get("/metrics").await.text();
    let start = format!("tandem_listen_{name}{{");
    let line = text.lines().find(|line| line.starts_with(&start));
    let number = line.and_then(|line| line.rsplit(' ').next());
    number
        .unwrap_or_else(|| panic!("{name}: {text}"))
        .parse()
        .unwrap()
}

async fn connect(addr: SocketAddr) -> TcpStream {
    TcpStream::connect(addr).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn line_protocol_in_datagrams() {
    let precision = tandem_model::Precision::Second;
    let (running, addr) = listening(input(InputKind::Udp(UdpConfig { precision }))).await;
    let api = running.api();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in [
        "m,h=a v=1 1\nm,h=b v=2 2",
        "bad\nm,h=c v=3 3\n",
        "m,h=d v=\"\n",
        "",
        "\0\u{1}",
    ] {
        socket.send_to(datagram.as_bytes(), addr).await.unwrap();
    }
    let rows = "m,,1000000000,a,1\nm,,2000000000,b,2\nm,,3000000000,c,3\n";
    until(&api, "SELECT h, v FROM m", rows).await;
    assert_eq!(metric(&api, "points_stored_total").await, 3);
    for _ in 0..200 {
        if metric(&api, "malformed_total").await == 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} malformed", metric(&api, "malformed_total").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn points_for_which_there_is_no_room_are_dropped_and_counted() {
    let mut config = input(InputKind::Udp(UdpConfig::default()));
    config.batch.queue_bytes_max = 1024;
    config.batch.age_max = Duration::from_secs(3600);
    let (running, addr) = listening(config).await;
    let api = running.api();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for at in 0..50 {
        let line = format!("m v={at} {at}");
        socket.send_to(line.as_bytes(), addr).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for _ in 0..500 {
        if metric(&api, "points_dropped_queue_total").await > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(metric(&api, "points_dropped_queue_total").await > 0);
    assert!(metric(&api, "pending_bytes").await <= 2048);
    // What waits is written when the server stops.
    let store = running.store.clone();
    running.server.stop().await;
    let view = store.view(
        "made",
        tandem_store::PolicyChoice::All,
        tandem_model::TimeRange::ALL,
    );
    assert_eq!(view.unwrap().measurements(), [b"m".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn graphite_by_connection_and_by_datagram() {
    let config = |transport| {
        input(InputKind::Graphite(GraphiteConfig {
            transport,
            templates: vec!["servers.* .host.measurement.field*".to_owned()],
            tags: vec!["dc=x".to_owned()],
            ..GraphiteConfig::default()
        }))
    };
    let (running, addr) = listening(config(GraphiteTransport::Tcp)).await;
    let api = running.api();
    let mut first = connect(addr).await;
    first
        .write_all(b"servers.a.cpu.user.pct 1.5 10\nservers.b.cpu.user.pct nan 10\nserv")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    first
        .write_all(b"ers.b.cpu.user.pct 2.5 11\nno number here\nlost 1 1")
        .await
        .unwrap();
    // The server has read all of the first one before there is a second one.
    let rows = "cpu,,10000000000,x,a,1.5\ncpu,,11000000000,x,b,2.5\n";
    until(&api, "SELECT dc, host, \"user.pct\" FROM cpu", rows).await;
    let mut second = connect(addr).await;
    second.write_all(b"other 8 13\nother 7 12").await.unwrap();
    until(
        &api,
        "SELECT value FROM other WHERE time = 13s",
        "other,,13000000000,8\n",
    )
    .await;
    // For a third one the one goes that has sent nothing for longest, and what it has not ended with it.
    let mut third = connect(addr).await;
    third.write_all(b"other 9 14\n").await.unwrap();
    let mut byte = [0];
    let ended = tokio::time::timeout(Duration::from_secs(60), first.read(&mut byte)).await;
    assert_eq!(ended.expect("the first one goes").unwrap_or(0), 0);
    second.shutdown().await.unwrap();
    let rows = "other,,12000000000,7\nother,,13000000000,8\nother,,14000000000,9\n";
    until(&api, "SELECT value FROM other", rows).await;
    assert_eq!(metric(&api, "malformed_total").await, 1);
    assert_eq!(metric(&api, "not_a_number_total").await, 1);
    assert_eq!(metric(&api, "connections_evicted_total").await, 1);

    let (running, addr) = listening(config(GraphiteTransport::Udp)).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let text = b"servers.a.cpu.user 1 10\nservers.a.cpu.user 2 11\n";
    socket.send_to(text, addr).await.unwrap();
    let rows = "cpu,,10000000000,1\ncpu,,11000000000,2\n";
    until(&running.api(), "SELECT \"user\" FROM cpu", rows).await;
}

/// As many listeners as threads, and on each more datagrams than can be read, of which nothing can be made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_bad_datagrams_leaves_others_their_turn() {
    let (mut inputs, mut addrs) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let config = input(InputKind::Udp(UdpConfig::default()));
        let input = Input::open(config).await.unwrap();
        addrs.push(input.local_addr().unwrap());
        inputs.push(input);
    }
    let running = Running::with_inputs(Config::default(), inputs).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = addrs.iter().flat_map(|addr| [*addr; 2]).collect();
    let senders: Vec<_> = senders
        .into_iter()
        .map(|addr| {
            let is_over = is_over.clone();
            std::thread::spawn(move || {
                let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    let _ = socket.send_to(&[b','; 2000], addr);
                }
            })
        })
        .collect();
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(running.api().get("/ping").await.status, 204);
    }
    let served = begun.elapsed();
    let begun = Instant::now();
    running.server.stop().await;
    let stopped = begun.elapsed();
    is_over.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.join().unwrap();
    }
    assert!(served < Duration::from_secs(10), "{served:?}");
    assert!(stopped < Duration::from_secs(5), "{stopped:?}");
}

/// A crowd that sends bodies slowly holds neither all connections nor all places.
#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_to_opentsdb_keep_nobody_out() {
    let mut config = input(InputKind::OpenTsdb(OpenTsdbConfig::default()));
    config.connections_max = 16;
    let (_running, addr) = listening(config).await;
    let head = b"POST /api/put HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n[";
    let mut crowd = Vec::new();
    for _ in 0..16 {
        let mut slow = connect(addr).await;
        slow.write_all(head).await.unwrap();
        crowd.push(slow);
    }
    let point = r#"{"metric":"web","timestamp":1356998400,"value":2}"#;
    let begun = Instant::now();
    assert_eq!(Caller::new(addr).post("/api/put", point).await.status, 204);
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn opentsdb_by_telnet_and_by_http() {
    let kind = InputKind::OpenTsdb(OpenTsdbConfig {
        body_bytes_max: 1 << 20,
        inflated_bytes_max: 1 << 20,
        ..OpenTsdbConfig::default()
    });
    let (running, addr) = listening(input(kind)).await;
    let api = running.api();
    let mut telnet = connect(addr).await;
    telnet
        .write_all(b"put sys 1356998400 1 host=a\nversion\nput sys x 1\n")
        .await
        .unwrap();
    let mut answer = [0; 20];
    telnet.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"InfluxDB TSDB proxy\n");
    until(
        &api,
        "SELECT host, value FROM sys",
        "sys,,1356998400000000000,a,1\n",
    )
    .await;

    let http = Caller::new(addr);
    let point = r#"{"metric":"web","timestamp":1356998400,"value":2,"tags":{"host":"b"}}"#;
    let got = http.post("/api/put", point).await;
    assert_eq!((got.status, got.text().as_str()), (204, ""));
    // It is stored once it is answered.
    let rows = "web,,1356998400000000000,b,2\n";
    until(&api, "SELECT host, value FROM web", rows).await;
    let two = format!("[{point},{{\"metric\":\"\",\"timestamp\":1,\"value\":1}}]");
    let got = http.post("/api/put?summary", two).await;
    assert_eq!(
        (got.status, got.text().as_str()),
        (400, "{\"failed\":1,\"success\":1}")
    );
    let got = http.post("/api/put?details", point).await;
    assert_eq!(
        (got.status, got.text().as_str()),
        (200, "{\"errors\":[],\"failed\":0,\"success\":1}")
    );
    for (target, body, status) in [
        ("/api/put", "nonsense".to_owned(), 400),
        ("/api/put", "x".repeat((1 << 20) + 1), 413),
        ("/api/metadata/put", String::new(), 204),
        ("/nowhere", String::new(), 404),
    ] {
        assert_eq!(http.post(target, body).await.status, status, "{target}");
    }
    assert_eq!(http.get("/api/put").await.status, 405);
    let gzip = [("Content-Encoding", "gzip")];
    let bomb = crate::bodies::gzip(&vec![b' '; 2 << 20]);
    let post = tandem_http::Method::POST;
    let got = http.call(post.clone(), "/api/put", &gzip, bomb).await;
    assert_eq!(got.status, 413);
    let zipped = crate::bodies::gzip(point.as_bytes());
    let got = http.call(post, "/api/put", &gzip, zipped).await;
    assert_eq!(got.status, 204);
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut config = input(InputKind::Udp(UdpConfig::default()));
    config.bind = taken.local_addr().unwrap().to_string();
    let error = Input::open(config.clone()).await.unwrap_err();
    assert!(error.to_string().contains(&config.bind), "{error}");
    let config = input(InputKind::Graphite(GraphiteConfig {
        templates: vec!["host.dc".to_owned()],
        ..GraphiteConfig::default()
    }));
    let error = Input::open(config).await.unwrap_err();
    assert!(error.to_string().contains("host.dc"), "{error}");
}
