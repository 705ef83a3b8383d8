//! Several sorted sources of one series into one, field by field.
//!
//! Sources are given in the order of their WAL sequence, oldest first. At equal times the rows
//! are joined, and for each field the newest source that wrote it wins (InfluxDB's rule: a later
//! point replaces the fields that it has and keeps the others).

use tandem_model::FieldType;

use crate::rows::{Bitmap, Column, Rows, Validity, Values};

/// Joins `sources`, oldest first, each with the same `columns` and strictly ascending times.
pub(crate) fn merge(mut sources: Vec<Rows>, columns: usize) -> Rows {
    sources.retain(|rows| !rows.is_empty());
    debug_assert!(sources.iter().all(|rows| rows.columns.len() == columns));
    if sources.len() <= 1 {
        return sources.pop().unwrap_or_else(|| Rows {
            times_ns: Vec::new(),
            columns: vec![None; columns],
        });
    }
    if let Some(order) = disjoint_order(&sources) {
        return concat(&sources, &order, columns);
    }
    let order = merge_order(&sources);
    let mut times_ns = Vec::with_capacity(order.len());
    for &(source, row) in &order {
        let time_ns = sources[source as usize].times_ns[row as usize];
        if times_ns.last() != Some(&time_ns) {
            times_ns.push(time_ns);
        }
    }
    let joined = (0..columns)
        .map(|column| merge_column(&sources, &order, times_ns.len(), column))
        .collect();
    Rows {
        times_ns,
        columns: joined,
    }
}

/// The sources by time, when no two of them overlap; none is empty.
fn disjoint_order(sources: &[Rows]) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&at| sources[at].times_ns.first());
    order
        .windows(2)
        .all(|pair| sources[pair[0]].times_ns.last() < sources[pair[1]].times_ns.first())
        .then_some(order)
}

/// Joins sources that do not overlap, in this order.
fn concat(sources: &[Rows], order: &[usize], columns: usize) -> Rows {
    let rows = sources.iter().map(Rows::len).sum();
    let mut times_ns = Vec::with_capacity(rows);
    for &at in order {
        times_ns.extend_from_slice(&sources[at].times_ns);
    }
    let joined = (0..columns).map(|column| {
        let field_type = column_type(sources, column)?;
        let mut joined = ColumnBuilder::new(field_type, rows);
        for &at in order {
            let from = sources[at].columns[column].as_ref();
            match from.filter(|c| c.values.field_type() == field_type) {
                Some(column) => joined.extend(column),
                None => joined.extend_null(sources[at].len()),
            }
        }
        Some(joined.finish())
    });
    Rows {
        columns: joined.collect(),
        times_ns,
    }
}

/// A column that grows by whole pieces.
struct ColumnBuilder {
    values: Values,
    /// `None` while every row has a value.
    valid: Option<Bitmap>,
}

impl ColumnBuilder {
    fn new(field_type: FieldType, rows: usize) -> Self {
        let mut values = Values::new(field_type);
        values.reserve(rows);
        Self {
            values,
            valid: None,
        }
    }

    fn extend(&mut self, column: &Column) {
        match (&mut self.valid, &column.validity) {
            (None, Validity::All) => {}
            (Some(valid), Validity::All) => valid.extend_filled(column.values.len(), true),
            (valid, Validity::Some(bits)) => {
                let valid = valid.get_or_insert_with(|| Bitmap::filled(self.values.len(), true));
                (0..bits.len()).for_each(|at| valid.push(bits.get(at)));
            }
        }
        self.values
            .extend_from(&column.values, 0..column.values.len());
    }

    fn extend_null(&mut self, rows: usize) {
        let valid = self
            .valid
            .get_or_insert_with(|| Bitmap::filled(self.values.len(), true));
        valid.extend_filled(rows, false);
        (0..rows).for_each(|_| self.values.push_null());
    }

    fn finish(self) -> Column {
        Column {
            values: self.values,
            validity: self.valid.map_or(Validity::All, Validity::Some),
        }
    }
}

