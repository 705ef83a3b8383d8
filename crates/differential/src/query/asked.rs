//! What is asked: a statement, what goes with it in the request, and what is asked around it.

use crate::http::Answer;
use crate::random::Random;
use crate::server::Server;

use super::story::{COPY, DATABASE};
use super::tokens::split;

/// Times in nanoseconds, all in one piece.
const PLAIN: &str = "&epoch=ns";

/// A statement and all around it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) statement: String,
    /// Of the URL, each with `&` before it.
    parameters: String,
    /// Run before each time; what it answers does not matter.
    before: Vec<String>,
    /// Asked after each time, and compared with the answer; not if empty.
    after: String,
}

impl Asked {
    /// A statement by itself.
    pub(super) fn plainly(statement: String) -> Self {
        Self {
            statement,
            parameters: PLAIN.to_owned(),
            before: Vec::new(),
            after: String::new(),
        }
    }

    /// A statement that writes to a database that is empty before it.
    pub(super) fn into_copy(statement: String) -> Self {
        Self {
            before: vec![
                format!("DROP DATABASE {COPY}"),
                format!("CREATE DATABASE {COPY}"),
            ],
            after: format!("SELECT * FROM {COPY}.autogen./.*/ GROUP BY *"),
            ..Self::plainly(statement)
        }
    }

    /// True for a statement by itself, with times in nanoseconds.
    pub(super) fn is_plain(&self) -> bool {
        self.parameters == PLAIN && self.before.is_empty() && self.after.is_empty()
    }

    /// Another statement, with the same around it.
    pub(super) fn with(&self, statement: String) -> Self {
        Self {
            statement,
            ..self.clone()
        }
    }

    /// The same in another form: other units of time, several pieces, parameters instead of literals, behind
    /// `previous` in one request.
    pub(super) fn in_other_form(&self, previous: Option<&str>, random: &mut Random) -> Self {
        let mut other = self.clone();
        other.parameters = random
            .choose(&[
                "",
                "&epoch=u",
                "&epoch=ms",
                "&epoch=s",
                "&epoch=m",
                "&epoch=h",
                "&epoch=ns",
                "&epoch=x",
                "&epoch=ns",
                "&epoch=ns&pretty=true",
            ])
            .to_owned();
        match random.below(4) {
            0 => {
                let rows = random.choose(&[1, 2, 3, 7, 1_000]);
                other
                    .parameters
                    .push_str(&format!("&chunked=true&chunk_size={rows}"));
            }
            1 => {
                let mut tokens = split(&self.statement);
                let literals: Vec<usize> = (0..tokens.len())
                    .filter(|&at| bound(&tokens[at]).is_some())
                    .collect();
                if !literals.is_empty() {
                    let at = random.choose(&literals);
                    let value = bound(&tokens[at]).unwrap_or_default();
                    tokens[at] = " $p".to_owned();
                    other.statement = tokens.concat();
                    let json = format!("{{\"p\":{value}}}");
                    other.parameters.push_str("&params=");
                    other.parameters.push_str(&crate::http::encode(&json));
                }
            }
            2 => {
                if let Some(previous) = previous {
                    other.statement = format!("{previous}; {}", self.statement);
                }
            }
            _ => {}
        }
        other
    }

    /// What goes with the statement, for who has to ask it again.
    pub(super) fn form(&self) -> String {
        if self.parameters == PLAIN {
            String::new()
        } else {
            format!("  ({})", self.parameters)
        }
    }

    /// The answer of one; where something is asked afterwards, both answers as one.
    pub(super) fn of(&self, server: &mut Server) -> anyhow::Result<Answer> {
        for statement in &self.before {
            server.query("", statement)?;
        }
        let mut answer = server.query_with(DATABASE, &self.statement, &self.parameters)?;
        if !self.after.is_empty() {
            let after = server.query(DATABASE, &self.after)?;
            let both = format!("[{},{}]", answer.text().trim(), after.text().trim());
            answer.body = both.into_bytes();
        }
        Ok(answer)
    }
}

/// A literal as JSON, if a parameter can stand for it.
fn bound(token: &str) -> Option<String> {
    let token = token.trim();
    if let Some(text) = token.strip_prefix('\'') {
        let text = text.strip_suffix('\'')?.replace("\\'", "'");
        return Some(serde_json::Value::from(text).to_string());
    }
    let is_number = token.starts_with(|c: char| c.is_ascii_digit())
        && token
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    (is_number && token.parse::<f64>().is_ok() && !token.ends_with('.')).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_become_parameters() {
        assert_eq!(bound(" 'it\\'s'").as_deref(), Some("\"it's\""));
        assert_eq!(bound(" 2.5").as_deref(), Some("2.5"));
        for other in ["1h", "f", "\"x\"", "/a/", "'open"] {
            assert_eq!(bound(other), None, "{other}");
        }
    }

    #[test]
    fn other_forms_come() {
        let plain = Asked::plainly("SELECT f FROM m WHERE f > 2".to_owned());
        assert!(plain.is_plain());
        let mut random = Random::new(1);
        let forms = (0..200).map(|_| plain.in_other_form(Some("SHOW SERIES"), &mut random));
        let forms: Vec<String> = forms
            .map(|other| format!("{} {}", other.statement, other.parameters))
            .collect();
        for wanted in [
            "epoch=h",
            "chunk_size=3",
            "f > $p",
            "%22p%22",
            "SHOW SERIES; ",
        ] {
            assert!(forms.iter().any(|form| form.contains(wanted)), "{wanted}");
        }
    }
}
