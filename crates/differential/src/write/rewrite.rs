//! What the judge is sent in place of a batch, where tandem differs on purpose.
//!
//! Each difference in docs/differences.md that lines alone can show is a rule. A rule does not excuse
//! an answer: it rewrites the line so that the judge has to answer to it what tandem answers to the original,
//! and all else must then be equal, the data included. What the judge makes of the original is pinned
//! by the tests beside the server. Where the judge cannot hold what tandem stores, the rule says so, and the
//! database is made anew after the batch.

use std::collections::BTreeSet;

use tandem_line::{Line, LineError, ParseOptions, Reason, lines, unescape_field_name};
use tandem_model::{FieldType, Precision};

use crate::write::judge;

/// A batch as the judge gets it.
#[derive(Clone, Debug)]
pub(super) struct Rewritten {
    /// The whole body.
    pub(super) body: Vec<u8>,
    /// Each line of it.
    pub(super) lines: Vec<Vec<u8>>,
    /// The rules that were used.
    pub(super) rules: BTreeSet<&'static str>,
    /// Why both hold something else once the batch is stored.
    pub(super) apart: Option<&'static str>,
    /// What the judge says of a line, and what tandem has to say instead.
    stand_ins: Vec<(String, String)>,
}

impl Rewritten {
    /// Rewrites a body whose times are in `precision`.
    pub(super) fn of(body: &[u8], precision: Precision) -> Self {
        let cut: Vec<&[u8]> = lines(body).collect();
        let mut rewritten = Self {
            body: body.to_vec(),
            lines: Vec::with_capacity(cut.len()),
            rules: BTreeSet::new(),
            apart: None,
            stand_ins: Vec::new(),
        };
        if judge::cut(body) != cut {
            rewritten.rules.extend(cut_rules(body));
        }
        for raw in cut {
            let line = rewritten.line(raw, options(precision));
            rewritten.lines.push(line);
        }
        if !rewritten.rules.is_empty() {
            rewritten.body = joined(&rewritten.lines);
        }
        rewritten
    }

    /// What the judge answered, as tandem has to.
    pub(super) fn text(&self, judged: &str) -> String {
        let mut text = judged.to_owned();
        for (theirs, ours) in &self.stand_ins {
            text = text.replace(theirs, ours);
        }
        text
    }

    fn line(&mut self, raw: &[u8], options: ParseOptions) -> Vec<u8> {
        let parsed = match Parsed::of(raw, options) {
            Ok(parsed) => parsed,
            Err(error) => {
                let Some(rule) = refusal_rule(raw, &error) else {
                    return raw.to_vec();
                };
                self.rules.insert(rule);
                let name = format!("stand_in_{}", self.stand_ins.len());
                let theirs = format!("unable to parse '{name}': missing fields");
                self.stand_ins.push((theirs, error.to_string()));
                return name.into_bytes();
            }
        };
        let measurement = &raw[..measurement_len(&raw[..parsed.key_len])];
        if has_several_backslashes(measurement) {
            self.apart = Some("several-backslashes");
        }
        let mut line = raw.to_vec();
        if parsed.has_two_types() {
            self.rules.insert("field-twice-in-a-line");
            line = parsed.with_last_values(raw);
        }
        if has_escaped_quotes(measurement) {
            self.rules.insert("escaped-quotes");
            let rest = line.split_off(measurement.len());
            line = [without_escaped_quotes(measurement), rest].concat();
        }
        if parsed
            .names(raw)
            .iter()
            .any(|text| std::str::from_utf8(text).is_err())
        {
            // Shown, the two are the same; but what was two names may be one now.
            self.rules.insert("names-that-are-no-text");
            self.apart = Some("names-that-are-no-text");
            line = readable(&line);
        }
        line
    }
}

/// A body of these lines. The newline right behind a backslash belongs to a line, which then needs one more.
fn joined(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            body.push(b'\n');
        }
        if body.ends_with(b"\\\n") {
            body.push(b'\n');
        }
        body.extend_from_slice(line);
    }
    body
}

/// How lines are read whose times are in `precision`.
pub(super) const fn options(precision: Precision) -> ParseOptions {
    ParseOptions {
        precision,
        unsigned: false,
    }
}

/// The differences by which a body may be cut into other lines.
fn cut_rules(body: &[u8]) -> BTreeSet<&'static str> {
    let mut rules = BTreeSet::new();
    for line in body.split(|byte| *byte == b'\n') {
        let text = line.trim_ascii_start();
        let text = text.strip_prefix(b"\0").unwrap_or(text);
        let is_taking_more = line.contains(&b'"') || line.last() == Some(&b'\\');
        if text.first() == Some(&b'#') && is_taking_more {
            rules.insert("comment-with-quotes");
        } else if line.first() == Some(&b' ') && line.contains(&b'"') {
            rules.insert("blank-in-front");
        }
        if line.last() == Some(&b'\r') {
            rules.insert("carriage-returns");
        }
    }
    rules
}

