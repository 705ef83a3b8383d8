//! What a `SELECT` asks for, checked without looking at any data.
//!
//! Compiling splits time out of the condition, folds constants, reads the `GROUP BY` clause and
//! refuses what cannot mean anything, in the order and the words of
//! `influxdata/influxdb query/compile.go`. Names stay names: which of them are fields, which are
//! tags, and of what type is found out by [`super::bind`].

mod dimension;
mod function;

use jiff::tz::TimeZone;
use tandem_influxql::Shown;
use tandem_influxql::ast::{Call, Expr, Field, Fill, Measurement, SelectStatement, Source};
use tandem_influxql::condition::{TimeBounds, TimeContext, fold_constants, split_condition};
use tandem_influxql::zone;
use tandem_model::{MAX_TIME_NS, MIN_TIME_NS, TimeRange};

use self::dimension::Windows;
use super::window::Interval;
use crate::error::Error;
use crate::result::Value;
use crate::scalar::Math;

/// A checked `SELECT`.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    /// What is selected, without `time`; wildcards are still wildcards.
    pub(crate) fields: Vec<Field>,
    /// The name of the column of times.
    pub(crate) time_name: String,
    /// The condition without its comparisons with time.
    pub(crate) condition: Option<Expr>,
    /// The bounds of time as the statement gives them.
    pub(crate) bounds: TimeBounds,
    /// The windows.
    pub(crate) interval: Interval,
    /// Whether a range without an upper bound ends now: it does where there are windows, negative ones too.
    pub(crate) ends_now: bool,
    /// What is wrong with the offset of the windows, if anything: it is told late.
    pub(crate) bad_offset: Option<String>,
    /// What is wrong with the condition once its constants are computed, if anything: it is told late too.
    pub(crate) bad_condition: Option<String>,
    /// The tags to group by.
    pub(crate) dimensions: Vec<Dimension>,
    /// What empty windows hold.
    pub(crate) fill: Fill,
    /// The order of time.
    pub(crate) ascending: bool,
    /// Rows per series; 0 is no limit.
    pub(crate) limit: u64,
    /// Rows of each series to leave out first.
    pub(crate) offset: u64,
    /// Series; 0 is no limit.
    pub(crate) slimit: u64,
    /// Series to leave out first.
    pub(crate) soffset: u64,
    /// The zone of windows and of printed times; `None` is UTC.
    pub(crate) zone: Option<TimeZone>,
    /// Whether `fill(previous)` begins with what was before the range.
    pub(crate) fill_looks_back: bool,
    /// True when no function is called that needs more than one row.
    pub(crate) is_raw: bool,
    /// How many windows before the range a function may look at.
    pub(crate) extra_intervals: i64,
    /// What is read.
    pub(crate) sources: Vec<CompiledSource>,
    /// Where the result is written to.
    pub(crate) into: Option<Measurement>,
}

/// One item of a checked `FROM` clause.
#[derive(Clone, Debug)]
pub(crate) enum CompiledSource {
    /// A measurement, or all that a regular expression finds.
    Measurement(Measurement),
    /// A subquery.
    Subquery(Box<Compiled>),
}

/// A tag, or several, to group by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dimension {
    /// The tag of this name.
    Tag(String),
    /// All tags.
    All,
    /// All tags whose names match, in the syntax of Go.
    Matching(String),
}

/// Checks `statement`; `now()` is `now_ns`.
///
/// # Errors
/// The first thing that InfluxDB would refuse.
pub(crate) fn compile(statement: &SelectStatement, now_ns: i64) -> Result<Compiled, Error> {
    Compiler::new(statement, now_ns, None)?.finish(statement)
}

impl Compiled {
    /// What is only told when the statement is about to read something, in the order in which it is looked at.
    pub(crate) fn told_late(&self) -> Result<(), Error> {
        let mut wrong = [&self.bad_condition, &self.bad_offset]
            .into_iter()
            .flatten();
        wrong
            .next()
            .map_or(Ok(()), |text| Err(Error::refused(text)))
    }

    /// The range of time of an outermost statement: without an upper bound, windows end now and
    /// anything else at the end of time.
    pub(crate) fn range(&self, now_ns: i64) -> TimeRange {
        let end = if self.ends_now { now_ns } else { MAX_TIME_NS };
        TimeRange::new(
            self.bounds.min_ns.unwrap_or(MIN_TIME_NS),
            self.bounds.max_ns.unwrap_or(end),
        )
    }
}

