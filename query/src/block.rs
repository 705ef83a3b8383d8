//! Rows of a result in columns, as they were read: what a sink can print without making a value of each
//! cell first.

use tandem_store::{Bitmap, Strings};

use crate::result::Value;

/// Rows of one series of a result.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// The times of the source rows.
    pub times_ns: &'a [i64],
    /// Which source rows are rows of the block, in its order; `None` is all of them.
    pub rows: Option<&'a [u32]>,
    /// The columns but that of time, an entry for each source row.
    pub columns: &'a [Cells<'a>],
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub enum Cells<'a> {
    /// The same in all rows.
    Constant(&'a Value),
    /// One of a few values.
    Coded {
        /// For each row the place of its value.
        codes: &'a [u32],
        /// The values.
        values: &'a [Value],
    },
    /// Doubles; NaN stands for null.
    Float(&'a [f64], Written<'a>),
    /// Signed integers.
    Integer(&'a [i64], Written<'a>),
    /// Unsigned integers.
    Unsigned(&'a [u64], Written<'a>),
    /// Booleans.
    Boolean(&'a [bool], Written<'a>),
    /// Strings: that of row n is string `first + n`.
    String {
        /// Where they are.
        strings: &'a Strings,
        /// The place of the first.
        first: usize,
        /// Which are written.
        written: Written<'a>,
    },
    /// Any values.
    Values(&'a [Value]),
}

/// Which rows have a value; `None` is all of them.
pub type Written<'a> = Option<&'a Bitmap>;

impl Block<'_> {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.map_or(self.times_ns.len(), <[u32]>::len)
    }

    /// True when there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The source row of row `at`.
    #[must_use]
    pub fn source(&self, at: usize) -> usize {
        self.rows.map_or(at, |rows| rows[at] as usize)
    }

    /// The rows as values, with that of time first.
    #[must_use]
    pub fn values(&self) -> Vec<Vec<Value>> {
        let row = |at: usize| {
            let source = self.source(at);
            let cells = self.columns.iter().map(|column| column.value(source));
            std::iter::once(Value::Time(self.times_ns[source]))
                .chain(cells)
                .collect()
        };
        (0..self.len()).map(row).collect()
    }
}

impl Cells<'_> {
    /// The value in a source row.
    #[must_use]
    pub fn value(&self, row: usize) -> Value {
        let is = |written: &Written<'_>| written.is_none_or(|written| written.get(row));
        match self {
            Self::Constant(value) => (*value).clone(),
            Self::Coded { codes, values } => values[codes[row] as usize].clone(),
            Self::Float(v, written) if is(written) && !v[row].is_nan() => Value::Float(v[row]),
            Self::Integer(v, written) if is(written) => Value::Integer(v[row]),
            Self::Unsigned(v, written) if is(written) => Value::Unsigned(v[row]),
            Self::Boolean(v, written) if is(written) => Value::Boolean(v[row]),
            Self::String {
                strings,
                first,
                written,
            } if is(written) => Value::String(strings.get(first + row).to_vec()),
            Self::Values(values) => values[row].clone(),
            _ => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_rows() {
        let name = Value::String(b"a".to_vec());
        let mut written = Bitmap::filled(3, true);
        written.set(2, false);
        let values = [Value::Boolean(true), Value::Null];
        let columns = [
            Cells::Constant(&name),
            Cells::Integer(&[1, 2, 3], Some(&written)),
            Cells::Coded {
                codes: &[0, 1, 0],
                values: &values,
            },
            Cells::Float(&[0.5, f64::NAN, 1.5], None),
        ];
        let block = Block {
            times_ns: &[10, 20, 30],
            rows: Some(&[2, 1]),
            columns: &columns,
        };
        assert_eq!(
            block.values(),
            [
                vec![
                    Value::Time(30),
                    name.clone(),
                    Value::Null,
                    Value::Boolean(true),
                    Value::Float(1.5)
                ],
                vec![
                    Value::Time(20),
                    name.clone(),
                    Value::Integer(2),
                    Value::Null,
                    Value::Null
                ],
            ]
        );
    }
}
