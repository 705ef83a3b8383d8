//! A bound statement, ready to run: every expression lowered to slots, every series found and put
//! into its group.
//!
//! The groups of an outermost statement are known from the index before a row is read (`groups`): each has
//! a measurement and a value for each tag of `GROUP BY`. They are run one after the other in the order
//! of the result. A subquery is run inside of the group of the statement around it, and keeps its
//! own groups apart by the tags of its points.

use std::collections::HashMap;
use std::rc::Rc;

use tandem_influxql::ast::{Call, DataType, Expr, Field, VarRef};
use tandem_model::SeriesId;

use super::bind::{BoundMeasurement, Typed, TypedSource, ranking_tags};
use super::compile::Compiled;
use super::groups::{Found, Residuals};
use super::{columns, types};
use crate::context::Context;
use crate::error::Error;
use crate::lower::lower;
use crate::meter::Meter;
use crate::predicate::{Predicate, Residual};
use crate::result::Value;
use crate::scalar::{Math, Scalar};

/// A statement or a subquery.
#[derive(Debug)]
pub(crate) struct Level {
    /// What the statement says beside its fields and sources.
    pub(crate) compiled: Compiled,
    /// The columns, without time.
    pub(crate) outputs: Vec<Output>,
    /// The functions that are computed over points.
    pub(crate) calls: Vec<Slotted<Call>>,
    /// The fields and tags that are selected as they are.
    pub(crate) references: Vec<Slotted<VarRef>>,
    /// How many slots a row has.
    pub(crate) slots: usize,
    /// Tags that keep series apart at this level, sorted; those of the levels around included.
    pub(crate) group_by: Vec<String>,
    /// As `group_by`, with the tags that `top` or `bottom` tell apart.
    pub(crate) ranked_by: Vec<String>,
    /// The tags that this level itself groups by.
    pub(crate) dimensions: Vec<String>,
    /// What is read.
    pub(crate) sources: Vec<PlannedSource>,
    /// The condition without time; names have types.
    pub(crate) condition: Option<Expr>,
}

/// One column.
#[derive(Debug)]
pub(crate) struct Output {
    /// The name in the result.
    pub(crate) column: String,
    /// The name by which a statement around this one refers to it.
    pub(crate) name: String,
    /// The value.
    pub(crate) scalar: Scalar,
    /// Whether it comes along with `top` or `bottom`, as one of the tags in it.
    pub(crate) is_ranking_tag: bool,
}

/// Something whose value goes to a slot of the row.
#[derive(Debug)]
pub(crate) struct Slotted<T> {
    /// What it is.
    pub(crate) what: T,
    /// Where its value goes.
    pub(crate) slot: usize,
    /// Its type; `None` when nothing is known under the name.
    pub(crate) data_type: Option<DataType>,
}

/// What is read.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a plan has few of them, and nearly all are leaves"
)]
pub(crate) enum PlannedSource {
    /// One measurement.
    Leaf(Leaf),
    /// A subquery.
    Subquery(Box<Level>),
}

/// One measurement as one level reads it.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// Which leaf of the whole statement it is.
    pub(crate) at: usize,
    /// The measurement.
    pub(crate) measurement: BoundMeasurement,
    /// The name of the measurement.
    pub(crate) name: Rc<[u8]>,
    /// The references that residual conditions read, by slot.
    pub(crate) conditions: Vec<VarRef>,
    /// What is left of the condition for each series.
    pub(crate) residuals: Residuals,
    /// Its series, by group.
    pub(crate) found: Found,
}

impl Leaf {
    /// The values of these tags in a series, empty where it has none.
    pub(crate) fn tag_values(&self, id: SeriesId, tags: &[String]) -> Vec<Vec<u8>> {
        let values = self.measurement.view.tag_values_at(id, tags);
        values.unwrap_or_else(|| vec![Vec::new(); tags.len()])
    }

    /// The same as they are selected: null where the series has none.
    pub(crate) fn tags(&self, id: SeriesId, tags: &[String]) -> Vec<Value> {
        let value = |text: Vec<u8>| match text.is_empty() {
            true => Value::Null,
            false => Value::String(text),
        };
        let values = self.tag_values(id, tags);
        values.into_iter().map(value).collect()
    }
}

