//! Types of references, calls and expressions (`influxdata/influxql` `TypeValuerEval`).

use tandem_influxql::Shown;
use tandem_influxql::ast::{BinaryOp, DataType, Expr, VarRef};

use super::bind::TypedSource;
use crate::error::Error;
use crate::lower::lower;
use crate::result::Value;
use crate::scalar::{IntegerDivision, Math};
use crate::value::stronger;

/// The type of `reference`: its own if it was cast, else the strongest among the sources; a tag
/// where no source has such a field; `None` where no source knows the name.
pub(super) fn of_reference(
    reference: &VarRef,
    sources: &[TypedSource],
) -> Result<Option<DataType>, Error> {
    if let Some(data_type) = reference.data_type.filter(|t| *t != DataType::AnyField) {
        return Ok(Some(data_type));
    }
    let mut found = None;
    for source in sources {
        match source {
            TypedSource::Measurements(measurements) => {
                for measurement in measurements {
                    found = stronger(found, measurement.type_of(&reference.name));
                }
            }
            TypedSource::Subquery(inner) => {
                if let Some(expr) = inner.output(&reference.name) {
                    found = stronger(found, of_expr(expr, &inner.sources)?);
                }
                if found.is_none() && inner.dimensions.contains(&reference.name) {
                    found = Some(DataType::Tag);
                }
            }
        }
    }
    Ok(found)
}

/// The type of an expression over `sources`.
///
/// # Errors
/// When an operator stands between types that do not fit.
pub(super) fn of_expr(expr: &Expr, sources: &[TypedSource]) -> Result<Option<DataType>, Error> {
    Ok(match expr {
        Expr::VarRef(reference) => of_reference(reference, sources)?,
        Expr::Paren(inner) => of_expr(inner, sources)?,
        Expr::Number(_) => Some(DataType::Float),
        Expr::Integer(_) => Some(DataType::Integer),
        Expr::Unsigned(_) => Some(DataType::Unsigned),
        Expr::String(_) => Some(DataType::String),
        Expr::Boolean(_) => Some(DataType::Boolean),
        Expr::Call(call) => {
            let types = call.args.iter().map(|arg| of_expr(arg, sources));
            let types: Vec<_> = types.collect::<Result<_, Error>>()?;
            let first = types.first().copied().flatten();
            if sources.is_empty() && first.is_none() {
                check_second(&call.name, types.get(1).copied().flatten())?;
            }
            // Types of the references of an outermost statement are known by now.
            let is_settled = sources.is_empty();
            of_call(&call.name, first, is_settled)
        }
        Expr::Binary { op, lhs, rhs } => {
            let types = (of_expr(lhs, sources)?, of_expr(rhs, sources)?);
            of_binary(expr, *op, lhs, rhs, types)?
        }
        _ => None,
    })
}

/// Refuses a second argument that is no number, which is looked at where nothing is known of the first.
fn check_second(name: &str, second: Option<DataType>) -> Result<(), Error> {
    let is_number = matches!(
        second,
        None | Some(DataType::Float | DataType::Integer | DataType::Unsigned)
    );
    match second {
        Some(other) if matches!(name, "atan2" | "pow") && !is_number => {
            Err(Error::refused(format!(
                "invalid argument type for the second argument in {name}(): {}",
                other.as_str()
            )))
        }
        _ => Ok(()),
    }
}

/// The type of a function's result, by the type of its first argument. Where types are settled, functions that
/// make floats of all numbers make one of what is not known too.
pub(super) fn of_call(name: &str, first: Option<DataType>, is_settled: bool) -> Option<DataType> {
    match name {
        "mean"
        | "median"
        | "integral"
        | "stddev"
        | "derivative"
        | "non_negative_derivative"
        | "moving_average"
        | "exponential_moving_average"
        | "double_exponential_moving_average"
        | "triple_exponential_moving_average"
        | "relative_strength_index"
        | "triple_exponential_derivative"
        | "kaufmans_efficiency_ratio"
        | "kaufmans_adaptive_moving_average"
        | "chande_momentum_oscillator"
        | "holt_winters"
        | "holt_winters_with_fit" => Some(DataType::Float),
        "count" | "elapsed" => Some(DataType::Integer),
        // What is known of a number's function is what is known of the number.
        "abs" | "floor" | "ceil" | "round" => first,
        _ if is_settled && Math::from_name(name).is_some() => first.or(Some(DataType::Float)),
        _ => first,
    }
}

fn of_binary(
    whole: &Expr,
    op: BinaryOp,
    lhs: &Expr,
    rhs: &Expr,
    types: (Option<DataType>, Option<DataType>),
) -> Result<Option<DataType>, Error> {
    let error = |message: String| {
        Err(Error::refused(format!(
            "type error: {}: {message}",
            Shown(whole)
        )))
    };
    let mixed = match types {
        (Some(DataType::Unsigned), Some(DataType::Integer)) => Some((lhs, rhs)),
        (Some(DataType::Integer), Some(DataType::Unsigned)) => Some((rhs, lhs)),
        _ => None,
    };
    if let Some((unsigned, integer)) = mixed {
        let op = op.as_str();
        if unsigned.is_literal() {
            return error(format!(
                "cannot use {op} with an integer and unsigned literal"
            ));
        } else if !integer.is_literal() {
            return error(format!(
                "cannot use {op} between an integer and unsigned, an explicit cast is required"
            ));
        }
    }
    let (Some(left), Some(right)) = types else {
        return Ok(types.0.or(types.1));
    };
    // What the operator makes of zeros tells the type of its result.
    let zeros = [Value::zero(left), Value::zero(right)];
    let sample = Expr::binary(op, Expr::var("lhs"), Expr::var("rhs"));
    let sample = lower(&sample, &mut |expr| match expr {
        Expr::VarRef(reference) => Some(usize::from(reference.name == "rhs")),
        _ => None,
    })?;
    match sample.eval(&zeros, IntegerDivision::Truncated) {
        Value::Float(_) => Ok(Some(DataType::Float)),
        Value::Integer(_) => Ok(Some(DataType::Integer)),
        Value::Unsigned(_) => Ok(Some(DataType::Unsigned)),
        Value::String(_) => Ok(Some(DataType::String)),
        Value::Boolean(_) => Ok(Some(DataType::Boolean)),
        Value::Null | Value::Strings(_) | Value::Time(_) => error(format!(
            "incompatible types: {} and {}",
            left.as_str(),
            right.as_str()
        )),
    }
}
