//! Random writes: the same status, the same text, and the same data read back.
//!
//! Batches go into a database that both servers have made anew; half of them hold lines that were
//! spoiled. Each answer is compared, and every few batches all that both hold. What differs on purpose
//! is rewritten for the judge ([`rewrite`]) or asked again by lines ([`pieces`]), so that nearly every batch
//! is compared in full; where the two must hold something else afterwards, all is read before, and the database
//! is made anew. Any other difference is made small: as few lines as still show it, alone in a database.

mod batch;
mod ghosts;
mod group;
mod judge;
mod line;
mod pieces;
mod rewrite;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;

use crate::args::Args;
use crate::random::Random;
use crate::server::Pair;

use batch::Batch;
use group::{Group, Outcome, Shown, without_now};
use pieces::is_without_time;
use rewrite::Rewritten;

/// Batches made of one seed.
const GROUP: usize = 100;
/// Batches after which all is read.
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
    /// Batches by the difference that was told apart in them.
    rules: BTreeMap<&'static str, u64>,
    /// Batches after which nothing could be read, by the difference that was the reason.
    apart: BTreeMap<&'static str, u64>,
    /// Readings that differed because a clock went on between one server's answer and the other's.
    clocks: u64,
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
    print!("{}", run.tally.rules());
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
        // The first batch in this database, and the first that was not read.
        let (mut first, mut unread) = (0, 0);
        for (at, batch) in batches.iter().enumerate() {
            let rewritten = rewritten(batch);
            if Group::may_part(batch, &rewritten) {
                if !self.read(&group, &batches[first..at], at - unread)? {
                    return group.end(&mut self.pair);
                }
                unread = at;
            }
            self.tally.batches += 1;
            let apart = match group.write(&mut self.pair, batch, &rewritten)? {
                Outcome::Same {
                    refused,
                    rules,
                    apart,
                } => {
                    self.tally.refused += u64::from(refused);
                    for rule in rules {
                        *self.tally.rules.entry(rule).or_default() += 1;
                    }
                    apart
                }
                Outcome::Differs(shown) => {
                    self.differs(&shown);
                    self.shrink(batch)?;
                    println!("(batch {at} of group {})\n", self.tally.groups);
                    return group.end(&mut self.pair);
                }
            };
            if let Some(rule) = apart {
                *self.tally.apart.entry(rule).or_default() += 1;
                group.end(&mut self.pair)?;
                group = self.begin()?;
                (first, unread) = (at + 1, at + 1);
            } else if at + 1 - unread >= READ_EVERY || at + 1 == batches.len() {
                if !self.read(&group, &batches[first..=at], at + 1 - unread)? {
                    break;
                }
                unread = at + 1;
            }
        }
        group.end(&mut self.pair)
    }

    /// Reads all that both hold after `batches`, of which so many were not read yet; false when it
    /// differs, and that is told.
    fn read(&mut self, group: &Group, batches: &[Batch], new: usize) -> anyhow::Result<bool> {
        if new == 0 {
            return Ok(true);
        }
        let Some(shown) = group.compare(&mut self.pair)? else {
            self.tally.read += new as u64;
            return Ok(true);
        };
        let unequal = self.first_unequal(batches)?;
        // An hour, or a second, may begin between one server's clock and the other's: then it is not the same again.
        let has_now =
            |batch: &Batch| is_without_time(&rewritten(batch).lines, batch.unit.precision());
        if unequal.is_none() && batches.iter().any(has_now) {
            self.tally.clocks += 1;
            self.tally.read += new as u64;
            return Ok(false);
        }
        self.differs(&shown);
        match unequal {
            Some(at) => self.shrink(&batches[at])?,
            None => println!("told again it makes no difference"),
        }
        println!("(group {})\n", self.tally.groups);
        Ok(false)
    }

    /// Writes the batches again, and returns the first after which the two hold something else.
    fn first_unequal(&mut self, batches: &[Batch]) -> anyhow::Result<Option<usize>> {
        let mut group = self.begin()?;
        let mut found = None;
        for (at, batch) in batches.iter().enumerate() {
            group.write(&mut self.pair, batch, &rewritten(batch))?;
            if group.compare(&mut self.pair)?.is_some() {
                found = Some(at);
                break;
            }
        }
        group.end(&mut self.pair)?;
        Ok(found)
    }

    /// The difference that a batch alone makes.
    fn shows(&mut self, batch: &Batch) -> anyhow::Result<Option<Shown>> {
        let mut group = self.begin()?;
        let shown = match group.write(&mut self.pair, batch, &rewritten(batch))? {
            Outcome::Differs(shown) => Some(shown),
            Outcome::Same { apart: Some(_), .. } => None,
            Outcome::Same { apart: None, .. } => group.compare(&mut self.pair)?,
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
        show(&shown);
        Ok(())
    }

    fn differs(&mut self, shown: &Shown) {
        self.tally.differences += 1;
        println!(
            "difference {} of {}:",
            self.tally.differences, self.args.differences_max
        );
        show(shown);
    }
}

fn rewritten(batch: &Batch) -> Rewritten {
    Rewritten::of(&batch.body(), batch.unit.precision())
}

fn show(shown: &Shown) {
    let Shown { what, judged, ours } = shown;
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
        format!(
            "{} batches of {} seeds, {:.0} a second ({} refused by both, {} read back, {} times a clock between): {} differences",
            self.batches,
            self.groups,
            self.batches as f64 / taken.as_secs_f64().max(0.001),
            self.refused,
            self.read,
            self.clocks,
            self.differences,
        )
    }

    /// How often each difference that is meant was met, and for which of them nothing was read.
    fn rules(&self) -> String {
        let mut text = String::new();
        for (what, counts) in [
            ("told apart and compared", &self.rules),
            ("answer compared, not read back", &self.apart),
        ] {
            for (name, count) in counts {
                text.push_str(&format!("  {name}: {what} in {count} batches\n"));
            }
        }
        text
    }
}
