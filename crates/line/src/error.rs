//! What is wrong with a line, in InfluxDB's words.
//!
//! Clients match these texts (Telegraf looks for `unable to parse`), so they are part of the
//! contract; `tests/texts.rs` holds a table of them recorded from a real server.

use std::fmt;

use tandem_model::{MAX_TIME_NS, MIN_TIME_NS};
use thiserror::Error;

use crate::key::MAX_KEY_BYTES;

/// Why a line is refused. `Display` is InfluxDB's text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// The line starts with a comma.
    #[error("missing measurement")]
    MissingMeasurement,
    /// No unescaped space ends the key.
    #[error("missing fields")]
    MissingFields,
    /// A comma without a tag key after it.
    #[error("missing tag key")]
    MissingTagKey,
    /// A tag key without `=value`.
    #[error("missing tag value")]
    MissingTagValue,
    /// An unescaped `=` in a tag value.
    #[error("invalid tag format")]
    InvalidTagFormat,
    /// One tag key twice.
    #[error("duplicate tags")]
    DuplicateTags,
    /// The key, or the key with a separator of 4 bytes and a field's name, is longer than
    /// [`MAX_KEY_BYTES`].
    #[error("max key length exceeded: {0} > {MAX_KEY_BYTES}")]
    KeyTooLong(usize),
    /// A `=` without a name before it.
    #[error("missing field key")]
    MissingFieldKey,
    /// A `=` without a value after it.
    #[error("missing field value")]
    MissingFieldValue,
    /// Starts like a number and is none, or has the suffix `u` where that is not allowed.
    #[error("invalid number")]
    InvalidNumber,
    /// Neither number nor string nor one of the ten spellings of true and false.
    #[error("invalid boolean")]
    InvalidBoolean,
    /// A float with an exponent that is malformed or out of range.
    #[error("invalid float")]
    InvalidFloat,
    /// An integer, given here as written, that 64 bits do not hold.
    #[error("unable to parse integer {0}: strconv.ParseInt: parsing \"{0}\": value out of range")]
    IntegerOutOfRange(Box<str>),
    /// An unsigned integer, given here as written, that 64 bits do not hold.
    #[error("unable to parse unsigned {0}: strconv.ParseUint: parsing \"{0}\": value out of range")]
    UnsignedOutOfRange(Box<str>),
    /// A string without its closing quote.
    #[error("unbalanced quotes")]
    UnbalancedQuotes,
    /// Not `name=value[,name=value…]`.
    #[error("invalid field format")]
    InvalidFieldFormat,
    /// A field's name, given here as written, whose backslashes hide its `=`.
    #[error("invalid value: field-key={0}")]
    InvalidFieldKey(Box<str>),
    /// Something else than digits where the time stands.
    #[error("bad timestamp")]
    BadTimestamp,
    /// A lone minus where the time stands.
    #[error("strconv.ParseInt: parsing \"-\": invalid syntax")]
    TimestampWithoutDigits,
    /// A time, given here as written, that 64 bits do not hold.
    #[error("strconv.ParseInt: parsing \"{0}\": value out of range")]
    TimestampOverflow(Box<str>),
    /// A time that, in nanoseconds, no point may have.
    #[error("time outside range {MIN_TIME_NS} - {MAX_TIME_NS}")]
    TimeOutOfRange,
    /// Something after the time.
    #[error("point is invalid")]
    InvalidPoint,
}

/// Of a line that is shown, and of a number or name in it; more than any key may have.
const SHOWN_BYTES_MAX: usize = 128 << 10;

/// A piece of a line, as a reason holds it: as written, and no more than is shown of a line.
pub(crate) fn piece(text: &str) -> Box<str> {
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    match text.get(..end) {
        Some(shown) if end < text.len() => format!("{shown}…").into(),
        _ => text.into(),
    }
}

/// A line that is refused, and why. `Display` is InfluxDB's `unable to parse 'LINE': REASON`,
/// with each byte of the line that is not UTF-8 shown as U+FFFD, as Go's JSON encoder does. Of a line
/// beyond 128 KiB the beginning is shown, and how long it is: an answer is not to be as large as the request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct LineError<'a> {
    /// The line, without leading blanks and without the end of line.
    pub line: &'a [u8],
    /// What is wrong with it.
    pub reason: Reason,
}

impl fmt::Display for LineError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unable to parse '")?;
        let shown = self.line.get(..SHOWN_BYTES_MAX).unwrap_or(self.line);
        for chunk in shown.utf8_chunks() {
            f.write_str(chunk.valid())?;
            for _ in chunk.invalid() {
                f.write_str("\u{FFFD}")?;
            }
        }
        if shown.len() < self.line.len() {
            write!(f, "… ({} bytes)", self.line.len())?;
        }
        write!(f, "': {}", self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_influxdb_s_text_and_marks_each_bad_byte() {
        let error = LineError {
            line: b"m\xff\xfe v=x",
            reason: Reason::InvalidBoolean,
        };
        assert_eq!(
            error.to_string(),
            "unable to parse 'm\u{FFFD}\u{FFFD} v=x': invalid boolean"
        );
    }

    #[test]
    fn of_a_huge_line_the_beginning_is_shown() {
        let line = vec![b'x'; SHOWN_BYTES_MAX + 7];
        let text = |line| {
            let reason = Reason::MissingFields;
            LineError { line, reason }.to_string()
        };
        let shown = text(&line);
        assert!(shown.ends_with("x… (131079 bytes)': missing fields"));
        assert!(shown.len() < SHOWN_BYTES_MAX + 100);
        assert!(text(&line[7..]).ends_with("xxx': missing fields"));
        let digits = "1".repeat(SHOWN_BYTES_MAX + 7);
        assert_eq!(piece(&digits).len(), SHOWN_BYTES_MAX + "…".len());
        assert_eq!(*piece(&digits[7..]), digits[7..]);
    }

    #[test]
    fn the_range_of_time_is_in_the_text() {
        assert_eq!(
            Reason::TimeOutOfRange.to_string(),
            "time outside range -9223372036854775806 - 9223372036854775806"
        );
    }
}
