//! `SELECT` and `EXPLAIN`.

use super::{Parser, check_list, clause, invalid, unexpected};
use crate::{
    ast::{BinaryOp, Call, Explain, Expr, Field, Fill, FillValue, SelectStatement},
    error::ParseError,
    token::Token,
    zone,
};

impl Parser<'_> {
    /// A `SELECT` whose keyword has been read.
    pub(super) fn select(&mut self, into_required: bool) -> Result<SelectStatement, ParseError> {
        let fields = self.fields()?;
        let into = self.target(into_required)?;
        self.expect(&[Token::From])?;
        Ok(SelectStatement {
            fields,
            into,
            sources: self.sources(true)?,
            condition: self.condition()?,
            dimensions: self.dimensions()?,
            fill: self.fill()?,
            order_by: self.order_by()?,
            limit: self.count_after(Token::Limit)?,
            offset: self.count_after(Token::Offset)?,
            slimit: self.count_after(Token::Slimit)?,
            soffset: self.count_after(Token::Soffset)?,
            time_zone: self.time_zone()?,
        })
    }

    /// An `EXPLAIN` whose keyword has been read.
    pub(super) fn explain(&mut self) -> Result<Explain, ParseError> {
        let analyze = self.accept(Token::Analyze);
        let mut lexeme = self.next();
        // VERBOSE became a keyword only after 1.8.
        let verbose = lexeme.token == Token::Ident && lexeme.text.eq_ignore_ascii_case("verbose");
        if verbose {
            lexeme = self.next();
        }
        if lexeme.token != Token::Select {
            return Err(unexpected(&lexeme, "SELECT"));
        }
        Ok(Explain {
            analyze,
            verbose,
            statement: Box::new(self.select(false)?),
        })
    }

    fn fields(&mut self) -> Result<Vec<Field>, ParseError> {
        let mut fields = Vec::new();
        loop {
            check_list(&fields, "fields")?;
            fields.push(self.field()?);
            if self.scan().token != Token::Comma {
                self.unread();
                return Ok(fields);
            }
        }
    }

    fn field(&mut self) -> Result<Field, ParseError> {
        let expr = match self.regex()? {
            Some(regex) => Expr::Regex(regex),
            None => {
                let first = self.next();
                self.unread();
                let expr = self.expr()?;
                if let Some(op) = misplaced_operator(&expr) {
                    return Err(ParseError::Clause(format!(
                        "invalid operator {} in SELECT clause at {}; operator is intended for WHERE clause",
                        op.as_str(),
                        first.position
                    )));
                }
                expr
            }
        };
        let alias = if self.accept(Token::As) {
            super::some_name(self.ident()?)
        } else {
            None
        };
        self.skip_whitespace();
        Ok(Field { expr, alias })
    }

    /// A call of the function `name`, if the next token is that name.
    fn option_call(&mut self, name: &str) -> Result<Option<Expr>, ParseError> {
        let lexeme = self.next();
        self.unread();
        if lexeme.token != Token::Ident || !lexeme.text.eq_ignore_ascii_case(name) {
            return Ok(None);
        }
        self.expr().map(Some)
    }

    fn fill(&mut self) -> Result<Fill, ParseError> {
        let args = match self.option_call("fill")? {
            None => return Ok(Fill::Null),
            Some(Expr::Call(Call { args, .. })) => args,
            Some(_) => return Err(clause("fill must be a function call")),
        };
        let [arg] = args.as_slice() else {
            return Err(clause(
                "fill requires an argument, e.g.: 0, null, none, previous, linear",
            ));
        };
        let option = match arg {
            Expr::Integer(value) => return Ok(Fill::Number(FillValue::Integer(*value))),
            Expr::Number(value) => return Ok(Fill::Number(FillValue::Float(*value))),
            Expr::VarRef(var) if var.data_type.is_none() => var.name.as_str(),
            _ => "",
        };
        match option {
            "null" => Ok(Fill::Null),
            "none" => Ok(Fill::None),
            "previous" => Ok(Fill::Previous),
            "linear" => Ok(Fill::Linear),
            _ => Err(clause("expected number argument in fill()")),
        }
    }

    fn time_zone(&mut self) -> Result<Option<String>, ParseError> {
        let args = match self.option_call("tz")? {
            None => return Ok(None),
            Some(Expr::Call(Call { args, .. })) => args,
            Some(_) => return Err(clause("tz must be a function call")),
        };
        let [arg] = args.as_slice() else {
            return Err(clause("tz requires exactly one argument"));
        };
        let Expr::String(name) = arg else {
            return Err(clause("expected string argument in tz()"));
        };
        match zone::find(name) {
            Some(_) if name.is_empty() => Ok(Some("UTC".to_owned())),
            Some(_) => Ok(Some(name.clone())),
            None => Err(ParseError::Clause(format!(
                "unable to find time zone {name}"
            ))),
        }
    }

    /// Fails unless the statement of a continuous query has an interval if it needs one. Gives the
    /// interval in nanoseconds, 0 if it has none.
    pub(super) fn continuous_interval_ns(
        &mut self,
        statement: &SelectStatement,
    ) -> Result<i64, ParseError> {
        let interval = statement.group_by_interval();
        if statement.is_raw() {
            return interval.map_err(|error| clause(&error.to_string()));
        }
        let why = match interval {
            Ok(0) => String::new(),
            Ok(interval_ns) => return Ok(interval_ns),
            Err(error) => format!(", {error}"),
        };
        // Go back to the last token of the statement for the message.
        self.unread();
        self.unread();
        let lexeme = self.next();
        Err(unexpected(&lexeme, &format!("GROUP BY time(...){why}")))
    }

    /// `SHARD` has been read: `DURATION d`.
    pub(super) fn shard_duration(&mut self, inf_allowed: bool) -> Result<i64, ParseError> {
        self.expect(&[Token::Duration])?;
        if !inf_allowed {
            let lexeme = self.next();
            if lexeme.token == Token::Inf {
                let message = "invalid duration INF for shard duration";
                return Err(invalid(&lexeme, message.to_owned()));
            }
            self.unread();
        }
        self.duration_or_inf()
    }
}

/// A comparison or logical operator anywhere in a field: InfluxDB names the last that is not inside
/// another.
fn misplaced_operator(expr: &Expr) -> Option<BinaryOp> {
    match expr {
        Expr::Binary { op, .. } if op.is_logical() || op.is_comparison() => Some(*op),
        Expr::Binary { lhs, rhs, .. } => {
            misplaced_operator(rhs).or_else(|| misplaced_operator(lhs))
        }
        Expr::Paren(inner) => misplaced_operator(inner),
        Expr::Call(call) => call.args.iter().rev().find_map(misplaced_operator),
        _ => None,
    }
}
