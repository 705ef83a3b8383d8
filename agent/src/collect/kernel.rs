//! `kernel`: interrupts, context switches, forks, boot time, entropy.
//!
//! Sources: `/proc/stat` and `/proc/sys/kernel/random/entropy_avail`
//! (`influxdata/telegraf plugins/inputs/kernel/kernel.go`, which ignores `HOST_PROC`; here it is
//! honoured).

use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// The collector of `kernel`.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    source: Source,
}

impl Kernel {
    fn entropy(&mut self, roots: &Roots, troubles: &mut Troubles) -> Option<u64> {
        let path = roots.proc("sys/kernel/random/entropy_avail");
        let text = troubles.note(self.source.read(&path))?;
        let entropy = text::unsigned(text.trim_ascii());
        if entropy.is_none() {
            troubles.add(SourceError::strange(&path, text));
        }
        entropy
    }
}

impl Collector for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        let entropy = self.entropy(roots, &mut troubles);
        let path = roots.proc("stat");
        let stat = troubles.note(self.source.read(&path)).unwrap_or_default();
        let mut line = out.line("kernel");
        if let Some(entropy) = entropy {
            line = line.unsigned("entropy_avail", entropy);
        }
        for text in text::lines(stat) {
            let mut words = text::words(text);
            let fields: &[&str] = match words.next() {
                Some(b"intr") => &["interrupts"],
                Some(b"ctxt") => &["context_switches"],
                Some(b"processes") => &["processes_forked"],
                Some(b"btime") => &["boot_time"],
                Some(b"page") => &["disk_pages_in", "disk_pages_out"],
                _ => continue,
            };
            for field in fields {
                match words.next().and_then(text::unsigned) {
                    Some(number) => line = line.unsigned(field, number),
                    None => troubles.add(SourceError::strange(&path, text)),
                }
            }
        }
        line.finish();
        troubles.into_result()
    }
}
