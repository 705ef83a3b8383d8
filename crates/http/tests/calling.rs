//! A client sends exactly what it was given, keeps its connections, and knows what may have arrived.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tandem_http::{
    BodyError, Call, Client, ClientConfig, ClientError, Limits, Response, StatusCode, Url, bind,
    full, read_body, serve,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn url(listener: &TcpListener) -> Url {
    Url::parse(&format!(
        "http://root:secret@{}/",
        listener.local_addr().unwrap()
    ))
    .unwrap()
}

fn client(connections_max: usize, timeout_ms: u64, answer_bytes_max: usize) -> Client {
    let request_timeout = Duration::from_millis(timeout_ms);
    Client::new(ClientConfig {
        connections_max,
        request_timeout,
        answer_bytes_max,
        ..ClientConfig::default()
    })
}

/// Reads one request from a raw socket: head and announced body.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    let mut buf = [0; 4096];
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        match stream.read(&mut buf).await.unwrap() {
            0 => return None,
            n => text.push_str(std::str::from_utf8(&buf[..n]).unwrap()),
        }
    }
}

#[tokio::test]
async fn pieces_go_out_as_one_body_of_exact_length_and_connections_are_kept() {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let url = url(&listener);
    let ports = Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let seen = ports.clone();
    let handler = move |request: http::Request<_>, peer: tandem_http::Peer| {
        seen.lock().unwrap().insert(peer.0.port());
        async move {
            let line = format!(
                "{} {} {:?} ",
                request.method(),
                request.uri(),
                request.headers().get("authorization")
            );
            let length = request.headers()["content-length"]
                .to_str()
                .unwrap()
                .to_owned();
            let body = read_body(request.into_body(), 100, Duration::from_secs(5))
                .await
                .unwrap()
                .into_bytes();
            full(
                StatusCode::OK,
                "text/plain",
                [line.as_bytes(), length.as_bytes(), b" ", &body].concat(),
            )
        }
    };
    tokio::spawn(serve(
        listener,
        handler,
        Limits::default(),
        std::future::pending(),
    ));
    let client = client(4, 5_000, 1000);
    for _ in 0..20 {
        let pieces = ["cpu v=1\n", "", "mem v=2\n"].map(Bytes::from);
        let answer = client
            .send(&url, Call::post("/write?db=x", pieces.to_vec(), true))
            .await
            .unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            answer.body.into_bytes(),
            "POST /write?db=x Some(\"Basic cm9vdDpzZWNyZXQ=\") 16 cpu v=1\nmem v=2\n"
        );
    }
    assert_eq!(ports.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_once() {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let url = url(&listener);
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // One answer a connection; the next request on it is read and the connection closed.
            for answer in ["HTTP/1.1 204 No Content\r\n\r\n", ""] {
                let Some(_) = read_request(&mut stream).await else {
                    break;
                };
                count.fetch_add(1, Ordering::SeqCst);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    let client = client(4, 5_000, 1000);
    let write = |replayable| Call::post("/write", vec![Bytes::from_static(b"x v=1")], replayable);
    assert_eq!(
        client.send(&url, write(true)).await.unwrap().status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        client.send(&url, write(true)).await.unwrap().status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(requests.load(Ordering::SeqCst), 3);
    let error = client.send(&url, write(false)).await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }) && error.may_have_arrived());
    assert_eq!(requests.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_retry_that_cannot_connect_still_says_that_the_first_may_have_arrived() {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let url = url(&listener);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        read_request(&mut stream).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        read_request(&mut stream).await.unwrap();
    });
    let client = client(4, 5_000, 1000);
    client.send(&url, Call::get("/")).await.unwrap();
    let error = client.send(&url, Call::get("/")).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Broken { .. }) && error.may_have_arrived(),
        "{error:?}"
    );
    let error = client.send(&url, Call::get("/")).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Connect { .. }) && !error.may_have_arrived(),
        "{error:?}"
    );
}

#[tokio::test]
async fn silence_ends_in_a_timeout_and_closes_the_connection() {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let url = url(&listener);
    let client = client(1, 50, 1000);
    let calling = tokio::spawn(async move { client.send(&url, Call::get("/")).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await.unwrap();
    let error = calling.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ClientError::Timeout { .. }) && error.may_have_arrived(),
        "{error:?}"
    );
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_streamed_answer_that_stalls_ends() {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let url = url(&listener);
    let client = client(1, 50, 1000);
    let asking = tokio::spawn(async move { client.open(&url, &Call::get("/"), 1).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await.unwrap();
    let begin = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    stream.write_all(begin).await.unwrap();
    let mut answer = asking.await.unwrap().unwrap();
    assert!(!answer.is_whole());
    let error = answer.piece().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    drop(answer);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn waiting_for_a_connection_counts_and_arrives_nowhere() {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let url = url(&listener);
    let client = client(1, 5_000, 1000);
    let (first, at) = (client.clone(), url.clone());
    let _busy = tokio::spawn(async move { first.send(&at, Call::get("/")).await });
    let (_stream, _) = listener.accept().await.unwrap();
    let call = Call {
        timeout: Some(Duration::from_millis(30)),
        ..Call::get("/")
    };
    let error = client.send(&url, call).await.unwrap_err();
    assert!(
        matches!(error, ClientError::ConnectTimeout { .. }) && !error.may_have_arrived(),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_answer_beyond_its_bound_is_an_error() {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let url = url(&listener);
    let handler = |_, _| async { Response::new(Bytes::from_static(b"12345678901").into()) };
    tokio::spawn(serve(
        listener,
        handler,
        Limits::default(),
        std::future::pending(),
    ));
    let error = client(1, 5_000, 10)
        .send(&url, Call::get("/"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Answer {
                source: BodyError::TooLarge { bytes_max: 10 },
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_cannot_stand_in_a_request_is_refused_before_it_is_sent() {
    let url = Url::parse("http://127.0.0.1:1").unwrap();
    let error = client(1, 5_000, 10)
        .send(&url, Call::get("/a b"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Invalid(_)) && !error.may_have_arrived(),
        "{error:?}"
    );
}
