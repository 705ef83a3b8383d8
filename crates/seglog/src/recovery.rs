//! Opening: one pass over all segments that visits what survived and tells damage from a torn tail.
//! The rules are in the crate's head.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_vfs::{DirLock, File, Vfs};

use crate::peek::{Peek, PeekSegment};
use crate::report::{Corruption, Damage, Recovery, TornTail};
use crate::scan::Scan;
use crate::segment::{HEADER_BYTES, Opening, Segment, SegmentHeader, SegmentId};
use crate::spare::Spares;
use crate::walk::{Bound, Walk};
use crate::writer::{Active, WriteError, begin_segment, id_after, random_salt};
use crate::{Error, Options, Sequence, Visitor, dir, quarantine};

/// Bytes of the last group that are written again at once.
const COPY_BYTES: usize = 1 << 20;

/// An open log, before it is one.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) recovery: Recovery,
    pub(crate) active: Active,
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) next_sequence: Sequence,
    pub(crate) spares: Spares,
}

/// Makes the directory durable and locks it.
pub(crate) fn prepare_dir(vfs: &dyn Vfs, path: &Path) -> Result<Box<dyn DirLock>, Error> {
    dir::create_durable(vfs, path).map_err(|e| Error::io("make", path, e))?;
    vfs.lock_dir(path).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock => Error::Locked {
            dir: path.to_owned(),
        },
        _ => Error::io("lock", path, e),
    })
}

/// A segment file as it was found.
#[derive(Debug)]
struct Found {
    id: SegmentId,
    path: PathBuf,
    header: Option<SegmentHeader>,
    bytes: u64,
}

/// Visits all records of the log in `dir` and readies it for more.
pub(crate) fn recover(
    vfs: &dyn Vfs,
    dir: &Path,
    options: &Options,
    visit: &mut Visitor<'_>,
) -> Result<Recovered, Error> {
    let (mut pass, found, unfinished) = visit_all(vfs, dir, options, visit, false)?;
    if let Some(file) = &unfinished {
        pass.remove_unfinished(file)?;
    }
    pass.finish(found.last().map(|file| file.id))
}

/// Visits all records of the log in `dir` and changes nothing.
pub(crate) fn look(
    vfs: &dyn Vfs,
    dir: &Path,
    options: &Options,
    visit: &mut Visitor<'_>,
) -> Result<Peek, Error> {
    let (pass, found, unfinished) = visit_all(vfs, dir, options, visit, true)?;
    let mut segments = Vec::with_capacity(found.len() + 1);
    for (file, segment) in found.iter().zip(&pass.segments) {
        segments.push(PeekSegment {
            path: file.path.clone(),
            first_sequence: segment.first_sequence,
            previous_end: segment.previous_end,
            bytes: segment.bytes,
            file_bytes: file.bytes,
        });
    }
    Ok(Peek {
        next_sequence: pass.expected.unwrap_or(0),
        recovery: pass.recovery,
        segments,
        unfinished: unfinished.map(|file| file.path),
    })
}

/// Visits all records; gives back the pass, the segments, and the last one apart when it was not begun to its end.
fn visit_all<'a>(
    vfs: &'a dyn Vfs,
    dir: &'a Path,
    options: &'a Options,
    visit: &'a mut Visitor<'a>,
    read_only: bool,
) -> Result<(Pass<'a>, Vec<Found>, Option<Found>), Error> {
    let mut found = list(vfs, dir)?;
    let unfinished = found.pop_if(|file| file.header.is_none() && file.bytes <= HEADER_BYTES);
    let mut pass = Pass {
        vfs,
        dir,
        options,
        visit,
        recovery: Recovery::default(),
        segments: VecDeque::new(),
        expected: None,
        last: None,
        read_only,
    };
    for (at, file) in found.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| found.get(at));
        let after = found.get(at + 1);
        let bound = match after {
            Some(after) => Bound::Next(
                after
                    .header
                    .filter(|_| after.id.index == file.id.index + 1)
                    .map(|header| header.previous_end),
            ),
            None if unfinished.is_some() => Bound::Next(None),
            None => Bound::Last,
        };
        pass.segment(file, before, after, bound)?;
    }
    Ok((pass, found, unfinished))
}

