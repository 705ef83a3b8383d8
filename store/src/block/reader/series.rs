//! Reading series of one measurement.

use std::ops::Range;
use std::sync::Arc;

use tandem_codec::number::Scratch;
use tandem_model::{FieldType, SeriesId, TimeRange};

use super::chunk_index::ChunkIndex;
use super::open_column::OpenColumn;
use super::output::ColumnOutput;
use super::{DirectoryPage, Source};
use crate::block::directory::Entry;
use crate::block::error::Damage;
use crate::block::head::Span;
use crate::block::statistics::Statistics;
use crate::block::{BlockError, PAGE_STRING_BYTES_MAX, STRING_BYTES_MAX};
use crate::{Rows, slices};

/// Reads the same fields of one series after another. It keeps the directory page, the heads of a
/// chunk and one decoded page of each column, so that series read in order of id share that work.
#[derive(Debug)]
pub(crate) struct SeriesReader<'a> {
    pub(super) source: Source<'a>,
    /// For each field asked for, its place among the measurement's.
    fields: Vec<Option<usize>>,
    directory: Option<(usize, Arc<DirectoryPage>)>,
    pub(super) chunk: Option<OpenChunk>,
    pub(super) scratch: Scratch,
}

/// Statistics over some rows of a series, none of which another of its kind covers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SegmentStatistics {
    /// From the first to the last of the rows.
    pub(crate) range: TimeRange,
    /// How many rows there are.
    pub(crate) rows: usize,
    /// One for each field asked for; `None` where the file has no value in these rows.
    pub(crate) fields: Vec<Option<Statistics>>,
}

#[derive(Debug)]
pub(super) struct OpenChunk {
    at: usize,
    pub(super) index: Arc<ChunkIndex>,
    pub(super) times: OpenColumn,
    /// One for each field asked for.
    pub(super) columns: Vec<Option<OpenColumn>>,
}

impl<'a> SeriesReader<'a> {
    pub(super) fn new(source: Source<'a>, fields: &[&[u8]]) -> Self {
        Self {
            source,
            fields: fields.iter().map(|name| source.info.field(name)).collect(),
            directory: None,
            chunk: None,
            scratch: Scratch::default(),
        }
    }

    /// The same, but past the cache: for reading everything once.
    pub(crate) fn without_cache(self) -> Self {
        let source = self.source.without_cache();
        Self { source, ..self }
    }

    /// The rows of a series in `range`; none when the file does not have it.
    pub(crate) fn read(&mut self, id: SeriesId, range: TimeRange) -> Result<Rows, BlockError> {
        let mut times_ns = Vec::new();
        let outputs = self
            .fields
            .iter()
            .map(|field| field.map(|field| ColumnOutput::new(self.source.info.fields[field].1)));
        let mut outputs: Vec<Option<ColumnOutput>> = outputs.collect();
        if let Some(entry) = self.entry(id)?
            && entry.range.overlaps(&range)
        {
            for (chunk, rows) in self.chunks(&entry) {
                self.read_chunk(chunk, rows, &entry, range, &mut times_ns, &mut outputs)?;
            }
        }
        let columns = outputs.into_iter().map(|output| output?.finish());
        let columns = columns.collect();
        Ok(Rows { times_ns, columns })
    }

    /// From the first to the last row of a series; `None` when it has none.
    pub(crate) fn time_range(&mut self, id: SeriesId) -> Result<Option<TimeRange>, BlockError> {
        Ok(self.entry(id)?.map(|entry| entry.range))
    }

    /// How many rows a series has, and from when to when; `None` when it has none.
    pub(crate) fn extent(&mut self, id: SeriesId) -> Result<Option<(u64, TimeRange)>, BlockError> {
        Ok(self.entry(id)?.map(|entry| (entry.rows, entry.range)))
    }

    /// True when one of the fields asked for is of strings.
    pub(crate) fn has_strings(&self) -> bool {
        let fields = &self.source.info.fields;
        let mut types = self.fields.iter().flatten().map(|at| fields[*at].1);
        types.any(|field_type| field_type == FieldType::String)
    }

