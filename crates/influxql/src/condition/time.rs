//! Time strings: `2006-01-02`, `2006-01-02 15:04:05.999`, and RFC 3339.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tandem_model::{MAX_TIME_NS, MIN_TIME_NS};

/// Why a string is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// It is malformed, or no such day or hour exists.
    #[error("invalid timestamp string")]
    Invalid,
    /// It is before 1677.
    #[error("time {0} underflows time literal")]
    Underflow(String),
    /// It is after 2262.
    #[error("time {0} overflows time literal")]
    Overflow(String),
}

/// True for a string that starts with a date: compared with `time`, it must be a time.
pub(super) fn looks_like_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = [0, 1, 2, 3, 5, 6, 8, 9];
    digits
        .iter()
        .all(|&at| bytes.get(at).is_some_and(u8::is_ascii_digit))
        && bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-')
}

/// Reads a time string in nanoseconds since the epoch; one without a zone is in `zone`. A time that
/// a change of clocks skips is moved on, one that it repeats is one of the two, both as in Go.
///
/// # Errors
/// When the string is no time or the time is not one that a point can have.
pub fn parse_time(text: &str, zone: &TimeZone) -> Result<i64, TimeError> {
    if !looks_like_time(text) {
        return Err(TimeError::Invalid);
    }
    let (time, offset_s) = read(text, zone).ok_or(TimeError::Invalid)?;
    match i64::try_from(time.as_nanosecond()) {
        Ok(time_ns @ ..=MAX_TIME_NS) if time_ns > MIN_TIME_NS => Ok(time_ns),
        _ => Err(out_of_range(time, offset_s)),
    }
}

/// The error for a time that clocks `offset_s` ahead of UTC show.
fn out_of_range(time: Timestamp, offset_s: i32) -> TimeError {
    let offset = jiff::tz::Offset::from_seconds(offset_s).unwrap_or(jiff::tz::Offset::UTC);
    let wall = time.to_zoned(TimeZone::fixed(offset));
    let format = match offset_s {
        0 => "%Y-%m-%dT%H:%M:%SZ",
        _ => "%Y-%m-%dT%H:%M:%S%:z",
    };
    let shown = wall.strftime(format).to_string();
    if time < Timestamp::UNIX_EPOCH {
        TimeError::Underflow(shown)
    } else {
        TimeError::Overflow(shown)
    }
}

/// The error for a computed time, in nanoseconds, that no point can have.
pub(super) fn computed_out_of_range(time_ns: i128) -> TimeError {
    let limit = if time_ns < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    out_of_range(Timestamp::from_nanosecond(time_ns).unwrap_or(limit), 0)
}

/// The moment, and how far the clocks that show it are ahead of UTC, in seconds.
fn read(text: &str, zone: &TimeZone) -> Option<(Timestamp, i32)> {
    let (date, rest) = text.split_at_checked(10)?;
    let number = |range| {
        date.get(range)
            .and_then(|part: &str| part.parse::<i16>().ok())
    };
    let (month, day) = (number(5..7)?, number(8..10)?);
    let date = Date::new(
        number(0..4)?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()?;
    if rest.is_empty() {
        return local(date, Clock::default(), zone);
    }
    if let Some(clock) = rest.strip_prefix('T') {
        let (clock, rest) = Clock::read(clock)?;
        let offset_s = read_offset(rest)?;
        let (wall, _) = local(date, clock, &TimeZone::UTC)?;
        let time_ns = wall.as_nanosecond() - i128::from(offset_s) * 1_000_000_000;
        return Some((Timestamp::from_nanosecond(time_ns).ok()?, offset_s));
    }
    let clock = rest.strip_prefix(' ')?.trim_start_matches(' ');
    let (clock, rest) = Clock::read(clock)?;
    if !rest.is_empty() {
        return None;
    }
    local(date, clock, zone)
}

/// A time of day.
#[derive(Clone, Copy, Default)]
struct Clock {
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
}

impl Clock {
    /// `15:04:05[.999]` and what follows it. The hour may have one digit.
    fn read(text: &str) -> Option<(Self, &str)> {
        let (hour, text) = two_digits(text, true)?;
        let (minute, text) = two_digits(text.strip_prefix(':')?, false)?;
        let (second, mut text) = two_digits(text.strip_prefix(':')?, false)?;
        let mut nanosecond = 0;
        if let Some(fraction) = text.strip_prefix(['.', ',']) {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 9 {
                return None;
            }
            if digits > 0 {
                let (fraction, rest) = fraction.split_at_checked(digits)?;
                let nine: String = fraction
                    .chars()
                    .chain("000000000".chars())
                    .take(9)
                    .collect();
                nanosecond = nine.parse().ok()?;
                text = rest;
            }
        }
        let clock = Self {
            hour,
            minute,
            second,
            nanosecond,
        };
        (hour < 24 && minute < 60 && second < 60).then_some((clock, text))
    }
}

fn two_digits(text: &str, one_is_enough: bool) -> Option<(i8, &str)> {
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if digits == 0 || (digits == 1 && !one_is_enough) {
        return None;
    }
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, rest))
}

/// `Z`, `+01:00` or `-08:30`, in seconds.
fn read_offset(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, text) = match text.strip_prefix('+') {
        Some(text) => (1, text),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hours, text) = two_digits(text, false)?;
    let (minutes, text) = two_digits(text.strip_prefix(':')?, false)?;
    let seconds = i32::from(hours) * 3_600 + i32::from(minutes) * 60;
    (text.is_empty() && hours <= 24 && minutes < 60).then_some(sign * seconds)
}

/// The moment when clocks in `zone` show this, and how far they are ahead of UTC, in seconds.
fn local(date: Date, clock: Clock, zone: &TimeZone) -> Option<(Timestamp, i32)> {
    let shown = date.at(clock.hour, clock.minute, clock.second, clock.nanosecond);
    let as_utc = TimeZone::UTC.to_timestamp(shown).ok()?;
    let earlier = |seconds: i32| {
        let time_ns = as_utc.as_nanosecond() - i128::from(seconds) * 1_000_000_000;
        Timestamp::from_nanosecond(time_ns).ok()
    };
    // Go guesses the offset from the shown time as if it were UTC and corrects the guess once.
    let guess = earlier(zone.to_offset(as_utc).seconds())?;
    let offset_s = zone.to_offset(guess).seconds();
    Some((earlier(offset_s)?, offset_s))
}
