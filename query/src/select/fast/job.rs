//! Computes functions of several groups at once, from one pass over their series.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::OnceLock;
use std::thread;

use tandem_model::TimeRange;
use tandem_store::Order;

use super::demand::{Demand, Kernels};
use super::figure::Kind;
use super::filter::Filters;
use super::grid::Grid;
use super::lines::Lines;
use super::serve::{Ready, Served, Slabs, drain};
use super::sweep::{Member, Sweep, WINDOW_BYTES, Want};
use super::{Named, Taker, ends};
use crate::context::Context;
use crate::error::Error;
use crate::meter::{Held, Meter};
use crate::paths::Path;
use crate::result::Value;
use crate::select::Prepared;
use crate::select::aggregate::Aggregate;
use crate::select::groups::Group;
use crate::select::limit::first;
use crate::select::merge::by_time;
use crate::select::names::Names;
use crate::select::plan::{Leaf, PlannedSource};
use crate::select::point::{Point, Stream, Tags};
use crate::select::reduce::{reduced, reduced_and_stamped};

/// Windows of all functions and groups that are computed at once.
const CELLS_MAX: u64 = 1 << 18;
/// The same where little is to be done at once.
const CELLS_MAX_EAGER: u64 = 100;
/// Series that are read at once.
const MEMBERS_MAX: usize = 1 << 16;
/// Values to be read from which on two threads are worth their start.
const SHARED_VALUES_MIN: u64 = 300_000;

/// Some groups whose functions are computed together.
pub(super) struct Job<'p> {
    prepared: &'p Prepared,
    pub(super) groups: &'p [Named<'p>],
    leaf: &'p Leaf,
    demands: &'p [Demand],
    context: &'p Context,
    meter: &'p Meter<'p>,
    fields: Names,
    wants: Vec<Want>,
    pub(super) members: Vec<Member>,
    grid: Grid,
    /// What is read.
    range: TimeRange,
    pub(super) lazy: bool,
}

