//! Which functions there are and what they take.

use tandem_influxql::ast::{Call, Expr};
use tandem_influxql::{Shown, format_duration};

use super::{Compiler, wrong_arity};
use crate::error::Error;

impl Compiler {
    /// Checks a call of a function that needs more than one row.
    pub(super) fn check_function(&mut self, call: &Call, wildcard: bool) -> Result<(), Error> {
        let name = call.name.as_str();
        match name {
            "max" | "min" | "first" | "last" => self.check_simple(call, wildcard),
            "count" | "sum" | "mean" | "median" | "mode" | "stddev" | "spread" => {
                self.only_selectors = false;
                self.check_simple(call, wildcard)
            }
            "percentile" => {
                check_arity(call, 2, 2)?;
                if !matches!(call.args[1], Expr::Integer(_) | Expr::Number(_)) {
                    return Err(Error::refused("expected float argument in percentile()"));
                }
                self.check_symbol(name, &call.args[0], wildcard)
            }
            "sample" => {
                check_arity(call, 2, 2)?;
                match call.args[1] {
                    Expr::Integer(count) if count <= 0 => {
                        return Err(Error::refused(format!(
                            "sample window must be greater than 1, got {count}"
                        )));
                    }
                    Expr::Integer(_) => {}
                    _ => return Err(Error::refused("expected integer argument in sample()")),
                }
                self.check_symbol(name, &call.args[0], wildcard)
            }
            "distinct" => self.check_distinct(&call.args, false),
            "top" | "bottom" => self.check_ranking(call),
            "derivative" | "non_negative_derivative" => {
                check_arity(call, 1, 2)?;
                self.check_unit(
                    call,
                    &format!("second argument to {name} must be a duration, got"),
                )?;
                self.check_input(call, 1, wildcard, true)
            }
            "elapsed" => {
                check_arity(call, 1, 2)?;
                self.check_unit(call, "second argument to elapsed must be a duration, got")?;
                self.check_input(call, 1, wildcard, true)
            }
            "difference" | "non_negative_difference" | "cumulative_sum" => {
                check_arity(call, 1, 1)?;
                self.check_input(call, 1, wildcard, true)
            }
            "moving_average" => {
                check_arity(call, 2, 2)?;
                let count = match &call.args[1] {
                    Expr::Integer(count) => *count,
                    other => {
                        return Err(Error::refused(format!(
                            "second argument for moving_average must be an integer, got {}",
                            go_type(other)
                        )));
                    }
                };
                if count <= 1 {
                    return Err(Error::refused(format!(
                        "moving_average window must be greater than 1, got {count}"
                    )));
                }
                self.check_input(call, count, wildcard, true)
            }
            "exponential_moving_average"
            | "double_exponential_moving_average"
            | "triple_exponential_moving_average"
            | "relative_strength_index"
            | "triple_exponential_derivative" => {
                self.check_technical(call, 4, &["exponential", "simple"], wildcard)
            }
            "kaufmans_efficiency_ratio" | "kaufmans_adaptive_moving_average" => {
                self.check_technical(call, 3, &[], wildcard)
            }
            "chande_momentum_oscillator" => {
                self.check_technical(call, 4, &["none", "exponential", "simple"], wildcard)
            }
            "integral" => {
                check_arity(call, 1, 2)?;
                match call.args.get(1) {
                    None => {}
                    Some(Expr::Duration(unit)) => check_positive(*unit)?,
                    Some(_) => return Err(Error::refused("second argument must be a duration")),
                }
                self.only_selectors = false;
                self.check_symbol(name, &call.args[0], wildcard)
            }
            "holt_winters" | "holt_winters_with_fit" => self.check_holt_winters(call, wildcard),
            _ => Err(Error::refused(format!("undefined function {name}()"))),
        }
    }

    /// A function of one field. `count(distinct(x))` is the one that may hold another.
    fn check_simple(&mut self, call: &Call, wildcard: bool) -> Result<(), Error> {
        check_arity(call, 1, 1)?;
        if call.name == "count" {
            match &call.args[0] {
                Expr::Call(inner) if inner.name == "distinct" => {
                    return self.check_distinct(&inner.args, true);
                }
                Expr::Distinct(_) => return Ok(()),
                _ => {}
            }
        }
        self.check_symbol(&call.name, &call.args[0], wildcard)
    }

