//! Bodies of writes, from what came over the network to lines.
//!
//! Whatever makes a body larger (gzip, zstd, Snappy, the labels that Prometheus sends once for many
//! samples) is bounded, and room in the store's memory is taken before anything is made.

use std::io::{self, Read};

use tandem_http::{BodyError, HeaderMap, StatusCode, gunzip_into, gunzipped_len, header};
use tandem_store::{BodyRoom, Store, WriteError};

use super::prometheus;

/// Largest window of a zstd stream, as a power of two: 8 MiB, which all levels up to 19 keep to.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What a body is before it is lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Lines.
    Plain,
    /// Lines, by gzip.
    Gzip,
    /// Lines, by zstd; InfluxDB does not know it.
    Zstd,
    /// A `WriteRequest` of Prometheus in a block of Snappy.
    Prometheus,
}

/// Why there are no lines. Nothing was stored.
#[derive(Debug)]
pub(super) enum DecodeError {
    /// The body is too large or broken.
    Body(BodyError),
    /// The body is broken; with the text for the client.
    Broken(String),
    /// There is no room for it.
    Room(WriteError),
}

impl From<BodyError> for DecodeError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl Encoding {
    /// Of a body of lines, by its `Content-Encoding`; one that is not known counts as none, as in
    /// InfluxDB.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match headers.get(header::CONTENT_ENCODING) {
            Some(encoding) if encoding == "gzip" => Self::Gzip,
            Some(encoding) if encoding == "zstd" => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// Makes lines of `sent`, at most `bytes_max` of them, and returns the room that they take;
    /// `None` where `sent` are the lines.
    pub(super) fn decode(
        self,
        store: &Store,
        sent: &[u8],
        bytes_max: usize,
        lines: &mut Vec<u8>,
    ) -> Result<Option<BodyRoom>, DecodeError> {
        match self {
            Self::Plain => Ok(None),
            Self::Gzip => {
                // The last member's length stands at its end; of most bodies it is the only member.
                let told = sent
                    .last_chunk()
                    .map_or(0, |tail| u32::from_le_bytes(*tail));
                let told = usize::try_from(told).unwrap_or(usize::MAX);
                let guess = sent.len().max(told);
                let measure = || gunzipped_len(sent, bytes_max).map_err(DecodeError::Body);
                grow(store, guess, bytes_max, lines, measure, |max, out| {
                    gunzip_into(sent, max, out).map_err(DecodeError::Body)
                })
                .map(Some)
            }
            Self::Zstd => {
                let told = zstd::zstd_safe::get_frame_content_size(sent).ok().flatten();
                let told = told.map_or(0, |told| usize::try_from(told).unwrap_or(usize::MAX));
                let guess = sent.len().max(told);
                let measure = || Ok(bytes_max);
                grow(store, guess, bytes_max, lines, measure, |max, out| {
                    unzstd_into(sent, max, out)
                })
                .map(Some)
            }
            Self::Prometheus => prometheus::lines(store, sent, bytes_max, lines).map(Some),
        }
    }
}

/// Takes room for `guess` bytes and makes them; when more come out, again with as many as `measure` finds, which
/// is an error where they are more than is allowed.
fn grow(
    store: &Store,
    guess: usize,
    bytes_max: usize,
    lines: &mut Vec<u8>,
    measure: impl Fn() -> Result<usize, DecodeError>,
    mut make: impl FnMut(usize, &mut Vec<u8>) -> Result<(), DecodeError>,
) -> Result<BodyRoom, DecodeError> {
    let mut max = guess.min(bytes_max);
    loop {
        let room = store.room_for_body(max).map_err(DecodeError::Room)?;
        lines.clear();
        if lines.capacity() <= max {
            // At once what the room is for, and not beside what was there: growing by copies would take up to
            // three times as much.
            *lines = Vec::new();
            lines.reserve_exact(max.saturating_add(1));
        }
        match make(max, lines) {
            Ok(()) => return Ok(room),
            Err(DecodeError::Body(BodyError::TooLarge { .. })) if max < bytes_max => {
                // At least one byte more, so that this ends.
                max = measure()?.clamp(max + 1, bytes_max);
            }
            Err(error) => return Err(error),
        }
    }
}

fn unzstd_into(sent: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    // No frame at all is no line at all.
    if sent.is_empty() {
        return Ok(());
    }
    let broken = |error: io::Error| DecodeError::Broken(format!("zstd: {error}"));
    let mut decoder = zstd::stream::read::Decoder::with_buffer(sent).map_err(broken)?;
    decoder
        .window_log_max(ZSTD_WINDOW_LOG_MAX)
        .map_err(broken)?;
    let mut bounded = decoder.take(bytes_max as u64 + 1);
    let length = bounded.read_to_end(out).map_err(broken)?;
    if length > bytes_max {
        return Err(DecodeError::Body(BodyError::TooLarge { bytes_max }));
    }
    Ok(())
}

impl DecodeError {
    /// Status and text of the answer.
    pub(super) fn answer(&self) -> (StatusCode, String) {
        match self {
            Self::Body(error) => body_answer(error),
            Self::Broken(text) => (StatusCode::BAD_REQUEST, text.clone()),
            Self::Room(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}

/// Status and text of the answer to a body that cannot be taken.
pub(super) fn body_answer(error: &BodyError) -> (StatusCode, String) {
    match error {
        BodyError::TooLarge { .. } => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "Request Entity Too Large".into(),
        ),
        BodyError::Gzip(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            (StatusCode::BAD_REQUEST, "unexpected EOF".into())
        }
        BodyError::Gzip(_) => (StatusCode::BAD_REQUEST, "gzip: invalid header".into()),
        BodyError::Read(_) | BodyError::Broken(_) => {
            (StatusCode::BAD_REQUEST, "unexpected EOF".into())
        }
        BodyError::Stalled { .. } | BodyError::TooSlow { .. } => {
            (StatusCode::REQUEST_TIMEOUT, error.to_string())
        }
        BodyError::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unzstd(sent: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecodeError> {
        let mut out = Vec::new();
        unzstd_into(sent, bytes_max, &mut out).map(|()| out)
    }

    #[test]
    fn zstd_is_bounded_and_its_frames_are_joined() {
        let frame = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
        let mut two = frame(b"m v=1\n");
        two.extend(frame(b"m v=2\n"));
        assert_eq!(unzstd(&two, 12).unwrap(), b"m v=1\nm v=2\n");
        let bomb = frame(&vec![0; 10 << 20]);
        assert!(bomb.len() < 10_000);
        for (sent, bytes_max) in [(&two, 11), (&bomb, 1 << 20)] {
            let refused = unzstd(sent, bytes_max);
            assert!(
                matches!(refused, Err(DecodeError::Body(BodyError::TooLarge { .. }))),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn torn_and_foreign_streams_are_refused() {
        let frame = zstd::encode_all(&b"m v=1\n"[..], 3).unwrap();
        for at in 1..frame.len() {
            assert!(unzstd(&frame[..at], 100).is_err(), "{at}");
        }
        assert!(unzstd(b"m v=1", 100).is_err());
        assert_eq!(unzstd(b"", 100).unwrap(), b"");
    }
}
