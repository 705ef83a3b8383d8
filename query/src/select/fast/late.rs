//! The first rows of many series: chosen by their times, and only then read.
//!
//! A limit leaves few of the rows of a group with many series. So each series is read for the times of its first
//! rows alone, its *head*, up to one behind those that may be among the first of all. The heads are merged as whole rows
//! would be, and what is selected is read of the rows that come out. Held are some bytes for each series, and the columns
//! of some thousand rows.
//!
//! What always holds:
//! * Every series has its first row in its head, however late that is, and the row behind each of its rows that may be
//!   among the first: which of two rows with equal times comes first depends on all that is in the heap.
//! * Strings that decide between equal times are in the heads, where they are fields. Where they are tags that all
//!   series have, a rank stands for them.
//! * What is held is asked for before it is made.

use tandem_model::{SeriesId, TimeRange};
use tandem_store::{Batch, Flow, Segment, StoreError, Visitor};

use super::Named;
use super::cells::load;
use super::gather::{Gathered, by_column, emit_rows};
use super::gatherer::{Bound, Failure, Gatherer};
use super::heap::{HEAP_BYTES, Heap, compared};
use super::raw::{Selection, Source, order};
use super::sweep::Member;
use crate::context::Context;
use crate::error::Error;
use crate::meter::{Held, Meter};
use crate::result::{Sink, Value};
use crate::select::groups::PlannedSeries;
use crate::select::{Prepared, header};

/// Rows whose columns are read at once.
const FETCHED_ROWS: usize = 32_768;
/// The same where little is to be done at once.
const FETCHED_ROWS_EAGER: usize = 3;
/// Rows of the first ones of all that are looked for.
const ROWS_MAX: usize = 1 << 17;
/// What whole rows of all series may take so that they are gathered as they are.
const WHOLE_BYTES_MAX: usize = 1 << 20;
/// Series between two looks at whether the query is still wanted.
const SERIES_PER_CHECK: usize = 1_024;
/// About what an allocation takes beside its bytes.
const ALLOCATION_BYTES: usize = 16;
/// What is held for each series beside the rows of its head and its strings: the first times take room for four.
const SERIES_BYTES: usize = size_of::<Member>()
    + size_of::<(usize, SeriesId)>()
    + size_of::<SeriesId>()
    + size_of::<Gathered>()
    + 4 * size_of::<i64>()
    + ALLOCATION_BYTES
    + HEAP_BYTES;

/// Whether whole rows of so many series, up to a limit of each, would be much more than what the limit leaves.
pub(super) fn is_late(
    selection: &Selection<'_>,
    series: usize,
    rows_max: usize,
    prepared: &Prepared,
    context: &Context,
) -> bool {
    if series < 2 || rows_max > ROWS_MAX {
        return false;
    }
    let all = selection.rows_about(series, prepared).max(series as f64);
    let rows = all.min(series as f64 * rows_max as f64);
    let row_bytes = size_of::<i64>() * (selection.columns.len() + 1);
    rows * row_bytes as f64 > WHOLE_BYTES_MAX as f64 || context.paths.is_eager()
}

/// Hands the rows of a group to `sink`, of which `rows_max` are the first that are looked at.
pub(super) fn rows(
    selection: &mut Selection<'_>,
    prepared: &Prepared,
    (key, group): Named<'_>,
    rows_max: usize,
    context: &Context,
    meter: &Meter<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let planned = group.series.get(&selection.leaf.at);
    let planned = planned.map(Vec::as_slice).unwrap_or_default();
    let mut held = Held::new(meter);
    held.grow(planned.len().saturating_mul(SERIES_BYTES))?;
    let members: Vec<Member> = planned
        .iter()
        .map(|planned| selection.member(0, planned))
        .collect();
    let late = Late {
        selection,
        prepared,
        planned,
        context,
        meter,
    };
    let (ranks, tags) = late.ties(&mut held)?;
    let compared = compared(&late.selection.references);
    let is_field = |source: &&Source| matches!(source, Source::Field(..));
    let columns: Vec<Source> = compared.iter().filter(is_field).copied().collect();
    let heads = late.heads(&members, &columns, rows_max, &mut held)?;
    drop(members);

    let options = &prepared.options;
    let references = &late.selection.references;
    let ascending = options.ascending;
    let mut heap = Heap::new(&heads, &tags, &columns, references, ascending, ranks);
    let skip = usize::try_from(options.offset).unwrap_or(usize::MAX);
    for _ in 0..skip {
        if heap.next().is_none() {
            return Ok(());
        }
    }
    let group_by = &prepared.plan.level.group_by;
    let zone = prepared.time_zone.as_deref();
    let head = header(key, group_by, &prepared.columns, zone);
    let at_once = match context.paths.is_eager() {
        true => FETCHED_ROWS_EAGER,
        false => FETCHED_ROWS,
    };
    let mut left = rows_max.saturating_sub(skip);
    while left > 0 {
        let mut held = Held::new(meter);
        let most = left.min(at_once);
        held.grow(most.saturating_mul(2 * size_of::<(u32, i64)>()))?;
        let chosen: Vec<(u32, i64)> = std::iter::from_fn(|| heap.next())
            .take(most)
            .map(|(series, row)| (series, heads[series as usize].times_ns()[row as usize]))
            .collect();
        if chosen.is_empty() {
            break;
        }
        left -= chosen.len();
        late.hand_on(&chosen, &mut |block| Ok(sink.block(&head, block)?))?;
    }
    Ok(())
}

