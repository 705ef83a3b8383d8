//! Random `SELECT` statements, subqueries and all.
//!
//! Most of them mean something on the data they are asked of; a part is wrong in one place or the
//! other, because what is refused, and in which words, is compared too. Windows are kept to some
//! hundred: a statement with `GROUP BY time` has bounds.

use super::Asker;
use super::data::quoted;

/// Low ones end InfluxDB's windows early, see docs/differences.md.
const PERCENTS: [&str; 12] = [
    "50", "90", "100", "75", "62.5", "99", "50", "90", "0", "12.5", "-1", "'a'",
];
/// Subqueries in one another.
const DEPTH_MAX: usize = 3;
/// Windows between the first and the last point.
const WINDOWS_MAX: i64 = 120;

/// What can be selected from: names, and those that are most likely numbers.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) numbers: Vec<String>,
    pub(super) others: Vec<String>,
    pub(super) tags: Vec<String>,
}

impl Scope {
    fn of_measurement() -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            numbers: names(&["f", "i", "f", "i", "f", "i", "x"]),
            others: names(&["b", "s", "absent"]),
            tags: names(&["host", "region"]),
        }
    }
}

/// A statement, and the names that one around it can use.
struct Selected {
    text: String,
    scope: Scope,
}

/// What the statement around a subquery has settled.
#[derive(Clone, Copy)]
struct Around {
    depth: usize,
    descending: bool,
    bounded: bool,
}

/// A field, and the name of its column where that is plain.
type Field = (String, Option<String>);

