//! Statements without what makes answers differ on purpose.
//!
//! Each function gives the statement with one cause taken out, and `None` where it does not have it. What
//! comes out has to be a statement that both servers understand alike; whether it asks the same does not matter.

use super::known::is;
use super::tokens::split;

/// Without each `OFFSET n` that has no `LIMIT` before it.
pub(super) fn without_lone_offsets(statement: &str) -> Option<String> {
    without(statement, |tokens, at| {
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        let has_limit = before(2).is_some_and(|word| is(word, "LIMIT"))
            && before(1).is_some_and(|count| count.trim() != "0");
        let is_zero = tokens.get(at + 1).is_some_and(|count| count.trim() == "0");
        usize::from(is_with_number(tokens, at, &["OFFSET"]) && !has_limit && !is_zero) * 2
    })
}

/// Without `SLIMIT` and `SOFFSET`.
pub(super) fn without_series_limits(statement: &str) -> Option<String> {
    without(statement, |tokens, at| {
        usize::from(is_with_number(tokens, at, &["SLIMIT", "SOFFSET"])) * 2
    })
}

/// Without `LIMIT` and `OFFSET` of subqueries.
pub(super) fn without_inner_limits(statement: &str) -> Option<String> {
    let mut depth = 0_usize;
    without(statement, |tokens, at| {
        match tokens.get(at).map(|token| token.trim()) {
            Some("(") => depth += 1,
            Some(")") => depth = depth.saturating_sub(1),
            _ => {}
        }
        usize::from(depth > 0 && is_with_number(tokens, at, &["LIMIT", "OFFSET"])) * 2
    })
}

/// Without `LIMIT` and `OFFSET` where there is a `top()` or a `bottom()`.
pub(super) fn without_limits_of_ranks(statement: &str) -> Option<String> {
    let tokens = split(statement);
    let ranks = |token: &String| is(token, "TOP") || is(token, "BOTTOM");
    if !tokens.iter().any(ranks) {
        return None;
    }
    without(statement, |tokens, at| {
        usize::from(is_with_number(tokens, at, &["LIMIT", "OFFSET"])) * 2
    })
}

/// Without `DESC`.
pub(super) fn without_falling_order(statement: &str) -> Option<String> {
    without(statement, |tokens, at| usize::from(is(&tokens[at], "DESC")))
}

/// Without casts behind the first `WHERE`.
pub(super) fn without_casts_in_conditions(statement: &str) -> Option<String> {
    let mut behind = false;
    without(statement, |tokens, at| {
        behind |= is(&tokens[at], "WHERE");
        usize::from(behind && is(&tokens[at], "::")) * 2
    })
}

/// With `::integer` for `::unsigned`.
pub(super) fn with_integers_for_unsigned(statement: &str) -> Option<String> {
    with(statement, |tokens, at| {
        is(&tokens[at], "UNSIGNED").then(|| "integer".to_owned())
    })
}

/// With 50 for each percent below it, of which no window is too small.
pub(super) fn with_high_percentiles(statement: &str) -> Option<String> {
    let mut argument = None;
    with(statement, |tokens, at| {
        let token = tokens[at].trim();
        match argument {
            None if is(token, "PERCENTILE") => argument = Some(false),
            Some(false) if token == "," => argument = Some(true),
            Some(true) if token == "-" => return Some(String::new()),
            Some(true) => {
                argument = None;
                let is_low = token.parse::<f64>().is_ok_and(|percent| percent < 50.0);
                return is_low.then(|| " 50".to_owned());
            }
            _ => {}
        }
        None
    })
}

/// With `floor(…)` for `abs(…)`: both leave integers as they are in InfluxDB 1.6.
pub(super) fn with_floors_for_absolutes(statement: &str) -> Option<String> {
    with(statement, |tokens, at| {
        is(&tokens[at], "ABS").then(|| " floor".to_owned())
    })
}

