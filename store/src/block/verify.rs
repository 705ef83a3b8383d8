//! Checking a whole file: every checksum and everything that a writer promises.

use tandem_codec::number::Scratch;
use tandem_model::TimeRange;

use super::directory::Entry;
use super::error::Damage;
use super::head::Span;
use super::layout;
use super::reader::{ChunkIndex, OpenColumn, Source};
use super::statistics::Statistics;
use super::{BlockError, BlockFile, MAGIC};
use crate::Values;

impl BlockFile {
    /// Reads all of the file and answers with the first thing that is wrong. Needs the memory of
    /// one column of a chunk and of the largest measurement's directory.
    pub(crate) fn verify(&self) -> Result<(), BlockError> {
        if self.read_bytes(0, MAGIC.len() as u64)? != MAGIC {
            return Err(self.damaged(0, "not a block file"));
        }
        let mut range = TimeRange::new(i64::MAX, i64::MIN);
        let mut values = 0;
        for (measurement, info) in self.measurements().iter().enumerate() {
            let source = Source::new(self, measurement).without_cache();
            let mut entries = Vec::new();
            for at in 0..info.directory.len() {
                entries.extend_from_slice(&source.directory_page(at)?.0);
            }
            let ids = entries.iter().map(|entry| entry.id.0);
            if !ids.eq(info.series.iter()) {
                return Err(self.damaged(self.meta().len_bytes, "series set and directory differ"));
            }
            for entry in &entries {
                range.min_ns = range.min_ns.min(entry.range.min_ns);
                range.max_ns = range.max_ns.max(entry.range.max_ns);
            }
            let mut last_ns = None;
            for at in 0..info.chunks.len() {
                values += source.verify_chunk(at, &entries, &mut last_ns)?;
            }
        }
        if range != self.meta().range || values != self.meta().values {
            return Err(self.damaged(self.meta().len_bytes, "footer does not fit the data"));
        }
        Ok(())
    }

    fn damaged(&self, offset: u64, what: &'static str) -> BlockError {
        Damage::new(what).at(self.path(), offset)
    }
}

impl Source<'_> {
    /// Checks a chunk and says how many values it has. `last_ns` is the time of the row before it,
    /// and then that of its last.
    fn verify_chunk(
        self,
        at: usize,
        entries: &[Entry],
        last_ns: &mut Option<i64>,
    ) -> Result<u64, BlockError> {
        let place = &self.info.chunks[at];
        let chunk = ChunkIndex::open(self, at)?;
        let mut scratch = Scratch::default();
        let pages = chunk.head.pages.clone();
        let mut times_ns = Vec::with_capacity(place.rows);
        let mut times = chunk.times(self)?;
        for (at, page) in pages.iter().enumerate() {
            if let Some(page) = times.page(self, at, page.rows.len(), &mut scratch)? {
                times_ns.extend_from_slice(page.times_ns());
            }
        }
        let series_rows = verify_times(place.first_row, &times_ns, entries, last_ns)
            .and_then(|rows| verify_spans(&chunk.head.pages, &chunk.head.segments, &times_ns, rows))
            .map_err(|damage| damage.at(self.file.path(), place.offset));
        series_rows?;

        let mut count = 0;
        for field in 0..self.info.fields.len() {
            if let Some(mut column) = chunk.field(self, field)? {
                let segments = &chunk.head.segments;
                let values = Values::new(self.info.fields[field].1);
                let found = self.verify_field(
                    &mut column,
                    values,
                    &pages,
                    segments,
                    &times_ns,
                    &mut scratch,
                )?;
                count += found as u64;
            }
        }
        Ok(count)
    }

    /// Checks the pages and statistics of a field and says how many values it has.
    fn verify_field(
        self,
        column: &mut OpenColumn,
        mut values: Values,
        pages: &[Span],
        segments: &[Span],
        times_ns: &[i64],
        scratch: &mut Scratch,
    ) -> Result<usize, BlockError> {
        let mut written = Vec::with_capacity(times_ns.len());
        for (at, span) in pages.iter().enumerate() {
            let rows = span.rows.len();
            match column.page(self, at, rows, scratch)? {
                None => written.resize(span.rows.end, false),
                Some(page) => {
                    values.extend_from(page.values(), 0..page.values().len());
                    written.extend((0..rows).map(|row| {
                        page.written()
                            .is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1)
                    }));
                }
            }
        }
        let statistics = column.statistics(self.file, segments)?.to_vec();
        let (mut row, mut entry) = (0, 0);
        for (segment, found) in segments.iter().zip(statistics) {
            let ones = |rows: &[bool]| rows.iter().filter(|is_written| **is_written).count();
            entry += ones(&written[row..segment.rows.start]);
            let of_segment = &written[segment.rows.clone()];
            let count = ones(of_segment);
            let first = of_segment.iter().position(|is_written| *is_written);
            let last = of_segment.iter().rposition(|is_written| *is_written);
            let expected = match first.zip(last) {
                Some((first, last)) => {
                    let (first, last) = (segment.rows.start + first, segment.rows.start + last);
                    Statistics::of(
                        &values,
                        entry..entry + count,
                        times_ns[first],
                        times_ns[last],
                    )
                }
                None => Statistics::empty(segment),
            };
            if found != expected {
                return Err(self
                    .file
                    .damaged(column.head_offset(), "statistics do not fit the values"));
            }
            entry += count;
            row = segment.rows.end;
        }
        Ok(values.len())
    }
}

