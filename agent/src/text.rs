//! The few ways in which kernel files are cut: lines, words, numbers. On bytes, because names in
//! these files need not be UTF-8; no function here fails on any input.

/// The lines of `text` without their newlines; empty ones are left out.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    })
}

/// The words of `line`, cut at any run of white space.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// A decimal number; `None` when `word` is anything else or does not fit.
pub(crate) fn unsigned(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0_u64, |number, &byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

/// A hexadecimal number without a prefix; `None` when `word` is anything else or does not fit.
pub(crate) fn hexadecimal(word: &[u8]) -> Option<u64> {
    const DIGITS_MAX: usize = 16;
    if word.is_empty() || word.len() > DIGITS_MAX {
        return None;
    }
    word.iter().try_fold(0_u64, |number, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(number << 4 | u64::from(digit))
    })
}

/// A decimal number with an optional sign; `None` when `word` is anything else or does not fit.
pub(crate) fn signed(word: &[u8]) -> Option<i64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// A finite decimal fraction; `None` when `word` is anything else.
pub(crate) fn float(word: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// The start of `text` for an error message: one line, bounded, always printable.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 80;
    let shown = text.get(..SHOWN_BYTES_MAX).unwrap_or(text);
    shown.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_leave_out_the_empty_and_keep_an_unended_last() {
        let all: Vec<&[u8]> = lines(b"\n\na b\n\nc").collect();
        assert_eq!(all, [&b"a b"[..], b"c"]);
        assert_eq!(lines(b"").count(), 0);
    }

    #[test]
    fn words_cut_at_any_white_space() {
        let all: Vec<&[u8]> = words(b"  a\t b\r ").collect();
        assert_eq!(all, [&b"a"[..], b"b"]);
    }

    #[test]
    fn numbers_take_nothing_else() {
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            &b""[..],
            b"18446744073709551616",
            b"-1",
            b"+1",
            b"1x",
            b"\xff",
        ] {
            assert_eq!(unsigned(bad), None, "{}", excerpt(bad));
        }
        assert_eq!(hexadecimal(b"0000002a"), Some(42));
        assert_eq!(hexadecimal(b"fFffFFFFffffffff"), Some(u64::MAX));
        for bad in [&b""[..], b"0x1", b"10000000000000000", b"+1", b"g"] {
            assert_eq!(hexadecimal(bad), None, "{}", excerpt(bad));
        }
        assert_eq!(signed(b"-1"), Some(-1));
        assert_eq!(signed(b"9223372036854775808"), None);
        assert_eq!(float(b"0.30"), Some(0.3));
        for bad in [&b"NaN"[..], b"inf", b"", b"1,5"] {
            assert_eq!(float(bad), None, "{}", excerpt(bad));
        }
    }

    #[test]
    fn an_excerpt_is_short_and_printable() {
        assert_eq!(excerpt(b"a\nb\xff"), "a\\nb\\xff");
        assert!(excerpt(&[b'x'; 1000]).len() == 80);
    }
}
