//! Rows of functions over windows, from kernels to the sink.
//!
//! The stages behind a function (fill, limit, cursor) hand on points one by one, which costs more than computing
//! them. Where nothing is left to be done but to put values side by side and to fill windows, rows are
//! made here, in columns. What fills a window is what [`fill`](crate::select) and the cursor make of it:
//! * A function that has a value in the group fills each window of the range: with null, with the number as its
//!   type has it, with its last value; `count()` with 0 in place of null.
//! * One that has none in the group leaves its column to the cursor: null, or the number.
//!
//! Precondition: all columns are functions that kernels compute over windows, as they are; no limit,
//! no linear fill, no time zone, and where windows are filled the range ends well inside of time.

use tandem_influxql::ast::{DataType, Fill, FillValue};
use tandem_model::{MAX_TIME_NS, MIN_TIME_NS};

use super::demand::Demand;
use super::figure::Kind;
use super::grid::Grid;
use super::sweep::State;
use crate::block::{Block, Cells};
use crate::error::Error;
use crate::meter::{Held, Meter};
use crate::result::Value;
use crate::scalar::Scalar;
use crate::select::{Prepared, shown};

/// Rows that are handed on at once.
const BLOCK_ROWS: usize = 4_096;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Lines {
    /// One for each demand.
    functions: Vec<Function>,
    /// For each column the place of its function.
    columns: Vec<usize>,
    rows: Rows,
    ascending: bool,
}

#[derive(Debug)]
struct Function {
    /// In a window without a value, in a group that has some.
    filler: Value,
    /// In a group that has none.
    absent: Value,
    keeps_time: bool,
}

/// Which rows a group has.
#[derive(Debug)]
enum Rows {
    /// One for each window that holds anything.
    Found,
    /// One for each window from the first to the last, which begin at these times.
    Filled {
        first_ns: i64,
        last_ns: i64,
        step_ns: i64,
        /// Whether a window without a value has the one before.
        with_previous: bool,
    },
}

impl Lines {
    /// What becomes of the results of `demands`; `None` where that is for the stages to say.
    pub(super) fn new(prepared: &Prepared, demands: &[Demand]) -> Option<Self> {
        let (level, options) = (&prepared.plan.level, &prepared.options);
        let is_plain = !level.compiled.fill_looks_back
            && (options.limit, options.offset) == (0, 0)
            && options.zone.is_none()
            && options.fill != Fill::Linear
            && demands.len() == level.calls.len();
        if !is_plain {
            return None;
        }
        let mut functions = Vec::with_capacity(demands.len());
        let mut slots = Vec::with_capacity(demands.len());
        for demand in demands {
            let mut calls = level.calls.iter();
            let call = calls.find(|call| demand.is_of(&call.what, options))?;
            if demand.is_end {
                return None;
            }
            slots.push(call.slot);
            functions.push(Function {
                filler: filler(demand, options.fill, call.data_type),
                absent: absent(options.fill, call.data_type),
                keeps_time: demand.keeps_time,
            });
        }
        let column = |scalar: &Scalar| match scalar {
            Scalar::Slot(slot) => slots.iter().position(|other| other == slot),
            _ => None,
        };
        let outputs = level.outputs.iter();
        let columns: Option<Vec<usize>> = outputs.map(|output| column(&output.scalar)).collect();
        let rows = if options.interval.is_zero() || options.fill == Fill::None {
            Rows::Found
        } else {
            let step_ns = options.interval.duration_ns;
            let margin_ns = step_ns
                .checked_mul(2)?
                .checked_add(options.interval.offset_ns.checked_abs()?)?;
            let range = options.range;
            if range.min_ns <= MIN_TIME_NS.checked_add(margin_ns)?
                || range.max_ns >= MAX_TIME_NS.checked_sub(margin_ns)?
            {
                return None;
            }
            Rows::Filled {
                first_ns: options.window(range.min_ns).0,
                last_ns: options.window(range.max_ns).0,
                step_ns,
                with_previous: options.fill == Fill::Previous,
            }
        };
        Some(Self {
            functions,
            columns: columns?,
            rows,
            ascending: options.ascending,
        })
    }

