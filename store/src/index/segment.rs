//! Index segments: a range of series ids and their keys, on disk.
//!
//! All segments of a database together cover the ids that were given out, without gaps or overlaps;
//! an id in a segment's range that the segment does not hold is used up. A segment is written whole,
//! synced and renamed before the manifest names it, and never changed; what was removed meanwhile
//! goes when a later one takes its place.
//!
//! It is a row of blocks of about 64 KiB, each complete in itself: its pairs are told at their first
//! use, and a series that has the pair of the one before it in the same place says so in one byte.
//! So a damaged block takes only its own series with it, and a writer needs the table for a moment
//! at a time.
//!
//! ```text
//! file    := magic "tndmsix2", block*
//! block   := length u32, crc32c of length and content u32, content
//! content := 1, first id, end id, series, pairs: uint             the first block; the last two are guesses
//!          | 2, series*                                           any number of them
//!          | 3, series uint                                       the last block: how many came
//! series  := id uint (less the id before in this block), measurement, tags uint, tag*
//! measurement := 0, escaped name bytes | n + 1: the n-th of this block
//! tag     := 0, shared uint, rest bytes: `key=value` with its escapes, shared with the new one before
//!          | 1: that of the series before in the same place
//!          | n + 2: the n-th of this block
//! ```
//!
//! Integers are LEB128 varints, `u32` little-endian.

use std::ops::Range;
use std::path::Path;
use std::sync::RwLockReadGuard;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tandem_model::SeriesId;
use tandem_vfs::{File, Vfs};

use super::SeriesTable;
use super::table::{LoadedBlock, LoadedSeries};
use crate::error::StoreError;
use crate::wire::{Malformed, Reader, put_bytes, put_uint};

const MAGIC: &[u8; 8] = b"tndmsix2";
/// A block is closed when its content reaches this.
const BLOCK_BYTES: usize = 64 << 10;
/// A block is closed too when its tags, each once, come to this.
const BLOCK_TEXT_BYTES: usize = 1 << 20;
/// A block is longer than [`BLOCK_BYTES`] by at most one series; this bounds what a damaged length can
/// ask for.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Length and checksum of a block.
const BLOCK_HEADER_BYTES: usize = 8;
/// Tags of a series: a key has at most 65,535 bytes.
const TAGS_MAX: usize = 1 << 15;
/// Bytes of a tag, as of a key.
const TAG_BYTES_MAX: usize = u16::MAX as usize;

const KIND_FIRST: u8 = 1;
const KIND_SERIES: u8 = 2;
const KIND_LAST: u8 = 3;

/// Writes the series of `ids` to `path`, durably but for the entry of the directory, which is the
/// caller's to sync. `table` is locked for one block at a time. Returns how many series there are.
pub(crate) fn write_segment<'a>(
    vfs: &dyn Vfs,
    path: &Path,
    ids: Range<u32>,
    table: &dyn Fn() -> RwLockReadGuard<'a, SeriesTable>,
) -> Result<u32, StoreError> {
    let file = vfs
        .create_new(path)
        .map_err(StoreError::io("make index segment", path))?;
    let mut out = Output {
        file: &*file,
        path,
        end: 0,
    };
    out.write(MAGIC)?;
    let mut content = vec![KIND_FIRST];
    put_uint(&mut content, ids.start.into());
    put_uint(&mut content, ids.end.into());
    {
        let table = table();
        let series = table.count_in(ids.clone());
        put_uint(&mut content, series as u64);
        put_uint(&mut content, table.pairs_of_part(series));
    }
    out.block(&content)?;
    let mut next = ids.start;
    let mut series = 0;
    while next < ids.end {
        let mut block = Block::default();
        {
            let table = table();
            let rest = table.ids_in(next..ids.end);
            next = ids.end;
            for id in rest {
                block.put(&table, id);
                series += 1;
                if block.content.len() >= BLOCK_BYTES || block.text_bytes >= BLOCK_TEXT_BYTES {
                    next = id.0 + 1;
                    break;
                }
            }
        }
        if !block.content.is_empty() {
            block.content.insert(0, KIND_SERIES);
            out.block(&block.content)?;
        }
    }
    let mut content = vec![KIND_LAST];
    put_uint(&mut content, series.into());
    out.block(&content)?;
    file.sync_data()
        .map_err(StoreError::io("sync index segment", path))?;
    Ok(series)
}

