//! How InfluxDB 1.6 cuts a body into lines.
//!
//! Tandem cuts it otherwise in three cases, each of which has a name. So that none of them hides anything
//! else, this says exactly what the judge does (`influxdata/influxdb models/points.go` `scanLine`,
//! `ParsePointsWithPrecision`): where both cuts are the same, no such difference can be the reason.

/// The lines of a body as the judge takes them: without the blanks before them, comments left out.
pub(super) fn cut(body: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let end = line_end(body, at);
        let line = &body[at..end];
        at = end + 1;
        let blanks = line.iter().take_while(|byte| is_blank(**byte)).count();
        let text = &line[blanks..];
        if !text.is_empty() && text[0] != b'#' {
            lines.push(text.strip_suffix(b"\n").unwrap_or(text));
        }
    }
    lines
}

/// Where the line that starts at `start` ends: at a newline outside quotes, or at the end.
fn line_end(body: &[u8], start: usize) -> usize {
    let (mut quoted, mut in_fields) = (false, false);
    let (mut equals, mut commas) = (0_usize, 0_usize);
    let mut at = start;
    while at < body.len() {
        let byte = body[at];
        if byte == b'\\' && at + 2 < body.len() {
            at += 2;
            continue;
        }
        // The first blank begins the fields, also one in front of the line, or in a comment.
        in_fields |= byte == b' ';
        match byte {
            b'=' if in_fields && !quoted => equals += 1,
            b',' if in_fields && !quoted => commas += 1,
            b'"' if in_fields && equals > commas => quoted = !quoted,
            b'\n' if !quoted => return at,
            _ => {}
        }
        at += 1;
    }
    body.len()
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, lines: &[&str]) {
        let found: Vec<_> = cut(body.as_bytes())
            .into_iter()
            .map(String::from_utf8_lossy)
            .collect();
        assert_eq!(found, lines, "{body:?}");
    }

    #[test]
    fn lines_are_cut_as_influxdb_does() {
        check("m f=1\n\n \t\n# c\n  m f=2", &["m f=1", "m f=2"]);
        check("m f=\"a\nb\" 1\nm f=2\n", &["m f=\"a\nb\" 1", "m f=2"]);
        check("m\\\nx f=1\nm f=2", &["m\\\nx f=1", "m f=2"]);
        check("m f=1\r\nm f=2", &["m f=1\r", "m f=2"]);
    }

    #[test]
    fn quotes_count_from_the_first_blank_on() {
        check("# a=\"b\nm f=1\n# c=\"\nm f=2", &["m f=2"]);
        check(" m=\"a f=1\nm f=2", &["m=\"a f=1\nm f=2"]);
        check("m=\"a f=1\nm f=2", &["m=\"a f=1", "m f=2"]);
        // Two backslashes are one hidden by the other here, and hide the blank where the key is read.
        check("m\\\\ x=\"y f=1\nm f=2", &["m\\\\ x=\"y f=1\nm f=2"]);
    }
}
