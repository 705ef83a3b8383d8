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

/// Bytes that a disk reads as one.
const BLOCK_BYTES: u64 = 4096;

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
    /// Whether blocks that cannot be read are passed over.
    salvages: bool,
    /// Where the first of them begins.
    unreadable: Option<u64>,
}

enum Probe {
    Valid(Frame),
    /// The header is good, the record is not: its number, and where the next frame can begin at the earliest.
    BadRecord(Sequence, u64),
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
            salvages: false,
            unreadable: None,
        }
    }

    /// Takes blocks that cannot be read for zeros, instead of failing.
    pub(crate) fn salvaging(mut self) -> Self {
        self.salvages = true;
        self
    }

    /// Where the first block begins that could not be read and was taken for zeros.
    pub(crate) fn unreadable(&self) -> Option<u64> {
        self.unreadable
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
            Probe::BadRecord(..) | Probe::NoHeader => Ok(None),
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
                Probe::BadRecord(_, behind) => offset = behind,
                Probe::NoHeader => match self.find_marker(offset.saturating_add(1))? {
                    Some(at) => offset = at,
                    None => return Ok(None),
                },
            }
        }
    }

    /// Whether a header of this segment, whole, with a number not below `sequence_min` lies at or behind `offset`; the
    /// record need not be whole.
    pub(crate) fn has_trace(
        &mut self,
        mut offset: u64,
        sequence_min: Sequence,
    ) -> io::Result<bool> {
        loop {
            match self.probe(offset)? {
                Probe::Valid(frame) if frame.header.sequence >= sequence_min => return Ok(true),
                Probe::BadRecord(sequence, _) if sequence >= sequence_min => return Ok(true),
                Probe::Valid(frame) => offset = frame.end(),
                Probe::BadRecord(_, behind) => offset = behind,
                Probe::NoHeader => match self.find_marker(offset.saturating_add(1))? {
                    Some(at) => offset = at,
                    None => return Ok(false),
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
            return Ok(Probe::BadRecord(header.sequence, self.limit));
        }
        let record = self.record(&frame)?;
        if frame::record_crc(&[record]) == header.record_crc {
            Ok(Probe::Valid(frame))
        } else {
            Ok(Probe::BadRecord(header.sequence, frame.end()))
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
                if !self.salvages {
                    self.window.clear();
                    return Err(e);
                }
                self.read_blocks(offset);
            }
        }
        let from = usize::try_from(offset - self.window_offset).unwrap_or(usize::MAX);
        let to = usize::try_from(end - self.window_offset).unwrap_or(usize::MAX);
        self.window
            .get(from..to)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Scan {
    /// Fills the window from `offset` on with the blocks that can be read, and zeros.
    fn read_blocks(&mut self, offset: u64) {
        let mut at = offset;
        let mut rest = &mut self.window[..];
        while !rest.is_empty() {
            let to_border = BLOCK_BYTES - at % BLOCK_BYTES;
            let length = usize::try_from(to_border).map_or(rest.len(), |b| b.min(rest.len()));
            let (block, behind) = rest.split_at_mut(length);
            if self.file.read_exact_at(block, at).is_err() {
                block.fill(0);
                self.unreadable = Some(self.unreadable.map_or(at, |first| first.min(at)));
            }
            at += length as u64;
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tandem_testkit::{Rng, SimFs};
    use tandem_vfs::Vfs;

    use super::*;

    const SALT: u32 = 77;

    fn frame(sequence: Sequence, record: &[u8]) -> Vec<u8> {
        let header = FrameHeader {
            length: u32::try_from(record.len()).unwrap(),
            sequence,
            durable_end: sequence,
            previous_crc: 0,
            record_crc: frame::record_crc(&[record]),
        };
        [&header.encode(SALT)[..], record].concat()
    }

    fn scan(bytes: &[u8], record_bytes_max: u32) -> Scan {
        let file = SimFs::new(0).create_new(Path::new("f")).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        Scan::new(file, SALT, record_bytes_max, bytes.len() as u64)
    }

    #[test]
    fn a_frame_is_found_wherever_it_lies() {
        let record = Rng::new(1).bytes(1000);
        let frame = frame(5, &record);
        // Around the places where one read ends and the next begins.
        for middle in [0, 1, 100, CHUNK_BYTES, 2 * CHUNK_BYTES] {
            for offset in middle.saturating_sub(40)..middle + 8 {
                let mut bytes = vec![frame::MARKER[0]; offset as usize];
                bytes.extend_from_slice(&frame);
                let mut scan = scan(&bytes, 1000);
                let found = scan.find(0, 0).unwrap().unwrap();
                assert_eq!(found.offset, offset);
                assert_eq!(scan.record(&found).unwrap(), record);
                assert_eq!(found.end(), bytes.len() as u64);
                assert!(scan.find(0, 6).unwrap().is_none(), "not below the minimum");
            }
        }
    }

    #[test]
    fn a_length_above_the_limit_is_not_believed() {
        let bytes = frame(1, &[0; 10]);
        assert!(scan(&bytes, 10).frame_at(0).unwrap().is_some());
        assert!(scan(&bytes, 9).frame_at(0).unwrap().is_none());
    }

    #[test]
    fn a_damaged_record_costs_no_other() {
        let mut bytes = [frame(1, b"one"), frame(2, b"two"), frame(3, b"three")].concat();
        bytes[35 + 32] ^= 1;
        let mut scan = scan(&bytes, 100);
        let first = scan.find(0, 0).unwrap().unwrap();
        assert_eq!(first.header.sequence, 1);
        assert!(scan.frame_at(first.end()).unwrap().is_none());
        let next = scan.find(first.end(), 2).unwrap().unwrap();
        assert_eq!((next.header.sequence, next.offset), (3, 70));
    }

    #[test]
    fn a_record_cut_short_is_none() {
        let bytes = [frame(1, b"one"), frame(2, b"two")].concat();
        for length in 35..bytes.len() {
            let mut scan = scan(&bytes[..length], 100);
            assert!(scan.find(35, 0).unwrap().is_none());
        }
    }
}
