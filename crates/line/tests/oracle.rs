//! The parser against a naive one, and against the crate `influxdb-line-protocol`.
//!
//! Both must accept the same lines and read the same from them, whatever is thrown at them.

mod naive;

use naive::{describe, parse, read};
use proptest::prelude::*;
use tandem_model::SeriesKey;

/// Lines that are mostly well formed, with every special byte in every place.
fn line() -> impl Strategy<Value = String> {
    let token = r#"[ab]{0,2}(\\?[,= "a]|\\\\|b){0,3}"#;
    let value = r#"-?[0-9]{1,3}(\.[0-9]{0,2})?i?|[0-9]e[0-9]|t|False|"([a ,=]|\\"|\\\\|\\a){0,4}"|[a0=+-]?"#;
    (
        token,
        proptest::collection::vec((token, token), 0..3),
        proptest::collection::vec((token, value), 1..3),
        r"( |  |\t )?-?[0-9]{0,3} ?",
    )
        .prop_map(|(measurement, tags, fields, time)| {
            let tags: String = tags.iter().map(|(k, v)| format!(",{k}={v}")).collect();
            let fields: Vec<_> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{measurement}{tags} {}{time}", fields.join(","))
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_read_the_same_from_a_line(line in line()) {
        prop_assert_eq!(read(line.as_bytes()), parse(line.as_bytes()));
    }

    #[test]
    fn both_read_the_same_from_noise(line in r#"[ab01,= "\\.i\t-]{0,24}"#) {
        prop_assert_eq!(read(line.as_bytes()), parse(line.as_bytes()));
    }

    #[test]
    fn any_bytes_are_split_and_parsed_without_a_panic(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        noise in r#"([ab01,= "\\.i\t\r\n#-]|\x00){0,60}"#,
    ) {
        for body in [&body[..], noise.as_bytes()] {
            let _ = tandem_line::scan(body);
            for raw in tandem_line::lines(body) {
                prop_assert!(!raw.is_empty());
                let _ = read(raw);
            }
        }
    }

    /// Where the crate takes a line too, it reads the same. It is known to differ in what it
    /// takes: it refuses `1.` and `.5`, takes `5u`, and lets duplicate tags through.
    #[test]
    fn the_crate_reads_the_same(line in r"m(,[a-c]=[a-z]{1,3}){0,3} [a-z]{1,3}=(-?[0-9]{1,6}(\.[0-9]{1,6})?i?|true|f|.[a-z ,=]{0,5}.)( [0-9]{1,9})?") {
        let line = line.replace('\n', "");
        let theirs: Vec<_> = influxdb_line_protocol::parse_lines(&line).collect();
        let ([Ok(theirs)], Some((key, fields, time))) = (&theirs[..], read(line.as_bytes())) else {
            return Ok(());
        };
        let (measurement, tags) = SeriesKey::split(&key);
        prop_assert_eq!(measurement, theirs.series.measurement.to_string().into_bytes());
        let mut their_tags: Vec<_> = theirs.series.tag_set.iter().flatten()
            .map(|(k, v)| (k.to_string().into_bytes(), v.to_string().into_bytes()))
            .collect();
        their_tags.sort();
        prop_assert_eq!(tags.collect::<Vec<_>>(), their_tags);
        let their_fields: Vec<_> = theirs.field_set.iter()
            .map(|(name, value)| (name.to_string().into_bytes(), describe(value)))
            .collect();
        prop_assert_eq!(fields, their_fields);
        prop_assert_eq!(time, theirs.timestamp);
    }
}

/// Where the crate and this parser part, on purpose.
#[test]
fn known_differences_from_the_crate() {
    let crate_takes = |line: &str| {
        let mut lines = influxdb_line_protocol::parse_lines(line);
        lines.next().is_some_and(|line| line.is_ok())
    };
    for (line, ours, theirs) in [
        ("m v=1.", true, false),
        ("m v=.5", true, false),
        ("m v=5u", false, true),
        ("m,a=1,a=2 v=1", false, true),
        ("m v=NaN", false, false),
    ] {
        assert_eq!(read(line.as_bytes()).is_some(), ours, "{line}");
        assert_eq!(crate_takes(line), theirs, "{line}");
    }
}
