//! From a plan to streams: which stages a statement runs through, for one group.
//!
//! ```text
//! scan ─┬─ merge ── reduce ── stamp ── fill ── limit ─┬─ cursor ── rows
//! scan ─┘   (transform: scan.. or reduce.. before it)  │
//! rows of a subquery ── points ────────────────────────┘
//! ```
//!
//! The stages and their options are those of `influxdata/influxdb query/select.go`.

use std::rc::Rc;

use tandem_influxql::ast::{Call, DataType, Expr, Fill, FillValue, VarRef};
use tandem_model::{MAX_TIME_NS, MIN_TIME_NS, TimeRange};

use super::aggregate::Aggregate;
use super::check::{falls_away, is_by_source};
use super::cursor::Cursor;
use super::fast::Kernels;
use super::fill::filled;
use super::groups::Group;
use super::limit::{first, limited};
use super::merge::{by_time, by_window};
use super::plan::{Leaf, Level, PlannedSource};
use super::point::{Point, Stream};
use super::reduce::{Grouping, reduced, reduced_and_stamped, regrouped};
use super::scan::{Columns, Scan};
use super::subquery;
use super::transform::{Technical, Transform, transformed};
use super::window::Options;
use crate::error::Error;
use crate::meter::Meter;

/// How the points of several series come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Merge {
    ByTime,
    ByWindow,
}

/// One group of a statement, or of a subquery inside of a group.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    /// The level that is run.
    pub(crate) level: &'a Level,
    /// The group of the outermost statement.
    pub(crate) group: &'a Group,
    /// Counts what is read.
    pub(crate) meter: &'a Meter<'a>,
    /// What `now()` is.
    pub(crate) now_ns: i64,
    /// What the outermost statement may read: a subquery that looks back finds no points further off.
    pub(crate) reach: TimeRange,
    /// True for the outermost statement.
    pub(crate) is_outermost: bool,
    /// How many tags the outermost statement groups by.
    pub(crate) outer_tags: usize,
    /// What computes functions of the outermost statement faster than the stages here.
    pub(crate) kernels: Option<&'a dyn Kernels>,
}

