//! Reads the series of some groups once and computes all functions of them.
//!
//! A [`Sweep`] is a task that any thread can run: it has nothing of the plan that is not shared safely.
//! Its result is a state for each group and function. Two threads each take half of the series and the
//! states of groups that both had are merged.

use std::sync::Arc;
use std::thread;

use tandem_influxql::ast::DataType;
use tandem_model::{SeriesId, TimeRange};
use tandem_store::{
    Batch, ColumnSlice, Flow, Order, Segment, Statistics, StoreError, View, Visitor,
};

use super::cells::{Typed, can_be, gather};
use super::figure::{Figure, Kind, Number};
use super::filter::{Filter, Rows};
use super::grid::Grid;
use crate::error::Error;
use crate::meter::Meter;
use crate::paths::{Path, Paths};
use crate::result::Value;

/// A function that is wanted of every group.
#[derive(Clone, Debug)]
pub(super) struct Want {
    pub(super) kind: Kind,
    /// The field among those that are read; `None` where the measurement has no such field.
    pub(super) field: Option<usize>,
    pub(super) data_type: DataType,
    pub(super) range: TimeRange,
    pub(super) keeps_time: bool,
}

/// A series, and which group of the task it belongs to.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) group: usize,
    pub(super) id: SeriesId,
    pub(super) filter: Option<Arc<Filter>>,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    pub(super) view: &'a View,
    pub(super) measurement: &'a [u8],
    pub(super) fields: &'a [Vec<u8>],
    pub(super) wants: &'a [Want],
    /// Each group's series together; those of one group in the order of their keys.
    pub(super) members: &'a [Member],
    pub(super) groups: usize,
    pub(super) meter: &'a Meter<'a>,
    pub(super) paths: &'a Paths,
}

/// The state of one function of one group, by the type of its values.
#[derive(Debug)]
pub(super) enum State {
    Float(Figure<f64>),
    Integer(Figure<i64>),
    Unsigned(Figure<u64>),
    Boolean(Figure<bool>),
}

macro_rules! each {
    ($state:expr, $figure:ident => $body:expr) => {
        match $state {
            State::Float($figure) => $body,
            State::Integer($figure) => $body,
            State::Unsigned($figure) => $body,
            State::Boolean($figure) => $body,
        }
    };
}

impl State {
    fn new(want: &Want, windows: usize) -> Self {
        match want.data_type {
            DataType::Integer => Self::Integer(Figure::new(want.kind, windows)),
            DataType::Unsigned => Self::Unsigned(Figure::new(want.kind, windows)),
            DataType::Boolean => Self::Boolean(Figure::new(want.kind, windows)),
            _ => Self::Float(Figure::new(want.kind, windows)),
        }
    }

    /// What a window comes to.
    pub(super) fn result(&mut self, window: usize) -> Option<(Option<i64>, Value)> {
        each!(self, figure => figure.result(window))
    }

    fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.merge(b),
            (Self::Integer(a), Self::Integer(b)) => a.merge(b),
            (Self::Unsigned(a), Self::Unsigned(b)) => a.merge(b),
            (Self::Boolean(a), Self::Boolean(b)) => a.merge(b),
            _ => {}
        }
    }
}

/// The states of one group, one for each function; none where no series had rows.
pub(super) type States = Vec<Option<Vec<State>>>;

/// Bytes of a window's state, about.
pub(super) const WINDOW_BYTES: usize = 32;

