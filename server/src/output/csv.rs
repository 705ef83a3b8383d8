//! A query's answer as CSV, as InfluxDB writes it: a header line of `name,tags,<columns>`, times as
//! whole numbers, an empty line between statements.
//!
//! A statement's error has no place in this form and is left out; so are remarks.

use tandem_http::Gone;
use tandem_query::{Series, Value};

use super::{
    number::{write_integer, write_plain_float},
    outlet::Outlet,
    time::Epoch,
};

/// Writes the answer of one request.
pub(crate) struct CsvOutput {
    outlet: Outlet,
    epoch: Epoch,
    chunked: bool,
    /// The current statement and, once its header line is written, the columns in it.
    columns: Option<Vec<Vec<u8>>>,
    /// A header line was written, for this or an earlier statement.
    begun: bool,
}

impl CsvOutput {
    pub(crate) fn new(outlet: Outlet, epoch: Epoch, chunked: bool) -> Self {
        Self {
            outlet,
            epoch,
            chunked,
            columns: None,
            begun: false,
        }
    }

    /// Begins the next statement.
    pub(crate) fn begin(&mut self) {
        self.columns = None;
    }

    /// Takes a piece of a series.
    pub(crate) fn series(&mut self, series: &Series) -> Result<(), Gone> {
        // Chunked, InfluxDB looks at each series alone and so misses a change of columns.
        let headed = self
            .columns
            .as_ref()
            .is_some_and(|columns| self.chunked || *columns == series.columns);
        let out = self.outlet.buffer();
        if !headed {
            if self.begun {
                out.push(b'\n');
            }
            out.extend_from_slice(b"name,tags");
            for column in &series.columns {
                out.push(b',');
                write_field(out, column);
            }
            out.push(b'\n');
            self.begun = true;
            self.columns = Some(series.columns.clone());
        }
        let mut lead = Vec::new();
        write_field(&mut lead, series.name.as_deref().unwrap_or_default());
        lead.push(b',');
        write_field(
            &mut lead,
            &tag_text(series.tags.as_deref().unwrap_or_default()),
        );
        for row in &series.values {
            let out = self.outlet.buffer();
            out.extend_from_slice(&lead);
            for (at, value) in row.iter().enumerate() {
                out.push(b',');
                match value {
                    Value::Null => {}
                    Value::Time(time_ns) => {
                        let unit_ns = match self.epoch {
                            Epoch::Units { ns } if at == 0 => ns,
                            _ => 1,
                        };
                        write_integer(out, time_ns / unit_ns);
                    }
                    Value::Float(value) if value.is_nan() => {}
                    Value::Float(value) => write_plain_float(out, *value),
                    Value::Integer(value) => write_integer(out, *value),
                    Value::Unsigned(value) => write_integer(out, *value),
                    Value::Boolean(true) => out.extend_from_slice(b"true"),
                    Value::Boolean(false) => out.extend_from_slice(b"false"),
                    Value::String(value) => write_field(out, value),
                    Value::Strings(values) => write_field(out, &values.join(&b' ')),
                }
            }
            out.push(b'\n');
            self.outlet.flush_if_full()?;
        }
        Ok(())
    }

    /// Ends the answer; returns its length.
    pub(crate) fn finish(self) -> Result<u64, Gone> {
        self.outlet.finish()
    }
}

/// The group's tags in one field, `k=v,k2=v2`, escaped as in a series key; a tag without a value is
/// left out (influxdata/influxdb models/points.go, `Tags.HashKey`).
fn tag_text(tags: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
        if !text.is_empty() {
            text.push(b',');
        }
        escape_tag(&mut text, key);
        text.push(b'=');
        escape_tag(&mut text, value);
    }
    text
}

fn escape_tag(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        if matches!(byte, b',' | b'=' | b' ') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

/// Appends a field, quoted where Go's `encoding/csv` does.
pub(crate) fn write_field(out: &mut Vec<u8>, field: &[u8]) {
    let quoted = field == b"\\."
        || field
            .iter()
            .any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'))
        || std::str::from_utf8(
            field
                .utf8_chunks()
                .next()
                .map_or(b"", |chunk| chunk.valid().as_bytes()),
        )
        .is_ok_and(|text| text.starts_with(char::is_whitespace));
    if !quoted {
        out.extend_from_slice(field);
        return;
    }
    out.push(b'"');
    for &byte in field {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
