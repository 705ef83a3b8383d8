//! One table of a configuration: values are taken out of it, and what is left at the end is reported.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};

use super::TelegrafError;

/// What is said of what is not taken.
pub(super) fn unused(what: &str, why: &str) -> String {
    format!("{what} is not used because {why}")
}

/// What is said of a key that nobody knows.
pub(super) const NOTHING_LIKE_IT: &str = "there is nothing like it here";

/// The table.
#[derive(Debug)]
pub(super) struct Section<'a> {
    path: String,
    table: Table,
    left_out: &'a mut Vec<String>,
}

impl<'a> Section<'a> {
    pub(super) fn new(path: &str, table: Table, left_out: &'a mut Vec<String>) -> Self {
        Self {
            path: path.to_owned(),
            table,
            left_out,
        }
    }

    fn bad(&self, key: &str, wanted: &str) -> TelegrafError {
        TelegrafError::Malformed(format!("{}.{key} must be {wanted}", self.path))
    }

    pub(super) fn boolean(&mut self, key: &str, place: &mut bool) -> Result<(), TelegrafError> {
        match self.table.remove(key) {
            None => {}
            Some(Value::Boolean(value)) => *place = value,
            Some(_) => return Err(self.bad(key, "true or false")),
        }
        Ok(())
    }

    pub(super) fn text(&mut self, key: &str, place: &mut String) -> Result<(), TelegrafError> {
        match self.table.remove(key) {
            None => {}
            Some(Value::String(value)) => *place = value,
            Some(_) => return Err(self.bad(key, "a text")),
        }
        Ok(())
    }

    pub(super) fn path(
        &mut self,
        key: &str,
        place: &mut Option<PathBuf>,
    ) -> Result<(), TelegrafError> {
        let mut text = String::new();
        self.text(key, &mut text)?;
        if !text.is_empty() {
            *place = Some(text.into());
        }
        Ok(())
    }

    pub(super) fn texts(
        &mut self,
        key: &str,
        place: &mut Vec<String>,
    ) -> Result<(), TelegrafError> {
        if let Some(value) = self.table.remove(key) {
            *place = texts_of(value).ok_or_else(|| self.bad(key, "a list of texts"))?;
        }
        Ok(())
    }

    /// A list of texts, behind what is there already: one of several names of a key.
    pub(super) fn further_texts(
        &mut self,
        key: &str,
        place: &mut Vec<String>,
    ) -> Result<(), TelegrafError> {
        let mut further = Vec::new();
        self.texts(key, &mut further)?;
        place.append(&mut further);
        Ok(())
    }

    /// A table of texts.
    pub(super) fn table_of_texts(
        &mut self,
        key: &str,
        place: &mut BTreeMap<String, String>,
    ) -> Result<(), TelegrafError> {
        let wanted = "a table of texts";
        let text = |(name, value): (String, Value)| match value {
            Value::String(text) => Some((name, text)),
            _ => None,
        };
        match self.table.remove(key) {
            None => return Ok(()),
            Some(Value::Table(table)) => {
                let all: Option<BTreeMap<_, _>> = table.into_iter().map(text).collect();
                *place = all.ok_or_else(|| self.bad(key, wanted))?;
            }
            Some(_) => return Err(self.bad(key, wanted)),
        }
        Ok(())
    }

    /// A table of lists of texts.
    pub(super) fn table_of_lists(
        &mut self,
        key: &str,
        place: &mut BTreeMap<String, Vec<String>>,
    ) -> Result<(), TelegrafError> {
        let wanted = "a table of lists of texts";
        let list = |(name, value)| Some((name, texts_of(value)?));
        match self.table.remove(key) {
            None => return Ok(()),
            Some(Value::Table(table)) => {
                let all: Option<BTreeMap<_, _>> = table.into_iter().map(list).collect();
                *place = all.ok_or_else(|| self.bad(key, wanted))?;
            }
            Some(_) => return Err(self.bad(key, wanted)),
        }
        Ok(())
    }

    /// A duration as Go writes it, `1m30s` for one, or a number of seconds.
    pub(super) fn duration(
        &mut self,
        key: &str,
        place: &mut Duration,
    ) -> Result<(), TelegrafError> {
        let duration = match self.table.remove(key) {
            None => return Ok(()),
            // Empty stands for none.
            Some(Value::String(text)) if text.is_empty() => return Ok(()),
            Some(Value::String(text)) => parse_duration(&text),
            Some(Value::Integer(seconds)) => u64::try_from(seconds).ok().map(Duration::from_secs),
            Some(Value::Float(seconds)) => Duration::try_from_secs_f64(seconds).ok(),
            Some(_) => None,
        };
        *place = duration.ok_or_else(|| self.bad(key, "a duration, such as 10s"))?;
        Ok(())
    }

    /// Whether the table has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Takes keys out that ask for what is always so here, whatever their value.
    pub(super) fn forget(&mut self, key: &str) {
        self.table.remove(key);
    }

    /// Reports a setting, where it is there.
    pub(super) fn leave_out(&mut self, key: &str, why: &str) {
        self.leave_out_unless(key, |_| false, why);
    }

    /// Reports a setting, where it is there and asks for something else than what is so anyway.
    pub(super) fn leave_out_unless(
        &mut self,
        key: &str,
        is_so: impl Fn(&Value) -> bool,
        why: &str,
    ) {
        if self.table.remove(key).is_some_and(|value| !is_so(&value)) {
            self.report(key, why);
        }
    }

    /// Reports a setting, or a part of one, that was taken out before.
    pub(super) fn report(&mut self, what: &str, why: &str) {
        self.left_out
            .push(unused(&format!("{}.{what}", self.path), why));
    }

    /// Reports the whole table.
    pub(super) fn leave_out_whole(&mut self, why: &str) {
        self.table.clear();
        self.left_out.push(unused(&self.path, why));
    }

    /// Reports what nobody took.
    pub(super) fn finish(&mut self) {
        for key in std::mem::take(&mut self.table).keys() {
            self.report(key, NOTHING_LIKE_IT);
        }
    }
}

/// Whether a value is `false`, 0, or empty, as many are in configurations that were generated.
pub(super) fn is_none(value: &Value) -> bool {
    match value {
        Value::Boolean(value) => !value,
        Value::Integer(value) => *value == 0,
        Value::String(text) => parse_duration(text).map_or(text.is_empty(), |d| d.is_zero()),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

/// Whether a value is this text.
pub(super) fn is_text(text: &'static str) -> impl Fn(&Value) -> bool {
    move |value| value.as_str() == Some(text)
}

/// The texts of a list of nothing else.
fn texts_of(value: Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else {
        return None;
    };
    let text = |value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    values.into_iter().map(text).collect()
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit_s = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        sum = sum.checked_add(Duration::try_from_secs_f64(number * unit_s).ok()?)?;
        rest = after;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (text, expected_ms) in [
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("250ms", Some(250)),
            ("0s", Some(0)),
            ("", None),
            ("10", None),
            ("s", None),
            ("1 fortnight", None),
            ("-1s", None),
        ] {
            let expected = expected_ms.map(Duration::from_millis);
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }
}