impl<'a> Run<'a> {
    /// The rows of the group.
    pub(crate) fn cursor(self, options: &Options) -> Result<Cursor<'a>, Error> {
        let level = self.level;
        let references = level.references.as_slice();
        let mut cursor = Cursor::new(level, options, self.meter);
        let is_one_series = self.is_outermost && level.compiled.into.is_none();
        if level.calls.is_empty() {
            // Nothing of what is selected exists.
            if references
                .iter()
                .any(|reference| reference.data_type.is_some())
            {
                let points = self.rows(options)?;
                cursor.add(None, limited(points, options, is_one_series));
            }
            return Ok(cursor);
        }
        let is_selector = matches!(level.calls.as_slice(), [call] if is_selector(&call.what));
        for call in level.calls.iter().filter(|call| call.data_type.is_some()) {
            let points = self.call(&call.what, options, is_selector)?;
            cursor.add(Some(call), limited(points, options, is_one_series));
        }
        Ok(cursor)
    }

    /// The options of a level inside of another one, whose options are `outer`.
    pub(crate) fn inner_options(self, outer: &Options) -> Options {
        let compiled = &self.level.compiled;
        let bounds = compiled.bounds.range();
        let mut range = bounds.intersect(&outer.range);
        if !compiled.interval.is_zero() && range.max_ns == MAX_TIME_NS {
            range.max_ns = self.now_ns;
        }
        let interval = if compiled.interval.is_zero() {
            outer.interval
        } else {
            compiled.interval
        };
        let fill = if compiled.fill == Fill::Null && !compiled.is_raw {
            Fill::None
        } else {
            compiled.fill
        };
        Options {
            range,
            interval,
            zone: compiled.zone.clone(),
            ascending: outer.ascending,
            fill,
            limit: compiled.limit,
            offset: compiled.offset,
        }
    }

    /// The points that rows are made of when no function is called.
    fn rows(self, options: &Options) -> Result<Stream<'a>, Error> {
        self.sources(None, options, Merge::ByTime, &self.level.group_by)
    }

    /// The points of a field.
    fn field(
        self,
        reference: &VarRef,
        options: &Options,
        merge: Merge,
    ) -> Result<Stream<'a>, Error> {
        self.sources(Some(reference), options, merge, &self.level.group_by)
    }

    /// The points of all sources, which carry the tags `group_by`.
    fn sources(
        self,
        driver: Option<&VarRef>,
        options: &Options,
        merge: Merge,
        group_by: &'a [String],
    ) -> Result<Stream<'a>, Error> {
        let merged = |inputs, merge| match merge {
            Merge::ByTime => by_time(inputs, options.ascending),
            Merge::ByWindow => by_window(inputs, options),
        };
        let mut inputs: Vec<Stream<'a>> = Vec::new();
        for source in &self.level.sources {
            if let (Some(driver), Merge::ByTime) = (driver, merge)
                && falls_away(self.level, source, driver)
            {
                continue;
            }
            match source {
                // Functions get the points of one source after those of another.
                PlannedSource::Leaf(leaf) if driver.is_some() => {
                    let mut of_source = Vec::new();
                    self.scans(leaf, driver, options, group_by, &mut of_source)?;
                    if !of_source.is_empty() {
                        inputs.push(merged(of_source, merge));
                    }
                }
                PlannedSource::Leaf(leaf) => {
                    self.scans(leaf, driver, options, group_by, &mut inputs)?;
                }
                PlannedSource::Subquery(inner) => {
                    let inner = Run {
                        level: inner,
                        is_outermost: false,
                        kernels: None,
                        ..self
                    };
                    inputs.extend(subquery::points(
                        self.level, inner, driver, options, group_by,
                    )?);
                }
            }
        }
        Ok(match driver {
            Some(_) => merged(inputs, Merge::ByWindow),
            None => merged(inputs, merge),
        })
    }

    fn scans(
        self,
        leaf: &'a Leaf,
        driver: Option<&VarRef>,
        options: &Options,
        group_by: &'a [String],
        inputs: &mut Vec<Stream<'a>>,
    ) -> Result<(), Error> {
        let Some(series) = self.group.series.get(&leaf.at) else {
            return Ok(());
        };
        let Some(columns) = Columns::new(leaf, driver, &self.level.references) else {
            return Ok(());
        };
        let columns = Rc::new(columns);
        let options = &Options {
            range: options.range.intersect(&self.reach),
            ..options.clone()
        };
        let mut scan = |series| {
            let columns = columns.clone();
            let scan = Scan::new(leaf, columns, series, group_by, options, self.meter)?;
            inputs.push(Box::new(scan));
            Ok(())
        };
        if options.ascending {
            series.iter().try_for_each(&mut scan)
        } else {
            series.iter().rev().try_for_each(&mut scan)
        }
    }

    /// The points of a function. `is_selector` is true when it is the only one of the level and
    /// picks points instead of computing them.
    fn call(self, call: &Call, options: &Options, is_selector: bool) -> Result<Stream<'a>, Error> {
        let mut options = options.clone();
        (options.limit, options.offset) = (0, 0);
        let name = call.name.as_str();
        let Some(argument) = call.args.first() else {
            return Err(Error::refused(format!(
                "invalid number of arguments for {name}, expected 1, got 0"
            )));
        };
        if let Some(aggregate) = ranking(call) {
            let points = self.ranked(call, argument, &options)?;
            let level = self.level;
            let kept = |tag: &String| level.ranked_by.iter().position(|known| known == tag);
            let grouping = Grouping::By {
                kept: level.group_by.iter().filter_map(kept).collect(),
                // What is written keeps the tags that told the points apart.
                all_tags: level.compiled.into.is_some(),
            };
            return Ok(regrouped(points, aggregate, &options, grouping, self.meter));
        }
        match name {
            "distinct" => {
                let points = self.input(call, argument, &options, is_selector)?;
                let distinct = Aggregate::Distinct;
                return Ok(reduced_and_stamped(points, distinct, &options, self.meter));
            }
            "sample" => {
                let points = self.input(call, argument, &options, is_selector)?;
                let sample = Aggregate::Sample(count_argument(call));
                return Ok(reduced(points, sample, &options, self.meter));
            }
            _ => {}
        }
        if let Some(transform) = transform(call, &options) {
            let mut inner = options.clone();
            if looks_back(transform) && !options.interval.is_zero() {
                let back_ns = options.interval.duration_ns;
                if options.ascending {
                    inner.range.min_ns =
                        inner.range.min_ns.saturating_sub(back_ns).max(MIN_TIME_NS);
                } else {
                    inner.range.max_ns =
                        inner.range.max_ns.saturating_add(back_ns).min(MAX_TIME_NS);
                }
            }
            let points = self.input(call, argument, &inner, is_selector)?;
            return Ok(transformed(points, transform, &options, self.meter));
        }
        let Some(aggregate) = aggregate(call) else {
            return Err(Error::Unsupported(format!("{name}()")));
        };
        let keeps_time = is_selector && options.interval.is_zero();
        let served = self
            .kernels
            .and_then(|kernels| kernels.serve(call, &options));
        let points = match served {
            Some(points) => points,
            None => {
                let points = self.input(call, argument, &options, is_selector)?;
                if let Some(kernels) = self.kernels {
                    kernels.learn(self.level, call, aggregate, &options, keeps_time);
                }
                if keeps_time {
                    reduced(points, aggregate, &options, self.meter)
                } else {
                    reduced_and_stamped(points, aggregate, &options, self.meter)
                }
            }
        };
        if keeps_time {
            return Ok(points);
        }
        if options.interval.is_zero() || options.fill == Fill::None {
            return Ok(points);
        }
        if options.fill == Fill::Null && name == "count" {
            options.fill = Fill::Number(FillValue::Integer(0));
        }
        let known = self.level.calls.iter().find(|known| known.what == *call);
        let data_type = known
            .and_then(|known| known.data_type)
            .or_else(|| type_of_result(name, argument));
        let before = if self.level.compiled.fill_looks_back {
            self.before(call, argument, aggregate, &options, is_selector)?
        } else {
            None
        };
        let aux = self.level.references.len();
        Ok(filled(points, before, data_type, aux, &options, self.meter))
    }

    /// The last window before the range that holds anything.
    fn before(
        self,
        call: &Call,
        argument: &Expr,
        aggregate: Aggregate,
        options: &Options,
        is_selector: bool,
    ) -> Result<Option<Point>, Error> {
        let (first, _) = options.window(options.range.min_ns);
        let mut back = options.clone();
        back.range = TimeRange::new(MIN_TIME_NS, first.saturating_sub(1));
        back.ascending = false;
        if first == MIN_TIME_NS || !self.is_outermost {
            return Ok(None);
        }
        let points = self.input(call, argument, &back, is_selector)?;
        reduced_and_stamped(points, aggregate, &back, self.meter).next()
    }

    /// What a function is computed from: a field, or another function.
    fn input(
        self,
        call: &Call,
        argument: &Expr,
        options: &Options,
        is_selector: bool,
    ) -> Result<Stream<'a>, Error> {
        match argument {
            Expr::Call(inner) => self.call(inner, options, is_selector),
            Expr::VarRef(reference) => {
                let end = matches!(call.name.as_str(), "first" | "last");
                let is_one_series = self.level.group_by.len() == self.outer_tags;
                if end && is_one_series && options.interval.is_zero() && !self.has_subqueries() {
                    return self.end(call.name == "first", reference, options);
                }
                let keeps_type =
                    matches!(call.name.as_str(), "sum" | "min" | "max" | "first" | "last");
                if keeps_type && self.begins_with_floats(reference) {
                    return Ok(by_time(Vec::new(), options.ascending));
                }
                let merge = match is_by_source(&call.name) {
                    true => Merge::ByWindow,
                    false => Merge::ByTime,
                };
                self.field(reference, options, merge)
            }
            // What stands in a function of two arguments is not expanded, and finds nothing.
            Expr::Wildcard(_) | Expr::Regex(_) => Ok(by_time(Vec::new(), options.ascending)),
            _ => Err(Error::refused(format!(
                "expected field argument in {}()",
                call.name
            ))),
        }
    }

    /// Whether the first source is a subquery that has nothing under the name, while others have what is no float.
    /// InfluxDB takes nothing for floats, and the type of the first source for that of all, and drops the others.
    fn begins_with_floats(self, reference: &VarRef) -> bool {
        if matches!(reference.data_type, None | Some(DataType::Float)) {
            return false;
        }
        let first = self.level.sources.iter().find(|source| match source {
            PlannedSource::Leaf(leaf) => leaf.measurement.field(&reference.name).is_some(),
            PlannedSource::Subquery(_) => true,
        });
        match first {
            Some(PlannedSource::Subquery(inner)) => !subquery::has_typed_column(inner, reference),
            _ => false,
        }
    }

    fn has_subqueries(self) -> bool {
        self.level
            .sources
            .iter()
            .any(|source| matches!(source, PlannedSource::Subquery(_)))
    }

    /// What `first()` and `last()` of the whole range are picked from: two points, which is what
    /// InfluxDB reads of the series merged by time. It shows where many series end at one time.
    fn end(
        self,
        is_first: bool,
        reference: &VarRef,
        options: &Options,
    ) -> Result<Stream<'a>, Error> {
        let options = Options {
            ascending: is_first,
            ..options.clone()
        };
        let points = self.field(reference, &options, Merge::ByTime)?;
        Ok(first(points, 2))
    }

    /// The points that `top` and `bottom` choose from: all of the field, or the best of each series
    /// when tags are given.
    fn ranked(self, call: &Call, argument: &Expr, options: &Options) -> Result<Stream<'a>, Error> {
        let Expr::VarRef(reference) = argument else {
            return Err(Error::refused(format!(
                "expected first argument to be a field in {}()",
                call.name
            )));
        };
        let group_by = &self.level.ranked_by;
        if call.args.len() == 2 {
            return self.sources(Some(reference), options, Merge::ByTime, group_by);
        }
        let points = self.sources(Some(reference), options, Merge::ByWindow, group_by)?;
        let best = if call.name == "top" {
            Aggregate::Max
        } else {
            Aggregate::Min
        };
        Ok(reduced(points, best, options, self.meter))
    }
}

