//! Rows as they are: fields and tags that are selected without functions go from columns to the sink.
//!
//! * A group of one series streams: each batch of its rows is a block, and nothing is copied.
//! * Groups of several series, and all groups of a statement with a limit, are gathered first: the rows that
//!   fit, up to the limit, in columns for each series. Then the series of a group are merged as the plain executor
//!   merges them. What would not fit into [`GATHERED_BYTES_MAX`] goes the plain way.
//!
//! * A group of so many series that a limit leaves few of their rows is read for times first (`late`).
//!
//! With a condition on fields only its fields are decoded until rows fit. The first or the last row alone is
//! taken from the statistics of a page where they tell it.

use tandem_influxql::ast::{DataType, Fill, VarRef};
use tandem_model::{SeriesId, TimeRange};
use tandem_store::{Batch, Flow, Order, Segment, StoreError, ValuesSlice, Visitor};

use super::Named;
use super::cells::{cast_cell, is_of, is_written, load};
use super::filter::{Filter, Filters, Rows};
use super::gather::{Gathered, merged};
use super::gatherer::{Failure, GATHERED_BYTES_MAX, Gatherer};
use super::job::only_leaf;
use super::late;
use super::sweep::{Member, Sweep};
use crate::block::{Block, Cells};
use crate::context::Context;
use crate::error::Error;
use crate::meter::Meter;
use crate::paths::Path;
use crate::result::{Series, Sink, Value};
use crate::scalar::Scalar;
use crate::select::groups::PlannedSeries;
use crate::select::names::Names;
use crate::select::plan::Leaf;
use crate::select::{Prepared, header, rename};

/// Series that are gathered at once.
const GATHERED_SERIES_MAX: usize = 4_096;

/// Where the values of a column come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    /// A field, by its place among those that are read, and its type.
    Field(usize, DataType),
    /// A tag, by its place among those of the columns.
    Tag(usize),
    /// Nowhere.
    Nothing,
}

/// What is selected of one measurement.
pub(super) struct Selection<'p> {
    pub(super) leaf: &'p Leaf,
    fields: Names,
    pub(super) tags: Vec<String>,
    /// One for each column.
    pub(super) columns: Vec<Source>,
    /// One for each reference, in the order in which the plain executor compares strings at equal times.
    pub(super) references: Vec<Source>,
    /// The fields that columns are made of.
    pub(super) shown: Vec<usize>,
    filters: Filters,
}

/// Whether the statement is one of these.
pub(super) fn is_raw(prepared: &Prepared, context: &Context) -> bool {
    let level = &prepared.plan.level;
    let has_default = matches!(prepared.options.fill, Fill::Number(_) | Fill::Previous);
    let is_slot = |scalar: &Scalar| matches!(scalar, Scalar::Slot(_));
    !context.paths.is_plain()
        && level.calls.is_empty()
        && level.compiled.into.is_none()
        && !has_default
        && level.outputs.iter().all(|output| is_slot(&output.scalar))
        && level.references.iter().any(|r| r.data_type.is_some())
}

