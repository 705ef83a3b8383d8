//! Random writes: the same status, the same text, and the same data read back.
//!
//! Batches go into a database that both servers have made anew, a group of them after another; half
//! of them hold lines that were spoiled. Each answer is compared, and at the end of a group all that
//! both hold. Differences that are meant are counted by name ([`known`]); what both hold may then
//! differ, so the group ends there and is not read. Any other difference is made small: as few lines
//! as still show it, alone in a database.

mod batch;
mod group;
mod known;
mod line;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;

use crate::args::Args;
use crate::http::Answer;
use crate::random::Random;
use crate::server::Pair;

use batch::Batch;
use group::{Group, Outcome, without_now};
use known::known_in_data;

/// Batches into one database.
const GROUP: usize = 100;
/// Batches after which it is read.
const READ_EVERY: usize = 25;
/// Between two lines that say how far it is.
const TELL_EVERY: Duration = Duration::from_secs(15);
/// Of a body that is shown.
const SHOWN_BYTES: usize = 1_500;

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    batches: u64,
    /// Of them, those that both answered with an error.
    refused: u64,
    groups: u64,
    /// Batches after which all was read and found the same.
    read: u64,
    /// By name.
    known: BTreeMap<&'static str, u64>,
    differences: usize,
}

/// What goes on while batches are compared.
struct Run<'a> {
    args: &'a Args,
    pair: Pair,
    tally: Tally,
    /// Databases that were made.
    databases: u64,
}

/// Compares until there were enough batches, or time is up; true when no difference was found.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let clock = SystemTime::UNIX_EPOCH.elapsed().context("read the clock")?;
    let seed = args.seed.unwrap_or(clock.as_secs());
    println!("differential write: seed {seed}");
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs_f64(args.minutes * 60.0);
    let mut told = begun;
    let mut run = Run {
        args,
        pair: Pair::start(&args.places)?,
        tally: Tally::default(),
        databases: 0,
    };
    loop {
        let is_over = match args.batches_max {
            Some(max) => run.tally.batches >= max,
            None => Instant::now() > deadline,
        };
        if is_over || run.tally.differences >= args.differences_max {
            break;
        }
        let group = seed.wrapping_add(run.tally.groups);
        run.group(&mut Random::new(group.wrapping_mul(0x9E37_79B9)))?;
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            println!("{} …", run.tally.line(begun.elapsed()));
        }
    }
    println!("{}", run.tally.line(begun.elapsed()));
    Ok(run.tally.differences == 0)
}

