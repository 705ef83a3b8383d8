//! Hints on their way to a backend as one request.
//!
//! Sent one by one, each hint costs a round trip and the backend a sync; where live batches of the same series come
//! faster than that, a backlog would never come to its end. So hints of one kind go out together: their bytes as they
//! lie, in the order of the log, each ending in a newline.
//!
//! What always holds:
//! - an answer counts for a hint only if it must mean it: all were stored, or all are refused for what they have in
//!   common (database, retention policy, credentials). After any other the halves are sent, and theirs, down to
//!   single hints, so that each is judged by itself;
//! - what was not delivered is not overtaken: the rest of the bundle is left for another time;
//! - a request that failed or was refused in part may have been applied; what is sent again comes in the same order,
//!   so it changes nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tandem_seglog::Sequence;
use tokio::time::Instant;

use crate::backend::Backend;
use crate::lane::Ahead;
use crate::parcel::{Delivered, Parcel};
use crate::scope::Scope;
use crate::stride::{Size, Stride};
use crate::verdict::Verdict;

const NEWLINE: Bytes = Bytes::from_static(b"\n");

/// A hint, and what is still to be delivered of it.
pub(crate) type Part = (Sequence, Parcel);

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Bundle {
    parts: Vec<Part>,
    ahead: Ahead,
    bytes: u64,
    /// How many there might be.
    bytes_allowed: u64,
    lines: u64,
}

/// How a bundle ended.
#[derive(Debug)]
pub(crate) struct Landed {
    /// In the order of the log.
    pub(crate) parts: Vec<(Part, Delivered)>,
    /// The first request, and how long it took; `None` if it was a single hint that was not delivered.
    pub(crate) first: Option<(Size, Duration)>,
    /// That was too large for the backend.
    pub(crate) too_large: bool,
}

impl Bundle {
    /// With one hint, for as many as the stride allows.
    pub(crate) fn new((sequence, parcel): Part, stride: &Stride) -> Self {
        let mut bundle = Self {
            parts: Vec::new(),
            ahead: Ahead::default(),
            bytes: 0,
            bytes_allowed: stride.bytes(),
            lines: 0,
        };
        bundle.add((sequence, parcel));
        bundle
    }

    /// Whether something that must not overtake any of these is in this scope.
    pub(crate) fn precedes(&self, scope: &Scope) -> bool {
        self.ahead.precedes(scope)
    }

    /// Whether this one may go with the others.
    pub(crate) fn takes(&self, parcel: &Parcel, stride: &Stride) -> bool {
        let (bytes, lines) = (
            self.bytes + parcel.bytes(),
            self.lines + parcel.head().lines,
        );
        stride.allows(bytes, lines)
            && self.parts.first().is_some_and(|(_, first)| {
                first.is_like(parcel) && (self.parts.len() > 1 || first.can_be_joined())
            })
            && parcel.can_be_joined()
    }

    pub(crate) fn add(&mut self, (sequence, parcel): Part) {
        self.ahead.add(&parcel.head().scope);
        self.bytes += parcel.bytes();
        self.lines += parcel.head().lines;
        self.parts.push((sequence, parcel));
    }

    /// Sends all of it, or as much as the backend takes.
    pub(crate) async fn deliver(self, backend: &Arc<Backend>) -> Landed {
        let mut landed = Landed {
            parts: Vec::with_capacity(self.parts.len()),
            first: None,
            too_large: false,
        };
        let begun = Instant::now();
        let size = Size {
            bytes: self.bytes,
            allowed: self.bytes_allowed,
        };
        let mut waiting = vec![self.parts];
        while let Some(mut parts) = waiting.pop() {
            let all_were = if let [(_, parcel)] = &mut parts[..] {
                parcel.deliver(backend).await
            } else {
                match send(&parts, backend).await {
                    Sent::All(delivered) => delivered,
                    Sent::Halves { too_large } => {
                        landed.too_large |= too_large && landed.first.is_none();
                        landed.first.get_or_insert((size, begun.elapsed()));
                        let second = parts.split_off(parts.len() / 2);
                        waiting.extend([second, parts]);
                        continue;
                    }
                }
            };
            let is_over = !matches!(all_were, Delivered::All);
            if landed.first.is_none() && (parts.len() > 1 || !is_over) {
                landed.first = Some((size, begun.elapsed()));
            }
            landed
                .parts
                .extend(parts.into_iter().map(|part| (part, all_were.clone())));
            if is_over {
                // What comes behind must not overtake it.
                while let Some(parts) = waiting.pop() {
                    let untried = parts.into_iter().map(|part| (part, Delivered::Untried));
                    landed.parts.extend(untried);
                }
            }
        }
        landed
    }
}

