//! Computes what is constant in an expression.
//!
//! As InfluxDB does before it runs a statement: whole numbers divide to a number with a point, and
//! anything divided by zero is zero; a time string beside a time or duration is a time; durations add
//! to times. Whole numbers wrap round. A time that leaves what 64 bits hold is an error.

use super::{TimeContext, TimeError, parse_time, time::computed_out_of_range};
use crate::ast::{BinaryOp, Call, Expr};

/// Computes the constant parts of `expr`. With a context, `now()` is a time and time strings beside
/// times are read; without one, `now()` stays a call.
///
/// # Errors
/// When a time is computed that is not one that a point can have.
pub fn fold_constants(expr: Expr, context: Option<&TimeContext>) -> Result<Expr, TimeError> {
    fold(expr, context).map_err(|OutOfRange(time_ns)| computed_out_of_range(time_ns))
}

/// A time, in nanoseconds, that is not one that a point can have.
struct OutOfRange(i128);

fn fold(expr: Expr, context: Option<&TimeContext>) -> Result<Expr, OutOfRange> {
    match expr {
        Expr::Binary { op, lhs, rhs } => {
            let lhs = match fold(*lhs, context) {
                Err(OutOfRange(time_ns)) => return fold_back(op, time_ns, *rhs, context),
                Ok(lhs) => lhs,
            };
            let rhs = match (fold(*rhs, context), op, &lhs) {
                (
                    Err(OutOfRange(time_ns)),
                    BinaryOp::Add,
                    Expr::Duration(number) | Expr::Integer(number),
                ) => return in_range(time_ns + i128::from(*number)).map(Expr::Time),
                (rhs, ..) => rhs?,
            };
            if op.is_logical() {
                return Ok(join_logical(op, lhs, rhs));
            }
            match binary(op, &lhs, &rhs, context)? {
                Some(value) => Ok(value),
                None => Ok(Expr::binary(op, lhs, rhs)),
            }
        }
        Expr::Call(Call { name, args }) => match context {
            Some(context) if name == "now" && args.is_empty() => Ok(Expr::Time(context.now_ns)),
            _ => {
                let args: Result<_, _> = args.into_iter().map(|arg| fold(arg, context)).collect();
                Ok(Expr::Call(Call { name, args: args? }))
            }
        },
        Expr::Paren(inner) => fold(*inner, context).map(parenthesize),
        leaf => Ok(leaf),
    }
}

/// What a time out of range comes to with what is computed next: only the last of several may not be out of range.
fn fold_back(
    op: BinaryOp,
    time_ns: i128,
    rhs: Expr,
    context: Option<&TimeContext>,
) -> Result<Expr, OutOfRange> {
    match (op, fold(rhs, context)) {
        (BinaryOp::Add, Ok(Expr::Duration(number) | Expr::Integer(number))) => {
            in_range(time_ns + i128::from(number)).map(Expr::Time)
        }
        (BinaryOp::Sub, Ok(Expr::Duration(number) | Expr::Integer(number))) => {
            in_range(time_ns - i128::from(number)).map(Expr::Time)
        }
        (BinaryOp::Sub, Ok(Expr::Time(other_ns))) => {
            let between_ns = time_ns - i128::from(other_ns);
            let limit = if between_ns < 0 { i64::MIN } else { i64::MAX };
            Ok(Expr::Duration(i64::try_from(between_ns).unwrap_or(limit)))
        }
        _ => Err(OutOfRange(time_ns)),
    }
}

/// Parentheses, which only an operator needs.
pub(super) fn parenthesize(inner: Expr) -> Expr {
    match inner {
        Expr::Binary { .. } => Expr::Paren(Box::new(inner)),
        inner => inner,
    }
}

/// `lhs AND rhs` or `lhs OR rhs`, where a constant side decides or falls away.
pub(super) fn join_logical(op: BinaryOp, lhs: Expr, rhs: Expr) -> Expr {
    // The side that decides, whatever the other is: false for AND, true for OR.
    let deciding = op == BinaryOp::Or;
    match (&lhs, &rhs) {
        (Expr::Boolean(side), _) | (_, Expr::Boolean(side)) if *side == deciding => {
            Expr::Boolean(deciding)
        }
        (Expr::Boolean(_), _) => rhs,
        (_, Expr::Boolean(_)) => lhs,
        _ => Expr::binary(op, lhs, rhs),
    }
}

