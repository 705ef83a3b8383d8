//! `pressure`: how long work waited for processors, memory and disks (`kernel` with `psi`).
//!
//! Source: `/proc/pressure/*` (`influxdata/telegraf plugins/inputs/kernel/psi.go`). The sum, in
//! microseconds, and the shares of the last 10, 60 and 300 seconds are lines of their own. That
//! all work waited for a processor is left out: the kernel always says 0.

use super::source::{Source, SourceError, Troubles};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// One line of the kernel's.
struct Pressure {
    avg10: f64,
    avg60: f64,
    avg300: f64,
    total_us: u64,
}

impl Pressure {
    /// `avg10=0.00 avg60=0.00 avg300=0.00 total=0`
    fn parse<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut next = |key: &str| words.next()?.strip_prefix(key.as_bytes());
        Some(Self {
            avg10: text::float(next("avg10=")?)?,
            avg60: text::float(next("avg60=")?)?,
            avg300: text::float(next("avg300=")?)?,
            total_us: text::unsigned(next("total=")?)?,
        })
    }
}

/// Appends what the kernel says.
pub(super) fn gather(roots: &Roots, source: &mut Source, out: &mut Batch, troubles: &mut Troubles) {
    for resource in ["cpu", "memory", "io"] {
        let path = roots.proc("pressure").join(resource);
        let Some(lines) = troubles.note(source.read(&path)) else {
            // It is there for all of them or for none.
            return;
        };
        for line in text::lines(lines) {
            let mut words = text::words(line);
            let kind = match words.next() {
                Some(b"some") => "some",
                Some(b"full") if resource == "cpu" => continue,
                Some(b"full") => "full",
                _ => {
                    troubles.add(SourceError::strange(&path, line));
                    continue;
                }
            };
            let Some(pressure) = Pressure::parse(words) else {
                troubles.add(SourceError::strange(&path, line));
                continue;
            };
            out.line("pressure")
                .tag("resource", resource)
                .tag("type", kind)
                .unsigned("total", pressure.total_us)
                .finish();
            out.line("pressure")
                .tag("resource", resource)
                .tag("type", kind)
                .float("avg10", pressure.avg10)
                .float("avg60", pressure.avg60)
                .float("avg300", pressure.avg300)
                .finish();
        }
    }
}
