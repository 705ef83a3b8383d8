//! JSON strings, byte for byte as Go's `encoding/json` writes them: what InfluxDB's clients know.

/// Appends `text` as a JSON string, quotes included.
///
/// Escaped are `"`, `\`, control characters, `<`, `>`, `&`, U+2028 and U+2029; each byte that is no
/// UTF-8 becomes `\ufffd`.
pub fn write_json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut chunks = text.utf8_chunks();
    for chunk in &mut chunks {
        write_valid(out, chunk.valid().as_bytes());
        // Go replaces byte by byte, not sequence by sequence.
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

/// Appends the inside of a string that is valid UTF-8.
fn write_valid(out: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut done = 0;
    for (at, &byte) in text.iter().enumerate() {
        // U+2028 and U+2029 are E2 80 A8 and E2 80 A9; their last byte is where they are noticed.
        let separator = matches!(byte, 0xa8 | 0xa9) && text[..at].ends_with(b"\xe2\x80");
        if !separator && !matches!(byte, 0..=0x1f | b'"' | b'\\' | b'<' | b'>' | b'&') {
            continue;
        }
        let start = if separator { at - 2 } else { at };
        out.extend_from_slice(&text[done..start]);
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0xa8 => out.extend_from_slice(b"\\u2028"),
            0xa9 => out.extend_from_slice(b"\\u2029"),
            byte => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        done = at + 1;
    }
    out.extend_from_slice(&text[done..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], expected: &str) {
        let mut out = Vec::new();
        write_json_string(&mut out, text);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn escapes_are_those_of_go() {
        check(b"", r#""""#);
        check(b"a\"b\\c/", r#""a\"b\\c/""#);
        check(
            b"\n\r\t\x08\x0c\x00\x1f\x7f",
            "\"\\n\\r\\t\\u0008\\u000c\\u0000\\u001f\x7f\"",
        );
        check(b"<a>&'", r#""\u003ca\u003e\u0026'""#);
        check("é\u{2028}x\u{2029}😀".as_bytes(), "\"é\\u2028x\\u2029😀\"");
    }

    #[test]
    fn each_byte_that_is_no_utf8_is_replaced() {
        check(b"a\xffb", r#""a\ufffdb""#);
        check(b"\xe2\x80", r#""\ufffd\ufffd""#);
        check(b"\xa8\xa9", r#""\ufffd\ufffd""#);
        check(b"\xed\xa0\x80", r#""\ufffd\ufffd\ufffd""#);
    }
}
