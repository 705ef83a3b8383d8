//! A column of a chunk, open for reading: its decoder, and the page that was decoded last.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use tandem_codec::{Input, boolean, mask, number, string, time};
use tandem_model::FieldType;

use super::{BlockFile, Source};
use crate::block::cache::{Item, Weigh};
use crate::block::column::count_ones;
use crate::block::error::Damage;
use crate::block::head::{ColumnHead, ColumnLen, Span};
use crate::block::statistics::Statistics;
use crate::block::{BlockError, STRING_BYTES_MAX};
use crate::{Strings, Values};

/// What a column holds: the times, or values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::block) enum ColumnKind {
    Times,
    Field(FieldType),
}

/// A column's head: what decoding any of its pages takes.
#[derive(Debug)]
pub(in crate::block) struct ColumnIndex {
    decoder: Decoder,
    /// Where each page's piece is; empty where no row has a value.
    places: Vec<Range<u64>>,
    statistics: Vec<u8>,
    /// The same decoded, once it was asked for: an entry for each segment of the chunk.
    decoded: OnceLock<Vec<Statistics>>,
    /// Segments of the chunk.
    segments: usize,
    head_offset: u64,
}

/// A column of a chunk that has values.
#[derive(Debug)]
pub(in crate::block) struct OpenColumn {
    index: Arc<ColumnIndex>,
    chunk: usize,
    column: usize,
    /// Pieces read ahead, and where the first begins.
    ahead: (u64, Vec<u8>),
    page: Option<(usize, Arc<Page>)>,
}

/// A page, decoded.
#[derive(Debug)]
pub(in crate::block) struct Page {
    /// A bit for each row: whether it has a value. `None` when all have.
    written: Option<Vec<u64>>,
    /// Those of the rows that have one.
    values: Values,
}

impl Page {
    /// The rows that have a value; `None` for all.
    pub(in crate::block) fn written(&self) -> Option<&[u64]> {
        self.written.as_deref()
    }

    pub(in crate::block) const fn values(&self) -> &Values {
        &self.values
    }

    /// The times of a page of times.
    pub(in crate::block) fn times_ns(&self) -> &[i64] {
        match &self.values {
            Values::Integer(times_ns) => times_ns,
            _ => &[],
        }
    }

    /// The entries of the values that belong to `rows`.
    pub(in crate::block) fn entries(&self, rows: Range<usize>) -> Range<usize> {
        match &self.written {
            None => rows,
            Some(words) => {
                let start = count_ones(words, 0..rows.start);
                start..start + count_ones(words, rows)
            }
        }
    }
}

#[derive(Debug)]
enum Decoder {
    Times(time::Decoder),
    Float(number::Decoder<f64>),
    Integer(number::Decoder<i64>),
    Unsigned(number::Decoder<u64>),
    String,
    Boolean,
}

impl ColumnIndex {
    /// Reads the head of a column whose pages begin at `pages_offset` and whose head is at
    /// `head_offset`.
    pub(super) fn read(
        file: &BlockFile,
        kind: ColumnKind,
        (pages, segments): (usize, usize),
        pages_offset: u64,
        head_offset: u64,
        len: ColumnLen,
    ) -> Result<Self, BlockError> {
        let piece = file.read_bytes(head_offset, len.head as u64)?;
        file.decode_piece(&piece, head_offset, |body| {
            let head = ColumnHead::decode(body, pages, len.pages)?;
            let decoder = Decoder::new(kind, head.meta)?;
            let mut end = pages_offset;
            let places = head.page_lens.iter().map(|&len| {
                end += len as u64;
                end - len as u64..end
            });
            Ok(Self {
                decoder,
                places: places.collect(),
                statistics: head.statistics.to_vec(),
                decoded: OnceLock::new(),
                segments,
                head_offset,
            })
        })
    }

    fn decode_statistics(&self, segments: &[Span]) -> Result<Vec<Statistics>, Damage> {
        let Some(field_type) = self.decoder.field_type() else {
            return Ok(Vec::new());
        };
        let mut input = Input::new(&self.statistics, "statistics");
        let mut all = Vec::with_capacity(segments.len());
        for segment in segments {
            all.push(Statistics::decode(&mut input, segment, field_type)?);
        }
        input.end()?;
        Ok(all)
    }
}

impl Weigh for ColumnIndex {
    fn heap_bytes(&self) -> usize {
        let places = self.places.capacity() * size_of::<Range<u64>>();
        // Decoded, they take more; whether they will be is not known yet.
        let decoded = self.segments * size_of::<Statistics>();
        places + self.statistics.capacity() + decoded + self.decoder.heap_bytes()
    }
}

impl Weigh for Page {
    fn heap_bytes(&self) -> usize {
        let written = self.written.as_ref().map_or(0, |words| words.len() * 8);
        let values = match &self.values {
            Values::Float(_) | Values::Integer(_) | Values::Unsigned(_) => self.values.len() * 8,
            Values::Boolean(v) => v.len(),
            Values::String(v) => v.iter().map(|string| string.len() + 4).sum(),
        };
        written + values
    }
}

impl OpenColumn {
    pub(super) const fn new(index: Arc<ColumnIndex>, chunk: usize, column: usize) -> Self {
        Self {
            index,
            chunk,
            column,
            ahead: (0, Vec::new()),
            page: None,
        }
    }

    /// Where the column's head is.
    pub(in crate::block) fn head_offset(&self) -> u64 {
        self.index.head_offset
    }