/// With `sum(…)` for `integral(…)`, without its unit.
pub(super) fn with_sums_for_integrals(statement: &str) -> Option<String> {
    let renamed = with(statement, |tokens, at| {
        is(&tokens[at], "INTEGRAL").then(|| " sum".to_owned())
    })?;
    // Units stand at the same places in both.
    let tokens = split(statement);
    let mut open: Vec<bool> = Vec::new();
    let mut dropped = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.trim() {
            "(" => open.push(at > 0 && is(&tokens[at - 1], "INTEGRAL")),
            ")" => drop(open.pop()),
            "," if open.last() == Some(&true) => {
                dropped.extend(if tokens.get(at + 2)?.trim() == ")" {
                    [at, at + 1]
                } else {
                    return None;
                });
            }
            _ => {}
        }
    }
    let kept = split(&renamed).into_iter().enumerate();
    Some(
        kept.filter(|(at, _)| !dropped.contains(at))
            .map(|(_, token)| token)
            .collect(),
    )
}

/// With `EXACT` before each `CARDINALITY`, and `SHOW SERIES` for the cardinality of series.
pub(super) fn with_exact_cardinality(statement: &str) -> Option<String> {
    let tokens = split(statement);
    let of_series = tokens.windows(3).any(|words| {
        is(&words[0], "SERIES") && (is(&words[1], "CARDINALITY") || is(&words[2], "CARDINALITY"))
    });
    if of_series {
        return without(statement, |tokens, at| {
            usize::from(is(&tokens[at], "EXACT") || is(&tokens[at], "CARDINALITY"))
        });
    }
    with(statement, |tokens, at| {
        let is_estimate = is(&tokens[at], "CARDINALITY") && at > 0 && !is(&tokens[at - 1], "EXACT");
        is_estimate.then(|| " EXACT CARDINALITY".to_owned())
    })
}

/// `SHOW TAG …` with a condition that always holds for each one on time.
pub(super) fn with_tags_of_all_time(statement: &str) -> Option<String> {
    let tokens = split(statement);
    let is_of_tags = tokens
        .windows(2)
        .any(|words| is(&words[0], "SHOW") && is(&words[1], "TAG"));
    if !is_of_tags {
        return None;
    }
    let mut left = 0;
    // Whether this is one of several statements that speaks of tags.
    let mut within = false;
    with(statement, |tokens, at| {
        within |= is(&tokens[at], "SHOW") && tokens.get(at + 1).is_some_and(|next| is(next, "TAG"));
        within &= tokens[at].trim() != ";";
        if !within {
            return None;
        }
        let is_comparison = is(&tokens[at], "TIME")
            && tokens
                .get(at + 1)
                .is_some_and(|op| ["<", ">", "<=", ">=", "="].contains(&op.trim()));
        if left > 0 {
            left -= 1;
            return Some(String::new());
        }
        if !is_comparison {
            return None;
        }
        // The operator and the time, which may be negative.
        left = 2 + usize::from(tokens.get(at + 2).is_some_and(|sign| sign.trim() == "-"));
        Some(" host =~ /.*/".to_owned())
    })
}

/// Names of fields in the data, which no tag has.
const FIELDS: [&str; 5] = ["f", "i", "b", "s", "x"];

/// With `::string` behind each name of a field that is compared with a string or a pattern: of `::field` InfluxDB forgets
/// that it is one where it has no such field.
pub(super) fn with_marked_fields(statement: &str) -> Option<String> {
    let mut behind = false;
    with(statement, |tokens, at| {
        behind |= is(&tokens[at], "WHERE");
        let token = |at: usize| tokens.get(at).map_or("", |token| token.trim());
        let is_equality = ["=", "!=", "<>", "=~", "!~"].contains(&token(at + 1));
        let is_text = token(at + 2).starts_with(['\'', '/']);
        let is_field = FIELDS.contains(&token(at).trim_matches('"'));
        (behind && is_field && is_equality && is_text).then(|| format!("{}::string", tokens[at]))
    })
}