/// What the steps have alike.
struct Late<'s, 'p> {
    selection: &'s Selection<'p>,
    prepared: &'s Prepared,
    planned: &'s [PlannedSeries],
    context: &'s Context,
    meter: &'s Meter<'s>,
}

/// Ranks of all series by the tags that are compared at equal times, or the tags themselves.
type Ties = (Option<Vec<u32>>, Vec<Vec<Value>>);

impl Late<'_, '_> {
    /// What decides between equal times, where tags do.
    fn ties(&self, held: &mut Held<'_>) -> Result<Ties, Error> {
        let compared = compared(&self.selection.references);
        let is_tag = |source: &Source| matches!(source, Source::Tag(_));
        if !compared.iter().any(is_tag) {
            return Ok((None, Vec::new()));
        }
        if compared.iter().all(is_tag)
            && let Some(ranks) = self.ranks(compared)?
        {
            return Ok((Some(ranks), Vec::new()));
        }
        let mut all = Vec::new();
        for (number, planned) in self.planned.iter().enumerate() {
            if number.is_multiple_of(SERIES_PER_CHECK) {
                self.meter.check()?;
            }
            let tags = self.selection.tags_of(planned);
            held.grow(size_of::<Vec<Value>>() + ALLOCATION_BYTES + bytes_of(&tags))?;
            all.push(tags);
        }
        Ok((None, all))
    }

    /// The ranks of the series by their values of some tags; `None` where one has no value.
    fn ranks(&self, compared: &[Source]) -> Result<Option<Vec<u32>>, Error> {
        let names = compared.iter().filter_map(|source| match source {
            Source::Tag(at) => self.selection.tags.get(*at).cloned(),
            _ => None,
        });
        let names: Vec<String> = names.collect();
        let mut held = Held::new(self.meter);
        let mut keyed: Vec<(Vec<Vec<u8>>, u32)> = Vec::new();
        for (number, planned) in (0_u32..).zip(self.planned) {
            if (number as usize).is_multiple_of(SERIES_PER_CHECK) {
                self.meter.check()?;
            }
            let values = self.selection.leaf.tag_values(planned.id, &names);
            if values.iter().any(Vec::is_empty) {
                return Ok(None);
            }
            let texts = values
                .iter()
                .map(|text| size_of::<Vec<u8>>() + ALLOCATION_BYTES + text.len());
            let own = size_of::<(Vec<Vec<u8>>, u32)>() + ALLOCATION_BYTES;
            held.grow(own + texts.sum::<usize>())?;
            keyed.push((values, number));
        }
        keyed.sort_unstable();
        let mut ranks = vec![0; keyed.len()];
        let mut rank = 0;
        let mut last: Option<&Vec<Vec<u8>>> = None;
        for (values, number) in &keyed {
            rank += u32::from(last.is_some_and(|last| last != values));
            last = Some(values);
            ranks[*number as usize] = rank;
        }
        Ok(Some(ranks))
    }

    /// The heads of all series, with these columns.
    fn heads(
        &self,
        members: &[Member],
        columns: &[Source],
        rows_max: usize,
        held: &mut Held<'_>,
    ) -> Result<Vec<Gathered>, Error> {
        let ascending = self.prepared.options.ascending;
        let filtered = members.iter().any(|member| member.filter.is_some());
        let mut gatherer = Gatherer {
            selection: self.selection,
            columns,
            members,
            bound: Some(Bound::new(rows_max, ascending)),
            bytes_max: usize::MAX,
            found: members.iter().map(|_| Gathered::default()).collect(),
            ascending,
            limit: rows_max,
            ends: rows_max == 1 && !filtered,
            filtered,
            flow: Flow::On,
            bytes: 0,
            points: 0,
            fits: Vec::new(),
            meter: self.meter,
            paths: &self.context.paths,
            failed: None,
        };
        let ids: Vec<SeriesId> = members.iter().map(|member| member.id).collect();
        let range = self.prepared.options.range;
        let sweep = self.selection.sweep(members, 1, self.context, self.meter);
        sweep.scan(range, order(self.prepared), &ids, &mut gatherer)?;
        let (found, bytes, points) = (gatherer.found, gatherer.bytes, gatherer.points);
        if let Some(Failure::Error(error)) = gatherer.failed {
            return Err(error);
        }
        // From now on that is for who holds the heads.
        self.meter.shrink(bytes);
        held.grow(bytes)?;
        self.meter.count_points(points)?;
        Ok(found)
    }

