//! The walk through one segment: visits its records in order and judges what is no record.
//!
//! What is not the expected frame is *damage* where something proves that the record had been durable, else the
//! *torn* end of the log. The proof is a later segment ([`Bound::Next`]) or a later frame's durable end. Neither can be left over
//! from what a recycled file held before: that has another salt.

use std::io;
use std::ops::Range;
use std::path::Path;

use crate::scan::{Frame, Scan};
use crate::{Error, Sequence, Visitor, frame};

/// Where a segment's records end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Another segment follows; below this number, if its header tells, all was durable when it was begun.
    Next(Option<Sequence>),
    /// This is the last one: what frames prove, and nothing else.
    Last,
}

impl Bound {
    fn is_reached(self, sequence: Sequence) -> bool {
        matches!(self, Bound::Next(Some(end)) if sequence >= end)
    }
}

/// A place where records were and are no more.
#[derive(Debug)]
pub(crate) struct Hole {
    pub(crate) offset: u64,
    /// The records lost; empty where none is known to be.
    pub(crate) sequences: Range<Sequence>,
}

/// A walk, and when it has been run, what came of it.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) scan: Scan,
    pub(crate) bound: Bound,
    /// The record that comes next; in the end, the one behind all that were found or are known lost.
    pub(crate) end: Sequence,
    /// Where it should be; in the end, the end of the last valid frame.
    pub(crate) offset: u64,
    /// Where the last group begins.
    pub(crate) group_offset: u64,
    /// What the next frame has to refer to; unknown behind a hole.
    pub(crate) last_crc: Option<u32>,
    /// Records visited.
    pub(crate) records: u64,
    /// The segment goes on with bytes that do not belong to the log.
    pub(crate) torn: bool,
    pub(crate) holes: Vec<Hole>,
    /// Bytes of an earlier segment may lie behind the end.
    pub(crate) is_recycled: bool,
    /// The highest durable end that any frame behind the first hole carries.
    pub(crate) proof: Option<Sequence>,
}

impl Walk {
    /// Walks to the end of the segment.
    pub(crate) fn run(mut self, path: &Path, visit: &mut Visitor<'_>) -> Result<Self, Error> {
        let failed = |e| Error::io("read", path, e);
        while !self.bound.is_reached(self.end) {
            let frame = self.scan.frame_at(self.offset).map_err(failed)?;
            match frame.filter(|frame| self.fits(frame)) {
                Some(frame) => {
                    let record = self.scan.record(&frame).map_err(failed)?;
                    visit(self.end, record).map_err(|source| Error::Visit {
                        sequence: self.end,
                        source: source.into(),
                    })?;
                    self.pass(&frame);
                }
                None if self.may_end_here() => break,
                None => {
                    if !self.judge().map_err(failed)? {
                        break;
                    }
                }
            }
        }
        Ok(self)
    }

    /// Whether this is the frame that should be here, and not one left over from a group that failed.
    fn fits(&self, frame: &Frame) -> bool {
        let refers = |crc| crc == frame.header.previous_crc;
        frame.header.sequence == self.end && self.last_crc.is_none_or(refers)
    }

    fn pass(&mut self, frame: &Frame) {
        if frame.header.durable_end == self.end {
            self.group_offset = self.offset;
        }
        self.records += 1;
        self.end += 1;
        self.offset = frame.end();
        self.last_crc = Some(frame.crc);
    }

    /// At the end of the file, and no more is known to have been there.
    fn may_end_here(&self) -> bool {
        self.offset >= self.scan.limit() && matches!(self.bound, Bound::Last | Bound::Next(None))
    }

    /// Decides what the bytes here are, and goes behind them if the log goes on there.
    fn judge(&mut self) -> io::Result<bool> {
        let resume = self
            .scan
            .find(self.offset, self.end)?
            .filter(|frame| !self.bound.is_reached(frame.header.sequence));
        let resume_at = resume.map(|frame| frame.header.sequence);
        if self.bound == Bound::Next(None) && self.is_all_left_over()? {
            return Ok(false);
        }
        let lost_end = match self.bound {
            // All was durable: up to the end, or as far as is known.
            Bound::Next(end) => resume_at.or(end).unwrap_or(self.end),
            Bound::Last => {
                let proof = match self.proof {
                    Some(proof) => proof,
                    None => proof_from(&mut self.scan, resume)?,
                };
                self.proof = Some(proof);
                if proof > self.end {
                    resume_at.map_or(proof, |at| at.min(proof))
                } else if self.scan.unreadable().is_some_and(|at| at >= self.offset) {
                    // Not known to have been durable, but not to be shrugged off either.
                    resume_at.unwrap_or_else(|| self.end_at_most())
                } else {
                    self.torn = !self.is_all_left_over()?;
                    return Ok(false);
                }
            }
        };
        self.holes.push(Hole {
            offset: self.offset,
            sequences: self.end..lost_end,
        });
        self.end = lost_end;
        self.last_crc = None;
        match resume {
            Some(frame) if frame.header.sequence == lost_end => self.offset = frame.offset,
            Some(_) => {
                // Damage up to what is proven, and behind it a group that was cut short.
                self.torn = true;
                return Ok(false);
            }
            None => return Ok(false),
        }
        Ok(true)
    }
}

impl Walk {
    /// Whether all from here on is an earlier segment's, for all that can be told.
    fn is_all_left_over(&mut self) -> io::Result<bool> {
        let is_readable = self.scan.unreadable().is_none_or(|at| at < self.offset);
        Ok(self.is_recycled && is_readable && !self.scan.has_trace(self.offset, self.end)?)
    }

    /// The end of what the bytes from here on can have held, so that no number is given out twice.
    fn end_at_most(&self) -> Sequence {
        let bytes = self.scan.limit().saturating_sub(self.offset);
        self.end + bytes / frame::HEADER_BYTES as u64
    }
}

/// The highest durable end that a valid frame from `frame` on carries; zero if there is none.
fn proof_from(scan: &mut Scan, frame: Option<Frame>) -> io::Result<Sequence> {
    let mut next = frame;
    let mut proof = 0;
    while let Some(frame) = next {
        proof = frame.header.durable_end.max(proof);
        next = scan.find(frame.end(), frame.header.sequence + 1)?;
    }
    Ok(proof)
}