/// Without the conditions of statements around a subquery.
pub(super) fn without_outer_condition(statement: &str) -> Option<String> {
    let ends = [
        "GROUP", "FILL", "ORDER", "LIMIT", "OFFSET", "SLIMIT", "SOFFSET", "TZ",
    ];
    // Of each open parenthesis, and of the whole, whether there is a subquery in it.
    let mut open = vec![false];
    let mut dropping: Option<usize> = None;
    without(statement, |tokens, at| {
        match tokens[at].trim() {
            "(" => open.push(false),
            ")" if open.len() > 1 => drop(open.pop()),
            _ => {}
        }
        let depth = open.len();
        if let [.., around, _] = open.as_mut_slice()
            && is(&tokens[at], "SELECT")
        {
            *around = true;
        }
        if dropping.is_some_and(|own| {
            depth < own || depth == own && ends.iter().any(|word| is(&tokens[at], word))
        }) {
            dropping = None;
        }
        if dropping.is_none() && open.last() == Some(&true) && is(&tokens[at], "WHERE") {
            dropping = Some(depth);
        }
        usize::from(dropping.is_some())
    })
}

/// With `sum(…)` for `mean(…)`, and once more with `count(…)`, as two statements.
pub(super) fn with_sums_for_means(statement: &str) -> Option<String> {
    let renamed = |name: &str| {
        with(statement, |tokens, at| {
            is(&tokens[at], "MEAN").then(|| format!(" {name}"))
        })
    };
    Some(format!("{}; {}", renamed("sum")?, renamed("count")?))
}

/// Each of several statements; nothing where there is only one.
pub(super) fn one_by_one(statement: &str) -> Vec<String> {
    let tokens = split(statement);
    let statements = tokens.split(|token| token.trim() == ";");
    let statements = statements.map(|tokens| tokens.concat());
    let mut statements: Vec<String> = statements.filter(|text| !text.trim().is_empty()).collect();
    if statements.len() < 2 {
        statements.clear();
    }
    statements
}

/// Without `GROUP BY …`, up to a limit.
pub(super) fn without_groups(statement: &str) -> Option<String> {
    let mut dropping = false;
    without(statement, |tokens, at| {
        let is_one = |words: &[&str]| words.iter().any(|word| is(&tokens[at], word));
        dropping |= is_one(&["GROUP"]);
        dropping &= !is_one(&["LIMIT", "OFFSET"]);
        usize::from(dropping)
    })
}

/// Without `INTO`.
pub(super) fn without_into(statement: &str) -> Option<String> {
    let mut dropping = false;
    without(statement, |tokens, at| {
        dropping |= is(&tokens[at], "INTO");
        dropping &= !is(&tokens[at], "FROM");
        usize::from(dropping)
    })
}

/// With strings for the names that tags are compared with.
pub(super) fn with_strings_for_names(statement: &str) -> Option<String> {
    with(statement, |tokens, at| {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at))?;
        let name = tokens[at].trim().trim_matches('"');
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic());
        (["=", "!=", "<>"].contains(&before.trim()) && is_name).then(|| format!(" '{name}'"))
    })
}

/// With an hour for each duration of more than five digits.
pub(super) fn with_short_durations(statement: &str) -> Option<String> {
    with(statement, |tokens, at| {
        let token = tokens[at].trim();
        let digits = token.bytes().take_while(u8::is_ascii_digit).count();
        (digits > 5 && digits < token.len()).then(|| " 1h".to_owned())
    })
}

/// True for one of these words with a number behind it.
fn is_with_number(tokens: &[String], at: usize, words: &[&str]) -> bool {
    let number = tokens.get(at + 1).is_some_and(|next| {
        let next = next.trim();
        !next.is_empty() && next.bytes().all(|byte| byte.is_ascii_digit())
    });
    number && words.iter().any(|word| is(&tokens[at], word))
}

/// The statement without the tokens that `count` tells to drop at each place.
fn without(statement: &str, mut count: impl FnMut(&[String], usize) -> usize) -> Option<String> {
    let mut left = 0;
    with(statement, |tokens, at| {
        if left == 0 {
            left = count(tokens, at);
        }
        let dropped = left > 0;
        left = left.saturating_sub(1);
        dropped.then(String::new)
    })
}