    /// Reads what is selected of the rows that were chosen, each a series and a time, and hands them on in this order.
    fn hand_on(
        &self,
        chosen: &[(u32, i64)],
        emit: &mut dyn FnMut(&crate::block::Block<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut held = Held::new(self.meter);
        let row_bytes = 2 * size_of::<(u32, i64)>() + size_of::<(u32, u32)>();
        held.grow(chosen.len().saturating_mul(row_bytes))?;
        // By series, and by time in each.
        let mut wanted = chosen.to_vec();
        wanted.sort_unstable();
        let mut series: Vec<u32> = wanted.iter().map(|(series, _)| *series).collect();
        series.dedup();
        let mut tags = Vec::new();
        for number in &series {
            let own = self.selection.tags_of(&self.planned[*number as usize]);
            // Once by series, and once by column.
            held.grow(size_of::<Vec<Value>>() + ALLOCATION_BYTES + 2 * bytes_of(&own))?;
            tags.push(own);
        }
        held.grow(series.len() * (size_of::<Gathered>() + size_of::<(usize, SeriesId)>()))?;
        let mut fetcher = Fetcher {
            selection: self.selection,
            wanted: series
                .iter()
                .map(|number| {
                    let from = wanted.partition_point(|(series, _)| series < number);
                    let to = wanted.partition_point(|(series, _)| series <= number);
                    &wanted[from..to]
                })
                .collect(),
            found: series.iter().map(|_| Gathered::default()).collect(),
            ascending: self.prepared.options.ascending,
            held,
            failed: None,
        };
        let times_ns = || chosen.iter().map(|(_, time_ns)| *time_ns);
        let (Some(min_ns), Some(max_ns)) = (times_ns().min(), times_ns().max()) else {
            return Ok(());
        };
        let ids: Vec<SeriesId> = series
            .iter()
            .map(|number| self.planned[*number as usize].id)
            .collect();
        let sweep = self.selection.sweep(&[], 1, self.context, self.meter);
        let range = TimeRange::new(min_ns, max_ns);
        sweep.scan(range, order(self.prepared), &ids, &mut fetcher)?;
        if let Some(error) = fetcher.failed {
            return Err(error);
        }
        let found = &fetcher.found;
        // A row that was deleted meanwhile is not there.
        let place = |(number, time_ns): &(u32, i64)| {
            let series = series.binary_search(number).ok()?;
            let key = |time_ns: &i64| match self.prepared.options.ascending {
                true => *time_ns,
                false => !*time_ns,
            };
            let times_ns = found[series].times_ns();
            let row = times_ns.binary_search_by_key(&key(time_ns), key).ok()?;
            Some((series as u32, row as u32))
        };
        let places: Vec<(u32, u32)> = chosen.iter().filter_map(place).collect();
        let columns = &self.selection.columns;
        let tags = by_column(&tags, columns);
        emit_rows(found, &tags, columns, &places, emit)
    }
}

/// What the values of a series' tags take.
fn bytes_of(tags: &[Value]) -> usize {
    let bytes = |value: &Value| size_of::<Value>() + ALLOCATION_BYTES + value.bytes();
    tags.iter().map(bytes).sum()
}

/// Reads what is selected of some rows of some series.
struct Fetcher<'s, 'p> {
    selection: &'s Selection<'p>,
    /// The times of the rows of each series, ascending, with the number of the series.
    wanted: Vec<&'s [(u32, i64)]>,
    found: Vec<Gathered>,
    ascending: bool,
    held: Held<'s>,
    failed: Option<Error>,
}

impl Fetcher<'_, '_> {
    fn take(&mut self, series: usize, batch: &mut Batch<'_, '_>) -> Result<Flow, Error> {
        self.held.meter().check()?;
        let times_ns = batch.times_ns();
        let wanted = self.wanted[series];
        let row = |(_, time_ns): &(u32, i64)| {
            let row = times_ns.binary_search(time_ns).ok()?;
            u32::try_from(row).ok()
        };
        let mut rows: Vec<u32> = wanted.iter().filter_map(row).collect();
        if rows.is_empty() {
            return Ok(Flow::On);
        }
        if !self.ascending {
            rows.reverse();
        }
        for field in &self.selection.shown {
            load(batch, *field)?;
        }
        let columns = &self.selection.columns;
        let found = &mut self.found[series];
        self.held.grow(found.bytes_of(batch, &rows, columns))?;
        found.append(batch, &rows, columns);
        Ok(if found.len() >= wanted.len() {
            Flow::SeriesDone
        } else {
            Flow::On
        })
    }
}

impl Visitor for Fetcher<'_, '_> {
    fn wants_statistics(&self, _: TimeRange) -> bool {
        false
    }

    fn statistics(&mut self, _: usize, _: &Segment<'_>) -> bool {
        false
    }

    fn rows(&mut self, series: usize, batch: &mut Batch<'_, '_>) -> Result<Flow, StoreError> {
        Ok(self.take(series, batch).unwrap_or_else(|error| {
            self.failed = Some(error);
            Flow::Stop
        }))
    }
}
