//! Points as tests write them and read them again.

use std::collections::BTreeMap;
use std::fmt;

use tandem_model::{FieldType, FieldValue};

/// A field's value that can be compared: floats by their bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Bits of a double.
    Float(u64),
    /// Signed.
    Integer(i64),
    /// Unsigned.
    Unsigned(u64),
    /// Text.
    String(String),
    /// True or false.
    Boolean(bool),
}

impl Value {
    /// The value's type.
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

impl From<FieldValue<'_>> for Value {
    fn from(value: FieldValue<'_>) -> Self {
        match value {
            FieldValue::Float(v) => Self::Float(v.to_bits()),
            FieldValue::Integer(v) => Self::Integer(v),
            FieldValue::Unsigned(v) => Self::Unsigned(v),
            FieldValue::String(v) => Self::String(String::from_utf8_lossy(v).into_owned()),
            FieldValue::Boolean(v) => Self::Boolean(v),
        }
    }
}

impl fmt::Display for Value {
    /// As line protocol has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Self::Integer(v) => write!(f, "{v}i"),
            Self::Unsigned(v) => write!(f, "{v}u"),
            Self::String(v) => write!(f, "\"{v}\""),
            Self::Boolean(v) => write!(f, "{v}"),
        }
    }
}

/// The fields of one series at one time.
pub type Row = BTreeMap<String, Value>;

/// A row on its way. Names and values need no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// `measurement,tag=value`, tags sorted.
    pub series: String,
    /// At least one.
    pub fields: Row,
    /// Since 1970.
    pub time_ns: i64,
}

impl Point {
    /// The measurement of the series.
    #[must_use]
    pub fn measurement(&self) -> &str {
        measurement_of(&self.series)
    }
}

/// What stands before the first comma of a series key.
pub(crate) fn measurement_of(series: &str) -> &str {
    series.split(',').next().unwrap_or_default()
}

impl fmt::Display for Point {
    /// As line protocol has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.series)?;
        for (at, (name, value)) in self.fields.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { ' ' } else { ',' })?;
        }
        write!(f, " {}", self.time_ns)
    }
}
