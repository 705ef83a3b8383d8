//! The plain map that files are compared with.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use tandem_model::{FieldType, FieldValue, SeriesId};
use tandem_vfs::{RealFs, Vfs};

use super::{HEADER, SECOND, START};
use crate::block::footer::FileMeta;
use crate::block::{BlockError, BlockWriter, Effort};
use crate::{Bitmap, Column, Rows, Validity, Values};

/// A value that owns its bytes and compares bit by bit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Owned {
    Float(u64),
    Integer(i64),
    Unsigned(u64),
    String(Vec<u8>),
    Boolean(bool),
}

impl Owned {
    fn borrow(&self) -> FieldValue<'_> {
        match self {
            Self::Float(bits) => FieldValue::Float(f64::from_bits(*bits)),
            Self::Integer(v) => FieldValue::Integer(*v),
            Self::Unsigned(v) => FieldValue::Unsigned(*v),
            Self::String(v) => FieldValue::String(v),
            Self::Boolean(v) => FieldValue::Boolean(*v),
        }
    }

    fn of(value: FieldValue<'_>) -> Self {
        match value {
            FieldValue::Float(v) => Self::Float(v.to_bits()),
            FieldValue::Integer(v) => Self::Integer(v),
            FieldValue::Unsigned(v) => Self::Unsigned(v),
            FieldValue::String(v) => Self::String(v.to_vec()),
            FieldValue::Boolean(v) => Self::Boolean(v),
        }
    }
}

pub(super) type Row = (i64, Vec<Option<Owned>>);

/// The fields of a measurement and the rows of its series.
pub(super) type Measurement = (Vec<(Vec<u8>, FieldType)>, BTreeMap<u32, Vec<Row>>);

/// What a file is to hold: the plain map that it is compared with.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) measurements: BTreeMap<Vec<u8>, Measurement>,
}

pub(super) fn rows_of(fields: &[FieldType], rows: &[Row]) -> Rows {
    let columns = fields.iter().enumerate().map(|(at, field_type)| {
        let mut values = Values::new(*field_type);
        let mut written = Bitmap::default();
        for (_, row) in rows {
            written.push(row[at].is_some());
            match &row[at] {
                Some(value) => values.push(value.borrow()),
                None => values.push_null(),
            }
        }
        let validity = if written.count_ones() == rows.len() {
            Validity::All
        } else {
            Validity::Some(written.clone())
        };
        (written.count_ones() > 0).then_some(Column { values, validity })
    });
    Rows {
        times_ns: rows.iter().map(|(time, _)| *time).collect(),
        columns: columns.collect(),
    }
}

pub(super) fn plain(rows: &Rows) -> Vec<Row> {
    let values = |row| {
        let columns = rows.columns.iter();
        columns
            .map(|column| column.as_ref().and_then(|c| c.get(row)).map(Owned::of))
            .collect()
    };
    (0..rows.len())
        .map(|row| (rows.times_ns[row], values(row)))
        .collect()
}

/// Writes the model; rows of a series come in batches of `batch`.
pub(super) fn write(path: &Path, model: &Model, effort: Effort, batch: usize) -> FileMeta {
    try_write(&RealFs, path, model, effort, batch).unwrap()
}

/// As [`write`], to any file system.
pub(super) fn try_write(
    vfs: &dyn Vfs,
    path: &Path,
    model: &Model,
    effort: Effort,
    batch: usize,
) -> Result<FileMeta, BlockError> {
    let mut writer = BlockWriter::create(vfs, path, HEADER, effort)?;
    for (name, (fields, series)) in &model.measurements {
        writer.measurement(name, fields)?;
        let types: Vec<FieldType> = fields.iter().map(|(_, t)| *t).collect();
        for (id, rows) in series {
            for rows in rows.chunks(batch) {
                writer.series(SeriesId(*id), &rows_of(&types, rows))?;
            }
        }
    }
    writer.finish()
}

pub(super) fn value(field_type: FieldType, bits: u64) -> Owned {
    let small = bits % 100;
    match field_type {
        FieldType::Float if bits.is_multiple_of(7) => Owned::Float(bits),
        FieldType::Float => Owned::Float((small as f64 / 10.0).to_bits()),
        FieldType::Integer if bits.is_multiple_of(7) => Owned::Integer(bits.cast_signed()),
        FieldType::Integer => Owned::Integer(small.cast_signed()),
        FieldType::Unsigned if bits.is_multiple_of(7) => Owned::Unsigned(bits),
        FieldType::Unsigned => Owned::Unsigned(small),
        FieldType::String if bits.is_multiple_of(5) => Owned::String(vec![b'x'; small as usize]),
        FieldType::String => Owned::String(format!("state {}", bits % 4).into_bytes()),
        FieldType::Boolean => Owned::Boolean(bits.is_multiple_of(3)),
    }
}

/// Deterministic noise.
pub(super) fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

pub(super) fn field_type() -> impl Strategy<Value = FieldType> {
    (0..5_u8).prop_map(|repr| FieldType::from_repr(repr).unwrap())
}

/// A model of series with up to `rows` rows each.
pub(super) fn model(rows: usize) -> impl Strategy<Value = Model> {
    let series = (1..1000_u32, 1..=rows, any::<u64>());
    let measurement = (
        "[a-z]{1,8}",
        proptest::collection::vec((field_type(), 0..4_u8), 1..6),
        proptest::collection::vec(series, 0..8),
    );
    proptest::collection::vec(measurement, 0..4).prop_map(|measurements| {
        let mut model = Model::default();
        for (name, columns, series) in measurements {
            let fields = columns.iter().enumerate();
            let fields = fields.map(|(at, (t, _))| (format!("f{at}").into_bytes(), *t));
            let mut all = BTreeMap::new();
            let mut id = 0;
            for (skip, rows, seed) in series {
                id += skip;
                let mut next = noise(seed);
                let mut time = START + (next() % 3).cast_signed() * SECOND;
                let uneven = seed % 2 == 0;
                let row = |_| {
                    time += 10 * SECOND;
                    if uneven {
                        time += (next() % 1_000_000).cast_signed();
                    }
                    let cells = columns.iter().map(|(field_type, nulls)| {
                        let bits = next();
                        let null = match nulls {
                            0 | 1 => false,
                            2 => bits >> 60 < 8,
                            _ => (seed >> 1) % 2 == 0,
                        };
                        (!null).then(|| value(*field_type, bits % 1_000_003))
                    });
                    (time, cells.collect())
                };
                all.insert(id, (0..rows).map(row).collect());
            }
            model
                .measurements
                .insert(name.into_bytes(), (fields.collect(), all));
        }
        model
    })
}

pub(super) fn effort() -> impl Strategy<Value = Effort> {
    prop_oneof![Just(Effort::Hot), Just(Effort::Cold)]
}

pub(super) fn ranges() -> impl Strategy<Value = Vec<(u32, u32)>> {
    proptest::collection::vec(any::<(u32, u32)>(), 3)
}
