//! Rows of a series within one page, where they lie in the decoded page.
//!
//! The times are decoded; a field is decoded when it is asked for. A page in which every row has a value
//! is borrowed, any other is spread out so that each row has an entry.

use std::ops::Range;

use tandem_codec::number::Scratch;

use super::Source;
use super::open_column::OpenColumn;
use super::output::ColumnOutput;
use crate::block::BlockError;
use crate::rows::Column;
use crate::scan::{ColumnSlice, ValuesSlice};

/// See the module's head.
#[derive(Debug)]
pub struct PageRows<'r, 'a> {
    pub(super) source: Source<'a>,
    pub(super) scratch: &'r mut Scratch,
    /// One for each field asked for.
    pub(super) columns: &'r mut [Option<OpenColumn>],
    /// Fields whose page has rows without a value, spread out.
    pub(super) spread: Vec<Option<Column>>,
    /// Which page of the chunk.
    pub(super) page: usize,
    pub(super) page_rows: usize,
    /// Which rows of the page.
    pub(super) rows: Range<usize>,
    pub(super) times_ns: &'r [i64],
}

impl PageRows<'_, '_> {
    pub(crate) const fn times_ns(&self) -> &[i64] {
        self.times_ns
    }

    pub(crate) fn load(&mut self, field: usize) -> Result<(), BlockError> {
        let Some(Some(column)) = self.columns.get_mut(field) else {
            return Ok(());
        };
        let page = column.page(self.source, self.page, self.page_rows, self.scratch)?;
        if let Some(page) = page
            && page.written().is_some()
        {
            let mut output = ColumnOutput::new(page.values().field_type());
            output.append(Some(page), self.rows.clone());
            if self.spread.len() <= field {
                self.spread.resize(field + 1, None);
            }
            self.spread[field] = output.finish();
        }
        Ok(())
    }

    pub(crate) fn column(&self, field: usize) -> Option<ColumnSlice<'_>> {
        let page = self.columns.get(field)?.as_ref()?.decoded(self.page)?;
        if page.written().is_some() {
            return self.spread.get(field)?.as_ref().map(ColumnSlice::of);
        }
        Some(ColumnSlice {
            values: ValuesSlice::of(page.values(), self.rows.clone()),
            written: None,
        })
    }
}
