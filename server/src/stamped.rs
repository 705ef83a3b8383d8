//! Lines that carry their own time in nanoseconds: the one form in which points wait for a batch, and in
//! which they are handed on.
//!
//! A line that came without a time gets it when it comes, not when its batch is written, or two points of
//! a series that came a moment apart would become one.

use tandem_line::{Line, LineError, ParseOptions, canonical_key};

/// Appends `raw`, a line as [`tandem_line::lines`] gives it, to `out` with its time in nanoseconds and
/// a newline. Without a time it gets `now_ns`, cut to the precision, as by InfluxDB.
///
/// # Errors
/// What is wrong with the line; `out` is as it was.
pub(crate) fn stamp<'a>(
    raw: &'a [u8],
    options: ParseOptions,
    now_ns: i64,
    out: &mut Vec<u8>,
) -> Result<(), LineError<'a>> {
    let mut line = Line::parse(raw, options)?;
    let start = out.len();
    let checked = canonical_key(line.key(), out);
    out.truncate(start);
    checked.map_err(|reason| line.error(reason))?;
    while line.next_field()?.is_some() {}
    let (text, time_ns) = match line.timestamp()? {
        Some(time_ns) => (without_time(line.raw()), time_ns),
        None => {
            let unit_ns = options.precision.nanos();
            (line.raw(), now_ns.div_euclid(unit_ns) * unit_ns)
        }
    };
    out.extend_from_slice(trim(text));
    out.push(b' ');
    out.extend_from_slice(itoa::Buffer::new().format(time_ns).as_bytes());
    out.push(b'\n');
    Ok(())
}

/// A line that has a time, up to the blanks before it.
fn without_time(raw: &[u8]) -> &[u8] {
    let raw = trim(raw);
    let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
    let end = raw.iter().rposition(|byte| !is_digit(byte));
    end.map_or(&[], |end| &raw[..=end])
}

/// Without the blanks at the end.
fn trim(text: &[u8]) -> &[u8] {
    let end = text
        .iter()
        .rposition(|byte| !matches!(byte, b' ' | b'\t' | 0));
    end.map_or(&[], |end| &text[..=end])
}

#[cfg(test)]
mod tests {
    use tandem_line::lines;
    use tandem_model::Precision;

    use super::*;

    fn stamped(body: &str, precision: Precision) -> (String, usize) {
        let options = ParseOptions {
            precision,
            unsigned: false,
        };
        let (mut out, mut bad) = (Vec::new(), 0);
        for raw in lines(body.as_bytes()) {
            bad += usize::from(stamp(raw, options, 1_999_999_999, &mut out).is_err());
        }
        (String::from_utf8(out).unwrap(), bad)
    }

    #[test]
    fn every_line_gets_its_time_in_nanoseconds() {
        let body = "a v=1\nb,t=x\\ 5 v=\"7 8\" 12  \nc v=1i \t-3\nd v=t  \n";
        let expected = "a v=1 1000000000\nb,t=x\\ 5 v=\"7 8\" 12000000000\n\
            c v=1i -3000000000\nd v=t 1000000000\n";
        assert_eq!(stamped(body, Precision::Second), (expected.to_owned(), 0));
        assert_eq!(
            stamped("a v=1\n", Precision::Nanosecond).0,
            "a v=1 1999999999\n"
        );
    }

    #[test]
    fn a_bad_line_leaves_nothing() {
        let body = "a v=1 1\na\nb v=\nc,t= v=1\nd v=1 x\ne v=1 9999999999999999999\nf v=2 2\n";
        assert_eq!(
            stamped(body, Precision::Nanosecond),
            ("a v=1 1\nf v=2 2\n".to_owned(), 5)
        );
    }
}
