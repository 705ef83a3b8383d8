//! The key of a line, `measurement[,tag=value…]`, as written, and the way to its canonical form.
//!
//! A byte of the key is escaped when a backslash stands right before it; two backslashes do not
//! cancel out (`influxdata/influxdb models/points.go` `scanMeasurement`, `scanTags`). So a raw key
//! never ends in a backslash, and where it ends depends on its own bytes alone.

use std::borrow::Cow;
use std::cmp::Ordering;

use memchr::{memchr, memchr_iter};
use tandem_model::{escape_measurement, escape_tag};

use crate::error::Reason;

/// The longest key that is taken, as written; also the bound of key, separator (4 bytes) and a
/// field's name together (`models/points.go` `MaxKeyLength`).
pub const MAX_KEY_BYTES: usize = 65_535;

/// Where the key that `line` starts with ends: at its first unescaped space.
pub(crate) fn key_end(line: &[u8]) -> Option<usize> {
    let at = memchr(b' ', line)?;
    if at > 0 && line[at - 1] != b'\\' {
        return Some(at);
    }
    find_unescaped(line, at, |byte| byte == b' ')
}

/// Validates the raw bytes of a key, as [`crate::Line::key`] gives them, and appends its canonical
/// form ([`tandem_model::SeriesKey`]) to `out`: tags sorted by key, escapes normalised.
///
/// A pure function of the bytes, so a cache from raw key to series stays right for ever.
///
/// # Errors
/// The reason that InfluxDB gives, in its order: what is malformed from left to right, then a
/// duplicate tag, then the length. `out` may then hold part of the key.
pub fn canonical_key(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
    let (measurement, mut tags) = split(raw)?;
    let escaped = memchr(b'\\', raw).is_some();
    sort_tags(&mut tags, escaped);
    if tags.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Reason::DuplicateTags);
    }
    if raw.len() > MAX_KEY_BYTES {
        return Err(Reason::KeyTooLong(raw.len()));
    }
    let start = out.len();
    out.reserve(raw.len());
    if escaped {
        escape_measurement(&unescape(measurement, is_name_special), out);
    } else {
        out.extend_from_slice(measurement);
    }
    for (key, value) in tags {
        out.push(b',');
        // The one special byte that a value may hold unescaped is a `=` at its start.
        if escaped || value.first() == Some(&b'=') {
            escape_tag(&unescape(key, is_tag_special), out);
            out.push(b'=');
            escape_tag(&unescape(value, is_tag_special), out);
        } else {
            out.extend_from_slice(key);
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    // Escapes that were not written make a key longer than the line had it.
    let bytes = out.len() - start;
    if bytes > MAX_KEY_BYTES {
        return Err(Reason::KeyTooLong(bytes));
    }
    Ok(())
}

/// The name of a field without the escapes it was written with (`\,` `\ ` `\=` `\"`).
#[must_use]
pub fn unescape_field_name(raw: &[u8]) -> Cow<'_, [u8]> {
    unescape(raw, is_name_special)
}

/// Checks the syntax of a key, from left to right.
pub(crate) fn check_syntax(raw: &[u8]) -> Result<(), Reason> {
    split(raw).map(drop)
}

/// Tags of a key in the order of the line, `(key, value)`, as written.
type RawTags<'a> = Vec<(&'a [u8], &'a [u8])>;

fn split(raw: &[u8]) -> Result<(&[u8], RawTags<'_>), Reason> {
    if raw.first().is_none_or(|&byte| byte == b',') {
        return Err(Reason::MissingMeasurement);
    }
    let mut tags = Vec::new();
    let Some(measurement_end) = find_unescaped(raw, 1, |byte| byte == b',') else {
        return Ok((raw, tags));
    };
    let mut at = measurement_end + 1;
    loop {
        let key_start = at;
        if raw.get(at).is_none_or(|byte| matches!(byte, b',' | b'=')) {
            return Err(Reason::MissingTagKey);
        }
        let key_end = match find_unescaped(raw, at + 1, |byte| matches!(byte, b',' | b'=')) {
            Some(end) if raw[end] == b'=' => end,
            _ => return Err(Reason::MissingTagValue),
        };
        at = key_end + 1;
        if raw.get(at).is_none_or(|&byte| byte == b',') {
            return Err(Reason::MissingTagValue);
        }
        let value_start = at;
        let value_end = find_unescaped(raw, at + 1, |byte| matches!(byte, b',' | b'='));
        let end = value_end.unwrap_or(raw.len());
        if raw.get(end) == Some(&b'=') {
            return Err(Reason::InvalidTagFormat);
        }
        tags.push((&raw[key_start..key_end], &raw[value_start..end]));
        if value_end.is_none() {
            return Ok((&raw[..measurement_end], tags));
        }
        at = end + 1;
    }
}

