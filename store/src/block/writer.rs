//! Writing a file, chunk by chunk.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringBitmap;
use tandem_codec::Effort;
use tandem_model::{FieldType, SeriesId, ShardId, TimeRange};
use tandem_vfs::{File, Vfs};

use super::chunk::ChunkBuffer;
use super::directory::{DirectoryWriter, Entry};
use super::footer::{self, ChunkPlace, FileMeta, MeasurementInfo};
use super::{BlockError, MAGIC, STRING_BYTES_MAX};
use crate::{Rows, Validity, Values};

/// What a file's writer knows of it beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The shard whose rows the file is to hold.
    pub(crate) shard: ShardId,
    /// How many merges the rows have seen; 0 from a flush.
    pub(crate) level: u8,
    /// The smallest and largest sequence of the writes in it, both inside.
    pub(crate) min_seq: u64,
    /// See `min_seq`.
    pub(crate) max_seq: u64,
}

/// Writes one file. Its memory is that of a chunk (about 16 MiB of numbers, or of strings) and of
/// the directory (a few bytes for each series).
///
/// After an error, or when it is dropped before [`BlockWriter::finish`], the file is worthless and
/// the caller's to remove.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    file: Arc<dyn File>,
    path: PathBuf,
    offset: u64,
    effort: Effort,
    meta: FileMeta,
    done: Vec<MeasurementInfo>,
    open: Option<OpenMeasurement>,
}

#[derive(Debug)]
struct OpenMeasurement {
    info: MeasurementInfo,
    chunk: ChunkBuffer,
    directory: DirectoryWriter,
    /// The series whose rows are being appended.
    series: Option<Entry>,
}

impl BlockWriter {
    /// Makes the file; its name must be free.
    pub(crate) fn create(
        vfs: &dyn Vfs,
        path: &Path,
        header: Header,
        effort: Effort,
    ) -> Result<Self, BlockError> {
        let io = |source| BlockError::Io {
            action: "create",
            file: path.to_owned(),
            source,
        };
        let file = vfs.create_new(path).map_err(io)?;
        Self::begin(file, path, header, effort)
    }

