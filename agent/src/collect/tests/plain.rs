//! The collectors against a second reading of the same files, as plain as it can be: split at blanks, looked up by
//! name, by the tables of Telegraf's documentation and nothing of the code under test. The other golden texts are
//! held against these tables by eye; what has many fields is held here by rule.
//!
//! The files are those of a kernel (`tests/trees/hour`), so that each field is compared, however many there are.

use std::collections::BTreeMap;

use super::*;

type Fields = BTreeMap<String, f64>;

fn read(file: &str) -> String {
    std::fs::read_to_string(tree("hour").join(file)).unwrap()
}

/// The lines of one gather: name and tags, and the fields as numbers.
fn gather(collector: &mut dyn Collector, roots: &Roots) -> BTreeMap<String, Fields> {
    let mut batch = Batch::new(Tags::from([]));
    batch.start(1);
    let at = Moment {
        time_ns: 1,
        monotonic_ns: 1,
    };
    assert!(collector.gather(roots, at, &mut batch).is_ok());
    let text = String::from_utf8(batch.as_bytes().to_vec()).unwrap();
    let mut lines: BTreeMap<String, Fields> = BTreeMap::new();
    for line in text.lines() {
        // No tag of these has a blank.
        let mut parts = line.split(' ');
        let (key, fields) = (parts.next().unwrap(), parts.next().unwrap());
        let fields = fields.split(',').map(|field| {
            let (name, value) = field.split_once('=').unwrap();
            let number = value.strip_suffix('i').unwrap_or(value);
            (name.to_owned(), number.parse().unwrap())
        });
        lines.entry(key.to_owned()).or_default().extend(fields);
    }
    lines
}

fn here(collector: &mut dyn Collector) -> BTreeMap<String, Fields> {
    gather(collector, &Roots::under(&tree("hour")))
}

fn number(word: &str) -> f64 {
    word.parse().unwrap()
}

#[test]
fn memory_is_the_files_kilobytes() {
    let text = read("proc/meminfo");
    let file = |name: &str| {
        let row = text
            .lines()
            .find(|row| row.starts_with(&format!("{name}:")));
        row.map_or(0.0, |row| number(row.split_whitespace().nth(1).unwrap()))
    };
    let lines = here(&mut mem::Mem::new(MemOptions::default()));
    let fields = &lines["mem"];
    for (field, name) in [
        ("total", "MemTotal"),
        ("available", "MemAvailable"),
        ("active", "Active"),
        ("inactive", "Inactive"),
        ("buffered", "Buffers"),
        ("commit_limit", "CommitLimit"),
        ("committed_as", "Committed_AS"),
        ("dirty", "Dirty"),
        ("free", "MemFree"),
        ("huge_page_size", "Hugepagesize"),
        ("low_free", "LowFree"),
        ("low_total", "LowTotal"),
        ("high_free", "HighFree"),
        ("high_total", "HighTotal"),
        ("mapped", "Mapped"),
        ("page_tables", "PageTables"),
        ("shared", "Shmem"),
        ("slab", "Slab"),
        ("sreclaimable", "SReclaimable"),
        ("sunreclaim", "SUnreclaim"),
        ("swap_cached", "SwapCached"),
        ("swap_free", "SwapFree"),
        ("swap_total", "SwapTotal"),
        ("vmalloc_chunk", "VmallocChunk"),
        ("vmalloc_total", "VmallocTotal"),
        ("vmalloc_used", "VmallocUsed"),
        ("write_back", "Writeback"),
        ("write_back_tmp", "WritebackTmp"),
    ] {
        assert_eq!(fields[field], file(name) * 1024.0, "{field}");
    }
    for (field, expected) in [
        ("cached", (file("Cached") + file("SReclaimable")) * 1024.0),
        ("huge_pages_total", file("HugePages_Total")),
        ("huge_pages_free", file("HugePages_Free")),
        ("used", (file("MemTotal") - file("MemAvailable")) * 1024.0),
        (
            "available_percent",
            100.0 * file("MemAvailable") / file("MemTotal"),
        ),
    ] {
        assert_eq!(fields[field], expected, "{field}");
    }
    assert_eq!(fields.len(), 28 + 5 + 1, "and the percentage used");
}

#[test]
fn counters_of_protocols_are_those_of_the_files() {
    let lines = here(&mut nstat::Nstat::new(NstatOptions { dump_zeros: true }));
    for file in ["netstat", "snmp"] {
        let text = read(&format!("proc/net/{file}"));
        let rows: Vec<&str> = text.lines().collect();
        let mut expected = Fields::new();
        for pair in rows.chunks(2) {
            let prefix = pair[0].split(':').next().unwrap();
            let names = pair[0].split_whitespace().skip(1);
            let values = pair[1].split_whitespace().skip(1);
            for (name, value) in names.zip(values) {
                expected.insert(format!("{prefix}{name}"), number(value));
            }
        }
        assert!(expected.len() > 80, "{file}");
        assert_eq!(lines[&format!("nstat,name={file}")], expected, "{file}");
    }
    let rows = read("proc/net/snmp6");
    let expected: Fields = rows
        .lines()
        .filter_map(|row| {
            let mut words = row.split_whitespace();
            Some((words.next()?.to_owned(), number(words.next()?)))
        })
        .collect();
    assert_eq!(lines["nstat,name=snmp6"], expected);
    let lines = here(&mut net::Net::new(NetOptions::default()));
    let all = &lines["net,interface=all"];
    let text = read("proc/net/snmp");
    let tcp: Vec<&str> = text.lines().filter(|row| row.starts_with("Tcp:")).collect();
    let names = tcp[0].split_whitespace().skip(1);
    for (name, value) in names.zip(tcp[1].split_whitespace().skip(1)) {
        let field = format!("tcp_{}", name.to_lowercase());
        assert_eq!(all[&field], number(value), "{field}");
    }
}

