//! One WAL record: a batch as it was staged, complete in itself.
//!
//! A record names every template that its rows use and defines every series that first appears
//! in it, so nothing is lost that a later cut of the WAL takes away, and a row is never durable
//! without its series.
//!
//! ```text
//! record   := kind u8 = 1, database uint, series, templates, groups
//! series   := count uint, (id uint, canonical key bytes)*
//! templates:= count uint, (measurement bytes, fields uint, (name bytes, type u8)*)*
//! groups   := count uint, (shard uint, rows uint, row*)*
//! row      := series uint, template uint, time int (less the time of the row before), word*
//! word     := float 8 bytes le | integer int | unsigned uint | boolean u8 | string bytes
//! ```
//!
//! `uint` is a LEB128 varint, `int` the same after zigzag, `bytes` a `uint` length and the bytes.
//! The first row of a group counts its time from 0.

use std::sync::Arc;

use tandem_model::{DatabaseId, FieldType, SeriesId, ShardId};

use crate::batch::{Batch, Row, SeriesRef};
use crate::memtable::{string_at, string_word};
use crate::schema::{Schemas, Template};
use crate::wire::{Malformed, Reader, put_bytes, put_int, put_uint};

const KIND_WRITE: u8 = 1;

/// A batch with every series resolved and its rows in groups by shard.
pub(crate) struct Frame<'a> {
    pub(crate) database: DatabaseId,
    /// Series that first appear here.
    pub(crate) new_series: &'a [(SeriesId, &'a [u8])],
    pub(crate) batch: &'a Batch,
    /// Rows are places in the batch.
    pub(crate) groups: &'a [(ShardId, &'a [u32])],
}

impl Frame<'_> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(KIND_WRITE);
        put_uint(out, self.database.0.into());
        put_uint(out, self.new_series.len() as u64);
        for (id, key) in self.new_series {
            put_uint(out, id.0.into());
            put_bytes(out, key);
        }
        put_uint(out, self.batch.templates.len() as u64);
        for template in &self.batch.templates {
            put_bytes(out, &template.measurement);
            put_uint(out, template.fields.len() as u64);
            for (name, field_type) in &template.fields {
                put_bytes(out, name);
                out.push(*field_type as u8);
            }
        }
        put_uint(out, self.groups.len() as u64);
        for (shard, rows) in self.groups {
            put_uint(out, shard.0);
            put_uint(out, rows.len() as u64);
            let mut last_ns = 0;
            for &at in *rows {
                let row = &self.batch.rows[at as usize];
                self.encode_row(row, last_ns, out);
                last_ns = row.time_ns;
            }
        }
    }

    fn encode_row(&self, row: &Row, last_ns: i64, out: &mut Vec<u8>) {
        let SeriesRef::Known(series) = row.series else {
            unreachable!("series are resolved before a frame is made")
        };
        put_uint(out, series.0.into());
        put_uint(out, row.template.into());
        put_int(out, row.time_ns.wrapping_sub(last_ns));
        let template = &self.batch.templates[row.template as usize];
        for ((_, field_type), &word) in template.fields.iter().zip(self.batch.words(row)) {
            match field_type {
                FieldType::Float => out.extend_from_slice(&word.to_le_bytes()),
                FieldType::Integer => put_int(out, word.cast_signed()),
                FieldType::Unsigned => put_uint(out, word),
                FieldType::Boolean => out.push(word as u8),
                FieldType::String => put_bytes(out, string_at(&self.batch.strings, word)),
            }
        }
    }
}

/// A record, read back.
pub(crate) struct Decoded {
    pub(crate) new_series: Vec<(SeriesId, Vec<u8>)>,
    pub(crate) batch: Batch,
    pub(crate) groups: Vec<(ShardId, Vec<u32>)>,
}

/// Which database a record belongs to, without reading the rest.
pub(crate) fn database_of(record: &[u8]) -> Result<DatabaseId, Malformed> {
    let mut r = Reader::new(record);
    if r.byte()? != KIND_WRITE {
        return Err(Malformed);
    }
    Ok(DatabaseId(r.uint32()?))
}

/// Reads a record. Its templates are those of `schemas`.
pub(crate) fn decode(record: &[u8], schemas: &Schemas) -> Result<Decoded, Malformed> {
    let mut r = Reader::new(record);
    if r.byte()? != KIND_WRITE {
        return Err(Malformed);
    }
    r.uint32()?;
    let mut new_series = Vec::new();
    for _ in 0..r.count()? {
        new_series.push((SeriesId(r.uint32()?), r.bytes()?.to_vec()));
    }
    let mut batch = Batch::default();
    for _ in 0..r.count()? {
        let template = decode_template(&mut r, schemas)?;
        batch.templates.push(template);
    }
    let mut groups = Vec::new();
    for _ in 0..r.count()? {
        let shard = ShardId(r.uint()?);
        let count = r.count()?;
        let mut rows = Vec::with_capacity(count);
        let mut last_ns = 0;
        for _ in 0..count {
            let row = decode_row(&mut r, last_ns, &mut batch)?;
            last_ns = row.time_ns;
            rows.push(u32::try_from(batch.rows.len()).map_err(|_| Malformed)?);
            batch.rows.push(row);
        }
        groups.push((shard, rows));
    }
    if r.is_empty() {
        Ok(Decoded {
            new_series,
            batch,
            groups,
        })
    } else {
        Err(Malformed)
    }
}

