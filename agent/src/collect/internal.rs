//! `internal_agent`, `internal_gather`, `internal_write`: what the agent says about itself
//! (`influxdata/telegraf plugins/inputs/internal`).
//!
//! Beyond Telegraf's fields, `internal_agent` has all that is needed to see that no line was lost:
//! `metrics_gathered + metrics_recovered = metrics_written + metrics_buffered + metrics_dropped +
//! metrics_rejected`, exactly, in every point, because all are read at one moment.

use std::sync::Arc;

use super::source::{Source, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::counters::Counters;
use crate::roots::Roots;
use crate::usage;

/// The program's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Telegraf's tag of this name says which Go it was built with.
const GO_VERSION: &str = "none";
/// The output that Telegraf's dashboards look for.
const OUTPUT: &str = "influxdb";

/// What `internal` emits beside; the default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InternalOptions {
    /// `internal_memstats`: the memory of this process, as far as Telegraf's fields mean something without Go.
    pub collect_memstats: bool,
}

/// The collector of `internal_*`.
#[derive(Debug)]
pub(crate) struct Internal {
    options: InternalOptions,
    counters: Arc<Counters>,
    /// Bytes that may wait, in memory and on disk.
    buffer_bytes_max: u64,
    source: Source,
}

impl Internal {
    pub(crate) fn new(
        options: InternalOptions,
        counters: Arc<Counters>,
        buffer_bytes_max: u64,
    ) -> Self {
        Self {
            options,
            counters,
            buffer_bytes_max,
            source: Source::default(),
        }
    }
}

impl Collector for Internal {
    fn name(&self) -> &'static str {
        "internal"
    }

    fn gather(&mut self, _roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let now = self.counters.read();
        let usage = usage::read(&mut self.source);
        out.line("internal_agent")
            .tag("version", VERSION)
            .tag("go_version", GO_VERSION)
            .unsigned("metrics_gathered", now.gathered)
            .unsigned("metrics_recovered", now.recovered)
            .unsigned("metrics_written", now.written)
            .unsigned("metrics_buffered", now.buffered)
            .unsigned("metrics_dropped", now.dropped)
            .unsigned("metrics_rejected", now.rejected)
            .unsigned("gather_errors", now.gather_errors)
            .unsigned("gather_timeouts", now.gather_timeouts)
            .unsigned("gathers_skipped", now.gathers_skipped)
            .unsigned("write_errors", now.write_errors)
            .unsigned("cpu_time_ns", usage.cpu_ns)
            .unsigned("rss_bytes", usage.rss_bytes)
            .finish();
        if self.options.collect_memstats {
            out.line("internal_memstats")
                .unsigned("alloc_bytes", usage.heap_bytes)
                .unsigned("heap_alloc_bytes", usage.heap_bytes)
                .unsigned("heap_sys_bytes", usage.heap_bytes)
                .unsigned("sys_bytes", usage.rss_bytes)
                .finish();
        }
        for stats in self.counters.collectors() {
            let (figures, time_ns) = stats.take();
            out.line("internal_gather")
                .tag("version", VERSION)
                .tag("input", stats.name)
                .unsigned("metrics_gathered", figures.lines)
                .unsigned("gather_time_ns", time_ns)
                .unsigned("gather_errors", figures.errors)
                .unsigned("gather_timeouts", figures.timeouts)
                .unsigned("errors", figures.errors)
                .unsigned("startup_errors", 0)
                .unsigned("series_refused", figures.refused)
                .unsigned("slowdown", figures.slowdown.max(1))
                .finish();
        }
        // Telegraf's limit is one of lines, the one here is one of bytes.
        let line_bytes = now.gathered_bytes.checked_div(now.gathered).unwrap_or(0);
        out.line("internal_write")
            .tag("version", VERSION)
            .tag("output", OUTPUT)
            .unsigned("buffer_size", now.buffered)
            .unsigned("buffer_limit", self.buffer_bytes_max / line_bytes.max(1))
            .unsigned("metrics_added", now.gathered + now.recovered)
            .unsigned("metrics_written", now.written)
            .unsigned("metrics_rejected", now.rejected)
            .unsigned("metrics_dropped", now.dropped)
            .unsigned("metrics_filtered", 0)
            .unsigned("write_time_ns", self.counters.take_write_time_ns())
            .unsigned("write_errors", now.write_errors)
            .unsigned("errors", now.write_errors)
            .unsigned("startup_errors", 0)
            .unsigned("bytes_written", now.written_bytes)
            .finish();
        Ok(())
    }
}
