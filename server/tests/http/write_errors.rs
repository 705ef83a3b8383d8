//! What is wrong with a write is answered with InfluxDB's status and text, and the good lines are
//! stored.

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn parameters() {
    let running = Running::start().await;
    let api = running.api();
    for (target, body, status, text) in [
        ("/write", "m v=1", 400, "database is required"),
        ("/write?db=", "m v=1", 400, "database is required"),
        (
            "/write?db=none",
            "m v=1",
            404,
            "database not found: \\\"none\\\"",
        ),
        (
            "/write?db=none",
            "",
            404,
            "database not found: \\\"none\\\"",
        ),
        (
            "/write?db=db&rp=zz",
            "m v=1",
            500,
            "retention policy not found: zz",
        ),
        (
            "/write?db=db&precision=x",
            "m v=1",
            400,
            "invalid precision \\\"x\\\" (use n, u, ms, s, m or h)",
        ),
        (
            "/write?db=db&consistency=some",
            "m v=1",
            400,
            "invalid consistency level",
        ),
        // What is wrong with all lines is told first.
        (
            "/write?db=db&consistency=some",
            "m v=",
            400,
            "unable to parse 'm v=': missing field value",
        ),
        (
            "/write?db=db&rp=zz",
            "m v=",
            400,
            "unable to parse 'm v=': missing field value",
        ),
        (
            "/write?db=db&rp=zz",
            "m v=\nm v=1",
            500,
            "retention policy not found: zz",
        ),
        (
            "/write?db=db&rp=zz",
            "m v=\nm,time=x v=1",
            500,
            "retention policy not found: zz",
        ),
    ] {
        let got = api.post(target, body).await;
        assert_eq!(
            (got.status, got.text()),
            (status, format!("{{\"error\":\"{text}\"}}\n")),
            "{target}"
        );
    }
    for target in [
        "/write?db=db",
        "/write?db=db&rp=",
        "/write?db=db&precision=ms&consistency=ALL&u=a&p=b",
    ] {
        let got = api.post(target, "").await;
        assert_eq!((got.status, got.text().as_str()), (204, ""), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines() {
    let running = Running::start().await;
    let api = running.api();
    api.write("m v=1 1").await;
    for (body, text) in [
        ("m v=", "unable to parse 'm v=': missing field value"),
        (
            "m v=\nc",
            "unable to parse 'm v=': missing field value\\nunable to parse 'c': missing fields",
        ),
        (
            "m v=\nn v=2 5\nc",
            "partial write: unable to parse 'm v=': missing field value\\nunable to parse 'c': missing fields dropped=0",
        ),
        (
            "m v=\"s\" 7\nq v=1 7",
            "partial write: field type conflict: input field \\\"v\\\" on measurement \\\"m\\\" is type string, already exists as type float dropped=1",
        ),
    ] {
        let got = api.post("/write?db=db", body).await;
        assert_eq!(
            (got.status, got.text()),
            (400, format!("{{\"error\":\"{text}\"}}\n"))
        );
    }
    let got = api.query("SELECT v FROM m, n, q", "&epoch=ns").await;
    assert_eq!(
        got.text(),
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"v\"],\"values\":[[1,1]]},{\"name\":\"n\",\"columns\":[\"time\",\"v\"],\"values\":[[5,2]]},{\"name\":\"q\",\"columns\":[\"time\",\"v\"],\"values\":[[7,1]]}]}]}\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn precision_and_the_time_of_arrival() {
    let running = Running::start().await;
    let api = running.api();
    for (precision, time) in [
        ("ns", 3_600_000_000_000_i64),
        ("u", 3_600_000_000),
        ("ms", 3_600_000),
        ("s", 3600),
        ("m", 60),
        ("h", 1),
    ] {
        let got = api
            .post(
                &format!("/write?db=db&precision={precision}"),
                format!("m,p={precision} v=1 {time}"),
            )
            .await;
        assert_eq!(got.status, 204);
    }
    let got = api
        .query("SELECT count(v) FROM m WHERE time = 3600s", "")
        .await;
    assert!(got.text().contains(",6]]"), "{}", got.text());
    assert_eq!(
        api.post("/write?db=db&precision=h", "now v=1").await.status,
        204
    );
    let got = api
        .query("SELECT v FROM now WHERE time > now() - 2h", "&epoch=h")
        .await;
    assert!(got.text().contains("\"values\":[["), "{}", got.text());
    let got = api.query("SELECT v FROM now", "").await;
    assert!(got.text().contains(":00:00Z\",1]"), "{}", got.text());
}
