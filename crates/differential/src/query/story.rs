//! A data set told to both servers, and what they say of it.

use anyhow::ensure;
use serde_json::Value as Json;

use super::data::{DataSet, HOUR_NS, Step, shard_of};
use super::known;
use crate::compare::{same, same_answer};
use crate::http::Answer;
use crate::server::{Pair, Server};

/// The database that all stories are about; that of the golden ones too.
pub(super) const DATABASE: &str = "db";
/// How often a judge that gave an answer is asked whether it stands by it.
const ASK_AGAIN: usize = 7;

/// A data set on its way to both servers, and what is asked after a statement that changes something.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) shard_duration: String,
    pub(super) steps: Vec<Step>,
    /// Asked after each statement, and compared with it; not if empty.
    pub(super) after: String,
}

/// What came of a statement.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Same(Answer),
    /// The judge does not say the same twice.
    Contradicted,
    /// It is meant to differ, by this name.
    Known(&'static str),
    Differs {
        judged: Answer,
        ours: Answer,
    },
}

impl Story {
    pub(super) fn of(set: &DataSet) -> Self {
        Self {
            shard_duration: set.shard_duration.clone(),
            steps: set.steps.clone(),
            after: String::new(),
        }
    }

    /// The statements that begin it.
    pub(super) fn opening(&self) -> [String; 2] {
        [
            format!("DROP DATABASE {DATABASE}"),
            format!(
                "CREATE DATABASE {DATABASE} WITH DURATION INF SHARD DURATION {}",
                self.shard_duration
            ),
        ]
    }

    /// Makes the database anew on both.
    pub(super) fn tell(&self, pair: &mut Pair) -> anyhow::Result<()> {
        for server in [&mut pair.judge, &mut pair.ours] {
            self.tell_one(server)?;
        }
        Ok(())
    }

    fn tell_one(&self, server: &mut Server) -> anyhow::Result<()> {
        for statement in self.opening() {
            let answer = server.query("", &statement)?;
            let text = answer.text();
            ensure!(
                answer.status == 200 && !text.contains("\"error\""),
                "{}: {statement}: {text}",
                server.name
            );
        }
        let mut lines = String::new();
        for step in &self.steps {
            match step {
                Step::Line(line) => {
                    lines.push_str(line);
                    lines.push('\n');
                }
                Step::Statement(statement) => {
                    write(server, &mut lines)?;
                    server.query(DATABASE, statement)?;
                }
            }
        }
        write(server, &mut lines)
    }

    /// Asks both.
    pub(super) fn ask(&self, pair: &mut Pair, statement: &str) -> anyhow::Result<Outcome> {
        let judged = self.ask_one(&mut pair.judge, statement)?;
        let ours = self.ask_one(&mut pair.ours, statement)?;
        if same_answer(&judged, &ours) {
            return Ok(Outcome::Same(judged));
        }
        for _ in 0..ASK_AGAIN {
            let again = self.ask_one(&mut pair.judge, statement)?;
            if !same_answer(&judged, &again) {
                return Ok(Outcome::Contradicted);
            }
        }
        // What depends on the time of asking has moved on meanwhile.
        let ours = self.ask_one(&mut pair.ours, statement)?;
        if same_answer(&judged, &ours) {
            return Ok(Outcome::Contradicted);
        }
        if let Some(name) = known::name(statement, &judged.text(), &ours.text()) {
            return Ok(Outcome::Known(name));
        }
        if known::limits_series(statement) && self.has_several_shards() {
            return Ok(Outcome::Known(known::SERIES_LIMITS));
        }
        if in_other_order(&judged, &ours) {
            return Ok(Outcome::Known(known::EQUAL_TIMES));
        }
        let is_refused = |answer: &Answer| answer.text().contains("\"error\"");
        let any_refused = is_refused(&judged) || is_refused(&ours);
        if self.has_deletions() && (any_refused || !self.same_fields(pair)?) {
            return Ok(Outcome::Known(known::DELETIONS));
        }
        if self.differs_by_equal_times(pair, statement)? {
            return Ok(Outcome::Known(known::EQUAL_TIMES));
        }
        Ok(Outcome::Differs { judged, ours })
    }

