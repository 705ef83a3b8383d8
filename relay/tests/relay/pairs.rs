//! The table of answer pairs in docs/operations.md, row by row, with backends that answer so; and every test
//! that the page names is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tandem_relay::Overflow;

use crate::support::{Fake, Mode, Running, text};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Stored,
    Partial,
    Hinted,
    Hold,
    Dead,
    Failed,
}

use Outcome::*;

impl Outcome {
    /// What a backend answers so that this comes of it; `Failed` needs a queue without room.
    fn mode(self) -> Mode {
        match self {
            Stored => Mode::Store,
            Partial => Mode::Partial,
            Hinted | Failed => Mode::Refuse(503, "busy"),
            Hold => Mode::Refuse(401, "authorization failed"),
            Dead => Mode::Refuse(400, "unable to parse"),
        }
    }
}

/// What the client gets: a status, and a word of the text.
const PAIRS: [(Outcome, Outcome, u16, &str); 21] = [
    (Stored, Stored, 204, ""),
    (Stored, Partial, 400, "partial write"),
    (Stored, Hinted, 204, ""),
    (Stored, Hold, 204, ""),
    (Stored, Dead, 400, "unable to parse"),
    (Stored, Failed, 503, "tandem relay"),
    (Partial, Partial, 400, "partial write"),
    (Partial, Hinted, 400, "partial write"),
    (Partial, Hold, 400, "partial write"),
    (Partial, Dead, 400, "unable to parse"),
    (Partial, Failed, 503, "tandem relay"),
    (Hinted, Hinted, 204, ""),
    (Hinted, Hold, 401, "authorization failed"),
    (Hinted, Dead, 400, "unable to parse"),
    (Hinted, Failed, 503, "tandem relay"),
    (Hold, Hold, 401, "authorization failed"),
    (Hold, Dead, 401, "authorization failed"),
    (Hold, Failed, 401, "authorization failed"),
    (Dead, Dead, 400, "unable to parse"),
    (Dead, Failed, 400, "unable to parse"),
    (Failed, Failed, 503, "tandem relay"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_pair_of_answers_is_what_the_page_says() {
    for (one, other, status, word) in PAIRS {
        let dir = tempfile::tempdir().unwrap();
        let fakes = [Fake::start().await, Fake::start().await];
        fakes[0].mode(one.mode());
        fakes[1].mode(other.mode());
        let relay = Running::start(dir.path(), &[&fakes[0], &fakes[1]], |config| {
            // No drainer shall change what is looked at.
            config.retry_delay_min = crate::support::SOON;
            config.retry_delay_max = crate::support::SOON;
            if one == Failed || other == Failed {
                config.queue_bytes_max = 1;
            }
            if one == Hinted {
                // A loss that the operator chose counts as hinted, also where there is no room.
                config.backends[0].overflow = Overflow::DropNewest;
            }
        })
        .await;
        let answer = relay.write_to("db=d", "m v=1 1").await;
        let said = text(&answer);
        assert_eq!(answer.status.as_u16(), status, "{one:?} {other:?}: {said}");
        assert!(said.contains(word), "{one:?} {other:?}: {said}");
        relay.kill();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names of all functions below a directory.
fn functions(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | "node_modules" | ".git") {
                functions(&path, names);
            }
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for line in text.lines() {
                let line = line.trim_start();
                let line = line.strip_prefix("async ").unwrap_or(line);
                if let Some(rest) = line.strip_prefix("fn ") {
                    let end = rest.find(['(', '<']).unwrap_or(rest.len());
                    names.insert(rest[..end].to_owned());
                }
            }
        }
    }
}

#[test]
fn every_test_that_the_page_of_operation_names_is_there() {
    let page = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let mut there = BTreeSet::new();
    functions(&root(), &mut there);
    let mut seen = 0;
    for line in page
        .lines()
        .filter(|line| line.starts_with('|') || line.contains("(`"))
    {
        for word in line.split('`').skip(1).step_by(2) {
            let is_name = word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            // Metrics are named as well.
            let is_metric = word.starts_with("tandem_");
            if is_name && !is_metric && word.matches('_').count() >= 3 {
                assert!(
                    there.contains(word),
                    "docs/operations.md names the test {word}, which is not there"
                );
                seen += 1;
            }
            if word.starts_with("tests/") && word.ends_with(".rs") {
                assert!(
                    root().join(word).exists(),
                    "docs/operations.md names {word}, which is not there"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "{seen}: the tables are not found");
    // Every row of the two tables names one.
    for heading in [
        "| one backend | the other |",
        "| what fails | what clients see |",
    ] {
        let rows = page
            .lines()
            .skip_while(|line| !line.starts_with(heading))
            .skip(2);
        for row in rows.take_while(|line| line.starts_with('|')) {
            let tests = row
                .trim_end_matches(['|', ' '])
                .rsplit('|')
                .next()
                .unwrap_or_default();
            assert!(tests.contains('`'), "no test stands in the row: {row}");
        }
    }
}
