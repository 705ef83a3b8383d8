//! Expressions over the values of one row, with every name already resolved to a slot.
//!
//! Rules of evaluation are those of `influxdata/influxql ast.go` `ValuerEval`: a missing side makes
//! a comparison false and arithmetic null (in `AND` and `OR` it counts as false), division by zero
//! is zero, and values of types that cannot be compared are neither equal nor unequal.

use std::sync::Arc;

use tandem_influxql::ast::BinaryOp;

use crate::regex::Regex;
use crate::result::Value;

/// What the quotient of two integers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntegerDivision {
    /// A float, as in `SELECT`.
    Exact,
    /// An integer, as in `WHERE`.
    Truncated,
}

/// A function of numbers that needs no more than one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Math {
    Abs,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Atan2,
    Exp,
    Log,
    Ln,
    Log2,
    Log10,
    Sqrt,
    Pow,
    Floor,
    Ceil,
    Round,
}

/// An expression over one row.
#[derive(Clone, Debug)]
pub(crate) enum Scalar {
    /// The value in this slot of the row.
    Slot(usize),
    /// Always this.
    Literal(Value),
    /// `lhs =~ /regex/`, or `!~` when negated.
    Match {
        lhs: Box<Scalar>,
        regex: Arc<Regex>,
        negated: bool,
    },
    /// `lhs op rhs`; never a regular expression.
    Binary {
        op: BinaryOp,
        lhs: Box<Scalar>,
        rhs: Box<Scalar>,
    },
    /// `function(args)`
    Math { function: Math, args: Vec<Scalar> },
}

impl Scalar {
    /// The value for the row that `slots` holds.
    pub(crate) fn eval(&self, slots: &[Value], division: IntegerDivision) -> Value {
        match self {
            Self::Slot(at) => slots.get(*at).cloned().unwrap_or(Value::Null),
            Self::Literal(value) => value.clone(),
            Self::Match {
                lhs,
                regex,
                negated,
            } => match lhs.eval(slots, division) {
                Value::String(text) => Value::Boolean(regex.is_match(&text) != *negated),
                _ => Value::Null,
            },
            Self::Binary { op, lhs, rhs } => binary(
                *op,
                lhs.eval(slots, division),
                rhs.eval(slots, division),
                division,
            ),
            Self::Math { function, args } => {
                let mut args = args.iter().map(|arg| arg.eval(slots, division));
                let first = args.next().unwrap_or(Value::Null);
                function.apply(first, args.next())
            }
        }
    }

    /// True when the value is a boolean and true.
    pub(crate) fn is_true(&self, slots: &[Value]) -> bool {
        matches!(
            self.eval(slots, IntegerDivision::Truncated),
            Value::Boolean(true)
        )
    }
}

fn binary(op: BinaryOp, lhs: Value, rhs: Value, division: IntegerDivision) -> Value {
    // What is missing counts as false beside a boolean, but is equal to nothing.
    let (lhs, rhs) = match (lhs, rhs) {
        (Value::Null, Value::Boolean(rhs)) if joins_booleans(op) => {
            (Value::Boolean(false), Value::Boolean(rhs))
        }
        (Value::Boolean(lhs), Value::Null) if joins_booleans(op) => {
            (Value::Boolean(lhs), Value::Boolean(false))
        }
        sides => sides,
    };
    let known = match (&lhs, &rhs) {
        (Value::Boolean(a), Value::Boolean(b)) => booleans(op, *a, *b),
        // A boolean beside anything else is known to fit no comparison and no logic.
        (Value::Boolean(_), _) if joins_booleans(op) => Some(Value::Boolean(false)),
        (Value::Float(_), _) | (_, Value::Float(_)) => match (lhs.as_float(), rhs.as_float()) {
            (Some(a), Some(b)) => floats(op, a, b),
            _ => None,
        },
        (Value::Integer(a), Value::Integer(b)) => integers(op, *a, *b, division),
        (Value::Integer(a), Value::Unsigned(_)) if *a < 0 && is_ordering(op) => {
            Some(Value::Boolean(matches!(op, BinaryOp::Lt | BinaryOp::Lte)))
        }
        (Value::Unsigned(_), Value::Integer(b)) if *b < 0 && is_ordering(op) => {
            Some(Value::Boolean(matches!(op, BinaryOp::Gt | BinaryOp::Gte)))
        }
        (Value::Integer(a), Value::Unsigned(b)) => unsigneds(op, a.cast_unsigned(), *b),
        (Value::Unsigned(a), Value::Integer(b)) => unsigneds(op, *a, b.cast_unsigned()),
        (Value::Unsigned(a), Value::Unsigned(b)) => unsigneds(op, *a, *b),
        (Value::String(a), Value::String(b)) => match op {
            BinaryOp::Eq => Some(Value::Boolean(a == b)),
            BinaryOp::Neq => Some(Value::Boolean(a != b)),
            _ => None,
        },
        _ => None,
    };
    known.unwrap_or_else(|| match op {
        BinaryOp::Eq | BinaryOp::Neq => Value::Boolean(false),
        op if is_ordering(op) => Value::Boolean(false),
        _ => Value::Null,
    })
}

