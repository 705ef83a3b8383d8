//! What a store tells of itself under the names that InfluxDB has for it: one list for `/debug/vars`
//! and for whoever writes or shows it otherwise.
//!
//! Measurements, tags and fields are those that Telegraf's input `influxdb` and dashboards for
//! InfluxDB 1.x read. What this store does not have (TSM files, garbage collection) is left out, or
//! stands for what comes closest to it. Everything here is counted already; a list costs a walk over
//! databases and shards.

use std::collections::BTreeMap;

use tandem_model::TimeRange;
use tandem_store::{PolicyChoice, Refusal, Store, StoreStats};

use crate::Counters;

/// One thing that is told about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statistic {
    /// InfluxDB's name for it.
    pub(crate) name: &'static str,
    /// Sorted by key.
    pub(crate) tags: Vec<(&'static str, String)>,
    /// Sorted by key.
    pub(crate) values: Vec<(&'static str, i64)>,
}

impl Statistic {
    pub(crate) fn new(
        name: &'static str,
        tags: impl IntoIterator<Item = (&'static str, String)>,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Self {
        let clamp = |value| i64::try_from(value).unwrap_or(i64::MAX);
        let values = values.into_iter().map(|(key, value)| (key, clamp(value)));
        let mut statistic = Self {
            name,
            tags: tags.into_iter().collect(),
            values: values.collect(),
        };
        statistic.tags.sort_unstable();
        statistic.values.sort_unstable_by_key(|(key, _)| *key);
        statistic
    }

    /// InfluxDB's key for it among all others (`services/httpd/handler.go`, `serveExpvar`).
    pub(crate) fn key(&self) -> String {
        let tag = |name: &str| {
            let found = self.tags.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.as_str())
        };
        let mut parts = vec![self.name];
        if let Some(path) = tag("path") {
            parts.push(path);
            parts.extend(tag("id"));
        } else if let Some(bind) = tag("bind") {
            parts.extend(tag("proto"));
            parts.push(bind);
        } else if let Some(database) = tag("database") {
            parts.push(database);
            if let Some(policy) = tag("retention_policy") {
                parts.push(policy);
                parts.extend(tag("name"));
                parts.extend(tag("destination"));
            }
        }
        parts.join(":")
    }
}

/// All there is to tell. Blocks, for as long as a walk over databases and shards takes.
pub(crate) fn statistics(
    store: &Store,
    stats: &StoreStats,
    counters: &Counters,
    bind: &str,
) -> Vec<Statistic> {
    let mut all = vec![
        httpd(counters, stats, bind),
        write(stats),
        Statistic::new(
            "queryExecutor",
            [],
            [
                ("queriesActive", counters.queries_active.get()),
                ("queriesExecuted", counters.queries.get()),
                (
                    "queriesFinished",
                    counters
                        .queries
                        .get()
                        .saturating_sub(counters.queries_active.get()),
                ),
                ("queryDurationNs", counters.query_ns.get()),
                ("recoveredPanics", 0),
            ],
        ),
        runtime(stats),
    ];
    let mut databases: BTreeMap<String, u64> = BTreeMap::new();
    for name in store.databases() {
        databases.insert(name, 0);
    }
    for shard in store.shards() {
        let tag = |key, value: &str| (key, value.to_owned());
        let path = format!("{}/{}/{}", shard.database, shard.policy, shard.id.0);
        let tags = [
            tag("database", &shard.database),
            tag("engine", "tandem"),
            ("id", shard.id.0.to_string()),
            tag("indexType", "tandem"),
            tag("path", &path),
            tag("retentionPolicy", &shard.policy),
            tag("walPath", &path),
        ];
        all.push(Statistic::new(
            "shard",
            tags.clone(),
            [
                ("diskBytes", shard.file_bytes),
                ("seriesCreate", shard.series),
            ],
        ));
        all.push(Statistic::new(
            "tsm1_filestore",
            tags.clone(),
            [
                ("diskBytes", shard.file_bytes),
                ("numFiles", shard.files as u64),
            ],
        ));
        all.push(Statistic::new(
            "tsm1_cache",
            tags,
            [("memBytes", shard.memtable_bytes as u64), ("diskBytes", 0)],
        ));
    }
    for name in databases.into_keys() {
        // One that is dropped meanwhile is left out.
        let Ok(view) = store.view(&name, PolicyChoice::All, TimeRange::ALL) else {
            continue;
        };
        let measurements = view.measurements();
        let series = measurements
            .iter()
            .map(|name| view.series(name).len())
            .sum();
        all.push(Statistic::new(
            "database",
            [("database", name)],
            [
                ("numMeasurements", measurements.len() as u64),
                ("numSeries", series),
            ],
        ));
    }
    all
}

fn httpd(counters: &Counters, stats: &StoreStats, bind: &str) -> Statistic {
    let refused: u64 = Refusal::ALL
        .iter()
        .zip(stats.writes.refused)
        .filter(|(reason, _)| **reason == Refusal::Unparsable)
        .map(|(_, count)| count)
        .sum();
    Statistic::new(
        "httpd",
        [("bind", bind.to_owned())],
        [
            ("authFail", counters.auth_failures.get()),
            ("clientError", counters.client_errors.get()),
            ("fluxQueryReq", 0),
            ("fluxQueryReqDurationNs", 0),
            ("pingReq", counters.pings.get()),
            ("pointsWrittenDropped", counters.points_dropped.get()),
            ("pointsWrittenFail", refused),
            ("pointsWrittenOK", counters.points_written.get()),
            ("promReadReq", counters.prometheus_reads.get()),
            ("promWriteReq", counters.prometheus_writes.get()),
            ("queryReq", counters.queries.get()),
            ("queryReqDurationNs", counters.query_ns.get()),
            ("queryRespBytes", counters.query_bytes.get()),
            ("recoveredPanics", 0),
            ("req", counters.requests.get()),
            ("reqActive", counters.requests_active.get()),
            ("reqDurationNs", counters.request_ns.get()),
            ("serverError", counters.server_errors.get()),
            ("statusReq", 0),
            ("valuesWrittenOK", stats.writes.values),
            ("writeReq", counters.writes.get()),
            ("writeReqActive", counters.writes_active.get()),
            ("writeReqBytes", counters.write_bytes.get()),
            ("writeReqDurationNs", counters.write_ns.get()),
        ],
    )
}

fn write(stats: &StoreStats) -> Statistic {
    let refused = |of_requests: bool| -> u64 {
        let all = Refusal::ALL.iter().zip(stats.writes.refused);
        all.filter(|(reason, _)| reason.is_of_requests() == of_requests)
            .map(|(_, count)| count)
            .sum()
    };
    Statistic::new(
        "write",
        [],
        [
            ("pointReq", stats.writes.points + refused(false)),
            ("pointReqLocal", stats.writes.points + refused(false)),
            ("req", stats.writes.requests + refused(true)),
            ("subWriteDrop", 0),
            ("subWriteOk", 0),
            ("writeDrop", refused(false)),
            ("writeError", refused(true)),
            ("writeOk", stats.writes.requests),
            ("writeTimeout", 0),
        ],
    )
}

fn runtime(stats: &StoreStats) -> Statistic {
    let memory = Memory::now(stats);
    Statistic::new(
        "runtime",
        [],
        [
            ("Alloc", memory.used),
            ("HeapAlloc", memory.used),
            ("HeapInUse", memory.used),
            ("HeapSys", memory.resident),
            ("NumGC", 0),
            ("NumGoroutine", memory.threads),
            ("PauseTotalNs", 0),
            ("Sys", memory.resident),
        ],
    )
}

/// The process's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Bytes that the store has accounts for; others that are in use are not known.
    pub(crate) used: u64,
    /// Bytes that the process takes, as far as the system tells.
    pub(crate) resident: u64,
    /// Threads of the process.
    pub(crate) threads: u64,
}

impl Memory {
    pub(crate) fn now(stats: &StoreStats) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        };
        let memory = &stats.memory;
        let used = memory.memtable_bytes
            + memory.writing_bytes
            + memory.query_bytes
            + memory.cache_bytes
            + memory.index_bytes;
        Self {
            used,
            resident: number("VmRSS:").map_or(used, |kib| kib * 1024),
            threads: number("Threads:").unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_influxdb() {
        let with = |tags: &[(&'static str, &str)]| {
            let tags = tags.iter().map(|(key, value)| (*key, (*value).to_owned()));
            Statistic::new("x", tags, []).key()
        };
        assert_eq!(with(&[]), "x");
        assert_eq!(with(&[("bind", ":8086")]), "x::8086");
        assert_eq!(with(&[("proto", "udp"), ("bind", ":1")]), "x:udp::1");
        assert_eq!(
            with(&[("path", "/p"), ("id", "7"), ("database", "d")]),
            "x:/p:7"
        );
        assert_eq!(with(&[("database", "d")]), "x:d");
        assert_eq!(
            with(&[
                ("database", "d"),
                ("retention_policy", "r"),
                ("name", "n"),
                ("destination", "e")
            ]),
            "x:d:r:n:e"
        );
    }
}
