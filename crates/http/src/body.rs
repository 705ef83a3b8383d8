//! Reading a request's or an answer's body whole, within a bound.
//!
//! The bytes stay in the few buffers they arrived in: the relay hands them on as they are, and only
//! who needs them in one piece pays for joining them.

use std::{io, time::Duration};

use bytes::{Buf, Bytes};
use http_body::Body;
use thiserror::Error;
use tokio::time::Instant;

/// Set aside for a body of which only the length is known yet.
const RESERVE_BYTES_MAX: usize = 4 << 20;

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
    /// Bytes that it has to send each second, on the average, once `stall_max` has passed; 0 for no such bound.
    pub bytes_per_s_min: u64,
}

impl Pace {
    /// How long to wait for more, `elapsed` after the beginning and with so many bytes there.
    fn patience(&self, elapsed: Duration, bytes: u64) -> Result<Duration, BodyError> {
        let Some(earned_s) = bytes.checked_div(self.bytes_per_s_min) else {
            return Ok(self.stall_max);
        };
        let due = self.stall_max.saturating_add(Duration::from_secs(earned_s));
        match due.checked_sub(elapsed) {
            Some(left) if !left.is_zero() => Ok(left.min(self.stall_max)),
            _ => Err(BodyError::TooSlow {
                bytes_per_s_min: self.bytes_per_s_min,
            }),
        }
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
    for_each_piece(body, bytes_max, pace.into(), |data| {
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
    // A length that is announced is only a promise.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    out.reserve(announced.min(bytes_max).min(RESERVE_BYTES_MAX));
    let mut left = bytes_max;
    for_each_piece(body, bytes_max, pace.into(), |data| {
        let fits = left.checked_sub(data.remaining());
        left = fits.unwrap_or_default();
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

/// Hands each piece of a body to `take`, which says whether it still fits.
async fn for_each_piece<B>(
    body: B,
    bytes_max: usize,
    pace: Pace,
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
    let begun = Instant::now();
    let mut bytes = 0_u64;
    loop {
        let waited = pace.patience(begun.elapsed(), bytes)?;
        let next = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx));
        let frame = match tokio::time::timeout(waited, next).await {
            Err(_) if waited < pace.stall_max => {
                return Err(BodyError::TooSlow {
                    bytes_per_s_min: pace.bytes_per_s_min,
                });
            }
            Err(_) => return Err(BodyError::Stalled { waited }),
            Ok(None) => return Ok(()),
            Ok(Some(frame)) => frame.map_err(BodyError::Read)?,
        };
        if let Ok(mut data) = frame.into_data() {
            bytes = bytes.saturating_add(data.remaining() as u64);
            if !take(&mut data) {
                return Err(too_large);
            }
        }
    }
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
        let pace = Pace {
            stall_max: s(30),
            bytes_per_s_min: 100,
        };
        let check = |elapsed, bytes, left: Option<Duration>| {
            assert_eq!(
                pace.patience(elapsed, bytes).ok(),
                left,
                "{elapsed:?} {bytes}"
            );
        };
        check(s(0), 0, Some(s(30)));
        check(s(29), 99, Some(s(1)));
        check(s(30), 99, None);
        check(s(30), 500, Some(s(5)));
        // One that was fast for long may still not pause for long.
        check(s(31), 1_000_000, Some(s(30)));
        assert_eq!(Pace::from(s(3)).patience(s(1 << 40), 0).ok(), Some(s(3)));
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
