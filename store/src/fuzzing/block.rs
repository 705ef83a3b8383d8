//! Block files: opened, verified, counted and read as a whole.

use std::path::Path;
use std::sync::Arc;

use tandem_model::{FieldType, FieldValue, SeriesId, ShardId, TimeRange};

use super::Bytes;
use super::patch::patched;
use crate::block::{BlockFile, BlockWriter, Effort, Header};
use crate::rows::{Bitmap, Column, Rows, Validity, Values};

/// Rows of a file made of the input.
const ROWS_MAX: usize = 400;
/// Bytes of the input that make a row.
const ROW_BYTES: usize = 10;
/// Series of a damaged file that are read.
const SERIES_MAX: usize = 4;
const SECOND_NS: i64 = 1_000_000_000;
/// Some of the time that rows have.
const PART: TimeRange = TimeRange {
    min_ns: -SECOND_NS,
    max_ns: 100 * SECOND_NS,
};

/// Good files, small and each of another shape.
#[must_use]
pub fn block_samples() -> Vec<Vec<u8>> {
    // Steps from 0xf0 on begin a series.
    let shapes: [(usize, u8, Effort); 5] = [
        (3, 0x10, Effort::Hot),
        (20, 0xf1, Effort::Hot),
        (70, 0x0a, Effort::Cold),
        (64, 0xff, Effort::Cold),
        (132, 0x0a, Effort::Hot),
    ];
    let samples = shapes.iter().map(|(rows, step, effort)| {
        let mut input = Vec::new();
        for at in 0..*rows as u64 {
            // Every seventh breaks the pattern.
            let step = if at % 7 == 6 { step ^ 3 } else { *step };
            let written = 0x3f ^ if at % 5 == 4 { 1 << (at % 3) } else { 0 };
            input.extend_from_slice(&[step, written]);
            input.extend_from_slice(&(at * at % 997 + 500).to_le_bytes());
        }
        written(&rows_of(&input), *effort)
    });
    samples.collect()
}

/// Reads a file that `input` describes: one of `samples` with changes, all of its bytes, or rows that
/// are written, and must come back.
pub fn block(samples: &[Vec<u8>], input: &[u8]) {
    let Some((&which, rest)) = input.split_first() else {
        return;
    };
    match which {
        0xff => read(rest.to_vec(), true),
        0xfd => round_trip(rest, Effort::Hot),
        0xfe => round_trip(rest, Effort::Cold),
        _ => {
            if let Some(sample) = samples.get(usize::from(which) % samples.len().max(1)) {
                read(patched(sample, rest), which & 0x80 != 0);
            }
        }
    }
}

fn open(bytes: Vec<u8>) -> Option<BlockFile> {
    BlockFile::open_file(Arc::new(Bytes::new(bytes)), Path::new("fuzzed")).ok()
}

/// Reads all that there is; in `every` way there is, or in one.
fn read(bytes: Vec<u8>, every: bool) {
    let Some(file) = open(bytes) else {
        return;
    };
    let is_whole = file.verify().is_ok();
    if every {
        let counted = file.usage();
        assert!(!is_whole || counted.is_ok(), "{counted:?}");
    }
    for (at, info) in file.measurements().iter().enumerate() {
        let names: Vec<&[u8]> = info.fields.iter().map(|(name, _)| &**name).collect();
        let mut reader = file.reader(at, &names);
        for id in info.series.iter().take(SERIES_MAX).map(SeriesId) {
            let whole = reader.read(id, TimeRange::ALL);
            assert!(whole.is_ok() || !is_whole, "{whole:?}");
            let Ok(rows) = whole else {
                continue;
            };
            let mut columns = rows.columns.iter().flatten();
            assert!(columns.all(|column| column.values.len() == rows.len()));
            if is_whole {
                assert!(!rows.is_empty() && rows.times_ns.is_sorted_by(|a, b| a < b));
            }
            if !every {
                continue;
            }
            let part = reader.read(id, PART);
            let spans = reader.spans(id);
            let extent = reader.extent(id);
            if is_whole {
                let inside = rows.times_ns.iter().filter(|time| PART.contains(**time));
                assert!(part.expect("verified").times_ns.iter().eq(inside));
                assert!(!spans.expect("verified").is_empty());
                let extent = extent.expect("verified");
                assert_eq!(extent.map(|(rows, _)| rows), Some(rows.len() as u64));
            }
        }
    }
}

