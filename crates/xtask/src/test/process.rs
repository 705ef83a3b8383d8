//! Other programs: run to their end within a limit, or kept running beside the tests.
//!
//! Whatever is started here is ended here, by its process id, on every way out.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to stop when asked to.
const STOP_MAX: Duration = Duration::from_secs(15);
/// Between two looks at something that is awaited.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long output may still come after a program's end, from what it left behind.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// Of an answer to a probe.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Where a line of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// A program that came to its end.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Exit code 0, within the limit.
    pub(crate) success: bool,
    /// How it ended, for people.
    pub(crate) how: String,
    /// Its stdout.
    pub(super) out: String,
    /// Its stderr.
    pub(super) err: String,
}

/// Whether `program` is found on the path.
pub(crate) fn on_path(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).is_file())
}

/// Runs `command` and prints its output as it comes.
pub(crate) fn run_aloud(command: &mut Command, limit: Duration) -> anyhow::Result<Finished> {
    run(command, limit, |_, line| println!("{line}"))
}

/// Runs `command` for at most `limit` and shows each line of its output to `look`. A program that
/// takes longer is ended with all that it started. `Err` when it does not start.
pub(super) fn run(
    command: &mut Command,
    limit: Duration,
    mut look: impl FnMut(Stream, &str),
) -> anyhow::Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {name}"))?;
    let (sender, lines) = mpsc::channel();
    read_lines(child.stdout.take(), Stream::Out, &sender);
    read_lines(child.stderr.take(), Stream::Err, &sender);
    drop(sender);
    let (mut out, mut err) = (String::new(), String::new());
    let deadline = Instant::now() + limit;
    let mut ended_at = None;
    loop {
        match lines.recv_timeout(LOOK_INTERVAL) {
            Ok((stream, line)) => {
                look(stream, &line);
                let text = if stream == Stream::Out {
                    &mut out
                } else {
                    &mut err
                };
                text.push_str(&line);
                text.push('\n');
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if ended_at.is_none()
            && child
                .try_wait()
                .with_context(|| format!("wait for {name}"))?
                .is_some()
        {
            ended_at = Some(Instant::now());
        }
        if ended_at.is_some_and(|at| at.elapsed() > LINGER_MAX) || Instant::now() > deadline {
            break;
        }
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let status = wait(&mut child, left).with_context(|| format!("wait for {name}"))?;
    let (success, how) = match status {
        Some(status) => (status.success(), status.to_string()),
        None => {
            end_tree(&mut child);
            (false, format!("not done within {} s", limit.as_secs()))
        }
    };
    Ok(Finished {
        success,
        how,
        out,
        err,
    })
}

fn read_lines(
    pipe: Option<impl Read + Send + 'static>,
    stream: Stream,
    sender: &Sender<(Stream, String)>,
) {
    let (Some(pipe), sender) = (pipe, sender.clone()) else {
        return;
    };
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        // A line that cannot be read, or that nobody wants any more, ends it.
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|length| length > 0)
        {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            if sender.send((stream, text)).is_err() {
                break;
            }
            line.clear();
        }
    });
}

/// The status of `child` when it ends within `limit`.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<std::process::ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Asks the process to stop; one that is gone already is no matter.
fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Ends `child` and what it started. Its descendants are found before their parents go.
fn end_tree(child: &mut Child) {
    for id in descendants(child.id()) {
        signal(id, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The processes below `root`, as `/proc` tells; none where there is no `/proc`.
fn descendants(root: u32) -> Vec<u32> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        // The name, in brackets, may hold blanks and brackets itself.
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if let (Some(id), Some(parent)) = (id, parent) {
            parents.push((id, parent));
        }
    }
    let (mut below, mut open) = (Vec::new(), vec![root]);
    while let Some(above) = open.pop() {
        for (id, _) in parents.iter().filter(|(_, parent)| *parent == above) {
            if !below.contains(id) {
                below.push(*id);
                open.push(*id);
            }
        }
    }
    below
}

/// A program that runs beside the tests until it is dropped. Its output goes to a file.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with its output in the file `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let out = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let err = out.try_clone().context("share the log")?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self {
            child,
            log: log.to_path_buf(),
        })
    }

    /// Waits until `done` says so; `Err` with the end of its log when the program ended before, or
    /// at the limit.
    pub(super) fn await_that(
        &mut self,
        what: &str,
        limit: Duration,
        done: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        while !done() {
            if let Some(status) = self.child.try_wait().context("look at a program")? {
                bail!("it ended before {what}: {status}\n{}", self.log_end());
            }
            if Instant::now() > deadline {
                bail!(
                    "no sign within {} s that {what}\n{}",
                    limit.as_secs(),
                    self.log_end()
                );
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Has it read its configuration again.
    pub(super) fn hang_up(&self) {
        signal(self.child.id(), Signal::HUP);
    }

    /// The last lines that it said.
    pub(super) fn log_end(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(20)..)
            .unwrap_or_default();
        last.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        signal(self.child.id(), Signal::TERM);
        if !matches!(wait(&mut self.child, STOP_MAX), Ok(Some(_))) {
            end_tree(&mut self.child);
        }
    }
}

/// `N` addresses on loopback that nobody listens on at the moment.
pub(super) fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut held = Vec::new();
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address).context("find a free port")?;
        *address = listener.local_addr().context("find a free port")?;
        // All are held until the last is found, so that they differ.
        held.push(listener);
    }
    Ok(addresses)
}

/// Status and body of `GET target`; `None` when nobody answers within 2 s.
pub(super) fn get(address: SocketAddr, target: &str) -> Option<(u16, String)> {
    let patience = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    write!(
        stream,
        "GET {target} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_status_are_told() {
        let mut seen = 0;
        let done = run(
            &mut shell("echo a; echo b >&2; exit 3"),
            Duration::from_secs(20),
            |_, _| seen += 1,
        );
        let done = done.expect("a shell");
        assert_eq!(
            (done.success, done.out.as_str(), done.err.as_str(), seen),
            (false, "a\n", "b\n", 2)
        );
        assert!(done.how.contains('3'), "{done:?}");
    }

    #[test]
    fn what_takes_too_long_is_ended_with_its_children() {
        let script = "sleep 300 & echo $!; wait";
        let done = run(&mut shell(script), Duration::from_millis(500), |_, _| {}).expect("a shell");
        assert!(!done.success && done.how.contains("not done"), "{done:?}");
        let child = Path::new("/proc").join(done.out.trim()).join("cmdline");
        let deadline = Instant::now() + Duration::from_secs(10);
        // A process that is gone, or only waits for its parent to look, has no command line.
        while !std::fs::read(&child).unwrap_or_default().is_empty() {
            assert!(Instant::now() < deadline, "{} lives", child.display());
            thread::sleep(LOOK_INTERVAL);
        }
    }

    #[test]
    fn a_program_that_dies_is_not_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        let mut running =
            Running::start(&mut shell("echo the reason; exit 1"), &log).expect("a shell");
        let why = running
            .await_that("it listens", Duration::from_secs(60), || false)
            .expect_err("it died");
        assert!(why.to_string().contains("the reason"), "{why}");
    }

    #[test]
    fn ports_differ() {
        let [a, b, c] = free_addresses().expect("three ports");
        assert!(a != b && b != c && a != c);
        assert_eq!(get(a, "/ping"), None);
    }
}
