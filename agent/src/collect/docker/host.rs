//! What a container's use is held against: the host's processors and memory.

use crate::collect::source::{Source, SourceError, Troubles};
use crate::roots::Roots;
use crate::text;

/// The kernel counts time in hundredths of a second here, whatever its own clock
/// (`moby/moby daemon/stats_unix.go`).
const NS_PER_TICK: u64 = 10_000_000;
/// Columns that are counted: user, nice, system, idle, iowait, irq, softirq.
const COLUMNS: usize = 7;

/// The host at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Host {
    /// Time of all processors since boot, whatever they did.
    pub(super) cpu_ns: u64,
    pub(super) cpus: u64,
    pub(super) memory_bytes: u64,
}

impl Host {
    /// Percent of one processor between two pairs of a container's and the host's time.
    pub(super) fn share(&self, last: (u64, u64), now: (u64, u64)) -> f64 {
        let used = now.0.saturating_sub(last.0) as f64;
        let all = now.1.saturating_sub(last.1) as f64;
        if used > 0.0 && all > 0.0 {
            used / all * self.cpus as f64 * 100.0
        } else {
            0.0
        }
    }
}

/// Time of all processors, and how many there are.
fn parse_stat(stat: &[u8]) -> Option<(u64, u64)> {
    let (mut ticks, mut cpus) = (None, 0);
    for line in text::lines(stat) {
        let Some(rest) = line.strip_prefix(b"cpu") else {
            continue;
        };
        if rest.first().is_some_and(u8::is_ascii_digit) {
            cpus += 1;
        } else {
            let columns = text::words(rest).take(COLUMNS).map(text::unsigned);
            ticks = columns.sum::<Option<u64>>();
        }
    }
    Some((ticks?.saturating_mul(NS_PER_TICK), cpus))
}

/// Time of all processors since boot; 0 where the kernel does not tell.
pub(crate) fn host_cpu_ns(roots: &Roots, source: &mut Source) -> u64 {
    let stat = source.read_optional(&roots.proc("stat"));
    stat.and_then(parse_stat).map_or(0, |(cpu_ns, _)| cpu_ns)
}

/// Reads the host.
pub(super) fn read(roots: &Roots, source: &mut Source, troubles: &mut Troubles) -> Host {
    let mut host = Host::default();
    let path = roots.proc("stat");
    if let Some(stat) = troubles.note(source.read(&path)) {
        match parse_stat(stat) {
            Some((cpu_ns, cpus)) => (host.cpu_ns, host.cpus) = (cpu_ns, cpus),
            None => troubles.add(SourceError::strange(&path, stat)),
        }
    }
    let path = roots.proc("meminfo");
    if let Some(meminfo) = troubles.note(source.read(&path)) {
        let total = text::lines(meminfo).find_map(|line| line.strip_prefix(b"MemTotal:"));
        let kib = total.and_then(|rest| text::words(rest).next().and_then(text::unsigned));
        match kib {
            Some(kib) => host.memory_bytes = kib.saturating_mul(1024),
            None => troubles.add(SourceError::strange(&path, meminfo)),
        }
    }
    host
}
