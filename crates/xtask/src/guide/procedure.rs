//! The procedures as the document has them: below `## The guide's procedures` a heading each, with blocks of commands,
//! lines `Shows:` for what a block prints, and lines `Page:` for what is to be seen on a page.

use std::fmt;

use anyhow::{Context, bail, ensure};

const SECTION: &str = "## The guide's procedures";

/// One procedure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Procedure {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
}

/// One thing that an operator does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Commands, and what they print.
    Shell { script: String, shows: Vec<String> },
    /// `view:NAME` or `query:TEXT` on a page, and what shows there.
    Page {
        url: String,
        what: String,
        shows: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell { script, .. } => f.write_str(script.trim().lines().last().unwrap_or("")),
            Self::Page { url, what, shows } => write!(f, "{url} {what}: {shows}"),
        }
    }
}

/// All procedures of the document.
pub(super) fn procedures(document: &str) -> anyhow::Result<Vec<Procedure>> {
    let (_, section) = document
        .split_once(SECTION)
        .with_context(|| format!("the document has no {SECTION:?}"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut all = Vec::new();
    for part in section.split("\n### ").skip(1) {
        let (name, body) = part.split_once('\n').unwrap_or((part, ""));
        let steps = steps(body).with_context(|| format!("in {name:?}"))?;
        ensure!(!steps.is_empty(), "{name:?} has no step");
        all.push(Procedure {
            name: name.trim().to_owned(),
            steps,
        });
    }
    Ok(all)
}

fn steps(body: &str) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let script: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            steps.push(Step::Shell {
                script: script.join("\n"),
                shows: Vec::new(),
            });
        } else if line.starts_with("```") {
            bail!("a block that is no `sh`: {line}");
        } else if let Some(promised) = line.strip_prefix("Shows: ") {
            let Some(Step::Shell { shows, .. }) = steps.last_mut() else {
                bail!("nothing was run before: {line}");
            };
            *shows = marked(promised);
            ensure!(!shows.is_empty(), "nothing is promised: {line}");
        } else if let Some(place) = line.strip_prefix("Page: ") {
            let mut parts = place.splitn(3, " · ");
            let (Some(url), Some(what), Some(shows)) = (parts.next(), parts.next(), parts.next())
            else {
                bail!("write it as `Page: URL · VIEW · \\`TEXT\\``: {line}");
            };
            let what = match &marked(what)[..] {
                [query] => format!("query:{query}"),
                _ => format!("view:{what}"),
            };
            let [shows] = &marked(shows)[..] else {
                bail!("one text is promised: {line}");
            };
            steps.push(Step::Page {
                url: url.to_owned(),
                what,
                shows: shows.clone(),
            });
        }
    }
    Ok(steps)
}

/// The texts between backticks.
fn marked(line: &str) -> Vec<String> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_procedure_is_commands_and_places() {
        let document = "x\n## The guide's procedures\n\nWords.\n\n### One\n\nWords.\n\n```sh\na | b\nc\n```\n\nShows: `x`, `y z`\n\n\
             Page: http://h:1 · Hosts · `silent, `\n\nPage: http://h:1 · `SHOW X` · `cpu`\n\n## Other\n\n### Two\n";
        let all = procedures(document).expect("procedures");
        let [one] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!(one.name, "One");
        let page = |what: &str, shows: &str| Step::Page {
            url: "http://h:1".to_owned(),
            what: what.to_owned(),
            shows: shows.to_owned(),
        };
        let shell = Step::Shell {
            script: "a | b\nc".to_owned(),
            shows: vec!["x".to_owned(), "y z".to_owned()],
        };
        assert_eq!(
            one.steps,
            [
                shell,
                page("view:Hosts", "silent, "),
                page("query:SHOW X", "cpu")
            ]
        );
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        for body in [
            "",
            "Shows: `x`",
            "```sh\na\n```\nShows: x",
            "```text\na\n```",
            "Page: http://h:1 · Hosts",
            "Page: http://h:1 · Hosts · silent",
        ] {
            let document = format!("{SECTION}\n\n### One\n\n{body}\n");
            assert!(procedures(&document).is_err(), "{body}");
        }
    }
}
