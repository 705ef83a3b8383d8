//! One column of a chunk, while it is being written.

use std::ops::Range;

use tandem_codec::{Effort, boolean, mask, number, string, time};
use tandem_model::FieldType;

use super::head::{ColumnHead, Span};
use super::piece;
use super::statistics::Statistics;
use crate::{Column, Validity, Values};

/// The values of a field over the rows of a chunk, without those that were not written.
#[derive(Debug)]
pub(super) struct ColumnBuffer {
    values: Values,
    /// A bit for each row: whether it has a value.
    written: Vec<u64>,
    rows: usize,
}

/// A column's pages, each a piece, and its head, without checksum.
#[derive(Debug, Default)]
pub(super) struct EncodedColumn {
    pub(super) pages: Vec<u8>,
    pub(super) head: Vec<u8>,
}

impl ColumnBuffer {
    pub(super) fn new(field_type: FieldType) -> Self {
        let (values, written) = (Values::new(field_type), Vec::new());
        Self {
            values,
            written,
            rows: 0,
        }
    }

    pub(super) const fn field_type(&self) -> FieldType {
        self.values.field_type()
    }

    /// How many rows have a value.
    pub(super) fn values_len(&self) -> usize {
        self.values.len()
    }

    /// Appends rows `rows` of `column`, which is of the same type; `None` has no values.
    pub(super) fn append(&mut self, column: Option<&Column>, rows: Range<usize>) {
        let start = self.rows;
        self.rows += rows.len();
        self.written.resize(self.rows.div_ceil(64), 0);
        let Some(column) = column else { return };
        match &column.validity {
            Validity::All => {
                fill(&mut self.written, start..self.rows);
                self.values.extend_from(&column.values, rows);
            }
            Validity::Some(bits) => {
                for (row, from) in (start..).zip(rows) {
                    if bits.get(from) {
                        self.written[row / 64] |= 1 << (row % 64);
                        self.values.push(column.values.get(from));
                    }
                }
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.field_type());
    }

    /// The entries of `values` that belong to `rows`.
    fn entries(&self, rows: &Range<usize>, start: usize) -> Range<usize> {
        start..start + count_ones(&self.written, rows.clone())
    }

    /// Encodes the column of a chunk with these times, pages and segments. Without any value it
    /// takes nothing.
    pub(super) fn encode(
        &self,
        times_ns: &[i64],
        pages: &[Span],
        segments: &[Span],
        effort: Effort,
    ) -> EncodedColumn {
        if self.values.is_empty() {
            return EncodedColumn::default();
        }
        let mut start = 0;
        let entries = pages.iter().map(|page| {
            let entries = self.entries(&page.rows, start);
            start = entries.end;
            entries
        });
        let entries: Vec<Range<usize>> = entries.collect();
        let counts: Vec<usize> = entries.iter().map(Range::len).collect();

        let (mut meta, mut out, mut page_lens) = (Vec::new(), Vec::new(), Vec::new());
        let mut encoder = ValuesEncoder::new(&self.values, &counts, effort, &mut meta);
        for (at, page) in pages.iter().enumerate() {
            let start = out.len();
            if !entries[at].is_empty() {
                let words = bits(&self.written, page.rows.clone());
                mask::encode(&words, page.rows.len(), &mut out);
                encoder.write_page(at, entries[at].clone(), &mut out);
                piece::seal(&mut out, start);
            }
            page_lens.push(out.len() - start);
        }

        let mut statistics = Vec::new();
        let (mut row, mut entry) = (0, 0);
        for segment in segments {
            entry = self.entries(&(row..segment.rows.start), entry).end;
            let entries = self.entries(&segment.rows, entry);
            self.statistics(times_ns, segment, entries.clone()).encode(
                segment,
                self.field_type(),
                &mut statistics,
            );
            (row, entry) = (segment.rows.end, entries.end);
        }

        let mut head = Vec::new();
        let (meta, statistics) = (&meta[..], &statistics[..]);
        ColumnHead {
            meta,
            page_lens,
            statistics,
        }
        .encode(&mut head);
        EncodedColumn { pages: out, head }
    }

    fn statistics(&self, times_ns: &[i64], segment: &Span, entries: Range<usize>) -> Statistics {
        let is_written = |row: &usize| self.written[row / 64] >> (row % 64) & 1 == 1;
        let mut rows = segment.rows.clone();
        match (rows.clone().find(is_written), rows.rfind(is_written)) {
            (Some(first), Some(last)) => {
                Statistics::of(&self.values, entries, times_ns[first], times_ns[last])
            }
            _ => Statistics::empty(segment),
        }
    }
}

/// Encodes the times of a chunk.
pub(super) fn encode_times(times_ns: &[i64], pages: &[Span], effort: Effort) -> EncodedColumn {
    let counts: Vec<usize> = pages.iter().map(|page| page.rows.len()).collect();
    let (mut meta, mut out, mut page_lens) = (Vec::new(), Vec::new(), Vec::new());
    let mut encoder = time::Encoder::new(times_ns, &counts, effort);
    encoder.write_meta(&mut meta);
    for at in 0..counts.len() {
        let start = out.len();
        encoder.write_page(at, &mut out);
        piece::seal(&mut out, start);
        page_lens.push(out.len() - start);
    }
    let mut head = Vec::new();
    let (meta, statistics) = (&meta[..], &[][..]);
    ColumnHead {
        meta,
        page_lens,
        statistics,
    }
    .encode(&mut head);
    EncodedColumn { pages: out, head }
}

/// The encoder of a type.
enum ValuesEncoder<'a> {
    Float(number::Encoder<'a, f64>),
    Integer(number::Encoder<'a, i64>),
    Unsigned(number::Encoder<'a, u64>),
    Whole(&'a Values, Effort),
}

impl<'a> ValuesEncoder<'a> {
    fn new(values: &'a Values, counts: &[usize], effort: Effort, meta: &mut Vec<u8>) -> Self {
        match values {
            Values::Float(v) => {
                let encoder = number::Encoder::new(v, counts, effort);
                encoder.write_meta(meta);
                Self::Float(encoder)
            }
            Values::Integer(v) => {
                let encoder = number::Encoder::new(v, counts, effort);
                encoder.write_meta(meta);
                Self::Integer(encoder)
            }
            Values::Unsigned(v) => {
                let encoder = number::Encoder::new(v, counts, effort);
                encoder.write_meta(meta);
                Self::Unsigned(encoder)
            }
            Values::String(_) | Values::Boolean(_) => Self::Whole(values, effort),
        }
    }

    fn write_page(&mut self, page: usize, entries: Range<usize>, out: &mut Vec<u8>) {
        match self {
            Self::Float(encoder) => encoder.write_page(page, out),
            Self::Integer(encoder) => encoder.write_page(page, out),
            Self::Unsigned(encoder) => encoder.write_page(page, out),
            Self::Whole(Values::Boolean(v), _) => boolean::encode(&v[entries], out),
            Self::Whole(Values::String(v), effort) => {
                let strings: Vec<&[u8]> = entries.map(|at| v.get(at)).collect();
                string::encode(&strings, *effort, out);
            }
            Self::Whole(..) => unreachable!("numbers have encoders"),
        }
    }
}

/// Sets the bits `range`.
fn fill(words: &mut [u64], range: Range<usize>) {
    let mut at = range.start;
    while at < range.end {
        let len = (64 - at % 64).min(range.end - at);
        words[at / 64] |= u64::MAX >> (64 - len) << (at % 64);
        at += len;
    }
}

/// How many of the bits `range` are set.
pub(super) fn count_ones(words: &[u64], range: Range<usize>) -> usize {
    let words = &words[range.start / 64..];
    let skipped = range.start % 64;
    let len = range.len() + skipped;
    let whole: u32 = words[..len / 64].iter().map(|word| word.count_ones()).sum();
    let part = match len % 64 {
        0 => 0,
        rest => (words[len / 64] & ((1 << rest) - 1)).count_ones(),
    };
    let before = match skipped {
        0 => 0,
        skipped => (words[0] & ((1 << skipped) - 1)).count_ones(),
    };
    (whole + part - before) as usize
}

/// The bits `range`, moved down to 0.
fn bits(words: &[u64], range: Range<usize>) -> Vec<u64> {
    let (first, shift) = (range.start / 64, range.start % 64);
    let word = |at: usize| words.get(at).copied().unwrap_or(0);
    (0..range.len().div_ceil(64))
        .map(|at| match shift {
            0 => word(first + at),
            _ => word(first + at) >> shift | word(first + at + 1) << (64 - shift),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_of_bits(words in proptest::collection::vec(any::<u64>(), 1..9), a: usize, b: usize) {
            let len = words.len() * 64;
            let (a, b) = (a % (len + 1), b % (len + 1));
            let range = a.min(b)..a.max(b);
            let bit = |words: &[u64], at: usize| words[at / 64] >> (at % 64) & 1 == 1;
            let expected = range.clone().filter(|at| bit(&words, *at)).count();
            prop_assert_eq!(count_ones(&words, range.clone()), expected);
            let mut filled = vec![0; words.len()];
            fill(&mut filled, range.clone());
            prop_assert!((0..len).all(|at| bit(&filled, at) == range.contains(&at)));
            let moved = bits(&words, range.clone());
            for (to, from) in range.enumerate() {
                prop_assert_eq!(bit(&moved, to), bit(&words, from));
            }
        }
    }
}