/// The value of `lhs op rhs`, if it has one.
fn binary(
    op: BinaryOp,
    lhs: &Expr,
    rhs: &Expr,
    context: Option<&TimeContext>,
) -> Result<Option<Expr>, OutOfRange> {
    // Whatever is compared with nothing is false.
    if matches!(rhs, Expr::Nil) && is_constant(lhs) {
        let all = !matches!(lhs, Expr::String(_) | Expr::Nil);
        let equality = matches!(op, BinaryOp::Eq | BinaryOp::Neq);
        return Ok((all || equality).then_some(Expr::Boolean(false)));
    }
    Ok(match (lhs, rhs) {
        (Expr::Boolean(lhs), Expr::Boolean(rhs)) => booleans(op, *lhs, *rhs),
        (Expr::Integer(lhs), Expr::Integer(rhs)) => integers(op, *lhs, *rhs),
        (Expr::Integer(lhs), Expr::Unsigned(_)) if *lhs < 0 && is_order(op) => {
            Some(Expr::Boolean(matches!(op, BinaryOp::Lt | BinaryOp::Lte)))
        }
        (Expr::Unsigned(_), Expr::Integer(rhs)) if *rhs < 0 && is_order(op) => {
            Some(Expr::Boolean(matches!(op, BinaryOp::Gt | BinaryOp::Gte)))
        }
        (Expr::Integer(lhs), Expr::Unsigned(rhs)) => unsigneds(op, lhs.cast_unsigned(), *rhs),
        (Expr::Unsigned(lhs), Expr::Integer(rhs)) => unsigneds(op, *lhs, rhs.cast_unsigned()),
        (Expr::Unsigned(lhs), Expr::Unsigned(rhs)) => unsigneds(op, *lhs, *rhs),
        (Expr::Duration(lhs), _) => duration_and(op, *lhs, rhs, context)?,
        (Expr::Time(lhs), _) => time_and(op, *lhs, rhs, context)?,
        (Expr::String(lhs), _) => string_and(op, lhs, rhs, context)?,
        // A whole number beside a duration is a time, beside a time a duration.
        (Expr::Integer(lhs), Expr::Duration(rhs)) => match op {
            BinaryOp::Add => Some(Expr::Time(add(*lhs, *rhs)?)),
            BinaryOp::Sub => Some(Expr::Time(subtract(*lhs, *rhs)?)),
            _ => None,
        },
        (Expr::Integer(lhs), Expr::Time(_)) => duration_and(op, *lhs, rhs, context)?,
        (Expr::Integer(lhs), Expr::String(text)) => match read_time(text, context) {
            Some(time_ns) => duration_and(op, *lhs, &Expr::Time(time_ns), context)?,
            None => None,
        },
        _ => match (as_number(lhs), as_number(rhs)) {
            (Some(lhs), Some(rhs)) => numbers(op, lhs, rhs),
            _ => None,
        },
    })
}

const fn is_constant(expr: &Expr) -> bool {
    expr.is_literal() && !matches!(expr, Expr::Regex(_) | Expr::Unsigned(_))
}

const fn is_order(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Lt | BinaryOp::Lte | BinaryOp::Gt | BinaryOp::Gte
    )
}

#[expect(clippy::cast_precision_loss, reason = "InfluxDB compares them so")]
fn as_number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Number(number) => Some(*number),
        Expr::Integer(number) => Some(*number as f64),
        Expr::Unsigned(number) => Some(*number as f64),
        _ => None,
    }
}

/// The result of a comparison operator.
fn compare<T: PartialOrd>(op: BinaryOp, lhs: &T, rhs: &T) -> Option<Expr> {
    Some(Expr::Boolean(match op {
        BinaryOp::Eq => lhs == rhs,
        BinaryOp::Neq => lhs != rhs,
        BinaryOp::Lt => lhs < rhs,
        BinaryOp::Lte => lhs <= rhs,
        BinaryOp::Gt => lhs > rhs,
        BinaryOp::Gte => lhs >= rhs,
        _ => return None,
    }))
}