/// The segment files in order, their headers read.
fn list(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<Found>, Error> {
    let names = vfs.read_dir(dir).map_err(|e| Error::io("list", dir, e))?;
    let mut ids: Vec<_> = names
        .iter()
        .filter_map(|name| SegmentId::parse(name))
        .collect();
    ids.sort_unstable();
    let mut found: Vec<Found> = Vec::with_capacity(ids.len());
    for id in ids {
        let path = id.path(dir);
        if let Some(twin) = found.last()
            && twin.id.index == id.index
        {
            return Err(Error::Twins {
                first: twin.path.clone(),
                second: path,
            });
        }
        let failed = |e| Error::io("read", &path, e);
        let file = vfs.open_read(&path).map_err(failed)?;
        let bytes = file.len().map_err(failed)?;
        let mut head = [0; HEADER_BYTES as usize];
        let header = if bytes < HEADER_BYTES {
            None
        } else {
            // One more try, for what passes; what does not is damage.
            let read = file.read_exact_at(&mut head, 0);
            if read.is_err() && file.read_exact_at(&mut head, 0).is_err() {
                head.fill(0);
            }
            match SegmentHeader::decode(&head, id) {
                Opening::Header(header) => Some(header),
                Opening::Version(found) => return Err(Error::Version { file: path, found }),
                Opening::Bad => None,
            }
        };
        found.push(Found {
            id,
            path,
            header,
            bytes,
        });
    }
    Ok(found)
}

/// The last segment after its scan.
#[derive(Debug)]
struct Last {
    path: PathBuf,
    /// Where the last group begins, which no later frame proves durable.
    group_offset: u64,
    last_crc: u32,
    damaged: bool,
}

struct Pass<'a> {
    vfs: &'a dyn Vfs,
    dir: &'a Path,
    options: &'a Options,
    visit: &'a mut Visitor<'a>,
    recovery: Recovery,
    segments: VecDeque<Segment>,
    /// The sequence that comes next; none before the first one is known.
    expected: Option<Sequence>,
    last: Option<Last>,
    /// Nothing is written, not even a second name for damage.
    read_only: bool,
}

