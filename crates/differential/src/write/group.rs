//! A database, fresh on both servers: batches that go into it one after another, and what is read of it.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::compare::same;
use crate::http::Answer;
use crate::server::Pair;
use crate::write::batch::Batch;
use crate::write::ghosts::Ghosts;
use crate::write::line::first_lines;
use crate::write::pieces::{error_text, is_without_time, rule, together};
use crate::write::rewrite::{Parsed, Rewritten, options};

/// What is asked when all is written; the whole database.
const READS: [&str; 5] = [
    "SHOW MEASUREMENTS",
    "SHOW FIELD KEYS",
    "SELECT * FROM /.*/ GROUP BY *",
    "SHOW SERIES",
    "SHOW TAG KEYS",
];
/// Times from this on were given by a server, in seconds: no line has one.
const SERVED_S: u64 = 1_700_000_000;

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Both answered as they should.
    Same {
        /// With an error.
        refused: bool,
        /// The differences that were told apart.
        rules: BTreeSet<&'static str>,
        /// Why both hold something else from now on.
        apart: Option<&'static str>,
    },
    Differs(Shown),
}

/// A difference.
#[derive(Debug)]
pub(super) struct Shown {
    /// What was asked, or what the answer should be.
    pub(super) what: String,
    pub(super) judged: Answer,
    pub(super) ours: Answer,
}

/// A database.
pub(super) struct Group {
    name: String,
    ghosts: Ghosts,
}

impl Group {
    /// Makes database `number`; in some, the default policy is dropped and made again.
    pub(super) fn begin(pair: &mut Pair, number: u64) -> anyhow::Result<Self> {
        let group = Self {
            name: format!("w{number}"),
            ghosts: Ghosts::default(),
        };
        let statement = format!("CREATE DATABASE {}", group.name);
        pair.judge.query("", &statement)?;
        pair.ours.query("", &statement)?;
        if number % 4 == 3 {
            group.remake_default(pair)?;
        }
        let lines = first_lines();
        pair.judge.write(&group.name, "", &lines)?;
        pair.ours.write(&group.name, "", &lines)?;
        Ok(group)
    }

    /// Drops the default policy, which leaves its name, and makes it again.
    fn remake_default(&self, pair: &mut Pair) -> anyhow::Result<()> {
        let name = &self.name;
        self.both(pair, &format!("DROP RETENTION POLICY autogen ON {name}"))?;
        self.both(pair, "SELECT * FROM m")?;
        let judged = pair.judge.write(name, "", b"m f=1 1")?;
        let ours = pair.ours.write(name, "", b"m f=1 1")?;
        let answers = [&judged, &ours].map(|answer| (answer.status, error_text(answer)));
        anyhow::ensure!(
            answers[0] == answers[1],
            "a write without its policy: {answers:?}"
        );
        let made = format!("CREATE RETENTION POLICY autogen ON {name} DURATION 0s REPLICATION 1");
        self.both(pair, &made)
    }

    /// Asks both, who must answer the same.
    fn both(&self, pair: &mut Pair, statement: &str) -> anyhow::Result<()> {
        let judged = pair.judge.query(&self.name, statement)?;
        let ours = pair.ours.query(&self.name, statement)?;
        let is_same = judged.status == ours.status && judged.body == ours.body;
        anyhow::ensure!(
            is_same,
            "{statement}: {} and {}",
            judged.text(),
            ours.text()
        );
        Ok(())
    }

    /// Drops it.
    pub(super) fn end(self, pair: &mut Pair) -> anyhow::Result<()> {
        let statement = format!("DROP DATABASE {}", self.name);
        pair.judge.query("", &statement)?;
        pair.ours.query("", &statement)?;
        Ok(())
    }

    /// Whether both may hold something else once a batch is written.
    pub(super) fn may_part(batch: &Batch, rewritten: &Rewritten) -> bool {
        let precision = batch.unit.precision();
        rewritten.apart.is_some()
            || (is_without_time(&rewritten.lines, precision)
                && rule(&rewritten.lines, precision).is_some())
    }

