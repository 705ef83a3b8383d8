//! Times in results: RFC 3339 with as many fractional digits as needed, or whole units since 1970.

use jiff::{Timestamp, tz::TimeZone};

use super::number::write_integer;

/// What the request's `epoch` parameter asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epoch {
    /// None: text.
    Rfc3339,
    /// Whole numbers of this many nanoseconds, cut towards 1970.
    Units {
        /// Nanoseconds a unit.
        ns: i64,
    },
}

impl Epoch {
    /// Reads the parameter: a unit that is not known means nanoseconds.
    pub(crate) fn parse(text: &str) -> Self {
        let ns = match text.trim() {
            "" => return Self::Rfc3339,
            "u" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => 1,
        };
        Self::Units { ns }
    }
}

const SECOND_NS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Appends `time_ns` as Go's RFC3339Nano, at the offset that `zone` has then.
pub(crate) fn write_rfc3339(out: &mut Vec<u8>, time_ns: i64, zone: Option<&TimeZone>) {
    let offset_seconds = zone.map_or(0, |zone| {
        let at = Timestamp::from_nanosecond(i128::from(time_ns)).unwrap_or(Timestamp::UNIX_EPOCH);
        i64::from(zone.to_offset(at).seconds())
    });
    let seconds = time_ns.div_euclid(SECOND_NS) + offset_seconds;
    let fraction = time_ns.rem_euclid(SECOND_NS);
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let second = seconds.rem_euclid(DAY_SECONDS);
    out.extend_from_slice(&[b'0' + (year / 1000) as u8, b'0' + (year / 100 % 10) as u8]);
    two(out, year % 100);
    out.push(b'-');
    two(out, month);
    out.push(b'-');
    two(out, day);
    out.push(b'T');
    two(out, second / 3600);
    out.push(b':');
    two(out, second / 60 % 60);
    out.push(b':');
    two(out, second % 60);
    if fraction != 0 {
        out.push(b'.');
        let mut rest = fraction;
        let mut unit = SECOND_NS / 10;
        while rest != 0 {
            out.push(b'0' + (rest / unit) as u8);
            rest %= unit;
            unit /= 10;
        }
    }
    if offset_seconds == 0 {
        out.push(b'Z');
        return;
    }
    out.push(if offset_seconds < 0 { b'-' } else { b'+' });
    let minutes = offset_seconds.abs() / 60;
    two(out, minutes / 60);
    out.push(b':');
    two(out, minutes % 60);
}

/// A day, and how texts of times in it begin: most times of a result are of the same day as the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    /// Seconds since 1970 at its start.
    start_s: i64,
    text: [u8; 12],
}

impl Default for Day {
    fn default() -> Self {
        Self {
            start_s: 0,
            text: *b"\"1970-01-01T",
        }
    }
}

