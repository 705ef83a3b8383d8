//! A data set told to both servers, and what they say of it.

use anyhow::ensure;
use serde_json::Value as Json;

use super::answers::{
    differs_by_part_of, differs_where_large, has_equal_times, is_alike, names_no_more,
    refuses_alike_but_types, shows_more_fields,
};
use super::data::{DataSet, Step};
use super::deletion::{Deletion, key_of};
use super::known::{self, Proof};
use super::variants::{ONE_SHARD, RENAMED, with_renamed_tag};
use super::{Asked, Judge, rewrite};
use crate::compare::{same, same_answer};
use crate::http::Answer;
use crate::server::Server;

/// The database that all stories are about; that of the golden ones too.
pub(super) const DATABASE: &str = "db";
/// Where `SELECT … INTO` writes that names what it reads.
pub(super) const COPY: &str = "copy";
/// Causes that one difference may have, one inside of the other; past them it has none.
const DEPTH_MAX: usize = 5;
/// How often a judge that gave an answer is asked whether it stands by it.
const ASK_AGAIN: usize = 7;
/// How often it is asked until it says what we say, where it chooses by chance.
const ASK_FOR_OURS: usize = 100;
/// The name of the way that the server takes.
const SERVED: &str = "served";

/// A data set on its way to all that are asked, and what goes with a statement.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) shard_duration: String,
    pub(super) steps: Vec<Step>,
    /// The engine of this process brings its rows into files after so many steps; `None` leaves them in memory.
    pub(super) flush_after: Option<usize>,
}

