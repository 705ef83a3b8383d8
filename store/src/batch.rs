//! A batch: the rows of one write request, parsed and typed, on their way to WAL and memtable.
//!
//! Rows hold no names. Their fields are words in the order of a template, strings are places in
//! one buffer, and a series is an id, or the number of a key in the batch that the index does not
//! know yet.

use std::sync::{Arc, Mutex, PoisonError};

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
        let templates = self.templates.iter();
        templates.map(|template| template.own_bytes).sum::<usize>()
            + self.rows.capacity() * size_of::<Row>()
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

/// Batches whose memory is used again: memory that is new for every write has to be zeroed by the
/// kernel first, which costs more than parsing does.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    batches: Mutex<Vec<Batch>>,
}

impl Spares {
    /// Batches kept.
    const KEPT_MAX: usize = 4;
    /// Bytes of a batch that is kept.
    const KEPT_BYTES_MAX: usize = 4 << 20;

    /// An empty batch.
    pub(crate) fn take(&self) -> Batch {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.pop().unwrap_or_default()
    }

    /// Takes the memory of a batch that is done with.
    pub(crate) fn put(&self, batch: Batch) {
        let Batch {
            mut rows,
            mut values,
            mut strings,
            ..
        } = batch;
        rows.clear();
        values.clear();
        strings.clear();
        let batch = Batch {
            rows,
            values,
            strings,
            ..Batch::default()
        };
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        if batches.len() < Self::KEPT_MAX && batch.bytes() <= Self::KEPT_BYTES_MAX {
            batches.push(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_back_empty_and_with_its_memory() {
        let spares = Spares::default();
        let mut batch = spares.take();
        batch.values.extend([1; 1000]);
        batch.strings.extend(b"text");
        batch.aliases.push((Box::from(*b"m"), SeriesId(0)));
        let at = batch.values.as_ptr();
        spares.put(batch);
        let again = spares.take();
        assert_eq!(again.values.as_ptr(), at);
        assert!(again.values.is_empty() && again.strings.is_empty() && again.aliases.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let spares = Spares::default();
        for values in [1, 2, 3, Spares::KEPT_BYTES_MAX, 4, 5, 6] {
            spares.put(Batch {
                values: Vec::with_capacity(values),
                ..Batch::default()
            });
        }
        let batches = spares.batches.lock().unwrap();
        let values: Vec<usize> = batches.iter().map(|b| b.values.capacity()).collect();
        assert_eq!(values, [1, 2, 3, 4]);
    }
}
