//! Differences that are meant: each has a name, and under that name its reason in docs/differences.md.
//!
//! A rule looks at statement and both answers. Most have to prove more: that both answer alike as soon as the
//! cause is taken out of the statement. What a rule takes is no longer compared, so it takes as little as it
//! can.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::rewrite;
use super::tokens::split;
use crate::compare::same;

/// What a statement without a result is answered.
pub(super) const DONE: &str = "{\"results\":[{\"statement_id\":0}]}";

/// Which of two equal times comes first.
pub(super) const EQUAL_TIMES: &str = "equal-times";
/// Fields and series that are remembered after their points were deleted.
pub(super) const DELETIONS: &str = "deletions";

/// A difference that is meant.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// Of the statement, the judge's answer, and ours.
    pub(super) fits: fn(&str, &str, &str) -> bool,
    /// The statement without the cause, which both have to answer alike; `None` where the answers are proof
    /// enough.
    pub(super) without: Option<fn(&str) -> Option<String>>,
}

impl Rule {
    /// One whose answers are proof enough.
    const fn plain(name: &'static str, fits: fn(&str, &str, &str) -> bool) -> Self {
        Self {
            name,
            fits,
            without: None,
        }
    }

    /// One that fits every statement that can be had without its cause.
    const fn proved(name: &'static str, without: fn(&str) -> Option<String>) -> Self {
        Self {
            name,
            fits: |_, _, _| true,
            without: Some(without),
        }
    }
}

pub(super) const RULES: [Rule; 24] = [
    Rule::plain("later-functions", |_, judged, _| {
        LATER_FUNCTIONS
            .iter()
            .any(|name| judged.contains(&format!("undefined function {name}()")))
    }),
    Rule::plain("failing-statement", |statement, judged, ours| {
        // What is refused before it runs is told as the first statement's by InfluxDB.
        let early = "doesn't support time in WHERE clause";
        let is_early = statement.contains(';') && judged.contains(early) && ours.contains(early);
        is_early || fails_alike(judged, ours) == Some(true)
    }),
    Rule::plain("split-series", |_, judged, ours| {
        match (whole_series(judged), whole_series(ours)) {
            (Some((judged, true)), Some((ours, false))) => same(&judged, &ours),
            _ => false,
        }
    }),
    Rule::plain("cardinality-by-tag", |_, _, ours| {
        ours.contains("GROUP BY in SHOW ")
    }),
    Rule::plain("metaquery-quotes", |_, _, ours| {
        ours.contains("bad WHERE clause for metaquery")
    }),
    Rule::plain("go-values", |_, judged, _| {
        judged.contains("\\u0026influxql.")
    }),
    Rule::plain("infinity", |_, judged, ours| {
        let is_told = |text: &str| text.contains("json: unsupported value: ");
        is_told(judged) && is_told(ours)
    }),
    Rule::plain("which-error", |_, judged, ours| {
        let is_of_type =
            |text: &str| text.contains("unsupported ") && text.contains(" iterator type");
        is_of_type(judged) && is_of_type(ours)
    }),
    Rule::plain("show-on-all", |_, judged, ours| {
        ours.contains("expected identifier or *") && judged.contains("expected identifier")
    }),
    Rule::plain("panics", |_, judged, _| judged.contains("[panic:")),
    Rule::plain("long-durations", |_, _, ours| {
        ours.contains("overflowed duration")
    }),
    Rule::plain("bucket-limit", |_, judged, _| {
        judged.contains("max-select-buckets limit exceeded")
    }),
    Rule::proved("offset-alone", rewrite::without_lone_offsets),
    Rule::proved("series-limits", rewrite::without_series_limits),
    Rule::proved("inner-limit", rewrite::without_inner_limits),
    Rule::proved("ranked-limit", rewrite::without_limits_of_ranks),
    Rule::proved("absolute-integers", rewrite::with_floors_for_absolutes),
    Rule::proved("empty-percentile", rewrite::with_high_percentiles),
    Rule {
        name: "integral",
        // Of one series, by itself and in rising order, it is the same each time.
        fits: |statement, judged, ours| {
            let statement = statement.to_ascii_lowercase();
            let count = |text| statement.matches(text).count();
            let others = ["time(", "fill(", "tz("].map(count).into_iter().sum();
            let calls = count("(").saturating_sub(others);
            let series = |answer: &str| answer.matches("\"columns\"").count();
            calls > 1 || statement.contains("desc") || series(judged).max(series(ours)) > 1
        },
        without: Some(rewrite::with_sums_for_integrals),
    },
    Rule {
        name: "falling-windows",
        fits: |statement, _, _| {
            let statement = statement.to_ascii_lowercase();
            let many = ["sample(", "top(", "bottom(", "distinct("];
            let groups = statement.contains("(select") && statement.contains("group by");
            groups || many.iter().any(|call| statement.contains(call))
        },
        without: Some(rewrite::without_falling_order),
    },
    Rule {
        name: "unsigned",
        fits: |statement, _, _| split(statement).iter().any(|word| is(word, "INTO")),
        without: Some(rewrite::with_integers_for_unsigned),
    },
    Rule::proved("casts", rewrite::without_casts_in_conditions),
    Rule::proved("estimates", rewrite::with_exact_cardinality),
    Rule::proved("tags-in-time", rewrite::with_tags_of_all_time),
];

