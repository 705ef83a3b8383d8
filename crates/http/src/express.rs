//! Plain requests without a machine around them: `POST` with a known length, read and answered in one
//! task, by hand.
//!
//! A relay takes the same small request thousands of times a second. Here its head is looked at where it
//! lies, its body is read from the socket into the buffer of whoever answers, and the answer leaves in one
//! write. The moment anything unusual comes (another method or path, chunks, `Expect`, an odd target, a head
//! that is none), the connection goes to the ordinary server with every byte that was read, and stays there.
//!
//! A handler here is never dropped because its client went away: it is left alone until it has answered. While it waits for
//! more of the body it holds nothing that others want, and reading fails when its seat is wanted.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::body::BodyError;
use crate::seats::{Handled, Seat, evicted, waits_for_peer};
use crate::serve::Turn;
use crate::{Body, Limits, Peer, error_json};

/// Room for one read of a head; a small body comes with it.
const READ_BYTES: usize = 8 << 10;
const HEADERS_MAX: usize = 64;
/// Bytes of an answer's body that are copied behind its head, to leave in one write.
const JOINED_BYTES_MAX: usize = 64 << 10;

/// Who answers plain requests.
pub trait Express: Clone + Send + Sync + 'static {
    /// False for who answers nothing: then no head is looked at.
    const IS_USED: bool = true;

    /// Whether requests to this path are answered here when they are plain.
    fn wants(&self, path: &str) -> bool;

    /// Answers one. What it leaves of the body unread closes the connection.
    fn answer(
        &self,
        request: Request<()>,
        body: &mut WireBody<'_>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Answers nothing: every connection goes to the ordinary server.
#[derive(Clone, Copy, Debug)]
pub struct NoExpress;

impl Express for NoExpress {
    const IS_USED: bool = false;

    fn wants(&self, _path: &str) -> bool {
        false
    }

    async fn answer(
        &self,
        _request: Request<()>,
        _body: &mut WireBody<'_>,
        _peer: Peer,
    ) -> Response<Body> {
        Response::default()
    }
}

/// The body of a plain request, still on its way.
pub struct WireBody<'a> {
    io: &'a mut (dyn AsyncRead + Send + Unpin),
    /// What came with the head; bytes behind the body may be there too.
    ahead: &'a mut BytesMut,
    left: usize,
}

impl WireBody<'_> {
    /// Bytes that are still to be read.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Reads the whole of it behind what is in `out`, which must have room for [`WireBody::left`] bytes to
    /// stay in one place.
    ///
    /// # Errors
    /// See [`BodyError`]; `out` may then hold a part.
    pub async fn read_into(
        &mut self,
        out: &mut Vec<u8>,
        stall_max: Duration,
    ) -> Result<(), BodyError> {
        self.read_part(out, self.left, stall_max).await
    }

    /// Reads the next `bytes` of it, or the rest where that is less.
    ///
    /// # Errors
    /// As [`WireBody::read_into`].
    pub async fn read_part(
        &mut self,
        out: &mut Vec<u8>,
        bytes: usize,
        stall_max: Duration,
    ) -> Result<(), BodyError> {
        let mut wanted = self.left.min(bytes);
        let here = wanted.min(self.ahead.len());
        out.extend_from_slice(&self.ahead[..here]);
        self.ahead.advance(here);
        self.left -= here;
        wanted -= here;
        let mut waiting = None;
        while wanted > 0 {
            let mut room = (&mut *out).limit(wanted);
            let mut reading = pin!(self.io.read_buf(&mut room));
            let reading = poll_fn(|cx| {
                let polled = reading.as_mut().poll(cx);
                // Most bodies have come when their head is read.
                if polled.is_pending() && waiting.is_none() {
                    waiting = waits_for_peer();
                }
                polled
            });
            let read = tokio::select! {
                biased;
                read = tokio::time::timeout(stall_max, reading) => read,
                () = evicted() => Ok(Err(io::ErrorKind::ConnectionAborted.into())),
            };
            match read {
                Err(_) => return Err(BodyError::Stalled { waited: stall_max }),
                Ok(Ok(0)) => return Err(BodyError::Broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(Ok(count)) => {
                    self.left -= count;
                    wanted -= count;
                }
                Ok(Err(error)) => return Err(BodyError::Broken(error)),
            }
        }
        if let Some(waiting) = waiting {
            waiting.end().await;
        }
        Ok(())
    }

    /// As [`crate::discard_body`].
    pub async fn discard(&mut self, bytes_max: usize, time_max: Duration) -> bool {
        if self.left > bytes_max {
            return false;
        }
        let discarding = async {
            let mut rest = Vec::with_capacity(READ_BYTES);
            let here = self.left.min(self.ahead.len());
            self.ahead.advance(here);
            self.left -= here;
            while self.left > 0 {
                rest.clear();
                match self
                    .io
                    .read_buf(&mut (&mut rest).limit(self.left.min(READ_BYTES)))
                    .await
                {
                    Ok(count @ 1..) => self.left -= count,
                    _ => return false,
                }
            }
            true
        };
        tokio::time::timeout(time_max, discarding)
            .await
            .unwrap_or(false)
    }
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The connection is over.
    Closed,
    /// The ordinary server has to go on, with these bytes first.
    HandedOver(BytesMut),
}

