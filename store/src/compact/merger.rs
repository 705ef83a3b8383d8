//! Several files of one shard into one.
//!
//! The merger goes through its inputs in their own order, measurement by measurement and series by
//! series, so that it decodes each page of each input once. A series is read in slices of time
//! whose size is bounded. What tombstones hide is left out. Memory: a slice, a page of each column
//! of each input, and what the writer needs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tandem_model::{FieldType, SeriesId, TimeRange};

use crate::block::{BlockError, BlockWriter, SeriesReader};
use crate::merge::merge;
use crate::shard::ShardFile;
use crate::slices::cut;
use crate::tombstone::{Tombstone, visible};

/// What the rows of a series that are merged at once take at most, about.
const SLICE_BYTES_MAX: usize = 16 << 20;

/// Why files could not be merged.
#[derive(Debug)]
pub(crate) enum MergeError {
    /// This input cannot be read as a whole.
    Input { at: usize, error: BlockError },
    /// This input has a field of another type than a newer one, and rows that are not hidden.
    Types { at: usize },
    /// The new file cannot be written.
    Output(BlockError),
    /// The caller said so.
    Stopped,
}

/// Told how many bytes of the inputs were read since the last call, about; says whether to go on.
pub(crate) type Progress<'a> = dyn FnMut(u64) -> bool + 'a;

/// Writes what `inputs` show, oldest first, to `writer`, which is left to be finished.
pub(crate) fn merge_files(
    inputs: &[Arc<ShardFile>],
    tombstones: &[Arc<Tombstone>],
    writer: &mut BlockWriter,
    progress: &mut Progress<'_>,
) -> Result<(), MergeError> {
    let mut names: BTreeMap<&[u8], Vec<Part<'_>>> = BTreeMap::new();
    for (at, file) in inputs.iter().enumerate() {
        for (measurement, info) in file.measurements().iter().enumerate() {
            let series = &info.series - hidden_series(file, tombstones);
            if !series.is_empty() {
                let part = Part {
                    at,
                    file,
                    measurement,
                    series,
                };
                names.entry(&info.name).or_default().push(part);
            }
        }
    }
    let (mut bytes, mut rows) = (0, 0);
    for file in inputs {
        bytes += file.meta().len_bytes;
        rows += file.meta().rows;
    }
    let row_bytes = bytes as f64 / rows.max(1) as f64;
    let mut merger = Merger {
        tombstones,
        writer,
        row_bytes,
        progress,
    };
    names
        .into_iter()
        .try_for_each(|(name, parts)| merger.measurement(name, parts))
}

/// The series of which tombstones hide all rows in a file.
fn hidden_series(file: &ShardFile, tombstones: &[Arc<Tombstone>]) -> RoaringBitmap {
    let range = file.meta().range;
    let whole = tombstones
        .iter()
        .filter(|t| t.concerns(file.age()) && t.range.intersect(&range) == range);
    whole.fold(RoaringBitmap::new(), |all, t| all | &t.series)
}

/// A measurement of one input.
struct Part<'a> {
    /// Which input.
    at: usize,
    file: &'a ShardFile,
    measurement: usize,
    /// The series that may have rows that are not hidden.
    series: RoaringBitmap,
}

struct Merger<'a> {
    tombstones: &'a [Arc<Tombstone>],
    writer: &'a mut BlockWriter,
    row_bytes: f64,
    progress: &'a mut Progress<'a>,
}

impl Merger<'_> {
    fn measurement(&mut self, name: &[u8], mut parts: Vec<Part<'_>>) -> Result<(), MergeError> {
        let fields = match fields(&parts) {
            Err(MergeError::Types { .. }) => {
                // What no tombstone hides alone, several may hide together, and then other types may have
                // come. That has to be read.
                for part in &mut parts {
                    let shown = part
                        .file
                        .shown(self.tombstones, part.measurement, &part.series);
                    part.series =
                        shown.map_err(|error| MergeError::Input { at: part.at, error })?;
                }
                parts.retain(|part| !part.series.is_empty());
                if parts.is_empty() {
                    return Ok(());
                }
                fields(&parts)?
            }
            known => known?,
        };
        let parts = &parts[..];
        let names: Vec<&[u8]> = fields.iter().map(|(name, _)| name.as_slice()).collect();
        self.writer
            .measurement(name, &fields)
            .map_err(MergeError::Output)?;
        let mut readers: Vec<SeriesReader<'_>> = Vec::with_capacity(parts.len());
        let mut all = RoaringBitmap::new();
        for part in parts {
            let reader = part.file.reader(part.measurement, &names);
            readers.push(reader.without_cache());
            all |= &part.series;
        }
        let mut members = Vec::with_capacity(parts.len());
        for id in all {
            members.clear();
            members.extend((0..parts.len()).filter(|at| parts[*at].series.contains(id)));
            self.series(SeriesId(id), parts, &members, &mut readers, names.len())?;
        }
        Ok(())
    }

    fn series(
        &mut self,
        id: SeriesId,
        parts: &[Part<'_>],
        members: &[usize],
        readers: &mut [SeriesReader<'_>],
        columns: usize,
    ) -> Result<(), MergeError> {
        let input = |member: usize| {
            let at = parts[member].at;
            move |error| MergeError::Input { at, error }
        };
        let mut spans = Vec::new();
        for &member in members {
            spans.append(&mut readers[member].spans(id).map_err(input(member))?);
        }
        let all = TimeRange::new(i64::MIN, i64::MAX);
        for slice in cut(spans, all, SLICE_BYTES_MAX) {
            let mut sources = Vec::with_capacity(members.len());
            for &member in members {
                let age = parts[member].file.age();
                for part in visible(self.tombstones, age, id, slice) {
                    sources.push(readers[member].read(id, part).map_err(input(member))?);
                }
            }
            let read: usize = sources.iter().map(|rows| rows.len()).sum();
            let rows = merge(sources, columns);
            self.writer.series(id, &rows).map_err(MergeError::Output)?;
            if !(self.progress)((read as f64 * self.row_bytes) as u64) {
                return Err(MergeError::Stopped);
            }
        }
        Ok(())
    }
}

/// The fields of all parts by name.
fn fields(parts: &[Part<'_>]) -> Result<Vec<(Vec<u8>, FieldType)>, MergeError> {
    let mut fields: BTreeMap<&[u8], FieldType> = BTreeMap::new();
    for part in parts.iter().rev() {
        for (name, field_type) in &part.file.measurements()[part.measurement].fields {
            match fields.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(*field_type);
                }
                Entry::Occupied(known) if known.get() == field_type => {}
                Entry::Occupied(_) => return Err(MergeError::Types { at: part.at }),
            }
        }
    }
    let owned = fields.into_iter().map(|(name, t)| (name.to_vec(), t));
    Ok(owned.collect())
}
