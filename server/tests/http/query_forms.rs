//! A query comes in the URL or in a form; its parameters mean what they mean to InfluxDB.

use tandem_http::Method;

use crate::common::{Got, Running};

const FORM: [(&str, &str); 1] = [(
    "Content-Type",
    "application/x-www-form-urlencoded; charset=utf-8",
)];

fn error(got: &Got) -> (u16, String) {
    let json: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    (
        got.status,
        json["error"].as_str().unwrap_or_default().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_query_is_400() {
    let running = Running::start().await;
    let api = running.api();
    let missing = (400, "missing required parameter \"q\"".to_owned());
    assert_eq!(error(&api.get("/query").await), missing);
    assert_eq!(error(&api.get("/query?q=%20").await), missing);
    assert_eq!(
        error(&api.post("/query", "q=SHOW DATABASES").await),
        missing
    );
    let text = "error parsing query: found EOF, expected identifier, string, number, bool at line 1, char 8";
    assert_eq!(
        error(&api.get("/query?q=SELECT").await),
        (400, text.to_owned())
    );
    let text = "error parsing query parameters: unexpected EOF";
    assert_eq!(
        error(&api.get("/query?q=SHOW%20DATABASES&params=%7B").await),
        (400, text.to_owned())
    );
    let got = api.get("/query?q=SELECT&pretty=true").await;
    assert!(
        got.text()
            .starts_with("{\n    \"error\": \"error parsing query: found EOF"),
        "{}",
        got.text()
    );
    let got = api
        .call(
            Method::GET,
            "/query?q=SELECT",
            &[("Accept", "text/csv")],
            "",
        )
        .await;
    assert_eq!(
        (got.status, got.header("content-type").as_str()),
        (400, "text/csv")
    );
    assert_eq!(
        got.text(),
        "error\n\"error parsing query: found EOF, expected identifier, string, number, bool at line 1, char 8\"\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_as_good_as_the_url_and_goes_before_it() {
    let running = Running::start().await;
    let api = running.api();
    api.write("m v=1 1000000").await;
    let rows = "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"v\"],\"values\":[[1,1]]}]}]}\n";
    for (target, form) in [
        ("/query", "q=SELECT+v+FROM+m&db=db&epoch=ms"),
        ("/query?db=db&epoch=ms", "q=SELECT%20v%20FROM%20m"),
        (
            "/query?db=none&epoch=s&q=SHOW+DATABASES",
            "db=db&epoch=ms&q=SELECT v FROM m",
        ),
        ("/query?db=db&epoch=ms&q=SELECT+v+FROM+m", ""),
    ] {
        let got = api.call(Method::POST, target, &FORM, form).await;
        assert_eq!(
            (got.status, got.text().as_str()),
            (200, rows),
            "{target} {form}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn params_are_bound() {
    let running = Running::start().await;
    running.api().write("m,h=a v=1 1\nm,h=it's v=2 2").await;
    let params = tandem_http::percent_encode("{\"h\":\"it's\"}");
    let got = running
        .api()
        .query(
            "SELECT v FROM m WHERE h = $h",
            &format!("&epoch=ns&params={params}"),
        )
        .await;
    assert!(got.text().contains("\"values\":[[2,2]]"), "{}", got.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn change_by_get_is_done_and_warned_of() {
    let running = Running::start().await;
    let api = running.api();
    let got = api.get("/query?q=CREATE%20DATABASE%20two").await;
    assert_eq!(
        got.text(),
        "{\"results\":[{\"statement_id\":0,\"messages\":[{\"level\":\"warning\",\"text\":\"deprecated use of 'CREATE DATABASE two' in a read only context, please use a POST request instead\"}]}]}\n"
    );
    let got = api.get("/query?q=SHOW%20DATABASES").await;
    assert!(got.text().contains("[\"two\"]"), "{}", got.text());
    let got = api
        .call(Method::POST, "/query", &FORM, "q=CREATE DATABASE two")
        .await;
    assert_eq!(got.text(), "{\"results\":[{\"statement_id\":0}]}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_async_query_is_answered_at_once_and_done() {
    let running = Running::start().await;
    let got = running
        .api()
        .post("/query?async=true&q=CREATE%20DATABASE%20later", "")
        .await;
    assert_eq!((got.status, got.text().as_str()), (204, ""));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !running.store.databases().contains(&"later".to_owned()) {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

/// `curl -F q=@file`, and fields of such a form.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_may_be_uploaded_as_a_file() {
    let running = Running::start().await;
    let api = running.api();
    api.write("m v=1 1").await;
    let kind = [("Content-Type", "multipart/form-data; boundary=xx")];
    let file = "--xx\r\nContent-Disposition: form-data; name=\"q\"; filename=\"a.txt\"\r\n\
        Content-Type: text/plain\r\n\r\nSELECT v FROM m\n;\nSHOW DATABASES\r\n";
    let field = |name: &str, text: &str| {
        format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
    };
    let end = "--xx--\r\n";
    let (rows, databases) = ("\"values\":[[1,1]]", "[[\"db\"]]");
    for (target, body, parts) in [
        (
            "/query?db=db&epoch=ns",
            format!("{file}{end}"),
            &[rows, databases][..],
        ),
        (
            "/query?epoch=ns",
            format!("{}{file}{end}", field("db", "db")),
            &[rows, databases],
        ),
        (
            "/query?epoch=ns&db=db",
            format!("{}{end}", field("q", "SELECT v FROM m")),
            &[rows],
        ),
        // What is not uploaded comes first.
        (
            "/query?q=SHOW%20DATABASES",
            format!("{file}{end}"),
            &[databases],
        ),
    ] {
        let got = api.call(Method::POST, target, &kind, body).await;
        let text = got.text();
        assert_eq!(got.status, 200, "{text}");
        assert!(
            parts.iter().all(|part| text.contains(part)),
            "{target}: {text}"
        );
        assert_eq!(
            text.contains(rows),
            parts.contains(&rows),
            "{target}: {text}"
        );
    }
    let missing = (400, "missing required parameter \"q\"".to_owned());
    for body in [
        end.to_owned(),
        String::new(),
        file[..60].to_owned(),
        field("x", "y"),
    ] {
        let got = api.call(Method::POST, "/query?db=db", &kind, body).await;
        assert_eq!(error(&got), missing);
    }
}

/// It was listed as it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_listed_as_it_was_read_and_without_passwords() {
    let running = Running::start().await;
    let query = "show  queries; select v from \"m\" ;set password for \"u\" = 'secret'";
    let got = running.api().query(query, "").await.text();
    let listed = "\"SHOW QUERIES;\\nSELECT v FROM m;\\nSET PASSWORD FOR u = [REDACTED]\"";
    assert!(got.contains(listed), "{got}");
    assert!(!got.contains("secret"), "{got}");
}
