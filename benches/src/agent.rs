//! `tandem-benches agent`: what an agent costs the host that it measures.
//!
//! Four agents run at once: of this host alone and with a hundred containers, sampling every second (memory
//! and the time of a gather) and every ten (processor time). The containers are a tree of control groups of version
//! 2 made of plain files, with names and labels in the files of a Docker that does not run, and with processes
//! that have a network of their own. A plain server takes what they send.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use flate2::read::GzDecoder;

use crate::args::Args;
use crate::process::Process;
use crate::report::{self, Figure, Goal, Row, Unit};

const CONTAINERS: usize = 100;
/// How long they run before they are looked at.
const RUN: Duration = Duration::from_secs(15 * 60);
const RUN_QUICK: Duration = Duration::from_secs(60);
/// Not counted as processor time: reading the program and the first look at everything.
const WARM_UP: Duration = Duration::from_secs(15);
/// Between the gathers of two agents.
const APART_MS: usize = 230;
const READY_MAX: Duration = Duration::from_secs(20);

/// Names, what they say, units and goals.
const ROWS: [(&str, &str, Unit, Goal); 5] = [
    (
        "rss-host",
        "resident memory, host alone, every second",
        Unit::Bytes,
        Goal::AtMost((10 << 20) as f64),
    ),
    (
        "rss-containers",
        "resident memory, 100 containers, every second",
        Unit::Bytes,
        Goal::AtMost((14 << 20) as f64),
    ),
    (
        "cpu-host",
        "part of a core, host alone, every 10 s",
        Unit::Percent,
        Goal::AtMost(0.1),
    ),
    (
        "cpu-containers",
        "part of a core, 100 containers, every 10 s",
        Unit::Percent,
        Goal::AtMost(0.4),
    ),
    (
        "gather-p99",
        "99th percentile of a gather, 100 containers",
        Unit::Milliseconds,
        Goal::AtMost(50.0),
    ),
];

/// Measures every row and prints.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        ROWS.iter().for_each(|(name, ..)| println!("{name}"));
        return Ok(());
    }
    let work = args.work.join(format!("agent-{}", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("create {}", work.display()))?;
    let measured = measure(args, &work);
    fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    let figures = measured?;
    let rows: Vec<Row> = ROWS
        .into_iter()
        .zip(figures)
        .filter(|((name, ..), _)| args.wants(name))
        .map(|((name, what, unit, goal), figure)| Row {
            name,
            what,
            unit,
            goal,
            figures: [("tandem", Ok(figure))].into(),
        })
        .collect();
    let machine = report::machine();
    println!("{machine}\n\n{}", report::table(&rows));
    report::write_json(&args.work.join("agent.json"), &machine, &rows)
}

fn measure(args: &Args, work: &Path) -> anyhow::Result<[Figure; 5]> {
    let host = Tree::host(work)?;
    let containers = Tree::containers(work)?;
    let sink = Sink::start()?;
    let mut agents = Vec::new();
    let runs = [(&host, 1), (&containers, 1), (&host, 10), (&containers, 10)];
    // A host has one agent: four that gather at the same moment would wait for one another.
    for (number, (tree, every)) in runs.into_iter().enumerate() {
        let offset_ms = number * APART_MS;
        agents.push(start(args, work, tree, every, offset_ms, &sink)?);
    }
    let run = if args.quick { RUN_QUICK } else { RUN };
    println!("four agents run for {} s", run.as_secs());
    thread::sleep(WARM_UP);
    let before: Vec<_> = agents
        .iter()
        .map(Process::usage)
        .collect::<Result<_, _>>()?;
    // What was gathered while programs were read from disk says nothing.
    sink.forget();
    thread::sleep(run.saturating_sub(WARM_UP));
    let after: Vec<_> = agents
        .iter()
        .map(Process::usage)
        .collect::<Result<_, _>>()?;
    let passed_s = run.saturating_sub(WARM_UP).as_secs_f64();
    let times = sink.gather_times(&format!("{}-1", containers.name));
    for agent in agents {
        agent.stop()?;
    }
    ensure!(!times.is_empty(), "no agent told how long its gathers took");
    let rank = (times.len() * 99).div_ceil(100).saturating_sub(1);
    let p99_ns = times.get(rank).copied().unwrap_or_default();
    let memory = |at: usize| {
        let usage = after[at];
        Figure::new(
            usage.rss_bytes as f64,
            [
                ("anonymous", usage.anonymous_bytes as f64),
                ("peak", usage.peak_bytes as f64),
            ],
        )
    };
    let cpu = |at: usize| {
        let spent_s = after[at].cpu_s - before[at].cpu_s;
        Figure::new(
            100.0 * spent_s / passed_s,
            [("cpu_s", spent_s), ("seconds", passed_s)],
        )
    };
    let gather = Figure::new(p99_ns as f64 / 1e6, [("gathers", times.len() as f64)]);
    Ok([memory(0), memory(1), cpu(2), cpu(3), gather])
}