/// Hands the rows of the first of `groups`, or of several of them, to `sink`; returns of how many. 0 where
/// the first has to go the plain way.
pub(super) fn rows(
    prepared: &Prepared,
    groups: &[Named<'_>],
    context: &Context,
    meter: &Meter<'_>,
    sink: &mut dyn Sink,
) -> Result<usize, Error> {
    let Some((_, group)) = groups.first() else {
        return Ok(0);
    };
    let Some(leaf) = only_leaf(prepared, group) else {
        return Ok(0);
    };
    let Some(mut selection) = Selection::new(prepared, leaf) else {
        return Ok(0);
    };
    let series_of = |group: &Named<'_>| group.1.series.get(&leaf.at).map_or(0, Vec::len);
    let limit = rows_max(prepared);
    if limit.is_none() && series_of(&groups[0]) == 1 {
        context.paths.took(Path::Columns);
        selection.stream(prepared, groups[0], context, meter, sink)?;
        return Ok(1);
    }
    if let Some(rows_max) = limit
        && late::is_late(
            &selection,
            series_of(&groups[0]),
            rows_max,
            prepared,
            context,
        )
    {
        context.paths.took(Path::Late);
        late::rows(
            &mut selection,
            prepared,
            groups[0],
            rows_max,
            context,
            meter,
            sink,
        )?;
        return Ok(1);
    }
    // Without a limit only one group, since all of its rows may be gathered.
    let mut count = 1;
    if limit.is_some() {
        let mut series = series_of(&groups[0]);
        for group in &groups[1..] {
            series += series_of(group);
            let same = only_leaf(prepared, group.1).is_some_and(|other| other.at == leaf.at);
            if !same || series > GATHERED_SERIES_MAX {
                break;
            }
            count += 1;
        }
    }
    let done = selection.gather(prepared, &groups[..count], limit, context, meter, sink)?;
    if !done {
        return Ok(0);
    }
    context.paths.took(Path::Columns);
    Ok(count)
}

/// How many rows of a series are enough.
fn rows_max(prepared: &Prepared) -> Option<usize> {
    let options = &prepared.options;
    let rows = options.limit.checked_add(options.offset)?;
    usize::try_from(rows).ok().filter(|_| options.limit > 0)
}

pub(super) fn order(prepared: &Prepared) -> Order {
    if prepared.options.ascending {
        Order::Ascending
    } else {
        Order::Descending
    }
}

impl<'p> Selection<'p> {
    /// What the references of the statement are in `leaf`; `None` where no row of it can be a row of the
    /// result.
    fn new(prepared: &Prepared, leaf: &'p Leaf) -> Option<Self> {
        let level = &prepared.plan.level;
        let mut selection = Self {
            leaf,
            fields: Names::default(),
            tags: Vec::new(),
            columns: Vec::new(),
            references: Vec::new(),
            shown: Vec::new(),
            filters: Filters::default(),
        };
        let references: Vec<Source> = level
            .references
            .iter()
            .map(|reference| selection.source(&reference.what))
            .collect::<Option<_>>()?;
        for output in &level.outputs {
            let Scalar::Slot(slot) = &output.scalar else {
                return None;
            };
            // They mostly stand in one order.
            let next = selection.columns.len();
            let at = match level.references.get(next) {
                Some(reference) if reference.slot == *slot => next,
                _ => level.references.iter().position(|r| r.slot == *slot)?,
            };
            selection.columns.push(references[at]);
        }
        selection.shown = (0..selection.fields.len()).collect();
        selection.references = references;
        (!selection.fields.is_empty()).then_some(selection)
    }

    /// As the plain executor's scan finds it; `None` where it cannot be told before a row is read.
    fn source(&mut self, reference: &VarRef) -> Option<Source> {
        let is_field = reference.data_type != Some(DataType::Tag)
            && self.leaf.measurement.field(&reference.name).is_some();
        if is_field {
            let data_type = reference.data_type.filter(|t| *t != DataType::AnyField)?;
            let at = self.field(&reference.name);
            return Some(Source::Field(at, data_type));
        }
        Some(match reference.data_type {
            None | Some(DataType::Tag) => {
                self.tags.push(reference.name.clone());
                Source::Tag(self.tags.len() - 1)
            }
            Some(_) => Source::Nothing,
        })
    }

    fn field(&mut self, name: &str) -> usize {
        self.fields.place(name.as_bytes())
    }

    pub(super) fn member(&mut self, group: usize, planned: &PlannedSeries) -> Member {
        let leaf = self.leaf;
        let mut filters = std::mem::take(&mut self.filters);
        let filter = filters.of(leaf, planned, &mut |name| self.field(name));
        self.filters = filters;
        Member {
            group,
            id: planned.id,
            filter,
        }
    }

    /// The values of the columns' tags in a series.
    pub(super) fn tags_of(&self, planned: &PlannedSeries) -> Vec<Value> {
        self.leaf.tags(planned.id, &self.tags)
    }

    pub(super) fn sweep<'s>(
        &'s self,
        members: &'s [Member],
        groups: usize,
        context: &'s Context,
        meter: &'s Meter<'s>,
    ) -> Sweep<'s> {
        Sweep {
            view: &self.leaf.measurement.view,
            measurement: &self.leaf.measurement.name,
            fields: &self.fields,
            wants: &[],
            members,
            groups,
            meter,
            paths: &context.paths,
        }
    }

    /// Streams the rows of a group of one series.
    fn stream(
        &mut self,
        prepared: &Prepared,
        (key, group): Named<'_>,
        context: &Context,
        meter: &Meter<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let Some([planned]) = group.series.get(&self.leaf.at).map(Vec::as_slice) else {
            return Ok(());
        };
        let members = [self.member(0, planned)];
        let (tags, this) = (self.tags_of(planned), &*self);
        let group_by = &prepared.plan.level.group_by;
        let head = header(
            key,
            group_by,
            &prepared.columns,
            prepared.time_zone.as_deref(),
        );
        let mut streamer = Streamer {
            selection: this,
            filter: members[0].filter.as_deref(),
            tags: &tags,
            head: &head,
            ascending: prepared.options.ascending,
            skip: usize::try_from(prepared.options.offset).unwrap_or(usize::MAX),
            fits: Vec::new(),
            meter,
            sink,
            failed: None,
        };
        let sweep = this.sweep(&members, 1, context, meter);
        let ids = [members[0].id];
        sweep.scan(prepared.options.range, order(prepared), &ids, &mut streamer)?;
        streamer.failed.map_or(Ok(()), Err)
    }

    /// Gathers the rows of some groups and hands them on; false when they are too many, and then nothing
    /// was handed on.
    fn gather(
        &mut self,
        prepared: &Prepared,
        groups: &[Named<'_>],
        limit: Option<usize>,
        context: &Context,
        meter: &Meter<'_>,
        sink: &mut dyn Sink,
    ) -> Result<bool, Error> {
        let (mut members, mut tags) = (Vec::new(), Vec::new());
        for (number, (_, group)) in groups.iter().enumerate() {
            for planned in group.series.get(&self.leaf.at).into_iter().flatten() {
                members.push(self.member(number, planned));
                tags.push(self.tags_of(planned));
            }
        }
        let this = &*self;
        if this.is_too_much(&members, limit, prepared) {
            return Ok(false);
        }
        let filtered = members.iter().any(|member| member.filter.is_some());
        let mut gatherer = Gatherer {
            selection: this,
            columns: &this.columns,
            members: &members,
            bound: None,
            bytes_max: GATHERED_BYTES_MAX,
            found: members.iter().map(|_| Gathered::default()).collect(),
            ascending: prepared.options.ascending,
            limit: limit.unwrap_or(usize::MAX),
            ends: limit == Some(1) && !filtered,
            filtered,
            flow: Flow::On,
            bytes: 0,
            points: 0,
            fits: Vec::new(),
            meter,
            paths: &context.paths,
            failed: None,
        };
        let sweep = this.sweep(&members, groups.len(), context, meter);
        let ids: Vec<SeriesId> = members.iter().map(|member| member.id).collect();
        sweep.scan(prepared.options.range, order(prepared), &ids, &mut gatherer)?;
        let (found, bytes, points) = (gatherer.found, gatherer.bytes, gatherer.points);
        match gatherer.failed {
            Some(Failure::TooMuch) => {
                meter.shrink(bytes);
                return Ok(false);
            }
            Some(Failure::Error(error)) => return Err(error),
            None => meter.count_points(points)?,
        }
        let group_by = &prepared.plan.level.group_by;
        let mut first = 0;
        let mut head: Option<Series> = None;
        for (number, (key, _)) in groups.iter().enumerate() {
            let own = members[first..].iter();
            let own = first..first + own.take_while(|member| member.group == number).count();
            first = own.end;
            let zone = prepared.time_zone.as_deref();
            if let Some(head) = &mut head {
                rename(head, key, group_by);
            }
            let head = &*head.get_or_insert_with(|| header(key, group_by, &prepared.columns, zone));
            merged(
                &found[own.clone()],
                &tags[own],
                &this.columns,
                &this.references,
                &prepared.options,
                &mut |block| {
                    meter.check()?;
                    Ok(sink.block(head, block)?)
                },
            )?;
        }
        meter.shrink(bytes);
        Ok(true)
    }

    /// Whether so much would be gathered that it is not worth trying.
    fn is_too_much(&self, members: &[Member], limit: Option<usize>, prepared: &Prepared) -> bool {
        let is_filtered = members.iter().all(|member| member.filter.is_some());
        if limit.is_some_and(|limit| limit <= 10_000) || is_filtered {
            return false;
        }
        let rows = self.rows_about(members.len(), prepared);
        rows * (self.columns.len() + 1) as f64 * 8.0 > GATHERED_BYTES_MAX as f64 / 2.0
    }

    /// About how many rows so many series have in files.
    pub(super) fn rows_about(&self, series: usize, prepared: &Prepared) -> f64 {
        let view = &self.leaf.measurement.view;
        let name = &self.leaf.measurement.name;
        let part = series as f64 / view.series_count(name).max(1) as f64;
        let range = prepared.options.range.intersect(&view.extent());
        view.rows_about(name, range) as f64 * part
    }
}