impl Sweep<'_> {
    /// Computes windows `grid` of all groups, from the rows in `range`; by two threads if `shared`.
    pub(super) fn windows(
        &self,
        grid: &Grid,
        range: TimeRange,
        shared: bool,
    ) -> Result<States, Error> {
        let (left, right) = self.halves(shared);
        if right.is_empty() {
            return self.windows_of(&left, grid, range);
        }
        let (ours, theirs) = thread::scope(|scope| {
            let theirs = scope.spawn(|| self.windows_of(&right, grid, range));
            let ours = self.windows_of(&left, grid, range);
            (ours, theirs.join())
        });
        let mut states = ours?;
        let theirs = theirs.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        for (state, other) in states.iter_mut().zip(theirs) {
            match (state.as_mut(), other) {
                (Some(state), Some(other)) => {
                    for (state, other) in state.iter_mut().zip(other) {
                        state.merge(other);
                    }
                }
                (None, other) => *state = other,
                (Some(_), None) => {}
            }
        }
        Ok(states)
    }

    /// The members in one list, or in two by id, so that neighbours in files stay together.
    fn halves(&self, shared: bool) -> (Vec<usize>, Vec<usize>) {
        let mut left: Vec<usize> = (0..self.members.len()).collect();
        if !shared || left.len() < 2 {
            return (left, Vec::new());
        }
        left.sort_unstable_by_key(|at| self.members[*at].id);
        let right = left.split_off(left.len() / 2);
        (left, right)
    }

    fn windows_of(
        &self,
        members: &[usize],
        grid: &Grid,
        range: TimeRange,
    ) -> Result<States, Error> {
        let ids: Vec<SeriesId> = members.iter().map(|at| self.members[*at].id).collect();
        let mut sweeper = Sweeper {
            sweep: self,
            members,
            grid,
            states: (0..self.groups).map(|_| None).collect(),
            has_filters: self.members.iter().any(|member| member.filter.is_some()),
            fits: Vec::new(),
            scratch: Scratch::default(),
            failed: None,
        };
        self.scan(range, Order::Ascending, &ids, &mut sweeper)?;
        match sweeper.failed {
            Some(error) => Err(error),
            None => Ok(sweeper.states),
        }
    }

    pub(super) fn scan(
        &self,
        range: TimeRange,
        order: Order,
        ids: &[SeriesId],
        visitor: &mut dyn Visitor,
    ) -> Result<(), StoreError> {
        let fields: Vec<&[u8]> = self.fields.iter().map(Vec::as_slice).collect();
        self.view
            .scan(self.measurement, &fields, range, order, ids, visitor)
    }
}

/// Buffers for values that cannot be borrowed.
#[derive(Debug, Default)]
struct Scratch {
    floats: (Vec<i64>, Vec<f64>),
    integers: (Vec<i64>, Vec<i64>),
    unsigned: (Vec<i64>, Vec<u64>),
    booleans: (Vec<i64>, Vec<bool>),
}

struct Sweeper<'s> {
    sweep: &'s Sweep<'s>,
    /// The places of the series that are read.
    members: &'s [usize],
    grid: &'s Grid,
    states: States,
    has_filters: bool,
    fits: Vec<bool>,
    scratch: Scratch,
    failed: Option<Error>,
}

impl Sweeper<'_> {
    fn states(&mut self, group: usize) -> &mut Vec<State> {
        let windows = usize::try_from(self.grid.windows).unwrap_or(usize::MAX);
        let wants = self.sweep.wants;
        self.states[group]
            .get_or_insert_with(|| wants.iter().map(|want| State::new(want, windows)).collect())
    }

    fn group(&self, series: usize) -> usize {
        self.sweep.members[self.members[series]].group
    }

    fn take(&mut self, series: usize, batch: &mut Batch<'_, '_>) -> Result<(), Error> {
        let sweep = self.sweep;
        let member = &sweep.members[self.members[series]];
        sweep.meter.count_points(batch.times_ns().len() as u64)?;
        let rows = match &member.filter {
            None => Rows::All,
            Some(filter) => filter.fitting(batch, &mut self.fits)?,
        };
        let rows = match &rows {
            Rows::None => return Ok(()),
            Rows::All => None,
            Rows::Some(rows) => Some(rows.as_slice()),
        };
        for want in sweep.wants {
            if let Some(field) = want.field {
                batch.load(field)?;
            }
            if want.kind.collects() {
                sweep.meter.grow(8 * batch.times_ns().len())?;
            }
        }
        let (grid, mut scratch) = (*self.grid, std::mem::take(&mut self.scratch));
        let states = self.states(member.group);
        for (want, state) in sweep.wants.iter().zip(states) {
            let column = want.field.and_then(|field| batch.column(field));
            let Some(column) = column.filter(|column| can_be(&column.values, want.data_type))
            else {
                continue;
            };
            let times_ns = batch.times_ns();
            let add = (&grid, want, times_ns, &column, rows);
            match state {
                State::Float(figure) if want.kind == Kind::Count => {
                    count(figure, &grid, want, times_ns, &column, rows);
                }
                State::Float(figure) => add_to(figure, add, &mut scratch.floats),
                State::Integer(figure) => add_to(figure, add, &mut scratch.integers),
                State::Unsigned(figure) => add_to(figure, add, &mut scratch.unsigned),
                State::Boolean(figure) => add_to(figure, add, &mut scratch.booleans),
            }
        }
        self.scratch = scratch;
        Ok(())
    }
}

