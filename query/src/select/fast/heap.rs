//! The rows of several series by time.
//!
//! The order of rows with equal times is that of the plain executor's merge: the binary heap of Go's
//! `container/heap`, with the selected strings compared up to the first column that is none. The heap here
//! holds places of rows only.

use std::cmp::Ordering;

use tandem_influxql::ast::DataType;

use super::gather::Gathered;
use super::raw::Source;
use crate::result::Value;

/// What a heap holds for each series.
pub(super) const HEAP_BYTES: usize = 3 * size_of::<u32>();

/// The columns whose strings are compared at equal times.
pub(super) fn compared(references: &[Source]) -> &[Source] {
    let is_text =
        |source: &Source| matches!(source, Source::Tag(_) | Source::Field(_, DataType::String));
    let end = references.iter().position(|source| !is_text(source));
    references.split_at(end.unwrap_or(references.len())).0
}

/// See the module's head.
pub(super) struct Heap<'s> {
    series: &'s [Gathered],
    /// The tags of each, where they are compared and have no ranks.
    tags: &'s [Vec<Value>],
    /// The columns whose strings are compared at equal times.
    compared: Vec<(usize, Source)>,
    /// Ranks of series by these strings, where they are tags that all series have.
    ranks: Option<Vec<u32>>,
    ascending: bool,
    /// The row of each series that is in the heap.
    rows: Vec<u32>,
    heap: Vec<u32>,
}

impl<'s> Heap<'s> {
    /// The rows of `series`, whose columns are `columns`. `ranks` are those of the series by the strings that are
    /// compared, if they are known already.
    pub(super) fn new(
        series: &'s [Gathered],
        tags: &'s [Vec<Value>],
        columns: &[Source],
        references: &[Source],
        ascending: bool,
        ranks: Option<Vec<u32>>,
    ) -> Self {
        let compared = compared(references)
            .iter()
            .map(|source| {
                let at = columns.iter().position(|column| column == source);
                (at.unwrap_or(0), *source)
            })
            .collect();
        let mut heap = Self {
            series,
            tags,
            ranks,
            ascending,
            rows: vec![0; series.len()],
            heap: Vec::new(),
            compared,
        };
        if heap.ranks.is_none() {
            heap.ranks = heap.ranks();
        }
        heap.heap.reserve_exact(series.len());
        let inputs = (0_u32..).zip(series).filter(|(_, rows)| rows.len() > 0);
        heap.heap.extend(inputs.map(|(at, _)| at));
        if !ascending {
            heap.heap.reverse();
        }
        for at in (0..heap.heap.len() / 2).rev() {
            heap.down(at, heap.heap.len());
        }
        heap
    }

    fn ranks(&self) -> Option<Vec<u32>> {
        let all_tags = self.compared.iter().all(|(_, source)| match source {
            Source::Tag(at) => {
                let mut tags = self.tags.iter();
                tags.all(|tags| matches!(tags.get(*at), Some(Value::String(_))))
            }
            _ => false,
        });
        if !all_tags || self.compared.is_empty() {
            return None;
        }
        let mut order: Vec<u32> = (0..self.tags.len() as u32).collect();
        order.sort_by(|a, b| self.strings(*a, *b));
        let mut ranks = vec![0; order.len()];
        let mut rank = 0;
        for pair in 0..order.len() {
            if pair > 0 && self.strings(order[pair - 1], order[pair]) != Ordering::Equal {
                rank += 1;
            }
            ranks[order[pair] as usize] = rank;
        }
        Some(ranks)
    }

    /// The order of the strings of the current rows of two series; what is no string ends it.
    fn strings(&self, a: u32, b: u32) -> Ordering {
        for (column, source) in &self.compared {
            let text = |series: u32| -> Option<&[u8]> {
                let series = series as usize;
                match source {
                    Source::Tag(at) => match self.tags.get(series)?.get(*at)? {
                        Value::String(text) => Some(text),
                        _ => None,
                    },
                    _ => self.series[series].string(*column, self.rows[series] as usize),
                }
            };
            let (Some(x), Some(y)) = (text(a), text(b)) else {
                return Ordering::Equal;
            };
            match x.cmp(y) {
                Ordering::Equal => {}
                order => return order,
            }
        }
        Ordering::Equal
    }

    fn less(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.heap[a], self.heap[b]);
        let time_ns = |series: u32| {
            let series = series as usize;
            self.series[series].times_ns()[self.rows[series] as usize]
        };
        let order = time_ns(a).cmp(&time_ns(b)).then_with(|| match &self.ranks {
            Some(ranks) => ranks[a as usize].cmp(&ranks[b as usize]),
            None => self.strings(a, b),
        });
        let wanted = if self.ascending {
            Ordering::Less
        } else {
            Ordering::Greater
        };
        order == wanted
    }

    fn down(&mut self, start: usize, len: usize) {
        let mut at = start;
        loop {
            let left = 2 * at + 1;
            if left >= len {
                return;
            }
            let right = left + 1;
            let child = if right < len && self.less(right, left) {
                right
            } else {
                left
            };
            if !self.less(child, at) {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }

    fn up(&mut self, start: usize) {
        let mut at = start;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.less(at, parent) {
                return;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    /// Series and row of the next row.
    pub(super) fn next(&mut self) -> Option<(u32, u32)> {
        let last = self.heap.len().checked_sub(1)?;
        self.heap.swap(0, last);
        self.down(0, last);
        let series = self.heap.pop()?;
        let at = series as usize;
        let row = self.rows[at];
        if (row as usize) + 1 < self.series[at].len() {
            self.rows[at] = row + 1;
            self.heap.push(series);
            self.up(self.heap.len() - 1);
        }
        Some((series, row))
    }
}
