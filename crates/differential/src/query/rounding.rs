//! Statements without what makes much of a float's last digit.
//!
//! Floats are added up in other orders here and there, and by other ways here, and functions come from other
//! libraries. What differs by that is below any digit that is compared, unless something takes the digits before it
//! away.

use super::known::is;
use super::rewrite::with;
use super::tokens::split;

/// Functions whose last digit is not settled: they add floats up, so that what comes first decides about it, or come
/// from a library, which rounds in its own way.
const ROUNDED: [&str; 22] = [
    "SUM",
    "MEAN",
    "STDDEV",
    "INTEGRAL",
    "CUMULATIVE_SUM",
    "MOVING_AVERAGE",
    "MEDIAN",
    "EXPONENTIAL_MOVING_AVERAGE",
    "SIN",
    "COS",
    "TAN",
    "ASIN",
    "ACOS",
    "ATAN",
    "ATAN2",
    "EXP",
    "LN",
    "LOG",
    "LOG2",
    "LOG10",
    "POW",
    "HOLT_WINTERS",
];

/// Functions that divide small differences by one another.
const DIVIDING: [&str; 4] = [
    "KAUFMANS_ADAPTIVE_MOVING_AVERAGE",
    "KAUFMANS_EFFICIENCY_RATIO",
    "CHANDE_MOMENTUM_OSCILLATOR",
    "RELATIVE_STRENGTH_INDEX",
];

/// With `*` for `%`, which makes the last digit of what it divides the first one of its result, and with plain
/// averages for those that do so too; `None` where no function is called whose last digit is not settled.
pub(super) fn without_remainders(statement: &str) -> Option<String> {
    let tokens = split(statement);
    let is_one = |token: &String, names: &[&str]| names.iter().any(|name| is(token, name));
    let is_rounded = |token: &String| is_one(token, &ROUNDED) && !is_one(token, &DIVIDING);
    if !tokens.iter().any(is_rounded) {
        return None;
    }
    with(statement, |tokens, at| {
        if is(&tokens[at], "%") {
            return Some(" *".to_owned());
        }
        // A plain average takes two arguments.
        let is_average = is_one(&tokens[at], &DIVIDING) && arguments(tokens, at + 1) == 2;
        is_average.then(|| " moving_average".to_owned())
    })
}

/// How many arguments there are between the parenthesis at `start` and its end.
fn arguments(tokens: &[String], start: usize) -> usize {
    let (mut depth, mut count) = (0_usize, 1);
    for token in tokens.iter().skip(start) {
        match token.trim() {
            "(" => depth += 1,
            ")" if depth <= 1 => break,
            ")" => depth -= 1,
            "," if depth == 1 => count += 1,
            _ => {}
        }
    }
    count
}

/// With `pow(…, 1)`, which changes nothing, for functions with a period: of a large number, all that is left of it is
/// its last digits.
pub(super) fn without_periods(statement: &str) -> Option<String> {
    let mut open: Vec<bool> = Vec::new();
    with(statement, |tokens, at| {
        let is_one = |token: &String| ["SIN", "COS", "TAN"].iter().any(|name| is(token, name));
        let is_call = tokens.get(at + 1).is_some_and(|next| next.trim() == "(");
        match tokens[at].trim() {
            "(" => open.push(at > 0 && is_one(&tokens[at - 1])),
            ")" => return open.pop()?.then(|| ", 1)".to_owned()),
            _ if is_call && is_one(&tokens[at]) => return Some(" pow".to_owned()),
            _ => {}
        }
        None
    })
}

