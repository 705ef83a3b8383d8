//! Which functions take which types.
//!
//! InfluxDB finds out while it builds the stages of a query, from the inside out, and only where
//! there is something to read: a field of a series that fits, or a column of a subquery. The
//! texts name its own types, and clients have seen them for years.

use tandem_influxql::ast::{Call, DataType, Expr, VarRef};

use super::bind::BoundMeasurement;
use super::plan::{Level, Plan, PlannedSource};
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
        if let Some(text) = &level.compiled.bad_offset {
            return Err(Error::refused(text));
        }
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
        let is_there = match argument {
            Expr::Call(inner) => {
                self.call(level, inner)?;
                self.reads(level, inner)
            }
            Expr::VarRef(reference) => {
                for inner in subqueries(level) {
                    if subquery::has_column(inner, reference) {
                        self.level(inner)?;
                    }
                }
                self.is_there(level, reference)
            }
            _ => false,
        };
        if !is_there {
            return Ok(());
        }
        takes(call, argument, type_read(level, argument))
    }

    /// Whether there is anything that the innermost function of a call would read.
    fn reads(&self, level: &Level, call: &Call) -> bool {
        match call.args.first() {
            Some(Expr::Call(inner)) => self.reads(level, inner),
            Some(Expr::VarRef(reference)) => self.is_there(level, reference),
            _ => false,
        }
    }

    fn is_there(&self, level: &Level, reference: &VarRef) -> bool {
        level.sources.iter().any(|source| match source {
            PlannedSource::Leaf(leaf) => {
                has_values(&leaf.measurement, reference) && !leaf.found.is_empty()
            }
            PlannedSource::Subquery(inner) => subquery::has_column(inner, reference),
        })
    }
}

/// The type that a function reads: that of a subquery's tag is a tag, whatever it is cast to.
fn type_read(level: &Level, argument: &Expr) -> Option<DataType> {
    match argument {
        Expr::VarRef(reference)
            if subqueries(level).any(|inner| subquery::has_tag(inner, reference)) =>
        {
            Some(DataType::Tag)
        }
        Expr::Call(inner) => {
            let read = inner.args.first().and_then(|first| type_read(level, first));
            types::of_call(&inner.name, read, true)
        }
        other => types::of_expr(other, &[]).unwrap_or(None),
    }
}

fn subqueries(level: &Level) -> impl Iterator<Item = &Level> {
    level.sources.iter().filter_map(|source| match source {
        PlannedSource::Leaf(_) => None,
        PlannedSource::Subquery(inner) => Some(&**inner),
    })
}

/// Whether a measurement has a field of this name with values of the type asked for, in whatever shard.
fn has_values(measurement: &BoundMeasurement, reference: &VarRef) -> bool {
    let fits = |found| is_read_as(data_type_of(found), reference.data_type);
    measurement.field(&reference.name).is_some_and(|strongest| {
        fits(strongest) || {
            let types = measurement.view.field_types(&measurement.name);
            let mut own = types
                .into_iter()
                .filter(|(name, _)| name == reference.name.as_bytes());
            own.any(|(_, found)| fits(found))
        }
    })
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
