//! What can be wrong with a query text.

use std::fmt;

/// A place in the query text. A line ends at `\n`, `\r` or `\r\n`; characters are code points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Counted from 0; printed from 1.
    pub line: u32,
    /// Counted from 0; printed from 1.
    pub char: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, char) = (u64::from(self.line) + 1, u64::from(self.char) + 1);
        write!(f, "line {line}, char {char}")
    }
}

/// Why a text is not a query. Prints as InfluxDB's error does, without its prefix
/// `error parsing query: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Another token was expected.
    #[error("found {found}, expected {expected} at {position}")]
    Unexpected {
        /// The token found.
        found: String,
        /// The tokens that may stand here, separated by `, `.
        expected: String,
        /// Where it was found. InfluxDB reckons a string from the character before its quote,
        /// and so does this.
        position: Position,
    },
    /// A token that may stand here is wrong in itself.
    #[error("{message} at {position}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// Where.
        position: Position,
    },
    /// A clause is wrong as a whole.
    #[error("{0}")]
    Clause(String),
    /// The text exceeds one of [`crate::limits`].
    #[error("query too large: {what} exceed the maximum of {max}")]
    TooLarge {
        /// What there is too much of, in the plural.
        what: &'static str,
        /// The maximum.
        max: usize,
    },
}
