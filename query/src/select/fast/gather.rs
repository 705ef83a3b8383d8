//! Rows of several series, gathered in columns and merged by time.
//!
//! The order of rows with equal times is that of the plain executor's merge: the binary heap of Go's
//! `container/heap`, with the selected strings compared up to the first column that is none. The heap here
//! holds places of rows only.

use std::cmp::Ordering;

use tandem_influxql::ast::DataType;
use tandem_store::{Batch, Bitmap, ColumnSlice};

use super::cells::{Typed, cast_cell};
use super::raw::Source;
use crate::block::{Block, Cells};
use crate::error::Error;
use crate::result::Value;
use crate::select::window::Options;

/// Rows that are handed on at once.
const BLOCK_ROWS: usize = 8_192;
/// About what an allocation takes beside its bytes.
const ALLOCATION_BYTES: usize = 16;

/// Rows of one series, in the order of time of the statement.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    times_ns: Vec<i64>,
    /// One for each column, from the first row on; nothing for tags.
    columns: Vec<Owned>,
}

#[derive(Debug)]
enum Owned {
    Nothing,
    /// A field of which there is no value yet, in however many rows.
    Absent(DataType),
    Float(Vec<f64>, Option<Bitmap>),
    Integer(Vec<i64>, Option<Bitmap>),
    Unsigned(Vec<u64>, Option<Bitmap>),
    Boolean(Vec<bool>, Option<Bitmap>),
    Values(Vec<Value>),
}

impl Owned {
    fn new(source: Source) -> Self {
        match source {
            Source::Tag(_) | Source::Nothing => Self::Nothing,
            Source::Field(_, data_type) => Self::Absent(data_type),
        }
    }

    /// So many nulls of a type, with room for as many values more.
    fn nulls(data_type: DataType, count: usize, more: usize) -> Self {
        fn typed<T: Typed + Default + Clone>(
            count: usize,
            more: usize,
        ) -> (Vec<T>, Option<Bitmap>) {
            let mut values = Vec::with_capacity(count + more);
            values.resize(count, T::default());
            (values, (count > 0).then(|| Bitmap::filled(count, false)))
        }
        macro_rules! of {
            ($variant:ident) => {{
                let (values, written) = typed(count, more);
                Self::$variant(values, written)
            }};
        }
        match data_type {
            DataType::Float => of!(Float),
            DataType::Integer => of!(Integer),
            DataType::Unsigned => of!(Unsigned),
            DataType::Boolean => of!(Boolean),
            _ => Self::Values(vec![Value::Null; count]),
        }
    }

    /// Appends rows behind as many as `before`.
    fn append(&mut self, before: usize, column: Option<&ColumnSlice<'_>>, rows: &[u32]) -> usize {
        if let (Self::Absent(data_type), Some(_)) = (&*self, column) {
            *self = Self::nulls(*data_type, before, rows.len());
            return before * size_of::<u64>()
                + ALLOCATION_BYTES
                + self.append(before, column, rows);
        }
        match self {
            Self::Nothing | Self::Absent(_) => 0,
            Self::Float(values, written) => push(values, written, column, rows),
            Self::Integer(values, written) => push(values, written, column, rows),
            Self::Unsigned(values, written) => push(values, written, column, rows),
            Self::Boolean(values, written) => push(values, written, column, rows),
            Self::Values(values) => {
                let mut bytes = 0;
                for row in rows {
                    let value = cast_cell(column, *row as usize, Some(DataType::String));
                    bytes += size_of::<Value>() + value.bytes();
                    values.push(value);
                }
                bytes
            }
        }
    }

    /// Appends one value behind as many as `before`; null where it is of another type. Returns about how many bytes it takes.
    fn push(&mut self, before: usize, value: Value) -> usize {
        if let Self::Absent(data_type) = self {
            if value == Value::Null {
                return 0;
            }
            *self = Self::nulls(*data_type, before, 1);
            return before * size_of::<u64>() + ALLOCATION_BYTES + self.push(before, value);
        }
        let bytes = size_of::<u64>() + value.bytes();
        fn one<T: Typed + Default>(
            values: &mut Vec<T>,
            written: &mut Option<Bitmap>,
            value: Option<T>,
        ) {
            if value.is_none() || written.is_some() {
                let bits = written.get_or_insert_with(|| Bitmap::filled(values.len(), true));
                bits.push(value.is_some());
            }
            values.push(value.unwrap_or_default());
        }
        match self {
            Self::Nothing | Self::Absent(_) => return 0,
            Self::Float(values, written) => one(values, written, f64::of(&value)),
            Self::Integer(values, written) => one(values, written, i64::of(&value)),
            Self::Unsigned(values, written) => one(values, written, u64::of(&value)),
            Self::Boolean(values, written) => one(values, written, bool::of(&value)),
            Self::Values(values) => values.push(value),
        }
        bytes
    }

