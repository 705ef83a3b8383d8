//! What goes beyond InfluxDB is off until it is asked for.

mod common;

use common::Bench;
use serde_json::json;
use tandem_model::Precision;
use tandem_query::{Context, Extensions};

#[test]
fn fill_previous_looks_before_the_range_when_it_may() {
    let bench = Bench::new();
    bench.store.create_database("db", None).expect("a database");
    let lines = "m,host=a v=1i 1000\nm,host=a v=2i 1001\nm,host=a v=7i 2000015\nm,host=b v=5i 5";
    bench
        .write("db", None, Precision::Second, 0, lines.as_bytes())
        .expect("write");
    let plain = Context {
        database: Some("db".to_owned()),
        now_ns: 1_000_000_000_000_000_000,
        ..Context::default()
    };
    let extended = Context {
        extensions: Extensions {
            fill_previous_looks_back: true,
        },
        ..plain.clone()
    };
    let range = "FROM m WHERE time >= 2000000s AND time < 2000030s GROUP BY time(10s), host";
    let text = format!("SELECT max(v) {range} fill(previous)");
    let series = |context: &Context, text: &str| {
        let answer = bench.query(text, context, Some(1_000_000_000));
        answer["results"][0]["series"].clone()
    };
    let of = |host: &str, values: serde_json::Value| {
        let rows: Vec<_> = values
            .as_array()
            .expect("values")
            .iter()
            .enumerate()
            .map(|(at, value)| json!([2_000_000 + 10 * at, value]))
            .collect();
        json!({"name": "m", "tags": {"host": host}, "columns": ["time", "max"], "values": rows})
    };
    // Off: nothing before the range is known, and what has no point in it is not there.
    assert_eq!(series(&plain, &text), json!([of("a", json!([null, 7, 7]))]));
    // On: the last second window of host a had 2, that of host b 5.
    let expected = json!([of("a", json!([2, 7, 7])), of("b", json!([5, 5, 5]))]);
    assert_eq!(series(&extended, &text), expected);
    // Other fills are as they were.
    for fill in ["fill(null)", "fill(0)", "fill(linear)", "fill(none)"] {
        let text = format!("SELECT max(v) {range} {fill}");
        assert_eq!(series(&plain, &text), series(&extended, &text), "{fill}");
    }
}
