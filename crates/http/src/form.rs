//! Query strings and `application/x-www-form-urlencoded` bodies.
//!
//! As Go's `net/url` reads them, with one wish of InfluxDB's users respected: a `;` that was not
//! encoded is a character like others, so that `q=SHOW DATABASES;SHOW USERS` arrives whole.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may stand in a query string as it is (RFC 3986 "unreserved").
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes `text` for use as a key or value in a query string or form.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Decoded parameters, in the order they came.
#[derive(Clone, Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Parses a query string (without its `?`) or a form body.
    ///
    /// A pair with a broken `%` sequence is dropped, as Go does; bytes that are no UTF-8 become
    /// U+FFFD.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut params = Self::default();
        params.extend(text);
        params
    }

    /// Parses `text` and appends its pairs: those that were there before stay first.
    pub fn extend(&mut self, text: &str) {
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(key), Some(value)) = (decode(key), decode(value)) {
                self.pairs.push((key, value));
            }
        }
    }

    /// Appends one pair, decoded: those that were there before stay first.
    pub fn push(&mut self, key: &str, value: &str) {
        self.pairs.push((key.to_owned(), value.to_owned()));
    }

    /// Appends all pairs of `other`: those that were there before stay first.
    pub fn append(&mut self, other: &Self) {
        self.pairs.extend_from_slice(&other.pairs);
    }

    /// The first value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// The first value of `key`, if it is there and not empty.
    #[must_use]
    pub fn get_filled(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Decodes one key or value; `None` for a `%` that two hex digits do not follow.
fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                rest = tail;
                digits
                    .iter()
                    .try_fold(0, |value, &digit| Some(value << 4 | hex(digit)?))?
            }
            byte => byte,
        });
    }
    Some(match String::from_utf8_lossy(&out) {
        Cow::Borrowed(valid) => valid.to_owned(),
        Cow::Owned(mended) => mended,
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_pairs_are_dropped_and_the_rest_stays() {
        let params = Params::parse("a=%zz&b=%4&c=%&&d=1&%=2&e");
        assert_eq!(params.iter().collect::<Vec<_>>(), [("d", "1"), ("e", "")]);
    }

    #[test]
    fn plus_percent_and_semicolon() {
        let params = Params::parse("q=SELECT+a%2Bb;x&db=%C3%A9&bad=%ff");
        assert_eq!(params.get("q"), Some("SELECT a+b;x"));
        assert_eq!(params.get("db"), Some("é"));
        assert_eq!(params.get("bad"), Some("\u{fffd}"));
    }

    #[test]
    fn the_first_value_wins_and_empty_is_told_from_missing() {
        let mut params = Params::parse("db=form&rp=");
        params.extend("db=url");
        assert_eq!(params.get("db"), Some("form"));
        assert_eq!(
            (params.get("rp"), params.get_filled("rp"), params.get("x")),
            (Some(""), None, None)
        );
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let text = "a b+c%&=;é~-._\n\"";
        assert_eq!(
            Params::parse(&format!("k={}", percent_encode(text))).get("k"),
            Some(text)
        );
    }
}