/// The rows of a batch that fit a condition and have a value in one of the columns. Of these only as many are loaded as
/// it takes to know that.
pub(super) fn rows_of(
    selection: &Selection<'_>,
    filter: Option<&Filter>,
    batch: &mut Batch<'_, '_>,
    fits: &mut Vec<bool>,
) -> Result<Rows, StoreError> {
    let rows = match filter {
        None => Rows::All,
        Some(filter) => filter.fitting(batch, fits)?,
    };
    if matches!(rows, Rows::None) {
        return Ok(rows);
    }
    for source in &selection.references {
        let Source::Field(field, data_type) = source else {
            continue;
        };
        load(batch, *field)?;
        let is_whole = batch
            .column(*field)
            .is_some_and(|column| column.written.is_none() && is_of(&column.values, *data_type));
        if is_whole {
            return Ok(rows);
        }
    }
    let columns = selection
        .references
        .iter()
        .filter_map(|source| match source {
            Source::Field(field, data_type) => Some((batch.column(*field)?, *data_type)),
            _ => None,
        });
    let columns: Vec<_> = columns.collect();
    let has_value = |row: &u32| {
        columns.iter().any(|(column, data_type)| {
            let row = *row as usize;
            is_written(column, row)
                && (is_of(&column.values, *data_type)
                    || cast_cell(Some(column), row, Some(*data_type)) != Value::Null)
        })
    };
    let rows: Vec<u32> = match rows {
        Rows::Some(rows) => rows.into_iter().filter(has_value).collect(),
        _ => (0..batch.times_ns().len() as u32)
            .filter(has_value)
            .collect(),
    };
    Ok(if rows.is_empty() {
        Rows::None
    } else {
        Rows::Some(rows)
    })
}