    /// An argument that must be a field, or a wildcard for fields.
    fn check_symbol(&mut self, name: &str, arg: &Expr, wildcard: bool) -> Result<(), Error> {
        match arg {
            Expr::VarRef(_) => Ok(()),
            Expr::Wildcard(_) if !wildcard => Err(Error::refused(format!(
                "unsupported expression with wildcard: {name}()"
            ))),
            Expr::Regex(_) if !wildcard => Err(Error::refused(format!(
                "unsupported expression with regex field: {name}()"
            ))),
            Expr::Wildcard(_) | Expr::Regex(_) => {
                self.only_selectors = false;
                Ok(())
            }
            _ => Err(Error::refused(format!(
                "expected field argument in {name}()"
            ))),
        }
    }

    /// The first argument of a function from point to point: a field without windows, an aggregate
    /// with them.
    fn check_input(
        &mut self,
        call: &Call,
        windows: i64,
        wildcard: bool,
        nested: bool,
    ) -> Result<(), Error> {
        let name = &call.name;
        self.only_selectors = false;
        self.extra_intervals = self.extra_intervals.max(windows);
        match &call.args[0] {
            Expr::Call(_) if self.interval.is_zero() => Err(Error::refused(format!(
                "{name} aggregate requires a GROUP BY interval"
            ))),
            Expr::Call(inner) if nested && inner.name == "distinct" => {
                self.check_distinct(&inner.args, true)
            }
            inner @ Expr::Call(_) => self.check(inner, &mut { wildcard }),
            field => {
                if !self.interval.is_zero() && !self.inherited_interval {
                    return Err(Error::refused(format!(
                        "aggregate function required inside the call to {name}"
                    )));
                }
                self.check_symbol(name, field, wildcard)
            }
        }
    }

    /// The optional duration in second place.
    fn check_unit(&self, call: &Call, complaint: &str) -> Result<(), Error> {
        match call.args.get(1) {
            None => Ok(()),
            Some(Expr::Duration(unit)) => check_positive(*unit),
            Some(other) => Err(Error::refused(format!("{complaint} {}", go_type(other)))),
        }
    }

    fn check_distinct(&mut self, args: &[Expr], nested: bool) -> Result<(), Error> {
        match args {
            [] => {
                return Err(Error::refused(
                    "distinct function requires at least one argument",
                ));
            }
            [Expr::VarRef(_)] => {}
            [_] => return Err(Error::refused("expected field argument in distinct()")),
            _ => {
                return Err(Error::refused(
                    "distinct function can only have one argument",
                ));
            }
        }
        self.has_distinct |= !nested;
        self.only_selectors = false;
        Ok(())
    }

    fn check_ranking(&mut self, call: &Call) -> Result<(), Error> {
        let name = if call.name == "top" { "top" } else { "bottom" };
        if let Some(other) = self.ranking {
            return Err(Error::refused(format!(
                "selector function {other}() cannot be combined with other functions"
            )));
        }
        let [first, tags @ .., last] = call.args.as_slice() else {
            let got = call.args.len();
            return Err(Error::refused(format!(
                "invalid number of arguments for {name}, expected at least 2, got {got}"
            )));
        };
        let Expr::Integer(count) = last else {
            return Err(Error::refused(format!(
                "expected integer as last argument in {name}(), found {}",
                Shown(last)
            )));
        };
        if *count <= 0 {
            return Err(Error::refused(format!(
                "limit ({count}) in {name} function must be at least 1"
            )));
        }
        if self.limit > 0 && count.cast_unsigned() > self.limit {
            return Err(Error::refused(format!(
                "limit ({count}) in {name} function can not be larger than the LIMIT ({}) in the select statement",
                self.limit
            )));
        }
        if !matches!(first, Expr::VarRef(_)) {
            return Err(Error::refused(format!(
                "expected first argument to be a field in {name}(), found {}",
                Shown(first)
            )));
        }
        for tag in tags {
            if !matches!(tag, Expr::VarRef(_)) {
                return Err(Error::refused(format!(
                    "only fields or tags are allowed in {name}(), found {}",
                    Shown(tag)
                )));
            }
            if !self.has_target {
                self.has_auxiliary = true;
            }
        }
        self.ranking = Some(name);
        Ok(())
    }

