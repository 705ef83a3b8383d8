//! Cuts a body into lines.
//!
//! A newline ends a line unless it stands inside a quoted string field or right after a backslash
//! (`influxdata/influxdb models/points.go` `scanLine`). Only a line that holds a quote before its
//! first newline, or a backslash right before it, pays for finding out.

use std::ops::Range;

use memchr::memchr;

/// The lines of `body` that hold something, as written: without the blanks before them (space,
/// tab, NUL), without newline and without a carriage return before it. Blank lines and lines that
/// start with `#` are left out.
#[must_use]
pub fn lines(body: &[u8]) -> Lines<'_> {
    Lines {
        body,
        at: 0,
        quote: next_quote(body, 0),
    }
}

/// As [`lines()`], of a body in which no quote is.
pub(crate) fn unquoted_lines(body: &[u8]) -> Lines<'_> {
    Lines {
        body,
        at: 0,
        quote: body.len(),
    }
}

/// Iterator of [`lines()`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    body: &'a [u8],
    at: usize,
    /// Position of the first quote at or after `at`; the body's length when there is none.
    quote: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.next_range().map(|range| &self.body[range])
    }
}

impl Lines<'_> {
    /// Where the next line stands in the body.
    pub(crate) fn next_range(&mut self) -> Option<Range<usize>> {
        loop {
            let rest = self.body.get(self.at..).filter(|rest| !rest.is_empty())?;
            let start = self.at + blanks(rest);
            let mut end = self.line_end(start);
            self.at = end + 1;
            // One newline may be left: escaped, or behind an unbalanced quote.
            for ending in [b'\n', b'\r'] {
                if end > start && self.body.get(end - 1) == Some(&ending) {
                    end -= 1;
                }
            }
            if end > start && self.body.get(start) != Some(&b'#') {
                return Some(start..end);
            }
        }
    }

    /// Where the line that starts at `start` ends: at a newline, or at the body's end.
    fn line_end(&mut self, start: usize) -> usize {
        let newline = self
            .body
            .get(start..)
            .and_then(|rest| memchr(b'\n', rest))
            .map_or(self.body.len(), |offset| start + offset);
        if self.body.get(start) == Some(&b'#') {
            return newline;
        }
        if self.quote < start {
            self.quote = next_quote(self.body, start);
        }
        let hidden =
            self.quote < newline || newline > start && self.body.get(newline - 1) == Some(&b'\\');
        if hidden {
            exact_line_end(self.body, start)
        } else {
            newline
        }
    }
}

/// How many spaces, tabs and NULs `text` starts with.
pub(crate) fn blanks(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | 0))
        .unwrap_or(text.len())
}

fn next_quote(body: &[u8], from: usize) -> usize {
    body.get(from..)
        .and_then(|rest| memchr(b'"', rest))
        .map_or(body.len(), |offset| from + offset)
}

/// InfluxDB's own walk: a quote counts only after the key, in the place of a value.
fn exact_line_end(body: &[u8], start: usize) -> usize {
    let (mut in_fields, mut quoted) = (false, false);
    let (mut equals, mut commas) = (0_usize, 0_usize);
    let mut at = start;
    while let Some(&byte) = body.get(at) {
        match byte {
            b'\\' if at + 2 < body.len() => at += 1,
            b'\n' if !quoted => break,
            b' ' => in_fields = true,
            b'=' if in_fields && !quoted => equals += 1,
            b',' if in_fields && !quoted => commas += 1,
            b'"' if in_fields && equals > commas => quoted = !quoted,
            _ => {}
        }
        at += 1;
    }
    at.min(body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str) -> Vec<&str> {
        lines(body.as_bytes())
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect()
    }

    #[test]
    fn blank_lines_comments_and_leading_blanks_are_left_out() {
        assert_eq!(
            split("\n \t\0\n# c\n  # c \"=\n \0\ta v=1\n\nb v=2"),
            ["a v=1", "b v=2"]
        );
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split("\n"), [""; 0]);
    }

    #[test]
    fn a_carriage_return_before_the_newline_is_dropped_once() {
        assert_eq!(split("a v=1\r\n\r\nb v=2\r\r\n"), ["a v=1", "b v=2\r"]);
        assert_eq!(split("a v=1\r"), ["a v=1"]);
    }

    #[test]
    fn a_quoted_newline_does_not_end_a_line() {
        assert_eq!(
            split("a v=\"x\ny\",w=\"\\\"\n\" 1\nb v=1"),
            ["a v=\"x\ny\",w=\"\\\"\n\" 1", "b v=1"]
        );
    }

    #[test]
    fn quotes_in_key_and_field_name_mean_nothing() {
        assert_eq!(split("a\"b,t=\" v=1\nb v=1"), ["a\"b,t=\" v=1", "b v=1"]);
        assert_eq!(split("a v\"=1\nb v=1"), ["a v\"=1", "b v=1"]);
    }

    #[test]
    fn a_quote_in_a_comment_swallows_nothing() {
        assert_eq!(split("# a=\" \nb v=1\nc v=\"\""), ["b v=1", "c v=\"\""]);
    }

    #[test]
    fn an_escaped_newline_does_not_end_a_line() {
        assert_eq!(split("a,t=x\\\ny v=1\nb v=1"), ["a,t=x\\\ny v=1", "b v=1"]);
    }

    #[test]
    fn an_unbalanced_quote_takes_all_that_follows() {
        assert_eq!(split("a v=\"x\nb v=1\n"), ["a v=\"x\nb v=1"]);
    }
}