/// What a connection works with.
pub(crate) struct Desk<'a, E> {
    pub(crate) express: &'a E,
    pub(crate) peer: Peer,
    pub(crate) turn: &'a Arc<Turn>,
    pub(crate) limits: &'a Limits,
    pub(crate) seat: &'a Arc<Seat>,
    pub(crate) stopped: watch::Receiver<bool>,
}

/// Answers plain requests for as long as nothing else comes.
pub(crate) async fn run<I, E>(io: &mut I, mut desk: Desk<'_, E>) -> Ended
where
    I: AsyncRead + AsyncWrite + Send + Unpin,
    E: Express,
{
    let mut ahead = BytesMut::new();
    let mut date = Date::default();
    loop {
        let head = match await_head(io, &mut ahead, &mut desk).await {
            Ok(Some(head)) => head,
            Ok(None) => return Ended::HandedOver(ahead),
            Err(()) => return Ended::Closed,
        };
        let Some(plain) = plain(&ahead[..head], desk.express) else {
            return Ended::HandedOver(ahead);
        };
        ahead.advance(head);
        let _busy = desk.seat.busy();
        let mut body = WireBody {
            io,
            ahead: &mut ahead,
            left: plain.length,
        };
        let response = match desk.turn.take().await {
            Some(place) => {
                let answering = desk.express.answer(plain.request, &mut body, desk.peer);
                Handled::run(desk.seat.clone(), desk.turn.clone(), place, answering).await
            }
            None => error_json(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests in flight",
            ),
        };
        let is_last = body.left > 0
            || *desk.stopped.borrow()
            || response
                .headers()
                .get(header::CONNECTION)
                .is_some_and(|v| v == "close");
        let sent = send(io, response, is_last, &mut date).await;
        if sent.is_err() || is_last {
            let _ = io.shutdown().await;
            return Ended::Closed;
        }
    }
}

/// Waits for a head; `None` when it is not for here, an error when the connection is over.
async fn await_head<I, E>(
    io: &mut I,
    ahead: &mut BytesMut,
    desk: &mut Desk<'_, E>,
) -> Result<Option<usize>, ()>
where
    I: AsyncRead + Send + Unpin,
    E: Express,
{
    let deadline = Instant::now() + desk.limits.header_read_timeout;
    let mut looked = 0;
    loop {
        if let Some(at) = memchr::memmem::find(ahead.get(looked..).unwrap_or_default(), b"\r\n\r\n")
        {
            return Ok(Some(looked + at + 4));
        }
        looked = ahead.len().saturating_sub(3);
        let begin = b"POST /";
        let same = ahead.iter().zip(begin).all(|(one, other)| one == other);
        if !same || ahead.len() > desk.limits.header_bytes_max || *desk.stopped.borrow() {
            return Ok(None);
        }
        ahead.reserve(READ_BYTES);
        let reading = timeout_at(deadline, io.read_buf(ahead));
        tokio::select! {
            biased;
            read = reading => match read {
                Ok(Ok(1..)) => {}
                _ => return Err(()),
            },
            () = desk.seat.evicted() => return Err(()),
            stopped = desk.stopped.wait_for(|stopped| *stopped) => {
                drop(stopped);
                return if ahead.is_empty() { Err(()) } else { Ok(None) };
            }
        }
    }
}

/// A request that is answered here.
struct Plain {
    request: Request<()>,
    length: usize,
}

/// Takes a head apart; `None` for all that is not plain.
fn plain<E: Express>(head: &[u8], express: &E) -> Option<Plain> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    if !matches!(parsed.parse(head), Ok(httparse::Status::Complete(_)))
        || parsed.version != Some(1)
        || parsed.method != Some("POST")
    {
        return None;
    }
    let target = parsed.path?;
    let path = target.split('?').next().unwrap_or_default();
    if !express.wants(path) {
        return None;
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::try_from(target).ok()?;
    let mut length = None;
    for field in parsed.headers.iter() {
        let is = |name: &HeaderName| field.name.eq_ignore_ascii_case(name.as_str());
        if is(&header::CONTENT_LENGTH) {
            let digits = std::str::from_utf8(field.value).ok()?;
            let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if length.is_some() || !all_digits {
                return None;
            }
            length = Some(digits.parse().ok()?);
            continue;
        }
        if is(&header::TRANSFER_ENCODING) || is(&header::EXPECT) || is(&header::UPGRADE) {
            return None;
        }
        if is(&header::CONNECTION) {
            if !field.value.eq_ignore_ascii_case(b"keep-alive") {
                return None;
            }
            continue;
        }
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(field.value).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(Plain {
        request,
        length: length?,
    })
}

/// Writes an answer.
async fn send<I: AsyncWrite + Unpin>(
    io: &mut I,
    response: Response<Body>,
    is_last: bool,
    date: &mut Date,
) -> io::Result<()> {
    let (head, mut body) = response.into_parts();
    let mut pieces: Vec<Bytes> = Vec::new();
    while let Some(frame) = poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(piece)) => pieces.push(piece),
            Ok(Err(_)) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(256 + length.min(JOINED_BYTES_MAX));
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(
        head.status
            .canonical_reason()
            .unwrap_or("Unknown")
            .as_bytes(),
    );
    out.extend_from_slice(b"\r\n");
    for (name, value) in &head.headers {
        if name == header::CONNECTION {
            continue;
        }
        title_case(name.as_str(), &mut out);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if is_last {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    if head.status != StatusCode::NO_CONTENT {
        out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
    }
    out.extend_from_slice(b"Date: ");
    out.extend_from_slice(date.now());
    out.extend_from_slice(b"\r\n\r\n");
    if length <= JOINED_BYTES_MAX {
        for piece in &pieces {
            out.extend_from_slice(piece);
        }
        pieces.clear();
    }
    io.write_all(&out).await?;
    for piece in pieces {
        io.write_all(&piece).await?;
    }
    io.flush().await
}

/// `content-type` as `Content-Type`: what the ordinary server writes, too.
fn title_case(name: &str, out: &mut Vec<u8>) {
    let mut begins = true;
    for byte in name.bytes() {
        out.push(if begins {
            byte.to_ascii_uppercase()
        } else {
            byte
        });
        begins = byte == b'-';
    }
}

/// The time of day as a header has it, written once a second.
#[derive(Default)]
struct Date {
    second: u64,
    text: String,
}

impl Date {
    fn now(&mut self) -> &[u8] {
        let now = SystemTime::now();
        let second = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text = httpdate::fmt_http_date(now);
        }
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests;
