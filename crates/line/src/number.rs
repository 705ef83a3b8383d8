//! Numbers: a quick parser that says yes or no, and a slow one that says why not.
//!
//! What is a number is what InfluxDB's `scanNumber` takes and Go's `strconv` can parse:
//! an optional minus, digits with at most one point (`1.` and `.5` too), an optional exponent; or
//! digits and `i` (or `u`).

use crate::digits::digits;
use crate::error::{Reason, piece};
use crate::value::Value;

/// Powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// Up to here every integer is a double.
const MANTISSA_MAX: u64 = 1 << 53;
/// So many decimal digits always fit `u64`.
const SAFE_DIGITS: usize = 19;

/// The number that `text` starts with and its length; `None` when it is none, or out of range.
/// What follows the number is not looked at.
#[inline]
pub(crate) fn parse_number(text: &[u8], unsigned: bool) -> Option<(Value<'_>, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let (mantissa, point) = digits(text, start, 0);
    match text.get(point) {
        Some(b'i') if point > start => {
            let value = if point - start < SAFE_DIGITS {
                // Below 10^18: fits.
                let value = mantissa as i64;
                if negative { -value } else { value }
            } else {
                as_str(text, point)?.parse().ok()?
            };
            return Some((Value::Integer(value), point + 1));
        }
        Some(b'u') if unsigned && !negative && point > start => {
            let value = as_str(text, point)?.parse().ok()?;
            return Some((Value::Unsigned(value), point + 1));
        }
        Some(b'.' | b'e' | b'E') => {}
        _ if point == start => return None,
        _ if point - start <= SAFE_DIGITS && mantissa <= MANTISSA_MAX => {
            let value = mantissa as f64;
            return Some((Value::Float(if negative { -value } else { value }), point));
        }
        _ => return slow_float(text),
    }
    if text.get(point) != Some(&b'.') {
        return slow_float(text);
    }
    let (mantissa, end) = digits(text, point + 1, mantissa);
    let fraction = end - point - 1;
    let count = point - start + fraction;
    match POWERS_OF_TEN.get(fraction) {
        Some(power)
            if (1..=SAFE_DIGITS).contains(&count)
                && mantissa <= MANTISSA_MAX
                && !matches!(text.get(end), Some(b'e' | b'E')) =>
        {
            // Both operands are exact, so the one rounding of the division is the right one.
            let value = mantissa as f64 / power;
            Some((Value::Float(if negative { -value } else { value }), end))
        }
        _ => slow_float(text),
    }
}

/// The integer that `text` starts with, its `i` included, and its length. `None` when it is another number, and
/// when [`parse_number`] says so.
#[inline]
pub(crate) fn parse_integer(text: &[u8]) -> Option<(i64, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let (value, end) = digits(text, start, 0);
    if text.get(end) == Some(&b'i') && (1..SAFE_DIGITS).contains(&(end - start)) {
        let value = value as i64;
        return Some((if negative { -value } else { value }, end + 1));
    }
    match parse_number(text, false)? {
        (Value::Integer(value), len) => Some((value, len)),
        _ => None,
    }
}

/// The float that `text` starts with and its length. `None` when it is another number, and when
/// [`parse_number`] says so.
#[inline]
pub(crate) fn parse_float(text: &[u8]) -> Option<(f64, usize)> {
    if !matches!(text.first(), Some(b'0'..=b'9' | b'.' | b'-')) {
        return None;
    }
    match parse_number(text, false)? {
        (Value::Float(value), len) => Some((value, len)),
        _ => None,
    }
}

fn as_str(text: &[u8], end: usize) -> Option<&str> {
    std::str::from_utf8(text.get(..end)?).ok()
}

#[cold]
fn slow_float(text: &[u8]) -> Option<(Value<'_>, usize)> {
    let end = text
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        .unwrap_or(text.len());
    let value: f64 = as_str(text, end)?.parse().ok()?;
    value.is_finite().then_some((Value::Float(value), end))
}

