//! A server keeps its bounds and stops without losing what it has begun.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tandem_http::{
    Body, Drained, Incoming, Limits, Peer, Request, Response, StatusCode, bind, empty, full, serve,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(10);

struct Server {
    addr: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Drained>,
}

async fn start<H, F>(limits: Limits, handler: H) -> Server
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener: TcpListener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(serve(listener, handler, limits, async move {
        let _ = stopped.await;
    }));
    Server { addr, stop, served }
}

async fn send(addr: std::net::SocketAddr, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream
        .write_all(format!("{head}\r\nHost: x\r\n\r\n").as_bytes())
        .await
        .unwrap();
    stream
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    text
}

#[tokio::test]
async fn a_stop_waits_for_the_request_in_flight_and_takes_no_new_one() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = start(Limits::default(), {
        let (begun, go) = (begun.clone(), go.clone());
        move |_, _| {
            let (begun, go) = (begun.clone(), go.clone());
            async move {
                begun.notify_one();
                go.notified().await;
                full(StatusCode::OK, "text/plain", "done")
            }
        }
    })
    .await;
    let stream = send(server.addr, "GET / HTTP/1.1").await;
    begun.notified().await;
    server.stop.send(()).unwrap();
    // The listener closes at once, while the request goes on.
    while TcpStream::connect(server.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go.notify_one();
    let answer = read_all(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
        "{answer}"
    );
    assert_eq!(
        timeout(PATIENCE, server.served).await.unwrap().unwrap(),
        Drained { cut_off: 0 }
    );
}

#[tokio::test]
async fn what_does_not_end_by_the_deadline_is_cut_off_and_idle_connections_are_not() {
    let begun = Arc::new(Notify::new());
    let limits = Limits {
        stop_deadline: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = start(limits, {
        let begun = begun.clone();
        move |_, _| {
            begun.notify_one();
            std::future::pending()
        }
    })
    .await;
    let _idle = TcpStream::connect(server.addr).await.unwrap();
    let stuck = send(server.addr, "GET / HTTP/1.1").await;
    begun.notified().await;
    server.stop.send(()).unwrap();
    assert_eq!(
        timeout(PATIENCE, server.served).await.unwrap().unwrap(),
        Drained { cut_off: 1 }
    );
    assert_eq!(read_all(stuck).await, "");
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_serving_with_that_panic() {
    let server = start(Limits::default(), |_, _| async { panic!("handler broke") }).await;
    let _stream = send(server.addr, "GET / HTTP/1.1").await;
    let ended = timeout(PATIENCE, server.served).await.unwrap();
    assert_eq!(
        ended.unwrap_err().into_panic().downcast_ref(),
        Some(&"handler broke")
    );
}

#[tokio::test]
async fn more_requests_than_the_maximum_are_answered_503_in_json() {
    let begun = Arc::new(Notify::new());
    let limits = Limits {
        requests_max: 1,
        request_wait: Duration::from_millis(20),
        ..Limits::default()
    };
    let server = start(limits, {
        let begun = begun.clone();
        move |_, _| {
            begun.notify_one();
            std::future::pending()
        }
    })
    .await;
    let _first = send(server.addr, "GET / HTTP/1.1").await;
    begun.notified().await;
    let answer = read_all(send(server.addr, "GET / HTTP/1.1\r\nConnection: close").await).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.ends_with("{\"error\":\"too many requests in flight\"}\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn connections_beyond_the_maximum_wait_for_a_free_place() {
    let seen = Arc::new(AtomicUsize::new(0));
    let limits = Limits {
        connections_max: 1,
        ..Limits::default()
    };
    let server = start(limits, {
        let seen = seen.clone();
        move |_, _| {
            seen.fetch_add(1, Ordering::SeqCst);
            async { empty(StatusCode::NO_CONTENT) }
        }
    })
    .await;
    let mut first = send(server.addr, "GET / HTTP/1.1").await;
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();
    let mut second = send(server.addr, "GET / HTTP/1.1\r\nConnection: close").await;
    assert!(
        timeout(Duration::from_millis(50), second.read_exact(&mut byte))
            .await
            .is_err()
    );
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    drop(first);
    assert!(read_all(second).await.starts_with("HTTP/1.1 204"));
}

#[tokio::test]
async fn slow_and_large_heads_are_refused() {
    let limits = Limits {
        header_read_timeout: Duration::from_millis(30),
        header_bytes_max: 16 * 1024,
        ..Limits::default()
    };
    let server = start(limits, |_, _| async { empty(StatusCode::NO_CONTENT) }).await;
    let mut slow = TcpStream::connect(server.addr).await.unwrap();
    slow.write_all(b"GET / HTT").await.unwrap();
    let answer = read_all(slow).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    let answer = read_all(
        send(
            server.addr,
            &format!("GET /{} HTTP/1.1", "a".repeat(20_000)),
        )
        .await,
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"),
        "{answer}"
    );
}
