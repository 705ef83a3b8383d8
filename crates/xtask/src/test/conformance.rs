//! Recorded conversations with InfluxDB, played against a fresh store.
//!
//! They live beside the repository, in `../shared/conformance`; where that folder is missing, this
//! is said aloud. Which of them hold is committed beside this package: a case enters the list when
//! it passes, and never leaves it. `cargo xtask test` plays those of the list, `cargo xtask
//! conformance` plays all.
//!
//! Some write what was the present when they were recorded, into a policy of one hour or to be asked for by
//! its age. So the store's clock is set to when that was, with Debian's `faketime`; without it these are left out, aloud.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context, ensure};

use super::{
    Bench, Tally,
    appliance::Store,
    process::{Finished, on_path, run_aloud},
};

const LIMIT: Duration = Duration::from_secs(20 * 60);
const LIST: &str = include_str!("../../conformance-step1.txt");
const FOLDER: &str = "../shared/conformance";
const NOT_THERE: &str =
    "../shared/conformance is not there: nothing of the recorded conversations is checked";
/// Those that hold only while their recording is young.
const OF_THEIR_TIME: [&str; 5] = [
    "Query_NoShards",
    "Write_LineProtocol_Bool",
    "Write_LineProtocol_Float",
    "Write_LineProtocol_Integer",
    "Write_LineProtocol_Partial",
];
const NO_CLOCK: &str = "libfaketime is not installed (package faketime): the store's clock cannot be set to when this was recorded";
/// Prints the latest time, in seconds, that a case writes and that has passed: it was recorded then.
const RECORDED_AT: &str = "import gzip, json, re, sys, time
bodies = [step['body'] for case in json.load(gzip.open(sys.argv[1])) for step in case['steps'] if step['path'].startswith('/write')]
times = [int(text) // 10**9 for body in bodies if isinstance(body, str) for text in re.findall(r' (\\d{19})$', body, re.M)]
print(max((at for at in times if at < time.time()), default=0))";
/// Prints the names of the cases, one a line.
const LIST_CASES: &str =
    "import gzip, json, sys\nfor case in json.load(gzip.open(sys.argv[1])): print(case['name'])";

/// The program that plays conversations, and these.
struct Player {
    program: PathBuf,
    cases: PathBuf,
}

impl Player {
    fn find(root: &Path) -> Option<Self> {
        let folder = root.join(FOLDER);
        let found = Self {
            program: folder.join("replay.py"),
            cases: folder.join("influxdb-1x.json.gz"),
        };
        (found.program.is_file() && found.cases.is_file()).then_some(found)
    }

    /// Plays the cases whose names fit.
    fn play(&self, store: &Store, names: &str) -> anyhow::Result<Finished> {
        let mut command = Command::new("python3");
        command
            .arg(&self.program)
            .arg(&self.cases)
            .args(["--verbose", "--url", &format!("http://{}", store.api)])
            .args(["--only", names]);
        run_aloud(&mut command, LIMIT)
    }

    /// A fresh store whose clock is that of the recording, and whether it could be set.
    fn store(&self, root: &Path) -> anyhow::Result<(Store, bool)> {
        let Some(library) = faketime() else {
            println!("{NO_CLOCK}");
            return Ok((Store::start(root)?, false));
        };
        let recorded_s: i64 = self
            .ask(RECORDED_AT)?
            .trim()
            .parse()
            .context("when it was recorded")?;
        let now_s = SystemTime::UNIX_EPOCH
            .elapsed()
            .context("read the clock")?
            .as_secs();
        let off_s = recorded_s - i64::try_from(now_s)?;
        println!(
            "the store's clock is {} minutes off, as when this was recorded",
            off_s / 60
        );
        Ok((Store::with_clock(root, &library, off_s)?, true))
    }

    /// What a program of Python prints about the cases.
    fn ask(&self, program: &str) -> anyhow::Result<String> {
        let mut command = Command::new("python3");
        let output = command.args(["-c", program]).arg(&self.cases).output();
        let output = output.context("run python3")?;
        ensure!(output.status.success(), "python3 cannot read the cases");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The names of all cases, sorted.
    fn names(&self) -> anyhow::Result<BTreeSet<String>> {
        let text = self.ask(LIST_CASES)?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// Plays all cases and says of each how it went; true when every one of the list holds.
pub(crate) fn every(root: &Path) -> anyhow::Result<bool> {
    let Some(player) = Player::find(root) else {
        println!("{NOT_THERE}");
        return Ok(true);
    };
    let (store, is_of_then) = player.store(root)?;
    let (all, listed) = (player.names()?, names(LIST));
    let finished = player.play(&store, ".")?;
    let failed: BTreeSet<&str> = finished
        .out
        .lines()
        .filter_map(|line| line.strip_prefix("FAIL ")?.split(':').next())
        .collect();
    counts(&finished.out).context("the player printed no counts")?;
    let mut holds = true;
    println!();
    for name in &all {
        let is_listed = listed.contains(&name.as_str());
        let outcome = match (failed.contains(name.as_str()), is_listed) {
            (false, true) => "pass",
            (false, false) => "pass, and is not on the list",
            (true, false) => "fail, as the list says",
            (true, true) if !is_of_then && OF_THEIR_TIME.contains(&name.as_str()) => {
                "fail, for its time has passed"
            }
            (true, true) => "FAIL",
        };
        holds &= outcome != "FAIL";
        println!("{name}: {outcome}");
    }
    let missing = listed.iter().filter(|name| !all.contains(**name)).count();
    println!(
        "{} passed, {} failed, {missing} of the list are not there",
        all.len() - failed.len(),
        failed.len()
    );
    Ok(holds && missing == 0)
}

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut names = names(LIST);
    let Some(player) = Player::find(bench.root) else {
        println!("{NOT_THERE}");
        tally.skip_many(names.len(), NOT_THERE);
        return Ok(tally);
    };
    if !on_path("python3") {
        return Ok(bench.missing("python3 is not installed"));
    }
    let (store, is_of_then) = player.store(bench.root)?;
    if !is_of_then {
        names.retain(|name| !OF_THEIR_TIME.contains(name));
        tally.skip_many(OF_THEIR_TIME.len(), NO_CLOCK);
    }
    let finished = player.play(&store, &format!("^({})$", names.join("|")))?;
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

/// Where the library is that changes what a program takes for the time.
fn faketime() -> Option<PathBuf> {
    let mut places = std::fs::read_dir("/usr/lib").ok()?;
    places.find_map(|place| {
        let library = place.ok()?.path().join("faketime/libfaketime.so.1");
        library.is_file().then_some(library)
    })
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
        assert!(OF_THEIR_TIME.iter().all(|name| names.contains(name)));
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
