//! `swap`: how much swap space is used, and how much was swapped in and out since boot.
//!
//! Sources: `/proc/meminfo`, which agrees with `sysinfo(2)` and follows `HOST_PROC`, and
//! `/proc/vmstat` (`influxdata/telegraf plugins/inputs/swap/swap.go`). Two lines, one gauge and
//! one counter, as Telegraf has it.

use super::meminfo::Meminfo;
use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// gopsutil counts a page as 4 KiB on every host; so do the dashboards that it fills.
const PAGE_BYTES: u64 = 4096;

/// The collector of `swap`.
#[derive(Debug, Default)]
pub(crate) struct Swap {
    source: Source,
}

impl Swap {
    fn space(&mut self, roots: &Roots, out: &mut Batch, troubles: &mut Troubles) {
        let path = roots.proc("meminfo");
        let Some(text) = troubles.note(self.source.read(&path)) else {
            return;
        };
        // Its other lines are none of this collector's business, strange or not.
        let info = Meminfo::parse(text, |_| {});
        let (Some(total), Some(free)) = (info.bytes("SwapTotal"), info.bytes("SwapFree")) else {
            troubles.add(SourceError::strange(&path, text));
            return;
        };
        let used = total.saturating_sub(free);
        let used_percent = if total == 0 {
            0.0
        } else {
            100.0 * used as f64 / total as f64
        };
        out.line("swap")
            .unsigned("total", total)
            .unsigned("used", used)
            .unsigned("free", free)
            .float("used_percent", used_percent)
            .finish();
    }

    fn traffic(&mut self, roots: &Roots, out: &mut Batch, troubles: &mut Troubles) {
        let path = roots.proc("vmstat");
        let Some(text) = troubles.note(self.source.read(&path)) else {
            return;
        };
        // A kernel without swap support writes neither line.
        let (mut swapped_in, mut swapped_out) = (0, 0);
        for line in text::lines(text) {
            let pages = match line.split(|&byte| byte == b' ').next() {
                Some(b"pswpin") => &mut swapped_in,
                Some(b"pswpout") => &mut swapped_out,
                _ => continue,
            };
            match text::words(line).nth(1).and_then(text::unsigned) {
                Some(number) => *pages = number,
                None => troubles.add(SourceError::strange(&path, line)),
            }
        }
        out.line("swap")
            .unsigned("in", swapped_in.saturating_mul(PAGE_BYTES))
            .unsigned("out", swapped_out.saturating_mul(PAGE_BYTES))
            .finish();
    }
}

impl Collector for Swap {
    fn name(&self) -> &'static str {
        "swap"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        self.space(roots, out, &mut troubles);
        self.traffic(roots, out, &mut troubles);
        troubles.into_result()
    }
}
