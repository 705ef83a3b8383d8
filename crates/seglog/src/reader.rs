//! The reader: follows a log while others append to it.
//!
//! It sees durable records only, so what it hands out never vanishes. It holds no lock while it reads
//! and keeps its segment's file open, so that a segment can be cut while it is being read. Where the file of a cut segment is
//! written again, its bytes stop being this segment's: whoever finds that looks whether the segment is still the log's.

use std::io;
use std::sync::Arc;

use crate::commit::Shared;
use crate::scan::{Frame, Scan};
use crate::segment::{HEADER_BYTES, SegmentId};
use crate::{Error, Sequence};

/// Reads the durable records of a log in order. Keeps the log's directory locked.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    next: Sequence,
    at: Option<Place>,
}

/// The segment that is being read.
#[derive(Debug)]
struct Place {
    id: SegmentId,
    scan: Scan,
    offset: u64,
}

impl Place {
    /// The frame here; if it is none of those below `end`, the next one from `sequence` on that is.
    fn frame(&mut self, sequence: Sequence, end: Sequence) -> io::Result<Option<Frame>> {
        let frame = match self.scan.frame_at(self.offset)? {
            Some(frame) if frame.header.sequence < end => Some(frame),
            _ => self.scan.find(self.offset, sequence)?,
        };
        Ok(frame.filter(|frame| frame.header.sequence < end))
    }
}

/// What the log says about a sequence.
struct Target {
    id: SegmentId,
    first_sequence: Sequence,
    bytes: u64,
    record_bytes_max: u32,
    /// Records below this that are not found in the segment are lost.
    end: Sequence,
    is_last: bool,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, from: Sequence) -> Self {
        Reader {
            shared,
            next: from,
            at: None,
        }
    }

    /// The number of the record that comes next, or a lower one.
    #[must_use]
    pub fn position(&self) -> Sequence {
        self.next
    }

    /// The next durable record; none at the present end, where a later call may find more. Records cut in
    /// the meantime are passed over.
    ///
    /// # Errors
    /// [`Error::Corrupt`] once for each damaged place; the next call goes on behind it. [`Error::Io`] where
    /// the file system refuses; the next call tries the same again.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator ends for good; this one goes on when more is appended"
    )]
    pub fn next(&mut self) -> Result<Option<(Sequence, Vec<u8>)>, Error> {
        loop {
            let Some(target) = self.target() else {
                return Ok(None);
            };
            self.next = self.next.max(target.first_sequence);
            if !self.enter(&target)? {
                continue;
            }
            let path = target.id.path(&self.shared.dir);
            let Some(place) = &mut self.at else {
                continue;
            };
            let failed = |e| Error::io("read", &path, e);
            let from = place.offset;
            let frame = place.frame(self.next, target.end);
            let found = match &frame {
                Ok(frame) => frame.map_or(target.end, |frame| frame.header.sequence),
                Err(_) => target.end,
            };
            if found > self.next && !Self::is_listed(&self.shared, target.id) {
                // Cut meanwhile, and its file may be written again already.
                continue;
            }
            let frame = frame.map_err(failed)?;
            if let Some(frame) = frame.filter(|frame| frame.header.sequence < self.next) {
                place.offset = frame.end();
                continue;
            }
            if found > self.next {
                // At a hole. The place stands behind it before the error is given.
                let lost = self.next..found;
                self.next = found;
                place.offset = frame.map_or(target.bytes, |frame| frame.offset);
                return Err(Error::Corrupt {
                    file: path,
                    offset: from,
                    sequences: lost,
                });
            }
            let Some(frame) = frame else {
                if target.is_last {
                    return Ok(None);
                }
                continue;
            };
            let record = place.scan.record(&frame).map_err(failed)?.to_vec();
            place.offset = frame.end();
            self.next = frame.header.sequence + 1;
            return Ok(Some((frame.header.sequence, record)));
        }
    }

    /// The segment that holds the next record, or the first one behind it; none at the end.
    fn target(&self) -> Option<Target> {
        let state = self.shared.lock();
        if self.next >= state.durable_end {
            return None;
        }
        let behind = state
            .segments
            .partition_point(|segment| segment.previous_end <= self.next);
        // The segment before is the one, unless it ended below: then the numbers up to the next were skipped.
        let at = behind.saturating_sub(1);
        let segment = state.segments.get(at)?;
        let following = state.segments.get(at + 1);
        Some(Target {
            id: segment.id,
            first_sequence: segment.first_sequence,
            bytes: segment.bytes,
            record_bytes_max: segment.record_bytes_max,
            end: following.map_or(state.durable_end, |next| next.previous_end),
            is_last: following.is_none(),
        })
    }

    /// Goes to the target segment, if not there yet. False when it was cut meanwhile.
    fn enter(&mut self, target: &Target) -> Result<bool, Error> {
        if let Some(place) = &mut self.at
            && place.id == target.id
        {
            place.scan.extend_to(target.bytes);
            return Ok(true);
        }
        let path = target.id.path(&self.shared.dir);
        let file = match self.shared.vfs.open_read(&path) {
            Ok(file) => file,
            Err(e)
                if e.kind() == io::ErrorKind::NotFound
                    && !Self::is_listed(&self.shared, target.id) =>
            {
                return Ok(false);
            }
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        self.at = Some(Place {
            id: target.id,
            scan: Scan::new(file, target.id.salt, target.record_bytes_max, target.bytes),
            offset: HEADER_BYTES,
        });
        Ok(true)
    }

    fn is_listed(shared: &Shared, id: SegmentId) -> bool {
        let state = shared.lock();
        state.segments.iter().any(|segment| segment.id == id)
    }
}
