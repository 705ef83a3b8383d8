//! What a real InfluxDB 1.x answered, given the same rows.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tandem_query::{Level, Value};
use tokio::sync::oneshot;

use super::*;

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn series(name: &str, tags: &[(&str, &str)], columns: &[&str], values: Vec<Vec<Value>>) -> Series {
    Series {
        name: Some(bytes(name)),
        tags: (!tags.is_empty()).then(|| {
            tags.iter()
                .map(|(key, value)| (bytes(key), bytes(value)))
                .collect()
        }),
        columns: columns.iter().map(|column| bytes(column)).collect(),
        values,
        time_zone: None,
    }
}

fn row(time_ns: i64, value: f64) -> Vec<Value> {
    vec![Value::Time(time_ns), Value::Float(value)]
}

type Step = fn(&mut Output);

#[track_caller]
fn check(style: Style, statements: &[Step], expected: &str) {
    let (opening, opened) = oneshot::channel();
    let outlet = Outlet::new(
        opening,
        false,
        Duration::from_secs(5),
        Arc::new(AtomicBool::new(false)),
    );
    let mut output = Output::new(style, outlet);
    for (id, statement) in statements.iter().enumerate() {
        output.begin(id, Chunks::Rows);
        statement(&mut output);
    }
    output.finish().unwrap();
    match opened.blocking_recv().unwrap() {
        Opening::Whole(body) => assert_eq!(String::from_utf8_lossy(&body), expected),
        Opening::Stream(_) => panic!("a small answer was streamed"),
    }
}

const JSON: Style = Style {
    format: Format::Json,
    pretty: false,
    epoch: Epoch::Rfc3339,
    chunk_rows: None,
    rows_max: None,
};
const CSV: Style = Style {
    format: Format::Csv {
        content_type: "text/csv",
    },
    ..JSON
};

fn group_a(output: &mut Output) {
    output
        .series(series(
            "m",
            &[("h", "a"), ("r", "x")],
            &["time", "v"],
            vec![row(1, 1.0)],
        ))
        .unwrap();
    output
        .series(series(
            "m",
            &[("h", "a"), ("r", "x")],
            &["time", "v"],
            vec![row(1000, 1e21)],
        ))
        .unwrap();
    output
        .series(series(
            "m",
            &[("h", "b"), ("r", "")],
            &["time", "v"],
            vec![row(-1, -0.0)],
        ))
        .unwrap();
    output.end(None).unwrap();
}

fn all_types(output: &mut Output) {
    let columns = ["time", "b", "h", "i", "r", "s", "v"];
    let first = vec![
        Value::Time(1),
        Value::Boolean(true),
        Value::String(bytes("a")),
        Value::Integer(3),
        Value::Null,
        Value::String(bytes("q\"<>&\u{2028}z")),
        Value::Float(1.0),
    ];
    let second = vec![
        Value::Time(1_500_000),
        Value::Null,
        Value::String(bytes("b")),
        Value::Unsigned(u64::MAX),
        Value::Float(f64::NAN),
        Value::String(b"l1\nl2\xff".to_vec()),
        Value::Float(1e-7),
    ];
    output
        .series(series("m", &[], &columns, vec![first, second]))
        .unwrap();
    output.end(None).unwrap();
}

fn deprecated(output: &mut Output) {
    let text = "deprecated use of 'CREATE DATABASE g' in a read only context, please use a POST request instead";
    output.message(Message {
        level: Level::Warning,
        text: text.into(),
    });
    output.end(None).unwrap();
}

fn empty(output: &mut Output) {
    output.end(None).unwrap();
}

fn databases(output: &mut Output) {
    output
        .series(series("databases", &[], &["name"], vec![]))
        .unwrap();
    output.end(None).unwrap();
}

fn fails_late(output: &mut Output) {
    output
        .series(series("m", &[], &["time", "v"], vec![row(1, 1.0)]))
        .unwrap();
    output.end(Some("timeout".into())).unwrap();
}

