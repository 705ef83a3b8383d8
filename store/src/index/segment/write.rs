//! Writing a segment.

use std::ops::Range;
use std::path::Path;
use std::sync::RwLockReadGuard;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tandem_model::SeriesId;
use tandem_vfs::{File, Vfs};

use super::{
    BLOCK_BYTES, BLOCK_HEADER_BYTES, BLOCK_TEXT_BYTES, KIND_FIRST, KIND_LAST, KIND_SERIES, MAGIC,
    block_crc,
};
use crate::error::StoreError;
use crate::index::SeriesTable;
use crate::wire::{put_bytes, put_uint};

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
    write_segment_file(&*file, path, ids, table)
}

/// As [`write_segment`], to a file that is open and empty.
pub(crate) fn write_segment_file<'a>(
    file: &dyn File,
    path: &Path,
    ids: Range<u32>,
    table: &dyn Fn() -> RwLockReadGuard<'a, SeriesTable>,
) -> Result<u32, StoreError> {
    let mut out = Output { file, path, end: 0 };
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
