//! What a relay's answer to a write means for the lines that were sent.
//!
//! | answer | meaning |
//! |---|---|
//! | 2xx | written |
//! | 400 `partial write: ... dropped=N` | written, but for N lines |
//! | 404 `database not found` | make the database, then again |
//! | 413 | too large: in smaller parts, if there are any |
//! | 400, 422 | refused for good |
//! | any other, or none | not now: keep and try again |
//!
//! Telegraf drops the lines at every 4xx. Here an answer that an operator can turn round without
//! touching the lines (a wrong password, a path that takes no writes, a relay that is being set up) keeps them.

use tandem_http::StatusCode;

/// What becomes of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All are stored.
    Written,
    /// All but so many are stored.
    WrittenBut(u64),
    /// They will never be taken as they are.
    Refused,
    /// They will never be taken in one request.
    TooLarge,
    /// They cannot be taken before there is a database.
    NoDatabase,
    /// They may be taken later.
    Later,
}

impl Verdict {
    /// The verdict for an answer with this status and body.
    pub(crate) fn of(status: StatusCode, body: &[u8]) -> Self {
        match status.as_u16() {
            200..300 => Self::Written,
            400 => lines_dropped(body).map_or(Self::Refused, Self::WrittenBut),
            404 if contains(body, b"database not found") => Self::NoDatabase,
            413 => Self::TooLarge,
            422 => Self::Refused,
            _ => Self::Later,
        }
    }
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(body, wanted).is_some()
}

/// N of `partial write: ... dropped=N`, with which a store says that it took the other lines. Lines
/// that it could not parse are not counted in it, and named one by one.
fn lines_dropped(body: &[u8]) -> Option<u64> {
    const MARK: &[u8] = b"dropped=";
    if !contains(body, b"partial write") {
        return None;
    }
    let at = memchr::memmem::rfind(body, MARK)?;
    let rest = body.get(at + MARK.len()..)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let dropped = crate::text::unsigned(rest.get(..digits)?)?;
    let unparsed = memchr::memmem::find_iter(body, b"unable to parse ").count() as u64;
    Some(dropped.saturating_add(unparsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_row_by_row() {
        for (status, body, verdict) in [
            (200, "", Verdict::Written),
            (204, "", Verdict::Written),
            (
                400,
                r#"{"error":"partial write: points beyond retention policy dropped=3"}"#,
                Verdict::WrittenBut(3),
            ),
            (
                400,
                "partial write: unable to parse 'a': x\nunable to parse 'b': x dropped=0",
                Verdict::WrittenBut(2),
            ),
            (
                400,
                "partial write: field type conflict dropped=x",
                Verdict::Refused,
            ),
            (400, r#"{"error":"unable to parse 'x'"}"#, Verdict::Refused),
            (401, "", Verdict::Later),
            (403, "", Verdict::Later),
            (
                404,
                r#"{"error":"database not found: \"telegraf\""}"#,
                Verdict::NoDatabase,
            ),
            (404, "not found", Verdict::Later),
            (405, "", Verdict::Later),
            (415, "", Verdict::Later),
            (408, "", Verdict::Later),
            (413, "", Verdict::TooLarge),
            (422, "", Verdict::Refused),
            (429, "", Verdict::Later),
            (302, "", Verdict::Later),
            (500, "", Verdict::Later),
            (503, "", Verdict::Later),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                Verdict::of(status, body.as_bytes()),
                verdict,
                "{status} {body}"
            );
        }
    }
}
