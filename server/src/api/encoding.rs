//! Bodies of writes, from what came over the network to lines.
//!
//! Whatever makes a body larger (gzip, zstd, Snappy, the labels that Prometheus sends once for many
//! samples) is bounded, and room in the store's memory is taken before anything is made.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;
use tandem_http::{BodyError, HeaderMap, StatusCode, header};
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
                let open = || Ok(MultiGzDecoder::new(sent));
                let broken = |error| DecodeError::Body(BodyError::Gzip(error));
                let guess = sent.len().max(told);
                inflate(store, guess, bytes_max, lines, open, broken).map(Some)
            }
            // No frame at all is no line at all.
            Self::Zstd if sent.is_empty() => Ok(None),
            Self::Zstd => {
                let told = zstd::zstd_safe::get_frame_content_size(sent).ok().flatten();
                let told = told.map_or(0, |told| usize::try_from(told).unwrap_or(usize::MAX));
                let broken = |error| DecodeError::Broken(format!("zstd: {error}"));
                let open = || unzstd(sent).map_err(broken);
                let guess = sent.len().max(told);
                inflate(store, guess, bytes_max, lines, open, broken).map(Some)
            }
            Self::Prometheus => prometheus::lines(store, sent, bytes_max, lines).map(Some),
        }
    }
}

/// Takes room for `guess` bytes and makes them, by a reader that `open` gives. When more come out they are counted
/// before there is room for them: a body that tells too little, as a bomb does, takes no more than it told.
fn inflate<R: Read>(
    store: &Store,
    guess: usize,
    bytes_max: usize,
    lines: &mut Vec<u8>,
    open: impl Fn() -> Result<R, DecodeError>,
    broken: impl Fn(io::Error) -> DecodeError,
) -> Result<BodyRoom, DecodeError> {
    let too_large = || DecodeError::Body(BodyError::TooLarge { bytes_max });
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
        let mut bounded = open()?.take(max as u64 + 1);
        if bounded.read_to_end(lines).map_err(&broken)? <= max {
            return Ok(room);
        }
        if max == bytes_max {
            return Err(too_large());
        }
        let mut bounded = open()?.take(bytes_max as u64 + 1);
        let length = io::copy(&mut bounded, &mut io::sink()).map_err(&broken)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        max = Some(length)
            .filter(|length| *length <= bytes_max)
            .ok_or_else(too_large)?;
    }
}

fn unzstd(sent: &[u8]) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(sent)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
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
    use std::sync::Arc;

    use tandem_store::Options;
    use tandem_vfs::RealFs;

    use super::*;

    fn unzstd(sent: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecodeError> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Arc::new(RealFs), dir.path(), Options::default()).unwrap();
        let mut lines = Vec::new();
        let room = Encoding::Zstd.decode(&store, sent, bytes_max, &mut lines)?;
        assert_eq!(room.is_none(), sent.is_empty());
        Ok(lines)
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
