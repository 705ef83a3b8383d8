//! A plain client for an engine's socket: one request a connection, every size and time bounded.
//!
//! It blocks, as the thread that uses it does nothing else, so that the agent needs no runtime for
//! it. Paths have no version in front: an engine then answers in its own, and what is asked here
//! has been in all of them.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::Endpoint;
use super::chunks::Framing;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The body of an answer; the list of some thousand containers has a few megabytes.
const BODY_BYTES_MAX: usize = 32 << 20;
/// One line of a stream.
const LINE_BYTES_MAX: usize = 1 << 20;
/// What is read at once.
const PIECE_BYTES: usize = 8 << 10;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum SocketError {
    #[error("cannot reach the engine")]
    Connect(#[source] io::Error),
    #[error("the connection to the engine broke")]
    Io(#[from] io::Error),
    #[error("the engine answered {target} with {status}: {excerpt}")]
    Status {
        target: String,
        status: u16,
        excerpt: String,
    },
    #[error("the engine's answer is no HTTP")]
    NoHttp,
    #[error("the engine's answer is too large")]
    TooLarge,
    #[error("the engine ended the stream")]
    Ended,
    #[error("the engine's answer to {target} is not understood")]
    Json {
        target: String,
        source: serde_json::Error,
    },
}

impl SocketError {
    /// Whether the engine says that there is no such thing.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }

    /// Whether there is no engine at all, which is no trouble on a host without one.
    pub(super) fn is_absent(&self) -> bool {
        match self {
            Self::Connect(error) => matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ),
            _ => false,
        }
    }
}

/// A connection of either kind.
trait Wire: Read + Write + AsRawFd + Send {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()>;
}

impl Wire for UnixStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
}

impl Wire for TcpStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
}

/// Opens a connection and asks; the head of the answer has come, and perhaps some of its body.
fn ask(endpoint: &Endpoint, target: &str, patience: Duration) -> Result<Answer, SocketError> {
    let mut wire: Box<dyn Wire> = match endpoint {
        Endpoint::Unix(path) => Box::new(UnixStream::connect(path).map_err(SocketError::Connect)?),
        Endpoint::Tcp(address) => {
            let mut addresses = address.to_socket_addrs().map_err(SocketError::Connect)?;
            let none = || SocketError::Connect(io::ErrorKind::NotFound.into());
            let first = addresses.next().ok_or_else(none)?;
            Box::new(TcpStream::connect_timeout(&first, TIMEOUT).map_err(SocketError::Connect)?)
        }
    };
    wire.set_timeout(patience)?;
    let agent = concat!("Docker-Client/tandem-agent-", env!("CARGO_PKG_VERSION"));
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: docker\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
    );
    wire.write_all(request.as_bytes())?;
    let deadline = Instant::now() + patience;
    let mut head = Vec::new();
    let body_at = loop {
        if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
            break end + 4;
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(SocketError::TooLarge);
        }
        if read_some(&mut *wire, &mut head)? == 0 {
            return Err(SocketError::NoHttp);
        }
        check(deadline)?;
    };
    let (text, begun) = head.split_at(body_at);
    let (status, framing) = parse_head(text).ok_or(SocketError::NoHttp)?;
    let mut answer = Answer {
        wire,
        status,
        framing,
        body: Vec::new(),
    };
    answer.take(begun)?;
    Ok(answer)
}

fn check(deadline: Instant) -> io::Result<()> {
    if Instant::now() > deadline {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(())
}

fn read_some(wire: &mut dyn Wire, out: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; PIECE_BYTES];
    let read = loop {
        match wire.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    out.extend_from_slice(piece.get(..read).unwrap_or_default());
    Ok(read)
}

/// The status, and how the body's end is known.
fn parse_head(text: &[u8]) -> Option<(u16, Framing)> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let mut words = crate::text::words(lines.next()?);
    if !words.next()?.starts_with(b"HTTP/1.") {
        return None;
    }
    let status = u16::try_from(crate::text::unsigned(words.next()?)?).ok()?;
    let mut framing = Framing::UntilClose;
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") && value.ends_with(b"chunked") {
            framing = Framing::chunked();
        } else if name.eq_ignore_ascii_case(b"content-length") && framing == Framing::UntilClose {
            framing = Framing::Length(crate::text::unsigned(value)?);
        }
    }
    Some((status, framing))
}