/// The statement with what `change` tells for each of its tokens; `None` where it changes nothing.
pub(super) fn with(
    statement: &str,
    mut change: impl FnMut(&[String], usize) -> Option<String>,
) -> Option<String> {
    let tokens = split(statement);
    let mut text = String::new();
    let mut changed = false;
    for (at, token) in tokens.iter().enumerate() {
        match change(&tokens, at) {
            Some(other) => {
                changed = true;
                text.push_str(&other);
            }
            None => text.push_str(token),
        }
    }
    changed.then_some(text)
}

#[cfg(test)]
#[track_caller]
pub(super) fn check(
    rewrite: impl Fn(&str) -> Option<String>,
    statement: &str,
    expected: Option<&str>,
) {
    assert_eq!(rewrite(statement).as_deref(), expected, "{statement}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_alone_without_a_limit() {
        let alone = without_lone_offsets;
        check(alone, "SELECT f FROM m OFFSET 2", Some("SELECT f FROM m"));
        check(
            alone,
            "SELECT f FROM m LIMIT 0 OFFSET 2",
            Some("SELECT f FROM m LIMIT 0"),
        );
        check(
            alone,
            "SELECT f FROM (SELECT f FROM m offset 1) LIMIT 1",
            Some("SELECT f FROM (SELECT f FROM m) LIMIT 1"),
        );
        check(alone, "SELECT f FROM m LIMIT 1 OFFSET 2 SOFFSET 3", None);
        check(alone, "SELECT f FROM m OFFSET 0", None);
    }

    #[test]
    fn fields_are_marked_where_they_could_be_tags() {
        check(
            with_marked_fields,
            "SELECT f FROM m WHERE f !~ /a/ AND \"s\" = 'b' OR host = 'f'",
            Some("SELECT f FROM m WHERE f::string !~ /a/ AND \"s\"::string = 'b' OR host = 'f'"),
        );
        check(
            with_marked_fields,
            "SELECT f FROM m WHERE f > 1 AND i = 2",
            None,
        );
    }

    #[test]
    fn tags_of_all_time_are_those_of_their_own_statement() {
        let bounded = "SELECT max(f) FROM m WHERE time > 5 GROUP BY time(5s)";
        check(
            with_tags_of_all_time,
            &format!("{bounded}; SHOW TAG KEYS WHERE time > -5 AND b = 1; {bounded}"),
            Some(&format!(
                "{bounded}; SHOW TAG KEYS WHERE host =~ /.*/ AND b = 1; {bounded}"
            )),
        );
        check(with_tags_of_all_time, bounded, None);
    }

    #[test]
    fn nothing_is_written() {
        check(
            without_into,
            "SELECT f INTO copy.autogen.:MEASUREMENT FROM m",
            Some("SELECT f FROM m"),
        );
        check(without_into, "SELECT f FROM m GROUP BY *", None);
    }

    #[test]
    fn the_outer_condition_goes() {
        check(
            without_outer_condition,
            "SELECT sum(a) FROM (SELECT f AS a FROM m WHERE f > 1) WHERE time > now() AND (a > 1) GROUP BY host",
            Some("SELECT sum(a) FROM (SELECT f AS a FROM m WHERE f > 1) GROUP BY host"),
        );
        let inner = "SELECT sum(a) FROM (SELECT f AS a FROM m WHERE f > 1)";
        check(
            without_outer_condition,
            &format!("SELECT b FROM ({inner} WHERE (a > 1) AND time > 2) GROUP BY host"),
            Some(&format!("SELECT b FROM ({inner}) GROUP BY host")),
        );
        check(without_outer_condition, inner, None);
        check(without_outer_condition, "SELECT f FROM m WHERE f > 1", None);
    }

    #[test]
    fn means_are_sums_and_counts() {
        check(
            with_sums_for_means,
            "SELECT mean(i) FROM m",
            Some("SELECT sum(i) FROM m; SELECT count(i) FROM m"),
        );
        check(with_sums_for_means, "SELECT sum(i) FROM m", None);
    }

    #[test]
    fn limits() {
        check(
            without_series_limits,
            "SELECT f FROM m LIMIT 2 SLIMIT 1 SOFFSET 3",
            Some("SELECT f FROM m LIMIT 2"),
        );
        check(without_series_limits, "SELECT f FROM m LIMIT 2", None);
        check(
            without_inner_limits,
            "SELECT f FROM (SELECT f FROM m LIMIT 2 OFFSET 1) LIMIT 3",
            Some("SELECT f FROM (SELECT f FROM m) LIMIT 3"),
        );
        check(without_inner_limits, "SELECT f FROM m LIMIT 2", None);
        check(
            without_limits_of_ranks,
            "SELECT top(f, 2) FROM m LIMIT 1",
            Some("SELECT top(f, 2) FROM m"),
        );
        check(without_limits_of_ranks, "SELECT f FROM m LIMIT 1", None);
    }

    #[test]
    fn functions() {
        check(
            with_high_percentiles,
            "SELECT percentile(f, 12.5), percentile(i, -1) FROM m LIMIT 2",
            Some("SELECT percentile(f, 50), percentile(i, 50) FROM m LIMIT 2"),
        );
        check(
            with_high_percentiles,
            "SELECT percentile(f, 90) FROM m",
            None,
        );
        check(
            with_sums_for_integrals,
            "SELECT integral(f, 1m), max(f) FROM (SELECT integral(f) FROM m)",
            Some("SELECT sum(f), max(f) FROM (SELECT sum(f) FROM m)"),
        );
        check(with_sums_for_integrals, "SELECT sum(f) FROM m", None);
    }

    #[test]
    fn order_and_casts() {
        check(
            without_falling_order,
            "SELECT top(f, 2) FROM m ORDER BY time DESC LIMIT 1",
            Some("SELECT top(f, 2) FROM m ORDER BY time LIMIT 1"),
        );
        check(
            without_casts_in_conditions,
            "SELECT f::integer FROM m WHERE f::float > 1",
            Some("SELECT f::integer FROM m WHERE f > 1"),
        );
        check(
            without_casts_in_conditions,
            "SELECT f::integer FROM m",
            None,
        );
        check(
            with_integers_for_unsigned,
            "SELECT f::unsigned INTO n FROM m",
            Some("SELECT f::integer INTO n FROM m"),
        );
    }

    #[test]
    fn statements_and_their_parts() {
        assert_eq!(
            one_by_one("SELECT f FROM m WHERE s = ';'; ; SHOW SERIES;"),
            ["SELECT f FROM m WHERE s = ';'", " SHOW SERIES"]
        );
        assert!(one_by_one("SELECT f FROM m WHERE s = ';';").is_empty());
        check(
            without_groups,
            "SHOW FIELD KEY CARDINALITY GROUP BY host, region LIMIT 1",
            Some("SHOW FIELD KEY CARDINALITY LIMIT 1"),
        );
        check(without_groups, "SHOW FIELD KEY CARDINALITY LIMIT 1", None);
        check(
            with_strings_for_names,
            "SHOW TAG KEYS WHERE host = \"a\" AND region != 'eu' OR a=b",
            Some("SHOW TAG KEYS WHERE host = 'a' AND region != 'eu' OR a= 'b'"),
        );
        check(
            with_short_durations,
            "SELECT f FROM m WHERE time > 9000000000w AND time < 90000d",
            Some("SELECT f FROM m WHERE time > 1h AND time < 90000d"),
        );
    }

    #[test]
    fn shows() {
        check(
            with_exact_cardinality,
            "SHOW TAG KEY CARDINALITY FROM m",
            Some("SHOW TAG KEY EXACT CARDINALITY FROM m"),
        );
        check(
            with_exact_cardinality,
            "SHOW SERIES EXACT CARDINALITY FROM m",
            Some("SHOW SERIES FROM m"),
        );
        check(
            with_exact_cardinality,
            "SHOW TAG KEY EXACT CARDINALITY",
            None,
        );
        check(
            with_tags_of_all_time,
            "SHOW TAG KEYS WHERE time < -5 AND host = 'a'",
            Some("SHOW TAG KEYS WHERE host =~ /.*/ AND host = 'a'"),
        );
        check(
            with_tags_of_all_time,
            "SELECT f FROM m WHERE time < 5",
            None,
        );
    }
}
