//! Which functions take which types.
//!
//! InfluxDB finds out while it builds the stages of a query, from the inside out, and only where
//! there is something to read: a field of a series that fits, or a column of a subquery. The
//! texts name its own types, and clients have seen them for years.

use roaring::RoaringBitmap;
use tandem_influxql::ast::{Call, DataType, Expr, VarRef};

use super::bind::BoundMeasurement;
use super::plan::{Leaf, Level, Plan, PlannedSource};
use super::{subquery, types};
use crate::error::Error;
use crate::value::data_type_of;

/// Refuses functions over values that they cannot take.
///
/// # Errors
/// The first such call.
pub(super) fn check(plan: &Plan) -> Result<(), Error> {
    Checker.level(&plan.level)
}

struct Checker;

impl Checker {
    fn level(&self, level: &Level) -> Result<(), Error> {
        level.compiled.told_late()?;
        if level.calls.is_empty() {
            if level.references.iter().any(|r| r.data_type.is_some()) {
                for inner in subqueries(level) {
                    self.level(inner)?;
                }
            }
            return Ok(());
        }
        let typed = level.calls.iter().filter(|call| call.data_type.is_some());
        typed
            .map(|call| &call.what)
            .try_for_each(|call| self.call(level, call))
    }

    fn call(&self, level: &Level, call: &Call) -> Result<(), Error> {
        let Some(argument) = call.args.first() else {
            return Ok(());
        };
        match argument {
            Expr::Call(inner) => self.call(level, inner)?,
            Expr::VarRef(reference) => {
                for inner in subqueries(level) {
                    if subquery::has_column(inner, reference) {
                        self.level(inner)?;
                    }
                }
            }
            _ => {}
        }
        // What a function does not take is no matter where there is nothing to take.
        let taken = takes(call, argument, type_read(level, call));
        match taken.is_err() && reads(level, call) {
            true => taken,
            false => Ok(()),
        }
    }
}

/// Whether there is anything that the innermost function of a call would read.
fn reads(level: &Level, call: &Call) -> bool {
    match call.args.first() {
        Some(Expr::Call(inner)) => reads(level, inner),
        Some(Expr::VarRef(reference)) => is_there(level, reference),
        _ => false,
    }
}

fn is_there(level: &Level, reference: &VarRef) -> bool {
    level.sources.iter().any(|source| match source {
        PlannedSource::Leaf(leaf) => has_values(leaf, reference),
        PlannedSource::Subquery(inner) => subquery::has_column(inner, reference),
    })
}

/// The type that a function reads: that of a subquery's tag is a tag, whatever it is cast to.
fn type_read(level: &Level, call: &Call) -> Option<DataType> {
    match call.args.first()? {
        Expr::VarRef(reference) if reads_tag(level, call, reference) => Some(DataType::Tag),
        Expr::Call(inner) => types::of_call(&inner.name, type_read(level, inner), true),
        other => types::of_expr(other, &[]).unwrap_or(None),
    }
}

/// Whether a function gets the values of a subquery's tag: one that is computed source by source from any of them,
/// others where the first one that has something by this name has a tag.
fn reads_tag(level: &Level, call: &Call, reference: &VarRef) -> bool {
    match is_by_source(&call.name) {
        true => subqueries(level).any(|inner| subquery::has_tag(inner, reference)),
        false => begins_with_tags(level, reference),
    }
}

/// Whether a function is computed of each source for itself, and then of the results.
pub(super) fn is_by_source(function: &str) -> bool {
    matches!(
        function,
        "count" | "sum" | "mean" | "min" | "max" | "first" | "last"
    )
}

/// Whether the first source that has something by this name is a subquery that has a tag.
fn begins_with_tags(level: &Level, reference: &VarRef) -> bool {
    let mut having = level.sources.iter().filter_map(|source| match source {
        PlannedSource::Leaf(leaf) => has_values(leaf, reference).then_some(false),
        PlannedSource::Subquery(inner) => subquery::has_typed_column(inner, reference)
            .then(|| subquery::has_tag(inner, reference)),
    });
    having.next() == Some(true)
}

/// Whether what a source has falls away where sources are merged, since the first one has a tag and this one a number,
/// or the other way round.
pub(super) fn falls_away(level: &Level, source: &PlannedSource, reference: &VarRef) -> bool {
    let is_tag = |source: &PlannedSource| match source {
        PlannedSource::Leaf(_) => false,
        PlannedSource::Subquery(inner) => subquery::has_tag(inner, reference),
    };
    level.sources.len() > 1
        && !matches!(reference.data_type, Some(DataType::String | DataType::Tag))
        && level.sources.iter().any(is_tag)
        && is_tag(source) != begins_with_tags(level, reference)
}

fn subqueries(level: &Level) -> impl Iterator<Item = &Level> {
    level.sources.iter().filter_map(|source| match source {
        PlannedSource::Leaf(_) => None,
        PlannedSource::Subquery(inner) => Some(&**inner),
    })
}

/// Whether a shard has both: a field of this name with values of the type asked for, and one of the series.
fn has_values(leaf: &Leaf, reference: &VarRef) -> bool {
    let BoundMeasurement { view, name, .. } = &leaf.measurement;
    let series: RoaringBitmap = leaf.found.ids().map(|id| id.0).collect();
    let fits = |found| is_read_as(data_type_of(found), reference.data_type);
    view.has_field_beside(name, reference.name.as_bytes(), fits, &series)
}

/// Whether a field of one type has values of another: numbers are cast into one another, and nothing else is.
fn is_read_as(field: DataType, asked: Option<DataType>) -> bool {
    let is_number = |data_type| {
        matches!(
            data_type,
            DataType::Float | DataType::Integer | DataType::Unsigned
        )
    };
    asked.is_none_or(|asked| {
        asked == field || asked == DataType::AnyField || is_number(asked) && is_number(field)
    })
}

/// Refuses a type that the function does not take, in the words of InfluxDB.
fn takes(call: &Call, argument: &Expr, data_type: Option<DataType>) -> Result<(), Error> {
    let name = call.name.as_str();
    let takes_any = matches!(
        name,
        "count" | "first" | "last" | "mode" | "distinct" | "sample" | "elapsed"
    );
    let kind = match data_type {
        Some(DataType::String | DataType::Tag) if !takes_any => "string",
        Some(DataType::Boolean) if !takes_any && !matches!(name, "min" | "max") => "boolean",
        _ => return Ok(()),
    };
    // Among tags, the best of each series is looked for first.
    let of_tags = matches!(name, "top" | "bottom") && call.args.len() > 2;
    let inner = match argument {
        Expr::Call(inner) => inner.name.as_str(),
        _ => "",
    };
    let of_inner = match (inner, kind) {
        ("distinct", _) => "Interval",
        ("sample", "string") => "ReduceString",
        ("sample", _) => "ReduceBoolean",
        _ => "Interrupt",
    };
    let (name, stage) = match (name, kind) {
        ("holt_winters" | "holt_winters_with_fit", _) => ("elapsed".to_owned(), of_inner),
        ("non_negative_derivative", _) => ("derivative".to_owned(), of_inner),
        ("non_negative_difference", _) => ("difference".to_owned(), of_inner),
        ("top", "string") if of_tags => ("max".to_owned(), "Interrupt"),
        ("bottom", "string") if of_tags => ("min".to_owned(), "Interrupt"),
        (name, _) if of_tags => (name.to_owned(), "ReduceBoolean"),
        (name, _) => (name.replace('_', " "), of_inner),
    };
    Err(Error::refused(format!(
        "unsupported {name} iterator type: *query.{kind}{stage}Iterator"
    )))
}
