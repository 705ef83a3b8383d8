//! One hint on its way to a backend, split where the backend refuses it whole.
//!
//! A batch holds lines of several sources. If it is too large, or refused for good for one bad
//! line, its halves are tried, and theirs, until what is left is one line or the requests are used
//! up; that goes to the dead letters with what the backend said. So one client cannot cost another
//! its data. What is delivered of a parcel stays delivered when the rest is tried again later.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tandem_http::{Answer, StatusCode, gunzip};
use tokio::time::Instant;

use crate::backend::{Backend, Landing};
use crate::batch::{Head, Target};
use crate::scope::Kind;
use crate::seam::can_be_followed;
use crate::verdict::{Lack, Verdict};

/// Requests for one parcel; a bad line among 5,000 takes about 25.
const REQUESTS_MAX: u32 = 64;
/// Refusals in a row after which a parcel is taken to be bad throughout.
const REFUSALS_MAX: u32 = 14;
/// Of a gzip body, so much is looked into.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Parcel {
    head: Head,
    /// What is still to be delivered, the next piece last.
    pieces: Vec<Bytes>,
    is_whole: bool,
    requests: u32,
    refusals: u32,
    /// What the backend said to a statement that it has run.
    result: Option<Box<Answer>>,
}

/// How far a parcel came.
#[derive(Clone, Debug)]
pub(crate) enum Delivered {
    /// To its end; nothing is left.
    All,
    /// It was not sent, for one before it did not arrive.
    Untried,
    /// An operator has to mend something.
    Held(Lack, String),
    /// The backend is away, or busy.
    Later {
        text: String,
        ghost_until: Option<Instant>,
        retry_after: Option<Duration>,
        /// It was answered, by a failure that this hint alone may bring about.
        failed_at_it: bool,
    },
    /// It is refused for good, and the dead letters take no more.
    Unburied(String),
}

