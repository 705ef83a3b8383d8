//! Expressions.
//!
//! Operators are resolved with two stacks instead of by recursion. `AND` and `OR` are not resolved
//! one by one: the operands of a chain are collected, and a long chain becomes a balanced tree, so
//! that a dashboard's thousand `"host" = 'x' OR …` are no deeper than a handful. Other operators do
//! not regroup; they are held to [`EXPR_DEPTH_MAX`].

use super::{Parser, check_list, clause, invalid, param_name, regex_of, too_large, unexpected};
use crate::{
    ast::{BinaryOp, Call, DataType, Expr, VarRef, Wildcard},
    duration::parse_duration,
    error::ParseError,
    lexer::Lexeme,
    limits::EXPR_DEPTH_MAX,
    token::Token,
};

/// The most operands of a chain of `AND` or `OR` that lean to the left as InfluxDB's do.
const LEANING_OPERANDS_MAX: usize = 32;

/// An expression and how deep it is.
type Measured = (Expr, usize);

impl<'a> Parser<'a> {
    /// Any expression.
    pub(super) fn expr(&mut self) -> Result<Expr, ParseError> {
        self.measured_expr().map(|(expr, _)| expr)
    }

    fn measured_expr(&mut self) -> Result<Measured, ParseError> {
        self.expr_depth += 1;
        if self.expr_depth > EXPR_DEPTH_MAX {
            return Err(too_large("levels of an expression", EXPR_DEPTH_MAX));
        }
        let mut stacks = Stacks::default();
        stacks.operands.push(self.operand()?);
        loop {
            let Some(op) = self.next().token.operator() else {
                self.unread();
                break;
            };
            stacks.push_op(op)?;
            let operand = if op.is_regex() {
                match self.regex()? {
                    Some(regex) => (Expr::Regex(regex), 1),
                    None => return Err(unexpected(&self.next(), "regex")),
                }
            } else {
                self.operand()?
            };
            stacks.operands.push(operand);
        }
        self.expr_depth -= 1;
        stacks.finish()
    }

    /// An expression without binary operators, or one in parentheses.
    fn operand(&mut self) -> Result<Measured, ParseError> {
        let lexeme = self.next();
        let leaf = match lexeme.token {
            Token::LParen => {
                let (inner, depth) = self.measured_expr()?;
                let close = self.next();
                if close.token != Token::RParen {
                    return Err(unexpected(&close, ")"));
                }
                return deeper(Expr::Paren(Box::new(inner)), depth);
            }
            Token::Ident => {
                if self.scan().token == Token::LParen {
                    return self.call(&lexeme.text);
                }
                self.unread();
                self.unread();
                self.var_ref()?
            }
            Token::Distinct => return self.distinct(),
            Token::String => Expr::String(lexeme.text.into_owned()),
            Token::Number => match lexeme.text.parse::<f64>() {
                Ok(number) if number.is_finite() => Expr::Number(number),
                _ => return Err(invalid(&lexeme, "unable to parse number".to_owned())),
            },
            Token::Integer => integer(&lexeme)?,
            Token::True => Expr::Boolean(true),
            Token::False => Expr::Boolean(false),
            Token::DurationValue => parse_duration(&lexeme.text)
                .map(Expr::Duration)
                .map_err(|error| clause(&error.to_string()))?,
            Token::Mul => self.wildcard()?,
            Token::Regex => Expr::Regex(regex_of(lexeme)?),
            Token::BoundParam => return Err(bad_param(&lexeme)),
            Token::Add => return self.signed(1),
            Token::Sub => return self.signed(-1),
            _ => return Err(unexpected(&lexeme, "identifier, string, number, bool")),
        };
        Ok((leaf, 1))
    }

