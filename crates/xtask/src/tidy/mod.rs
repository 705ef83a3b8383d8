//! `cargo xtask tidy`: rules of the tree that no compiler holds.
//!
//! Each rule is a function from text to findings, so that its tests need no files; this module
//! walks the tree and prints. Every finding names a file, a line and what to do.

mod code;
mod imports;
mod lock;
mod source;
mod tree;

use std::{fmt, path::Path};

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Relative to the root, with `/`.
    file: String,
    /// Counted from 1.
    line: usize,
    /// What to do about it.
    advice: String,
}

impl Finding {
    fn new(file: &str, line: usize, advice: impl Into<String>) -> Self {
        let (file, advice) = (file.to_owned(), advice.into());
        Self { file, line, advice }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.advice)
    }
}

/// Checks the tree below `root`; true when nothing was found.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let mut findings = imports::check(&imports::packages(root)?);
    let mut files = 0_usize;
    for (name, text) in tree::texts(root)? {
        files += 1;
        findings.extend(source::check_text(&name, &text));
        if name.ends_with(".rs") {
            findings.extend(source::check_rust(&name, &text));
        }
        if name.ends_with("package-lock.json") {
            findings.extend(lock::check(&name, &text));
        }
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {files} files, {} findings", findings.len());
    Ok(findings.is_empty())
}
