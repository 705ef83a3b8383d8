//! What nobody waits for any more may still happen: writes that broke off, backends that left and came back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tandem_http::{Call, Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Fake, Running, until};

/// How long after its connection has gone a write is applied.
const LATE: Duration = Duration::from_millis(150);

/// Reads one request; its body.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some(String::from_utf8(body).unwrap())
}

/// Confirms everything but the second request: that connection it closes, and applies the write all the same,
/// a little later, as a server behind a proxy does.
async fn breaks_the_second() -> (Url, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let applied = Arc::new(Mutex::new(Vec::new()));
    let shared = applied.clone();
    let seen = Arc::new(Mutex::new(0));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (applied, seen) = (shared.clone(), seen.clone());
            tokio::spawn(async move {
                while let Some(body) = request(&mut stream).await {
                    // What is drained may come together.
                    let lines = body.lines().map(str::to_owned).collect::<Vec<_>>();
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        *seen += 1;
                        *seen
                    };
                    if number == 2 {
                        drop(stream);
                        tokio::time::sleep(LATE).await;
                        applied.lock().unwrap().extend(lines);
                        return;
                    }
                    applied.lock().unwrap().extend(lines);
                    stream
                        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                        .await
                        .unwrap();
                }
            });
        }
    });
    (url, applied)
}

/// A client that sends a write again on another connection when a kept one breaks would have the first one
/// come behind what was sent after the second.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_broke_off_is_not_sent_again_before_it_can_no_longer_come_late() {
    let dir = tempfile::tempdir().unwrap();
    let (url, applied) = breaks_the_second().await;
    let relay = Running::start_with(dir.path(), &[url], |config| {
        config.write_timeout = LATE * 4;
    })
    .await;
    for number in 1..=3 {
        assert_eq!(relay.write(&format!("m v={number} 1")).await, 204);
    }
    until("all is through", || {
        let status = &relay.relay.status()[0];
        status.queued_batches == 0 && applied.lock().unwrap().len() >= 4
    })
    .await;
    let applied = applied.lock().unwrap().clone();
    assert_eq!(applied, ["m v=1 1", "m v=2 1", "m v=2 1", "m v=3 1"]);
    relay.stop().await;
}

/// A relay that stops while a write that broke off may still come starts as one that was killed: the next one
/// waits before it writes past it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_with_a_broken_write_under_way_leaves_word_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (url, applied) = breaks_the_second().await;
    let late = |config: &mut tandem_relay::Config| config.write_timeout = LATE * 4;
    let relay = Running::start_with(dir.path(), std::slice::from_ref(&url), late).await;
    for number in 1..=2 {
        assert_eq!(relay.write(&format!("m v={number} 1")).await, 204);
    }
    relay.stop().await;
    assert!(
        dir.path().join("a/running").exists(),
        "a write may be under way"
    );
    let relay = Running::start_with(dir.path(), &[url], late).await;
    assert_eq!(relay.write("m v=3 1").await, 204);
    relay.is_live(0).await;
    let applied = applied.lock().unwrap().clone();
    assert_eq!(applied.last().map(String::as_str), Some("m v=3 1"));
    relay.stop().await;
    assert!(!dir.path().join("a/running").exists(), "now nothing is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_left_and_returned_gets_what_waited_for_it_first() {
    let dir = tempfile::tempdir().unwrap();
    let (a, mut b) = (Fake::start().await, Fake::start().await);
    let mut config = None;
    let relay = Running::start(dir.path(), &[&a, &b], |own| config = Some(own.clone())).await;
    let both = config.unwrap();
    let mut alone = both.clone();
    alone.backends.pop();
    b.down().await;
    assert_eq!(relay.write("m v=1 1").await, 204);
    relay.relay.reload(&alone).await.unwrap();
    assert_eq!(relay.write("m v=2 1").await, 204);
    relay.relay.reload(&both).await.unwrap();
    assert_eq!(relay.write("m v=3 1").await, 204);
    b.up().await;
    relay.is_live(1).await;
    assert_eq!(b.stored_lines(), ["m v=1 1", "m v=3 1"]);
    relay.stop().await;
    for name in ["a", "b"] {
        assert!(!dir.path().join(name).join("running").exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_looked_into_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let a = Fake::start().await;
    let relay = Running::start(dir.path(), &[&a], |_| {}).await;
    let mut call = Call::post("/write?db=d", vec!["(zstd)".into()], true);
    call.headers
        .insert("content-encoding", "zstd".parse().unwrap());
    assert_eq!(relay.send(call).await.status, 415);
    assert!(a.arrived().is_empty());
    relay.stop().await;
}

/// A backend whose answer to a query is long, and ends properly or not.
async fn answers_at_length(pieces: usize, ends: bool) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                stream.write_all(head).await.unwrap();
                let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                for _ in 0..pieces {
                    if stream.write_all(piece.as_bytes()).await.is_err() {
                        return;
                    }
                }
                if ends {
                    stream.write_all(b"0\r\n\r\n").await.unwrap();
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_streams_through_and_one_that_breaks_off_is_cut_off() {
    const PIECES: usize = 100;
    let get = || Call::get("/query?db=d&q=SELECT+v+FROM+m");
    let dir = tempfile::tempdir().unwrap();
    let whole = answers_at_length(PIECES, true).await;
    let relay = Running::start_with(dir.path(), std::slice::from_ref(&whole), |_| {}).await;
    let own = Url::parse(&format!("http://{}", relay.relay.local_addr())).unwrap();
    let client = tandem_http::Client::new(tandem_http::ClientConfig {
        answer_bytes_max: 64 << 20,
        ..tandem_http::ClientConfig::default()
    });
    let answer = client.send(&own, get()).await.unwrap();
    assert_eq!(answer.body.len(), PIECES << 16);
    relay.stop().await;

    let dir = tempfile::tempdir().unwrap();
    let broken = answers_at_length(PIECES, false).await;
    let relay = Running::start_with(dir.path(), &[broken], |_| {}).await;
    let own = Url::parse(&format!("http://{}", relay.relay.local_addr())).unwrap();
    client.send(&own, get()).await.unwrap_err();
    relay.stop().await;

    // One that breaks off early enough is asked of the next.
    let dir = tempfile::tempdir().unwrap();
    let short = answers_at_length(2, false).await;
    let relay = Running::start_with(dir.path(), &[short, whole], |_| {}).await;
    let own = Url::parse(&format!("http://{}", relay.relay.local_addr())).unwrap();
    let answer = client.send(&own, get()).await.unwrap();
    assert_eq!(answer.headers["x-tandem-backend"], "b");
    relay.stop().await;
}
