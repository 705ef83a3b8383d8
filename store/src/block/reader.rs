//! Reading a file: its footer once, its data by series, field and time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tandem_model::{SeriesId, TimeRange};

#[cfg(any(test, fuzzing))]
use tandem_vfs::File;

use super::cache::{BlockCache, Item, Key, Weigh};
use super::directory::{self, Entry};
use super::error::Damage;
use super::footer::{self, FileMeta, MeasurementInfo, TrailerError};
use super::handles::{Handle, Handles};
use super::{BlockError, MAGIC, TRAILER_LEN, piece};
use crate::{Rows, in_memory};

mod chunk_index;
mod open_column;
mod output;
mod page_rows;
mod series;
mod visit;

pub(super) use chunk_index::ChunkIndex;
pub(super) use open_column::OpenColumn;
pub use page_rows::PageRows;
pub(crate) use series::SeriesReader;

/// How much of a file's end is read at once: the footer of most files.
const TAIL_LEN: u64 = 16 << 10;

/// The number of the next file that is opened.
static NEXT_FILE: AtomicU64 = AtomicU64::new(0);

/// A file that can be read, from any thread. It holds the footer in memory: names, fields, series
/// sets, and some 30 bytes for each chunk and each 256 series.
#[derive(Debug)]
pub(crate) struct BlockFile {
    handle: Handle,
    meta: FileMeta,
    measurements: Vec<MeasurementInfo>,
    /// The file's number in `cache`, which no other file gets.
    number: u64,
    cache: Option<Arc<BlockCache>>,
}

impl BlockFile {
    /// Reads and checks the footer of the file `path`, and lets `handles` open it whenever it is
    /// read.
    pub(crate) fn open(handles: &Arc<Handles>, path: &Path) -> Result<Self, BlockError> {
        Self::open_handle(Handle::new(handles, path))
    }

    /// As [`BlockFile::open`], of a file that is open.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn open_file(file: Arc<dyn File>, path: &Path) -> Result<Self, BlockError> {
        let handles = Handles::new(Arc::new(tandem_vfs::RealFs), 8);
        Self::open_handle(Handle::opened(&Arc::new(handles), path, file))
    }

    fn open_handle(handle: Handle) -> Result<Self, BlockError> {
        let path = handle.path();
        let io = |source| BlockError::Io {
            action: "read",
            file: path.to_owned(),
            source,
        };
        let file = handle.get().map_err(io)?;
        let len = file.len().map_err(io)?;
        let tail_start = len.saturating_sub(TAIL_LEN);
        let mut tail = vec![0; usize::try_from(len - tail_start).unwrap_or(0)];
        file.read_exact_at(&mut tail, tail_start).map_err(io)?;

        let corrupt = |offset, what| Damage::new(what).at(path, offset);
        let (before, trailer) = tail
            .split_last_chunk::<TRAILER_LEN>()
            .ok_or_else(|| corrupt(0, "too short for a block file"))?;
        let trailer_start = len - TRAILER_LEN as u64;
        let footer_len = footer::decode_trailer(trailer).map_err(|error| match error {
            TrailerError::Damage(damage) => damage.at(path, trailer_start),
            TrailerError::Version(version) => BlockError::Version {
                file: path.to_owned(),
                version,
            },
        })?;
        let footer_start = trailer_start
            .checked_sub(footer_len)
            .filter(|start| *start >= MAGIC.len() as u64)
            .ok_or_else(|| corrupt(trailer_start, "footer longer than the file"))?;
        let footer = match footer_start.checked_sub(tail_start) {
            Some(start) => before[usize::try_from(start).unwrap_or(before.len())..].to_vec(),
            None => {
                let footer_len = usize::try_from(footer_len)
                    .map_err(|_| corrupt(trailer_start, "footer too long"))?;
                let mut footer = vec![0; footer_len];
                file.read_exact_at(&mut footer, footer_start).map_err(io)?;
                footer
            }
        };
        let body = piece::open(&footer).map_err(|damage| damage.at(path, footer_start))?;
        let (meta, measurements) = footer::decode(body, len, footer_start)
            .map_err(|damage| damage.at(path, footer_start))?;
        Ok(Self {
            handle,
            meta,
            measurements,
            number: NEXT_FILE.fetch_add(1, Ordering::Relaxed),
            cache: None,
        })
    }

    /// Keeps what is decoded in `cache` from now on.
    pub(crate) fn with_cache(mut self, cache: Arc<BlockCache>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// What the footer says of the whole file.
    pub(crate) const fn meta(&self) -> &FileMeta {
        &self.meta
    }

    /// The name that errors give the file.
    pub(crate) fn path(&self) -> &Path {
        self.handle.path()
    }

    /// Removes the file once nobody has it any more.
    pub(crate) fn remove_when_dropped(&self) {
        self.handle.remove_when_dropped();
    }

    /// The measurements, ascending by name; other methods count them from 0.
    pub(crate) fn measurements(&self) -> &[MeasurementInfo] {
        &self.measurements
    }

    /// The place of a measurement among the measurements.
    pub(crate) fn measurement(&self, name: &[u8]) -> Option<usize> {
        self.measurements
            .binary_search_by(|measurement| measurement.name.as_slice().cmp(name))
            .ok()
    }

    /// A reader of these fields of a measurement, which decodes what series share once when they
    /// are read in order of id. A field that the file does not have is null. Panics when there is
    /// no such measurement.
    pub(crate) fn reader(&self, measurement: usize, fields: &[&[u8]]) -> SeriesReader<'_> {
        SeriesReader::new(Source::new(self, measurement), fields)
    }

    /// The rows of a series in `range`, with a column for each of `fields`. Panics when there is no
    /// such measurement. To read several series use [`BlockFile::reader`].
    pub(crate) fn read(
        &self,
        measurement: usize,
        series: SeriesId,
        fields: &[&[u8]],
        range: TimeRange,
    ) -> Result<Rows, BlockError> {
        self.reader(measurement, fields).read(series, range)
    }

    /// Checks a piece that was read at `offset` and decodes it.
    pub(super) fn decode_piece<'a, T>(
        &self,
        piece: &'a [u8],
        offset: u64,
        decode: impl FnOnce(&'a [u8]) -> Result<T, Damage>,
    ) -> Result<T, BlockError> {
        piece::open(piece)
            .and_then(decode)
            .map_err(|damage| self.note_damage(damage, offset))
    }

    /// The error that tells of damage, which is noted.
    pub(super) fn note_damage(&self, damage: Damage, offset: u64) -> BlockError {
        self.handle.noted(damage.at(self.path(), offset))
    }

    /// Reads bytes that the footer or a head says are there.
    pub(super) fn read_bytes(&self, offset: u64, len: u64) -> Result<Vec<u8>, BlockError> {
        let end = offset
            .checked_add(len)
            .filter(|end| *end <= self.meta.len_bytes);
        let len = end.and(usize::try_from(len).ok()).ok_or_else(|| {
            let damage = Damage::new("a piece reaches past the end of the file");
            self.note_damage(damage, offset)
        })?;
        // Not noted: nothing is wrong with the file.
        in_memory::check().map_err(|source| BlockError::Io {
            action: "read",
            file: self.path().to_owned(),
            source,
        })?;
        let mut bytes = vec![0; len];
        let read = self.handle.get();
        match read.and_then(|file| file.read_exact_at(&mut bytes, offset)) {
            Ok(()) => Ok(bytes),
            Err(source) => Err(self.handle.noted(BlockError::Io {
                action: "read",
                file: self.path().to_owned(),
                source,
            })),
        }
    }
}

