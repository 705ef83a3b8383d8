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

#[cfg(test)]
mod tests {
    use super::super::rewrite::check;
    use super::*;

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
