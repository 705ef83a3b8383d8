//! `system`: load, processors, users, uptime.
//!
//! Sources: `/proc/loadavg`, `/proc/cpuinfo`, the processors' topology in `/sys`, `utmp` and
//! `/proc/uptime` (`influxdata/telegraf plugins/inputs/system/system.go`, its default group
//! `legacy`). Three lines: gauges, the counter `uptime`, and `uptime_format` for people. Hosts
//! without `utmp`, the rule on newer distributions, have no user fields.
//!
//! `/proc/cpuinfo` is slow to read on large hosts, so that processors are counted again only
//! when `/proc/stat` shows another number of them.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::source::{Source, SourceError, Troubles, trim_newline};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// Length of one record of `utmp` on 64-bit glibc, and what in it is read.
const UTMP_RECORD_BYTES: usize = 384;
const UTMP_USER_AT: std::ops::Range<usize> = 44..76;
/// A login session, among the kinds of record (`utmp(5)`).
const UTMP_USER_PROCESS: i16 = 7;

/// The collector of `system`.
#[derive(Debug, Default)]
pub(crate) struct System {
    source: Source,
    processors: Option<Processors>,
    uptime_text: String,
}

/// How many processors there are, and at what count in `/proc/stat` that was found.
#[derive(Clone, Copy, Debug)]
struct Processors {
    in_stat: usize,
    logical: usize,
    physical: Option<usize>,
}

/// Sessions and distinct users in the bytes of `utmp`.
fn count_users(utmp: &[u8]) -> (usize, usize) {
    let mut users = HashSet::new();
    let mut sessions = 0;
    for record in utmp.chunks_exact(UTMP_RECORD_BYTES) {
        let kind = record.first_chunk().map(|bytes| i16::from_ne_bytes(*bytes));
        if kind != Some(UTMP_USER_PROCESS) {
            continue;
        }
        sessions += 1;
        let user = record.get(UTMP_USER_AT).unwrap_or_default();
        users.extend(user.split(|&byte| byte == 0).next());
    }
    (sessions, users.len())
}

/// `14 days, 11:07`: what `uptime` prints.
fn format_uptime(uptime_s: u64, out: &mut String) {
    let (days, hours, minutes) = (uptime_s / 86_400, uptime_s / 3600 % 24, uptime_s / 60 % 60);
    out.clear();
    // Writing to a `String` cannot fail.
    if days != 0 {
        let _ = write!(out, "{days} day{}, ", if days > 1 { "s" } else { "" });
    }
    let _ = write!(out, "{hours:2}:{minutes:02}");
}

impl System {
    fn loads(&mut self, roots: &Roots, troubles: &mut Troubles) -> Option<[f64; 3]> {
        let path = roots.proc("loadavg");
        let text = troubles.note(self.source.read(&path))?;
        let mut loads = text::words(text).map(text::float);
        let (Some(Some(one)), Some(Some(five)), Some(Some(fifteen))) =
            (loads.next(), loads.next(), loads.next())
        else {
            troubles.add(SourceError::strange(&path, text));
            return None;
        };
        Some([one, five, fifteen])
    }

    fn count_processors(&mut self, roots: &Roots, troubles: &mut Troubles) -> Option<Processors> {
        let is_processor = |line: &&[u8]| {
            line.strip_prefix(b"cpu")
                .and_then(<[u8]>::first)
                .is_some_and(u8::is_ascii_digit)
        };
        let stat = troubles.note(self.source.read(&roots.proc("stat")));
        let in_stat = stat.map_or(0, |stat| text::lines(stat).filter(is_processor).count());
        if let Some(known) = self.processors.filter(|known| known.in_stat == in_stat) {
            return Some(known);
        }
        let cpuinfo = self.source.read_optional(&roots.proc("cpuinfo"));
        let in_cpuinfo = cpuinfo.map_or(0, |cpuinfo| {
            text::lines(cpuinfo)
                .filter(|line| line.starts_with(b"processor"))
                .filter_map(|line| line.split(|&byte| byte == b':').nth(1))
                .filter(|number| text::unsigned(number.trim_ascii()).is_some())
                .count()
        });
        let logical = if in_cpuinfo == 0 { in_stat } else { in_cpuinfo };
        if logical == 0 {
            return None;
        }
        self.processors = Some(Processors {
            in_stat,
            logical,
            physical: self.count_cores(roots),
        });
        self.processors
    }

