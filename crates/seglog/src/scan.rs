//! Reads the frames of one segment, and finds the next one behind damage.
//!
//! Lengths come from the disk, so nothing is believed before its checksum fits, and no buffer grows
//! beyond a frame of `record_bytes_max`.

use std::io;
use std::sync::Arc;

use memchr::memmem;
use tandem_vfs::File;

use crate::Sequence;
use crate::frame::{self, FrameHeader, HEADER_BYTES};

/// Bytes read at once.
const CHUNK_BYTES: u64 = 128 << 10;

/// A valid frame and where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) offset: u64,
    pub(crate) header: FrameHeader,
    /// The header's checksum, to which the next frame refers.
    pub(crate) crc: u32,
}

impl Frame {
    /// The byte behind the frame.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.header.frame_bytes()
    }
}

/// Reads one segment up to a limit.
#[derive(Debug)]
pub(crate) struct Scan {
    file: Arc<dyn File>,
    salt: u32,
    record_bytes_max: u32,
    limit: u64,
    window: Vec<u8>,
    window_offset: u64,
}

enum Probe {
    Valid(Frame),
    /// The header is good, the record is not: the next frame can begin here at the earliest.
    BadRecord(u64),
    NoHeader,
}

impl Scan {
    /// Reads the bytes of `file` below `limit`, which must not be past its end.
    pub(crate) fn new(file: Arc<dyn File>, salt: u32, record_bytes_max: u32, limit: u64) -> Self {
        Scan {
            file,
            salt,
            record_bytes_max,
            limit,
            window: Vec::new(),
            window_offset: 0,
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Lets the scan see what has been appended since.
    pub(crate) fn extend_to(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// The frame that begins at `offset`, if a valid one does.
    pub(crate) fn frame_at(&mut self, offset: u64) -> io::Result<Option<Frame>> {
        match self.probe(offset)? {
            Probe::Valid(frame) => Ok(Some(frame)),
            Probe::BadRecord(_) | Probe::NoHeader => Ok(None),
        }
    }

    /// The first valid frame at or behind `offset` whose sequence is not below `sequence_min`.
    pub(crate) fn find(
        &mut self,
        mut offset: u64,
        sequence_min: Sequence,
    ) -> io::Result<Option<Frame>> {
        loop {
            match self.probe(offset)? {
                Probe::Valid(frame) if frame.header.sequence >= sequence_min => {
                    return Ok(Some(frame));
                }
                Probe::Valid(frame) => offset = frame.end(),
                Probe::BadRecord(behind) => offset = behind,
                Probe::NoHeader => match self.find_marker(offset.saturating_add(1))? {
                    Some(at) => offset = at,
                    None => return Ok(None),
                },
            }
        }
    }

    /// The record of a frame that this scan found.
    pub(crate) fn record(&mut self, frame: &Frame) -> io::Result<&[u8]> {
        let bytes = self.bytes(frame.offset, frame.header.frame_bytes())?;
        Ok(bytes.get(HEADER_BYTES..).unwrap_or_default())
    }

    fn probe(&mut self, offset: u64) -> io::Result<Probe> {
        if self.left(offset) < HEADER_BYTES as u64 {
            return Ok(Probe::NoHeader);
        }
        let salt = self.salt;
        let (header, crc) =
            match FrameHeader::decode(self.bytes(offset, HEADER_BYTES as u64)?, salt) {
                Some(found) if found.0.length <= self.record_bytes_max => found,
                _ => return Ok(Probe::NoHeader),
            };
        let frame = Frame {
            offset,
            header,
            crc,
        };
        if self.left(offset) < header.frame_bytes() {
            return Ok(Probe::BadRecord(self.limit));
        }
        let record = self.record(&frame)?;
        if frame::record_crc(&[record]) == header.record_crc {
            Ok(Probe::Valid(frame))
        } else {
            Ok(Probe::BadRecord(frame.end()))
        }
    }

    fn find_marker(&mut self, mut offset: u64) -> io::Result<Option<u64>> {
        while self.left(offset) >= HEADER_BYTES as u64 {
            let length = self.left(offset).min(CHUNK_BYTES);
            if let Some(at) = memmem::find(self.bytes(offset, length)?, &frame::MARKER) {
                return Ok(Some(offset + at as u64));
            }
            offset += length - (frame::MARKER.len() as u64 - 1);
        }
        Ok(None)
    }

    fn left(&self, offset: u64) -> u64 {
        self.limit.saturating_sub(offset)
    }

    /// `length` bytes at `offset`, which must lie below the limit.
    fn bytes(&mut self, offset: u64, length: u64) -> io::Result<&[u8]> {
        let end = offset + length;
        let held = self.window_offset..self.window_offset + self.window.len() as u64;
        if offset < held.start || end > held.end {
            let length = self.left(offset).min(length.max(CHUNK_BYTES));
            // A segment's length fits the address space where its frames do.
            let length = usize::try_from(length).map_err(io::Error::other)?;
            if self.window.capacity() > 4 * length {
                self.window = Vec::new();
            }
            self.window.resize(length, 0);
            self.window_offset = offset;
            if let Err(e) = self.file.read_exact_at(&mut self.window, offset) {
                self.window.clear();
                return Err(e);
            }
        }
        let from = usize::try_from(offset - self.window_offset).unwrap_or(usize::MAX);
        let to = usize::try_from(end - self.window_offset).unwrap_or(usize::MAX);
        self.window
            .get(from..to)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