/// True for functions that pick points instead of computing them.
fn is_selector(call: &Call) -> bool {
    matches!(
        call.name.as_str(),
        "first" | "last" | "min" | "max" | "percentile" | "sample" | "top" | "bottom"
    )
}

fn type_of_result(name: &str, argument: &Expr) -> Option<DataType> {
    match (name, argument) {
        ("count", _) => Some(DataType::Integer),
        ("mean" | "median" | "stddev", _) => Some(DataType::Float),
        (_, Expr::VarRef(reference)) => reference.data_type,
        _ => None,
    }
}

/// The last argument of functions that keep a number of points.
fn count_argument(call: &Call) -> usize {
    whole_argument(call, call.args.len().saturating_sub(1))
}

fn whole_argument(call: &Call, at: usize) -> usize {
    match call.args.get(at) {
        Some(Expr::Integer(count)) => usize::try_from(*count).unwrap_or(0),
        _ => 0,
    }
}

fn ranking(call: &Call) -> Option<Aggregate> {
    match call.name.as_str() {
        "top" => Some(Aggregate::Top(count_argument(call))),
        "bottom" => Some(Aggregate::Bottom(count_argument(call))),
        _ => None,
    }
}

fn aggregate(call: &Call) -> Option<Aggregate> {
    Some(match call.name.as_str() {
        "count" => Aggregate::Count,
        "sum" => Aggregate::Sum,
        "mean" => Aggregate::Mean,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "first" => Aggregate::First,
        "last" => Aggregate::Last,
        "median" => Aggregate::Median,
        "mode" => Aggregate::Mode,
        "stddev" => Aggregate::Stddev,
        "spread" => Aggregate::Spread,
        "percentile" => match call.args.get(1) {
            Some(Expr::Number(percent)) => Aggregate::Percentile(*percent),
            Some(Expr::Integer(percent)) => Aggregate::Percentile(*percent as f64),
            _ => return None,
        },
        _ => return None,
    })
}

