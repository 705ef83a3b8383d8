//! While all backends are well: the same bytes to each, and InfluxDB's answers.

use std::io::Write as _;
use std::sync::Arc;

use crate::support::{Fake, Mode, Running, manual_clock, text};
use bytes::Bytes;
use tandem_http::{Call, HeaderValue, Method, header};
use tandem_vfs::RealFs;
use tokio::io::AsyncWriteExt;

#[tokio::test(flavor = "multi_thread")]
async fn every_backend_gets_the_bytes_that_came_in() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    let body = Bytes::from_static(b"m,t=\xff v=1.50,s=\"x\ny\" 7\r\n# c\n\nbad line\nm v=2 8");
    let query = "precision=ns&db=d&consistency=all&u=me&p=s%20cret&x=%zz";
    let mut call = Call::post(format!("/write?{query}"), vec![body.clone()], true);
    let secret = HeaderValue::from_static("Token me:secret");
    call.headers.insert(header::AUTHORIZATION, secret.clone());
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    call.headers.insert(header::CONTENT_TYPE, kind.clone());
    assert_eq!(relay.send(call).await.status, 204);
    assert_eq!(a.stored(), b.stored());
    let [write] = &a.stored()[..] else {
        panic!("one write")
    };
    assert_eq!(write.body, body);
    assert_eq!(write.query, query);
    assert_eq!(write.authorization, Some(secret));
    assert_eq!(write.content_type, Some(kind));
    relay.stop().await;
}

/// influxdb-srelay forwards raw bodies without times, so its stores give each their own.
#[tokio::test(flavor = "multi_thread")]
async fn lines_without_a_time_get_the_same_one_at_every_backend() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let clock = manual_clock(1_500_000_000_987_654_321);
    let vfs = Arc::new(RealFs);
    let relay = Running::start_in(vfs, clock.clone(), dir.path(), &[&a, &b], |_| {}).await;
    let answer = relay
        .write_to("db=d&precision=ms", "m v=1\nm v=2 -5\nn v=3\n")
        .await;
    assert_eq!(answer.status, 204);
    // The clock is nudged back: times go on from the latest one.
    clock.set(1_500_000_000_987_000_000);
    assert_eq!(relay.write("m v=4").await, 204);
    let want = [
        "m v=1 1500000000987\nm v=2 -5\nn v=3 1500000000987\n",
        "m v=4 1500000000987654322",
    ];
    assert_eq!(a.stored_bodies(), want);
    assert_eq!(b.stored_bodies(), want);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_goes_out_as_it_came_unless_a_time_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let clock = manual_clock(9);
    let relay = Running::start_in(Arc::new(RealFs), clock, dir.path(), &[&a, &b], |_| {}).await;
    for (body, encoding) in [("m v=1 5\n", Some("gzip")), ("m v=1\n", None)] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body.as_bytes()).unwrap();
        let zipped = Bytes::from(encoder.finish().unwrap());
        let mut call = Call::post("/write?db=d", vec![zipped.clone()], true);
        let gzip = HeaderValue::from_static("gzip");
        call.headers.insert(header::CONTENT_ENCODING, gzip);
        assert_eq!(relay.send(call).await.status, 204);
        let write = b.stored().pop().unwrap();
        assert_eq!(a.stored().last(), Some(&write));
        assert_eq!(
            write.content_encoding,
            encoding.map(HeaderValue::from_static)
        );
        if encoding.is_some() {
            assert_eq!(write.body, zipped);
        } else {
            assert_eq!(write.body, "m v=1 10\n");
        }
    }
    let mut call = Call::post("/write?db=d", vec![Bytes::from_static(b"no gzip")], true);
    let gzip = HeaderValue::from_static("gzip");
    call.headers.insert(header::CONTENT_ENCODING, gzip);
    assert_eq!(relay.send(call).await.status, 400);
    relay.stop().await;
}

