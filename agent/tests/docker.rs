//! A real Docker engine: what the agent says of its containers lies between what the engine says before and after.
//!
//! The engine is one of this test's own: socket, data and network apart from any other, ended with the test.
//! It needs root and Debian's package docker.io (and busybox-static for the image); without them the test says so.

mod support;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{PATIENCE, Relay, takes_all};
use tandem_agent::{Agent, Collectors, Config, DockerOptions, World};

const CONTAINERS: usize = 20;
/// Holds this much memory each, in a file system of its own memory.
const HELD_BYTES: u64 = 3 << 20;
/// Containers that live for less than an interval.
const SHORT: usize = 5;

/// An engine, ended when dropped.
struct Engine {
    child: Child,
    dir: tempfile::TempDir,
    network: String,
}

impl Engine {
    /// Starts one; `Err` says why there can be none here.
    fn start() -> Result<Self, String> {
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

    fn socket(&self) -> PathBuf {
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
    fn post(&self, target: &str, body: &Value) -> Value {
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
    fn get(&self, target: &str) -> Value {
        let (status, answer) = self
            .try_call("GET", target, "text/plain", b"")
            .unwrap_or_else(|error| panic!("GET {target}: {error}"));
        assert_eq!(status, 200, "{target}");
        serde_json::from_slice(&answer).unwrap()
    }

    fn import(&self) {
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
    fn start_container(&self, name: &str, script: &str, labels: &Value, host: &Value) -> String {
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

    fn stats(&self, id: &str) -> Value {
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
fn disk_below(directory: &Path) -> Option<String> {
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

/// The tags and fields of a line.
fn parse(line: &str) -> (String, BTreeMap<String, String>) {
    // A blank in a tag stands behind a backslash.
    let ends_key = |at: &usize| !line[..*at].ends_with('\\');
    let at = line
        .match_indices(' ')
        .map(|(at, _)| at)
        .find(ends_key)
        .unwrap();
    let (key, rest) = (&line[..at], &line[at + 1..]);
    let (fields, _) = rest.rsplit_once(' ').unwrap();
    let mut parts = key.split(',');
    let measurement = parts.next().unwrap().to_owned();
    let tags = parts
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let fields = fields
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| {
            let number = value.strip_suffix('i').unwrap_or(value);
            (key.to_owned(), number.trim_matches('"').to_owned())
        });
    (measurement, tags.chain(fields).collect())
}

/// The last line of a measurement about a container, among those from `since` on.
fn last(
    relay: &Relay,
    since: usize,
    measurement: &str,
    name: &str,
) -> Option<BTreeMap<String, String>> {
    let lines = relay.taken();
    lines
        .iter()
        .skip(since)
        .rev()
        .map(|line| parse(line))
        .find(|(found, all)| {
            found == measurement
                && all.get("container_name").is_some_and(|found| found == name)
                && all.get("cpu").is_none_or(|cpu| cpu == "cpu-total")
        })
        .map(|(_, all)| all)
}

fn number_of(all: &BTreeMap<String, String>, field: &str) -> u64 {
    let text = all
        .get(field)
        .unwrap_or_else(|| panic!("no {field} in {all:?}"));
    text.parse().unwrap_or_else(|_| panic!("{field} is {text}"))
}

/// The counters that the engine tells, under the agent's names.
fn counters(stats: &Value) -> Vec<(&'static str, &'static str, u64)> {
    let whole = |value: &Value| value.as_u64().unwrap_or(0);
    let networks = stats["networks"].as_object();
    let network =
        |field: &str| networks.map_or(0, |all| all.values().map(|one| whole(&one[field])).sum());
    let io = |operation: &str| {
        let list = stats["blkio_stats"]["io_service_bytes_recursive"].as_array();
        list.map_or(0, |list| {
            let wanted = |entry: &&Value| {
                entry["op"]
                    .as_str()
                    .is_some_and(|op| op.eq_ignore_ascii_case(operation))
            };
            list.iter()
                .filter(wanted)
                .map(|entry| whole(&entry["value"]))
                .sum()
        })
    };
    vec![
        (
            "docker_container_cpu",
            "usage_total",
            whole(&stats["cpu_stats"]["cpu_usage"]["total_usage"]),
        ),
        (
            "docker_container_cpu",
            "usage_system",
            whole(&stats["cpu_stats"]["system_cpu_usage"]),
        ),
        ("docker_container_net", "rx_bytes", network("rx_bytes")),
        ("docker_container_net", "tx_packets", network("tx_packets")),
        (
            "docker_container_blkio",
            "io_service_bytes_recursive_write",
            io("write"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engines_containers_are_measured_as_the_engine_measures_them() {
    let engine = match Engine::start() {
        Ok(engine) => engine,
        Err(why) => {
            println!("SKIPPED: {why}");
            return;
        }
    };
    engine.import();
    let disk = engine.dir.path().join("disk");
    std::fs::create_dir_all(&disk).unwrap();
    // They write to a real disk, burn time, hold memory and talk over the bridge.
    let script = format!(
        "dd if=/dev/zero of=/dev/shm/held bs={HELD_BYTES} count=1 2>/dev/null; \
         while :; do \
           dd if=/dev/zero of=/disk/$(cat /etc/hostname) bs=65536 count=4 oflag=direct 2>/dev/null; \
           busybox ping -c 1 -W 1 172.17.0.2 >/dev/null; \
           busybox ping -c 1 -W 1 172.17.0.3 >/dev/null; \
           i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; \
           sleep 0.3; \
         done"
    );
    // With groups of version 1, kernels since 6.10 count what goes to a disk only once somebody has a limit there.
    let limit = disk_below(&disk).map(|path| json!({"Path": path, "Rate": 1_u64 << 33}));
    let mut ids = Vec::new();
    for number in 0..CONTAINERS {
        let labels = json!({"com.example.shop": "a b", "number": number.to_string()});
        let host = json!({
            "Memory": 64 << 20,
            "NanoCpus": 500_000_000,
            "Binds": [format!("{}:/disk", disk.display())],
            "NetworkMode": "bridge",
            "BlkioDeviceWriteBps": limit.iter().collect::<Vec<_>>(),
        });
        let name = format!("work{number}");
        ids.push((
            name.clone(),
            engine.start_container(&name, &script, &labels, &host),
        ));
    }

    let data = tempfile::tempdir().unwrap();
    let relay = Relay::start(takes_all());
    let mut config = Config::new(vec![relay.url.clone()], data.path().to_path_buf());
    config.interval = Duration::from_secs(1);
    config.collectors = Collectors {
        docker: Some(DockerOptions {
            endpoint: Some(format!("unix://{}", engine.socket().display())),
            ..DockerOptions::default()
        }),
        ..Collectors::none()
    };
    let agent = Agent::start(config, World::default()).unwrap();
    let cpu =
        |relay: &Relay, since: usize, name: &str| last(relay, since, "docker_container_cpu", name);
    relay.wait("all containers twice", |relay| {
        ids.iter().all(|(name, _)| {
            cpu(relay, 0, name).is_some_and(|all| all.contains_key("usage_percent"))
        })
    });

    // Every counter lies between two readings of the engine's around the gather.
    let before: Vec<_> = ids
        .iter()
        .map(|(_, id)| counters(&engine.stats(id)))
        .collect();
    let mut since = 0;
    // The first lines since then may be of a gather that had begun before.
    for what in ["a gather", "another"] {
        since = relay.taken().len();
        relay.wait(what, |relay| {
            ids.iter().all(|(name, _)| {
                last(relay, since, "docker_container_blkio", name).is_some()
                    && cpu(relay, since, name).is_some()
            })
        });
    }
    let seen: Vec<Vec<_>> = before
        .iter()
        .zip(&ids)
        .map(|(before, (name, _))| {
            let of_counter = |(measurement, field, _): &(&str, &str, u64)| {
                let all = last(&relay, since, measurement, name).unwrap();
                all.get(*field).map_or(0, |_| number_of(&all, field))
            };
            before.iter().map(of_counter).collect()
        })
        .collect();
    let (mut compared, mut uncounted) = (0, 0);
    for (((name, id), before), seen) in ids.iter().zip(before).zip(seen) {
        let after = counters(&engine.stats(id));
        for ((before, seen), after) in before.iter().zip(seen).zip(after) {
            let (measurement, field, before) = before;
            if *measurement == "docker_container_blkio" && limit.is_none() && after.2 == 0 {
                uncounted += 1;
                continue;
            }
            assert!(
                *before > 0,
                "{name}: the engine says 0 for {measurement} {field}"
            );
            assert!(
                (*before..=after.2).contains(&seen),
                "{name} {measurement} {field}: {before} <= {seen} <= {}",
                after.2
            );
            compared += 1;
        }
        let memory = last(&relay, since, "docker_container_mem", name).unwrap();
        assert_eq!(number_of(&memory, "limit"), 64 << 20);
        assert!(number_of(&memory, "max_usage") >= HELD_BYTES, "{memory:?}");
        assert_eq!(memory["container_id"], *id);
        assert_eq!(memory["com.example.shop"], "a\\ b");
        assert_eq!(memory["container_image"], "tandem-test");
        assert_eq!(memory["container_version"], "1");
        assert_eq!(memory["container_status"], "running");
    }
    if uncounted > 0 {
        println!("SKIPPED: the kernel tells nobody what {uncounted} containers write to a disk");
    }
    println!(
        "docker: {compared} counters of {CONTAINERS} containers lie between two readings of the engine"
    );
    let info = engine.get("/info");
    let lines = relay.taken();
    let docker = lines
        .iter()
        .rev()
        .map(|line| parse(line))
        .find(|(name, all)| name == "docker" && all.contains_key("n_containers_running"));
    let docker = docker.unwrap().1;
    assert_eq!(number_of(&docker, "n_cpus"), info["NCPU"].as_u64().unwrap());

    // One that ends by itself has its exit code and its last numbers, although it lived for less than an interval.
    let nothing = json!({"NetworkMode": "none"});
    let burn = "dd if=/dev/zero of=/dev/shm/held bs=1048576 count=2 2>/dev/null; \
                i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; exit 3";
    let mut with_numbers = 0;
    for number in 0..SHORT {
        let name = format!("short{number}");
        engine.start_container(&name, burn, &Value::Null, &nothing);
        relay.wait("the end of a short one", |relay| {
            last(relay, 0, "docker_container_status", &name)
                .is_some_and(|all| all["exitcode"] == "3")
        });
        let end = last(&relay, 0, "docker_container_status", &name).unwrap();
        assert_eq!(end["container_status"], "exited");
        assert!(number_of(&end, "finished_at") > number_of(&end, "started_at"));
        let numbers = [
            ("docker_container_cpu", "usage_total"),
            ("docker_container_mem", "max_usage"),
        ];
        let has = |(measurement, field): &(&str, &str)| {
            last(&relay, 0, measurement, &name).is_some_and(|all| number_of(&all, field) > 0)
        };
        with_numbers += usize::from(numbers.iter().all(has));
    }
    println!("docker: {with_numbers} of {SHORT} short containers had last numbers");
    // The engine removes the group at once; on a machine that is busy it may be quicker than the agent.
    assert!(with_numbers > SHORT / 2, "{with_numbers} of {SHORT}");
    // One that is gone altogether when its lines are made has them all the same.
    let gone = json!({"NetworkMode": "none", "AutoRemove": true});
    engine.start_container("gone", "sleep 0.3; exit 5", &Value::Null, &gone);
    relay.wait("the end of one that is removed", |relay| {
        last(relay, 0, "docker_container_status", "gone").is_some_and(|all| all["exitcode"] == "5")
    });
    // One that starts while the agent runs appears, and so does its restart.
    let id = engine.start_container("late", "while :; do sleep 1; done", &Value::Null, &nothing);
    relay.wait("the late one", |relay| cpu(relay, 0, "late").is_some());
    let started = number_of(
        &last(&relay, 0, "docker_container_status", "late").unwrap(),
        "started_at",
    );
    engine.post(&format!("/containers/{id}/restart?t=0"), &Value::Null);
    relay.wait("its restart", |relay| {
        last(relay, 0, "docker_container_status", "late").is_some_and(|all| {
            number_of(&all, "started_at") > started && all["container_status"] == "running"
        })
    });

    engine.post(
        &format!("/containers/{id}/rename?name=renamed"),
        &Value::Null,
    );
    relay.wait("its other name", |relay| {
        cpu(relay, 0, "renamed").is_some_and(|all| all["container_id"] == id)
    });

    // A swarm of one node leads itself.
    engine.post(
        "/swarm/init",
        &json!({"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"}),
    );
    let modes = [
        (
            "api",
            "replicated",
            json!({"Replicated": {"Replicas": 2}}),
            2,
        ),
        ("log", "global", json!({"Global": {}}), 1),
    ];
    for (name, _, mode, _) in &modes {
        let service = json!({
            "Name": name,
            "TaskTemplate": {
                "ContainerSpec": {"Image": "tandem-test:1", "Command": ["/bin/sleep", "1000"]},
                "Networks": [{"Target": "host"}],
            },
            "Mode": mode,
        });
        engine.post("/services/create", &service);
    }
    for (name, mode, _, tasks) in &modes {
        relay.wait("a service with all its tasks", |relay| {
            let lines = relay.taken();
            let last = lines.iter().rev().take(300).map(|line| parse(line));
            let mut of_service =
                last.filter(|(found, all)| found == "docker_swarm" && all["service_name"] == *name);
            of_service.next().is_some_and(|(_, all)| {
                assert_eq!(all["service_mode"], *mode);
                number_of(&all, "tasks_desired") == *tasks
                    && number_of(&all, "tasks_running") == *tasks
            })
        });
    }
    // What the engine itself counts.
    let running = engine.get("/tasks?filters=%7B%22desired-state%22%3A%5B%22running%22%5D%7D");
    let running = running.as_array().map_or(0, Vec::len);
    assert_eq!(running, 3);
    println!(
        "docker: {} services of a swarm with {running} tasks",
        modes.len()
    );
    let accounts = agent.stop().await;
    assert!(accounts.is_balanced(), "{accounts}");
    assert_eq!(accounts.dropped + accounts.rejected, 0, "{accounts}");
}