    /// The rows at `places`, series and row, of the columns that `of` gives, which are of the same type or have no value.
    fn merged<'o>(
        source: Source,
        places: &[(u32, u32)],
        of: impl Fn(u32) -> Option<&'o Self>,
    ) -> Self {
        macro_rules! copy_all {
            ($variant:ident, $to:expr, $bits:expr) => {
                for (series, row) in places {
                    match of(*series) {
                        Some(Self::$variant(from, written)) => {
                            copy($to, $bits, from, written, *row as usize);
                        }
                        _ => null($to, $bits),
                    }
                }
            };
        }
        let Source::Field(_, data_type) = source else {
            return Self::Nothing;
        };
        let mut merged = Self::nulls(data_type, 0, places.len());
        match &mut merged {
            Self::Nothing | Self::Absent(_) => {}
            Self::Float(to, bits) => copy_all!(Float, to, bits),
            Self::Integer(to, bits) => copy_all!(Integer, to, bits),
            Self::Unsigned(to, bits) => copy_all!(Unsigned, to, bits),
            Self::Boolean(to, bits) => copy_all!(Boolean, to, bits),
            Self::Values(to) => {
                for (series, row) in places {
                    to.push(match of(*series) {
                        Some(Self::Values(from)) => from[*row as usize].clone(),
                        _ => Value::Null,
                    });
                }
            }
        }
        merged
    }

    fn cells(&self) -> Cells<'_> {
        match self {
            Self::Nothing | Self::Absent(_) => Cells::Constant(&Value::Null),
            Self::Float(v, written) => Cells::Float(v, written.as_ref()),
            Self::Integer(v, written) => Cells::Integer(v, written.as_ref()),
            Self::Unsigned(v, written) => Cells::Unsigned(v, written.as_ref()),
            Self::Boolean(v, written) => Cells::Boolean(v, written.as_ref()),
            Self::Values(v) => Cells::Values(v),
        }
    }

    fn string(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Values(values) => match values.get(row) {
                Some(Value::String(text)) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }
}

fn push<T: Typed + Default>(
    values: &mut Vec<T>,
    written: &mut Option<Bitmap>,
    column: Option<&ColumnSlice<'_>>,
    rows: &[u32],
) -> usize {
    let slice = column.and_then(|column| T::slice(&column.values));
    match (slice, column) {
        (Some(slice), Some(column)) if column.written.is_none() && written.is_none() => {
            values.extend(rows.iter().map(|row| slice[*row as usize]));
        }
        _ => {
            let bits = written.get_or_insert_with(|| Bitmap::filled(values.len(), true));
            for row in rows {
                let row = *row as usize;
                let value = match (slice, column) {
                    (Some(slice), Some(column)) => {
                        let is = column.written.is_none_or(|written| written.get(row));
                        is.then(|| slice[row])
                    }
                    (None, Some(_)) => T::of(&cast_cell(column, row, Some(T::TYPE))),
                    _ => None,
                };
                bits.push(value.is_some());
                values.push(value.unwrap_or_default());
            }
        }
    }
    rows.len() * size_of::<T>()
}

fn copy<T: Copy>(
    to: &mut Vec<T>,
    bits: &mut Option<Bitmap>,
    from: &[T],
    written: &Option<Bitmap>,
    row: usize,
) {
    let is_written = written.as_ref().is_none_or(|written| written.get(row));
    if !is_written || bits.is_some() {
        bits.get_or_insert_with(|| Bitmap::filled(to.len(), true))
            .push(is_written);
    }
    to.push(from[row]);
}

fn null<T: Default>(to: &mut Vec<T>, bits: &mut Option<Bitmap>) {
    bits.get_or_insert_with(|| Bitmap::filled(to.len(), true))
        .push(false);
    to.push(T::default());
}

