//! Numbers, times and tables as people read them.

use std::io::{self, Write};

/// Prints to standard output. That nobody reads it any more is no error.
pub(super) fn print(text: impl std::fmt::Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// `12345678` as `12,345,678`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of bytes, in the largest unit of 1024 that it fills.
pub(super) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// Nanoseconds since 1970 as a date; the number itself where there is no such date.
pub(super) fn time(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(ns.into())
        .map_or_else(|_| format!("{ns}ns"), |time| time.to_string())
}

/// Raw bytes as text, with what is no UTF-8 escaped.
pub(super) fn name(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// Columns as wide as their widest cell; the first to the left, the others as `left` says.
pub(super) fn table<const N: usize>(
    indent: &str,
    head: [&str; N],
    left: usize,
    rows: &[[String; N]],
) -> String {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([head[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let cells: Vec<String> = (0..N)
            .map(|at| {
                let (cell, width) = (cells[at], widths[at]);
                if at < left {
                    format!("{cell:width$}")
                } else {
                    format!("{cell:>width$}")
                }
            })
            .collect();
        format!("{indent}{}\n", cells.join("  ").trim_end())
    };
    let mut out = line(head);
    for row in rows {
        out.push_str(&line(std::array::from_fn(|at| row[at].as_str())));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(name(b"a\xffb\n\xc3\xa9"), "a\\xffb\\n\u{e9}");
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
    }
}
