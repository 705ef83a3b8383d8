//! The canonical series key: one byte string that names a series.
//!
//! It is the line-protocol text of measurement and tag set with the tags sorted by key, each
//! key once, no empty value, and exactly the escapes that InfluxDB writes: `\,` and `\ ` in the
//! measurement, those and `\=` in tag keys and values (`influxdata/influxdb models/points.go`
//! `MakeKey`). Two series are the same exactly when their canonical keys are equal bytes.
//!
//! ```text
//! cpu,cpu=cpu-total,host=web\ 1
//! ╰┬╯ ╰──────┬──────╯
//! measurement tags, sorted
//! ```

use std::borrow::Cow;

use thiserror::Error;

/// Why a tag set cannot become a series key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// A tag key stands twice.
    #[error("duplicate tags")]
    DuplicateTag,
}

/// A canonical series key, owned. See the module's head for its form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey(Box<[u8]>);

impl SeriesKey {
    /// The key of `measurement` with `tags`, in any order, unescaped; tags with an empty key or
    /// an empty value are left out, as InfluxDB does.
    ///
    /// # Errors
    /// [`KeyError::DuplicateTag`] when one tag key stands twice.
    pub fn new(measurement: &[u8], tags: &mut [(&[u8], &[u8])]) -> Result<Self, KeyError> {
        tags.sort_unstable();
        if tags.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(KeyError::DuplicateTag);
        }
        let mut out = Vec::with_capacity(
            measurement.len()
                + tags
                    .iter()
                    .map(|(k, v)| k.len() + v.len() + 2)
                    .sum::<usize>(),
        );
        escape_measurement(measurement, &mut out);
        for (key, value) in tags.iter().filter(|(k, v)| !k.is_empty() && !v.is_empty()) {
            out.push(b',');
            escape_tag(key, &mut out);
            out.push(b'=');
            escape_tag(value, &mut out);
        }
        Ok(Self(out.into_boxed_slice()))
    }

    /// The bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Splits the bytes of a canonical key into its measurement, unescaped, and its tags.
    #[must_use]
    pub fn split(canonical: &[u8]) -> (Vec<u8>, TagIter<'_>) {
        let (measurement, tags) = split_measurement(canonical);
        (measurement, TagIter { rest: tags })
    }
}

/// Splits the bytes of a canonical key into its measurement, unescaped, and the bytes of its
/// tags, still escaped and without the comma before them.
#[must_use]
pub fn split_measurement(canonical: &[u8]) -> (Vec<u8>, &[u8]) {
    let end = find_unescaped(canonical, b',').unwrap_or(canonical.len());
    let tags = canonical.get(end + 1..).unwrap_or_default();
    (unescape(&canonical[..end], is_measurement_special), tags)
}

/// Splits the bytes of a canonical key into those of its measurement and its tags, all of them as
/// they stand there.
#[must_use]
pub fn split_escaped(canonical: &[u8]) -> (&[u8], EscapedTags<'_>) {
    let end = find_unescaped(canonical, b',').unwrap_or(canonical.len());
    let rest = canonical.get(end + 1..).unwrap_or_default();
    (&canonical[..end], EscapedTags { rest })
}

/// One tag of a canonical key, with its escapes: `key=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EscapedTag<'a> {
    /// The whole.
    pub text: &'a [u8],
    /// Bytes of the key; the value begins one byte after it.
    pub key_len: usize,
}

/// The tags of a canonical key in order, as they stand there.
#[derive(Clone, Debug)]
pub struct EscapedTags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for EscapedTags<'a> {
    type Item = EscapedTag<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let end = find_unescaped(self.rest, b',').unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        Some(EscapedTag {
            text,
            key_len: key_len(text),
        })
    }
}

/// Bytes of the key of a tag that is given with its escapes, `key=value`.
#[must_use]
pub fn key_len(tag: &[u8]) -> usize {
    find_unescaped(tag, b'=').unwrap_or(tag.len())
}

/// A tag key or value without its escapes.
#[must_use]
pub fn unescape_tag(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(unescape(text, is_tag_special))
    }
}