    /// The functions of technical analysis: field, period, hold period, kind of warm-up.
    fn check_technical(
        &mut self,
        call: &Call,
        max: usize,
        warmups: &[&str],
        wildcard: bool,
    ) -> Result<(), Error> {
        let name = &call.name;
        if call.args.len() < 2 || call.args.len() > max {
            return Err(Error::refused(format!(
                "invalid number of arguments for {name}, expected at least 2 but no more than {max}, got {}",
                call.args.len()
            )));
        }
        let period = match call.args[1] {
            Expr::Integer(period) => period,
            _ => return Err(Error::refused(format!("{name} period must be an integer"))),
        };
        if period < 1 {
            return Err(Error::refused(format!(
                "{name} period must be greater than or equal to 1"
            )));
        }
        match call.args.get(2) {
            None | Some(Expr::Integer(-1)) => {}
            Some(Expr::Integer(hold)) if *hold < 1 && name == "triple_exponential_derivative" => {
                return Err(Error::refused(format!(
                    "{name} hold period must be greater than or equal to 1"
                )));
            }
            Some(Expr::Integer(hold)) if *hold < 0 => {
                return Err(Error::refused(format!(
                    "{name} hold period must be greater than or equal to 0"
                )));
            }
            Some(Expr::Integer(_)) => {}
            Some(_) => {
                return Err(Error::refused(format!(
                    "{name} hold period must be an integer"
                )));
            }
        }
        match call.args.get(3) {
            None => {}
            Some(Expr::String(warmup)) if warmups.contains(&warmup.as_str()) => {}
            Some(Expr::String(_)) => {
                let known: Vec<String> = warmups.iter().map(|w| format!("'{w}'")).collect();
                return Err(Error::refused(format!(
                    "{name} warmup type must be one of: {}",
                    known.join(" ")
                )));
            }
            Some(_) => {
                return Err(Error::refused(format!(
                    "{name} warmup type must be a string"
                )));
            }
        }
        self.check_input(call, period, wildcard, false)
    }

    fn check_holt_winters(&mut self, call: &Call, wildcard: bool) -> Result<(), Error> {
        let name = &call.name;
        check_arity(call, 3, 3)?;
        match call.args[1] {
            Expr::Integer(n) if n <= 0 => {
                return Err(Error::refused(format!(
                    "second arg to {name} must be greater than 0, got {n}"
                )));
            }
            Expr::Integer(_) => {}
            _ => {
                return Err(Error::refused(format!(
                    "expected integer argument as second arg in {name}"
                )));
            }
        }
        match call.args[2] {
            Expr::Integer(s) if s < 0 => {
                return Err(Error::refused(format!(
                    "third arg to {name} cannot be negative, got {s}"
                )));
            }
            Expr::Integer(_) => {}
            _ => {
                return Err(Error::refused(format!(
                    "expected integer argument as third arg in {name}"
                )));
            }
        }
        self.only_selectors = false;
        if !matches!(call.args[0], Expr::Call(_)) {
            return Err(Error::refused(format!(
                "must use aggregate function with {name}"
            )));
        }
        self.check_input(call, 0, wildcard, true)
    }
}

fn check_arity(call: &Call, min: usize, max: usize) -> Result<(), Error> {
    let got = call.args.len();
    if min <= got && got <= max {
        return Ok(());
    }
    Err(if min == max {
        wrong_arity(&call.name, min, got)
    } else {
        Error::refused(format!(
            "invalid number of arguments for {}, expected at least {min} but no more than {max}, got {got}",
            call.name
        ))
    })
}

fn check_positive(duration_ns: i64) -> Result<(), Error> {
    if duration_ns > 0 {
        return Ok(());
    }
    Err(Error::refused(format!(
        "duration argument must be positive, got {}",
        format_duration(duration_ns)
    )))
}

/// The name of Go's type, which InfluxDB shows to its users.
const fn go_type(expr: &Expr) -> &'static str {
    match expr {
        Expr::Binary { .. } => "*influxql.BinaryExpr",
        Expr::Paren(_) => "*influxql.ParenExpr",
        Expr::Call(_) => "*influxql.Call",
        Expr::Distinct(_) => "*influxql.Distinct",
        Expr::VarRef(_) => "*influxql.VarRef",
        Expr::Wildcard(_) => "*influxql.Wildcard",
        Expr::Regex(_) => "*influxql.RegexLiteral",
        Expr::Number(_) => "*influxql.NumberLiteral",
        Expr::Integer(_) => "*influxql.IntegerLiteral",
        Expr::Unsigned(_) => "*influxql.UnsignedLiteral",
        Expr::String(_) => "*influxql.StringLiteral",
        Expr::Boolean(_) => "*influxql.BooleanLiteral",
        Expr::Duration(_) => "*influxql.DurationLiteral",
        Expr::Time(_) => "*influxql.TimeLiteral",
        Expr::Nil => "*influxql.NilLiteral",
    }
}
