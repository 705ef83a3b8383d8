//! A body written by a blocking thread, or by a task, while it is sent.
//!
//! A bounded channel lies between the two: a slow reader slows the writer down, one that has gone or
//! stalled ends it. What was not finished on purpose is cut off without the final chunk, so that
//! the reader can tell a short answer from a broken one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use thiserror::Error;
use tokio::{runtime::Handle, sync::mpsc};

use crate::Body;

/// The reader has gone away, or took nothing for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the reader has gone")]
pub struct Gone;

/// The writer ended without [`StreamWriter::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the body ended before it was complete")]
pub struct Aborted;

enum Piece {
    Data(Bytes),
    End,
}

/// The side that writes; used from a thread that may block, or with [`StreamWriter::push`] from a task.
#[derive(Debug)]
pub struct StreamWriter {
    pieces: mpsc::Sender<Piece>,
    handle: Handle,
    stall_max: Duration,
    gone: Arc<AtomicBool>,
}

/// The side that is read, inside a [`Body`].
#[derive(Debug)]
pub(crate) struct StreamReader {
    pieces: mpsc::Receiver<Piece>,
    done: bool,
    gone: Arc<AtomicBool>,
}

/// Opens a body of `pieces_max` waiting pieces at most. A reader that takes no piece for
/// `stall_max` counts as gone.
///
/// `gone` becomes true when the body is dropped, read to its end or not: who computes between two
/// pieces looks at it.
///
/// # Panics
/// Outside of a tokio runtime, or when `pieces_max` is 0.
#[must_use]
pub fn stream(
    pieces_max: usize,
    stall_max: Duration,
    gone: Arc<AtomicBool>,
) -> (StreamWriter, Body) {
    let (sender, receiver) = mpsc::channel(pieces_max);
    let writer = StreamWriter {
        pieces: sender,
        handle: Handle::current(),
        stall_max,
        gone: gone.clone(),
    };
    (
        writer,
        Body::stream(StreamReader {
            pieces: receiver,
            done: false,
            gone,
        }),
    )
}

impl StreamWriter {
    /// Hands over a piece; waits while the reader is behind.
    ///
    /// # Errors
    /// [`Gone`] when nobody reads any more; every later call fails too.
    pub fn write(&self, piece: Bytes) -> Result<(), Gone> {
        if piece.is_empty() {
            return Ok(());
        }
        self.send(Piece::Data(piece))
    }

    /// Ends the body properly.
    ///
    /// # Errors
    /// [`Gone`] when nobody reads any more.
    pub fn finish(self) -> Result<(), Gone> {
        self.send(Piece::End)
    }

    /// As [`StreamWriter::write`], for who must not block.
    ///
    /// # Errors
    /// [`Gone`] when nobody reads any more, or took nothing for too long.
    pub async fn push(&self, piece: Bytes) -> Result<(), Gone> {
        if piece.is_empty() {
            return Ok(());
        }
        self.push_piece(Piece::Data(piece)).await
    }

    /// As [`StreamWriter::finish`], for who must not block.
    ///
    /// # Errors
    /// [`Gone`] when nobody reads any more.
    pub async fn end(self) -> Result<(), Gone> {
        self.push_piece(Piece::End).await
    }

    async fn push_piece(&self, piece: Piece) -> Result<(), Gone> {
        let sent = self.pieces.send_timeout(piece, self.stall_max).await;
        sent.map_err(|_| {
            self.gone.store(true, Ordering::Relaxed);
            Gone
        })
    }

    fn send(&self, piece: Piece) -> Result<(), Gone> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(Gone);
        }
        let piece = match self.pieces.try_send(piece) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Gone),
            Err(mpsc::error::TrySendError::Full(piece)) => piece,
        };
        let sent = self
            .handle
            .block_on(self.pieces.send_timeout(piece, self.stall_max));
        sent.map_err(|_| {
            self.gone.store(true, Ordering::Relaxed);
            Gone
        })
    }
}

impl StreamReader {
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Aborted>>> {
        if self.done {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(cx).map(|piece| match piece {
            Some(Piece::Data(piece)) => Some(Ok(piece)),
            Some(Piece::End) => {
                self.done = true;
                None
            }
            None => {
                self.done = true;
                Some(Err(Aborted))
            }
        })
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::Pin};

    use http_body::Body as _;

    use super::*;

    async fn next(body: &mut Body) -> Option<Result<Bytes, Aborted>> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pieces_arrive_and_the_end_is_told_from_a_break() {
        let (writer, mut body) = stream(1, Duration::from_secs(5), Arc::default());
        let thread = tokio::task::spawn_blocking(move || {
            (0..100_u8).try_for_each(|n| writer.write(Bytes::from(vec![n])))?;
            writer.finish()
        });
        for n in 0..100_u8 {
            assert_eq!(next(&mut body).await, Some(Ok(Bytes::from(vec![n]))));
        }
        assert_eq!(next(&mut body).await, None);
        assert_eq!(thread.await.unwrap(), Ok(()));

        let (writer, mut body) = stream(1, Duration::from_secs(5), Arc::default());
        writer.write(Bytes::from_static(b"x")).unwrap();
        drop(writer);
        assert_eq!(next(&mut body).await, Some(Ok(Bytes::from_static(b"x"))));
        assert_eq!(next(&mut body).await, Some(Err(Aborted)));
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reader_that_leaves_or_stalls_ends_the_writer() {
        let gone = Arc::new(AtomicBool::new(false));
        let (writer, body) = stream(1, Duration::from_secs(60), gone.clone());
        drop(body);
        assert!(gone.load(Ordering::Relaxed));
        assert_eq!(writer.write(Bytes::from_static(b"x")), Err(Gone));

        let (writer, _body) = stream(1, Duration::from_millis(20), Arc::default());
        let written = tokio::task::spawn_blocking(move || {
            writer.write(Bytes::from_static(b"fits"))?;
            assert_eq!(writer.write(Bytes::from_static(b"waits")), Err(Gone));
            writer.write(Bytes::from_static(b"later"))
        });
        assert_eq!(written.await.unwrap(), Err(Gone));
    }
}
