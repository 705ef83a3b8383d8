//! A bound statement, ready to run: every expression lowered to slots, every series found and put
//! into its group.
//!
//! The groups of an outermost statement are known from the index before a row is read: each has a
//! measurement and a value for each tag of `GROUP BY`. They are run one after the other in the order
//! of the result. A subquery is run inside of the group of the statement around it, and keeps its
//! own groups apart by the tags of its points.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use tandem_influxql::ast::{Call, DataType, Expr, Field, VarRef};
use tandem_model::{SeriesId, SeriesKey};

use super::bind::{BoundMeasurement, Typed, TypedSource, ranking_tags};
use super::compile::Compiled;
use super::{columns, types};
use crate::error::Error;
use crate::lower::lower;
use crate::meter::Meter;
use crate::predicate::{Predicate, Residual};
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
    /// The references that residual conditions read, by slot.
    pub(crate) conditions: Vec<VarRef>,
}

/// One series and what is left to check in its rows.
#[derive(Clone, Debug)]
pub(crate) struct PlannedSeries {
    /// The series.
    pub(crate) id: SeriesId,
    /// Its canonical key.
    pub(crate) key: Rc<[u8]>,
    /// What is left of the condition; `None` when every row fits.
    pub(crate) residual: Option<Arc<Scalar>>,
}

/// One series of the result.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// What each leaf reads for it, sorted by key.
    pub(crate) series: ByLeaf,
}

/// Series by the leaf that reads them. Nearly all groups have one leaf, and there may be a million groups, so
/// this is a list and no map.
#[derive(Debug, Default)]
pub(crate) struct ByLeaf(Vec<(usize, Vec<PlannedSeries>)>);

impl ByLeaf {
    pub(crate) fn get(&self, leaf: &usize) -> Option<&Vec<PlannedSeries>> {
        let found = self.0.iter().find(|(at, _)| at == leaf);
        found.map(|(_, series)| series)
    }

    pub(crate) fn contains_key(&self, leaf: &usize) -> bool {
        self.get(leaf).is_some()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &usize> {
        self.0.iter().map(|(at, _)| at)
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    fn insert(&mut self, leaf: usize, mut series: Vec<PlannedSeries>) {
        series.shrink_to_fit();
        self.0.reserve_exact(1);
        self.0.push((leaf, series));
    }
}

/// Measurement and tag values, in the order of `GROUP BY` keys: the order of the result.
pub(crate) type GroupKey = (Vec<u8>, Vec<Vec<u8>>);

/// A statement that can be run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The outermost statement.
    pub(crate) level: Level,
    /// Its groups.
    pub(crate) groups: BTreeMap<GroupKey, Group>,
}

/// Plans a bound statement that may read at most `series_max` series (0: any number).
///
/// # Errors
/// Too many series, also for the memory there is; regular expressions that do not compile.
pub(crate) fn plan(typed: Typed, series_max: usize, meter: &Meter<'_>) -> Result<Plan, Error> {
    let mut planner = Planner {
        meter,
        leaves: 0,
        series: 0,
        series_max,
        outer: sorted(&typed.dimensions),
        groups: BTreeMap::new(),
    };
    let level = planner.level(typed, &[], (0, 0))?;
    Ok(Plan {
        level,
        groups: planner.groups,
    })
}

fn sorted(tags: &[String]) -> Vec<String> {
    let mut tags = tags.to_vec();
    tags.sort();
    tags.dedup();
    tags
}

/// Bytes of a planned series beside its key, and of the group that it may be alone in, about.
const PLANNED_BYTES: usize = size_of::<PlannedSeries>() + 32;
const GROUP_BYTES: usize = 256;
/// Series between two looks at whether the query is still wanted.
const SERIES_PER_CHECK: usize = 1_024;

struct Planner<'a> {
    meter: &'a Meter<'a>,
    leaves: usize,
    series: usize,
    series_max: usize,
    /// The tags that the outermost statement groups by.
    outer: Vec<String>,
    groups: BTreeMap<GroupKey, Group>,
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
        let mut predicate =
            Predicate::new(condition, &view, &measurement.name, &measurement.fields)?;
        let mut tag_sets: BTreeMap<Vec<Vec<u8>>, Vec<PlannedSeries>> = BTreeMap::new();
        for id in predicate.candidates() {
            let id = SeriesId(id);
            let residual = match predicate.residual(id) {
                Residual::Never => continue,
                Residual::Always => None,
                Residual::When(scalar) => Some(scalar),
            };
            self.series += 1;
            if self.series_max > 0 && self.series > self.series_max {
                return Err(Error::SeriesLimit {
                    found: self.series,
                    max: self.series_max,
                });
            }
            if self.series.is_multiple_of(SERIES_PER_CHECK) {
                self.meter.check()?;
            }
            let key = view.series_key(id);
            let values = tag_values(&key, &self.outer);
            let bytes = PLANNED_BYTES + key.len();
            let own_bytes: usize = values.iter().map(|v| 2 * (size_of_val(v) + v.len())).sum();
            let tag_set = tag_sets
                .entry(values)
                .or_insert_with(|| Vec::with_capacity(1));
            let is_new = tag_set.is_empty();
            self.meter
                .grow(bytes + if is_new { GROUP_BYTES + own_bytes } else { 0 })?;
            tag_set.push(PlannedSeries {
                id,
                key: key.into(),
                residual,
            });
        }
        let (skip, take) = match (slimit, soffset) {
            (0, 0) => (0, u64::MAX),
            (limit, offset) => (offset, limit),
        };
        let mut tag_sets: Vec<_> = tag_sets.into_iter().collect();
        tag_sets.sort_by_cached_key(|(values, _)| tag_set_key(&self.outer, values));
        let chosen = tag_sets
            .into_iter()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            .take(usize::try_from(take).unwrap_or(usize::MAX));
        for (values, mut series) in chosen {
            series.sort_by(|a, b| a.key.cmp(&b.key));
            let group = self
                .groups
                .entry((measurement.name.clone(), values))
                .or_default();
            group.series.insert(at, series);
        }
        Ok(Leaf {
            at,
            measurement,
            conditions: predicate.references().to_vec(),
        })
    }
}

/// The order in which `SLIMIT` and `SOFFSET` count: by the keys of the tags that are there, then by
/// their values (`influxdata/influxdb tsdb/meta.go` `MakeTagsKey`). It is not that of the result.
fn tag_set_key(tags: &[String], values: &[Vec<u8>]) -> Vec<u8> {
    let present = || {
        tags.iter()
            .zip(values)
            .filter(|(_, value)| !value.is_empty())
    };
    let keys = present().map(|(tag, _)| tag.as_bytes());
    let values = present().map(|(_, value)| value.as_slice());
    keys.chain(values).collect::<Vec<_>>().join(&b'|')
}

/// The values of these tags in a series, empty where it has none.
pub(crate) fn tag_values(series_key: &[u8], tags: &[String]) -> Vec<Vec<u8>> {
    let mut values = vec![Vec::new(); tags.len()];
    if !tags.is_empty() {
        for (key, value) in SeriesKey::split(series_key).1 {
            if let Ok(at) = tags.binary_search_by(|tag| tag.as_bytes().cmp(&key)) {
                values[at] = value;
            }
        }
    }
    values
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
        for field in fields {
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
        for (field, column) in columns.into_iter().zip(names) {
            let scalar = lower(&field.expr, &mut |expr| self.slot(expr))?;
            outputs.push(Output {
                column,
                name: field.name(),
                scalar,
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
