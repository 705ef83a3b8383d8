//! A chunk's head and where its columns are.

use std::sync::Arc;

use super::Source;
use super::open_column::{ColumnIndex, ColumnKind, OpenColumn};
use crate::block::BlockError;
use crate::block::cache::{Item, Weigh};
use crate::block::error::Damage;
use crate::block::head::{ChunkHead, ColumnLen, Span};

/// See the module's head.
#[derive(Debug)]
pub(in crate::block) struct ChunkIndex {
    /// Which of its measurement's chunks it is.
    at: usize,
    pub(in crate::block) head: ChunkHead,
    /// Where each column's pages and head begin.
    offsets: Vec<(u64, u64)>,
}

impl Weigh for ChunkIndex {
    fn heap_bytes(&self) -> usize {
        let spans = self.head.pages.capacity() + self.head.segments.capacity();
        let column = size_of::<(u64, u64)>() + size_of::<ColumnLen>();
        spans * size_of::<Span>() + self.offsets.capacity() * column
    }
}

impl ChunkIndex {
    /// Reads the head of a measurement's chunk `at`.
    pub(in crate::block) fn open(source: Source<'_>, at: usize) -> Result<Arc<Self>, BlockError> {
        source.cached(Item::Chunk(at), || {
            let (file, place) = (source.file, &source.info.chunks[at]);
            let columns = source.info.fields.len() + 1;
            let data_len = place.len.saturating_sub(place.head_len as u64);
            let offset = place.offset + data_len;
            let piece = file.read_bytes(offset, place.head_len as u64)?;
            let head = file.decode_piece(&piece, offset, |body| {
                ChunkHead::decode(body, place.rows, columns, data_len)
            })?;
            let mut pages = place.offset;
            let mut heads = pages + head.columns.iter().map(|len| len.pages as u64).sum::<u64>();
            let offsets = head.columns.iter().map(|len| {
                let offsets = (pages, heads);
                pages += len.pages as u64;
                heads += len.head as u64;
                offsets
            });
            let offsets = offsets.collect();
            Ok(Self { at, head, offsets })
        })
    }

    /// Opens the column of times.
    pub(in crate::block) fn times(&self, source: Source<'_>) -> Result<OpenColumn, BlockError> {
        self.column(source, ColumnKind::Times, 0)?.ok_or_else(|| {
            let offset = source.info.chunks[self.at].offset;
            let damage = Damage::new("chunk without times");
            source.file.note_damage(damage, offset)
        })
    }

    /// Opens the column of a field; `None` when no row has a value.
    pub(in crate::block) fn field(
        &self,
        source: Source<'_>,
        field: usize,
    ) -> Result<Option<OpenColumn>, BlockError> {
        let kind = ColumnKind::Field(source.info.fields[field].1);
        self.column(source, kind, field + 1)
    }

    fn column(
        &self,
        source: Source<'_>,
        kind: ColumnKind,
        column: usize,
    ) -> Result<Option<OpenColumn>, BlockError> {
        let ((pages, head), len) = (self.offsets[column], self.head.columns[column]);
        if len.head == 0 && len.pages == 0 {
            return Ok(None);
        }
        let chunk = self.at;
        let index = source.cached(Item::Column { chunk, column }, || {
            let counts = (self.head.pages.len(), self.head.segments.len());
            ColumnIndex::read(source.file, kind, counts, pages, head, len)
        })?;
        Ok(Some(OpenColumn::new(index, chunk, column)))
    }
}
