//! One connection to a server, spoken to by hand: HTTP/1.1, one call at a time.
//!
//! Everything happens in the task of the caller: no task drives the connection beside it, so that a
//! call costs one wake-up and no more. Head and body leave in one vectored write, the body's pieces as
//! they are. The answer is looked for while the body is still being written: a server that refuses
//! early is heard.

use std::{
    future::{Future, poll_fn},
    io,
    io::IoSlice,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::link::Link;

/// Of an answer; InfluxDB's are far below.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
/// Pieces of one write: what Linux takes is more.
const SLICES_MAX: usize = 64;
/// Room for one read.
const READ_BYTES: usize = 16 << 10;
/// A line with the size of a chunk, and the lines behind the last one.
const CHUNK_LINE_BYTES_MAX: usize = 8 << 10;

/// An open connection.
#[derive(Debug)]
pub(super) struct Wire {
    link: Link,
    /// What was read and not used.
    read: BytesMut,
    /// How the body of the answer in work is told from what comes behind it.
    framing: Framing,
    /// Whether another call may go out once this one has been answered.
    is_kept: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Nothing more comes.
    Done,
    /// So many bytes.
    Length(u64),
    /// The size of a chunk comes next.
    ChunkSize,
    /// So many bytes of a chunk, and the end of its line.
    Chunk(u64),
    /// The lines behind the last chunk.
    Trailer,
    /// Everything until the server closes.
    UntilClosed,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

impl Wire {
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            read: BytesMut::new(),
            framing: Framing::Done,
            is_kept: true,
        }
    }

    /// Whether it can carry another call: all of the last answer was read, and nothing has come since.
    pub(super) fn is_idle(&self) -> bool {
        self.is_kept && self.framing == Framing::Done && self.read.is_empty()
    }

    /// Whether the server has closed this end, or said something that nobody asked for.
    pub(super) fn is_stale(&self) -> bool {
        self.link.has_something()
    }

    /// Sends a request and reads the head of its answer.
    pub(super) async fn ask(
        &mut self,
        head: &[u8],
        body: &[Bytes],
        method: &Method,
    ) -> io::Result<Head> {
        let mut out = Out::new(head, body);
        loop {
            let length = poll_fn(|cx| self.poll_exchange(cx, &mut out)).await?;
            let bytes = self.read.split_to(length).freeze();
            let answer = self.understand(&bytes, method)?;
            if !answer.status.is_informational() {
                if answer.status.is_success() && !out.is_written() {
                    // Whatever it is that it confirms, it is not all of this.
                    return Err(invalid("a request was confirmed before it was sent"));
                }
                // Not all of the request was taken: what is left of it would pass for the next.
                self.is_kept &= out.is_done();
                return Ok(answer);
            }
        }
    }

    /// The next piece of the answer's body; `None` at its end.
    pub(super) async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.framing {
                Framing::Done | Framing::Length(0) => {
                    self.framing = Framing::Done;
                    return Ok(None);
                }
                Framing::Length(left) | Framing::Chunk(left) if left > 0 => {
                    if self.read.is_empty() {
                        self.more().await?;
                        continue;
                    }
                    let length = usize::try_from(left)
                        .map_or(self.read.len(), |left| left.min(self.read.len()));
                    let piece = self.read.split_to(length).freeze();
                    let left = left - length as u64;
                    self.framing = match self.framing {
                        Framing::Length(_) => Framing::Length(left),
                        _ => Framing::Chunk(left),
                    };
                    return Ok(Some(piece));
                }
                Framing::UntilClosed => {
                    if !self.read.is_empty() {
                        return Ok(Some(self.read.split().freeze()));
                    }
                    if self.read_some().await? == 0 {
                        self.framing = Framing::Done;
                        return Ok(None);
                    }
                }
                _ => self.chunk_line().await?,
            }
        }
    }

    /// Reads the line before a chunk's bytes, behind them, or behind all of them.
    async fn chunk_line(&mut self) -> io::Result<()> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.read) else {
                if self.read.len() > CHUNK_LINE_BYTES_MAX {
                    return Err(invalid("a chunk without a size"));
                }
                self.more().await?;
                continue;
            };
            let line = self.read.split_to(end + 1);
            let line = line.trim_ascii();
            self.framing = match self.framing {
                Framing::Chunk(_) if line.is_empty() => Framing::ChunkSize,
                Framing::Trailer if line.is_empty() => Framing::Done,
                Framing::Trailer => Framing::Trailer,
                Framing::ChunkSize => match chunk_size(line)? {
                    0 => Framing::Trailer,
                    size => Framing::Chunk(size),
                },
                _ => return Err(invalid("a chunk longer than its size")),
            };
            return Ok(());
        }
    }

    /// Reads on; the end of the stream is an error.
    async fn more(&mut self) -> io::Result<()> {
        match self.read_some().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn read_some(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.read.reserve(READ_BYTES);
        // It keeps nothing between two polls, so it may be made anew for each.
        pin!(self.link.read_buf(&mut self.read)).poll(cx)
    }

    /// Writes the request, and gives the length of the next head that has come.
    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Out<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut progress = false;
            if !out.is_done() && out.broken.is_none() {
                match out.poll_write(&mut self.link, cx) {
                    Poll::Ready(Ok(())) => progress = true,
                    // What it said before it closed may still be there to be read.
                    Poll::Ready(Err(error)) => {
                        out.broken = Some(error);
                        progress = true;
                    }
                    Poll::Pending => {}
                }
            }
            if let Some(length) = head_length(&self.read)? {
                return Poll::Ready(Ok(length));
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => {
                    let error = out.broken.take();
                    return Poll::Ready(Err(
                        error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())
                    ));
                }
                Poll::Ready(Ok(_)) => progress = true,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(out.broken.take().unwrap_or(error)));
                }
                Poll::Pending => {}
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn understand(&mut self, bytes: &Bytes, method: &Method) -> io::Result<Head> {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut fields);
        match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            _ => return Err(invalid("no HTTP answer")),
        }
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or_else(|| invalid("no status"))?;
        let mut headers = HeaderMap::with_capacity(parsed.headers.len());
        for field in parsed.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        let says = |name: HeaderName, word: &str| {
            let mut values = headers.get_all(name).iter();
            values.any(|value| {
                let words = value.as_bytes().split(|byte| *byte == b',');
                let mut words = words.map(<[u8]>::trim_ascii);
                words.any(|found| found.eq_ignore_ascii_case(word.as_bytes()))
            })
        };
        self.is_kept = if parsed.version == Some(1) {
            !says(header::CONNECTION, "close")
        } else {
            says(header::CONNECTION, "keep-alive")
        };
        let is_without_body = status.is_informational()
            || method == Method::HEAD
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        self.framing = if is_without_body {
            Framing::Done
        } else if headers.contains_key(header::TRANSFER_ENCODING) {
            if !says(header::TRANSFER_ENCODING, "chunked") {
                return Err(invalid("an unknown transfer encoding"));
            }
            Framing::ChunkSize
        } else if let Some(length) = headers.get(header::CONTENT_LENGTH) {
            let length = length
                .to_str()
                .ok()
                .and_then(|text| text.trim().parse().ok());
            Framing::Length(length.ok_or_else(|| invalid("an unreadable length"))?)
        } else {
            Framing::UntilClosed
        };
        if self.framing == Framing::UntilClosed {
            self.is_kept = false;
        }
        Ok(Head { status, headers })
    }
}