enum Sent {
    /// So each of them.
    All(Delivered),
    /// It may be meant for some of them only.
    Halves { too_large: bool },
}

/// Sends several as one request.
async fn send(parts: &[Part], backend: &Arc<Backend>) -> Sent {
    let Some((_, first)) = parts.first() else {
        return Sent::All(Delivered::All);
    };
    let landing = backend.send(first.head(), pieces(parts)).await;
    match landing.verdict {
        Verdict::Stored => {
            for (_, parcel) in parts {
                backend.report.written(parcel.head().lines);
            }
            Sent::All(Delivered::All)
        }
        Verdict::Hold(lack) => Sent::All(Delivered::Held(lack, landing.text)),
        Verdict::Retry => match Delivered::later(landing) {
            // Perhaps for what one of them holds; it is not under way any more.
            Delivered::Later {
                failed_at_it: true,
                ghost_until: None,
                ..
            } => Sent::Halves { too_large: false },
            later => Sent::All(later),
        },
        Verdict::TooLarge => Sent::Halves { too_large: true },
        Verdict::Partial | Verdict::Dead => Sent::Halves { too_large: false },
    }
}

/// The bytes of all as they lie, with newlines where one lacks at the end.
fn pieces(parts: &[Part]) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(parts.len() * 2);
    for (_, parcel) in parts {
        for piece in parcel.pieces() {
            let is_closed = piece.ends_with(b"\n");
            pieces.push(piece.clone());
            if !is_closed {
                pieces.push(NEWLINE);
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Head, Target};

    fn head() -> Head {
        Head {
            query: "db=d".into(),
            lines: 1,
            scope: Scope::write("d", 1),
            ..Head::default()
        }
    }

    fn parcel(head: Head, body: &'static str) -> Parcel {
        Parcel::new(head, Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn bytes_are_not_copied_and_each_ends_in_a_newline() {
        let bodies = ["a v=1 1", "b v=1 1\n", "c v=1 1"];
        let mut bundle = Bundle::new((1, parcel(head(), bodies[0])), &Stride::new(0));
        for (sequence, body) in [(2, bodies[1]), (3, bodies[2])] {
            let next = parcel(head(), body);
            assert!(bundle.takes(&next, &Stride::new(1 << 20)));
            bundle.add((sequence, next));
        }
        let pieces = pieces(&bundle.parts);
        assert_eq!(pieces.concat(), b"a v=1 1\nb v=1 1\nc v=1 1\n");
        assert_eq!(pieces[0].as_ptr(), bodies[0].as_ptr());
        assert_eq!((bundle.bytes, bundle.lines), (22, 3));
    }

    #[test]
    fn only_what_is_alike_and_whole_lines_goes_together() {
        let stride = Stride::new(1 << 20);
        let bundle = Bundle::new((1, parcel(head(), "a v=1 1")), &stride);
        assert!(bundle.takes(&parcel(head(), "b v=1 1"), &stride));
        assert!(!bundle.takes(&parcel(head(), "b v=1 1"), &Stride::new(0)));
        let differing: [fn(&mut Head); 6] = [
            |head| head.query = "db=e".into(),
            |head| head.authorization = Some(b"Token a:b".to_vec()),
            |head| head.content_type = Some(b"text/plain".to_vec()),
            |head| head.gzip = true,
            |head| head.target = Target::PromWrite,
            |head| head.lines = 0,
        ];
        for (number, change) in differing.into_iter().enumerate() {
            let mut other = head();
            change(&mut other);
            let next = parcel(other.clone(), "b v=1 1");
            assert!(!bundle.takes(&next, &stride), "{number}");
            let first = Bundle::new((1, parcel(other, "b v=1 1")), &stride);
            assert!(
                !first.takes(&parcel(head(), "a v=1 1"), &stride),
                "{number}"
            );
        }
        let open = Bundle::new((1, parcel(head(), "a s=\"x")), &stride);
        assert!(!open.takes(&parcel(head(), "b v=1 1"), &stride));
        assert!(!bundle.takes(&parcel(head(), "a s=\"x"), &stride));
        assert!(bundle.precedes(&Scope::write("d", 1)) && !bundle.precedes(&Scope::write("d", 2)));
    }
}
