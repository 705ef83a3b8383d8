//! Any body: the parser against the naive one, the quick way against the slow one, and against the
//! crate `influxdb-line-protocol` where that takes a line too; and the scan.
#![no_main]

#[path = "../../tests/naive/mod.rs"]
mod naive;

use libfuzzer_sys::fuzz_target;
use naive::{Point, describe, parse, read};
use tandem_line::{Line, ParseOptions, Pattern, Value, canonical_key, lines, scan};
use tandem_model::SeriesKey;

fuzz_target!(|body: &[u8]| {
    let _ = scan(body);
    let mut pattern: Option<Pattern> = None;
    for raw in lines(body) {
        let ours = read(raw);
        assert_eq!(ours, parse(raw), "{}", raw.escape_ascii());
        if let Some(pattern) = &pattern {
            assert_same_as_pulled(raw, pattern, ours.as_ref());
        }
        if ours.is_some() {
            pattern = pattern_of(raw);
        }
        if let (Some(pattern), Some(_)) = (&pattern, &ours) {
            assert_same_as_pulled(raw, pattern, ours.as_ref());
        }
        if let (Some(ours), Ok(line)) = (&ours, std::str::from_utf8(raw)) {
            assert_same_as_the_crate(line, ours);
        }
    }
});

fn pattern_of(raw: &[u8]) -> Option<Pattern> {
    let mut line = Line::parse(raw, ParseOptions::default()).ok()?;
    let mut fields = Vec::new();
    while let Some(field) = line.next_field().ok()? {
        fields.push((field.name, field.value.field_type()));
    }
    Pattern::new(fields)
}

/// Where the quick way takes a line, the slow one does too, and reads the same.
fn assert_same_as_pulled(raw: &[u8], pattern: &Pattern, pulled: Option<&Point>) {
    let Ok(line) = Line::parse(raw, ParseOptions::default()) else {
        return;
    };
    let mut values = Vec::new();
    let time = line.read_as(pattern, |_, value| {
        let mut buffer = Vec::new();
        values.push(match value {
            Value::Float(value) => format!("float {:x}", value.to_bits()),
            Value::Integer(value) => format!("integer {value}"),
            Value::Unsigned(value) => format!("unsigned {value}"),
            Value::Boolean(value) => format!("boolean {value}"),
            Value::String(value) => format!("string {:?}", value.unescape(&mut buffer)),
        });
        true
    });
    let (Some(time), Ok(())) = (time, canonical_key(line.key(), &mut Vec::new())) else {
        return;
    };
    let (_, fields, pulled_time) = pulled.expect("a line that the quick way takes is good");
    assert_eq!(time, *pulled_time, "{}", raw.escape_ascii());
    let texts: Vec<&String> = fields.iter().map(|(_, text)| text).collect();
    assert_eq!(values.iter().collect::<Vec<_>>(), texts);
}

/// Where both take a line, both read the same from it, but for what docs/line-protocol.md lists.
fn assert_same_as_the_crate(line: &str, ours: &Point) {
    // Escapes, and blanks in odd places, are read in other ways; see the page.
    if line.contains(['\\', '\t', '\n', '\r', '\0', '#']) || line.starts_with(' ') {
        return;
    }
    let parsed: Vec<_> = influxdb_line_protocol::parse_lines(line).collect();
    let [Ok(theirs)] = &parsed[..] else {
        return;
    };
    let (key, fields, time) = ours;
    let (measurement, tags) = SeriesKey::split(key);
    assert_eq!(
        measurement,
        theirs.series.measurement.to_string().into_bytes()
    );
    let mut their_tags: Vec<_> = theirs
        .series
        .tag_set
        .iter()
        .flatten()
        .map(|(k, v)| (k.to_string().into_bytes(), v.to_string().into_bytes()))
        .collect();
    their_tags.sort();
    assert_eq!(tags.collect::<Vec<_>>(), their_tags, "{line}");
    let their_fields: Vec<_> = theirs
        .field_set
        .iter()
        .map(|(name, value)| (name.to_string().into_bytes(), describe(value)))
        .collect();
    assert_eq!(*fields, their_fields, "{line}");
    assert_eq!(*time, theirs.timestamp, "{line}");
}
