//! A pull parser of one line: key, then fields, then time.
//!
//! Pull in that order and stop at the first error: it is then the one that InfluxDB reports.
//! The one exception is the key, which a caller that knows its raw bytes need not check again;
//! one that does not calls [`crate::canonical_key`] before it pulls the first field.

use tandem_model::{MAX_TIME_NS, MIN_TIME_NS, Precision};

use crate::diagnose;
use crate::digits::digits;
use crate::error::{LineError, Reason, piece};
use crate::key::{MAX_KEY_BYTES, canonical_key, key_end};
use crate::lines::blanks;
use crate::value::{Value, parse_value};

/// How the lines of a body are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// The unit of the times.
    pub precision: Precision,
    /// Takes `5u` as an unsigned integer; otherwise it is refused as `invalid number`, as by
    /// every released InfluxDB 1.x.
    pub unsigned: bool,
}

/// One field of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// The name as written; [`crate::unescape_field_name`] gives the name itself.
    pub name: &'a [u8],
    /// The value.
    pub value: Value<'a>,
}

/// One line, being parsed.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    raw: &'a [u8],
    key_len: usize,
    fields_start: usize,
    /// Where the next field starts, or, when `fields_done`, what follows the fields.
    at: usize,
    fields_done: bool,
    /// Length of key, separator and name of the first field for which that is too much.
    too_long: Option<usize>,
    options: ParseOptions,
}

impl<'a> Line<'a> {
    /// Starts on `raw`, one line as [`crate::lines()`] gives it, and finds the end of its key.
    ///
    /// # Errors
    /// When nothing follows the key; the reason may be that the key is malformed.
    #[inline]
    pub fn parse(raw: &'a [u8], options: ParseOptions) -> Result<Self, LineError<'a>> {
        let raw = raw.get(blanks(raw)..).unwrap_or_default();
        let Some(key_len) = key_end(raw) else {
            return Err(LineError {
                line: raw,
                reason: diagnose::key_only(raw),
            });
        };
        let fields_start = key_len + blanks(&raw[key_len..]);
        Ok(Self {
            raw,
            key_len,
            fields_start,
            at: fields_start,
            fields_done: false,
            too_long: None,
            options,
        })
    }

    /// The line as written.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The key as written, `measurement[,tag=value…]`, not validated.
    #[inline]
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        &self.raw[..self.key_len]
    }

    /// This line is refused for `reason`: for what [`crate::canonical_key`] says of the key.
    #[must_use]
    pub const fn error(&self, reason: Reason) -> LineError<'a> {
        LineError {
            line: self.raw,
            reason,
        }
    }

    /// The next field, or `None` after the last one. A line that parses has at least one field.
    /// A name may come twice; the later value counts.
    ///
    /// # Errors
    /// The first thing that is wrong with the fields. After an error the line is of no more use.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<Field<'a>>, LineError<'a>> {
        if self.fields_done {
            return Ok(None);
        }
        let rest = self.rest();
        match name_end(rest) {
            Some(end) => self.field(end),
            None => Err(self.field_error()),
        }
    }

    /// As [`Line::next_field`], for a caller that guesses the name, as written: a right guess
    /// saves the search for the name's end. `guess` must be a name that a line has had.
    ///
    /// # Errors
    /// As [`Line::next_field`].
    #[inline]
    pub fn next_field_predicted(
        &mut self,
        guess: &[u8],
    ) -> Result<Option<Field<'a>>, LineError<'a>> {
        let rest = self.rest();
        if !self.fields_done && rest.get(guess.len()) == Some(&b'=') && rest.starts_with(guess) {
            self.field(guess.len())
        } else {
            self.next_field()
        }
    }

    /// The time in nanoseconds, or `None` when the line has none. To be called when
    /// [`Line::next_field`] has given `None`.
    ///
    /// # Errors
    /// What is wrong with the time or with what follows it.
    #[inline]
    pub fn timestamp(&self) -> Result<Option<i64>, LineError<'a>> {
        time_of(self.rest(), self.options.precision).map_err(|reason| self.error(reason))
    }

    /// The key, and all behind the blanks after it.
    #[inline]
    pub(crate) fn key_and_fields(&self) -> (&'a [u8], &'a [u8]) {
        let fields = self.raw.get(self.fields_start..).unwrap_or_default();
        (self.key(), fields)
    }

    #[inline]
    pub(crate) const fn options(&self) -> ParseOptions {
        self.options
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.raw.get(self.at..).unwrap_or_default()
    }

    /// The field at `self.at`, whose name is `name_len` bytes long and followed by `=`.
    #[inline]
    fn field(&mut self, name_len: usize) -> Result<Option<Field<'a>>, LineError<'a>> {
        let (name, value_text) = self.rest().split_at(name_len);
        let value_text = &value_text[1..];
        let Some((value, value_len)) = parse_value(value_text, self.options.unsigned) else {
            return Err(self.field_error());
        };
        let end = self.at + name_len + 1 + value_len;
        match self.raw.get(end) {
            Some(b',') => self.at = end + 1,
            Some(b' ') | None => {
                self.at = end;
                self.fields_done = true;
            }
            Some(_) => return Err(self.field_error()),
        }
        // A key alone may be as long as the bound, but 4 bytes and a name come on top.
        let size = self.key_len + 4 + name_len;
        if size > MAX_KEY_BYTES && self.too_long.is_none() {
            self.too_long = Some(size);
        }
        if self.fields_done
            && let Some(size) = self.too_long
        {
            return Err(self.error(Reason::KeyTooLong(size)));
        }
        Ok(Some(Field { name, value }))
    }

    #[cold]
    fn field_error(&self) -> LineError<'a> {
        self.error(diagnose::fields(
            self.raw,
            self.fields_start,
            self.options.unsigned,
        ))
    }
}