impl Asker<'_> {
    /// A whole `SELECT`.
    pub(super) fn select(&mut self) -> String {
        let descending = self.random.chance(20);
        let around = Around {
            depth: 0,
            descending,
            bounded: false,
        };
        self.select_within(around, None).text
    }

    /// A `SELECT … INTO` the measurement named.
    pub(super) fn select_into(&mut self, target: &str) -> String {
        let around = Around {
            depth: 0,
            descending: false,
            bounded: false,
        };
        self.select_within(around, Some(target)).text
    }

    fn select_within(&mut self, around: Around, into: Option<&str>) -> Selected {
        let with_time = self.random.chance(35);
        let bounded = self.random.chance(if with_time { 100 } else { 55 });
        let inner = Around {
            depth: around.depth + 1,
            bounded: around.bounded || bounded,
            ..around
        };
        let (from, scope) = self.sources(inner);
        let (fields, is_aggregate) = self.fields(&scope, with_time);
        let by_time = with_time && (is_aggregate || self.random.chance(4));
        let grouped = self.group(&scope, by_time);
        let mut text = "SELECT ".to_owned();
        let mut numbers = Vec::new();
        for (at, (field, name)) in fields.into_iter().enumerate() {
            if at > 0 {
                text.push_str(", ");
            }
            text.push_str(&field);
            // What a statement around it asks for needs a name.
            if name.is_none() && around.depth > 0 || self.random.chance(12) {
                let alias = format!("{}{at}", self.random.choose(&["a", "f", "host"]));
                text.push_str(&format!(" AS {alias}"));
                numbers.push(alias);
            } else {
                numbers.extend(name);
            }
        }
        if let Some(target) = into {
            text.push_str(&format!(" INTO {target}"));
        }
        text.push_str(&format!(" FROM {from}"));
        let mut conditions = Vec::new();
        if bounded {
            conditions.extend(self.bounds());
        }
        if self.random.chance(35) {
            conditions.push(self.condition(&scope, 2));
        }
        if !conditions.is_empty() {
            text.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
        }
        text.push_str(&grouped);
        if grouped.contains("time(") && self.random.chance(60) || self.random.chance(3) {
            let fills = [
                "none", "null", "previous", "linear", "0", "7", "-1", "2.5", "previous", "linear",
            ];
            text.push_str(&format!(" fill({})", self.random.choose(&fills)));
        }
        let differs = around.depth > 0 && self.random.chance(3);
        if around.descending != differs {
            text.push_str(" ORDER BY time DESC");
        } else if self.random.chance(5) {
            text.push_str(self.random.choose(&[
                " ORDER BY time",
                " ORDER BY time ASC",
                " ORDER BY ASC",
            ]));
        }
        self.limits(&mut text, 8);
        if around.depth == 0 && self.random.chance(12) {
            let zones = [
                "America/Los_Angeles",
                "Europe/Berlin",
                "UTC",
                "Asia/Kolkata",
                "Mars/Phobos",
            ];
            text.push_str(&format!(" tz('{}')", self.random.choose(&zones)));
        }
        let outer = Scope {
            others: vec!["absent".to_owned()],
            tags: scope.tags,
            numbers,
        };
        Selected { text, scope: outer }
    }

    /// `LIMIT` and its kin, each with the chance of `percent`.
    pub(super) fn limits(&mut self, text: &mut String, percent: usize) {
        let mut is_limited = false;
        for word in ["LIMIT", "OFFSET", "SLIMIT", "SOFFSET"] {
            // Without a limit, an offset means little to InfluxDB.
            let needs_limit = word == "OFFSET" && !is_limited && !self.random.chance(3);
            if !needs_limit && self.random.chance(percent) {
                let least = usize::from(word == "LIMIT" && self.random.chance(95));
                text.push_str(&format!(" {word} {}", least + self.random.below(5)));
                is_limited |= word == "LIMIT";
            }
        }
    }

    fn sources(&mut self, inner: Around) -> (String, Scope) {
        if inner.depth <= DEPTH_MAX && self.random.chance(22) {
            let first = self.select_within(inner, None);
            let mut text = format!("({})", first.text);
            // Over several sources of which one is a subquery, InfluxDB loses values that are no floats.
            if self.random.chance(1) {
                let second = self.select_within(inner, None);
                text.push_str(&format!(", ({})", second.text));
            }
            return (text, first.scope);
        }
        let mut text = self.source();
        if self.random.chance(8) {
            text.push_str(&format!(", {}", self.source()));
        }
        (text, Scope::of_measurement())
    }

    /// A measurement by name or by pattern.
    pub(super) fn source(&mut self) -> String {
        let name = quoted(self.set.name(self.random));
        match self.random.below(20) {
            0 | 1 => self
                .random
                .choose(&["/.*/", "/^(m|cpu)$/", "/c/", "/^m/", "/o/"])
                .to_owned(),
            2 => format!("autogen.{name}"),
            3 => format!("db..{name}"),
            4 => format!("\"db\".\"autogen\".{name}"),
            5 if self.random.chance(20) => format!("nowhere.{name}"),
            6 if self.random.chance(20) => format!("nowhere..{name}"),
            _ => name,
        }
    }

    /// The fields, and whether they are functions of many points.
    fn fields(&mut self, scope: &Scope, with_time: bool) -> (Vec<Field>, bool) {
        let raw = if with_time { 5 } else { 40 };
        let count = self.random.choose(&[1, 1, 1, 2, 2, 3]);
        if self.random.chance(raw) {
            if self.random.chance(18) {
                let all = ["*", "*::field", "*::tag", "/i|f/", "/^h/", "/./", "*, f"];
                return (vec![(self.random.choose(&all).to_owned(), None)], false);
            }
            let fields = (0..count).map(|_| self.raw_field(scope)).collect();
            return (fields, false);
        }
        if self.random.chance(16) {
            return (self.selector_with_fields(scope), true);
        }
        match self.random.below(40) {
            0 => return (vec![(self.of_many(), None)], true),
            1 if with_time => return (vec![(self.forecast(scope), None)], true),
            _ => {}
        }
        let fields = (0..count)
            .map(|_| match self.random.below(10) {
                0 | 1 => (self.math(scope, 2, true), None),
                2 | 3 => (self.transformation(scope, with_time), None),
                4 if self.random.chance(5) => self.raw_field(scope),
                _ => self.aggregate(scope),
            })
            .collect();
        (fields, true)
    }

    fn raw_field(&mut self, scope: &Scope) -> Field {
        if self.random.chance(25) {
            return (self.math(scope, 3, false), None);
        }
        let name = self.column(scope);
        if self.random.chance(10) {
            let casts = [
                "float", "integer", "string", "boolean", "field", "tag", "unsigned",
            ];
            let cast = self.random.choose(&casts);
            return (format!("{name}::{cast}"), Some(name));
        }
        match self.random.below(60) {
            0 => ("time".to_owned(), None),
            1 => (format!("{name} AS time"), None),
            2 => (format!("{name} AS {name}"), Some(name)),
            _ => (name.clone(), Some(name)),
        }
    }

    /// Any column, numbers most of all.
    pub(super) fn column(&mut self, scope: &Scope) -> String {
        let class = match self.random.below(10) {
            0 | 1 => &scope.others,
            2 => &scope.tags,
            _ => &scope.numbers,
        };
        if class.is_empty() {
            return "f".to_owned();
        }
        self.any(class)
    }

    fn any(&mut self, names: &[String]) -> String {
        let at = self.random.below(names.len());
        names.get(at).cloned().unwrap_or_default()
    }

    fn number(&mut self, scope: &Scope) -> String {
        if scope.numbers.is_empty() || self.random.chance(6) {
            return self.column(scope);
        }
        self.any(&scope.numbers)
    }

    /// Arithmetic over columns, or over aggregates.
    fn math(&mut self, scope: &Scope, depth: usize, aggregate: bool) -> String {
        if depth == 0 || self.random.chance(25) {
            return match self.random.below(10) {
                0 | 1 if depth < 2 => self
                    .random
                    .choose(&[
                        "2", "0", "1.5", "-3", "10", "0.25", "true", "'a'", "3s", "-f",
                    ])
                    .to_owned(),
                _ if aggregate => self.aggregate(scope).0,
                _ => self.number(scope),
            };
        }
        let ops = ["+", "-", "*", "/", "%", "&", "|", "^", "+", "-", "*", "/"];
        let op = self.random.choose(&ops);
        let left = self.math(scope, depth - 1, aggregate);
        let right = self.math(scope, depth - 1, aggregate);
        if self.random.chance(15) {
            return self.of_numbers(&left, &right);
        }
        if self.random.chance(25) {
            format!("({left} {op} {right})")
        } else {
            format!("{left} {op} {right}")
        }
    }

    /// A call that makes one value of many.
    pub(super) fn aggregate(&mut self, scope: &Scope) -> Field {
        let simple = [
            "count", "sum", "mean", "median", "mode", "stddev", "spread", "min", "max", "first",
            "last", "distinct", "integral", "count", "mean", "max", "min", "last", "sum",
        ];
        let name = self.random.choose(&simple);
        let argument = match self.random.below(30) {
            0 => "*".to_owned(),
            1 => "/[fi]/".to_owned(),
            2 if name == "count" => format!("distinct({})", self.column(scope)),
            3 if self.random.chance(10) => "2".to_owned(),
            4 if self.random.chance(10) => String::new(),
            5 | 6 => self.column(scope),
            7 => self.cast_number(scope),
            _ => self.number(scope),
        };
        if argument == "*" || argument.starts_with('/') {
            return (format!("{name}({argument})"), None);
        }
        let call = match self.random.below(14) {
            0 => {
                let part = self.random.choose(&PERCENTS);
                return (
                    format!("percentile({argument}, {part})"),
                    Some("percentile".to_owned()),
                );
            }
            1 if name == "integral" => format!("integral({argument}, {})", self.unit()),
            _ => format!("{name}({argument})"),
        };
        (call, Some(name.to_owned()))
    }

    fn unit(&mut self) -> &'static str {
        self.random
            .choose(&["1s", "1m", "10s", "1h", "1ns", "500ms"])
    }

    /// One selector, and columns beside it.
    fn selector_with_fields(&mut self, scope: &Scope) -> Vec<Field> {
        let column = self.number(scope);
        let count = self.random.below(4) + usize::from(self.random.chance(90));
        let call = match self.random.below(9) {
            0 => format!(
                "percentile({column}, {})",
                self.random.choose(&["50", "90", "75"])
            ),
            1 => format!("top({column}, {count})"),
            2 => format!("bottom({column}, {count})"),
            3 if !scope.tags.is_empty() => {
                let tags = if self.random.chance(50) {
                    scope.tags.join(", ")
                } else {
                    self.any(&scope.tags)
                };
                let name = self.random.choose(&["top", "bottom"]);
                format!("{name}({column}, {tags}, {count})")
            }
            // It takes all when there are no more: else it would be a matter of luck.
            4 => format!("sample({column}, 1000)"),
            5 => format!("min({column})"),
            6 => format!("max({column})"),
            7 => format!("first({column})"),
            _ => format!("last({column})"),
        };
        let name = call.split('(').next().unwrap_or_default().to_owned();
        let mut fields = vec![(call, Some(name))];
        for _ in 0..self.random.below(3) {
            let field = self.raw_field(scope);
            if self.random.chance(50) {
                fields.push(field);
            } else {
                fields.insert(0, field);
            }
        }
        fields
    }

    /// A call that makes a value for each.
    fn transformation(&mut self, scope: &Scope, with_time: bool) -> String {
        // Over windows it must go over an aggregate; over points, an aggregate is an error.
        let over_aggregate = with_time != self.random.chance(4);
        let argument = if over_aggregate {
            self.aggregate(scope).0
        } else {
            self.number(scope)
        };
        if self.random.chance(12) {
            return self.technical(&argument);
        }
        match self.random.below(10) {
            0 => format!("derivative({argument})"),
            1 => format!("derivative({argument}, {})", self.unit()),
            2 => format!("non_negative_derivative({argument}, {})", self.unit()),
            3 => format!("difference({argument})"),
            4 => format!("non_negative_difference({argument})"),
            5 => format!("cumulative_sum({argument})"),
            6 | 7 => format!("moving_average({argument}, {})", self.random.below(5)),
            8 => format!("elapsed({argument})"),
            _ => format!("elapsed({argument}, {})", self.unit()),
        }
    }

    /// `GROUP BY …`, or nothing.
    fn group(&mut self, scope: &Scope, with_time: bool) -> String {
        let mut by = Vec::new();
        if with_time {
            by.push(self.window());
        }
        match self.random.below(12) {
            0..=2 if !scope.tags.is_empty() => by.push(self.any(&scope.tags)),
            3 => by.push("*".to_owned()),
            4 => by.push(
                self.random
                    .choose(&["/h/", "/o/", "/./", "/zz/"])
                    .to_owned(),
            ),
            5 => by.extend(scope.tags.iter().cloned()),
            6 if self.random.chance(25) => by.push("f".to_owned()),
            _ => {}
        }
        if self.random.chance(30) {
            by.reverse();
        }
        if by.is_empty() {
            String::new()
        } else {
            format!(" GROUP BY {}", by.join(", "))
        }
    }

    /// `time(…)`.
    fn window(&mut self) -> String {
        const SECOND: i64 = 1_000_000_000;
        let lengths = [
            (1, "1s"),
            (5, "5s"),
            (20, "20s"),
            (60, "1m"),
            (420, "7m"),
            (3_600, "1h"),
            (9_000, "150m"),
            (43_200, "12h"),
            (86_400, "1d"),
            (259_200, "3d"),
            (604_800, "1w"),
        ];
        let span_ns = self.set.end_ns - self.set.start_ns + 4 * self.set.step_ns;
        let fits: Vec<&str> = lengths
            .iter()
            .filter(|(seconds, _)| span_ns / (seconds * SECOND) <= WINDOWS_MAX)
            .map(|&(_, text)| text)
            .take(4)
            .collect();
        let length = self.random.choose(&fits);
        match self.random.below(12) {
            0 => format!(
                "time({length}, {})",
                self.random.choose(&["1s", "7s", "90m", "2d"])
            ),
            1 => format!(
                "time({length}, -{})",
                self.random.choose(&["1s", "13s", "30m"])
            ),
            2 if self.random.chance(30) => format!("time({length}, '2017-03-12T00:00:03Z')"),
            3 if self.random.chance(10) => "time()".to_owned(),
            4 if self.random.chance(10) => format!("time({length}), time(1h)"),
            _ => format!("time({length})"),
        }
    }
}
