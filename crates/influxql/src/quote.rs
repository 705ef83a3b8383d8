//! Quotation of names and strings.

use std::fmt::{self, Write as _};

use crate::{
    lexer::is_ident_char,
    token::{Token, lookup},
};

/// A name as it is written in a query: bare when it can be, else in double quotes.
pub(crate) struct Ident<'a>(pub(crate) &'a str);

impl fmt::Display for Ident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if ident_needs_quotes(self.0) {
            QuotedIdent(self.0).fmt(f)
        } else {
            f.write_str(self.0)
        }
    }
}

/// A name in double quotes.
pub(crate) struct QuotedIdent<'a>(pub(crate) &'a str);

impl fmt::Display for QuotedIdent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_quoted(f, self.0, '"')
    }
}

/// A string as it is written in a query, in single quotes.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_quoted(f, self.0, '\'')
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    f.write_char(quote)?;
    for char in text.chars() {
        match char {
            '\n' => f.write_str("\\n")?,
            '\\' => f.write_str("\\\\")?,
            _ if char == quote => {
                f.write_char('\\')?;
                f.write_char(char)?;
            }
            _ => f.write_char(char)?,
        }
    }
    f.write_char(quote)
}

/// A name as it must be written in a query: bare when it can be, else in double quotes.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    Ident(name).to_string()
}

/// A string as it must be written in a query, in single quotes.
#[must_use]
pub fn quote_string(text: &str) -> String {
    Quoted(text).to_string()
}

/// True when a name must be quoted: it is a keyword, empty, or not made of ASCII letters, digits
/// and `_` without a digit in front.
#[must_use]
pub fn ident_needs_quotes(name: &str) -> bool {
    name.is_empty()
        || name.starts_with(|char: char| char.is_ascii_digit())
        || !name.chars().all(is_ident_char)
        || lookup(name) != Token::Ident
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_only_when_they_must_be() {
        for (name, want) in [
            ("cpu", "cpu"),
            ("_x1", "_x1"),
            ("1x", "\"1x\""),
            ("", "\"\""),
            ("a.b", "\"a.b\""),
            ("a-b", "\"a-b\""),
            ("select", "\"select\""),
            ("Select", "\"Select\""),
            ("true", "\"true\""),
            ("time", "time"),
            ("a\"b\\c\nd", "\"a\\\"b\\\\c\\nd\""),
            ("ü", "\"ü\""),
        ] {
            assert_eq!(quote_ident(name), want);
        }
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(quote_string("it's\n\\\""), r#"'it\'s\n\\"'"#);
    }
}
