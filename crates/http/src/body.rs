//! Reading a request's or an answer's body whole, within a bound.
//!
//! The bytes stay in the few buffers they arrived in: the relay hands them on as they are, and only
//! who needs them in one piece pays for joining them.

use std::{io, time::Duration};

use bytes::{Buf, Bytes};
use http_body::Body;
use thiserror::Error;
use tokio::time::Instant;

use crate::held::Held;
use crate::seats::waits_for_peer;

/// Set aside for a body of which only the length is known yet.
const RESERVE_BYTES_MAX: usize = 64 << 10;
/// The same once so many bytes of it have come.
const RESERVE_MORE_BYTES_MAX: usize = 4 << 20;

/// Why a body could not be taken.
#[derive(Debug, Error)]
pub enum BodyError {
    /// More bytes than allowed, on the wire or after decompression.
    #[error("body larger than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The sender paused for too long.
    #[error("no byte of the body arrived for {} ms", waited.as_millis())]
    Stalled {
        /// How long it was waited.
        waited: Duration,
    },
    /// The sender takes so little time for pauses and so much for the whole that it would hold its place for ever.
    #[error("less than {bytes_per_s_min} bytes of the body arrived each second")]
    TooSlow {
        /// The bound.
        bytes_per_s_min: u64,
    },
    /// The bodies of others take all the room there is.
    #[error("too many bytes of bodies are held")]
    NoRoom,
    /// The connection broke or what it carried is no HTTP.
    #[error("read body")]
    Read(#[source] hyper::Error),
    /// The connection broke in the middle of it.
    #[error("read body")]
    Broken(#[source] io::Error),
    /// The body is not the gzip stream that its header announces.
    #[error("invalid gzip stream")]
    Gzip(#[source] io::Error),
}

/// How slowly a sender may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long it may pause.
    pub stall_max: Duration,
    /// Bytes that it has to send each second, on the average of some `stall_max`; 0 for no such bound.
    pub bytes_per_s_min: u64,
}

/// How long one sender is still waited for. Bytes earn time, and never more than one pause: who was fast for long
/// may not be slow for ever after.
#[derive(Debug)]
struct Patience {
    pace: Pace,
    left: Duration,
    since: Instant,
}

impl Patience {
    const fn new(pace: Pace, since: Instant) -> Self {
        Self {
            pace,
            left: pace.stall_max,
            since,
        }
    }

    /// How long to wait for more.
    fn left(&self, now: Instant) -> Result<Duration, BodyError> {
        match self.left.checked_sub(now.duration_since(self.since)) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(BodyError::TooSlow {
                bytes_per_s_min: self.pace.bytes_per_s_min,
            }),
        }
    }

    /// So many bytes have come.
    fn earn(&mut self, bytes: usize, now: Instant) {
        let left = self.left.saturating_sub(now.duration_since(self.since));
        let earned_ns = (bytes as u64)
            .saturating_mul(1_000_000_000)
            .checked_div(self.pace.bytes_per_s_min)
            .unwrap_or(u64::MAX);
        let left = left.saturating_add(Duration::from_nanos(earned_ns));
        self.left = left.min(self.pace.stall_max);
        self.since = now;
    }
}

impl From<Duration> for Pace {
    fn from(stall_max: Duration) -> Self {
        Self {
            stall_max,
            bytes_per_s_min: 0,
        }
    }
}

/// A whole body in the buffers it arrived in.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    chunks: Vec<Bytes>,
    len: usize,
}

impl Payload {
    /// The pieces, none of them empty, in order.
    #[must_use]
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// The pieces, taken out.
    #[must_use]
    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }

    /// Number of bytes in all pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes in one piece; copies only if there are several.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        if self.chunks.len() <= 1 {
            return self.chunks.pop().unwrap_or_default();
        }
        let mut joined = Vec::with_capacity(self.len);
        for chunk in &self.chunks {
            joined.extend_from_slice(chunk);
        }
        joined.into()
    }

    /// Appends a piece.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.len += chunk.len();
            self.chunks.push(chunk);
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        let mut payload = Self::default();
        payload.push(bytes);
        payload
    }
}

