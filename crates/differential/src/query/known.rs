//! Differences that are meant: each has a name, and under that name its reason in docs/differences.md.
//!
//! A rule looks at statement and both answers. Most have to prove more: that both answer alike as soon as the
//! cause is taken out of the statement, or out of the data. What a rule takes is no longer compared, so it takes
//! as little as it can.

use super::answers::{
    counts_more, differs_in_numbers, differs_in_numbers_above, ends_early, fails_alike,
    has_more_tags, is_alike,
};
use super::fields::with_points_of_rows;
use super::pieces::{has_pieces_of_rows, is_in_pieces, is_split, without_inner_groups};
use super::tokens::split;
use super::{rewrite, rounding};

/// What a statement without a result is answered.
pub(super) const DONE: &str = "{\"results\":[{\"statement_id\":0}]}";

/// Which of two equal times comes first.
pub(super) const EQUAL_TIMES: &str = "equal-times";
/// Fields and series that are remembered after their points were deleted.
pub(super) const DELETIONS: &str = "deletions";

/// Series that the judge lost, because they were written again after a deletion.
pub(super) const WRITTEN_AGAIN: &str = "written-again";

/// What the last digit of a float comes to.
pub(super) const ROUNDING: &str = "rounding";

/// A difference that is meant.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// Of the statement, the judge's answer, and ours.
    pub(super) fits: fn(&str, &str, &str) -> bool,
    pub(super) proof: Proof,
}

/// What has to hold beside it.
#[derive(Clone, Copy)]
pub(super) enum Proof {
    /// Nothing: the answers are proof enough.
    Answers,
    /// Without the cause, both answer the statement alike.
    Without(fn(&str) -> Option<String>),
    /// So they do, and nothing is asked behind it.
    Plainly(fn(&str) -> Option<String>),
    /// So they do, and each number that differs is large then.
    WithoutLarge(fn(&str) -> Option<String>),
    /// So they do, and with the cause too where all data lies in one shard.
    OneShard(fn(&str) -> Option<String>),
    /// So they do, and what differs does so by less than a digit of the number that stands there then.
    WithoutSmall(fn(&str) -> Option<String>),
    /// Both answer alike where all data lies in one shard.
    Together,
    /// Both answer alike where another tag is the first one, and ours is the same with either.
    Renamed,
    /// Both answer each of the statements alike, one request for each.
    OneByOne,
    /// So they do, and ours has rows of equal times then.
    OfEqualTimes(fn(&str) -> Option<String>),
    /// Asked often enough, the judge says what we say.
    AskedAgain,
}

impl Rule {
    /// One whose answers are proof enough.
    const fn plain(name: &'static str, fits: fn(&str, &str, &str) -> bool) -> Self {
        Self {
            name,
            fits,
            proof: Proof::Answers,
        }
    }

    /// One that fits every statement that can be had without its cause.
    const fn proved(name: &'static str, without: fn(&str) -> Option<String>) -> Self {
        Self {
            name,
            fits: |_, _, _| true,
            proof: Proof::Without(without),
        }
    }
}

