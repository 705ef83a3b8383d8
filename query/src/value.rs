//! Values while a statement runs: casts, and the order that ties are broken by.
//!
//! [`Value::Null`] is the absence of a value: a field that was not written, a window without
//! points, a missing tag. The rules are those of `influxdata/influxdb query/cast.go`.

use std::cmp::Ordering;

use tandem_influxql::ast::DataType;
use tandem_model::{FieldType, FieldValue};

use crate::result::Value;

impl Value {
    /// True for the absence of a value.
    pub(crate) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Bytes beside those of the enum itself.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::String(text) => text.len(),
            Self::Strings(texts) => texts
                .iter()
                .map(|text| size_of::<Vec<u8>>() + text.len())
                .sum(),
            _ => 0,
        }
    }

    /// A number as a double.
    pub(crate) fn as_float(&self) -> Option<f64> {
        match *self {
            Self::Float(v) => Some(v),
            Self::Integer(v) => Some(v as f64),
            Self::Unsigned(v) => Some(v as f64),
            _ => None,
        }
    }

    /// The value as `data_type`: numbers become one another, anything else must fit already.
    pub(crate) fn cast(self, data_type: DataType) -> Option<Self> {
        Some(match (data_type, self) {
            (DataType::Float, v) => Self::Float(v.as_float()?),
            (DataType::Integer, Self::Float(v)) => Self::Integer(truncated(v)),
            (DataType::Integer, Self::Unsigned(v)) => Self::Integer(v as i64),
            (DataType::Integer, v @ Self::Integer(_)) => v,
            // What is negative wraps round.
            (DataType::Unsigned, Self::Float(v)) if v < TWO_POW_63 => {
                Self::Unsigned(truncated(v).cast_unsigned())
            }
            (DataType::Unsigned, Self::Float(v)) if v < 2.0 * TWO_POW_63 => {
                Self::Unsigned(truncated(v - TWO_POW_63).cast_unsigned() ^ 1 << 63)
            }
            (DataType::Unsigned, Self::Float(_)) => Self::Unsigned(1 << 63),
            (DataType::Unsigned, Self::Integer(v)) => Self::Unsigned(v as u64),
            (DataType::Unsigned, v @ Self::Unsigned(_)) => v,
            (DataType::String | DataType::Tag, v @ Self::String(_)) => v,
            (DataType::Boolean, v @ Self::Boolean(_)) => v,
            (DataType::AnyField, v) => v,
            _ => return None,
        })
    }

    /// What Go leaves in a variable of this type: the value of a fill that cannot be cast.
    pub(crate) fn zero(data_type: DataType) -> Self {
        match data_type {
            DataType::Float => Self::Float(0.0),
            DataType::Integer => Self::Integer(0),
            DataType::Unsigned => Self::Unsigned(0),
            DataType::String | DataType::Tag => Self::String(Vec::new()),
            DataType::Boolean => Self::Boolean(false),
            DataType::AnyField => Self::Null,
        }
    }

    /// The order of two values of one type; `None` across types and for NaN.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Unsigned(a), Self::Unsigned(b)) => Some(a.cmp(b)),
            (Self::String(a), Self::String(b)) => Some(a.cmp(b)),
            (Self::Boolean(a), Self::Boolean(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

impl From<FieldValue<'_>> for Value {
    fn from(value: FieldValue<'_>) -> Self {
        match value {
            FieldValue::Float(v) => Self::Float(v),
            FieldValue::Integer(v) => Self::Integer(v),
            FieldValue::Unsigned(v) => Self::Unsigned(v),
            FieldValue::String(v) => Self::String(v.to_vec()),
            FieldValue::Boolean(v) => Self::Boolean(v),
        }
    }
}

const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;

/// The whole part of a float, as Go has it on x86-64: what does not fit, NaN too, is the lowest integer.
fn truncated(value: f64) -> i64 {
    if (-TWO_POW_63..TWO_POW_63).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// The type of a field as a cast would name it.
pub(crate) const fn data_type_of(field_type: FieldType) -> DataType {
    match field_type {
        FieldType::Float => DataType::Float,
        FieldType::Integer => DataType::Integer,
        FieldType::Unsigned => DataType::Unsigned,
        FieldType::String => DataType::String,
        FieldType::Boolean => DataType::Boolean,
    }
}

/// How strongly a type prevails where several meet; the smallest wins and `None` (unknown) is
/// weaker than all (`influxdata/influxql` `DataType.LessThan`).
const fn rank(data_type: Option<DataType>) -> u8 {
    match data_type {
        Some(DataType::Float) => 0,
        Some(DataType::Integer) => 1,
        Some(DataType::Unsigned) => 2,
        Some(DataType::String) => 3,
        Some(DataType::Boolean) => 4,
        Some(DataType::Tag) => 5,
        Some(DataType::AnyField) => 6,
        None => 7,
    }
}

/// The type that prevails.
pub(crate) const fn stronger(a: Option<DataType>, b: Option<DataType>) -> Option<DataType> {
    if rank(b) < rank(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_cast() {
        assert_eq!(
            Value::Float(2.9).cast(DataType::Integer),
            Some(Value::Integer(2))
        );
        assert_eq!(
            Value::Integer(-1).cast(DataType::Float),
            Some(Value::Float(-1.0))
        );
        for (float, integer, unsigned) in [
            (-5.5, -5, u64::MAX - 4),
            (1e19, i64::MIN, 10_000_000_000_000_000_000),
            (f64::NAN, i64::MIN, 1 << 63),
            (1e21, i64::MIN, 1 << 63),
            (-1e300, i64::MIN, 1 << 63),
        ] {
            let float = Value::Float(float);
            assert_eq!(
                float.clone().cast(DataType::Integer),
                Some(Value::Integer(integer))
            );
            assert_eq!(
                float.cast(DataType::Unsigned),
                Some(Value::Unsigned(unsigned))
            );
        }
        assert_eq!(Value::String(b"1".to_vec()).cast(DataType::Float), None);
        assert_eq!(Value::Boolean(true).cast(DataType::Integer), None);
        assert_eq!(Value::Integer(1).cast(DataType::String), None);
        assert_eq!(Value::Null.cast(DataType::Float), None);
    }

    #[test]
    fn types_prevail_in_influxdbs_order() {
        let order = [
            Some(DataType::Float),
            Some(DataType::Integer),
            Some(DataType::Unsigned),
            Some(DataType::String),
            Some(DataType::Boolean),
            Some(DataType::Tag),
            None,
        ];
        for pair in order.windows(2) {
            assert_eq!(stronger(pair[0], pair[1]), pair[0]);
            assert_eq!(stronger(pair[1], pair[0]), pair[0]);
        }
    }
}