/// What the checks of the fields have found so far.
struct Compiler {
    now_ns: i64,
    condition: Option<Expr>,
    bounds: TimeBounds,
    zone: Option<TimeZone>,
    interval: Interval,
    bad_offset: Option<String>,
    bad_condition: Option<String>,
    /// True when the interval is that of the statement around.
    inherited_interval: bool,
    dimensions: Vec<Dimension>,
    ascending: bool,
    extra_intervals: i64,
    calls: usize,
    only_selectors: bool,
    has_distinct: bool,
    has_auxiliary: bool,
    /// `top` or `bottom`.
    ranking: Option<&'static str>,
    limit: u64,
    fill: Fill,
    /// True when the result is written and not returned.
    has_target: bool,
    fields: usize,
    is_subquery: bool,
}

impl Compiler {
    fn new(statement: &SelectStatement, now_ns: i64, parent: Option<&Self>) -> Result<Self, Error> {
        let zone = match &statement.time_zone {
            Some(name) => Some(
                zone::find(name)
                    .ok_or_else(|| Error::refused(format!("unable to find time zone {name}")))?,
            ),
            None => None,
        };
        let context = TimeContext {
            now_ns,
            zone: zone.clone().unwrap_or(TimeZone::UTC),
        };
        let (mut bounds, mut condition) = split_condition(statement.condition.as_ref(), &context)?;
        if let Some(condition) = &condition {
            check_condition(condition)?;
        }
        // InfluxDB divides the condition once more when it runs the statement. By then `5 + 1` is a number, which is no
        // condition.
        let mut bad_condition = None;
        let again = match (&statement.condition, parent) {
            (Some(whole), Some(_)) => {
                // That of a subquery, once found to be one, is folded before its time is looked for again:
                // `time > 5 OR true` is no bound there.
                let folded = with_known_math(whole.clone())
                    .and_then(|whole| Ok(fold_constants(whole, Some(&context))?));
                folded
                    .ok()
                    .map(|folded| split_condition(Some(&folded), &context))
            }
            _ => {
                let again = split_condition(condition.as_ref(), &context);
                Some(again.map(|(_, rest)| (bounds, rest)))
            }
        };
        match again {
            Some(Ok((own, rest))) => (bounds, condition) = (own, rest),
            Some(Err(error)) => bad_condition = Some(error.to_string()),
            None => {}
        }
        let Windows {
            interval,
            bad_offset,
            tags: dimensions,
        } = dimension::compile(&statement.dimensions, &context)?;
        let descending = statement.order_by.is_some_and(|order| order.descending);
        let mut compiler = Self {
            now_ns,
            condition,
            bounds,
            zone,
            interval,
            bad_offset,
            bad_condition,
            inherited_interval: false,
            dimensions,
            ascending: !descending,
            extra_intervals: 0,
            calls: 0,
            only_selectors: true,
            has_distinct: false,
            has_auxiliary: false,
            ranking: None,
            limit: statement.limit,
            fill: statement.fill,
            has_target: statement.into.is_some(),
            fields: 0,
            is_subquery: parent.is_some(),
        };
        if let Some(parent) = parent {
            if statement.order_by.is_some() && compiler.ascending != parent.ascending {
                return Err(Error::refused(
                    "subqueries must be ordered in the same direction as the query itself",
                ));
            }
            compiler.ascending = parent.ascending;
            // Empty windows of a subquery would be left out by the statement around it.
            if !compiler.interval.is_zero() && compiler.fill == Fill::Null {
                compiler.fill = Fill::None;
            }
            if compiler.interval.is_zero() && !parent.interval.is_zero() {
                compiler.interval = parent.interval;
                compiler.inherited_interval = true;
            }
        }
        Ok(compiler)
    }

