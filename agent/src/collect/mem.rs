//! `mem`: where the memory is.
//!
//! Source: `/proc/meminfo` (`influxdata/telegraf plugins/inputs/mem/mem.go`, `shirou/gopsutil
//! mem/mem_linux.go`). Every field is there at every gather; one whose line the kernel does not
//! write is 0.

use super::meminfo::Meminfo;
use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;

/// What `used` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemUsed {
    /// `total - available`: Telegraf from 1.36 on.
    #[default]
    Available,
    /// `total - free - buffers - cached`: Telegraf before 1.36.
    Classic,
}

/// What `mem` emits; the default is Telegraf's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemOptions {
    /// What `used` means.
    pub used: MemUsed,
    /// Six more fields: the anonymous and the file part of active and inactive memory,
    /// `unevictable` and `percpu`.
    pub collect_extended: bool,
}

/// The collector of `mem`.
#[derive(Debug)]
pub(crate) struct Mem {
    options: MemOptions,
    source: Source,
}

impl Mem {
    pub(crate) fn new(options: MemOptions) -> Self {
        Self {
            options,
            source: Source::default(),
        }
    }

    fn emit(options: MemOptions, info: &Meminfo<'_>, total: u64, out: &mut Batch) {
        let bytes = |key: &str| info.bytes(key).unwrap_or(0);
        let free = bytes("MemFree");
        let buffered = bytes("Buffers");
        let cached = bytes("Cached").saturating_add(bytes("SReclaimable"));
        // Kernels before 3.14 do not tell what is available; this is gopsutil's answer for them.
        let available = info
            .bytes("MemAvailable")
            .unwrap_or_else(|| cached.saturating_add(free));
        let used = match options.used {
            MemUsed::Available => total.saturating_sub(available),
            MemUsed::Classic => total
                .saturating_sub(free)
                .saturating_sub(buffered)
                .saturating_sub(cached),
        };
        let percent = |part: u64| 100.0 * part as f64 / total as f64;
        let mut line = out
            .line("mem")
            .unsigned("total", total)
            .unsigned("available", available)
            .unsigned("used", used)
            .float("used_percent", percent(used))
            .float("available_percent", percent(available))
            .unsigned("buffered", buffered)
            .unsigned("cached", cached)
            .unsigned("free", free)
            .unsigned("huge_pages_free", info.count("HugePages_Free").unwrap_or(0))
            .unsigned(
                "huge_pages_total",
                info.count("HugePages_Total").unwrap_or(0),
            );
        for (field, key) in BYTE_FIELDS {
            line = line.unsigned(field, bytes(key));
        }
        if options.collect_extended {
            for (field, key) in EXTENDED_BYTE_FIELDS {
                line = line.unsigned(field, bytes(key));
            }
        }
        line.finish();
    }
}

/// Fields that are one line of the file, in bytes.
const BYTE_FIELDS: [(&str, &str); 24] = [
    ("active", "Active"),
    ("inactive", "Inactive"),
    ("commit_limit", "CommitLimit"),
    ("committed_as", "Committed_AS"),
    ("dirty", "Dirty"),
    ("high_free", "HighFree"),
    ("high_total", "HighTotal"),
    ("huge_page_size", "Hugepagesize"),
    ("low_free", "LowFree"),
    ("low_total", "LowTotal"),
    ("mapped", "Mapped"),
    ("page_tables", "PageTables"),
    ("shared", "Shmem"),
    ("slab", "Slab"),
    ("sreclaimable", "SReclaimable"),
    ("sunreclaim", "SUnreclaim"),
    ("swap_cached", "SwapCached"),
    ("swap_free", "SwapFree"),
    ("swap_total", "SwapTotal"),
    ("vmalloc_chunk", "VmallocChunk"),
    ("vmalloc_total", "VmallocTotal"),
    ("vmalloc_used", "VmallocUsed"),
    ("write_back", "Writeback"),
    ("write_back_tmp", "WritebackTmp"),
];

const EXTENDED_BYTE_FIELDS: [(&str, &str); 6] = [
    ("active_anon", "Active(anon)"),
    ("inactive_anon", "Inactive(anon)"),
    ("active_file", "Active(file)"),
    ("inactive_file", "Inactive(file)"),
    ("unevictable", "Unevictable"),
    ("percpu", "Percpu"),
];

impl Collector for Mem {
    fn name(&self) -> &'static str {
        "mem"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        let path = roots.proc("meminfo");
        if let Some(text) = troubles.note(self.source.read(&path)) {
            let info = Meminfo::parse(text, |line| {
                troubles.add(SourceError::strange(&path, line));
            });
            match info.bytes("MemTotal") {
                Some(total) => Self::emit(self.options, &info, total, out),
                None => troubles.add(SourceError::strange(&path, text)),
            }
        }
        troubles.into_result()
    }
}
