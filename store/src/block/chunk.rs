//! A chunk of one measurement, while it is being written.

use std::ops::Range;

use tandem_codec::Effort;
use tandem_model::FieldType;

use super::column::{self, ColumnBuffer, EncodedColumn};
use super::head::{ChunkHead, ColumnLen, Span};
use super::{
    CHUNK_ROWS_MAX, CHUNK_STRING_BYTES_MAX, CHUNK_VALUES_MAX, PAGE_ROWS_MAX, PAGE_STRING_BYTES_MAX,
    layout, piece,
};
use crate::{Rows, Values};

/// Rows that wait until they are enough for a chunk.
#[derive(Debug)]
pub(super) struct ChunkBuffer {
    times_ns: Vec<i64>,
    /// How many rows each series has here, in order.
    series_rows: Vec<usize>,
    columns: Vec<ColumnBuffer>,
    /// Bytes of strings in each row; empty where the measurement has none.
    row_bytes: Vec<usize>,
    string_bytes: usize,
    rows_max: usize,
}

/// A chunk as it goes to the file.
#[derive(Debug)]
pub(super) struct EncodedChunk {
    pub(super) bytes: Vec<u8>,
    /// How many of them, at the end, are the chunk's head.
    pub(super) head_len: usize,
    pub(super) rows: usize,
}

impl ChunkBuffer {
    pub(super) fn new(fields: impl Iterator<Item = FieldType>) -> Self {
        let columns: Vec<ColumnBuffer> = fields.map(ColumnBuffer::new).collect();
        let rows_max = CHUNK_VALUES_MAX / (columns.len() + 1);
        Self {
            times_ns: Vec::new(),
            series_rows: Vec::new(),
            columns,
            row_bytes: Vec::new(),
            string_bytes: 0,
            rows_max: rows_max.clamp(PAGE_ROWS_MAX, CHUNK_ROWS_MAX),
        }
    }

    pub(super) fn columns(&self) -> &[ColumnBuffer] {
        &self.columns
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.times_ns.is_empty()
    }

    /// How many values wait here.
    pub(super) fn values_len(&self) -> usize {
        self.columns.iter().map(ColumnBuffer::values_len).sum()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.times_ns.len() >= self.rows_max || self.string_bytes >= CHUNK_STRING_BYTES_MAX
    }

    /// True when a new series of `rows` rows had better begin the next chunk than straddle two.
    pub(super) const fn should_end_before(&self, rows: usize) -> bool {
        let len = self.times_ns.len();
        len >= self.rows_max / 4 * 3 && len + rows > self.rows_max
    }

    /// Appends rows of `rows` from `start` on, as many as there is room for, and says how many.
    /// `continues` when they are of the series that was appended last.
    pub(super) fn append(&mut self, rows: &Rows, start: usize, continues: bool) -> usize {
        let room = self.rows_max - self.times_ns.len();
        let mut end = rows.len().min(start + room);
        if self
            .columns
            .iter()
            .any(|column| column.field_type() == FieldType::String)
        {
            end = self.append_row_bytes(rows, start..end);
        }
        self.times_ns.extend_from_slice(&rows.times_ns[start..end]);
        for (buffer, column) in self.columns.iter_mut().zip(&rows.columns) {
            buffer.append(column.as_ref(), start..end);
        }
        match self.series_rows.last_mut() {
            Some(last) if continues => *last += end - start,
            _ => self.series_rows.push(end - start),
        }
        end - start
    }

    /// Counts the bytes of the strings in `range`, up to the row that fills a page; one past it.
    fn append_row_bytes(&mut self, rows: &Rows, range: Range<usize>) -> usize {
        let mut bytes = 0;
        for row in range.clone() {
            let strings = rows
                .columns
                .iter()
                .flatten()
                .filter_map(|c| match &c.values {
                    Values::String(v) if c.validity.is_valid(row) => Some(v.get(row).len()),
                    _ => None,
                });
            let len = strings.sum();
            self.row_bytes.push(len);
            self.string_bytes += len;
            bytes += len;
            if bytes >= PAGE_STRING_BYTES_MAX {
                return row + 1;
            }
        }
        range.end
    }

    /// Encodes what waits and leaves the buffer empty.
    pub(super) fn encode(&mut self, effort: Effort) -> EncodedChunk {
        let times_ns = &self.times_ns[..];
        let page_rows = layout::pages(self.series_rows.iter().copied());
        let page_rows = layout::bound_strings(page_rows, &self.row_bytes);
        let mut row = 0;
        let pages = page_rows.iter().map(|&rows| {
            row += rows;
            Span::new(row - rows..row, times_ns)
        });
        let pages: Vec<Span> = pages.collect();
        let segments = layout::segments(&self.series_rows, &page_rows);
        let segments = segments.into_iter().map(|rows| Span::new(rows, times_ns));
        let segments: Vec<Span> = segments.collect();

        let mut bytes = Vec::new();
        let mut heads = Vec::new();
        let mut columns = Vec::with_capacity(self.columns.len() + 1);
        let mut add = |column: EncodedColumn| {
            bytes.extend_from_slice(&column.pages);
            let start = heads.len();
            if !column.head.is_empty() {
                heads.extend_from_slice(&column.head);
                piece::seal(&mut heads, start);
            }
            columns.push(ColumnLen {
                pages: column.pages.len(),
                head: heads.len() - start,
            });
        };
        add(column::encode_times(times_ns, &pages, effort));
        for buffer in &self.columns {
            add(buffer.encode(times_ns, &pages, &segments, effort));
        }
        bytes.append(&mut heads);
        let start = bytes.len();
        ChunkHead {
            pages,
            segments,
            columns,
        }
        .encode(&mut bytes);
        piece::seal(&mut bytes, start);
        let encoded = EncodedChunk {
            head_len: bytes.len() - start,
            bytes,
            rows: self.times_ns.len(),
        };

        self.times_ns.clear();
        self.series_rows.clear();
        self.columns.iter_mut().for_each(ColumnBuffer::clear);
        self.row_bytes.clear();
        self.string_bytes = 0;
        encoded
    }
}
