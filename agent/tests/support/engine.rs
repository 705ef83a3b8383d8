//! A real Docker engine of a test's own: socket, data and network apart from any other, ended with the test.
//!
//! It needs root and Debian's package docker.io (and busybox-static for the image); without them it says so.

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;

/// An engine, ended when dropped.
pub(crate) struct Engine {
    child: Child,
    pub(crate) dir: tempfile::TempDir,
    network: String,
}

impl Engine {
    /// Starts one; `Err` says why there can be none here.
    pub(crate) fn start() -> Result<Self, String> {
        for program in ["dockerd", "busybox", "ip", "nsenter", "unshare", "tar"] {
            let found = Command::new("sh")
                .args(["-c", &format!("command -v {program}")])
                .stdout(Stdio::null())
                .status();
            if !found.is_ok_and(|status| status.success()) {
                return Err(format!(
                    "{program} is missing (Debian packages docker.io, busybox-static, iproute2)"
                ));
            }
        }
        let id = Command::new("id")
            .arg("-u")
            .output()
            .map_err(|error| error.to_string())?;
        if id.stdout != b"0\n" {
            return Err("only root runs an engine".to_owned());
        }
        // On disk, so that what is written there counts.
        let dir = tempfile::tempdir_in("/var/tmp").map_err(|error| error.to_string())?;
        let network = format!("tandem-test-{}", std::process::id());
        run("ip", &["netns", "add", &network])
            .map_err(|why| format!("no network namespace: {why}"))?;
        // A swarm talks to itself over it.
        let _ = run("ip", &["-n", &network, "link", "set", "lo", "up"]);
        let path = |name: &str| dir.path().join(name).display().to_string();
        let log = std::fs::File::create(path("log")).map_err(|error| error.to_string())?;
        let child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{network}"))
            .args([
                "unshare",
                "-u",
                "dockerd",
                "--iptables=false",
                "--ip6tables=false",
            ])
            .args(["--storage-driver", "vfs", "--data-root", &path("data")])
            .args(["--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--host", &format!("unix://{}", path("engine.sock"))])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut engine = Self {
            child,
            dir,
            network,
        };
        let deadline = Instant::now() + PATIENCE;
        while !engine
            .try_call("GET", "/_ping", "", b"")
            .is_ok_and(|(status, _)| status == 200)
        {
            let ended = engine.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                let log =
                    std::fs::read_to_string(engine.dir.path().join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                return Err(format!("dockerd does not run here: {}", last.join(" | ")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(engine)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("engine.sock")
    }

    /// One request; an answer to HTTP/1.0 has no chunks.
    fn try_call(
        &self,
        method: &str,
        target: &str,
        kind: &str,
        body: &[u8],
    ) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "{method} {target} HTTP/1.0\r\nHost: docker\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // At once: a part that the engine did not read before it closes resets the connection.
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let strange = || io::Error::other(String::from_utf8_lossy(&answer).into_owned());
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = answer.split_at(end.ok_or_else(strange)? + 4);
        let head = String::from_utf8_lossy(head);
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok((status.ok_or_else(strange)?, body.to_vec()))
    }

    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: &Value) -> Value {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) = self
            .try_call("POST", target, "application/json", text.as_bytes())
            .unwrap_or_else(|error| panic!("POST {target}: {error}"));
        let shown = String::from_utf8_lossy(&answer);
        assert!((200..300).contains(&status), "{target}: {status} {shown}");
        serde_json::from_slice(&answer).unwrap_or(Value::Null)
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Value {
        let (status, answer) = self
            .try_call("GET", target, "text/plain", b"")
            .unwrap_or_else(|error| panic!("GET {target}: {error}"));
        assert_eq!(status, 200, "{target}");
        serde_json::from_slice(&answer).unwrap()
    }

    pub(crate) fn import(&self) {
        let image = self.dir.path().join("image/bin");
        std::fs::create_dir_all(&image).unwrap();
        let busybox = Command::new("sh")
            .args(["-c", "command -v busybox"])
            .output()
            .unwrap();
        let busybox = String::from_utf8(busybox.stdout).unwrap();
        std::fs::copy(busybox.trim(), image.join("busybox")).unwrap();
        for name in ["sh", "sleep", "dd", "cat"] {
            std::os::unix::fs::symlink("busybox", image.join(name)).unwrap();
        }
        let tar = Command::new("tar")
            .args([
                "-C",
                &self.dir.path().join("image").display().to_string(),
                "-c",
                ".",
            ])
            .output()
            .unwrap();
        let target = "/images/create?fromSrc=-&repo=tandem-test&tag=1";
        let (status, text) = self
            .try_call("POST", target, "application/x-tar", &tar.stdout)
            .unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&text));
    }

    /// Makes and starts a container; its id.
    pub(crate) fn start_container(
        &self,
        name: &str,
        script: &str,
        labels: &Value,
        host: &Value,
    ) -> String {
        let config = json!({
            "Image": "tandem-test:1",
            "Cmd": ["/bin/sh", "-c", script],
            "Labels": labels,
            "HostConfig": host,
        });
        let made = self.post(&format!("/containers/create?name={name}"), &config);
        let id = made["Id"].as_str().unwrap().to_owned();
        self.post(&format!("/containers/{id}/start"), &Value::Null);
        id
    }

    pub(crate) fn stats(&self, id: &str) -> Value {
        self.get(&format!(
            "/containers/{id}/stats?stream=false&one-shot=true"
        ))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.try_call("GET", "/_ping", "", b"").is_ok() {
            let _ = self.try_call("POST", "/swarm/leave?force=1", "", b"");
            if let Ok((_, list)) = self.try_call("GET", "/containers/json?all=1", "", b"") {
                let list: Vec<Value> = serde_json::from_slice(&list).unwrap_or_default();
                for container in list {
                    let id = container["Id"].as_str().unwrap_or_default();
                    let _ = self.try_call("DELETE", &format!("/containers/{id}?force=1"), "", b"");
                }
            }
        }
        let pid = self.child.id().to_string();
        let _ = run("kill", &[&pid]);
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // What it mounted would keep its directory.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = self.dir.path().display().to_string();
        let mut points: Vec<&str> = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|point| point.starts_with(&own))
            .collect();
        points.sort_unstable();
        for point in points.into_iter().rev() {
            let _ = run("umount", &["-l", point]);
        }
        let _ = run("ip", &["netns", "del", &self.network]);
    }
}

/// The whole disk below a directory, such as `/dev/sda`.
pub(crate) fn disk_below(directory: &Path) -> Option<String> {
    let device = std::fs::metadata(directory).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let place = std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let disk = if place.join("partition").exists() {
        place.parent()?
    } else {
        &place
    };
    let path = format!("/dev/{}", disk.file_name()?.to_str()?);
    Path::new(&path).exists().then_some(path)
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
