//! One table of a configuration: values are taken out of it, and what is left at the end is reported.

use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};

use super::TelegrafError;

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
        let Some(value) = self.table.remove(key) else {
            return Ok(());
        };
        let texts = match value {
            Value::Array(values) => values
                .into_iter()
                .map(|value| match value {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>(),
            _ => None,
        };
        *place = texts.ok_or_else(|| self.bad(key, "a list of texts"))?;
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

    /// Takes a key out that needs no counterpart.
    pub(super) fn forget(&mut self, key: &str) {
        self.table.remove(key);
    }

    /// Reports one setting.
    pub(super) fn leave_out(&mut self, key: &str, why: &str) {
        self.table.remove(key);
        self.left_out.push(format!("{}.{key}: {why}", self.path));
    }

    /// Reports the whole table.
    pub(super) fn leave_out_whole(&mut self, why: &str) {
        self.table.clear();
        self.left_out.push(format!("{}: {why}", self.path));
    }

    /// Reports what nobody took.
    pub(super) fn finish(&mut self) {
        for key in std::mem::take(&mut self.table).keys() {
            self.left_out
                .push(format!("{}.{key}: not supported", self.path));
        }
    }
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