fn round_trip(input: &[u8], effort: Effort) {
    let all = rows_of(input);
    let file = open(written(&all, effort)).expect("what was written");
    file.verify().expect("what was written");
    let names = FIELDS.map(|(name, _)| name);
    for (name, all) in [(&b"a"[..], &all[..]), (b"b", &all[..all.len().min(1)])] {
        let Some(measurement) = file.measurement(name) else {
            assert!(all.is_empty());
            continue;
        };
        let mut reader = file.reader(measurement, &names);
        for (id, rows) in all {
            let found = reader.read(*id, TimeRange::ALL).expect("what was written");
            assert_eq!(found.times_ns, rows.times_ns);
            for (found, column) in found.columns.iter().zip(&rows.columns) {
                for row in 0..rows.len() {
                    let found = found.as_ref().and_then(|column| column.get(row));
                    let expected = column.as_ref().and_then(|column| column.get(row));
                    assert_eq!(bits(found), bits(expected));
                }
            }
        }
    }
}

/// A value that equals itself, whatever it is.
fn bits(value: Option<FieldValue<'_>>) -> Option<(FieldType, u64, &[u8])> {
    value.map(|value| match value {
        FieldValue::Float(v) => (FieldType::Float, v.to_bits(), &[][..]),
        FieldValue::Integer(v) => (FieldType::Integer, v.cast_unsigned(), &[][..]),
        FieldValue::Unsigned(v) => (FieldType::Unsigned, v, &[][..]),
        FieldValue::Boolean(v) => (FieldType::Boolean, v.into(), &[][..]),
        FieldValue::String(v) => (FieldType::String, 0, v),
    })
}

/// The fields of what is written here.
const FIELDS: [(&[u8], FieldType); 5] = [
    (b"f", FieldType::Float),
    (b"i", FieldType::Integer),
    (b"u", FieldType::Unsigned),
    (b"s", FieldType::String),
    (b"b", FieldType::Boolean),
];

/// Rows of any bytes: a step from the row before, or to another series; which fields have a value; and the
/// bits of that.
fn rows_of(input: &[u8]) -> Vec<(SeriesId, Rows)> {
    let mut all: Vec<(SeriesId, Rows)> = Vec::new();
    for row in input.chunks_exact(ROW_BYTES).take(ROWS_MAX) {
        let (head, word) = row.split_at(2);
        let (step, written) = (head[0], head[1]);
        let bits = word.iter().rfold(0, |bits, b| bits << 8 | u64::from(*b));
        if all.is_empty() || step >= 0xf0 {
            let id = all.last().map_or(0, |(id, _)| id.0 + 1) + u32::from(step & 0xf);
            all.push((SeriesId(id), empty()));
        }
        let Some((_, rows)) = all.last_mut() else {
            continue;
        };
        let time_ns = match rows.times_ns.last() {
            None => bits.cast_signed() >> 8,
            Some(last_ns) => last_ns + i64::from(step) * SECOND_NS + 1,
        };
        rows.times_ns.push(time_ns);
        for (at, column) in rows.columns.iter_mut().flatten().enumerate() {
            let is_written = written >> at & 1 == 1;
            match &mut column.values {
                Values::Float(v) => v.push(f64::from_bits(bits)),
                Values::Integer(v) => v.push(bits.cast_signed()),
                Values::Unsigned(v) => v.push(bits),
                Values::String(v) => v.push(&word[..usize::from(written >> 5)]),
                Values::Boolean(v) => v.push(bits & 1 == 1),
            }
            if let Validity::Some(validity) = &mut column.validity {
                validity.push(is_written);
            }
        }
    }
    all
}

fn empty() -> Rows {
    let columns = FIELDS.map(|(_, field_type)| {
        Some(Column {
            values: Values::new(field_type),
            validity: Validity::Some(Bitmap::default()),
        })
    });
    Rows {
        times_ns: Vec::new(),
        columns: columns.into(),
    }
}

/// The bytes of a file with all of these rows, and those of the first series once more under another name.
fn written(all: &[(SeriesId, Rows)], effort: Effort) -> Vec<u8> {
    let file = Arc::new(Bytes::default());
    let header = Header {
        shard: ShardId(1),
        level: 0,
        min_seq: 3,
        max_seq: 200,
    };
    let write = || {
        let path = Path::new("written");
        let mut writer = BlockWriter::begin(Arc::clone(&file) as _, path, header, effort)?;
        let fields = FIELDS.map(|(name, field_type)| (name.to_vec(), field_type));
        for (name, all) in [(&b"a"[..], all), (b"b", &all[..all.len().min(1)])] {
            writer.measurement(name, &fields)?;
            for (id, rows) in all {
                writer.series(*id, rows)?;
            }
        }
        writer.finish()
    };
    write().expect("rows in order");
    file.to_vec()
}
