//! What a backend's answer to a batch means.
//!
//! Status alone does not tell: InfluxDB answers 400 both when it stored nothing and when it stored
//! all but one line, and 500 when the retention policy is missing, which no retry mends
//! (`influxdata/influxdb services/httpd/handler.go` `serveWrite`).

use tandem_http::StatusCode;

/// What a backend did with a batch that it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of it is stored.
    Stored,
    /// The good lines are stored; the rest is lost and the answer says so.
    Partial,
    /// Nothing is stored, and the same batch may pass once an operator has mended something.
    Hold(Lack),
    /// Nothing is stored; a part of the batch may pass.
    TooLarge,
    /// Nothing is stored, and the same batch will never pass.
    Dead,
    /// Nothing can be said of it; it is to be sent again.
    Retry,
}

/// What a backend lacks, and so which other batches it will refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The database: all for that database.
    Database,
    /// The retention policy: all for that policy.
    Policy,
    /// A right, or something else that is not known: perhaps only batches of this client.
    Right,
}

/// The verdict of an answer.
pub(crate) fn verdict(status: StatusCode, body: &[u8]) -> Verdict {
    let says = |text: &str| contains(body, text.as_bytes());
    match status.as_u16() {
        200..=299 => Verdict::Stored,
        400 if says("partial write") => Verdict::Partial,
        404 if says("database not found") || says("bucket") => Verdict::Hold(Lack::Database),
        401 | 403 | 404 | 405 | 407 => Verdict::Hold(Lack::Right),
        500 if says("retention policy not found") => Verdict::Hold(Lack::Policy),
        413 => Verdict::TooLarge,
        408 | 425 | 429 => Verdict::Retry,
        400..=499 => Verdict::Dead,
        _ => Verdict::Retry,
    }
}

/// Whether a batch that was answered so may be applied all the same, later: InfluxDB answers 500 `timeout` and
/// goes on writing, and a proxy that answers 502 or 504 knows nothing of what lies behind it.
pub(crate) fn may_come_late(status: StatusCode, body: &[u8]) -> bool {
    match status.as_u16() {
        502 | 504 => true,
        500 => contains(body, b"timeout"),
        _ => false,
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_that_was_answered_may_come_late() {
        for (status, body, want) in [
            (500, r#"{"error":"timeout"}"#, true),
            (500, r#"{"error":"engine is closed"}"#, false),
            (502, "", true),
            (503, r#"{"error":"timeout"}"#, false),
            (504, "", true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(may_come_late(status, body.as_bytes()), want, "{status}");
        }
    }

    #[test]
    fn status_and_body_decide() {
        use Verdict::*;
        for (status, body, want) in [
            (204, "", Stored),
            (200, "", Stored),
            (
                400,
                r#"{"error":"partial write: field type conflict: … dropped=1"}"#,
                Partial,
            ),
            (
                400,
                r#"{"error":"unable to parse 'm': missing fields"}"#,
                Dead,
            ),
            (400, r#"{"error":"field type conflict"}"#, Dead),
            (
                401,
                r#"{"error":"authorization failed"}"#,
                Hold(Lack::Right),
            ),
            (403, "", Hold(Lack::Right)),
            (
                404,
                r#"{"error":"database not found: \"x\""}"#,
                Hold(Lack::Database),
            ),
            (
                404,
                r#"{"code":"not found","message":"bucket \"x\" not found"}"#,
                Hold(Lack::Database),
            ),
            (404, "404 page not found", Hold(Lack::Right)),
            (413, "", TooLarge),
            (422, "", Dead),
            (429, "", Retry),
            (
                500,
                r#"{"error":"retention policy not found: x"}"#,
                Hold(Lack::Policy),
            ),
            (500, r#"{"error":"timeout"}"#, Retry),
            (503, "", Retry),
            (302, "", Retry),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(verdict(status, body.as_bytes()), want, "{status} {body}");
        }
    }
}
