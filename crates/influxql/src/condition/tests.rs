//! Conditions as InfluxDB 1.6.7 divides them: all of the lower bounds and errors were read off it.

use super::{TimeBounds, TimeContext, fold_constants, split_condition};
use crate::{Params, parse_expr, zone};

const NOW_NS: i64 = 1_500_000_000_000_000_000;
const Y2000_NS: i64 = 946_684_800_000_000_000;

fn split_in(text: &str, zone: &str) -> Result<(TimeBounds, String), String> {
    let context = TimeContext {
        now_ns: NOW_NS,
        zone: zone::find(zone).unwrap(),
    };
    let condition = parse_expr(text, &Params::new()).unwrap();
    match split_condition(Some(&condition), &context) {
        Ok((bounds, rest)) => Ok((bounds, rest.map_or(String::new(), |rest| rest.to_string()))),
        Err(error) => Err(error.to_string()),
    }
}

fn min_in(text: &str, zone: &str) -> Result<i64, String> {
    let (bounds, rest) = split_in(text, zone)?;
    assert_eq!(rest, "", "{text}");
    Ok(bounds.min_ns.unwrap())
}

fn min(text: &str) -> Result<i64, String> {
    min_in(text, "UTC")
}

#[test]
fn time_is_compared_with_strings_numbers_durations_and_sums() {
    for (text, want_ns) in [
        ("time > 5", 6),
        ("time >= '2000-01-01'", Y2000_NS),
        ("time >= '2000-01-01 00:00:00'", Y2000_NS),
        (
            "time >= '2000-01-01 00:00:00.123456789'",
            Y2000_NS + 123_456_789,
        ),
        ("time >= '2000-01-01 00:00:00,5'", Y2000_NS + 500_000_000),
        ("time >= '2000-01-01 0:00:00'", Y2000_NS),
        ("time >= '2000-01-01  10:00:00'", 946_720_800_000_000_000),
        ("time >= '2000-01-01T00:00:00Z'", Y2000_NS),
        (
            "time >= '2000-01-01T00:00:00+01:00'",
            946_681_200_000_000_000,
        ),
        (
            "time >= '2000-01-01T00:00:00.5-08:30'",
            946_715_400_500_000_000,
        ),
        ("time >= '2000-02-29'", 951_782_400_000_000_000),
        ("time >= 5m", 300_000_000_000),
        ("time >= 5.9", 5),
        ("time >= -5", -5),
        ("time >= '2000-01-01' + 1d", 946_771_200_000_000_000),
        ("time >= '2000-01-01' - 1ns", Y2000_NS - 1),
        ("time >= 946684800000000000 + 1s", Y2000_NS + 1_000_000_000),
        ("time >= 1s + '2000-01-01'", Y2000_NS + 1_000_000_000),
        ("time >= '2000-01-01' + 5", Y2000_NS + 5),
        ("time >= '2000-01-01' - '1999-12-31'", 86_400_000_000_000),
        ("5 < time", 6),
        ("'2000-01-01' <= time", Y2000_NS),
        ("TIME >= 7", 7),
        ("\"time\" >= 8", 8),
        ("time >= 9 OR time >= 4", 9),
        ("time >= 1d * 3", 259_200_000_000_000),
        ("time >= 1d / 2", 43_200_000_000_000),
        ("time >= 1d / 0", 0),
        ("time >= 10 / 4", 2),
        ("time >= 10 / 0", 0),
        ("time >= 7 - 2 * 3", 1),
        ("time >= 7 % 4", 3),
        ("time >= 1 + 2.5", 3),
        ("time >= 1000w", 604_800_000_000_000_000),
        ("time >= now()", NOW_NS),
        ("time >= now() - 1h", NOW_NS - 3_600_000_000_000),
        ("time > now() - (1h + 1m)", NOW_NS - 3_660_000_000_000 + 1),
        ("time = 5", 5),
    ] {
        assert_eq!(min(text), Ok(want_ns), "{text}");
    }
}