/// Checks the times of a chunk that begins at row `first_row` of its measurement against the
/// directory, and says how many rows each series has in it.
fn verify_times(
    first_row: u64,
    times_ns: &[i64],
    entries: &[Entry],
    last_ns: &mut Option<i64>,
) -> Result<Vec<usize>, Damage> {
    let end_row = first_row + times_ns.len() as u64;
    let mut series_rows = Vec::new();
    let from = entries.partition_point(|entry| entry.first_row + entry.rows <= first_row);
    for entry in entries[from..]
        .iter()
        .take_while(|entry| entry.first_row < end_row)
    {
        let start = entry.first_row.max(first_row);
        let end = (entry.first_row + entry.rows).min(end_row);
        let rows = &times_ns[(start - first_row) as usize..(end - first_row) as usize];
        let before_ns = last_ns.filter(|_| start > entry.first_row);
        let ascending = rows.is_sorted_by(|a, b| a < b)
            && rows
                .first()
                .is_some_and(|first| before_ns.is_none_or(|before| before < *first));
        let begins = start > entry.first_row || rows.first() == Some(&entry.range.min_ns);
        let ends = end < entry.first_row + entry.rows || rows.last() == Some(&entry.range.max_ns);
        if !(ascending && begins && ends) {
            return Err(Damage::new(
                "times out of order, or not as the directory says",
            ));
        }
        *last_ns = rows.last().copied();
        series_rows.push(rows.len());
    }
    Ok(series_rows)
}

/// Checks what a chunk's head says of its pages and segments.
fn verify_spans(
    pages: &[Span],
    segments: &[Span],
    times_ns: &[i64],
    series_rows: Vec<usize>,
) -> Result<(), Damage> {
    let page_rows: Vec<usize> = pages.iter().map(|page| page.rows.len()).collect();
    let expected = layout::segments(&series_rows, &page_rows);
    let fits = |span: &Span| {
        times_ns[span.rows.start] == span.first_ns && times_ns[span.rows.end - 1] == span.last_ns
    };
    if !expected
        .iter()
        .eq(segments.iter().map(|segment| &segment.rows))
    {
        return Err(Damage::new("segments are not where they should be"));
    }
    if !pages.iter().chain(segments).all(fits) {
        return Err(Damage::new("chunk head does not fit the times"));
    }
    Ok(())
}
