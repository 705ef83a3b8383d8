//! A database as text, in the format of `influx_inspect export` and `influx -import`
//! (`influxdata/influxdb cmd/influx_inspect/export`, `importer/v8`).
//!
//! ```text
//! # INFLUXDB EXPORT: <start> - <end>
//! # DDL
//! CREATE DATABASE …
//! # DML
//! # CONTEXT-DATABASE:telegraf
//! # CONTEXT-RETENTION-POLICY:autogen
//! cpu,host=a usage_idle=99.5,usage_user=0.5 1770000000000000000
//! ```
//!
//! A line has all fields of a point. What is read back from it is what was stored, bit for bit: keys are written in
//! their canonical form, floats in the shortest form that gives the same number. Unsigned integers carry the
//! suffix `u`, which InfluxDB 1.x as it is shipped refuses.

use std::io::{self, Write};

use tandem_model::{FieldValue, SeriesId, TimeRange};
use thiserror::Error;

use crate::database::PolicyChoice;
use crate::error::StoreError;
use crate::policy::RetentionPolicy;
use crate::rows::Rows;
use crate::store::Store;
use crate::view::{Order, View};

/// Bytes of lines that are handed over at once.
const WRITE_BYTES: usize = 64 << 10;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub struct ExportRequest<'a> {
    /// Must exist.
    pub database: &'a str,
    /// All of them when `None`.
    pub retention_policy: Option<&'a str>,
    /// Points in this range, both ends included.
    pub range: TimeRange,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Lines.
    pub points: u64,
    /// Fields in them.
    pub values: u64,
    /// Bytes of text.
    pub bytes: u64,
}

/// Why not everything was written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The store reports an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The writer reports an error.
    #[error("write the export")]
    Write(#[from] io::Error),
}

/// Writes a database of `store` to `out`. Needs the memory of a few thousand points.
///
/// # Errors
/// See [`ExportError`]; a part of the text is written then.
pub fn export(
    store: &Store,
    request: &ExportRequest<'_>,
    out: &mut dyn Write,
) -> Result<Exported, ExportError> {
    let mut policies = store.retention_policies(request.database)?;
    if let Some(name) = request.retention_policy {
        policies.retain(|policy| policy.name == name);
        if policies.is_empty() {
            return Err(StoreError::PolicyNotFound(name.into()).into());
        }
    }
    let mut lines = Lines {
        out,
        buffer: Vec::new(),
        done: Exported::default(),
    };
    lines.definitions(request, &policies);
    for policy in &policies {
        lines.text(&format!(
            "# CONTEXT-DATABASE:{}\n# CONTEXT-RETENTION-POLICY:{}\n",
            request.database, policy.name
        ));
        let choice = PolicyChoice::Named(&policy.name);
        let view = store.view(request.database, choice, request.range)?;
        lines.points(&view, request.range)?;
    }
    lines.flush()?;
    lines.out.flush()?;
    Ok(lines.done)
}

/// Lines on their way.
struct Lines<'a> {
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    done: Exported,
}

impl Lines<'_> {
    fn text(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn definitions(&mut self, request: &ExportRequest<'_>, policies: &[RetentionPolicy]) {
        let TimeRange { min_ns, max_ns } = request.range;
        self.text(&format!("# INFLUXDB EXPORT: {min_ns} - {max_ns}\n# DDL\n"));
        let database = quoted(request.database);
        let clauses = |policy: &RetentionPolicy| {
            format!(
                "DURATION {} REPLICATION {} SHARD DURATION {}",
                duration(policy.duration_ns),
                policy.replicas,
                duration(policy.shard_duration_ns)
            )
        };
        // The policy that comes with the database is its default one. Where that was dropped, the
        // first one: no statement makes a database without.
        let first = policies.iter().find(|p| p.is_default).or(policies.first());
        if let Some(policy) = first {
            let (name, clauses) = (quoted(&policy.name), clauses(policy));
            self.text(&format!(
                "CREATE DATABASE {database} WITH {clauses} NAME {name}\n"
            ));
        }
        for policy in policies
            .iter()
            .filter(|p| first.is_none_or(|first| p.name != first.name))
        {
            let (name, clauses) = (quoted(&policy.name), clauses(policy));
            self.text(&format!(
                "CREATE RETENTION POLICY {name} ON {database} {clauses}\n"
            ));
        }
        self.text("# DML\n");
    }

    fn points(&mut self, view: &View, range: TimeRange) -> Result<(), ExportError> {
        for measurement in view.measurements() {
            let fields = view.fields(&measurement);
            let names: Vec<&[u8]> = fields.iter().map(|(name, _)| name.as_slice()).collect();
            let mut escaped: Vec<Vec<u8>> = Vec::with_capacity(names.len());
            for name in &names {
                escaped.push(field_name(name));
            }
            for id in view.series(&measurement) {
                let id = SeriesId(id);
                let key = view.series_key(id);
                let mut reader = view.read(id, &names, range, Order::Ascending);
                while let Some(rows) = reader.next()? {
                    self.rows(&key, &escaped, &rows)?;
                }
            }
        }
        Ok(())
    }

    fn rows(&mut self, key: &[u8], names: &[Vec<u8>], rows: &Rows) -> Result<(), ExportError> {
        for (at, time_ns) in rows.times_ns.iter().enumerate() {
            let start = self.buffer.len();
            self.buffer.extend_from_slice(key);
            let mut separator = b' ';
            for (name, column) in names.iter().zip(&rows.columns) {
                if let Some(value) = column.as_ref().and_then(|column| column.get(at)) {
                    self.buffer.push(separator);
                    separator = b',';
                    self.buffer.extend_from_slice(name);
                    self.buffer.push(b'=');
                    write_value(value, &mut self.buffer);
                    self.done.values += 1;
                }
            }
            if separator == b' ' {
                // A row without fields: those that it had were of a measurement that is gone.
                self.buffer.truncate(start);
                continue;
            }
            self.buffer.push(b' ');
            let mut time = itoa::Buffer::new();
            self.buffer
                .extend_from_slice(time.format(*time_ns).as_bytes());
            self.buffer.push(b'\n');
            self.done.points += 1;
            if self.buffer.len() >= WRITE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.done.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn write_value(value: FieldValue<'_>, out: &mut Vec<u8>) {
    match value {
        FieldValue::Float(v) => {
            out.extend_from_slice(zmij::Buffer::new().format(v).as_bytes());
        }
        FieldValue::Integer(v) => {
            out.extend_from_slice(itoa::Buffer::new().format(v).as_bytes());
            out.push(b'i');
        }
        FieldValue::Unsigned(v) => {
            out.extend_from_slice(itoa::Buffer::new().format(v).as_bytes());
            out.push(b'u');
        }
        FieldValue::Boolean(v) => {
            out.extend_from_slice(if v { b"true" } else { b"false" });
        }
        FieldValue::String(v) => {
            out.push(b'"');
            for &byte in v {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
    }
}

/// A field's name with the escapes that its reader takes off.
fn field_name(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    for &byte in name {
        if matches!(byte, b',' | b' ' | b'=' | b'"') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out
}

/// A name as InfluxQL writes it.
fn quoted(name: &str) -> String {
    let mut out = String::from('"');
    for c in name.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '"' | '\\' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A duration as InfluxQL writes it; 0 is for ever.
fn duration(ns: i64) -> String {
    match ns {
        0 => "INF".into(),
        _ if ns % 1_000_000_000 == 0 => format!("{}s", ns / 1_000_000_000),
        _ => format!("{ns}ns"),
    }
}
