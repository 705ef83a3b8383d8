//! Slices of columns as single values, and as values of another type.

use tandem_influxql::ast::DataType;
use tandem_store::{Batch, ColumnSlice, StoreError, ValuesSlice};

use crate::result::Value;

/// Decodes a field of a batch, unless that was done.
pub(super) fn load(batch: &mut Batch<'_, '_>, field: usize) -> Result<(), StoreError> {
    match batch.column(field) {
        Some(_) => Ok(()),
        None => batch.load(field),
    }
}

/// Whether entry `row` of a column was written.
pub(super) fn is_written(column: &ColumnSlice<'_>, row: usize) -> bool {
    column.written.is_none_or(|written| written.get(row))
}

/// Entry `row` of a column; null where it was not written.
pub(super) fn cell(column: &ColumnSlice<'_>, row: usize) -> Value {
    if !is_written(column, row) {
        return Value::Null;
    }
    let found = match column.values {
        ValuesSlice::Float(v) => v.get(row).copied().map(Value::Float),
        ValuesSlice::Integer(v) => v.get(row).copied().map(Value::Integer),
        ValuesSlice::Unsigned(v) => v.get(row).copied().map(Value::Unsigned),
        ValuesSlice::Boolean(v) => v.get(row).copied().map(Value::Boolean),
        ValuesSlice::String { strings, first } => {
            Some(Value::String(strings.get(first + row).to_vec()))
        }
    };
    found.unwrap_or(Value::Null)
}

/// As [`cell`], cast to a type; null where that cannot be.
pub(super) fn cast_cell(
    column: Option<&ColumnSlice<'_>>,
    row: usize,
    data_type: Option<DataType>,
) -> Value {
    let value = column.map_or(Value::Null, |column| cell(column, row));
    match data_type {
        Some(data_type) if value != Value::Null => value.cast(data_type).unwrap_or(Value::Null),
        _ => value,
    }
}

/// Whether the values are of this type as they are.
pub(super) const fn is_of(values: &ValuesSlice<'_>, data_type: DataType) -> bool {
    matches!(
        (values, data_type),
        (ValuesSlice::Float(_), DataType::Float)
            | (ValuesSlice::Integer(_), DataType::Integer)
            | (ValuesSlice::Unsigned(_), DataType::Unsigned)
            | (ValuesSlice::Boolean(_), DataType::Boolean)
            | (ValuesSlice::String { .. }, DataType::String)
    )
}

/// Whether values of a shard that has the field under another type become values of `data_type`.
pub(super) const fn can_be(values: &ValuesSlice<'_>, data_type: DataType) -> bool {
    let numeric = matches!(
        values,
        ValuesSlice::Float(_) | ValuesSlice::Integer(_) | ValuesSlice::Unsigned(_)
    );
    is_of(values, data_type)
        || (numeric
            && matches!(
                data_type,
                DataType::Float | DataType::Integer | DataType::Unsigned
            ))
}

/// A type whose values can be had from a slice.
pub(super) trait Typed: Copy {
    /// The slice itself, where it is of this type.
    fn slice<'a>(values: &ValuesSlice<'a>) -> Option<&'a [Self]>;
    /// A value that was cast to this type.
    fn of(value: &Value) -> Option<Self>;
    /// The name of the type.
    const TYPE: DataType;
}

macro_rules! typed {
    ($type:ty, $variant:ident) => {
        impl Typed for $type {
            fn slice<'a>(values: &ValuesSlice<'a>) -> Option<&'a [Self]> {
                match values {
                    ValuesSlice::$variant(v) => Some(v),
                    _ => None,
                }
            }
            fn of(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(v) => Some(*v),
                    _ => None,
                }
            }
            const TYPE: DataType = DataType::$variant;
        }
    };
}

typed!(f64, Float);
typed!(i64, Integer);
typed!(u64, Unsigned);
typed!(bool, Boolean);

/// The written entries of a column as values of one type, with their times: those of `rows` where that
/// is given. Borrowed where every row has one.
pub(super) fn gather<'s, T: Typed>(
    times_ns: &'s [i64],
    column: &ColumnSlice<'s>,
    rows: Option<&[u32]>,
    scratch: &'s mut (Vec<i64>, Vec<T>),
) -> (&'s [i64], &'s [T]) {
    let slice = T::slice(&column.values);
    if let (Some(values), None, None) = (slice, rows, column.written) {
        return (times_ns, values);
    }
    let (times, values) = scratch;
    times.clear();
    values.clear();
    let mut push = |row: usize| {
        if !is_written(column, row) {
            return;
        }
        let value = match slice {
            Some(values) => values.get(row).copied(),
            None => T::of(&cast_cell(Some(column), row, Some(T::TYPE))),
        };
        if let (Some(value), Some(time_ns)) = (value, times_ns.get(row)) {
            times.push(*time_ns);
            values.push(value);
        }
    };
    match rows {
        Some(rows) => rows.iter().for_each(|row| push(*row as usize)),
        None => (0..times_ns.len()).for_each(push),
    }
    (times, values)
}

#[cfg(test)]
mod tests {
    use tandem_store::{Bitmap, Column, Validity, Values};

    use super::*;

    #[test]
    fn what_is_whole_is_borrowed_and_the_rest_gathered() {
        let times = [1, 2, 3];
        let mut bits = Bitmap::filled(3, true);
        bits.set(1, false);
        let mut column = Column {
            values: Values::Integer(vec![10, 20, 30]),
            validity: Validity::All,
        };
        let mut scratch = (Vec::new(), Vec::new());
        let slice = ColumnSlice::of(&column);
        let whole = gather::<i64>(&times, &slice, None, &mut scratch);
        assert_eq!(whole, (&times[..], &[10, 20, 30][..]));
        let some = gather::<i64>(&times, &slice, Some(&[2]), &mut scratch);
        assert_eq!(some, (&[3][..], &[30][..]));
        column.validity = Validity::Some(bits);
        let slice = ColumnSlice::of(&column);
        let written = gather::<i64>(&times, &slice, None, &mut scratch);
        assert_eq!(written, (&[1, 3][..], &[10, 30][..]));
        let mut floats = (Vec::new(), Vec::new());
        let cast = gather::<f64>(&times, &slice, None, &mut floats);
        assert_eq!(cast, (&[1, 3][..], &[10.0, 30.0][..]));
        let mut booleans = (Vec::new(), Vec::new());
        assert!(
            gather::<bool>(&times, &slice, None, &mut booleans)
                .0
                .is_empty()
        );
        assert_eq!(
            cast_cell(Some(&slice), 0, Some(DataType::Float)),
            Value::Float(10.0)
        );
        assert_eq!(cell(&slice, 1), Value::Null);
    }
}
