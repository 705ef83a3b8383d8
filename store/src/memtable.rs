//! Rows that are durable in the WAL and not yet in a block file, of one shard.
//!
//! Each series has a chain of chunks, and a chunk has rows one after the other: a time and one word
//! for each field of the chunk's template. A line with another set of fields goes to another chunk,
//! so rows carry no null masks. Chunks lie in an arena and are addressed by 32 bits; the first one
//! holds a single row, and each further one as many as the series has, up to a bound: a series of
//! one point takes 36 bytes, and one of many little more than its words.
//!
//! Rows arrive in the order of their WAL sequence, and that order alone decides which of two rows
//! with one time wins: of two chunks the later one. So a row joins an earlier chunk only where no
//! later chunk can hold a value that it would have to replace. A row that repeats the time of the
//! row before it in its chunk replaces it at once.
//!
//! A word is the bits of the value; a string's word is its place in the memtable's strings.
//!
//! ```text
//! chunk  := link, count, row × capacity
//! link   := address of the chunk before (u32, high), template (u32, low)
//! count  := rows (u16, low), capacity (u16), ascending (1 bit), rows of the series before (high)
//! row    := time ns, word × fields
//! ```

mod heads;
mod strings;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tandem_model::{FieldType, SeriesId, TimeRange};

use self::heads::{Heads, NONE};
use self::strings::Strings;
use self::words::Words;
use crate::rows::{Column, Rows, Validity, Values};
use crate::schema::Template;

/// Bytes of one string field.
pub(crate) const STRING_BYTES_MAX: usize = 64 << 20;
/// Words of a chunk before its rows.
const HEADER_WORDS: usize = 2;
/// Words of the rows of a chunk of more than one row.
const CHUNK_WORDS_MAX: usize = 1 << 10;
/// How many chunks back a row looks for one of its template.
const CHUNKS_BACK_MAX: usize = 8;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    heads: Heads,
    words: Words,
    strings: Strings,
    /// Each template that a row here has.
    templates: Vec<Arc<Template>>,
    /// Places of templates by their ids.
    template_places: HashMap<u64, u32, FixedState>,
    template_bytes: usize,
    /// Id and place of the template of the row before.
    last_template: Option<(u64, u32)>,
    series: usize,
}

/// The header of a chunk, unpacked.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    address: u32,
    before: u32,
    template: u32,
    rows: usize,
    capacity: usize,
    /// True while times ascend strictly.
    ascending: bool,
    /// Rows of the series' chunks before this one, as far as 30 bits go.
    rows_before: usize,
}

impl Chunk {
    fn read(words: &Words, address: u32) -> Self {
        let header = words.from(address);
        let (link, count) = (header[0], header[1]);
        Self {
            address,
            before: (link >> 32) as u32,
            template: link as u32,
            rows: (count & 0xffff) as usize,
            capacity: (count >> 16 & 0xffff) as usize,
            ascending: count >> 32 & 1 == 1,
            rows_before: (count >> 33) as usize,
        }
    }

    fn count_word(self) -> u64 {
        let rows_before = self.rows_before.min(u32::MAX as usize >> 2) as u64;
        rows_before << 33
            | u64::from(self.ascending) << 32
            | (self.capacity as u64) << 16
            | self.rows as u64
    }

    /// The address of a row.
    const fn row(self, row: usize, stride: usize) -> u32 {
        self.address + (HEADER_WORDS + row * stride) as u32
    }

    fn time_ns(self, words: &Words, row: usize, stride: usize) -> i64 {
        words.from(self.address)[HEADER_WORDS + row * stride].cast_signed()
    }

    fn times_ns(self, words: &Words, stride: usize) -> impl Iterator<Item = i64> {
        let rows = &words.from(self.address)[HEADER_WORDS..][..self.rows * stride];
        rows.chunks_exact(stride).map(|row| row[0].cast_signed())
    }

    fn min_ns(self, words: &Words, stride: usize) -> i64 {
        if self.ascending {
            return self.time_ns(words, 0, stride);
        }
        self.times_ns(words, stride).min().unwrap_or(i64::MAX)
    }

