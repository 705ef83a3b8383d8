//! The wire against a server made of a pipe: what leaves, byte for byte, and what each way of answering becomes.

use std::future::Future;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

const POST: &[u8] = b"POST /write HTTP/1.1\r\nhost: x\r\n\r\n";

/// A connection, and its other end.
fn wire(bytes: usize) -> (Wire, DuplexStream) {
    let (near, far) = tokio::io::duplex(bytes);
    (Wire::new(Link::Other(Box::new(near))), far)
}

async fn all(wire: &mut Wire) -> io::Result<String> {
    let mut text = Vec::new();
    while let Some(piece) = wire.piece().await? {
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8(text).unwrap())
}

/// Answers each request of a connection with the next of `answers`, in pieces of `step` bytes.
#[expect(
    clippy::manual_async_fn,
    reason = "a future that outlives no borrow is spawned"
)]
fn server(
    mut far: DuplexStream,
    answers: Vec<&'static str>,
    step: usize,
) -> impl Future<Output = ()> {
    async move {
        for answer in answers {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(far.read_u8().await.unwrap());
            }
            for piece in answer.as_bytes().chunks(step) {
                far.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn bodies_end_where_their_head_says_so_however_they_arrive() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    let nothing = "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n";
    let informed = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde";
    let until_closed = "HTTP/1.1 200 OK\r\n\r\nabcde";
    for step in [1, 2, 7, 1000] {
        let (mut wire, far) = wire(64);
        let answers = vec![length, chunked, nothing, informed, until_closed];
        let serving = tokio::spawn(server(far, answers, step));
        for want in ["abcde", "abcde", "", "abcde", "abcde"] {
            assert!(wire.is_idle());
            let head = wire.ask(POST, &[], &Method::POST).await.unwrap();
            assert!(head.status.is_success());
            assert_eq!(all(&mut wire).await.unwrap(), want);
        }
        assert!(!wire.is_idle(), "the last one was closed");
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_without_a_body_has_none_whatever_its_head_says() {
    let (mut wire, far) = wire(1024);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n";
    let serving = tokio::spawn(server(far, vec![head], 1000));
    wire.ask(POST, &[], &Method::HEAD).await.unwrap();
    assert_eq!(all(&mut wire).await.unwrap(), "");
    assert!(wire.is_idle());
    serving.await.unwrap();
}

#[tokio::test]
async fn pieces_arrive_whole_through_a_narrow_pipe() {
    let (mut wire, mut far) = wire(5);
    let pieces: Vec<Bytes> = (0..200)
        .map(|n: usize| Bytes::from(n.to_string().repeat(n % 4)))
        .collect();
    let want = pieces.concat();
    let serving = tokio::spawn(async move {
        let mut got = vec![0; POST.len() + want.len()];
        far.read_exact(&mut got).await.unwrap();
        assert!(got.ends_with(&want));
        far.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        far
    });
    let head = wire.ask(POST, &pieces, &Method::POST).await.unwrap();
    assert_eq!(head.status, StatusCode::NO_CONTENT);
    assert!(wire.is_idle());
    drop(serving.await.unwrap());
}

#[tokio::test]
async fn a_server_that_answers_before_it_has_read_everything_is_heard() {
    let (mut wire, mut far) = wire(16);
    let serving = tokio::spawn(async move {
        far.read_u8().await.unwrap();
        let answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
        far.write_all(answer).await.unwrap();
        far
    });
    let body = [Bytes::from(vec![b'x'; 100_000])];
    let head = wire.ask(POST, &body, &Method::POST).await.unwrap();
    assert_eq!(head.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(all(&mut wire).await.unwrap(), "");
    assert!(!wire.is_idle(), "half a request went out on it");
    drop(serving.await.unwrap());
}

/// It cannot have stored what it has not read.
#[tokio::test]
async fn a_server_that_confirms_before_it_has_read_everything_is_not_believed() {
    let (mut wire, mut far) = wire(16);
    let serving = tokio::spawn(async move {
        far.read_u8().await.unwrap();
        far.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        far
    });
    let body = [Bytes::from(vec![b'x'; 100_000])];
    let asked = wire.ask(POST, &body, &Method::POST).await;
    assert_eq!(asked.unwrap_err().kind(), io::ErrorKind::InvalidData);
    drop(serving.await.unwrap());
}

#[tokio::test]
async fn what_breaks_off_or_is_no_http_is_an_error() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nConte",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let (mut wire, far) = wire(4096);
        let serving = tokio::spawn(server(far, vec![answer], 1000));
        let asked = match wire.ask(POST, &[], &Method::POST).await {
            Ok(_) => all(&mut wire).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(asked.is_err(), "{answer:?}");
        serving.await.unwrap();
    }
    let (mut wire, mut far) = wire(4096);
    let flood = async move { while far.write_all(&[b'x'; 4096]).await.is_ok() {} };
    let flooding = tokio::spawn(flood);
    assert!(wire.ask(POST, &[], &Method::POST).await.is_err());
    drop(wire);
    flooding.await.unwrap();
}
