//! Points out of a query's answer, compared field by field, and the lines of those that are missing.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use serde_json::Value as Json;

/// The types of a measurement's fields; JSON does not tell an integer from a float.
#[derive(Debug, Default)]
pub(super) struct Kinds(HashMap<String, String>);

impl Kinds {
    /// Out of the answer to `SHOW FIELD KEYS`.
    pub(super) fn of(series: &[Json]) -> Self {
        let rows = series
            .iter()
            .flat_map(|series| series["values"].as_array().into_iter().flatten());
        let pair = |row: &Json| Some((row[0].as_str()?.to_owned(), row[1].as_str()?.to_owned()));
        Self(rows.filter_map(pair).collect())
    }

    fn suffix(&self, field: &str) -> &'static str {
        match self.0.get(field).map(String::as_str) {
            Some("integer") => "i",
            Some("unsigned") => "u",
            _ => "",
        }
    }
}

/// The tags of a series, sorted, without empty ones.
type Tags = Vec<(String, String)>;

/// Rows of one measurement: by series and time, their fields.
#[derive(Debug, Default)]
pub(super) struct Points(BTreeMap<(Tags, i64), BTreeMap<String, Json>>);

impl Points {
    /// Out of the answer to `SELECT * … GROUP BY *`.
    pub(super) fn of(answer: &[Json]) -> Self {
        let mut points = Self::default();
        for series in answer {
            let tags = series["tags"].as_object().cloned().unwrap_or_default();
            let pair = |(key, value): (String, Json)| Some((key, value.as_str()?.to_owned()));
            let mut tags: Tags = tags.into_iter().filter_map(pair).collect();
            tags.retain(|(_, value)| !value.is_empty());
            tags.sort();
            let columns = series["columns"].as_array().cloned().unwrap_or_default();
            for row in series["values"].as_array().into_iter().flatten() {
                let Some(time) = row[0].as_i64() else {
                    continue;
                };
                let fields = points.0.entry((tags.clone(), time)).or_default();
                for (at, column) in columns.iter().enumerate().skip(1) {
                    if !row[at].is_null() {
                        let name = column.as_str().unwrap_or_default().to_owned();
                        fields.insert(name, row[at].clone());
                    }
                }
            }
        }
        points
    }

    /// A line for each point that `other` lacks, or has differently, with the fields concerned.
    pub(super) fn lines_lacking_in(
        &self,
        other: &Self,
        measurement: &str,
        kinds: &Kinds,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, fields) in &self.0 {
            let theirs = other.0.get(key);
            let lacking = fields.iter().filter(|(name, value)| {
                let theirs = theirs.and_then(|fields| fields.get(*name));
                !theirs.is_some_and(|theirs| is_same(value, theirs))
            });
            let (tags, time) = key;
            let mut line = escaped(measurement, &[',', ' ']);
            for (key, value) in tags {
                let special = [',', ' ', '='];
                let _ = write!(
                    line,
                    ",{}={}",
                    escaped(key, &special),
                    escaped(value, &special)
                );
            }
            let mut separator = ' ';
            for (name, value) in lacking {
                let name_text = escaped(name, &[',', ' ', '=']);
                let _ = write!(
                    line,
                    "{separator}{name_text}={}",
                    literal(value, kinds.suffix(name))
                );
                separator = ',';
            }
            if separator == ',' {
                let _ = writeln!(line, " {time}");
                lines.push(line);
            }
        }
        lines
    }

    /// How many points have a field that `other` has not.
    pub(super) fn count_beyond(&self, other: &Self) -> u64 {
        let beyond = self.0.iter().filter(|(key, fields)| {
            let theirs = other.0.get(*key);
            fields
                .keys()
                .any(|name| !theirs.is_some_and(|fields| fields.contains_key(name)))
        });
        beyond.count() as u64
    }
}

/// Whether both are one value: servers write the same float as `1`, `1.0` and `1e0`.
fn is_same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(number), Json::Number(theirs)) if number.is_f64() || theirs.is_f64() => {
            number.as_f64() == theirs.as_f64()
        }
        _ => one == other,
    }
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if special.contains(&character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// A value as line protocol writes it.
fn literal(value: &Json, suffix: &str) -> String {
    match value {
        Json::String(text) => format!("\"{}\"", escaped(text, &['"', '\\'])),
        Json::Number(number) => format!("{number}{suffix}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn points(rows: Json) -> Points {
        Points::of(&[json!({
            "name": "m x", "tags": {"host": "a b", "rack": ""},
            "columns": ["time", "f", "n", "s"], "values": rows,
        })])
    }

    #[test]
    fn what_is_lacking_is_written_field_by_field_and_typed() {
        let kinds =
            Kinds::of(&[json!({"values": [["f", "float"], ["n", "integer"], ["s", "string"]]})]);
        let ours = points(json!([
            [1, 1, 5, "say \"x\\\""],
            [2, 2.5, null, null],
            [3, 3, 7, null]
        ]));
        let theirs = points(json!([
            [2, 2.5, null, null],
            [3, 3, 8, null],
            [4, 1, null, null]
        ]));
        assert_eq!(
            ours.lines_lacking_in(&theirs, "m x", &kinds),
            [
                "m\\ x,host=a\\ b f=1,n=5i,s=\"say \\\"x\\\\\\\"\" 1\n",
                "m\\ x,host=a\\ b n=7i 3\n"
            ]
        );
        assert_eq!(theirs.count_beyond(&ours), 1);
        assert!(ours.lines_lacking_in(&ours, "m x", &kinds).is_empty());
    }

    /// What is copied one digit off is a difference for ever: the next repair finds it again.
    #[test]
    fn floats_are_copied_to_the_last_bit() {
        let kinds = Kinds::of(&[json!({"values": [["f", "float"]]})]);
        let mut bits: u64 = 0x9e37_79b9_7f4a_7c15;
        for time in 0..20_000 {
            bits = bits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits);
            if !value.is_finite() {
                continue;
            }
            let text = format!(
                "[{{\"name\":\"m\",\"columns\":[\"time\",\"f\"],\"values\":[[{time},{value:e}]]}}]"
            );
            let ours = Points::of(&serde_json::from_str::<Vec<Json>>(&text).unwrap());
            let lines = ours.lines_lacking_in(&Points::default(), "m", &kinds);
            let copied = lines[0].strip_prefix("m f=").unwrap();
            let copied: f64 = copied.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(copied.to_bits(), value.to_bits(), "{value:e}: {lines:?}");
        }
    }

    #[test]
    fn one_float_written_in_two_ways_is_no_difference() {
        let kinds = Kinds::of(&[json!({"values": [["f", "float"]]})]);
        let read = |value: &str| {
            let text = format!("[{{\"columns\":[\"time\",\"f\"],\"values\":[[1,{value}]]}}]");
            Points::of(&serde_json::from_str::<Vec<Json>>(&text).unwrap())
        };
        for other in ["1.0", "1e0", "10e-1"] {
            assert!(
                read("1")
                    .lines_lacking_in(&read(other), "m", &kinds)
                    .is_empty()
            );
            assert!(
                read(other)
                    .lines_lacking_in(&read("1"), "m", &kinds)
                    .is_empty()
            );
        }
        assert_eq!(
            read("1").lines_lacking_in(&read("1.5"), "m", &kinds).len(),
            1
        );
    }
}
