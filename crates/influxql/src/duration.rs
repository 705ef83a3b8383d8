//! Durations as they are written: `1h30m`, `500ms`, `INF` aside.

const MICROSECOND_NS: i64 = 1_000;
const MILLISECOND_NS: i64 = 1_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const MINUTE_NS: i64 = 60 * SECOND_NS;
const HOUR_NS: i64 = 60 * MINUTE_NS;
const DAY_NS: i64 = 24 * HOUR_NS;
const WEEK_NS: i64 = 7 * DAY_NS;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is not a sequence of whole numbers, each with a unit.
    #[error("invalid duration")]
    Invalid,
    /// It is longer than 292 years.
    #[error("overflowed duration {0}: choose a smaller duration or INF")]
    Overflow(String),
}

/// Reads a duration such as `1h30m` in nanoseconds. Units: `ns`, `u`, `µ`, `ms`, `s`, `m`, `h`,
/// `d`, `w`. A `-` in front makes the whole negative.
///
/// # Errors
/// When the text is malformed or the duration does not fit. (InfluxDB lets some that do not fit
/// wrap round.)
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return Err(DurationError::Invalid);
    }
    let mut total_ns: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let count: i64 = number.parse().map_err(|_| DurationError::Invalid)?;
        let (unit, unit_ns) = unit_of(tail).ok_or(DurationError::Invalid)?;
        total_ns = count
            .checked_mul(unit_ns)
            .and_then(|part_ns| total_ns.checked_add(part_ns))
            .ok_or_else(|| DurationError::Overflow(format!("{count}{unit}")))?;
        rest = tail.get(unit.len()..).unwrap_or_default();
    }
    Ok(if negative { -total_ns } else { total_ns })
}

/// The unit that `text` starts with, and its length in nanoseconds.
fn unit_of(text: &str) -> Option<(&'static str, i64)> {
    // Two letters first: `m` and `ms` share one.
    const UNITS: [(&str, i64); 9] = [
        ("ns", 1),
        ("ms", MILLISECOND_NS),
        ("u", MICROSECOND_NS),
        ("µ", MICROSECOND_NS),
        ("m", MINUTE_NS),
        ("s", SECOND_NS),
        ("h", HOUR_NS),
        ("d", DAY_NS),
        ("w", WEEK_NS),
    ];
    UNITS.into_iter().find(|(unit, _)| text.starts_with(unit))
}

/// Writes nanoseconds in the largest unit that divides them: `90m`, not `1h30m`.
#[must_use]
pub fn format_duration(duration_ns: i64) -> String {
    const UNITS: [(&str, i64); 8] = [
        ("w", WEEK_NS),
        ("d", DAY_NS),
        ("h", HOUR_NS),
        ("m", MINUTE_NS),
        ("s", SECOND_NS),
        ("ms", MILLISECOND_NS),
        ("u", MICROSECOND_NS),
        ("ns", 1),
    ];
    if duration_ns == 0 {
        return "0s".to_owned();
    }
    for (unit, unit_ns) in UNITS {
        if duration_ns % unit_ns == 0 {
            return format!("{}{unit}", duration_ns / unit_ns);
        }
    }
    format!("{duration_ns}ns")
}

/// Writes nanoseconds as Go does: `168h0m0s`, `1m30s`, `1.5ms`, `0s`. This is how InfluxDB shows
/// the durations of retention policies.
#[must_use]
pub fn format_go_duration(duration_ns: i64) -> String {
    let magnitude = duration_ns.unsigned_abs();
    let sign = if duration_ns < 0 { "-" } else { "" };
    let decimal = |unit_ns: u64| {
        let (whole, part) = (magnitude / unit_ns, magnitude % unit_ns);
        if part == 0 {
            return whole.to_string();
        }
        let width = unit_ns.ilog10() as usize;
        let digits = format!("{part:0width$}");
        format!("{whole}.{}", digits.trim_end_matches('0'))
    };
    match magnitude {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{magnitude}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(1_000_000)),
        _ => {
            let minutes = magnitude / MINUTE_NS.unsigned_abs();
            let (hours, minutes) = (minutes / 60, minutes % 60);
            let rest = magnitude % MINUTE_NS.unsigned_abs();
            let (seconds, part) = (rest / 1_000_000_000, rest % 1_000_000_000);
            let part = match part {
                0 => String::new(),
                _ => format!(".{}", format!("{part:09}").trim_end_matches('0')),
            };
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}{part}s"),
                (0, _) => format!("{sign}{minutes}m{seconds}{part}s"),
                _ => format!("{sign}{hours}h{minutes}m{seconds}{part}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, want_ns) in [
            ("0s", 0),
            ("10ns", 10),
            ("7u", 7_000),
            ("7µ", 7_000),
            ("15ms", 15_000_000),
            ("100s", 100_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1ms1m", 60_001_000_000),
            ("1d", 86_400_000_000_000),
            ("2w3d", 17 * DAY_NS),
            ("-5m", -300_000_000_000),
            ("9223372036854775807ns", i64::MAX),
        ] {
            assert_eq!(parse_duration(text), Ok(want_ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "-",
            "3",
            "1000",
            "w",
            "3y",
            "3mo",
            "1.5h",
            "5n",
            "5mm5",
            "1h 5m",
            "--1s",
            "9223372036854775808ns",
            "5µs",
            "µ",
            "１s",
        ] {
            assert_eq!(parse_duration(text), Err(DurationError::Invalid), "{text}");
        }
        for (text, part) in [
            ("16000000000000000000000h", None),
            ("1000000w", Some("1000000w")),
            ("292y", None),
            ("15250w1d2000h", Some("2000h")),
        ] {
            let error = parse_duration(text).unwrap_err();
            match part {
                None => assert_eq!(error, DurationError::Invalid, "{text}"),
                Some(part) => assert_eq!(
                    error.to_string(),
                    format!("overflowed duration {part}: choose a smaller duration or INF")
                ),
            }
        }
    }

    #[test]
    fn formatting_takes_the_largest_unit_and_is_read_back() {
        for (duration_ns, want) in [
            (0, "0s"),
            (3, "3ns"),
            (1_000, "1u"),
            (1_001, "1001ns"),
            (15_000_000, "15ms"),
            (90 * MINUTE_NS, "90m"),
            (100 * SECOND_NS, "100s"),
            (-90 * MINUTE_NS, "-90m"),
            (2 * DAY_NS, "2d"),
            (2 * WEEK_NS, "2w"),
            (i64::MAX, "9223372036854775807ns"),
        ] {
            assert_eq!(format_duration(duration_ns), want);
            assert_eq!(parse_duration(want), Ok(duration_ns));
        }
    }

    #[test]
    fn formatting_as_go() {
        for (duration_ns, want) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (WEEK_NS, "168h0m0s"),
            (HOUR_NS + 1, "1h0m0.000000001s"),
            (-HOUR_NS, "-1h0m0s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(format_go_duration(duration_ns), want);
        }
    }
}