/// Every row of every source as (source, row), by time and then by source.
fn merge_order(sources: &[Rows]) -> Vec<(u32, u32)> {
    let mut order: Vec<(u32, u32)> = (0_u32..)
        .zip(sources)
        .flat_map(|(source, rows)| (0..rows.len()).map(move |row| (source, row as u32)))
        .collect();
    // Stable: rows of equal time stay in the order of their sources.
    order.sort_by_key(|&(source, row)| sources[source as usize].times_ns[row as usize]);
    order
}

fn merge_column(
    sources: &[Rows],
    order: &[(u32, u32)],
    rows: usize,
    column: usize,
) -> Option<Column> {
    let field_type = column_type(sources, column)?;
    // One pass fixes for each row of the result where its value comes from.
    let mut origin: Vec<Option<(u32, u32)>> = Vec::with_capacity(rows);
    let mut last_ns = None;
    for &(source, row) in order {
        let from = &sources[source as usize];
        let time_ns = from.times_ns[row as usize];
        if last_ns != Some(time_ns) {
            origin.push(None);
            last_ns = Some(time_ns);
        }
        let written = from.columns[column].as_ref().is_some_and(|c| {
            c.values.field_type() == field_type && c.validity.is_valid(row as usize)
        });
        if written && let Some(place) = origin.last_mut() {
            *place = Some((source, row));
        }
    }
    let mut values = Values::new(field_type);
    let mut valid = Bitmap::default();
    for place in &origin {
        let value = place.and_then(|(source, row)| {
            sources[source as usize].columns[column]
                .as_ref()
                .map(|c| c.values.get(row as usize))
        });
        valid.push(value.is_some());
        match value {
            Some(value) => values.push(value),
            None => values.push_null(),
        }
    }
    let validity = if valid.count_ones() == rows {
        Validity::All
    } else {
        Validity::Some(valid)
    };
    Some(Column { values, validity })
}

/// The type of the newest source that has the column. Within a shard all agree.
fn column_type(sources: &[Rows], column: usize) -> Option<FieldType> {
    sources
        .iter()
        .rev()
        .find_map(|rows| Some(rows.columns[column].as_ref()?.values.field_type()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn rows(points: &BTreeMap<i64, [Option<i64>; 2]>) -> Rows {
        let columns = (0..2)
            .map(|at| {
                let mut values = Values::new(FieldType::Integer);
                let mut valid = Bitmap::default();
                for fields in points.values() {
                    valid.push(fields[at].is_some());
                    if let Values::Integer(v) = &mut values {
                        v.push(fields[at].unwrap_or(-1));
                    }
                }
                (valid.count_ones() > 0).then_some(Column {
                    values,
                    validity: Validity::Some(valid),
                })
            })
            .collect();
        Rows {
            times_ns: points.keys().copied().collect(),
            columns,
        }
    }

    proptest! {
        #[test]
        fn merging_is_writing_in_order(
            sources in prop::collection::vec(
                prop::collection::btree_map(0_i64..20, prop::array::uniform2(prop::option::of(0_i64..9)), 0..12),
                0..5,
            )
        ) {
            let mut model: BTreeMap<i64, [Option<i64>; 2]> = BTreeMap::new();
            for source in &sources {
                for (&time_ns, fields) in source {
                    let entry = model.entry(time_ns).or_default();
                    for at in 0..2 {
                        entry[at] = fields[at].or(entry[at]);
                    }
                }
            }
            let merged = merge(sources.iter().map(rows).collect(), 2);
            let times: Vec<i64> = model.keys().copied().collect();
            prop_assert_eq!(&merged.times_ns, &times);
            for (row, fields) in model.values().enumerate() {
                for (at, expected) in fields.iter().enumerate() {
                    let got = merged.columns[at].as_ref().and_then(|c| c.get(row));
                    prop_assert_eq!(got, expected.map(tandem_model::FieldValue::Integer));
                }
            }
        }
    }
}