    /// Hands the rows of a group to `emit`, piece by piece; nothing where it has none.
    pub(super) fn emit(
        &self,
        states: &mut [State],
        grid: &Grid,
        meter: &Meter<'_>,
        emit: &mut dyn FnMut(&Block<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let windows = usize::try_from(grid.windows).unwrap_or(usize::MAX);
        let mut held = Held::new(meter);
        let cells = windows.min(BLOCK_ROWS) + windows;
        held.grow(cells * self.functions.len() * size_of::<Value>())?;
        let mut picked_ns = None;
        let mut results = Vec::with_capacity(states.len());
        for (state, function) in states.iter_mut().zip(&self.functions) {
            let result = |window| match state.result(window) {
                Some((time_ns, value)) => {
                    picked_ns = time_ns.filter(|_| function.keeps_time).or(picked_ns);
                    value
                }
                None => Value::Null,
            };
            let values: Vec<Value> = (0..windows).map(result).collect();
            let has_some = values.iter().any(|value| *value != Value::Null);
            results.push(Results {
                values,
                has_some,
                last: Value::Null,
                function,
            });
        }
        if !results.iter().any(|results| results.has_some) {
            return Ok(());
        }
        let mut piece = Piece {
            times_ns: Vec::new(),
            values: vec![Vec::new(); self.functions.len()],
            columns: &self.columns,
        };
        match self.rows {
            Rows::Found => {
                for step in 0..windows {
                    let window = match self.ascending {
                        true => step,
                        false => windows - 1 - step,
                    };
                    if results.iter().all(|r| r.values[window] == Value::Null) {
                        continue;
                    }
                    let time_ns = picked_ns.unwrap_or_else(|| grid.stamp_ns(window as u64));
                    piece.times_ns.push(time_ns);
                    for (results, values) in results.iter_mut().zip(&mut piece.values) {
                        values.push(results.found(window));
                    }
                    piece.emit_if_full(meter, emit)?;
                }
            }
            Rows::Filled {
                first_ns,
                last_ns,
                step_ns,
                with_previous,
            } => {
                let count = last_ns.saturating_sub(first_ns) / step_ns + 1;
                for step in 0..count {
                    let time_ns = match self.ascending {
                        true => first_ns + step * step_ns,
                        false => last_ns - step * step_ns,
                    };
                    let window = grid.place(time_ns);
                    piece.times_ns.push(time_ns);
                    for (results, values) in results.iter_mut().zip(&mut piece.values) {
                        values.push(results.filled(window, with_previous));
                    }
                    piece.emit_if_full(meter, emit)?;
                }
            }
        }
        piece.emit(emit)
    }
}

/// The results of one function over the windows of a group.
struct Results<'l> {
    /// Null where there is none.
    values: Vec<Value>,
    has_some: bool,
    last: Value,
    function: &'l Function,
}

impl Results<'_> {
    /// Its value in a row that was found.
    fn found(&mut self, window: usize) -> Value {
        match std::mem::replace(&mut self.values[window], Value::Null) {
            Value::Null => self.function.absent.clone(),
            value => shown(value),
        }
    }

    /// Its value in a window, maybe one outside of those that were computed.
    fn filled(&mut self, window: Option<usize>, with_previous: bool) -> Value {
        if !self.has_some {
            return self.function.absent.clone();
        }
        let place = window.and_then(|window| self.values.get_mut(window));
        match place.map_or(Value::Null, |place| std::mem::replace(place, Value::Null)) {
            Value::Null if with_previous => self.last.clone(),
            Value::Null => self.function.filler.clone(),
            value => {
                let value = shown(value);
                if with_previous {
                    self.last = value.clone();
                }
                value
            }
        }
    }
}

/// Rows that wait to be handed on.
struct Piece<'l> {
    times_ns: Vec<i64>,
    /// By function.
    values: Vec<Vec<Value>>,
    columns: &'l [usize],
}

impl Piece<'_> {
    fn emit_if_full(
        &mut self,
        meter: &Meter<'_>,
        emit: &mut dyn FnMut(&Block<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.times_ns.len() < BLOCK_ROWS {
            return Ok(());
        }
        meter.check()?;
        self.emit(emit)
    }

    fn emit(&mut self, emit: &mut dyn FnMut(&Block<'_>) -> Result<(), Error>) -> Result<(), Error> {
        if self.times_ns.is_empty() {
            return Ok(());
        }
        let columns = self
            .columns
            .iter()
            .map(|at| Cells::Values(&self.values[*at]));
        let columns: Vec<Cells<'_>> = columns.collect();
        emit(&Block {
            times_ns: &self.times_ns,
            rows: None,
            columns: &columns,
        })?;
        self.times_ns.clear();
        self.values.iter_mut().for_each(Vec::clear);
        Ok(())
    }
}

/// What the stage of fill puts into an empty window.
fn filler(demand: &Demand, fill: Fill, data_type: Option<DataType>) -> Value {
    let number = match fill {
        Fill::Null if demand.kind == Kind::Count => FillValue::Integer(0),
        Fill::Number(number) => number,
        _ => return Value::Null,
    };
    let number = Value::from(number);
    match data_type {
        Some(data_type) => {
            let cast = number.cast(data_type);
            cast.unwrap_or_else(|| Value::zero(data_type))
        }
        None => number,
    }
}

/// What the cursor puts where a function has no value at a time at all.
fn absent(fill: Fill, data_type: Option<DataType>) -> Value {
    let Fill::Number(number) = fill else {
        return Value::Null;
    };
    let number = Value::from(number);
    let cast = data_type.and_then(|data_type| number.clone().cast(data_type));
    cast.unwrap_or(number)
}
