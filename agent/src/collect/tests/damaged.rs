//! Files that are not there, and files of any bytes.

use super::*;

#[test]
fn without_any_file_every_collector_says_so_and_emits_nothing() {
    let roots = Roots::under(Path::new("/no/such/place"));
    let all = Collectors::default().build();
    assert_eq!(all.len(), 9);
    for mut collector in all {
        let mut batch = Batch::new(Tags::from([]));
        let at = Moment {
            time_ns: 0,
            monotonic_ns: 0,
        };
        let troubles = collector.gather(&roots, at, &mut batch).unwrap_err();
        assert!(troubles.count() > 0, "{}", collector.name());
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
        "proc/1/mountinfo",
        "proc/1/stat",
        "proc/sys/kernel/random/entropy_avail",
        "var/run/utmp",
    ];
    for file in files {
        std::fs::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
    }
    let mut all = Collectors::default().build();
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
    for round in 0..200 {
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
