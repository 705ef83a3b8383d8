//! Where a write ends differently from InfluxDB 1.6.7, on purpose: both sides, one after another. The
//! reasons are in docs/differences.md.

use crate::common::{Caller, Running};
use crate::influxd::{Influxd, documented};

/// What is written, and how it is answered and what is there at the end: here, and by InfluxDB.
struct Difference {
    name: &'static str,
    bodies: &'static [&'static [u8]],
    read: &'static str,
    ours: (&'static [&'static str], &'static str),
    theirs: (&'static [&'static str], &'static str),
}

const OK: &str = "204 ";
const CONFLICT: &str = "400 {\"error\":\"partial write: field type conflict: input field \\\"v\\\" on measurement \\\"m\\\" is type float, already exists as type integer dropped=1\"}\n";

const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "carriage-returns",
        bodies: &[b"m v=1 1\r\nm v=2 2\r\n"],
        read: "SELECT v FROM m",
        ours: (&[OK], "[[1,1],[2,2]]"),
        theirs: (
            &[
                "400 {\"error\":\"unable to parse 'm v=1 1\\r': bad timestamp\\nunable to parse 'm v=2 2\\r': bad timestamp\"}\n",
            ],
            "",
        ),
    },
    Difference {
        name: "text-behind-a-string",
        bodies: &[b"m s=\"a\"b 1"],
        read: "SELECT s FROM m",
        ours: (
            &["400 {\"error\":\"unable to parse 'm s=\\\"a\\\"b 1': invalid field format\"}\n"],
            "",
        ),
        theirs: (&[OK], "[[1,\"a\\\"\"]]"),
    },
    Difference {
        name: "strings-by-count",
        bodies: &[
            b"m a,s=\"=\" q\" 1",
            b"m a,s=\"=\" q\" x",
            b"m a,s=\"b=1 2",
            b"m a,s=\"b=1 x",
        ],
        read: "SELECT * FROM m",
        ours: (
            &[
                "400 {\"error\":\"unable to parse 'm a,s=\\\"=\\\" q\\\" 1': invalid field format\"}\n",
                "400 {\"error\":\"unable to parse 'm a,s=\\\"=\\\" q\\\" x': invalid field format\"}\n",
                "400 {\"error\":\"unable to parse 'm a,s=\\\"b=1 2': invalid field format\"}\n",
                "400 {\"error\":\"unable to parse 'm a,s=\\\"b=1 x': invalid field format\"}\n",
            ],
            "",
        ),
        theirs: (
            &[
                OK,
                "400 {\"error\":\"unable to parse 'm a,s=\\\"=\\\" q\\\" x': bad timestamp\"}\n",
                OK,
                "400 {\"error\":\"unable to parse 'm a,s=\\\"b=1 x': bad timestamp\"}\n",
            ],
            "[[1,\"=\\\" q\"],[2,\"b=\"]]",
        ),
    },
    Difference {
        name: "types-within-a-batch",
        bodies: &[b"m v=1i 1\nm v=1.5 2"],
        read: "SELECT v FROM m",
        ours: (&[CONFLICT], "[[1,1]]"),
        theirs: (&["400 {\"error\":\"field type conflict\"}\n"], ""),
    },
    Difference {
        name: "field-twice-in-a-line",
        bodies: &[b"m v=1i 1", b"m v=1.5,v=2i 2"],
        read: "SELECT v FROM m",
        ours: (&[OK, OK], "[[1,1],[2,2]]"),
        theirs: (&[OK, CONFLICT], "[[1,1]]"),
    },
    Difference {
        name: "drops-of-several-shards",
        bodies: &[
            b"m v=1i 1\nm v=1i 1500000000000000000",
            b"m v=1.5 2\nm v=1.5 1500000000000000001",
        ],
        read: "SELECT v FROM m",
        ours: (
            &[
                OK,
                "400 {\"error\":\"partial write: field type conflict: input field \\\"v\\\" on measurement \\\"m\\\" is type float, already exists as type integer dropped=2\"}\n",
            ],
            "[[1,1],[1500000000000000000,1]]",
        ),
        theirs: (&[OK, CONFLICT], "[[1,1],[1500000000000000000,1]]"),
    },
    Difference {
        name: "series-of-dropped-points",
        bodies: &[b"m v=1i 1", b"m,h=new v=1.5 2"],
        read: "SHOW SERIES",
        ours: (&[OK, CONFLICT], "[[\"m\"]]"),
        theirs: (&[OK, CONFLICT], "[[\"m\"],[\"m,h=new\"]]"),
    },
    Difference {
        name: "names-that-are-no-text",
        bodies: &[b"m\xff v=1 1"],
        read: "SELECT v FROM /m/",
        ours: (&[OK], "[[1,1]]"),
        theirs: (
            &[
                "500 {\"error\":\"proto: field \\\"tsdb.MeasurementFields.Name\\\" contains invalid UTF-8\"}\n",
            ],
            "",
        ),
    },
    Difference {
        name: "several-backslashes",
        bodies: &[b"m\\\\\\ x v=1 1"],
        read: "SHOW MEASUREMENTS",
        ours: (&[OK], "[[\"m\\\\\\\\ x\"]]"),
        theirs: (&[OK], "[[\"m\\\\ x\"]]"),
    },
    Difference {
        name: "name-of-a-tab",
        bodies: &[b"m \t=1 5"],
        read: "SELECT * FROM m",
        ours: (
            &["400 {\"error\":\"unable to parse 'm \\t=1 5': missing field key\"}\n"],
            "",
        ),
        theirs: (&[OK], "[[5,1]]"),
    },
    Difference {
        name: "escaped-quotes",
        bodies: &[b"m\\\"x v=1 1", b"m\"x v=2 2"],
        read: "SELECT v FROM /.*/",
        ours: (&[OK, OK], "[[1,1],[2,2]]"),
        theirs: (&[OK, OK], "[[1,1]]"),
    },
    Difference {
        name: "blank-in-front",
        bodies: &[b" m=\"a v=1 1\nm v=2 2"],
        read: "SELECT v FROM m",
        ours: (&[OK], "[[2,2]]"),
        theirs: (
            &["400 {\"error\":\"unable to parse 'm=\\\"a v=1 1\\nm v=2 2': point is invalid\"}\n"],
            "",
        ),
    },
    Difference {
        name: "newline-for-a-time",
        bodies: &[b"m\\\\ x=\"y v=1 \nm v=2 2"],
        read: "SHOW SERIES",
        ours: (
            &[
                "400 {\"error\":\"unable to parse 'm\\\\\\\\ x=\\\"y v=1 \\nm v=2 2': bad timestamp\"}\n",
            ],
            "",
        ),
        theirs: (&[OK], "[[\"m\\\\ x=\\\"y\"]]"),
    },
    Difference {
        name: "backslashes-at-the-end-of-a-field",
        bodies: &[b"m f\\\\=1,g=2 1"],
        read: "SHOW FIELD KEYS",
        ours: (
            &["400 {\"error\":\"unable to parse 'm f\\\\\\\\=1,g=2 1': invalid field format\"}\n"],
            "",
        ),
        theirs: (&[OK], "[[\"f\\\\=1,g\",\"float\"]]"),
    },
    Difference {
        name: "comment-with-quotes",
        bodies: &[b"# m a=\"b\nm v=1 1\n# c=\"\nm v=2 2\n# d\\\nm v=3 3"],
        read: "SELECT v FROM m",
        ours: (&[OK], "[[1,1],[2,2],[3,3]]"),
        theirs: (&[OK], "[[2,2]]"),
    },
];