    /// Distinct lists of threads that share a core; `None` where the kernel does not tell.
    fn count_cores(&mut self, roots: &Roots) -> Option<usize> {
        let entries = std::fs::read_dir(roots.sys("devices/system/cpu")).ok()?;
        let mut cores = HashSet::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let number = name.as_encoded_bytes().strip_prefix(b"cpu");
            if number.and_then(text::unsigned).is_none() {
                continue;
            }
            let topology = entry.path().join("topology");
            for file in ["core_cpus_list", "thread_siblings_list"] {
                if let Some(list) = self.source.read_optional(&topology.join(file)) {
                    cores.insert(list.to_vec());
                    break;
                }
            }
        }
        (!cores.is_empty()).then_some(cores.len())
    }

    fn gauges(&mut self, roots: &Roots, out: &mut Batch, troubles: &mut Troubles) {
        let loads = self.loads(roots, troubles);
        let processors = self.count_processors(roots, troubles);
        let utmp = self.source.read_optional(&roots.var("run/utmp"));
        let users = utmp.map(count_users);
        let mut line = out.line("system");
        if let Some([one, five, fifteen]) = loads {
            line = line
                .float("load1", one)
                .float("load5", five)
                .float("load15", fifteen);
        }
        if let Some(processors) = processors {
            // Hosts that hide their topology, as small virtual ones do, count each thread as a core.
            let physical = processors.physical.unwrap_or(processors.logical);
            line = line
                .unsigned("n_cpus", processors.logical as u64)
                .unsigned("n_physical_cpus", physical as u64);
        }
        if let Some((sessions, unique)) = users {
            line = line
                .unsigned("n_users", sessions as u64)
                .unsigned("n_unique_users", unique as u64);
        }
        line.finish();
    }

    fn uptime(&mut self, roots: &Roots, out: &mut Batch, troubles: &mut Troubles) {
        let path = roots.proc("uptime");
        let Some(text) = troubles.note(self.source.read(&path)) else {
            return;
        };
        let seconds = text.split(|&byte| byte == b'.' || byte == b' ').next();
        let Some(uptime_s) = seconds.map(trim_newline).and_then(text::unsigned) else {
            troubles.add(SourceError::strange(&path, text));
            return;
        };
        format_uptime(uptime_s, &mut self.uptime_text);
        out.line("system").unsigned("uptime", uptime_s).finish();
        out.line("system")
            .string("uptime_format", &self.uptime_text)
            .finish();
    }
}

impl Collector for System {
    fn name(&self) -> &'static str {
        "system"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        self.gauges(roots, out, &mut troubles);
        self.uptime(roots, out, &mut troubles);
        troubles.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_reads_as_people_know_it() {
        let mut text = String::new();
        for (uptime_s, expected) in [
            (0, " 0:00"),
            (59, " 0:00"),
            (11_100, " 3:05"),
            (86_400, "1 day,  0:00"),
            (14 * 86_400 + 11 * 3600 + 7 * 60 + 5, "14 days, 11:07"),
            (u64::MAX, "213503982334601 days,  7:00"),
        ] {
            format_uptime(uptime_s, &mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn only_login_sessions_are_users() {
        let record = |kind: i16, user: &str| {
            let mut bytes = vec![0; UTMP_RECORD_BYTES];
            bytes[..2].copy_from_slice(&kind.to_ne_bytes());
            bytes[44..44 + user.len()].copy_from_slice(user.as_bytes());
            bytes
        };
        let mut utmp = record(2, "reboot");
        utmp.extend(record(UTMP_USER_PROCESS, "ann"));
        utmp.extend(record(UTMP_USER_PROCESS, "bob"));
        utmp.extend(record(UTMP_USER_PROCESS, "ann"));
        utmp.extend(record(8, "gone"));
        utmp.extend([7, 0, 0]);
        assert_eq!(count_users(&utmp), (3, 2));
        assert_eq!(count_users(b""), (0, 0));
    }
}
