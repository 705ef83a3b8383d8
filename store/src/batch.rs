//! A batch: the rows of one write request, parsed and typed, on their way to WAL and memtable.
//!
//! Rows hold no names. Their fields are words in the order of a template, strings are places in
//! one buffer, and a series is an id, or the number of a key in the batch that the index does not
//! know yet.

use std::sync::Arc;

use tandem_model::SeriesId;

use crate::schema::Template;

/// The series of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeriesRef {
    /// The index knows it.
    Known(SeriesId),
    /// The key at this place of [`Batch::unknown`].
    Unknown(u32),
}

/// One point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) series: SeriesRef,
    /// Place in [`Batch::templates`].
    pub(crate) template: u32,
    pub(crate) time_ns: i64,
    /// Where its words start in [`Batch::values`]; the template says how many there are.
    pub(crate) values: u32,
    /// Place in the list of shards that the batch goes to.
    pub(crate) shard: u32,
}

/// A key that the index did not know when the batch was parsed.
#[derive(Clone, Debug)]
pub(crate) struct UnknownKey {
    /// As first written.
    pub(crate) raw: Box<[u8]>,
    pub(crate) canonical: Box<[u8]>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Row>,
    /// Words of the rows: bits of numbers, 0 or 1, or a string's place in `strings`.
    pub(crate) values: Vec<u64>,
    pub(crate) strings: Vec<u8>,
    pub(crate) templates: Vec<Arc<Template>>,
    pub(crate) unknown: Vec<UnknownKey>,
    /// Raw keys, not canonical, of series that the index knows.
    pub(crate) aliases: Vec<(Box<[u8]>, SeriesId)>,
}

impl Batch {
    /// Bytes taken from the allocator, near enough.
    pub(crate) fn bytes(&self) -> usize {
        let unknown = self.unknown.iter();
        let aliases = self.aliases.iter();
        self.rows.capacity() * size_of::<Row>()
            + self.values.capacity() * size_of::<u64>()
            + self.strings.capacity()
            + self.unknown.capacity() * size_of::<UnknownKey>()
            + unknown
                .map(|key| key.raw.len() + key.canonical.len())
                .sum::<usize>()
            + aliases.map(|(raw, _)| raw.len() + 32).sum::<usize>()
    }

    /// The words of a row, one for each field of its template.
    pub(crate) fn words(&self, row: &Row) -> &[u64] {
        let start = row.values as usize;
        &self.values[start..start + self.templates[row.template as usize].fields.len()]
    }
}
