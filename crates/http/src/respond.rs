//! What is sent: bodies with a known length, or fed by a [`crate::StreamWriter`]; and the answers
//! that every room gives.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Frame, SizeHint};

use crate::{
    json::write_json_string,
    seats::Busy,
    stream::{Aborted, StreamReader},
};

/// InfluxDB repeats the text of an error in this header, cut at [`ERROR_HEADER_BYTES_MAX`].
const X_INFLUXDB_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");

/// Where the text in [`X_INFLUXDB_ERROR`] is cut.
const ERROR_HEADER_BYTES_MAX: usize = 1024;

/// A body that is sent, by a server or by a client.
///
/// Given as `Bytes` or several of them, its length is known and sent as `Content-Length`, and no
/// byte is copied.
#[derive(Debug, Default)]
pub struct Body {
    kind: Kind,
    /// Dropped with the body, once its last piece was taken.
    busy: Option<Busy>,
}

#[derive(Debug)]
enum Kind {
    Frames { frames: VecDeque<Bytes>, len: u64 },
    Stream(StreamReader),
}

impl Default for Kind {
    fn default() -> Self {
        Self::Frames {
            frames: VecDeque::new(),
            len: 0,
        }
    }
}

impl Body {
    /// A body of several pieces, sent one after another.
    #[must_use]
    pub fn frames(frames: impl IntoIterator<Item = Bytes>) -> Self {
        let frames: VecDeque<Bytes> = frames
            .into_iter()
            .filter(|frame| !frame.is_empty())
            .collect();
        let len = frames.iter().map(|frame| frame.len() as u64).sum();
        Kind::Frames { frames, len }.into()
    }

    pub(crate) fn stream(reader: StreamReader) -> Self {
        Kind::Stream(reader).into()
    }

    /// Keeps `busy` for as long as there is a body.
    pub(crate) fn hold(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Self { kind, busy: None }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::frames([bytes])
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match &mut self.kind {
            Kind::Frames { frames, len } => Poll::Ready(frames.pop_front().map(|frame| {
                *len -= frame.len() as u64;
                Ok(Frame::data(frame))
            })),
            Kind::Stream(reader) => reader
                .poll_next(cx)
                .map(|next| next.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Frames { len: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self.kind {
            Kind::Frames { len, .. } => SizeHint::with_exact(len),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

/// An answer without a body, such as 204.
#[must_use]
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

/// An answer with a whole body.
#[must_use]
pub fn full(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// InfluxDB's answer to what went wrong: `{"error":"<text>"}` and a newline, and, except with 401,
/// the text in `X-Influxdb-Error`.
#[must_use]
pub fn error_json(status: StatusCode, text: &str) -> Response<Body> {
    let mut body = b"{\"error\":".to_vec();
    write_json_string(&mut body, text.as_bytes());
    body.extend_from_slice(b"}\n");
    let mut response = full(status, "application/json", body);
    if status != StatusCode::UNAUTHORIZED
        && let Some(value) = header_text(text, ERROR_HEADER_BYTES_MAX)
    {
        response.headers_mut().insert(X_INFLUXDB_ERROR, value);
    }
    response
}

/// `text` as a header value of at most `bytes_max` bytes; `None` if it cannot be one.
///
/// Line ends become spaces, as Go's `net/http` does; so do other control characters, which no header may hold.
#[must_use]
pub fn header_text(text: &str, bytes_max: usize) -> Option<HeaderValue> {
    let cut = &text.as_bytes()[..text.len().min(bytes_max)];
    let line: Vec<u8> = cut
        .iter()
        .map(|&byte| if byte.is_ascii_control() { b' ' } else { byte })
        .collect();
    HeaderValue::from_bytes(line.trim_ascii()).ok()
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    #[test]
    fn the_length_is_known_and_empty_pieces_vanish() {
        let body =
            Body::frames(["ab", "", "cde"].map(|piece| Bytes::from_static(piece.as_bytes())));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(!body.is_end_stream());
        assert!(Body::frames([Bytes::new()]).is_end_stream());
    }

    #[test]
    fn an_error_is_repeated_in_the_header_but_for_401() {
        let text = format!("unable to parse '{}\n': x", "é".repeat(600));
        let response = error_json(StatusCode::BAD_REQUEST, &text);
        assert_eq!(
            response.headers()[X_INFLUXDB_ERROR].len(),
            ERROR_HEADER_BYTES_MAX
        );
        let response = error_json(StatusCode::BAD_REQUEST, "a\nb");
        assert_eq!(response.headers()[X_INFLUXDB_ERROR], "a b");
        let response = error_json(StatusCode::BAD_REQUEST, "a\0\x1fb");
        assert_eq!(response.headers()[X_INFLUXDB_ERROR], "a  b");
        let response = error_json(StatusCode::UNAUTHORIZED, "authorization failed");
        assert!(!response.headers().contains_key(X_INFLUXDB_ERROR));
    }
}
