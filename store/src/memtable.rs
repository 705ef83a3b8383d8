//! Rows that are durable in the WAL and not yet in a block file, of one shard.
//!
//! Each series has runs of rows, row after row: a time and one word for each field of the run's
//! template. A line with another set of fields goes to another run, so rows carry no null masks.
//! Rows arrive in the order of their WAL sequence, and that order alone decides which of two rows
//! with one time wins: of two runs the later one. So a row joins an earlier run only where no
//! later run can hold a value that it would have to replace. A row that repeats the time of the
//! row before it in its run replaces it at once.
//!
//! A word is the bits of the value; a string's word is its place in the memtable's string arena:
//! offset in the upper 32 bits, length in the lower.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use tandem_model::{FieldType, SeriesId, TimeRange};

use crate::rows::{Column, Rows, Validity, Values};
use crate::schema::Template;

/// Overhead charged for a series beside its rows, in bytes: its slot in the table and its run.
const SERIES_BYTES: usize = 112;
/// Overhead charged for a run beside its rows.
const RUN_BYTES: usize = 56;
/// How many runs back a row looks for one of its template.
const RUNS_BACK_MAX: usize = 8;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    series: HashMap<u32, Vec<Run>, FixedState>,
    templates: HashMap<u32, Arc<Template>, FixedState>,
    strings: Vec<u8>,
    bytes: usize,
    rows: u64,
}

#[derive(Debug)]
struct Run {
    template: Arc<Template>,
    words: Vec<u64>,
    max_ns: i64,
    /// True while times ascend strictly.
    sorted: bool,
}

impl Run {
    fn stride(&self) -> usize {
        1 + self.template.fields.len()
    }

    fn rows(&self) -> usize {
        self.words.len() / self.stride()
    }

    fn time_ns(&self, row: usize) -> i64 {
        self.words[row * self.stride()].cast_signed()
    }
}

/// Packs the place of a string into a word.
pub(crate) const fn string_word(offset: usize, len: usize) -> u64 {
    (offset as u64) << 32 | len as u64
}

/// The string that a word points to.
pub(crate) fn string_at(strings: &[u8], word: u64) -> &[u8] {
    let offset = (word >> 32) as usize;
    &strings[offset..offset + (word & 0xffff_ffff) as usize]
}

impl Memtable {
    /// Adds one row. `values` has one word for each field of the template; strings are places in
    /// `strings` and are copied.
    pub(crate) fn insert(
        &mut self,
        series: SeriesId,
        template: &Arc<Template>,
        time_ns: i64,
        values: &[u64],
        strings: &[u8],
    ) {
        debug_assert_eq!(values.len(), template.fields.len());
        if !self.templates.contains_key(&template.id) {
            self.templates.insert(template.id, Arc::clone(template));
        }
        let runs = self.series.entry(series.0).or_insert_with(|| {
            self.bytes += SERIES_BYTES;
            Vec::new()
        });
        let at = run_to_join(runs, template, time_ns).unwrap_or_else(|| {
            self.bytes += RUN_BYTES;
            runs.push(Run {
                template: Arc::clone(template),
                words: Vec::new(),
                max_ns: i64::MIN,
                sorted: true,
            });
            runs.len() - 1
        });
        let run = &mut runs[at];
        run.max_ns = run.max_ns.max(time_ns);
        let stride = run.stride();
        let start = match run.rows() {
            0 => 0,
            rows => {
                let last_ns = run.time_ns(rows - 1);
                if last_ns == time_ns {
                    (rows - 1) * stride
                } else {
                    run.sorted &= last_ns < time_ns;
                    rows * stride
                }
            }
        };
        if start == run.words.len() {
            let before = run.words.capacity();
            run.words.push(time_ns.cast_unsigned());
            run.words.extend_from_slice(values);
            self.bytes += (run.words.capacity() - before) * 8;
            self.rows += 1;
        } else {
            run.words[start + 1..start + stride].copy_from_slice(values);
        }
        for (at, (_, field_type)) in template.fields.iter().enumerate() {
            if *field_type == FieldType::String {
                let text = string_at(strings, values[at]);
                run.words[start + 1 + at] = string_word(self.strings.len(), text.len());
                self.strings.extend_from_slice(text);
                self.bytes += text.len();
            }
        }
    }

    /// Bytes held, near enough for a budget.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The ids of the series that have rows, in no order.
    pub(crate) fn series_ids(&self) -> impl Iterator<Item = SeriesId> {
        self.series.keys().map(|&id| SeriesId(id))
    }

