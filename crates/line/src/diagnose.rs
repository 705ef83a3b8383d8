//! Finds out what InfluxDB would say of a line that the parser has refused.
//!
//! The parser in `line.rs` follows the grammar and stops at the first byte that does not fit.
//! InfluxDB's parser counts commas and equal signs instead and complains of their number only at
//! the end, so its first complaint may be about a later byte. This walk does as it does
//! (`influxdata/influxdb models/points.go` `scanFields`, `walkFields`); it runs for bad lines only.

use crate::error::{Reason, piece};
use crate::key::check_syntax;
use crate::number::check_number;

/// What is wrong with a line that has no unescaped space.
#[cold]
pub(crate) fn key_only(line: &[u8]) -> Reason {
    check_syntax(line).err().unwrap_or(Reason::MissingFields)
}

/// What is wrong with the fields that start at `start` of `line`.
#[cold]
pub(crate) fn fields(line: &[u8], start: usize, unsigned: bool) -> Reason {
    first_complaint(line, start, unsigned)
        .err()
        .unwrap_or(Reason::InvalidFieldFormat)
}

fn first_complaint(line: &[u8], start: usize, unsigned: bool) -> Result<(), Reason> {
    let mut quoted = false;
    let (mut equals, mut commas) = (0_usize, 0_usize);
    let mut at = start;
    while let Some(&byte) = line.get(at) {
        match byte {
            b'\\' if at + 1 < line.len() => at += 1,
            b'"' if equals > commas => quoted = !quoted,
            b' ' if !quoted => break,
            b',' if !quoted => commas += 1,
            b'=' if !quoted => {
                equals += 1;
                if at == start || is_unescaped_comma(line, at - 1) {
                    return Err(Reason::MissingFieldKey);
                }
                at += value_length(&line[at + 1..], unsigned)?;
            }
            _ => {}
        }
        at += 1;
    }
    if quoted {
        return Err(Reason::UnbalancedQuotes);
    }
    if equals == 0 || commas != equals - 1 {
        return Err(Reason::InvalidFieldFormat);
    }
    names_end(&line[start..at.min(line.len())])
}

fn is_unescaped_comma(line: &[u8], at: usize) -> bool {
    line[at] == b',' && (at == 0 || line[at - 1] != b'\\')
}

/// How much of `rest`, which follows a `=`, is a value without quotes.
fn value_length(rest: &[u8], unsigned: bool) -> Result<usize, Reason> {
    let token = rest
        .iter()
        .position(|byte| matches!(byte, b',' | b' '))
        .map_or(rest, |end| &rest[..end]);
    match token.first() {
        None => Err(Reason::MissingFieldValue),
        Some(b'"') => Ok(0),
        Some(b'0'..=b'9' | b'.' | b'-' | b'N' | b'n') => {
            check_number(token, unsigned).map(|()| token.len())
        }
        Some(_) => match token {
            b"t" | b"T" | b"true" | b"True" | b"TRUE" | b"f" | b"F" | b"false" | b"False"
            | b"FALSE" => Ok(token.len()),
            _ => Err(Reason::InvalidBoolean),
        },
    }
}

/// A second walk of InfluxDB's, for which a `=` ends a name only when no backslash stands before
/// it, not even an escaped one.
fn names_end(fields: &[u8]) -> Result<(), Reason> {
    let mut rest = fields;
    while !rest.is_empty() {
        let end = (0..rest.len())
            .find(|&at| rest[at] == b'=' && (at == 0 || rest[at - 1] != b'\\'))
            .unwrap_or(rest.len());
        if end + 2 > rest.len() {
            let name = String::from_utf8_lossy(&rest[..end]);
            return Err(Reason::InvalidFieldKey(piece(&name)));
        }
        rest = &rest[end + 1..];
        let mut quoted = false;
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            match byte {
                b'\\' if matches!(rest.get(at + 1), Some(b'"' | b'\\')) => at += 1,
                b'"' => quoted = !quoted,
                b',' if !quoted => break,
                _ => {}
            }
            at += 1;
        }
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    Ok(())
}
