//! A `WHERE` clause, divided into a range of time and what is left.
//!
//! Comparisons with `time` are taken out wherever `AND`, `OR` and parentheses alone are above them,
//! and are always intersected: an `OR` between two ranges of time acts as an `AND`, as it does in
//! InfluxDB. What is left is folded: constants are computed, and `now()` is a time.

mod fold;
#[cfg(test)]
mod tests;
mod time;

use jiff::tz::TimeZone;
use tandem_model::TimeRange;

pub use fold::fold_constants;
pub use time::{TimeError, parse_time};

use crate::ast::{BinaryOp, Expr};
use crate::display::Shown;

/// What `now()` and time strings mean in a statement.
#[derive(Clone, Debug)]
pub struct TimeContext {
    /// The time that `now()` is, in nanoseconds since the epoch.
    pub now_ns: i64,
    /// The zone that time strings without one are in.
    pub zone: TimeZone,
}

impl TimeContext {
    /// `now()` at this time, time strings in UTC.
    #[must_use]
    pub const fn utc(now_ns: i64) -> Self {
        Self {
            now_ns,
            zone: TimeZone::UTC,
        }
    }
}

/// The bounds that a condition sets for time, both inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeBounds {
    /// The first nanosecond inside; `None` if the condition sets none.
    pub min_ns: Option<i64>,
    /// The last nanosecond inside; `None` if the condition sets none.
    pub max_ns: Option<i64>,
}

impl TimeBounds {
    /// What is inside both.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        let tighter =
            |one: Option<i64>, two: Option<i64>, pick: fn(i64, i64) -> i64| match (one, two) {
                (Some(one), Some(two)) => Some(pick(one, two)),
                (one, two) => one.or(two),
            };
        Self {
            min_ns: tighter(self.min_ns, other.min_ns, i64::max),
            max_ns: tighter(self.max_ns, other.max_ns, i64::min),
        }
    }

    /// The range, where an absent bound is the limit of what a point may have.
    #[must_use]
    pub fn range(self) -> TimeRange {
        TimeRange::new(
            self.min_ns.unwrap_or(TimeRange::ALL.min_ns),
            self.max_ns.unwrap_or(TimeRange::ALL.max_ns),
        )
    }
}

/// Why a condition means nothing. Prints as InfluxDB's error does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// A time string is none.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// `time` is compared with what is no time.
    #[error("invalid operation: time and *influxql.{0} are not compatible")]
    Incompatible(&'static str),
    /// `time` is compared by an operator that makes no range.
    #[error("invalid time comparison operator: {0}")]
    Operator(&'static str),
    /// A condition is no comparison, such as `WHERE host`.
    #[error("invalid condition expression: {0}")]
    NotBoolean(String),
}

/// Divides a condition into bounds of time and the rest, which is `None` when nothing is left.
///
/// # Errors
/// When it is no condition, or its comparisons with `time` make no sense.
pub fn split_condition(
    condition: Option<&Expr>,
    context: &TimeContext,
) -> Result<(TimeBounds, Option<Expr>), ConditionError> {
    let Some(condition) = condition else {
        return Ok((TimeBounds::default(), None));
    };
    let (bounds, rest) = split(condition, context)?;
    let rest = match rest {
        Some(Expr::Paren(inner)) => Some(*inner),
        rest => rest,
    };
    let rest = rest.filter(|rest| *rest != Expr::Boolean(true));
    Ok((bounds, rest))
}

type Split = (TimeBounds, Option<Expr>);

fn split(condition: &Expr, context: &TimeContext) -> Result<Split, ConditionError> {
    match condition {
        Expr::Binary { op, lhs, rhs } if op.is_logical() => {
            let (lhs_bounds, lhs) = split(lhs, context)?;
            let (rhs_bounds, rhs) = split(rhs, context)?;
            let rest = match (lhs, rhs) {
                (Some(lhs), Some(rhs)) => Some(fold::join_logical(*op, lhs, rhs)),
                (lhs, rhs) => lhs.or(rhs),
            };
            Ok((lhs_bounds.intersect(rhs_bounds), rest))
        }
        Expr::Binary { op, lhs, rhs } => {
            if is_time(lhs) {
                return Ok((bounds(*op, rhs, context)?, None));
            }
            if is_time(rhs) {
                return Ok((bounds(mirror(*op), lhs, context)?, None));
            }
            let rest = fold_constants(condition.clone(), Some(context))?;
            Ok((TimeBounds::default(), Some(rest)))
        }
        Expr::Paren(inner) => {
            let (bounds, rest) = split(inner, context)?;
            Ok((bounds, rest.map(fold::parenthesize)))
        }
        Expr::Boolean(_) => Ok((TimeBounds::default(), Some(condition.clone()))),
        _ => Err(ConditionError::NotBoolean(Shown(condition).to_string())),
    }
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::VarRef(var) if var.is_time())
}

/// The operator when the sides are exchanged.
const fn mirror(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Gte => BinaryOp::Lte,
        BinaryOp::Lte => BinaryOp::Gte,
        other => other,
    }
}

/// The bounds that `time op value` sets.
fn bounds(op: BinaryOp, value: &Expr, context: &TimeContext) -> Result<TimeBounds, ConditionError> {
    let value_ns = match time_value(value, context)? {
        Expr::Time(time_ns) => time_ns,
        // Numbers and durations count from the epoch.
        Expr::Duration(number) | Expr::Integer(number) => number,
        #[expect(clippy::cast_possible_truncation, reason = "saturates, which is meant")]
        Expr::Number(number) => number as i64,
        other => return Err(ConditionError::Incompatible(fold::go_type(&other))),
    };
    let (min_ns, max_ns) = match op {
        BinaryOp::Gt => (Some(value_ns.saturating_add(1)), None),
        BinaryOp::Gte => (Some(value_ns), None),
        BinaryOp::Lt => (None, Some(value_ns.saturating_sub(1))),
        BinaryOp::Lte => (None, Some(value_ns)),
        BinaryOp::Eq => (Some(value_ns), Some(value_ns)),
        _ => return Err(ConditionError::Operator(op.as_str())),
    };
    Ok(TimeBounds { min_ns, max_ns })
}

/// What `time` is compared with, computed.
fn time_value(value: &Expr, context: &TimeContext) -> Result<Expr, ConditionError> {
    if let Expr::String(text) = value
        && time::looks_like_time(text)
    {
        return Ok(Expr::Time(parse_time(text, &context.zone)?));
    }
    Ok(match fold_constants(value.clone(), Some(context))? {
        Expr::Paren(inner) => *inner,
        other => other,
    })
}
