//! Every statement that InfluxDB takes is taken and printed in its normal form; every other is
//! refused with its words.
//!
//! The tables were checked against InfluxDB 1.6.7, but for the last few lines of each: those are
//! statements that came later, and durations that it lets wrap round.
//! In the data, `\N` and `\r` stand for line ends, and a line that is indented belongs to the one
//! before it.

use tandem_influxql::{Params, parse_query};

const STATEMENTS: &str = include_str!("data/statements.txt");
const ERRORS: &str = include_str!("data/errors.txt");

/// The lines that are not indented, each with the indented one after it.
fn entries(data: &str) -> Vec<(String, Option<String>)> {
    let mut entries: Vec<(String, Option<String>)> = Vec::new();
    for line in data.lines() {
        let text = line.replace("\\N", "\n").replace("\\r", "\r");
        match text.strip_prefix("    ") {
            Some(second) => entries.last_mut().unwrap().1 = Some(second.to_owned()),
            None => entries.push((text, None)),
        }
    }
    entries
}

#[test]
fn statements_print_in_normal_form_and_parse_to_the_same_tree() {
    let entries = entries(STATEMENTS);
    assert!(entries.len() > 150);
    for (text, normal) in entries {
        let query = match parse_query(&text, &Params::new()) {
            Ok(query) => query,
            Err(error) => panic!("{text}: {error}"),
        };
        let printed = query.to_string();
        assert_eq!(printed, normal.unwrap_or_else(|| text.clone()), "{text}");
        assert_eq!(parse_query(&printed, &Params::new()), Ok(query), "{text}");
    }
}

#[test]
fn errors_have_the_words_and_the_place_of_influxdb() {
    let entries = entries(ERRORS);
    assert!(entries.len() > 350);
    let mut wrong = String::new();
    for (text, want) in entries {
        let want = want.unwrap();
        let got = match parse_query(&text, &Params::new()) {
            Ok(query) => format!("no error: {query}"),
            Err(error) => error.to_string(),
        };
        if got != want {
            wrong += &format!("{text}\n  want {want}\n  got  {got}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
