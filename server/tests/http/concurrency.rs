//! Too much at once is refused with 503, never with 4xx, and in JSON.

use std::time::Duration;

use tandem_server::Config;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn bodies_share_a_bound() {
    let config = Config {
        bodies_bytes_max: 1 << 20,
        body_bytes_max: 1 << 20,
        queue_wait: Duration::from_millis(50),
        ..Config::default()
    };
    let running = Running::with(config).await;
    // Announces the whole bound, which takes nothing of it.
    let mut slow = TcpStream::connect(running.server.api_addr()).await.unwrap();
    let head = format!(
        "POST /write?db=db HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        1 << 20
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    while running.server.counters().writes_active.get() == 0 {
        tokio::task::yield_now().await;
    }
    let body = format!("m v=1 1{}", "\n".repeat(2000));
    running.api().write(body.clone()).await;
    // Sends nearly all of it.
    slow.write_all(&vec![b'\n'; (1 << 20) - 1]).await.unwrap();
    let refused = loop {
        let got = running.api().post("/write?db=db", body.clone()).await;
        // The first calls may come before the slow one has been read.
        if got.status != 204 {
            break got;
        }
    };
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (503, "{\"error\":\"request throttled, exceeds timeout\"}\n")
    );
    assert!(running.server.counters().throttled.get() > 0);

    slow.write_all(b"\n").await.unwrap();
    let mut text = String::new();
    slow.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 204"), "{text}");
    running.api().write(body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_stalls_is_let_go() {
    let running = Running::with(Config {
        body_stall_max: Duration::from_millis(50),
        ..Config::default()
    })
    .await;
    let mut slow = TcpStream::connect(running.server.api_addr()).await.unwrap();
    slow.write_all(b"POST /write?db=db HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\nm v").await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(Duration::from_secs(20), slow.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
}

/// A byte now and then is no pause, and would hold its place for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_trickles_is_let_go() {
    let running = Running::with(Config {
        body_stall_max: Duration::from_millis(300),
        body_bytes_per_s_min: 1 << 20,
        ..Config::default()
    })
    .await;
    let slow = TcpStream::connect(running.server.api_addr()).await.unwrap();
    let (mut answer, mut sender) = slow.into_split();
    let head = "POST /write?db=db HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9999\r\n\r\n";
    sender.write_all(head.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while sender.write_all(b"m").await.is_ok() {
            sent += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sent
    });
    let mut text = String::new();
    let reading = answer.read_to_string(&mut text);
    let ended = tokio::time::timeout(Duration::from_secs(20), reading).await;
    ended.unwrap().unwrap();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    assert!(
        text.contains("bytes of the body arrived each second"),
        "{text}"
    );
    sending.abort();
    running.api().write("m v=1 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_and_readers_at_once() {
    let running = Running::start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let api = running.api();
        tasks.spawn(async move {
            for n in 0..20 {
                api.write(format!("m,w={writer} v={n} {n}")).await;
                let got = api
                    .query(
                        &format!("SELECT count(v) FROM m WHERE w = '{writer}'"),
                        "&epoch=ns",
                    )
                    .await;
                assert!(
                    got.text().contains(&format!("[[0,{}]]", n + 1)),
                    "{}",
                    got.text()
                );
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(running.server.counters().points_written.get(), 160);
}
