//! The Rust tests: `cargo test --workspace`, unit, integration and documentation tests alike.

use std::{process::Command, time::Duration};

use super::{
    Bench, Tally,
    process::{self, Stream},
};

/// Compiling everything from nothing on two cores takes the most of it.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// What libtest printed so far.
#[derive(Debug, Default)]
struct Reader {
    passed: usize,
    failed: Vec<String>,
    failed_count: usize,
    ignored: Vec<String>,
}

impl Reader {
    /// Takes in a line of stdout; true when people should see it.
    fn read(&mut self, line: &str) -> bool {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed_count += count(counts, "failed");
            return count(counts, "passed") + count(counts, "failed") > 0;
        }
        let Some((name, what)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        else {
            return !line.is_empty() && !line.starts_with("running ");
        };
        if what == "FAILED" {
            self.failed.push(name.to_owned());
        } else if let Some(reason) = what.strip_prefix("ignored") {
            self.ignored
                .push(format!("{name}: {}", reason.trim_start_matches([',', ' '])));
        }
        what != "ok"
    }
}

/// The number before `what` in `ok. 3 passed; 0 failed; …`.
fn count(counts: &str, what: &str) -> usize {
    let part = counts
        .split([';', '.'])
        .map(str::trim)
        .find_map(|part| part.strip_suffix(what));
    part.and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<Tally> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["test", "--workspace", "--no-fail-fast"])
        .current_dir(bench.root);
    let mut reader = Reader::default();
    let finished = process::run(&mut command, LIMIT, |stream, line| {
        if stream == Stream::Err || reader.read(line) {
            println!("{line}");
        }
    })?;
    Ok(judge(reader, finished.success, &finished.how))
}

fn judge(reader: Reader, success: bool, how: &str) -> Tally {
    let mut tally = Tally::default();
    tally.pass(reader.passed);
    if reader.failed_count > 0 {
        tally.fail_many(reader.failed_count, reader.failed.join(", "));
    } else if !success {
        tally.fail(format!(
            "cargo test: {how}: it did not compile, or a test's process died"
        ));
    }
    for ignored in reader.ignored {
        tally.skip(ignored);
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test a::works ... ok
test a::breaks ... FAILED
test b::is_long ... ignored, takes an hour
test c - (line 3) ... ok
test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    #[test]
    fn output_is_counted() {
        let mut reader = Reader::default();
        let shown: Vec<&str> = OUTPUT.lines().filter(|line| reader.read(line)).collect();
        assert_eq!((reader.passed, reader.failed_count), (7, 1));
        assert_eq!(reader.failed, ["a::breaks"]);
        assert_eq!(reader.ignored, ["b::is_long: takes an hour"]);
        assert_eq!(shown.len(), 4, "{shown:?}");
    }

    #[test]
    fn a_process_that_died_is_a_failure() {
        assert_eq!(
            judge(Reader::default(), false, "exit status: 101").failed(),
            1
        );
        assert_eq!(judge(Reader::default(), true, "exit status: 0").failed(), 0);
    }
}
