//! Walking expressions, and what is found out by it.

use super::{Call, Expr, Field, SelectStatement};

impl Expr {
    /// Calls `visit` for this expression and, as long as it says true, for the parts below, from
    /// left to right.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self) -> bool) {
        if !visit(self) {
            return;
        }
        match self {
            Self::Binary { lhs, rhs, .. } => {
                lhs.walk(visit);
                rhs.walk(visit);
            }
            Self::Paren(inner) => inner.walk(visit),
            Self::Call(call) => call.args.iter().for_each(|arg| arg.walk(visit)),
            _ => {}
        }
    }

    /// Rebuilds the expression from the leaves up: each part is replaced by what `change` makes of
    /// it after its own parts were replaced.
    #[must_use]
    pub fn rewrite(self, change: &mut impl FnMut(Self) -> Self) -> Self {
        let rebuilt = match self {
            Self::Binary { op, lhs, rhs } => {
                Self::binary(op, lhs.rewrite(change), rhs.rewrite(change))
            }
            Self::Paren(inner) => Self::Paren(Box::new(inner.rewrite(change))),
            Self::Call(Call { name, args }) => {
                let args = args.into_iter().map(|arg| arg.rewrite(change)).collect();
                Self::Call(Call { name, args })
            }
            leaf => leaf,
        };
        change(rebuilt)
    }

    /// True if some part of the expression is such.
    pub fn any(&self, mut is_such: impl FnMut(&Self) -> bool) -> bool {
        let mut found = false;
        self.walk(&mut |expr| {
            found = found || is_such(expr);
            !found
        });
        found
    }

    /// True if a condition compares `time` with something, in the way that InfluxDB looks for it:
    /// on the left of a comparison that only `AND`, `OR` and parentheses are above.
    #[must_use]
    pub fn has_time_comparison(&self) -> bool {
        match self {
            Self::Binary { op, lhs, rhs } if op.is_logical() => {
                lhs.has_time_comparison() || rhs.has_time_comparison()
            }
            Self::Binary { lhs, .. } => matches!(&**lhs, Self::VarRef(var) if var.is_time()),
            Self::Paren(inner) => inner.has_time_comparison(),
            _ => false,
        }
    }
}

impl Field {
    /// The name of the column: the alias, else the name of the reference or function, else for an
    /// operator those of its operands joined by `_`; empty for a literal, a wildcard or a regular
    /// expression.
    #[must_use]
    pub fn name(&self) -> String {
        if let Some(alias) = &self.alias {
            return alias.clone();
        }
        let mut expr = &self.expr;
        while let Expr::Paren(inner) = expr {
            expr = inner;
        }
        if let Expr::Distinct(_) = expr {
            return "distinct".to_owned();
        }
        let mut names: Vec<&str> = Vec::new();
        expr.walk(&mut |part| {
            match part {
                Expr::VarRef(var) => names.push(&var.name),
                Expr::Call(call) => names.push(&call.name),
                _ => {}
            }
            !matches!(part, Expr::Call(_))
        });
        names.join("_")
    }
}

/// What is wrong with a `time(…)` in `GROUP BY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// It takes an interval and perhaps an offset.
    #[error("time dimension expected 1 or 2 arguments")]
    Arguments,
    /// The interval must be a literal.
    #[error("time dimension must have duration argument")]
    NotDuration,
}

impl SelectStatement {
    /// True if no field calls a function: rows are returned as they were written.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        !self
            .fields
            .iter()
            .any(|field| field.expr.any(|expr| matches!(expr, Expr::Call(_))))
    }

    /// True unless the newest row comes first.
    #[must_use]
    pub fn is_ascending(&self) -> bool {
        !self.order_by.is_some_and(|order_by| order_by.descending)
    }

    /// The interval in nanoseconds of the first `time(…)` in `GROUP BY`; 0 if there is none.
    ///
    /// # Errors
    /// When its arguments are not what they must be.
    pub fn group_by_interval(&self) -> Result<i64, IntervalError> {
        for dimension in &self.dimensions {
            let Expr::Call(call) = dimension else {
                continue;
            };
            if call.name != "time" {
                continue;
            }
            return match call.args.as_slice() {
                [Expr::Duration(interval_ns)] | [Expr::Duration(interval_ns), _] => {
                    Ok(*interval_ns)
                }
                [_] | [_, _] => Err(IntervalError::NotDuration),
                _ => Err(IntervalError::Arguments),
            };
        }
        Ok(0)
    }
}