#[test]
fn columns_of_tables_are_where_the_kernel_has_them() {
    let lines = here(&mut diskio::DiskIo::new(DiskIoOptions::default()));
    for row in read("proc/diskstats").lines() {
        let words: Vec<&str> = row.split_whitespace().collect();
        let fields = &lines[&format!("diskio,name={}", words[2])];
        for (field, column, unit) in [
            ("reads", 3, 1.0),
            ("merged_reads", 4, 1.0),
            ("read_bytes", 5, 512.0),
            ("read_time", 6, 1.0),
            ("writes", 7, 1.0),
            ("merged_writes", 8, 1.0),
            ("write_bytes", 9, 512.0),
            ("write_time", 10, 1.0),
            ("iops_in_progress", 11, 1.0),
            ("io_time", 12, 1.0),
            ("weighted_io_time", 13, 1.0),
        ] {
            assert_eq!(fields[field], number(words[column]) * unit, "{field}");
        }
    }
    let lines = here(&mut net::Net::new(NetOptions::default()));
    let text = read("proc/net/dev");
    let row = text.lines().find(|row| row.contains("eth0:")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    for (field, column) in [
        ("bytes_recv", 1),
        ("packets_recv", 2),
        ("err_in", 3),
        ("drop_in", 4),
        ("bytes_sent", 9),
        ("packets_sent", 10),
        ("err_out", 11),
        ("drop_out", 12),
    ] {
        assert_eq!(
            lines["net,interface=eth0"][field],
            number(words[column]),
            "{field}"
        );
    }
    let lines = here(&mut conntrack::Conntrack::new(ConntrackOptions::default()));
    let text = read("proc/net/stat/nf_conntrack");
    let mut rows = text.lines();
    let names: Vec<&str> = rows.next().unwrap().split_whitespace().collect();
    let mut sums = vec![0_u64; names.len()];
    for row in rows {
        for (sum, word) in sums.iter_mut().zip(row.split_whitespace()) {
            *sum += u64::from_str_radix(word, 16).unwrap();
        }
    }
    let all = &lines["conntrack,cpu=all"];
    for (field, column) in [
        ("entries", "entries"),
        ("found", "found"),
        ("insert_failed", "insert_failed"),
        ("early_drop", "early_drop"),
    ] {
        let at = names.iter().position(|name| *name == column).unwrap();
        assert_eq!(all[field], sums[at] as f64, "{field}");
    }
}

#[test]
fn shares_of_a_processor_are_ticks_over_ticks() {
    let parse = |text: &str, name: &str| -> Vec<f64> {
        let row = text.lines().find(|row| row.split(' ').next() == Some(name));
        row.unwrap()
            .split_whitespace()
            .skip(1)
            .map(number)
            .collect()
    };
    let first = std::fs::read_to_string(tree("web1/first/proc/stat")).unwrap();
    let second = std::fs::read_to_string(tree("web1/second/proc/stat")).unwrap();
    let mut cpu = cpu::Cpu::new(CpuOptions::default());
    gather(&mut cpu, &Roots::under(&tree("web1/first")));
    let lines = gather(&mut cpu, &Roots::under(&tree("web1/second")));
    for name in ["cpu", "cpu0", "cpu1"] {
        let (before, after) = (parse(&first, name), parse(&second, name));
        let more: Vec<f64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
        // Guests are in user and nice already.
        let whole: f64 = more.iter().take(8).sum();
        let tag = if name == "cpu" { "cpu-total" } else { name };
        let fields = &lines[&format!("cpu,cpu={tag}")];
        for (field, ticks) in [
            ("usage_user", more[0] - more[8]),
            ("usage_nice", more[1] - more[9]),
            ("usage_system", more[2]),
            ("usage_idle", more[3]),
            ("usage_iowait", more[4]),
            ("usage_irq", more[5]),
            ("usage_softirq", more[6]),
            ("usage_steal", more[7]),
            ("usage_guest", more[8]),
            ("usage_guest_nice", more[9]),
        ] {
            let expected = 100.0 * ticks / whole;
            assert!((fields[field] - expected).abs() < 1e-9, "{tag} {field}");
        }
    }
}

#[test]
fn sockets_are_counted_by_state() {
    let lines = here(&mut netstat::Netstat::default());
    let count = |file: &str, state: &str| {
        let text = read(&format!("proc/net/{file}"));
        let rows = text.lines().skip(1);
        rows.filter(|row| row.split_whitespace().nth(3) == Some(state))
            .count() as f64
    };
    let fields = &lines["netstat"];
    for (field, state) in [
        ("tcp_established", "01"),
        ("tcp_time_wait", "06"),
        ("tcp_listen", "0A"),
        ("tcp_close_wait", "08"),
    ] {
        let expected = count("tcp", state) + count("tcp6", state);
        assert_eq!(fields[field], expected, "{field}");
    }
    // One socket of UDP, and one of datagrams without a network.
    assert_eq!((fields["udp_socket"], fields["tcp_none"]), (2.0, 1.0));
}
