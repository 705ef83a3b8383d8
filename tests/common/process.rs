//! The binary as a child process.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use super::{PATIENCE, await_some, await_true, http};

/// A running `tandem`, killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Starts `tandem` with `arguments`; what it prints goes to files in `logs` that are named
    /// after `name`.
    pub(crate) fn start(arguments: &[&str], logs: &Path, name: &str) -> Self {
        // What a store writes about itself is no part of what a test counts.
        let silent = ["STORE", "BACKUP"].map(|section| {
            let name = format!("TANDEM_{section}_MONITOR_STORE_ENABLED");
            (name, "false".to_owned())
        });
        Self::start_with(arguments, logs, name, &silent)
    }

    /// As [`Process::start`], with these variables of the environment and no other of ours.
    pub(crate) fn start_with(
        arguments: &[&str],
        logs: &Path,
        name: &str,
        variables: &[(String, String)],
    ) -> Self {
        let (out, err) = (
            logs.join(format!("{name}.out")),
            logs.join(format!("{name}.err")),
        );
        // A restarted process goes on in the same files.
        let open = |path: &Path| {
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .expect("a log")
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command
            .args(arguments)
            .current_dir(logs)
            .stdin(Stdio::null());
        command.stdout(open(&out)).stderr(open(&err));
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("TANDEM_") {
                command.env_remove(variable);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().expect("start tandem");
        Self { child, out, err }
    }

    /// What it printed to stdout so far.
    pub(crate) fn out(&self) -> String {
        fs::read_to_string(&self.out).expect("its stdout")
    }

    /// What it printed to stderr so far.
    pub(crate) fn err(&self) -> String {
        fs::read_to_string(&self.err).expect("its stderr")
    }

    /// Waits until `GET /ping` on `address` is answered.
    #[track_caller]
    pub(crate) fn await_ping(&mut self, address: SocketAddr) {
        await_true(&format!("an answer from {address}"), PATIENCE, || {
            self.assert_alive();
            http::get(address, "/ping").is_ok_and(|(status, _)| status == 204)
        });
    }

    #[track_caller]
    pub(crate) fn assert_alive(&mut self) {
        let status = self.child.try_wait().expect("look at tandem");
        assert!(status.is_none(), "tandem ended: {status:?}\n{}", self.err());
    }

    /// The most memory that it had at once so far, in bytes.
    pub(crate) fn rss_bytes_max(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("its status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<u64>().ok())
            .expect("its memory")
            * 1024
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill tandem");
        self.child.wait().expect("wait for tandem");
    }

    /// Sends a signal by name, `TERM` or `INT`. `kill` is the shell's own: a container may have
    /// no program of that name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &id])
            .status();
        assert!(status.expect("a shell").success(), "no signal sent to {id}");
    }

    /// How it ended, within `limit`.
    #[track_caller]
    pub(crate) fn ended(&mut self, limit: Duration) -> ExitStatus {
        await_some("the end of tandem", limit, || {
            self.child.try_wait().expect("look at tandem")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let (name, text) = (
                self.err.display(),
                fs::read_to_string(&self.err).unwrap_or_default(),
            );
            let lines: Vec<&str> = text.lines().collect();
            let last = lines
                .get(lines.len().saturating_sub(30)..)
                .unwrap_or_default();
            eprintln!("-- {name}\n{}", last.join("\n"));
        }
    }
}

/// `N` addresses on loopback that nobody listens on; all are held until the last is found.
pub(crate) fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("its address"))
}
