//! Statements that take some of the data away, and which lines they take.
//!
//! So the same data can be told without ever writing what is deleted later: what an answer then no longer
//! shows comes from what a server remembers of deleted points.

use std::fmt;

use super::data::{escaped, quoted};

/// A statement that deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deletion {
    pub(crate) verb: Verb,
    /// All measurements without it.
    pub(crate) measurement: Option<&'static str>,
    /// The value of the tag `host`; all without it.
    pub(crate) host: Option<&'static str>,
    /// The first time that is deleted, and the last one.
    pub(crate) low_ns: Option<i64>,
    pub(crate) high_ns: Option<i64>,
}

/// How it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Delete,
    DropSeries,
    DropMeasurement,
}

impl Deletion {
    /// True if it takes this line of line protocol, which came before it.
    pub(crate) fn takes(&self, line: &str) -> bool {
        let key = key_of(line);
        let Some(time_ns) = line
            .rsplit_once(' ')
            .and_then(|(_, time)| time.parse::<i64>().ok())
        else {
            return false;
        };
        let parts = split_key(key);
        let is_of_measurement = self
            .measurement
            .is_none_or(|name| parts.first() == Some(&escaped(name).as_str()));
        let is_of_host = self.host.is_none_or(|host| {
            let tag = format!("host={}", escaped(host));
            parts.iter().skip(1).any(|part| *part == tag)
        });
        is_of_measurement
            && is_of_host
            && self.low_ns.is_none_or(|low_ns| time_ns >= low_ns)
            && self.high_ns.is_none_or(|high_ns| time_ns <= high_ns)
    }
}

impl fmt::Display for Deletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.measurement.map(quoted).unwrap_or_default();
        match self.verb {
            Verb::Delete => f.write_str("DELETE")?,
            Verb::DropSeries => f.write_str("DROP SERIES")?,
            Verb::DropMeasurement => return write!(f, "DROP MEASUREMENT {name}"),
        }
        if self.measurement.is_some() {
            write!(f, " FROM {name}")?;
        }
        let mut word = "WHERE";
        if let Some(low_ns) = self.low_ns {
            write!(f, " {word} time >= {low_ns}")?;
            word = "AND";
        }
        if let Some(high_ns) = self.high_ns {
            write!(f, " {word} time <= {high_ns}")?;
            word = "AND";
        }
        if let Some(host) = self.host {
            write!(f, " {word} host = '{host}'")?;
        }
        Ok(())
    }
}

/// Measurement and tags of a line: all before the first blank that is not escaped.
pub(super) fn key_of(line: &str) -> &str {
    cut(line, ' ').0
}

/// The measurement, and each tag.
fn split_key(key: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = Some(key);
    while let Some(text) = rest {
        let (part, behind) = cut(text, ',');
        parts.push(part);
        rest = behind;
    }
    parts
}

/// What is before the first `end` that is not escaped, and what is behind it.
fn cut(text: &str, end: char) -> (&str, Option<&str>) {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == end && !escaped {
            return (&text[..at], Some(&text[at + c.len_utf8()..]));
        }
        escaped = c == '\\' && !escaped;
    }
    (text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Deletion = Deletion {
        verb: Verb::Delete,
        measurement: None,
        host: None,
        low_ns: None,
        high_ns: None,
    };

    #[test]
    fn lines_are_taken_by_name_tag_and_time() {
        let of_host = Deletion {
            measurement: Some("disk io"),
            host: Some("a b"),
            ..ALL
        };
        assert!(of_host.takes("disk\\ io,host=a\\ b,region=eu f=1 5"));
        for other in [
            "disk\\ io,host=a f=1 5",
            "disk\\ io f=1 5",
            "disk,host=a\\ b f=1 5",
            "disk\\ io,xhost=a\\ b f=1 5",
        ] {
            assert!(!of_host.takes(other), "{other}");
        }
        let of_time = Deletion {
            low_ns: Some(5),
            high_ns: Some(7),
            ..ALL
        };
        let taken = [4, 5, 7, 8].map(|time_ns| of_time.takes(&format!("m s=\"a 6\" {time_ns}")));
        assert_eq!(taken, [false, true, true, false]);
    }

    #[test]
    fn statements() {
        let of_host = Deletion {
            measurement: Some("disk io"),
            host: Some("a"),
            low_ns: Some(5),
            ..ALL
        };
        assert_eq!(
            of_host.to_string(),
            "DELETE FROM \"disk io\" WHERE time >= 5 AND host = 'a'"
        );
        let later = Deletion {
            high_ns: Some(7),
            ..ALL
        };
        assert_eq!(later.to_string(), "DELETE WHERE time <= 7");
    }
}