type Add<'s, 'c> = (
    &'s Grid,
    &'s Want,
    &'s [i64],
    &'s ColumnSlice<'c>,
    Option<&'s [u32]>,
);

fn add_to<'s, 'c: 's, T: Number + Typed>(
    figure: &mut Figure<T>,
    (grid, want, times_ns, column, rows): Add<'s, 'c>,
    scratch: &mut (Vec<i64>, Vec<T>),
) {
    let (times_ns, values) = gather(times_ns, column, rows, scratch);
    let from = times_ns.partition_point(|time_ns| *time_ns < want.range.min_ns);
    let to = times_ns.partition_point(|time_ns| *time_ns <= want.range.max_ns);
    if from >= to {
        return;
    }
    let (times_ns, values) = (&times_ns[from..to], &values[from..to]);
    grid.cut(times_ns, |window, rows| {
        let window = window as usize;
        figure.add(window, &times_ns[rows.clone()], &values[rows]);
    });
}

/// Counts the written entries of a column of any type.
fn count(
    figure: &mut Figure<f64>,
    grid: &Grid,
    want: &Want,
    times_ns: &[i64],
    column: &ColumnSlice<'_>,
    rows: Option<&[u32]>,
) {
    let mut written;
    let times_ns = match (column.written, rows) {
        (None, None) => times_ns,
        _ => {
            written = Vec::new();
            let mut push = |row: usize| {
                if column.written.is_none_or(|bits| bits.get(row)) {
                    written.push(times_ns[row]);
                }
            };
            match rows {
                Some(rows) => rows.iter().for_each(|row| push(*row as usize)),
                None => (0..times_ns.len()).for_each(push),
            }
            &written
        }
    };
    let from = times_ns.partition_point(|time_ns| *time_ns < want.range.min_ns);
    let to = times_ns.partition_point(|time_ns| *time_ns <= want.range.max_ns);
    if let Some(times_ns) = times_ns.get(from..to) {
        grid.cut(times_ns, |window, rows| {
            figure.add_count(window as usize, rows.len());
        });
    }
}

impl Visitor for Sweeper<'_> {
    fn wants_statistics(&self, range: TimeRange) -> bool {
        !self.has_filters
            && self.grid.window(range.min_ns) == self.grid.window(range.max_ns)
            && self.sweep.wants.iter().all(|want| {
                Figure::<f64>::takes_statistics(want.kind, want.keeps_time)
                    && want.range.intersect(&range) == range
            })
    }

    fn statistics(&mut self, series: usize, segment: &Segment<'_>) -> bool {
        let wants = self.sweep.wants;
        let of = |want: &Want| -> Option<&Statistics> { *segment.fields.get(want.field?)? };
        let are_enough = wants.iter().all(|want| {
            of(want).is_none_or(|found| {
                // A count of strings that stand for numbers in another shard would be wrong.
                found.count == 0 || has_type(found, want)
            })
        });
        if !are_enough {
            return false;
        }
        if let Err(error) = self.sweep.meter.count_points(segment.rows as u64) {
            self.failed = Some(error);
            return true;
        }
        self.sweep.paths.took(Path::Statistics);
        let window = self.grid.window(segment.range.min_ns) as usize;
        let group = self.group(series);
        for (want, state) in wants.iter().zip(self.states(group)) {
            if let Some(found) = of(want) {
                each!(state, figure => figure.add_statistics(window, found));
            }
        }
        true
    }

    fn rows(&mut self, series: usize, batch: &mut Batch<'_, '_>) -> Result<Flow, StoreError> {
        Ok(match self.take(series, batch) {
            Ok(()) => Flow::On,
            Err(error) => {
                self.failed = Some(error);
                Flow::Stop
            }
        })
    }

    fn flow(&self) -> Flow {
        if self.failed.is_some() {
            Flow::Stop
        } else {
            Flow::On
        }
    }
}

/// Whether statistics are of the type that is wanted, so that they say what the rows would.
pub(super) fn has_type(found: &Statistics, want: &Want) -> bool {
    use tandem_store::Summary;
    matches!(
        (&found.summary, want.data_type),
        (Some(Summary::Float(_)), DataType::Float)
            | (Some(Summary::Integer(_)), DataType::Integer)
            | (Some(Summary::Unsigned(_)), DataType::Unsigned)
    ) || (want.kind == Kind::Count
        && found.summary.is_some()
        && matches!(
            want.data_type,
            DataType::Float | DataType::Integer | DataType::Unsigned
        ))
}
