//! Numbers of a group of version 1, as `opencontainers/cgroups fs` and Docker read them.

use std::path::Path;

use super::readings::{Cpu, IoValue, Memory};
use super::v2::{keyed, single};
use crate::collect::Source;
use crate::text;

/// Entries of `memory.stat` that Telegraf reports (`plugins/inputs/docker/gatherers.go`).
const STAT: [&str; 30] = [
    "active_anon",
    "active_file",
    "cache",
    "hierarchical_memory_limit",
    "inactive_anon",
    "inactive_file",
    "mapped_file",
    "pgfault",
    "pgmajfault",
    "pgpgin",
    "pgpgout",
    "rss",
    "rss_huge",
    "total_active_anon",
    "total_active_file",
    "total_cache",
    "total_inactive_anon",
    "total_inactive_file",
    "total_mapped_file",
    "total_pgfault",
    "total_pgmajfault",
    "total_pgpgin",
    "total_pgpgout",
    "total_rss",
    "total_rss_huge",
    "total_unevictable",
    "total_writeback",
    "unevictable",
    "writeback",
    // Only with a limit of swap.
    "swap",
];
/// The kernel's way to say that there is no limit: the largest multiple of a page.
const NO_LIMIT: u64 = 1 << 62;
/// Files of a device's counters, by scheduler: the first that has any is the one.
const SCHEDULERS: [&[(&str, &str)]; 4] = [
    &[
        (
            "blkio.bfq.io_service_bytes_recursive",
            "io_service_bytes_recursive",
        ),
        ("blkio.bfq.io_serviced_recursive", "io_serviced_recursive"),
        ("blkio.bfq.io_queued_recursive", "io_queue_recursive"),
        (
            "blkio.bfq.io_service_time_recursive",
            "io_service_time_recursive",
        ),
        ("blkio.bfq.io_wait_time_recursive", "io_wait_time_recursive"),
        ("blkio.bfq.io_merged_recursive", "io_merged_recursive"),
        ("blkio.bfq.time_recursive", "io_time_recursive"),
        ("blkio.bfq.sectors_recursive", "sectors_recursive"),
    ],
    &[
        (
            "blkio.io_service_bytes_recursive",
            "io_service_bytes_recursive",
        ),
        ("blkio.io_serviced_recursive", "io_serviced_recursive"),
        ("blkio.io_queued_recursive", "io_queue_recursive"),
        (
            "blkio.io_service_time_recursive",
            "io_service_time_recursive",
        ),
        ("blkio.io_wait_time_recursive", "io_wait_time_recursive"),
        ("blkio.io_merged_recursive", "io_merged_recursive"),
        ("blkio.time_recursive", "io_time_recursive"),
        ("blkio.sectors_recursive", "sectors_recursive"),
    ],
    &[
        (
            "blkio.throttle.io_service_bytes_recursive",
            "io_service_bytes_recursive",
        ),
        (
            "blkio.throttle.io_serviced_recursive",
            "io_serviced_recursive",
        ),
    ],
    &[
        (
            "blkio.throttle.io_service_bytes",
            "io_service_bytes_recursive",
        ),
        ("blkio.throttle.io_serviced", "io_serviced_recursive"),
    ],
];

pub(super) fn cpu(directory: &Path, limits: Option<&Path>, source: &mut Source) -> Option<Cpu> {
    let total_ns = single(&directory.join("cpuacct.usage"), source)?;
    let mut cpu = Cpu {
        total_ns,
        user_ns: single(&directory.join("cpuacct.usage_user"), source).unwrap_or(0),
        system_ns: single(&directory.join("cpuacct.usage_sys"), source).unwrap_or(0),
        ..Cpu::default()
    };
    if let Some(text) = source.read_group(&directory.join("cpuacct.usage_percpu")) {
        cpu.percpu_ns = text::words(text).map_while(text::unsigned).collect();
    }
    let limits = limits.unwrap_or(directory);
    if let Some(text) = source.read_group(&limits.join("cpu.stat")) {
        cpu.periods = keyed(text, "nr_periods").unwrap_or(0);
        cpu.throttled_periods = keyed(text, "nr_throttled").unwrap_or(0);
        cpu.throttled_ns = keyed(text, "throttled_time").unwrap_or(0);
    }
    Some(cpu)
}

pub(super) fn memory(directory: &Path, source: &mut Source) -> Option<Memory> {
    let current = single(&directory.join("memory.usage_in_bytes"), source)?;
    let limit = single(&directory.join("memory.limit_in_bytes"), source);
    let peak = single(&directory.join("memory.max_usage_in_bytes"), source);
    let failures = single(&directory.join("memory.failcnt"), source).unwrap_or(0);
    let oom = source.read_group(&directory.join("memory.oom_control"));
    let oom_kills = oom.and_then(|text| keyed(text, "oom_kill"));
    let text = source.read_group(&directory.join("memory.stat"))?;
    let (mut stat, mut cache, mut swap) = (Vec::with_capacity(STAT.len()), 0, None);
    for line in text::lines(text) {
        let mut words = text::words(line);
        let name = words.next().unwrap_or_default();
        let field = STAT.iter().find(|known| known.as_bytes() == name);
        let (Some(field), Some(value)) = (field, words.next().and_then(text::unsigned)) else {
            continue;
        };
        match *field {
            // Reported under a name that does not depend on the version.
            "swap" => swap = Some(value),
            field => {
                if field == "cache" {
                    cache = value;
                }
                stat.push((field, value));
            }
        }
    }
    Some(Memory {
        usage: if cache < current {
            current - cache
        } else {
            current
        },
        limit: limit.filter(|limit| *limit < NO_LIMIT),
        peak,
        failures,
        oom_kills,
        swap,
        stat,
    })
}

pub(super) fn io(directory: &Path, source: &mut Source) -> Option<Vec<IoValue>> {
    let mut is_there = false;
    for files in SCHEDULERS {
        let mut values = Vec::new();
        for (file, field) in files {
            match source.read_group(&directory.join(file)) {
                Some(text) => {
                    is_there = true;
                    parse(text, field, &mut values);
                }
                // A scheduler that the kernel does not have, has none of its files.
                None if values.is_empty() => break,
                None => {}
            }
        }
        if !values.is_empty() {
            return Some(values);
        }
    }
    is_there.then(Vec::new)
}

/// Lines of `8:0 Read 4096`, or of `8:0 17` where a file does not tell operations apart. The last
/// line, a sum over all devices, is left out.
fn parse(text: &[u8], field: &str, values: &mut Vec<IoValue>) {
    for line in text::lines(text) {
        let mut words = text::words(line);
        let device = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
        let (Some(second), third) = (words.next(), words.next()) else {
            continue;
        };
        let (operation, value) = match third {
            Some(value) => (Some(second), text::unsigned(value)),
            None => (None, text::unsigned(second)),
        };
        let Some(value) = value.filter(|_| device.contains(':')) else {
            continue;
        };
        let field = match operation {
            Some(name) => {
                let name = String::from_utf8_lossy(name).to_lowercase();
                format!("{field}_{name}")
            }
            None => field.to_owned(),
        };
        values.push(IoValue {
            device,
            field,
            value,
        });
    }
}
