//! The queries of widely used dashboards over an hour of what the agent records.
//!
//! Queries and data lie with the agent's tests, `agent/tests/dashboards`. Each query must be answered as the
//! real one answers it. Those of `host.influxql` and `containers.influxql` must have rows too; the others of
//! `every.influxql` ask for what the recorded host does not have, or in a form that nothing answers.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::args::Args;
use crate::compare::same_answer;
use crate::http::Answer;
use crate::server::{Pair, Server};

const DATA: [&str; 2] = ["host.lp", "containers.lp"];
/// The queries, and whether they must have rows.
const QUERIES: [(&str, bool); 3] = [
    ("host.influxql", true),
    ("containers.influxql", true),
    ("every.influxql", false),
];
pub(crate) const DATABASE: &str = "telegraf";

/// Asks all of them; true when all answers are the same and none is empty that must not be.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let mut pair = Pair::start(&args.places)?;
    tell(&mut pair.judge)?;
    tell(&mut pair.ours)?;
    let ours = &mut pair.ours;
    let tally = compare(&mut pair.judge, |query| ours.query(DATABASE, query))?;
    println!("{}", tally.line());
    Ok(tally.wrong.is_empty())
}

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    asked: usize,
    with_rows: usize,
    /// What differs, or is empty and must not be.
    wrong: Vec<String>,
}

impl Tally {
    fn line(&self) -> String {
        let mut text = self.wrong.join("\n");
        text.push_str(&format!(
            "\n{} queries of dashboards, {} with rows: {} differ or are empty",
            self.asked,
            self.with_rows,
            self.wrong.len()
        ));
        text.trim_start().to_owned()
    }
}

/// Asks the judge and `ours`.
fn compare(
    judge: &mut Server,
    mut ours: impl FnMut(&str) -> anyhow::Result<Answer>,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let short = |text: &str| text.trim().chars().take(1_000).collect::<String>();
    for (file, must_have_rows) in QUERIES {
        let queries = read(file)?;
        for query in queries.lines().filter(|line| !line.starts_with("--")) {
            let judged = judge.query(DATABASE, query)?;
            let found = ours(query)?;
            tally.asked += 1;
            let has_rows = judged.text().contains("\"values\"");
            tally.with_rows += usize::from(has_rows);
            if !same_answer(&judged, &found) {
                let (judged, found) = (judged.text(), found.text());
                tally.wrong.push(format!(
                    "> {query}\n  influxd: {}\n  tandem:  {}",
                    short(&judged),
                    short(&found)
                ));
            } else if must_have_rows && !has_rows {
                tally.wrong.push(format!("> {query}\n  is empty"));
            }
        }
    }
    Ok(tally)
}

/// Makes the database anew, and writes the hour into it.
fn tell(server: &mut Server) -> anyhow::Result<()> {
    server.query("", &format!("DROP DATABASE {DATABASE}"))?;
    server.query("", &format!("CREATE DATABASE {DATABASE}"))?;
    for file in DATA {
        let answer = server.write(DATABASE, "", read(file)?.as_bytes())?;
        ensure!(answer.status == 204, "{}: {}", server.name, answer.text());
    }
    Ok(())
}

fn read(file: &str) -> anyhow::Result<String> {
    let path = folder().join(file);
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../agent/tests/dashboards")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::process;

    /// The same without a server of ours: the engine within this process answers.
    #[test]
    fn dashboards_are_answered_as_influxdb_answers_them() {
        let Some(influxd) = process::find("influxd") else {
            println!("SKIPPED: influxd is not installed (Debian package influxdb)");
            return;
        };
        let dir = tempfile::tempdir().expect("a directory");
        let mut judge = Server::influxd(&influxd, dir.path()).expect("influxd");
        tell(&mut judge).expect("write to influxd");
        let engine = Engine::open(&dir.path().join("engine")).expect("open");
        engine
            .change("", "CREATE DATABASE telegraf")
            .expect("make it");
        for file in DATA {
            let lines = read(file).expect("the hour");
            engine.write(DATABASE, lines.as_bytes()).expect("write");
        }
        engine.flush().expect("flush");
        let tally = compare(&mut judge, |query| {
            let (status, json) = match engine.answer(DATABASE, query) {
                Ok(answer) => (200, answer),
                // Nothing but a text that is no query.
                Err(why) => {
                    let text = format!("error parsing query: {why}");
                    (400, serde_json::json!({ "error": text }))
                }
            };
            Ok(Answer {
                status,
                headers: Vec::new(),
                body: json.to_string().into_bytes(),
            })
        });
        let tally = tally.expect("all are asked");
        assert!(tally.wrong.is_empty(), "{}", tally.line());
        assert!(tally.with_rows > 200, "{}", tally.line());
    }
}