/// What is still to be written.
struct Out<'a> {
    head: &'a [u8],
    body: &'a [Bytes],
    /// Of the first piece that is not written whole, how much is.
    written: usize,
    is_flushed: bool,
    broken: Option<io::Error>,
}

impl<'a> Out<'a> {
    fn new(head: &'a [u8], body: &'a [Bytes]) -> Self {
        Self {
            head,
            body,
            written: 0,
            is_flushed: false,
            broken: None,
        }
    }

    fn is_done(&self) -> bool {
        self.is_flushed
    }

    fn is_written(&self) -> bool {
        self.head.is_empty() && self.body.iter().all(Bytes::is_empty)
    }

    /// One write, or the flush behind the last.
    fn poll_write(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.body.first().is_some_and(Bytes::is_empty) && self.head.is_empty() {
            self.body = &self.body[1..];
        }
        if self.head.is_empty() && self.body.is_empty() {
            ready!(Pin::new(link).poll_flush(cx))?;
            self.is_flushed = true;
            return Poll::Ready(Ok(()));
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        let mut skip = self.written;
        if !self.head.is_empty() {
            slices[0] = IoSlice::new(self.head);
            count = 1;
            skip = 0;
        }
        for piece in self.body.iter().take(SLICES_MAX - count) {
            slices[count] = IoSlice::new(piece.get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
        }
        let count = ready!(Pin::new(link).poll_write_vectored(cx, &slices[..count]))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(count);
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut count: usize) {
        let of_head = count.min(self.head.len());
        self.head.advance(of_head);
        count -= of_head;
        while let Some(piece) = self.body.first() {
            let left = piece.len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.body = &self.body[1..];
        }
    }
}

/// The length of the head that the bytes begin with; `None` when it has not come to its end.
fn head_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    match memchr::memmem::find(bytes, b"\r\n\r\n") {
        Some(at) => Ok(Some(at + 4)),
        None if bytes.len() > HEAD_BYTES_MAX => Err(invalid("a head without an end")),
        None => Ok(None),
    }
}

/// The size that stands before a chunk, its extensions left out.
fn chunk_size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = std::str::from_utf8(digits.trim_ascii()).ok();
    let size = digits
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok());
    size.ok_or_else(|| invalid("a chunk without a size"))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
