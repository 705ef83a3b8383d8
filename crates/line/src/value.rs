//! The value of a field as it stands in a line.

use memchr::{memchr, memchr2};
use tandem_model::FieldType;

use crate::number::parse_number;

/// A field's value. Strings are still as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `1.5`, `1`, `-2e3`; always finite.
    Float(f64),
    /// `1i`.
    Integer(i64),
    /// `1u`; only with [`crate::ParseOptions::unsigned`].
    Unsigned(u64),
    /// `t`, `true`, `F`, `False` and so on.
    Boolean(bool),
    /// `"text"`.
    String(StringValue<'a>),
}

impl Value<'_> {
    /// The type of this value.
    #[must_use]
    pub const fn field_type(&self) -> FieldType {
        match self {
            Self::Float(_) => FieldType::Float,
            Self::Integer(_) => FieldType::Integer,
            Self::Unsigned(_) => FieldType::Unsigned,
            Self::Boolean(_) => FieldType::Boolean,
            Self::String(_) => FieldType::String,
        }
    }
}

/// A string field's text between its quotes, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StringValue<'a> {
    /// What stands between the quotes.
    pub raw: &'a [u8],
    /// True when `raw` holds a backslash; when false, `raw` is the value.
    pub has_escapes: bool,
}

impl<'a> StringValue<'a> {
    /// The value: `raw` itself when nothing is escaped, else written to `buffer`, which is
    /// cleared first. Only `\"` and `\\` are escapes; any other backslash stands for itself.
    #[must_use]
    pub fn unescape<'b>(&self, buffer: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        if !self.has_escapes {
            return self.raw;
        }
        buffer.clear();
        let mut rest = self.raw;
        while let Some(at) = memchr(b'\\', rest) {
            let (plain, escape) = rest.split_at(at);
            buffer.extend_from_slice(plain);
            match escape.get(1) {
                Some(&byte @ (b'"' | b'\\')) => {
                    buffer.push(byte);
                    rest = &escape[2..];
                }
                _ => {
                    buffer.push(b'\\');
                    rest = &escape[1..];
                }
            }
        }
        buffer.extend_from_slice(rest);
        buffer
    }
}

/// The value that `text` starts with and its length; `None` when there is none. What follows the
/// value is not looked at.
#[inline]
pub(crate) fn parse_value(text: &[u8], unsigned: bool) -> Option<(Value<'_>, usize)> {
    match *text.first()? {
        b'0'..=b'9' | b'.' | b'-' => parse_number(text, unsigned),
        b'"' => parse_string(text),
        b't' | b'T' | b'f' | b'F' => parse_boolean(text),
        _ => None,
    }
}

fn parse_string(text: &[u8]) -> Option<(Value<'_>, usize)> {
    let mut has_escapes = false;
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            break;
        }
        has_escapes = true;
        at += 2;
    }
    let raw = &text[1..at];
    Some((Value::String(StringValue { raw, has_escapes }), at + 1))
}

fn parse_boolean(text: &[u8]) -> Option<(Value<'_>, usize)> {
    let word = text
        .iter()
        .position(|byte| matches!(byte, b',' | b' '))
        .map_or(text, |end| &text[..end]);
    let value = match word {
        b"t" | b"T" | b"true" | b"True" | b"TRUE" => true,
        b"f" | b"F" | b"false" | b"False" | b"FALSE" => false,
        _ => return None,
    };
    Some((Value::Boolean(value), word.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Option<(String, usize)> {
        let (Value::String(value), len) = parse_value(text.as_bytes(), false)? else {
            panic!("not a string: {text}");
        };
        let mut buffer = Vec::new();
        let value = value.unescape(&mut buffer);
        Some((String::from_utf8(value.to_vec()).unwrap(), len))
    }

    #[test]
    fn only_quote_and_backslash_are_unescaped() {
        assert_eq!(string(r#""""#), Some((String::new(), 2)));
        assert_eq!(
            string(r#""a\"b\\c\d\,",x"#),
            Some((r#"a"b\c\d\,"#.into(), 13))
        );
        assert_eq!(string(r#""a\\""#), Some((r"a\".into(), 5)));
        assert_eq!(string(r#""a\""#), None);
        assert_eq!(string(r#""a\"#), None);
        assert_eq!(string("\""), None);
    }

    #[test]
    fn booleans_have_ten_spellings() {
        for (word, want) in [("t", true), ("True", true), ("F", false), ("FALSE", false)] {
            for end in ["", ",a=1", " 1"] {
                assert_eq!(
                    parse_value(format!("{word}{end}").as_bytes(), false),
                    Some((Value::Boolean(want), word.len()))
                );
            }
        }
        for word in ["tr", "tRUE", "truex", "Falsee", "fALSE"] {
            assert_eq!(parse_value(word.as_bytes(), false), None, "{word}");
        }
    }
}