/// Parses a whole line, key included, and throws the result away.
///
/// # Errors
/// What InfluxDB says of the line.
pub fn check(raw: &[u8], options: ParseOptions) -> Result<(), LineError<'_>> {
    let mut line = Line::parse(raw, options)?;
    canonical_key(line.key(), &mut Vec::new()).map_err(|reason| line.error(reason))?;
    while line.next_field()?.is_some() {}
    line.timestamp().map(drop)
}

/// Length of the name that `text` starts with, when `=` follows it.
#[inline]
fn name_end(text: &[u8]) -> Option<usize> {
    let end = text
        .iter()
        .position(|byte| matches!(byte, b'=' | b',' | b' ' | b'\\'))?;
    match text[end] {
        b'=' if end > 0 => Some(end),
        b'\\' => escaped_name_end(text, end),
        _ => None,
    }
}

/// The same for a name with backslashes. InfluxDB reads them twice, by two rules: a backslash
/// hides the next byte, and a byte after a backslash is hidden. A name on which the two do not
/// agree is refused.
#[cold]
fn escaped_name_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match *text.get(at)? {
            b'\\' => at += 2,
            b'=' => break,
            b',' | b' ' => return None,
            _ => at += 1,
        }
    }
    (text.get(at.checked_sub(1)?) != Some(&b'\\')).then_some(at)
}

/// The time in what follows the fields, in nanoseconds.
#[inline]
pub(crate) fn time_of(rest: &[u8], precision: Precision) -> Result<Option<i64>, Reason> {
    let text = &rest[blanks(rest)..];
    if text.is_empty() {
        return Ok(None);
    }
    parse_time(text, precision).map(Some)
}

#[inline]
fn parse_time(text: &[u8], precision: Precision) -> Result<i64, Reason> {
    let digits_start = usize::from(text[0] == b'-');
    let (value, end) = digits(text, digits_start, 0);
    let (number, rest) = text.split_at(end);
    // A newline that a quote has kept in the line ends the time, and nothing may follow that.
    if rest
        .first()
        .is_some_and(|&byte| byte != b' ' && byte != b'\n')
    {
        return Err(Reason::BadTimestamp);
    }
    let value = match end - digits_start {
        0 if digits_start == 0 => return Err(Reason::BadTimestamp),
        0 => return Err(Reason::TimestampWithoutDigits),
        // Today's times have 19 digits; the largest number of so many fits 64 bits without a sign.
        1..=19 if value <= i64::MAX.unsigned_abs() && digits_start == 0 => value as i64,
        1..=18 => -(value as i64),
        _ => {
            let number = String::from_utf8_lossy(number);
            number
                .parse()
                .map_err(|_| Reason::TimestampOverflow(piece(&number)))?
        }
    };
    let time_ns = value
        .checked_mul(precision.nanos())
        .filter(|time_ns| (MIN_TIME_NS..=MAX_TIME_NS).contains(time_ns))
        .ok_or(Reason::TimeOutOfRange)?;
    if rest.iter().all(|&byte| byte == b' ') {
        Ok(time_ns)
    } else {
        Err(Reason::InvalidPoint)
    }
}

#[cfg(test)]
#[path = "line/tests.rs"]
mod tests;