/// A statement that can be run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The outermost statement.
    pub(crate) level: Level,
}

impl Plan {
    /// All measurements that are read, those of subqueries too, in the order of their numbers.
    pub(crate) fn leaves(&self) -> Vec<&Leaf> {
        fn collect<'p>(level: &'p Level, leaves: &mut Vec<&'p Leaf>) {
            for source in &level.sources {
                match source {
                    PlannedSource::Leaf(leaf) => leaves.push(leaf),
                    PlannedSource::Subquery(inner) => collect(inner, leaves),
                }
            }
        }
        let mut leaves = Vec::new();
        collect(&self.level, &mut leaves);
        leaves
    }
}

/// Plans a bound statement.
///
/// # Errors
/// Too many series, also for the memory there is; regular expressions that do not compile.
pub(crate) fn plan(typed: Typed, context: &Context, meter: &Meter<'_>) -> Result<Plan, Error> {
    let mut planner = Planner {
        meter,
        leaves: 0,
        series: 0,
        series_max: context.limits.series_max,
        is_plain: context.paths.is_plain(),
        outer: sorted(&typed.dimensions),
    };
    let level = planner.level(typed, &[], (0, 0))?;
    Ok(Plan { level })
}

fn sorted(tags: &[String]) -> Vec<String> {
    let mut tags = tags.to_vec();
    tags.sort();
    tags.dedup();
    tags
}

/// Whether values of tags have to be looked at one by one.
fn has_regex(condition: &Expr) -> bool {
    match condition {
        Expr::Regex(_) => true,
        Expr::Binary { lhs, rhs, .. } => has_regex(lhs) || has_regex(rhs),
        Expr::Paren(inner) => has_regex(inner),
        _ => false,
    }
}

/// Series between two looks at whether the query is still wanted.
const SERIES_PER_CHECK: u64 = 1_024;

struct Planner<'a> {
    meter: &'a Meter<'a>,
    leaves: usize,
    series: usize,
    series_max: usize,
    /// Whether to put groups in order without the help of the index.
    is_plain: bool,
    /// The tags that the outermost statement groups by.
    outer: Vec<String>,
}

