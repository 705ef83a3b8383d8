//! Expressions as InfluxDB shows them in its error texts.
//!
//! Three digits behind the point, however many there are, and no parentheses but those that were
//! written: the text need not parse to the same tree. It is for people.

use std::fmt;

use crate::{
    ast::Expr,
    quote::{Ident, Quoted},
};

/// An expression as it stands in an error text.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a Expr);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expr::Binary { op, lhs, rhs } => {
                write!(f, "{} {op} {}", Self(lhs), Self(rhs))
            }
            Expr::Paren(inner) => write!(f, "({})", Self(inner)),
            Expr::Call(call) => {
                write!(f, "{}(", call.name)?;
                for (at, arg) in call.args.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{}", Self(arg))?;
                }
                f.write_str(")")
            }
            // In Go's words.
            Expr::Number(number) if number.is_infinite() => {
                f.write_str(if *number > 0.0 { "+Inf" } else { "-Inf" })
            }
            Expr::Number(number) => write!(f, "{number:.3}"),
            Expr::Distinct(name) => write!(f, "DISTINCT {}", Ident(name)),
            Expr::String(text) => Quoted(text).fmt(f),
            other => other.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shown;
    use crate::{Params, parse_expr};

    #[test]
    fn expressions_look_as_influxdb_shows_them() {
        for (text, shown) in [
            ("0.25 | 1 + 2.5", "0.250 | 1 + 2.500"),
            ("a % -f", "a % -1 * f"),
            ("(a + b) * mean(x::float)", "(a + b) * mean(x::float)"),
            ("top(\"a b\", 'x', 1.0)", "top(\"a b\", 'x', 1.000)"),
        ] {
            let expr = parse_expr(text, &Params::new()).expect("an expression");
            assert_eq!(Shown(&expr).to_string(), shown);
        }
    }
}
