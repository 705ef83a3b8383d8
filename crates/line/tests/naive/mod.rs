//! A parser of one line that is written for the reader: it splits, copies and allocates.

use tandem_line::{Field, Line, ParseOptions, Value, canonical_key, unescape_field_name};
use tandem_model::SeriesKey;

/// Series key, fields as text, time.
pub(crate) type Point = (Vec<u8>, Vec<(Vec<u8>, String)>, Option<i64>);

/// What the parser makes of one line.
pub(crate) fn read(raw: &[u8]) -> Option<Point> {
    let mut line = Line::parse(raw, ParseOptions::default()).ok()?;
    let mut key = Vec::new();
    canonical_key(line.key(), &mut key).ok()?;
    let mut fields = Vec::new();
    while let Some(Field { name, value }) = line.next_field().ok()? {
        let mut buffer = Vec::new();
        let text = match value {
            Value::Float(value) => format!("float {:x}", value.to_bits()),
            Value::Integer(value) => format!("integer {value}"),
            Value::Unsigned(value) => format!("unsigned {value}"),
            Value::Boolean(value) => format!("boolean {value}"),
            Value::String(value) => format!("string {:?}", value.unescape(&mut buffer)),
        };
        fields.push((unescape_field_name(name).into_owned(), text));
    }
    Some((key, fields, line.timestamp().ok()?))
}

/// Splits at `delimiter` where no backslash stands before it, at most into `parts`.
fn split(text: &[u8], delimiter: u8, parts: usize) -> Vec<Vec<u8>> {
    let mut out = vec![Vec::new()];
    let mut previous = 0;
    for &byte in text {
        let full = out.len() == parts;
        let last = out.last_mut().unwrap();
        if byte == delimiter && previous != b'\\' && !full {
            out.push(Vec::new());
        } else {
            last.push(byte);
        }
        previous = byte;
    }
    out
}

fn unescape(text: &[u8], special: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, &byte) in text.iter().enumerate() {
        let hides = byte == b'\\' && text.get(at + 1).is_some_and(|b| special.contains(b));
        if !hides {
            out.push(byte);
        }
    }
    out
}

fn trim_start(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | 0);
    let skip = text.iter().take_while(|byte| blank(byte)).count();
    &text[skip..]
}

pub(crate) fn parse(line: &[u8]) -> Option<Point> {
    let halves = split(trim_start(line), b' ', 2);
    let [key, rest] = halves.as_slice() else {
        return None;
    };
    let (fields, time) = fields(trim_start(rest))?;
    Some((series(key)?, fields, timestamp(trim_start(time))?))
}

fn series(key: &[u8]) -> Option<Vec<u8>> {
    let parts = split(key, b',', usize::MAX);
    let (measurement, tags) = parts.split_first()?;
    let mut pairs = Vec::new();
    for tag in tags {
        let halves = split(tag, b'=', 2);
        let [name, value] = halves.as_slice() else {
            return None;
        };
        // A bare `=` may start a value but not stand in it.
        let bare = |at: usize| value[at] == b'=' && value[at - 1] != b'\\';
        if name.is_empty() || value.is_empty() || (1..value.len()).any(bare) {
            return None;
        }
        pairs.push((unescape(name, b", ="), unescape(value, b", =")));
    }
    let mut tags: Vec<(&[u8], &[u8])> = pairs.iter().map(|(k, v)| (&k[..], &v[..])).collect();
    let name = unescape(measurement, b", =\"");
    if measurement.is_empty() {
        return None;
    }
    Some(SeriesKey::new(&name, &mut tags).ok()?.as_bytes().to_vec())
}

type Fields = Vec<(Vec<u8>, String)>;

/// The fields and what follows them.
fn fields(text: &[u8]) -> Option<(Fields, &[u8])> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let name_len = (0..rest.len()).find(|&at| rest[at] == b'=' && !hidden(rest, at))?;
        let name = &rest[..name_len];
        let bare = |at: usize| matches!(name[at], b',' | b' ') && !hidden(name, at);
        if name.is_empty() || name.ends_with(b"\\") || (0..name.len()).any(bare) {
            return None;
        }
        rest = &rest[name_len + 1..];
        let value_len = if rest.first() == Some(&b'"') {
            (1..rest.len()).find(|&at| rest[at] == b'"' && !hidden(rest, at))? + 1
        } else {
            let end = rest.iter().position(|byte| matches!(byte, b',' | b' '));
            end.unwrap_or(rest.len())
        };
        out.push((unescape(name, b", =\""), value(&rest[..value_len])?));
        rest = &rest[value_len..];
        match rest.first() {
            Some(b',') => rest = &rest[1..],
            Some(b' ') | None => return Some((out, rest)),
            Some(_) => return None,
        }
    }
}

/// Whether an odd number of backslashes stands before `at`.
fn hidden(text: &[u8], at: usize) -> bool {
    let before = text[..at].iter().rev();
    before.take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

fn value(text: &[u8]) -> Option<String> {
    if text.first() == Some(&b'"') {
        let (mut inner, mut rest) = (Vec::new(), &text[1..text.len() - 1]);
        while let Some((&byte, after)) = rest.split_first() {
            let hidden = after.first().filter(|next| matches!(next, b'"' | b'\\'));
            let hidden = hidden.filter(|_| byte == b'\\');
            inner.push(*hidden.unwrap_or(&byte));
            rest = &after[usize::from(hidden.is_some())..];
        }
        return Some(format!("string {:?}", &inner[..]));
    }
    let text = std::str::from_utf8(text).ok()?;
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Some("boolean true".into()),
        "f" | "F" | "false" | "False" | "FALSE" => return Some("boolean false".into()),
        _ => {}
    }
    if text.starts_with('+') || text.to_ascii_lowercase().contains('n') {
        return None;
    }
    if let Some(digits) = text.strip_suffix('i') {
        return Some(format!("integer {}", digits.parse::<i64>().ok()?));
    }
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
    Some(format!("float {:x}", value.to_bits()))
}

fn timestamp(text: &[u8]) -> Option<Option<i64>> {
    let text = std::str::from_utf8(text).ok()?.trim_end_matches(' ');
    if text.is_empty() {
        return Some(None);
    }
    let time: i64 = text.parse().ok().filter(|_| !text.starts_with('+'))?;
    let allowed = tandem_model::MIN_TIME_NS..=tandem_model::MAX_TIME_NS;
    allowed.contains(&time).then_some(Some(time))
}

/// A value of the crate, in the words of [`Point`].
pub(crate) fn describe(value: &influxdb_line_protocol::FieldValue<'_>) -> String {
    use influxdb_line_protocol::FieldValue as Theirs;
    match value {
        Theirs::I64(value) => format!("integer {value}"),
        Theirs::U64(value) => format!("unsigned {value}"),
        Theirs::F64(value) => format!("float {:x}", value.to_bits()),
        Theirs::Boolean(value) => format!("boolean {value}"),
        Theirs::String(value) => format!("string {:?}", value.as_bytes()),
    }
}
