//! How two answers differ that do not say the same: what is looked at to know a difference by its name.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::pieces::whole_series;
use crate::compare::{FLOAT_PART, same};

/// Whether of several statements the same one fails in both answers, those before it have the same results,
/// and ours tells what those after it did not do. What is refused before it runs is told as the first
/// statement's by InfluxDB.
pub(super) fn fails_alike(judged: &str, ours: &str) -> bool {
    let results = |text: &str| -> Option<Vec<Json>> {
        let json: Json = serde_json::from_str(text).ok()?;
        Some(json.get("results")?.as_array()?.clone())
    };
    let (Some(judged), Some(ours)) = (results(judged), results(ours)) else {
        return false;
    };
    let error = |result: &Json| Some(result.get("error")?.as_str()?.to_owned());
    let Some(at) = ours.iter().position(|result| error(result).is_some()) else {
        return false;
    };
    let mut after = ours.iter().skip(at + 1).map(error);
    if !after.all(|error| error.as_deref() == Some("not executed")) {
        return false;
    }
    let failing = ours.get(at).and_then(error);
    let told = judged.last().and_then(error);
    let is_told = told == failing || told.as_deref() == Some("not executed");
    let before = judged.iter().zip(&ours).take(at);
    let mut before = before.map(|(one, other)| same(one, other));
    let is_early = judged.len() == 1 && told == failing;
    is_told && (is_early || judged.len() == at + 1 && before.all(|is_same| is_same))
}

/// Whether both refuse a statement with one text, but for the types of the fields in it.
pub(super) fn refuses_alike_but_types(judged: &str, ours: &str) -> bool {
    let without_types = |text: &str| {
        let text = ["float", "integer", "string", "boolean"]
            .iter()
            .fold(text.to_owned(), |text, name| {
                text.replace(&format!("::{name}"), "")
            });
        text.contains("\"error\"").then_some(text)
    };
    without_types(judged).is_some() && without_types(judged) == without_types(ours)
}

/// Whether the judge's series are the first ones of ours, and not all of them.
pub(super) fn ends_early(judged: &str, ours: &str) -> bool {
    let series = |text: &str| -> Option<Vec<Json>> {
        let json: Json = serde_json::from_str(text).ok()?;
        let [result] = json.get("results")?.as_array()?.as_slice() else {
            return None;
        };
        let series = result.get("series").and_then(Json::as_array);
        let is_error = result.get("error").is_some();
        (!is_error).then(|| series.cloned().unwrap_or_default())
    };
    let (Some(judged), Some(ours)) = (series(judged), series(ours)) else {
        return false;
    };
    judged.len() < ours.len() && judged.iter().zip(&ours).all(|(one, own)| same(one, own))
}

/// Whether two texts say the same.
pub(super) fn is_alike(judged: &str, ours: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<Json>(text).ok();
    let (judged, ours) = (json(judged), json(ours));
    judged.is_some_and(|judged| ours.is_some_and(|ours| same(&judged, &ours)))
}

/// Whether two answers differ in nothing but numbers.
pub(super) fn differs_in_numbers(judged: &str, ours: &str) -> bool {
    differs_only_where(judged, ours, |_, _| true)
}

/// Whether two answers differ in nothing but numbers, each of which is larger than this in one of them.
pub(super) fn differs_in_numbers_above(judged: &str, ours: &str, large: f64) -> bool {
    differs_only_where(judged, ours, |one, other| {
        one.abs().max(other.abs()) > large
    })
}

/// Whether there stands a large number in `other` wherever two answers differ: in the row of the same time, of the series of
/// the same name and tags.
pub(super) fn differs_where_large(judged: &str, ours: &str, other: &str) -> bool {
    /// A last digit of it is some hundredths of a digit that is compared.
    const LARGE: f64 = 1e4;
    differs_beside(judged, ours, other, &|_, other| other.abs() >= LARGE)
}

/// Whether wherever two answers differ, they do so by no more than a digit that is compared of the number in `other`.
pub(super) fn differs_by_part_of(judged: &str, ours: &str, other: &str) -> bool {
    differs_beside(judged, ours, other, &|by, other| {
        by <= FLOAT_PART * other.abs()
    })
}

