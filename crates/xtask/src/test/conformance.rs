//! Recorded conversations with InfluxDB, played against a fresh store.
//!
//! They live beside the repository, in `../shared/conformance`; where that folder is missing, this
//! is said aloud. Which of them hold is committed beside this package: a case enters the list when
//! it passes, and never leaves it.

use std::{process::Command, time::Duration};

use anyhow::Context;

use super::{
    Bench, Tally,
    appliance::Store,
    process::{on_path, run_aloud},
};

const LIMIT: Duration = Duration::from_secs(20 * 60);
const LIST: &str = include_str!("../../conformance-step1.txt");
const FOLDER: &str = "../shared/conformance";

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let names = names(LIST);
    let folder = bench.root.join(FOLDER);
    let (player, cases) = (folder.join("replay.py"), folder.join("influxdb-1x.json.gz"));
    if !player.is_file() || !cases.is_file() {
        let reason =
            format!("{FOLDER} is not there: nothing of the recorded conversations is checked");
        println!("{reason}");
        tally.skip_many(names.len(), reason);
        return Ok(tally);
    }
    if !on_path("python3") {
        return Ok(bench.missing("python3 is not installed"));
    }
    let store = Store::start(bench.root)?;
    let mut command = Command::new("python3");
    command
        .arg(player)
        .arg(cases)
        .args(["--verbose", "--url", &format!("http://{}", store.api)]);
    command.args(["--only", &format!("^({})$", names.join("|"))]);
    let finished = run_aloud(&mut command, LIMIT)?;
    let (passed, failed) = counts(&finished.out).context("the player printed no counts")?;
    tally.pass(passed);
    for line in finished
        .out
        .lines()
        .filter(|line| line.starts_with("FAIL "))
    {
        tally.fail(line);
    }
    // Every case of the list is there, and none failed in silence.
    let missing = names.len().saturating_sub(passed + failed);
    if missing > 0 {
        tally.fail_many(
            missing,
            format!("{missing} cases of the list were not played"),
        );
    } else if !finished.success && tally.failed() == 0 {
        tally.fail(format!("replay.py: {}", finished.how));
    }
    Ok(tally)
}

/// The names in the list; `#` opens a comment.
fn names(list: &str) -> Vec<&str> {
    let names = list
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty()).collect()
}

/// From the last line, `N passed, M failed`.
fn counts(out: &str) -> Option<(usize, usize)> {
    let (passed, failed) = out.lines().last()?.split_once(" passed, ")?;
    Some((
        passed.parse().ok()?,
        failed.strip_suffix(" failed")?.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_without_doubles() {
        let names = names(LIST);
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        // They go into a regular expression as they are.
        let plain = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        assert!(names.iter().all(plain), "{names:?}");
    }

    #[test]
    fn comments_are_no_names() {
        assert_eq!(names("# a\nb\n\n c # d\n"), ["b", "c"]);
    }

    #[test]
    fn the_players_counts_are_read() {
        assert_eq!(
            counts("FAIL x\nsteps 3 of 4 equal\n7 passed, 1 failed\n"),
            Some((7, 1))
        );
        assert_eq!(counts("Traceback\n"), None);
    }
}