    fn has_deletions(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::Statement(_)))
    }

    /// True if both know the same fields.
    fn same_fields(&self, pair: &mut Pair) -> anyhow::Result<bool> {
        let judged = pair.judge.query(DATABASE, "SHOW FIELD KEYS")?;
        let ours = pair.ours.query(DATABASE, "SHOW FIELD KEYS")?;
        Ok(same_answer(&judged, &ours))
    }

    /// True if its points may be in several shards.
    fn has_several_shards(&self) -> bool {
        let times = self.steps.iter().filter_map(|step| match step {
            Step::Line(line) => line.rsplit_once(' ')?.1.parse::<i64>().ok(),
            Step::Statement(_) => None,
        });
        let hours = self.shard_duration.trim_end_matches('h').parse::<i64>();
        let shard_ns = hours.unwrap_or(1).saturating_mul(HOUR_NS);
        let mut shards = times.map(|time_ns| shard_of(time_ns, shard_ns));
        shards
            .next()
            .is_some_and(|first| shards.any(|shard| shard != first))
    }

    /// True if both answer the same as soon as no two series have equal times.
    fn differs_by_equal_times(&self, pair: &mut Pair, statement: &str) -> anyhow::Result<bool> {
        let Some(apart) = self.apart() else {
            return Ok(false);
        };
        apart.tell(pair)?;
        let judged = apart.ask_one(&mut pair.judge, statement)?;
        let ours = apart.ask_one(&mut pair.ours, statement)?;
        self.tell(pair)?;
        Ok(same_answer(&judged, &ours))
    }

    /// The same story with some nanoseconds between the points of different series; `None` if there
    /// are no equal times.
    fn apart(&self) -> Option<Self> {
        let mut keys: Vec<String> = Vec::new();
        let mut times: Vec<(i64, usize)> = Vec::new();
        let mut has_equal = false;
        let mut apart = self.clone();
        for step in &mut apart.steps {
            let Step::Line(line) = step else { continue };
            let (rest, time) = line.rsplit_once(' ')?;
            let time_ns: i64 = time.parse().ok()?;
            let key = key_of(rest);
            let at = keys
                .iter()
                .position(|known| known == key)
                .unwrap_or_else(|| {
                    keys.push(key.to_owned());
                    keys.len() - 1
                });
            has_equal |= times
                .iter()
                .any(|&(other, of)| other == time_ns && of != at);
            times.push((time_ns, at));
            let shifted = time_ns + 2 * at as i64;
            *line = format!("{rest} {shifted}");
        }
        has_equal.then_some(apart)
    }

    /// The answer of one; where something is asked afterwards, both answers as one.
    fn ask_one(&self, server: &mut Server, statement: &str) -> anyhow::Result<Answer> {
        let mut answer = server.query(DATABASE, statement)?;
        if !self.after.is_empty() {
            let after = server.query(DATABASE, &self.after)?;
            let both = format!("[{},{}]", answer.text().trim(), after.text().trim());
            answer.body = both.into_bytes();
        }
        Ok(answer)
    }
}

/// True for answers that differ in nothing but the order of rows with equal times.
fn in_other_order(judged: &Answer, ours: &Answer) -> bool {
    let sorted = |answer: &Answer| {
        let mut json: Json = serde_json::from_slice(&answer.body).ok()?;
        for result in json.get_mut("results")?.as_array_mut()? {
            let all = result.get_mut("series").and_then(Json::as_array_mut);
            for series in all.into_iter().flatten() {
                let rows = series.get_mut("values")?.as_array_mut()?;
                rows.sort_by_key(|row| (row.get(0).and_then(Json::as_i64), row.to_string()));
            }
        }
        Some(json)
    };
    match (sorted(judged), sorted(ours)) {
        (Some(judged), Some(ours)) => same(&judged, &ours),
        _ => false,
    }
}

fn write(server: &mut Server, lines: &mut String) -> anyhow::Result<()> {
    if !lines.is_empty() {
        // What one shard refuses is compared too, by what can be read afterwards.
        server.write(DATABASE, "", lines.as_bytes())?;
        lines.clear();
    }
    Ok(())
}

/// Measurement and tags of a line: all before the first blank that is not escaped.
fn key_of(line: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        if byte == b' ' && !escaped {
            return &line[..at];
        }
        escaped = byte == b'\\' && !escaped;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(lines: &[&str]) -> Story {
        Story {
            shard_duration: "1h".to_owned(),
            steps: lines
                .iter()
                .map(|line| Step::Line((*line).to_owned()))
                .collect(),
            after: String::new(),
        }
    }

    #[test]
    fn equal_times_of_two_series_are_put_apart() {
        let apart = story(&["m,h=a\\ b f=1 5", "m f=2 5", "m f=3 6"]).apart();
        let expected = story(&["m,h=a\\ b f=1 5", "m f=2 7", "m f=3 8"]).steps;
        assert_eq!(apart.map(|apart| apart.steps), Some(expected));
        assert!(
            story(&["m f=1 5", "m f=2 5", "m,h=a f=1 6"])
                .apart()
                .is_none()
        );
    }
}
