//! Differences that are meant: each has a name, and under that name its reason in docs/differences.md.
//!
//! A rule looks at statement and both answers, and takes as little as it can: what it takes is no
//! longer compared.

/// What a statement without a result is answered.
pub(super) const DONE: &str = "{\"results\":[{\"statement_id\":0}]}";

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
const LATER_FUNCTIONS: [&str; 28] = [
    "abs",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "atan2",
    "exp",
    "log",
    "ln",
    "log2",
    "log10",
    "sqrt",
    "pow",
    "floor",
    "ceil",
    "round",
    "exponential_moving_average",
    "double_exponential_moving_average",
    "triple_exponential_moving_average",
    "relative_strength_index",
    "triple_exponential_derivative",
    "kaufmans_efficiency_ratio",
    "kaufmans_adaptive_moving_average",
    "chande_momentum_oscillator",
    "count_hll",
    "sum_hll",
];

/// The name of a difference, if it is meant.
pub(super) fn name(statement: &str, judged: &str, ours: &str) -> Option<&'static str> {
    let fitting = RULES
        .iter()
        .find(|rule| (rule.fits)(statement, judged, ours));
    fitting.map(|rule| rule.name)
}