/// A measurement to read from: its file, and whether to use the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a BlockFile,
    pub(super) info: &'a MeasurementInfo,
    measurement: usize,
    cache: Option<&'a BlockCache>,
}

impl<'a> Source<'a> {
    /// Panics when there is no such measurement.
    pub(super) fn new(file: &'a BlockFile, measurement: usize) -> Self {
        Self {
            file,
            info: &file.measurements[measurement],
            measurement,
            cache: file.cache.as_deref(),
        }
    }

    /// The same, but reading everything from the file.
    pub(super) const fn without_cache(self) -> Self {
        let cache = None;
        Self { cache, ..self }
    }

    /// Reads directory page `at`.
    pub(super) fn directory_page(&self, at: usize) -> Result<Arc<DirectoryPage>, BlockError> {
        self.cached(Item::Directory(at), || {
            let place = &self.info.directory[at];
            let piece = self.file.read_bytes(place.offset, place.len as u64)?;
            let entries = self
                .file
                .decode_piece(&piece, place.offset, |body| directory::decode(body, place))?;
            Ok(DirectoryPage(entries))
        })
    }

    /// Takes a thing from the cache, or loads it and leaves it there.
    fn cached<T: Weigh>(
        &self,
        item: Item,
        load: impl FnOnce() -> Result<T, BlockError>,
    ) -> Result<Arc<T>, BlockError> {
        let Some(cache) = self.cache else {
            return load().map(Arc::new);
        };
        let key = Key {
            file: self.file.number,
            measurement: self.measurement,
            item,
        };
        if let Some(found) = cache.get(key) {
            return Ok(found);
        }
        let loaded = Arc::new(load()?);
        cache.insert(key, Arc::clone(&loaded));
        Ok(loaded)
    }
}

/// The entries of a directory page.
#[derive(Debug)]
pub(super) struct DirectoryPage(pub(super) Vec<Entry>);

impl Weigh for DirectoryPage {
    fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Entry>()
    }
}