/// Hands on batches of one series as they are.
struct Streamer<'s, 'p> {
    selection: &'s Selection<'p>,
    filter: Option<&'s Filter>,
    tags: &'s [Value],
    head: &'s Series,
    ascending: bool,
    /// Rows to leave out.
    skip: usize,
    fits: Vec<bool>,
    meter: &'s Meter<'s>,
    sink: &'s mut dyn Sink,
    failed: Option<Error>,
}

impl Streamer<'_, '_> {
    fn take(&mut self, batch: &mut Batch<'_, '_>) -> Result<(), Error> {
        self.meter.check()?;
        self.meter.count_points(batch.times_ns().len() as u64)?;
        let rows = rows_of(self.selection, self.filter, batch, &mut self.fits)?;
        if !matches!(rows, Rows::None) {
            for field in &self.selection.shown {
                load(batch, *field)?;
            }
        }
        let count = match &rows {
            Rows::None => 0,
            Rows::All => batch.times_ns().len(),
            Rows::Some(rows) => rows.len(),
        };
        let skipped = self.skip.min(count);
        self.skip -= skipped;
        if skipped == count {
            return Ok(());
        }
        let is_plain = self.ascending && skipped == 0;
        let rows: Option<Vec<u32>> = match rows {
            Rows::All if is_plain => None,
            Rows::Some(rows) if is_plain => Some(rows),
            rows => {
                let mut rows = match rows {
                    Rows::Some(rows) => rows,
                    _ => (0..count as u32).collect(),
                };
                if !self.ascending {
                    rows.reverse();
                }
                rows.drain(..skipped);
                Some(rows)
            }
        };
        // Values of shards that have a field under another type.
        let mut cast: Vec<Vec<Value>> = Vec::new();
        let columns = &self.selection.columns;
        for source in columns {
            cast.push(match source {
                Source::Field(field, data_type) => match batch.column(*field) {
                    Some(column) if !is_of(&column.values, *data_type) => {
                        (0..batch.times_ns().len())
                            .map(|row| cast_cell(Some(&column), row, Some(*data_type)))
                            .collect()
                    }
                    _ => Vec::new(),
                },
                _ => Vec::new(),
            });
        }
        let cells: Vec<Cells<'_>> = columns
            .iter()
            .zip(&cast)
            .map(|(source, cast)| match source {
                Source::Tag(at) => Cells::Constant(&self.tags[*at]),
                Source::Nothing => Cells::Constant(&Value::Null),
                Source::Field(..) if !cast.is_empty() => Cells::Values(cast),
                Source::Field(field, _) => match batch.column(*field) {
                    None => Cells::Constant(&Value::Null),
                    Some(column) => match column.values {
                        ValuesSlice::Float(v) => Cells::Float(v, column.written),
                        ValuesSlice::Integer(v) => Cells::Integer(v, column.written),
                        ValuesSlice::Unsigned(v) => Cells::Unsigned(v, column.written),
                        ValuesSlice::Boolean(v) => Cells::Boolean(v, column.written),
                        ValuesSlice::String { strings, first } => Cells::String {
                            strings,
                            first,
                            written: column.written,
                        },
                    },
                },
            })
            .collect();
        let block = Block {
            times_ns: batch.times_ns(),
            rows: rows.as_deref(),
            columns: &cells,
        };
        Ok(self.sink.block(self.head, &block)?)
    }
}

impl Visitor for Streamer<'_, '_> {
    fn wants_statistics(&self, _: TimeRange) -> bool {
        false
    }

    fn statistics(&mut self, _: usize, _: &Segment<'_>) -> bool {
        false
    }

    fn rows(&mut self, _: usize, batch: &mut Batch<'_, '_>) -> Result<Flow, StoreError> {
        Ok(match self.take(batch) {
            Ok(()) => Flow::On,
            Err(error) => {
                self.failed = Some(error);
                Flow::Stop
            }
        })
    }
}
