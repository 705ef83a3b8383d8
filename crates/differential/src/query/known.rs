//! Differences that are meant: each has a name, and under that name its reason in docs/differences.md.
//!
//! A rule looks at statement and both answers, and takes as little as it can: what it takes is no
//! longer compared.

/// What a statement without a result is answered.
pub(super) const DONE: &str = "{\"results\":[{\"statement_id\":0}]}";

/// Which of two equal times comes first.
pub(super) const EQUAL_TIMES: &str = "equal-times";

/// A difference that is meant.
struct Rule {
    name: &'static str,
    /// Of the statement, the judge's answer, and ours.
    fits: fn(&str, &str, &str) -> bool,
}

const RULES: [Rule; 2] = [
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
        fits: |_, judged, ours| judged.contains("not executed") && ours.contains("\"error\""),
    },
];

/// Functions that came after 1.6.
const LATER_FUNCTIONS: [&str; 2] = ["count_hll", "sum_hll"];

/// The name of a difference, if it is meant.
pub(super) fn name(statement: &str, judged: &str, ours: &str) -> Option<&'static str> {
    let fitting = RULES
        .iter()
        .find(|rule| (rule.fits)(statement, judged, ours));
    fitting.map(|rule| rule.name)
}
