//! Rules on a single file: its head, its length, and words that must not stay.

use super::{Finding, code::code_of};

/// Past this, look for the hidden noun and give it its own file.
const LINES_MAX: usize = 600;
/// The only places where unsafe code may live: each has a safe oracle beside it, but for a test's allocator that
/// counts, which cannot be written without.
const UNSAFE_ROOMS: [&str; 3] = [
    "crates/line/",
    "crates/codec/",
    "relay/tests/allocations.rs",
];
/// What a macro that marks unfinished work looks like, and what to do about it.
const UNFINISHED: [(&str, &str); 3] = [
    (concat!("to", "do!"), "finish it, or answer a clear error"),
    (
        concat!("un", "implemented!"),
        "finish it, or answer a clear error",
    ),
    (concat!("db", "g!("), "remove it, or log with tracing"),
];
/// A path that exists on one machine only.
const MACHINE_PATH: &str = concat!("/wo", "rk/");

/// Findings in any text file.
pub(super) fn check_text(file: &str, text: &str) -> Vec<Finding> {
    let advice = "name no path of one machine: make it relative to the repository";
    numbered(text)
        .filter(|(_, line)| starts_path(line, MACHINE_PATH))
        .map(|(number, _)| Finding::new(file, number, advice))
        .collect()
}

/// Findings in a Rust file.
pub(super) fn check_rust(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        let advice = "open the file with `//!`: what it is, why it is so, what always holds";
        findings.push(Finding::new(file, 1, advice));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        let advice = format!(
            "{lines} lines; find the hidden noun and give it its own file (at most {LINES_MAX})"
        );
        findings.push(Finding::new(file, lines, advice));
    }
    let may_be_unsafe = UNSAFE_ROOMS.iter().any(|room| file.starts_with(room));
    for (number, line) in numbered(&code_of(text)) {
        for (mark, advice) in UNFINISHED {
            if has_word(line, mark) {
                findings.push(Finding::new(file, number, format!("`{mark}`: {advice}")));
            }
        }
        let bare = concat!("#[ig", "nore]");
        if line.contains(bare) {
            findings.push(Finding::new(
                file,
                number,
                format!("`{bare}`: give the reason, or let the test run"),
            ));
        }
        if !may_be_unsafe && has_word(line, "unsafe") {
            let advice = "no unsafe code outside crates/line and crates/codec: find a safe way";
            findings.push(Finding::new(file, number, advice));
        }
    }
    findings
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

fn joins_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `line` holds `word` with no letter joined to it; a word's own mark at its end stands.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default().chars().next_back();
        let after = line
            .get(at + word.len()..)
            .unwrap_or_default()
            .chars()
            .next();
        let open = word.ends_with(joins_word);
        let joined = before.is_some_and(joins_word) || (open && after.is_some_and(joins_word));
        !joined
    })
}

/// Whether `line` holds `path` where a path begins, and not inside a longer one.
fn starts_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default().chars().next_back();
        !before.is_some_and(|c| joins_word(c) || matches!(c, '/' | '.' | '-' | '}' | ')'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the findings in a Rust file that is otherwise in order.
    #[track_caller]
    fn check(file: &str, body: &str, lines: &[usize]) {
        let findings = check_rust(file, &format!("//! Head.\n{body}"));
        let got: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(got, lines, "{findings:?}");
    }

    #[test]
    fn the_head_opens_the_file() {
        assert_eq!(check_rust("a.rs", "//! Head.\n"), []);
        for text in [
            "",
            "// not a head\n",
            "\n//! late\n",
            "use std::fs;\n//! late\n",
        ] {
            assert_eq!(check_rust("a.rs", text).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_file_has_at_most_600_lines() {
        check("a.rs", &"\n".repeat(LINES_MAX - 1), &[]);
        check("a.rs", &"\n".repeat(LINES_MAX), &[LINES_MAX + 1]);
    }

    #[test]
    fn unfinished_work_is_found_in_code_only() {
        for (mark, _) in UNFINISHED {
            let call = if mark.ends_with('(') {
                format!("{mark}x)")
            } else {
                format!("{mark}()")
            };
            check("a.rs", &format!("fn f() {{\n    {call};\n}}"), &[3]);
            check(
                "a.rs",
                &format!("// {call}\nconst A: &str = \"{call}\";"),
                &[],
            );
            check("a.rs", &format!("my_{call};"), &[]);
        }
    }

    #[test]
    fn a_test_left_out_has_a_reason() {
        check("a.rs", concat!("#[ig", "nore]\nfn f() {}"), &[2]);
        check("a.rs", "#[ignore = \"needs an hour\"]\nfn f() {}", &[]);
    }

    #[test]
    fn unsafe_code_has_its_rooms() {
        let body = "fn f() {\n    unsafe { g() }\n}";
        check("store/src/a.rs", body, &[3]);
        check("crates/linear/src/a.rs", body, &[3]);
        check("crates/line/src/a.rs", body, &[]);
        check("crates/codec/src/a.rs", body, &[]);
        check(
            "store/src/a.rs",
            "#![deny(unsafe_op_in_unsafe_fn)]\n// unsafe\nconst A: &str = \"unsafe\";",
            &[],
        );
    }

    #[test]
    fn a_machines_path_is_found_in_any_text() {
        let path = format!("{MACHINE_PATH}main");
        assert_eq!(check_text("a.md", &format!("see\n`{path}`")).len(), 1);
        assert_eq!(check_text("a.md", &path).len(), 1);
        for line in ["target/work/x", "a/network/x", "$OUT_DIR/x", "/workers/x"] {
            assert_eq!(check_text("a.md", line), [], "{line}");
        }
    }
}