/// A relay that parses answers "unable to parse points" for one bad line and drops the good ones.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_backends_agree_on_is_passed_through() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    for (status, words) in [
        (404, "database not found: \"d\""),
        (400, "unable to parse 'm': missing fields"),
        (401, "authorization failed"),
        (413, "Request Entity Too Large"),
        (500, "retention policy not found: x"),
    ] {
        a.mode(Mode::Refuse(status, words));
        b.mode(Mode::Refuse(status, words));
        let answer = relay.write_to("db=d", "m v=1 1").await;
        assert_eq!(answer.status, status);
        let body: serde_json::Value = serde_json::from_str(&text(&answer)).unwrap();
        assert_eq!(body["error"], words);
        assert_eq!(
            answer.headers.contains_key("x-influxdb-error"),
            status != 401
        );
    }
    a.mode(Mode::Partial);
    b.mode(Mode::Partial);
    let answer = relay.write_to("db=d", "m v=1 1").await;
    assert_eq!(answer.status, 400);
    assert!(text(&answer).contains("partial write"));
    // Nothing of this went to a log: the lanes are live.
    assert!(relay.relay.status().iter().all(|s| s.spilled_batches == 0));
    a.mode(Mode::Store);
    b.mode(Mode::Store);
    assert_eq!(relay.write("m v=1 1").await, 204);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_refused_for_good_by_one_is_told_and_one_refused_for_now_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    b.mode(Mode::Refuse(400, "unable to parse"));
    assert_eq!(relay.write("m v=1 1").await, 400);
    assert_eq!(relay.relay.status()[1].spilled_batches, 0);
    b.mode(Mode::Refuse(404, "database not found: \"d\""));
    assert_eq!(relay.write("m v=2 2").await, 204);
    assert_eq!(a.stored_lines(), ["m v=1 1", "m v=2 2"]);
    b.mode(Mode::Store);
    b.stores(1).await;
    assert_eq!(b.stored_lines(), ["m v=2 2"]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_endpoints_answer_as_influxdb_does() {
    let dir = tempfile::tempdir().unwrap();
    let a = Fake::start().await;
    let relay = Running::start(dir.path(), &[&a], |_| {}).await;
    for (method, target, status) in [
        (Method::GET, "/ping", 204),
        (Method::HEAD, "/ping", 204),
        (Method::GET, "/ping?verbose=true", 200),
        (Method::GET, "/health", 200),
        (Method::GET, "/status", 200),
        (Method::GET, "/write?db=d", 405),
        (Method::POST, "/ping", 405),
        (Method::GET, "/nope", 404),
        (Method::POST, "/write", 400),
        (Method::POST, "/write?db=", 400),
    ] {
        let mut call = Call::get(target);
        call.method = method.clone();
        let answer = relay.send(call).await;
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.headers["x-influxdb-version"], "1.8.10");
        assert_eq!(answer.headers["x-influxdb-build"], "OSS");
        assert_eq!(answer.headers["request-id"], answer.headers["x-request-id"]);
    }
    assert_eq!(a.arrived().len(), 0);
    let answer = relay.write_to("x=y", "m v=1").await;
    assert_eq!(text(&answer), "{\"error\":\"database is required\"}\n");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_does_not_stop_the_fan_out() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fake::start().await, Fake::start().await);
    let relay = Running::start(dir.path(), &[&a, &b], |_| {}).await;
    a.mode(Mode::Hang);
    b.mode(Mode::Hang);
    let mut client = tokio::net::TcpStream::connect(relay.relay.local_addr())
        .await
        .unwrap();
    client
        .write_all(b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nm v=1 1")
        .await
        .unwrap();
    a.gets(1).await;
    b.gets(1).await;
    drop(client);
    a.mode(Mode::Store);
    b.mode(Mode::Store);
    // One after it in the same lane: when that is through, so is the first.
    assert_eq!(relay.write("m v=2 2").await, 204);
    assert_eq!(a.stored_lines(), ["m v=1 1", "m v=2 2"]);
    assert_eq!(b.stored_lines(), ["m v=1 1", "m v=2 2"]);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_beyond_the_bound_are_refused_with_413() {
    let dir = tempfile::tempdir().unwrap();
    let a = Fake::start().await;
    let relay = Running::start(dir.path(), &[&a], |config| config.body_bytes_max = 10).await;
    assert_eq!(relay.write("m v=1 1234").await, 204);
    let answer = relay.write_to("db=d", "m v=1 12345").await;
    assert_eq!(answer.status, 413);
    assert_eq!(text(&answer), "{\"error\":\"Request Entity Too Large\"}\n");
    // The same without an announced length.
    let mut client = tokio::net::TcpStream::connect(relay.relay.local_addr())
        .await
        .unwrap();
    client
        .write_all(b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nm v=1 12345\r\n0\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut client, &mut head)
        .await
        .unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
    assert_eq!(a.stored().len(), 1);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_memory_for_a_body_the_answer_is_503() {
    let dir = tempfile::tempdir().unwrap();
    let a = Fake::start().await;
    let relay = Running::start(dir.path(), &[&a], |config| {
        config.memory_bytes_max = 3 << 10;
        config.limits.request_wait = std::time::Duration::from_millis(20);
    })
    .await;
    a.mode(Mode::Hang);
    let big = format!("m s=\"{}\" 1", "x".repeat(2500));
    let (held, refused) = tokio::join!(relay.write_to("db=d", &big), async {
        a.gets(1).await;
        let refused = relay.write_to("db=d", "n v=1 1").await;
        a.mode(Mode::Store);
        refused
    });
    assert_eq!((held.status.as_u16(), refused.status.as_u16()), (204, 503));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(relay.write("n v=1 1").await, 204);
    relay.stop().await;
}

/// Kilobytes of this process that are resident now, or were at most since the last reset.
fn resident_kb(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(what))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Neither the fan-out nor the way to a backend copies the payload: a body of 96 MiB takes little more
/// than that, for two backends. Client and backends here hold a few kilobytes of it at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_in_memory_once_however_many_backends_get_it() {
    use tokio::io::AsyncReadExt;
    const BODY_BYTES: usize = 96 << 20;
    const LINE: &[u8] =
        b"cpu,host=host_0 usage_user=1.5,usage_system=2.5,usage_idle=96 1700000000000000\n";
    let sink = || async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut piece, mut taken) = (vec![0; 16 << 10], 0);
            while taken < BODY_BYTES {
                taken += stream.read(&mut piece).await.unwrap();
            }
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .await
                .unwrap();
            // Kept open until the relay closes it.
            while stream.read(&mut piece).await.is_ok_and(|length| length > 0) {}
        });
        tandem_http::Url::parse(&format!("http://{addr}")).unwrap()
    };
    let urls = [sink().await, sink().await];
    let dir = tempfile::tempdir().unwrap();
    let relay = Running::start_with(dir.path(), &urls, |config| {
        config.body_bytes_max = BODY_BYTES;
        config.write_timeout = crate::support::SOON;
    })
    .await;
    let mut client = tokio::net::TcpStream::connect(relay.relay.local_addr())
        .await
        .unwrap();
    let lines = LINE.repeat(1000);
    let length = BODY_BYTES / lines.len() * lines.len();
    // The sinks wait for all of it, so what is missing to a round number is blank lines.
    let rest = vec![b'\n'; BODY_BYTES - length];
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = resident_kb("VmRSS:");
    let head =
        format!("POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..length / lines.len() {
        client.write_all(&lines).await.unwrap();
    }
    client.write_all(&rest).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
    let grown_kb = resident_kb("VmHWM:").saturating_sub(before);
    let once_kb = (BODY_BYTES >> 10) as u64;
    assert!(
        (once_kb / 2..once_kb * 3 / 2).contains(&grown_kb),
        "{grown_kb} KiB for a body of {once_kb} KiB"
    );
    relay.stop().await;
}
