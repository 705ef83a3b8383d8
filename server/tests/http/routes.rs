//! Paths and methods are those of InfluxDB; what is not known is refused as Go refuses it.

use tandem_http::Method;

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods() {
    let running = Running::start().await;
    let api = running.api();
    for path in [
        "/",
        "/nope",
        "/query/",
        "//query",
        "/ui/nope.js",
        "/index.html",
        "/QUERY",
    ] {
        let got = api.get(path).await;
        assert_eq!(
            (got.status, got.text().as_str()),
            (404, "404 page not found\n"),
            "{path}"
        );
        assert_eq!(got.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(got.header("x-influxdb-version"), "1.8.10");
    }
    for (method, path, allow) in [
        (Method::DELETE, "/query", "OPTIONS, GET, POST"),
        (Method::GET, "/write", "OPTIONS, POST"),
        (Method::PUT, "/write", "OPTIONS, POST"),
        (Method::POST, "/ping", "GET, HEAD"),
        (Method::GET, "/api/v2/write", "OPTIONS, POST"),
        (Method::GET, "/api/v1/prom/read", "POST"),
        (Method::OPTIONS, "/api/v1/prom/write", "POST"),
        (Method::HEAD, "/metrics", "GET"),
        (Method::PUT, "/api/v2/buckets", "OPTIONS, GET, POST"),
    ] {
        let got = api.call(method, path, &[], "").await;
        assert_eq!(
            (got.status, got.header("allow").as_str()),
            (405, allow),
            "{path}"
        );
        if path != "/metrics" {
            assert_eq!(got.text(), "Method Not Allowed\n");
        }
    }
    for path in ["/debug/vars", "/debug/requests?seconds=1"] {
        for method in [Method::POST, Method::DELETE, Method::OPTIONS] {
            let got = api.call(method, path, &[], "").await;
            assert_eq!(got.status, 200, "{path}");
            assert!(got.text().starts_with('{'), "{path}: {}", got.text());
        }
    }
}

/// It was taken for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_expects_more_than_to_be_told_to_go_on_is_refused() {
    let running = Running::start().await;
    let api = running.api();
    for (expected, status) in [("foo", 417), ("100-continue", 204), ("100-Continue", 204)] {
        let headers = [("Expect", expected)];
        let got = api
            .call(Method::POST, "/write?db=db", &headers, "m v=1")
            .await;
        assert_eq!(
            (got.status, got.text().as_str()),
            (status, ""),
            "{expected}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_health_and_status() {
    let running = Running::start().await;
    let api = running.api();
    for method in [Method::GET, Method::HEAD] {
        for path in [
            "/ping",
            "/ping?verbose=",
            "/ping?verbose=0",
            "/ping?verbose=false",
            "/status",
        ] {
            let got = api.call(method.clone(), path, &[], "").await;
            assert_eq!((got.status, got.text().as_str()), (204, ""), "{path}");
            assert_eq!(got.header("content-type"), "application/json");
        }
    }
    let got = api.get("/ping?verbose=true").await;
    assert_eq!(
        (got.status, got.text().as_str()),
        (200, "{\"version\":\"1.8.10\"}")
    );
    let got = api.get("/health").await;
    assert_eq!(got.status, 200);
    assert_eq!(
        got.text(),
        "{\"checks\":[],\"message\":\"ready for queries and writes\",\"name\":\"influxdb\",\"status\":\"pass\",\"version\":\"1.8.10\"}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_no_writes_says_so() {
    let running = Running::start().await;
    let store = running.store.clone();
    tokio::task::spawn_blocking(move || store.close().unwrap())
        .await
        .unwrap();
    let got = running.api().get("/health").await;
    assert_eq!(got.status, 503);
    assert!(got.text().contains("\"status\":\"fail\""), "{}", got.text());
    let got = running.api().post("/write?db=db", "m v=1").await;
    assert_eq!(got.status, 503);
    assert!(got.text().starts_with("{\"error\":\""), "{}", got.text());
    assert_eq!(running.api().get("/ping").await.status, 204);
}