    /// What follows a `+` or `-` that stands before an operand.
    fn signed(&mut self, sign: i64) -> Result<Measured, ParseError> {
        let lexeme = self.next();
        if !matches!(
            lexeme.token,
            Token::Number | Token::Integer | Token::DurationValue | Token::LParen | Token::Ident
        ) {
            return Err(unexpected(&lexeme, "identifier, number, duration, ("));
        }
        self.unread();
        let (expr, depth) = self.operand()?;
        let literal = match expr {
            #[expect(clippy::cast_precision_loss, reason = "it is 1 or -1")]
            Expr::Number(number) => Expr::Number(number * sign as f64),
            Expr::Integer(number) => Expr::Integer(number.wrapping_mul(sign)),
            Expr::Duration(duration_ns) => Expr::Duration(duration_ns.wrapping_mul(sign)),
            Expr::Unsigned(number) if sign < 0 => {
                if number != i64::MIN.unsigned_abs() {
                    let message = format!("constant -{number} underflows int64");
                    return Err(ParseError::Clause(message));
                }
                Expr::Integer(i64::MIN)
            }
            Expr::Unsigned(_) => expr,
            _ => {
                let product = Expr::binary(BinaryOp::Mul, Expr::Integer(sign), expr);
                return deeper(product, depth);
            }
        };
        Ok((literal, depth))
    }

    /// What follows `DISTINCT`.
    fn distinct(&mut self) -> Result<Measured, ParseError> {
        let lexeme = self.scan();
        match lexeme.token {
            Token::LParen => self.call("distinct"),
            Token::Whitespace => Ok((Expr::Distinct(self.ident()?), 1)),
            _ => Err(unexpected(&lexeme, "(, identifier")),
        }
    }

    /// What follows `*`.
    fn wildcard(&mut self) -> Result<Expr, ParseError> {
        if self.scan().token != Token::DoubleColon {
            self.unread();
            return Ok(Expr::Wildcard(Wildcard::All));
        }
        let lexeme = self.scan();
        match lexeme.token {
            Token::Field => Ok(Expr::Wildcard(Wildcard::Fields)),
            Token::Tag => Ok(Expr::Wildcard(Wildcard::Tags)),
            _ => Err(unexpected(&lexeme, "field, tag")),
        }
    }

    fn var_ref(&mut self) -> Result<Expr, ParseError> {
        let name = self.segments()?.join(".");
        let mut data_type = None;
        if self.scan().token == Token::DoubleColon {
            data_type = Some(self.data_type()?);
        } else {
            self.unread();
        }
        Ok(Expr::VarRef(VarRef { name, data_type }))
    }

    fn data_type(&mut self) -> Result<DataType, ParseError> {
        let lexeme = self.scan();
        match lexeme.token {
            Token::Field => Ok(DataType::AnyField),
            Token::Tag => Ok(DataType::Tag),
            Token::Ident => match &*lexeme.text.to_ascii_lowercase() {
                "float" => Ok(DataType::Float),
                "integer" => Ok(DataType::Integer),
                "unsigned" => Ok(DataType::Unsigned),
                "string" => Ok(DataType::String),
                "boolean" => Ok(DataType::Boolean),
                _ => Err(unexpected(
                    &lexeme,
                    "float, integer, unsigned, string, boolean, field, tag",
                )),
            },
            _ => Err(unexpected(
                &lexeme,
                "float, integer, string, boolean, field, tag",
            )),
        }
    }

    /// The arguments of a call whose name and parenthesis have been read.
    fn call(&mut self, name: &str) -> Result<Measured, ParseError> {
        let name = name.to_lowercase();
        let mut args = Vec::new();
        let mut depth = 0;
        if let Some(regex) = self.regex()? {
            args.push(Expr::Regex(regex));
        } else {
            // Only a parenthesis that follows at once makes an empty list.
            if self.scan().token == Token::RParen {
                return Ok((Expr::Call(Call { name, args }), 1));
            }
            self.unread();
            let (arg, arg_depth) = self.measured_expr()?;
            depth = arg_depth;
            args.push(arg);
        }
        while self.accept(Token::Comma) {
            check_list(&args, "arguments of a call")?;
            if let Some(regex) = self.regex()? {
                args.push(Expr::Regex(regex));
                continue;
            }
            let (arg, arg_depth) = self.measured_expr()?;
            depth = depth.max(arg_depth);
            args.push(arg);
        }
        let close = self.scan();
        if close.token != Token::RParen {
            return Err(unexpected(&close, ")"));
        }
        deeper(Expr::Call(Call { name, args }), depth)
    }
}

