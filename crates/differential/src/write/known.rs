//! Differences that are meant. Each has its entry in docs/differences.md, and a test beside the code
//! that makes it.

use crate::http::Answer;
use crate::write::batch::Batch;

/// The name of the difference between two answers to a batch, if it has one.
pub(super) fn known(batch: &Batch, judged: &Answer, ours: &Answer) -> Option<&'static str> {
    let (theirs, text) = (judged.text(), ours.text());
    let body = batch.body();
    // It forgets what it has found out about other lines, too.
    if std::str::from_utf8(&body).is_err() && (judged.status == 500 || judged.status == 204) {
        return Some("names-that-are-no-text");
    }
    let both_refused = judged.status == 400 && ours.status == 400;
    // The whole batch is refused where two of its lines disagree about a field that is new.
    if theirs.trim() == "{\"error\":\"field type conflict\"}" {
        if batch.lines.iter().any(|line| has_two_types(line)) {
            return Some("field-twice-in-a-line");
        }
        if both_refused {
            return Some("types-within-a-batch");
        }
    }
    // One shard's share of a batch is counted, whichever came first.
    let drops = theirs.contains("dropped=") && text.contains("dropped=");
    if both_refused && drops && batch.is_spread() {
        return Some("drops-of-several-shards");
    }
    let count = |text: &str| text.rsplit("dropped=").next().map(str::to_owned);
    let by_name = text.contains("invalid field name") || text.contains("invalid tag key");
    if both_refused && drops && by_name && count(&theirs) == count(&text) {
        return Some("first-reason");
    }
    let conflict = theirs.contains("field type conflict: input field");
    if conflict && batch.lines.iter().any(|line| has_two_types(line)) {
        return Some("field-twice-in-a-line");
    }
    if body_has_quoted_comment(&body) {
        return Some("comment-with-quotes");
    }
    if has_quotes_behind_a_blank(&body) {
        return Some("blank-in-front");
    }
    if both_refused && has_text_behind_a_string(&body) {
        return Some("text-behind-a-string");
    }
    // A newline in a string that is open ends a time for the judge, and nothing may follow that.
    if both_refused && theirs.replace("': point is invalid", "': bad timestamp") == text {
        return Some("newline-behind-a-time");
    }
    let bad_fields = |text: &str| text.matches("': invalid field format").count();
    if bad_fields(&text) > bad_fields(&theirs) {
        return Some("text-behind-a-string");
    }
    None
}

/// The name of a difference in what both hold that a batch may make although both answer the same.
pub(super) fn known_in_data(batch: &Batch) -> Option<&'static str> {
    let body = batch.body();
    if std::str::from_utf8(&body).is_err() {
        return Some("names-that-are-no-text");
    }
    // Two backslashes before what a backslash escapes.
    let is_odd = |three: &[u8]| three.starts_with(b"\\\\") && b" ,=".contains(&three[2]);
    if body.windows(3).any(is_odd) {
        return Some("several-backslashes");
    }
    if batch
        .lines
        .iter()
        .any(|line| has_escaped_quote_in_key(line))
    {
        return Some("escaped-quotes");
    }
    if body.contains(&0) {
        return Some("zero-bytes");
    }
    if body_has_quoted_comment(&body) {
        return Some("comment-with-quotes");
    }
    // A backslash takes the newline behind it into the key.
    if body.windows(2).any(|pair| pair == b"\\\n") {
        return Some("newlines-in-keys");
    }
    if batch.lines.iter().any(|line| has_two_types(line)) {
        return Some("field-twice-in-a-line");
    }
    // Its complaint may be hidden behind that of another line.
    if has_text_behind_a_string(&body) {
        return Some("text-behind-a-string");
    }
    None
}

/// Whether a line begins with a blank and holds a quote, which may stand in its key.
fn has_quotes_behind_a_blank(body: &[u8]) -> bool {
    body.split(|byte| *byte == b'\n').any(|line| {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | 0);
        line.first().is_some_and(is_blank) && line.contains(&b'"')
    })
}

/// Whether a backslash stands before a quote in the key of a line.
fn has_escaped_quote_in_key(line: &[u8]) -> bool {
    let blank = |pair: &[u8]| pair[1] == b' ' && pair[0] != b'\\';
    let end = line.windows(2).position(blank);
    let key = end.map_or(line, |end| &line[..=end]);
    key.windows(2).any(|pair| pair == b"\\\"")
}

/// Whether a field stands twice in a line, with values of two types; about, for commas and blanks
/// within strings count too.
fn has_two_types(line: &[u8]) -> bool {
    let parts = line.split(|byte| *byte == b' ').skip(1);
    parts.into_iter().any(|fields| {
        let fields: Vec<(&[u8], u8)> = fields
            .split(|byte| *byte == b',')
            .filter_map(|field| {
                let at = field.iter().position(|byte| *byte == b'=')?;
                Some((&field[..at], type_of(&field[at + 1..])))
            })
            .collect();
        let again = |(at, (name, kind)): (usize, &(&[u8], u8))| {
            let earlier = &fields[..at];
            earlier.iter().any(|(n, k)| n == name && k != kind)
        };
        fields.iter().enumerate().any(again)
    })
}

/// A letter for the type of a value, going by how it looks.
fn type_of(value: &[u8]) -> u8 {
    match (value.first(), value.last()) {
        (Some(b'"'), _) => b's',
        (Some(b't' | b'T' | b'f' | b'F'), _) => b'b',
        (_, Some(b'i')) => b'i',
        _ => b'f',
    }
}

/// Whether a string ends and neither a comma, a blank nor a newline comes next.
fn has_text_behind_a_string(body: &[u8]) -> bool {
    let mut rest = body;
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
        if rest.first().is_some_and(|next| !b", \n".contains(next)) {
            return true;
        }
    }
    false
}

/// Whether a comment holds a quote, which the judge takes for the beginning of a string that may go on
/// for lines.
fn body_has_quoted_comment(body: &[u8]) -> bool {
    body.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii_start();
        line.first() == Some(&b'#') && line.contains(&b'"')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_found() {
        assert!(has_text_behind_a_string(b"m s=\"a\\\"b\"x 1"));
        assert!(has_text_behind_a_string(b"m s=\"a\",t=\"\"\" 1"));
        assert!(!has_text_behind_a_string(
            b"m s=\"a\\\"b\",t=\"\" 1\nm s=\"\"\nm s=\"open"
        ));
        assert!(has_two_types(b"m,a=b f=1,g=2,f=3i 1"));
        assert!(!has_two_types(b"m,a=b f=1,g=2i,f=3 1"));
        assert!(!has_two_types(b"m,f=1,f=2i f=1,g=2 1"));
        assert!(has_quotes_behind_a_blank(b"m f=1\n \"m f=1"));
        assert!(!has_quotes_behind_a_blank(b"m s=\"\"\n m f=1"));
        assert!(has_escaped_quote_in_key(b"m\\\"\\ f=1 1"));
        assert!(has_escaped_quote_in_key(b"m\\\" f=1 1"));
        assert!(!has_escaped_quote_in_key(b"m s=\"\\\"\" 1"));
        assert!(body_has_quoted_comment(b"m f=1\n # \"x\n"));
    }
}