impl Planner<'_> {
    /// Plans a level. `around` are the tags of the levels around it, `limits` their `SLIMIT` and
    /// `SOFFSET`, which add up.
    fn level(
        &mut self,
        typed: Typed,
        around: &[String],
        limits: (u64, u64),
    ) -> Result<Level, Error> {
        let Typed {
            fields,
            condition,
            dimensions,
            sources,
            compiled,
        } = typed;
        let limits = (
            limits.0.saturating_add(compiled.slimit),
            limits.1.saturating_add(compiled.soffset),
        );
        let mut group_by = dimensions.clone();
        group_by.extend_from_slice(around);
        let group_by = sorted(&group_by);
        let mut ranked_by = group_by.clone();
        for tag in fields.iter().flat_map(|field| ranking_tags(&field.expr)) {
            if let Expr::VarRef(reference) = tag {
                ranked_by.push(reference.name.clone());
            }
        }
        let ranked_by = sorted(&ranked_by);

        let mut symbols = Symbols::default();
        let outputs = symbols.outputs(&fields, compiled.into.is_some())?;
        let mut planned = Vec::new();
        for source in sources {
            match source {
                TypedSource::Measurements(measurements) => {
                    for measurement in measurements {
                        planned.push(PlannedSource::Leaf(self.leaf(
                            measurement,
                            condition.as_ref(),
                            limits,
                        )?));
                    }
                }
                TypedSource::Subquery(inner) => {
                    planned.push(PlannedSource::Subquery(Box::new(
                        self.level(*inner, &ranked_by, limits)?,
                    )));
                }
            }
        }
        let Symbols {
            calls,
            mut references,
            ..
        } = symbols;
        references.sort_by(|a, b| a.what.name.cmp(&b.what.name));
        let slots = calls.len() + references.len();
        Ok(Level {
            compiled,
            outputs,
            calls,
            references,
            slots,
            group_by,
            ranked_by,
            dimensions,
            sources: planned,
            condition,
        })
    }

    /// Finds the series of a measurement and puts them into groups.
    fn leaf(
        &mut self,
        measurement: BoundMeasurement,
        condition: Option<&Expr>,
        (slimit, soffset): (u64, u64),
    ) -> Result<Leaf, Error> {
        let at = self.leaves;
        self.leaves += 1;
        let view = measurement.view.clone();
        if condition.is_some_and(has_regex) {
            self.meter.may_take(view.series_count(&measurement.name))?;
        }
        let mut predicate = Predicate::new(
            condition,
            &view,
            &measurement.name,
            &measurement.fields,
            self.meter,
        )?;
        let candidates = predicate.candidates(self.meter)?;
        self.meter.may_take(candidates.len())?;
        let found = usize::try_from(candidates.len()).unwrap_or(usize::MAX);
        let ids: Vec<u32> = if predicate.is_settled() {
            self.count(found)?;
            self.meter.grow(4 * found)?;
            candidates.iter().collect()
        } else {
            let mut ids = Vec::new();
            self.meter.grow(4 * found)?;
            for (number, id) in (0_u64..).zip(&candidates) {
                if number.is_multiple_of(SERIES_PER_CHECK) {
                    self.meter.check()?;
                }
                if !matches!(predicate.residual(SeriesId(id)), Residual::Never) {
                    self.count(1)?;
                    ids.push(id);
                }
            }
            ids
        };
        let mut series = Found::new(&view, &self.outer, ids, self.is_plain, self.meter)?;
        // It has them now.
        self.meter.shrink(4 * found);
        series.choose(&view, &self.outer, (slimit, soffset), self.meter)?;
        Ok(Leaf {
            at,
            name: measurement.name.as_slice().into(),
            measurement,
            conditions: predicate.references().to_vec(),
            residuals: Residuals::new(predicate),
            found: series,
        })
    }

    /// Counts series to their bound.
    fn count(&mut self, series: usize) -> Result<(), Error> {
        self.series += series;
        if self.series_max > 0 && self.series > self.series_max {
            return Err(Error::SeriesLimit {
                found: self.series_max + 1,
                max: self.series_max,
            });
        }
        self.meter.check()
    }
}

/// The slots of a level, each by the text of what it stands for.
#[derive(Default)]
struct Symbols {
    slots: HashMap<String, usize>,
    calls: Vec<Slotted<Call>>,
    references: Vec<Slotted<VarRef>>,
}

impl Symbols {
    /// Lowers the fields. The tags in `top` and `bottom` become columns unless the result is written.
    fn outputs(&mut self, fields: &[Field], is_written: bool) -> Result<Vec<Output>, Error> {
        let mut columns = Vec::new();
        let mut own = Vec::new();
        for field in fields {
            own.push(columns.len());
            columns.push(field.clone());
            if !is_written {
                columns.extend(ranking_tags(&field.expr).map(|tag| Field {
                    expr: tag.clone(),
                    alias: None,
                }));
            }
        }
        let names = columns::names(&columns);
        let mut outputs = Vec::new();
        for (at, (field, column)) in columns.into_iter().zip(names).enumerate() {
            let scalar = lower(&field.expr, &mut |expr| self.slot(expr))?;
            outputs.push(Output {
                column,
                name: field.name(),
                scalar,
                is_ranking_tag: own.binary_search(&at).is_err(),
            });
        }
        Ok(outputs)
    }

    fn slot(&mut self, expr: &Expr) -> Option<usize> {
        match expr {
            Expr::Call(call) if Math::from_name(&call.name).is_none() => {}
            Expr::VarRef(_) => {}
            _ => return None,
        }
        let text = expr.to_string();
        if let Some(slot) = self.slots.get(&text) {
            return Some(*slot);
        }
        let slot = self.slots.len();
        self.slots.insert(text, slot);
        let data_type = types::of_expr(expr, &[]).unwrap_or(None);
        match expr {
            Expr::Call(call) => self.calls.push(Slotted {
                what: call.clone(),
                slot,
                data_type,
            }),
            Expr::VarRef(reference) => self.references.push(Slotted {
                what: reference.clone(),
                slot,
                data_type,
            }),
            _ => {}
        }
        Some(slot)
    }
}