/// True for `AND` and `OR`, and for `&`, `|` and `^`, which are no less to booleans.
const fn joins_booleans(op: BinaryOp) -> bool {
    op.is_logical()
        || matches!(
            op,
            BinaryOp::BitwiseAnd | BinaryOp::BitwiseOr | BinaryOp::BitwiseXor
        )
}

const fn is_ordering(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Lt | BinaryOp::Lte | BinaryOp::Gt | BinaryOp::Gte
    )
}

fn booleans(op: BinaryOp, a: bool, b: bool) -> Option<Value> {
    Some(Value::Boolean(match op {
        BinaryOp::And | BinaryOp::BitwiseAnd => a && b,
        BinaryOp::Or | BinaryOp::BitwiseOr => a || b,
        BinaryOp::Eq => a == b,
        BinaryOp::Neq | BinaryOp::BitwiseXor => a != b,
        _ => return None,
    }))
}

fn floats(op: BinaryOp, a: f64, b: f64) -> Option<Value> {
    Some(match op {
        BinaryOp::Eq => Value::Boolean(a == b),
        BinaryOp::Neq => Value::Boolean(a != b),
        BinaryOp::Lt => Value::Boolean(a < b),
        BinaryOp::Lte => Value::Boolean(a <= b),
        BinaryOp::Gt => Value::Boolean(a > b),
        BinaryOp::Gte => Value::Boolean(a >= b),
        BinaryOp::Add => Value::Float(a + b),
        BinaryOp::Sub => Value::Float(a - b),
        BinaryOp::Mul => Value::Float(a * b),
        BinaryOp::Div if b == 0.0 => Value::Float(0.0),
        BinaryOp::Div => Value::Float(a / b),
        BinaryOp::Mod => Value::Float(a % b),
        _ => return None,
    })
}

fn integers(op: BinaryOp, a: i64, b: i64, division: IntegerDivision) -> Option<Value> {
    Some(match op {
        BinaryOp::Eq => Value::Boolean(a == b),
        BinaryOp::Neq => Value::Boolean(a != b),
        BinaryOp::Lt => Value::Boolean(a < b),
        BinaryOp::Lte => Value::Boolean(a <= b),
        BinaryOp::Gt => Value::Boolean(a > b),
        BinaryOp::Gte => Value::Boolean(a >= b),
        BinaryOp::Add => Value::Integer(a.wrapping_add(b)),
        BinaryOp::Sub => Value::Integer(a.wrapping_sub(b)),
        BinaryOp::Mul => Value::Integer(a.wrapping_mul(b)),
        BinaryOp::Div if division == IntegerDivision::Exact => {
            return floats(op, a as f64, b as f64);
        }
        BinaryOp::Div if b == 0 => Value::Integer(0),
        BinaryOp::Div => Value::Integer(a.wrapping_div(b)),
        BinaryOp::Mod if b == 0 => Value::Integer(0),
        BinaryOp::Mod => Value::Integer(a.wrapping_rem(b)),
        BinaryOp::BitwiseAnd => Value::Integer(a & b),
        BinaryOp::BitwiseOr => Value::Integer(a | b),
        BinaryOp::BitwiseXor => Value::Integer(a ^ b),
        _ => return None,
    })
}