/// Reads `body` to its end: at most `bytes_max` bytes, no slower than `pace`.
///
/// A body whose announced length is too large is refused before a byte of it is read.
///
/// # Errors
/// See [`BodyError`]; what was read is dropped.
pub async fn read_body<B>(
    body: B,
    bytes_max: usize,
    pace: impl Into<Pace>,
) -> Result<Payload, BodyError>
where
    B: Body<Error = hyper::Error>,
    B::Data: Buf,
{
    let mut payload = Payload::default();
    let mut left = bytes_max;
    for_each_piece(body, bytes_max, pace.into(), None, |data| {
        let chunk = data.copy_to_bytes(data.remaining());
        let fits = left.checked_sub(chunk.len());
        left = fits.unwrap_or_default();
        payload.push(chunk);
        fits.is_some()
    })
    .await?;
    Ok(payload)
}

/// As [`read_body`], but behind what is in `out`: for who needs the body in one piece. Each piece is copied as it
/// comes, so that the connection's own buffer serves for all of them.
///
/// # Errors
/// See [`BodyError`]; `out` may then hold part of the body.
pub async fn read_body_into<B>(
    body: B,
    bytes_max: usize,
    pace: impl Into<Pace>,
    out: &mut Vec<u8>,
) -> Result<(), BodyError>
where
    B: Body<Error = hyper::Error>,
    B::Data: Buf,
{
    read_into(body, bytes_max, pace.into(), None, out).await
}

/// As [`read_body_into`]; what has come counts as held.
///
/// # Errors
/// See [`BodyError`]; `out` may then hold part of the body.
pub async fn read_body_held<B>(
    body: B,
    bytes_max: usize,
    pace: impl Into<Pace>,
    held: &mut Held,
    out: &mut Vec<u8>,
) -> Result<(), BodyError>
where
    B: Body<Error = hyper::Error>,
    B::Data: Buf,
{
    read_into(body, bytes_max, pace.into(), Some(held), out).await
}

async fn read_into<B>(
    body: B,
    bytes_max: usize,
    pace: Pace,
    held: Option<&mut Held>,
    out: &mut Vec<u8>,
) -> Result<(), BodyError>
where
    B: Body<Error = hyper::Error>,
    B::Data: Buf,
{
    // A length that is announced is only a promise.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let announced = announced.min(bytes_max);
    let begun = out.len();
    out.reserve(announced.min(RESERVE_BYTES_MAX));
    let mut left = bytes_max;
    for_each_piece(body, bytes_max, pace, held, |data| {
        let fits = left.checked_sub(data.remaining());
        left = fits.unwrap_or_default();
        let here = out.len() - begun;
        if here + data.remaining() > RESERVE_BYTES_MAX {
            out.reserve(announced.saturating_sub(here).min(RESERVE_MORE_BYTES_MAX));
        }
        while fits.is_some() && data.has_remaining() {
            let piece = data.chunk();
            out.extend_from_slice(piece);
            let len = piece.len();
            data.advance(len);
        }
        fits.is_some()
    })
    .await
}