fn decode_template(r: &mut Reader<'_>, schemas: &Schemas) -> Result<Arc<Template>, Malformed> {
    let measurement = r.bytes()?;
    let count = r.count()?;
    let mut fields: Vec<(Arc<[u8]>, FieldType)> = Vec::with_capacity(count);
    for _ in 0..count {
        let name = Arc::from(r.bytes()?);
        let field_type = FieldType::from_repr(r.byte()?).ok_or(Malformed)?;
        if fields.last().is_some_and(|(last, _)| *last >= name) {
            return Err(Malformed);
        }
        fields.push((name, field_type));
    }
    Ok(schemas.template(measurement, fields))
}

fn decode_row(r: &mut Reader<'_>, last_ns: i64, batch: &mut Batch) -> Result<Row, Malformed> {
    let series = SeriesRef::Known(SeriesId(r.uint32()?));
    let template = r.uint32()?;
    let time_ns = last_ns.wrapping_add(r.int()?);
    let values = u32::try_from(batch.values.len()).map_err(|_| Malformed)?;
    let fields = Arc::clone(batch.templates.get(template as usize).ok_or(Malformed)?);
    for (_, field_type) in &fields.fields {
        let word = match field_type {
            FieldType::Float => r.word()?,
            FieldType::Integer => r.int()?.cast_unsigned(),
            FieldType::Unsigned => r.uint()?,
            FieldType::Boolean => u64::from(r.byte()? != 0),
            FieldType::String => {
                let text = r.bytes()?;
                let place = string_word(batch.strings.len(), text.len());
                batch.strings.extend_from_slice(text);
                place
            }
        };
        batch.values.push(word);
    }
    Ok(Row {
        series,
        template,
        time_ns,
        values,
        shard: 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(schemas: &Schemas) -> Batch {
        let fields = ["b", "f", "i", "s", "u"]
            .iter()
            .zip([
                FieldType::Boolean,
                FieldType::Float,
                FieldType::Integer,
                FieldType::String,
                FieldType::Unsigned,
            ])
            .map(|(name, t)| (Arc::from(name.as_bytes()), t))
            .collect();
        let row = |series, time_ns, values| Row {
            series: SeriesRef::Known(SeriesId(series)),
            template: 0,
            time_ns,
            values,
            shard: 0,
        };
        Batch {
            rows: vec![row(3, i64::MAX - 1, 0), row(0, i64::MIN + 2, 5)],
            values: vec![
                1,
                (-0.5_f64).to_bits(),
                (-7_i64).cast_unsigned(),
                string_word(1, 2),
                u64::MAX,
                0,
                f64::MAX.to_bits(),
                8,
                string_word(0, 0),
                0,
            ],
            strings: b"xyz".to_vec(),
            templates: vec![schemas.template(b"m", fields)],
            ..Batch::default()
        }
    }

    fn encoded(schemas: &Schemas) -> Vec<u8> {
        let batch = sample(schemas);
        let mut out = Vec::new();
        Frame {
            database: DatabaseId(6),
            new_series: &[(SeriesId(3), b"m,a=b")],
            batch: &batch,
            groups: &[(ShardId(9), &[0, 1])],
        }
        .encode(&mut out);
        out
    }

    #[test]
    fn a_record_gives_back_its_batch() {
        let schemas = Schemas::default();
        let record = encoded(&schemas);
        let decoded = decode(&record, &schemas).unwrap();
        assert_eq!(database_of(&record), Ok(DatabaseId(6)));
        assert_eq!(decoded.new_series, [(SeriesId(3), b"m,a=b".to_vec())]);
        assert_eq!(decoded.groups, [(ShardId(9), vec![0, 1])]);
        let batch = sample(&schemas);
        for (got, want) in decoded.batch.rows.iter().zip(&batch.rows) {
            assert_eq!((got.series, got.time_ns), (want.series, want.time_ns));
            let (got, want) = (decoded.batch.words(got), batch.words(want));
            assert_eq!(got[..3], want[..3]);
            assert_eq!(got[4], want[4]);
            let text = |b: &Batch, word| string_at(&b.strings, word).to_vec();
            assert_eq!(text(&decoded.batch, got[3]), text(&batch, want[3]));
        }
    }

    #[test]
    fn a_record_cut_anywhere_is_malformed() {
        let schemas = Schemas::default();
        let record = encoded(&schemas);
        for len in 0..record.len() {
            assert!(decode(&record[..len], &schemas).is_err(), "cut at {len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(mut bytes: Vec<u8>) {
            let _ = decode(&bytes, &Schemas::default());
            bytes.insert(0, KIND_WRITE);
            let _ = decode(&bytes, &Schemas::default());
        }
    }
}