fn unsigneds(op: BinaryOp, a: u64, b: u64) -> Option<Value> {
    Some(match op {
        BinaryOp::Eq => Value::Boolean(a == b),
        BinaryOp::Neq => Value::Boolean(a != b),
        BinaryOp::Lt => Value::Boolean(a < b),
        BinaryOp::Lte => Value::Boolean(a <= b),
        BinaryOp::Gt => Value::Boolean(a > b),
        BinaryOp::Gte => Value::Boolean(a >= b),
        BinaryOp::Add => Value::Unsigned(a.wrapping_add(b)),
        BinaryOp::Sub => Value::Unsigned(a.wrapping_sub(b)),
        BinaryOp::Mul => Value::Unsigned(a.wrapping_mul(b)),
        BinaryOp::Div => Value::Unsigned(a.checked_div(b).unwrap_or(0)),
        BinaryOp::Mod => Value::Unsigned(a.checked_rem(b).unwrap_or(0)),
        BinaryOp::BitwiseAnd => Value::Unsigned(a & b),
        BinaryOp::BitwiseOr => Value::Unsigned(a | b),
        BinaryOp::BitwiseXor => Value::Unsigned(a ^ b),
        _ => return None,
    })
}

impl Math {
    /// The function of this name, in lower case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "abs" => Self::Abs,
            "sin" => Self::Sin,
            "cos" => Self::Cos,
            "tan" => Self::Tan,
            "asin" => Self::Asin,
            "acos" => Self::Acos,
            "atan" => Self::Atan,
            "atan2" => Self::Atan2,
            "exp" => Self::Exp,
            "log" => Self::Log,
            "ln" => Self::Ln,
            "log2" => Self::Log2,
            "log10" => Self::Log10,
            "sqrt" => Self::Sqrt,
            "pow" => Self::Pow,
            "floor" => Self::Floor,
            "ceil" => Self::Ceil,
            "round" => Self::Round,
            _ => return None,
        })
    }

    /// How many arguments it takes.
    pub(crate) const fn arity(self) -> usize {
        match self {
            Self::Atan2 | Self::Log | Self::Pow => 2,
            _ => 1,
        }
    }

    /// The value for these arguments; null when they are no numbers.
    pub(crate) fn apply(self, first: Value, second: Option<Value>) -> Value {
        match (self, &first) {
            (Self::Abs, Value::Integer(v)) => return Value::Integer(v.wrapping_abs()),
            (Self::Abs | Self::Floor | Self::Ceil | Self::Round, Value::Unsigned(_))
            | (Self::Floor | Self::Ceil | Self::Round, Value::Integer(_)) => return first,
            _ => {}
        }
        let Some(x) = first.as_float() else {
            return Value::Null;
        };
        Value::Float(match self {
            Self::Abs => x.abs(),
            Self::Sin => x.sin(),
            Self::Cos => x.cos(),
            Self::Tan => x.tan(),
            Self::Asin => x.asin(),
            Self::Acos => x.acos(),
            Self::Atan => x.atan(),
            Self::Exp => x.exp(),
            Self::Ln => x.ln(),
            Self::Log2 => x.log2(),
            Self::Log10 => x.log10(),
            Self::Sqrt => x.sqrt(),
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
            Self::Round => x.round(),
            Self::Atan2 | Self::Log | Self::Pow => {
                let Some(y) = second.and_then(|v| v.as_float()) else {
                    return Value::Null;
                };
                match self {
                    Self::Atan2 => x.atan2(y),
                    Self::Log => x.ln() / y.ln(),
                    _ => x.powf(y),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BinaryOp::{Add, And, Div, Eq, Gt, Lt, Mod, Mul, Neq, Or};
    use IntegerDivision::{Exact, Truncated};

    fn f(v: f64) -> Value {
        Value::Float(v)
    }

    fn i(v: i64) -> Value {
        Value::Integer(v)
    }

    fn u(v: u64) -> Value {
        Value::Unsigned(v)
    }

    fn s(v: &str) -> Value {
        Value::String(v.as_bytes().to_vec())
    }

    #[track_caller]
    fn check(lhs: Value, op: BinaryOp, rhs: Value, expected: Value) {
        assert_eq!(binary(op, lhs, rhs, Truncated), expected);
    }

    #[test]
    fn integers_divide_by_where_they_stand() {
        assert_eq!(binary(Div, i(3), i(2), Exact), f(1.5));
        assert_eq!(binary(Div, i(3), i(2), Truncated), i(1));
        assert_eq!(binary(Div, i(3), i(0), Exact), f(0.0));
        assert_eq!(binary(Div, i(3), i(0), Truncated), i(0));
        assert_eq!(binary(Div, i(i64::MIN), i(-1), Truncated), i(i64::MIN));
    }

    #[test]
    fn zero_divisors_are_defined() {
        check(f(1.0), Div, f(0.0), f(0.0));
        check(i(1), Mod, i(0), i(0));
        check(u(1), Div, u(0), u(0));
        assert!(matches!(binary(Mod, f(1.0), f(0.0), Exact), Value::Float(v) if v.is_nan()));
    }

    #[test]
    fn numbers_meet_as_floats() {
        check(i(1), Add, f(0.5), f(1.5));
        check(u(2), Mul, f(0.5), f(1.0));
        check(i(1), Eq, f(1.0), Value::Boolean(true));
        check(i(-1), Lt, u(0), Value::Boolean(true));
        check(u(0), Gt, i(-1), Value::Boolean(true));
    }

    #[test]
    fn nothing_is_neither_equal_nor_unequal() {
        check(Value::Null, Eq, f(1.0), Value::Boolean(false));
        check(Value::Null, Neq, f(1.0), Value::Boolean(false));
        check(Value::Null, Add, f(1.0), Value::Null);
        check(f(1.0), Neq, s("1"), Value::Boolean(false));
        check(s("a"), Lt, s("b"), Value::Boolean(false));
        check(s("a"), Add, s("b"), Value::Null);
        check(
            Value::Null,
            Eq,
            Value::Boolean(false),
            Value::Boolean(false),
        );
        check(Value::Null, Or, Value::Boolean(true), Value::Boolean(true));
        check(
            Value::Boolean(true),
            And,
            Value::Null,
            Value::Boolean(false),
        );
    }

    #[test]
    fn regular_expressions_match_strings_only() {
        let matches = |lhs, negated| {
            let lhs = Box::new(Scalar::Literal(lhs));
            let regex = Arc::new(Regex::new("^a").unwrap());
            Scalar::Match {
                lhs,
                regex,
                negated,
            }
            .is_true(&[])
        };
        assert!(matches(s("abc"), false));
        assert!(!matches(s("abc"), true));
        assert!(!matches(Value::Null, true));
        assert!(!matches(f(1.0), false));
    }

    #[test]
    fn math_keeps_integers_where_it_can() {
        assert_eq!(Math::Abs.apply(i(-3), None), i(3));
        assert_eq!(Math::Round.apply(f(2.5), None), f(3.0));
        assert_eq!(Math::Round.apply(f(-2.5), None), f(-3.0));
        assert_eq!(Math::Floor.apply(i(7), None), i(7));
        assert_eq!(Math::Pow.apply(i(2), Some(i(10))), f(1024.0));
        assert_eq!(Math::Sqrt.apply(s("x"), None), Value::Null);
        assert_eq!(Math::Log.apply(i(8), Some(Value::Null)), Value::Null);
    }
}
