//! What a statement answers with, before any output format is chosen.

use std::fmt;

use crate::block::Block;

/// One cell of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A time in nanoseconds; printed by the `epoch` of the request.
    Time(i64),
    /// A double; NaN prints as null, an infinity is an error of the output (as in InfluxDB).
    Float(f64),
    /// A signed integer.
    Integer(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A boolean.
    Boolean(bool),
    /// A string: raw bytes, usually UTF-8.
    String(Vec<u8>),
    /// A list of strings, as in one column of `SHOW SUBSCRIPTIONS`; never the value of a field.
    Strings(Vec<Vec<u8>>),
}

/// One series of a result: a header, and rows that are each as long as `columns`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Left out of the output when `None`.
    pub name: Option<Vec<u8>>,
    /// The group's tags, sorted by key; left out of the output when `None`.
    pub tags: Option<Vec<(Vec<u8>, Vec<u8>)>>,
    /// Column names, `time` first for a `SELECT`.
    pub columns: Vec<Vec<u8>>,
    /// The rows.
    pub values: Vec<Vec<Value>>,
    /// The UTC offset rule that times of this series are printed by; `None` is UTC.
    pub time_zone: Option<String>,
}

/// How grave a [`Message`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The statement ran, and something about it should be changed.
    Warning,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("warning")
    }
}

/// A remark beside a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How grave it is.
    pub level: Level,
    /// The text, as InfluxDB words it.
    pub text: String,
}

/// The reader of a result has gone away; the statement should end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Takes the result of one statement, piece by piece.
///
/// A series that is handed over in several pieces comes in consecutive calls with equal name,
/// tags and columns; the sink joins them or marks them partial.
pub trait Sink {
    /// Takes a piece of a series.
    ///
    /// # Errors
    /// [`Gone`] when nobody reads any more.
    fn series(&mut self, series: Series) -> Result<(), Gone>;

    /// Takes rows in columns, as a piece of the series whose header is `head`, which has no rows.
    ///
    /// # Errors
    /// [`Gone`] when nobody reads any more.
    fn block(&mut self, head: &Series, block: &Block<'_>) -> Result<(), Gone> {
        self.series(Series {
            values: block.values(),
            ..head.clone()
        })
    }

    /// Takes a remark.
    fn message(&mut self, message: Message);
}