    /// True when the series has rows.
    pub(crate) fn contains(&self, series: SeriesId) -> bool {
        self.series.contains_key(&series.0)
    }

    /// Every template that a row here has.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Arc<Template>> {
        self.templates.values()
    }

    /// The measurement of a series that has rows.
    pub(crate) fn measurement_of(&self, series: SeriesId) -> Option<&Arc<[u8]>> {
        Some(&self.series.get(&series.0)?.first()?.template.measurement)
    }

    /// True when the series has a row in `range`.
    pub(crate) fn has_rows(&self, series: SeriesId, range: TimeRange) -> bool {
        let runs = self.series.get(&series.0);
        runs.into_iter().flatten().any(|run| {
            range == TimeRange::ALL || (0..run.rows()).any(|row| range.contains(run.time_ns(row)))
        })
    }

    /// The rows of a series in `range`, one [`Rows`] for each run, in the order of their
    /// sequence: a later one wins. Columns stand for `fields` in order.
    pub(crate) fn read(&self, series: SeriesId, fields: &[&[u8]], range: TimeRange) -> Vec<Rows> {
        let Some(runs) = self.series.get(&series.0) else {
            return Vec::new();
        };
        runs.iter()
            .map(|run| self.read_run(run, fields, range))
            .filter(|rows| !rows.is_empty())
            .collect()
    }

    fn read_run(&self, run: &Run, fields: &[&[u8]], range: TimeRange) -> Rows {
        let order = rows_in_time_order(run, range);
        if order.is_empty() {
            return Rows::default();
        }
        let stride = run.stride();
        let column = |name: &[u8]| -> Option<Column> {
            let at = run
                .template
                .fields
                .binary_search_by(|(n, _)| (**n).cmp(name))
                .ok()?;
            let words = order
                .iter()
                .map(|&row| run.words[row as usize * stride + 1 + at]);
            let values = match run.template.fields[at].1 {
                FieldType::Float => Values::Float(words.map(f64::from_bits).collect()),
                FieldType::Integer => Values::Integer(words.map(u64::cast_signed).collect()),
                FieldType::Unsigned => Values::Unsigned(words.collect()),
                FieldType::Boolean => Values::Boolean(words.map(|w| w != 0).collect()),
                FieldType::String => {
                    let mut values = Values::new(FieldType::String);
                    if let Values::String(strings) = &mut values {
                        words.for_each(|w| strings.push(string_at(&self.strings, w)));
                    }
                    values
                }
            };
            Some(Column {
                values,
                validity: Validity::All,
            })
        };
        Rows {
            columns: fields.iter().map(|name| column(name)).collect(),
            times_ns: order.iter().map(|&row| run.time_ns(row as usize)).collect(),
        }
    }
}

/// Ranges of time that together hold all rows of a series in some memtables, by time, each with
/// at most `rows_max` different times, or one.
pub(crate) fn slices<'a>(
    tables: impl Iterator<Item = &'a Memtable>,
    series: SeriesId,
    rows_max: usize,
) -> Vec<TimeRange> {
    let runs: Vec<&Run> = tables
        .filter_map(|table| table.series.get(&series.0))
        .flatten()
        .collect();
    if runs.is_empty() {
        return Vec::new();
    }
    if runs.iter().map(|run| run.rows()).sum::<usize>() <= rows_max {
        return vec![TimeRange::ALL];
    }
    let mut times_ns: Vec<i64> = runs
        .iter()
        .flat_map(|run| (0..run.rows()).map(|row| run.time_ns(row)))
        .collect();
    times_ns.sort_unstable();
    times_ns.dedup();
    times_ns
        .chunks(rows_max.max(1))
        .map(|chunk| TimeRange::new(chunk[0], chunk[chunk.len() - 1]))
        .collect()
}

/// The newest run of this template that the row may join without changing who wins.
fn run_to_join(runs: &[Run], template: &Template, time_ns: i64) -> Option<usize> {
    for (at, run) in runs.iter().enumerate().rev().take(RUNS_BACK_MAX) {
        if run.template.id == template.id {
            return Some(at);
        }
        if time_ns <= run.max_ns && !run.template.is_disjoint(template) {
            return None;
        }
    }
    None
}

