//! Prometheus writes its samples here, and reads them back.

use tandem_server::Config;

use crate::common::{Got, Running};

/// A field of a protobuf message: a message or text.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    out.extend(varint(content.len() as u64));
    out.extend_from_slice(content);
    out
}

fn integer(number: u8, value: i64) -> Vec<u8> {
    let mut out = vec![number << 3];
    out.extend(varint(value as u64));
    out
}

fn double(number: u8, value: f64) -> Vec<u8> {
    let mut out = vec![number << 3 | 1];
    out.extend(value.to_le_bytes());
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

pub(crate) fn series(labels: &[(&str, &str)], samples: &[(f64, i64)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in labels {
        let label = [bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat();
        out.extend(bytes(1, &label));
    }
    for (value, time_ms) in samples {
        out.extend(bytes(
            2,
            &[double(1, *value), integer(2, *time_ms)].concat(),
        ));
    }
    bytes(1, &out)
}

/// A block of Snappy without any compression.
pub(crate) fn snap(message: &[u8]) -> Vec<u8> {
    let mut out = varint(message.len() as u64);
    for piece in message.chunks(60) {
        out.push((piece.len() as u8 - 1) << 2);
        out.extend_from_slice(piece);
    }
    out
}

/// Undoes it, and what a real encoder makes.
pub(crate) fn unsnap(block: &[u8]) -> Vec<u8> {
    snap::raw::Decoder::new().decompress_vec(block).unwrap()
}

/// A query by matchers: 0 `=`, 1 `!=`, 2 `=~`, 3 `!~`.
pub(crate) fn query(start_ms: i64, end_ms: i64, matchers: &[(i64, &str, &str)]) -> Vec<u8> {
    let mut out = [integer(1, start_ms), integer(2, end_ms)].concat();
    for (kind, name, value) in matchers {
        let matcher = [
            integer(1, *kind),
            bytes(2, name.as_bytes()),
            bytes(3, value.as_bytes()),
        ];
        out.extend(bytes(3, &matcher.concat()));
    }
    bytes(1, &out)
}

async fn read(running: &Running, message: &[u8]) -> Got {
    let target = "/api/v1/prom/read?db=db";
    running.api().post(target, snap(message)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_become_points_and_come_back() {
    let running = Running::start().await;
    let api = running.api();
    let a = [("__name__", "up"), ("job", "a b"), ("host", "x")];
    let b = [("__name__", "up"), ("job", "c")];
    let down = [("__name__", "down"), ("job", "c")];
    let nameless = [("job", "d")];
    let request = [
        series(&a, &[(1.5, 1000), (f64::NAN, 2000), (-2.0, 3000)]),
        series(&b, &[(4.0, 2000)]),
        series(&down, &[(5.0, 2000), (f64::INFINITY, 3000)]),
        series(&nameless, &[(6.0, 2000)]),
        // Metadata and whatever else a newer Prometheus sends.
        bytes(3, b"junk"),
    ];
    let got = api
        .post("/api/v1/prom/write?db=db", snap(&request.concat()))
        .await;
    assert_eq!((got.status, got.text().as_str()), (204, ""));
    let got = api.query("SELECT * FROM up", "&epoch=ms").await;
    assert_eq!(
        got.text(),
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"up\",\"columns\":[\"time\",\"__name__\",\"host\",\"job\",\"value\"],\"values\":[[1000,\"up\",\"x\",\"a b\",1.5],[2000,\"up\",null,\"c\",4],[3000,\"up\",\"x\",\"a b\",-2]]}]}]}\n"
    );
    let got = api
        .query("SELECT * FROM prom_metric_not_specified, down", "&epoch=ms")
        .await;
    let text = got.text();
    assert!(
        text.contains("[[2000,\"down\",\"c\",5]]") && text.contains("[[2000,null,\"d\",6]]"),
        "{text}"
    );

    // What is not a float is not for Prometheus.
    api.write("up,job=i value=7i 1700000000000000000").await;
    let sorted_a = [("__name__", "up"), ("host", "x"), ("job", "a b")];
    for (message, expected) in [
        (
            query(0, 5000, &[(0, "__name__", "up"), (0, "job", "a b")]),
            vec![series(&sorted_a, &[(1.5, 1000), (-2.0, 3000)])],
        ),
        (
            query(1001, 3000, &[(0, "__name__", "up"), (0, "job", "a b")]),
            vec![series(&sorted_a, &[(-2.0, 3000)])],
        ),
        (
            query(0, 5000, &[(0, "__name__", "up"), (1, "job", "c")]),
            vec![series(&sorted_a, &[(1.5, 1000), (-2.0, 3000)])],
        ),
        // A regular expression fits as a whole or not at all.
        (
            query(0, 5000, &[(2, "__name__", "u|down")]),
            vec![series(&down, &[(5.0, 2000)])],
        ),
        (
            query(0, 5000, &[(3, "__name__", "up"), (2, "job", "c+")]),
            vec![series(&down, &[(5.0, 2000)])],
        ),
        (
            query(0, 5000, &[(0, "host", ""), (0, "__name__", "up")]),
            vec![series(&b, &[(4.0, 2000)])],
        ),
        (query(0, 5000, &[(0, "__name__", "none")]), vec![]),
    ] {
        let got = read(&running, &message).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(got.header("content-type"), "application/x-protobuf");
        assert_eq!(got.header("content-encoding"), "snappy");
        assert_eq!(unsnap(&got.body), bytes(1, &expected.concat()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told() {
    let running = Running::start().await;
    let api = running.api();
    let good = snap(&series(&[("a", "b")], &[(1.0, 1)]));
    let far = snap(&series(&[("a", "b")], &[(1.0, i64::MAX)]));
    for (target, body, status, text) in [
        ("", good.clone(), 400, "database is required"),
        (
            "?db=none",
            good.clone(),
            404,
            "database not found: \\\"none\\\"",
        ),
        (
            "?db=db&rp=none",
            good.clone(),
            500,
            "retention policy not found: none",
        ),
        (
            "?db=db&consistency=two",
            good.clone(),
            400,
            "invalid consistency level",
        ),
        (
            "?db=db",
            b"\xff\xff\xff\xff\xff\xff".to_vec(),
            400,
            "snappy: corrupt input",
        ),
        (
            "?db=db",
            good[..good.len() - 1].to_vec(),
            400,
            "snappy: corrupt input",
        ),
        ("?db=db", snap(&[0x0a, 9]), 400, "unexpected EOF"),
        (
            "?db=db",
            far,
            400,
            "time outside range -9223372036854775806 - 9223372036854775806",
        ),
    ] {
        let got = api.post(&format!("/api/v1/prom/write{target}"), body).await;
        assert_eq!(
            (got.status, got.text()),
            (status, format!("{{\"error\":\"{text}\"}}\n")),
            "{target}"
        );
    }
    for (target, message, status, text) in [
        (
            "?db=db",
            Vec::new(),
            400,
            "Prometheus read endpoint currently only supports one query at a time",
        ),
        ("?db=db", query(0, 1, &[]), 400, "expected matcher"),
        (
            "?db=db",
            query(0, 1, &[(9, "a", "b")]),
            400,
            "unknown match type 9",
        ),
        (
            "?db=none",
            query(0, 1, &[(0, "a", "b")]),
            400,
            "database not found: none",
        ),
    ] {
        let got = api
            .post(&format!("/api/v1/prom/read{target}"), snap(&message))
            .await;
        assert_eq!(
            (got.status, got.text()),
            (status, format!("{{\"error\":\"{text}\"}}\n")),
            "{target}"
        );
    }
    let bad = query(0, 1, &[(0, "__name__", "m"), (2, "a", "(")]);
    let got = read(&running, &bad).await;
    assert_eq!(got.status, 400, "{}", got.text());
}

/// A block may say that it holds 4 GiB, and labels of one series are repeated for each of its samples.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_after_snappy_and_as_lines() {
    let config = Config {
        inflated_bytes_max: 100_000,
        ..Config::default()
    };
    let running = Running::with(config).await;
    let long = "x".repeat(2000);
    let many = series(&[("a", &long)], &[(1.0, 1); 100]);
    assert!(many.len() < 5_000);
    for body in [
        vec![0xff, 0xff, 0xff, 0xff, 0x0f],
        snap(&vec![0; 100_001]),
        snap(&many),
    ] {
        let got = running.api().post("/api/v1/prom/write?db=db", body).await;
        assert_eq!(
            (got.status, got.text().as_str()),
            (413, "{\"error\":\"Request Entity Too Large\"}\n")
        );
    }
    let got = running.api().query("SHOW MEASUREMENTS", "").await;
    assert_eq!(got.text(), "{\"results\":[{\"statement_id\":0}]}\n");
}
