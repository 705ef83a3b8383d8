//! Where a result's bytes go: a buffer first, and the network when there is more.
//!
//! A small answer leaves in one piece with its length known. Once [`HOLD_BYTES`] are there, the
//! answer begins to flow through a bounded channel, and what has left cannot be taken back.
//! Runs on a thread that may block.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tandem_http::{Body, Gone, StreamWriter, stream};
use tokio::sync::oneshot;

/// Bytes that are held back before the first of them leaves.
const HOLD_BYTES: usize = 256 * 1024;
/// Bytes of the pieces that leave after that.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that may wait for a slow reader.
const PIECES_MAX: usize = 4;
/// How hard gzip tries; as quick as it can be, results shrink well all the same.
const GZIP_LEVEL: Compression = Compression::new(1);

/// How an answer's body begins.
#[derive(Debug)]
pub(crate) enum Opening {
    /// It is all here.
    Whole(Bytes),
    /// More will follow.
    Stream(Body),
}

/// Takes the bytes of one answer.
pub(crate) struct Outlet {
    buffer: Vec<u8>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    state: State,
    stall_max: Duration,
    gone: Arc<AtomicBool>,
    /// Whether the answer may only leave as a whole.
    in_one_piece: bool,
    /// Bytes of the answer before gzip.
    bytes: u64,
}

enum State {
    Held(oneshot::Sender<Opening>),
    Flowing(StreamWriter),
    Gone,
}

impl Outlet {
    /// An outlet that tells `opening` how the body begins. A reader that takes nothing for
    /// `stall_max` counts as gone; `gone` is set when it is.
    pub(crate) fn new(
        opening: oneshot::Sender<Opening>,
        gzip: bool,
        stall_max: Duration,
        gone: Arc<AtomicBool>,
    ) -> Self {
        Self {
            buffer: Vec::new(),
            gzip: gzip.then(|| GzEncoder::new(Vec::new(), GZIP_LEVEL)),
            state: State::Held(opening),
            stall_max,
            gone,
            in_one_piece: false,
            bytes: 0,
        }
    }

    /// As it is, but an answer that would leave in pieces counts as one without a reader.
    pub(crate) fn in_one_piece(self) -> Self {
        Self {
            in_one_piece: true,
            ..self
        }
    }

    /// What was written and has not left.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Whether all that was written is still in the buffer.
    pub(crate) fn holds_all(&self) -> bool {
        matches!(self.state, State::Held(_))
    }

    /// Sends the buffer if there is enough in it; true when it did.
    pub(crate) fn flush_if_full(&mut self) -> Result<bool, Gone> {
        let enough = if self.holds_all() {
            HOLD_BYTES
        } else {
            PIECE_BYTES
        };
        if self.buffer.len() < enough {
            // Long computations without output notice here that nobody waits any more.
            return if self.gone.load(Ordering::Relaxed) {
                Err(Gone)
            } else {
                Ok(false)
            };
        }
        self.flush().map(|()| true)
    }

    /// Sends all that was written.
    pub(crate) fn flush(&mut self) -> Result<(), Gone> {
        self.bytes += self.buffer.len() as u64;
        // The next piece will be about as long as pieces are.
        let next = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        let mut piece = std::mem::replace(&mut self.buffer, next);
        if let Some(gzip) = &mut self.gzip {
            // Writing to a `Vec` does not fail; the flush ends a block that the reader can inflate.
            let _ = gzip.write_all(&piece).and_then(|()| gzip.flush());
            piece = std::mem::take(gzip.get_mut());
        }
        self.send(piece)
    }

    /// Sends the rest and ends the answer; returns its length before gzip.
    pub(crate) fn finish(mut self) -> Result<u64, Gone> {
        self.bytes += self.buffer.len() as u64;
        let mut rest = std::mem::take(&mut self.buffer);
        if let Some(mut gzip) = self.gzip.take() {
            let _ = gzip.write_all(&rest);
            rest = gzip.finish().unwrap_or_default();
        }
        match self.state {
            State::Held(opening) => opening
                .send(Opening::Whole(rest.into()))
                .map_err(|_| Gone)?,
            State::Flowing(writer) => {
                writer.write(rest.into())?;
                writer.finish()?;
            }
            State::Gone => return Err(Gone),
        }
        Ok(self.bytes)
    }

    fn send(&mut self, piece: Vec<u8>) -> Result<(), Gone> {
        if self.in_one_piece {
            self.state = State::Gone;
            return Err(Gone);
        }
        if let State::Held(_) = self.state {
            let (writer, body) = stream(PIECES_MAX, self.stall_max, self.gone.clone());
            if let State::Held(opening) = std::mem::replace(&mut self.state, State::Flowing(writer))
            {
                opening.send(Opening::Stream(body)).map_err(|_| Gone)?;
            }
        }
        let sent = match &self.state {
            State::Flowing(writer) => writer.write(piece.into()),
            _ => Err(Gone),
        };
        if sent.is_err() {
            self.state = State::Gone;
        }
        sent
    }
}
