//! Regular expressions in the syntax of Go (RE2), run by the `regex` crate on raw bytes.
//!
//! The two syntaxes are close, and differ where it hurts: in Rust `\d \s \w \b` are Unicode, `[`,
//! `&&`, `--` and `~~` mean something inside a class, `\<` is a word boundary, and a `{` that opens
//! no repetition is an error. So the pattern is read once, item by item, and every literal is
//! written out as `\x{..}`, which means the same everywhere. What Go refuses (look-around, back
//! references) stays refused. Source of the rules: Go's `regexp/syntax` documentation.

use std::fmt::Write as _;

use regex::bytes::{Regex as Engine, RegexBuilder};

use crate::error::Error;

/// Bytes that one compiled expression may take, for its program and for its lazy automaton each.
const COMPILED_BYTES_MAX: usize = 8 << 20;

/// A compiled regular expression; unanchored, as in Go's `MatchString`.
#[derive(Clone, Debug)]
pub(crate) struct Regex(Engine);

impl Regex {
    /// Compiles `pattern`, written in Go's syntax.
    ///
    /// # Errors
    /// When Go would refuse it, or when it compiles to more than [`COMPILED_BYTES_MAX`].
    pub(crate) fn new(pattern: &str) -> Result<Self, Error> {
        let refuse =
            |why: &str| Error::refused(format!("error parsing regexp: {why}: `{pattern}`"));
        let translated = translate(pattern).map_err(refuse)?;
        RegexBuilder::new(&translated)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build()
            .map(Self)
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => refuse("expression too large"),
                _ => refuse("invalid or unsupported Perl syntax"),
            })
    }

    /// True when some part of `text` matches.
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

/// The same expression in the syntax of the `regex` crate.
fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut reader = Reader { rest: pattern };
    let mut out = String::with_capacity(pattern.len() * 2);
    while let Some(c) = reader.next() {
        match c {
            '[' => class(&mut reader, &mut out)?,
            '\\' => escape(&mut reader, &mut out)?,
            '{' => match repetition(reader.rest) {
                Some(len) => {
                    out.push('{');
                    out.push_str(reader.take(len));
                }
                None => literal('{', &mut out),
            },
            '(' | ')' | '|' | '*' | '+' | '?' | '.' | '^' | '$' => out.push(c),
            c if c.is_ascii_alphanumeric() => out.push(c),
            c => {
                // The inside of a group's head, `(?i:` or `(?P<name>`, is no literal.
                if in_group_head(&out) {
                    out.push(c);
                } else {
                    literal(c, &mut out);
                }
            }
        }
    }
    Ok(out)
}

/// True when `out` ends in a `(?…` whose flags or name have not ended yet.
fn in_group_head(out: &str) -> bool {
    let Some(at) = out.rfind("(?") else {
        return false;
    };
    let head = &out[at + 2..];
    match head.strip_prefix("P<").or_else(|| head.strip_prefix('<')) {
        Some(name) => name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
        None => head.chars().all(|c| c.is_ascii_alphabetic() || c == '-'),
    }
}

fn literal(c: char, out: &mut String) {
    write!(out, "\\x{{{:X}}}", u32::from(c)).expect("writing to a string");
}