fn infinite(output: &mut Output) {
    output
        .series(series(
            "big",
            &[],
            &["time", "sum"],
            vec![row(0, f64::INFINITY)],
        ))
        .unwrap();
    output.end(None).unwrap();
}

fn five_rows(output: &mut Output) {
    let rows = (0..5).map(|n| row(n, 0.5)).collect();
    output
        .series(series("m", &[("h", "a")], &["time", "v"], rows))
        .unwrap();
    output
        .series(series(
            "m",
            &[("h", "b")],
            &["time", "v"],
            vec![row(9, 1.0)],
        ))
        .unwrap();
    output.end(None).unwrap();
}

#[test]
fn json_joins_pieces_of_a_series() {
    check(
        JSON,
        &[group_a],
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"tags\":{\"h\":\"a\",\"r\":\"x\"},\"columns\":[\"time\",\"v\"],\"values\":[[\"1970-01-01T00:00:00.000000001Z\",1],[\"1970-01-01T00:00:00.000001Z\",1e+21]]},{\"name\":\"m\",\"tags\":{\"h\":\"b\",\"r\":\"\"},\"columns\":[\"time\",\"v\"],\"values\":[[\"1969-12-31T23:59:59.999999999Z\",-0]]}]}]}\n",
    );
}

#[test]
fn json_of_every_type() {
    check(
        JSON,
        &[all_types],
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"b\",\"h\",\"i\",\"r\",\"s\",\"v\"],\"values\":[[\"1970-01-01T00:00:00.000000001Z\",true,\"a\",3,null,\"q\\\"\\u003c\\u003e\\u0026\\u2028z\",1],[\"1970-01-01T00:00:00.0015Z\",null,\"b\",18446744073709551615,null,\"l1\\nl2\\ufffd\",1e-7]]}]}]}\n",
    );
}

#[test]
fn empty_results_keep_their_places() {
    check(
        JSON,
        &[empty, databases, deprecated],
        "{\"results\":[{\"statement_id\":0},{\"statement_id\":1,\"series\":[{\"name\":\"databases\",\"columns\":[\"name\"]}]},{\"statement_id\":2,\"messages\":[{\"level\":\"warning\",\"text\":\"deprecated use of 'CREATE DATABASE g' in a read only context, please use a POST request instead\"}]}]}\n",
    );
    check(JSON, &[], "{}\n");
}

#[test]
fn json_with_line_breaks() {
    let style = Style {
        pretty: true,
        epoch: Epoch::parse("ms"),
        ..JSON
    };
    check(
        style,
        &[databases, fails_late, |output| {
            output
                .series(series(
                    "m",
                    &[("h", "a")],
                    &["time", "v"],
                    vec![row(5_000_000, 1.5)],
                ))
                .unwrap();
            output.end(None).unwrap();
        }],
        r#"{
    "results": [
        {
            "statement_id": 0,
            "series": [
                {
                    "name": "databases",
                    "columns": [
                        "name"
                    ]
                }
            ]
        },
        {
            "statement_id": 1,
            "error": "timeout"
        },
        {
            "statement_id": 2,
            "series": [
                {
                    "name": "m",
                    "tags": {
                        "h": "a"
                    },
                    "columns": [
                        "time",
                        "v"
                    ],
                    "values": [
                        [
                            5,
                            1.5
                        ]
                    ]
                }
            ]
        }
    ]
}
"#,
    );
}

#[test]
fn an_error_takes_the_place_of_the_series() {
    check(
        JSON,
        &[fails_late, empty],
        "{\"results\":[{\"statement_id\":0,\"error\":\"timeout\"},{\"statement_id\":1}]}\n",
    );
    check(
        JSON,
        &[empty, fails_late],
        "{\"results\":[{\"statement_id\":0},{\"statement_id\":1,\"error\":\"timeout\"}]}\n",
    );
}

