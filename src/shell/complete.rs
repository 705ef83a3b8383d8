//! Completion at the prompt: commands at its start, keywords, functions, and the names that the database has.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use rustyline::completion::{Completer as Complete, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::session::Names;

/// Names are asked for again after this long.
const NAMES_AGE_MAX: Duration = Duration::from_secs(60);

const COMMANDS: [&str; 15] = [
    "auth",
    "chart",
    "chunk size",
    "chunked",
    "clear",
    "connect",
    "consistency",
    "exit",
    "format",
    "help",
    "history",
    "insert",
    "precision",
    "settings",
    "use",
];

const WORDS: [&str; 83] = [
    "ALL",
    "ALTER",
    "AND",
    "ANALYZE",
    "AS",
    "ASC",
    "BEGIN",
    "BY",
    "CARDINALITY",
    "CONTINUOUS",
    "CREATE",
    "DATABASE",
    "DATABASES",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DIAGNOSTICS",
    "DROP",
    "DURATION",
    "END",
    "EVERY",
    "EXACT",
    "EXPLAIN",
    "FIELD",
    "FOR",
    "FROM",
    "GRANT",
    "GRANTS",
    "GROUP",
    "IN",
    "INTO",
    "KEY",
    "KEYS",
    "KILL",
    "LIMIT",
    "MEASUREMENT",
    "MEASUREMENTS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "PASSWORD",
    "POLICIES",
    "POLICY",
    "PRIVILEGES",
    "QUERIES",
    "QUERY",
    "READ",
    "REPLICATION",
    "RESAMPLE",
    "RETENTION",
    "REVOKE",
    "SELECT",
    "SERIES",
    "SET",
    "SHARD",
    "SHARDS",
    "SHOW",
    "SLIMIT",
    "SOFFSET",
    "STATS",
    "SUBSCRIPTION",
    "TAG",
    "TO",
    "USER",
    "USERS",
    "VALUES",
    "WHERE",
    "WITH",
    "WRITE",
    "count(",
    "derivative(",
    "difference(",
    "fill(",
    "first(",
    "last(",
    "max(",
    "mean(",
    "min(",
    "now()",
    "sum(",
    "time",
    "time(",
];

/// Completes what stands before the cursor.
#[derive(Debug, Default)]
pub(super) struct Completer {
    names: Names,
    learnt_at: Option<Instant>,
}

impl Completer {
    /// Whether the names are of another database, or from long ago.
    pub(super) fn is_old(&self, database: &str) -> bool {
        self.names.of_database != database
            || self.learnt_at.is_none_or(|at| at.elapsed() > NAMES_AGE_MAX)
    }

    pub(super) fn learn(&mut self, names: Names) {
        self.names = names;
        self.learnt_at = Some(Instant::now());
    }

    /// Where the word begins, and what it can become.
    fn candidates(&self, line: &str, cursor: usize) -> (usize, Vec<Pair>) {
        let before = line.get(..cursor).unwrap_or(line);
        let begin = before
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '"'))
            .map_or(0, |at| {
                at + before[at..].chars().next().map_or(1, char::len_utf8)
            });
        let typed = before.get(begin..).unwrap_or_default();
        let quoted = typed.starts_with('"');
        let stem = typed.trim_start_matches('"');
        let fits = |name: &str| {
            name.get(..stem.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(stem))
        };
        let mut found: Vec<String> = Vec::new();
        if !quoted && begin == 0 {
            found.extend(COMMANDS.iter().filter(|c| fits(c)).map(|&c| c.to_owned()));
        }
        if !quoted && !stem.is_empty() {
            let lower = stem.chars().all(|c| c.is_lowercase());
            let words = WORDS.iter().filter(|word| fits(word));
            found.extend(words.map(|word| match lower {
                true => word.to_ascii_lowercase(),
                false => (*word).to_owned(),
            }));
        }
        let names = self.names.names.iter().filter(|name| fits(name));
        found.extend(names.map(|name| match quoted || !is_bare(name) {
            true => format!("\"{}\"", name.replace('\\', r"\\").replace('"', "\\\"")),
            false => name.clone(),
        }));
        let pairs = found.into_iter().map(|text| Pair {
            display: text.clone(),
            replacement: text,
        });
        (begin, pairs.collect())
    }
}

/// Whether InfluxQL takes it without quotes.
fn is_bare(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(name))
}

impl Complete for Completer {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(self.candidates(line, cursor))
    }
}

impl Hinter for Completer {
    type Hint = String;
}
impl Highlighter for Completer {}
impl Validator for Completer {}
impl Helper for Completer {}

/// Shows nothing of what is typed.
#[derive(Debug)]
pub(super) struct Hidden;

impl Highlighter for Hidden {
    fn highlight<'l>(&self, line: &'l str, _cursor: usize) -> Cow<'l, str> {
        Cow::from(" ".repeat(line.chars().count()))
    }

    fn highlight_char(&self, _line: &str, _cursor: usize, _kind: CmdKind) -> bool {
        true
    }
}
impl Complete for Hidden {
    type Candidate = String;
}
impl Hinter for Hidden {
    type Hint = String;
}
impl Validator for Hidden {}
impl Helper for Hidden {}

#[cfg(test)]
mod tests {
    use super::*;

    fn replacements(line: &str) -> (usize, Vec<String>) {
        let mut completer = Completer::default();
        completer.learn(Names {
            of_database: "d".into(),
            names: ["cpu", "cpu load", "time"].map(str::to_owned).to_vec(),
        });
        let (at, pairs) = completer.candidates(line, line.len());
        (at, pairs.into_iter().map(|pair| pair.replacement).collect())
    }

    #[test]
    fn words_keep_the_case_that_was_begun() {
        assert_eq!(replacements("sel"), (0, vec!["select".into()]));
        assert_eq!(replacements("SEL"), (0, vec!["SELECT".into()]));
    }

    #[test]
    fn names_get_quotes_where_they_need_them() {
        let line = "select mean(x) from cp";
        assert_eq!(
            replacements(line),
            (20, vec!["cpu".into(), "\"cpu load\"".into()])
        );
        assert_eq!(
            replacements("from \"cpu "),
            (
                10,
                vec!["cpu".into(), "\"cpu load\"".into(), "\"time\"".into()]
            )
        );
    }

    #[test]
    fn names_are_old_after_a_change_of_database() {
        let mut completer = Completer::default();
        assert!(completer.is_old(""));
        completer.learn(Names::default());
        assert!(!completer.is_old(""));
        assert!(completer.is_old("telegraf"));
    }
}
