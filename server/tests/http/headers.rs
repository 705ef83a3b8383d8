//! Every answer carries InfluxDB's headers.

use tandem_http::Method;

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn version_build_and_id_are_everywhere() {
    let running = Running::start().await;
    for caller in [running.api(), running.page()] {
        for (method, target, body) in [
            (Method::GET, "/ping", ""),
            (Method::GET, "/health", ""),
            (Method::OPTIONS, "/write", ""),
            (Method::GET, "/query?q=SHOW%20DATABASES", ""),
            (Method::GET, "/query", ""),
            (Method::POST, "/write?db=db", "m v=1"),
            (Method::POST, "/write?db=none", "m v=1"),
        ] {
            let got = caller.call(method, target, &[], body).await;
            assert_eq!(got.header("x-influxdb-version"), "1.8.10", "{target}");
            assert_eq!(got.header("x-influxdb-build"), "OSS", "{target}");
            let id = got.header("request-id");
            assert_eq!(
                (id.len(), id.as_bytes().get(14)),
                (36, Some(&b'1')),
                "{target}: {id}"
            );
            assert_eq!(got.header("x-request-id"), id);
            assert!(!got.header("date").is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_of_a_request_comes_back() {
    let running = Running::start().await;
    let both = [("Request-Id", "b"), ("X-Request-Id", "a")];
    for (headers, id) in [(&both[..], "a"), (&both[..1], "b"), (&both[1..], "a")] {
        let got = running.api().call(Method::GET, "/ping", headers, "").await;
        assert_eq!(
            (got.header("request-id"), got.header("x-request-id")),
            (id.to_owned(), id.to_owned())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_json_and_repeated_in_a_header() {
    let running = Running::start().await;
    let got = running.api().post("/write", "m v=1").await;
    assert_eq!(got.header("x-influxdb-error"), "database is required");
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.text(), "{\"error\":\"database is required\"}\n");
    let line = "é".repeat(2000);
    let got = running.api().post("/write?db=db", line).await;
    assert_eq!(
        (got.status, got.headers["x-influxdb-error"].len()),
        (400, 1024)
    );
}