#[test]
fn strings_without_a_zone_are_in_that_of_the_statement() {
    for (text, zone, want_s) in [
        ("time >= '2000-01-01'", "America/Los_Angeles", 946_713_600),
        (
            "time >= '2000-06-01 12:00:00'",
            "America/Los_Angeles",
            959_886_000,
        ),
        // Skipped, repeated.
        (
            "time >= '2000-04-02 02:30:00'",
            "America/Los_Angeles",
            954_667_800,
        ),
        (
            "time >= '2000-10-29 01:30:00'",
            "America/Los_Angeles",
            972_808_200,
        ),
        (
            "time >= '2000-03-26 02:30:00'",
            "Europe/Berlin",
            954_034_200,
        ),
        (
            "time >= '2000-10-29 02:30:00'",
            "Europe/Berlin",
            972_783_000,
        ),
        (
            "time >= '2000-01-01T00:00:00Z'",
            "Europe/Berlin",
            946_684_800,
        ),
    ] {
        assert_eq!(
            min_in(text, zone),
            Ok(want_s * 1_000_000_000),
            "{text} {zone}"
        );
    }
}

#[test]
fn senseless_comparisons_are_refused_in_the_words_of_influxdb() {
    let incompatible =
        |name| format!("invalid operation: time and *influxql.{name} are not compatible");
    let invalid = || "invalid timestamp string".to_owned();
    for (text, want) in [
        ("time >= '2000-01-01 00:00'", invalid()),
        ("time >= '2000-01-01 24:00:00'", invalid()),
        ("time >= '2000-01-01 00:00:60'", invalid()),
        ("time >= '2000-01-01 00:00:00.1234567891'", invalid()),
        ("time >= '2000-01-01T00:00:00'", invalid()),
        ("time >= '2000-01-01T00:00:00+0100'", invalid()),
        ("time >= '2000-01-01T00:00:00z'", invalid()),
        ("time >= '2000-01-01t00:00:00Z'", invalid()),
        ("time >= '2000-01-01 '", invalid()),
        ("time >= '2000-01-01é'", invalid()),
        ("time >= '2000-13-01'", invalid()),
        ("time >= '2000-02-30'", invalid()),
        (
            "time >= '1500-01-01'",
            "time 1500-01-01T00:00:00Z underflows time literal".into(),
        ),
        (
            "time >= '2300-01-01'",
            "time 2300-01-01T00:00:00Z overflows time literal".into(),
        ),
        (
            "time >= '2300-01-01T00:00:00+05:00'",
            "time 2300-01-01T00:00:00+05:00 overflows time literal".into(),
        ),
        (
            "time >= '2200-01-01' + 5000w",
            "time 2295-10-30T00:00:00Z overflows time literal".into(),
        ),
        // Only what several come to has to be in range.
        (
            "time >= '2200-01-01' + 5000w + 1w",
            "time 2295-11-06T00:00:00Z overflows time literal".into(),
        ),
        (
            "time >= 1h + ('1700-01-01' - 5000w)",
            "time 1604-03-05T01:00:00Z underflows time literal".into(),
        ),
        ("time >= 'abc'", incompatible("StringLiteral")),
        ("time >= \"abc\"", incompatible("VarRef")),
        ("time >= true", incompatible("BooleanLiteral")),
        ("time >= f(x)", incompatible("Call")),
        ("time >= x + 1", incompatible("BinaryExpr")),
        ("time =~ /x/", incompatible("RegexLiteral")),
        ("time >= ('2000-01-01')", incompatible("StringLiteral")),
        (
            "time >= 9223372036854775808",
            incompatible("UnsignedLiteral"),
        ),
        ("time >= 3 * 1d", incompatible("BinaryExpr")),
        ("time >= now() - now() + 4", incompatible("BinaryExpr")),
        (
            "time >= '2000-01-01' + '2000-01-01'",
            incompatible("StringLiteral"),
        ),
        ("time >= 'x' + 1s", incompatible("BinaryExpr")),
        ("time >= DISTINCT x", incompatible("Distinct")),
        ("time >= *", incompatible("Wildcard")),
        ("time != 5", "invalid time comparison operator: !=".into()),
        ("x", "invalid condition expression: x".into()),
        ("f(x)", "invalid condition expression: f(x)".into()),
        ("5", "invalid condition expression: 5".into()),
        ("time", "invalid condition expression: time".into()),
        (
            "host = 'a' AND \"a b\"",
            "invalid condition expression: \"a b\"".into(),
        ),
    ] {
        assert_eq!(min(text), Err(want), "{text}");
    }
}

