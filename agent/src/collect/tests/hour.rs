//! An hour of a host and of its containers, as this agent records it: `tests/dashboards/host.lp` and
//! `containers.lp`, which the queries of dashboards are asked of.
//!
//! The files of `/proc` and `/sys` in `tests/trees/hour` and `tests/trees/docker-v2` are moved on by ten seconds at
//! a time: counters grow, each at a pace of its own, and levels swing. The collectors gather from them at every
//! step, as they would from a kernel; the lines of every third minute are kept. Nothing in them is written by
//! hand. What the kernel tells through calls and not through files (how full a disk is) comes from here, and so
//! does what an engine tells of its containers.
//!
//! `UPDATE_EXPECT=1 cargo test -p tandem-agent hour` writes them anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::batch::Tags;
use crate::containers::{EngineInfo, Health, Meta, Registry};
use crate::counters::Fate;

/// 2024-01-01T00:00:00Z, where the queries look.
const HOUR_S: u64 = 1_704_067_200;
const STEPS: u64 = 360;
const STEP_S: u64 = 10;
/// The lines of every so manieth gather are kept.
const KEPT_EVERY: u64 = 18;
const MEMORY_BYTES: u64 = 8_192_000_000;

/// A tree that moves on.
struct Moving {
    dir: tempfile::TempDir,
    files: Vec<(PathBuf, String)>,
}