impl Pass<'_> {
    fn segment(
        &mut self,
        found: &Found,
        before: Option<&Found>,
        after: Option<&Found>,
        bound: Bound,
    ) -> Result<(), Error> {
        let failed = |e| Error::io("read", &found.path, e);
        let file = self.vfs.open_read(&found.path).map_err(failed)?;
        let record_bytes_max = match &found.header {
            Some(header) => header.record_bytes_max.max(self.options.record_bytes_max),
            None => self.options.record_bytes_max,
        };
        let mut scan = Scan::new(file, found.id.salt, record_bytes_max, found.bytes).salvaging();

        // What the log had reached when this segment was begun, and its own first number.
        let (previous_end, first_sequence) = match &found.header {
            Some(header) => (header.previous_end, header.first_sequence),
            None => {
                self.report(found, Damage::Header, 0, 0..0);
                let start = match self.expected {
                    Some(expected) => expected,
                    None => self.guess_start(&mut scan, after).map_err(failed)?,
                };
                (start, start)
            }
        };
        if let Some(before) = before
            && before.id.index + 1 != found.id.index
        {
            let start = self.expected.unwrap_or(previous_end);
            let lost = start..previous_end.max(start);
            self.report(before, Damage::LostSegment, before.bytes, lost);
        }
        let expected = self.expected.unwrap_or(first_sequence).max(first_sequence);
        self.segments.push_back(Segment {
            id: found.id,
            first_sequence: expected,
            // Whatever the header says: readers and cuts must not pass over what was found before.
            previous_end: previous_end.max(self.expected.unwrap_or(0)),
            bytes: HEADER_BYTES,
            record_bytes_max,
        });

        let walk = Walk {
            scan,
            bound,
            end: expected,
            offset: HEADER_BYTES,
            group_offset: HEADER_BYTES,
            last_crc: found.header.map(|header| header.crc()),
            records: 0,
            torn: false,
            is_recycled: found.header.is_some_and(|header| header.is_recycled),
            holes: Vec::new(),
            proof: None,
        };
        let walk = walk.run(&found.path, self.visit)?;
        for hole in &walk.holes {
            let sequences = hole.sequences.clone();
            self.report(found, Damage::Records, hole.offset, sequences);
        }
        let damaged = found.header.is_none() || !walk.holes.is_empty();
        if damaged && !self.read_only {
            self.keep(found);
        }
        self.recovery.records += walk.records;
        self.expected = Some(walk.end);
        if let Some(segment) = self.segments.back_mut() {
            segment.bytes = walk.offset;
        }
        if after.is_none() {
            if walk.torn {
                self.recovery.torn_tail = Some(TornTail {
                    file: found.path.clone(),
                    offset: walk.offset,
                    bytes: found.bytes.saturating_sub(walk.offset),
                });
            }
            self.last = Some(Last {
                path: found.path.clone(),
                group_offset: walk.group_offset,
                last_crc: walk.last_crc.unwrap_or(0),
                damaged,
            });
        }
        Ok(())
    }

    fn report(&mut self, found: &Found, damage: Damage, offset: u64, sequences: Range<Sequence>) {
        self.recovery.corruptions.push(Corruption {
            damage,
            file: found.path.clone(),
            offset,
            sequences,
            kept: None,
        });
    }

    /// Gives a damaged segment its second name.
    fn keep(&mut self, found: &Found) {
        let kept = quarantine::keep(self.vfs, self.dir, &found.path);
        let all = self.recovery.corruptions.iter_mut();
        for corruption in all.filter(|c| c.file == found.path && c.damage != Damage::LostSegment) {
            corruption.kept.clone_from(&kept);
        }
    }

    /// The first number of the first segment, when its header is damaged.
    fn guess_start(&self, scan: &mut Scan, after: Option<&Found>) -> io::Result<Sequence> {
        if let Some(frame) = scan.find(HEADER_BYTES, 0)? {
            return Ok(frame.header.sequence);
        }
        let header = after.and_then(|after| after.header);
        Ok(header.map_or(self.options.first_sequence, |header| header.previous_end))
    }

    /// Removes a segment that a crash left without its header.
    fn remove_unfinished(&mut self, found: &Found) -> Result<(), Error> {
        self.vfs
            .remove_file(&found.path)
            .map_err(|e| Error::io("remove", &found.path, e))?;
        self.vfs
            .sync_dir(self.dir)
            .map_err(|e| Error::io("sync", self.dir, e))?;
        if found.bytes > 0 {
            self.recovery.torn_tail = Some(TornTail {
                file: found.path.clone(),
                offset: 0,
                bytes: found.bytes,
            });
        }
        Ok(())
    }

    /// Makes what was found durable and the end fit to be written to.
    fn finish(mut self, last_id: Option<SegmentId>) -> Result<Recovered, Error> {
        let next_sequence = self.expected.unwrap_or(0).max(self.options.first_sequence);
        let reusable = match (&self.last, self.segments.back()) {
            (Some(last), Some(segment)) => {
                let file = self.settle(last, segment)?;
                let active = Active {
                    file,
                    path: last.path.clone(),
                    segment: *segment,
                    last_crc: last.last_crc,
                };
                Some(active).filter(|_| !last.damaged && self.expected == Some(next_sequence))
            }
            _ => None,
        };
        let active = match reusable {
            Some(active) => active,
            None => {
                let id = last_id.map_or_else(
                    || SegmentId {
                        index: 1,
                        salt: random_salt(),
                    },
                    id_after,
                );
                let header = SegmentHeader {
                    id,
                    first_sequence: next_sequence,
                    previous_end: self.expected.unwrap_or(next_sequence),
                    record_bytes_max: self.options.record_bytes_max,
                    is_recycled: false,
                };
                let active = begin_segment(self.vfs, self.dir, self.options, header)
                    .map_err(WriteError::into_inner)?;
                self.segments.push_back(active.segment);
                active
            }
        };
        let ids: Vec<SegmentId> = self.segments.iter().map(|segment| segment.id).collect();
        let spares = Spares::open(self.vfs, self.dir, self.options.spare_segments_max, &ids)
            .map_err(|e| Error::io("list", self.dir, e))?;
        Ok(Recovered {
            recovery: self.recovery,
            active,
            segments: self.segments,
            next_sequence,
            spares,
        })
    }

    /// Writes the header and the last group of the last segment once more, cuts a torn tail, and syncs.
    fn settle(&self, last: &Last, segment: &Segment) -> Result<Arc<dyn File>, Error> {
        let file = self
            .vfs
            .open(&last.path)
            .map_err(|e| Error::io("open", &last.path, e))?;
        let cut = if last.damaged {
            Ok(())
        } else {
            // By way of one byte more, so that a cut is made again that a failed sync lost: where the system takes the
            // file to be short already, the disk may not. Without room for that byte it is the system's word.
            let _ = file.set_len(segment.bytes + 1);
            file.set_len(segment.bytes)
        };
        let rewritten = cut
            .and_then(|()| rewrite(&*file, 0, HEADER_BYTES, last.damaged))
            .and_then(|()| rewrite(&*file, last.group_offset, segment.bytes, last.damaged));
        rewritten.map_err(|e| Error::io("rewrite the end of", &last.path, e))?;
        file.sync_data()
            .map_err(|e| Error::io("sync", &last.path, e))?;
        self.vfs
            .sync_dir(self.dir)
            .map_err(|e| Error::io("sync", self.dir, e))?;
        Ok(file)
    }
}

/// Writes the bytes in this range once more, as they are; those behind the end of the file are not there to be written. Ends
/// where they cannot be read and `is_damaged` says that this has been reported.
fn rewrite(file: &dyn File, mut offset: u64, end: u64, is_damaged: bool) -> io::Result<()> {
    let mut buf = Vec::new();
    while offset < end {
        let length = usize::try_from(end - offset).unwrap_or(COPY_BYTES);
        buf.resize(length.min(COPY_BYTES), 0);
        let held = match file.read_at(&mut buf, offset) {
            Err(_) if is_damaged => break,
            read => read?,
        };
        if held == 0 {
            break;
        }
        file.write_all_at(buf.get(..held).unwrap_or_default(), offset)?;
        offset += held as u64;
    }
    Ok(())
}
