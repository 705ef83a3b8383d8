//! `conntrack`: connections that the kernel's firewall tracks, and what became of its lookups.
//!
//! Sources: `nf_conntrack_count` and `_max` below `/proc/sys/net`, `/proc/net/stat/nf_conntrack`
//! (`influxdata/telegraf plugins/inputs/conntrack`). Count and limit are floats, as the original
//! has them. A host whose kernel tracks nothing has none of these files, which is no trouble.
//!
//! The line `cpu=all` adds up every column, `entries` too, although each processor's row shows the
//! same number there: so does the original.

use super::net::proc_net;
use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// What `conntrack` emits; the default is that of the configuration that Telegraf is shipped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConntrackOptions {
    /// The line `cpu=all`.
    pub all: bool,
    /// A line for each processor.
    pub percpu: bool,
}

impl Default for ConntrackOptions {
    fn default() -> Self {
        Self {
            all: true,
            percpu: true,
        }
    }
}

/// Where the two numbers lie, by age of the kernel.
const DIRECTORIES: [&str; 2] = ["sys/net/netfilter", "sys/net/ipv4/netfilter"];
/// Names of a file on newer and older kernels, and the field.
const NUMBERS: [([&str; 2], &str); 2] = [
    (
        ["nf_conntrack_count", "ip_conntrack_count"],
        "ip_conntrack_count",
    ),
    (["nf_conntrack_max", "ip_conntrack_max"], "ip_conntrack_max"),
];
/// Columns of the table that are reported; the file's own heading has the same names.
const COLUMNS: [&str; 17] = [
    "entries",
    "searched",
    "found",
    "new",
    "invalid",
    "ignore",
    "delete",
    "delete_list",
    "insert",
    "insert_failed",
    "drop",
    "early_drop",
    "icmp_error",
    "expect_new",
    "expect_create",
    "expect_delete",
    "search_restart",
];

/// The collector of `conntrack`.
#[derive(Debug)]
pub(crate) struct Conntrack {
    options: ConntrackOptions,
    source: Source,
}

type Row = [u64; COLUMNS.len()];

fn parse_row(row: &[u8]) -> Option<Row> {
    let mut numbers = [0; COLUMNS.len()];
    let mut words = text::words(row);
    for number in &mut numbers {
        *number = words.next().and_then(text::hexadecimal)?;
    }
    Some(numbers)
}

fn emit(cpu: &str, row: &Row, out: &mut Batch) {
    let mut line = out.line("conntrack").tag("cpu", cpu);
    for (name, number) in COLUMNS.into_iter().zip(row) {
        line = line.unsigned(name, *number);
    }
    line.finish();
}

impl Conntrack {
    pub(crate) fn new(options: ConntrackOptions) -> Self {
        Self {
            options,
            source: Source::default(),
        }
    }

    fn numbers(&mut self, roots: &Roots, out: &mut Batch, troubles: &mut Troubles) {
        let mut line = out.line("conntrack");
        for (files, field) in NUMBERS {
            let paths = DIRECTORIES
                .into_iter()
                .flat_map(|dir| files.map(|file| roots.proc(dir).join(file)));
            for path in paths {
                let Some(text) = self.source.read_optional(&path) else {
                    continue;
                };
                match text::float(text.trim_ascii()) {
                    Some(number) => line = line.float(field, number),
                    None => troubles.add(SourceError::strange(&path, text)),
                }
                break;
            }
        }
        line.finish();
    }

    fn table(&mut self, roots: &Roots, out: &mut Batch, troubles: &mut Troubles) {
        let path = proc_net(roots, "stat/nf_conntrack");
        let Some(table) = self.source.read_optional(&path) else {
            return;
        };
        let mut rows = Vec::new();
        for row in text::lines(table).skip(1) {
            match parse_row(row) {
                Some(numbers) => rows.push(numbers),
                None => troubles.add(SourceError::strange(&path, row)),
            }
        }
        if self.options.all && !rows.is_empty() {
            let mut sums = [0_u64; COLUMNS.len()];
            for row in &rows {
                for (sum, number) in sums.iter_mut().zip(row) {
                    *sum = sum.wrapping_add(*number);
                }
            }
            emit("all", &sums, out);
        }
        if self.options.percpu {
            for (number, row) in rows.iter().enumerate() {
                emit(&format!("cpu{number}"), row, out);
            }
        }
    }
}

impl Collector for Conntrack {
    fn name(&self) -> &'static str {
        "conntrack"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        self.numbers(roots, out, &mut troubles);
        if self.options.all || self.options.percpu {
            self.table(roots, out, &mut troubles);
        }
        troubles.into_result()
    }
}
