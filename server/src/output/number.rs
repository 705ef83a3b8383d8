//! Numbers as Go prints them: `encoding/json` for JSON, `strconv`'s format 'f' for CSV.

use std::io::Write as _;

/// Appends a whole number.
pub(crate) fn write_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a finite float: the shortest digits that read back as the same value, with an exponent
/// below 1e-6 and from 1e21 on (`encoding/json` encode.go, `floatEncoder`).
///
/// An infinity or NaN, which JSON does not have, is the caller's affair.
pub(crate) fn write_json_float(out: &mut Vec<u8>, value: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let (sign, text) = match text.strip_prefix(b"-") {
        Some(rest) => (&b"-"[..], rest),
        None => (&b""[..], text),
    };
    out.extend_from_slice(sign);
    if !text.contains(&b'e') && (1e-6..1e21).contains(&value.abs()) {
        out.extend_from_slice(text.strip_suffix(b".0").unwrap_or(text));
        return;
    }
    let (digits, exponent) = significant(text);
    if digits.is_empty() {
        out.push(b'0');
    } else {
        lay_out(out, &digits, exponent);
    }
}

/// Takes a decimal text apart into digits without zeros at either end, and the power of ten of the
/// first of them.
fn significant(text: &[u8]) -> (Vec<u8>, i32) {
    let (mantissa, power) = match text.iter().position(|&byte| byte == b'e') {
        Some(at) => (
            &text[..at],
            std::str::from_utf8(&text[at + 1..])
                .ok()
                .and_then(|t| t.parse().ok())
                .unwrap_or(0),
        ),
        None => (text, 0_i32),
    };
    let point = mantissa
        .iter()
        .position(|&byte| byte == b'.')
        .unwrap_or(mantissa.len());
    let mut digits: Vec<u8> = mantissa
        .iter()
        .copied()
        .filter(u8::is_ascii_digit)
        .collect();
    let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.drain(..leading);
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    (digits, power + point as i32 - leading as i32 - 1)
}

/// Writes `digits`, the first of which stands for `10^exponent`.
fn lay_out(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let zeros = |out: &mut Vec<u8>, count: usize| out.resize(out.len() + count, b'0');
    if !(-6..21).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        out.extend_from_slice(first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        write_integer(out, exponent.unsigned_abs());
        return;
    }
    match usize::try_from(exponent) {
        Ok(exponent) if digits.len() <= exponent + 1 => {
            out.extend_from_slice(digits);
            zeros(out, exponent + 1 - digits.len());
        }
        Ok(exponent) => {
            let (whole, fraction) = digits.split_at(exponent + 1);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        Err(_) => {
            out.extend_from_slice(b"0.");
            zeros(out, exponent.unsigned_abs() as usize - 1);
            out.extend_from_slice(digits);
        }
    }
}

/// Appends a float without an exponent, however long that is.
pub(crate) fn write_plain_float(out: &mut Vec<u8>, value: f64) {
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
        return;
    }
    // Rust's `Display` is the shortest exact text without exponent, as Go's 'f' with precision -1;
    // writing to a `Vec` does not fail.
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, json: &str, plain: &str) {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        write_json_float(&mut a, value);
        write_plain_float(&mut b, value);
        assert_eq!(
            (
                String::from_utf8(a).unwrap().as_str(),
                String::from_utf8(b).unwrap().as_str()
            ),
            (json, plain)
        );
    }

    #[test]
    fn floats_are_laid_out_as_go_does() {
        check(0.0, "0", "0");
        check(-0.0, "-0", "-0");
        check(4.0, "4", "4");
        check(-1.5, "-1.5", "-1.5");
        check(123_456_789.5, "123456789.5", "123456789.5");
        check(1e20, "100000000000000000000", "100000000000000000000");
        check(1.25e20, "125000000000000000000", "125000000000000000000");
        check(1e21, "1e+21", "1000000000000000000000");
        check(-1.5e22, "-1.5e+22", "-15000000000000000000000");
        check(1e-6, "0.000001", "0.000001");
        check(1.25e-6, "0.00000125", "0.00000125");
        check(1e-7, "1e-7", "0.0000001");
        check(-1.5e-10, "-1.5e-10", "-0.00000000015");
        check(1e100, "1e+100", &format!("1{}", "0".repeat(100)));
        check(0.1 + 0.2, "0.30000000000000004", "0.30000000000000004");
        check(
            9_007_199_254_740_993.0,
            "9007199254740992",
            "9007199254740992",
        );
        check(
            f64::MAX,
            "1.7976931348623157e+308",
            &format!("17976931348623157{}", "0".repeat(292)),
        );
        check(5e-324, "5e-324", &format!("0.{}5", "0".repeat(323)));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            bits = bits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let mut out = Vec::new();
                write_json_float(&mut out, value);
                let text = String::from_utf8(out).unwrap();
                assert_eq!(
                    text.parse::<f64>().unwrap().to_bits(),
                    value.to_bits(),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn infinities_have_a_plain_form() {
        let mut out = Vec::new();
        write_plain_float(&mut out, f64::INFINITY);
        write_plain_float(&mut out, f64::NEG_INFINITY);
        assert_eq!(out, b"+Inf-Inf");
    }
}
