//! A column of the answer, as it grows.

use std::ops::Range;

use tandem_model::FieldType;

use super::open_column::Page;
use crate::{Bitmap, Column, Validity, Values};

/// Collects a field's values over rows of several pages.
#[derive(Debug)]
pub(super) struct ColumnOutput {
    values: Values,
    /// `None` while every row has a value.
    written: Option<Bitmap>,
    any: bool,
}

impl ColumnOutput {
    pub(super) fn new(field_type: FieldType) -> Self {
        Self {
            values: Values::new(field_type),
            written: None,
            any: false,
        }
    }

    /// Appends rows `rows` of `page`; `None` has no values.
    pub(super) fn append(&mut self, page: Option<&Page>, rows: Range<usize>) {
        let Some(page) = page else {
            return self.append_nulls(rows.len());
        };
        let entries = page.entries(rows.clone());
        if entries.is_empty() {
            return self.append_nulls(rows.len());
        }
        self.any = true;
        if entries.len() == rows.len() {
            if let Some(written) = &mut self.written {
                rows.for_each(|_| written.push(true));
            }
            return self.values.extend_from(page.values(), entries);
        }
        let words = page.written().unwrap_or_default();
        let bits = bits_so_far(&mut self.written, self.values.len());
        let mut entry = entries.start;
        for row in rows {
            let is_written = words[row / 64] >> (row % 64) & 1 == 1;
            bits.push(is_written);
            if is_written {
                self.values.push(page.values().get(entry));
                entry += 1;
            } else {
                self.values.push_null();
            }
        }
    }

    fn append_nulls(&mut self, rows: usize) {
        let bits = bits_so_far(&mut self.written, self.values.len());
        for _ in 0..rows {
            bits.push(false);
            self.values.push_null();
        }
    }

    /// The column; `None` when no row has a value.
    pub(super) fn finish(self) -> Option<Column> {
        let validity = self.written.map_or(Validity::All, Validity::Some);
        self.any.then_some(Column {
            values: self.values,
            validity,
        })
    }
}

fn bits_so_far(written: &mut Option<Bitmap>, rows: usize) -> &mut Bitmap {
    written.get_or_insert_with(|| Bitmap::filled(rows, true))
}