async fn play(caller: &Caller, who: &str, of: impl Fn(&Difference) -> (&[&str], &str)) {
    for (at, difference) in DIFFERENCES.iter().enumerate() {
        let name = difference.name;
        let database = format!("d{at}");
        let made = format!("/query?q=CREATE%20DATABASE%20{database}");
        assert_eq!(caller.post(&made, "").await.status, 200);
        let (answers, rows) = of(difference);
        for (body, answer) in difference.bodies.iter().zip(answers) {
            let target = format!("/write?db={database}");
            let got = caller.post(&target, *body).await;
            let found = format!("{} {}", got.status, got.text());
            assert_eq!(found, **answer, "{who}: {name}");
        }
        let read = tandem_http::percent_encode(difference.read);
        let target = format!("/query?epoch=ns&db={database}&q={read}");
        let found = caller.get(&target).await.text();
        let values = found.split("\"values\":").nth(1).unwrap_or_default();
        let values = values.split("}]}]}").next().unwrap_or_default();
        assert_eq!(values, rows, "{who}: {name}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn here() {
    let running = Running::bare(tandem_server::Config::default()).await;
    play(&running.api(), "tandem", |difference| difference.ours).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_influxdb() {
    let Some(real) = Influxd::installed("").await else {
        return;
    };
    play(&real.caller, "influxd", |difference| difference.theirs).await;
}

/// Every difference has its entry, and every entry its difference.
#[test]
fn the_docs_name_them() {
    let mut here: Vec<&str> = DIFFERENCES.iter().map(|one| one.name).collect();
    here.extend(OF_REQUESTS);
    here.sort_unstable();
    assert_eq!(documented("## Writes"), here);
}

/// What is told apart by more than lines.
const OF_REQUESTS: [&str; 4] = [
    "precisions",
    "long-lines",
    "limits-within-a-batch",
    "fields-of-a-measurement",
];

/// Writes `body` into a new database, and gives the answer.
async fn answer(caller: &Caller, database: &str, parameters: &str, body: &str) -> String {
    let made = format!("/query?q=CREATE%20DATABASE%20{database}");
    assert_eq!(caller.post(&made, "").await.status, 200);
    let target = format!("/write?db={database}{parameters}");
    let got = caller.post(&target, body.as_bytes().to_vec()).await;
    format!("{} {}", got.status, got.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_here() {
    let running = Running::bare(tandem_server::Config::default()).await;
    let api = running.api();
    let got = answer(&api, "p", "&precision=x", "m v=1 1").await;
    assert!(
        got.starts_with("400 ") && got.contains("invalid precision"),
        "{got}"
    );
    let got = answer(&api, "l", "", &"x".repeat(200_000)).await;
    let end = "x… (200000 bytes)': missing fields\"}\n";
    assert!(
        got.starts_with("400 ") && got.ends_with(end),
        "{}",
        got.len()
    );
    assert!(got.len() < 140_000, "{}", got.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_influxdb() {
    let Some(real) = Influxd::installed("max-body-size = 0").await else {
        return;
    };
    let got = answer(&real.caller, "p", "&precision=x", "m v=1 1").await;
    assert_eq!(got, OK);
    let got = answer(&real.caller, "l", "", &"x".repeat(200_000)).await;
    let is_whole = got.ends_with("x': missing fields\"}\n") && got.len() > 200_000;
    assert!(is_whole, "{} {}", got.len(), &got[..got.len().min(300)]);
}

/// With two values of a tag and four series at most: what is answered and which series there are, after each batch.
async fn limited(caller: &Caller) -> Vec<String> {
    let mut told = Vec::new();
    for (database, body) in [
        ("v", "m,h=a v=1 1\nm,h=b v=1 1\nm,h=c v=1 1"),
        ("s", "m,h=a v=1 1"),
        ("s", "m,t=a v=1 1\nn,t=a v=1 1\no,t=a v=1 1\np,t=a v=1 1"),
    ] {
        let got = answer(caller, database, "", body).await;
        let target = format!("/query?db={database}&q=SHOW%20SERIES");
        let found = caller.get(&target).await.text();
        told.push(format!("{got}{}", found.matches("[\"").count()));
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_here() {
    let options = tandem_store::Options {
        max_values_per_tag: 2,
        max_series_per_database: 4,
        ..tandem_store::Options::default()
    };
    let running = Running::with_options(tandem_server::Config::default(), options).await;
    let told = limited(&running.api()).await;
    assert_eq!(
        told,
        [
            "400 {\"error\":\"partial write: max-values-per-tag limit exceeded (2/2): measurement=\\\"m\\\" tag=\\\"h\\\" value=\\\"c\\\" dropped=1\"}\n3",
            "204 2",
            "400 {\"error\":\"partial write: max-series-per-database limit exceeded: (4) dropped=1\"}\n5",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_in_influxdb() {
    let lines = "max-values-per-tag = 2\nmax-series-per-database = 4";
    let Some(real) = Influxd::with_data(lines).await else {
        return;
    };
    let told = limited(&real.caller).await;
    assert_eq!(
        told,
        [
            "204 4",
            "204 2",
            "400 {\"error\":\"partial write: max-series-per-database limit exceeded: (4) dropped=4\"}\n2",
        ]
    );
}

/// A measurement gets three fields and then two more; then a line of four comes, and one of a field that is there.
const OF_MANY_FIELDS: [(&str, &str); 4] = [
    ("f", "m a=1,b=1,c=1 1"),
    ("f", "m d=1 2\nn d=1 2\nm a=2,e=1 3"),
    ("f", "o a=1,b=1,c=1,d=1 4"),
    ("f", "m b=2 5"),
];

async fn many_fields(caller: &Caller) -> Vec<String> {
    let mut told = Vec::new();
    for (database, body) in OF_MANY_FIELDS {
        told.push(answer(caller, database, "", body).await);
    }
    let found = caller.get("/query?db=f&q=SHOW%20FIELD%20KEYS").await.text();
    told.push(found.matches("\"float\"").count().to_string());
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_here() {
    let options = tandem_store::Options {
        max_fields_per_measurement: 3,
        ..tandem_store::Options::default()
    };
    let running = Running::with_options(tandem_server::Config::default(), options).await;
    assert_eq!(
        many_fields(&running.api()).await,
        [
            OK,
            "400 {\"error\":\"partial write: max-fields-per-measurement limit exceeded (3): measurement=\\\"m\\\" dropped=2\"}\n",
            "400 {\"error\":\"partial write: max-fields-per-measurement limit exceeded (3): measurement=\\\"o\\\" dropped=1\"}\n",
            OK,
            "4",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_in_influxdb() {
    let Some(real) = Influxd::installed("").await else {
        return;
    };
    assert_eq!(many_fields(&real.caller).await, [OK, OK, OK, OK, "10"]);
}

/// Lines that look all different, in a store with little memory: 413, and less at once is taken.
#[tokio::test(flavor = "multi_thread")]
async fn shapes_beyond_the_memory_for_writes_here() {
    let options = tandem_store::Options {
        memtable_bytes_max: 4 << 20,
        ..tandem_store::Options::default()
    };
    let running = Running::with_options(tandem_server::Config::default(), options).await;
    let api = running.api();
    let body = |measurements: std::ops::Range<usize>| {
        let fields = |m: usize| (0..5_000).map(move |f| format!("f{m}_{f}=1"));
        let line = |m: usize| format!("m{m} {} 1\n", fields(m).collect::<Vec<_>>().join(","));
        measurements.map(line).collect::<String>()
    };
    let got = answer(&api, "w", "", &body(0..30)).await;
    assert!(got.starts_with("413 ") && got.contains("split it"), "{got}");
    for ten in 0..3 {
        let got = answer(&api, "w", "", &body(ten * 10..ten * 10 + 10)).await;
        assert_eq!(got, OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shapes_beyond_the_memory_for_writes_in_influxdb() {
    let Some(real) = Influxd::installed("max-body-size = 0").await else {
        return;
    };
    let fields: Vec<String> = (0..150_000).map(|f| format!("f{f}=1")).collect();
    let got = answer(&real.caller, "w", "", &format!("m {} 1", fields.join(","))).await;
    assert_eq!(got, OK);
}