    /// Where in time a series' rows are, page by page, and what they take once they are read.
    pub(crate) fn spans(&mut self, id: SeriesId) -> Result<Vec<slices::Span>, BlockError> {
        let mut spans = Vec::new();
        let Some(entry) = self.entry(id)? else {
            return Ok(spans);
        };
        let has_strings = self.has_strings();
        let row_bytes = 8 * (1 + self.fields.len());
        for (chunk, rows) in self.chunks(&entry) {
            self.open_chunk(chunk)?;
            let Some(open) = &self.chunk else { continue };
            let pages = &open.index.head.pages;
            let first = pages.partition_point(|page| page.rows.end <= rows.start);
            for page in pages[first..]
                .iter()
                .take_while(|p| p.rows.start < rows.end)
            {
                let count = page.rows.end.min(rows.end) - page.rows.start.max(rows.start);
                let string_bytes = match page.rows.len() {
                    _ if !has_strings => 0,
                    1 => STRING_BYTES_MAX,
                    _ => PAGE_STRING_BYTES_MAX,
                };
                spans.push(slices::Span {
                    range: page_range(page, &rows, &entry),
                    bytes: count * row_bytes + string_bytes,
                });
            }
        }
        Ok(spans)
    }

    /// The statistics of those segments of a series that lie in `range` as a whole. Rows outside
    /// of them are to be read.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "queries are not answered from statistics yet")
    )]
    pub(crate) fn statistics(
        &mut self,
        id: SeriesId,
        range: TimeRange,
    ) -> Result<Vec<SegmentStatistics>, BlockError> {
        let mut found = Vec::new();
        let Some(entry) = self.entry(id)? else {
            return Ok(found);
        };
        for (chunk, rows) in self.chunks(&entry) {
            self.open_chunk(chunk)?;
            let (file, Some(open)) = (self.source.file, &mut self.chunk) else {
                continue;
            };
            let segments = &open.index.head.segments;
            let columns = open.columns.iter_mut().map(|column| match column {
                Some(column) => column.statistics(file, segments).map(Some),
                None => Ok(None),
            });
            let columns: Vec<Option<&[Statistics]>> = columns.collect::<Result<_, _>>()?;
            let first = segments.partition_point(|segment| segment.rows.start < rows.start);
            let segments = segments.iter().enumerate().skip(first);
            for (at, segment) in segments.take_while(|(_, s)| s.rows.end <= rows.end) {
                let whole = TimeRange::new(segment.first_ns, segment.last_ns);
                if range.intersect(&whole) == whole {
                    let fields = columns.iter().map(|all| (*all)?.get(at).cloned());
                    found.push(SegmentStatistics {
                        range: whole,
                        rows: segment.rows.len(),
                        fields: fields.collect(),
                    });
                }
            }
        }
        Ok(found)
    }

    /// Where a series' rows are.
    pub(super) fn entry(&mut self, id: SeriesId) -> Result<Option<Entry>, BlockError> {
        let info = self.source.info;
        if !info.series.contains(id.0) {
            return Ok(None);
        }
        let at = info.directory.partition_point(|place| place.first_id <= id);
        let Some(at) = at.checked_sub(1) else {
            return Ok(None);
        };
        let entries = match &mut self.directory {
            Some((page, entries)) if *page == at => entries,
            directory => &mut directory.insert((at, self.source.directory_page(at)?)).1,
        };
        match entries.0.binary_search_by_key(&id, |entry| entry.id) {
            Ok(found) => Ok(entries.0.get(found).copied()),
            Err(_) => {
                let damage = Damage::new("series without a directory entry");
                let offset = info.directory[at].offset;
                Err(self.source.file.note_damage(damage, offset))
            }
        }
    }

    /// The chunks that hold a series' rows, and which of their rows those are.
    pub(super) fn chunks(&self, entry: &Entry) -> Vec<(usize, Range<usize>)> {
        let end_row = entry.first_row + entry.rows;
        let places = &self.source.info.chunks;
        let first =
            places.partition_point(|chunk| chunk.first_row + chunk.rows as u64 <= entry.first_row);
        let chunks = places.iter().enumerate().skip(first);
        chunks
            .take_while(|(_, chunk)| chunk.first_row < end_row)
            .map(|(at, chunk)| {
                // Within a chunk, so below CHUNK_ROWS_MAX.
                let start = entry.first_row.saturating_sub(chunk.first_row) as usize;
                let end = (end_row - chunk.first_row).min(chunk.rows as u64) as usize;
                (at, start..end)
            })
            .collect()
    }

    pub(super) fn open_chunk(&mut self, at: usize) -> Result<(), BlockError> {
        if self.chunk.as_ref().is_some_and(|open| open.at == at) {
            return Ok(());
        }
        self.chunk = None;
        let index = ChunkIndex::open(self.source, at)?;
        let times = index.times(self.source)?;
        let columns = self.fields.iter().map(|field| match field {
            Some(field) => index.field(self.source, *field),
            None => Ok(None),
        });
        let columns = columns.collect::<Result<_, _>>()?;
        self.chunk = Some(OpenChunk {
            at,
            index,
            times,
            columns,
        });
        Ok(())
    }

    /// Appends those of rows `rows` of a chunk that are in `range`. They are of series `entry`.
    fn read_chunk(
        &mut self,
        at: usize,
        rows: Range<usize>,
        entry: &Entry,
        range: TimeRange,
        times_ns: &mut Vec<i64>,
        outputs: &mut [Option<ColumnOutput>],
    ) -> Result<(), BlockError> {
        self.open_chunk(at)?;
        let (source, scratch) = (self.source, &mut self.scratch);
        let Some(open) = &mut self.chunk else {
            return Ok(());
        };
        let pages = &open.index.head.pages;
        let first = pages.partition_point(|page| page.rows.end <= rows.start);
        let end = pages.partition_point(|page| page.rows.start < rows.end);
        let wanted =
            (first..end).filter(|at| range.overlaps(&page_range(&pages[*at], &rows, entry)));
        let wanted: Vec<usize> = wanted.collect();
        let (Some(&first), Some(&last)) = (wanted.first(), wanted.last()) else {
            return Ok(());
        };
        open.times.read_ahead(source, first..last + 1)?;
        for column in open.columns.iter_mut().flatten() {
            column.read_ahead(source, first..last + 1)?;
        }
        for (at, page) in pages.iter().enumerate().take(last + 1).skip(first) {
            let page_rows = page.rows.len();
            let start = rows.start.saturating_sub(page.rows.start);
            let end = rows.end.min(page.rows.end) - page.rows.start;
            let times = open.times.page(source, at, page_rows, scratch)?;
            let times = times.map_or(&[][..], |page| page.times_ns());
            let Some(times) = times.get(start..end) else {
                continue;
            };
            let from = start + times.partition_point(|time| *time < range.min_ns);
            let to = start + times.partition_point(|time| *time <= range.max_ns);
            if from >= to {
                continue;
            }
            times_ns.extend_from_slice(&times[from - start..to - start]);
            for (column, output) in open.columns.iter_mut().zip(outputs.iter_mut()) {
                let Some(output) = output else { continue };
                let page = match column {
                    Some(column) => column.page(source, at, page_rows, scratch)?,
                    None => None,
                };
                output.append(page, from..to);
            }
        }
        Ok(())
    }
}

/// When those rows of a page are that belong to a series, whose rows in the chunk are `rows`. Where
/// it begins or ends within the page, the directory says when.
pub(super) fn page_range(page: &Span, rows: &Range<usize>, entry: &Entry) -> TimeRange {
    TimeRange {
        min_ns: if page.rows.start < rows.start {
            entry.range.min_ns
        } else {
            page.first_ns
        },
        max_ns: if page.rows.end > rows.end {
            entry.range.max_ns
        } else {
            page.last_ns
        },
    }
}