/// Hands each piece of a body to `take`, which says whether it still fits. While it waits for the sender, the request
/// holds nothing that others want but what has come.
async fn for_each_piece<B>(
    body: B,
    bytes_max: usize,
    pace: Pace,
    mut held: Option<&mut Held>,
    mut take: impl FnMut(&mut B::Data) -> bool,
) -> Result<(), BodyError>
where
    B: Body<Error = hyper::Error>,
    B::Data: Buf,
{
    let too_large = BodyError::TooLarge { bytes_max };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large);
    }
    let mut body = std::pin::pin!(body);
    let mut patience = Patience::new(pace, Instant::now());
    let (mut bytes, mut is_waiting, mut waiting) = (0_u64, false, None);
    loop {
        let waited = patience.left(Instant::now())?;
        let next = std::future::poll_fn(|cx| {
            let polled = body.as_mut().poll_frame(cx);
            // Most bodies have come when their head is read.
            if polled.is_pending() && !std::mem::replace(&mut is_waiting, true) {
                waiting = waits_for_peer();
            }
            polled
        });
        let frame = match tokio::time::timeout(waited, next).await {
            Err(_) if waited < pace.stall_max => {
                return Err(BodyError::TooSlow {
                    bytes_per_s_min: pace.bytes_per_s_min,
                });
            }
            Err(_) => return Err(BodyError::Stalled { waited }),
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(BodyError::Read)?,
        };
        if let Ok(mut data) = frame.into_data() {
            patience.earn(data.remaining(), Instant::now());
            bytes = bytes.saturating_add(data.remaining() as u64);
            if let Some(held) = held.as_mut().filter(|_| bytes <= bytes_max as u64) {
                held.cover(bytes).await?;
            }
            if !take(&mut data) {
                return Err(too_large);
            }
        }
    }
    if let Some(waiting) = waiting {
        waiting.end().await;
    }
    Ok(())
}

/// Reads and drops the rest of a body, up to `bytes_max` bytes and for `time_max`; true when it came
/// to its end.
///
/// Who answers before the body has arrived does this first: a sender whose connection is reset while
/// it still sends may never see the answer.
pub async fn discard_body<B>(body: B, bytes_max: usize, time_max: Duration) -> bool
where
    B: Body<Error = hyper::Error>,
    B::Data: Buf,
{
    let discarding = async {
        let mut body = std::pin::pin!(body);
        let mut left = bytes_max;
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let Ok(frame) = frame else { return false };
            let bytes = frame.data_ref().map_or(0, Buf::remaining);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        true
    };
    tokio::time::timeout(time_max, discarding)
        .await
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_is_not_copied() {
        let bytes = Bytes::from_static(b"abc");
        let at = bytes.as_ptr();
        assert_eq!(Payload::from(bytes).into_bytes().as_ptr(), at);
    }

    #[test]
    fn pieces_are_joined_in_order_and_empty_ones_vanish() {
        let mut payload = Payload::default();
        for piece in ["ab", "", "c"] {
            payload.push(Bytes::from_static(piece.as_bytes()));
        }
        assert_eq!((payload.len(), payload.chunks().len()), (3, 2));
        assert_eq!(payload.into_bytes(), "abc");
    }

    #[test]
    fn patience_is_earned_by_bytes() {
        let s = Duration::from_secs;
        let begun = Instant::now();
        let pace = Pace {
            stall_max: s(30),
            bytes_per_s_min: 100,
        };
        let mut patience = Patience::new(pace, begun);
        let left = |patience: &Patience, at| patience.left(begun + s(at)).ok();
        assert_eq!(left(&patience, 0), Some(s(30)));
        assert_eq!(left(&patience, 29), Some(s(1)));
        assert_eq!(left(&patience, 30), None);
        patience.earn(500, begun + s(20));
        assert_eq!(left(&patience, 20), Some(s(15)));
        // One that was fast for long may still not pause for long.
        patience.earn(1_000_000, begun + s(21));
        assert_eq!(left(&patience, 50), Some(s(1)));
        assert_eq!(left(&patience, 51), None);
        let mut endless = Patience::new(s(3).into(), begun);
        endless.earn(1, begun + s(2));
        assert_eq!(left(&endless, 2), Some(s(3)));
    }

    #[tokio::test]
    async fn a_body_is_read_behind_what_is_there_and_up_to_its_bound() {
        use http_body_util::{BodyExt, Full};
        for (bytes_max, fits) in [(5, true), (4, false)] {
            let body = Full::new(Bytes::from_static(b"bytes")).map_err(|never| match never {});
            let mut out = b"before ".to_vec();
            let read = read_body_into(body, bytes_max, Duration::from_secs(5), &mut out).await;
            assert_eq!(read.is_ok(), fits, "{read:?}");
            assert_eq!(out == b"before bytes", fits);
        }
    }
}