pub(super) const RULES: [Rule; 45] = [
    Rule::plain("partial-series", |_, judged, ours| {
        judged.contains(PARTIAL) && is_alike(&judged.replace(PARTIAL, ""), ours)
    }),
    Rule::plain("types-within-a-batch", |statement, judged, ours| {
        has_words(statement, &["INTO"])
            && judged.contains("\"error\":\"field type conflict\"")
            && ours.contains("\"error\":\"partial write: field type conflict: ")
    }),
    Rule::plain("later-functions", |statement, judged, _| {
        let statement = statement.to_ascii_lowercase();
        LATER_FUNCTIONS.iter().any(|name| {
            statement.contains(name) && judged.contains(&format!("undefined function {name}()"))
        })
    }),
    Rule {
        name: "failing-statement",
        fits: |statement, judged, ours| statement.contains(';') && fails_alike(judged, ours),
        proof: Proof::OneByOne,
    },
    Rule::plain("split-series", |statement, judged, ours| {
        statement.to_ascii_lowercase().contains("(select") && is_split(judged, ours)
    }),
    Rule {
        name: "split-series",
        fits: |statement, judged, ours| {
            statement.to_ascii_lowercase().contains("(select") && is_in_pieces(judged, ours)
        },
        proof: Proof::Without(without_inner_groups),
    },
    Rule {
        name: "split-series",
        fits: |statement, judged, ours| {
            statement.to_ascii_lowercase().contains("(select") && has_pieces_of_rows(judged, ours)
        },
        proof: Proof::Without(without_inner_groups),
    },
    Rule {
        name: "split-series",
        fits: |statement, judged, ours| {
            let is_refused = judged.contains("\"error\"") || ours.contains("\"error\"");
            statement.to_ascii_lowercase().contains("(select") && !is_refused
        },
        proof: Proof::Renamed,
    },
    Rule {
        name: "cardinality-by-tag",
        fits: |statement, _, ours| {
            has_words(statement, &["CARDINALITY", "GROUP"]) && ours.contains("\"error\"")
        },
        proof: Proof::Without(rewrite::without_groups),
    },
    Rule {
        name: "metaquery-quotes",
        fits: |statement, _, ours| {
            has_words(statement, &["SHOW", "TAG"])
                && ours.contains("bad WHERE clause for metaquery")
        },
        proof: Proof::Without(rewrite::with_strings_for_names),
    },
    Rule::plain("go-values", |_, judged, ours| {
        judged.contains("\\u0026influxql.") && ours.contains("\"error\"")
    }),
    Rule::plain("infinity", |_, judged, ours| {
        let told = |text: &str| {
            let (_, value) = text.split_once("json: unsupported value: ")?;
            Some(value.chars().take(4).collect::<String>())
        };
        told(judged).is_some() && told(judged) == told(ours)
    }),
    Rule {
        name: "which-error",
        fits: |_, judged, ours| {
            let is_of_type =
                |text: &str| text.contains("unsupported ") && text.contains(" iterator type");
            is_of_type(judged) && is_of_type(ours)
        },
        proof: Proof::AskedAgain,
    },
    Rule::plain("show-on-all", |_, judged, ours| {
        ours.contains("expected identifier or *")
            && ours.replace("expected identifier or *", "expected identifier") == judged
    }),
    Rule::plain("panics", |_, judged, ours| {
        judged.contains("[panic:") && !ours.contains("panic")
    }),
    Rule {
        name: "long-durations",
        fits: |_, _, ours| ours.contains("overflowed duration"),
        proof: Proof::Without(rewrite::with_short_durations),
    },
    Rule::plain("exponents", |_, judged, ours| {
        let what = "{\"error\":\"error parsing json value: strconv.ParseInt: parsing \\\"";
        judged
            .strip_prefix(what)
            .and_then(|rest| rest.split_once("\\\": invalid syntax"))
            .is_some_and(|(number, _)| number.contains(['e', 'E']))
            && !ours.contains("\"error\"")
    }),
    Rule::plain("bucket-limit", |_, judged, ours| {
        judged.contains("max-select-buckets limit exceeded") && ours.contains("\"error\"")
    }),
    Rule::proved("offset-alone", rewrite::without_lone_offsets),
    Rule {
        name: "series-limits",
        fits: |_, _, _| true,
        proof: Proof::OneShard(rewrite::without_series_limits),
    },
    Rule::proved("inner-limit", rewrite::without_inner_limits),
    Rule::proved("ranked-limit", rewrite::without_limits_of_ranks),
    Rule::proved("absolute-integers", rewrite::with_floors_for_absolutes),
    Rule::proved("empty-percentile", rewrite::with_high_percentiles),
    Rule::plain("empty-forecast", |statement, judged, ours| {
        statement.to_ascii_lowercase().contains("holt_winters") && ends_early(judged, ours)
    }),
    Rule {
        name: "empty-forecast",
        fits: |statement, _, _| {
            let is_forecast = statement.to_ascii_lowercase().contains("holt_winters");
            is_forecast && has_words(statement, &["INTO"])
        },
        proof: Proof::Plainly(rewrite::without_into),
    },
    Rule {
        name: "integral",
        // Of one series, by itself and in rising order, it is the same each time.
        fits: |statement, judged, ours| {
            let statement = statement.to_ascii_lowercase();
            let count = |text| statement.matches(text).count();
            let others = ["time(", "fill(", "tz("].map(count).into_iter().sum();
            let calls = count("(").saturating_sub(others);
            let series = |answer: &str| answer.matches("\"columns\"").count();
            calls > 1 || statement.contains("desc") || series(judged).max(series(ours)) > 1
        },
        proof: Proof::Without(rewrite::with_sums_for_integrals),
    },
    Rule {
        name: "falling-windows",
        fits: |statement, _, _| {
            let statement = statement.to_ascii_lowercase();
            let many = ["sample(", "top(", "bottom(", "distinct("];
            let groups = statement.contains("(select") && statement.contains("group by");
            groups || many.iter().any(|call| statement.contains(call))
        },
        proof: Proof::Without(rewrite::without_falling_order),
    },
    Rule {
        name: "unsigned",
        fits: |statement, _, _| has_words(statement, &["INTO"]),
        proof: Proof::Without(rewrite::with_integers_for_unsigned),
    },
    Rule::proved("casts", rewrite::without_casts_in_conditions),
    Rule {
        name: "estimates",
        fits: |_, judged, _| judged.contains("cardinality estimation"),
        proof: Proof::Without(rewrite::with_exact_cardinality),
    },
    Rule {
        name: "series-cardinality",
        fits: |statement, judged, ours| {
            has_words(statement, &["SERIES", "CARDINALITY"]) && counts_more(judged, ours)
        },
        proof: Proof::Without(rewrite::with_exact_cardinality),
    },
    Rule {
        name: "tags-in-time",
        fits: |_, judged, ours| has_more_tags(judged, ours),
        proof: Proof::Together,
    },
    Rule {
        name: "tags-in-time",
        // What is a tag of another time is nothing here: it has no type to be refused for.
        fits: |_, judged, _| judged.contains("type error: ") && judged.contains("::tag"),
        proof: Proof::Together,
    },
    Rule {
        name: "tags-in-time",
        // Nor has it in a column of a subquery.
        fits: |_, judged, ours| {
            judged.contains("iterator type: *query.string") && !ours.contains("\"error\"")
        },
        proof: Proof::Together,
    },
    Rule {
        name: "fields-in-time",
        fits: |_, _, _| true,
        proof: Proof::OneShard(rewrite::with_marked_fields),
    },
    Rule {
        name: "rows-outside",
        fits: |_, judged, ours| ends_early(judged, ours),
        proof: Proof::Without(rewrite::without_outer_condition),
    },
    Rule {
        name: EQUAL_TIMES,
        fits: |_, judged, ours| !judged.contains("\"error\"") && !ours.contains("\"error\""),
        proof: Proof::OfEqualTimes(with_points_of_rows),
    },
    Rule {
        name: ROUNDING,
        fits: |_, judged, ours| differs_in_numbers(judged, ours),
        proof: Proof::Without(rounding::without_remainders),
    },
    Rule {
        name: ROUNDING,
        fits: |_, judged, ours| differs_in_numbers(judged, ours),
        proof: Proof::WithoutLarge(rounding::without_periods),
    },
    Rule {
        name: ROUNDING,
        fits: |_, judged, ours| differs_in_numbers(judged, ours),
        proof: Proof::WithoutLarge(rounding::without_differences),
    },
    Rule {
        name: ROUNDING,
        fits: |_, judged, ours| differs_in_numbers(judged, ours),
        proof: Proof::WithoutSmall(rounding::with_spreads_for_sums),
    },
    Rule {
        name: ROUNDING,
        fits: |statement, judged, ours| {
            statement.to_ascii_lowercase().contains("holt_winters")
                && differs_in_numbers_above(judged, ours, 1e15)
        },
        proof: Proof::Without(rounding::without_forecasts),
    },
    Rule {
        name: "overflowing-means",
        // Beyond it, a float does not hold an integer's last digits.
        fits: |_, judged, ours| differs_in_numbers_above(judged, ours, 9_007_199_254_740_992.0),
        proof: Proof::Without(rewrite::with_sums_for_means),
    },
    Rule {
        name: "tags-in-time",
        fits: |_, _, _| true,
        proof: Proof::OneShard(rewrite::with_tags_of_all_time),
    },
];