fn start(
    args: &Args,
    work: &Path,
    tree: &Tree,
    every_s: u64,
    offset_ms: usize,
    sink: &Sink,
) -> anyhow::Result<Process> {
    let name = format!("{}-{every_s}", tree.name);
    let config = work.join(format!("{name}.toml"));
    let text = format!(
        "data-dir = {:?}\n[agent]\nrelays = [\"http://{}\"]\ninterval = \"{every_s}s\"\noffset = \"{offset_ms}ms\"\nhostname = \"{}\"\n\
         gzip = true\n[agent.collect.docker]\nendpoint = \"off\"\n",
        work.join(&name).display().to_string(),
        sink.address,
        name,
    );
    fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
    let mut command = Command::new(&args.tandem);
    command.arg("agent").arg("--config").arg(&config);
    command.envs(tree.variables.iter().map(|(name, path)| (name, path)));
    let mut agent = Process::start(command, &work.join(format!("{name}.log")))?;
    agent.await_some(READY_MAX, |log| log.contains("ready").then_some(()))?;
    Ok(agent)
}

/// What an agent takes for its host.
struct Tree {
    name: String,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Tree {
    /// This host, without any containers that it may have.
    fn host(work: &Path) -> anyhow::Result<Self> {
        let sys = work.join("sys-host");
        link_all(Path::new("/sys"), &sys, &["fs"])?;
        Ok(Self {
            name: "host".to_owned(),
            variables: vec![("HOST_SYS", sys)],
        })
    }

    /// This host with a hundred containers.
    fn containers(work: &Path) -> anyhow::Result<Self> {
        let (sys, proc, var) = (work.join("sys"), work.join("proc"), work.join("var"));
        link_all(Path::new("/sys"), &sys, &["fs"])?;
        link_all(Path::new("/proc"), &proc, &[])?;
        let groups = sys.join("fs/cgroup");
        write(&groups, "cgroup.controllers", "cpu io memory pids\n")?;
        for number in 0..CONTAINERS {
            let id = format!("{number:064x}");
            let pid = 4_000_000 + number;
            container(&groups.join(format!("system.slice/docker-{id}.scope")), pid)?;
            // Services without containers have to be looked through as well.
            write(
                &groups.join(format!("system.slice/service-{number}.service")),
                "cgroup.procs",
                "",
            )?;
            let process = proc.join(pid.to_string());
            write(
                &process.join("net"),
                "dev",
                "Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
                 eth0: 123456789 98765 0 0 0 0 0 0 987654321 56789 0 0 0 0 0 0\n",
            )?;
            fs::create_dir_all(process.join("ns"))?;
            symlink(format!("net:[{pid}]"), process.join("ns/net"))?;
            let labels: Vec<String> = [
                "com.docker.compose.project",
                "com.docker.compose.service",
                "com.docker.compose.version",
                "com.docker.compose.oneoff",
                "com.docker.compose.container-number",
                "com.docker.compose.config-hash",
                "maintainer",
                "org.opencontainers.image.version",
            ]
            .iter()
            .map(|label| format!("{label:?}:\"value-of-{number}\""))
            .collect();
            let config = format!(
                "{{\"Name\":\"/shop-web-{number}\",\"Config\":{{\"Image\":\"registry.example:5000/shop/web:1.{number}\",\
                 \"Labels\":{{{}}}}},\"HostConfig\":{{\"NetworkMode\":\"bridge\"}}}}",
                labels.join(",")
            );
            write(
                &var.join("lib/docker/containers").join(&id),
                "config.v2.json",
                &config,
            )?;
        }
        Ok(Self {
            name: "containers".to_owned(),
            variables: vec![("HOST_SYS", sys), ("HOST_PROC", proc), ("HOST_VAR", var)],
        })
    }
}

/// The files of one container, as long as the kernel's.
fn container(directory: &Path, pid: usize) -> anyhow::Result<()> {
    let stat: String = [
        "anon",
        "file",
        "kernel",
        "kernel_stack",
        "pagetables",
        "sec_pagetables",
        "percpu",
        "sock",
        "vmalloc",
        "shmem",
        "zswap",
        "zswapped",
        "file_mapped",
        "file_dirty",
        "file_writeback",
        "swapcached",
        "anon_thp",
        "file_thp",
        "shmem_thp",
        "inactive_anon",
        "active_anon",
        "inactive_file",
        "active_file",
        "unevictable",
        "slab_reclaimable",
        "slab_unreclaimable",
        "slab",
        "workingset_refault_anon",
        "workingset_refault_file",
        "pgscan",
        "pgsteal",
        "pgfault",
        "pgmajfault",
        "pgrefill",
        "pgactivate",
        "pgdeactivate",
        "pglazyfree",
        "thp_fault_alloc",
    ]
    .iter()
    .enumerate()
    .map(|(at, name)| format!("{name} {}\n", at * 4096))
    .collect();
    for (name, text) in [
        (
            "cpu.stat",
            "usage_usec 123456789\nuser_usec 100000000\nsystem_usec 23456789\nnr_periods 1000\n\
             nr_throttled 17\nthrottled_usec 123456\nnr_bursts 0\nburst_usec 0\n",
        ),
        ("memory.current", "104857600\n"),
        ("memory.max", "268435456\n"),
        ("memory.peak", "157286400\n"),
        ("memory.swap.current", "0\n"),
        (
            "memory.events",
            "low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\noom_group_kill 0\n",
        ),
        ("memory.stat", stat.as_str()),
        (
            "io.stat",
            "8:0 rbytes=1234567 wbytes=7654321 rios=123 wios=321 dbytes=0 dios=0\n\
             253:0 rbytes=1234567 wbytes=7654321 rios=123 wios=321 dbytes=0 dios=0\n",
        ),
        ("cgroup.procs", format!("{pid}\n").as_str()),
    ] {
        write(directory, name, text)?;
    }
    Ok(())
}

fn write(directory: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

/// Makes `to` look like `from`, but for the entries `without`.
fn link_all(from: &Path, to: &Path, without: &[&str]) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in fs::read_dir(from)?.flatten() {
        let name = entry.file_name();
        if !without.iter().any(|left| name == **left) {
            symlink(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

/// Takes lines and remembers how long gathers took.
struct Sink {
    address: SocketAddr,
    times: Arc<Mutex<Times>>,
}

/// By the name of the host and the time of the lines: the sum over its collectors.
type Times = BTreeMap<(String, i64), u64>;

impl Sink {
    fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen")?;
        let address = listener.local_addr()?;
        let times = Arc::new(Mutex::new(Times::new()));
        let theirs = Arc::clone(&times);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let times = Arc::clone(&theirs);
                // An agent that hangs up is no matter.
                thread::spawn(move || serve(stream, &times).is_ok());
            }
        });
        Ok(Self { address, times })
    }

    fn forget(&self) {
        self.times
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Sorted.
    fn gather_times(&self, host: &str) -> Vec<u64> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host = times.iter().filter(|((name, _), _)| name == host);
        let mut sorted: Vec<u64> = of_host.map(|(_, time_ns)| *time_ns).collect();
        sorted.sort_unstable();
        sorted
    }
}

fn serve(stream: TcpStream, times: &Mutex<Times>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut is_gzip, mut line) = (0_u64, false, String::new());
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            is_gzip |= lower.starts_with("content-encoding:") && lower.contains("gzip");
        }
        let mut body = Vec::new();
        (&mut reader).take(length).read_to_end(&mut body)?;
        let mut text = String::new();
        if is_gzip {
            GzDecoder::new(body.as_slice()).read_to_string(&mut text)?;
        } else {
            text = String::from_utf8_lossy(&body).into_owned();
        }
        for line in text
            .lines()
            .filter(|line| line.starts_with("internal_gather,"))
        {
            if let Some((host, time_ns, took_ns)) = parse(line) {
                let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                *times.entry((host, time_ns)).or_default() += took_ns;
            }
        }
        writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
}