impl Day {
    /// Appends `time_ns` in UTC as Go's RFC3339Nano, in quotes.
    pub(crate) fn write_quoted(&mut self, out: &mut Vec<u8>, time_ns: i64) {
        let seconds = time_ns.div_euclid(SECOND_NS);
        if time_ns.rem_euclid(SECOND_NS) != 0 {
            out.push(b'"');
            write_rfc3339(out, time_ns, None);
            return out.push(b'"');
        }
        if !(0..DAY_SECONDS).contains(&(seconds - self.start_s)) {
            self.start_s = seconds - seconds.rem_euclid(DAY_SECONDS);
            let mut text = Vec::with_capacity(32);
            write_rfc3339(&mut text, time_ns, None);
            self.text[1..].copy_from_slice(&text[..11]);
        }
        let second = seconds - self.start_s;
        let digits = |value: i64| [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        let ([a, b], [c, d], [e, f]) = (
            digits(second / 3600),
            digits(second / 60 % 60),
            digits(second % 60),
        );
        let mut quoted = [0; 22];
        quoted[..12].copy_from_slice(&self.text);
        quoted[12..].copy_from_slice(&[a, b, b':', c, d, b':', e, f, b'Z', b'"']);
        out.extend_from_slice(&quoted);
    }
}

/// Appends a time in units of `unit_ns`.
pub(crate) fn write_units(out: &mut Vec<u8>, time_ns: i64, unit_ns: i64) {
    write_integer(out, time_ns / unit_ns);
}

fn two(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant, "chrono-compatible
/// low-level date algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 {
        month_shifted + 3
    } else {
        month_shifted - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_prints_what_each_time_is() {
        let mut day = Day::default();
        for time_ns in [
            0,
            86_399 * SECOND_NS,
            86_400 * SECOND_NS,
            1_451_606_400 * SECOND_NS,
            1_451_606_400 * SECOND_NS + 1_500_000,
            1_451_692_799 * SECOND_NS,
            -SECOND_NS,
            -86_400 * SECOND_NS,
            i64::MIN + 2,
            i64::MAX,
            9_223_372_036 * SECOND_NS,
            -9_223_372_036 * SECOND_NS,
        ] {
            let (mut quoted, mut text) = (Vec::new(), vec![b'"']);
            day.write_quoted(&mut quoted, time_ns);
            write_rfc3339(&mut text, time_ns, None);
            text.push(b'"');
            assert_eq!(quoted, text, "{time_ns}");
        }
    }

    #[track_caller]
    fn check(time_ns: i64, zone: Option<&str>, expected: &str) {
        let zone = zone.map(|name| TimeZone::get(name).unwrap());
        let mut out = Vec::new();
        write_rfc3339(&mut out, time_ns, zone.as_ref());
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn utc_times_are_those_of_go() {
        check(0, None, "1970-01-01T00:00:00Z");
        check(-1, None, "1969-12-31T23:59:59.999999999Z");
        check(1_500_000, None, "1970-01-01T00:00:00.0015Z");
        check(1_600_000_000_100_000_000, None, "2020-09-13T12:26:40.1Z");
        check(951_782_400_000_000_000, None, "2000-02-29T00:00:00Z");
        check(i64::MAX, None, "2262-04-11T23:47:16.854775807Z");
        check(i64::MIN, None, "1677-09-21T00:12:43.145224192Z");
    }

    #[test]
    fn every_day_agrees_with_the_calendar_of_jiff() {
        for day in (-106_000..106_000).step_by(7) {
            let seconds: i64 = day * DAY_SECONDS;
            check(
                seconds * SECOND_NS,
                None,
                &Timestamp::from_second(seconds).unwrap().to_string(),
            );
        }
    }

    #[test]
    fn zones_print_their_offset() {
        check(
            1_600_000_000_100_000_000,
            Some("America/Los_Angeles"),
            "2020-09-13T05:26:40.1-07:00",
        );
        check(
            -1,
            Some("America/Los_Angeles"),
            "1969-12-31T15:59:59.999999999-08:00",
        );
        check(0, Some("Europe/London"), "1970-01-01T01:00:00+01:00");
        check(
            1_600_000_000_000_000_000,
            Some("Asia/Kolkata"),
            "2020-09-13T17:56:40+05:30",
        );
        check(
            1_577_836_800_000_000_000,
            Some("Europe/London"),
            "2020-01-01T00:00:00Z",
        );
    }

    #[test]
    fn units_are_cut_towards_1970() {
        let cut = |text| match Epoch::parse(text) {
            Epoch::Units { ns } => -1_700_000_000_123_456_789 / ns,
            Epoch::Rfc3339 => 0,
        };
        assert_eq!(cut("ns"), -1_700_000_000_123_456_789);
        assert_eq!(cut("nonsense"), -1_700_000_000_123_456_789);
        assert_eq!(cut("u"), -1_700_000_000_123_456);
        assert_eq!(cut(" ms "), -1_700_000_000_123);
        assert_eq!(
            (cut("s"), cut("m"), cut("h")),
            (-1_700_000_000, -28_333_333, -472_222)
        );
        assert_eq!(Epoch::parse(""), Epoch::Rfc3339);
    }
}
