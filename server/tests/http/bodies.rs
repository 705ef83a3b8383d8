//! Bodies are taken as they come, compressed or not, within bounds.

use std::io::{Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use tandem_http::Method;
use tandem_server::Config;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::common::Running;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn small() -> Config {
    Config {
        body_bytes_max: 1000,
        inflated_bytes_max: 5000,
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_is_413_announced_or_not_and_after_gunzip() {
    let running = Running::with(small()).await;
    let api = running.api();
    let error = "{\"error\":\"Request Entity Too Large\"}\n";
    let got = api.post("/write?db=db", vec![b'x'; 1001]).await;
    assert_eq!((got.status, got.text().as_str()), (413, error));
    // Larger than what a sender's socket buffers hold: the answer must arrive all the same.
    let got = api.post("/write?db=db", vec![b'\n'; 1900]).await;
    assert_eq!((got.status, got.text().as_str()), (413, error));
    let bomb = gzip(&[b'\n'; 5001]);
    assert!(bomb.len() < 1000);
    let got = api
        .call(
            Method::POST,
            "/write?db=db",
            &[("Content-Encoding", "gzip")],
            bomb,
        )
        .await;
    assert_eq!((got.status, got.text().as_str()), (413, error));

    let mut stream = TcpStream::connect(running.server.api_addr()).await.unwrap();
    let head = "POST /write?db=db HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
        .write_all(format!("3e9\r\n{}\r\n0\r\n\r\n", "\n".repeat(1001)).as_bytes())
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 413") && text.ends_with(error),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_bound_is_taken() {
    let running = Running::with(small()).await;
    let mut body = b"m v=1 1\n".to_vec();
    body.resize(1000, b'\n');
    running.api().write(body.clone()).await;
    body.resize(5000, b'\n');
    let got = running
        .api()
        .call(
            Method::POST,
            "/write?db=db",
            &[("Content-Encoding", "gzip")],
            gzip(&body),
        )
        .await;
    assert_eq!(got.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_comes_in_and_goes_out() {
    let running = Running::start().await;
    let api = running.api();
    let zipped = [("Content-Encoding", "gzip")];
    let got = api
        .call(Method::POST, "/write?db=db", &zipped, gzip(b"m v=1 1\n"))
        .await;
    assert_eq!(got.status, 204);
    for (bad, text) in [
        (&b"m v=1"[..], "unexpected EOF"),
        (b"m v=1 1234567890", "gzip: invalid header"),
        (b"", "EOF"),
    ] {
        let got = api.call(Method::POST, "/write?db=db", &zipped, bad).await;
        assert_eq!(
            (got.status, got.text()),
            (400, format!("{{\"error\":\"{text}\"}}\n"))
        );
    }
    let wanted = [("Accept-Encoding", "deflate, gzip")];
    let got = api
        .call(
            Method::GET,
            "/query?db=db&epoch=ns&q=SELECT%20v%20FROM%20m",
            &wanted,
            "",
        )
        .await;
    assert_eq!(
        (got.status, got.header("content-encoding").as_str()),
        (200, "gzip")
    );
    let mut text = String::new();
    GzDecoder::new(&*got.body)
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(
        text,
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"v\"],\"values\":[[1,1]]}]}]}\n"
    );
    let got = api.call(Method::GET, "/query", &wanted, "").await;
    assert_eq!(
        (got.status, got.header("content-encoding").as_str()),
        (400, "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_read_raw_whatever_it_calls_itself() {
    let running = Running::start().await;
    for kind in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/octet-stream",
        "multipart/form-data",
    ] {
        let got = running
            .api()
            .call(
                Method::POST,
                "/write?db=db",
                &[("Content-Type", kind)],
                "m,a=b+c v=1 1",
            )
            .await;
        assert_eq!(got.status, 204, "{kind}");
    }
    let got = running
        .api()
        .query("SHOW TAG VALUES WITH KEY = a", "")
        .await;
    assert!(got.text().contains("[\"a\",\"b+c\"]"), "{}", got.text());
    // The database must be in the URL.
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let got = running
        .api()
        .call(Method::POST, "/write", &form, "db=db")
        .await;
    assert_eq!(got.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn zstd_comes_in_within_its_bounds() {
    let running = Running::with(small()).await;
    let api = running.api();
    let zipped = [("Content-Encoding", "zstd")];
    let frame = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let mut two = frame(b"m v=1 1\n");
    two.extend(frame(b"m v=2 2\n"));
    let mut full = b"m v=3 3\n".to_vec();
    full.resize(5000, b'\n');
    for body in [two, frame(&full), Vec::new()] {
        let got = api.call(Method::POST, "/write?db=db", &zipped, body).await;
        assert_eq!((got.status, got.text().as_str()), (204, ""));
    }
    let got = api.query("SELECT v FROM m", "&epoch=ns").await;
    assert!(got.text().contains("[[1,1],[2,2],[3,3]]"), "{}", got.text());
    full.push(b'\n');
    let got = api
        .call(Method::POST, "/write?db=db", &zipped, frame(&full))
        .await;
    assert_eq!(got.status, 413);
    for bad in [b"m v=4 4".to_vec(), frame(b"m v=4 4")[..9].to_vec()] {
        let got = api.call(Method::POST, "/write?db=db", &zipped, bad).await;
        assert!(
            got.status == 400 && got.text().starts_with("{\"error\":\"zstd: "),
            "{}",
            got.text()
        );
    }
}
