//! Heads: what says where in a chunk things are.

use std::ops::Range;

use tandem_codec::{Input, write_varint, write_zigzag};

use super::error::Damage;
use super::{PAGE_ROWS_MAX, STATISTICS_ROWS_MIN};

/// Rows `rows` of a chunk, and when the first and the last of them are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) rows: Range<usize>,
    pub(super) first_ns: i64,
    pub(super) last_ns: i64,
}

impl Span {
    pub(super) fn new(rows: Range<usize>, times_ns: &[i64]) -> Self {
        let (first_ns, last_ns) = (times_ns[rows.start], times_ns[rows.end - 1]);
        Self {
            rows,
            first_ns,
            last_ns,
        }
    }
}

/// How many bytes a column's pages and its head take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ColumnLen {
    pub(super) pages: usize,
    pub(super) head: usize,
}

/// A chunk's map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChunkHead {
    /// End to end, from row 0 on.
    pub(super) pages: Vec<Span>,
    /// Those rows that have statistics; none crosses a page or belongs to two series.
    pub(super) segments: Vec<Span>,
    /// The times, then each field.
    pub(super) columns: Vec<ColumnLen>,
}

impl ChunkHead {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        write_varint(self.pages.len() as u64, out);
        let mut before_ns = 0_i64;
        for page in &self.pages {
            write_varint(page.rows.len() as u64, out);
            write_zigzag(page.first_ns.wrapping_sub(before_ns), out);
            write_zigzag(page.last_ns.wrapping_sub(page.first_ns), out);
            before_ns = page.last_ns;
        }
        write_varint(self.segments.len() as u64, out);
        let (mut row, mut first_before, mut length_before) = (0, 0_i64, 0_i64);
        for segment in &self.segments {
            write_varint((segment.rows.start - row) as u64, out);
            write_varint(segment.rows.len() as u64, out);
            let length = segment.last_ns.wrapping_sub(segment.first_ns);
            write_zigzag(segment.first_ns.wrapping_sub(first_before), out);
            write_zigzag(length.wrapping_sub(length_before), out);
            (row, first_before, length_before) = (segment.rows.end, segment.first_ns, length);
        }
        for column in &self.columns {
            write_varint(column.pages as u64, out);
            write_varint(column.head as u64, out);
        }
    }

    /// Reads the head of a chunk of `rows` rows in `columns` columns, whose pages and column heads
    /// take `len` bytes.
    pub(super) fn decode(
        body: &[u8],
        rows: usize,
        columns: usize,
        len: u64,
    ) -> Result<Self, Damage> {
        let mut input = Input::new(body, "chunk head");
        let count = input.count(rows.min(input.len()))?;
        let mut pages = Vec::with_capacity(count);
        let (mut row, mut before_ns) = (0, 0_i64);
        for _ in 0..count {
            let end = row + input.count(PAGE_ROWS_MAX.min(rows - row))?;
            let first_ns = before_ns.wrapping_add(input.zigzag()?);
            let last_ns = first_ns.wrapping_add(input.zigzag()?);
            if end == row {
                return Err(Damage::new("page without rows"));
            }
            pages.push(Span {
                rows: row..end,
                first_ns,
                last_ns,
            });
            (row, before_ns) = (end, last_ns);
        }
        if row != rows {
            return Err(Damage::new("pages do not fill their chunk"));
        }

        let count = input.count((rows / STATISTICS_ROWS_MIN).min(input.len()))?;
        let mut segments = Vec::with_capacity(count);
        let (mut row, mut first_ns, mut length) = (0, 0_i64, 0_i64);
        for _ in 0..count {
            let start = row + input.count(rows - row)?;
            let end = start + input.count(rows - start)?;
            first_ns = first_ns.wrapping_add(input.zigzag()?);
            length = length.wrapping_add(input.zigzag()?);
            let last_ns = first_ns.wrapping_add(length);
            if end - start < STATISTICS_ROWS_MIN || last_ns < first_ns {
                return Err(Damage::new("segment out of bounds"));
            }
            segments.push(Span {
                rows: start..end,
                first_ns,
                last_ns,
            });
            row = end;
        }

        let mut lens = Vec::with_capacity(columns.min(input.len()));
        let mut left = usize::try_from(len).unwrap_or(usize::MAX);
        for _ in 0..columns {
            let pages = input.count(left)?;
            left -= pages;
            let head = input.count(left)?;
            left -= head;
            lens.push(ColumnLen { pages, head });
        }
        if left != 0 {
            return Err(Damage::new("columns do not fill their chunk"));
        }
        input.end()?;
        Ok(Self {
            pages,
            segments,
            columns: lens,
        })
    }
}

/// A column's map within its chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnHead<'a> {
    /// The codec's metadata.
    pub(super) meta: &'a [u8],
    /// The length of each page's piece; 0 where no row has a value.
    pub(super) page_lens: Vec<usize>,
    /// Encoded, one for each segment.
    pub(super) statistics: &'a [u8],
}

impl<'a> ColumnHead<'a> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        write_varint(self.meta.len() as u64, out);
        out.extend_from_slice(self.meta);
        for &len in &self.page_lens {
            write_varint(len as u64, out);
        }
        out.extend_from_slice(self.statistics);
    }

    /// Reads the head of a column of `pages` pages that take `len` bytes.
    pub(super) fn decode(body: &'a [u8], pages: usize, len: usize) -> Result<Self, Damage> {
        let mut input = Input::new(body, "column head");
        let meta_len = input.count(input.len())?;
        let meta = input.take(meta_len)?;
        let mut left = len;
        let mut page_lens = Vec::with_capacity(pages.min(input.len()));
        for _ in 0..pages {
            let len = input.count(left)?;
            left -= len;
            page_lens.push(len);
        }
        if left != 0 {
            return Err(Damage::new("pages do not fill their column"));
        }
        let statistics = input.rest();
        Ok(Self {
            meta,
            page_lens,
            statistics,
        })
    }
}