struct Output<'a> {
    file: &'a dyn File,
    path: &'a Path,
    end: u64,
}

impl Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file
            .write_all_at(bytes, self.end)
            .map_err(StoreError::io("write index segment", self.path))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn block(&mut self, content: &[u8]) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(content.len() + BLOCK_HEADER_BYTES);
        let len = (content.len() as u32).to_le_bytes();
        bytes.extend_from_slice(&len);
        bytes.extend_from_slice(&block_crc(len, content).to_le_bytes());
        bytes.extend_from_slice(content);
        self.write(&bytes)
    }
}

fn block_crc(len: [u8; 4], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&len), content)
}

/// A block under way.
#[derive(Default)]
struct Block {
    content: Vec<u8>,
    last_id: u32,
    measurements: HashMap<u32, u32, FixedState>,
    pairs: HashMap<u32, u32, FixedState>,
    /// The pairs of the series before.
    last_pairs: Vec<u32>,
    last_text: Vec<u8>,
    text_bytes: usize,
}

impl Block {
    fn put(&mut self, table: &SeriesTable, id: SeriesId) {
        let Some(record) = table.record_of(id) else {
            return;
        };
        let out = &mut self.content;
        put_uint(out, (id.0 - self.last_id).into());
        self.last_id = id.0;
        let known = self.measurements.len() as u32;
        match self.measurements.get(&record.measurement) {
            Some(at) => put_uint(out, u64::from(at + 1)),
            None => {
                put_uint(out, 0);
                put_bytes(out, &table.postings.at(record.measurement).escaped);
                self.measurements.insert(record.measurement, known);
            }
        }
        put_uint(out, record.pairs.len() as u64);
        for (place, pair) in record.pairs.iter().enumerate() {
            if self.last_pairs.get(place) == Some(pair) {
                put_uint(out, 1);
                continue;
            }
            let known = self.pairs.len() as u32;
            if let Some(at) = self.pairs.get(pair) {
                put_uint(out, u64::from(*at) + 2);
                continue;
            }
            self.pairs.insert(*pair, known);
            let text = table.dictionary.text(*pair);
            let alike = text.iter().zip(&self.last_text);
            let shared = alike.take_while(|(a, b)| a == b).count();
            put_uint(out, 0);
            put_uint(out, shared as u64);
            put_bytes(out, &text[shared..]);
            self.text_bytes += text.len();
            self.last_text.clear();
            self.last_text.extend_from_slice(text);
        }
        self.last_pairs.clear();
        self.last_pairs.extend_from_slice(record.pairs);
    }
}

/// What reading a segment gave.
#[derive(Debug, Default)]
pub(crate) struct SegmentRead {
    /// Series that it held.
    pub(crate) series: u32,
    /// The first damage; what lies beyond it may be lost or not.
    pub(crate) damage: Option<StoreError>,
}

/// Reads a segment into `table`, as much of it as is whole.
///
/// # Errors
/// What the file system reports. Damage is no error: what is whole is taken.
pub(crate) fn read_segment(
    vfs: &dyn Vfs,
    path: &Path,
    table: &mut SeriesTable,
) -> Result<SegmentRead, StoreError> {
    let file = vfs
        .open_read(path)
        .map_err(StoreError::io("open index segment", path))?;
    let len = file
        .len()
        .map_err(StoreError::io("read index segment", path))?;
    let mut input = Input {
        file: &*file,
        path,
        at: 0,
        len,
        damage: None,
    };
    let mut magic = [0; 8];
    if !input.read(&mut magic)? || magic != *MAGIC {
        input.damaged(0, "not an index segment");
    }
    input.at = MAGIC.len() as u64;
    let mut read = SegmentRead::default();
    let mut blocks = 0_u64;
    let mut told = None;
    while let Some((at, content)) = input.block()? {
        blocks += 1;
        let Some(content) = content else {
            continue;
        };
        let mut r = Reader::new(&content);
        let done = match r.byte() {
            Ok(KIND_FIRST) if blocks == 1 => read_first(r, len, table),
            Ok(KIND_SERIES) => read_block(r, table).map(|series| read.series += series),
            Ok(KIND_LAST) => r.uint().map(|series| told = Some(series)),
            _ => Err(Malformed),
        };
        if done == Err(Malformed) {
            input.damaged(at, "malformed although its checksum matches");
        }
        if told.is_some() {
            break;
        }
    }
    if input.at != len || told != Some(read.series.into()) {
        input.damaged(input.at, "it does not end where it should");
    }
    read.damage = input.damage;
    Ok(read)
}

