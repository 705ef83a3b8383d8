//! Instructions of each path as they were committed.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

const HEAD: &str = "\
# Instructions of hot paths, counted by callgrind. `cargo xtask bench guard` compares; with --bless it writes
# this file anew, for a change whose commit says why a path needs more or less.
";

/// The file's lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Baseline(BTreeMap<String, u64>);

impl Baseline {
    /// Reads the file; nothing is known where there is none.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(file) {
            Ok(text) => Self::parse(&text).with_context(|| format!("read {}", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
        }
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut counts = BTreeMap::new();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        for line in lines.filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let (Some(name), Some(count), None) = (words.next(), words.next(), words.next()) else {
                bail!("not a name and a count: {line}");
            };
            let count = count
                .parse()
                .with_context(|| format!("not a count: {line}"))?;
            if counts.insert(name.to_owned(), count).is_some() {
                bail!("{name} has two lines");
            }
        }
        Ok(Self(counts))
    }

    pub(crate) fn of(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    pub(crate) fn set(&mut self, name: &str, count: u64) {
        self.0.insert(name.to_owned(), count);
    }

    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        fs::write(file, self.text()).with_context(|| format!("write {}", file.display()))
    }

    fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (name, count) in &self.0 {
            let _ = writeln!(text, "{name:<18} {count:>14}");
        }
        text
    }
}

/// What a count says beside its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// No line to compare with.
    Unknown,
    /// More than is allowed; the part that is too much, as a part of the baseline.
    Grown(f64),
    /// As it should be, or better.
    Kept(f64),
}

impl Verdict {
    pub(crate) fn of(counted: u64, baseline: Option<u64>, slack: f64) -> Self {
        let Some(baseline) = baseline else {
            return Self::Unknown;
        };
        let change = counted as f64 / (baseline as f64).max(1.0) - 1.0;
        // Compared without a division, so that what is allowed exactly is allowed.
        if counted as f64 > (baseline as f64) * (1.0 + slack) {
            Self::Grown(change)
        } else {
            Self::Kept(change)
        }
    }

    pub(crate) const fn is_failure(self) -> bool {
        !matches!(self, Self::Kept(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Unknown => "new".to_owned(),
            Self::Grown(change) | Self::Kept(change) => format!("{:+.1} %", change * 100.0),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut baseline = Baseline::default();
        baseline.set("line-floats", 12);
        baseline.set("codec-read", u64::MAX);
        assert_eq!(Baseline::parse(&baseline.text()).unwrap(), baseline);
        for bad in ["a", "a b", "a 1 2", "a 1\na 2"] {
            Baseline::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn five_per_cent_more_is_kept_and_more_is_not() {
        let of = |counted| Verdict::of(counted, Some(1_000), 0.05);
        assert!(!of(1_050).is_failure() && !of(100).is_failure());
        assert!(of(1_051).is_failure());
        assert!(Verdict::of(1, None, 0.05).is_failure());
        assert_eq!(format!("{:>8}", of(1_050)), "  +5.0 %");
    }
}
