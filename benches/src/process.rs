//! A program under measurement: its CPU time and memory from `/proc`, and its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to end when asked to.
const STOP_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A process is quiet that takes less than this part of a core …
const QUIET_CORES: f64 = 0.04;
/// … over such a time …
const QUIET_WINDOW: Duration = Duration::from_secs(1);

/// A running program, killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

/// What a process used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time of all its threads, those that ended included.
    pub(crate) cpu_s: f64,
    /// Of it, spent in the kernel.
    pub(crate) system_s: f64,
    /// Resident now.
    pub(crate) rss_bytes: u64,
    /// Of it, what is in no file: heaps and stacks.
    pub(crate) anonymous_bytes: u64,
    /// The most that was ever resident.
    pub(crate) peak_bytes: u64,
}

impl Process {
    /// Starts a command; what it prints goes to `log`, behind what is there.
    pub(crate) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            if text.starts_with("TANDEM_") || text.starts_with("INFLUXDB_") {
                command.env_remove(&variable);
            }
        }
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self {
            child,
            name,
            log: log.to_owned(),
        })
    }

    /// Waits until `look` finds what it wants, at most for `limit` and while the process lives.
    pub(crate) fn await_some<T>(
        &mut self,
        limit: Duration,
        mut look: impl FnMut(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(found) = look(&text) {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended: {status}\n{}", self.name, tail(&text));
            }
            if Instant::now() > deadline {
                bail!(
                    "{} is not ready after {limit:?}\n{}",
                    self.name,
                    tail(&text)
                );
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let read = |name: &str| {
            let path = proc.join(name);
            fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
        };
        let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
        let (_, user, system) =
            parse_stat(&read("stat")?).context("/proc/PID/stat is not understood")?;
        let status = read("status")?;
        Ok(Usage {
            cpu_s: (user + system) as f64 / ticks_per_s,
            system_s: system as f64 / ticks_per_s,
            // The dead have none.
            rss_bytes: kib(&status, "VmRSS:").unwrap_or(0) << 10,
            anonymous_bytes: kib(&status, "RssAnon:").unwrap_or(0) << 10,
            peak_bytes: kib(&status, "VmHWM:").unwrap_or(0) << 10,
        })
    }

    /// Waits until the process does next to nothing for `quiet`, at most for `limit`.
    pub(crate) fn await_quiet(&self, quiet: Duration, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        let mut busy_until = Instant::now();
        let mut last = self.usage()?.cpu_s;
        while busy_until.elapsed() < quiet && Instant::now() < deadline {
            thread::sleep(QUIET_WINDOW);
            let now = self.usage()?.cpu_s;
            if now - last > QUIET_CORES * QUIET_WINDOW.as_secs_f64() {
                busy_until = Instant::now();
            }
            last = now;
        }
        Ok(())
    }

    /// Asks it to end (SIGTERM) and returns what it used in all. An end with an error is one.
    pub(crate) fn stop(mut self) -> anyhow::Result<Usage> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).with_context(|| format!("stop {}", self.name))?;
        self.ended(STOP_MAX)
    }

    /// Waits for its end and returns what it used in all. An end with an error is one.
    pub(crate) fn ended(&mut self, limit: Duration) -> anyhow::Result<Usage> {
        let deadline = Instant::now() + limit;
        let mut peak_bytes = 0;
        loop {
            // Until someone waits for it, a process that ended still shows its times.
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
            let (state, ..) = parse_stat(&stat).context("/proc/PID/stat is not understood")?;
            let usage = self.usage()?;
            peak_bytes = usage.peak_bytes.max(peak_bytes);
            if state == 'Z' {
                let status = self.child.wait()?;
                if !status.success() {
                    let text = fs::read_to_string(&self.log).unwrap_or_default();
                    bail!("{} ended with {status}\n{}", self.name, tail(&text));
                }
                return Ok(Usage {
                    peak_bytes,
                    ..usage
                });
            }
            if Instant::now() > deadline {
                bail!("{} did not end within {limit:?}", self.name);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// State, ticks of user time and ticks of system time, from `/proc/PID/stat`. A program's name may hold blanks and brackets.
fn parse_stat(text: &str) -> Option<(char, u64, u64)> {
    let (_, rest) = text.rsplit_once(") ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let ticks = |at: usize| words.get(at)?.parse::<u64>().ok();
    Some((words.first()?.chars().next()?, ticks(11)?, ticks(12)?))
}

/// A figure in KiB from `/proc/PID/status`.
fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Where a program is on the path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_with_brackets() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 250 31 0 0 20 0 1 0 5 6 7";
        assert_eq!(parse_stat(text), Some(('S', 250, 31)));
        assert_eq!(parse_stat("7 (a"), None);
        assert_eq!(kib("Name:\ta\nVmHWM:\t   1234 kB\n", "VmHWM:"), Some(1234));
    }

    #[test]
    fn a_process_shows_what_it_used_also_after_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo ready; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done",
        ]);
        let mut process = Process::start(command, &dir.path().join("log")).unwrap();
        let limit = Duration::from_secs(30);
        process
            .await_some(limit, |log| log.contains("ready").then_some(()))
            .unwrap();
        assert!(process.ended(limit).unwrap().cpu_s > 0.0);
    }

    #[test]
    fn an_end_with_an_error_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo why; exit 3"]);
        let mut process = Process::start(command, &dir.path().join("log")).unwrap();
        let error = process
            .ended(Duration::from_secs(30))
            .unwrap_err()
            .to_string();
        assert!(error.contains("why") && error.contains('3'), "{error}");
    }
}
