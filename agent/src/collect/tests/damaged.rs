//! Files that are not there, and files of any bytes.

use super::*;

/// Every collector but `cgroup`, which reads nothing unless it is told what; no engine is asked.
fn everything() -> Vec<Box<dyn Collector>> {
    let collectors = Collectors {
        kernel_vmstat: true,
        docker: Some(DockerOptions {
            endpoint: None,
            ..DockerOptions::default()
        }),
        ..Collectors::default()
    };
    let chosen = collectors.choose(&Arc::default(), 0);
    chosen.into_iter().map(|chosen| chosen.collector).collect()
}

/// Random bytes in the files of a container, of either version: nothing may panic.
#[test]
fn no_bytes_in_a_group_make_the_collector_panic() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for (name, below) in [
        ("docker-v2/first", "sys/fs/cgroup"),
        ("docker-v1", "sys/fs/cgroup"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        copy(&tree(name), dir.path(), &mut files);
        files.retain(|(path, _)| path.starts_with(dir.path().join(below)));
        assert!(files.len() > 5);
        let options = DockerOptions {
            endpoint: None,
            ..DockerOptions::default()
        };
        let mut docker = docker::Docker::new(options);
        let mut batch = Batch::new(Tags::from([]));
        for round in 0..50 {
            for (path, bytes) in &files {
                let mut bytes = bytes.clone();
                for _ in 0..next() % 16 {
                    let at = next() as usize % (bytes.len() + 1);
                    match next() % 3 {
                        0 => bytes.insert(at, next() as u8),
                        1 if at < bytes.len() => bytes[at] = b"0 9=:\nm"[next() as usize % 7],
                        _ => bytes.truncate(at),
                    }
                }
                std::fs::write(path, bytes).unwrap();
            }
            batch.start(round);
            let at = Moment {
                time_ns: round,
                monotonic_ns: round.unsigned_abs() * SECOND_NS,
            };
            let _ = docker.gather(&Roots::under(dir.path()), at, &mut batch);
            for line in tandem_line::lines(batch.as_bytes()) {
                let checked = tandem_line::check(line, tandem_line::ParseOptions::default());
                assert!(checked.is_ok(), "{}", line.escape_ascii());
            }
        }
    }
}

fn copy(from: &Path, to: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target, files);
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            std::fs::write(&target, &bytes).unwrap();
            files.push((target, bytes));
        }
    }
}

#[test]
fn without_any_file_every_collector_says_so_and_emits_nothing() {
    let roots = Roots::under(Path::new("/no/such/place"));
    // Hosts without firewall, sensors or containers are no trouble, and the agent is always there.
    const OPTIONAL: [&str; 4] = ["conntrack", "temp", "docker", "internal"];
    let all = everything();
    assert_eq!(all.len(), 18);
    for mut collector in all {
        let mut batch = Batch::new(Tags::from([]));
        let at = Moment {
            time_ns: 0,
            monotonic_ns: 0,
        };
        let result = collector.gather(&roots, at, &mut batch);
        if OPTIONAL.contains(&collector.name()) {
            assert!(result.is_ok(), "{}", collector.name());
            continue;
        }
        assert!(result.unwrap_err().count() > 0, "{}", collector.name());
        assert_eq!(batch.lines(), 0, "{}", collector.name());
    }
}

/// Random bytes in place of every file: nothing may panic.
#[test]
fn no_bytes_make_a_collector_panic() {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        "proc/stat",
        "proc/meminfo",
        "proc/vmstat",
        "proc/loadavg",
        "proc/uptime",
        "proc/cpuinfo",
        "proc/diskstats",
        "proc/net/dev",
        "proc/net/snmp",
        "proc/net/netstat",
        "proc/net/snmp6",
        "proc/net/tcp",
        "proc/net/tcp6",
        "proc/net/udp",
        "proc/net/unix",
        "proc/net/stat/nf_conntrack",
        "proc/sys/net/netfilter/nf_conntrack_count",
        "proc/sys/fs/file-nr",
        "proc/sys/fs/dentry-state",
        "proc/interrupts",
        "proc/softirqs",
        "sys/class/hwmon/hwmon0/name",
        "sys/class/hwmon/hwmon0/temp1_input",
        "proc/1/mountinfo",
        "proc/1/stat",
        "proc/sys/kernel/random/entropy_avail",
        "var/run/utmp",
    ];
    for file in files {
        std::fs::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
    }
    let mut all = everything();
    let roots = Roots::under(dir.path());
    let mut batch = Batch::new(Tags::from([]));
    // A small generator with a fixed seed, so that a failure happens again.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    const ALPHABET: &[u8] = b"0123456789 :-()/,\n\t\\cpuintrTcpMemTotalsda\0\xff";
    for round in 0..100 {
        for file in files {
            let recorded = std::fs::read(tree("web1/first").join(file)).unwrap_or_default();
            let mut bytes = recorded;
            for _ in 0..next() % 64 {
                let byte = ALPHABET[next() as usize % ALPHABET.len()];
                let at = next() as usize % (bytes.len() + 1);
                match next() % 3 {
                    0 => bytes.insert(at, byte),
                    1 if at < bytes.len() => bytes[at] = byte,
                    _ => bytes.truncate(at.max(bytes.len() / 2)),
                }
            }
            std::fs::write(dir.path().join(file), bytes).unwrap();
        }
        for collector in &mut all {
            let at = Moment {
                time_ns: round,
                monotonic_ns: round.unsigned_abs() * SECOND_NS,
            };
            batch.start(at.time_ns);
            let _ = collector.gather(&roots, at, &mut batch);
            for line in tandem_line::lines(batch.as_bytes()) {
                let checked = tandem_line::check(line, tandem_line::ParseOptions::default());
                assert!(checked.is_ok(), "{}", line.escape_ascii());
            }
        }
    }
}
