//! While all are well, the bytes of a request lie in memory once: they are read into one buffer, and both
//! backends are sent from it.
//!
//! A program of its own, for it counts what the whole process allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tandem_http::Url;
use tandem_relay::{BackendConfig, Config, Relay};
use tandem_vfs::{RealFs, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Larger than anything else that is allocated on the way of a request.
const BODY_BYTES: usize = 100_000;
/// Allocations of at least this many bytes are counted.
const LARGE_BYTES: usize = 50_000;

static LARGE: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn count(bytes: usize) {
    BYTES.fetch_add(bytes, Ordering::Relaxed);
    if bytes >= LARGE_BYTES {
        LARGE.fetch_add(1, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "an allocator cannot be written without it")]
// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(at, layout, bytes) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A backend that reads into one small buffer and confirms everything.
async fn sink() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(swallow(stream));
        }
    });
    url
}

async fn swallow(mut stream: TcpStream) {
    let mut piece = vec![0; 8192];
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut left: usize = length.unwrap().parse().unwrap();
        while left > 0 {
            let room = left.min(piece.len());
            left -= stream.read(&mut piece[..room]).await.unwrap();
        }
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn payload_bytes_are_allocated_once_a_request_and_shared_by_both_backends() {
    let dir = tempfile::tempdir().unwrap();
    let backends = vec![
        BackendConfig::new("a", sink().await),
        BackendConfig::new("b", sink().await),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::start(
        Config::new(backends, dir.path()),
        Arc::new(RealFs),
        Arc::new(SystemClock),
        listener,
        std::future::pending(),
    )
    .await
    .unwrap();
    let line = "cpu,host=a usage_user=58i,usage_system=2i 1451606400000000000\n";
    let body = line.repeat(BODY_BYTES / line.len());
    let request = format!(
        "POST /write?db=d HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = TcpStream::connect(relay.local_addr()).await.unwrap();
    let mut answer = vec![0; 4096];
    // The first ones open connections and warm up what is kept.
    for _ in 0..5 {
        client.write_all(request.as_bytes()).await.unwrap();
        let length = client.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 204 "));
    }
    const REQUESTS: usize = 20;
    let (large, bytes) = (LARGE.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    for _ in 0..REQUESTS {
        client.write_all(request.as_bytes()).await.unwrap();
        let length = client.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 204 "));
    }
    let large = LARGE.load(Ordering::Relaxed) - large;
    let bytes = (BYTES.load(Ordering::Relaxed) - bytes) / REQUESTS;
    println!(
        "{large} large allocations and {bytes} bytes each for {REQUESTS} requests of {} bytes",
        body.len()
    );
    assert_eq!(
        large, REQUESTS,
        "one buffer a request, whatever the number of backends"
    );
    // Beside the body: the tasks of the request and of its copies, heads, answers, and 3 KiB of keys whose lanes are known.
    assert!(bytes < body.len() + 20_480, "{bytes} bytes a request");
    let written: Vec<u64> = relay
        .status()
        .iter()
        .map(|backend| backend.written_batches)
        .collect();
    assert_eq!(written, [REQUESTS as u64 + 5; 2]);
}