    fn finish(mut self, statement: &SelectStatement) -> Result<Compiled, Error> {
        let mut time_name = "time".to_owned();
        let mut after_time = false;
        let mut fields = Vec::with_capacity(statement.fields.len());
        for field in &statement.fields {
            if let Expr::VarRef(reference) = &field.expr
                && reference.name == "time"
            {
                // To the statement around a subquery it is a column like any other, of which nothing is known;
                // and so is one that InfluxDB overlooks, having taken out the one before it.
                if self.is_subquery || after_time {
                    fields.push(field.clone());
                    after_time = false;
                } else {
                    time_name = field.alias.clone().unwrap_or_else(|| "time".to_owned());
                    after_time = true;
                }
                continue;
            }
            after_time = false;
            let expr = fold(field.expr.clone())?;
            self.fields += 1;
            self.check(&expr, &mut true)?;
            fields.push(Field {
                expr: with_distinct_calls(expr),
                alias: field.alias.clone(),
            });
        }
        self.check_fields()?;
        let mut sources = Vec::with_capacity(statement.sources.len());
        for source in &statement.sources {
            sources.push(match source {
                Source::Measurement(measurement) => {
                    CompiledSource::Measurement(measurement.clone())
                }
                Source::Subquery(inner) => {
                    let compiler = Self::new(inner, self.now_ns, Some(&self))?;
                    CompiledSource::Subquery(Box::new(compiler.finish(inner)?))
                }
            });
        }
        Ok(Compiled {
            fields,
            time_name,
            condition: self.condition,
            bounds: self.bounds,
            ends_now: !self.interval.is_zero(),
            // When it runs, a negative interval is taken for none at all.
            interval: if self.inherited_interval || self.interval.duration_ns < 0 {
                Interval::default()
            } else {
                self.interval
            },
            bad_offset: self.bad_offset,
            bad_condition: self.bad_condition,
            dimensions: self.dimensions,
            fill: statement.fill,
            ascending: self.ascending,
            limit: statement.limit,
            offset: statement.offset,
            slimit: statement.slimit,
            soffset: statement.soffset,
            zone: self.zone,
            fill_looks_back: false,
            is_raw: self.calls == 0,
            extra_intervals: self.extra_intervals,
            sources,
            into: statement.into.clone(),
        })
    }

    /// Checks one expression of a field. `wildcard` tells whether a wildcard may still come; below
    /// an operator it may not.
    fn check(&mut self, expr: &Expr, wildcard: &mut bool) -> Result<(), Error> {
        match expr {
            Expr::VarRef(_) => {
                self.has_auxiliary = true;
                Ok(())
            }
            Expr::Wildcard(_) if !*wildcard => Err(Error::refused(
                "unable to use wildcard in a binary expression",
            )),
            Expr::Regex(_) if !*wildcard => {
                Err(Error::refused("unable to use regex in a binary expression"))
            }
            Expr::Wildcard(_) | Expr::Regex(_) => {
                self.has_auxiliary = true;
                Ok(())
            }
            Expr::Call(call) => match Math::from_name(&call.name) {
                Some(math) => self.check_math(call, math, wildcard),
                None => {
                    self.calls += 1;
                    self.check_function(call, *wildcard)
                }
            },
            Expr::Distinct(_) => {
                self.calls += 1;
                self.has_distinct = true;
                self.only_selectors = false;
                Ok(())
            }
            Expr::Binary { lhs, rhs, .. } => {
                *wildcard = false;
                match (lhs.is_literal(), rhs.is_literal()) {
                    (true, true) => Err(Error::refused(
                        "cannot perform a binary expression on two literals",
                    )),
                    (true, false) => self.check(rhs, wildcard),
                    (false, true) => self.check(lhs, wildcard),
                    (false, false) => {
                        self.check(lhs, wildcard)?;
                        self.check(rhs, wildcard)
                    }
                }
            }
            Expr::Paren(inner) => self.check(inner, wildcard),
            _ => Err(Error::refused("field must contain at least one variable")),
        }
    }

    fn check_math(&mut self, call: &Call, math: Math, wildcard: &mut bool) -> Result<(), Error> {
        let (expected, got) = (math.arity(), call.args.len());
        if expected != got {
            return Err(wrong_arity(&call.name, expected, got));
        }
        for arg in call.args.iter().filter(|arg| !arg.is_literal()) {
            self.check(arg, wildcard)?;
        }
        Ok(())
    }