    /// As [`BlockWriter::create`], with a file that is there and empty.
    pub(crate) fn begin(
        file: Arc<dyn File>,
        path: &Path,
        header: Header,
        effort: Effort,
    ) -> Result<Self, BlockError> {
        let io = |source| BlockError::Io {
            action: "write",
            file: path.to_owned(),
            source,
        };
        file.write_all_at(&MAGIC, 0).map_err(io)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            offset: MAGIC.len() as u64,
            effort,
            meta: FileMeta {
                shard: header.shard,
                level: header.level,
                min_seq: header.min_seq,
                max_seq: header.max_seq,
                len_bytes: 0,
                range: TimeRange::new(i64::MAX, i64::MIN),
                rows: 0,
                values: 0,
                series: 0,
            },
            done: Vec::new(),
            open: None,
        })
    }

    /// Begins a measurement, whose name sorts after those before, and declares all its fields. One
    /// that gets no rows is left out.
    pub(crate) fn measurement(
        &mut self,
        name: &[u8],
        fields: &[(Vec<u8>, FieldType)],
    ) -> Result<(), BlockError> {
        self.end_measurement()?;
        if self
            .done
            .last()
            .is_some_and(|last| last.name.as_slice() >= name)
        {
            return Err(self.refused("measurements out of order"));
        }
        let mut names = HashSet::new();
        if !fields.iter().all(|(name, _)| names.insert(name)) {
            return Err(self.refused("a field is declared twice"));
        }
        self.open = Some(OpenMeasurement {
            chunk: ChunkBuffer::new(fields.iter().map(|(_, field_type)| *field_type)),
            directory: DirectoryWriter::default(),
            series: None,
            info: MeasurementInfo {
                name: name.to_vec(),
                fields: fields.to_vec(),
                series: RoaringBitmap::new(),
                chunks: Vec::new(),
                directory: Vec::new(),
            },
        });
        Ok(())
    }

    /// Appends rows of a series: ids ascend within a measurement, times within a series, and the
    /// columns are those declared, in order. A series' rows may come in several calls.
    pub(crate) fn series(&mut self, id: SeriesId, rows: &Rows) -> Result<(), BlockError> {
        let Some(open) = &mut self.open else {
            return Err(self.refused("no measurement was begun"));
        };
        if let Err(what) = open.check(id, rows) {
            return Err(self.refused(what));
        }
        let (Some(&min_ns), Some(&max_ns)) = (rows.times_ns.first(), rows.times_ns.last()) else {
            return Ok(());
        };

        let mut continues = open.series.is_some_and(|series| series.id == id);
        if continues {
            if let Some(series) = &mut open.series {
                series.rows += rows.len() as u64;
                series.range.max_ns = max_ns;
            }
        } else {
            let entry = Entry {
                id,
                first_row: 0,
                rows: rows.len() as u64,
                range: TimeRange::new(min_ns, max_ns),
            };
            open.begin_series(entry);
            self.meta.series += 1;
        }
        self.meta.range.min_ns = self.meta.range.min_ns.min(min_ns);
        self.meta.range.max_ns = self.meta.range.max_ns.max(max_ns);
        self.meta.rows += rows.len() as u64;

        if !continues && open.chunk.should_end_before(rows.len()) {
            self.end_chunk()?;
        }
        let mut start = 0;
        while start < rows.len() {
            let Some(open) = &mut self.open else { break };
            start += open.chunk.append(rows, start, continues);
            continues = true;
            if open.chunk.is_full() {
                self.end_chunk()?;
            }
        }
        Ok(())
    }

    /// Writes what is left and the footer, and makes the file's data durable. Its name is durable
    /// once the caller has synced the directory.
    pub(crate) fn finish(mut self) -> Result<FileMeta, BlockError> {
        self.end_measurement()?;
        let mut bytes = Vec::new();
        footer::encode(&self.meta, &self.done, &mut bytes);
        self.write(&bytes)?;
        self.file.sync_data().map_err(|e| self.io("sync", e))?;
        self.meta.len_bytes = self.offset;
        Ok(self.meta)
    }

    fn end_measurement(&mut self) -> Result<(), BlockError> {
        self.end_chunk()?;
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        let Some(last) = open.series else {
            return Ok(());
        };
        open.directory.push(last);
        let (mut pages, bytes) = open.directory.finish();
        for page in &mut pages {
            page.offset += self.offset;
        }
        self.write(&bytes)?;
        open.info.directory = pages;
        self.done.push(open.info);
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), BlockError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        if open.chunk.is_empty() {
            return Ok(());
        }
        self.meta.values += open.chunk.values_len() as u64;
        let first_row = open.info.rows();
        let chunk = open.chunk.encode(self.effort);
        open.info.chunks.push(ChunkPlace {
            offset: self.offset,
            len: chunk.bytes.len() as u64,
            head_len: chunk.head_len,
            first_row,
            rows: chunk.rows,
        });
        self.write(&chunk.bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BlockError> {
        let written = self.file.write_all_at(bytes, self.offset);
        written.map_err(|e| self.io("write", e))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn io(&self, action: &'static str, source: io::Error) -> BlockError {
        let file = self.path.clone();
        BlockError::Io {
            action,
            file,
            source,
        }
    }

    fn refused(&self, what: &'static str) -> BlockError {
        let file = self.path.clone();
        BlockError::Refused { file, what }
    }
}

impl OpenMeasurement {
    /// Says what is wrong with rows that cannot be appended.
    fn check(&self, id: SeriesId, rows: &Rows) -> Result<(), &'static str> {
        if self.series.is_some_and(|series| id < series.id) {
            return Err("series out of order");
        }
        let before = self.series.filter(|series| series.id == id);
        let first = rows.times_ns.first();
        if !rows.times_ns.is_sorted_by(|a, b| a < b)
            || before.is_some_and(|s| first.is_some_and(|first| *first <= s.range.max_ns))
        {
            return Err("times out of order");
        }
        let declared = self.chunk.columns();
        if rows.columns.len() != declared.len() {
            return Err("not as many columns as fields");
        }
        for (column, declared) in rows.columns.iter().zip(declared) {
            let Some(column) = column else { continue };
            if column.values.field_type() != declared.field_type() {
                return Err("column of another type than its field");
            }
            if column.values.len() != rows.len()
                || matches!(&column.validity, Validity::Some(bits) if bits.len() != rows.len())
            {
                return Err("not as many values as times");
            }
            if let Values::String(strings) = &column.values
                && strings.iter().any(|string| string.len() > STRING_BYTES_MAX)
            {
                return Err("string too long");
            }
        }
        Ok(())
    }

    fn begin_series(&mut self, mut entry: Entry) {
        if let Some(before) = self.series {
            entry.first_row = before.first_row + before.rows;
            self.directory.push(before);
        }
        self.info.series.insert(entry.id.0);
        self.series = Some(entry);
    }
}