fn sort_tags(tags: &mut RawTags<'_>, escaped: bool) {
    let order = |a: &[u8], b: &[u8]| -> Ordering {
        if escaped {
            unescape(a, is_tag_special).cmp(&unescape(b, is_tag_special))
        } else {
            a.cmp(b)
        }
    };
    if !tags.is_sorted_by(|a, b| order(a.0, b.0).is_le()) {
        tags.sort_by(|a, b| order(a.0, b.0));
    }
}

/// The first byte at or after `from` that `wanted` takes and no backslash precedes.
fn find_unescaped(text: &[u8], from: usize, wanted: fn(u8) -> bool) -> Option<usize> {
    let from = from.max(1);
    text.windows(2)
        .skip(from - 1)
        .position(|pair| wanted(pair[1]) && pair[0] != b'\\')
        .map(|offset| offset + from)
}

const fn is_tag_special(byte: u8) -> bool {
    matches!(byte, b',' | b' ' | b'=')
}

/// Measurements and field names also lose a backslash before `=` and `"`
/// (`influxdata/influxdb pkg/escape`).
const fn is_name_special(byte: u8) -> bool {
    matches!(byte, b',' | b' ' | b'=' | b'"')
}

fn unescape(text: &[u8], special: fn(u8) -> bool) -> Cow<'_, [u8]> {
    if memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut copied = 0;
    for at in memchr_iter(b'\\', text) {
        if text.get(at + 1).is_some_and(|&next| special(next)) {
            out.extend_from_slice(&text[copied..at]);
            copied = at + 1;
        }
    }
    out.extend_from_slice(&text[copied..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(raw: &str) -> Result<String, Reason> {
        let mut out = Vec::new();
        canonical_key(raw.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn tags_are_sorted_by_their_unescaped_keys() {
        assert_eq!(canonical("m,b=1,a=2").unwrap(), "m,a=2,b=1");
        assert_eq!(canonical(r"m,ab=1,a\ b=2").unwrap(), r"m,a\ b=2,ab=1");
    }

    #[test]
    fn different_escapes_of_one_series_become_one_key() {
        assert_eq!(canonical(r"m\=x").unwrap(), "m=x");
        assert_eq!(canonical(r#"m\"x"#).unwrap(), r#"m"x"#);
        assert_eq!(canonical(r"m\,x\ y,k\,=v\ ").unwrap(), r"m\,x\ y,k\,=v\ ");
        assert_eq!(canonical("m,k==v").unwrap(), r"m,k=\=v");
        assert_eq!(canonical(r"m,k=\=v").unwrap(), r"m,k=\=v");
        assert_eq!(canonical(r#"m,k=a\"b\c"#).unwrap(), r#"m,k=a\"b\c"#);
    }

    #[test]
    fn errors_come_in_influxdb_s_order() {
        for (raw, reason) in [
            ("", Reason::MissingMeasurement),
            (",a=b", Reason::MissingMeasurement),
            ("m,", Reason::MissingTagKey),
            ("m,=v", Reason::MissingTagKey),
            ("m,,a=b", Reason::MissingTagKey),
            ("m,a", Reason::MissingTagValue),
            ("m,a=", Reason::MissingTagValue),
            ("m,a,b=c", Reason::MissingTagValue),
            ("m,a=,b=c", Reason::MissingTagValue),
            ("m,a=b=c", Reason::InvalidTagFormat),
            ("m,a=1,b=2,a=3", Reason::DuplicateTags),
            ("m,a=1,a=2,b", Reason::MissingTagValue),
        ] {
            assert_eq!(canonical(raw), Err(reason), "{raw}");
        }
    }

    #[test]
    fn a_key_may_be_65535_bytes_long_and_no_longer() {
        let longest = format!("m,t={}", "x".repeat(MAX_KEY_BYTES - 4));
        assert_eq!(canonical(&longest).unwrap(), longest);
        assert_eq!(
            canonical(&format!("{longest}x")),
            Err(Reason::KeyTooLong(65_536))
        );
    }

    #[test]
    fn the_key_ends_at_the_first_space_without_a_backslash_before_it() {
        assert_eq!(key_end(b"cpu v=1"), Some(3));
        assert_eq!(key_end(br"c\ pu v=1"), Some(5));
        assert_eq!(key_end(br"c\\ pu v=1"), Some(6));
        assert_eq!(key_end(br"c\ "), None);
        assert_eq!(key_end(b""), None);
    }
}