/// How an answer that was cut into pieces marks a series that goes on; InfluxDB 1.6 leaves it there when it puts
/// the pieces together.
const PARTIAL: &str = ",\"partial\":true";
/// Functions that came after 1.6.
const LATER_FUNCTIONS: [&str; 2] = ["count_hll", "sum_hll"];

/// Whether a statement has all of these words.
fn has_words(statement: &str, words: &[&str]) -> bool {
    let tokens = split(statement);
    words
        .iter()
        .all(|word| tokens.iter().any(|token| is(token, word)))
}

/// True for a token that is this word.
pub(super) fn is(token: &str, word: &str) -> bool {
    token.trim().eq_ignore_ascii_case(word)
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
                .chain([EQUAL_TIMES, DELETIONS, WRITTEN_AGAIN]);
        for name in names {
            assert!(page.contains(&format!("**{name}**")), "{name}");
        }
    }

    #[track_caller]
    fn check(name: &str, statement: &str, judged: &str, ours: &str, expected: bool) {
        let rule = RULES.iter().find(|rule| rule.name == name);
        let fits = rule.expect("a rule").fits;
        assert_eq!(
            fits(statement, judged, ours),
            expected,
            "{name}: {statement}"
        );
    }

    #[test]
    fn a_split_series_is_put_together() {
        let judged = r#"{"results":[{"series":[
            {"name":"m","tags":{"h":"a"},"columns":["time","f"],"values":[[1,2],[3,null]]},
            {"name":"m","tags":{"h":"b"},"columns":["time","f"],"values":[[1,3]]},
            {"name":"m","tags":{"h":"a"},"columns":["time","f"],"values":[[1,null],[2,4]]}]}]}"#;
        let ours = r#"{"results":[{"series":[
            {"name":"m","tags":{"h":"a"},"columns":["time","f"],"values":[[1,2],[2,4],[3,null]]},
            {"name":"m","tags":{"h":"b"},"columns":["time","f"],"values":[[1,3]]}]}]}"#;
        let statement = "SELECT f FROM (SELECT f FROM m GROUP BY h)";
        let split = |judged: &str, ours: &str, expected| {
            check("split-series", statement, judged, ours, expected);
        };
        split(judged, ours, true);
        split(ours, ours, false);
        split(judged, judged, false);
        split(judged, &ours.replace("[1,3]", "[1,5]"), false);
        split(judged, &ours.replace(",[2,4]", ""), false);
        // A row of nothing that only ours has.
        split(judged, &ours.replace("[3,null]", "[4,null]"), false);
        split(r#"{"results":[{"error":"no"}]}"#, ours, false);
        // In another order, and with a row in two pieces.
        let rows =
            |series: &[&str]| format!(r#"{{"results":[{{"series":[{}]}}]}}"#, series.join(","));
        let a = r#"{"name":"m","tags":{"h":"a"},"columns":["time","f","g"],"values":[[1,2,3]]}"#;
        let b = r#"{"name":"m","tags":{"h":"b"},"columns":["time","f","g"],"values":[[1,4,5]]}"#;
        let [first, second] = [a.replace('3', "null"), a.replace("2,3", "null,3")];
        split(&rows(&[b, a]), &rows(&[a, b]), true);
        split(&rows(&[a, b]), &rows(&[a, b]), false);
        split(&rows(&[b, a]), &rows(&[a, &b.replace('5', "6")]), false);
        split(&rows(&[&first, b, &second]), &rows(&[a, b]), true);
        split(&rows(&[&first, b, &first]), &rows(&[a, b]), false);
        check("split-series", "SELECT f FROM m", judged, ours, false);
    }

    #[test]
    fn a_failing_statement_ends_both() {
        let judged =
            r#"{"results":[{"statement_id":0},{"statement_id":1,"error":"not executed"}]}"#;
        let ours = r#"{"results":[{"statement_id":0},{"statement_id":1,"error":"no"},
            {"statement_id":2,"error":"not executed"}]}"#;
        let fails = |judged: &str, ours: &str, expected| {
            check("failing-statement", "a; b; c", judged, ours, expected);
        };
        fails(judged, ours, true);
        // Told as that of the first statement.
        fails(
            r#"{"results":[{"statement_id":0,"error":"no"}]}"#,
            ours,
            true,
        );
        fails(
            r#"{"results":[{"statement_id":0,"error":"other"}]}"#,
            ours,
            false,
        );
        fails(&judged.replace("not executed", "other"), ours, false);
        fails(judged, &ours.replace("not executed", "done"), false);
        fails(judged, DONE, false);
        check("failing-statement", "SELECT f FROM m", judged, ours, false);
    }

    #[test]
    fn errors_are_the_same_but_for_the_cause() {
        let told = |text: &str| format!("{{\"error\":\"{text}\"}}");
        let [infinite, negative] =
            ["+Inf", "-Inf"].map(|v| told(&format!("json: unsupported value: {v}")));
        check("infinity", "", &infinite, &infinite, true);
        check("infinity", "", &infinite, &negative, false);
        check("infinity", "", &infinite, DONE, false);
        let (judged, ours) = (
            told("found 5, expected identifier at line 1, char 3"),
            told("found 5, expected identifier or * at line 1, char 3"),
        );
        check("show-on-all", "", &judged, &ours, true);
        check("show-on-all", "", &judged.replace('3', "4"), &ours, false);
        check("panics", "", &told("SELECT f [panic: x]"), DONE, true);
        check("panics", "", &told("no"), DONE, false);
        let buckets = told("max-select-buckets limit exceeded: (3/2)");
        check("bucket-limit", "", &buckets, &told("no"), true);
        check("bucket-limit", "", &buckets, DONE, false);
        let exponent =
            told(r#"error parsing json value: strconv.ParseInt: parsing \"1e3\": invalid syntax"#);
        check("exponents", "", &exponent, DONE, true);
        check("exponents", "", &exponent.replace("1e3", "13"), DONE, false);
        check("exponents", "", &exponent, &told("no"), false);
        let value = told("bad \\u0026influxql.VarRef{}");
        check("go-values", "", &value, &told("bad"), true);
        check("go-values", "", &value, DONE, false);
    }

    #[test]
    fn pieces_and_batches() {
        let whole = r#"{"results":[{"series":[{"columns":["time"],"values":[[1]]}]}]}"#;
        let partial = whole.replace("[[1]]", "[[1]],\"partial\":true");
        check("partial-series", "", &partial, whole, true);
        check(
            "partial-series",
            "",
            &partial,
            &whole.replace("[[1]]", "[[2]]"),
            false,
        );
        check("partial-series", "", whole, whole, false);
        let told = |text: &str| format!("{{\"error\":\"{text}\"}}");
        let bare = told("field type conflict");
        let ours = told("partial write: field type conflict: input field x");
        check(
            "types-within-a-batch",
            "SELECT f INTO n FROM m",
            &bare,
            &ours,
            true,
        );
        check(
            "types-within-a-batch",
            "SELECT f FROM m",
            &bare,
            &ours,
            false,
        );
        check(
            "types-within-a-batch",
            "SELECT f INTO n FROM m",
            &bare,
            DONE,
            false,
        );
    }

    #[test]
    fn rules_know_their_statements() {
        let unknown = "undefined function count_hll()";
        check(
            "later-functions",
            "SELECT count_hll(f) FROM m",
            unknown,
            DONE,
            true,
        );
        check("later-functions", "SELECT f FROM m", unknown, DONE, false);
        check(
            "series-cardinality",
            "SHOW SERIES EXACT CARDINALITY",
            DONE,
            DONE,
            true,
        );
        check("series-cardinality", "SHOW SERIES", DONE, DONE, false);
        check("estimates", "SHOW TAG KEY CARDINALITY", DONE, DONE, false);
        check(
            "cardinality-by-tag",
            "SHOW FIELD KEY CARDINALITY GROUP BY time(1h)",
            DONE,
            r#"{"results":[{"error":"no"}]}"#,
            true,
        );
        check(
            "cardinality-by-tag",
            "SHOW FIELD KEY CARDINALITY GROUP BY host",
            DONE,
            DONE,
            false,
        );
        check("unsigned", "SELECT f::unsigned FROM m", DONE, DONE, false);
        let refused = "bad WHERE clause for metaquery";
        check(
            "metaquery-quotes",
            "SHOW TAG KEYS WHERE a = b",
            DONE,
            refused,
            true,
        );
        check(
            "metaquery-quotes",
            "SELECT f FROM m WHERE a = b",
            DONE,
            refused,
            false,
        );
    }
}
