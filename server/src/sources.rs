//! All that a server tells of itself: to `SHOW STATS` and `SHOW DIAGNOSTICS`, to `/debug/vars`, and to the statistics
//! that it writes into its own store.

use std::sync::Arc;

use tandem_query::{Diagnostic, Introspection, Tasks, Value};
use tandem_store::Store;

use crate::Counters;
use crate::output::write_rfc3339;
use crate::parts::Parts;
use crate::statistics::{Statistic, statistics};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) parts: Arc<Parts>,
    pub(crate) tasks: Tasks,
    /// Where the API listens.
    pub(crate) bind: String,
    pub(crate) version: String,
    pub(crate) hostname: String,
    /// Nanoseconds since 1970.
    pub(crate) started_ns: i64,
}

impl Sources {
    /// All statistics. Blocks, for as long as a walk over databases and shards takes.
    pub(crate) fn all(&self) -> Vec<Statistic> {
        let stats = self.store.stats();
        let mut all = statistics(&self.store, &stats, &self.counters, &self.bind);
        // Known better by the list of queries than by the requests.
        let tasks = self.tasks.stats();
        all.retain(|statistic| statistic.name != "queryExecutor");
        all.push(Statistic::new(
            "queryExecutor",
            [],
            [
                ("queriesActive", tasks.active),
                ("queriesExecuted", tasks.executed),
                ("queriesFinished", tasks.finished),
                (
                    "queryDurationNs",
                    u64::try_from(tasks.time.as_nanos()).unwrap_or(u64::MAX),
                ),
                ("recoveredPanics", 0),
            ],
        ));
        all.push(Statistic::new(
            "cq",
            [],
            [
                ("queryFail", self.counters.continuous_failed.get()),
                ("queryOk", self.counters.continuous_ok.get()),
            ],
        ));
        all.push(Statistic::new(
            "tsm1_wal",
            [],
            [
                ("currentSegmentDiskBytes", stats.wal.bytes),
                ("oldSegmentsDiskBytes", 0),
                ("writeErr", 0),
                ("writeOk", stats.wal.log.records),
            ],
        ));
        let (flushes, compaction) = (&stats.flushes, &stats.compaction);
        all.push(Statistic::new(
            "tsm1_engine",
            [],
            [
                (
                    "cacheCompactionDuration",
                    u64::try_from(flushes.time.as_nanos()).unwrap_or(u64::MAX),
                ),
                ("cacheCompactionErr", flushes.failures),
                ("cacheCompactions", flushes.count),
                ("tsmFullCompactionErr", compaction.failures),
                ("tsmFullCompactions", compaction.merges),
            ],
        ));
        all.extend(self.parts.statistics());
        all
    }
}

impl Introspection for Sources {
    fn statistics(&self) -> Vec<tandem_query::Statistic> {
        let owned = |(key, value): (&'static str, String)| (key.to_owned(), value);
        let number = |(key, value): (&'static str, i64)| (key.to_owned(), Value::Integer(value));
        let shown = |statistic: Statistic| tandem_query::Statistic {
            name: statistic.name.to_owned(),
            tags: statistic.tags.into_iter().map(owned).collect(),
            values: statistic.values.into_iter().map(number).collect(),
        };
        self.all().into_iter().map(shown).collect()
    }

    fn index_bytes(&self) -> u64 {
        self.store.stats().memory.index_bytes
    }

    fn diagnostics(&self) -> Vec<Diagnostic> {
        let text = |text: &str| Value::String(text.as_bytes().to_vec());
        let time = |time_ns: i64| {
            let mut out = Vec::new();
            write_rfc3339(&mut out, time_ns, None);
            Value::String(out)
        };
        let table = |name: &str, cells: Vec<(&str, Value)>| {
            let (columns, row) = cells
                .into_iter()
                .map(|(column, value)| (column.to_owned(), value))
                .unzip();
            Diagnostic {
                name: name.to_owned(),
                columns,
                rows: vec![row],
            }
        };
        let now_ns = crate::api::now_ns();
        let uptime_s = (now_ns.saturating_sub(self.started_ns) / 1_000_000_000).max(0);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let count = |number: usize| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let report = self.store.report();
        let damaged: Vec<Vec<Value>> = self
            .store
            .damaged()
            .iter()
            .map(|file| vec![text(&file.to_string_lossy())])
            .collect();
        let mut tables = vec![
            table(
                "build",
                vec![
                    ("Branch", text("unknown")),
                    ("Build Time", text("")),
                    ("Commit", text("unknown")),
                    ("Version", text(&self.version)),
                ],
            ),
            table("network", vec![("hostname", text(&self.hostname))]),
            table(
                "runtime",
                vec![
                    ("GOARCH", text(go_arch())),
                    (
                        "GOMAXPROCS",
                        Value::Integer(i64::try_from(threads).unwrap_or(i64::MAX)),
                    ),
                    ("GOOS", text(std::env::consts::OS)),
                    (
                        "version",
                        text(concat!("tandem ", env!("CARGO_PKG_VERSION"))),
                    ),
                ],
            ),
            table(
                "system",
                vec![
                    ("PID", Value::Integer(i64::from(std::process::id()))),
                    ("currentTime", time(now_ns)),
                    ("started", time(self.started_ns)),
                    ("uptime", text(&format!("{uptime_s}s"))),
                ],
            ),
            table(
                "tandem",
                vec![
                    ("damagedFiles", count(damaged.len())),
                    (
                        "lostRows",
                        count(usize::try_from(report.lost_rows).unwrap_or(usize::MAX)),
                    ),
                    ("orphanFiles", count(report.orphans.len())),
                ],
            ),
        ];
        if !damaged.is_empty() {
            tables.push(Diagnostic {
                name: "tandem_damaged".to_owned(),
                columns: vec!["file".to_owned()],
                rows: damaged,
            });
        }
        tables
    }
}

/// Go's word for what this machine is.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
