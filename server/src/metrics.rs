//! `/metrics`: what this store and its listeners hold and have done, in the text format of
//! Prometheus (`prometheus/docs exposition_formats.md`).
//!
//! Each number carries the label `instance` with the store's name. Listeners know their own store alone, so
//! those of one process never show each other's numbers. Names are `tandem_store_*` for the engine
//! and `tandem_http_*` for its listeners; a name ends in its unit, and in `_total` where it only grows.

use std::fmt::{Display, Write};
use std::time::Duration;

use tandem_store::{LogStats, Refusal, SYNC_BOUNDS, StoreStats, WalStats};

use crate::Counters;
use crate::parts::Parts;

/// The `Content-Type` of the answer.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The answer.
pub(crate) fn exposition(
    instance: &str,
    stats: &StoreStats,
    counters: &Counters,
    parts: Option<&Parts>,
) -> String {
    let mut out = Exposition {
        text: String::with_capacity(16 << 10),
        instance: escaped(instance),
    };
    things(&mut out, stats);
    memory(&mut out, stats);
    logs(&mut out, stats);
    flushes_and_compactions(&mut out, stats);
    writes(&mut out, stats);
    listeners(&mut out, counters);
    if let Some(parts) = parts {
        parts.expose(&mut out);
    }
    out.text
}

fn things(out: &mut Exposition, stats: &StoreStats) {
    out.gauge(
        "store_uptime_seconds",
        "Time since the store was opened.",
        stats.uptime.as_secs_f64(),
    );
    let writable = u8::from(stats.refusal.is_none());
    out.gauge(
        "store_writable",
        "1 while the store takes writes.",
        writable,
    );
    out.gauge("store_databases", "Databases.", stats.databases);
    out.gauge("store_series", "Series.", stats.series);
    out.gauge("store_shards", "Shards.", stats.shards);
    out.gauge(
        "store_tombstones",
        "Deletions whose rows are still in files, by shard.",
        stats.tombstones,
    );
    out.head("store_block_files", "Block files.", "gauge");
    for level in &stats.levels {
        out.line("store_block_files", &[("level", &level.level)], level.files);
    }
    out.head("store_block_file_bytes", "Bytes of block files.", "gauge");
    for level in &stats.levels {
        out.line(
            "store_block_file_bytes",
            &[("level", &level.level)],
            level.bytes,
        );
    }
    out.gauge(
        "store_damaged_files",
        "Files found to be damaged.",
        stats.damaged.len(),
    );
    out.gauge(
        "store_orphan_files",
        "Files and directories that the start kept although the manifest, having lost its end, does not name them.",
        stats.orphans,
    );
    out.gauge(
        "store_wal_lost_rows",
        "Rows of the WAL that the start found no place for.",
        stats.lost_rows,
    );
    out.gauge(
        "store_wal_skipped_rows",
        "Rows of the WAL that the start left out because they were dropped.",
        stats.skipped_rows,
    );
    out.counter(
        "store_damaged_reads_total",
        "Reads of block files that found damage.",
        stats.damaged_reads,
    );
    if let Some(free) = stats.disk_free_bytes {
        out.gauge("store_disk_free_bytes", "Free bytes of the disk.", free);
    }
}

fn memory(out: &mut Exposition, stats: &StoreStats) {
    let memory = &stats.memory;
    out.head("store_memory_bytes", "Memory in use, by part.", "gauge");
    for (part, bytes) in [
        ("memtables", memory.memtable_bytes),
        ("writing", memory.writing_bytes),
        ("queries", memory.query_bytes),
        ("cache", memory.cache_bytes),
        ("index", memory.index_bytes),
        ("schemas", memory.schema_bytes),
    ] {
        out.line("store_memory_bytes", &[("part", &part)], bytes);
    }
    out.head(
        "store_memory_bytes_max",
        "Bounds of memory, by part; memtables and writing share one.",
        "gauge",
    );
    for (part, bytes) in [
        ("writes", memory.writes_bytes_max),
        ("queries", memory.query_bytes_max),
        ("cache", memory.cache_bytes_max),
        ("schemas", memory.schema_bytes_max),
    ] {
        out.line("store_memory_bytes_max", &[("part", &part)], bytes);
    }
    out.counter(
        "store_writes_waited_total",
        "Writes that waited for memory.",
        memory.writes_waited,
    );
    out.counter(
        "store_cache_hits_total",
        "Reads found in the block cache.",
        stats.cache_hits,
    );
    out.counter(
        "store_cache_misses_total",
        "Reads not found in the block cache.",
        stats.cache_misses,
    );
}

