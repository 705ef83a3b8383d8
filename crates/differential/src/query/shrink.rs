//! Makes a difference small: fewer points, then a shorter statement, then fewer points again.

use anyhow::Result;

use super::data::Step;
use super::known;
use super::show_both;
use super::story::{DATABASE, Outcome, Story};
use super::tokens::split;
use crate::http::Answer;
use crate::server::Pair;

/// Tries for one difference: each tells the data anew, or asks once.
const TRIES_MAX: usize = 1_500;
/// The longest piece of a statement that is dropped at once.
const PIECE_MAX: usize = 14;

/// Shrinks, and prints what is left as a golden story; false where it does not differ when told again.
pub(super) fn shrink(pair: &mut Pair, story: &Story, statement: &str) -> Result<bool> {
    let mut best = story.clone();
    let mut tries = 0;
    best.tell(pair)?;
    let Some(kind) = kind(&best, pair, statement)? else {
        return Ok(false);
    };
    fewer_steps(pair, &mut best, statement, kind, &mut tries)?;
    let text = shorter(pair, &best, statement, kind, &mut tries)?;
    fewer_steps(pair, &mut best, &text, kind, &mut tries)?;
    best.tell(pair)?;
    let text = shorter(pair, &best, &text, kind, &mut tries)?;
    print(pair, &best, &text)?;
    Ok(true)
}

/// Of what kind both answers are: shrinking must not end at another difference.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind([Answered; 2]);

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
fn kind(story: &Story, pair: &mut Pair, statement: &str) -> Result<Option<Kind>> {
    Ok(match story.ask(pair, statement)? {
        Outcome::Differs { judged, ours } => {
            Some(Kind([Answered::new(&judged), Answered::new(&ours)]))
        }
        _ => None,
    })
}

/// Drops lines and deletions as long as the answers differ.
fn fewer_steps(
    pair: &mut Pair,
    story: &mut Story,
    statement: &str,
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
            smaller.tell(pair)?;
            if self::kind(&smaller, pair, statement)? == Some(kind) {
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
    story.tell(pair)
}

/// Drops pieces of the statement as long as the answers differ.
fn shorter(
    pair: &mut Pair,
    story: &Story,
    statement: &str,
    kind: Kind,
    tries: &mut usize,
) -> Result<String> {
    let mut tokens = split(statement);
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
            if keeps_bounds && self::kind(story, pair, &smaller.concat())? == Some(kind) {
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
    Ok(tokens.concat().trim().to_owned())
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

fn print(pair: &mut Pair, story: &Story, statement: &str) -> Result<()> {
    println!("# small:");
    for statement in story.opening() {
        println!("> {statement}\n{}", known::DONE);
    }
    for step in &story.steps {
        match step {
            Step::Line(line) => println!("{line}"),
            Step::Statement(text) => {
                let answer = pair.judge.query(DATABASE, text)?.text();
                println!("> {text}\n{}", answer.trim());
            }
        }
    }
    println!("> {statement}");
    if let Outcome::Differs { judged, ours } = story.ask(pair, statement)? {
        println!("{}", judged.text().trim());
        show_both(&judged, &ours);
    }
    println!();
    Ok(())
}
