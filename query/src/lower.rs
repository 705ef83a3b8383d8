//! From the syntax tree to expressions over slots.

use std::sync::Arc;

use tandem_influxql::ast::Expr;

use crate::error::Error;
use crate::regex::Regex;
use crate::result::Value;
use crate::scalar::{Math, Scalar};

/// Lowers `expr`. `slot` gives the slot of a reference or of a call that is computed elsewhere, and
/// `None` for what is computed here.
///
/// # Errors
/// A regular expression that does not compile.
pub(crate) fn lower(
    expr: &Expr,
    slot: &mut dyn FnMut(&Expr) -> Option<usize>,
) -> Result<Scalar, Error> {
    if let Some(at) = slot(expr) {
        return Ok(Scalar::Slot(at));
    }
    Ok(match expr {
        Expr::Paren(inner) => lower(inner, slot)?,
        Expr::Binary { op, lhs, rhs } if op.is_regex() => {
            let Expr::Regex(pattern) = &**rhs else {
                return Ok(Scalar::Literal(Value::Null));
            };
            Scalar::Match {
                lhs: Box::new(lower(lhs, slot)?),
                regex: Arc::new(Regex::new(pattern)?),
                negated: *op == tandem_influxql::ast::BinaryOp::NeqRegex,
            }
        }
        Expr::Binary { op, lhs, rhs } => Scalar::Binary {
            op: *op,
            lhs: Box::new(lower(lhs, slot)?),
            rhs: Box::new(lower(rhs, slot)?),
        },
        Expr::Call(call) => match Math::from_name(&call.name) {
            Some(function) => {
                let args = call
                    .args
                    .iter()
                    .map(|arg| lower(arg, slot))
                    .collect::<Result<_, _>>()?;
                Scalar::Math { function, args }
            }
            None => Scalar::Literal(Value::Null),
        },
        Expr::Number(v) => Scalar::Literal(Value::Float(*v)),
        Expr::Integer(v) => Scalar::Literal(Value::Integer(*v)),
        Expr::Unsigned(v) => Scalar::Literal(Value::Unsigned(*v)),
        Expr::String(v) => Scalar::Literal(Value::String(v.clone().into_bytes())),
        Expr::Boolean(v) => Scalar::Literal(Value::Boolean(*v)),
        Expr::VarRef(_)
        | Expr::Distinct(_)
        | Expr::Wildcard(_)
        | Expr::Regex(_)
        | Expr::Duration(_)
        | Expr::Time(_)
        | Expr::Nil => Scalar::Literal(Value::Null),
    })
}
