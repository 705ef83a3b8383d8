//! Answers that show a series, or its rows, in several pieces.
//!
//! InfluxDB reads the groups of a subquery in their own order, so that those of the statement around it may come
//! several times.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::known::is;
use super::rewrite::with;
use super::tokens::split;
use crate::compare::same;

/// Whether the judge shows some series in several pieces, or its series in another order, and all of them together
/// say what ours says. Pieces come with rows of nothing, which ours has, or has not, and a row may be in pieces too.
pub(super) fn is_split(judged: &str, ours: &str) -> bool {
    let (Some(judged), Some(ours)) = (whole_series(judged), whole_series(ours)) else {
        return false;
    };
    (judged.is_split || judged.order != ours.order)
        && !ours.is_split
        && judged.results.len() == ours.results.len()
        && are_put_together(&judged, &ours)
}

/// Whether both have the same series in the same order, and all rows of one, which may be in pieces in the judge's,
/// say what those of the other say.
pub(super) fn has_pieces_of_rows(judged: &str, ours: &str) -> bool {
    let (Some(judged), Some(ours)) = (whole_series(judged), whole_series(ours)) else {
        return false;
    };
    let rows = |whole: &WholeSeries| {
        let series = whole.results.iter().flat_map(BTreeMap::values);
        series.map(Vec::len).sum::<usize>()
    };
    judged.order == ours.order && rows(&judged) > rows(&ours) && are_put_together(&judged, &ours)
}

/// Whether the judge shows some series in several pieces, and ours the same series, each once; what the judge shows
/// whole is the same.
pub(super) fn is_in_pieces(judged: &str, ours: &str) -> bool {
    let (Some(judged), Some(ours)) = (whole_series(judged), whole_series(ours)) else {
        return false;
    };
    let pieces = |at: usize, key: &String| {
        let order = judged.order.get(at).into_iter().flatten();
        order.filter(|known| *known == key).count()
    };
    let mut results = judged.results.iter().zip(&ours.results).enumerate();
    judged.is_split
        && !ours.is_split
        && judged.results.len() == ours.results.len()
        && results.all(|(at, (judged, ours))| {
            let mut series = judged.iter().zip(ours);
            judged.len() == ours.len()
                && series.all(|((key, judged), (own, ours))| {
                    let is_same = || same(&judged.clone().into(), &ours.clone().into());
                    key == own && (pieces(at, key) > 1 || is_same())
                })
        })
}

/// Whether the pieces of each series say together what ours says.
fn are_put_together(judged: &WholeSeries, ours: &WholeSeries) -> bool {
    let mut results = judged.results.iter().zip(&ours.results);
    results.all(|(judged, ours)| {
        let mut series = judged.iter().zip(ours);
        judged.len() == ours.len()
            && series.all(|((key, judged), (own, ours))| {
                let judged_knows = |row: &Json| {
                    let time = row.get(0);
                    judged.iter().any(|other| other.get(0) == time)
                };
                key == own
                    && same(&something(judged).into(), &something(ours).into())
                    && ours.iter().all(judged_knows)
            })
    })
}

/// All that stands in rows beside their times, each with its time and column, in order. The tags of a row in
/// pieces stand in each of them, and count once.
fn something(rows: &[Json]) -> Vec<Json> {
    let mut cells = Vec::new();
    for row in rows.iter().filter_map(Json::as_array) {
        let Some((time, values)) = row.split_first() else {
            continue;
        };
        let values = values.iter().enumerate();
        let values = values.filter(|(_, value)| !value.is_null());
        cells.extend(values.map(|(at, value)| serde_json::json!([time, at, value])));
    }
    cells.sort_by_cached_key(|cell| {
        let number = |at: usize| cell.get(at).and_then(Json::as_i64);
        (number(0), number(1), cell.to_string())
    });
    cells.dedup();
    cells
}

/// With subqueries that have no groups of their own but for windows, so that theirs are those of the statement
/// around them.
pub(super) fn without_inner_groups(statement: &str) -> Option<String> {
    let ends = [
        "FILL", "ORDER", "LIMIT", "OFFSET", "SLIMIT", "SOFFSET", "TZ",
    ];
    let tokens = split(statement);
    let (mut depth, mut own) = (0_usize, None);
    let mut dropped = vec![false; tokens.len()];
    let mut windows = BTreeMap::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.trim() {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_over = own.is_some_and(|(own, _)| {
            depth < own || depth == own && ends.iter().any(|word| is(token, word))
        });
        if is_over {
            own = None;
        }
        if own.is_none() && depth > 0 && is(token, "GROUP") {
            own = Some((depth, at));
        }
        let Some((own, start)) = own else { continue };
        dropped[at] = true;
        let next = tokens.get(at + 1).map_or("", |next| next.trim());
        if depth == own && is(token, "TIME") && next == "(" {
            let open = tokens.get(at + 1..).unwrap_or_default();
            let length = open.iter().position(|token| token.trim() == ")")?;
            let window = open.get(..=length)?.concat();
            windows.insert(start, format!(" GROUP BY time{window}"));
        }
    }
    with(statement, |_, at| {
        dropped[at].then(|| windows.remove(&at).unwrap_or_default())
    })
}