/// Why a bound parameter has no value: InfluxDB takes the text of an error for the name of one that is missing.
fn bad_param(lexeme: &Lexeme<'_>) -> ParseError {
    let name = param_name(lexeme);
    if name.is_empty() {
        return clause("empty bound parameter");
    }
    ParseError::Clause(format!("missing parameter: {name}"))
}

fn integer(lexeme: &Lexeme<'_>) -> Result<Expr, ParseError> {
    if let Ok(number) = lexeme.text.parse::<i64>() {
        return Ok(Expr::Integer(number));
    }
    match lexeme.text.parse::<u64>() {
        Ok(number) => Ok(Expr::Unsigned(number)),
        Err(_) => Err(invalid(lexeme, "unable to parse integer".to_owned())),
    }
}

/// `expr`, whose parts are `depth` deep.
fn deeper(expr: Expr, depth: usize) -> Result<Measured, ParseError> {
    if depth >= EXPR_DEPTH_MAX {
        return Err(too_large("levels of an expression", EXPR_DEPTH_MAX));
    }
    Ok((expr, depth + 1))
}

/// Operands and operators that are not yet joined.
#[derive(Default)]
struct Stacks {
    operands: Vec<Measured>,
    /// Precedences rise from the bottom; only a chain of one logical operator repeats.
    ops: Vec<BinaryOp>,
}

impl Stacks {
    /// Joins what binds at least as tightly as `op`, then takes `op`.
    fn push_op(&mut self, op: BinaryOp) -> Result<(), ParseError> {
        while let Some(&top) = self.ops.last() {
            if top.precedence() < op.precedence() || (top == op && op.is_logical()) {
                break;
            }
            self.join_top()?;
        }
        self.ops.push(op);
        Ok(())
    }

    fn finish(mut self) -> Result<Measured, ParseError> {
        while !self.ops.is_empty() {
            self.join_top()?;
        }
        self.operands
            .pop()
            .ok_or_else(|| clause("empty expression"))
    }

    /// Joins the operands of the topmost operator, or of the whole chain if it is logical.
    fn join_top(&mut self) -> Result<(), ParseError> {
        let Some(&op) = self.ops.last() else {
            return Ok(());
        };
        let count = if op.is_logical() {
            self.ops
                .iter()
                .rev()
                .take_while(|&&other| other == op)
                .count()
        } else {
            1
        };
        self.ops.truncate(self.ops.len().saturating_sub(count));
        let first = self.operands.len().saturating_sub(count + 1);
        let operands = self.operands.split_off(first);
        let joined = if operands.len() > LEANING_OPERANDS_MAX {
            balance(op, operands)?
        } else {
            lean(op, operands)?
        };
        self.operands.push(joined);
        Ok(())
    }
}

fn join(op: BinaryOp, lhs: Measured, rhs: Measured) -> Result<Measured, ParseError> {
    let depth = lhs.1.max(rhs.1);
    deeper(Expr::binary(op, lhs.0, rhs.0), depth)
}

fn lean(op: BinaryOp, operands: Vec<Measured>) -> Result<Measured, ParseError> {
    let mut operands = operands.into_iter();
    let first = operands.next().ok_or_else(|| clause("empty expression"))?;
    operands.try_fold(first, |lhs, rhs| join(op, lhs, rhs))
}

/// Joins neighbours until one is left.
fn balance(op: BinaryOp, mut operands: Vec<Measured>) -> Result<Measured, ParseError> {
    while operands.len() > 1 {
        let mut joined = Vec::with_capacity(operands.len().div_ceil(2));
        let mut rest = operands.into_iter();
        while let Some(lhs) = rest.next() {
            joined.push(match rest.next() {
                Some(rhs) => join(op, lhs, rhs)?,
                None => lhs,
            });
        }
        operands = joined;
    }
    operands.pop().ok_or_else(|| clause("empty expression"))
}