    fn max_ns(self, words: &Words, stride: usize) -> i64 {
        if self.ascending {
            return self.time_ns(words, self.rows - 1, stride);
        }
        self.times_ns(words, stride).max().unwrap_or(i64::MIN)
    }
}

/// Chunks of one template that are read as one source.
#[derive(Debug)]
struct Run {
    template: u32,
    chunks: Vec<Chunk>,
    max_ns: i64,
}

/// Packs the place of a string of a batch into a word.
pub(crate) const fn string_word(offset: usize, len: usize) -> u64 {
    (offset as u64) << 32 | len as u64
}

/// The string of a batch that a word points to.
pub(crate) fn string_at(strings: &[u8], word: u64) -> &[u8] {
    let offset = (word >> 32) as usize;
    &strings[offset..offset + (word & 0xffff_ffff) as usize]
}

impl Memtable {
    /// Adds one row; returns true when it is the first of its series. `values` has one word for
    /// each field of the template; strings are places in `strings` and are copied.
    pub(crate) fn insert(
        &mut self,
        series: SeriesId,
        template: &Arc<Template>,
        time_ns: i64,
        values: &[u64],
        strings: &[u8],
    ) -> bool {
        debug_assert_eq!(values.len(), template.fields.len());
        let place = self.template_place(template);
        let stride = 1 + values.len();
        let head = self.heads.get_mut(series);
        let newest = *head;
        let found = chunk_to_join(&self.words, &self.templates, newest, place, time_ns);
        let chunk = match found {
            Some(chunk) => chunk,
            None => {
                let rows_before = match newest {
                    NONE => 0,
                    address => {
                        let chunk = Chunk::read(&self.words, address);
                        chunk.rows_before + chunk.rows
                    }
                };
                let capacity = rows_before.clamp(1, (CHUNK_WORDS_MAX / stride).max(1));
                let address = self.words.allocate(HEADER_WORDS + capacity * stride);
                *head = address;
                let chunk = Chunk {
                    address,
                    before: newest,
                    template: place,
                    rows: 0,
                    capacity,
                    ascending: true,
                    rows_before,
                };
                let link = u64::from(newest) << 32 | u64::from(place);
                self.words.tail_mut(address)[0] = link;
                chunk
            }
        };
        self.put_row(chunk, template, time_ns, values, strings);
        self.series += usize::from(newest == NONE);
        newest == NONE
    }

    /// Writes a row behind the last one of a chunk that has room, or over it.
    fn put_row(
        &mut self,
        mut chunk: Chunk,
        template: &Template,
        time_ns: i64,
        values: &[u64],
        strings: &[u8],
    ) {
        let stride = 1 + values.len();
        let last = chunk.rows.checked_sub(1);
        let last_ns = last.map(|row| chunk.time_ns(&self.words, row, stride));
        let row = if last_ns == Some(time_ns) {
            chunk.rows - 1
        } else {
            chunk.ascending &= last_ns.is_none_or(|last_ns| last_ns < time_ns);
            chunk.rows += 1;
            chunk.rows - 1
        };
        let words = self.words.tail_mut(chunk.address);
        words[1] = chunk.count_word();
        let words = &mut words[HEADER_WORDS + row * stride..][..stride];
        words[0] = time_ns.cast_unsigned();
        words[1..].copy_from_slice(values);
        if template.has_strings {
            for (word, (_, field_type)) in words[1..].iter_mut().zip(&template.fields) {
                if *field_type == FieldType::String {
                    *word = self.strings.push(string_at(strings, *word));
                }
            }
        }
    }

    fn template_place(&mut self, template: &Arc<Template>) -> u32 {
        if let Some((id, place)) = self.last_template
            && id == template.id
        {
            return place;
        }
        let place = *self.template_places.entry(template.id).or_insert_with(|| {
            self.template_bytes += template.heap_bytes();
            self.templates.push(Arc::clone(template));
            u32::try_from(self.templates.len() - 1).expect("a memtable is bounded to 2 GiB")
        });
        self.last_template = Some((template.id, place));
        place
    }

    /// Bytes held: what the allocator gave, and what the templates take, of which others may hold
    /// the same ones.
    pub(crate) fn bytes(&self) -> usize {
        let places = self.template_places.capacity() * 8 / 7 * (size_of::<(u64, u32)>() + 1);
        self.heads.bytes()
            + self.words.bytes()
            + self.strings.bytes()
            + self.templates.capacity() * size_of::<Arc<Template>>()
            + places
            + self.template_bytes
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.series == 0
    }

