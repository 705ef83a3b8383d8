//! Numbers of a group of version 2, as `opencontainers/cgroups fs2` and Docker read them.
//!
//! Beyond Docker: the peak of memory, operations beside bytes, kills and swap, all of which Docker
//! leaves out of its answers.

use std::path::Path;

use super::readings::{Cpu, IoValue, Memory};
use crate::collect::Source;
use crate::text;

/// Entries of `memory.stat`, and the fields that they are in Telegraf; the last three have their
/// names of version 1, for the dashboards of that time.
const STAT: [(&str, &str); 10] = [
    ("active_anon", "active_anon"),
    ("active_file", "active_file"),
    ("inactive_anon", "inactive_anon"),
    ("inactive_file", "inactive_file"),
    ("unevictable", "unevictable"),
    ("pgfault", "pgfault"),
    ("pgmajfault", "pgmajfault"),
    ("file", "cache"),
    ("anon", "rss"),
    ("file_mapped", "mapped_file"),
];
/// Entries of `io.stat`, and their fields.
const IO: [(&str, &str); 4] = [
    ("rbytes", "io_service_bytes_recursive_read"),
    ("wbytes", "io_service_bytes_recursive_write"),
    ("rios", "io_serviced_recursive_read"),
    ("wios", "io_serviced_recursive_write"),
];

const NS_PER_US: u64 = 1000;

/// The number of `key` in lines of `key number`.
pub(super) fn keyed(text: &[u8], key: &str) -> Option<u64> {
    text::lines(text).find_map(|line| {
        let mut words = text::words(line);
        (words.next()? == key.as_bytes()).then(|| words.next().and_then(text::unsigned))?
    })
}

/// The one number of a file.
pub(super) fn single(path: &Path, source: &mut Source) -> Option<u64> {
    text::unsigned(source.read_group(path)?.trim_ascii())
}

pub(super) fn cpu(directory: &Path, source: &mut Source) -> Option<Cpu> {
    let text = source.read_group(&directory.join("cpu.stat"))?;
    let ns = |key| keyed(text, key).map_or(0, |us| us.saturating_mul(NS_PER_US));
    keyed(text, "usage_usec")?;
    Some(Cpu {
        total_ns: ns("usage_usec"),
        user_ns: ns("user_usec"),
        system_ns: ns("system_usec"),
        periods: keyed(text, "nr_periods").unwrap_or(0),
        throttled_periods: keyed(text, "nr_throttled").unwrap_or(0),
        throttled_ns: ns("throttled_usec"),
        percpu_ns: Vec::new(),
    })
}

pub(super) fn memory(directory: &Path, source: &mut Source) -> Option<Memory> {
    let current = single(&directory.join("memory.current"), source)?;
    // `max` is no number, and no limit.
    let limit = single(&directory.join("memory.max"), source);
    let peak = single(&directory.join("memory.peak"), source);
    let swap = single(&directory.join("memory.swap.current"), source);
    let events = source.read_group(&directory.join("memory.events"));
    let failures = events.and_then(|text| keyed(text, "oom")).unwrap_or(0);
    let oom_kills = events.and_then(|text| keyed(text, "oom_kill"));
    let text = source.read_group(&directory.join("memory.stat"))?;
    let mut stat = Vec::with_capacity(STAT.len());
    let mut inactive_file = 0;
    for line in text::lines(text) {
        let mut words = text::words(line);
        let name = words.next().unwrap_or_default();
        let Some((_, field)) = STAT.iter().find(|(known, _)| known.as_bytes() == name) else {
            continue;
        };
        if let Some(value) = words.next().and_then(text::unsigned) {
            if *field == "inactive_file" {
                inactive_file = value;
            }
            stat.push((*field, value));
        }
    }
    let usage = if inactive_file < current {
        current - inactive_file
    } else {
        current
    };
    Some(Memory {
        usage,
        limit,
        peak,
        failures,
        oom_kills,
        swap,
        stat,
    })
}

pub(super) fn io(directory: &Path, source: &mut Source) -> Option<Vec<IoValue>> {
    let text = source.read_group(&directory.join("io.stat"))?;
    let mut values = Vec::new();
    for line in text::lines(text) {
        let mut words = text::words(line);
        let device = String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
        for word in words {
            let Some(equals) = memchr::memchr(b'=', word) else {
                continue;
            };
            let (key, value) = word.split_at(equals);
            let field = IO.iter().find(|(known, _)| known.as_bytes() == key);
            let value = value.get(1..).and_then(text::unsigned);
            if let (Some((_, field)), Some(value)) = (field, value) {
                values.push(IoValue {
                    device: device.clone(),
                    field: (*field).to_owned(),
                    value,
                });
            }
        }
    }
    Some(values)
}
