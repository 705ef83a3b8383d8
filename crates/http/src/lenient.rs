//! Takes request targets that clients of InfluxDB send and that are no valid URIs.
//!
//! Go's server, and so InfluxDB, takes `GET /query?q=SELECT "v" FROM "m"` with its quotes as they
//! are, and clients rely on it; the `http` crate refuses such a target. [`LenientTarget`] stands
//! between socket and parser and percent-encodes, in the first line of a request and nowhere
//! else, the bytes that a target cannot hold.
//!
//! A request line is looked for at the start of the connection and after each answer. What then
//! comes is touched only when its first line reads `METHOD /… HTTP/1.x`; all else, a body after
//! `100 Continue` among it, passes as it came. No line of line protocol reads like that.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read while looking for the end of a request line; a longer line passes as it is
/// and meets the parser's own limit.
const LINE_BYTES_MAX: usize = 1 << 20;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct LenientTarget<S> {
    inner: S,
    /// A request line may come next.
    expects_line: bool,
    /// Read from the socket and not passed on yet.
    held: Vec<u8>,
    /// How much of `held` may be passed on, once it has been looked at.
    passed: usize,
    ready: bool,
}

impl<S> LenientTarget<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self {
            inner,
            expects_line: true,
            held: Vec::new(),
            passed: 0,
            ready: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LenientTarget<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.expects_line && !this.ready {
            let mut chunk = [0; 4096];
            let mut read = ReadBuf::new(&mut chunk);
            match Pin::new(&mut this.inner).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            let at_end = read.filled().is_empty();
            this.held.extend_from_slice(read.filled());
            let line_end = memchr(b'\n', &this.held);
            if line_end.is_some() || at_end || !may_be_request_line(&this.held) {
                if let Some(end) = line_end
                    && let Some(line) = encoded(&this.held[..end])
                {
                    this.held.splice(..end, line);
                }
                this.ready = true;
            }
        }
        if this.ready {
            let rest = &this.held[this.passed..];
            let len = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..len]);
            this.passed += len;
            if this.passed == this.held.len() {
                this.held.clear();
                this.passed = 0;
                this.ready = false;
                this.expects_line = false;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LenientTarget<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.expects_line = true;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.expects_line = true;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// True while `start`, which holds no newline, may grow into a request line.
fn may_be_request_line(start: &[u8]) -> bool {
    let method = start
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    let is_method = method == start.len()
        || method > 0 && matches!(&start[method..], [b' '] | [b' ', b'/', ..]);
    is_method && start.len() < LINE_BYTES_MAX
}

/// The request line with its target encoded; `None` when it is none or needs no change.
fn encoded(line: &[u8]) -> Option<Vec<u8>> {
    let method_end = memchr(b' ', line)?;
    let version_start = memchr::memrchr(b' ', line)?;
    let version = &line[version_start + 1..];
    let target = line.get(method_end + 1..version_start)?;
    let is_request = line[..method_end].iter().all(u8::is_ascii_uppercase)
        && target.first() == Some(&b'/')
        && version.starts_with(b"HTTP/1.");
    let foreign = |byte: &u8| {
        matches!(
            byte,
            b'"' | b'<' | b'>' | b' ' | b'\\' | b'^' | b'`' | 0x80..
        )
    };
    if !is_request || !target.iter().any(foreign) {
        return None;
    }
    let mut out = line[..=method_end].to_vec();
    for byte in target {
        if foreign(byte) {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(*byte);
        }
    }
    out.extend_from_slice(&line[version_start..]);
    Some(out)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What comes out when `pieces` come in one after the other, an answer being written before
    /// each but the first.
    async fn pass(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = LenientTarget::new(server);
        let mut out = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            if at > 0 {
                server.write_all(b"!").await.unwrap();
                client.read_u8().await.unwrap();
            }
            for part in piece.chunks(7) {
                client.write_all(part).await.unwrap();
                // Reads what there is; a held line gives nothing yet.
                let mut buf = [0; 256];
                let read = server.read(&mut buf);
                let waited = tokio::time::timeout(std::time::Duration::from_millis(5), read).await;
                if let Ok(len) = waited {
                    out.extend_from_slice(&buf[..len.unwrap()]);
                }
            }
        }
        drop(client);
        server.read_to_end(&mut out).await.unwrap();
        out
    }

    #[tokio::test]
    async fn quotes_in_a_target_are_encoded_on_every_request_of_a_connection() {
        let first = b"POST /query?q=SELECT+\"v\" HTTP/1.1\r\nContent-Length: 4\r\n\r\n\"b\"<";
        let second = b"GET /query?q=a<\xc3\xa4> HTTP/1.1\r\n\r\n";
        let out = pass(&[first, second]).await;
        let expected = "POST /query?q=SELECT+%22v%22 HTTP/1.1\r\nContent-Length: 4\r\n\r\n\"b\"<\
            GET /query?q=a%3C%C3%A4%3E HTTP/1.1\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[tokio::test]
    async fn bodies_pass_as_they_came() {
        let head = b"POST /write?db=x HTTP/1.1\r\nExpect: 100-continue\r\n\r\n".as_slice();
        for body in [
            b"cpu v=\"a <b>\" 1\nGET /\"x\" HTTP/1.1\r\n".as_slice(),
            b"GET v=\"/x\" 5\n",
            b"\x1f\x8b\"\"\n",
            b"POST",
        ] {
            let out = pass(&[head, body]).await;
            assert_eq!(out, [head, body].concat());
        }
    }

    #[test]
    fn a_line_that_is_no_request_line_is_left_alone() {
        for line in [
            b"GET /a HTTP/1.1".as_slice(),
            b"m \"x\" HTTP/1.1",
            b"GET \"/\" 1",
            b"",
            b" ",
        ] {
            assert_eq!(encoded(line), None, "{}", String::from_utf8_lossy(line));
        }
    }
}