impl<'p> Job<'p> {
    /// The job of the first of `groups` and of as many of the next as fit; `None` where the first has to
    /// go the plain way.
    pub(super) fn new(
        prepared: &'p Prepared,
        groups: &'p [Named<'p>],
        demands: &'p [Demand],
        context: &'p Context,
        meter: &'p Meter<'p>,
    ) -> Result<Option<Self>, Error> {
        let (Some(demand), Some((_, group))) = (demands.first(), groups.first()) else {
            return Ok(None);
        };
        let Some(leaf) = only_leaf(prepared, group) else {
            return Ok(None);
        };
        let view = &leaf.measurement.view;
        let ranges = demands.iter().map(|demand| demand.options.range);
        let asked =
            ranges.reduce(|a, b| TimeRange::new(a.min_ns.min(b.min_ns), a.max_ns.max(b.max_ns)));
        let range = asked
            .unwrap_or(prepared.options.range)
            .intersect(&view.extent());
        let grid = if range.is_empty() {
            None
        } else {
            Grid::new(&demand.options, range)
        };
        let Some(grid) = grid else {
            return Ok(None);
        };
        let cells = grid.windows.saturating_mul(demands.len() as u64);
        let options = &prepared.options;
        let cells_max = cells_max(context);
        let lazy = grid.windows > 1 && (options.limit > 0 || cells > cells_max);
        let groups_max = if lazy { 1 } else { (cells_max / cells).max(1) };

        let mut fields = Names::default();
        let mut field = |name: &str| fields.place(name.as_bytes());
        let wants = demands
            .iter()
            .map(|demand| Want {
                kind: demand.kind,
                field: leaf
                    .measurement
                    .field(&demand.field)
                    .map(|_| field(&demand.field)),
                data_type: demand.data_type,
                range: demand.options.range,
                keeps_time: demand.keeps_time,
            })
            .collect();
        let mut members = Vec::new();
        let mut filters = Filters::default();
        let mut count = 0;
        for (_, group) in groups {
            let Some(series) = group
                .series
                .get(&leaf.at)
                .filter(|_| group.series.len() == 1)
            else {
                break;
            };
            let is_full = count as u64 >= groups_max || members.len() + series.len() > MEMBERS_MAX;
            if count > 0 && is_full {
                break;
            }
            for planned in series {
                members.push(Member {
                    group: count,
                    id: planned.id,
                    filter: filters.of(leaf, planned, &mut field),
                });
            }
            count += 1;
        }
        Ok(Some(Self {
            prepared,
            groups: &groups[..count],
            leaf,
            demands,
            context,
            meter,
            fields,
            wants,
            members,
            grid,
            range,
            lazy,
        }))
    }

    /// Whether there is enough to read for two threads.
    pub(super) fn is_shared(&self) -> bool {
        let view = &self.leaf.measurement.view;
        let name = &self.leaf.measurement.name;
        let series = view.series_count(name).max(1);
        let members = self.members.len() as u64;
        if members < 2 || self.meter.is_hasty() || processors() < 2 {
            return false;
        }
        let rows = view.rows_about(name, self.range) as f64;
        let part = (members.min(series)) as f64 / series as f64;
        let values = rows * part * self.fields.len() as f64;
        values as u64 >= SHARED_VALUES_MIN || self.context.paths.is_eager()
    }

    fn sweep<'s>(&'s self, wants: &'s [Want]) -> Sweep<'s> {
        Sweep {
            view: &self.leaf.measurement.view,
            measurement: &self.leaf.measurement.name,
            fields: &self.fields,
            wants,
            members: &self.members,
            groups: self.groups.len(),
            meter: self.meter,
            paths: &self.context.paths,
        }
    }

    /// Hands the rows of each group to `taker`.
    pub(super) fn lines(&self, lines: &Lines, taker: &mut dyn Taker) -> Result<(), Error> {
        let mut held = Held::new(self.meter);
        held.grow(self.members.len() * size_of::<Member>())?;
        let cells = self.grid.windows as usize * self.demands.len() * self.groups.len();
        held.grow(cells * WINDOW_BYTES)?;
        let shared = self.is_shared();
        if shared {
            self.context.paths.took(Path::Threads);
        }
        self.context.paths.took(Path::Windows);
        self.context.paths.took(Path::Lines);
        let sweep = self.sweep(&self.wants);
        let states = sweep.windows(&self.grid, self.range, shared)?;
        for ((key, _), states) in self.groups.iter().zip(states) {
            if let Some(mut states) = states {
                lines.emit(&mut states, &self.grid, self.meter, &mut |block| {
                    taker.block(key, block)
                })?;
            }
        }
        Ok(())
    }

    /// Calls `visit` with each group and its results.
    pub(super) fn run(
        &self,
        visit: &mut dyn FnMut(Named<'_>, &dyn Kernels) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut held = Held::new(self.meter);
        held.grow(self.members.len() * size_of::<Member>())?;
        let shared = self.is_shared();
        if shared {
            self.context.paths.took(Path::Threads);
        }
        if self.lazy {
            return self.run_lazily(shared, visit);
        }
        let is_end = |at: &usize| self.demands[*at].is_end;
        let (ends, windows): (Vec<usize>, Vec<usize>) = (0..self.demands.len()).partition(is_end);
        let cells = self.grid.windows as usize * windows.len() * self.groups.len();
        held.grow(cells * WINDOW_BYTES)?;
        let mut queues = vec![vec![VecDeque::new(); self.demands.len()]; self.groups.len()];
        if !windows.is_empty() {
            self.context.paths.took(Path::Windows);
            self.windows(&windows, shared, &mut queues)?;
        }
        for kind in [Kind::First, Kind::Last] {
            let of_kind: Vec<usize> = ends
                .iter()
                .copied()
                .filter(|at| self.demands[*at].kind == kind)
                .collect();
            if !of_kind.is_empty() {
                self.context.paths.took(Path::Ends);
                self.ends(&of_kind, kind, &mut queues)?;
            }
        }
        for (named, queues) in self.groups.iter().zip(queues) {
            visit(*named, &Served::ready(self.demands, queues))?;
        }
        Ok(())
    }

    fn run_lazily(
        &self,
        shared: bool,
        visit: &mut dyn FnMut(Named<'_>, &dyn Kernels) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let windows_max = (cells_max(self.context) / self.wants.len().max(1) as u64).max(1);
        let mut held = Held::new(self.meter);
        let windows = self.grid.windows.min(windows_max) as usize;
        held.grow(windows * self.wants.len() * WINDOW_BYTES)?;
        for named in self.groups {
            self.context.paths.took(Path::Slabs);
            let slabs = Slabs::new(
                self.sweep(&self.wants),
                self.grid,
                self.range,
                &self.prepared.options,
                tags(named),
                shared,
                windows_max,
            );
            visit(*named, &Served::lazy(self.demands, slabs))?;
        }
        Ok(())
    }

    fn windows(
        &self,
        demands: &[usize],
        shared: bool,
        queues: &mut [Vec<VecDeque<Point>>],
    ) -> Result<(), Error> {
        let wants: Vec<Want> = demands.iter().map(|at| self.wants[*at].clone()).collect();
        let states = self.sweep(&wants).windows(&self.grid, self.range, shared)?;
        let ascending = self.prepared.options.ascending;
        for ((states, queues), named) in states.into_iter().zip(queues).zip(self.groups) {
            let tags = tags(named);
            for (mut state, at) in states.into_iter().flatten().zip(demands) {
                let keeps_time = self.wants[*at].keeps_time;
                drain(
                    &mut state,
                    &self.grid,
                    ascending,
                    keeps_time,
                    &tags,
                    &mut queues[*at],
                );
            }
        }
        Ok(())
    }

    fn ends(
        &self,
        demands: &[usize],
        kind: Kind,
        queues: &mut [Vec<VecDeque<Point>>],
    ) -> Result<(), Error> {
        let wants: Vec<Want> = demands.iter().map(|at| self.wants[*at].clone()).collect();
        let is_first = kind == Kind::First;
        let (order, aggregate) = if is_first {
            (Order::Ascending, Aggregate::First)
        } else {
            (Order::Descending, Aggregate::Last)
        };
        let mut held = Held::new(self.meter);
        held.grow(self.members.len() * wants.len() * ends::FOUND_BYTES)?;
        let mut found = ends::ends(&self.sweep(&wants), order)?;
        let mut start = 0;
        for (number, (named, queues)) in self.groups.iter().zip(queues).enumerate() {
            let members = self.members[start..].iter();
            let end = start + members.take_while(|member| member.group == number).count();
            let tags = tags(named);
            for (nth, at) in demands.iter().enumerate() {
                let points = found[start..end].iter_mut().filter_map(|found| {
                    let (time_ns, value): (i64, Value) = found[nth].take()?;
                    let point = Point {
                        time_ns,
                        tags: tags.clone(),
                        value,
                        aux: Vec::new(),
                    };
                    Some(Box::new(Ready(VecDeque::from([point]))) as Stream<'_>)
                });
                let mut points: Vec<Stream<'_>> = points.collect();
                if points.is_empty() {
                    continue;
                }
                if !is_first {
                    points.reverse();
                }
                let points = first(by_time(points, is_first), 2);
                let options = &self.demands[*at].options;
                let mut results = if self.demands[*at].keeps_time {
                    reduced(points, aggregate, options, self.meter)
                } else {
                    reduced_and_stamped(points, aggregate, options, self.meter)
                };
                while let Some(point) = results.next()? {
                    queues[*at].push_back(point);
                }
            }
            start = end;
        }
        Ok(())
    }
}

/// How many threads run at once; asked only once, since the answer comes out of files.
fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}

const fn cells_max(context: &Context) -> u64 {
    if context.paths.is_eager() {
        CELLS_MAX_EAGER
    } else {
        CELLS_MAX
    }
}

/// The measurement that a group is read from, if it is one.
pub(super) fn only_leaf<'p>(prepared: &'p Prepared, group: &Group) -> Option<&'p Leaf> {
    let mut places = group.series.keys();
    let (Some(at), None) = (places.next(), places.next()) else {
        return None;
    };
    prepared
        .plan
        .level
        .sources
        .iter()
        .find_map(|source| match source {
            PlannedSource::Leaf(leaf) if leaf.at == *at => Some(leaf),
            _ => None,
        })
}

fn tags(((_, values), _): &Named<'_>) -> Tags {
    Tags::new(values.clone())
}
