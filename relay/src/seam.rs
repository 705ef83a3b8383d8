//! Whether bodies can be put one behind the other without becoming something else.
//!
//! A newline between two is not enough: a body that breaks off within a string, or ends in a backslash,
//! swallows that newline, and then lines of one client become part of another's. Such bodies go alone.

use memchr::{memchr, memchr2};

/// What is put behind a body, to see whether it stays what it is.
const PROBE: &[u8] = b"x y=1";

/// Whether another body may follow this one, with a newline between them where this one has none at its end.
///
/// False where it is not certain for every kind of server: those that end in a carriage return, which one drops before a
/// newline and another refuses; those with a comment beside a quote, for which some look into comments.
pub(crate) fn can_be_followed(body: &[u8]) -> bool {
    if body.is_empty() || body.ends_with(b"\r") {
        return false;
    }
    if memchr2(b'"', b'\\', body).is_none() {
        return true;
    }
    if memchr(b'#', body).is_some() {
        return false;
    }
    let Some(last) = tandem_line::lines(body).last() else {
        return false;
    };
    let start = last.as_ptr().addr() - body.as_ptr().addr();
    let newline: &[u8] = if body.ends_with(b"\n") { b"" } else { b"\n" };
    let probe = [body.get(start..).unwrap_or_default(), newline, PROBE].concat();
    let mut lines = tandem_line::lines(&probe);
    lines.next().is_some() && lines.next() == Some(PROBE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_swallow_its_successor_is_told() {
        for (body, want) in [
            ("a v=1 1", true),
            ("a v=1 1\n", true),
            ("a v=1 1\r\n", true),
            ("a v=1 1\r", false),
            ("# note\na v=1 1\n", true),
            ("a s=\"x\" 1", true),
            ("a s=\"x\ny\" 1\n", true),
            ("a s=\"x\\\\\" 1", true),
            ("a s=\"x", false),
            ("a s=\"x\n", false),
            ("a s=\"x\\\" 1\n", false),
            ("b v=1 1\na s=\"x", false),
            ("a,t=x\\", false),
            ("a,t=x\\\n", false),
            ("a\\,b v=1 1", true),
            ("a\" v=1 1", true),
            ("a s=\"x\" 1\n# it's \"half", false),
            ("", false),
            ("\"\n\n", true),
        ] {
            assert_eq!(can_be_followed(body.as_bytes()), want, "{body:?}");
        }
    }
}
