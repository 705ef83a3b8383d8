//! A program that runs beside this one: started with a log of its own, ended when dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to end when asked to.
const STOP_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Of a log, shown when its program fails.
const TAIL_LINES: usize = 20;

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts a command; what it prints replaces the file `log`. Settings for either server in
    /// this process's environment do not reach it.
    pub(crate) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::create(log).with_context(|| format!("make {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            let is_own = command.get_envs().any(|(own, _)| own == variable);
            if (text.starts_with("TANDEM_") || text.starts_with("INFLUXDB_")) && !is_own {
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

    /// Waits until `look` finds what it wants in the log, at most for `limit` and while the
    /// program lives.
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
            self.check_alive()?;
            if Instant::now() > deadline {
                bail!(
                    "{} is not ready after {limit:?}\n{}",
                    self.name,
                    tail(&text)
                );
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// # Errors
    /// When it has ended, with the end of its log.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            bail!("{} ended: {status}\n{}", self.name, tail(&text));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let asked = kill_process(Pid::from_child(&self.child), Signal::TERM).is_ok();
        let deadline = Instant::now() + STOP_MAX;
        while asked && Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
        // Both fail only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
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

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn what_it_prints_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; exec sleep 60"]);
        let mut process = Process::start(command, &dir.path().join("log")).expect("sh");
        let found = process.await_some(LIMIT, |log| log.contains("ready").then_some(5));
        assert_eq!(found.expect("the line"), 5);
        process.check_alive().expect("it sleeps");
    }

    #[test]
    fn an_early_end_is_told_with_the_log() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("sh");
        command.args(["-c", "echo why; exit 3"]);
        let mut process = Process::start(command, &dir.path().join("log")).expect("sh");
        let error = process.await_some(LIMIT, |_| None::<()>).expect_err("gone");
        let text = error.to_string();
        assert!(text.contains("why") && text.contains('3'), "{text}");
    }
}