    /// Checks that the fields fit together.
    fn check_fields(&self) -> Result<(), Error> {
        if self.fields == 0 {
            return Err(Error::refused("at least 1 non-time field must be queried"));
        }
        if let Some(name) = self.ranking.filter(|_| self.calls > 1) {
            return Err(Error::refused(format!(
                "selector function {name}() cannot be combined with other functions"
            )));
        }
        if self.calls == 0 {
            match self.fill {
                Fill::None => {
                    return Err(Error::refused("fill(none) must be used with a function"));
                }
                Fill::Linear => {
                    return Err(Error::refused("fill(linear) must be used with a function"));
                }
                _ => {}
            }
            if !self.interval.is_zero() && !self.inherited_interval {
                return Err(Error::refused(
                    "GROUP BY requires at least one aggregate function",
                ));
            }
        }
        if self.has_distinct && (self.calls != 1 || self.has_auxiliary) {
            return Err(Error::refused(
                "aggregate function distinct() cannot be combined with other functions or fields",
            ));
        }
        if self.has_auxiliary && !self.only_selectors {
            return Err(Error::refused(
                "mixing aggregate and non-aggregate queries is not supported",
            ));
        }
        if self.has_auxiliary && self.calls > 1 {
            return Err(Error::refused(
                "mixing multiple selector functions with tags or fields is not supported",
            ));
        }
        Ok(())
    }
}

fn wrong_arity(name: &str, expected: usize, got: usize) -> Error {
    Error::refused(format!(
        "invalid number of arguments for {name}, expected {expected}, got {got}"
    ))
}

/// Computes the constant parts of `expr`, `now()` aside.
fn fold(expr: Expr) -> Result<Expr, Error> {
    Ok(match fold_constants(with_known_math(expr)?, None)? {
        Expr::Paren(inner) => *inner,
        other => other,
    })
}

/// `expr` with the values of functions of literals for the calls.
fn with_known_math(expr: Expr) -> Result<Expr, Error> {
    Ok(match expr {
        Expr::Call(Call { name, args }) => {
            let folded = |arg| Ok(fold_constants(with_known_math(arg)?, None)?);
            let args: Vec<Expr> = args.into_iter().map(folded).collect::<Result<_, Error>>()?;
            let math = Math::from_name(&name).filter(|math| math.arity() == args.len());
            match math {
                Some(math) if args.iter().all(is_known) => value_of(math, &args),
                _ => Expr::Call(Call { name, args }),
            }
        }
        Expr::Binary { op, lhs, rhs } => {
            Expr::binary(op, with_known_math(*lhs)?, with_known_math(*rhs)?)
        }
        Expr::Paren(inner) => Expr::Paren(Box::new(with_known_math(*inner)?)),
        other => other,
    })
}

/// True for literals of values.
const fn is_known(expr: &Expr) -> bool {
    expr.is_literal() && !matches!(expr, Expr::Regex(_))
}

/// What a function makes of literals.
fn value_of(math: Math, args: &[Expr]) -> Expr {
    let number = |expr: &Expr| match expr {
        Expr::Number(number) => Value::Float(*number),
        Expr::Integer(integer) => Value::Integer(*integer),
        Expr::Unsigned(unsigned) => Value::Unsigned(*unsigned),
        _ => Value::Null,
    };
    let mut args = args.iter().map(number);
    match math.apply(args.next().unwrap_or(Value::Null), args.next()) {
        Value::Float(number) => Expr::Number(number),
        Value::Integer(integer) => Expr::Integer(integer),
        Value::Unsigned(unsigned) => Expr::Unsigned(unsigned),
        _ => Expr::Nil,
    }
}

/// `DISTINCT x` as the call that it means.
fn with_distinct_calls(expr: Expr) -> Expr {
    match expr {
        Expr::Distinct(name) => Expr::call("distinct", vec![Expr::var(name)]),
        Expr::Call(Call { name, args }) => Expr::Call(Call {
            name,
            args: args.into_iter().map(with_distinct_calls).collect(),
        }),
        Expr::Binary { op, lhs, rhs } => {
            Expr::binary(op, with_distinct_calls(*lhs), with_distinct_calls(*rhs))
        }
        Expr::Paren(inner) => Expr::Paren(Box::new(with_distinct_calls(*inner))),
        other => other,
    }
}

/// Refuses functions that make no sense in a condition.
pub(crate) fn check_condition(expr: &Expr) -> Result<(), Error> {
    match expr {
        Expr::Binary { lhs, rhs, .. } => {
            check_condition(lhs)?;
            check_condition(rhs)
        }
        Expr::Paren(inner) => check_condition(inner),
        Expr::Call(call) => {
            let math = Math::from_name(&call.name).ok_or_else(|| {
                Error::refused(format!(
                    "invalid function call in condition: {}",
                    Shown(expr)
                ))
            })?;
            let (expected, got) = (math.arity(), call.args.len());
            if expected != got {
                return Err(wrong_arity(&call.name, expected, got));
            }
            call.args.iter().try_for_each(check_condition)
        }
        _ => Ok(()),
    }
}
