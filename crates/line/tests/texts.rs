//! The texts of bad lines are InfluxDB's.

use tandem_line::{ParseOptions, check, lines};

/// Line and reason, as recorded from `influxd` 1.6.7 with each line sent alone to `/write`.
const RECORDED: &[(&str, &str)] = &[
    (",a=b v=1", "missing measurement"),
    ("m", "missing fields"),
    ("m,", "missing tag key"),
    ("m,a", "missing tag value"),
    ("m,a=", "missing tag value"),
    ("m,a=b", "missing fields"),
    ("m, v=1", "missing tag key"),
    ("m,a v=1", "missing tag value"),
    ("m,a= v=1", "missing tag value"),
    ("m,=b v=1", "missing tag key"),
    ("m,a=b,,c=d v=1", "missing tag key"),
    ("m,a=b=c v=1", "invalid tag format"),
    ("m,a=b,a=c v=1", "duplicate tags"),
    ("m,b=1,a=2,b=3 v=1", "duplicate tags"),
    ("m,a=1,a=2", "missing fields"),
    ("m,a=1,b v=x", "missing tag value"),
    (r"m\ v=1", "missing fields"),
    (r"m,t=x\ v=1", "invalid tag format"),
    ("m v", "invalid field format"),
    ("m v 5", "invalid field format"),
    ("m v=", "missing field value"),
    ("m v=,w=1", "missing field value"),
    ("m v= 5", "missing field value"),
    ("m =1", "missing field key"),
    ("m v=1,=2", "missing field key"),
    ("m v=1,", "invalid field format"),
    ("m v=1,,w=2", "invalid field format"),
    ("m ,v=1", "invalid field format"),
    ("m v,w=1", "invalid field format"),
    ("m v=1,w", "invalid field format"),
    ("m a,b=x", "invalid boolean"),
    ("m v=1 w=2", "bad timestamp"),
    ("m v=x", "invalid boolean"),
    ("m v==1", "invalid boolean"),
    ("m v=tr", "invalid boolean"),
    ("m v=tRUE", "invalid boolean"),
    ("m v=truex", "invalid boolean"),
    ("m v=Falsee", "invalid boolean"),
    ("m v=t=1", "invalid boolean"),
    ("m v=NaN", "invalid number"),
    ("m v=nan", "invalid number"),
    ("m v=+1", "invalid boolean"),
    ("m v=Inf", "invalid boolean"),
    ("m v=-Inf", "invalid number"),
    ("m v=-", "invalid number"),
    ("m v=-,w=1", "invalid number"),
    ("m v=.", "invalid number"),
    ("m v=-.", "invalid number"),
    ("m v=1.2.3", "invalid number"),
    ("m v=1=2", "invalid number"),
    ("m v=1x", "invalid number"),
    ("m v=1-2", "invalid number"),
    ("m v=--1", "invalid number"),
    ("m v=1i5", "invalid number"),
    ("m v=1ii", "invalid number"),
    ("m v=1.0i", "invalid number"),
    ("m v=1e5i", "invalid number"),
    ("m v=-i", "invalid number"),
    ("m v=i", "invalid boolean"),
    ("m v=5u", "invalid number"),
    ("m v=-5u", "invalid number"),
    ("m v=1e", "invalid float"),
    ("m v=1ee5", "invalid float"),
    ("m v=1e5.3", "invalid float"),
    ("m v=1e400", "invalid float"),
    ("m v=.e5", "invalid float"),
    ("m v=0x10", "invalid number"),
    ("m v=1_000", "invalid number"),
    (
        "m v=9223372036854775808i",
        r#"unable to parse integer 9223372036854775808: strconv.ParseInt: parsing "9223372036854775808": value out of range"#,
    ),
    (
        "m v=-9223372036854775809i",
        r#"unable to parse integer -9223372036854775809: strconv.ParseInt: parsing "-9223372036854775809": value out of range"#,
    ),
    (
        "m v=99999999999999999999999i",
        r#"unable to parse integer 99999999999999999999999: strconv.ParseInt: parsing "99999999999999999999999": value out of range"#,
    ),
    (r#"m v="a"#, "unbalanced quotes"),
    (r#"m v="a\""#, "unbalanced quotes"),
    (r#"m v="a" w="b""#, "bad timestamp"),
    (r#"m v="a",w"#, "invalid field format"),
    (r#"m v="a"=5"#, "invalid field format"),
    (r#"m v="a"=5,b"#, "invalid value: field-key=b"),
    (r"m a\\=1", r"invalid value: field-key=a\\=1"),
    (r"m a\\=1,b=x", "invalid boolean"),
    (r#"m v="a" "b""#, "bad timestamp"),
    ("m v=1 x", "bad timestamp"),
    ("m v=1 5x", "bad timestamp"),
    ("m v=1 5.0", "bad timestamp"),
    ("m v=1 --5", "bad timestamp"),
    (
        "m v=1 -",
        r#"strconv.ParseInt: parsing "-": invalid syntax"#,
    ),
    (
        "m v=1 - 5",
        r#"strconv.ParseInt: parsing "-": invalid syntax"#,
    ),
    ("m v=1 5 6", "point is invalid"),
    ("m v=1 5 x", "point is invalid"),
    (
        "m v=1 9223372036854775807",
        "time outside range -9223372036854775806 - 9223372036854775806",
    ),
    (
        "m v=1 -9223372036854775807",
        "time outside range -9223372036854775806 - 9223372036854775806",
    ),
    (
        "m v=1 9223372036854775808",
        r#"strconv.ParseInt: parsing "9223372036854775808": value out of range"#,
    ),
    (
        "m v=1 99999999999999999999",
        r#"strconv.ParseInt: parsing "99999999999999999999": value out of range"#,
    ),
    (
        "m v=1 9223372036854775807 x",
        "time outside range -9223372036854775806 - 9223372036854775806",
    ),
    ("m v=1 1-2", "bad timestamp"),
    ("m v=1 5\t", "bad timestamp"),
    ("m v=1\t5", "invalid number"),
    ("m,t=x\\\ny z", "invalid field format"),
    ("m v=\"a\nb v=1", "unbalanced quotes"),
];

#[test]
fn every_recorded_text_is_ours_too() {
    for (line, reason) in RECORDED {
        let split: Vec<_> = lines(line.as_bytes()).collect();
        assert_eq!(split, [line.as_bytes()], "one line");
        let got = check(line.as_bytes(), ParseOptions::default())
            .map_err(|error| error.to_string())
            .expect_err(line);
        assert_eq!(got, format!("unable to parse '{line}': {reason}"));
    }
}

/// Where InfluxDB 1.6.7 takes a line, and this parser refuses it on purpose.
#[test]
fn what_is_refused_although_influxdb_takes_it() {
    for (line, reason) in [
        ("m v=\"abc\"xyz", "invalid field format"),
        ("m \t=1", "missing field key"),
    ] {
        let error = check(line.as_bytes(), ParseOptions::default()).expect_err(line);
        assert_eq!(error.reason.to_string(), reason, "{line}");
    }
}
