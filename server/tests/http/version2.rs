//! What clients of InfluxDB 2 call on a 1.x: writing, deleting, buckets; and Flux, which is refused.

use tandem_http::{Method, percent_encode};

use crate::common::{Got, Running};

async fn json(running: &Running, method: Method, target: &str, body: &str) -> Got {
    let got = running
        .api()
        .call(method, target, &[], body.to_owned())
        .await;
    assert_eq!(got.header("content-type"), "application/json", "{target}");
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_a_database_or_a_policy_of_it() {
    let running = Running::start().await;
    let api = running.api();
    let made = "CREATE RETENTION POLICY rp ON db DURATION 0s REPLICATION 1";
    assert_eq!(api.query(made, "").await.status, 200);
    for (target, body) in [
        ("/api/v2/write?org=any&bucket=db&precision=s", "m v=1 5"),
        ("/api/v2/write?bucket=db/&precision=ms", "m v=2 6000"),
        (
            "/api/v2/write?bucket=db%2Fautogen&precision=us",
            "m v=3 7000000",
        ),
        (
            "/api/v2/write?bucket=db/rp&precision=ns",
            "m v=4 8000000000",
        ),
        ("/api/v2/write?bucket=db", "m v=5 9000000000"),
    ] {
        let got = api.post(target, body).await;
        assert_eq!((got.status, got.text().as_str()), (204, ""), "{target}");
    }
    let got = api
        .query("SELECT v FROM m; SELECT v FROM rp.m", "&epoch=s")
        .await;
    let text = got.text();
    assert!(
        text.contains("[[5,1],[6,2],[7,3],[9,5]]") && text.contains("[[8,4]]"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_refused_in_influxdbs_words() {
    let running = Running::start().await;
    for (target, body, status, text) in [
        (
            "?bucket=db&precision=n",
            "m v=1",
            400,
            "invalid precision \\\"n\\\" (use ns, us, ms or s)",
        ),
        (
            "",
            "m v=1",
            404,
            "bucket name \\\"\\\" is missing a slash; not in \\\"database/retention-policy\\\" format",
        ),
        (
            "?bucket=/rp",
            "m v=1",
            404,
            "bucket name \\\"/rp\\\" is in db/rp form but has an empty database",
        ),
        (
            "?bucket=none",
            "m v=1",
            404,
            "database not found: \\\"none\\\"",
        ),
        (
            "?bucket=db/none",
            "m v=1",
            500,
            "retention policy not found: none",
        ),
        (
            "?bucket=db",
            "m v=",
            400,
            "unable to parse 'm v=': missing field value",
        ),
    ] {
        let got = running
            .api()
            .post(&format!("/api/v2/write{target}"), body)
            .await;
        assert_eq!(
            (got.status, got.text()),
            (status, format!("{{\"error\":\"{text}\"}}\n")),
            "{target}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_is_refused() {
    let running = Running::start().await;
    let got = running
        .api()
        .post("/api/v2/query?org=x", "from(bucket: \"db\")")
        .await;
    assert_eq!(
        (got.status, got.text().as_str()),
        (
            403,
            "Flux query service disabled. Verify flux-enabled=true in the [http] section of the InfluxDB config.\n"
        )
    );
    assert_eq!(got.header("content-type"), "text/plain; charset=utf-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn points_are_deleted_by_time_and_tags() {
    let running = Running::start().await;
    let api = running.api();
    api.write(
        "m,h=a v=1 1000000000\nm,h=a v=2 2000000000\nm,h=b v=3 1000000000\nn,h=a v=4 1000000000",
    )
    .await;
    let body = |predicate: &str| {
        format!(
            "{{\"start\":\"1970-01-01T00:00:00Z\",\"stop\":\"1970-01-01T00:00:02Z\",\"predicate\":{predicate:?}}}"
        )
    };
    let target = "/api/v2/delete?org=x&bucket=db%2Fautogen";
    let got = api
        .post(target, body("_measurement=\"m\" AND h=\"a\""))
        .await;
    assert_eq!((got.status, got.text().as_str()), (200, ""));
    let got = api.query("SELECT v FROM m, n", "&epoch=s").await.text();
    assert!(
        got.contains("[[1,3],[2,2]]") && got.contains("[[1,4]]"),
        "{got}"
    );
    let got = api.post(target, body("")).await;
    assert_eq!(got.status, 200);
    let got = api.query("SELECT v FROM m, n", "&epoch=s").await.text();
    assert!(got.contains("[[2,2]]") && !got.contains("\"n\""), "{got}");

    let asked = "database: \\\"db\\\", retention policy: \\\"\\\", start: \\\"1970-01-01T00:00:00Z\\\", stop: \\\"1970-01-01T00:00:02Z\\\"";
    for (target, body, status, text) in [
        (
            "/api/v2/delete",
            body(""),
            404,
            "delete - bucket: bucket name".to_owned(),
        ),
        (
            "/api/v2/delete?bucket=none",
            body(""),
            404,
            "delete - database not found: \\\"none\\\"".into(),
        ),
        (
            "/api/v2/delete?bucket=db/none",
            body(""),
            404,
            "delete - retention policy not found in \\\"db\\\": \\\"none\\\"".into(),
        ),
        (
            "/api/v2/delete?bucket=db",
            String::new(),
            400,
            "delete - cannot parse request body: ".into(),
        ),
        (
            "/api/v2/delete?bucket=db",
            "{}".into(),
            400,
            "delete - start field in RFC3339Nano format required".into(),
        ),
        (
            "/api/v2/delete?bucket=db",
            body("h != 'a'"),
            400,
            format!(
                "delete - predicate only supports equality operators and conjunctions. {asked}"
            ),
        ),
        (
            "/api/v2/delete?bucket=db",
            body("v = 3"),
            400,
            format!("delete - {asked}, predicate: \\\"v = 3\\\", error: shard "),
        ),
    ] {
        let got = api.post(target, body).await;
        let found = got.text();
        assert!(
            got.status == status && found.starts_with(&format!("{{\"error\":\"{text}")),
            "{target}: {} {found}",
            got.status
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_made_listed_changed_and_dropped() {
    let running = Running::start().await;
    let shown = |name: &str, every: i64, shard: i64| {
        let policy = name.split_once('/').unwrap().1;
        format!(
            "{{\"description\":\"\",\"name\":\"{name}\",\"retentionRules\":[{{\"type\":\"\",\"everySeconds\":{every},\"shardGroupDurationSeconds\":{shard}}}],\"orgId\":\"\",\"schemaType\":\"implicit\",\"id\":\"{name}\",\"type\":\"\",\"rp\":\"{policy}\",\"createdAt\":\"0001-01-01T00:00:00Z\",\"updatedAt\":\"0001-01-01T00:00:00Z\"}}"
        )
    };
    let autogen = shown("db/autogen", 0, 604_800);
    let day = shown("db/day", 86_400, 3_600);
    let other = shown("o ther/rp", 0, 604_800);
    let body =
        "{\"name\":\"db/day\",\"retentionRules\":[{\"type\":\"expire\",\"everySeconds\":86400}]}";
    let got = json(&running, Method::POST, "/api/v2/buckets", body).await;
    assert_eq!((got.status, got.text()), (201, day.clone()));
    let got = json(
        &running,
        Method::POST,
        "/api/v2/buckets",
        "{\"name\":\"o ther/rp\"}",
    )
    .await;
    assert_eq!((got.status, got.text()), (201, other.clone()));

    let list = |buckets: &[&str]| format!("{{\"buckets\":[{}]}}", buckets.join(","));
    for (parameters, buckets) in [
        ("", &[&*autogen, &day, &other][..]),
        ("?limit=1", &[&autogen]),
        ("?limit=0&offset=1", &[&day, &other]),
        ("?offset=9", &[]),
        ("?after=db/day", &[&other]),
        ("?name=db/day", &[&day]),
        ("?id=db", &[&autogen]),
    ] {
        let target = format!("/api/v2/buckets{parameters}");
        let got = json(&running, Method::GET, &target, "").await;
        assert_eq!((got.status, got.text()), (200, list(buckets)), "{target}");
    }
    let one = format!("/api/v2/buckets/{}", percent_encode("o ther/rp"));
    let got = json(&running, Method::GET, &one, "").await;
    assert_eq!((got.status, got.text()), (200, other));
    let rules =
        "{\"retentionRules\":[{\"everySeconds\":172800,\"shardGroupDurationSeconds\":7200}]}";
    let got = json(&running, Method::PATCH, &one, rules).await;
    assert_eq!(
        (got.status, got.text()),
        (200, shown("o ther/rp", 172_800, 7_200))
    );
    let got = json(&running, Method::DELETE, &one, "").await;
    assert_eq!((got.status, got.text().as_str()), (200, ""));
    let got = json(&running, Method::GET, &one, "").await;
    assert_eq!(
        (got.status, got.text().as_str()),
        (404, "{\"error\":\"bucket not found: \\\"o ther/rp\\\"\"}\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_buckets_are_refused() {
    let running = Running::start().await;
    for (method, target, body, status, text) in [
        (
            Method::POST,
            "",
            "x",
            400,
            "buckets - cannot parse request body: ",
        ),
        (
            Method::POST,
            "",
            "{}",
            400,
            "buckets - illegal bucket name: bucket name",
        ),
        (
            Method::POST,
            "",
            "{\"name\":\"db\"}",
            400,
            "buckets - illegal bucket name: \\\"db\\\"",
        ),
        (
            Method::POST,
            "",
            "{\"name\":\"db/a\",\"rp\":\"b\"}",
            400,
            "buckets - two retention policies specified: \\\"a\\\" differs from \\\"b\\\"",
        ),
        (
            Method::POST,
            "",
            "{\"name\":\"db/a\",\"retentionRules\":[{\"everySeconds\":1}]}",
            400,
            "buckets - cannot create bucket \\\"db/a\\\": retention policy duration must be at least 1h0m0s",
        ),
        (
            Method::GET,
            "?limit=x",
            "",
            400,
            "list buckets parameter is not an integer - limit=\\\"x\\\": ",
        ),
        (
            Method::GET,
            "?offset=1&after=db/autogen",
            "",
            400,
            "list buckets cannot have both",
        ),
        (
            Method::GET,
            "?after=db/none",
            "",
            404,
            "list buckets \\\"after\\\" parameter not found: \\\"db/none\\\"",
        ),
        (
            Method::GET,
            "?name=a/b&id=c/d",
            "",
            400,
            "list buckets: name: \\\"a/b\\\" and id: \\\"c/d\\\" do not match",
        ),
        (
            Method::GET,
            "/db",
            "",
            400,
            "bucket \\\"db\\\": illegal bucket id, empty retention policy",
        ),
        (
            Method::GET,
            "/db%2Fnone",
            "",
            404,
            "bucket not found: \\\"db/none\\\"",
        ),
        (
            Method::DELETE,
            "/db%2Fnone",
            "",
            404,
            "delete bucket - not found: \\\"db/none\\\"",
        ),
        (
            Method::PATCH,
            "/db%2Fautogen",
            "x",
            400,
            "update bucket - cannot parse request body: ",
        ),
        (
            Method::GET,
            "/db%2Fautogen/labels",
            "",
            405,
            "bucket labels not supported in this version",
        ),
        (
            Method::POST,
            "/db%2Fautogen/members",
            "",
            405,
            "bucket members not supported in this version",
        ),
        (
            Method::DELETE,
            "/db%2Fautogen/owners/1",
            "",
            405,
            "bucket owners not supported in this version",
        ),
    ] {
        let target = format!("/api/v2/buckets{target}");
        let got = json(&running, method.clone(), &target, body).await;
        let found = got.text();
        assert!(
            got.status == status && found.starts_with(&format!("{{\"error\":\"{text}")),
            "{method} {target}: {} {found}",
            got.status
        );
    }
}
