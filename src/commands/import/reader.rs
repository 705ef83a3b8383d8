//! What an export says, piece by piece, within bounded memory.
//!
//! Sections and contexts are lines that start with `#`; statements stand between `# DDL` and `# DML`. Points are cut as
//! the parser of line protocol cuts them (`tandem_line::lines`): a newline within a quoted string, or right behind a
//! backslash, does not end a line.

use std::io::{self, Read};

/// Bytes read at once, at least. Few in tests, so that lines are cut everywhere.
const READ_BYTES: usize = if cfg!(test) { 5 } else { 256 << 10 };
/// A point that does not end within so many bytes has a quote too many; it is cut at its first newline.
const LINE_BYTES_MAX: usize = 4 << 20;

/// One piece of an export.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// A statement.
    Statement(&'a str),
    /// The database of the points that follow.
    Database(&'a str),
    /// The retention policy of the points that follow.
    Policy(&'a str),
    /// A point, without its newline.
    Line(&'a [u8]),
}

/// See the module's head.
pub(super) struct Reader<R> {
    input: R,
    buffer: Vec<u8>,
    /// What lies before this in the buffer is done.
    at: usize,
    is_at_end: bool,
    in_definitions: bool,
    /// The number of the line at `at`, from 1 on.
    number: u64,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            at: 0,
            is_at_end: false,
            in_definitions: false,
            number: 1,
        }
    }

    /// The next piece and the number of the line where it begins.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Item<'_>)>> {
        loop {
            let Some(end) = self.next_end()? else {
                return Ok(None);
            };
            let (start, number) = (self.at, self.number);
            let whole = self.buffer.get(start..end).unwrap_or_default();
            let newlines = whole.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.number += newlines + 1;
            self.at = end + 1;
            let kind = self.kind_of(start, end);
            let text = |from: usize, buffer: &'_ [u8]| -> io::Result<(usize, usize)> {
                let slice = buffer.get(from..end).unwrap_or_default();
                let text = std::str::from_utf8(slice).map_err(|_| {
                    let what = format!("line {number} is not UTF-8");
                    io::Error::new(io::ErrorKind::InvalidData, what)
                })?;
                let trimmed = text.trim();
                let lead = text.len() - text.trim_start().len();
                Ok((from + lead, from + lead + trimmed.len()))
            };
            match kind {
                Kind::Nothing => {}
                Kind::Definitions => self.in_definitions = true,
                Kind::Points => self.in_definitions = false,
                Kind::Database(from) => {
                    let (a, b) = text(from, &self.buffer)?;
                    return Ok(Some((number, Item::Database(self.str(a, b)))));
                }
                Kind::Policy(from) => {
                    let (a, b) = text(from, &self.buffer)?;
                    return Ok(Some((number, Item::Policy(self.str(a, b)))));
                }
                Kind::Statement => {
                    let (a, b) = text(start, &self.buffer)?;
                    return Ok(Some((number, Item::Statement(self.str(a, b)))));
                }
                Kind::Line(from, to) => {
                    let line = self.buffer.get(from..to).unwrap_or_default();
                    return Ok(Some((number, Item::Line(line))));
                }
            }
        }
    }

    fn str(&self, from: usize, to: usize) -> &str {
        let bytes = self.buffer.get(from..to).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    fn kind_of(&self, start: usize, end: usize) -> Kind {
        let whole = self.buffer.get(start..end).unwrap_or_default();
        let lead = blanks(whole);
        let mut line = whole.get(lead..).unwrap_or_default();
        if let Some(rest) = line.strip_suffix(b"\r") {
            line = rest;
        }
        if line.is_empty() {
            return Kind::Nothing;
        }
        if line.first() == Some(&b'#') {
            let after = |prefix: &str| {
                line.starts_with(prefix.as_bytes())
                    .then_some(start + lead + prefix.len())
            };
            return if line.starts_with(b"# DDL") {
                Kind::Definitions
            } else if line.starts_with(b"# DML") {
                Kind::Points
            } else if let Some(from) = after("# CONTEXT-DATABASE:") {
                Kind::Database(from)
            } else if let Some(from) = after("# CONTEXT-RETENTION-POLICY:") {
                Kind::Policy(from)
            } else {
                Kind::Nothing
            };
        }
        if self.in_definitions {
            Kind::Statement
        } else {
            Kind::Line(start + lead, start + lead + line.len())
        }
    }

    /// Where the line at `at` ends: at its newline, or at the end of the input. `None` behind the last.
    fn next_end(&mut self) -> io::Result<Option<usize>> {
        loop {
            if self.at < self.buffer.len()
                && let Some(end) = self.find_end()
            {
                return Ok(Some(end));
            }
            if self.is_at_end {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Reads at least as much as is waiting already, so that a long line is looked at a few times only.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let held = self.buffer.len();
        let wanted = READ_BYTES.max(held);
        self.buffer.resize(held + wanted, 0);
        let mut filled = held;
        while filled < self.buffer.len() {
            match self.input.read(&mut self.buffer[filled..]) {
                Ok(0) => {
                    self.is_at_end = true;
                    break;
                }
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }

    /// `None` when more has to be read to know.
    fn find_end(&self) -> Option<usize> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let simple = newline.or(self.is_at_end.then_some(rest.len()));
        let first = rest.get(blanks(rest)).copied();
        if first == Some(b'#') || self.in_definitions {
            return simple.map(|end| self.at + end);
        }
        let head = rest.get(..simple.unwrap_or(rest.len())).unwrap_or(rest);
        if !head.contains(&b'"') && head.last() != Some(&b'\\') {
            return simple.map(|end| self.at + end);
        }
        match exact_end(rest, self.is_at_end) {
            Some(end) if end <= LINE_BYTES_MAX => Some(self.at + end),
            Some(_) => simple.map(|end| self.at + end),
            None if rest.len() >= LINE_BYTES_MAX => newline.map(|end| self.at + end),
            None => None,
        }
    }
}

/// What a line is, and where its text begins.
enum Kind {
    Nothing,
    Definitions,
    Points,
    Database(usize),
    Policy(usize),
    Statement,
    Line(usize, usize),
}

fn blanks(text: &[u8]) -> usize {
    let first = text
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | 0));
    first.unwrap_or(text.len())
}

/// The walk of the parser of line protocol: a quote counts only behind the key, in the place of a value.
fn exact_end(body: &[u8], is_at_end: bool) -> Option<usize> {
    let (mut in_fields, mut quoted) = (false, false);
    let (mut equals, mut commas) = (0_usize, 0_usize);
    let mut at = blanks(body);
    while let Some(&byte) = body.get(at) {
        match byte {
            // Whether it hides what follows depends on what follows that.
            b'\\' if at + 2 >= body.len() && !is_at_end => return None,
            b'\\' if at + 2 < body.len() => at += 1,
            b'\n' if !quoted => return Some(at),
            b' ' => in_fields = true,
            b'=' if in_fields && !quoted => equals += 1,
            b',' if in_fields && !quoted => commas += 1,
            b'"' if in_fields && equals > commas => quoted = !quoted,
            _ => {}
        }
        at += 1;
    }
    is_at_end.then_some(body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces as text, each with its line.
    fn pieces(text: &str) -> Vec<(u64, String)> {
        let mut reader = Reader::new(text.as_bytes());
        let mut all = Vec::new();
        while let Some((number, item)) = reader.next().unwrap() {
            all.push((number, format!("{item:?}")));
        }
        all
    }

    #[test]
    fn sections_contexts_and_points_are_told_apart() {
        let text = "# INFLUXDB EXPORT: a - b\n# DDL\nCREATE DATABASE \"x\" WITH NAME y\n\n# DML\n\
            # CONTEXT-DATABASE:x y\r\n# CONTEXT-RETENTION-POLICY: z\n# writing tsm data\n  \n\
            m f=\"a\n# b\" 1\nm f=2";
        let line = |text: &str| format!("{:?}", Item::Line(text.as_bytes()));
        let expected = [
            (
                3,
                "Statement(\"CREATE DATABASE \\\"x\\\" WITH NAME y\")".to_owned(),
            ),
            (6, "Database(\"x y\")".to_owned()),
            (7, "Policy(\"z\")".to_owned()),
            (10, line("m f=\"a\n# b\" 1")),
            (12, line("m f=2")),
        ];
        assert_eq!(pieces(text), expected);
        assert_eq!(pieces(""), []);
    }

    #[test]
    fn points_are_cut_as_the_parser_cuts_them() {
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let body: Vec<u8> = (0..random(24))
                .map(|_| b"ab,= \"\\\n1\n"[random(10)])
                .collect();
            let mut reader = Reader::new(&body[..]);
            let mut ours = Vec::new();
            while let Some((_, item)) = reader.next().unwrap() {
                let Item::Line(line) = item else {
                    panic!("{item:?}");
                };
                ours.push(line.strip_suffix(b"\n").unwrap_or(line).to_vec());
            }
            ours.retain(|line| !line.is_empty());
            let theirs: Vec<&[u8]> = tandem_line::lines(&body).collect();
            let text = String::from_utf8_lossy(&body).into_owned();
            assert_eq!(ours, theirs, "{text:?}");
        }
    }

    #[test]
    fn a_quote_too_many_costs_one_line() {
        let mut text = "m f=\"open 1\n".to_owned();
        while text.len() < LINE_BYTES_MAX + 100 {
            text.push_str("m f=2 1\n");
        }
        let mut reader = Reader::new(text.as_bytes());
        let (number, first) = reader.next().unwrap().unwrap();
        assert!(number == 1 && first == Item::Line(b"m f=\"open 1"));
        let (number, second) = reader.next().unwrap().unwrap();
        assert!(number == 2 && second == Item::Line(b"m f=2 1"));
    }
}
