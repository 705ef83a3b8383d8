//! `cpu`: how each processor, and all together, spent the time since the last gather.
//!
//! Source: `/proc/stat` (`influxdata/telegraf plugins/inputs/cpu/cpu.go`). Shares need two
//! samples: the first gather emits none. A processor that appears or goes off-line between two
//! gathers is left out of one of them. `iowait` can go backwards in the kernel's own numbers, so
//! that its share may be slightly negative; it is passed on as it is.
//! With `core_tags` lines also say on which core of which package a processor is
//! (`/proc/cpuinfo`).

use std::path::Path;

use super::cores::{self, Core};
use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::{Batch, Line};
use crate::roots::Roots;
use crate::text;

/// Ticks a second in `/proc/stat`: `USER_HZ`, 100 on every architecture that Rust's std supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// What `cpu` emits; the default is Telegraf's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuOptions {
    /// A line for each processor.
    pub percpu: bool,
    /// A line `cpu-total`.
    pub totalcpu: bool,
    /// The seconds since boot in each state, too.
    pub collect_cpu_time: bool,
    /// The sum of all states but idle, too.
    pub report_active: bool,
    /// The tags `core_id` and `physical_id`.
    pub core_tags: bool,
}

impl Default for CpuOptions {
    fn default() -> Self {
        Self {
            percpu: true,
            totalcpu: true,
            collect_cpu_time: false,
            report_active: false,
            core_tags: false,
        }
    }
}

/// The collector of `cpu`.
#[derive(Debug)]
pub(crate) struct Cpu {
    options: CpuOptions,
    source: Source,
    current: Vec<(Id, Ticks)>,
    last: Vec<(Id, Ticks)>,
    /// By number of the processor; nothing before they are asked for.
    cores: Vec<(u64, Core)>,
    /// How many processors there were when the cores were read.
    cores_of: usize,
}

/// How a processor is called in its lines.
#[derive(Clone, Copy, Debug)]
struct Name<'a> {
    cpu: &'a str,
    core: Option<&'a Core>,
}

impl Name<'_> {
    fn line<'a>(&self, out: &'a mut Batch) -> Line<'a> {
        let line = out.line("cpu").tag("cpu", self.cpu);
        match self.core {
            Some(core) => line
                .tag("core_id", &core.core_id)
                .tag("physical_id", &core.physical_id),
            None => line,
        }
    }
}

/// Which processor a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    Total,
    One(u64),
}

/// Ticks since boot in each state. `user` and `nice` contain `guest` and `guest_nice`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ticks {
    user: u64,
    nice: u64,
    system: u64,
    idle: u64,
    iowait: u64,
    irq: u64,
    softirq: u64,
    steal: u64,
    guest: u64,
    guest_nice: u64,
}

