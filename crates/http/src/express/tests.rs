//! The plain-POST path against a client made of a pipe: what it takes by itself, and what it hands on untouched.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::{full, serve_connection_express};

/// Repeats what it got; says in a header that it was the one who answered.
#[derive(Clone, Default)]
struct Echo {
    reads: Arc<Mutex<Vec<usize>>>,
}

impl Express for Echo {
    fn wants(&self, path: &str) -> bool {
        path == "/write"
    }

    async fn answer(
        &self,
        request: Request<()>,
        body: &mut WireBody<'_>,
        _peer: Peer,
    ) -> Response<Body> {
        if request.uri().query() == Some("refuse") {
            return error_json(StatusCode::FORBIDDEN, "no");
        }
        let mut out = Vec::with_capacity(body.left());
        self.reads.lock().unwrap().push(body.left());
        let read = body.read_into(&mut out, Duration::from_secs(5)).await;
        if read.is_err() {
            return error_json(StatusCode::BAD_REQUEST, "short");
        }
        full(StatusCode::OK, "text/express", out)
    }
}

/// Sends all, in pieces, and gives all that comes back.
async fn talk(text: &str, step: usize) -> (String, Vec<usize>) {
    let (mut near, far): (DuplexStream, _) = tokio::io::duplex(64 << 10);
    let echo = Echo::default();
    let reads = echo.reads.clone();
    let (_stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(async move {
        let ordinary = |_, _| async { full(StatusCode::OK, "text/ordinary", "ordinary") };
        let peer = Peer("127.0.0.1:1".parse().unwrap());
        let limits = Limits::default();
        serve_connection_express(far, peer, ordinary, echo, &limits, stopped).await;
    });
    for piece in text.as_bytes().chunks(step) {
        // A server that closes behind its answer need not read what comes after.
        if near.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _ = near.shutdown().await;
    let mut out = String::new();
    near.read_to_string(&mut out).await.unwrap();
    serving.await.unwrap();
    let reads = reads.lock().unwrap().clone();
    (out, reads)
}

#[tokio::test]
async fn plain_requests_are_answered_one_behind_the_other() {
    let text = "POST /write?db=x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab\r\nc\
        POST /write HTTP/1.1\r\ncontent-length: 0\r\nConnection: keep-alive\r\n\r\n\
        POST /write HTTP/1.1\r\nContent-Length: 3\r\nContent-Type: text/plain\r\n\r\nxyz";
    for step in [1, 3, 50, 10_000] {
        let (out, reads) = talk(text, step).await;
        assert_eq!(reads, [5, 0, 3], "step {step}: {out}");
        assert_eq!(
            out.matches("HTTP/1.1 200 OK\r\nContent-Type: text/express\r\n")
                .count(),
            3
        );
        assert!(out.contains("Content-Length: 5\r\nDate: ") && out.contains(" GMT\r\n\r\nab\r\nc"));
    }
}

#[tokio::test]
async fn whatever_is_not_plain_goes_to_the_ordinary_server_with_all_its_bytes() {
    for request in [
        "GET /ping HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /query HTTP/1.1\r\nContent-Length: 3\r\n\r\nq=x",
        "POST /write HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "POST /write HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx",
        "POST /write HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
        "POST /write HTTP/1.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    ] {
        for step in [1, 10_000] {
            let plain = "POST /write HTTP/1.1\r\nContent-Length: 1\r\n\r\ny";
            let (out, reads) = talk(&format!("{plain}{request}"), step).await;
            assert_eq!(reads, [1], "{request}");
            assert!(
                out.contains("text/express") && out.contains("text/ordinary"),
                "{request}: {out}"
            );
        }
    }
}

#[tokio::test]
async fn bad_heads_get_the_ordinary_servers_answer() {
    for request in [
        "POST /write HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST /write HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /write HTTP/1.1\r\nBad Header: 1\r\n\r\n",
        "POST /wr\x01ite HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    ] {
        let (out, reads) = talk(request, 10_000).await;
        assert!(
            reads.is_empty() && out.starts_with("HTTP/1.1 400 "),
            "{request}: {out}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_left_unread_or_breaks_off_ends_the_connection() {
    let next = "POST /write HTTP/1.1\r\nContent-Length: 1\r\n\r\ny";
    let unread = "POST /write?refuse HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    let (out, reads) = talk(&format!("{unread}{next}"), 10_000).await;
    assert!(
        reads.is_empty()
            && out.starts_with("HTTP/1.1 403 ")
            && out.contains("Connection: close\r\n")
    );
    let short = "POST /write HTTP/1.1\r\nContent-Length: 3\r\n\r\nab";
    let (out, reads) = talk(short, 1).await;
    assert!(reads == [3] && out.starts_with("HTTP/1.1 400 "), "{out}");
}
