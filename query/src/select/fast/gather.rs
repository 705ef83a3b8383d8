//! Rows of several series, gathered in columns and merged by time.
//!
//! What gathered rows take is told before they are copied. Which row comes after which is told by a [`Heap`].

use tandem_influxql::ast::DataType;
use tandem_store::{Batch, Bitmap, ColumnSlice, ValuesSlice};

use super::cells::{Typed, cast_cell, is_written};
use super::heap::Heap;
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
    fn append(&mut self, before: usize, column: Option<&ColumnSlice<'_>>, rows: &[u32]) {
        if let (Self::Absent(data_type), Some(_)) = (&*self, column) {
            *self = Self::nulls(*data_type, before, rows.len());
        }
        match self {
            Self::Nothing | Self::Absent(_) => {}
            Self::Float(values, written) => push(values, written, column, rows),
            Self::Integer(values, written) => push(values, written, column, rows),
            Self::Unsigned(values, written) => push(values, written, column, rows),
            Self::Boolean(values, written) => push(values, written, column, rows),
            Self::Values(values) => {
                let value = |row: &u32| cast_cell(column, *row as usize, Some(DataType::String));
                values.extend(rows.iter().map(value));
            }
        }
    }

    /// About how many bytes that takes.
    fn bytes_of(&self, before: usize, column: Option<&ColumnSlice<'_>>, rows: &[u32]) -> usize {
        let (is_text, anew) = match (self, column) {
            (Self::Nothing, _) | (Self::Absent(_), None) => return 0,
            (Self::Absent(data_type), Some(_)) => {
                (*data_type == DataType::String, Some(ALLOCATION_BYTES))
            }
            (Self::Values(_), _) => (true, None),
            _ => (false, None),
        };
        let cell = if is_text {
            size_of::<Value>()
        } else {
            size_of::<u64>()
        };
        let anew = anew.map_or(0, |bytes| bytes + before * cell);
        let texts = match column {
            Some(column) if is_text => rows.iter().map(|row| text_bytes(column, *row)).sum(),
            _ => 0,
        };
        anew + rows.len() * cell + texts
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
) {
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
}

/// The length of the string in a row, if there is one.
fn text_bytes(column: &ColumnSlice<'_>, row: u32) -> usize {
    let row = row as usize;
    match column.values {
        ValuesSlice::String { strings, first } if is_written(column, row) => {
            strings.get(first + row).len()
        }
        _ => 0,
    }
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
        if !self.times_ns.is_empty() {
            return 0;
        }
        self.columns = columns.iter().map(|source| Owned::new(*source)).collect();
        Self::begin_bytes(columns)
    }

    const fn begin_bytes(columns: &[Source]) -> usize {
        columns.len() * size_of::<Owned>() + 2 * ALLOCATION_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.times_ns.len()
    }

    pub(super) fn times_ns(&self) -> &[i64] {
        &self.times_ns
    }

    /// The string of a column in a row, if it has one.
    pub(super) fn string(&self, column: usize, row: usize) -> Option<&[u8]> {
        self.columns.get(column)?.string(row)
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

    /// Appends rows of a batch, in this order.
    pub(super) fn append(&mut self, batch: &Batch<'_, '_>, rows: &[u32], columns: &[Source]) {
        self.begin(columns);
        for (owned, source) in self.columns.iter_mut().zip(columns) {
            if let Source::Field(field, _) = source {
                let column = batch.column(*field);
                owned.append(self.times_ns.len(), column.as_ref(), rows);
            }
        }
        let times_ns = batch.times_ns();
        self.times_ns
            .extend(rows.iter().map(|row| times_ns[*row as usize]));
    }

    /// About how many bytes that takes.
    pub(super) fn bytes_of(
        &self,
        batch: &Batch<'_, '_>,
        rows: &[u32],
        columns: &[Source],
    ) -> usize {
        let before = self.times_ns.len();
        let mut bytes = size_of::<i64>() * rows.len();
        if before == 0 {
            bytes += Self::begin_bytes(columns);
        }
        for (at, source) in columns.iter().enumerate() {
            if let Source::Field(field, _) = source {
                let column = batch.column(*field);
                let new = Owned::new(*source);
                let owned = self.columns.get(at).unwrap_or(&new);
                bytes += owned.bytes_of(before, column.as_ref(), rows);
            }
        }
        bytes
    }
}

/// Hands on the rows of one group, its series merged, limited and cut into blocks. `tags` are those of each series.
pub(super) fn merged(
    series: &[Gathered],
    tags: &[Vec<Value>],
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
    if let ([only], [tags]) = (series, tags) {
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
    let mut heap = Heap::new(series, tags, columns, references, options.ascending, None);
    for _ in 0..skip {
        if heap.next().is_none() {
            return Ok(());
        }
    }
    let tags = by_column(tags, columns);
    let mut left = take;
    loop {
        let places: Vec<(u32, u32)> = std::iter::from_fn(|| heap.next())
            .take(left.min(BLOCK_ROWS))
            .collect();
        left -= places.len();
        if places.is_empty() {
            return Ok(());
        }
        emit_rows(series, &tags, columns, &places, emit)?;
    }
}

/// For each column that is a tag its value in each series.
pub(super) fn by_column(tags: &[Vec<Value>], columns: &[Source]) -> Vec<Vec<Value>> {
    let of = |source: &Source| match source {
        Source::Tag(at) => tags.iter().map(|tags| tags[*at].clone()).collect(),
        _ => Vec::new(),
    };
    columns.iter().map(of).collect()
}

/// Hands on the rows at `places`, each a series and a row of it. `tags` are those of [`by_column`].
pub(super) fn emit_rows(
    series: &[Gathered],
    tags: &[Vec<Value>],
    columns: &[Source],
    places: &[(u32, u32)],
    emit: &mut dyn FnMut(&Block<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    for places in places.chunks(BLOCK_ROWS) {
        let times_ns: Vec<i64> = places
            .iter()
            .map(|(from, row)| series[*from as usize].times_ns[*row as usize])
            .collect();
        let codes: Vec<u32> = places.iter().map(|place| place.0).collect();
        let owned: Vec<Owned> = columns
            .iter()
            .enumerate()
            .map(|(at, source)| {
                Owned::merged(*source, places, |number| {
                    series[number as usize].columns.get(at)
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
    Ok(())
}
