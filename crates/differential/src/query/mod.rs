//! Random statements over random data.
//!
//! A data set is written to both servers, and then a few hundred statements are asked of both. An answer
//! that differs is asked again of the judge: one that contradicts itself is skipped and counted.
//! A difference that has a name (see [`known`]) is counted under it; every other one is shrunk to few
//! points and a short statement, and printed in the form of the stories in `query/tests/golden`.

mod condition;
mod data;
mod known;
mod select;
mod show;
mod shrink;
mod story;
mod tokens;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;

use crate::args::Args;
use crate::http::Answer;
use crate::random::Random;
use crate::server::Pair;

use data::DataSet;
use story::{Outcome, Story};

/// Statements over one data set.
const STATEMENTS: usize = 250;
/// Between two lines that say how far it is.
const TELL_EVERY: Duration = Duration::from_secs(15);

/// Makes statements over a data set.
struct Asker<'a> {
    random: &'a mut Random,
    set: &'a DataSet,
}

impl Asker<'_> {
    /// What is asked next: one statement, or several, the last of which is compared.
    fn next(&mut self) -> String {
        let text = match self.random.below(20) {
            0..=3 => self.show(),
            _ => self.select(),
        };
        match self.random.below(40) {
            0..=3 => tokens::mutilate(&text, self.random),
            4 => format!("{text}; {}", self.show()),
            _ => text,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    sets: u64,
    statements: u64,
    /// Of them, those that gave rows.
    with_rows: u64,
    /// Of them, those that both refused with one text.
    refused: u64,
    /// Skipped, because the judge gave two answers.
    contradicted: u64,
    /// By name.
    known: BTreeMap<&'static str, u64>,
    /// Differences that were gone when all was told again from the start.
    gone: u64,
    differences: usize,
}

/// Compares until time is up; true when no difference was found.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let clock = SystemTime::UNIX_EPOCH.elapsed().context("read the clock")?;
    let seed = args.seed.unwrap_or(clock.as_secs());
    println!("differential query: seed {seed}");
    let mut pair = Pair::start(&args.places)?;
    // It is there from the start, for agents.
    pair.ours.query("", "DROP DATABASE telegraf")?;
    let deadline = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0);
    let mut told = Instant::now();
    let mut tally = Tally::default();
    let over = |tally: &Tally| {
        Instant::now() > deadline
            || tally.differences >= args.differences_max
            || args.sets_max.is_some_and(|max| tally.sets >= max)
    };
    while !over(&tally) {
        let mut random = Random::new(seed.wrapping_add(tally.sets).wrapping_mul(0x9E37_79B9));
        let set = DataSet::random(&mut random);
        let mut story = Story::of(&set);
        story.tell(&mut pair)?;
        tally.sets += 1;
        if let Some(statement) = &args.statement {
            compare(&mut pair, &mut story, statement, &mut tally)?;
            break;
        }
        for at in 0..STATEMENTS {
            let mut asker = Asker {
                random: &mut random,
                set: &set,
            };
            let statement = if at % 50 == 49 {
                let target = format!("into{at}");
                story.after = format!("SELECT * FROM {target} GROUP BY *");
                asker.select_into(&target)
            } else {
                story.after.clear();
                asker.next()
            };
            compare(&mut pair, &mut story, &statement, &mut tally)?;
            if over(&tally) {
                break;
            }
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                println!("{} …", tally.line());
            }
        }
    }
    println!("{}", tally.line());
    Ok(tally.differences == 0)
}

/// Asks both, and sees to a difference.
fn compare(
    pair: &mut Pair,
    story: &mut Story,
    statement: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    tally.statements += 1;
    let asked = story.ask(pair, statement);
    let (judged, ours) = match asked.with_context(|| format!("> {statement}"))? {
        Outcome::Same(judged) => {
            let text = judged.text();
            tally.with_rows += u64::from(text.contains("\"values\""));
            tally.refused += u64::from(text.contains("\"error\""));
            return Ok(());
        }
        Outcome::Contradicted => {
            tally.contradicted += 1;
            return Ok(());
        }
        Outcome::Known(name) => {
            *tally.known.entry(name).or_default() += 1;
            return Ok(());
        }
        Outcome::Differs { judged, ours } => (judged, ours),
    };
    println!("set {}, statement {}:", tally.sets, tally.statements);
    println!("> {statement}");
    show_both(&judged, &ours);
    if shrink::shrink(pair, story, statement)? {
        tally.differences += 1;
    } else {
        tally.gone += 1;
        println!("(it is gone when all is told again from the start)\n");
    }
    story.tell(pair)
}

fn show_both(judged: &Answer, ours: &Answer) {
    let short = |answer: &Answer| {
        let text = answer.text();
        text.trim().chars().take(2_000).collect::<String>()
    };
    println!("  influxd: {} {}", judged.status, short(judged));
    println!("  tandem:  {} {}", ours.status, short(ours));
}

impl Tally {
    fn line(&self) -> String {
        let known: Vec<String> = self
            .known
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        format!(
            "{} statements over {} data sets ({} with rows, {} refused): {} differences, {} more gone when \
             told again; skipped: judge contradicts itself {}, known {} ({})",
            self.statements,
            self.sets,
            self.with_rows,
            self.refused,
            self.differences,
            self.gone,
            self.contradicted,
            self.known.values().sum::<u64>(),
            known.join(", ")
        )
    }
}