impl Moving {
    fn new(base: &Path) -> Self {
        let (mut files, mut links) = (Vec::new(), Vec::new());
        let mut open = vec![base.to_path_buf()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let place = path.strip_prefix(base).unwrap().to_path_buf();
                if let Ok(target) = std::fs::read_link(&path) {
                    links.push((place, target));
                } else if path.is_dir() {
                    open.push(path);
                } else {
                    files.push((place, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        let moving = Self {
            dir: tempfile::tempdir().unwrap(),
            files,
        };
        let make = |place: &Path| {
            let path = moving.dir.path().join(place);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        for (place, text) in &moving.files {
            std::fs::write(make(place), text).unwrap();
        }
        for (place, target) in links {
            std::os::unix::fs::symlink(target, make(&place)).unwrap();
        }
        moving
    }

    fn roots(&self) -> Roots {
        Roots::under(self.dir.path()).with_foreign_etc()
    }

    /// The kernel's files so many steps later.
    fn go_to(&self, step: u64) {
        for (path, text) in &self.files {
            let name = path.to_str().unwrap();
            if let Some(text) = moved(name, text, step) {
                std::fs::write(self.dir.path().join(path), text).unwrap();
            }
        }
        let users = self.dir.path().join("var/run/utmp");
        std::fs::create_dir_all(users.parent().unwrap()).unwrap();
        std::fs::write(users, utmp(1 + step / 60 % 3)).unwrap();
    }
}

/// Sessions of one user (`utmp(5)`, 64-bit glibc).
fn utmp(sessions: u64) -> Vec<u8> {
    const RECORD_BYTES: usize = 384;
    const USER_AT: usize = 44;
    let mut record = vec![0; RECORD_BYTES];
    record[0] = 7;
    record[USER_AT..USER_AT + 5].copy_from_slice(b"admin");
    record.repeat(usize::try_from(sessions).unwrap())
}

/// A file's text so many steps later; nothing for one that does not move.
fn moved(name: &str, text: &str, step: u64) -> Option<String> {
    let swing = |most: u64| step * 37 % most;
    let file = name.rsplit('/').next().unwrap_or(name);
    let grown = |first: usize| {
        let rows = text.lines().enumerate();
        let row = |(number, row): (usize, &str)| grow(name, number, row, first, step) + "\n";
        Some(rows.map(row).collect())
    };
    match (name, file) {
        ("proc/stat", _) => Some(processors(text, step)),
        ("proc/uptime", _) => Some(format!("{}.42 160000.00\n", 86_400 + step * STEP_S)),
        ("proc/loadavg", _) => Some(format!(
            "0.{:02} 0.{:02} 0.31 2/345 {}\n",
            20 + swing(60),
            30 + swing(20),
            345_678 + step
        )),
        ("proc/meminfo", _) => Some(replace_numbers(
            text,
            &[
                ("MemFree:", swing(9_000)),
                ("MemAvailable:", swing(9_000)),
                ("Cached:", swing(4_000)),
                ("Dirty:", swing(300)),
            ],
        )),
        ("proc/diskstats", _) => grown(3),
        ("proc/net/snmp", _) => grown(5),
        (
            "proc/vmstat" | "proc/net/netstat" | "proc/net/snmp6" | "proc/interrupts"
            | "proc/softirqs",
            _,
        )
        | (_, "dev" | "cpu.stat" | "io.stat") => grown(1),
        (_, "memory.current" | "temp1_input") => {
            let base: u64 = text.trim().parse().ok()?;
            Some(format!("{}\n", base + swing(50) * 250))
        }
        _ => None,
    }
}

/// Time of two processors: each has a thousand ticks in ten seconds, and the whole is their sum.
fn processors(text: &str, step: u64) -> String {
    const TICKS: u64 = 1_000;
    let mut sums = [0; 10];
    let mut rows = Vec::new();
    for (number, row) in text.lines().enumerate() {
        let mut words = row.split_whitespace();
        let name = words.next().unwrap();
        if !name.starts_with("cpu") {
            rows.push(grow("proc/stat", number, row, 1, step));
            continue;
        }
        let mut ticks: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
        if name == "cpu" {
            ticks.fill(0);
        } else {
            // User, nice, system; wait, interrupts and what the host took; the rest is idle.
            let shares = [
                (0, 220 + number as u64 * 9),
                (1, 15),
                (2, 90),
                (4, 20),
                (5, 3),
                (6, 7),
                (7, 5),
            ];
            let mut rest = TICKS * step;
            for (column, share) in shares {
                ticks[column] += share * step;
                rest -= share * step;
            }
            ticks[3] += rest;
        }
        for (sum, ticks) in sums.iter_mut().zip(&ticks) {
            *sum += ticks;
        }
        let words: Vec<String> = ticks.iter().map(ToString::to_string).collect();
        rows.push(format!("{name} {}", words.join(" ")));
    }
    let words: Vec<String> = sums.iter().map(ToString::to_string).collect();
    rows[0] = format!("cpu  {}", words.join(" "));
    rows.join("\n") + "\n"
}

/// Adds to the number behind each of the names.
fn replace_numbers(text: &str, more: &[(&str, u64)]) -> String {
    let row = |row: &str| {
        let mut words = row.split_whitespace();
        let (name, number) = (words.next().unwrap(), words.next().unwrap());
        let more = more.iter().find(|(wanted, _)| *wanted == name);
        let more = more.map_or(0, |(_, more)| *more);
        let number: u64 = number.parse().unwrap();
        format!(
            "{name} {} {}\n",
            number + more,
            words.next().unwrap_or_default()
        )
    };
    text.lines().map(row).collect()
}

/// A row whose counters, from word `first` on, have grown for so many steps.
fn grow(file: &str, number: usize, row: &str, first: usize, step: u64) -> String {
    let mut out = String::new();
    for (column, word) in row.split(' ').enumerate() {
        if column > 0 {
            out.push(' ');
        }
        let at = row
            .split(' ')
            .take(column)
            .filter(|word| !word.is_empty())
            .count();
        let (name, value) = word
            .split_once('=')
            .map_or(("", word), |(name, value)| (name, value));
        match value.parse::<u64>() {
            Ok(value) if at >= first => {
                if !name.is_empty() {
                    out.push_str(name);
                    out.push('=');
                }
                let grown = value + step * pace(file, number, column);
                out.push_str(&grown.to_string());
            }
            _ => out.push_str(word),
        }
    }
    out
}

/// What a counter gains in a step: always the same, and of no two neighbours.
fn pace(file: &str, row: usize, column: usize) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in file.bytes().chain([row as u8, column as u8]) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    1 + (hash >> 32) % 50
}

/// What an engine tells of two containers of a swarm's services.
fn registry() -> Arc<Registry> {
    let registry = Arc::new(Registry::default());
    let mut state = registry.lock();
    state.is_up = true;
    state.info = Some(EngineInfo {
        name: "web1".into(),
        version: "27.5.1".into(),
        cpus: 2,
        file_descriptors: 41,
        goroutines: 63,
        listeners: 1,
        containers: 3,
        running: 2,
        stopped: 1,
        paused: 0,
        images: 7,
        memory_bytes: MEMORY_BYTES,
    });
    let first = format!("system.slice/docker-{}.scope", "a1".repeat(32));
    let second = format!("docker/{}", "b2".repeat(32));
    for (number, (pair, pid, cgroup)) in [("a1", 4242, first), ("b2", 77, second)]
        .into_iter()
        .enumerate()
    {
        let label = |key: &str, value: String| (key.to_owned(), value);
        let meta = Meta {
            id: pair.repeat(32),
            name: format!("shop_api.{number}"),
            image: "registry.example:5000/shop/api".into(),
            version: "1.25".into(),
            status: "running".into(),
            labels: vec![
                label("com.docker.swarm.service.name", "shop_api".into()),
                label("com.docker.swarm.task.id", format!("t{number}")),
                label("docker.group", "shop".into()),
            ],
            pid,
            started_ns: Some((HOUR_S - 600).cast_signed() * 1_000_000_000),
            health: Some(Health {
                status: "healthy".into(),
                failing_streak: 0,
            }),
            cgroup: Some(cgroup.into()),
            ..Meta::default()
        };
        state.containers.insert(meta.id.clone(), Arc::new(meta));
    }
    drop(state);
    registry
}

/// Gathers for an hour; the lines that are kept.
fn record(
    base: &str,
    mut all: Vec<Box<dyn Collector>>,
    counters: &Counters,
    now: &AtomicU64,
) -> String {
    let moving = Moving::new(&tree(base));
    let roots = moving.roots();
    let mut batch = Batch::new(Tags::from([("host".to_owned(), "web1".to_owned())]));
    let mut kept = String::new();
    for step in 0..=STEPS {
        moving.go_to(step);
        now.store(step, Ordering::Relaxed);
        let at = Moment {
            time_ns: ((HOUR_S + step * STEP_S) * SECOND_NS).cast_signed(),
            monotonic_ns: (1 + step * STEP_S) * SECOND_NS,
        };
        batch.start(at.time_ns);
        for collector in &mut all {
            let before = batch.lines();
            let _ = collector.gather(&roots, at, &mut batch);
            let lines = batch.lines() - before;
            let stats = counters.collector(collector.name());
            stats.change(|figures| figures.lines += lines);
            stats.time(Duration::from_micros(90 + step % 30));
        }
        counters.gathered(batch.lines(), batch.as_bytes().len());
        counters.settle(batch.lines(), Fate::Written);
        counters.time_write(Duration::from_micros(900 + step % 200));
        // The first gather has no rates yet.
        if step % KEPT_EVERY == 1 {
            kept += &of_any_process(std::str::from_utf8(batch.as_bytes()).unwrap(), step);
        }
    }
    kept
}

/// The lines without what depends on the process and the version that wrote them.
fn of_any_process(lines: &str, step: u64) -> String {
    let mut out = lines.replace(concat!("version=", env!("CARGO_PKG_VERSION")), "version=1");
    for (field, value) in [("cpu_time_ns=", 30_000_000 * step), ("rss_bytes=", 8 << 20)] {
        let Some(start) = out.find(field) else {
            continue;
        };
        let start = start + field.len();
        let end = start + out[start..].find('i').unwrap();
        out.replace_range(start..end, &value.to_string());
    }
    out
}

#[track_caller]
fn check(name: &str, recorded: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/dashboards")
        .join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, recorded).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let differing = recorded.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert_eq!(differing, None, "the first line of {name} that differs");
    assert_eq!(recorded.len(), expected.len());
}

#[test]
fn an_hour_of_a_host() {
    let (counters, now) = (Arc::new(Counters::default()), Arc::new(AtomicU64::new(0)));
    let most = Collectors {
        disk: None,
        docker: None,
        internal: None,
        ..Collectors::default()
    };
    let chosen = most.choose(&counters, 0);
    let mut all: Vec<Box<dyn Collector>> = chosen.into_iter().map(|one| one.collector).collect();
    let step = Arc::clone(&now);
    let disk = disk::Disk::answering(DiskOptions::default(), move |_| {
        let used = 20_000_000_000 + 4096 * step.load(Ordering::Relaxed);
        let total = 50_000_000_000;
        Ok([total, total - used, used, 3_200_000, 2_800_000])
    });
    all.push(Box::new(disk));
    all.push(Box::new(internal::Internal::new(
        InternalOptions::default(),
        Arc::clone(&counters),
        300 << 20,
    )));
    check("host.lp", &record("hour", all, &counters, &now));
}

#[test]
fn an_hour_of_containers() {
    let docker = docker::Docker::with_registry(
        DockerOptions {
            endpoint: None,
            ..DockerOptions::default()
        },
        registry(),
    );
    let counters = Counters::default();
    let all: Vec<Box<dyn Collector>> = vec![Box::new(docker)];
    let recorded = record("docker-v2/first", all, &counters, &AtomicU64::new(0));
    check("containers.lp", &recorded);
}