/// Host, time and how long the collector took.
fn parse(line: &str) -> Option<(String, i64, u64)> {
    let field = |name: &str| {
        let start = line.find(name)? + name.len();
        let rest = line.get(start..)?;
        rest.get(..rest.find([',', ' ', 'i'])?)
    };
    let host = line.split(",host=").nth(1)?.split([',', ' ']).next()?;
    let took_ns = field("gather_time_ns=")?.parse().ok()?;
    let time_ns = line.rsplit(' ').next()?.parse().ok()?;
    Some((host.to_owned(), time_ns, took_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_gather_is_read() {
        let line = "internal_gather,host=web1,input=cpu,version=1 metrics_gathered=3i,gather_time_ns=77i,errors=0i 5000";
        assert_eq!(parse(line), Some(("web1".to_owned(), 5000, 77)));
        assert_eq!(parse("internal_gather,host=web1 x=1i 5"), None);
    }

    #[test]
    fn a_tree_of_containers_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::containers(dir.path()).unwrap();
        assert_eq!(tree.variables.len(), 3);
        let scopes = fs::read_dir(dir.path().join("sys/fs/cgroup/system.slice")).unwrap();
        assert_eq!(scopes.count(), 2 * CONTAINERS);
        assert!(dir.path().join("proc/stat").exists());
    }
}