#[test]
fn bounds_intersect_and_the_rest_stays() {
    let split = |text| split_in(text, "UTC").unwrap();
    for (text, min_ns, max_ns, want) in [
        ("time > 5 AND time < 10", Some(6), Some(9), ""),
        (
            "time > 5 AND time > 8 AND time <= 10 AND time <= 9",
            Some(9),
            Some(9),
            "",
        ),
        ("time < 5 OR time > 10", Some(11), Some(4), ""),
        ("host = 'a'", None, None, "host = 'a'"),
        ("host = 'a' AND time > 5", Some(6), None, "host = 'a'"),
        (
            "(time > 5 AND host = 'a') OR (time < 9)",
            Some(6),
            Some(8),
            "host = 'a'",
        ),
        (
            "(a = 1 OR b = 2) AND time > 5",
            Some(6),
            None,
            "a = 1 OR b = 2",
        ),
        (
            "(a = 1 OR b = 2) AND c = 3 AND time > 5",
            Some(6),
            None,
            "(a = 1 OR b = 2) AND c = 3",
        ),
        ("(((a = 1)))", None, None, "a = 1"),
        ("time = 5 AND true", Some(5), Some(5), ""),
        ("true", None, None, ""),
        ("false AND time > 5", Some(6), None, "false"),
        ("a = 1 OR false", None, None, "a = 1"),
        ("a = 1 OR true", None, None, ""),
        ("a = 1 AND false", None, None, "false"),
        (
            "a > 3 + 4 * 2 AND b = 1 / 4",
            None,
            None,
            "a > 11 AND b = 0.25",
        ),
        ("1 = 1 AND a = 2", None, None, "a = 2"),
        ("1 > 2", None, None, "false"),
        ("a = 'x' + 'y'", None, None, "a = 'xy'"),
        ("time + 1 > 5", None, None, "time + 1 > 5"),
        ("a > now()", None, None, "a > '2017-07-14T02:40:00Z'"),
        ("time >= 9223372036854775807", Some(i64::MAX), None, ""),
        ("time > 9223372036854775807", Some(i64::MAX), None, ""),
        ("time < -9223372036854775808", None, Some(i64::MIN), ""),
    ] {
        let (bounds, rest) = split(text);
        assert_eq!(bounds, TimeBounds { min_ns, max_ns }, "{text}");
        assert_eq!(rest, want, "{text}");
    }
    let (bounds, _) = split("time < 5 OR time > 10");
    assert!(bounds.range().is_empty());
    assert_eq!(
        split_condition(None, &TimeContext::utc(0)),
        Ok((TimeBounds::default(), None))
    );
    assert_eq!(TimeBounds::default().range(), tandem_model::TimeRange::ALL);
}

#[test]
fn constants_fold_as_in_influxdb() {
    for (text, want) in [
        ("1 + 2 * 3", "7"),
        ("7 / 2", "3.5"),
        ("7 % 0", "0"),
        ("5 & 3 | 8 ^ 1", "8"),
        ("9223372036854775807 + 1", "-9223372036854775808"),
        ("-9223372036854775808 % -1", "0"),
        ("9223372036854775808 / 2", "4611686018427387904"),
        (
            "9223372036854775808 - 9223372036854775808 / 0",
            "9223372036854775808",
        ),
        ("-1 < 9223372036854775808", "true"),
        ("9223372036854775808 <= -1", "false"),
        ("1.5 / 0", "0.0"),
        ("1h + 30m", "90m"),
        ("1h / 2.9", "30m"),
        ("1h > 30m", "true"),
        ("'a' = 'a'", "true"),
        ("'2000-01-01' = '2000-01-01T00:00:00Z'", "true"),
        ("'2000-01-01' < '2000-01-02'", "true"),
        ("'a' < 'b'", "'a' < 'b'"),
        ("true | false", "true"),
        ("true ^ true", "false"),
        ("f(1 + 1, x + (2))", "f(2, x + 2)"),
        ("(a + (1 + 2)) * 2", "(a + 3) * 2"),
        ("now()", "now()"),
        ("a = 1 AND (true OR b)", "a = 1"),
    ] {
        let expr = parse_expr(text, &Params::new()).unwrap();
        let folded = fold_constants(expr, None).unwrap();
        assert_eq!(folded.to_string(), want, "{text}");
    }
}
