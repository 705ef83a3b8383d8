//! One write request, as it goes to every backend.
//!
//! The bytes that came in go out: the body is a few slices of the one buffer it was read into,
//! with times as further slices where lines lacked them. All backends share the same `Bytes`.

use bytes::Bytes;
use tandem_http::{Call, HeaderMap, HeaderValue, header};
use tokio::sync::OwnedSemaphorePermit;

/// Where every batch goes.
const TARGET: &str = "/write";

/// What is sent beside the body, and what the relay knows of it. It is what a hint keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The query string, verbatim. May hold a password: never to be logged.
    pub(crate) query: String,
    /// The `Authorization` header, verbatim.
    pub(crate) authorization: Option<Vec<u8>>,
    /// The `Content-Type` header, verbatim.
    pub(crate) content_type: Option<Vec<u8>>,
    /// The body is gzip.
    pub(crate) gzip: bool,
    /// The lanes of its lines (`tandem_line::scan`).
    pub(crate) lanes: u64,
    /// Lines in the body.
    pub(crate) lines: u64,
    /// When it was received, in nanoseconds since 1970.
    pub(crate) received_ns: i64,
}

/// A write request with its body.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) head: Head,
    pub(crate) body: Vec<Bytes>,
    /// The body's share of the memory budget; given back with the last use of the batch.
    pub(crate) _memory: Option<OwnedSemaphorePermit>,
}

impl Batch {
    /// Bytes of the body.
    pub(crate) fn bytes(&self) -> u64 {
        self.body.iter().map(|slice| slice.len() as u64).sum()
    }
}

impl Head {
    /// The request to a backend. Writing points twice is writing them once, so it may be repeated
    /// on another connection when a kept one turns out to be closed.
    pub(crate) fn call(&self, body: Vec<Bytes>) -> Call {
        let mut call = Call::post(format!("{TARGET}?{}", self.query), body, true);
        let mut set = |name: header::HeaderName, value: &[u8], secret: bool| {
            if let Ok(mut value) = HeaderValue::from_bytes(value) {
                value.set_sensitive(secret);
                call.headers.insert(name, value);
            }
        };
        if let Some(value) = &self.authorization {
            set(header::AUTHORIZATION, value, true);
        }
        if let Some(value) = &self.content_type {
            set(header::CONTENT_TYPE, value, false);
        }
        if self.gzip {
            set(header::CONTENT_ENCODING, b"gzip", false);
        }
        call
    }

    /// Takes over the headers that are passed on.
    pub(crate) fn take_headers(&mut self, headers: &HeaderMap) {
        let bytes = |name| {
            headers
                .get(name)
                .map(|value: &HeaderValue| value.as_bytes().to_vec())
        };
        self.authorization = bytes(header::AUTHORIZATION);
        self.content_type = bytes(header::CONTENT_TYPE);
    }
}
