//! Rows in columns as JSON: what is the same in many rows is printed once, and no value is made of a cell.
//!
//! Each cell is printed with the comma before it, so that most take one short copy; neighbours that are the same in
//! the same rows are one text.

use tandem_http::write_json_string;
use tandem_query::{Block, Cells, Value, Written};

use super::number::{write_integer, write_json_float};

/// A column, or some that stand side by side, ready to be printed.
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
    let mut columns: Vec<Printed<'a>> = Vec::with_capacity(block.columns.len());
    for column in block.columns {
        let next = print(column, block)?;
        let joined = match (columns.last_mut(), &next) {
            (Some(Printed::Constant(text)), Printed::Constant(more)) => {
                text.extend_from_slice(more);
                true
            }
            (Some(last @ Printed::Coded { .. }), Printed::Coded { .. }) => last.join(&next),
            _ => false,
        };
        if !joined {
            columns.push(next);
        }
    }
    Some(columns)
}

fn print<'a>(column: &'a Cells<'_>, block: &Block<'_>) -> Option<Printed<'a>> {
    Some(match column {
        Cells::Constant(value) => {
            let mut text = vec![b','];
            write(&mut text, value)?;
            Printed::Constant(text)
        }
        Cells::Coded { codes, values } => {
            let (mut texts, mut starts) = (Vec::new(), vec![0]);
            for value in *values {
                texts.push(b',');
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
    /// Takes the texts of a column behind it that has the same codes; false where they differ.
    fn join(&mut self, next: &Self) -> bool {
        let (
            Self::Coded {
                codes,
                texts,
                starts,
            },
            Self::Coded {
                codes: next_codes,
                texts: next_texts,
                starts: next_starts,
            },
        ) = (self, next)
        else {
            return false;
        };
        if !std::ptr::eq(*codes, *next_codes) || starts.len() != next_starts.len() {
            return false;
        }
        let mut joined = Vec::with_capacity(texts.len() + next_texts.len());
        let mut places = vec![0];
        for (own, other) in starts.windows(2).zip(next_starts.windows(2)) {
            joined.extend_from_slice(&texts[own[0]..own[1]]);
            joined.extend_from_slice(&next_texts[other[0]..other[1]]);
            places.push(joined.len());
        }
        (*texts, *starts) = (joined, places);
        true
    }

    /// Appends the text of a source row, with the comma before it.
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
        Cells::Integer(v, written) if is(written) => return write_after_comma(out, v[row]),
        _ => out.push(b','),
    }
    match cells {
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

/// Appends a comma and a whole number; most have few digits.
fn write_after_comma(out: &mut Vec<u8>, value: i64) {
    let digit = |value: i64| b'0' + (value % 10) as u8;
    match value {
        0..10 => out.extend_from_slice(&[b',', digit(value)]),
        10..100 => out.extend_from_slice(&[b',', digit(value / 10), digit(value)]),
        100..1_000 => {
            let digits = [b',', digit(value / 100), digit(value / 10), digit(value)];
            out.extend_from_slice(&digits);
        }
        _ => {
            out.push(b',');
            write_integer(out, value);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_their_commas_and_neighbours_are_joined() {
        let (codes, others) = ([1, 0, 1], [0, 0, 0]);
        let text = |text: &str| Value::String(text.into());
        let hosts = [text("a"), Value::Null];
        let racks = [text("x"), text("y\"")];
        let (one, no) = (Value::Integer(1), Value::Boolean(false));
        let columns = [
            Cells::Constant(&one),
            Cells::Constant(&no),
            Cells::Coded {
                codes: &codes,
                values: &hosts,
            },
            Cells::Coded {
                codes: &codes,
                values: &racks,
            },
            Cells::Coded {
                codes: &others,
                values: &racks,
            },
            Cells::Integer(&[-7, 42, 1_000], None),
        ];
        let block = Block {
            times_ns: &[1, 2, 3],
            rows: None,
            columns: &columns,
        };
        let printed = printed(&block).unwrap();
        assert_eq!(printed.len(), 4);
        let row = |row| {
            let mut out = Vec::new();
            printed
                .iter()
                .for_each(|column| column.write(&mut out, row));
            String::from_utf8(out).unwrap()
        };
        assert_eq!(row(0), r#",1,false,null,"y\"","x",-7"#);
        assert_eq!(row(1), r#",1,false,"a","x","x",42"#);
        assert_eq!(row(2), r#",1,false,null,"y\"","x",1000"#);
    }

    #[test]
    fn whole_numbers_are_printed_as_they_are() {
        for value in (0..1_200).chain([-1, -999, i64::MAX, i64::MIN]) {
            let mut out = Vec::new();
            write_after_comma(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), format!(",{value}"));
        }
    }
}
