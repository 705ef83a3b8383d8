//! Fast paths give what the plain executor gives.
//!
//! Random data (several shards, gaps, rows written again, deletions, files that overlap and rows in
//! memory, fields whose type changes between shards) are asked random statements, by every way: plainly, as
//! they would be run, and with every fast path that is possible. Each fast path has to be taken.

mod common;

use common::Bench;
use serde_json::Value as Json;
use tandem_model::Precision;
use tandem_query::{Context, Path, Paths};

const MINUTE_S: i64 = 60;
const WEEK_S: i64 = 7 * 86_400;
/// A Monday, where a shard begins.
const START_S: i64 = 1_451_865_600;
/// More of them by `TANDEM_FAST_DATA_SETS`.
const DATA_SETS: u64 = 12;
const STATEMENTS: usize = 70;

/// `splitmix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % end
    }

    fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn is(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

/// Some hours in each of three shards.
fn time_s(random: &mut Random) -> i64 {
    let shard = random.below(3) as i64;
    START_S + shard * WEEK_S + random.below(5 * 3600) as i64
}

fn fields(random: &mut Random, time_s: i64) -> String {
    let mut fields = Vec::new();
    if !random.is(9) {
        fields.push(format!("f={}", random.below(1_000) as f64 / 8.0 - 30.0));
    }
    if !random.is(5) {
        fields.push(format!("i={}i", random.below(60) as i64 - 9));
    }
    if random.is(3) {
        fields.push(format!("b={}", random.is(2)));
    }
    if random.is(4) {
        fields.push(format!("s=\"{}\"", random.choose(&["on", "off", "x"])));
    }
    // An integer in the first shard and a float in the others.
    if random.is(2) || fields.is_empty() {
        let integer = random.below(50);
        let dot = if time_s < START_S + WEEK_S { "i" } else { ".5" };
        fields.push(format!("m={integer}{dot}"));
    }
    fields.join(",")
}

/// A store with random rows in files and in memory.
fn data(random: &mut Random, context: &Context) -> Bench {
    let bench = Bench::new();
    bench
        .store
        .create_database("db", None)
        .expect("make the database");
    let write = |body: &str| {
        bench
            .write(
                "db",
                None,
                Precision::Second,
                context.now_ns,
                body.as_bytes(),
            )
            .unwrap_or_else(|error| panic!("{error}: {body:.500}"));
    };
    for _ in 0..=random.below(4) {
        // A regular stretch, long enough for statistics, and some odd rows.
        let mut body = String::new();
        let (from_s, step_s) = (time_s(random), random.choose(&[1, 5, 10, 17]));
        let rows = random.below(500) as i64;
        let hosts = 1 + random.below(3);
        for row in 0..rows {
            for host in 0..hosts {
                let at = from_s + row * step_s;
                let line = fields(random, at);
                body.push_str(&format!("cpu,host=h{host},dc=d{} {line} {at}\n", host % 2));
            }
        }
        for _ in 0..random.below(60) {
            let at = time_s(random);
            let tags = random.choose(&["host=h0,dc=d0", "host=h9", "dc=d1", "host=h1,dc=d1"]);
            let line = fields(random, at);
            // Now and then of another measurement, which shares some groups.
            let name = if random.is(6) { "mem" } else { "cpu" };
            body.push_str(&format!("{name},{tags} {line} {at}\n"));
        }
        if !body.is_empty() {
            write(&body);
        }
        if random.is(3) {
            let at = time_s(random);
            let doomed = match random.below(3) {
                0 => format!("DELETE FROM cpu WHERE time < {at}s AND host = 'h1'"),
                1 => format!(
                    "DELETE FROM cpu WHERE time > {at}s AND time < {}s",
                    at + 300
                ),
                _ => "DROP SERIES FROM cpu WHERE host = 'h9'".to_owned(),
            };
            bench.query(&doomed, context, None);
        }
        if !random.is(3) {
            bench.store.flush().expect("flush");
        }
        if random.is(5) {
            bench.store.compact().expect("compact");
        }
    }
    bench
}

fn call(random: &mut Random) -> String {
    let function = random.choose(&[
        "count",
        "sum",
        "mean",
        "min",
        "max",
        "spread",
        "first",
        "last",
        "median",
        "stddev",
        "percentile",
        "mode",
        "distinct",
    ]);
    let field = match function {
        "count" | "first" | "last" => random.choose(&["f", "i", "b", "s", "m"]),
        "min" | "max" => random.choose(&["f", "i", "b", "m"]),
        _ => random.choose(&["f", "i", "m"]),
    };
    let inner = match function {
        "percentile" => format!("percentile({field}, {})", random.choose(&[5, 50, 95])),
        _ => format!("{function}({field})"),
    };
    match random.below(12) {
        0 if function == "mean" || function == "max" => format!("derivative({inner}, 10s)"),
        1 if function == "sum" || function == "last" => format!("cumulative_sum({inner})"),
        2 if function == "min" => format!("moving_average({inner}, 3)"),
        3 => format!("{inner} * 2"),
        _ => inner,
    }
}

/// A statement, which may be one that is refused.
fn statement(random: &mut Random) -> String {
    let windowed = random.is(2);
    let raw = !windowed && random.is(3);
    let select = if raw {
        random
            .choose(&[
                "*",
                "f",
                "i, host",
                "m",
                "b, s",
                "s",
                "host, s",
                "dc, host, i",
                "f, i, b",
                "f + i",
                "m::integer, f",
            ])
            .to_owned()
    } else {
        let calls = random.choose(&[1, 1, 1, 2, 3]);
        let calls: Vec<String> = (0..calls).map(|_| call(random)).collect();
        let calls: Vec<String> = calls
            .into_iter()
            .filter(|call| !call.starts_with("distinct"))
            .collect();
        match calls.len() {
            0 => random
                .choose(&["count(*)", "mean(*)", "last(*)", "distinct(i)"])
                .to_owned(),
            _ => calls.join(", "),
        }
    };
    let from = match random.below(8) {
        0 => random.choose(&[
            "cpu, mem",
            "/c|m/",
            "mem, cpu, cpu",
            "cpu, (SELECT f, i FROM mem)",
        ]),
        _ => "cpu",
    };
    let mut text = format!("SELECT {select} FROM {from}");
    let mut tests = Vec::new();
    let from_s = time_s(random);
    let length_s = random.choose(&[50, 600, 4_000, 20_000, WEEK_S, 3 * WEEK_S]);
    let open = random.is(5);
    if windowed || random.is(2) {
        if !open {
            tests.push(format!("time >= {from_s}s"));
        }
        tests.push(format!("time < {}s", from_s + length_s));
    }
    if random.is(3) {
        tests.push(
            random
                .choose(&[
                    "host = 'h0'",
                    "host != 'h1'",
                    "host =~ /h[01]/",
                    "dc = 'd1'",
                    "host = ''",
                ])
                .to_owned(),
        );
    }
    if random.is(4) {
        tests.push(
            random
                .choose(&[
                    "f > 20",
                    "i <= 9",
                    "i != 3 AND f < 50.5",
                    "(f > 90 OR i = 4)",
                    "s = 'on'",
                    "b = true",
                    "m > 20",
                    "m::integer = 7",
                    "(host = 'h0' OR f < 0)",
                    "f + i > 40",
                ])
                .to_owned(),
        );
    }
    if !tests.is_empty() {
        text.push_str(&format!(" WHERE {}", tests.join(" AND ")));
    }
    let mut dimensions = Vec::new();
    if windowed {
        // Not so many that most of the time goes into filling empty windows.
        let window = if open || length_s > 4_000 {
            random.choose(&["1h", "1h", "1d", "1w"])
        } else {
            random.choose(&["10s", "1m", "7m"])
        };
        let offset = random.choose(&["", "", "", ", 13s", ", -5s"]);
        dimensions.push(format!("time({window}{offset})"));
    }
    if random.is(2) {
        dimensions.push(random.choose(&["host", "*", "dc", "dc, host"]).to_owned());
    }
    if !dimensions.is_empty() {
        text.push_str(&format!(" GROUP BY {}", dimensions.join(", ")));
    }
    if windowed {
        text.push_str(random.choose(&[
            "",
            " fill(none)",
            " fill(none)",
            " fill(0)",
            " fill(previous)",
            " fill(linear)",
        ]));
    }
    if random.is(3) {
        text.push_str(" ORDER BY time DESC");
    }
    if random.is(3) {
        text.push_str(&format!(" LIMIT {}", 1 + random.below(20)));
        if random.is(3) {
            text.push_str(&format!(" OFFSET {}", random.below(9)));
        }
    }
    if random.is(9) {
        text.push_str(" SLIMIT 2");
    }
    if random.is(9) {
        text.push_str(" tz('America/New_York')");
    }
    text
}

/// Whether two answers say the same; floats to one part in 10^9.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) if x != y => match (x.as_f64(), y.as_f64()) {
            (Some(x), Some(y)) if a.is_f64() || b.is_f64() => {
                (x - y).abs() <= 1e-9 * x.abs().max(y.abs()).max(1e-3)
            }
            _ => false,
        },
        (Json::Array(x), Json::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        (a, b) => a == b,
    }
}

