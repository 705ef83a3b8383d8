//! Patterns of names: `*` for any run of bytes, `?` for one byte, `[a-z]` for one of a set,
//! `{a,b}` for alternatives; every other byte stands for itself.
//!
//! Telegraf's users write them in filters. Matching takes at most the product of both lengths,
//! whatever the pattern.

use std::path::{Path, PathBuf};

/// Alternatives that one pattern may stand for.
const ALTERNATIVES_MAX: usize = 64;
/// Paths that one pattern may find.
const PATHS_MAX: usize = 10_000;

/// Whether `text` as a whole is what `pattern` describes.
pub(crate) fn matches(pattern: &str, text: &[u8]) -> bool {
    alternatives(pattern)
        .iter()
        .any(|pattern| matches_plain(pattern.as_bytes(), text))
}

/// Whether one of `patterns` describes `text`.
pub(crate) fn any(patterns: &[String], text: &[u8]) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

/// What is let through: what `include` describes, or everything where that is empty, less what
/// `exclude` describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Patterns of what is wanted; everything is when there is none.
    pub include: Vec<String>,
    /// Patterns of what is not.
    pub exclude: Vec<String>,
}

impl Filter {
    /// Whether `name` is let through.
    #[must_use]
    pub fn takes(&self, name: impl AsRef<[u8]>) -> bool {
        let name = name.as_ref();
        (self.include.is_empty() || any(&self.include, name)) && !any(&self.exclude, name)
    }
}

/// Patterns made ready to be asked often: a question allocates nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Patterns(Vec<String>);

impl Patterns {
    pub(crate) fn new(patterns: &[String]) -> Self {
        Self(patterns.iter().flat_map(|one| alternatives(one)).collect())
    }

    /// Whether one of them describes `text`.
    pub(crate) fn describe(&self, text: &[u8]) -> bool {
        self.0
            .iter()
            .any(|pattern| matches_plain(pattern.as_bytes(), text))
    }
}

/// A [`Filter`] made ready to be asked often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sieve {
    /// `None` for everything.
    include: Option<Patterns>,
    exclude: Patterns,
}

impl Sieve {
    pub(crate) fn new(filter: &Filter) -> Self {
        Self {
            include: (!filter.include.is_empty()).then(|| Patterns::new(&filter.include)),
            exclude: Patterns::new(&filter.exclude),
        }
    }

    /// As [`Filter::takes`].
    pub(crate) fn takes(&self, name: &[u8]) -> bool {
        let is_included = |include: &Patterns| include.describe(name);
        self.include.as_ref().is_none_or(is_included) && !self.excludes(name)
    }

    /// Whether `name` is among what is not wanted.
    pub(crate) fn excludes(&self, name: &[u8]) -> bool {
        self.exclude.describe(name)
    }
}

/// The patterns without braces that `pattern` stands for.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let braces = pattern
            .find('{')
            .and_then(|start| Some((start, start + pattern.get(start..)?.find('}')?)));
        match braces {
            Some((start, end)) if done.len() + open.len() < ALTERNATIVES_MAX => {
                let (before, after) = (&pattern[..start], &pattern[end + 1..]);
                let inner = &pattern[start + 1..end];
                open.extend(
                    inner
                        .split(',')
                        .map(|part| format!("{before}{part}{after}")),
                );
            }
            _ => done.push(pattern),
        }
    }
    done
}

/// The classic two-pointer match: on a mismatch, the last `*` takes one byte more.
fn matches_plain(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&byte) = text.get(t) {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
            continue;
        }
        if let Some(used) = one(pattern.get(p..).unwrap_or_default(), byte) {
            p += used;
            t += 1;
            continue;
        }
        let Some((star_p, star_t)) = star else {
            return false;
        };
        star = Some((star_p, star_t + 1));
        p = star_p + 1;
        t = star_t + 1;
    }
    pattern
        .get(p..)
        .unwrap_or_default()
        .iter()
        .all(|&b| b == b'*')
}

/// How many bytes of the pattern describe `byte`; `None` when they do not.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let Some(end) = pattern
                .iter()
                .position(|&b| b == b']')
                .filter(|&end| end > 1)
            else {
                return (byte == b'[').then_some(1);
            };
            let mut set = pattern.get(1..end).unwrap_or_default();
            let negated = matches!(set.first(), Some(b'!' | b'^')) && set.len() > 1;
            if negated {
                set = set.get(1..).unwrap_or_default();
            }
            let mut found = false;
            while let Some((&first, rest)) = set.split_first() {
                match rest {
                    [b'-', last, ..] => {
                        found |= (first..=*last).contains(&byte);
                        set = rest.get(2..).unwrap_or_default();
                    }
                    _ => {
                        found |= first == byte;
                        set = rest;
                    }
                }
            }
            (found != negated).then_some(end + 1)
        }
        literal => (literal == byte).then_some(1),
    }
}

/// The paths that `pattern` describes, sorted; `**` is not known, a pattern stays within its part
/// of the path. What cannot be listed holds nothing.
pub(crate) fn paths(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !text.contains(['*', '?', '[', '{']) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let mut deeper = Vec::new();
        for path in &found {
            let Ok(entries) = std::fs::read_dir(path) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                if deeper.len() < PATHS_MAX && matches(&text, name.as_encoded_bytes()) {
                    deeper.push(path.join(name));
                }
            }
        }
        deeper.sort();
        found = deeper;
    }
    found.retain(|path| path.exists());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_describe_whole_names() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("veth*", "veth12ab", true),
            ("veth*", "eth0", false),
            ("*.slice", "a.b.slice", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("eth[0-3]", "eth3", true),
            ("eth[!0-3]", "eth3", false),
            ("eth[", "eth[", true),
            ("{eth,wlan}[01]", "wlan1", true),
            ("{eth,wlan}[01]", "lan1", false),
            ("com.docker.*", "com.docker.swarm.node.id", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
        ] {
            assert_eq!(
                matches(pattern, text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn no_pattern_takes_for_ever() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(&pattern, &[b'a'; 5000]));
        let braces = "{a,b}".repeat(100);
        assert!(!matches(&braces, b"a"));
    }

    #[test]
    fn a_filter_takes_and_leaves() {
        let filter = Filter {
            include: vec!["com.*".into()],
            exclude: vec!["*.id".into()],
        };
        assert!(filter.takes("com.docker.stack"));
        assert!(!filter.takes("com.docker.id") && !filter.takes("maintainer"));
        assert!(Filter::default().takes("anything"));
        let sieve = Sieve::new(&filter);
        assert!(sieve.takes(b"com.docker.stack") && sieve.excludes(b"com.docker.id"));
        assert!(!sieve.takes(b"com.docker.id") && !sieve.takes(b"maintainer"));
        assert!(Sieve::new(&Filter::default()).takes(b"anything"));
        let patterns = Patterns::new(&["{a,b}?".into(), "c".into()]);
        assert!(patterns.describe(b"bx") && patterns.describe(b"c"));
        assert!(!patterns.describe(b"b") && !Patterns::default().describe(b""));
    }

    #[test]
    fn paths_are_found_part_by_part() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["docker/aa", "docker/ab", "docker/b", "other/aa"] {
            std::fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let found = paths(&dir.path().join("dock*/a?"));
        let expected = ["docker/aa", "docker/ab"].map(|path| dir.path().join(path));
        assert_eq!(found, expected);
        assert_eq!(paths(Path::new("/no/such/*")), Vec::<PathBuf>::new());
        assert_eq!(
            paths(&dir.path().join("docker/none")),
            Vec::<PathBuf>::new()
        );
    }
}