/// Whether two answers differ in nothing but numbers, and by how much and what stands in `other` for each of them fits.
fn differs_beside(judged: &str, ours: &str, other: &str, fits: &dyn Fn(f64, f64) -> bool) -> bool {
    fn walk(one: &Json, own: &Json, other: Option<&Json>, fits: &dyn Fn(f64, f64) -> bool) -> bool {
        match (one, own) {
            (one, own) if same(one, own) => true,
            (Json::Array(x), Json::Array(y)) if x.len() == y.len() => {
                let mut pairs = x.iter().zip(y).enumerate();
                pairs.all(|(at, (one, y))| walk(one, y, beside(other, (at, x.len()), one), fits))
            }
            (Json::Object(x), Json::Object(y)) if x.len() == y.len() => x.iter().all(|(key, x)| {
                let other = other.and_then(|other| other.get(key));
                y.get(key).is_some_and(|y| walk(x, y, other, fits))
            }),
            (Json::Number(x), Json::Number(y)) => {
                let by = x.as_f64().zip(y.as_f64()).map(|(x, y)| (x - y).abs());
                let other = other.and_then(Json::as_f64);
                by.zip(other).is_some_and(|(by, other)| fits(by, other))
            }
            _ => false,
        }
    }
    let json = |text: &str| serde_json::from_str::<Json>(text).ok();
    match (json(judged), json(ours)) {
        (Some(judged), Some(ours)) => walk(&judged, &ours, json(other).as_ref(), fits),
        _ => false,
    }
}

/// Whether a series has two rows of one time.
pub(super) fn has_equal_times(text: &str) -> bool {
    let whole = whole_series(text);
    let series = whole.iter().flat_map(|whole| &whole.results);
    let mut series = series.flat_map(|series| series.values());
    series.any(|rows| rows.windows(2).any(|pair| pair[0].get(0) == pair[1].get(0)))
}

/// What stands in `others` for `one`: the series of its name and tags, the row of its time, if there is only one, and of all
/// else the one in its place, if there are as many.
fn beside<'j>(
    others: Option<&'j Json>,
    (at, length): (usize, usize),
    one: &Json,
) -> Option<&'j Json> {
    let others = others?.as_array()?;
    let is_it = |other: &&Json| match one {
        Json::Array(row) => other.get(0) == row.first(),
        _ => ["name", "tags"]
            .iter()
            .all(|key| other.get(key) == one.get(key)),
    };
    if !one.is_array() && one.get("columns").is_none() {
        return others.get(at).filter(|_| others.len() == length);
    }
    let mut found = others.iter().filter(is_it);
    found.next().filter(|_| found.next().is_none())
}

fn differs_only_where(judged: &str, ours: &str, fits: impl Fn(f64, f64) -> bool) -> bool {
    fn walk(one: &Json, other: &Json, fits: &impl Fn(f64, f64) -> bool) -> bool {
        match (one, other) {
            (Json::Number(x), Json::Number(y)) if !same(one, other) => {
                fits(x.as_f64().unwrap_or(0.0), y.as_f64().unwrap_or(0.0))
            }
            (Json::Array(x), Json::Array(y)) => {
                x.len() == y.len() && x.iter().zip(y).all(|(x, y)| walk(x, y, fits))
            }
            (Json::Object(x), Json::Object(y)) => {
                x.len() == y.len()
                    && x.iter()
                        .all(|(key, x)| y.get(key).is_some_and(|y| walk(x, y, fits)))
            }
            (one, other) => same(one, other),
        }
    }
    let json = |text: &str| serde_json::from_str::<Json>(text).ok();
    match (json(judged), json(ours)) {
        (Some(judged), Some(ours)) => walk(&judged, &ours, &fits),
        _ => false,
    }
}

/// Whether both count the same things, and the judge no less of each; what else they say is the same.
pub(super) fn counts_more(judged: &str, ours: &str) -> bool {
    let results = |text: &str| -> Option<Vec<Json>> {
        let json: Json = serde_json::from_str(text).ok()?;
        json.get("results")?.as_array().cloned()
    };
    let (Some(judged), Some(ours)) = (results(judged), results(ours)) else {
        return false;
    };
    let is_more = |(judged, ours): (&Json, &Json)| match (counts(judged), counts(ours)) {
        (Some(many), Some(few)) => {
            let mut pairs = many.iter().zip(&few);
            many.len() == few.len()
                && pairs.all(|((name, many), (own, few))| name == own && many >= few)
        }
        _ => same(judged, ours),
    };
    judged.len() == ours.len() && judged.iter().zip(&ours).all(is_more)
}

/// What a statement counted, by name.
fn counts(result: &Json) -> Option<Vec<(String, i64)>> {
    let series = result.get("series")?.as_array()?;
    let count = |series: &Json| {
        let columns = series.get("columns")?.as_array()?.as_slice();
        let rows = series.get("values")?.as_array()?.as_slice();
        let key = ["name", "tags"].map(|part| series.get(part));
        match (columns, rows) {
            ([column], [row]) if column == "count" => {
                Some((format!("{key:?}"), row.get(0)?.as_i64()?))
            }
            _ => None,
        }
    };
    series.iter().map(count).collect()
}