impl Ticks {
    fn parse<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut ticks = Self::default();
        let columns = [
            &mut ticks.user,
            &mut ticks.nice,
            &mut ticks.system,
            &mut ticks.idle,
            &mut ticks.iowait,
            &mut ticks.irq,
            &mut ticks.softirq,
            &mut ticks.steal,
            &mut ticks.guest,
            &mut ticks.guest_nice,
        ];
        /// What the oldest kernels gave; later columns were added one after the other.
        const COLUMNS_MIN: usize = 4;
        let mut found = 0;
        for (column, word) in columns.into_iter().zip(words) {
            *column = text::unsigned(word)?;
            found += 1;
        }
        (found >= COLUMNS_MIN).then_some(ticks)
    }

    /// All time, each tick once.
    fn total(&self) -> u64 {
        [
            self.user,
            self.system,
            self.nice,
            self.iowait,
            self.irq,
            self.softirq,
            self.steal,
            self.idle,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

/// `later - earlier`, negative when the counter went back.
fn delta(later: u64, earlier: u64) -> i64 {
    later.wrapping_sub(earlier).cast_signed()
}

impl Cpu {
    pub(crate) fn new(options: CpuOptions) -> Self {
        Self {
            options,
            source: Source::default(),
            current: Vec::new(),
            last: Vec::new(),
            cores: Vec::new(),
            cores_of: 0,
        }
    }

    /// Parses the `cpu` lines into `self.current`: processors first, the total last.
    fn parse(&mut self, path: &Path, troubles: &mut Troubles) -> Result<(), SourceError> {
        let stat = self.source.read(path)?;
        self.current.clear();
        let mut total = None;
        for line in text::lines(stat).take_while(|line| line.starts_with(b"cpu")) {
            let mut words = text::words(line);
            let name = words.next().and_then(|word| word.strip_prefix(b"cpu"));
            let id = match name {
                Some(b"") => Some(Id::Total),
                Some(number) => text::unsigned(number).map(Id::One),
                None => None,
            };
            match (id, Ticks::parse(words)) {
                (Some(Id::Total), Some(ticks)) => total = Some(ticks),
                (Some(id), Some(ticks)) => self.current.push((id, ticks)),
                _ => troubles.add(SourceError::strange(path, line)),
            }
        }
        if total.is_none() && self.current.is_empty() {
            return Err(SourceError::strange(path, stat));
        }
        self.current.extend(total.map(|ticks| (Id::Total, ticks)));
        Ok(())
    }

    fn wanted(&self, id: Id) -> bool {
        match id {
            Id::Total => self.options.totalcpu,
            Id::One(_) => self.options.percpu,
        }
    }

    /// Reads where processors are, again when some came or went.
    fn read_cores(&mut self, roots: &Roots, troubles: &mut Troubles) {
        if !self.options.core_tags || self.cores_of == self.current.len() {
            return;
        }
        self.cores_of = self.current.len();
        let read = cores::read(roots, &mut self.source);
        self.cores = troubles.note(read).unwrap_or_default();
    }

    fn core(&self, id: Id) -> Option<&Core> {
        let Id::One(number) = id else {
            return None;
        };
        let found = self.cores.iter().find(|(known, _)| *known == number);
        found.map(|(_, core)| core)
    }

    fn emit_times(&self, ticks: &Ticks, name: Name<'_>, out: &mut Batch) {
        let seconds = |ticks: u64| ticks as f64 / TICKS_PER_SECOND;
        let mut line = name
            .line(out)
            .float("time_user", seconds(ticks.user))
            .float("time_system", seconds(ticks.system))
            .float("time_idle", seconds(ticks.idle))
            .float("time_nice", seconds(ticks.nice))
            .float("time_iowait", seconds(ticks.iowait))
            .float("time_irq", seconds(ticks.irq))
            .float("time_softirq", seconds(ticks.softirq))
            .float("time_steal", seconds(ticks.steal))
            .float("time_guest", seconds(ticks.guest))
            .float("time_guest_nice", seconds(ticks.guest_nice));
        if self.options.report_active {
            let active = ticks.total().saturating_sub(ticks.idle);
            line = line.float("time_active", seconds(active));
        }
        line.finish();
    }

    fn emit_usage(&self, now: &Ticks, last: &Ticks, total: i64, name: Name<'_>, out: &mut Batch) {
        let share = |ticks: i64| 100.0 * ticks as f64 / total as f64;
        let guest = delta(now.guest, last.guest);
        let guest_nice = delta(now.guest_nice, last.guest_nice);
        let idle = delta(now.idle, last.idle);
        let mut line = name
            .line(out)
            .float("usage_user", share(delta(now.user, last.user) - guest))
            .float("usage_system", share(delta(now.system, last.system)))
            .float("usage_idle", share(idle))
            .float("usage_nice", share(delta(now.nice, last.nice) - guest_nice))
            .float("usage_iowait", share(delta(now.iowait, last.iowait)))
            .float("usage_irq", share(delta(now.irq, last.irq)))
            .float("usage_softirq", share(delta(now.softirq, last.softirq)))
            .float("usage_steal", share(delta(now.steal, last.steal)))
            .float("usage_guest", share(guest))
            .float("usage_guest_nice", share(guest_nice));
        if self.options.report_active {
            line = line.float("usage_active", share(total - idle));
        }
        line.finish();
    }

    fn emit(&self, path: &Path, out: &mut Batch, troubles: &mut Troubles) {
        for (at, (id, now)) in self.current.iter().enumerate() {
            if !self.wanted(*id) {
                continue;
            }
            let cpu = match id {
                Id::Total => "cpu-total".to_owned(),
                Id::One(number) => format!("cpu{number}"),
            };
            let name = Name {
                cpu: &cpu,
                core: self.core(*id),
            };
            if self.options.collect_cpu_time {
                self.emit_times(now, name, out);
            }
            let same_place = self.last.get(at).filter(|(last, _)| last == id);
            let before = same_place.or_else(|| self.last.iter().find(|(last, _)| last == id));
            let Some((_, last)) = before else {
                continue;
            };
            match delta(now.total(), last.total()) {
                0 => {}
                total if total < 0 => {
                    troubles.add(SourceError::Other {
                        what: format!("time of {cpu} in {} went back", path.display()),
                    });
                    return;
                }
                total => self.emit_usage(now, last, total, name, out),
            }
        }
    }
}

impl Collector for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        let path = roots.proc("stat");
        let parsed = self.parse(&path, &mut troubles);
        if troubles.note(parsed).is_some() {
            self.read_cores(roots, &mut troubles);
            self.emit(&path, out, &mut troubles);
            std::mem::swap(&mut self.current, &mut self.last);
        }
        troubles.into_result()
    }
}
