//! Batches that go one after another into one database, fresh on both servers, and what is read of it
//! at the end.

use serde_json::Value as Json;

use crate::compare::{same, same_answer};
use crate::http::Answer;
use crate::server::Pair;
use crate::write::batch::Batch;
use crate::write::known::known;
use crate::write::line::first_lines;

/// What is asked when all is written; the whole database.
const READS: [&str; 5] = [
    "SHOW MEASUREMENTS",
    "SHOW FIELD KEYS",
    "SELECT * FROM /.*/ GROUP BY *",
    "SHOW SERIES",
    "SHOW TAG KEYS",
];
/// What is asked instead once there may be series that only the judge keeps: what does not show them.
const READS_WITHOUT_SERIES: [&str; 2] = ["SHOW FIELD KEYS", "SELECT *::field FROM /.*/"];
/// Times from this on were given by a server, in seconds: no line has one.
const SERVED_S: u64 = 1_700_000_000;

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Outcome {
    Same {
        /// With an error.
        refused: bool,
    },
    /// By name. What both hold may differ from now on.
    Known(&'static str),
    Differs {
        judged: Answer,
        ours: Answer,
    },
}

/// A database.
pub(super) struct Group {
    name: String,
    /// There may be series that only the judge keeps: of points that were dropped.
    conflict: bool,
}

impl Group {
    /// Makes database `number`.
    pub(super) fn begin(pair: &mut Pair, number: u64) -> anyhow::Result<Self> {
        let name = format!("w{number}");
        let group = Self {
            name,
            conflict: false,
        };
        let statement = format!("CREATE DATABASE {}", group.name);
        pair.judge.query("", &statement)?;
        pair.ours.query("", &statement)?;
        let lines = first_lines();
        pair.judge.write(&group.name, "", &lines)?;
        pair.ours.write(&group.name, "", &lines)?;
        Ok(group)
    }

    /// Drops it.
    pub(super) fn end(self, pair: &mut Pair) -> anyhow::Result<()> {
        let statement = format!("DROP DATABASE {}", self.name);
        pair.judge.query("", &statement)?;
        pair.ours.query("", &statement)?;
        Ok(())
    }

    /// Writes a batch to both.
    pub(super) fn write(&mut self, pair: &mut Pair, batch: &Batch) -> anyhow::Result<Outcome> {
        let database = batch.database.unwrap_or(&self.name);
        let judged = pair
            .judge
            .write(database, &batch.parameters, &batch.judged_body())?;
        let ours = pair
            .ours
            .write(database, &batch.parameters, &batch.body())?;
        let dropped = ["field type conflict: input field", "invalid field name"];
        let theirs = judged.text();
        self.conflict |= dropped.iter().any(|text| theirs.contains(text));
        if same_answer(&judged, &ours) {
            return Ok(Outcome::Same {
                refused: judged.status != 204,
            });
        }
        Ok(match known(batch, &judged, &ours) {
            Some(name) => Outcome::Known(name),
            None => Outcome::Differs { judged, ours },
        })
    }

    /// Reads all of it from both; what differs first is returned, with its question.
    pub(super) fn compare(
        &self,
        pair: &mut Pair,
    ) -> anyhow::Result<Option<(&'static str, Answer, Answer)>> {
        let reads = if self.conflict {
            &READS_WITHOUT_SERIES[..]
        } else {
            &READS
        };
        for &read in reads {
            let judged = pair.judge.query(&self.name, read)?;
            let ours = pair.ours.query(&self.name, read)?;
            if judged.body != ours.body && !same_but_for_now(&judged, &ours, self.conflict) {
                return Ok(Some((read, judged, ours)));
            }
        }
        Ok(None)
    }
}

/// True when two answers are the same but for times that the servers gave themselves, and, with
/// `in_any_order`, for the order of rows: those of different series may have equal times.
fn same_but_for_now(a: &Answer, b: &Answer, in_any_order: bool) -> bool {
    match (
        serde_json::from_slice(&a.body),
        serde_json::from_slice(&b.body),
    ) {
        (Ok(mut x), Ok(mut y)) => {
            for json in [&mut x, &mut y] {
                forget_now(json);
                if in_any_order {
                    sort_rows(json);
                }
            }
            same(&x, &y)
        }
        _ => false,
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

fn sort_rows(answer: &mut Json) {
    for result in answer["results"].as_array_mut().into_iter().flatten() {
        for series in result["series"].as_array_mut().into_iter().flatten() {
            if let Some(rows) = series["values"].as_array_mut() {
                rows.sort_by_cached_key(Json::to_string);
            }
        }
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
        assert!(same_but_for_now(&a, &b, false));
        let c = answer("{\"v\":[[1500000000000000000,1]]}");
        assert!(!same_but_for_now(&a, &c, false));
        let near = answer("{\"v\":[[1500000000000000001,1]]}");
        assert!(!same_but_for_now(&c, &near, false));
        let rows = |rows: &str| {
            answer(&format!(
                "{{\"results\":[{{\"series\":[{{\"values\":[{rows}]}}]}}]}}"
            ))
        };
        let (a, b) = (rows("[1,2],[1,3]"), rows("[1,3],[1,2]"));
        assert!(same_but_for_now(&a, &b, true) && !same_but_for_now(&a, &b, false));
    }
}