/// An answer whose body is read as it comes.
pub(super) struct Answer {
    wire: Box<dyn Wire>,
    status: u16,
    framing: Framing,
    /// What has come of the body and was not taken yet.
    body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Answer {
    fn take(&mut self, bytes: &[u8]) -> Result<(), SocketError> {
        let fed = self.framing.feed(bytes, &mut self.body);
        fed.map_err(|_| SocketError::NoHttp)
    }

    /// What tells that more came.
    pub(super) fn descriptor(&self) -> RawFd {
        self.wire.as_raw_fd()
    }

    /// Reads on; false at the end of the body.
    fn read(&mut self) -> Result<bool, SocketError> {
        if self.framing.is_over() {
            return Ok(false);
        }
        let mut piece = Vec::new();
        if read_some(&mut *self.wire, &mut piece)? == 0 {
            return if self.framing.may_close() {
                Ok(false)
            } else {
                Err(SocketError::Io(io::ErrorKind::UnexpectedEof.into()))
            };
        }
        self.take(&piece)?;
        Ok(true)
    }

    /// The next line of a stream; `None` when none came for `patience`.
    pub(super) fn next_line(&mut self, patience: Duration) -> Result<Option<Vec<u8>>, SocketError> {
        self.wire.set_timeout(patience)?;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.body) {
                let rest = self.body.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.body, rest)));
            }
            if self.body.len() > LINE_BYTES_MAX {
                return Err(SocketError::TooLarge);
            }
            match self.read() {
                Ok(true) => {}
                Ok(false) => return Err(SocketError::Ended),
                Err(SocketError::Io(error))
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    return Ok(None);
                }
                Err(other) => return Err(other),
            }
        }
    }
}

/// Opens a stream.
pub(super) fn stream(endpoint: &Endpoint, target: &str) -> Result<Answer, SocketError> {
    let answer = ask(endpoint, target, TIMEOUT)?;
    if answer.status == 200 {
        Ok(answer)
    } else {
        Err(refused(answer, target))
    }
}

fn refused(mut answer: Answer, target: &str) -> SocketError {
    // The reason is worth a look; that it does not come is not worth another error.
    let _ = answer.read();
    SocketError::Status {
        target: target.to_owned(),
        status: answer.status,
        excerpt: crate::text::excerpt(&answer.body),
    }
}

/// Asks for a whole answer.
pub(super) fn get<T: serde::de::DeserializeOwned>(
    endpoint: &Endpoint,
    target: &str,
) -> Result<T, SocketError> {
    get_within(endpoint, target, TIMEOUT)
}

/// The same of an engine that may take longer.
pub(super) fn get_within<T: serde::de::DeserializeOwned>(
    endpoint: &Endpoint,
    target: &str,
    patience: Duration,
) -> Result<T, SocketError> {
    let deadline = Instant::now() + patience;
    let mut answer = ask(endpoint, target, patience)?;
    if answer.status != 200 {
        return Err(refused(answer, target));
    }
    while answer.read()? {
        check(deadline)?;
        if answer.body.len() > BODY_BYTES_MAX {
            return Err(SocketError::TooLarge);
        }
    }
    serde_json::from_slice(&answer.body).map_err(|source| SocketError::Json {
        target: target.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_understood_or_refused() {
        let parse = |text: &str| parse_head(text.as_bytes());
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
            Some((200, Framing::Length(7)))
        );
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\ncontent-length: 7\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Some((200, Framing::chunked()))
        );
        assert_eq!(
            parse("HTTP/1.0 404 No\r\n\r\n"),
            Some((404, Framing::UntilClose))
        );
        for bad in [
            "",
            "HTTP/2 200\r\n",
            "HTTP/1.1 x\r\n",
            "HTTP/1.1 200\r\nContent-Length: -1\r\n",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_missing_socket_is_no_engine() {
        let endpoint = Endpoint::Unix("/no/such/socket".into());
        let error = get::<serde_json::Value>(&endpoint, "/info").unwrap_err();
        assert!(error.is_absent(), "{error}");
    }
}
