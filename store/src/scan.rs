//! Reading many series for a computation: rows where they lie, not copied into new columns.
//!
//! A [`View`](crate::View) hands a [`Visitor`] the rows of each series in [`Batch`]es. Where one source alone has rows, a
//! batch is a part of a decoded page, and a field is decoded when it is asked for; where several sources
//! overlap, it holds their rows merged. Whole pages may be answered by the statistics that the file
//! has of them.
//!
//! What always holds: a series' batches of one shard come in the order of time that was asked for and
//! do not overlap; rows inside of a batch ascend. Shards come one after the other, each with all its series.

use crate::block::{PageRows, Statistics};
use crate::error::StoreError;
use crate::rows::{Bitmap, Rows, Strings, Values};
use tandem_model::{SeriesId, TimeRange};

/// What comes after something was visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// What is next.
    On,
    /// The next series; nothing more of this one.
    SeriesDone,
    /// Nothing more at all.
    Stop,
}

/// Takes what is read. Series are named by their place in the list that was asked for.
pub trait Visitor {
    /// A series begins, in one of the shards.
    fn begin(&mut self, series: usize) {
        let _ = series;
    }

    /// Whether statistics of rows in `range`, all of them or none, may do in place of the rows.
    fn wants_statistics(&self, range: TimeRange) -> bool;

    /// Takes statistics of some rows; false asks for the rows themselves.
    fn statistics(&mut self, series: usize, segment: &Segment<'_>) -> bool;

    /// Takes rows.
    ///
    /// # Errors
    /// When a column cannot be read or is damaged.
    fn rows(&mut self, series: usize, batch: &mut Batch<'_, '_>) -> Result<Flow, StoreError>;

    /// Asked between two series, and after each batch that was answered by statistics.
    fn flow(&self) -> Flow {
        Flow::On
    }
}

/// Statistics of some rows of a series that lie together.
#[derive(Debug)]
pub struct Segment<'a> {
    /// From the first to the last row.
    pub range: TimeRange,
    /// How many rows there are.
    pub rows: usize,
    /// One for each field asked for; `None` where no row has a value.
    pub fields: &'a [Option<&'a Statistics>],
}

/// Some rows of one series.
#[derive(Debug)]
pub enum Batch<'r, 'a> {
    /// A part of a page; columns have to be loaded.
    Page(PageRows<'r, 'a>),
    /// Rows in columns of their own.
    Rows(&'r Rows),
}

impl Batch<'_, '_> {
    /// The times, ascending; at least one.
    #[must_use]
    pub fn times_ns(&self) -> &[i64] {
        match self {
            Self::Page(page) => page.times_ns(),
            Self::Rows(rows) => &rows.times_ns,
        }
    }

    /// Decodes a field, so that [`Batch::column`] has it. `field` is its place among those asked for.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn load(&mut self, field: usize) -> Result<(), StoreError> {
        match self {
            Self::Page(page) => Ok(page.load(field)?),
            Self::Rows(_) => Ok(()),
        }
    }

    /// The values of a field that was loaded; `None` where no row has one.
    #[must_use]
    pub fn column(&self, field: usize) -> Option<ColumnSlice<'_>> {
        match self {
            Self::Page(page) => page.column(field),
            Self::Rows(rows) => rows.columns.get(field)?.as_ref().map(ColumnSlice::of),
        }
    }
}

/// One field's values over the rows of a batch.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSlice<'a> {
    /// An entry for each row.
    pub values: ValuesSlice<'a>,
    /// Which entries were written; `None` is all of them.
    pub written: Option<&'a Bitmap>,
}

/// Values by type.
#[derive(Clone, Copy, Debug)]
pub enum ValuesSlice<'a> {
    /// Doubles.
    Float(&'a [f64]),
    /// Signed integers.
    Integer(&'a [i64]),
    /// Unsigned integers.
    Unsigned(&'a [u64]),
    /// Booleans.
    Boolean(&'a [bool]),
    /// Byte strings: entry n is string `first + n`.
    String {
        /// Where the strings are.
        strings: &'a Strings,
        /// The place of the first.
        first: usize,
    },
}

impl<'a> ColumnSlice<'a> {
    /// A whole column.
    #[must_use]
    pub fn of(column: &'a crate::rows::Column) -> Self {
        Self {
            values: ValuesSlice::of(&column.values, 0..column.values.len()),
            written: match &column.validity {
                crate::rows::Validity::All => None,
                crate::rows::Validity::Some(bits) => Some(bits),
            },
        }
    }
}

impl<'a> ValuesSlice<'a> {
    /// Entries `entries` of `values`; none where they are out of bounds.
    #[must_use]
    pub(crate) fn of(values: &'a Values, entries: std::ops::Range<usize>) -> Self {
        match values {
            Values::Float(v) => Self::Float(v.get(entries).unwrap_or_default()),
            Values::Integer(v) => Self::Integer(v.get(entries).unwrap_or_default()),
            Values::Unsigned(v) => Self::Unsigned(v.get(entries).unwrap_or_default()),
            Values::Boolean(v) => Self::Boolean(v.get(entries).unwrap_or_default()),
            Values::String(strings) => Self::String {
                strings,
                first: entries.start,
            },
        }
    }
}

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) measurement: &'a [u8],
    pub(crate) fields: &'a [&'a [u8]],
    pub(crate) range: TimeRange,
    pub(crate) order: crate::view::Order,
}

/// A series to be read, with its place in the list that was asked for.
pub(crate) type Place = (usize, SeriesId);
