//! `kernel`: interrupts, context switches, forks, boot time, entropy; on request how pages of the
//! same text are shared, and `pressure` (`pressure.rs`).
//!
//! Sources: `/proc/stat`, `/proc/sys/kernel/random/entropy_avail` and `/sys/kernel/mm/ksm`
//! (`influxdata/telegraf plugins/inputs/kernel/kernel.go`, which ignores `HOST_PROC`; here it is
//! honoured).

use super::pressure;
use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::{Batch, Line};
use crate::roots::Roots;
use crate::text;

/// The files of `/sys/kernel/mm/ksm` that are reported, `ksm_…` each. Not every kernel has all.
const KSM: [&str; 15] = [
    "full_scans",
    "general_profit",
    "max_page_sharing",
    "merge_across_nodes",
    "pages_shared",
    "pages_sharing",
    "pages_to_scan",
    "pages_unshared",
    "pages_volatile",
    "run",
    "sleep_millisecs",
    "stable_node_chains",
    "stable_node_chains_prune_millisecs",
    "stable_node_dups",
    "use_zero_pages",
];

/// What `kernel` emits beside the counters; the default is Telegraf's, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelOptions {
    /// `pressure`: how long work waited for processors, memory and disks.
    pub psi: bool,
    /// Fields `ksm_…`: pages of the same text that processes share.
    pub ksm: bool,
}

/// The collector of `kernel`.
#[derive(Debug)]
pub(crate) struct Kernel {
    options: KernelOptions,
    source: Source,
    value: Source,
}

impl Kernel {
    pub(crate) fn new(options: KernelOptions) -> Self {
        Self {
            options,
            source: Source::default(),
            value: Source::default(),
        }
    }

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

/// Adds what the kernel says about shared pages.
fn ksm<'a>(
    mut line: Line<'a>,
    roots: &Roots,
    value: &mut Source,
    troubles: &mut Troubles,
) -> Line<'a> {
    let directory = roots.sys("kernel/mm/ksm");
    let mut found = 0;
    for name in KSM {
        let path = directory.join(name);
        let Some(text) = value.read_optional(&path) else {
            continue;
        };
        found += 1;
        match text::signed(text.trim_ascii()) {
            Some(number) => line = line.signed(&format!("ksm_{name}"), number),
            None => troubles.add(SourceError::strange(&path, text)),
        }
    }
    if found == 0 {
        let what = format!(
            "this kernel shares no pages: {} is empty",
            directory.display()
        );
        troubles.add(SourceError::Other { what });
    }
    line
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
        if self.options.ksm {
            line = ksm(line, roots, &mut self.value, &mut troubles);
        }
        line.finish();
        if self.options.psi {
            pressure::gather(roots, &mut self.value, out, &mut troubles);
        }
        troubles.into_result()
    }
}
