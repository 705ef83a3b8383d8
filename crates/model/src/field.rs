//! Field values and their types.

use std::fmt;

/// The type of a field, fixed per measurement and shard by the first value written.
///
/// The order is InfluxDB's order of precedence when shards disagree: the smaller wins
/// (`influxdata/influxql` `DataType.LessThan`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FieldType {
    /// IEEE 754 double; never NaN or infinite when it comes from line protocol.
    Float = 0,
    /// 64-bit signed.
    Integer = 1,
    /// 64-bit unsigned.
    Unsigned = 2,
    /// Any bytes.
    String = 3,
    /// True or false.
    Boolean = 4,
}

impl FieldType {
    /// InfluxDB's word for the type, as in error texts and `SHOW FIELD KEYS`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::String => "string",
            Self::Boolean => "boolean",
        }
    }

    /// The type with this `repr`, for decoders; `None` for any other byte.
    #[must_use]
    pub const fn from_repr(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Float,
            1 => Self::Integer,
            2 => Self::Unsigned,
            3 => Self::String,
            4 => Self::Boolean,
            _ => return None,
        })
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One field value; strings are borrowed, already unescaped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// IEEE 754 double.
    Float(f64),
    /// 64-bit signed.
    Integer(i64),
    /// 64-bit unsigned.
    Unsigned(u64),
    /// Any bytes.
    String(&'a [u8]),
    /// True or false.
    Boolean(bool),
}

impl FieldValue<'_> {
    /// The type of this value.
    #[must_use]
    pub const fn field_type(&self) -> FieldType {
        match self {
            Self::Float(_) => FieldType::Float,
            Self::Integer(_) => FieldType::Integer,
            Self::Unsigned(_) => FieldType::Unsigned,
            Self::String(_) => FieldType::String,
            Self::Boolean(_) => FieldType::Boolean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repr_round_trips_and_nothing_else_decodes() {
        for byte in 0..=u8::MAX {
            match FieldType::from_repr(byte) {
                Some(t) => assert_eq!(t as u8, byte),
                None => assert!(byte > 4),
            }
        }
    }
}
