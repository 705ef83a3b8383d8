//! The series directory: which of a measurement's rows are whose.
//!
//! The rows of a measurement are one sequence in order of series, so that a series' place is the
//! sum of the rows before it, and its entry takes four bytes where series are alike.

use tandem_codec::{Input, write_varint, write_zigzag};
use tandem_model::{SeriesId, TimeRange};

use super::error::Damage;
use super::{DIRECTORY_SERIES_MAX, piece};

/// One series' rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: SeriesId,
    /// The first of them, counted from the measurement's start.
    pub(super) first_row: u64,
    pub(super) rows: u64,
    /// From the first to the last of them.
    pub(super) range: TimeRange,
}

/// Where a directory page is and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PagePlace {
    pub(super) offset: u64,
    pub(super) len: usize,
    pub(super) first_id: SeriesId,
    pub(super) series: usize,
    pub(super) first_row: u64,
    pub(super) rows: u64,
}

/// Collects entries into pages.
#[derive(Debug, Default)]
pub(super) struct DirectoryWriter {
    open: Vec<Entry>,
    /// Sealed pages; offsets count from the start of `bytes`.
    pages: Vec<PagePlace>,
    bytes: Vec<u8>,
}

impl DirectoryWriter {
    pub(super) fn push(&mut self, entry: Entry) {
        self.open.push(entry);
        if self.open.len() == DIRECTORY_SERIES_MAX {
            self.seal();
        }
    }

    fn seal(&mut self) {
        let Some(first) = self.open.first().copied() else {
            return;
        };
        let start = self.bytes.len();
        encode(&self.open, &mut self.bytes);
        piece::seal(&mut self.bytes, start);
        self.pages.push(PagePlace {
            offset: start as u64,
            len: self.bytes.len() - start,
            first_id: first.id,
            series: self.open.len(),
            first_row: first.first_row,
            rows: self.open.iter().map(|entry| entry.rows).sum(),
        });
        self.open.clear();
    }

    /// The pages, offsets counted from the start of the bytes.
    pub(super) fn finish(mut self) -> (Vec<PagePlace>, Vec<u8>) {
        self.seal();
        (self.pages, self.bytes)
    }
}

fn encode(entries: &[Entry], out: &mut Vec<u8>) {
    let mut next_id = entries.first().map_or(0, |entry| entry.id.0);
    let (mut rows, mut min_ns, mut length) = (0_u64, 0_i64, 0_i64);
    for entry in entries {
        let entry_length = entry.range.max_ns.wrapping_sub(entry.range.min_ns);
        write_varint(u64::from(entry.id.0 - next_id), out);
        write_zigzag(entry.rows.wrapping_sub(rows).cast_signed(), out);
        write_zigzag(entry.range.min_ns.wrapping_sub(min_ns), out);
        write_zigzag(entry_length.wrapping_sub(length), out);
        next_id = entry.id.0.wrapping_add(1);
        (rows, min_ns, length) = (entry.rows, entry.range.min_ns, entry_length);
    }
}

/// Reads the page at `place`: ascending ids, and as many series and rows as `place` says.
pub(super) fn decode(body: &[u8], place: &PagePlace) -> Result<Vec<Entry>, Damage> {
    let mut input = Input::new(body, "series directory");
    let mut entries = Vec::with_capacity(place.series.min(DIRECTORY_SERIES_MAX));
    let mut next_id = Some(place.first_id.0);
    let (mut rows, mut min_ns, mut length) = (0_u64, 0_i64, 0_i64);
    let mut first_row = place.first_row;
    let last_row = place.first_row + place.rows;
    for _ in 0..place.series {
        let skipped = u32::try_from(input.varint()?).ok();
        let id = skipped
            .zip(next_id)
            .and_then(|(skipped, next)| next.checked_add(skipped))
            .ok_or(Damage::new("series id out of bounds"))?;
        rows = rows.wrapping_add_signed(input.zigzag()?);
        min_ns = min_ns.wrapping_add(input.zigzag()?);
        length = length.wrapping_add(input.zigzag()?);
        let range = TimeRange::new(min_ns, min_ns.wrapping_add(length));
        if rows == 0 || rows > last_row - first_row || range.is_empty() {
            return Err(Damage::new("series out of bounds"));
        }
        entries.push(Entry {
            id: SeriesId(id),
            first_row,
            rows,
            range,
        });
        first_row += rows;
        next_id = id.checked_add(1);
    }
    if first_row != last_row
        || entries
            .first()
            .is_none_or(|first| first.id != place.first_id)
    {
        return Err(Damage::new("directory page does not fit the footer"));
    }
    input.end()?;
    Ok(entries)
}
