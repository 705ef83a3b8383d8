//! The footer: what a file holds and where.

use std::collections::HashSet;

use roaring::RoaringBitmap;
use tandem_codec::{Input, write_varint, write_zigzag};
use tandem_model::{FieldType, SeriesId, ShardId, TimeRange};

use super::directory::PagePlace;
use super::error::Damage;
use super::{CHUNK_ROWS_MAX, DIRECTORY_SERIES_MAX, MAGIC, TRAILER_LEN, piece};

/// What is known of a file without reading its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileMeta {
    /// The shard whose rows it holds.
    pub(crate) shard: ShardId,
    /// How many merges the rows have seen; 0 from a flush.
    pub(crate) level: u8,
    /// The smallest and largest sequence of the writes it holds.
    pub(crate) min_seq: u64,
    /// See `min_seq`.
    pub(crate) max_seq: u64,
    /// Bytes of the whole file.
    pub(crate) len_bytes: u64,
    /// From the first to the last row; empty when there is none.
    pub(crate) range: TimeRange,
    /// Rows of all series.
    pub(crate) rows: u64,
    /// Values that were written.
    pub(crate) values: u64,
    /// Series, each counted in each measurement.
    pub(crate) series: u64,
}

/// One measurement of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MeasurementInfo {
    /// Raw bytes.
    pub(crate) name: Vec<u8>,
    /// Name and type of every field, as declared when the file was written.
    pub(crate) fields: Vec<(Vec<u8>, FieldType)>,
    /// The series that have rows.
    pub(crate) series: RoaringBitmap,
    pub(super) chunks: Vec<ChunkPlace>,
    pub(super) directory: Vec<PagePlace>,
}

impl MeasurementInfo {
    /// How many rows its series have.
    pub(crate) fn rows(&self) -> u64 {
        self.chunks
            .last()
            .map_or(0, |last| last.first_row + last.rows as u64)
    }

    /// The place of a field among the fields.
    pub(crate) fn field(&self, name: &[u8]) -> Option<usize> {
        self.fields.iter().position(|(field, _)| field == name)
    }

    /// Bytes of the chunks and the directory.
    pub(crate) fn len_bytes(&self) -> u64 {
        let chunks = self.chunks.iter().map(|chunk| chunk.len);
        let directory = self.directory.iter().map(|page| page.len as u64);
        chunks.chain(directory).sum()
    }
}

/// Where a chunk is and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkPlace {
    pub(super) offset: u64,
    pub(super) len: u64,
    /// How much of that, at the end, is the head.
    pub(super) head_len: usize,
    /// Counted from the measurement's start.
    pub(super) first_row: u64,
    pub(super) rows: usize,
}

/// Appends the footer's piece and the trailer. `meta.len_bytes` is not looked at.
pub(super) fn encode(meta: &FileMeta, measurements: &[MeasurementInfo], out: &mut Vec<u8>) {
    let start = out.len();
    write_varint(meta.shard.0, out);
    out.push(meta.level);
    write_varint(meta.min_seq, out);
    write_varint(meta.max_seq, out);
    write_zigzag(meta.range.min_ns, out);
    write_zigzag(meta.range.max_ns, out);
    write_varint(meta.rows, out);
    write_varint(meta.values, out);
    write_varint(meta.series, out);
    write_varint(measurements.len() as u64, out);
    for measurement in measurements {
        write_bytes(&measurement.name, out);
        write_varint(measurement.fields.len() as u64, out);
        for (name, field_type) in &measurement.fields {
            write_bytes(name, out);
            out.push(*field_type as u8);
        }
        let mut series = measurement.series.clone();
        series.optimize();
        write_varint(series.serialized_size() as u64, out);
        series
            .serialize_into(&mut *out)
            .expect("a Vec takes all that is written to it");
        write_varint(measurement.chunks.len() as u64, out);
        for chunk in &measurement.chunks {
            write_varint(chunk.len, out);
            write_varint(chunk.head_len as u64, out);
            write_varint(chunk.rows as u64, out);
        }
        write_varint(measurement.directory.len() as u64, out);
        for page in &measurement.directory {
            write_varint(page.len as u64, out);
            write_varint(u64::from(page.first_id.0), out);
            write_varint(page.series as u64, out);
            write_varint(page.rows, out);
        }
    }
    piece::seal(out, start);
    let len = (out.len() - start) as u64;
    let start = out.len();
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&MAGIC);
    piece::seal(out, start);
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Why a trailer was refused.
pub(super) enum TrailerError {
    Damage(Damage),
    Version(u8),
}