/// The sorted rows of each series.
pub(super) type Whole = BTreeMap<String, Vec<Json>>;

/// What a request answered, all rows of a series together.
pub(super) struct WholeSeries {
    pub(super) results: Vec<Whole>,
    /// The series of each result as they came.
    order: Vec<Vec<String>>,
    /// Whether a series came in several pieces.
    is_split: bool,
}

/// Puts series together; `None` where a statement has none.
pub(super) fn whole_series(text: &str) -> Option<WholeSeries> {
    let json: Json = serde_json::from_str(text).ok()?;
    let (mut results, mut order, mut is_split) = (Vec::new(), Vec::new(), false);
    for result in json.get("results")?.as_array()? {
        let mut whole = Whole::new();
        let mut keys = Vec::new();
        for series in result.get("series").and_then(Json::as_array)? {
            let key = ["name", "tags", "columns"].map(|part| series.get(part));
            let rows = series.get("values").and_then(Json::as_array)?;
            let key = format!("{key:?}");
            keys.push(key.clone());
            let known = whole.entry(key).or_default();
            is_split |= !known.is_empty();
            known.extend(rows.iter().cloned());
        }
        for rows in whole.values_mut() {
            rows.sort_by_key(|row| (row.get(0).and_then(Json::as_i64), row.to_string()));
        }
        results.push(whole);
        order.push(keys);
    }
    Some(WholeSeries {
        results,
        order,
        is_split,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_pieces_only_the_names_are_compared() {
        let row = |host: &str, value: &str| {
            format!(
                r#"{{"name":"m","tags":{{"h":"{host}"}},"columns":["time","f"],"values":[[0,{value}]]}}"#
            )
        };
        let rows =
            |series: &[String]| format!(r#"{{"results":[{{"series":[{}]}}]}}"#, series.join(","));
        let judged = rows(&[row("a", "1"), row("b", "2"), row("a", "5")]);
        let check = |judged: &str, ours: &[String], expected| {
            assert_eq!(is_in_pieces(judged, &rows(ours)), expected, "{judged}");
        };
        check(&judged, &[row("a", "3"), row("b", "2")], true);
        check(&judged, &[row("a", "3"), row("b", "4")], false);
        check(&judged, &[row("a", "3")], false);
        check(&judged, &[row("a", "3"), row("c", "2")], false);
        check(
            &judged,
            &[row("a", "1"), row("b", "2"), row("a", "5")],
            false,
        );
        check(&rows(&[row("a", "1")]), &[row("a", "3")], false);
    }

    #[test]
    fn rows_in_pieces_say_the_same_together() {
        let rows = |rows: &str| {
            let columns = r#""columns":["time","h","f"]"#;
            format!(r#"{{"results":[{{"series":[{{"name":"m",{columns},"values":[{rows}]}}]}}]}}"#)
        };
        let check = |judged: &str, ours: &str, expected| {
            let found = has_pieces_of_rows(&rows(judged), &rows(ours));
            assert_eq!(found, expected, "{judged} {ours}");
        };
        check("[0,\"b\",null],[0,\"b\",2]", "[0,\"b\",2]", true);
        check("[0,\"b\",null],[0,\"b\",2]", "[0,\"b\",3]", false);
        check("[0,\"b\",2],[1,\"b\",2]", "[0,\"b\",2]", false);
        check("[0,\"b\",2]", "[0,\"b\",2]", false);
    }

    #[test]
    fn inner_groups_are_those_around() {
        let check = |statement: &str, expected: Option<&str>| {
            assert_eq!(
                without_inner_groups(statement).as_deref(),
                expected,
                "{statement}"
            );
        };
        check(
            "SELECT max(a) FROM (SELECT sum(f) AS a FROM m WHERE (i > 1) GROUP BY host, time(1h, 5m), \"b\" fill(0)), \
             (SELECT g FROM (SELECT g FROM m GROUP BY *)) GROUP BY region, time(1d)",
            Some(
                "SELECT max(a) FROM (SELECT sum(f) AS a FROM m WHERE (i > 1) GROUP BY time(1h, 5m) fill(0)), \
                 (SELECT g FROM (SELECT g FROM m)) GROUP BY region, time(1d)",
            ),
        );
        check(
            "SELECT f FROM (SELECT f FROM m LIMIT 2) GROUP BY host",
            None,
        );
    }
}
