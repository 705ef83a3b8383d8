//! What tandem has to answer to a batch, put together from the judge's answers to its lines.
//!
//! Of a batch that goes to several shards the judge tells what one of them has dropped, whichever
//! answered first; and it refuses a batch whole whose lines disagree about a field that is new. Then each line is sent
//! to it again, alone. That changes nothing of what it holds: a point that is written twice is one.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tandem_model::{FieldType, Precision, split_measurement};

use crate::http::Answer;
use crate::write::rewrite::{Parsed, options};

/// A week.
const SHARD_NS: i64 = 7 * 86_400 * 1_000_000_000;
/// From 1970's beginning, a Thursday, to the next Monday, where shards begin.
const MONDAY_NS: i64 = 4 * 86_400 * 1_000_000_000;

/// The difference that lines of a batch make by being in one request, if they can make one.
pub(super) fn rule(lines: &[Vec<u8>], precision: Precision) -> Option<&'static str> {
    let parsed: Vec<Parsed> = lines
        .iter()
        .filter_map(|line| Parsed::of(line, options(precision)).ok())
        .collect();
    // A line without a time goes where now is, and no line has a time that is near.
    let shard = |parsed: &Parsed| parsed.time_ns.map(shard_of);
    if parsed
        .windows(2)
        .any(|two| shard(&two[0]) != shard(&two[1]))
    {
        return Some("drops-of-several-shards");
    }
    let mut types: BTreeMap<(Vec<u8>, Vec<u8>), FieldType> = BTreeMap::new();
    for line in &parsed {
        let (measurement, _) = split_measurement(&line.series);
        for (name, kind) in line.types() {
            let before = types.insert((measurement.clone(), name), kind);
            if before.is_some_and(|before| before != kind) {
                return Some("types-within-a-batch");
            }
        }
    }
    None
}

/// Whether a line takes the time of the server, so that sending it again makes another point.
pub(super) fn is_without_time(lines: &[Vec<u8>], precision: Precision) -> bool {
    let parsed = lines
        .iter()
        .filter_map(|line| Parsed::of(line, options(precision)).ok());
    parsed.into_iter().any(|line| line.time_ns.is_none())
}

const fn shard_of(time_ns: i64) -> i64 {
    time_ns.saturating_sub(MONDAY_NS).div_euclid(SHARD_NS)
}

/// Status and error text for a batch of whose lines the judge said this, each alone.
pub(super) fn together(answers: &[Answer]) -> (u16, String) {
    let (mut stored, mut dropped) = (0, 0);
    let mut unparsable = Vec::new();
    let (mut first, mut first_tag) = (None, None);
    for answer in answers {
        let text = error_text(answer);
        let reason = text
            .strip_prefix("partial write: ")
            .and_then(|text| text.strip_suffix(" dropped=1"));
        match reason {
            _ if answer.status == 204 => stored += 1,
            Some(reason) => {
                dropped += 1;
                // Tags are looked at before fields are.
                if reason.starts_with("invalid tag key") {
                    first_tag.get_or_insert(reason.to_owned());
                }
                first.get_or_insert(reason.to_owned());
            }
            None if text.starts_with("unable to parse") => unparsable.push(text),
            // Of the request and not of the line.
            None => return (answer.status, text),
        }
    }
    match first_tag.or(first) {
        Some(reason) => (400, format!("partial write: {reason} dropped={dropped}")),
        None if unparsable.is_empty() => (204, String::new()),
        None if stored == 0 => (400, unparsable.join("\n")),
        None => (
            400,
            format!("partial write: {} dropped=0", unparsable.join("\n")),
        ),
    }
}

/// The text of an answer's error.
pub(super) fn error_text(answer: &Answer) -> String {
    let json: Option<Json> = serde_json::from_slice(&answer.body).ok();
    let text = json.and_then(|json| Some(json["error"].as_str()?.to_owned()));
    text.unwrap_or_else(|| answer.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, error: &str) -> Answer {
        let body = match error {
            "" => Vec::new(),
            error => serde_json::json!({ "error": error }).to_string().into(),
        };
        Answer {
            status,
            headers: Vec::new(),
            body,
        }
    }

    #[test]
    fn lines_make_a_batch() {
        let (good, bad) = (answer(204, ""), answer(400, "unable to parse 'x': y"));
        let drop = |why: &str| answer(400, &format!("partial write: {why} dropped=1"));
        let check = |answers: &[&Answer], status: u16, text: &str| {
            let answers: Vec<Answer> = answers.iter().map(|&a| a.clone()).collect();
            assert_eq!(together(&answers), (status, text.to_owned()));
        };
        check(&[&good, &good], 204, "");
        check(&[&bad], 400, "unable to parse 'x': y");
        let text = "partial write: unable to parse 'x': y\nunable to parse 'x': y dropped=0";
        check(&[&bad, &good, &bad], 400, text);
        let (a, b) = (drop("field type conflict: a"), drop("invalid tag key: b"));
        check(
            &[&good, &a, &bad],
            400,
            "partial write: field type conflict: a dropped=1",
        );
        check(
            &[&a, &b, &good],
            400,
            "partial write: invalid tag key: b dropped=2",
        );
        check(
            &[&answer(404, "database not found")],
            404,
            "database not found",
        );
    }

    #[test]
    fn what_lines_make_together_has_a_name() {
        let name = |body: &str| {
            let lines: Vec<Vec<u8>> = body.lines().map(|line| line.into()).collect();
            rule(&lines, Precision::Second)
        };
        assert_eq!(name("m f=1 1500000000\nn f=1i 1500000001"), None);
        assert_eq!(
            name("m f=1 1500000000\nm f=1 1600000000"),
            Some("drops-of-several-shards")
        );
        assert_eq!(
            name("m f=1 1500000000\nm f=1"),
            Some("drops-of-several-shards")
        );
        // The 17th of July 2017 was a Monday.
        assert_eq!(
            name("m f=1 1500249599\nm f=1 1500249600"),
            Some("drops-of-several-shards")
        );
        assert_eq!(
            name("m,a=b f=1 1500000000\nm f=1i 1500000001"),
            Some("types-within-a-batch")
        );
        let unit = Precision::Nanosecond;
        assert!(is_without_time(&[b"m f=1".to_vec(), b"x".to_vec()], unit));
        assert!(!is_without_time(
            &[b"m f=1 5".to_vec(), b"x".to_vec()],
            unit
        ));
    }
}