    /// Writes a batch to both, `rewritten` to the judge.
    pub(super) fn write(
        &mut self,
        pair: &mut Pair,
        batch: &Batch,
        rewritten: &Rewritten,
    ) -> anyhow::Result<Outcome> {
        let database = batch.database.unwrap_or(&self.name);
        let parameters = &batch.parameters;
        let precision = batch.unit.precision();
        let mut to_judge = |body: &[u8]| pair.judge.write(database, parameters, body);
        let judged = to_judge(&rewritten.body)?;
        let ours = pair.ours.write(database, parameters, &batch.body())?;
        let answered = (ours.status, error_text(&ours));
        let mut expected = (judged.status, error_text(&judged));
        let mut rules = rewritten.rules.clone();
        let mut apart = rewritten.apart;
        expected.1 = rewritten.text(&expected.1);
        if answered != expected
            && let Some(rule) = rule(&rewritten.lines, precision)
        {
            let lines = rewritten.lines.iter();
            let answers: anyhow::Result<Vec<Answer>> = lines.map(|line| to_judge(line)).collect();
            expected = together(&answers?);
            expected.1 = rewritten.text(&expected.1);
            rules.insert(rule);
            if is_without_time(&rewritten.lines, precision) {
                apart = Some(rule);
            }
        }
        if answered != expected {
            return Ok(Outcome::Differs(Shown {
                what: format!("answer; expected is {} {}", expected.0, expected.1),
                judged,
                ours,
            }));
        }
        if answered.0 != 204 && !answered.1.starts_with("partial write") {
            // Nothing is stored.
            apart = None;
        }
        // Of several reasons one is told, and it may be one that leaves no series.
        let is_partial = answered.1.starts_with("partial write");
        let has_ghosts = is_partial && !answered.1.ends_with("dropped=0");
        for line in &rewritten.lines {
            if has_ghosts && let Ok(parsed) = Parsed::of(line, options(precision)) {
                self.ghosts.add(&parsed.series);
            }
        }
        if has_ghosts {
            rules.insert("series-of-dropped-points");
        }
        Ok(Outcome::Same {
            refused: judged.status != 204,
            rules,
            apart,
        })
    }

    /// Reads all of it from both; what differs first is returned, with its question.
    pub(super) fn compare(&self, pair: &mut Pair) -> anyhow::Result<Option<Shown>> {
        for read in READS {
            let judged = pair.judge.query(&self.name, read)?;
            let ours = pair.ours.query(&self.name, read)?;
            if judged.body != ours.body && !self.same(read, &judged, &ours) {
                let what = read.to_owned();
                return Ok(Some(Shown { what, judged, ours }));
            }
        }
        Ok(None)
    }

    /// True when two answers are the same but for times that the servers gave themselves, and series that
    /// only the judge keeps.
    fn same(&self, read: &str, judged: &Answer, ours: &Answer) -> bool {
        let json = |answer: &Answer| serde_json::from_slice::<Json>(&answer.body).ok();
        let (Some(mut theirs), Some(mut own)) = (json(judged), json(ours)) else {
            return false;
        };
        self.ghosts.take_away(read, &mut theirs, &mut own);
        for answer in [&mut theirs, &mut own] {
            forget_now(answer);
        }
        same(&theirs, &own)
    }
}

/// An answer's text without the times that a server gave itself.
pub(super) fn without_now(answer: &Answer) -> String {
    match serde_json::from_slice(&answer.body) {
        Ok(mut json) => {
            forget_now(&mut json);
            json.to_string()
        }
        Err(_) => answer.text(),
    }
}

fn forget_now(json: &mut Json) {
    match json {
        Json::Number(number) => {
            let seconds = number.as_u64().map_or(0, |time_ns| time_ns / 1_000_000_000);
            if seconds > SERVED_S && seconds < SERVED_S * 2 {
                *json = Json::String("now".into());
            }
        }
        Json::Array(items) => items.iter_mut().for_each(forget_now),
        Json::Object(members) => members.values_mut().for_each(forget_now),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn times_of_the_servers_are_not_compared() {
        let (a, b) = (
            answer("{\"v\":[[1795381194462936954,1]]}"),
            answer("{\"v\":[[1795381195000000000,1]]}"),
        );
        let group = Group {
            name: "w".into(),
            ghosts: Ghosts::default(),
        };
        assert!(group.same("", &a, &b));
        let c = answer("{\"v\":[[1500000000000000000,1]]}");
        assert!(!group.same("", &a, &c));
        let near = answer("{\"v\":[[1500000000000000001,1]]}");
        assert!(!group.same("", &c, &near));
    }
}
