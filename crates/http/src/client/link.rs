//! What carries bytes to a server: a socket, TLS over one, or a stream that a test made.

use std::{
    fmt::Debug,
    future::Future,
    io,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tls::Transport;

/// A stream of bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Unpin> Stream for S {}

/// A connection that is being opened.
pub type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Opens connections in the place of TCP: the seam for networks that a test makes up.
pub trait Network: Debug + Send + Sync {
    /// Connects to a host, given by name or address, and a port.
    fn connect(&self, host: &str, port: u16) -> Opening;
}

/// See the module's head.
#[derive(Debug)]
pub(super) enum Link {
    Socket(Transport),
    Other(Box<dyn Stream>),
}

impl Link {
    /// Whether something can be read, or the other end has closed, as far as the event loop has heard. It
    /// hears of that at once, so the system need not be asked.
    pub(super) fn has_something(&self) -> bool {
        let Self::Socket(transport) = self else {
            return false;
        };
        // Nobody waits for it: the next reader says who does.
        let mut cx = Context::from_waker(Waker::noop());
        transport.socket().poll_read_ready(&mut cx).is_ready()
    }
}

macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Link::Socket($stream) => $call,
            Link::Other($stream) => $call,
        }
    };
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Socket(stream) => stream.is_write_vectored(),
            Self::Other(stream) => stream.is_write_vectored(),
        }
    }
}