/// The difference by which tandem refuses a line for this reason, and the judge for another or not at
/// all.
fn refusal_rule(raw: &[u8], error: &LineError<'_>) -> Option<&'static str> {
    let has = |pair: &[u8]| raw.windows(2).any(|two| two == pair);
    match error.reason {
        Reason::InvalidFieldFormat if has_text_behind_a_string(raw) => Some("text-behind-a-string"),
        Reason::InvalidFieldFormat if has_a_string_by_count(raw) => Some("strings-by-count"),
        Reason::InvalidFieldFormat if raw.windows(3).any(|three| three == b"\\\\=") => {
            Some("backslashes-at-the-end-of-a-field")
        }
        Reason::BadTimestamp if has(b" \n") => Some("newline-for-a-time"),
        Reason::MissingFieldKey if has(b"\t=") || has(b"\0=") => Some("name-of-a-tab"),
        _ => None,
    }
}

/// Whether a string ends and neither a comma, a blank nor the line's end comes next.
fn has_text_behind_a_string(raw: &[u8]) -> bool {
    let mut rest = raw;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"=\"") {
        rest = &rest[at + 2..];
        let mut escaped = false;
        let end = rest.iter().position(|&byte| {
            let is_end = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            is_end
        });
        let Some(end) = end else { return false };
        rest = &rest[end + 1..];
        if rest.first().is_some_and(|next| !b", ".contains(next)) {
            return true;
        }
    }
    false
}

/// Whether the judge, for which a quote begins a string where more equals signs than commas stand before it, overlooks one
/// and then sees another begin a string, or as many fields end as there are equals signs.
fn has_a_string_by_count(raw: &[u8]) -> bool {
    let (mut in_fields, mut quoted, mut escaped) = (false, false, false);
    let (mut equals, mut commas, mut before) = (0, 0, b' ');
    let mut overlooked = false;
    for &byte in raw {
        let is_plain = !escaped;
        escaped = byte == b'\\' && is_plain;
        match byte {
            _ if !is_plain => {}
            b' ' if !in_fields => in_fields = true,
            b' ' if !quoted && equals > 0 => break,
            _ if !in_fields => {}
            b'"' if equals > commas => {
                if !quoted && overlooked {
                    return true;
                }
                quoted = !quoted;
            }
            b'"' => overlooked |= before == b'=',
            b'=' if !quoted => equals += 1,
            b',' if !quoted => commas += 1,
            _ => {}
        }
        before = byte;
    }
    overlooked && !quoted && equals == commas + 1
}

/// Bytes of the measurement that a key as written begins with: up to its first unescaped comma.
fn measurement_len(key: &[u8]) -> usize {
    let mut pairs = key.windows(2);
    let comma = pairs.position(|pair| pair[1] == b',' && pair[0] != b'\\');
    comma.map_or(key.len(), |at| at + 1)
}

/// Whether the name of a measurement has backslashes that it may have or not.
fn has_escaped_quotes(measurement: &[u8]) -> bool {
    measurement
        .windows(2)
        .any(|pair| pair[0] == b'\\' && b"\"=".contains(&pair[1]))
}

fn without_escaped_quotes(measurement: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(measurement.len());
    for (at, &byte) in measurement.iter().enumerate() {
        let next = measurement.get(at + 1);
        if byte != b'\\' || !next.is_some_and(|next| b"\"=".contains(next)) {
            out.push(byte);
        }
    }
    out
}

/// Two backslashes before something that a backslash escapes.
fn has_several_backslashes(text: &[u8]) -> bool {
    let is_odd = |three: &[u8]| three.starts_with(b"\\\\") && b" ,=\"".contains(&three[2]);
    text.windows(3).any(is_odd)
}

/// `text` with each byte that is no UTF-8 replaced, as JSON shows it.
fn readable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    out
}

/// A line that tandem stores.
pub(super) struct Parsed {
    /// Bytes of its key as written.
    key_len: usize,
    /// Of each field where it begins, its name as written, and its type.
    fields: Vec<(usize, Vec<u8>, FieldType)>,
    /// `None` for now.
    pub(super) time_ns: Option<i64>,
    /// The measurement with its tags, in the one way that both show it.
    pub(super) series: Vec<u8>,
}