    /// The ids of the series that have rows, in no order.
    pub(crate) fn series_ids(&self) -> impl Iterator<Item = SeriesId> {
        self.heads.series()
    }

    /// Every template that a row here has.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Arc<Template>> {
        self.templates.iter()
    }

    /// The measurement of a series that has rows.
    pub(crate) fn measurement_of(&self, series: SeriesId) -> Option<&Arc<[u8]>> {
        let chunk = self.chunks(series).next()?;
        Some(&self.templates[chunk.template as usize].measurement)
    }

    /// True when the series has a row in `range`.
    pub(crate) fn has_rows(&self, series: SeriesId, range: TimeRange) -> bool {
        let mut chunks = self.chunks(series);
        if range == TimeRange::ALL {
            return chunks.next().is_some();
        }
        chunks.any(|chunk| {
            let mut times = chunk.times_ns(&self.words, self.stride(chunk));
            times.any(|time_ns| range.contains(time_ns))
        })
    }

    /// How many rows a series has, about: a row that replaces another counts too.
    pub(crate) fn rows_of(&self, series: SeriesId) -> usize {
        let newest = self.chunks(series).next();
        newest.map_or(0, |chunk| chunk.rows_before + chunk.rows)
    }

    /// The rows of a series in `range`, in one or several [`Rows`], in the order of their
    /// sequence: a later one wins. Columns stand for `fields` in order.
    pub(crate) fn read(&self, series: SeriesId, fields: &[&[u8]], range: TimeRange) -> Vec<Rows> {
        let runs = self.runs(series);
        runs.iter()
            .map(|run| self.read_run(run, fields, range))
            .filter(|rows| !rows.is_empty())
            .collect()
    }

    fn stride(&self, chunk: Chunk) -> usize {
        1 + self.templates[chunk.template as usize].fields.len()
    }

    /// The chunks of a series, newest first.
    fn chunks(&self, series: SeriesId) -> impl Iterator<Item = Chunk> {
        let mut next = self.heads.get(series);
        std::iter::from_fn(move || {
            let chunk = (next != NONE).then(|| Chunk::read(&self.words, next))?;
            next = chunk.before;
            Some(chunk)
        })
    }

    /// The chunks of a series in as few runs as the order of their rows allows.
    fn runs(&self, series: SeriesId) -> Vec<Run> {
        let mut chunks: Vec<Chunk> = self.chunks(series).collect();
        chunks.reverse();
        let mut runs: Vec<Run> = Vec::new();
        for chunk in chunks {
            let stride = self.stride(chunk);
            let min_ns = chunk.min_ns(&self.words, stride);
            let max_ns = chunk.max_ns(&self.words, stride);
            match self.run_to_join(&runs, chunk.template, min_ns) {
                Some(at) => {
                    runs[at].chunks.push(chunk);
                    runs[at].max_ns = runs[at].max_ns.max(max_ns);
                }
                None => runs.push(Run {
                    template: chunk.template,
                    chunks: vec![chunk],
                    max_ns,
                }),
            }
        }
        runs
    }

    /// The newest run of this template that rows from `min_ns` on may join without changing who
    /// wins.
    fn run_to_join(&self, runs: &[Run], template: u32, min_ns: i64) -> Option<usize> {
        for (at, run) in runs.iter().enumerate().rev().take(CHUNKS_BACK_MAX) {
            if run.template == template {
                return Some(at);
            }
            if min_ns <= run.max_ns && !disjoint(&self.templates, run.template, template) {
                return None;
            }
        }
        None
    }

    fn read_run(&self, run: &Run, fields: &[&[u8]], range: TimeRange) -> Rows {
        let order = self.rows_in_time_order(run, range);
        if order.is_empty() {
            return Rows::default();
        }
        let template = &self.templates[run.template as usize];
        let column = |name: &[u8]| -> Option<Column> {
            let at = template
                .fields
                .binary_search_by(|(n, _)| (**n).cmp(name))
                .ok()?;
            let words = order.iter().map(|&row| self.words.from(row)[1 + at]);
            let values = match template.fields[at].1 {
                FieldType::Float => Values::Float(words.map(f64::from_bits).collect()),
                FieldType::Integer => Values::Integer(words.map(u64::cast_signed).collect()),
                FieldType::Unsigned => Values::Unsigned(words.collect()),
                FieldType::Boolean => Values::Boolean(words.map(|w| w != 0).collect()),
                FieldType::String => {
                    let mut values = Values::new(FieldType::String);
                    if let Values::String(strings) = &mut values {
                        words.for_each(|w| strings.push(self.strings.get(w)));
                    }
                    values
                }
            };
            Some(Column {
                values,
                validity: Validity::All,
            })
        };
        Rows {
            columns: fields.iter().map(|name| column(name)).collect(),
            times_ns: order.iter().map(|&row| self.row_ns(row)).collect(),
        }
    }

    /// The time of the row at an address.
    fn row_ns(&self, row: u32) -> i64 {
        self.words.from(row)[0].cast_signed()
    }

    /// The addresses of the rows of a run inside `range`, by time, each time once: of equal times
    /// the last.
    fn rows_in_time_order(&self, run: &Run, range: TimeRange) -> Vec<u32> {
        let mut order: Vec<u32> = Vec::with_capacity(run.chunks.iter().map(|c| c.rows).sum());
        let mut ascending = true;
        let mut last_ns = None;
        for chunk in &run.chunks {
            let stride = self.stride(*chunk);
            for (row, time_ns) in chunk.times_ns(&self.words, stride).enumerate() {
                if range.contains(time_ns) {
                    ascending &= last_ns.is_none_or(|last_ns| last_ns < time_ns);
                    last_ns = Some(time_ns);
                    order.push(chunk.row(row, stride));
                }
            }
        }
        if !ascending {
            order.sort_by_key(|&row| self.row_ns(row));
            // Keep the last of each run of equal times: reversed, `dedup` keeps the first.
            order.reverse();
            order.dedup_by_key(|row| self.row_ns(*row));
            order.reverse();
        }
        order
    }
}