    /// Reads the bytes of pages `pages` at once, where no cache may have them and the first is not
    /// the page that was decoded last.
    pub(in crate::block) fn read_ahead(
        &mut self,
        source: Source<'_>,
        mut pages: Range<usize>,
    ) -> Result<(), BlockError> {
        if self.page.as_ref().is_some_and(|(at, _)| *at == pages.start) {
            pages.start += 1;
        }
        let places = self.index.places.get(pages).unwrap_or_default();
        if let ([first, .., last], None) = (places, source.cache) {
            let len = last.end - first.start;
            self.ahead = (first.start, source.file.read_bytes(first.start, len)?);
        }
        Ok(())
    }

    /// Page `at` of `rows` rows; `None` when no row has a value.
    pub(in crate::block) fn page(
        &mut self,
        source: Source<'_>,
        at: usize,
        rows: usize,
        scratch: &mut number::Scratch,
    ) -> Result<Option<&Page>, BlockError> {
        let place = self.index.places.get(at).cloned().unwrap_or_default();
        if place.is_empty() && !matches!(self.index.decoder, Decoder::Times(_)) {
            return Ok(None);
        }
        if self.page.as_ref().is_none_or(|(page, _)| *page != at) {
            let item = Item::Page {
                chunk: self.chunk,
                column: self.column,
                page: at,
            };
            let page = source.cached(item, || {
                let read;
                let piece = match self.ahead_piece(&place) {
                    Some(piece) => piece,
                    None => {
                        let len = place.end - place.start;
                        read = source.file.read_bytes(place.start, len)?;
                        &read
                    }
                };
                source.file.decode_piece(piece, place.start, |body| {
                    self.index.decoder.decode(body, rows, scratch)
                })
            })?;
            self.page = Some((at, page));
        }
        Ok(self.page.as_ref().map(|(_, page)| &**page))
    }

    /// Page `at`, if it is the one that was decoded last.
    pub(in crate::block) fn decoded(&self, at: usize) -> Option<&Page> {
        let (page, decoded) = self.page.as_ref()?;
        (*page == at).then_some(&**decoded)
    }

    fn ahead_piece(&self, place: &Range<u64>) -> Option<&[u8]> {
        let (start, bytes) = &self.ahead;
        let from = usize::try_from(place.start.checked_sub(*start)?).ok()?;
        let to = usize::try_from(place.end.checked_sub(*start)?).ok()?;
        bytes.get(from..to)
    }

    /// The statistics of each segment of the chunk.
    pub(in crate::block) fn statistics(
        &mut self,
        file: &BlockFile,
        segments: &[Span],
    ) -> Result<&[Statistics], BlockError> {
        if let Some(all) = self.index.decoded.get() {
            return Ok(all);
        }
        let all = self
            .index
            .decode_statistics(segments)
            .map_err(|damage| file.note_damage(damage, self.index.head_offset))?;
        Ok(self.index.decoded.get_or_init(|| all))
    }
}

impl Decoder {
    fn new(kind: ColumnKind, meta: &[u8]) -> Result<Self, Damage> {
        Ok(match kind {
            ColumnKind::Times => Self::Times(time::Decoder::new(meta)?),
            ColumnKind::Field(FieldType::Float) => Self::Float(number::Decoder::new(meta)?),
            ColumnKind::Field(FieldType::Integer) => Self::Integer(number::Decoder::new(meta)?),
            ColumnKind::Field(FieldType::Unsigned) => Self::Unsigned(number::Decoder::new(meta)?),
            ColumnKind::Field(_) if !meta.is_empty() => {
                return Err(Damage::new("metadata of a type that has none"));
            }
            ColumnKind::Field(FieldType::String) => Self::String,
            ColumnKind::Field(FieldType::Boolean) => Self::Boolean,
        })
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Times(decoder) => decoder.heap_bytes(),
            Self::Float(decoder) => decoder.heap_bytes(),
            Self::Integer(decoder) => decoder.heap_bytes(),
            Self::Unsigned(decoder) => decoder.heap_bytes(),
            Self::String | Self::Boolean => 0,
        }
    }

    const fn field_type(&self) -> Option<FieldType> {
        Some(match self {
            Self::Times(_) => return None,
            Self::Float(_) => FieldType::Float,
            Self::Integer(_) => FieldType::Integer,
            Self::Unsigned(_) => FieldType::Unsigned,
            Self::String => FieldType::String,
            Self::Boolean => FieldType::Boolean,
        })
    }

    fn decode(
        &self,
        body: &[u8],
        rows: usize,
        scratch: &mut number::Scratch,
    ) -> Result<Page, Damage> {
        let mut input = Input::new(body, "page");
        let written = match self {
            Self::Times(_) => None,
            _ => mask::decode(&mut input, rows)?,
        };
        let count = match &written {
            None => rows,
            Some(words) => count_ones(words, 0..rows),
        };
        let bytes = input.rest();
        let values = match self {
            Self::Times(decoder) => {
                let mut values = Vec::new();
                decoder.read_page(bytes, count, scratch, &mut values)?;
                Values::Integer(values)
            }
            Self::Float(decoder) => {
                let mut values = Vec::new();
                decoder.read_page(bytes, count, scratch, &mut values)?;
                Values::Float(values)
            }
            Self::Integer(decoder) => {
                let mut values = Vec::new();
                decoder.read_page(bytes, count, scratch, &mut values)?;
                Values::Integer(values)
            }
            Self::Unsigned(decoder) => {
                let mut values = Vec::new();
                decoder.read_page(bytes, count, scratch, &mut values)?;
                Values::Unsigned(values)
            }
            Self::String => {
                let mut values = Strings::default();
                string::decode(bytes, count, STRING_BYTES_MAX, |string| values.push(string))?;
                Values::String(values)
            }
            Self::Boolean => {
                let mut values = Vec::new();
                boolean::decode(bytes, count, &mut values)?;
                Values::Boolean(values)
            }
        };
        Ok(Page { written, values })
    }
}
