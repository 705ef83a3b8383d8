//! A Docker engine in a network namespace of its own, where the guide's names lead to the ports that its containers
//! publish. It is ended, and all that it made removed, when its handle is dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Programs, and the Debian packages that have them.
const NEEDED: [(&str, &str); 9] = [
    ("dockerd", "docker.io"),
    ("docker", "docker.io or docker-cli"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("curl", "curl"),
    ("node", "nodejs"),
    ("strip", "binutils"),
];
/// The browser.
const BROWSER: &str = "/usr/bin/chromium";
/// What drives it.
const DRIVER: &str = "ui/node_modules/playwright-core";
/// What the guide's names stand for: containers publish their ports on the host.
const HOSTS: &str =
    "127.0.0.1 localhost monitoringserver monitoringserver-backup monitoring-server-relay\n";
/// What deploy/.env would have.
const PASSWORDS: [(&str, &str); 3] = [
    ("TANDEM_ADMIN_PASSWORD", "admin1"),
    ("TANDEM_WRITE_USER_PASSWORD", "write1"),
    ("TANDEM_READ_USER_PASSWORD", "read1"),
];
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(20);
/// Of one command; it is longer than a page is watched.
const COMMAND_MAX_S: &str = "150";

/// See the module's head.
pub(super) struct Engine {
    child: Child,
    /// On a disk, for images.
    dir: PathBuf,
    network: String,
}

/// How a command ended.
pub(super) struct Done {
    pub(super) success: bool,
    /// What it printed, errors too.
    pub(super) text: String,
}

/// Why there can be no engine here, if so.
pub(super) fn missing(root: &Path) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root runs a Docker engine".to_owned());
    }
    if !Path::new(BROWSER).exists() {
        return Some(format!("{BROWSER} is missing (Debian package chromium)"));
    }
    if !root.join(DRIVER).is_dir() {
        return Some(format!("{DRIVER} is missing (npm ci in ui)"));
    }
    NEEDED
        .iter()
        .find(|(program, _)| !crate::test::on_path(program))
        .map(|(program, package)| format!("{program} is missing (Debian package {package})"))
}

impl Engine {
    pub(super) fn start(root: &Path) -> anyhow::Result<Self> {
        let id = std::process::id();
        let dir = PathBuf::from(format!("/var/tmp/tandem-guide-{id}"));
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        fs::create_dir_all(root.join("target/xtask/guide"))?;
        fs::write(dir.join("hosts"), HOSTS)?;
        let network = format!("tandem-guide-{id}");
        let ip = |arguments: &[&str]| -> anyhow::Result<()> {
            let status = Command::new("ip").args(arguments).status()?;
            ensure!(status.success(), "ip {arguments:?}");
            Ok(())
        };
        ip(&["netns", "add", &network]).context("make a network namespace")?;
        ip(&["-n", &network, "link", "set", "lo", "up"])?;
        let path = |name: &str| dir.join(name).display().to_string();
        let log = File::create(dir.join("log"))?;
        let child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{network}"))
            // Mounts are shared, as they are where systemd runs: the agent's view of the host needs it.
            .args(["unshare", "-u", "-m", "--propagation", "shared"])
            .args(["dockerd", "--storage-driver", "vfs"])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args([
                "--pidfile",
                &path("pid"),
                "--host",
                &format!("unix://{}", path("socket")),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start dockerd")?;
        let mut engine = Self {
            child,
            dir,
            network,
        };
        let deadline = Instant::now() + START_MAX;
        while !engine.shell("docker version")?.success {
            if engine.child.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(engine.dir.join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                bail!("dockerd does not run here: {}", last.join(" | "));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(engine)
    }

    /// Where the engine listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// Where its files are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the image `tandem` of the binary, as deploy/README.md says.
    pub(super) fn image(&self, root: &Path, binary: &Path) -> anyhow::Result<()> {
        let stripped = self.dir.join("tandem");
        // The agent's program lies beside that of all roles, and is packed with it where it is there.
        for (from, to) in [
            (binary.to_path_buf(), stripped.clone()),
            (
                binary.with_file_name("tandem-agent"),
                self.dir.join("tandem-agent"),
            ),
        ] {
            if from == binary || from.exists() {
                let strip = Command::new("strip")
                    .arg("-o")
                    .arg(&to)
                    .arg(&from)
                    .status()?;
                ensure!(strip.success(), "strip {}", from.display());
            }
        }
        let pack = root.join("deploy/image/pack");
        let script = format!(
            "{} {} | DOCKER_BUILDKIT=0 docker build -q -f Dockerfile.binary -t tandem -",
            super::quoted(&pack.to_string_lossy()),
            super::quoted(&stripped.to_string_lossy()),
        );
        let done = self.shell(&script)?;
        ensure!(done.success, "docker build: {}", done.text);
        Ok(())
    }

    /// Runs a script where the engine, its containers' ports and the guide's names are.
    pub(super) fn shell(&self, script: &str) -> anyhow::Result<Done> {
        let hosts = super::quoted(&self.dir.join("hosts").to_string_lossy());
        let whole = format!("mount --bind {hosts} /etc/hosts && {{\n{script}\n}} 2>&1");
        let output = Command::new("timeout")
            .args([COMMAND_MAX_S, "nsenter"])
            .arg(format!("--net=/run/netns/{}", self.network))
            .args(["unshare", "--mount", "sh", "-c", &whole])
            .env(
                "DOCKER_HOST",
                format!("unix://{}", self.dir.join("socket").display()),
            )
            .envs(PASSWORDS)
            .stdin(Stdio::null())
            .output()
            .context("run a command in the network of the engine")?;
        Ok(Done {
            success: output.status.success(),
            text: String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.shell("docker ps -aq | xargs -r docker rm -f");
        // `unshare` and `nsenter` become dockerd, so this is its id.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + STOP_MAX;
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = Command::new("ip")
            .args(["netns", "del", &self.network])
            .status();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
