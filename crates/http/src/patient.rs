//! Patience with an end: a peer that takes nothing of what is sent to it loses its connection.
//!
//! Without this an answer that nobody reads would stay in memory, and its connection open, for as
//! long as the peer likes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::seats::Told;

/// A stream on which a write that makes no progress for `stall_max` is an error.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    inner: S,
    stall_max: Duration,
    /// Runs while a write or a flush waits.
    waiting: Option<Pin<Box<Sleep>>>,
    told: Arc<Told>,
}

impl<S> Patient<S> {
    pub(crate) const fn new(inner: S, stall_max: Duration, told: Arc<Told>) -> Self {
        Self {
            inner,
            stall_max,
            waiting: None,
            told,
        }
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if self.waiting.take().is_some() {
                self.told.unread.store(false, Ordering::Relaxed);
            }
            return polled;
        }
        let stall_max = self.stall_max;
        let waiting = self.waiting.get_or_insert_with(|| {
            self.told.unread.store(true, Ordering::Relaxed);
            Box::pin(tokio::time::sleep(stall_max))
        });
        match waiting.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the peer took nothing for {} ms", stall_max.as_millis()),
            ))),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_given_up() {
        let (mut near, far) = tokio::io::duplex(4);
        let told = Arc::<Told>::default();
        let mut far = Patient::new(far, Duration::from_millis(50), told.clone());
        far.write_all(b"full").await.unwrap();
        assert!(!told.unread.load(Ordering::Relaxed));
        let error = far.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(told.unread.load(Ordering::Relaxed));
        // Some progress, however little, starts the time anew.
        near.read_u8().await.unwrap();
        far.write_u8(b'x').await.unwrap();
        assert!(!told.unread.load(Ordering::Relaxed));
    }
}
