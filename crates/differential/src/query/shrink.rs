//! Makes a difference small: fewer points, then a shorter statement, then fewer points again.

use anyhow::Result;

use super::data::Step;
use super::known;
use super::story::{DATABASE, Outcome, Story};
use super::tokens::split;
use super::{Asked, Judge, show};
use crate::http::Answer;

/// Tries for one difference: each tells the data anew, or asks once.
const TRIES_MAX: usize = 1_500;
/// The longest piece of a statement that is dropped at once.
const PIECE_MAX: usize = 14;

/// Shrinks, and prints what is left as a golden story; false where it does not differ when told again.
pub(super) fn shrink(judge: &mut Judge, story: &Story, asked: &Asked) -> Result<bool> {
    let mut best = story.clone();
    let mut tries = 0;
    best.tell(judge)?;
    let Some(kind) = kind(&best, judge, asked)? else {
        return Ok(false);
    };
    fewer_steps(judge, &mut best, asked, kind, &mut tries)?;
    let mut short = shorter(judge, &best, asked, kind, &mut tries)?;
    fewer_steps(judge, &mut best, &short, kind, &mut tries)?;
    best.tell(judge)?;
    short = shorter(judge, &best, &short, kind, &mut tries)?;
    short.statement = short.statement.trim().to_owned();
    print(judge, &best, &short)?;
    Ok(true)
}

/// Of what kind a difference is: shrinking must not end at another one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Answers([Answered; 2]),
    Ways(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    NotParsed,
    Refused,
    Nothing,
    Rows,
}

impl Answered {
    fn new(answer: &Answer) -> Self {
        let text = answer.text();
        match answer.status {
            400 => Self::NotParsed,
            _ if text.contains("\"error\"") => Self::Refused,
            _ if text.contains("\"series\"") => Self::Rows,
            _ => Self::Nothing,
        }
    }
}

/// The kind of difference; `None` if there is none.
fn kind(story: &Story, judge: &mut Judge, asked: &Asked) -> Result<Option<Kind>> {
    Ok(match story.ask(judge, asked)? {
        Outcome::Differs { judged, ours } => Some(Kind::Answers([
            Answered::new(&judged),
            Answered::new(&ours),
        ])),
        Outcome::WaysDiffer([_, (other, _)]) => Some(Kind::Ways(other)),
        _ => None,
    })
}

/// Drops lines and deletions as long as the answers differ.
fn fewer_steps(
    judge: &mut Judge,
    story: &mut Story,
    asked: &Asked,
    kind: Kind,
    tries: &mut usize,
) -> Result<()> {
    let mut size = story.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        let mut dropped = false;
        while at < story.steps.len() && *tries < TRIES_MAX {
            *tries += 1;
            let mut smaller = story.clone();
            let end = (at + size).min(smaller.steps.len());
            smaller.steps.drain(at..end);
            smaller.tell(judge)?;
            if self::kind(&smaller, judge, asked)? == Some(kind) {
                *story = smaller;
                dropped = true;
            } else {
                at = end;
            }
        }
        if !(dropped && size == 1) {
            size /= 2;
        }
    }
    story.tell(judge)
}

/// Drops pieces of the statement as long as the answers differ.
fn shorter(
    judge: &mut Judge,
    story: &Story,
    asked: &Asked,
    kind: Kind,
    tries: &mut usize,
) -> Result<Asked> {
    let with = |tokens: &[String]| asked.with(tokens.concat());
    let mut tokens = split(&asked.statement);
    let bounds = bounds_of(&tokens);
    let mut size = PIECE_MAX.min(tokens.len());
    while size > 0 {
        let mut at = 0;
        let mut dropped = false;
        while at + size <= tokens.len() && *tries < TRIES_MAX {
            *tries += 1;
            let mut smaller = tokens.clone();
            smaller.drain(at..at + size);
            let keeps_bounds = bounds_of(&smaller).is_none() || bounds_of(&smaller) == bounds;
            if keeps_bounds && self::kind(story, judge, &with(&smaller))? == Some(kind) {
                tokens = smaller;
                dropped = true;
            } else {
                at += 1;
            }
        }
        if !dropped {
            size -= 1;
        }
        size = size.min(tokens.len());
    }
    Ok(with(&tokens))
}

/// How often a statement with windows speaks of `time`: without its bounds it would make windows to the
/// end of the world. `None` without windows.
fn bounds_of(tokens: &[String]) -> Option<usize> {
    let mut bounds = 0;
    let mut has_windows = false;
    for (at, token) in tokens.iter().enumerate() {
        if token.trim().eq_ignore_ascii_case("time") {
            let is_call = tokens.get(at + 1).is_some_and(|next| next.trim() == "(");
            has_windows |= is_call;
            bounds += usize::from(!is_call);
        }
    }
    has_windows.then_some(bounds)
}

fn print(judge: &mut Judge, story: &Story, asked: &Asked) -> Result<()> {
    println!("# small:");
    for statement in story.opening() {
        println!("> {statement}\n{}", known::DONE);
    }
    for (at, step) in story.steps.iter().enumerate() {
        match step {
            Step::Line(line) => println!("{line}"),
            Step::Deletion(deletion) => {
                let text = deletion.to_string();
                let answer = judge.pair.judge.query(DATABASE, &text)?.text();
                println!("> {text}\n{}", answer.trim());
            }
        }
        if story.flush_after == Some(at) {
            println!("# (flush)");
        }
    }
    println!("> {}{}", asked.statement, asked.form());
    let outcome = story.ask(judge, asked)?;
    if let Outcome::Differs { judged, .. } = &outcome {
        println!("{}", judged.text().trim());
    }
    show(&outcome);
    println!();
    Ok(())
}