impl Gathered {
    /// Makes the columns; returns the bytes that they take.
    fn begin(&mut self, columns: &[Source]) -> usize {
        if !self.columns.is_empty() {
            return 0;
        }
        self.columns = columns.iter().map(|source| Owned::new(*source)).collect();
        columns.len() * size_of::<Owned>() + 2 * ALLOCATION_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.times_ns.len()
    }

    /// Appends one row, with a value for each column, null for those of tags; returns about how many bytes it takes.
    pub(super) fn push(
        &mut self,
        time_ns: i64,
        values: impl Iterator<Item = Value>,
        columns: &[Source],
    ) -> usize {
        let mut bytes = self.begin(columns) + size_of::<i64>();
        for (owned, value) in self.columns.iter_mut().zip(values) {
            bytes += owned.push(self.times_ns.len(), value);
        }
        self.times_ns.push(time_ns);
        bytes
    }

    /// Appends rows of a batch, in this order; returns about how many bytes they take.
    pub(super) fn append(
        &mut self,
        batch: &Batch<'_, '_>,
        rows: &[u32],
        columns: &[Source],
    ) -> usize {
        let mut bytes = self.begin(columns) + size_of::<i64>() * rows.len();
        for (owned, source) in self.columns.iter_mut().zip(columns) {
            if let Source::Field(field, _) = source {
                let column = batch.column(*field);
                bytes += owned.append(self.times_ns.len(), column.as_ref(), rows);
            }
        }
        let times_ns = batch.times_ns();
        self.times_ns
            .extend(rows.iter().map(|row| times_ns[*row as usize]));
        bytes
    }
}

