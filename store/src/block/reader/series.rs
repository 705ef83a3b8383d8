//! Reading series of one measurement.

use std::ops::Range;

use tandem_codec::number::Scratch;
use tandem_model::{SeriesId, TimeRange};

use super::open_column::{ColumnKind, OpenColumn};
use super::output::ColumnOutput;
use super::{BlockFile, MeasurementInfo};
use crate::Rows;
use crate::block::BlockError;
use crate::block::directory::Entry;
use crate::block::error::Damage;
use crate::block::head::ChunkHead;
use crate::block::statistics::Statistics;

/// Reads the same fields of one series after another. It keeps the directory page, the heads of a
/// chunk and one decoded page of each column, so that series read in order of id share that work.
#[derive(Debug)]
pub(crate) struct SeriesReader<'a> {
    file: &'a BlockFile,
    info: &'a MeasurementInfo,
    /// For each field asked for, its place among the measurement's.
    fields: Vec<Option<usize>>,
    directory: Option<(usize, Vec<Entry>)>,
    chunk: Option<OpenChunk>,
    scratch: Scratch,
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
struct OpenChunk {
    at: usize,
    head: ChunkHead,
    times: OpenColumn,
    /// One for each field asked for.
    columns: Vec<Option<OpenColumn>>,
}

impl<'a> SeriesReader<'a> {
    pub(super) fn new(file: &'a BlockFile, measurement: usize, fields: &[&[u8]]) -> Self {
        let info = &file.measurements()[measurement];
        Self {
            file,
            info,
            fields: fields.iter().map(|name| info.field(name)).collect(),
            directory: None,
            chunk: None,
            scratch: Scratch::default(),
        }
    }

