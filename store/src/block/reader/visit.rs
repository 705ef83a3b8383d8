//! Shows the rows of a series page by page, or the statistics of a page where they are enough.

use std::ops::Range;

use tandem_model::{SeriesId, TimeRange};

use super::page_rows::PageRows;
use super::series::{OpenChunk, SeriesReader, page_range};
use crate::block::BlockError;
use crate::block::directory::Entry;
use crate::block::head::Span;
use crate::block::statistics::Statistics;
use crate::error::StoreError;
use crate::scan::{Batch, Flow, Segment, Visitor};
use crate::view::Order;

impl SeriesReader<'_> {
    /// Shows `visitor` the rows of a series in `range`, page by page in the given order; `place` is
    /// what the visitor knows the series by.
    pub(crate) fn visit(
        &mut self,
        id: SeriesId,
        place: usize,
        range: TimeRange,
        order: Order,
        visitor: &mut dyn Visitor,
    ) -> Result<Flow, StoreError> {
        let Some(entry) = self.entry(id)?.filter(|e| e.range.overlaps(&range)) else {
            return Ok(Flow::On);
        };
        let mut chunks = self.chunks(&entry);
        if order == Order::Descending {
            chunks.reverse();
        }
        for (chunk, rows) in chunks {
            self.open_chunk(chunk)?;
            let pages = self.pages(&rows, &entry, range);
            for step in 0..pages.len() {
                let page = match order {
                    Order::Ascending => pages.start + step,
                    Order::Descending => pages.end - 1 - step,
                };
                match self.visit_page(page, &rows, &entry, place, range, visitor)? {
                    Flow::On => {}
                    flow => return Ok(flow),
                }
            }
        }
        Ok(Flow::On)
    }

    /// The pages of the open chunk that have some of its rows `rows` in `range`.
    fn pages(&self, rows: &Range<usize>, entry: &Entry, range: TimeRange) -> Range<usize> {
        let Some(open) = &self.chunk else { return 0..0 };
        let pages = &open.index.head.pages;
        let first = pages.partition_point(|page| page.rows.end <= rows.start);
        let end = pages.partition_point(|page| page.rows.start < rows.end);
        let mut wanted =
            (first..end).filter(|at| range.overlaps(&page_range(&pages[*at], rows, entry)));
        match wanted.next() {
            Some(first) => first..wanted.next_back().unwrap_or(first) + 1,
            None => 0..0,
        }
    }

    fn visit_page(
        &mut self,
        at: usize,
        rows: &Range<usize>,
        entry: &Entry,
        place: usize,
        range: TimeRange,
        visitor: &mut dyn Visitor,
    ) -> Result<Flow, StoreError> {
        let (source, scratch) = (self.source, &mut self.scratch);
        let Some(open) = &mut self.chunk else {
            return Ok(Flow::On);
        };
        let index = open.index.clone();
        let Some(page) = index.head.pages.get(at) else {
            return Ok(Flow::On);
        };
        let start = rows.start.max(page.rows.start);
        let end = rows.end.min(page.rows.end);
        let whole = page_range(page, rows, entry);
        if range.intersect(&whole) == whole && visitor.wants_statistics(whole) {
            let segments = &index.head.segments;
            let found = segments.binary_search_by_key(&start, |segment| segment.rows.start);
            if let Ok(segment) = found
                && segments[segment].rows.end == end
                && open.show_statistics(source.file, segments, segment, place, visitor)?
            {
                return Ok(visitor.flow());
            }
        }
        let (start, end) = (start - page.rows.start, end - page.rows.start);
        let page_rows = page.rows.len();
        let times = open.times.page(source, at, page_rows, scratch)?;
        let times = times.map_or(&[][..], |page| page.times_ns());
        let Some(times) = times.get(start..end) else {
            return Ok(Flow::On);
        };
        let from = times.partition_point(|time| *time < range.min_ns);
        let to = times.partition_point(|time| *time <= range.max_ns);
        let Some(times_ns) = times.get(from..to).filter(|times| !times.is_empty()) else {
            return Ok(Flow::On);
        };
        let mut batch = Batch::Page(PageRows {
            source,
            scratch,
            columns: &mut open.columns,
            spread: Vec::new(),
            page: at,
            page_rows,
            rows: start + from..start + to,
            times_ns,
        });
        visitor.rows(place, &mut batch)
    }
}

impl OpenChunk {
    /// Shows the statistics of segment `at`; true when they were enough.
    fn show_statistics(
        &mut self,
        file: &super::BlockFile,
        segments: &[Span],
        at: usize,
        place: usize,
        visitor: &mut dyn Visitor,
    ) -> Result<bool, BlockError> {
        let columns = self.columns.iter_mut().map(|column| match column {
            Some(column) => Ok(column.statistics(file, segments)?.get(at)),
            None => Ok(None),
        });
        let fields: Vec<Option<&Statistics>> = columns.collect::<Result<_, BlockError>>()?;
        let segment = &segments[at];
        Ok(visitor.statistics(
            place,
            &Segment {
                range: TimeRange::new(segment.first_ns, segment.last_ns),
                rows: segment.rows.len(),
                fields: &fields,
            },
        ))
    }
}