/// What came of a statement.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Same(Answer),
    /// The same, once it is known which numbers are floats.
    Close(Answer),
    /// The judge does not say the same twice.
    Contradicted,
    /// The judge has taken all the time that it is given, and says nothing.
    GaveUp,
    /// It is meant to differ, by this name.
    Known(&'static str),
    Differs {
        judged: Answer,
        ours: Answer,
    },
    /// Two ways of running the statement here differ: their names, and what they say.
    WaysDiffer([(&'static str, String); 2]),
}

impl Outcome {
    /// True where nothing differs that has no name.
    const fn is_explained(&self) -> bool {
        matches!(
            self,
            Self::Same(_) | Self::Close(_) | Self::Contradicted | Self::GaveUp | Self::Known(_)
        )
    }
}

impl Story {
    pub(super) fn of(set: &DataSet) -> Self {
        Self {
            shard_duration: set.shard_duration.clone(),
            steps: set.steps.clone(),
            flush_after: set.flush_after,
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

    /// Makes the database anew for all.
    pub(super) fn tell(&self, judge: &mut Judge) -> anyhow::Result<()> {
        for server in [&mut judge.pair.judge, &mut judge.pair.ours] {
            self.tell_one(server)?;
        }
        let engine = &judge.engine;
        for statement in self.opening() {
            engine.change("", &statement)?;
        }
        let mut lines = String::new();
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Line(line) => {
                    lines.push_str(line);
                    lines.push('\n');
                }
                Step::Deletion(deletion) => {
                    engine.write(DATABASE, lines.as_bytes())?;
                    lines.clear();
                    engine.change(DATABASE, &deletion.to_string())?;
                }
            }
            if self.flush_after == Some(at) {
                engine.write(DATABASE, lines.as_bytes())?;
                lines.clear();
                engine.flush()?;
            }
        }
        engine.write(DATABASE, lines.as_bytes())
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
                Step::Deletion(deletion) => {
                    write(server, &mut lines)?;
                    server.query(DATABASE, &deletion.to_string())?;
                }
            }
        }
        write(server, &mut lines)
    }

    /// Goes on with a deletion.
    pub(super) fn deletes(&mut self, judge: &mut Judge, deletion: Deletion) -> anyhow::Result<()> {
        let text = deletion.to_string();
        for server in [&mut judge.pair.judge, &mut judge.pair.ours] {
            server.query(DATABASE, &text)?;
        }
        judge.engine.change(DATABASE, &text)?;
        self.steps.push(Step::Deletion(deletion));
        Ok(())
    }

    /// Asks all.
    pub(super) fn ask(&self, judge: &mut Judge, asked: &Asked) -> anyhow::Result<Outcome> {
        let judged = asked.of(&mut judge.pair.judge)?;
        if judged.text().contains("query-timeout limit exceeded") {
            return Ok(Outcome::GaveUp);
        }
        let ours = asked.of(&mut judge.pair.ours)?;
        let here = ask_ways(judge, asked, &ours)?;
        if let Some(ways) = here.differing {
            // What is remembered of deleted points depends on what was in files by then.
            if ways[1].0 == SERVED && self.is_served_alike(judge, asked)? {
                return Ok(Outcome::Known(known::DELETIONS));
            }
            if self.is_rounding(judge, asked, &ways)? {
                return Ok(Outcome::Known(known::ROUNDING));
            }
            return Ok(Outcome::WaysDiffer(ways));
        }
        if same_answer(&judged, &ours) {
            return Ok(Outcome::Same(judged));
        }
        if here.says(&judged) {
            return Ok(Outcome::Close(judged));
        }
        for _ in 0..ASK_AGAIN {
            let again = asked.of(&mut judge.pair.judge)?;
            if !same_answer(&judged, &again) {
                return Ok(Outcome::Contradicted);
            }
        }
        // What depends on the time of asking has moved on meanwhile.
        let ours = asked.of(&mut judge.pair.ours)?;
        if same_answer(&judged, &ours) {
            return Ok(Outcome::Contradicted);
        }
        if judge.depth < DEPTH_MAX {
            judge.depth += 1;
            let name = self.name(judge, asked, &judged, &ours);
            judge.depth -= 1;
            if let Some(name) = name? {
                return Ok(Outcome::Known(name));
            }
        }
        Ok(Outcome::Differs { judged, ours })
    }

    /// The name of a difference, if it is meant.
    fn name(
        &self,
        judge: &mut Judge,
        asked: &Asked,
        judged: &Answer,
        ours: &Answer,
    ) -> anyhow::Result<Option<&'static str>> {
        if in_other_order(judged, ours) {
            return Ok(Some(known::EQUAL_TIMES));
        }
        let (judged, ours_text) = (judged.text(), ours.text());
        if let Some(name) = self.name_of_one(judge, asked, (&judged, &ours_text))? {
            return Ok(Some(name));
        }
        for rule in &known::RULES {
            if !(rule.fits)(&asked.statement, &judged, &ours_text) {
                continue;
            }
            if self.is_proved(judge, asked, (&judged, &ours_text), rule.proof)? {
                return Ok(Some(rule.name));
            }
        }
        let by_deletions = self.differs_by_deletions(judge, asked, &judged, ours)?;
        if by_deletions.is_some() {
            return Ok(by_deletions);
        }
        if self.differs_by_equal_times(judge, asked)? {
            return Ok(Some(known::EQUAL_TIMES));
        }
        Ok(None)
    }

    /// The name of the difference of one of several statements, each of which is answered as it is by itself.
    fn name_of_one(
        &self,
        judge: &mut Judge,
        asked: &Asked,
        (judged, ours): (&str, &str),
    ) -> anyhow::Result<Option<&'static str>> {
        let statements = rewrite::one_by_one(&asked.statement);
        let (Some(judged), Some(ours)) = (results(judged), results(ours)) else {
            return Ok(None);
        };
        if statements.is_empty()
            || statements.len() != judged.len()
            || statements.len() != ours.len()
        {
            return Ok(None);
        }
        let mut name = None;
        for (statement, answers) in statements.into_iter().zip(judged.iter().zip(&ours)) {
            let alone = asked.with(statement);
            let by_itself = [&mut judge.pair.judge, &mut judge.pair.ours]
                .map(|server| anyhow::Ok(results(&alone.of(server)?.text())));
            let [judged, ours] = by_itself;
            let is_by_itself = |result: &Json, alone: Option<Vec<Json>>| matches!(alone.as_deref(), Some([one]) if same(result, one));
            if !is_by_itself(answers.0, judged?) || !is_by_itself(answers.1, ours?) {
                return Ok(None);
            }
            match self.ask(judge, &alone)? {
                Outcome::Known(own) => name = name.or(Some(own)),
                outcome if outcome.is_explained() => {}
                _ => return Ok(None),
            }
        }
        Ok(name)
    }

    /// Whether two ways here differ by no more than the last digit of a float, as the judge may.
    fn is_rounding(
        &self,
        judge: &mut Judge,
        asked: &Asked,
        [(_, plain), (_, other)]: &[(&'static str, String); 2],
    ) -> anyhow::Result<bool> {
        if judge.depth >= DEPTH_MAX {
            return Ok(false);
        }
        let rules = known::RULES
            .iter()
            .filter(|rule| rule.name == known::ROUNDING);
        for rule in rules {
            if !(rule.fits)(&asked.statement, plain, other) {
                continue;
            }
            judge.depth += 1;
            let proved = self.is_proved(judge, asked, (plain, other), rule.proof);
            judge.depth -= 1;
            if proved? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether what a rule has to prove of two answers holds.
    fn is_proved(
        &self,
        judge: &mut Judge,
        asked: &Asked,
        (judged, ours): (&str, &str),
        proof: Proof,
    ) -> anyhow::Result<bool> {
        let statement = &asked.statement;
        Ok(match proof {
            Proof::Answers => true,
            Proof::Without(without) => self.are_explained(judge, asked, without(statement))?,
            Proof::Plainly(without) => match without(statement) {
                Some(statement) => self.ask(judge, &Asked::plainly(statement))?.is_explained(),
                None => false,
            },
            Proof::WithoutLarge(without) => match without(statement) {
                Some(statement) => match self.ask(judge, &asked.with(statement))? {
                    Outcome::Same(other) | Outcome::Close(other) => {
                        differs_where_large(judged, ours, &other.text())
                    }
                    _ => false,
                },
                None => false,
            },
            Proof::WithoutSmall(without) => match without(statement) {
                Some(statement) => match self.ask(judge, &asked.with(statement))? {
                    Outcome::Same(other) | Outcome::Close(other) => {
                        differs_by_part_of(judged, ours, &other.text())
                    }
                    _ => false,
                },
                None => false,
            },
            Proof::OfEqualTimes(with) => match with(statement) {
                Some(statement) => {
                    let asked = asked.with(statement);
                    let rows = asked.of(&mut judge.pair.ours)?;
                    has_equal_times(&rows.text()) && self.ask(judge, &asked)?.is_explained()
                }
                None => false,
            },
            Proof::OneShard(without) => {
                self.shard_duration != ONE_SHARD
                    && self.are_explained(judge, asked, without(statement))?
                    && self.differs_by_shards(judge, asked)?
            }
            Proof::Together => {
                self.shard_duration != ONE_SHARD && self.differs_by_shards(judge, asked)?
            }
            Proof::Renamed => self.differs_by_order_of_groups(judge, asked, ours)?,
            Proof::OneByOne => self.are_explained(judge, asked, rewrite::one_by_one(statement))?,
            Proof::AskedAgain => {
                for _ in 0..ASK_FOR_OURS {
                    if is_alike(&asked.of(&mut judge.pair.judge)?.text(), ours) {
                        return Ok(true);
                    }
                }
                false
            }
        })
    }

    /// Whether there are such statements, and nothing differs without a name in any of them.
    fn are_explained(
        &self,
        judge: &mut Judge,
        asked: &Asked,
        statements: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<bool> {
        let mut any = false;
        for statement in statements {
            any = true;
            if !self.ask(judge, &asked.with(statement))?.is_explained() {
                return Ok(false);
            }
        }
        Ok(any)
    }

    /// True if both answer the same as soon as all data lies in one shard.
    fn differs_by_shards(&self, judge: &mut Judge, asked: &Asked) -> anyhow::Result<bool> {
        self.is_explained_by(&self.in_one_shard(), judge, asked)
    }

    /// True if both answer the same as soon as another tag is the first one, and ours is what it was.
    fn differs_by_order_of_groups(
        &self,
        judge: &mut Judge,
        asked: &Asked,
        ours: &str,
    ) -> anyhow::Result<bool> {
        let statement = with_renamed_tag(&asked.statement);
        let Some((renamed, statement)) = self.renamed().zip(statement) else {
            return Ok(false);
        };
        let asked = asked.with(statement);
        let (again, is_explained) = self.instead(&renamed, judge, |judge| {
            let again = asked.of(&mut judge.pair.ours)?;
            Ok((again, renamed.ask(judge, &asked)?.is_explained()))
        })?;
        let [from, to] = RENAMED;
        Ok(is_explained && is_alike(&again.text().replace(to, from), ours))
    }

    /// True if both refuse nothing, or the same, when nothing is deleted.
    fn differs_by_deletions_alone(&self, judge: &mut Judge, asked: &Asked) -> anyhow::Result<bool> {
        match self.without_deletions() {
            Some(whole) => self.is_explained_by(&whole, judge, asked),
            None => Ok(false),
        }
    }

    /// The name of a difference that deletions make: ours is what it is without ever having had what was deleted,
    /// and both answer the same then. It may show besides, and nothing under them, some of the names that the judge
    /// remembers.
    fn differs_by_deletions(
        &self,
        judge: &mut Judge,
        asked: &Asked,
        judged: &str,
        ours: &Answer,
    ) -> anyhow::Result<Option<&'static str>> {
        let Some(kept) = self.without_deleted() else {
            return Ok(None);
        };
        let (again, is_explained) = self.instead(&kept, judge, |judge| {
            let again = asked.of(&mut judge.pair.ours)?;
            Ok((again, kept.ask(judge, asked)?.is_explained()))
        })?;
        let shows_some = shows_more_fields(&ours.text(), &again.text());
        let names_some = shows_some && names_no_more(&ours.text(), judged)
            || refuses_alike_but_types(judged, &ours.text());
        let refuses_type = |text: &str| text.contains(" iterator type");
        // A type that is remembered is refused, or not.
        let by_type = is_explained
            && refuses_type(judged) != refuses_type(&ours.text())
            && self.differs_by_deletions_alone(judge, asked)?;
        Ok(if !is_explained {
            None
        } else if same_answer(ours, &again) || names_some || by_type {
            Some(known::DELETIONS)
        } else {
            (shows_some && self.writes_again()).then_some(known::WRITTEN_AGAIN)
        })
    }

    /// Whether a series is written again after a deletion has taken some of it.
    fn writes_again(&self) -> bool {
        let mut written: Vec<&str> = Vec::new();
        let mut taken: Vec<&str> = Vec::new();
        for step in &self.steps {
            match step {
                Step::Line(line) if taken.contains(&key_of(line)) => return true,
                Step::Line(line) => written.push(line),
                Step::Deletion(deletion) => {
                    let gone = written.iter().filter(|line| deletion.takes(line));
                    taken.extend(gone.map(|line| key_of(line)));
                }
            }
        }
        false
    }

    /// Whether the server says what the plain executor says where what is deleted was never told.
    fn is_served_alike(&self, judge: &mut Judge, asked: &Asked) -> anyhow::Result<bool> {
        let Some(kept) = self.without_deleted() else {
            return Ok(false);
        };
        self.instead(&kept, judge, |judge| {
            let ours = asked.of(&mut judge.pair.ours)?;
            Ok(ask_ways(judge, asked, &ours)?.differing.is_none())
        })
    }

    /// True if both answer the same as soon as no two series have equal times.
    fn differs_by_equal_times(&self, judge: &mut Judge, asked: &Asked) -> anyhow::Result<bool> {
        match self.apart() {
            Some(apart) => self.is_explained_by(&apart, judge, asked),
            None => Ok(false),
        }
    }

    /// Whether nothing differs without a name where `other` is told instead. Afterwards this one is told again.
    fn is_explained_by(
        &self,
        other: &Self,
        judge: &mut Judge,
        asked: &Asked,
    ) -> anyhow::Result<bool> {
        self.instead(other, judge, |judge| {
            Ok(other.ask(judge, asked)?.is_explained())
        })
    }

    /// What `ask` finds while `other` is told; afterwards this one is told again.
    fn instead<T>(
        &self,
        other: &Self,
        judge: &mut Judge,
        ask: impl FnOnce(&mut Judge) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        other.tell(judge)?;
        let found = ask(judge)?;
        self.tell(judge)?;
        Ok(found)
    }
}

/// The results of an answer, without the numbers of their statements.
fn results(text: &str) -> Option<Vec<Json>> {
    let mut json: Json = serde_json::from_str(text).ok()?;
    let mut results = std::mem::take(json.get_mut("results")?.as_array_mut()?);
    for result in &mut results {
        result.as_object_mut()?.remove("statement_id");
    }
    Some(results)
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

/// What a statement comes to in this process.
#[derive(Default)]
struct Here {
    /// What the plain way says, in which floats are told from integers; `None` for what is not asked here.
    plain: Option<Json>,
    /// Two ways that differ, and what they say.
    differing: Option<[(&'static str, String); 2]>,
}

impl Here {
    /// Whether that is what the judge says. Held against the server's, a float without a fraction may pass for an
    /// integer.
    fn says(&self, judged: &Answer) -> bool {
        let judged = serde_json::from_slice::<Json>(&judged.body).ok();
        match (&self.plain, judged) {
            (Some(plain), Some(judged)) => same(&judged, plain),
            _ => false,
        }
    }
}

/// Runs a statement by every way in this process. What the server says is held against the plain way.
fn ask_ways(judge: &Judge, asked: &Asked, ours: &Answer) -> anyhow::Result<Here> {
    if !asked.is_plain() {
        return Ok(Here::default());
    }
    let Some(answers) = judge.engine.ask(DATABASE, &asked.statement)? else {
        return Ok(Here::default());
    };
    let [(_, plain), others @ ..] = answers;
    // What is told by the hour, or cannot be told in JSON, is no difference.
    let is_of_now = asked.statement.to_ascii_lowercase().contains("now");
    let served = serde_json::from_slice::<Json>(&ours.body).ok();
    let is_told = !ours.text().contains("json: unsupported value: ");
    let served = served.filter(|json| json.get("results").is_some() && is_told && !is_of_now);
    let mut others = others
        .into_iter()
        .chain(served.map(|served| (SERVED, served)));
    let differing = others.find(|(_, other)| !same(&plain, other));
    let differing =
        differing.map(|(name, other)| [("plain", plain.to_string()), (name, other.to_string())]);
    Ok(Here {
        plain: is_told.then_some(plain),
        differing,
    })
}
