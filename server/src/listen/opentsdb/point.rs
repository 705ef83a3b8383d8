//! A point in JSON: `{"metric":"sys.cpu","timestamp":1356998400,"value":18,"tags":{"host":"web01"}}`.
//!
//! A body holds one or a list of them. They are read one by one and become lines at once, so that a large body is
//! never held as a tree: neither all points, nor a point of a million tags, nor a value that is a list.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use tandem_line::Writer;
use tandem_model::{MAX_TIME_NS, MIN_TIME_NS};

/// Times from here on are milliseconds; it is the year 2286 in seconds.
const FIRST_MILLISECOND: i64 = 10_000_000_000;

#[derive(Debug, Deserialize)]
struct Point {
    metric: String,
    timestamp: i64,
    value: Value,
    #[serde(default)]
    tags: Tags,
}

/// A number, or a text of one.
#[derive(Debug)]
struct Value(Option<f64>);

/// Tags as they come. Beyond [`TAGS_BYTES_MAX`] they are only read.
#[derive(Debug, Default)]
struct Tags {
    list: Vec<(String, String)>,
    bytes: usize,
}

/// Bytes of the tags of a point; a series key may not have more.
const TAGS_BYTES_MAX: usize = 64 << 10;

/// The lines of a body, and how many points it had that are none.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) writer: Writer,
    pub(super) malformed: u64,
}

/// Seconds or milliseconds since 1970, told apart by their size, in nanoseconds.
pub(super) fn time_ns(time: i64) -> Option<i64> {
    let unit_ns = if time < FIRST_MILLISECOND {
        1_000_000_000
    } else {
        1_000_000
    };
    time.checked_mul(unit_ns)
        .filter(|time_ns| (MIN_TIME_NS..=MAX_TIME_NS).contains(time_ns))
}

/// Reads a body.
///
/// # Errors
/// InfluxDB's words, with the place at which it is no JSON of such points.
pub(super) fn read(body: &[u8]) -> Result<Lines, String> {
    let mut lines = Lines::default();
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let (read, kind) = match first {
        Some(b'[') => {
            let mut json = serde_json::Deserializer::from_slice(body);
            let read = json
                .deserialize_seq(Each(&mut lines))
                .and_then(|()| json.end());
            (read, "array")
        }
        Some(b'{') => {
            let read = serde_json::from_slice(body).map(|point| lines.take(point));
            (read, "object")
        }
        _ => return Err("expected JSON array or hash".to_owned()),
    };
    match read {
        Ok(()) => Ok(lines),
        Err(error) => Err(format!("json {kind} decode error: {error}")),
    }
}

impl Lines {
    fn take(&mut self, point: Point) {
        let has_room = point.tags.bytes <= TAGS_BYTES_MAX;
        let value = point.value.0.filter(|_| has_room);
        let (Some(value), Some(time_ns)) = (value, time_ns(point.timestamp)) else {
            self.malformed += 1;
            return;
        };
        let mut tags = point.tags.list;
        let line = self.writer.line(&point.metric).tags(&mut tags);
        if !line.float("value", value).end(Some(time_ns)) {
            self.malformed += 1;
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a text of one")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value(Some(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value(Some(value as f64)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(Value(Some(value as f64)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value(text.parse().ok()))
            }
        }
        from.deserialize_any(Number)
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Tags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tags and their values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags, A::Error> {
                let mut tags = Tags::default();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    tags.bytes += key.len() + value.len() + 2;
                    if tags.bytes <= TAGS_BYTES_MAX {
                        tags.list.push((key, value));
                    }
                }
                Ok(tags)
            }
        }
        from.deserialize_map(Each)
    }
}

/// Takes the points of a list one by one.
struct Each<'a>(&'a mut Lines);

impl<'de> Visitor<'de> for Each<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of points")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error>
    where
        A::Error: de::Error,
    {
        while let Some(point) = list.next_element()? {
            self.0.take(point);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(body: &str) -> Result<(String, u64), String> {
        let lines = read(body.as_bytes())?;
        let text = String::from_utf8(lines.writer.into_bytes()).unwrap();
        Ok((text, lines.malformed))
    }

    #[test]
    fn one_or_many() {
        let one = r#" {"metric":"sys.cpu","timestamp":1356998400,"value":18,"tags":{"host":"web01","dc":"lga"}}"#;
        let line = "sys.cpu,dc=lga,host=web01 value=18 1356998400000000000\n";
        assert_eq!(lines(one).unwrap(), (line.to_owned(), 0));
        let many = format!(
            r#"[{one}, {{"metric":"a","timestamp":1356998400123,"value":"1.5","tags":{{}}}}]"#
        );
        let both = format!("{line}a value=1.5 1356998400123000000\n");
        assert_eq!(lines(&many).unwrap(), (both, 0));
        assert_eq!(lines("[]").unwrap(), (String::new(), 0));
    }

    #[test]
    fn what_is_much_larger_as_a_tree_is_not_made_one() {
        let tags: Vec<String> = (0..20_000).map(|at| format!("\"t{at}\":\"v\"")).collect();
        let point = |value: &str, tags: &str| {
            format!("{{\"metric\":\"a\",\"timestamp\":1,\"value\":{value},\"tags\":{{{tags}}}}}")
        };
        assert_eq!(
            lines(&point("1", &tags.join(","))).unwrap(),
            (String::new(), 1)
        );
        let few = lines(&point("1", "\"b\":\"2\",\"a\":\"1\",\"b\":\"3\"")).unwrap();
        assert_eq!(few.0, "a,a=1,b=3 value=1 1000000000\n");
        for value in ["[1,1]", "{}", "null", "true"] {
            let error = lines(&point(value, "")).unwrap_err();
            assert!(error.contains("a number or a text of one"), "{error}");
        }
    }

    #[test]
    fn bad_points_are_counted_and_bad_bodies_refused() {
        let some = r#"[{"metric":"","timestamp":1,"value":1},{"metric":"a","timestamp":1,"value":"x"},
            {"metric":"a","timestamp":9223372036854775807,"value":1},{"metric":"a","timestamp":1,"value":1}]"#;
        assert_eq!(
            lines(some).unwrap(),
            ("a value=1 1000000000\n".to_owned(), 3)
        );
        for (body, start) in [
            ("", "expected JSON array or hash"),
            ("put a 1 1", "expected JSON array or hash"),
            ("[{]", "json array decode error: "),
            ("[] x", "json array decode error: "),
            ("{}", "json object decode error: missing field `metric`"),
            (
                r#"{"metric":"a","timestamp":"x","value":1}"#,
                "json object decode error: ",
            ),
        ] {
            let error = lines(body).unwrap_err();
            assert!(error.starts_with(start), "{body}: {error}");
        }
    }
}