impl Parsed {
    /// # Errors
    /// What tandem says of the line.
    pub(super) fn of(raw: &[u8], options: ParseOptions) -> Result<Self, LineError<'_>> {
        let mut line = Line::parse(raw, options)?;
        let mut series = Vec::new();
        tandem_line::canonical_key(line.key(), &mut series).map_err(|r| line.error(r))?;
        let key_len = line.key().len();
        // Each name is a piece of the line, so that its address tells where it stands.
        let place = |name: &[u8]| (name.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize);
        let mut fields = Vec::new();
        while let Some(field) = line.next_field()? {
            let kind = field.value.field_type();
            fields.push((place(field.name), field.name.to_vec(), kind));
        }
        Ok(Self {
            key_len,
            fields,
            time_ns: line.timestamp()?,
            series,
        })
    }

    /// Names without their escapes, and types.
    pub(super) fn types(&self) -> impl Iterator<Item = (Vec<u8>, FieldType)> {
        let fields = self.fields.iter();
        fields.map(|(_, name, kind)| (unescape_field_name(name).into_owned(), *kind))
    }

    /// The key and the names of all fields, as written.
    fn names(&self, raw: &[u8]) -> Vec<Vec<u8>> {
        let key = raw.get(..self.key_len).unwrap_or_default().to_vec();
        let fields = self.fields.iter().map(|(_, name, _)| name.clone());
        std::iter::once(key).chain(fields).collect()
    }

    /// Whether a field stands there twice, with values of two types.
    fn has_two_types(&self) -> bool {
        let types: Vec<_> = self.types().collect();
        types.iter().enumerate().any(|(at, (name, kind))| {
            let mut earlier = types[..at].iter();
            earlier.any(|(n, k)| n == name && k != kind)
        })
    }

    /// The line with the last value alone of each field.
    fn with_last_values(&self, raw: &[u8]) -> Vec<u8> {
        let types: Vec<_> = self.types().collect();
        let mut line = raw[..self.fields[0].0].to_vec();
        for (at, (begin, ..)) in self.fields.iter().enumerate() {
            if types[at + 1..].iter().any(|(name, _)| *name == types[at].0) {
                continue;
            }
            // A comma comes between this field and the next one; the last one has the time behind it.
            let end = self.fields.get(at + 1).map_or(raw.len(), |next| next.0);
            line.extend_from_slice(&raw[*begin..end]);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(body: &str) -> Rewritten {
        Rewritten::of(body.as_bytes(), Precision::Nanosecond)
    }

    #[track_caller]
    fn check(body: &str, rules: &[&str], sent: &str) {
        let found = rewritten(body);
        assert_eq!(found.rules.iter().copied().collect::<Vec<_>>(), rules);
        assert_eq!(String::from_utf8_lossy(&found.body), sent);
    }

    #[test]
    fn what_is_not_different_is_sent_as_it_is() {
        for body in [
            "",
            "m f=1 1\n\n# c\n m f=2\n",
            "m s=\"a\nb\",t=\"\" 1\nm f=x",
            "m f=1,f=2",
            "m s=\"\\\"\"",
            "m a,s=\"x\" 1",
            "m a,s=\"=\",b=\"c\" 1",
            "m,a,s=\"=\" f=1\nm s=\"=\",a 1",
        ] {
            check(body, &[], body);
        }
    }

    #[test]
    fn lines_are_cut_as_tandem_does() {
        check("m f=1\r\nm f=2\r\n", &["carriage-returns"], "m f=1\nm f=2");
        check("# a=\"b\nm f=1\n", &["comment-with-quotes"], "m f=1");
        check(" m=\"a f=1\nm f=2", &["blank-in-front"], "m=\"a f=1\nm f=2");
        let body = "m f=1\r\nm,a=b\\\n\nm f=2";
        check(body, &["carriage-returns"], "m f=1\nm,a=b\\\n\nm f=2");
    }

    #[test]
    fn a_line_that_the_judge_takes_gets_a_stand_in() {
        let found = rewritten("m f=1\nm s=\"a\"b 1");
        assert_eq!(found.body, b"m f=1\nstand_in_0");
        assert_eq!(
            found.text("x unable to parse 'stand_in_0': missing fields dropped=0"),
            "x unable to parse 'm s=\"a\"b 1': invalid field format dropped=0"
        );
        check("m \t=1 5", &["name-of-a-tab"], "stand_in_0");
        for line in ["m a,s=\"=\" q\" 1", "m a,s=\"b\\\nt=-1 x", "m a,s=\"b=1"] {
            check(line, &["strings-by-count"], "stand_in_0");
        }
        let rules = ["backslashes-at-the-end-of-a-field"];
        check("m f\\\\=1,g=2", &rules, "stand_in_0");
    }

    #[test]
    fn the_last_value_of_a_field_stays() {
        let rules = ["field-twice-in-a-line"];
        check("m,a=b f=1,g=2,f=3i 1", &rules, "m,a=b g=2,f=3i 1");
        check("m s=\"a,s=1\nb\",s=2,t=\"c d\"", &rules, "m s=2,t=\"c d\"");
    }

    #[test]
    fn a_measurement_has_one_form() {
        let rules = ["escaped-quotes"];
        check(
            "m\\\"\\=\\ x,t=\\\" f\\\"=1",
            &rules,
            "m\"=\\ x,t=\\\" f\\\"=1",
        );
        check("m\\,,t=\\\" f=1", &[], "m\\,,t=\\\" f=1");
    }

    #[test]
    fn names_that_the_judge_cannot_hold_end_the_database() {
        assert_eq!(
            rewritten("m\\\\\\ x f=1").apart,
            Some("several-backslashes")
        );
        assert_eq!(rewritten("m,t=\\\\\\ s=\"\\\\\\ \"").apart, None);
        let body = b"m\xff f=1";
        let found = Rewritten::of(body, Precision::Nanosecond);
        assert_eq!(found.body, "m\u{FFFD} f=1".as_bytes());
        assert!(found.apart.is_some());
    }
}