/// How long the rest of a repetition is, after its `{`: `3}`, `3,}` or `3,5}`.
fn repetition(rest: &str) -> Option<usize> {
    let end = rest.find('}')?;
    let (min, max) = rest[..end].split_once(',').unwrap_or((&rest[..end], ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    (!min.is_empty() && digits(min) && digits(max)).then_some(end + 1)
}

/// An escape outside of a class, after its backslash.
fn escape(reader: &mut Reader<'_>, out: &mut String) -> Result<(), &'static str> {
    match reader.peek() {
        Some('A' | 'z') => {
            out.push('\\');
            out.push_str(reader.take(1));
        }
        Some('b' | 'B') => {
            let kind = reader.take(1);
            write!(out, "(?-u:\\{kind})").expect("writing to a string");
        }
        Some('Q') => {
            reader.take(1);
            let end = reader.rest.find("\\E").unwrap_or(reader.rest.len());
            for c in reader.take(end).chars() {
                literal(c, out);
            }
            reader.take(2);
        }
        _ => match item(reader)? {
            Item::Char(c) => literal(c, out),
            Item::Set(set) => {
                // Go folds the case of what is written, not of what a Perl class stands for.
                write!(out, "(?-i:{set})").expect("writing to a string");
            }
        },
    }
    Ok(())
}

/// What one escape stands for.
enum Item {
    Char(char),
    /// A class, in the syntax of the `regex` crate, that may stand in another class.
    Set(String),
}

/// An escape that may stand inside and outside of a class, after its backslash.
fn item(reader: &mut Reader<'_>) -> Result<Item, &'static str> {
    const BAD: &str = "invalid escape sequence";
    let c = reader
        .next()
        .ok_or("trailing backslash at end of expression")?;
    Ok(match c {
        'd' => Item::Set("[0-9]".into()),
        'D' => Item::Set("[^0-9]".into()),
        's' => Item::Set(r"[\t\n\x0C\r ]".into()),
        'S' => Item::Set(r"[^\t\n\x0C\r ]".into()),
        'w' => Item::Set("[0-9A-Za-z_]".into()),
        'W' => Item::Set("[^0-9A-Za-z_]".into()),
        'p' | 'P' => Item::Set(unicode_class(c, reader)?),
        'a' => Item::Char('\x07'),
        'f' => Item::Char('\x0C'),
        't' => Item::Char('\t'),
        'n' => Item::Char('\n'),
        'r' => Item::Char('\r'),
        'v' => Item::Char('\x0B'),
        'x' => {
            let digits = if reader.peek() == Some('{') {
                let end = reader.rest.find('}').ok_or(BAD)?;
                let digits = &reader.take(end)[1..];
                reader.take(1);
                digits
            } else {
                if !reader.rest.is_char_boundary(2.min(reader.rest.len())) {
                    return Err(BAD);
                }
                reader.take(2)
            };
            let code = u32::from_str_radix(digits, 16).map_err(|_| BAD)?;
            Item::Char(char::from_u32(code).ok_or(BAD)?)
        }
        '0'..='7' => {
            // Octal: three digits, or fewer after a 0. One to seven alone would be a back reference.
            let more = reader
                .rest
                .bytes()
                .take(2)
                .take_while(|b| (b'0'..=b'7').contains(b))
                .count();
            if c != '0' && more == 0 {
                return Err(BAD);
            }
            let digits = format!("{c}{}", reader.take(more));
            let code = u32::from_str_radix(&digits, 8).map_err(|_| BAD)?;
            Item::Char(char::from_u32(code).ok_or(BAD)?)
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Item::Char(c),
        _ => return Err(BAD),
    })
}

/// `\pN`, `\p{Greek}` and their negations, after the `p`.
fn unicode_class(kind: char, reader: &mut Reader<'_>) -> Result<String, &'static str> {
    const BAD: &str = "invalid character class range";
    let mut negated = kind == 'P';
    let name = if reader.peek() == Some('{') {
        let end = reader.rest.find('}').ok_or(BAD)?;
        let name = &reader.take(end)[1..];
        reader.take(1);
        match name.strip_prefix('^') {
            Some(name) => {
                negated = !negated;
                name
            }
            None => name,
        }
    } else {
        let len = reader.peek().ok_or(BAD)?.len_utf8();
        reader.take(len)
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(BAD);
    }
    Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
}

/// A class, after its `[`.
fn class(reader: &mut Reader<'_>, out: &mut String) -> Result<(), &'static str> {
    const OPEN: &str = "missing closing ]";
    out.push('[');
    if reader.peek() == Some('^') {
        reader.take(1);
        out.push('^');
    }
    let mut first = true;
    loop {
        if reader.peek() == Some(']') && !first {
            reader.take(1);
            out.push(']');
            return Ok(());
        }
        first = false;
        if reader.rest.starts_with("[:")
            && let Some(end) = reader.rest.find(":]")
        {
            out.push_str(reader.take(end + 2));
            continue;
        }
        let low = match class_item(reader, OPEN)? {
            Item::Set(set) => {
                out.push_str(&set);
                continue;
            }
            Item::Char(c) => c,
        };
        literal(low, out);
        let mut after = reader.rest.chars();
        if after.next() == Some('-') && after.next().is_some_and(|c| c != ']') {
            reader.take(1);
            match class_item(reader, OPEN)? {
                Item::Char(high) if high >= low => {
                    out.push('-');
                    literal(high, out);
                }
                _ => return Err("invalid character class range"),
            }
        }
    }
}

fn class_item(reader: &mut Reader<'_>, open: &'static str) -> Result<Item, &'static str> {
    match reader.next().ok_or(open)? {
        '\\' => item(reader),
        c => Ok(Item::Char(c)),
    }
}

/// The pattern that is left to read.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// The next `len` bytes, or what is left of them; `len` must end at a character.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let regex = Regex::new(pattern).expect(pattern);
        for text in yes {
            assert!(
                regex.is_match(text.as_bytes()),
                "/{pattern}/ must match {text:?}"
            );
        }
        for text in no {
            assert!(
                !regex.is_match(text.as_bytes()),
                "/{pattern}/ must not match {text:?}"
            );
        }
    }

    #[test]
    fn plain_expressions_mean_the_same() {
        check("", &["", "a"], &[]);
        check(
            "^(web|db)-[0-9]+$",
            &["web-1", "db-22"],
            &["web-", "xweb-1", "web-1x"],
        );
        check("a.c", &["abc", "xaéc"], &["ac", "a\nc"]);
        check("(?i)HOST", &["host", "hOsT1"], &["hos"]);
        check("(?i:A)b(?P<n_1>c)", &["abc", "Abc"], &["aBc"]);
        check("x{2,3}y", &["xxy", "xxxy"], &["xy"]);
        check("a||b", &[""], &[]);
    }

    #[test]
    fn perl_classes_are_ascii() {
        check(r"^\d$", &["5"], &["٣"]);
        check(r"^\w$", &["a", "_"], &["é"]);
        check(r"^\W$", &["é", "-"], &["a"]);
        check(r"^\s$", &[" ", "\t", "\x0c"], &["\u{a0}", "\x0b"]);
        check(r"\bfoo\b", &["foo", "éfoo"], &["xfoo"]);
        check(r"(?i)^\w$", &["k"], &["\u{212a}"]);
    }

    #[test]
    fn classes_hold_no_set_operators() {
        check("^[a&&b]$", &["a", "&", "b"], &["&&"]);
        check("^[a[b]$", &["[", "a"], &["]"]);
        check("^[]a]$", &["]", "a"], &[]);
        check("^[^]a]$", &["b"], &["]", "a"]);
        check("^[a~~+--]$", &["~", "-", ","], &["c"]);
        check("^[a-]$", &["-", "a"], &["b"]);
        check("^[-a]$", &["-", "a"], &[]);
        check(r"^[\d\-x]$", &["7", "-", "x"], &["d"]);
        check("^[[:alpha:]_]$", &["q", "_"], &["1"]);
        check("^[a-c]$", &["b"], &["d"]);
    }

    #[test]
    fn literals_stay_literals() {
        check("a{", &["a{"], &["a"]);
        check("{,3}", &["{,3}"], &["3"]);
        check(r"\<a\>", &["<a>"], &["a"]);
        check("a#b c", &["a#b c"], &["ab"]);
        check(r"\Qa.b[\E.", &["a.b[x"], &["axb[x"]);
        check(r"\x41\x{e9}\101\.", &["AéA."], &[]);
        check("/var/log", &["/var/log"], &[]);
        check("}]", &["}]"], &[]);
        check(r"\p{Greek}\pN\P{^Lu}", &["α1Z"], &["a1Z", "α1z"]);
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for pattern in [
            "(",
            "a)",
            "[a",
            "(?!x)",
            "(?=x)",
            r"\1",
            r"\h",
            "[b-a]",
            "*",
            "\\",
            r"\xz",
            r"\x{110000}",
            r"\x{é",
            r"\xé",
        ] {
            assert!(Regex::new(pattern).is_err(), "/{pattern}/ must be refused");
        }
        assert!(
            Regex::new("((a{1000}){1000}){1000}").is_err(),
            "size is bounded"
        );
    }
}