/// Whether the judge's answer is ours with more columns in which nothing stands, and more tags without a value.
pub(super) fn has_more_tags(judged: &str, ours: &str) -> bool {
    let series = |text: &str| -> Option<Vec<Json>> {
        let json: Json = serde_json::from_str(text).ok()?;
        let [result] = json.get("results")?.as_array()?.as_slice() else {
            return None;
        };
        result.get("series")?.as_array().cloned()
    };
    let (Some(mut judged), Some(ours)) = (series(judged), series(ours)) else {
        return false;
    };
    let mut more = false;
    for (one, own) in judged.iter_mut().zip(&ours) {
        more |= drop_empty(one, own);
    }
    more && same(&judged.into(), &ours.into())
}

/// Whether `more` says what `less` says, and perhaps shows more fields: as columns in which nothing stands, or in
/// the list of them.
pub(super) fn shows_more_fields(more: &str, less: &str) -> bool {
    let fields = |text: &str| -> Option<Vec<(String, Json)>> {
        let whole = whole_series(text)?;
        let [result] = whole.results.as_slice() else {
            return None;
        };
        let rows = result.iter().filter(|(key, _)| key.contains("fieldKey"));
        let rows = rows.flat_map(|(key, rows)| rows.iter().map(|row| (key.clone(), row.clone())));
        Some(rows.collect())
    };
    let is_listed = match (fields(more), fields(less)) {
        (Some(more), Some(less)) if !less.is_empty() => less.iter().all(|row| more.contains(row)),
        _ => false,
    };
    is_listed || is_alike(more, less) || has_more_tags(more, less)
}

/// Whether `ours` names nothing that `judged` does not: no column, no tag, no field in a list of them. What stands
/// under the names does not matter.
pub(super) fn names_no_more(ours: &str, judged: &str) -> bool {
    match (all_names(ours), all_names(judged)) {
        (Some(ours), Some(judged)) => ours.is_subset(&judged),
        _ => false,
    }
}

fn all_names(text: &str) -> Option<BTreeSet<String>> {
    let json: Json = serde_json::from_str(text).ok()?;
    let mut names = BTreeSet::new();
    for result in json.get("results")?.as_array()? {
        for series in result.get("series").and_then(Json::as_array)? {
            let name = series.get("name").and_then(Json::as_str).unwrap_or("");
            let columns = series.get("columns").and_then(Json::as_array)?;
            let tags = series.get("tags").and_then(Json::as_object);
            let columns_and_tags = columns
                .iter()
                .filter_map(Json::as_str)
                .chain(tags.into_iter().flatten().map(|(tag, _)| tag.as_str()));
            names.extend(columns_and_tags.map(|column| format!("{name} {column}")));
            if columns.first().and_then(Json::as_str) == Some("fieldKey") {
                let rows = series.get("values").and_then(Json::as_array)?;
                names.extend(rows.iter().map(|row| format!("{name} {row}")));
            }
        }
    }
    Some(names)
}

/// Drops what only `judged` has and is empty of a series; true if there was anything.
fn drop_empty(judged: &mut Json, ours: &Json) -> bool {
    let mut dropped = false;
    let own_tags = ours.get("tags").and_then(Json::as_object);
    if let Some(tags) = judged.get_mut("tags").and_then(Json::as_object_mut) {
        let before = tags.len();
        let is_own = |key: &str| own_tags.is_some_and(|own| own.contains_key(key));
        tags.retain(|key, value| is_own(key) || value.as_str() != Some(""));
        dropped |= tags.len() < before;
        if own_tags.is_none() && tags.is_empty() {
            judged.as_object_mut().map(|series| series.remove("tags"));
        }
    }
    let own = ours.get("columns").and_then(Json::as_array);
    let columns = judged.get("columns").and_then(Json::as_array).cloned();
    let (own, columns) = (
        own.cloned().unwrap_or_default(),
        columns.unwrap_or_default(),
    );
    let extra: Vec<bool> = columns.iter().map(|column| !own.contains(column)).collect();
    if !extra.contains(&true) {
        return dropped;
    }
    let kept = |cells: &[Json]| -> Json {
        let cells = cells.iter().zip(&extra);
        cells
            .filter(|(_, is_extra)| !**is_extra)
            .map(|(cell, _)| cell.clone())
            .collect()
    };
    let rows = judged.get("values").and_then(Json::as_array).cloned();
    let rows: Vec<Vec<Json>> = rows
        .into_iter()
        .flatten()
        .filter_map(|row| row.as_array().cloned())
        .collect();
    let is_nothing = |row: &Vec<Json>| {
        let mut cells = row.iter().zip(&extra);
        cells.all(|(cell, is_extra)| !is_extra || cell.is_null())
    };
    if !rows.iter().all(is_nothing) {
        return false;
    }
    judged["columns"] = kept(&columns);
    judged["values"] = rows.iter().map(|row| kept(row)).collect();
    true
}

