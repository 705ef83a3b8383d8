//! The results of one group, handed to the stages that come after: fill, limit, cursor.
//!
//! Results of a slab of windows are there at a time. Where all windows fit into one slab they were
//! computed together with those of other groups; else the next slab is computed when the last one is
//! used up, so that a limit ends the work.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use tandem_influxql::ast::Call;
use tandem_model::TimeRange;

use super::demand::{Demand, Kernels};
use super::grid::Grid;
use super::sweep::{State, Sweep};
use crate::error::Error;
use crate::select::point::{Point, Points, Stream, Tags};
use crate::select::window::Options;

/// Windows of the first slab; each further one has four times as many as the one before.
const SLAB_WINDOWS_MIN: u64 = 16;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Served<'a> {
    demands: &'a [Demand],
    /// The function behind the one that was asked for last: they are mostly asked for in order.
    next: Cell<usize>,
    inner: RefCell<Inner<'a>>,
}

#[derive(Debug)]
struct Inner<'a> {
    /// For each function its next points.
    queues: Vec<VecDeque<Point>>,
    slabs: Option<Slabs<'a>>,
}

/// What is still to be computed.
#[derive(Debug)]
pub(super) struct Slabs<'a> {
    pub(super) sweep: Sweep<'a>,
    pub(super) grid: Grid,
    /// The range of all functions together.
    pub(super) range: TimeRange,
    pub(super) ascending: bool,
    pub(super) tags: Tags,
    pub(super) shared: bool,
    /// Windows that are done.
    done: u64,
    windows: u64,
    windows_max: u64,
}

impl<'a> Slabs<'a> {
    /// All windows of `grid`, of which the first so many are probably enough; never more than
    /// `windows_max` at once.
    pub(super) fn new(
        sweep: Sweep<'a>,
        grid: Grid,
        range: TimeRange,
        options: &Options,
        tags: Tags,
        shared: bool,
        windows_max: u64,
    ) -> Self {
        let enough = match options.limit {
            0 => windows_max,
            limit => limit.saturating_add(options.offset).max(SLAB_WINDOWS_MIN),
        };
        Self {
            sweep,
            grid,
            range,
            ascending: options.ascending,
            tags,
            shared,
            done: 0,
            windows: enough.min(windows_max),
            windows_max,
        }
    }

    /// Computes the next slab; false when there is none.
    fn next(&mut self, queues: &mut [VecDeque<Point>]) -> Result<bool, Error> {
        let left = self.grid.windows - self.done;
        if left == 0 {
            return Ok(false);
        }
        self.sweep.meter.check()?;
        let windows = self.windows.min(left);
        let (first, last) = if self.ascending {
            (self.done, self.done + windows - 1)
        } else {
            (left - windows, left - 1)
        };
        self.done += windows;
        self.windows = self.windows.saturating_mul(4).min(self.windows_max);
        let part = self.grid.part(first, last);
        let range = self.grid.range(first, last).intersect(&self.range);
        let mut states = self.sweep.windows(&part, range, self.shared)?;
        if let Some(Some(states)) = states.first_mut() {
            for ((state, queue), want) in states.iter_mut().zip(queues).zip(self.sweep.wants) {
                drain(
                    state,
                    &part,
                    self.ascending,
                    want.keeps_time,
                    &self.tags,
                    queue,
                );
            }
        }
        Ok(true)
    }
}

/// Appends the results of windows, in the order of the statement.
pub(super) fn drain(
    state: &mut State,
    grid: &Grid,
    ascending: bool,
    keeps_time: bool,
    tags: &Tags,
    queue: &mut VecDeque<Point>,
) {
    for step in 0..grid.windows {
        let window = if ascending {
            step
        } else {
            grid.windows - 1 - step
        };
        if let Some((time_ns, value)) = state.result(window as usize) {
            queue.push_back(Point {
                time_ns: time_ns
                    .filter(|_| keeps_time)
                    .unwrap_or_else(|| grid.stamp_ns(window)),
                tags: tags.clone(),
                value,
                aux: Vec::new(),
            });
        }
    }
}

impl<'a> Served<'a> {
    /// Results that are all there.
    pub(super) fn ready(demands: &'a [Demand], queues: Vec<VecDeque<Point>>) -> Self {
        let inner = RefCell::new(Inner {
            queues,
            slabs: None,
        });
        Self {
            demands,
            next: Cell::new(0),
            inner,
        }
    }

    /// Results that are computed slab by slab.
    pub(super) fn lazy(demands: &'a [Demand], slabs: Slabs<'a>) -> Self {
        let inner = RefCell::new(Inner {
            queues: vec![VecDeque::new(); demands.len()],
            slabs: Some(slabs),
        });
        Self {
            demands,
            next: Cell::new(0),
            inner,
        }
    }

    fn next(&self, at: usize) -> Result<Option<Point>, Error> {
        let Inner { queues, slabs } = &mut *self.inner.borrow_mut();
        loop {
            if let Some(point) = queues.get_mut(at).and_then(VecDeque::pop_front) {
                return Ok(Some(point));
            }
            let Some(slabs) = slabs else {
                return Ok(None);
            };
            if !slabs.next(queues)? {
                return Ok(None);
            }
        }
    }
}

impl Kernels for Served<'_> {
    fn serve(&self, call: &Call, options: &Options) -> Option<Stream<'_>> {
        let is = |demand: &Demand| demand.is_of(call, options);
        let next = self.next.get();
        let at = match self.demands.get(next) {
            Some(demand) if is(demand) => next,
            _ => self.demands.iter().position(is)?,
        };
        self.next.set(at + 1);
        Some(Box::new(Results { served: self, at }))
    }
}

/// The results of one function.
struct Results<'s, 'a> {
    served: &'s Served<'a>,
    at: usize,
}

impl Points for Results<'_, '_> {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        self.served.next(self.at)
    }
}

/// Points that are there already.
pub(super) struct Ready(pub(super) VecDeque<Point>);

impl Points for Ready {
    fn next(&mut self) -> Result<Option<Point>, Error> {
        Ok(self.0.pop_front())
    }
}
