//! Random statements over random data.
//!
//! A data set is written to both servers, and then a few hundred statements are asked of both. An answer
//! that differs is asked again of the judge: one that contradicts itself is skipped and counted.
//! A difference that has a name (see [`known`]) is counted under it; every other one is shrunk to few
//! points and a short statement, and printed in the form of the stories in `query/tests/golden`.
//!
//! A `SELECT` is also run in this process, plainly and by its fast paths, which have to give the same.
//! Now and then what was answered alike is asked once more in another form: other units of time, in pieces,
//! with parameters, several statements in one request.

mod answers;
mod asked;
mod condition;
mod data;
mod deletion;
mod fields;
mod functions;
mod known;
mod pieces;
mod rewrite;
mod rounding;
mod select;
mod show;
mod shrink;
mod story;
mod tokens;
mod variants;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;

use crate::args::Args;
use crate::engine::Engine;
use crate::random::Random;
use crate::server::Pair;

use asked::Asked;
use data::DataSet;
use story::{COPY, Outcome, Story};

/// Statements over one data set.
const STATEMENTS: usize = 250;
/// Between two lines that say how far it is.
const TELL_EVERY: Duration = Duration::from_secs(15);

/// Asked when a set ends with a deletion.
const WHAT_IS_LEFT: [&str; 3] = [
    "SELECT * FROM /.*/ GROUP BY *",
    "SHOW SERIES",
    "SELECT count(f), sum(i) FROM /.*/ GROUP BY host",
];

/// Makes statements over a data set.
struct Asker<'a> {
    random: &'a mut Random,
    set: &'a DataSet,
}

impl Asker<'_> {
    /// What is asked as the statement with this number.
    fn asked(&mut self, at: usize) -> Asked {
        match at % 50 {
            49 => Asked::into_copy(self.select_into(&format!("{COPY}..into"))),
            24 => Asked::into_copy(self.select_into(&format!("{COPY}.autogen.:MEASUREMENT"))),
            _ => Asked::plainly(self.next()),
        }
    }

    /// What is asked next: one statement, or two.
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

/// Who is asked.
#[derive(Debug)]
struct Judge {
    pair: Pair,
    engine: Engine,
    /// How many stories and statements deep a difference is being explained.
    depth: usize,
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
    /// Skipped, because the judge gave none in its time.
    gave_up: u64,
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
    let mut judge = Judge {
        pair: Pair::start(&args.places)?,
        engine: Engine::open(&args.places.work.join("engine"))?,
        depth: 0,
    };
    // It is there from the start, for agents.
    judge.pair.ours.query("", "DROP DATABASE telegraf")?;
    for server in [&mut judge.pair.judge, &mut judge.pair.ours] {
        server.query("", &format!("CREATE DATABASE {COPY}"))?;
    }
    judge
        .engine
        .change("", &format!("CREATE DATABASE {COPY}"))?;
    let deadline = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0);
    let mut told = Instant::now();
    let mut tally = Tally::default();
    let over =
        |tally: &Tally| Instant::now() > deadline || tally.differences >= args.differences_max;
    while !over(&tally) && args.sets_max.is_none_or(|max| tally.sets < max) {
        let mut random = Random::new(seed.wrapping_add(tally.sets).wrapping_mul(0x9E37_79B9));
        let set = DataSet::random(&mut random);
        let story = Story::of(&set);
        story.tell(&mut judge)?;
        tally.sets += 1;
        if let Some(statement) = &args.statement {
            let asked = Asked::plainly(statement.clone());
            compare(&mut judge, &story, &asked, &mut tally)?;
            break;
        }
        let mut previous: Option<String> = None;
        for at in 0..STATEMENTS {
            let mut asker = Asker {
                random: &mut random,
                set: &set,
            };
            let asked = asker.asked(at);
            let equal = compare(&mut judge, &story, &asked, &mut tally)?;
            if let (Some(answer), true) = (equal, asked.is_plain()) {
                if random.chance(12) {
                    let other = asked.in_other_form(previous.as_deref(), &mut random);
                    compare(&mut judge, &story, &other, &mut tally)?;
                }
                // What fails ends a request of several.
                if !answer.contains("\"error\"") {
                    previous = Some(asked.statement);
                }
            }
            if over(&tally) {
                break;
            }
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                println!("{} …", tally.line());
            }
        }
        if !over(&tally) {
            let mut less = story.clone();
            less.deletes(&mut judge, set.deletion(&mut random))?;
            for statement in WHAT_IS_LEFT {
                let asked = Asked::plainly(statement.to_owned());
                compare(&mut judge, &less, &asked, &mut tally)?;
            }
        }
    }
    println!("{}", tally.line());
    println!("ways taken, usually and eagerly: {}", judge.engine.counts());
    Ok(tally.differences == 0)
}

/// Asks all, and sees to a difference; the answer when all gave the same.
fn compare(
    judge: &mut Judge,
    story: &Story,
    asked: &Asked,
    tally: &mut Tally,
) -> anyhow::Result<Option<String>> {
    tally.statements += 1;
    let outcome = story.ask(judge, asked);
    let outcome = outcome.with_context(|| format!("> {}{}", asked.statement, asked.form()))?;
    match &outcome {
        Outcome::Same(judged) | Outcome::Close(judged) => {
            let text = judged.text();
            tally.with_rows += u64::from(text.contains("\"values\""));
            tally.refused += u64::from(text.contains("\"error\""));
            // In another form it is no longer known which numbers are floats.
            let is_same = matches!(outcome, Outcome::Same(_));
            return Ok(is_same.then_some(text));
        }
        Outcome::Contradicted => {
            tally.contradicted += 1;
            return Ok(None);
        }
        Outcome::GaveUp => {
            tally.gave_up += 1;
            return Ok(None);
        }
        Outcome::Known(name) => {
            *tally.known.entry(name).or_default() += 1;
            return Ok(None);
        }
        Outcome::Differs { .. } | Outcome::WaysDiffer(_) => {}
    }
    println!("set {}, statement {}:", tally.sets, tally.statements);
    println!("> {}{}", asked.statement, asked.form());
    show(&outcome);
    if shrink::shrink(judge, story, asked)? {
        tally.differences += 1;
    } else {
        tally.gone += 1;
        println!("(it is gone when all is told again from the start)\n");
    }
    story.tell(judge)?;
    Ok(None)
}

/// Prints a difference.
fn show(outcome: &Outcome) {
    let short = |text: &str| text.trim().chars().take(2_000).collect::<String>();
    match outcome {
        Outcome::Differs { judged, ours } => {
            println!("  influxd: {} {}", judged.status, short(&judged.text()));
            println!("  tandem:  {} {}", ours.status, short(&ours.text()));
        }
        Outcome::WaysDiffer(ways) => {
            for (name, text) in ways {
                println!("  {name}: {}", short(text));
            }
        }
        Outcome::Same(_)
        | Outcome::Close(_)
        | Outcome::Contradicted
        | Outcome::GaveUp
        | Outcome::Known(_) => {}
    }
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
             told again; skipped: judge contradicts itself {}, takes too long {}, known {} ({})",
            self.statements,
            self.sets,
            self.with_rows,
            self.refused,
            self.differences,
            self.gone,
            self.contradicted,
            self.gave_up,
            self.known.values().sum::<u64>(),
            known.join(", ")
        )
    }
}
