//! Random `SHOW` statements, with all their clauses.

use super::Asker;

impl Asker<'_> {
    /// A statement about what there is.
    pub(super) fn show(&mut self) -> String {
        let mut text = "SHOW ".to_owned();
        let exact = self.random.choose(&["", "EXACT "]);
        match self.random.below(20) {
            0..=2 => {
                text.push_str("MEASUREMENTS");
                self.on(&mut text);
                if self.random.chance(30) {
                    let with = ["= m", "=~ /c|m/", "= absent", "=~ /.*/", "!= m", "!~ /c/"];
                    text.push_str(&format!(" WITH MEASUREMENT {}", self.random.choose(&with)));
                }
                self.rest(&mut text, 15);
            }
            3..=5 => {
                text.push_str("TAG KEYS");
                self.on_and_from(&mut text);
                self.rest(&mut text, 15);
            }
            6..=9 => {
                text.push_str("TAG VALUES");
                self.on_and_from(&mut text);
                self.with_key(&mut text);
                self.rest(&mut text, 15);
            }
            10 | 11 => {
                text.push_str("FIELD KEYS");
                self.on_and_from(&mut text);
                self.limits(&mut text, 20);
            }
            12 | 13 => {
                text.push_str("SERIES");
                self.on_and_from(&mut text);
                self.rest(&mut text, 15);
            }
            14 => {
                text.push_str(&format!("SERIES {exact}CARDINALITY"));
                self.on_and_from(&mut text);
                self.cardinality(&mut text);
            }
            15 => {
                text.push_str(&format!("MEASUREMENT {exact}CARDINALITY"));
                self.on_and_from(&mut text);
                self.cardinality(&mut text);
            }
            16 => {
                text.push_str(&format!("TAG KEY {exact}CARDINALITY"));
                self.on_and_from(&mut text);
                self.cardinality(&mut text);
            }
            17 => {
                text.push_str(&format!("TAG VALUES {exact}CARDINALITY"));
                self.on_and_from(&mut text);
                self.with_key(&mut text);
                self.cardinality(&mut text);
            }
            18 => {
                text.push_str(&format!("FIELD KEY {exact}CARDINALITY"));
                self.on_and_from(&mut text);
                self.cardinality(&mut text);
            }
            _ => {
                let plain = [
                    "DATABASES",
                    "RETENTION POLICIES",
                    "RETENTION POLICIES ON db",
                ];
                text.push_str(self.random.choose(&plain));
            }
        }
        text
    }

    fn on(&mut self, text: &mut String) {
        if self.random.chance(15) {
            text.push_str(&format!(
                " ON {}",
                self.random.choose(&["db", "db", "nowhere"])
            ));
        }
    }

    fn on_and_from(&mut self, text: &mut String) {
        self.on(text);
        if self.random.chance(50) {
            text.push_str(&format!(" FROM {}", self.source()));
            if self.random.chance(15) {
                text.push_str(&format!(", {}", self.source()));
            }
        }
    }

    fn with_key(&mut self, text: &mut String) {
        let with = [
            "= host",
            "= \"region\"",
            "!= host",
            "=~ /h|r/",
            "!~ /h/",
            "IN (host, region)",
            "IN (absent, host)",
            "= absent",
        ];
        text.push_str(&format!(" WITH KEY {}", self.random.choose(&with)));
    }

    /// Condition, order and limits.
    fn rest(&mut self, text: &mut String, percent: usize) {
        self.filter(text);
        if self.random.chance(3) {
            text.push_str(" ORDER BY time");
        }
        self.limits(text, percent);
    }

    fn cardinality(&mut self, text: &mut String) {
        self.filter(text);
        if self.random.chance(1) {
            text.push_str(" GROUP BY host");
        }
        self.limits(text, 5);
    }

    /// `WHERE` over tags; now and then over what is none.
    fn filter(&mut self, text: &mut String) {
        // Where time is refused, it is refused in most statements that have it.
        let percent = match text.contains("CARDINALITY") && !text.contains("VALUES") {
            true => 2,
            false => 30,
        };
        let with_time = self.random.chance(percent);
        if !self.random.chance(45) {
            return;
        }
        let mut condition = self.show_condition(with_time);
        if self.random.chance(30) {
            let op = self.random.choose(&["AND", "OR"]);
            condition = format!("{condition} {op} {}", self.show_condition(with_time));
        }
        text.push_str(&format!(" WHERE {condition}"));
    }

    fn show_condition(&mut self, with_time: bool) -> String {
        match self.random.below(16) {
            0..=7 => {
                let (name, value) = self.tag_and_value();
                format!("{name} {} '{value}'", self.random.choose(&["=", "!="]))
            }
            8..=11 => {
                let names = ["host", "region", "absent"];
                let patterns = ["a", "^$", ".*", ".+", "^(a|b)$", "eu", "^m$"];
                let op = self.random.choose(&["=~", "!~"]);
                let name = self.random.choose(&names);
                format!("{name} {op} /{}/", self.random.choose(&patterns))
            }
            12 if with_time => {
                let start_ns = self.set.start_ns;
                let time_ns = self.random.choose(&[start_ns, start_ns, 0, -1]);
                let op = self.random.choose(&["<", ">", ">=", "<="]);
                format!("time {op} {time_ns}")
            }
            13 if self.random.chance(30) => self
                .random
                .choose(&["f > 1", "s = 'x'", "b = true", "i = 1"])
                .to_owned(),
            14 => "(host = 'a' OR host = 'b')".to_owned(),
            _ => self
                .random
                .choose(&[
                    "host",
                    "true",
                    "host = 'b'",
                    "host = \"a\"",
                    "region = 'eu'",
                ])
                .to_owned(),
        }
    }
}