fn disjoint(templates: &[Arc<Template>], a: u32, b: u32) -> bool {
    templates[a as usize].is_disjoint(&templates[b as usize])
}

/// The newest chunk of this template that the row may join without changing who wins, if it has
/// room for it.
fn chunk_to_join(
    words: &Words,
    templates: &[Arc<Template>],
    newest: u32,
    template: u32,
    time_ns: i64,
) -> Option<Chunk> {
    let mut next = newest;
    for _ in 0..CHUNKS_BACK_MAX {
        if next == NONE {
            return None;
        }
        let chunk = Chunk::read(words, next);
        let stride = 1 + templates[chunk.template as usize].fields.len();
        if chunk.template == template {
            let fits = chunk.rows < chunk.capacity
                || chunk.time_ns(words, chunk.rows - 1, stride) == time_ns;
            return fits.then_some(chunk);
        }
        if time_ns <= chunk.max_ns(words, stride) && !disjoint(templates, chunk.template, template)
        {
            return None;
        }
        next = chunk.before;
    }
    None
}

/// Ranges of time that together hold all rows of a series in some memtables, by time, each with
/// at most `rows_max` different times, or one.
pub(crate) fn slices<'a>(
    tables: impl Iterator<Item = &'a Memtable>,
    series: SeriesId,
    rows_max: usize,
) -> Vec<TimeRange> {
    let chunks: Vec<(&Memtable, Chunk)> = tables
        .flat_map(|table| table.chunks(series).map(move |chunk| (table, chunk)))
        .collect();
    if chunks.is_empty() {
        return Vec::new();
    }
    if chunks.iter().map(|(_, chunk)| chunk.rows).sum::<usize>() <= rows_max {
        return vec![TimeRange::ALL];
    }
    let mut times_ns: Vec<i64> = chunks
        .iter()
        .flat_map(|(table, chunk)| chunk.times_ns(&table.words, table.stride(*chunk)))
        .collect();
    times_ns.sort_unstable();
    times_ns.dedup();
    times_ns
        .chunks(rows_max.max(1))
        .map(|chunk| TimeRange::new(chunk[0], chunk[chunk.len() - 1]))
        .collect()
}