fn transform(call: &Call, options: &Options) -> Option<Transform> {
    let unit_ns = |default_ns| match call.args.get(1) {
        Some(Expr::Duration(unit_ns)) => *unit_ns,
        _ => default_ns,
    };
    let rate_unit_ns = if options.interval.is_zero() {
        1_000_000_000
    } else {
        options.interval.duration_ns
    };
    Some(match call.name.as_str() {
        "derivative" => Transform::Derivative {
            unit_ns: unit_ns(rate_unit_ns),
            non_negative: false,
        },
        "non_negative_derivative" => Transform::Derivative {
            unit_ns: unit_ns(rate_unit_ns),
            non_negative: true,
        },
        "difference" => Transform::Difference {
            non_negative: false,
        },
        "non_negative_difference" => Transform::Difference { non_negative: true },
        "cumulative_sum" => Transform::CumulativeSum,
        "moving_average" => Transform::MovingAverage(count_argument(call)),
        "elapsed" => Transform::Elapsed {
            unit_ns: unit_ns(1),
        },
        "integral" => Transform::Integral {
            unit_ns: unit_ns(1_000_000_000),
        },
        "holt_winters" | "holt_winters_with_fit" => Transform::Forecast {
            horizon: whole_argument(call, 1),
            season: whole_argument(call, 2),
            with_fit: call.name == "holt_winters_with_fit",
        },
        _ => Transform::Technical(Technical::of(call)?),
    })
}

/// True for functions that need points from before the range to say something of its first window.
const fn looks_back(transform: Transform) -> bool {
    !matches!(
        transform,
        Transform::CumulativeSum | Transform::Integral { .. } | Transform::Forecast { .. }
    )
}
