//! Reading a segment. A long one takes two threads: one takes blocks apart, the other puts their series
//! into the table.

use std::ops::Range;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use tandem_vfs::{File, Vfs};

use super::decode::Decoder;
use super::{
    BLOCK_BYTES_MAX, BLOCK_HEADER_BYTES, KIND_FIRST, KIND_LAST, KIND_SERIES, MAGIC, block_crc,
};
use crate::error::StoreError;
use crate::index::SeriesTable;
use crate::index::load::{LoadedBlock, Loader};
use crate::wire::{Malformed, Reader};

/// A segment up to this length is not worth a second thread.
const ALONE_BYTES_MAX: u64 = 256 << 10;
/// Blocks that may wait for the table.
const AHEAD_MAX: usize = 4;

/// What reading a segment gave.
#[derive(Debug, Default)]
pub(crate) struct SegmentRead {
    /// Series that it held.
    pub(crate) series: u32,
    /// The first damage; what lies beyond it may be lost or not.
    pub(crate) damage: Option<StoreError>,
}

/// Reads a segment of the series `ids` into `table`, as much of it as is whole.
///
/// # Errors
/// What the file system reports. Damage is no error: what is whole is taken.
pub(crate) fn read_segment(
    vfs: &dyn Vfs,
    path: &Path,
    ids: Range<u32>,
    table: &mut SeriesTable,
) -> Result<SegmentRead, StoreError> {
    let file = vfs
        .open_read(path)
        .map_err(StoreError::io("open index segment", path))?;
    read_segment_file(&*file, path, ids, table)
}

/// As [`read_segment`], of a file that is open.
pub(crate) fn read_segment_file(
    file: &dyn File,
    path: &Path,
    ids: Range<u32>,
    table: &mut SeriesTable,
) -> Result<SegmentRead, StoreError> {
    let len = file
        .len()
        .map_err(StoreError::io("read index segment", path))?;
    let decoder = Decoder::new(table.hasher.clone(), ids);
    let input = Input {
        file,
        path,
        at: 0,
        len,
        damage: None,
    };
    let mut loader = Loader::new(table);
    if len <= ALONE_BYTES_MAX {
        return input.read(decoder, &mut |part| loader.take(&part));
    }
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(AHEAD_MAX);
        // The receiver is there until this ends.
        let read = move || input.read(decoder, &mut |part| drop(sender.send(part)));
        let reader = thread::Builder::new()
            .name("store-index".into())
            .spawn_scoped(scope, read)
            .map_err(StoreError::io("start a thread to read", path))?;
        for part in receiver {
            loader.take(&part);
        }
        match reader.join() {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// What one block says.
#[derive(Debug)]
pub(in crate::index) enum Part {
    /// How many series and tag pairs are to come, about.
    Size { series: usize, pairs: usize },
    /// Some of the series.
    Series(LoadedBlock),
}

/// Where a block begins, and what it holds unless that is damaged.
type ReadBlock = (u64, Option<Vec<u8>>);

struct Input<'a> {
    file: &'a dyn File,
    path: &'a Path,
    at: u64,
    len: u64,
    damage: Option<StoreError>,
}

impl Input<'_> {
    /// Reads the whole file, and shows each part that is whole.
    fn read(
        mut self,
        mut decoder: Decoder,
        show: &mut dyn FnMut(Part),
    ) -> Result<SegmentRead, StoreError> {
        let mut magic = [0; 8];
        if !self.fill(&mut magic)? || magic != *MAGIC {
            self.damaged(0, "not an index segment");
        }
        self.at = MAGIC.len() as u64;
        let mut read = SegmentRead::default();
        let mut blocks = 0_u64;
        let mut told = None;
        while let Some((at, content)) = self.block()? {
            blocks += 1;
            let Some(content) = content else {
                continue;
            };
            let mut r = Reader::new(&content);
            let done = match r.byte() {
                Ok(KIND_FIRST) if blocks == 1 => size(r, self.len).map(&mut *show),
                Ok(KIND_SERIES) => decoder.block(r).map(|block| {
                    read.series += block.series.len() as u32;
                    show(Part::Series(block));
                }),
                Ok(KIND_LAST) => r.uint().map(|series| told = Some(series)),
                _ => Err(Malformed),
            };
            if done == Err(Malformed) {
                self.damaged(at, "malformed although its checksum matches");
            }
            if told.is_some() {
                break;
            }
        }
        if self.at != self.len || told != Some(read.series.into()) {
            self.damaged(self.at, "it does not end where it should");
        }
        read.damage = self.damage;
        Ok(read)
    }

    fn damaged(&mut self, offset: u64, what: &'static str) {
        self.damage.get_or_insert_with(|| StoreError::Corrupt {
            file: self.path.into(),
            offset,
            what,
        });
    }

    /// Fills `bytes` from where it is; false when the file ends before.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, StoreError> {
        if self.len.saturating_sub(self.at) < bytes.len() as u64 {
            return Ok(false);
        }
        self.file
            .read_exact_at(bytes, self.at)
            .map_err(StoreError::io("read index segment", self.path))?;
        self.at += bytes.len() as u64;
        Ok(true)
    }

    /// The next block with its offset, without content when that is damaged; `None` when there is no
    /// further one.
    fn block(&mut self) -> Result<Option<ReadBlock>, StoreError> {
        let at = self.at;
        let mut header = [0; BLOCK_HEADER_BYTES];
        if !self.fill(&mut header)? {
            return Ok(None);
        }
        let [a, b, c, d, crc @ ..] = header;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        if len == 0 || len > BLOCK_BYTES_MAX {
            self.damaged(at, "impossible length");
            self.at = at;
            return Ok(None);
        }
        let mut content = vec![0; len];
        if !self.fill(&mut content)? {
            self.damaged(at, "it is cut off");
            self.at = at;
            return Ok(None);
        }
        // A build for fuzzing takes any checksum: else nothing behind it would be reached.
        if block_crc([a, b, c, d], &content).to_le_bytes() != crc && !cfg!(fuzzing) {
            self.damaged(at, "checksum does not match");
            return Ok(Some((at, None)));
        }
        Ok(Some((at, Some(content))))
    }
}

/// What the first block says.
fn size(mut r: Reader<'_>, file_bytes: u64) -> Result<Part, Malformed> {
    r.uint32()?;
    r.uint32()?;
    // A series takes at least three bytes, as does a pair.
    let mut guess = || -> Result<usize, Malformed> {
        usize::try_from(r.uint()?.min(file_bytes / 3)).map_err(|_| Malformed)
    };
    let (series, pairs) = (guess()?, guess()?);
    if r.is_empty() {
        Ok(Part::Size { series, pairs })
    } else {
        Err(Malformed)
    }
}
