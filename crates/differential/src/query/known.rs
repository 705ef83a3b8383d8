//! Differences that are meant: each has a name, and under that name its reason in docs/differences.md.
//!
//! A rule looks at statement and both answers, and takes as little as it can: what it takes is no
//! longer compared.

use super::tokens::split;

/// What a statement without a result is answered.
pub(super) const DONE: &str = "{\"results\":[{\"statement_id\":0}]}";

/// Which of two equal times comes first.
pub(super) const EQUAL_TIMES: &str = "equal-times";
/// Fields and series that are remembered after their points were deleted.
pub(super) const DELETIONS: &str = "deletions";
/// Which series a limit of series counts, where there are several shards.
pub(super) const SERIES_LIMITS: &str = "series-limits";

/// A difference that is meant.
struct Rule {
    name: &'static str,
    /// Of the statement, the judge's answer, and ours.
    fits: fn(&str, &str, &str) -> bool,
}

const RULES: [Rule; 21] = [
    Rule {
        name: "later-functions",
        fits: |_, judged, _| {
            LATER_FUNCTIONS
                .iter()
                .any(|name| judged.contains(&format!("undefined function {name}()")))
        },
    },
    Rule {
        name: "failing-statement",
        fits: |statement, judged, ours| {
            let is_told_early = statement.contains(';') && ours.contains("doesn't support time");
            (judged.contains("not executed") || is_told_early) && ours.contains("\"error\"")
        },
    },
    Rule {
        name: "offset-alone",
        fits: |statement, _, _| has_offset_alone(statement),
    },
    Rule {
        name: "series-cardinality",
        fits: |statement, _, _| {
            let words = words(statement).join(" ");
            words.contains("SHOW SERIES") && words.contains("CARDINALITY")
        },
    },
    Rule {
        name: "cardinality-by-tag",
        fits: |_, _, ours| ours.contains("GROUP BY in SHOW "),
    },
    Rule {
        name: "metaquery-quotes",
        fits: |_, _, ours| ours.contains("bad WHERE clause for metaquery"),
    },
    Rule {
        name: "falling-windows",
        fits: |statement, _, _| {
            let statement = statement.to_ascii_lowercase();
            let many = ["sample(", "top(", "bottom(", "distinct("];
            let groups = statement.contains("(select") && statement.contains("group by");
            statement.contains("desc")
                && (groups || many.iter().any(|call| statement.contains(call)))
        },
    },
    Rule {
        name: "integral",
        fits: |statement, _, _| {
            let statement = statement.to_ascii_lowercase();
            let has_more = statement.contains("group by") || statement.matches('(').count() > 1;
            statement.contains("integral(") && has_more
        },
    },
    Rule {
        name: "empty-percentile",
        fits: |statement, _, _| {
            let low = [", 0)", ", -1)", ", 10)", ", 12.5)"];
            statement.contains("percentile(") && low.iter().any(|end| statement.contains(end))
        },
    },
    Rule {
        name: "go-values",
        fits: |_, judged, _| judged.contains("\\u0026influxql."),
    },
    Rule {
        name: "which-error",
        fits: |_, judged, ours| {
            let is_of_type =
                |text: &str| text.contains("unsupported ") && text.contains(" iterator type");
            is_of_type(judged) && is_of_type(ours)
        },
    },
    Rule {
        name: "inner-limit",
        fits: |statement, _, _| has_inner_limit(statement),
    },
    Rule {
        name: "show-on-all",
        fits: |_, _, ours| ours.contains("expected identifier or *"),
    },
    Rule {
        name: "unsigned",
        fits: |statement, _, _| {
            let words = words(statement);
            words.iter().any(|word| word == "INTO") && words.iter().any(|word| word == "UNSIGNED")
        },
    },
    Rule {
        name: "casts",
        fits: |statement, _, _| {
            let words = words(statement);
            let conditions = words.iter().skip_while(|word| *word != "WHERE");
            conditions.filter(|word| *word == "::").count() > 0
        },
    },
    Rule {
        name: "estimates",
        fits: |_, judged, _| judged.contains("cardinality estimation"),
    },
    Rule {
        name: "ranked-limit",
        fits: |statement, _, _| {
            let words = words(statement);
            let has = |wanted: &str| words.iter().any(|word| word == wanted);
            (has("TOP") || has("BOTTOM")) && has("LIMIT")
        },
    },
    Rule {
        name: "tags-in-time",
        fits: |statement, _, _| {
            let words = words(statement);
            words.iter().any(|word| word == "TAG") && words.iter().any(|word| word == "TIME")
        },
    },
    Rule {
        name: "panics",
        fits: |_, judged, _| judged.contains("[panic:"),
    },
    Rule {
        name: "long-durations",
        fits: |_, _, ours| ours.contains("overflowed duration"),
    },
    Rule {
        name: "bucket-limit",
        fits: |_, judged, _| judged.contains("max-select-buckets limit exceeded"),
    },
];