#[test]
fn an_infinity_leaves_no_result() {
    check(
        JSON,
        &[databases, infinite, databases],
        "{\"error\":\"json: unsupported value: +Inf\"}\n",
    );
    let style = Style {
        pretty: true,
        ..JSON
    };
    check(
        style,
        &[infinite],
        "{\n    \"error\": \"json: unsupported value: +Inf\"\n}\n",
    );
    check(CSV, &[infinite], "name,tags,time,sum\nbig,,0,+Inf\n");
}

#[test]
fn csv_repeats_its_header_where_columns_change() {
    check(
        CSV,
        &[group_a, empty, all_types, fails_late],
        "name,tags,time,v\nm,\"h=a,r=x\",1,1\nm,\"h=a,r=x\",1000,1000000000000000000000\nm,h=b,-1,-0\n\nname,tags,time,b,h,i,r,s,v\nm,,1,true,a,3,,\"q\"\"<>&\u{2028}z\",1\nm,,1500000,,b,18446744073709551615,,\"l1\nl2\u{fffd}\",0.0000001\n\nname,tags,time,v\nm,,1,1\n",
    );
    check(CSV, &[databases], "name,tags,name\n");
    check(CSV, &[empty], "");
}

#[test]
fn csv_escapes_tags_and_quotes_what_go_quotes() {
    check(
        CSV,
        &[|output| {
            let tags = [("a b", "c,d=e"), ("z", " lead")];
            output
                .series(series(
                    "\\.",
                    &tags,
                    &["time", "x,y"],
                    vec![vec![Value::Time(1), Value::String(bytes(" s"))]],
                ))
                .unwrap();
        }],
        "name,tags,time,\"x,y\"\n\"\\.\",\"a\\ b=c\\,d\\=e,z=\\ lead\",1,\" s\"\n",
    );
}

#[test]
fn errors_as_a_whole() {
    let text = "missing required parameter \"q\"";
    let body = |format, pretty| String::from_utf8(error_body(format, pretty, text)).unwrap();
    assert_eq!(
        body(Format::Json, false),
        "{\"error\":\"missing required parameter \\\"q\\\"\"}\n"
    );
    assert_eq!(
        body(Format::Json, true),
        "{\n    \"error\": \"missing required parameter \\\"q\\\"\"\n}\n"
    );
    assert_eq!(
        body(CSV.format, true),
        "error\n\"missing required parameter \"\"q\"\"\"\n"
    );
}

/// Runs `write` on a thread and reads what leaves.
fn run_streaming(
    style: Style,
    write: impl FnOnce(&mut Output) + Send + 'static,
) -> (Vec<String>, bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let (opening, opened) = oneshot::channel();
        let writing = tokio::task::spawn_blocking(move || {
            let outlet = Outlet::new(opening, false, Duration::from_secs(5), Arc::default());
            let mut output = Output::new(style, outlet);
            output.begin(0, Chunks::Rows);
            write(&mut output);
            output.finish().unwrap();
        });
        let mut pieces = Vec::new();
        let streamed = match opened.await.unwrap() {
            Opening::Whole(body) => {
                pieces.push(String::from_utf8(body.to_vec()).unwrap());
                false
            }
            Opening::Stream(mut body) => {
                use tandem_http::HttpBody as _;
                while let Some(frame) =
                    std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
                {
                    pieces.push(
                        String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap(),
                    );
                }
                true
            }
        };
        writing.await.unwrap();
        (pieces, streamed)
    })
}

#[test]
fn chunks_say_what_goes_on() {
    let style = Style {
        chunk_rows: Some(2),
        epoch: Epoch::parse("ns"),
        ..JSON
    };
    let (pieces, _) = run_streaming(style, five_rows);
    assert_eq!(
        pieces,
        [
            "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"tags\":{\"h\":\"a\"},\"columns\":[\"time\",\"v\"],\"values\":[[0,0.5],[1,0.5]],\"partial\":true}],\"partial\":true}]}\n",
            "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"tags\":{\"h\":\"a\"},\"columns\":[\"time\",\"v\"],\"values\":[[2,0.5],[3,0.5]],\"partial\":true}],\"partial\":true}]}\n",
            "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"tags\":{\"h\":\"a\"},\"columns\":[\"time\",\"v\"],\"values\":[[4,0.5]]}],\"partial\":true}]}\n",
            "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"tags\":{\"h\":\"b\"},\"columns\":[\"time\",\"v\"],\"values\":[[9,1]]}]}]}\n",
        ]
    );
}