/// The rows of a run inside `range`, by time, each time once: of equal times the last.
fn rows_in_time_order(run: &Run, range: TimeRange) -> Vec<u32> {
    let rows = u32::try_from(run.rows()).unwrap_or(u32::MAX);
    let mut order: Vec<u32> = (0..rows)
        .filter(|&row| range.contains(run.time_ns(row as usize)))
        .collect();
    if !run.sorted {
        order.sort_by_key(|&row| run.time_ns(row as usize));
        // Keep the last of each run of equal times: reversed, `dedup` keeps the first.
        order.reverse();
        order.dedup_by_key(|row| run.time_ns(*row as usize));
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schemas;

    fn template(fields: &[(&str, FieldType)]) -> Arc<Template> {
        let fields = fields
            .iter()
            .map(|&(n, t)| (Arc::from(n.as_bytes()), t))
            .collect();
        Schemas::default().template(b"m", fields)
    }

    #[test]
    fn the_last_of_equal_times_wins_also_out_of_order() {
        let t = template(&[("v", FieldType::Integer)]);
        let mut table = Memtable::default();
        for (time_ns, v) in [(5, 1), (5, 2), (3, 3), (9, 4), (3, 5), (5, 6)] {
            table.insert(SeriesId(0), &t, time_ns, &[v], b"");
        }
        let rows = table.read(SeriesId(0), &[b"v", b"w"], TimeRange::ALL);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].times_ns, [3, 5, 9]);
        let v = rows[0].columns[0].as_ref().unwrap();
        assert_eq!(v.values, Values::Integer(vec![5, 6, 4]));
        assert!(rows[0].columns[1].is_none());
        let some = table.read(SeriesId(0), &[b"v"], TimeRange::new(4, 5));
        assert_eq!(some[0].times_ns, [5]);
        assert!(
            table
                .read(SeriesId(0), &[b"v"], TimeRange::new(6, 8))
                .is_empty()
        );
    }

    #[test]
    fn lines_that_alternate_share_runs_and_sequence_still_decides() {
        let schemas = Schemas::default();
        let make = |names: &[&str]| {
            let fields = names
                .iter()
                .map(|n| (Arc::from(n.as_bytes()), FieldType::Integer))
                .collect();
            schemas.template(b"m", fields)
        };
        let (a, b, ab) = (make(&["a"]), make(&["b"]), make(&["a", "b"]));
        let mut table = Memtable::default();
        for time_ns in 0..10 {
            table.insert(SeriesId(0), &a, time_ns, &[1], b"");
            table.insert(SeriesId(0), &b, time_ns, &[2], b"");
        }
        assert_eq!(table.read(SeriesId(0), &[b"a"], TimeRange::ALL).len(), 2);
        table.insert(SeriesId(0), &ab, 4, &[7, 7], b"");
        table.insert(SeriesId(0), &a, 4, &[8], b"");
        let runs = table.read(SeriesId(0), &[b"a", b"b"], TimeRange::new(4, 4));
        let rows = crate::merge::merge(runs, 2);
        let get = |at: usize| rows.columns[at].as_ref().and_then(|c| c.get(0));
        assert_eq!(get(0), Some(tandem_model::FieldValue::Integer(8)));
        assert_eq!(get(1), Some(tandem_model::FieldValue::Integer(7)));
    }

    #[test]
    fn slices_hold_every_row_once() {
        let t = template(&[("v", FieldType::Integer)]);
        let mut table = Memtable::default();
        for time_ns in [9, 3, 7, 1, 3, 5, 8] {
            table.insert(SeriesId(0), &t, time_ns, &[1], b"");
        }
        let slices = |rows_max| slices([&table].into_iter(), SeriesId(0), rows_max);
        let expected = [(1, 3), (5, 7), (8, 9)].map(|(a, b)| TimeRange::new(a, b));
        assert_eq!(slices(2), expected);
        assert_eq!(slices(7), [TimeRange::ALL]);
        assert_eq!(slices(0).len(), 6);
    }

    #[test]
    fn strings_are_copied_and_replaced() {
        let t = template(&[("s", FieldType::String)]);
        let mut table = Memtable::default();
        table.insert(SeriesId(3), &t, 1, &[string_word(1, 2)], b"xab");
        table.insert(SeriesId(3), &t, 1, &[string_word(0, 0)], b"");
        table.insert(SeriesId(3), &t, 2, &[string_word(0, 3)], b"cde");
        let rows = table.read(SeriesId(3), &[b"s"], TimeRange::ALL);
        let column = rows[0].columns[0].as_ref().unwrap();
        let Values::String(strings) = &column.values else {
            panic!("a string column")
        };
        assert_eq!(strings.iter().collect::<Vec<_>>(), [b"".as_slice(), b"cde"]);
    }
}
