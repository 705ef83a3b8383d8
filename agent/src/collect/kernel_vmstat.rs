//! `kernel_vmstat`: every number of `/proc/vmstat`, some 180 of them
//! (`influxdata/telegraf plugins/inputs/kernel_vmstat`). Off unless it is asked for.

use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// The collector of `kernel_vmstat`.
#[derive(Debug, Default)]
pub(crate) struct KernelVmstat {
    source: Source,
}

impl Collector for KernelVmstat {
    fn name(&self) -> &'static str {
        "kernel_vmstat"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        let path = roots.proc("vmstat");
        let table = troubles.note(self.source.read(&path)).unwrap_or_default();
        let mut line = out.line("kernel_vmstat");
        for row in text::lines(table) {
            let mut words = text::words(row);
            let name = words.next().and_then(|name| std::str::from_utf8(name).ok());
            match (name, words.next().and_then(text::signed)) {
                (Some(name), Some(number)) => line = line.signed(name, number),
                _ => troubles.add(SourceError::strange(&path, row)),
            }
        }
        line.finish();
        troubles.into_result()
    }
}
