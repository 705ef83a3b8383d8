//! Reading as a pattern says takes only what pulling takes, and reads the same.

use proptest::prelude::*;

use super::*;
use crate::line::ParseOptions;
use crate::lines::lines;

/// Fields and time of a line; floats by their bits.
type Read = (Vec<(FieldType, String)>, Option<i64>);

fn text(value: Value<'_>) -> (FieldType, String) {
    let text = match value {
        Value::Float(value) => format!("{:x}", value.to_bits()),
        other => format!("{other:?}"),
    };
    (value.field_type(), text)
}

fn pulled(line: &Line<'_>) -> Option<(Pattern, Read)> {
    let mut line = line.clone();
    let (mut names, mut values) = (Vec::new(), Vec::new());
    while let Some(field) = line.next_field().ok()? {
        names.push((field.name, field.value.field_type()));
        values.push(text(field.value));
    }
    let time = line.timestamp().ok()?;
    Some((Pattern::new(names)?, (values, time)))
}

fn read_as(line: &Line<'_>, pattern: &Pattern) -> Option<Read> {
    let mut values = Vec::new();
    let time = line.read_as(pattern, |number, value| {
        assert_eq!(number, values.len());
        values.push(text(value));
        true
    })?;
    Some((values, time))
}

fn parse(raw: &str) -> Line<'_> {
    Line::parse(raw.as_bytes(), ParseOptions::default()).unwrap()
}

#[test]
fn a_line_is_read_as_its_own_pattern_says() {
    let names = "abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLM";
    for (before, after) in [("", ""), ("x=1,", ""), ("", ",y=t"), ("x=\"\",", ",y=-3i")] {
        for len in 1..names.len() {
            let raw = format!(
                "m,0=1 {before}{}=12.5{after} 1434055562000000000",
                &names[..len]
            );
            let line = parse(&raw);
            let (pattern, read) = pulled(&line).unwrap();
            assert_eq!(read_as(&line, &pattern), Some(read), "{raw}");
            let changed = raw.replacen(&names[..len], &format!("{}0", &names[..len - 1]), 1);
            assert_eq!(read_as(&parse(&changed), &pattern), None, "{changed}");
        }
    }
}

#[test]
fn what_looks_different_is_left_alone() {
    let line = parse("m usage=1i,other=\"x\",third=2.5 7");
    let (pattern, read) = pulled(&line).unwrap();
    assert_eq!(read_as(&line, &pattern), Some(read));
    for raw in [
        "m usage=1i,other=\"x\" 7",
        "m usage=1i,other=\"x\",third=2.5,fourth=1 7",
        "m usage=1,other=\"x\",third=2.5 7",
        "m usage=1i,other=1,third=2.5 7",
        "m usage=1i,other=\"x\",third=2.5i 7",
        "m other=\"x\",usage=1i,third=2.5 7",
        "m usage=1i,other=\"x\"y,third=2.5 7",
        "m usage=1i,other=\"x\",third=2.5\t7",
        "m usage=1i,other=\"x\",third=2.5x 7",
        "m usage=1i,other=\"x\",third=2.5 x",
        "m usage=1i,other=\"x\",third=2.5 9223372036854775807",
        "m usage=9223372036854775808i,other=\"x\",third=2.5 7",
    ] {
        assert_eq!(read_as(&parse(raw), &pattern), None, "{raw}");
    }
    let mut seen = 0;
    let stopped = line.read_as(&pattern, |_, _| {
        seen += 1;
        seen < 2
    });
    assert_eq!((stopped, seen), (None, 2));
}

#[test]
fn a_key_that_is_too_long_with_its_name_is_left_to_the_other_way() {
    for (bytes, taken) in [(MAX_KEY_BYTES - 8, true), (MAX_KEY_BYTES - 7, false)] {
        let raw = format!("{} name=1i", "m".repeat(bytes));
        let pattern = Pattern::new([(&b"name"[..], FieldType::Integer)]).unwrap();
        assert_eq!(read_as(&parse(&raw), &pattern).is_some(), taken, "{bytes}");
    }
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,20}i",
        "-?[0-9]{0,18}\\.?[0-9]{0,18}",
        "-?[0-9]{1,3}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        "\"[a ,=\\\\\"]{0,6}\"",
        "t|T|true|False|f",
        any::<f64>().prop_map(|value| value.to_string()),
    ]
}

proptest! {
    /// A line against its own pattern and against the pattern of another line.
    #[test]
    fn reading_and_pulling_agree(
        one in prop::collection::vec(("[ab]{1,20}|c\\\\,d|n", value()), 1..5),
        two in prop::collection::vec(("[ab]{1,20}|c\\\\,d|n", value()), 1..5),
        end in "( [0-9]{1,20})?( |\\t)?|  -?[0-9]{1,4}",
    ) {
        let write = |fields: &[(String, String)]| {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("m,t=x {}{end}", fields.join(","))
        };
        // The second has the names of the first as far as it can, so that values meet other types.
        let mut mixed = two.clone();
        mixed.iter_mut().zip(&one).for_each(|(to, from)| to.0.clone_from(&from.0));
        let bodies = [write(&one), write(&two), write(&mixed)];
        let parsed: Vec<Line<'_>> = bodies
            .iter()
            .filter_map(|body| Line::parse(lines(body.as_bytes()).next()?, ParseOptions::default()).ok())
            .collect();
        for pattern in parsed.iter().filter_map(|line| Some(pulled(line)?.0)) {
            for line in &parsed {
                let (read, pulled) = (read_as(line, &pattern), pulled(line));
                match (read, pulled) {
                    (Some(read), pulled) => prop_assert_eq!(Some(read), pulled.map(|(_, read)| read)),
                    (None, Some((own, _))) => prop_assert_ne!(format!("{own:?}"), format!("{pattern:?}")),
                    (None, None) => {}
                }
            }
        }
    }
}
