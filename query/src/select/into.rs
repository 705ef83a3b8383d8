//! `SELECT … INTO`: rows become points of another measurement.
//!
//! The tags of a series stay tags, every other column becomes a field, and what is null is not
//! written. Points are written in batches as they are made; a statement that fails in the middle has
//! written the batches before.

use std::fmt;

use tandem_influxql::ast::Measurement;
use tandem_model::{Precision, escape_measurement, escape_tag};
use tandem_store::{Store, WriteError, WriteRequest};

use super::cursor::Row;
use crate::context::Context;
use crate::error::Error;
use crate::result::Value;

/// Bytes of line protocol that are written at once.
const BATCH_BYTES: usize = 1 << 20;

/// Is told of points that `SELECT … INTO` has written, as whoever writes by another way tells of its own.
pub trait Follower: fmt::Debug + Send + Sync {
    /// After a write of which something was stored. `lines` is line protocol.
    fn written(&self, request: &WriteRequest<'_>, lines: &[u8]);
}

/// Writes rows to the target of a statement.
pub(super) struct Writer<'a> {
    store: &'a Store,
    follower: Option<&'a dyn Follower>,
    request: WriteRequest<'a>,
    /// The target's name; empty for the name of the source.
    name: &'a [u8],
    /// Whether the column of time has its own name, by which InfluxDB looks for it.
    has_time: bool,
    columns: &'a [Vec<u8>],
    tags: &'a [String],
    lines: Vec<u8>,
    points: i64,
}

impl<'a> Writer<'a> {
    /// A writer of rows with these columns, of series with these tags.
    ///
    /// # Errors
    /// When there is no database to write to.
    pub(super) fn new(
        (store, follower): (&'a Store, Option<&'a dyn Follower>),
        target: &'a Measurement,
        context: &'a Context,
        (time_name, columns): (&'a str, &'a [Vec<u8>]),
        tags: &'a [String],
    ) -> Result<Self, Error> {
        let database = target
            .database
            .as_deref()
            .or(context.database.as_deref())
            .ok_or(Error::DatabaseRequired)?;
        store.retention_policies(database)?;
        let policy = target.retention_policy.as_deref();
        let request = WriteRequest {
            database,
            retention_policy: policy.or(context.retention_policy.as_deref()),
            precision: Precision::Nanosecond,
            now_ns: context.now_ns,
        };
        let name = target.name.as_bytes();
        Ok(Self {
            store,
            follower,
            request,
            name,
            has_time: time_name == "time",
            columns,
            tags,
            lines: Vec::new(),
            points: 0,
        })
    }

    /// Takes a row of a series of the measurement `source`.
    pub(super) fn row(&mut self, source: &[u8], row: &Row) -> Result<(), Error> {
        if !self.has_time {
            return Err(Error::refused("error finding time index in result"));
        }
        // A point cannot be made of it, where what is no number is only left out.
        let is_infinite = |value: &Value| matches!(value, Value::Float(v) if v.is_infinite());
        if row.values.iter().any(is_infinite) {
            return Ok(());
        }
        let start = self.lines.len();
        escape_measurement(
            if self.name.is_empty() {
                source
            } else {
                self.name
            },
            &mut self.lines,
        );
        for (tag, value) in self.tags.iter().zip(row.tags.iter()) {
            if !value.is_empty() {
                self.lines.push(b',');
                escape_tag(tag.as_bytes(), &mut self.lines);
                self.lines.push(b'=');
                escape_tag(value, &mut self.lines);
            }
        }
        let mut separator = b' ';
        for (column, value) in self.columns.iter().zip(&row.values) {
            let length = self.lines.len();
            self.lines.push(separator);
            escape_tag(column, &mut self.lines);
            self.lines.push(b'=');
            if field_value(value, &mut self.lines) {
                separator = b',';
            } else {
                self.lines.truncate(length);
            }
        }
        if separator == b' ' {
            self.lines.truncate(start);
            return Ok(());
        }
        self.lines
            .extend_from_slice(format!(" {}\n", row.time_ns).as_bytes());
        self.points += 1;
        if self.lines.len() >= BATCH_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes what is left and tells how many points there were.
    pub(super) fn finish(mut self) -> Result<i64, Error> {
        self.flush()?;
        Ok(self.points)
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.lines.is_empty() {
            let written = self.store.write(&self.request, &self.lines);
            if let Some(follower) = self.follower
                && matches!(written, Ok(_) | Err(WriteError::Partial { .. }))
            {
                follower.written(&self.request, &self.lines);
            }
            written?;
            self.lines.clear();
        }
        Ok(())
    }
}

/// Appends `value` as the value of a field; false when it cannot be one.
fn field_value(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Float(v) if v.is_finite() => out.extend_from_slice(v.to_string().as_bytes()),
        Value::Integer(v) | Value::Time(v) => out.extend_from_slice(format!("{v}i").as_bytes()),
        Value::Unsigned(v) => out.extend_from_slice(format!("{v}u").as_bytes()),
        Value::Boolean(v) => out.push(if *v { b't' } else { b'f' }),
        Value::String(text) => {
            out.push(b'"');
            for byte in text {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(*byte);
            }
            out.push(b'"');
        }
        Value::Null | Value::Strings(_) | Value::Float(_) => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_fields() {
        let text = |value: Value| {
            let mut out = Vec::new();
            field_value(&value, &mut out).then(|| String::from_utf8(out).unwrap())
        };
        assert_eq!(text(Value::Float(4.0)).as_deref(), Some("4"));
        assert_eq!(text(Value::Integer(4)).as_deref(), Some("4i"));
        assert_eq!(text(Value::Boolean(true)).as_deref(), Some("t"));
        assert_eq!(
            text(Value::String(b"a\"\\".to_vec())).as_deref(),
            Some(r#""a\"\\""#)
        );
        assert_eq!(text(Value::Null), None);
        assert_eq!(text(Value::Float(f64::NAN)), None);
    }
}
