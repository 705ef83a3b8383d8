//! `cgroup`: any files of any control groups (`influxdata/telegraf plugins/inputs/cgroup`). Off
//! unless paths and files are given.
//!
//! A field is the file's name, and behind a dot what the file's form calls for:
//!
//! | form | fields of a file `f` |
//! |---|---|
//! | `7` | `f` |
//! | several lines of one value | `f.0`, `f.1`, … |
//! | `7 8` | `f.0`, `f.1`, … |
//! | `a 7`, `b c 8` line by line | `f.a`, `f.b.c` |
//! | `a=7 b=8` | `f.a`, `f.b` |
//! | `x a=7 b=8` | `f.x.a`, `f.x.b` |
//!
//! `max` is the largest integer.

use std::path::Path;

use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::{Batch, Line};
use crate::glob;
use crate::roots::Roots;
use crate::text;

/// Fields of one line; a file of processes has no end.
const FIELDS_MAX: usize = 4096;

/// What `cgroup` reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupOptions {
    /// Directories, as patterns.
    pub paths: Vec<String>,
    /// Files in them, as patterns.
    pub files: Vec<String>,
}

/// The collector of `cgroup`.
#[derive(Debug)]
pub(crate) struct Cgroup {
    options: CgroupOptions,
    source: Source,
}

/// A value, as the wire has it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Integer(i64),
    Float(f64),
}

fn number(word: &[u8]) -> Option<Number> {
    if word == b"max" {
        return Some(Number::Integer(i64::MAX));
    }
    if let Some(integer) = text::signed(word) {
        return Some(Number::Integer(integer));
    }
    // Beyond 63 bits it is still the largest, and no float: a field has one type.
    if text::unsigned(word).is_some() {
        return Some(Number::Integer(i64::MAX));
    }
    text::float(word).map(Number::Float)
}

fn add<'a>(line: Line<'a>, name: &str, value: Number) -> Line<'a> {
    match value {
        Number::Integer(value) => line.signed(name, value),
        Number::Float(value) => line.float(name, value),
    }
}

/// Appends the fields of a file's `text`; false when the form is none of those known.
fn parse(name: &str, text: &[u8], fields: &mut Vec<(String, Number)>) -> bool {
    let lines: Vec<Vec<&[u8]>> = text::lines(text)
        .map(|line| text::words(line).collect())
        .collect();
    let shown = |parts: &[&[u8]]| -> String {
        let parts = parts.iter().map(|part| String::from_utf8_lossy(part));
        parts.collect::<Vec<_>>().join(".")
    };
    let begin = fields.len();
    for (row, words) in lines.iter().enumerate() {
        if fields.len() - begin >= FIELDS_MAX {
            return false;
        }
        let pairs: Vec<_> = words
            .iter()
            .filter_map(|word| {
                let equals = memchr::memchr(b'=', word)?;
                let (key, value) = word.split_at(equals);
                Some((key, number(value.get(1..)?)?))
            })
            .collect();
        let (last, keys) = match words.split_last() {
            Some((last, keys)) => (*last, keys),
            None => continue,
        };
        if !pairs.is_empty() {
            // What has no `=` names the line.
            let heading = words.len() - pairs.len();
            let heading = words.get(..heading).unwrap_or_default();
            for (key, value) in pairs {
                let mut parts = heading.to_vec();
                parts.push(key);
                fields.push((format!("{name}.{}", shown(&parts)), value));
            }
        } else if lines.len() == 1 && words.len() == 1 {
            match number(last) {
                Some(value) => fields.push((name.to_owned(), value)),
                None => return false,
            }
        } else if words.len() == 1 {
            match number(last) {
                Some(value) => fields.push((format!("{name}.{row}"), value)),
                None => return false,
            }
        } else if lines.len() == 1 && words.iter().all(|word| number(word).is_some()) {
            for (at, word) in words.iter().enumerate() {
                fields.extend(number(word).map(|value| (format!("{name}.{at}"), value)));
            }
        } else {
            match number(last) {
                Some(value) => fields.push((format!("{name}.{}", shown(keys)), value)),
                None => return false,
            }
        }
    }
    true
}

impl Cgroup {
    pub(crate) fn new(options: CgroupOptions) -> Self {
        Self {
            options,
            source: Source::default(),
        }
    }

    fn group(&mut self, directory: &Path, out: &mut Batch, troubles: &mut Troubles) {
        let mut fields = Vec::new();
        for pattern in &self.options.files {
            for path in glob::paths(&directory.join(pattern)) {
                if path.is_dir() {
                    continue;
                }
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                if let Some(text) = troubles.note(self.source.read(&path))
                    && !parse(&name, text, &mut fields)
                {
                    troubles.add(SourceError::strange(&path, text));
                }
            }
        }
        let mut line = out
            .line("cgroup")
            .tag("path", directory.as_os_str().as_encoded_bytes());
        for (name, value) in fields {
            line = add(line, &name, value);
        }
        line.finish();
    }
}

impl Collector for Cgroup {
    fn name(&self) -> &'static str {
        "cgroup"
    }

    fn gather(&mut self, _roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        for pattern in self.options.paths.clone() {
            for directory in glob::paths(Path::new(&pattern)) {
                if directory.is_dir() {
                    self.group(&directory, out, &mut troubles);
                }
            }
        }
        troubles.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut fields = Vec::new();
        let is_known = parse("f", text.as_bytes(), &mut fields);
        let fields = fields.iter().map(|(name, value)| match value {
            Number::Integer(value) => format!("{name}={value}i"),
            Number::Float(value) => format!("{name}={value}"),
        });
        let mut shown: Vec<String> = fields.collect();
        if !is_known {
            shown.push("?".into());
        }
        shown.join(" ")
    }

    #[test]
    fn every_form_of_a_file() {
        for (text, expected) in [
            ("7\n", "f=7i"),
            ("max\n", "f=9223372036854775807i"),
            ("18446744073709551615\n", "f=9223372036854775807i"),
            ("1\n2\n", "f.0=1i f.1=2i"),
            ("max 100000\n", "f.0=9223372036854775807i f.1=100000i"),
            ("anon 5\nfile 6\n", "f.anon=5i f.file=6i"),
            ("8:0 Read 5\nTotal 6\n", "f.8:0.Read=5i f.Total=6i"),
            ("8:0 rbytes=5 wbytes=6\n", "f.8:0.rbytes=5i f.8:0.wbytes=6i"),
            (
                "some avg10=0.00 total=5\nfull avg10=1.50 total=6\n",
                "f.some.avg10=0 f.some.total=5i f.full.avg10=1.5 f.full.total=6i",
            ),
            ("a=1 b=2\n", "f.a=1i f.b=2i"),
            ("", ""),
            ("threaded\n", "?"),
            ("a b c\n", "?"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }
}
