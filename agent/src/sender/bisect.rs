//! One record that a relay does not take as a whole: its good lines are written all the same.
//!
//! The record is halved until what is refused is one line. The number of requests is bounded, so
//! that a record of nothing but bad lines does not become as many requests.

use std::time::Duration;

use bytes::Bytes;

use crate::record::Record;
use crate::uplink::{Outcome, Uplink};
use crate::verdict::Verdict;

/// Requests that one record may take.
const REQUESTS_MAX: usize = 64;

/// Sends `record`; what became of it, and what the relay said. `refused` is what the relay said to the record
/// alone, where it did.
///
/// # Errors
/// When a relay says that it must wait. Parts may be written by then: sent again, they change
/// nothing in the stores.
pub(super) async fn send(
    uplink: &mut Uplink,
    record: &Record,
    timeout: Duration,
    refused: Option<String>,
) -> Result<(Verdict, String), Outcome> {
    let mut parts = vec![record.body.clone()];
    let (mut rejected, mut requests) = (0, 0);
    let mut reason = String::new();
    if let Some(said) = refused {
        match halve(&record.body) {
            Some((first, second)) => parts = vec![second, first],
            None => return Ok((Verdict::WrittenBut(record.lines), said)),
        }
        reason = said;
    }
    while let Some(part) = parts.pop() {
        let outcome = uplink.write(std::slice::from_ref(&part), timeout).await;
        requests += 1;
        match outcome.verdict {
            Verdict::Written => continue,
            Verdict::Later | Verdict::NoDatabase => return Err(outcome),
            Verdict::WrittenBut(lines) => rejected += lines,
            Verdict::Refused | Verdict::TooLarge => match halve(&part) {
                Some((first, second)) if requests + parts.len() < REQUESTS_MAX => {
                    parts.push(second);
                    parts.push(first);
                }
                _ => rejected += memchr::memchr_iter(b'\n', &part).count().max(1) as u64,
            },
        }
        if reason.is_empty() {
            reason = outcome.reason;
        }
    }
    let verdict = match rejected {
        0 => Verdict::Written,
        lines => Verdict::WrittenBut(lines),
    };
    Ok((verdict, reason))
}

/// Cuts lines into two parts of about the same size; `None` for a single one.
fn halve(lines: &Bytes) -> Option<(Bytes, Bytes)> {
    let middle = lines.len() / 2;
    let (first, second) = lines.split_at(middle);
    let ends = |at: usize| (at > 0 && at < lines.len()).then_some(at);
    let at = memchr::memchr(b'\n', second)
        .and_then(|at| ends(middle + at + 1))
        .or_else(|| memchr::memrchr(b'\n', first).and_then(|at| ends(at + 1)))?;
    Some((lines.slice(..at), lines.slice(at..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_halved_between_them() {
        let cut = |text: &'static str| {
            let parts = halve(&Bytes::from_static(text.as_bytes()))?;
            let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            Some((text(&parts.0), text(&parts.1)))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(cut("a\nb\nc\nd\n"), pair("a\nb\nc\n", "d\n"));
        assert_eq!(
            cut("a\nlonger than that\n"),
            pair("a\n", "longer than that\n")
        );
        assert_eq!(
            cut("longer than that\na\n"),
            pair("longer than that\n", "a\n")
        );
        assert_eq!(cut("one\n"), None);
        assert_eq!(cut(""), None);
    }
}