/// The length of the footer's piece, from the trailer.
pub(super) fn decode_trailer(trailer: &[u8; TRAILER_LEN]) -> Result<u64, TrailerError> {
    let body = piece::open(trailer).map_err(TrailerError::Damage)?;
    let mut input = Input::new(body, "trailer");
    let damage = |_| TrailerError::Damage(Damage::new("trailer does not decode"));
    let len = input.u64().map_err(damage)?;
    let [magic @ .., version] = input.array::<8>().map_err(damage)?;
    if magic[..] != MAGIC[..7] {
        return Err(TrailerError::Damage(Damage::new("not a block file")));
    }
    if version != MAGIC[7] {
        return Err(TrailerError::Version(version));
    }
    Ok(len)
}

/// Reads the footer, without its checksum, of a file of `len_bytes` whose data ends, and whose
/// footer begins, at `data_end`.
pub(super) fn decode(
    body: &[u8],
    len_bytes: u64,
    data_end: u64,
) -> Result<(FileMeta, Vec<MeasurementInfo>), Damage> {
    let mut input = Input::new(body, "footer");
    let mut meta = FileMeta {
        shard: ShardId(input.varint()?),
        level: input.u8()?,
        min_seq: input.varint()?,
        max_seq: input.varint()?,
        len_bytes,
        range: TimeRange::new(input.zigzag()?, 0),
        rows: 0,
        values: 0,
        series: 0,
    };
    meta.range.max_ns = input.zigzag()?;
    meta.rows = input.varint()?;
    meta.values = input.varint()?;
    meta.series = input.varint()?;

    let count = input.count(input.len())?;
    let mut offset = MAGIC.len() as u64;
    let mut measurements: Vec<MeasurementInfo> = Vec::new();
    for _ in 0..count {
        let measurement = decode_measurement(&mut input, &mut offset, data_end)?;
        if measurements
            .last()
            .is_some_and(|last| last.name >= measurement.name)
        {
            return Err(Damage::new("measurements out of order"));
        }
        measurements.push(measurement);
    }
    input.end()?;
    let rows = measurements.iter().map(MeasurementInfo::rows);
    let series: u64 = measurements.iter().map(|m| m.series.len()).sum();
    if offset != data_end || series != meta.series || rows.sum::<u64>() != meta.rows {
        return Err(Damage::new("footer does not fit the file"));
    }
    Ok((meta, measurements))
}

fn decode_measurement(
    input: &mut Input<'_>,
    offset: &mut u64,
    data_end: u64,
) -> Result<MeasurementInfo, Damage> {
    let name = read_bytes(input)?.to_vec();
    let mut fields = Vec::new();
    let mut names = HashSet::new();
    for _ in 0..input.count(input.len())? {
        let name = read_bytes(input)?;
        let field_type = FieldType::from_repr(input.u8()?);
        let field_type = field_type.ok_or(Damage::new("unknown type of field"))?;
        if !names.insert(name) {
            return Err(Damage::new("field declared twice"));
        }
        fields.push((name.to_vec(), field_type));
    }
    let series = RoaringBitmap::deserialize_from(read_bytes(input)?)
        .map_err(|_| Damage::new("series set does not decode"))?;

    let mut take = |len: u64| {
        let start = *offset;
        *offset = start
            .checked_add(len)
            .filter(|end| *end <= data_end)
            .ok_or(Damage::new("data past the end of the file"))?;
        Ok::<u64, Damage>(start)
    };
    let mut chunks = Vec::new();
    let mut first_row = 0;
    for _ in 0..input.count(input.len())? {
        let len = input.varint()?;
        let chunk = ChunkPlace {
            offset: take(len)?,
            len,
            head_len: input.count(usize::try_from(len).unwrap_or(usize::MAX))?,
            first_row,
            rows: input.count(CHUNK_ROWS_MAX)?,
        };
        first_row += chunk.rows as u64;
        chunks.push(chunk);
    }

    let mut directory: Vec<PagePlace> = Vec::new();
    let (mut row, mut count) = (0, 0);
    for _ in 0..input.count(input.len())? {
        let len = input.varint()?;
        let page = PagePlace {
            offset: take(len)?,
            len: usize::try_from(len).map_err(|_| Damage::new("directory too long"))?,
            first_id: SeriesId(
                u32::try_from(input.varint()?).map_err(|_| Damage::new("series id too large"))?,
            ),
            series: input.count(DIRECTORY_SERIES_MAX)?,
            first_row: row,
            rows: input.varint()?,
        };
        if page.rows > first_row - row
            || directory
                .last()
                .is_some_and(|last| last.first_id >= page.first_id)
        {
            return Err(Damage::new("directory out of bounds"));
        }
        row += page.rows;
        count += page.series as u64;
        directory.push(page);
    }
    if row != first_row || count != series.len() {
        return Err(Damage::new("directory does not fit the chunks"));
    }
    Ok(MeasurementInfo {
        name,
        fields,
        series,
        chunks,
        directory,
    })
}

fn read_bytes<'a>(input: &mut Input<'a>) -> Result<&'a [u8], Damage> {
    let len = input.count(input.len())?;
    Ok(input.take(len)?)
}
