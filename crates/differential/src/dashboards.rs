//! The queries of widely used dashboards over an hour of what the agent records.
//!
//! Queries and gathers lie with the agent's tests: a gather stands for every ten seconds of an hour, its
//! integers growing and its floats swinging. Each query must be answered as the real one answers it; that
//! none stays without rows is a test of its own, `tests/dashboards.rs`.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::args::Args;
use crate::compare::same_answer;
use crate::server::Pair;

/// The queries and the gathers, by the beginnings of their names.
const SETS: [&str; 2] = ["host", "containers"];
const FOLDER: &str = "agent/tests/dashboards";
const DATABASE: &str = "telegraf";
/// 2024-01-01T00:00:00Z, where the queries look.
const HOUR_NS: i64 = 1_704_067_200_000_000_000;
const STEPS: i64 = 360;
const STEP_NS: i64 = 10_000_000_000;

/// Asks all of them; true when all answers are the same.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let mut pair = Pair::start(&args.places)?;
    let (mut asked, mut with_rows, mut differences) = (0, 0, 0);
    for name in SETS {
        let folder = Path::new(FOLDER);
        let gather = read(&folder.join(format!("{name}.lp")))?;
        let queries = read(&folder.join(format!("{name}.influxql")))?;
        for server in [&mut pair.judge, &mut pair.ours] {
            server.query("", &format!("DROP DATABASE {DATABASE}"))?;
            server.query("", &format!("CREATE DATABASE {DATABASE}"))?;
            for step in 0..STEPS {
                let answer = server.write(DATABASE, "", at(&gather, step)?.as_bytes())?;
                ensure!(answer.status == 204, "{}: {}", server.name, answer.text());
            }
        }
        for query in queries.lines().filter(|line| !line.starts_with("--")) {
            let judged = pair.judge.query(DATABASE, query)?;
            let ours = pair.ours.query(DATABASE, query)?;
            asked += 1;
            with_rows += usize::from(judged.text().contains("\"values\""));
            if !same_answer(&judged, &ours) {
                differences += 1;
                let short = |text: String| text.chars().take(1_000).collect::<String>();
                println!("> {query}");
                println!("  influxd: {}", short(judged.text()));
                println!("  tandem:  {}", short(ours.text()));
            }
        }
    }
    println!("{asked} queries of dashboards, {with_rows} with rows: {differences} differences");
    Ok(differences == 0)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// The gather as it is at a step of the hour.
fn at(gather: &str, step: i64) -> anyhow::Result<String> {
    let mut body = String::new();
    for line in gather.lines().filter(|line| !line.is_empty()) {
        let (rest, _) = line.rsplit_once(' ').context("a line without a time")?;
        let (key, fields) = split_key(rest).context("a line without fields")?;
        body.push_str(key);
        for (number, field) in split_fields(fields).into_iter().enumerate() {
            let (name, value) = field.split_once('=').context("a field without a value")?;
            body.push_str(if number == 0 { " " } else { "," });
            body.push_str(name);
            body.push('=');
            body.push_str(&moved(value, step, number));
        }
        body.push_str(&format!(" {}\n", HOUR_NS + step * STEP_NS));
    }
    Ok(body)
}

/// A value some steps later: counters grow at their own pace, floats swing, all else stays.
fn moved(value: &str, step: i64, number: usize) -> String {
    let pace = 1 + number as i64 % 7;
    let integer = value
        .strip_suffix('i')
        .and_then(|text| text.parse::<i64>().ok());
    match (integer, value.parse::<f64>()) {
        (Some(integer), _) => format!("{}i", integer.saturating_add(step * pace)),
        (None, Ok(float)) => format!("{}", float + (step * pace % 11) as f64 / 4.0),
        _ => value.to_owned(),
    }
}

/// Cuts a line at the first blank that is not escaped.
fn split_key(line: &str) -> Option<(&str, &str)> {
    let blank = |at: &usize| line.as_bytes().get(at.wrapping_sub(1)) != Some(&b'\\');
    let at = line.match_indices(' ').map(|(at, _)| at).find(blank)?;
    Some((&line[..at], &line[at + 1..]))
}

/// Cuts fields at commas that are not in a string.
fn split_fields(fields: &str) -> Vec<&str> {
    let mut is_quoted = false;
    fields
        .split(|c: char| {
            is_quoted ^= c == '"';
            c == ',' && !is_quoted
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gather_goes_on() {
        let gather = "m,p=a\\ b i=1i,f=0.5,s=\"a, b=1\",b=true 7\n";
        let later = at(gather, 2).expect("a good line");
        let time_ns = HOUR_NS + 2 * STEP_NS;
        let expected = format!("m,p=a\\ b i=3i,f=1.5,s=\"a, b=1\",b=true {time_ns}\n");
        assert_eq!(later, expected);
        assert!(at("nothing", 0).is_err());
    }
}