fn read_first(
    mut r: Reader<'_>,
    file_bytes: u64,
    table: &mut SeriesTable,
) -> Result<(), Malformed> {
    r.uint32()?;
    r.uint32()?;
    // A series takes at least three bytes, as does a pair.
    let mut guess = || -> Result<usize, Malformed> {
        usize::try_from(r.uint()?.min(file_bytes / 3)).map_err(|_| Malformed)
    };
    table.reserve(guess()?, guess()?);
    if r.is_empty() { Ok(()) } else { Err(Malformed) }
}

fn read_block(mut r: Reader<'_>, table: &mut SeriesTable) -> Result<u32, Malformed> {
    let mut block = LoadedBlock::default();
    let mut measurements: Vec<u32> = Vec::new();
    let (mut text, mut text_bytes) = (Vec::new(), 0);
    let mut id = 0_u32;
    let mut last = 0..0;
    while !r.is_empty() {
        id = id.checked_add(r.uint32()?).ok_or(Malformed)?;
        let measurement = match r.uint32()? {
            0 => {
                let number = table.intern_measurement(r.bytes()?);
                measurements.push(number);
                number
            }
            n => *measurements.get(n as usize - 1).ok_or(Malformed)?,
        };
        let count = r.count()?;
        if count > TAGS_MAX {
            return Err(Malformed);
        }
        let start = block.tags.len();
        for place in 0..count {
            let tag = match r.uint32()? {
                0 => {
                    let shared = usize::try_from(r.uint()?).map_err(|_| Malformed)?;
                    if shared > text.len() {
                        return Err(Malformed);
                    }
                    text.truncate(shared);
                    text.extend_from_slice(r.bytes()?);
                    text_bytes += text.len();
                    if text.len() > TAG_BYTES_MAX || text_bytes > 2 * BLOCK_TEXT_BYTES {
                        return Err(Malformed);
                    }
                    block.texts.push(&text);
                    block.texts.len() as u32 - 1
                }
                1 => *block.tags[last.clone()].get(place).ok_or(Malformed)?,
                n if (n as usize - 2) < block.texts.len() => n - 2,
                _ => return Err(Malformed),
            };
            block.tags.push(tag);
        }
        last = start..block.tags.len();
        block.series.push(LoadedSeries {
            id,
            measurement,
            tags: last.clone(),
        });
    }
    table.load(&block);
    Ok(block.series.len() as u32)
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
    fn damaged(&mut self, offset: u64, what: &'static str) {
        self.damage.get_or_insert_with(|| StoreError::Corrupt {
            file: self.path.into(),
            offset,
            what,
        });
    }

    /// Fills `bytes` from where it is; false when the file ends before.
    fn read(&mut self, bytes: &mut [u8]) -> Result<bool, StoreError> {
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
        if !self.read(&mut header)? {
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
        if !self.read(&mut content)? {
            self.damaged(at, "it is cut off");
            self.at = at;
            return Ok(None);
        }
        if block_crc([a, b, c, d], &content).to_le_bytes() != crc {
            self.damaged(at, "checksum does not match");
            return Ok(Some((at, None)));
        }
        Ok(Some((at, Some(content))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;

    use tandem_testkit::SimFs;

    use super::*;

    fn sample(series: u32) -> SeriesTable {
        let mut table = SeriesTable::default();
        for n in 0..series {
            let name = if n % 5 == 0 { r"a\ b" } else { "cpu" };
            let key = format!(
                r"{name},dc=eu-{},host=host-{n:05},z\ k=v\,{}",
                n % 3,
                n % 100
            );
            table.insert(key.replace(r"\\", r"\").as_bytes());
        }
        table.insert(b"plain");
        table
    }

    fn written(fs: &SimFs, table: SeriesTable, ids: Range<u32>) -> (RwLock<SeriesTable>, u32) {
        fs.create_dir_all(Path::new("/d")).unwrap();
        let table = RwLock::new(table);
        let lock = || table.read().unwrap();
        let series = write_segment(fs, Path::new("/d/a.sidx"), ids, &lock).unwrap();
        (table, series)
    }

    fn read(fs: &SimFs) -> (SeriesTable, SegmentRead) {
        let mut back = SeriesTable::default();
        let read = read_segment(fs, Path::new("/d/a.sidx"), &mut back).unwrap();
        (back, read)
    }

    #[test]
    fn a_segment_gives_back_its_series() {
        let fs = SimFs::new(1);
        let mut table = sample(20_000);
        table.remove([SeriesId(7), SeriesId(19_999)].into_iter());
        let (table, series) = written(&fs, table, 5..20_001);
        assert_eq!(series, 19_994);
        let (mut back, read) = read(&fs);
        assert!(read.damage.is_none(), "{read:?}");
        assert_eq!(read.series, series);
        let table = table.into_inner().unwrap();
        for id in (5..20_001).map(SeriesId) {
            let key = table.key(id);
            assert_eq!(back.key(id), key);
            if !key.is_empty() {
                assert_eq!(back.find(&key), Some(id));
            }
        }
        assert_eq!(back.insert(b"new"), SeriesId(20_001));
        let len = fs.open(Path::new("/d/a.sidx")).unwrap().len().unwrap();
        assert!(len < 20 * 20_000, "{len} bytes");
    }

    #[test]
    fn every_damaged_byte_is_told_and_no_series_gets_another_key() {
        let fs = SimFs::new(1);
        let (table, _) = written(&fs, sample(60), 0..61);
        let table = table.into_inner().unwrap();
        let file = fs.open(Path::new("/d/a.sidx")).unwrap();
        for offset in 0..file.len().unwrap() {
            let mut byte = [0];
            file.read_exact_at(&mut byte, offset).unwrap();
            for flip in [0x01, 0x80, 0xff] {
                file.write_all_at(&[byte[0] ^ flip], offset).unwrap();
                let (back, read) = read(&fs);
                assert!(read.damage.is_some(), "byte {offset}");
                for id in (0..61).map(SeriesId) {
                    let key = back.key(id);
                    assert!(key.is_empty() || key == table.key(id), "byte {offset}");
                }
            }
            file.write_all_at(&byte, offset).unwrap();
        }
        assert!(read(&fs).1.damage.is_none());
    }

    #[test]
    fn a_damaged_block_takes_only_its_own_series() {
        let fs = SimFs::new(1);
        let (_, series) = written(&fs, sample(20_000), 0..20_001);
        let file = fs.open(Path::new("/d/a.sidx")).unwrap();
        assert!(file.len().unwrap() > 3 * BLOCK_BYTES as u64);
        file.write_all_at(b"damage", BLOCK_BYTES as u64 * 3 / 2)
            .unwrap();
        let (back, read) = read(&fs);
        assert!(read.damage.is_some());
        assert!(read.series > series / 2 && read.series < series);
        assert_eq!(back.series_count() as u32, read.series);
        assert!(!back.key(SeriesId(0)).is_empty() && !back.key(SeriesId(20_000)).is_empty());
    }

    #[test]
    fn a_segment_cut_anywhere_is_told() {
        let fs = SimFs::new(1);
        written(&fs, sample(60), 0..61);
        let file = fs.open(Path::new("/d/a.sidx")).unwrap();
        let mut len = file.len().unwrap();
        while len > 0 {
            len -= 1;
            file.set_len(len).unwrap();
            assert!(read(&fs).1.damage.is_some(), "cut at {len}");
        }
    }
}