/// Hands on the rows of one group, its series merged, limited and cut into blocks.
pub(super) fn merged(
    series: Vec<(Gathered, Vec<Value>)>,
    columns: &[Source],
    references: &[Source],
    options: &Options,
    emit: &mut dyn FnMut(&Block<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let skip = usize::try_from(options.offset).unwrap_or(usize::MAX);
    let take = match options.limit {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    if let [(only, tags)] = series.as_slice() {
        let cells: Vec<Cells<'_>> = columns
            .iter()
            .zip(&only.columns)
            .map(|(source, owned)| match source {
                Source::Tag(at) => Cells::Constant(&tags[*at]),
                _ => owned.cells(),
            })
            .collect();
        let end = skip.saturating_add(take).min(only.len());
        let rows: Vec<u32> = (skip.min(end) as u32..end as u32).collect();
        if rows.is_empty() {
            return Ok(());
        }
        return emit(&Block {
            times_ns: &only.times_ns,
            rows: (rows.len() < only.len()).then_some(&rows),
            columns: &cells,
        });
    }
    let mut merge = Merge::new(&series, columns, references, options.ascending);
    for _ in 0..skip {
        if merge.next().is_none() {
            return Ok(());
        }
    }
    // For each tag its value in each series.
    let tags: Vec<Vec<Value>> = columns
        .iter()
        .map(|source| match source {
            Source::Tag(at) => series.iter().map(|(_, tags)| tags[*at].clone()).collect(),
            _ => Vec::new(),
        })
        .collect();
    let mut left = take;
    loop {
        let places: Vec<(u32, u32)> = std::iter::from_fn(|| merge.next())
            .take(left.min(BLOCK_ROWS))
            .collect();
        left -= places.len();
        if places.is_empty() {
            return Ok(());
        }
        let row_of = |place: &(u32, u32)| (&series[place.0 as usize].0, place.1 as usize);
        let times_ns: Vec<i64> = places
            .iter()
            .map(|place| {
                let (from, row) = row_of(place);
                from.times_ns[row]
            })
            .collect();
        let codes: Vec<u32> = places.iter().map(|place| place.0).collect();
        let owned: Vec<Owned> = columns
            .iter()
            .enumerate()
            .map(|(at, source)| {
                Owned::merged(*source, &places, |number| {
                    series[number as usize].0.columns.get(at)
                })
            })
            .collect();
        let cells: Vec<Cells<'_>> = columns
            .iter()
            .enumerate()
            .map(|(at, source)| match source {
                Source::Tag(_) => Cells::Coded {
                    codes: &codes,
                    values: &tags[at],
                },
                _ => owned[at].cells(),
            })
            .collect();
        emit(&Block {
            times_ns: &times_ns,
            rows: None,
            columns: &cells,
        })?;
    }
}

/// The rows of several series by time. See the module's head.
struct Merge<'s> {
    series: &'s [(Gathered, Vec<Value>)],
    /// The columns whose strings are compared at equal times.
    compared: Vec<(usize, Source)>,
    /// Ranks of series by these strings, where they are tags that all series have.
    ranks: Option<Vec<u32>>,
    ascending: bool,
    /// The row of each series that is in the heap.
    rows: Vec<usize>,
    heap: Vec<usize>,
}

impl<'s> Merge<'s> {
    fn new(
        series: &'s [(Gathered, Vec<Value>)],
        columns: &[Source],
        references: &[Source],
        ascending: bool,
    ) -> Self {
        let is_text = |source: &&Source| {
            matches!(source, Source::Tag(_) | Source::Field(_, DataType::String))
        };
        let compared: Vec<(usize, Source)> = references
            .iter()
            .take_while(is_text)
            .map(|source| {
                let at = columns.iter().position(|column| column == source);
                (at.unwrap_or(0), *source)
            })
            .collect();
        let mut merge = Self {
            series,
            ranks: None,
            ascending,
            rows: vec![0; series.len()],
            heap: Vec::new(),
            compared,
        };
        merge.ranks = merge.ranks();
        let inputs = (0..series.len()).filter(|at| series[*at].0.len() > 0);
        merge.heap = inputs.collect();
        if !ascending {
            merge.heap.reverse();
        }
        for at in (0..merge.heap.len() / 2).rev() {
            merge.down(at, merge.heap.len());
        }
        merge
    }

    fn ranks(&self) -> Option<Vec<u32>> {
        let all_tags = self.compared.iter().all(|(_, source)| match source {
            Source::Tag(at) => self
                .series
                .iter()
                .all(|(_, tags)| matches!(tags[*at], Value::String(_))),
            _ => false,
        });
        if !all_tags {
            return None;
        }
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        order.sort_by(|a, b| self.strings(*a, *b));
        let mut ranks = vec![0; order.len()];
        let mut rank = 0;
        for pair in 0..order.len() {
            if pair > 0 && self.strings(order[pair - 1], order[pair]) != Ordering::Equal {
                rank += 1;
            }
            ranks[order[pair]] = rank;
        }
        Some(ranks)
    }

    /// The order of the strings of the current rows of two series; what is no string ends it.
    fn strings(&self, a: usize, b: usize) -> Ordering {
        for (column, source) in &self.compared {
            let text = |series: usize| -> Option<&[u8]> {
                let (gathered, tags) = &self.series[series];
                match source {
                    Source::Tag(at) => match &tags[*at] {
                        Value::String(text) => Some(text),
                        _ => None,
                    },
                    _ => gathered.columns.get(*column)?.string(self.rows[series]),
                }
            };
            let (Some(x), Some(y)) = (text(a), text(b)) else {
                return Ordering::Equal;
            };
            match x.cmp(y) {
                Ordering::Equal => {}
                order => return order,
            }
        }
        Ordering::Equal
    }

    fn less(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.heap[a], self.heap[b]);
        let time_ns = |series: usize| self.series[series].0.times_ns[self.rows[series]];
        let order = time_ns(a).cmp(&time_ns(b)).then_with(|| match &self.ranks {
            Some(ranks) => ranks[a].cmp(&ranks[b]),
            None => self.strings(a, b),
        });
        let wanted = if self.ascending {
            Ordering::Less
        } else {
            Ordering::Greater
        };
        order == wanted
    }

    fn down(&mut self, start: usize, len: usize) {
        let mut at = start;
        loop {
            let left = 2 * at + 1;
            if left >= len {
                return;
            }
            let right = left + 1;
            let child = if right < len && self.less(right, left) {
                right
            } else {
                left
            };
            if !self.less(child, at) {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }

    fn up(&mut self, start: usize) {
        let mut at = start;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.less(at, parent) {
                return;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    /// Series and row of the next row.
    fn next(&mut self) -> Option<(u32, u32)> {
        let last = self.heap.len().checked_sub(1)?;
        self.heap.swap(0, last);
        self.down(0, last);
        let series = self.heap.pop()?;
        let row = self.rows[series];
        if row + 1 < self.series[series].0.len() {
            self.rows[series] = row + 1;
            self.heap.push(series);
            self.up(self.heap.len() - 1);
        }
        Some((series as u32, row as u32))
    }
}