fn logs(out: &mut Exposition, stats: &StoreStats) {
    let logs = [("wal", &stats.wal), ("manifest", &stats.manifest)];
    let gauge = |out: &mut Exposition, name: &str, help: &str, of: fn(&WalStats) -> u64| {
        out.head(name, help, "gauge");
        for (log, wal) in logs {
            out.line(name, &[("log", &log)], of(wal));
        }
    };
    gauge(
        out,
        "store_log_bytes",
        "Bytes of a log's segments.",
        |log| log.bytes,
    );
    gauge(out, "store_log_segments", "Segments of a log.", |log| {
        log.segments
    });
    gauge(
        out,
        "store_log_spares",
        "Files that a log keeps to write them again.",
        |log| log.spares,
    );
    out.head(
        "store_log_records_total",
        "Records made durable.",
        "counter",
    );
    for (log, wal) in logs {
        out.line("store_log_records_total", &[("log", &log)], wal.log.records);
    }
    out.head(
        "store_log_written_bytes_total",
        "Bytes made durable.",
        "counter",
    );
    for (log, wal) in logs {
        out.line(
            "store_log_written_bytes_total",
            &[("log", &log)],
            wal.log.bytes,
        );
    }
    out.head(
        "store_log_sync_seconds",
        "Time of a log's syncs.",
        "histogram",
    );
    for (log, wal) in logs {
        histogram(out, log, &wal.log);
    }
}

fn histogram(out: &mut Exposition, log: &str, stats: &LogStats) {
    let mut sum = 0;
    for (at, count) in stats.sync_buckets.iter().enumerate() {
        sum += count;
        let bound = SYNC_BOUNDS.get(at).map_or_else(
            || "+Inf".to_owned(),
            |bound| bound.as_secs_f64().to_string(),
        );
        out.line(
            "store_log_sync_seconds_bucket",
            &[("log", &log), ("le", &bound)],
            sum,
        );
    }
    out.line(
        "store_log_sync_seconds_sum",
        &[("log", &log)],
        seconds(stats.sync_time),
    );
    out.line(
        "store_log_sync_seconds_count",
        &[("log", &log)],
        stats.syncs,
    );
}

fn flushes_and_compactions(out: &mut Exposition, stats: &StoreStats) {
    let (flushes, compaction) = (&stats.flushes, &stats.compaction);
    out.counter("store_flushes_total", "Flushes.", flushes.count);
    out.counter(
        "store_flush_failures_total",
        "Flushes that failed.",
        flushes.failures,
    );
    out.counter(
        "store_flush_seconds_total",
        "Time of flushes.",
        seconds(flushes.time),
    );
    out.counter("store_compactions_total", "Compactions.", compaction.merges);
    out.counter(
        "store_compaction_failures_total",
        "Compactions that failed.",
        compaction.failures,
    );
    out.counter(
        "store_compactions_without_space_total",
        "Compactions that were not begun for want of space.",
        compaction.no_space,
    );
    out.counter(
        "store_compaction_read_bytes_total",
        "Bytes of files that were compacted.",
        compaction.read_bytes,
    );
    out.head(
        "store_file_written_bytes_total",
        "Bytes of block files written, by what for.",
        "counter",
    );
    for (by, bytes) in [
        ("flush", compaction.flush_bytes),
        ("level", compaction.level_bytes),
        ("cold", compaction.cold_bytes),
    ] {
        out.line("store_file_written_bytes_total", &[("by", &by)], bytes);
    }
    out.gauge(
        "store_write_amplification_ratio",
        "Bytes of files written for each byte that flushes wrote.",
        compaction.write_amplification(),
    );
    out.gauge(
        "store_file_removals_pending",
        "Files that were replaced and that a reader still has.",
        compaction.removals_pending,
    );
}