#[cfg(test)]
mod tests {
    use super::super::known::DONE;
    use super::*;

    #[test]
    fn tags_of_other_shards_are_empty() {
        let judged = r#"{"results":[{"series":[{"name":"m","tags":{"a":"","b":"x"},
            "columns":["time","f","region","s"],"values":[[1,2,null,"x"],[2,3,null,null]]}]}]}"#;
        let ours = r#"{"results":[{"series":[{"name":"m","tags":{"b":"x"},
            "columns":["time","f","s"],"values":[[1,2,"x"],[2,3,null]]}]}]}"#;
        let check = |judged: &str, ours: &str, expected| {
            assert_eq!(has_more_tags(judged, ours), expected, "{judged}");
        };
        check(judged, ours, true);
        check(ours, judged, false);
        check(judged, judged, false);
        check(&judged.replace("3,null,null", "3,\"eu\",null"), ours, false);
        check(&judged.replace("\"a\":\"\"", "\"a\":\"y\""), ours, false);
        check(judged, &ours.replace("[1,2", "[1,3"), false);
    }

    #[test]
    fn types_in_a_refusal() {
        let error = |text: &str| format!(r#"{{"results":[{{"error":"{text}"}}]}}"#);
        let (one, other) = (error("f(x::float) ^ 1"), error("f(x::string) ^ 1"));
        assert!(refuses_alike_but_types(&one, &other));
        assert!(!refuses_alike_but_types(&one, &error("f(y::float) ^ 1")));
        assert!(!refuses_alike_but_types(DONE, DONE));
    }

    #[test]
    fn equal_times_are_those_of_one_series() {
        let answer = |one: &str, other: &str| {
            let series = |host: &str, rows: &str| {
                format!(
                    r#"{{"name":"m","tags":{{"h":"{host}"}},"columns":["time","f"],"values":[{rows}]}}"#
                )
            };
            format!(
                r#"{{"results":[{{"series":[{},{}]}}]}}"#,
                series("a", one),
                series("b", other)
            )
        };
        assert!(has_equal_times(&answer("[1,2]", "[2,1],[1,3],[2,4]")));
        assert!(!has_equal_times(&answer("[1,2]", "[1,2],[2,2]")));
        assert!(!has_equal_times(DONE));
    }

    #[test]
    fn what_differs_has_to_be_large_elsewhere() {
        let rows =
            |value: &str| format!(r#"{{"results":[{{"series":[{{"values":[[0,{value},2]]}}]}}]}}"#);
        let check = |one: &str, own: &str, other: &str, expected| {
            let found = differs_where_large(&rows(one), &rows(own), &rows(other));
            assert_eq!(found, expected, "{one} {own} {other}");
        };
        check("0.25", "0.75", "-1e15", true);
        check("0.25", "0.75", "3", false);
        check("0.25", "0.75", "null", false);
        check("0.25", "null", "1e15", false);
        assert!(!differs_where_large(&rows("1"), &rows("2"), "no"));
        let part =
            |other: &str| differs_by_part_of(&rows("3.3e-7"), &rows("3.300001e-7"), &rows(other));
        assert!(part("20") && !part("1e-5") && !part("null"));
        // The row of the same time counts.
        let large = differs_where_large;
        let series = |host: &str, rows: &str| {
            format!(
                r#"{{"name":"m","tags":{{"h":"{host}"}},"columns":["time","f"],"values":[{rows}]}}"#
            )
        };
        let all =
            |series: &[String]| format!(r#"{{"results":[{{"series":[{}]}}]}}"#, series.join(","));
        let [one, own] = ["-2", "0"].map(|v| all(&[series("b", &format!("[5,{v}]"))]));
        let other = |rows: &str| all(&[series("a", "[5,1]"), series("b", rows)]);
        assert!(large(&one, &own, &other("[1,2],[5,1e15]")));
        assert!(!large(&one, &own, &other("[1,1e15],[5,2]")));
        assert!(!large(&one, &own, &other("[5,1e15],[5,1e15]")));
        assert!(!large(&one, &own, &all(&[series("a", "[5,1e15]")])));
    }

    #[test]
    fn names_are_compared_without_what_stands_under_them() {
        let judged = r#"{"results":[{"series":[{"name":"m","tags":{"h":"a"},
            "columns":["time","f","x"],"values":[[1,2,null]]}]}]}"#;
        let ours = judged.replace("null", "false");
        assert!(names_no_more(&ours, judged));
        assert!(names_no_more(&ours.replace(r#","x""#, ""), judged));
        assert!(!names_no_more(&ours, &judged.replace(r#","x""#, "")));
        assert!(!names_no_more(&ours.replace("\"h\"", "\"g\""), judged));
        let keys = r#"{"results":[{"series":[{"name":"m","columns":["fieldKey","fieldType"],
            "values":[["f","float"]]}]}]}"#;
        assert!(names_no_more(keys, keys));
        assert!(!names_no_more(&keys.replace("\"float", "\"string"), keys));
    }

    #[test]
    fn only_numbers_differ() {
        let answer = |value: &str| format!(r#"{{"results":[{{"values":[[1,{value}]]}}]}}"#);
        let [small, other, text] = ["1.5", "2.5", "null"].map(answer);
        let [large, negative] = ["2305843009213694000", "-2305843009213694000"].map(answer);
        assert!(differs_in_numbers(&small, &other));
        assert!(!differs_in_numbers(&small, &text));
        assert!(differs_in_numbers_above(&large, &negative, 9e15));
        assert!(!differs_in_numbers_above(&small, &other, 9e15));
    }

    #[test]
    fn the_first_series_come() {
        let answer = |names: &[&str]| {
            let series: Vec<String> = names
                .iter()
                .map(|name| format!(r#"{{"name":"{name}","columns":["time"],"values":[[1]]}}"#))
                .collect();
            format!(
                r#"{{"results":[{{"statement_id":0,"series":[{}]}}]}}"#,
                series.join(",")
            )
        };
        assert!(ends_early(&answer(&["a"]), &answer(&["a", "b"])));
        assert!(ends_early(DONE, &answer(&["a"])));
        assert!(!ends_early(&answer(&["b"]), &answer(&["a", "b"])));
        assert!(!ends_early(&answer(&["a"]), &answer(&["a"])));
        assert!(!ends_early(
            r#"{"results":[{"error":"no"}]}"#,
            &answer(&["a"])
        ));
    }

    #[test]
    fn more_fields_are_shown() {
        let keys = |rows: &str| {
            format!(
                r#"{{"results":[{{"series":[{{"name":"m","columns":["fieldKey","fieldType"],"values":[{rows}]}}]}}]}}"#
            )
        };
        let (one, two) = (
            keys(r#"["b","boolean"]"#),
            keys(r#"["b","boolean"],["f","float"]"#),
        );
        assert!(shows_more_fields(&two, &one) && shows_more_fields(&one, &one));
        assert!(!shows_more_fields(&one, &two));
        let rows = |columns: &str, row: &str| {
            format!(
                r#"{{"results":[{{"series":[{{"name":"m","columns":[{columns}],"values":[[{row}]]}}]}}]}}"#
            )
        };
        let (narrow, wide) = (
            rows(r#""time","f""#, "1,2"),
            rows(r#""time","f","x""#, "1,2,null"),
        );
        assert!(shows_more_fields(&wide, &narrow));
        assert!(!shows_more_fields(&wide.replace("null", "3"), &narrow));
        assert!(!shows_more_fields(&narrow, &wide));
    }

    #[test]
    fn what_counts_more_counts_the_same_things() {
        let counts = |count: i64, name: &str| {
            format!(
                r#"{{"results":[{{"series":[{{"name":"{name}","columns":["count"],"values":[[{count}]]}}]}}]}}"#
            )
        };
        assert!(counts_more(&counts(4, "m"), &counts(2, "m")));
        assert!(!counts_more(&counts(1, "m"), &counts(2, "m")));
        assert!(!counts_more(&counts(4, "m"), &counts(2, "n")));
        assert!(!counts_more(DONE, &counts(2, "m")));
        let beside = |text: &str| text.replacen("[{", "[{},{", 1);
        assert!(counts_more(
            &beside(&counts(4, "m")),
            &beside(&counts(2, "m"))
        ));
        assert!(!counts_more(&beside(&counts(4, "m")), &counts(2, "m")));
    }
}
