//! The fields that a statement selects, one by one.

use super::known::is;
use super::tokens::split;

/// With what `change` makes of each field that is selected, which keeps its alias; `None` where it changes none.
pub(super) fn with_fields(
    statement: &str,
    change: impl Fn(&[String]) -> Option<String>,
) -> Option<String> {
    let tokens = split(statement);
    let mut text = String::new();
    let mut changed = false;
    // The depth of the list of fields in which it is, and where its current field begins.
    let (mut depth, mut list) = (0_usize, None);
    for (at, token) in tokens.iter().enumerate() {
        if let Some((own, start)) = list
            && depth == own
            && (token.trim() == "," || is(token, "FROM") || is(token, "INTO"))
        {
            let field = tokens.get(start..at).unwrap_or_default();
            let alias = field.iter().rposition(|token| is(token, "AS"));
            let (field, alias) = field.split_at(alias.unwrap_or(field.len()));
            let other = change(field);
            changed |= other.is_some();
            text.push_str(&other.unwrap_or_else(|| field.concat()));
            text.push_str(&alias.concat());
            list = (token.trim() == ",").then_some((own, at + 1));
        }
        match token.trim() {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        match is(token, "SELECT") {
            true => list = Some((depth, at + 1)),
            false if list.is_some_and(|(_, start)| start <= at) => continue,
            false => {}
        }
        text.push_str(token);
    }
    // A list without an end is none.
    (changed && list.is_none()).then_some(text)
}

/// Functions of fields that look at one point after the other.
const ONE_BY_ONE: [&str; 7] = [
    "DERIVATIVE",
    "NON_NEGATIVE_DERIVATIVE",
    "DIFFERENCE",
    "NON_NEGATIVE_DIFFERENCE",
    "ELAPSED",
    "MOVING_AVERAGE",
    "CUMULATIVE_SUM",
];

/// With nothing but the points that a function looks at one after the other, where these are rows of a subquery.
pub(super) fn with_points_of_rows(statement: &str) -> Option<String> {
    let tokens = split(statement);
    let from = tokens.iter().position(|token| is(token, "FROM"))?;
    let (fields, rest) = tokens.split_at(from);
    let is_of_rows = rest.get(1).is_some_and(|token| token.trim() == "(");
    if !is_of_rows || !fields.first().is_some_and(|token| is(token, "SELECT")) {
        return None;
    }
    let point = fields.windows(4).find_map(|tokens| match tokens {
        [function, open, point, end]
            if ONE_BY_ONE.iter().any(|name| is(function, name))
                && open.trim() == "("
                && [",", ")"].contains(&end.trim()) =>
        {
            Some(point.trim())
        }
        _ => None,
    })?;
    Some(format!("SELECT {point}{}", rest.concat()))
}

#[cfg(test)]
mod tests {
    use super::super::rewrite::check;
    use super::*;

    #[test]
    fn points_of_rows_are_selected_alone() {
        let inner = "FROM (SELECT sample(f, 9) FROM m GROUP BY host) GROUP BY *";
        check(
            with_points_of_rows,
            &format!("SELECT max(*), 2 * derivative(sample, 10s) {inner}"),
            Some(&format!("SELECT sample {inner}")),
        );
        check(with_points_of_rows, &format!("SELECT max(f) {inner}"), None);
        check(with_points_of_rows, "SELECT difference(f) FROM m", None);
        check(
            with_points_of_rows,
            &format!("SELECT difference(max(f)) {inner}"),
            None,
        );
    }

    #[test]
    fn fields_are_changed_one_by_one() {
        let doubled = |statement: &str| {
            with_fields(statement, |field| {
                let field = field.concat();
                (!field.contains("max")).then(|| format!("{field} * 2"))
            })
        };
        check(
            doubled,
            "SELECT f, max(g) AS a, sum(b) AS c INTO n FROM (SELECT x, pow(y, 2) FROM m WHERE x > 1), o; SELECT f FROM m",
            Some(
                "SELECT f * 2, max(g) AS a, sum(b) * 2 AS c INTO n FROM (SELECT x * 2, pow(y, 2) * 2 FROM m WHERE x > 1), o; SELECT f * 2 FROM m",
            ),
        );
        check(doubled, "SELECT max(f) FROM m", None);
        check(doubled, "SHOW FIELD KEYS FROM m", None);
        check(doubled, "SELECT f, g", None);
    }
}