#[test]
fn every_fast_path_is_taken_and_gives_what_the_plain_executor_gives() {
    let mut context = Context {
        database: Some("db".to_owned()),
        now_ns: (START_S + 3 * WEEK_S + 17 * MINUTE_S) * 1_000_000_000,
        ..Context::default()
    };
    let (plain, usual, eager) = (Paths::plain(), Paths::default(), Paths::eager());
    let mut wrong = Vec::new();
    let mut answered = 0;
    let more = std::env::var("TANDEM_FAST_DATA_SETS").ok();
    let data_sets = more.and_then(|n| n.parse().ok()).unwrap_or(DATA_SETS);
    for seed in 0..data_sets {
        let mut random = Random(seed * 1_000_003);
        let bench = data(&mut random, &context);
        for _ in 0..STATEMENTS {
            let text = statement(&mut random);
            context.paths = plain.clone();
            let expected = bench.query(&text, &context, Some(1));
            answered += usize::from(expected.to_string().contains("\"values\""));
            for paths in [&usual, &eager] {
                context.paths = paths.clone();
                let found = bench.query(&text, &context, Some(1));
                if !same(&found, &expected) {
                    let way = if std::ptr::eq(paths, &raw const eager) {
                        "eager"
                    } else {
                        "usual"
                    };
                    wrong.push(format!(
                        "data {seed}, {way}: {text}\n  plainly {expected:.1500}\n  fast    {found:.1500}"
                    ));
                }
            }
        }
    }
    let asked = data_sets as usize * STATEMENTS;
    eprintln!("{answered} of {asked} statements have an answer with rows");
    for path in Path::ALL {
        eprintln!(
            "{:<10} {:>6} {:>6}",
            path.name(),
            usual.count(path),
            eager.count(path)
        );
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(8)].join("\n")
    );
    assert!(answered * 2 > asked, "most statements find something");
    for path in Path::ALL {
        assert!(eager.count(path) > 0, "{} was not taken", path.name());
        // Some are only worth it where there is more than here.
        assert!(
            usual.count(path) > 0 || matches!(path, Path::Threads | Path::Late),
            "{} is not taken",
            path.name()
        );
    }
}