impl Delivered {
    /// It is to be tried again.
    pub(crate) fn later(landing: Landing) -> Self {
        let status = landing.answer.map(|answer| answer.status);
        Self::Later {
            text: landing.text,
            ghost_until: landing.ghost_until,
            retry_after: landing.retry_after,
            failed_at_it: status == Some(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl Parcel {
    pub(crate) fn new(head: Head, body: Bytes) -> Self {
        Self {
            head,
            pieces: vec![body],
            is_whole: true,
            requests: 0,
            refusals: 0,
            result: None,
        }
    }

    /// What the backend said to a statement, once.
    pub(crate) fn take_result(&mut self) -> Option<Answer> {
        self.result.take().map(|answer| *answer)
    }

    pub(crate) const fn head(&self) -> &Head {
        &self.head
    }

    /// What is still to be delivered, the next piece last.
    pub(crate) fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// Bytes of what is still to be delivered.
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Whether it can stand in one request with others that are like it.
    pub(crate) fn can_be_joined(&self) -> bool {
        let head = &self.head;
        let is_plain = head.target == Target::Write && !head.gzip && head.lines > 0;
        match &self.pieces[..] {
            [whole] => is_plain && self.is_whole && can_be_followed(whole),
            _ => false,
        }
    }

    /// Whether it may wait apart for an operator. Of statements only those that destroy something of one database: what
    /// comes behind them has to wait with them, and of the others nothing ever waits.
    fn can_be_held(&self) -> bool {
        let scope = &self.head.scope;
        let is_destroying = scope.kind == Kind::Destroy && scope.domain.is_some();
        self.head.target != Target::Query || is_destroying
    }

    /// Whether a backend cannot tell them apart but by their lines.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let (one, other) = (&self.head, &other.head);
        one.target == other.target
            && one.query == other.query
            && one.authorization == other.authorization
            && one.content_type == other.content_type
            && one.gzip == other.gzip
    }

    /// What is still to be delivered, in one piece.
    pub(crate) fn rest(&self) -> (Head, Bytes) {
        let body = match &self.pieces[..] {
            [one] => one.clone(),
            several => several
                .iter()
                .rev()
                .flat_map(|piece| piece.iter().copied())
                .collect(),
        };
        (self.head.clone(), body)
    }

    /// Sends piece by piece.
    pub(crate) async fn deliver(&mut self, backend: &Arc<Backend>) -> Delivered {
        while let Some(piece) = self.pieces.last().cloned() {
            let landing = backend.send(&self.head, vec![piece.clone()]).await;
            self.requests += 1;
            match landing.verdict {
                Verdict::Stored | Verdict::Partial => {
                    self.refusals = 0;
                    self.pieces.pop();
                    backend.report.written(self.lines_of(&piece));
                    if landing.verdict == Verdict::Partial {
                        backend.report.partial(&landing.text);
                        let reason = format!("in part refused: {}", landing.text);
                        backend
                            .bury_or_count(&self.head, vec![piece], &reason)
                            .await;
                    }
                    if self.head.target == Target::Query {
                        self.result = landing.answer.map(Box::new);
                    }
                }
                Verdict::Hold(lack) if self.can_be_held() => {
                    return Delivered::Held(lack, landing.text);
                }
                Verdict::Retry => {
                    self.requests = 0;
                    return Delivered::later(landing);
                }
                Verdict::Hold(_) | Verdict::TooLarge | Verdict::Dead => {
                    self.refusals += 1;
                    let halves = self.halves(&piece);
                    if let Some((first, second)) = halves {
                        self.pieces.pop();
                        self.pieces.extend([second, first]);
                        continue;
                    }
                    if !backend.bury(&self.head, vec![piece], &landing.text).await {
                        return Delivered::Unburied(landing.text);
                    }
                    self.pieces.pop();
                }
            }
        }
        Delivered::All
    }

    /// The two halves of a piece, cut between lines; `None` when it is not to be cut.
    fn halves(&mut self, piece: &Bytes) -> Option<(Bytes, Bytes)> {
        let is_used_up = self.requests >= REQUESTS_MAX || self.refusals >= REFUSALS_MAX;
        if self.head.target != Target::Write || is_used_up {
            return None;
        }
        let plain = if self.head.gzip {
            Bytes::from(gunzip(std::slice::from_ref(piece), INFLATED_BYTES_MAX).ok()?)
        } else {
            piece.clone()
        };
        let at = middle(&plain)?;
        self.head.gzip = false;
        self.is_whole = false;
        Some((plain.slice(..at), plain.slice(at..)))
    }

    fn lines_of(&self, piece: &Bytes) -> u64 {
        if self.is_whole {
            self.head.lines
        } else {
            tandem_line::lines(piece).count() as u64
        }
    }
}

/// Where the line begins that is nearest behind the middle, or else the last line; `None` when there
/// is one line only.
fn middle(body: &[u8]) -> Option<usize> {
    let begin = body.as_ptr().addr();
    let starts = tandem_line::lines(body).map(|line| line.as_ptr().addr() - begin);
    let mut found = None;
    for start in starts.skip(1) {
        found = Some(start);
        if start >= body.len() / 2 {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_cut_between_lines_and_not_within_strings() {
        for (body, first) in [
            ("a v=1\nb v=1\nc v=1\nd v=1\n", "a v=1\nb v=1\n"),
            ("a v=\"x\ny\nz\nw\"\nb v=1", "a v=\"x\ny\nz\nw\"\n"),
            ("a v=1\nb v=\"long\nlong\nlong\"", "a v=1\n"),
            ("# c\na v=1\n\nb v=1", "# c\na v=1\n\n"),
        ] {
            let at = middle(body.as_bytes());
            assert_eq!(at.map(|at| &body[..at]), Some(first), "{body:?}");
        }
        for body in ["", "a v=1\n", "a v=\"x\ny\"", "# c\na v=1\n"] {
            assert_eq!(middle(body.as_bytes()), None, "{body:?}");
        }
    }
}
