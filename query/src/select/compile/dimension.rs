//! The `GROUP BY` clause.

use tandem_influxql::Shown;
use tandem_influxql::ast::Expr;
use tandem_influxql::condition::{TimeContext, TimeError, parse_time};

use super::{Dimension, fold};
use crate::error::Error;
use crate::select::window::Interval;

/// What the clause asks for.
#[derive(Debug, Default)]
pub(super) struct Windows {
    pub(super) interval: Interval,
    /// InfluxDB checks an offset that is a string, and refuses it when the statement is run.
    pub(super) bad_offset: Option<String>,
    pub(super) tags: Vec<Dimension>,
}

/// Reads the windows and the tags to group by.
pub(super) fn compile(dimensions: &[Expr], context: &TimeContext) -> Result<Windows, Error> {
    let mut windows = Windows::default();
    for dimension in dimensions {
        match fold(dimension.clone())? {
            Expr::VarRef(reference) if reference.is_time() => {
                return Err(Error::refused(
                    "time() is a function and expects at least one argument",
                ));
            }
            Expr::VarRef(reference) => windows.tags.push(Dimension::Tag(reference.name)),
            Expr::Wildcard(_) => windows.tags.push(Dimension::All),
            Expr::Regex(pattern) => windows.tags.push(Dimension::Matching(pattern)),
            Expr::Call(call) => {
                if call.name != "time" {
                    return Err(Error::refused("only time() calls allowed in dimensions"));
                }
                if call.args.is_empty() || call.args.len() > 2 {
                    return Err(Error::refused("time dimension expected 1 or 2 arguments"));
                }
                let Some(Expr::Duration(duration_ns)) = call.args.first() else {
                    return Err(Error::refused("time dimension must have duration argument"));
                };
                if !windows.interval.is_zero() {
                    return Err(Error::refused("multiple time dimensions not allowed"));
                }
                windows.interval.duration_ns = *duration_ns;
                if let Some(offset) = call.args.get(1) {
                    let duration_ns = (*duration_ns).max(0);
                    windows.interval.offset_ns = offset_ns(offset, duration_ns, context)?;
                    if matches!(offset, Expr::String(_)) {
                        let text = format!("invalid time dimension offset: {}", Shown(offset));
                        windows.bad_offset = Some(text);
                    }
                }
            }
            _ => return Err(Error::refused("only time and tag dimensions allowed")),
        }
    }
    Ok(windows)
}

/// By how much the windows are moved.
fn offset_ns(expr: &Expr, duration_ns: i64, context: &TimeContext) -> Result<i64, Error> {
    const BAD: &str = "time dimension offset must be duration or now()";
    // The part of a time that is past the last whole interval since the year 1.
    let into_interval = |time_ns: i64| match duration_ns {
        0 => 0,
        _ => {
            let since_year_1 = i128::from(time_ns) + YEAR_1_TO_EPOCH_NS;
            i64::try_from(since_year_1.rem_euclid(i128::from(duration_ns))).unwrap_or(0)
        }
    };
    match expr {
        Expr::Duration(offset) => Ok(offset.checked_rem(duration_ns).unwrap_or(0)),
        Expr::Time(time_ns) => Ok(into_interval(*time_ns)),
        Expr::Call(call) if call.name != "now" => Err(Error::refused(
            "time dimension offset function must be now()",
        )),
        Expr::Call(call) if !call.args.is_empty() => Err(Error::refused(
            "time dimension offset now() function requires no arguments",
        )),
        Expr::Call(_) => Ok(into_interval(context.now_ns)),
        Expr::String(text) => match parse_time(text, &context.zone) {
            Err(TimeError::Invalid) => Err(Error::refused(BAD)),
            Err(error) => Err(error.into()),
            Ok(time_ns) => Ok(into_interval(time_ns)),
        },
        _ => Err(Error::refused(BAD)),
    }
}

/// Go counts whole intervals from the first of January of the year 1.
const YEAR_1_TO_EPOCH_NS: i128 = 62_135_596_800 * 1_000_000_000;
