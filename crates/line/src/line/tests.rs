//! What a line gives, field by field, and what is said of a bad one.

use super::*;

fn fields(raw: &str) -> Vec<(String, String)> {
    let mut line = Line::parse(raw.as_bytes(), ParseOptions::default()).unwrap();
    let mut fields = Vec::new();
    while let Some(field) = line.next_field().unwrap() {
        fields.push((
            String::from_utf8_lossy(field.name).into_owned(),
            format!("{:?}", field.value),
        ));
    }
    fields
}

#[test]
fn a_line_is_pulled_apart() {
    let raw = b"cpu,host=a b=1.5,c=-3i,d=t,e=\"x, y\" 1434055562";
    let options = ParseOptions {
        precision: Precision::Second,
        unsigned: false,
    };
    let mut line = Line::parse(raw, options).unwrap();
    assert_eq!(line.key(), b"cpu,host=a");
    let mut seen = Vec::new();
    while let Some(field) = line.next_field().unwrap() {
        seen.push((field.name, field.value));
    }
    let text = crate::StringValue {
        raw: b"x, y",
        has_escapes: false,
    };
    assert_eq!(
        seen,
        [
            (&b"b"[..], Value::Float(1.5)),
            (b"c", Value::Integer(-3)),
            (b"d", Value::Boolean(true)),
            (b"e", Value::String(text)),
        ]
    );
    assert_eq!(line.timestamp(), Ok(Some(1_434_055_562_000_000_000)));
}

#[test]
fn a_right_guess_and_a_wrong_one_give_the_same_field() {
    let raw = b"m usage_user=1,usage_system=2i 5";
    let guesses: [&[u8]; 5] = [b"usage_user", b"usage_use", b"", b"usage_user=1", b"x"];
    for guess in guesses {
        let mut line = Line::parse(raw, ParseOptions::default()).unwrap();
        let first = line.next_field_predicted(guess).unwrap().unwrap();
        assert_eq!(first.name, b"usage_user");
        assert_eq!(first.value, Value::Float(1.0));
        let second = line.next_field_predicted(b"usage_system").unwrap().unwrap();
        assert_eq!(second.value, Value::Integer(2));
        assert_eq!(line.next_field_predicted(b"usage_system"), Ok(None));
        assert_eq!(line.timestamp(), Ok(Some(5)));
    }
}

#[test]
fn names_keep_their_escapes() {
    assert_eq!(
        fields(r"m a\=b\,c\ d\e=1,f=2"),
        [
            (r"a\=b\,c\ d\e".into(), "Float(1.0)".into()),
            ("f".into(), "Float(2.0)".into())
        ]
    );
    assert_eq!(
        crate::unescape_field_name(br#"a\=b\,c\ d\e\""#).as_ref(),
        br#"a=b,c d\e""#
    );
}

#[test]
fn a_time_may_be_followed_by_spaces_and_preceded_by_any_blank() {
    for raw in ["m v=1 7", "m v=1 \t\0 7  ", "m \t v=1  7"] {
        let mut line = Line::parse(raw.as_bytes(), ParseOptions::default()).unwrap();
        while line.next_field().unwrap().is_some() {}
        assert_eq!(line.timestamp(), Ok(Some(7)), "{raw:?}");
    }
    for raw in ["m v=1", "m v=1 ", "m v=1 \t\0"] {
        let mut line = Line::parse(raw.as_bytes(), ParseOptions::default()).unwrap();
        while line.next_field().unwrap().is_some() {}
        assert_eq!(line.timestamp(), Ok(None), "{raw:?}");
    }
}

#[test]
fn times_out_of_range_are_refused_in_every_unit() {
    for (raw, precision, good) in [
        ("m v=1 9223372036854775806", Precision::Nanosecond, true),
        ("m v=1 9223372036854775807", Precision::Nanosecond, false),
        ("m v=1 -9223372036854775806", Precision::Nanosecond, true),
        ("m v=1 -9223372036854775807", Precision::Nanosecond, false),
        ("m v=1 9223372036", Precision::Second, true),
        ("m v=1 9223372037", Precision::Second, false),
        ("m v=1 -2562047", Precision::Hour, true),
        ("m v=1 2562048", Precision::Hour, false),
    ] {
        let options = ParseOptions {
            precision,
            unsigned: false,
        };
        let want = if good {
            Ok(())
        } else {
            Err(Reason::TimeOutOfRange)
        };
        assert_eq!(
            check(raw.as_bytes(), options).map_err(|error| error.reason),
            want,
            "{raw}"
        );
    }
}

#[test]
fn a_field_name_counts_towards_the_longest_key() {
    let key = format!("m,t={}", "x".repeat(MAX_KEY_BYTES - 4 - 4 - 3));
    let options = ParseOptions::default();
    assert_eq!(check(format!("{key} abc=1").as_bytes(), options), Ok(()));
    let reason = |text: String| check(text.as_bytes(), options).unwrap_err().reason;
    assert_eq!(
        reason(format!("{key} abc=1,abcde=1,abcd=2 x")),
        Reason::KeyTooLong(MAX_KEY_BYTES + 2)
    );
    assert_eq!(reason(format!("{key} abcd=1,v=x")), Reason::InvalidBoolean);
}