/// With `moving_average(…, 2)` for what takes one value from the next: of two large ones that are nearly the same, all
/// that is left is their last digits. `None` where none of them is settled.
pub(super) fn without_differences(statement: &str) -> Option<String> {
    let names = [
        "DERIVATIVE",
        "NON_NEGATIVE_DERIVATIVE",
        "DIFFERENCE",
        "NON_NEGATIVE_DIFFERENCE",
    ];
    let is_rounded = |token: &String| ROUNDED.iter().any(|name| is(token, name));
    if !split(statement).iter().any(is_rounded) {
        return None;
    }
    let is_one = |token: &String| names.iter().any(|name| is(token, name));
    let mut open: Vec<bool> = Vec::new();
    // Within a unit, whose end is at this depth.
    let mut unit: Option<usize> = None;
    with(statement, |tokens, at| {
        match tokens[at].trim() {
            "(" => open.push(at > 0 && is_one(&tokens[at - 1])),
            ")" => {
                if unit == Some(open.len()) {
                    unit = None;
                }
                return open.pop()?.then(|| ", 2)".to_owned());
            }
            "," if open.last() == Some(&true) => unit = Some(open.len()),
            _ if is_one(&tokens[at]) => return Some(" moving_average".to_owned()),
            _ => {}
        }
        unit.is_some().then(String::new)
    })
}

/// With what a forecast is made of for the forecast, which is looked for by steps that depend on each digit.
pub(super) fn without_forecasts(statement: &str) -> Option<String> {
    let names = ["HOLT_WINTERS", "HOLT_WINTERS_WITH_FIT"];
    let mut open: Vec<bool> = Vec::new();
    // Behind the first argument of a forecast, whose end is at this depth.
    let mut behind: Option<usize> = None;
    with(statement, |tokens, at| {
        let is_forecast = |token: &String| names.iter().any(|name| is(token, name));
        match tokens[at].trim() {
            "(" => open.push(at > 0 && is_forecast(&tokens[at - 1])),
            ")" => {
                if behind == Some(open.len()) {
                    behind = None;
                }
                open.pop();
            }
            "," if open.last() == Some(&true) => behind = Some(open.len()),
            _ if is_forecast(&tokens[at]) => return Some(" ".to_owned()),
            _ => {}
        }
        behind.is_some().then(String::new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rewrite: fn(&str) -> Option<String>, statement: &str, expected: Option<&str>) {
        assert_eq!(rewrite(statement).as_deref(), expected, "{statement}");
    }

    #[test]
    fn remainders_of_sums() {
        check(
            without_remainders,
            "SELECT mean(f) % stddev(x) FROM m",
            Some("SELECT mean(f) * stddev(x) FROM m"),
        );
        check(
            without_remainders,
            "SELECT i % atan(f) FROM m",
            Some("SELECT i * atan(f) FROM m"),
        );
        check(
            without_remainders,
            "SELECT kaufmans_efficiency_ratio(mean(i), 2) FROM m",
            Some("SELECT moving_average(mean(i), 2) FROM m"),
        );
        let own = "SELECT kaufmans_efficiency_ratio(f, 2), mean(i) FROM m";
        check(without_remainders, &own.replace(", 2", ", 2, 5"), None);
        check(
            without_remainders,
            "SELECT kaufmans_efficiency_ratio(f, 2) FROM m",
            None,
        );
        // Of all else, the last digit is known.
        check(without_remainders, "SELECT max(f) % 2 FROM m", None);
        check(without_remainders, "SELECT mean(f) / 2 FROM m", None);
    }

    #[test]
    fn periods() {
        check(
            without_periods,
            "SELECT 2 * cos((sum(f) + tan(1))), sin FROM m WHERE (f > sin(i))",
            Some("SELECT 2 * pow((sum(f) + pow(1, 1)), 1), sin FROM m WHERE (f > pow(i, 1))"),
        );
        check(without_periods, "SELECT atan(f), (cos) FROM m", None);
    }

    #[test]
    fn differences() {
        check(
            without_differences,
            "SELECT derivative(mean(f), 1s), 1 + difference(max(i)) FROM m",
            Some("SELECT moving_average(mean(f), 2), 1 + moving_average(max(i), 2) FROM m"),
        );
        check(
            without_differences,
            "SELECT difference(max(i)) FROM m",
            None,
        );
    }

    #[test]
    fn forecasts() {
        check(
            without_forecasts,
            "SELECT 1 + holt_winters(mean(f), 3, 0) AS a, holt_winters_with_fit(max(i), 1, 2) FROM m GROUP BY time(1h)",
            Some("SELECT 1 + (mean(f)) AS a, (max(i)) FROM m GROUP BY time(1h)"),
        );
        check(without_forecasts, "SELECT max(f) FROM m", None);
    }
}
