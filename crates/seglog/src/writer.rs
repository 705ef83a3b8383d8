//! The writing end: the last segment, and how the next one is begun.
//!
//! Only one thread at a time, the leader, uses it. It never writes behind bytes whose state is unknown:
//! after a failed write the file is cut back to its durable length, and the cut synced, first. That is tried at once, so
//! that a record that was said to have failed is not found after a restart, when others, in other logs, have built on
//! its failure.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tandem_vfs::{File, Vfs, random_u64};

use crate::segment::{HEADER_BYTES, Segment, SegmentHeader, SegmentId};
use crate::spare::Spares;
use crate::stats::Counters;
use crate::{Error, Options, Sequence, frame};

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The log can go on behind its durable end.
    Refused(Error),
    /// A sync failed: the log cannot go on.
    Sync(Error),
}

impl WriteError {
    pub(crate) fn into_inner(self) -> Error {
        match self {
            WriteError::Refused(e) | WriteError::Sync(e) => e,
        }
    }
}

/// The last segment, open for writing.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: PathBuf,
    pub(crate) segment: Segment,
    /// The checksum of the last durable header, to which the next frame refers.
    pub(crate) last_crc: u32,
}

/// Writes groups to the last segment.
#[derive(Debug)]
pub(crate) struct Writer {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    options: Options,
    spares: Arc<Spares>,
    counters: Arc<Counters>,
    active: Active,
    /// Bytes past the durable end may have been written.
    dirty: bool,
    /// A new segment was tried and did not come to be. Its header may be there all the same and say where the last
    /// segment ends, so nothing more goes there.
    must_roll: bool,
    /// The name of the next segment, settled before the first attempt to make it, so that a second
    /// attempt finds what the first one left.
    next: SegmentId,
    /// Segments ended since the last [`Writer::take_changes`].
    ended: Vec<Segment>,
}

impl Writer {
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        dir: PathBuf,
        options: Options,
        spares: Arc<Spares>,
        counters: Arc<Counters>,
        active: Active,
    ) -> Self {
        let next = id_after(active.segment.id);
        Writer {
            vfs,
            dir,
            options,
            spares,
            counters,
            active,
            dirty: false,
            must_roll: false,
            next,
            ended: Vec::new(),
        }
    }

    /// Writes and syncs a group of staged frames; the first has the sequence `durable_end`, below which
    /// all is durable. On `Ok` so is the group, up to `group_end`.
    pub(crate) fn write(
        &mut self,
        frames: &mut [u8],
        durable_end: Sequence,
        group_end: Sequence,
    ) -> Result<(), WriteError> {
        self.clean()?;
        let grown = self.active.segment.bytes + frames.len() as u64;
        let is_full = !self.is_empty() && grown > self.options.segment_bytes_max;
        if is_full || self.must_roll {
            self.roll(durable_end)?;
        }
        let Active {
            file,
            path,
            segment,
            last_crc,
        } = &mut self.active;
        let group_crc = frame::seal(frames, segment.id.salt, durable_end, *last_crc);
        self.dirty = true;
        file.write_all_at(frames, segment.bytes)
            .map_err(|e| WriteError::Refused(Error::io("append to", path, e)))?;
        let begun = Instant::now();
        file.sync_data()
            .map_err(|e| WriteError::Sync(Error::io("sync", path, e)))?;
        let (records, bytes) = (group_end - durable_end, frames.len() as u64);
        self.counters.group(records, bytes, begun.elapsed());
        self.dirty = false;
        segment.bytes += bytes;
        *last_crc = group_crc;
        Ok(())
    }

    /// Begins a new segment, if the last one has records. All below `durable_end` is durable.
    pub(crate) fn rotate(&mut self, durable_end: Sequence) -> Result<(), WriteError> {
        self.clean()?;
        if self.is_empty() && !self.must_roll {
            return Ok(());
        }
        self.roll(durable_end)
    }

    /// The segments that changed since the last call, in order: those ended, and the last one.
    pub(crate) fn take_changes(&mut self) -> Vec<Segment> {
        let mut changes = std::mem::take(&mut self.ended);
        changes.push(self.active.segment);
        changes
    }

    fn is_empty(&self) -> bool {
        self.active.segment.bytes <= HEADER_BYTES
    }

    /// Cuts what a failed write left behind the durable end.
    pub(crate) fn clean(&mut self) -> Result<(), WriteError> {
        if self.dirty {
            let Active { file, path, .. } = &self.active;
            file.set_len(self.active.segment.bytes)
                .map_err(|e| WriteError::Refused(Error::io("cut", path, e)))?;
            file.sync_data()
                .map_err(|e| WriteError::Sync(Error::io("sync", path, e)))?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Cuts what an earlier segment left behind the end of the last one.
    pub(crate) fn trim(&mut self) -> Result<(), WriteError> {
        self.clean()?;
        let Active {
            file,
            path,
            segment,
            ..
        } = &self.active;
        let refused = |e| WriteError::Refused(Error::io("cut", path, e));
        if file.len().map_err(refused)? > segment.bytes {
            file.set_len(segment.bytes).map_err(refused)?;
        }
        Ok(())
    }

    fn roll(&mut self, durable_end: Sequence) -> Result<(), WriteError> {
        self.must_roll = true;
        let header = SegmentHeader {
            id: self.next,
            first_sequence: durable_end,
            previous_end: durable_end,
            record_bytes_max: self.options.record_bytes_max,
            is_recycled: false,
        };
        let begun = match self.spares.take() {
            Some(spare) => self.recycle(spare, header)?,
            None => begin_segment(&*self.vfs, &self.dir, &self.options, header)?,
        };
        self.must_roll = false;
        self.next = id_after(self.next);
        let ended = std::mem::replace(&mut self.active, begun);
        self.ended.push(ended.segment);
        Ok(())
    }
}

impl Writer {
    /// Makes a segment out of a spare file; durable, entry and all, on `Ok`. The spare is there no more, or is
    /// left for the next try.
    fn recycle(&self, spare: PathBuf, header: SegmentHeader) -> Result<Active, WriteError> {
        let header = SegmentHeader {
            is_recycled: true,
            ..header
        };
        let path = header.id.path(&self.dir);
        let file = match self.vfs.open(&spare) {
            // A rename of the last try that was said to have failed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let fresh = SegmentHeader {
                    is_recycled: false,
                    ..header
                };
                return begin_segment(&*self.vfs, &self.dir, &self.options, fresh);
            }
            opened => opened,
        };
        let written = file.and_then(|file| {
            file.write_all_at(&header.encode(), 0)?;
            Ok(file)
        });
        let file = match written {
            Ok(file) => file,
            Err(e) => {
                let error = Error::io("write", &spare, e);
                self.spares.add(spare);
                return Err(WriteError::Refused(error));
            }
        };
        file.sync_data()
            .map_err(|e| WriteError::Sync(Error::io("sync", &spare, e)))?;
        if let Err(e) = self.vfs.rename(&spare, &path) {
            let error = Error::io("rename", &spare, e);
            self.spares.add(spare);
            return Err(WriteError::Refused(error));
        }
        self.vfs
            .sync_dir(&self.dir)
            .map_err(|e| WriteError::Sync(Error::io("sync", &self.dir, e)))?;
        self.counters.recycled();
        Ok(Active::begun(file, path, header))
    }
}

