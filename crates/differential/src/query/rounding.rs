//! Statements without what makes much of a float's last digit.
//!
//! Floats are added up in other orders here and there, and by other ways here, and functions come from other
//! libraries. What differs by that is below any digit that is compared, unless something takes the digits before it
//! away.

use super::fields::with_fields;
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

/// With its argument for each field that has a function with a period in it: of a large number, all that is left of it
/// is its last digits, whatever is computed of it then.
pub(super) fn without_periods(statement: &str) -> Option<String> {
    with_fields(statement, |field| {
        let argument = first_argument(field, &["SIN", "COS", "TAN"])?;
        Some(format!(" {}", argument.trim()))
    })
}

/// With its argument for each field in which one value is taken from the next: of two large ones that are nearly the same,
/// all that is left is their last digits. `None` where none of them is settled.
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
    with_fields(statement, |field| {
        let argument = first_argument(field, &names)?;
        Some(format!(" {}", argument.trim()))
    })
}

/// With the spread of what is added up for each field with a sum or a mean in it: where that is nearly nothing, beside what
/// was added, all that is left are last digits.
pub(super) fn with_spreads_for_sums(statement: &str) -> Option<String> {
    with_fields(statement, |field| {
        let argument = first_argument(field, &["SUM", "MEAN"])?;
        Some(format!(" spread({})", argument.trim()))
    })
}

/// The first argument of the first call of one of these functions.
fn first_argument(field: &[String], names: &[&str]) -> Option<String> {
    let is_call = |pair: &[String]| {
        let is_one = |token: &String| names.iter().any(|name| is(token, name));
        matches!(pair, [name, open] if is_one(name) && open.trim() == "(")
    };
    let start = field.windows(2).position(is_call)? + 2;
    let mut depth = 0_usize;
    let argument = field.iter().skip(start).take_while(|token| {
        match token.trim() {
            "(" => depth += 1,
            ")" if depth == 0 => return false,
            ")" => depth -= 1,
            "," if depth == 0 => return false,
            _ => {}
        }
        true
    });
    Some(argument.map(String::as_str).collect())
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
    use super::super::rewrite::check;
    use super::*;

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
            "SELECT 0.25 / cos((sum(f) + tan(1))) AS a, sin FROM m WHERE f > sin(i)",
            Some("SELECT (sum(f) + tan(1)) AS a, sin FROM m WHERE f > sin(i)"),
        );
        check(without_periods, "SELECT atan(f), (cos) FROM m", None);
    }

    #[test]
    fn differences() {
        check(
            without_differences,
            "SELECT derivative(mean(/[fx]/), 1s), 1 / abs(difference(max(i))) AS a FROM m",
            Some("SELECT mean(/[fx]/), max(i) AS a FROM m"),
        );
        check(
            without_differences,
            "SELECT difference(max(i)) FROM m",
            None,
        );
    }

    #[test]
    fn sums_of_nearly_nothing() {
        check(
            with_spreads_for_sums,
            "SELECT 2 * sum(f) AS a, max(i), derivative(mean(/x/), 1s) FROM m",
            Some("SELECT spread(f) AS a, max(i), spread(/x/) FROM m"),
        );
        check(with_spreads_for_sums, "SELECT max(f) FROM m", None);
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
