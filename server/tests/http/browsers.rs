//! Pages of other origins may use the API, as with InfluxDB.

use tandem_http::Method;

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_is_answered_with_permissions() {
    let running = Running::start().await;
    let origin = [("Origin", "http://grafana.example:3000")];
    for (method, target, status) in [
        (Method::OPTIONS, "/query", 200),
        (Method::OPTIONS, "/write", 200),
        (Method::GET, "/query?q=SHOW%20DATABASES", 200),
        (Method::GET, "/query", 400),
        (Method::GET, "/ping", 204),
    ] {
        let got = running.api().call(method, target, &origin, "").await;
        assert_eq!(got.status, status, "{target}");
        assert_eq!(
            got.header("access-control-allow-origin"),
            "http://grafana.example:3000"
        );
        assert_eq!(
            got.header("access-control-allow-methods"),
            "DELETE, GET, OPTIONS, POST, PUT"
        );
        assert_eq!(
            got.header("access-control-allow-headers"),
            "Accept, Accept-Encoding, Authorization, Content-Length, Content-Type, X-CSRF-Token, X-HTTP-Method-Override"
        );
        assert_eq!(
            got.header("access-control-expose-headers"),
            "Date, X-InfluxDB-Version, X-InfluxDB-Build"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_origin_there_are_none() {
    let running = Running::start().await;
    let got = running.api().call(Method::OPTIONS, "/query", &[], "").await;
    assert_eq!((got.status, got.text().as_str()), (200, ""));
    assert!(!got.headers.contains_key("access-control-allow-origin"));
}
