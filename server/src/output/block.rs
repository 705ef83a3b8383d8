//! Rows in columns as JSON: what is the same in many rows is printed once, and no value is made of a cell.

use tandem_http::write_json_string;
use tandem_query::{Block, Cells, Value, Written};

use super::number::{write_integer, write_json_float};

/// A column that is ready to be printed.
pub(super) enum Printed<'a> {
    /// The text of all rows.
    Constant(Vec<u8>),
    /// The texts end to end, and where each begins; the last place is the end.
    Coded {
        codes: &'a [u32],
        texts: Vec<u8>,
        starts: Vec<usize>,
    },
    Cells(&'a Cells<'a>),
}

/// The columns of a block; `None` where one has values that are for another writer: infinities.
pub(super) fn printed<'a>(block: &'a Block<'_>) -> Option<Vec<Printed<'a>>> {
    let columns = block.columns.iter();
    columns.map(|column| print(column, block)).collect()
}

fn print<'a>(column: &'a Cells<'_>, block: &Block<'_>) -> Option<Printed<'a>> {
    Some(match column {
        Cells::Constant(value) => {
            let mut text = Vec::new();
            write(&mut text, value)?;
            Printed::Constant(text)
        }
        Cells::Coded { codes, values } => {
            let (mut texts, mut starts) = (Vec::new(), vec![0]);
            for value in *values {
                write(&mut texts, value)?;
                starts.push(texts.len());
            }
            Printed::Coded {
                codes,
                texts,
                starts,
            }
        }
        Cells::Float(values, _) if values.iter().any(|value| value.is_infinite()) => return None,
        Cells::Values(values) => {
            let is_infinite = |value: &Value| matches!(value, Value::Float(v) if v.is_infinite());
            let known = |value: &Value| !matches!(value, Value::Time(_) | Value::Strings(_));
            let mut rows = (0..block.len()).map(|at| &values[block.source(at)]);
            if !rows.all(|value| known(value) && !is_infinite(value)) {
                return None;
            }
            Printed::Cells(column)
        }
        _ => Printed::Cells(column),
    })
}

impl Printed<'_> {
    /// Appends the text of a source row.
    pub(super) fn write(&self, out: &mut Vec<u8>, row: usize) {
        match self {
            Self::Constant(text) => out.extend_from_slice(text),
            Self::Coded {
                codes,
                texts,
                starts,
            } => {
                let code = codes[row] as usize;
                out.extend_from_slice(&texts[starts[code]..starts[code + 1]]);
            }
            Self::Cells(cells) => write_cell(out, cells, row),
        }
    }
}

fn write_cell(out: &mut Vec<u8>, cells: &Cells<'_>, row: usize) {
    let is = |written: &Written<'_>| written.is_none_or(|written| written.get(row));
    match cells {
        Cells::Integer(v, written) if is(written) => write_integer(out, v[row]),
        Cells::Float(v, written) if is(written) && !v[row].is_nan() => {
            write_json_float(out, v[row]);
        }
        Cells::Unsigned(v, written) if is(written) => write_integer(out, v[row]),
        Cells::Boolean(v, written) if is(written) => {
            out.extend_from_slice(if v[row] { b"true" } else { b"false" });
        }
        Cells::String {
            strings,
            first,
            written,
        } if is(written) => write_json_string(out, strings.get(first + row)),
        Cells::Values(values) => {
            let _ = write(out, &values[row]);
        }
        _ => out.extend_from_slice(b"null"),
    }
}

/// Appends a value that JSON has; `None` for others.
fn write(out: &mut Vec<u8>, value: &Value) -> Option<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Float(v) if v.is_nan() => out.extend_from_slice(b"null"),
        Value::Float(v) if v.is_finite() => write_json_float(out, *v),
        Value::Integer(v) => write_integer(out, *v),
        Value::Unsigned(v) => write_integer(out, *v),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::String(v) => write_json_string(out, v),
        Value::Float(_) | Value::Time(_) | Value::Strings(_) => return None,
    }
    Some(())
}