/// The tags of a canonical key in order, each `(key, value)` unescaped.
#[derive(Clone, Debug)]
pub struct TagIter<'a> {
    rest: &'a [u8],
}

impl Iterator for TagIter<'_> {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let end = find_unescaped(self.rest, b',').unwrap_or(self.rest.len());
        let (pair, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        let equals = find_unescaped(pair, b'=').unwrap_or(pair.len());
        Some((
            unescape(&pair[..equals], is_tag_special),
            unescape(pair.get(equals + 1..).unwrap_or_default(), is_tag_special),
        ))
    }
}

/// Appends `name` to `out` with a measurement's escapes.
pub fn escape_measurement(name: &[u8], out: &mut Vec<u8>) {
    escape(name, is_measurement_special, out);
}

/// Appends `text`, a tag key, tag value or field key, to `out` with its escapes.
pub fn escape_tag(text: &[u8], out: &mut Vec<u8>) {
    escape(text, is_tag_special, out);
}

const fn is_measurement_special(byte: u8) -> bool {
    matches!(byte, b',' | b' ')
}

const fn is_tag_special(byte: u8) -> bool {
    matches!(byte, b',' | b' ' | b'=')
}

fn escape(text: &[u8], special: fn(u8) -> bool, out: &mut Vec<u8>) {
    for &byte in text {
        if special(byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

fn unescape(text: &[u8], special: fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match bytes.peek() {
            Some(&next) if byte == b'\\' && special(next) => {}
            _ => out.push(byte),
        }
    }
    out
}

/// Where `wanted` first stands without a backslash before it.
fn find_unescaped(text: &[u8], wanted: u8) -> Option<usize> {
    memchr::memchr_iter(wanted, text).find(|&at| at == 0 || text[at - 1] != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(measurement: &str, tags: &[(&str, &str)]) -> SeriesKey {
        let mut tags: Vec<(&[u8], &[u8])> = tags
            .iter()
            .map(|(k, v)| (k.as_bytes(), v.as_bytes()))
            .collect();
        SeriesKey::new(measurement.as_bytes(), &mut tags).unwrap()
    }

    #[test]
    fn order_of_tags_does_not_matter_and_empty_ones_vanish() {
        let a = key("cpu", &[("host", "a"), ("dc", "x"), ("rack", "")]);
        let b = key("cpu", &[("dc", "x"), ("host", "a")]);
        assert_eq!(a, b);
        assert_eq!(a.as_bytes(), b"cpu,dc=x,host=a");
    }

    #[test]
    fn escapes_round_trip() {
        let k = key("a b,c=d", &[("k =", "v,=\\ w"), ("z", "\\x")]);
        assert_eq!(k.as_bytes(), br"a\ b\,c=d,k\ \==v\,\=\\ w,z=\x".as_slice());
        let (measurement, tags) = SeriesKey::split(k.as_bytes());
        assert_eq!(measurement, b"a b,c=d");
        let tags: Vec<_> = tags.collect();
        assert_eq!(
            tags,
            [
                (b"k =".to_vec(), b"v,=\\ w".to_vec()),
                (b"z".to_vec(), b"\\x".to_vec())
            ]
        );
        let (measurement, escaped) = split_escaped(k.as_bytes());
        assert_eq!(measurement, br"a\ b\,c=d");
        let escaped: Vec<(Vec<u8>, Vec<u8>)> = escaped
            .map(|tag| {
                let (key, value) = (&tag.text[..tag.key_len], &tag.text[tag.key_len + 1..]);
                (
                    unescape_tag(key).into_owned(),
                    unescape_tag(value).into_owned(),
                )
            })
            .collect();
        assert_eq!(escaped, tags);
    }

    #[test]
    fn a_tag_key_may_stand_once() {
        let mut tags: Vec<(&[u8], &[u8])> = vec![(b"a", b"1"), (b"a", b"2")];
        assert_eq!(SeriesKey::new(b"m", &mut tags), Err(KeyError::DuplicateTag));
    }
}
