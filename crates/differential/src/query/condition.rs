//! Random conditions: bounds of time, tags, fields, patterns, arithmetic.

use super::Asker;
use super::select::Scope;

const HOUR_NS: i64 = 3_600_000_000_000;

impl Asker<'_> {
    /// Bounds of time that hold most of the data, both of them.
    pub(super) fn bounds(&mut self) -> Vec<String> {
        let (mut low, mut high) = (self.set.time_ns(self.random), self.set.time_ns(self.random));
        if low > high && self.random.below(500) > 0 {
            (low, high) = (high, low);
        }
        if self.random.chance(50) {
            low = self.set.start_ns - self.random.between(0, 3) * self.set.step_ns;
        }
        if self.random.chance(50) {
            high = self.set.end_ns + self.random.between(0, 3) * self.set.step_ns;
        }
        let (from, to) = (self.time(low), self.time(high));
        let lower = self.random.choose(&[">=", ">=", ">=", ">"]);
        let upper = self.random.choose(&["<", "<", "<=", "<="]);
        match self.random.below(24) {
            0 => vec![
                format!("{from} {} time", if lower == ">" { "<" } else { "<=" }),
                format!("time {upper} {to}"),
            ],
            1 => vec![format!("(time {lower} {from} AND time {upper} {to})")],
            2 => vec![format!("time = {from}")],
            3 => vec![
                format!("time {lower} {from}"),
                format!("time {upper} {to}"),
                self.always(),
            ],
            _ => vec![format!("time {lower} {from}"), format!("time {upper} {to}")],
        }
    }

    /// A bound by the time of asking that takes nothing away.
    fn always(&mut self) -> String {
        self.random
            .choose(&[
                "time < now()",
                "time <= now() + 1h",
                "now() > time",
                "time > now() - 4000w",
                "time >= now() - 90000d + 3h",
                "time < now() - 5m",
            ])
            .to_owned()
    }

    /// A time in one of the forms that InfluxQL knows.
    fn time(&mut self, time_ns: i64) -> String {
        let seconds = time_ns.div_euclid(1_000_000_000);
        let is_whole = time_ns.rem_euclid(1_000_000_000) == 0;
        match self.random.below(8) {
            0 if is_whole && seconds > 0 => format!("{seconds}s"),
            1 if time_ns % HOUR_NS == 0 && time_ns > 0 => format!("{}h", time_ns / HOUR_NS),
            2 | 3 if is_whole => format!("'{}'", date(seconds, "T", "Z")),
            4 if is_whole => format!("'{}'", date(seconds, " ", "")),
            5 if is_whole && seconds > 0 => format!("{}s + 1m", seconds - 60),
            6 if seconds.rem_euclid(86_400) == 0 && is_whole => {
                format!(
                    "'{}'",
                    date(seconds, " ", "").split(' ').next().unwrap_or_default()
                )
            }
            _ => time_ns.to_string(),
        }
    }

    /// A condition over tags and fields, at most `depth` operators deep.
    pub(super) fn condition(&mut self, scope: &Scope, depth: usize) -> String {
        if depth > 0 && self.random.chance(40) {
            let left = self.condition(scope, depth - 1);
            let right = self.condition(scope, depth - 1);
            let op = self.random.choose(&["AND", "OR"]);
            return if self.random.chance(50) {
                format!("({left} {op} {right})")
            } else {
                format!("{left} {op} {right}")
            };
        }
        let equal = ["=", "!=", "<>", "="];
        let order = ["=", "!=", "<", "<=", ">", ">="];
        match self.random.below(16) {
            0..=3 => {
                let (name, value) = self.tag_and_value();
                format!("{name} {} '{value}'", self.random.choose(&equal))
            }
            4 | 5 => self.pattern(),
            6..=8 => {
                let column = self.column(scope);
                let number = self.random.choose(&["0", "1", "2.5", "-3", "10", "1e3"]);
                format!("{column} {} {number}", self.random.choose(&order))
            }
            9 => {
                let text = self.random.choose(&["x", "", "a b", "y", "a"]);
                format!("s {} '{text}'", self.random.choose(&equal))
            }
            10 => {
                let value = self.random.choose(&["true", "false", "'true'", "1"]);
                format!("b {} {value}", self.random.choose(&equal))
            }
            11 => {
                let (left, right) = (self.column(scope), self.column(scope));
                format!("{left} {} {right}", self.random.choose(&order))
            }
            12 => {
                let (left, right) = (self.column(scope), self.column(scope));
                let op = self
                    .random
                    .choose(&["+", "-", "*", "/", "%", "&", "|", "^"]);
                let number = self.random.choose(&["0", "3", "1.5", "-2"]);
                format!(
                    "{left} {op} {right} {} {number}",
                    self.random.choose(&order)
                )
            }
            13 => {
                let column = self.column(scope);
                let number = self.random.choose(&["2", "0", "1.5"]);
                let op = self.random.choose(&["+", "-", "*", "/", "%"]);
                format!(
                    "{column} {op} {number} {} {number}",
                    self.random.choose(&order)
                )
            }
            14 if self.random.chance(4) => {
                let time_ns = self.set.time_ns(self.random);
                format!(
                    "time {} {time_ns}",
                    self.random.choose(&["<", ">", ">=", "!="])
                )
            }
            14 => self
                .random
                .choose(&[
                    "true",
                    "false",
                    "b",
                    "1 = 1",
                    "host",
                    "'a' = host",
                    "2 < i",
                    "true = b",
                    "f = f",
                    "host = region",
                    "host = \"s\"",
                    "(f)",
                    "f > 1 = true",
                ])
                .to_owned(),
            _ => {
                let cast = self.random.choose(&[
                    "host::tag = 'a'",
                    "host::field = 'a'",
                    "f::field > 1",
                    "f::integer > 1",
                    "i::float > 1.5",
                    "f::tag = 'a'",
                    "x::string = 'x'",
                ]);
                cast.to_owned()
            }
        }
    }

    /// A tag, and a value that it may have.
    pub(super) fn tag_and_value(&mut self) -> (&'static str, &'static str) {
        match self.random.below(8) {
            0..=3 => (
                "host",
                self.random.choose(&["a", "b", "c", "a b", "", "zz"]),
            ),
            4 | 5 => ("region", self.random.choose(&["eu", "us", "it\\'s", ""])),
            6 => ("absent", self.random.choose(&["", "a"])),
            _ => ("\"host\"", "a"),
        }
    }

    /// A tag or a field that a pattern fits, or not.
    pub(super) fn pattern(&mut self) -> String {
        let patterns = [
            "a",
            "^a$",
            "^(a|b)$",
            "^$",
            ".*",
            ".+",
            "[^a]",
            "(?i)A",
            "^a",
            "b$",
            "\\\\s",
            "^[a-c]$",
            "\\d",
            "x|y",
            "eu|us",
            "\\w+ \\w",
            "a{1,2}",
            "[[:alpha:]]",
            "^.$",
            "\\bb",
            "(?s).b",
            "(?i:B)",
            "[[:^alpha:]]",
            "\\pL",
            "\\x61",
            "\\Qa b\\E",
            "(?U)a+b?",
            "(?P<n>a)|b",
            "a\\z",
            "[^\\d]$",
            "[a&&b]",
            "[a~~z]",
            "[a--b]",
            "[[a]",
            "[]a]",
            "\\.",
            "it's",
            "\\/",
            "^a$|^b$",
            "^(?:a|b)$",
            "^(a|b|)$",
            "(",
        ];
        // Most bad ones are refused when parsed, and hide all else.
        let end = patterns.len() - usize::from(!self.random.chance(10));
        let pattern = patterns[self.random.below(end)];
        let names = ["host", "host", "region", "s", "absent", "f", "b", "x"];
        let op = self.random.choose(&["=~", "=~", "!~"]);
        format!("{} {op} /{pattern}/", self.random.choose(&names))
    }
}

/// A time as a date and a time of day in UTC, with `between` between them.
fn date(seconds: i64, between: &str, after: &str) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days in eras of 400 years that begin in March, so that leap days come last.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}{after}")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_489_305_600, "2017-03-12T08:00:00Z"),
            (1_234_567_890, "2009-02-13T23:31:30Z"),
        ] {
            assert_eq!(date(seconds, "T", "Z"), text);
        }
    }
}
