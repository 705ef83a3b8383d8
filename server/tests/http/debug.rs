//! `/debug/vars` and `/debug/requests`.

use serde_json::Value as Json;

use crate::common::Running;

#[tokio::test(flavor = "multi_thread")]
async fn vars_are_what_telegraf_reads() {
    let running = Running::start().await;
    let api = running.api();
    api.write("m,h=a v=1 1\nm,h=b v=2,w=3 2\nn v=1 1").await;
    assert_eq!(api.query("SELECT v FROM m", "").await.status, 200);
    let got = api.get("/debug/vars").await;
    assert_eq!(got.status, 200);
    assert_eq!(
        got.header("content-type"),
        "application/json; charset=utf-8"
    );
    let vars: Json = serde_json::from_slice(&got.body).expect("JSON");
    assert!(
        vars["system"]["currentTime"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
    assert!(vars["system"]["uptime"].is_u64());
    assert!(vars["cmdline"].is_array());
    for name in [
        "Alloc",
        "TotalAlloc",
        "Sys",
        "HeapAlloc",
        "NumGC",
        "PauseTotalNs",
    ] {
        assert!(vars["memstats"][name].is_u64(), "{name}");
    }
    let httpd = &vars["httpd::8086"];
    assert_eq!(httpd["name"], "httpd");
    assert_eq!(httpd["tags"]["bind"], ":8086");
    let values = &httpd["values"];
    assert_eq!(
        (
            &values["pointsWrittenOK"],
            &values["writeReq"],
            &values["valuesWrittenOK"]
        ),
        (&Json::from(3), &Json::from(1), &Json::from(4))
    );
    assert_eq!(values["queryReq"], 2);
    let database = &vars["database:db"];
    assert_eq!(database["tags"]["database"], "db");
    assert_eq!(
        (
            &database["values"]["numMeasurements"],
            &database["values"]["numSeries"]
        ),
        (&Json::from(2), &Json::from(3))
    );
    for name in ["write", "queryExecutor", "runtime"] {
        assert_eq!(vars[name]["name"], name);
    }
    let shards = vars
        .as_object()
        .unwrap()
        .keys()
        .filter(|key| key.starts_with("shard:db/autogen/"));
    assert_eq!(shards.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_by_who_sends_them() {
    let running = Running::start().await;
    let api = running.api();
    let watching = {
        let api = api.clone();
        tokio::spawn(async move { api.get("/debug/requests?seconds=1").await })
    };
    // It may begin at any time; what comes after it has begun is counted.
    for _ in 0..200 {
        if watching.is_finished() {
            break;
        }
        api.write("m v=1 1").await;
        api.query("SHOW DATABASES", "").await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let got = watching.await.unwrap();
    let counts: Json = serde_json::from_slice(&got.body).expect("JSON");
    let own = &counts["127.0.0.1"];
    assert!(
        own["writes"].as_u64() > Some(0) && own["queries"].as_u64() > Some(0),
        "{counts}"
    );
    assert_eq!(
        got.header("content-type"),
        "application/json; charset=utf-8"
    );

    for (seconds, text) in [
        ("x", "strconv.ParseInt: parsing \\\"x\\\": invalid syntax"),
        ("21601", "exceeded maximum interval time: 21601s \\u003e 6h"),
    ] {
        let got = api.get(&format!("/debug/requests?seconds={seconds}")).await;
        assert_eq!(
            (got.status, got.text()),
            (400, format!("{{\"error\":\"{text}\"}}\n"))
        );
    }
    assert_eq!(
        api.get("/debug/requests?seconds=0").await.text(),
        "{\n\n}\n"
    );
}