#[test]
fn a_chunked_error_comes_in_its_own_document() {
    let style = Style {
        chunk_rows: Some(10),
        epoch: Epoch::parse("ns"),
        ..JSON
    };
    let (pieces, _) = run_streaming(style, fails_late);
    assert_eq!(
        pieces,
        [
            "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"v\"],\"values\":[[1,1]]}],\"partial\":true}]}\n",
            "{\"results\":[{\"statement_id\":0,\"error\":\"timeout\"}]}\n",
        ]
    );
}

#[test]
fn a_large_answer_flows_and_an_error_after_that_follows_the_rows() {
    let rows = 100_000;
    let (pieces, streamed) = run_streaming(JSON, move |output| {
        for n in 0..rows {
            output
                .series(series("m", &[], &["time", "v"], vec![row(n, 1.0)]))
                .unwrap();
        }
        output.end(Some("killed".into())).unwrap();
    });
    assert!(streamed && pieces.len() > 10);
    let text = pieces.concat();
    assert!(
        text.ends_with(",1]]}],\"error\":\"killed\"}]}\n"),
        "{}",
        &text[text.len() - 100..]
    );
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        json["results"][0]["series"][0]["values"]
            .as_array()
            .unwrap()
            .len(),
        rows as usize
    );
}

/// Rows in columns are printed as the same rows in values are.
#[test]
fn blocks_print_as_their_rows_do() {
    use tandem_query::{Block, Cells};
    let names = [Value::String(bytes("a\"b")), Value::Null];
    let other = [Value::Float(0.25), Value::String(bytes("é")), Value::Null];
    let run = |style: Style, by_block: bool, infinite: bool| {
        let (opening, opened) = oneshot::channel();
        let gone = Arc::new(AtomicBool::new(false));
        let outlet = Outlet::new(opening, false, Duration::from_secs(5), gone);
        let mut output = Output::new(style, outlet);
        let floats = [1.5, f64::NAN, if infinite { f64::INFINITY } else { -0.0 }];
        let columns = [
            Cells::Coded {
                codes: &[0, 1, 0],
                values: &names,
            },
            Cells::Integer(&[-5, 0, 7], None),
            Cells::Float(&floats, None),
            Cells::Constant(&names[0]),
            Cells::Boolean(&[true, false, true], None),
            Cells::Values(&other),
        ];
        let block = Block {
            times_ns: &[0, 1_500_000_000, i64::from(i32::MAX) * 1_000_000_000],
            rows: Some(&[2, 0, 1]),
            columns: &columns,
        };
        let head = series(
            "m",
            &[("t", "x")],
            &["time", "a", "b", "c", "d", "e", "f"],
            vec![],
        );
        output.begin(0, Chunks::Rows);
        for _ in 0..2 {
            if by_block {
                output.block(&head, &block).unwrap();
            } else {
                let values = block.values();
                output
                    .series(Series {
                        values,
                        ..head.clone()
                    })
                    .unwrap();
            }
        }
        output.end(None).unwrap();
        output.finish().unwrap();
        match opened.blocking_recv().unwrap() {
            Opening::Whole(body) => String::from_utf8_lossy(&body).into_owned(),
            Opening::Stream(_) => panic!("a small answer was streamed"),
        }
    };
    let pretty = Style {
        pretty: true,
        ..JSON
    };
    let seconds = Style {
        epoch: Epoch::Units { ns: 1_000_000_000 },
        ..JSON
    };
    for style in [JSON, pretty, seconds] {
        for infinite in [false, true] {
            assert_eq!(run(style, true, infinite), run(style, false, infinite));
        }
    }
}
