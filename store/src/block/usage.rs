//! What the bytes of a file are spent on.

use tandem_codec::number::Scratch;
use tandem_model::FieldType;

use super::reader::{ChunkIndex, Source};
use super::{BlockError, BlockFile};
use crate::Values;

/// What a measurement takes in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MeasurementUsage {
    pub(crate) name: Vec<u8>,
    pub(crate) rows: u64,
    /// Bytes of its chunks and directory, all of what follows included.
    pub(crate) bytes: u64,
    /// Bytes of the times.
    pub(crate) time_bytes: u64,
    /// In the order of the file.
    pub(crate) columns: Vec<ColumnUsage>,
}

/// What a field takes in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnUsage {
    pub(crate) name: Vec<u8>,
    pub(crate) field_type: FieldType,
    /// Values that were written.
    pub(crate) values: u64,
    /// Bytes of pages and heads.
    pub(crate) bytes: u64,
    /// Bytes of the values as they are in memory: 8 for a number, 1 for a boolean, their length for strings.
    pub(crate) raw_bytes: u64,
}

impl BlockFile {
    /// Reads and decodes all of the file to count what is in it.
    pub(crate) fn usage(&self) -> Result<Vec<MeasurementUsage>, BlockError> {
        let measurements = self.measurements().iter().enumerate();
        measurements
            .map(|(at, info)| {
                let mut usage = MeasurementUsage {
                    name: info.name.clone(),
                    rows: info.rows(),
                    bytes: info.len_bytes(),
                    time_bytes: 0,
                    columns: Vec::with_capacity(info.fields.len()),
                };
                for (name, field_type) in &info.fields {
                    usage.columns.push(ColumnUsage {
                        name: name.clone(),
                        field_type: *field_type,
                        values: 0,
                        bytes: 0,
                        raw_bytes: 0,
                    });
                }
                let source = Source::new(self, at).without_cache();
                for chunk in 0..info.chunks.len() {
                    source.add_chunk(chunk, &mut usage)?;
                }
                Ok(usage)
            })
            .collect()
    }
}

impl Source<'_> {
    fn add_chunk(self, at: usize, usage: &mut MeasurementUsage) -> Result<(), BlockError> {
        let chunk = ChunkIndex::open(self, at)?;
        let mut scratch = Scratch::default();
        let mut lens = chunk.head.columns.iter();
        let mut next_len = || lens.next().map_or(0, |len| (len.pages + len.head) as u64);
        usage.time_bytes += next_len();
        for (field, column) in usage.columns.iter_mut().enumerate() {
            column.bytes += next_len();
            let Some(mut open) = chunk.field(self, field)? else {
                continue;
            };
            for (at, span) in chunk.head.pages.iter().enumerate() {
                if let Some(page) = open.page(self, at, span.rows.len(), &mut scratch)? {
                    column.values += page.values().len() as u64;
                    column.raw_bytes += raw_bytes(page.values());
                }
            }
        }
        Ok(())
    }
}

fn raw_bytes(values: &Values) -> u64 {
    match values {
        Values::Float(_) | Values::Integer(_) | Values::Unsigned(_) => 8 * values.len() as u64,
        Values::Boolean(_) => values.len() as u64,
        Values::String(strings) => strings.iter().map(|s| s.len() as u64).sum(),
    }
}