impl Active {
    /// A segment with nothing in it but its header.
    fn begun(file: Arc<dyn File>, path: PathBuf, header: SegmentHeader) -> Self {
        Active {
            file,
            path,
            last_crc: header.crc(),
            segment: Segment {
                id: header.id,
                first_sequence: header.first_sequence,
                previous_end: header.previous_end,
                bytes: HEADER_BYTES,
                record_bytes_max: header.record_bytes_max,
            },
        }
    }
}

/// The name of the segment after `id`.
pub(crate) fn id_after(id: SegmentId) -> SegmentId {
    SegmentId {
        index: id.index + 1,
        salt: random_salt(),
    }
}

/// A salt that is not zero: with zero, a run of zeros would have a checksum of zero.
pub(crate) fn random_salt() -> u32 {
    (random_u64() >> 32) as u32 | 1
}

/// Makes the file of a segment with its header; durable, entry and all, on `Ok`. Takes over a file of
/// that name, which can only be what an earlier attempt left.
pub(crate) fn begin_segment(
    vfs: &dyn Vfs,
    dir: &Path,
    options: &Options,
    header: SegmentHeader,
) -> Result<Active, WriteError> {
    let path = header.id.path(dir);
    let refused = |action| {
        let path = path.clone();
        move |e| WriteError::Refused(Error::io(action, &path, e))
    };
    let synced = |path: &Path| {
        let path = path.to_owned();
        move |e| WriteError::Sync(Error::io("sync", &path, e))
    };
    let file = match vfs.create_new(&path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let file = vfs.open(&path).map_err(refused("open"))?;
            file.set_len(0).map_err(refused("cut"))?;
            file
        }
        made => made.map_err(refused("make"))?,
    };
    if options.reserve {
        file.reserve(options.segment_bytes_max)
            .map_err(refused("reserve space for"))?;
    }
    file.write_all_at(&header.encode(), 0)
        .map_err(refused("write"))?;
    file.sync_data().map_err(synced(&path))?;
    vfs.sync_dir(dir).map_err(synced(dir))?;
    Ok(Active::begun(file, path, header))
}