fn writes(out: &mut Exposition, stats: &StoreStats) {
    let writes = &stats.writes;
    out.counter(
        "store_writes_total",
        "Writes that stored something.",
        writes.requests,
    );
    out.counter(
        "store_write_bytes_total",
        "Bytes of the bodies of writes.",
        writes.bytes,
    );
    out.counter("store_points_total", "Points stored.", writes.points);
    out.counter("store_values_total", "Values stored.", writes.values);
    for (name, help, of_requests) in [
        (
            "store_points_refused_total",
            "Points that were refused.",
            false,
        ),
        (
            "store_writes_refused_total",
            "Writes that were refused.",
            true,
        ),
    ] {
        out.head(name, help, "counter");
        for (reason, count) in Refusal::ALL.iter().zip(writes.refused) {
            if reason.is_of_requests() == of_requests {
                out.line(name, &[("reason", &reason.name())], count);
            }
        }
    }
}

fn listeners(out: &mut Exposition, counters: &Counters) {
    out.gauge(
        "http_requests_active",
        "Requests being handled.",
        counters.requests_active.get(),
    );
    for (name, help, counter) in [
        ("http_requests_total", "Requests.", &counters.requests),
        (
            "http_queries_total",
            "Requests to /query.",
            &counters.queries,
        ),
        (
            "http_query_bytes_total",
            "Bytes of answers to queries.",
            &counters.query_bytes,
        ),
        ("http_writes_total", "Requests to /write.", &counters.writes),
        (
            "http_write_bytes_total",
            "Bytes of bodies written, after gunzip.",
            &counters.write_bytes,
        ),
        ("http_pings_total", "Requests to /ping.", &counters.pings),
        (
            "http_throttled_total",
            "Requests refused because too much was going on.",
            &counters.throttled,
        ),
    ] {
        out.counter(name, help, counter.get());
    }
    for (name, help, counter) in [
        (
            "http_query_seconds_total",
            "Time spent on queries.",
            &counters.query_ns,
        ),
        (
            "http_write_seconds_total",
            "Time spent on writes.",
            &counters.write_ns,
        ),
    ] {
        out.counter(name, help, seconds(Duration::from_nanos(counter.get())));
    }
    out.head(
        "http_errors_total",
        "Requests answered with an error, by its kind.",
        "counter",
    );
    for (kind, counter) in [
        ("4xx", &counters.client_errors),
        ("5xx", &counters.server_errors),
    ] {
        out.line("http_errors_total", &[("kind", &kind)], counter.get());
    }
}

/// The text, as it grows.
pub(crate) struct Exposition {
    text: String,
    instance: String,
}

impl Exposition {
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        self.line(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "counter");
        self.line(name, &[], value);
    }

    pub(crate) fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string cannot fail.
        let _ = write!(
            self.text,
            "# HELP tandem_{name} {help}\n# TYPE tandem_{name} {kind}\n"
        );
    }

    pub(crate) fn line(
        &mut self,
        name: &str,
        labels: &[(&str, &dyn Display)],
        value: impl Display,
    ) {
        let _ = write!(self.text, "tandem_{name}{{instance=\"{}\"", self.instance);
        for (label, text) in labels {
            let _ = write!(self.text, ",{label}=\"{text}\"");
        }
        let _ = writeln!(self.text, "}} {value}");
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// A label's value.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tandem_store::LevelStats;

    use super::*;

    /// Every sample has a head of its name, names come once, and values are numbers.
    #[test]
    fn the_text_is_well_formed() {
        let level = LevelStats {
            level: 2,
            files: 3,
            bytes: 4,
        };
        let mut stats = StoreStats {
            levels: vec![level],
            disk_free_bytes: Some(5),
            ..StoreStats::default()
        };
        stats.wal.log.sync_buckets[0] = 7;
        stats.wal.log.syncs = 7;
        let text = exposition("a\"b\\c", &stats, &Counters::default(), None);
        let mut heads = BTreeSet::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("# TYPE ") {
                let (name, kind) = head.split_once(' ').unwrap();
                assert!(["gauge", "counter", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(heads.insert(name.to_owned()), "{name} twice");
                current = name.to_owned();
            } else if !line.starts_with("# HELP ") {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert!(sample.starts_with(&current), "{line} is not below its head");
                assert!(sample.contains(r#"{instance="a\"b\\c""#), "{line}");
                value.parse::<f64>().unwrap();
            }
        }
        assert!(
            text.contains("tandem_store_block_files{instance=\"a\\\"b\\\\c\",level=\"2\"} 3\n")
        );
        assert!(text.contains("log=\"wal\",le=\"+Inf\"} 7\n"));
        assert!(text.contains("reason=\"overloaded\"} 0\n"));
    }
}