fn booleans(op: BinaryOp, lhs: bool, rhs: bool) -> Option<Expr> {
    Some(Expr::Boolean(match op {
        BinaryOp::Eq => lhs == rhs,
        BinaryOp::Neq | BinaryOp::BitwiseXor => lhs != rhs,
        BinaryOp::BitwiseAnd => lhs && rhs,
        BinaryOp::BitwiseOr => lhs || rhs,
        _ => return None,
    }))
}

fn integers(op: BinaryOp, lhs: i64, rhs: i64) -> Option<Expr> {
    Some(Expr::Integer(match op {
        BinaryOp::Add => lhs.wrapping_add(rhs),
        BinaryOp::Sub => lhs.wrapping_sub(rhs),
        BinaryOp::Mul => lhs.wrapping_mul(rhs),
        #[expect(clippy::cast_precision_loss, reason = "InfluxDB divides them so")]
        BinaryOp::Div => {
            let quotient = if rhs == 0 {
                0.0
            } else {
                lhs as f64 / rhs as f64
            };
            return Some(Expr::Number(quotient));
        }
        BinaryOp::Mod if rhs == 0 => 0,
        BinaryOp::Mod => lhs.wrapping_rem(rhs),
        BinaryOp::BitwiseAnd => lhs & rhs,
        BinaryOp::BitwiseOr => lhs | rhs,
        BinaryOp::BitwiseXor => lhs ^ rhs,
        _ => return compare(op, &lhs, &rhs),
    }))
}

fn unsigneds(op: BinaryOp, lhs: u64, rhs: u64) -> Option<Expr> {
    Some(Expr::Unsigned(match op {
        BinaryOp::Add => lhs.wrapping_add(rhs),
        BinaryOp::Sub => lhs.wrapping_sub(rhs),
        BinaryOp::Mul => lhs.wrapping_mul(rhs),
        BinaryOp::Div => lhs.checked_div(rhs).unwrap_or(0),
        BinaryOp::Mod => lhs.checked_rem(rhs).unwrap_or(0),
        _ => return compare(op, &lhs, &rhs),
    }))
}

fn numbers(op: BinaryOp, lhs: f64, rhs: f64) -> Option<Expr> {
    Some(Expr::Number(match op {
        BinaryOp::Add => lhs + rhs,
        BinaryOp::Sub => lhs - rhs,
        BinaryOp::Mul => lhs * rhs,
        BinaryOp::Div if rhs == 0.0 => 0.0,
        BinaryOp::Div => lhs / rhs,
        BinaryOp::Mod => lhs % rhs,
        _ => return compare(op, &lhs, &rhs),
    }))
}

fn duration_and(
    op: BinaryOp,
    lhs_ns: i64,
    rhs: &Expr,
    context: Option<&TimeContext>,
) -> Result<Option<Expr>, OutOfRange> {
    Ok(match rhs {
        Expr::Duration(rhs_ns) => match op {
            BinaryOp::Add => Some(Expr::Duration(lhs_ns.wrapping_add(*rhs_ns))),
            BinaryOp::Sub => Some(Expr::Duration(lhs_ns.wrapping_sub(*rhs_ns))),
            _ => compare(op, &lhs_ns, rhs_ns),
        },
        Expr::Integer(number) => scale(op, lhs_ns, *number),
        #[expect(clippy::cast_possible_truncation, reason = "so does InfluxDB")]
        Expr::Number(number) => scale(op, lhs_ns, *number as i64),
        Expr::Time(time_ns) if op == BinaryOp::Add => Some(Expr::Time(add(*time_ns, lhs_ns)?)),
        Expr::String(text) if op == BinaryOp::Add => match read_time(text, context) {
            Some(time_ns) => Some(Expr::Time(add(time_ns, lhs_ns)?)),
            None => None,
        },
        _ => None,
    })
}