    /// The rows of a series in `range`; none when the file does not have it.
    pub(crate) fn read(&mut self, id: SeriesId, range: TimeRange) -> Result<Rows, BlockError> {
        let mut times_ns = Vec::new();
        let outputs = self
            .fields
            .iter()
            .map(|field| field.map(|field| ColumnOutput::new(self.info.fields[field].1)));
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

    /// The statistics of those segments of a series that lie in `range` as a whole. Rows outside
    /// of them are to be read.
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
            let Some(open) = &self.chunk else { continue };
            let segments = &open.head.segments;
            let columns = open.columns.iter().map(|column| match column {
                Some(column) => column.statistics(self.file, segments).map(Some),
                None => Ok(None),
            });
            let columns: Vec<_> = columns.collect::<Result<_, _>>()?;
            let first = segments.partition_point(|segment| segment.rows.start < rows.start);
            for (at, segment) in segments.iter().enumerate().skip(first) {
                let whole = TimeRange::new(segment.first_ns, segment.last_ns);
                if segment.rows.end > rows.end {
                    break;
                }
                if range.intersect(&whole) == whole {
                    let fields = columns.iter().map(|all| all.as_ref()?.get(at).cloned());
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
    fn entry(&mut self, id: SeriesId) -> Result<Option<Entry>, BlockError> {
        if !self.info.series.contains(id.0) {
            return Ok(None);
        }
        let places = &self.info.directory;
        let at = places
            .partition_point(|place| place.first_id <= id)
            .saturating_sub(1);
        let Some(place) = places.get(at) else {
            return Ok(None);
        };
        let entries = match &mut self.directory {
            Some((page, entries)) if *page == at => entries,
            directory => &mut directory.insert((at, self.file.directory_page(place)?)).1,
        };
        match entries.binary_search_by_key(&id, |entry| entry.id) {
            Ok(found) => Ok(entries.get(found).copied()),
            Err(_) => {
                Err(Damage::new("series without a directory entry")
                    .at(self.file.path(), place.offset))
            }
        }
    }

    /// The chunks that hold a series' rows, and which of their rows those are.
    fn chunks(&self, entry: &Entry) -> Vec<(usize, Range<usize>)> {
        let end_row = entry.first_row + entry.rows;
        let places = &self.info.chunks;
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

    fn open_chunk(&mut self, at: usize) -> Result<(), BlockError> {
        if self.chunk.as_ref().is_some_and(|open| open.at == at) {
            return Ok(());
        }
        self.chunk = None;
        let mut chunk = ChunkColumns::open(self.file, self.info, at)?;
        let times = chunk.times(self.file)?;
        let mut columns = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            columns.push(match field {
                Some(field) => chunk.field(self.file, self.info, *field)?,
                None => None,
            });
        }
        let head = chunk.head;
        self.chunk = Some(OpenChunk {
            at,
            head,
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
        let (file, scratch) = (self.file, &mut self.scratch);
        let Some(open) = &mut self.chunk else {
            return Ok(());
        };
        let pages = &open.head.pages;
        let first = pages.partition_point(|page| page.rows.end <= rows.start);
        let end = pages.partition_point(|page| page.rows.start < rows.end);
        // Where the series begins or ends within a page, the directory says when.
        let wanted = (first..end).filter(|page| {
            let page = &pages[*page];
            let starts_here = page.rows.start < rows.start;
            let ends_here = page.rows.end > rows.end;
            let min_ns = if starts_here {
                entry.range.min_ns
            } else {
                page.first_ns
            };
            let max_ns = if ends_here {
                entry.range.max_ns
            } else {
                page.last_ns
            };
            range.overlaps(&TimeRange::new(min_ns, max_ns))
        });
        let wanted: Vec<usize> = wanted.collect();
        let (Some(&first), Some(&last)) = (wanted.first(), wanted.last()) else {
            return Ok(());
        };
        open.times.read_ahead(file, first..last + 1)?;
        for column in open.columns.iter_mut().flatten() {
            column.read_ahead(file, first..last + 1)?;
        }
        for at in first..=last {
            let page = &open.head.pages[at];
            let page_rows = page.rows.len();
            let start = rows.start.saturating_sub(page.rows.start);
            let end = rows.end.min(page.rows.end) - page.rows.start;
            let times = open.times.page(file, at, page_rows, scratch)?;
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
                    Some(column) => column.page(file, at, page_rows, scratch)?,
                    None => None,
                };
                output.append(page, from..to);
            }
        }
        Ok(())
    }
}

/// A chunk's head and where its columns are.
#[derive(Debug)]
pub(in crate::block) struct ChunkColumns {
    pub(in crate::block) head: ChunkHead,
    /// Where each column's pages and head begin.
    offsets: Vec<(u64, u64)>,
}

impl ChunkColumns {
    pub(in crate::block) fn open(
        file: &BlockFile,
        info: &MeasurementInfo,
        at: usize,
    ) -> Result<Self, BlockError> {
        let place = &info.chunks[at];
        let head = file.chunk_head(place, info.fields.len() + 1)?;
        let mut pages = place.offset;
        let mut heads = pages + head.columns.iter().map(|len| len.pages as u64).sum::<u64>();
        let offsets = head.columns.iter().map(|len| {
            let offsets = (pages, heads);
            pages += len.pages as u64;
            heads += len.head as u64;
            offsets
        });
        let offsets = offsets.collect();
        Ok(Self { head, offsets })
    }

    pub(in crate::block) fn times(&mut self, file: &BlockFile) -> Result<OpenColumn, BlockError> {
        self.column(file, ColumnKind::Times, 0)?.ok_or_else(|| {
            let offset = self.offsets.first().map_or(0, |(pages, _)| *pages);
            Damage::new("chunk without times").at(file.path(), offset)
        })
    }

    /// `None` when no row has a value.
    pub(in crate::block) fn field(
        &mut self,
        file: &BlockFile,
        info: &MeasurementInfo,
        field: usize,
    ) -> Result<Option<OpenColumn>, BlockError> {
        self.column(file, ColumnKind::Field(info.fields[field].1), field + 1)
    }

    fn column(
        &self,
        file: &BlockFile,
        kind: ColumnKind,
        at: usize,
    ) -> Result<Option<OpenColumn>, BlockError> {
        let ((pages, head), len) = (self.offsets[at], self.head.columns[at]);
        OpenColumn::open(file, kind, self.head.pages.len(), pages, head, len)
    }
}