/// Why InfluxDB refuses `token` (all up to the next comma or space) as a number, if it does.
#[cold]
pub(crate) fn check_number(token: &[u8], unsigned: bool) -> Result<(), Reason> {
    let negative = token.first() == Some(&b'-');
    let (mut suffix, mut point, mut exponent) = (None, false, false);
    let mut digits = token.len() - usize::from(negative);
    for (at, &byte) in token.iter().enumerate().skip(usize::from(negative)) {
        let previous = at.checked_sub(1).and_then(|at| token.get(at));
        match byte {
            b'i' | b'u' if at > 0 && suffix.is_none() => suffix = Some(byte),
            b'.' if !point => point = true,
            b'e' | b'E' if at > 0 => exponent = true,
            b'+' | b'-' if matches!(previous, Some(b'e' | b'E')) => {}
            b'0'..=b'9' => {}
            _ => return Err(Reason::InvalidNumber),
        }
    }
    if suffix.is_some() && (point || exponent) {
        return Err(Reason::InvalidNumber);
    }
    digits -= usize::from(suffix == Some(b'i')) + usize::from(point);
    if digits == 0 || suffix.is_some_and(|suffix| token.last() != Some(&suffix)) {
        return Err(Reason::InvalidNumber);
    }
    let text = String::from_utf8_lossy(token);
    match suffix {
        Some(b'i') => {
            let text = text.trim_end_matches('i');
            text.parse::<i64>()
                .map(drop)
                .map_err(|_| Reason::IntegerOutOfRange(piece(text)))
        }
        Some(_) if !unsigned || negative => Err(Reason::InvalidNumber),
        Some(_) => {
            let text = text.trim_end_matches('u');
            text.parse::<u64>()
                .map(drop)
                .map_err(|_| Reason::UnsignedOutOfRange(piece(text)))
        }
        None => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(()),
            _ => Err(Reason::InvalidFloat),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float(text: &str) -> Option<f64> {
        match parse_number(text.as_bytes(), false)? {
            (Value::Float(value), len) if len == text.len() => Some(value),
            _ => None,
        }
    }

    #[test]
    fn integers_fill_64_bits_and_no_more() {
        for text in [
            "0",
            "-0",
            "007",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            let want = Value::Integer(text.parse().unwrap());
            let written = format!("{text}i");
            assert_eq!(
                parse_number(written.as_bytes(), false),
                Some((want, written.len()))
            );
        }
        for text in [
            "9223372036854775808i",
            "-9223372036854775809i",
            "i",
            "-i",
            ".",
        ] {
            assert_eq!(parse_number(text.as_bytes(), false), None, "{text}");
        }
    }

    #[test]
    fn the_suffix_u_is_taken_only_when_asked_for() {
        assert_eq!(
            parse_number(b"18446744073709551615u", true),
            Some((Value::Unsigned(u64::MAX), 21))
        );
        assert_eq!(parse_number(b"18446744073709551616u", true), None);
        // The parser of the line then meets the `u` where a comma should be.
        assert_eq!(parse_number(b"-1u", true), Some((Value::Float(-1.0), 2)));
        assert_eq!(check_number(b"-1u", true), Err(Reason::InvalidNumber));
        assert_eq!(check_number(b"5u", false), Err(Reason::InvalidNumber));
        assert_eq!(
            check_number(b"18446744073709551616u", true)
                .unwrap_err()
                .to_string(),
            "unable to parse unsigned 18446744073709551616: strconv.ParseUint: parsing \
             \"18446744073709551616\": value out of range"
        );
    }

    #[test]
    fn floats_may_lack_digits_on_one_side_of_the_point() {
        assert_eq!(float("1."), Some(1.0));
        assert_eq!(float("-.5"), Some(-0.5));
        assert_eq!(float("1.e2"), Some(100.0));
        assert_eq!(float("-0").map(f64::to_bits), Some((-0.0_f64).to_bits()));
        assert_eq!(float("1e400"), None);
        assert_eq!(float("1e-400"), Some(0.0));
        for text in ["-", ".", "-.", "1e", "1e5.3", "-inf", "1-2"] {
            assert_eq!(float(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_double_comes_back_as_the_same_bits(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(float(&format!("{value}")).map(f64::to_bits), Some(bits));
            prop_assert_eq!(float(&format!("{value:e}")).map(f64::to_bits), Some(bits));
        }

        #[test]
        fn short_decimals_are_what_std_says(text in r"-?[0-9]{0,12}\.?[0-9]{0,12}") {
            let want = text.parse::<f64>().ok().map(f64::to_bits);
            prop_assert_eq!(float(&text).map(f64::to_bits), want);
        }

        /// The quick parser takes a whole token exactly when the slow one finds no fault.
        #[test]
        fn both_parsers_agree(text in r"[0-9.\-][0-9.eE+\-iu]{0,24}", unsigned: bool) {
            let quick = parse_number(text.as_bytes(), unsigned)
                .is_some_and(|(_, len)| len == text.len());
            let slow = check_number(text.as_bytes(), unsigned);
            prop_assert_eq!(quick, slow.is_ok(), "{} {:?}", text, slow);
        }
    }
}
