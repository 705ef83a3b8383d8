//! Results of several statements stay paired with them, whatever goes wrong.

use tandem_http::Method;

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn after_an_error_the_others_are_not_executed() {
    let running = Running::start().await;
    let got = running.api().get("/query?db=db&q=SHOW%20DATABASES;SELECT%20v%20FROM%20none..m;CREATE%20DATABASE%20x;SHOW%20DATABASES").await;
    assert_eq!(got.status, 200);
    assert_eq!(
        got.text(),
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"databases\",\"columns\":[\"name\"],\"values\":[[\"db\"]]}]},{\"statement_id\":1,\"error\":\"database not found: none\"},{\"statement_id\":2,\"error\":\"not executed\"},{\"statement_id\":3,\"error\":\"not executed\"}]}\n"
    );
    assert_eq!(running.store.databases(), ["db"]);
}

/// InfluxDB runs `SHOW SERIES` as a `SELECT`, which ends the request where it fails; of measurements its index tells a mistake
/// as the statement's result. Here both went on.
#[tokio::test(flavor = "multi_thread")]
async fn what_show_series_cannot_compare_ends_the_request() {
    let running = Running::start().await;
    let api = running.api();
    api.write("m,h=a v=1 1").await;
    let error = "{\"statement_id\":0,\"error\":\"invalid tag comparison operator\"}";
    for (what, second) in [
        ("SERIES", "\"error\":\"not executed\""),
        (
            "MEASUREMENTS",
            "\"series\":[{\"columns\":[\"key\"],\"values\":[[\"m,h=a\"]]}]",
        ),
    ] {
        let asked = format!("SHOW {what} WHERE v > 1; SHOW SERIES");
        let expected = format!("{{\"results\":[{error},{{\"statement_id\":1,{second}}}]}}\n");
        assert_eq!(api.query(&asked, "").await.text(), expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_is_an_empty_result() {
    let running = Running::start().await;
    let api = running.api();
    assert_eq!(
        api.query("SELECT v FROM none", "").await.text(),
        "{\"results\":[{\"statement_id\":0}]}\n"
    );
    assert_eq!(api.query(";", "").await.text(), "{}\n");
    let got = api.get("/query?q=SELECT%20v%20FROM%20m").await;
    assert_eq!(
        (got.status, got.text().as_str()),
        (
            200,
            "{\"results\":[{\"statement_id\":0,\"error\":\"database name required\"}]}\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn times_follow_epoch_and_layout_follows_pretty() {
    let running = Running::start().await;
    let api = running.api();
    api.write("m v=1.5 7200000000000").await;
    for (epoch, time) in [
        ("", "\"1970-01-01T02:00:00Z\""),
        ("ns", "7200000000000"),
        ("u", "7200000000"),
        ("ms", "7200000"),
        ("s", "7200"),
        ("m", "120"),
        ("h", "2"),
        ("other", "7200000000000"),
    ] {
        let got = api
            .query("SELECT v FROM m", &format!("&epoch={epoch}"))
            .await;
        assert!(
            got.text().contains(&format!("\"values\":[[{time},1.5]]")),
            "{}",
            got.text()
        );
    }
    let got = api.query("SELECT v FROM m", "&pretty=true&epoch=s").await;
    let values = "                    \"values\": [\n                        [\n                            7200,\n                            1.5\n                        ]\n                    ]\n";
    assert!(got.text().contains(values), "{}", got.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_by_accept() {
    let running = Running::start().await;
    let api = running.api();
    api.write("m,h=a v=1.5,s=\"x,y\" 7200000000000").await;
    for kind in ["application/csv", "text/csv"] {
        let got = api
            .call(
                Method::GET,
                "/query?db=db&q=SELECT%20*%20FROM%20m",
                &[("Accept", kind)],
                "",
            )
            .await;
        assert_eq!(
            (got.status, got.header("content-type").as_str()),
            (200, kind)
        );
        assert_eq!(
            got.text(),
            "name,tags,time,h,s,v\nm,,7200000000000,a,\"x,y\",1.5\n"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_is_streamed_whole() {
    let running = Running::start().await;
    let api = running.api();
    let lines: String = (0..50_000)
        .map(|n| format!("m,h=host{} v={n} {n}\n", n % 10))
        .collect();
    api.write(lines).await;
    let got = api.query("SELECT * FROM m", "&epoch=ns").await;
    assert_eq!(got.header("content-length"), "");
    let json: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    let values = json["results"][0]["series"][0]["values"]
        .as_array()
        .unwrap();
    assert_eq!(values.len(), 50_000);
    assert_eq!(values[49_999], serde_json::json!([49_999, "host9", 49_999]));
    let made = "{\"results\":[{\"statement_id\":0}]}\n";
    assert_eq!(
        running.server.counters().query_bytes.get() as usize,
        got.body.len() + made.len()
    );
}

/// The values of a group's tags are compared as if NULs stood between them: so `b\0` comes before `b` with another tag
/// behind it. The order is influxd 1.6.7's.
#[tokio::test(flavor = "multi_thread")]
async fn groups_whose_values_hold_nuls_come_in_their_order() {
    let running = Running::start().await;
    let api = running.api();
    api.write("m,t=b,z=x v=1 1\nm,t=b\0 v=2 2\nm,t=a,z=y v=3 3\nm,z=w v=4 4\nm,t=\0s v=5 5")
        .await;
    for (query, order) in [
        (
            "SELECT v FROM m GROUP BY *",
            vec!["\\u0000s", "", "a", "b\\u0000", "b"],
        ),
        (
            "SELECT max(v) FROM m GROUP BY t, z",
            vec!["\\u0000s", "", "a", "b\\u0000", "b"],
        ),
        (
            "SELECT v FROM m GROUP BY * ORDER BY time DESC",
            vec!["b", "b\\u0000", "a", "", "\\u0000s"],
        ),
    ] {
        let text = api.query(query, "&epoch=ns").await.text();
        let found: Vec<&str> = text
            .split("\"t\":\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert_eq!(found, order, "{query}: {text}");
    }
}