/// Functions that came after 1.6.
const LATER_FUNCTIONS: [&str; 2] = ["count_hll", "sum_hll"];

/// True for a token that is this word.
pub(super) fn is(token: &str, word: &str) -> bool {
    token.trim().eq_ignore_ascii_case(word)
}

/// Whether of several statements the same one fails in both answers, those before it have the same results,
/// and ours tells what those after it did not do. `None` where none fails.
fn fails_alike(judged: &str, ours: &str) -> Option<bool> {
    let results = |text: &str| {
        let json: Json = serde_json::from_str(text).ok()?;
        Some(json.get("results")?.as_array()?.clone())
    };
    let (judged, ours) = (results(judged)?, results(ours)?);
    let error = |result: &Json| Some(result.get("error")?.as_str()?.to_owned());
    let at = ours.iter().position(|result| error(result).is_some())?;
    let before = judged
        .iter()
        .zip(&ours)
        .take(at)
        .all(|(one, other)| same(one, other));
    let after = ours.iter().skip(at + 1);
    let not_done = after
        .map(error)
        .all(|error| error.as_deref() == Some("not executed"));
    let judged_fails = judged.get(at).is_some_and(|result| error(result).is_some());
    Some(before && not_done && judged_fails && judged.len() == at + 1 && ours.len() > at + 1)
}

/// An answer with all rows of a series together, and series and rows sorted; and whether a series came in
/// several pieces.
fn whole_series(text: &str) -> Option<(Json, bool)> {
    let mut json: Json = serde_json::from_str(text).ok()?;
    let mut is_split = false;
    for result in json.get_mut("results")?.as_array_mut()? {
        let mut whole: BTreeMap<String, Vec<Json>> = BTreeMap::new();
        for series in result.get("series").and_then(Json::as_array)? {
            let key = ["name", "tags", "columns"].map(|part| series.get(part));
            let rows = series.get("values").and_then(Json::as_array)?;
            let known = whole.entry(format!("{key:?}")).or_default();
            is_split |= !known.is_empty();
            // Pieces come with rows of nothing.
            let is_something = |row: &&Json| {
                let cells = row.as_array().map(Vec::as_slice).unwrap_or_default();
                cells.iter().skip(1).any(|cell| !cell.is_null())
            };
            known.extend(rows.iter().filter(is_something).cloned());
        }
        for rows in whole.values_mut() {
            rows.sort_by_key(|row| (row.get(0).and_then(Json::as_i64), row.to_string()));
        }
        let whole = whole
            .into_iter()
            .map(|(key, rows)| (key, Json::Array(rows)));
        *result = Json::Object(whole.collect());
    }
    Some((json, is_split))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name has its reason in the page.
    #[test]
    fn the_page_has_every_name() {
        let page = include_str!("../../../../docs/differences.md");
        let names = RULES
            .iter()
            .map(|rule| rule.name)
            .chain([EQUAL_TIMES, DELETIONS]);
        for name in names {
            assert!(page.contains(&format!("**{name}**")), "{name}");
        }
    }

    #[test]
    fn a_split_series_is_put_together() {
        let judged = r#"{"results":[{"series":[
            {"name":"m","tags":{"h":"a"},"columns":["time","f"],"values":[[1,2]]},
            {"name":"m","tags":{"h":"b"},"columns":["time","f"],"values":[[1,3]]},
            {"name":"m","tags":{"h":"a"},"columns":["time","f"],"values":[[2,4]]}]}]}"#;
        let ours = r#"{"results":[{"series":[
            {"name":"m","tags":{"h":"a"},"columns":["time","f"],"values":[[1,2],[2,4]]},
            {"name":"m","tags":{"h":"b"},"columns":["time","f"],"values":[[1,3]]}]}]}"#;
        let (whole, is_split) = whole_series(judged).expect("series");
        assert_eq!(whole_series(ours), Some((whole.clone(), false)));
        assert!(is_split);
        let other = whole_series(&ours.replace("3", "5"));
        assert_ne!(other, Some((whole, false)));
        assert_eq!(whole_series(r#"{"results":[{"error":"no"}]}"#), None);
    }

    #[test]
    fn a_failing_statement_ends_both() {
        let judged =
            r#"{"results":[{"statement_id":0},{"statement_id":1,"error":"not executed"}]}"#;
        let ours = r#"{"results":[{"statement_id":0},{"statement_id":1,"error":"no"},
            {"statement_id":2,"error":"not executed"}]}"#;
        assert_eq!(fails_alike(judged, ours), Some(true));
        let other = r#"{"results":[{"statement_id":0,"error":"no"}]}"#;
        assert_eq!(fails_alike(judged, other), Some(false));
        assert_eq!(fails_alike(judged, DONE), None);
    }
}
