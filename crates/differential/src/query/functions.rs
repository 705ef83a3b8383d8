//! Calls that are rarer than plain aggregates: functions of functions, with wildcards and casts, forecasts.

use super::Asker;
use super::select::Scope;

impl Asker<'_> {
    /// A forecast; over windows, or refused.
    pub(super) fn forecast(&mut self, scope: &Scope) -> String {
        let name = self
            .random
            .choose(&["holt_winters", "holt_winters", "holt_winters_with_fit"]);
        let inner = self.aggregate(scope).0;
        let (count, season) = (self.random.below(6), self.random.choose(&[0, 0, 1, 2, 4]));
        match self.random.below(12) {
            0 => format!("{name}({inner}, {count})"),
            1 => format!("{name}({}, {count}, {season})", self.column(scope)),
            _ => format!("{name}({inner}, {count}, {season})"),
        }
    }

    /// What a function of numbers makes of an expression.
    pub(super) fn of_numbers(&mut self, inner: &str, other: &str) -> String {
        let one = [
            "abs", "sin", "cos", "tan", "asin", "acos", "atan", "exp", "ln", "log2", "log10",
            "sqrt", "floor", "ceil", "round", "abs", "floor", "round",
        ];
        match self.random.below(24) {
            0 => format!("atan2({inner}, {other})"),
            1 => format!(
                "pow({inner}, {})",
                self.random.choose(&["2", "0.5", "-1", "f"])
            ),
            2 => format!(
                "log({inner}, {})",
                self.random.choose(&["2", "10", "0", "i"])
            ),
            3 => format!("pow({inner})"),
            4 => format!("abs({inner}, {other})"),
            5 => format!(
                "floor({})",
                self.random.choose(&["2.5", "'a'", "true", "*", "host"])
            ),
            _ => format!("{}({inner})", self.random.choose(&one)),
        }
    }

    /// Averages and oscillators of traders.
    pub(super) fn technical(&mut self, argument: &str) -> String {
        let name = self.random.choose(&[
            "exponential_moving_average",
            "double_exponential_moving_average",
            "triple_exponential_moving_average",
            "triple_exponential_derivative",
            "relative_strength_index",
            "chande_momentum_oscillator",
            "kaufmans_efficiency_ratio",
            "kaufmans_adaptive_moving_average",
        ]);
        let period = self
            .random
            .choose(&["1", "2", "3", "4", "2", "0", "-1", "2.5"]);
        let hold = self.random.choose(&["0", "1", "2", "3", "-1", "-2", "'a'"]);
        let warmup = self
            .random
            .choose(&["'exponential'", "'simple'", "'none'", "'x'", "2"]);
        match self.random.below(8) {
            0 | 1 => format!("{name}({argument}, {period}, {hold})"),
            2 => format!("{name}({argument}, {period}, {hold}, {warmup})"),
            3 => format!("{name}({argument})"),
            _ => format!("{name}({argument}, {period})"),
        }
    }

    /// Many fields in one call.
    pub(super) fn of_many(&mut self) -> String {
        let many = self
            .random
            .choose(&["*", "/f|i/", "/[fix]/", "*::field", "*::tag", "/zz/"]);
        match self.random.below(12) {
            0 => format!("percentile({many}, 50)"),
            1 => format!("top({many}, 2)"),
            2 => format!("derivative({many}, 1s)"),
            3 => format!("difference({many})"),
            4 => format!("moving_average({many}, 2)"),
            5 => format!("cumulative_sum({many})"),
            6 => format!("elapsed({many}, 1s)"),
            7 => format!("derivative(mean({many}), 1m)"),
            8 => format!("count(distinct({many}))"),
            9 => format!("sample({many}, 1000)"),
            10 => format!("mode({many})"),
            _ => format!("{many} * 2"),
        }
    }

    /// A number with a cast, by which it is counted in.
    pub(super) fn cast_number(&mut self, scope: &Scope) -> String {
        let column = self.column(scope);
        let cast = self.random.choose(&[
            "float", "integer", "float", "integer", "string", "boolean", "field", "tag",
        ]);
        format!("{column}::{cast}")
    }
}