fn words(statement: &str) -> Vec<String> {
    let tokens = split(statement);
    let words = tokens.iter().map(|word| word.trim().to_ascii_uppercase());
    words.collect()
}

/// True if a subquery limits its rows.
fn has_inner_limit(statement: &str) -> bool {
    let mut depth = 0_usize;
    words(statement).iter().any(|word| {
        match word.as_str() {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 0 && matches!(word.as_str(), "LIMIT" | "OFFSET")
    })
}

/// True if the statement limits series.
pub(super) fn limits_series(statement: &str) -> bool {
    let is_limit = |word: &String| matches!(word.as_str(), "SLIMIT" | "SOFFSET");
    words(statement).iter().any(is_limit)
}

/// True for `OFFSET n` without a `LIMIT` before it, in whatever statement of the text.
fn has_offset_alone(statement: &str) -> bool {
    let words = words(statement);
    words.iter().enumerate().any(|(at, word)| {
        let before = |back: usize| at.checked_sub(back).and_then(|at| words.get(at));
        let has_limit = before(2).is_some_and(|word| word == "LIMIT")
            && before(1).is_some_and(|count| count != "0");
        word == "OFFSET" && words.get(at + 1).is_some_and(|count| count != "0") && !has_limit
    })
}

/// Functions that came after 1.6.
const LATER_FUNCTIONS: [&str; 2] = ["count_hll", "sum_hll"];

/// The name of a difference, if it is meant.
pub(super) fn name(statement: &str, judged: &str, ours: &str) -> Option<&'static str> {
    let fitting = RULES
        .iter()
        .find(|rule| (rule.fits)(statement, judged, ours));
    fitting.map(|rule| rule.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name has its reason in the page.
    #[test]
    fn the_page_has_every_name() {
        let page = include_str!("../../../../docs/differences.md");
        let names =
            RULES
                .iter()
                .map(|rule| rule.name)
                .chain([EQUAL_TIMES, SERIES_LIMITS, DELETIONS]);
        for name in names {
            assert!(page.contains(&format!("**{name}**")), "{name}");
        }
    }

    #[test]
    fn an_offset_is_alone_without_a_limit() {
        assert!(has_offset_alone("SELECT f FROM m OFFSET 2"));
        assert!(has_offset_alone("SELECT f FROM m LIMIT 0 OFFSET 2"));
        assert!(has_offset_alone(
            "SELECT f FROM (SELECT f FROM m offset 1) LIMIT 1"
        ));
        assert!(!has_offset_alone(
            "SELECT f FROM m LIMIT 1 OFFSET 2 SOFFSET 3"
        ));
        assert!(!has_offset_alone("SELECT f FROM m OFFSET 0"));
        assert!(has_inner_limit("SELECT f FROM (SELECT f FROM m LIMIT 2)"));
        assert!(!has_inner_limit("SELECT f FROM (SELECT f FROM m) LIMIT 2"));
    }
}