/// A duration times or by a number; by zero it is zero.
fn scale(op: BinaryOp, duration_ns: i64, number: i64) -> Option<Expr> {
    match op {
        BinaryOp::Mul => Some(Expr::Duration(duration_ns.wrapping_mul(number))),
        BinaryOp::Div if number == 0 => Some(Expr::Duration(0)),
        BinaryOp::Div => Some(Expr::Duration(duration_ns.wrapping_div(number))),
        _ => None,
    }
}

fn time_and(
    op: BinaryOp,
    lhs_ns: i64,
    rhs: &Expr,
    context: Option<&TimeContext>,
) -> Result<Option<Expr>, OutOfRange> {
    Ok(match rhs {
        Expr::Duration(number) | Expr::Integer(number) => match op {
            BinaryOp::Add => Some(Expr::Time(add(lhs_ns, *number)?)),
            BinaryOp::Sub => Some(Expr::Time(subtract(lhs_ns, *number)?)),
            _ => None,
        },
        Expr::Time(rhs_ns) => match op {
            BinaryOp::Sub => Some(Expr::Duration(lhs_ns.saturating_sub(*rhs_ns))),
            _ => compare(op, &lhs_ns, rhs_ns),
        },
        Expr::String(text) => match read_time(text, context) {
            Some(rhs_ns) => time_and(op, lhs_ns, &Expr::Time(rhs_ns), context)?,
            None => None,
        },
        _ => None,
    })
}

fn string_and(
    op: BinaryOp,
    lhs: &str,
    rhs: &Expr,
    context: Option<&TimeContext>,
) -> Result<Option<Expr>, OutOfRange> {
    let lhs_time = || read_time(lhs, context);
    match (rhs, op) {
        (Expr::String(rhs), BinaryOp::Add) => Ok(Some(Expr::String(format!("{lhs}{rhs}")))),
        // Two writings of one time are equal.
        (Expr::String(text), BinaryOp::Eq | BinaryOp::Neq) => {
            Ok(match (lhs_time(), read_time(text, context)) {
                (Some(lhs_ns), Some(rhs_ns)) => compare(op, &lhs_ns, &rhs_ns),
                _ => compare(op, &lhs, &text.as_str()),
            })
        }
        (Expr::String(_) | Expr::Duration(_) | Expr::Time(_) | Expr::Integer(_), _) => {
            match lhs_time() {
                Some(lhs_ns) => time_and(op, lhs_ns, rhs, context),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// The time that a string is, if it is one.
fn read_time(text: &str, context: Option<&TimeContext>) -> Option<i64> {
    let zone = context.map_or(jiff::tz::TimeZone::UTC, |context| context.zone.clone());
    parse_time(text, &zone).ok()
}

fn add(time_ns: i64, duration_ns: i64) -> Result<i64, OutOfRange> {
    in_range(i128::from(time_ns) + i128::from(duration_ns))
}

fn subtract(time_ns: i64, duration_ns: i64) -> Result<i64, OutOfRange> {
    in_range(i128::from(time_ns) - i128::from(duration_ns))
}

fn in_range(time_ns: i128) -> Result<i64, OutOfRange> {
    i64::try_from(time_ns).map_err(|_| OutOfRange(time_ns))
}

/// What InfluxDB's error messages call an expression.
pub(super) const fn go_type(expr: &Expr) -> &'static str {
    match expr {
        Expr::Binary { .. } => "BinaryExpr",
        Expr::Paren(_) => "ParenExpr",
        Expr::Call(_) => "Call",
        Expr::Distinct(_) => "Distinct",
        Expr::VarRef(_) => "VarRef",
        Expr::Wildcard(_) => "Wildcard",
        Expr::Regex(_) => "RegexLiteral",
        Expr::Number(_) => "NumberLiteral",
        Expr::Integer(_) => "IntegerLiteral",
        Expr::Unsigned(_) => "UnsignedLiteral",
        Expr::String(_) => "StringLiteral",
        Expr::Boolean(_) => "BooleanLiteral",
        Expr::Duration(_) => "DurationLiteral",
        Expr::Time(_) => "TimeLiteral",
        Expr::Nil => "NilLiteral",
    }
}