impl Run<'_> {
    fn begin(&mut self) -> anyhow::Result<Group> {
        self.databases += 1;
        Group::begin(&mut self.pair, self.databases)
    }

    /// Writes a group of batches, and reads it.
    fn group(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let batches: Vec<Batch> = (0..GROUP).map(|_| Batch::random(random)).collect();
        self.tally.groups += 1;
        let mut group = self.begin()?;
        for (at, batch) in batches.iter().enumerate() {
            self.tally.batches += 1;
            match group.write(&mut self.pair, batch)? {
                Outcome::Same { refused } => self.tally.refused += u64::from(refused),
                Outcome::Known(name) => {
                    *self.tally.known.entry(name).or_default() += 1;
                    return group.end(&mut self.pair);
                }
                Outcome::Differs { judged, ours } => {
                    self.differs("answer", &judged, &ours);
                    self.shrink(batch)?;
                    println!("(batch {at} of group {})\n", self.tally.groups);
                    return group.end(&mut self.pair);
                }
            }
            if let Some(name) = known_in_data(batch) {
                *self.tally.known.entry(name).or_default() += 1;
                return group.end(&mut self.pair);
            }
            if at % READ_EVERY < READ_EVERY - 1 {
                continue;
            }
            if let Some((read, judged, ours)) = group.compare(&mut self.pair)? {
                // A minute may have begun between one server's clock and the other's.
                if let Some(at) = self.first_unequal(&batches[..=at])? {
                    self.differs(read, &judged, &ours);
                    self.shrink(&batches[at])?;
                    println!("(batch {at} of group {})\n", self.tally.groups);
                }
                return group.end(&mut self.pair);
            }
            self.tally.read += READ_EVERY as u64;
        }
        group.end(&mut self.pair)
    }

    /// Writes the batches again, and returns the first after which the two hold something else.
    fn first_unequal(&mut self, batches: &[Batch]) -> anyhow::Result<Option<usize>> {
        let mut group = self.begin()?;
        let mut found = None;
        for (at, batch) in batches.iter().enumerate() {
            group.write(&mut self.pair, batch)?;
            if group.compare(&mut self.pair)?.is_some() {
                found = Some(at);
                break;
            }
        }
        group.end(&mut self.pair)?;
        Ok(found)
    }

    /// Whether a batch alone makes a difference.
    fn shows(&mut self, batch: &Batch) -> anyhow::Result<Option<(String, Answer, Answer)>> {
        let mut group = self.begin()?;
        let shown = match group.write(&mut self.pair, batch)? {
            Outcome::Differs { judged, ours } => Some(("answer".to_owned(), judged, ours)),
            Outcome::Known(_) => None,
            Outcome::Same { .. } if known_in_data(batch).is_some() => None,
            Outcome::Same { .. } => {
                let read = group.compare(&mut self.pair)?;
                read.map(|(read, judged, ours)| (read.to_owned(), judged, ours))
            }
        };
        group.end(&mut self.pair)?;
        Ok(shown)
    }

    /// Shows as few lines of a batch as still make a difference.
    fn shrink(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let Some(mut shown) = self.shows(batch)? else {
            println!("alone it makes no difference: {}", body(batch));
            return Ok(());
        };
        let mut small = batch.clone();
        let mut at = 0;
        while at < small.lines.len() && small.lines.len() > 1 {
            let mut smaller = small.clone();
            smaller.lines.remove(at);
            match self.shows(&smaller)? {
                Some(still) => (small, shown) = (smaller, still),
                None => at += 1,
            }
        }
        println!("made small:{} {}", small.parameters, body(&small));
        show(&shown.0, &shown.1, &shown.2);
        Ok(())
    }

    fn differs(&mut self, what: &str, judged: &Answer, ours: &Answer) {
        self.tally.differences += 1;
        println!(
            "difference {} of {}:",
            self.tally.differences, self.args.differences_max
        );
        show(what, judged, ours);
    }
}

fn show(what: &str, judged: &Answer, ours: &Answer) {
    println!("  {what}");
    let (theirs, own) = (without_now(judged), without_now(ours));
    // Of long answers, what is around the first byte that differs.
    let same = theirs
        .bytes()
        .zip(own.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let from = same.saturating_sub(if same > SHOWN_BYTES / 2 { 300 } else { same });
    let piece = |text: &str| {
        let bytes = text.as_bytes().get(from..).unwrap_or_default();
        let cut = &bytes[..bytes.len().min(SHOWN_BYTES)];
        String::from_utf8_lossy(cut).trim().to_owned()
    };
    println!("  influxd: {} {}", judged.status, piece(&theirs));
    println!("  tandem:  {} {}", ours.status, piece(&own));
}

fn body(batch: &Batch) -> String {
    let body = batch.body();
    let cut = &body[..body.len().min(SHOWN_BYTES)];
    format!("b\"{}\"", cut.escape_ascii())
}

impl Tally {
    fn line(&self, taken: Duration) -> String {
        let known: Vec<String> = self
            .known
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        format!(
            "{} batches in {} groups, {:.0} a second ({} refused by both, {} read back): \
             {} differences; known {} ({})",
            self.batches,
            self.groups,
            self.batches as f64 / taken.as_secs_f64().max(0.001),
            self.refused,
            self.read,
            self.differences,
            self.known.values().sum::<u64>(),
            known.join(", ")
        )
    }
}
