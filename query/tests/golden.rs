//! Statements and their results, as a real InfluxDB 1.6.7 gave them.
//!
//! Each file of `golden/` is a story on an empty database `db`: line protocol as it is, `> ` before
//! a statement, and below it the answer of the real one with times in nanoseconds. `# ` opens a
//! remark. `record.py` writes the answers anew from a running `influxd`.

mod common;

use std::path::Path;

use common::{Bench, same};
use serde_json::Value as Json;
use tandem_model::Precision;
use tandem_query::Context;

/// What `now()` is; the times of the stories are long before it.
const NOW_NS: i64 = 1_700_000_000_000_000_000;

fn check(name: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    check_file(&golden.join(name));
}

fn check_file(path: &Path) {
    let name = path.display();
    let story = std::fs::read_to_string(path).expect("read the story");
    let bench = Bench::new();
    bench
        .store
        .create_database("db", None)
        .expect("create the database");
    let context = Context {
        database: Some("db".to_owned()),
        now_ns: NOW_NS,
        ..Context::default()
    };
    let mut lines = story.lines().peekable();
    let (mut asked, mut wrong) = (0, Vec::new());
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with("# ") {
            continue;
        }
        let Some(statement) = line.strip_prefix("> ") else {
            let written = bench.write("db", None, Precision::Nanosecond, NOW_NS, line.as_bytes());
            written.unwrap_or_else(|error| panic!("{name}: {line}: {error}"));
            continue;
        };
        let expected = lines
            .next()
            .unwrap_or_else(|| panic!("{name}: no answer to {statement}"));
        let expected: Json = serde_json::from_str(expected).expect("an answer in JSON");
        let found = bench.query(statement, &context, Some(1));
        asked += 1;
        if !same(&found, &expected) {
            wrong.push(format!(
                "> {statement}\n  expected {expected}\n  found    {found}"
            ));
        }
    }
    assert!(asked > 0, "{name} asks nothing");
    assert!(
        wrong.is_empty(),
        "{name}: {} of {asked} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

macro_rules! stories {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(concat!(stringify!($name), ".txt"));
        }
    )*};
}

stories! {
    raw aggregate where_ show functions forecast technical subquery zone into types bounds delete judged
    found edges epoch
}

/// A story from elsewhere, such as one made at random and recorded by `record.py`.
#[test]
fn story_from_elsewhere() {
    match std::env::var_os("TANDEM_STORY") {
        Some(path) => check_file(Path::new(&path)),
        None => eprintln!("SKIPPED: TANDEM_STORY names no story"),
    }
}
