//! Expressions.

use std::fmt;

use super::write_list;
use crate::{
    ast::{BinaryOp, Call, DataType, Expr, VarRef, Wildcard},
    duration::format_duration,
    quote::{Ident, Quoted},
};

impl fmt::Display for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "*",
            Self::Fields => "*::field",
            Self::Tags => "*::tag",
        })
    }
}

impl fmt::Display for VarRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ident(&self.name).fmt(f)?;
        match self.data_type {
            Some(data_type) => write!(f, "::{data_type}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The one keyword that may name a function.
        if self.name == "distinct" {
            f.write_str(&self.name)?;
        } else {
            Ident(&self.name).fmt(f)?;
        }
        f.write_str("(")?;
        write_list(f, &self.args)?;
        f.write_str(")")
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary { op, lhs, rhs } => write_binary(f, *op, lhs, rhs),
            Self::Paren(inner) => write!(f, "({inner})"),
            Self::Call(call) => call.fmt(f),
            Self::Distinct(name) => write!(f, "DISTINCT {}", Ident(name)),
            Self::VarRef(var) => var.fmt(f),
            Self::Wildcard(wildcard) => wildcard.fmt(f),
            Self::Regex(regex) => Regex(regex).fmt(f),
            Self::Number(number) => Number(*number).fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Unsigned(number) => number.fmt(f),
            Self::String(text) => Quoted(text).fmt(f),
            Self::Boolean(value) => value.fmt(f),
            Self::Duration(duration_ns) => f.write_str(&format_duration(*duration_ns)),
            Self::Time(time_ns) => {
                let nanoseconds = i128::from(*time_ns);
                match jiff::Timestamp::from_nanosecond(nanoseconds) {
                    Ok(time) => write!(f, "'{time}'"),
                    Err(_) => time_ns.fmt(f),
                }
            }
            Self::Nil => f.write_str("nil"),
        }
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, op: BinaryOp, lhs: &Expr, rhs: &Expr) -> fmt::Result {
    let lhs_bare = match lhs {
        Expr::Binary { op: inner, .. } => inner.precedence() >= op.precedence(),
        _ => true,
    };
    if lhs_bare {
        write!(f, "{lhs} {op} ")?;
    } else {
        write!(f, "({lhs}) {op} ")?;
    }
    match rhs {
        Expr::Binary { op: inner, .. } if inner.precedence() > op.precedence() => {
            write!(f, "{rhs}")
        }
        Expr::Binary { op: inner, .. } if *inner == op && op.is_logical() => write!(f, "{rhs}"),
        Expr::Binary { .. } => match signed(rhs) {
            Some((sign, operand)) => write!(f, "{sign}{operand}"),
            None => write!(f, "({rhs})"),
        },
        _ => write!(f, "{rhs}"),
    }
}

/// The sign and the operand of what the parser makes of `-x`: a product with -1.
fn signed(expr: &Expr) -> Option<(&'static str, &Expr)> {
    let Expr::Binary {
        op: BinaryOp::Mul,
        lhs,
        rhs,
    } = expr
    else {
        return None;
    };
    let sign = match **lhs {
        Expr::Integer(1) => "+",
        Expr::Integer(-1) => "-",
        _ => return None,
    };
    matches!(**rhs, Expr::VarRef(_) | Expr::Paren(_) | Expr::Call(_)).then_some((sign, rhs))
}

/// A regular expression between slashes.
pub(super) struct Regex<'a>(pub(super) &'a str);

impl fmt::Display for Regex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.0.replace('/', "\\/"))
    }
}

/// A number, always with a decimal point and never with an exponent.
pub(super) struct Number(pub(super) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(&text)?;
        if text.contains('.') || !self.0.is_finite() {
            return Ok(());
        }
        f.write_str(".0")
    }
}
