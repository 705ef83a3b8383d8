//! `/appliance`: all that the page shows of the appliance in one look: this store, the relays that write to it, and
//! its peers. `/appliance/counts` asks one peer how many points it holds in a range of time.
//!
//! With authentication both are for admins: texts of queries may be among what is shown.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tandem_http::{Body, HeaderValue, Response, StatusCode, full, header, percent_encode};
use tandem_query::Tasks;
use tandem_store::{Store, StoreStats};

use super::{Api, Ask, finished, now_ns};
use crate::Counters;
use crate::auth::Identity;
use crate::statistics::Memory;

/// Shards that are told of, the newest.
const SHARDS_MAX: usize = 200;
/// Damaged files that are named.
const DAMAGED_MAX: usize = 20;

impl Api {
    pub(super) async fn appliance(&self, ask: &Ask, identity: &Identity) -> Response<Body> {
        if let Some(refused) = only_admins(ask, identity) {
            return refused;
        }
        let credentials = ask.headers.get(header::AUTHORIZATION);
        let (relays, peers) = match ask.params.get("alone") {
            Some("true") => (Vec::new(), Vec::new()),
            _ => self.neighbours.look(credentials).await,
        };
        let (store, counters) = (Arc::clone(&self.store), Arc::clone(&self.counters));
        let tasks = self.sources.tasks.clone();
        let (name, version) = (self.config.instance.clone(), self.config.version.clone());
        let telling = tokio::task::spawn_blocking(move || {
            let mut told = of_store(&store, &counters, &tasks);
            told["name"] = name.into();
            told["version"] = version.into();
            told
        });
        let told = json!({
            "now_ms": now_ns() / 1_000_000,
            "store": finished(telling).await,
            "relays": relays,
            "peers": peers,
        });
        answer(told.to_string())
    }

    /// Passes on what the peer of that number answers, so that its page's reader tells points and errors alike.
    pub(super) async fn peer_counts(&self, ask: &Ask, identity: &Identity) -> Response<Body> {
        if let Some(refused) = only_admins(ask, identity) {
            return refused;
        }
        let number = |name| {
            ask.params
                .get(name)
                .and_then(|text| text.parse::<i64>().ok())
        };
        let (Some(from_ms), Some(to_ms), Some(database)) = (
            number("from_ms"),
            number("to_ms"),
            ask.params.get_filled("db"),
        ) else {
            return ask.bad("db, from_ms and to_ms are required");
        };
        let peer = number("peer").and_then(|peer| usize::try_from(peer).ok());
        let target = format!(
            "/query?db={}&q={}",
            percent_encode(database),
            percent_encode(&format!(
                "SELECT count(*) FROM /.*/ WHERE time >= {from_ms}ms AND time < {to_ms}ms"
            ))
        );
        let credentials = ask.headers.get(header::AUTHORIZATION);
        let asked = self
            .neighbours
            .ask_peer(peer.unwrap_or(0), target, credentials);
        match asked.await {
            None => ask.error(StatusCode::NOT_FOUND, "there is no such peer"),
            Some(Err(error)) => ask.error(StatusCode::BAD_GATEWAY, &error),
            // Its 401 would have the browser ask for a password that is right here.
            Some(Ok(told)) if !told.status.is_success() => {
                let text = format!(
                    "{}: {}",
                    told.status,
                    String::from_utf8_lossy(&told.body.into_bytes()).trim()
                );
                ask.error(StatusCode::BAD_GATEWAY, &text)
            }
            Some(Ok(told)) => answer(told.body.into_bytes()),
        }
    }
}

fn answer(body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = full(StatusCode::OK, "application/json", body.into());
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn only_admins(ask: &Ask, identity: &Identity) -> Option<Response<Body>> {
    match identity {
        Identity::Anyone | Identity::User { admin: true, .. } => None,
        _ => Some(ask.error(
            StatusCode::FORBIDDEN,
            "the state of the appliance requires admin privilege",
        )),
    }
}

/// What one store tells of itself. Blocks, for a walk over its shards.
fn of_store(store: &Store, counters: &Counters, tasks: &Tasks) -> Json {
    let stats = store.stats();
    let memory = Memory::now(&stats);
    let mut shards = store.shards();
    let shards_all = shards.len();
    shards.sort_unstable_by_key(|shard| std::cmp::Reverse(shard.range.min_ns));
    shards.truncate(SHARDS_MAX);
    let shards: Vec<Json> = shards
        .into_iter()
        .map(|shard| {
            json!({
                "id": shard.id.0, "database": shard.database, "policy": shard.policy,
                "start_ms": shard.range.min_ns / 1_000_000, "end_ms": shard.range.max_ns / 1_000_000,
                "files": shard.files, "file_bytes": shard.file_bytes,
                "memtable_bytes": shard.memtable_bytes, "series": shard.series,
                "tombstones": shard.tombstones,
            })
        })
        .collect();
    let slow: Vec<Json> = tasks
        .slow()
        .into_iter()
        .map(|query| {
            json!({
                "query": query.text, "database": query.database,
                "took_ms": millis(query.took), "ago_ms": millis(query.ended.elapsed()),
            })
        })
        .collect();
    let mut told = engine(&stats, memory);
    told["counts"] = json!({
        "requests": counters.requests.get(), "queries": counters.queries.get(),
        "queries_active": counters.queries_active.get(), "writes": counters.writes.get(),
        "points_written": counters.points_written.get(), "points_dropped": counters.points_dropped.get(),
        "values_written": stats.writes.values, "client_errors": counters.client_errors.get(),
        "server_errors": counters.server_errors.get(), "throttled": counters.throttled.get(),
    });
    told["shards_all"] = shards_all.into();
    told["shards"] = shards.into();
    told["slow"] = slow.into();
    told
}

fn engine(stats: &StoreStats, memory: Memory) -> Json {
    let levels: Vec<Json> = stats
        .levels
        .iter()
        .map(|level| json!({ "level": level.level, "files": level.files, "bytes": level.bytes }))
        .collect();
    let damaged: Vec<String> = stats
        .damaged
        .iter()
        .take(DAMAGED_MAX)
        .map(|path| path.display().to_string())
        .collect();
    let (parts, compaction) = (&stats.memory, &stats.compaction);
    json!({
        "uptime_ms": millis(stats.uptime), "refusal": stats.refusal,
        "series": stats.series, "databases": stats.databases, "levels": levels,
        "tombstones": stats.tombstones, "damaged": damaged,
        "disk_free_bytes": stats.disk_free_bytes,
        "memory": {
            "resident_bytes": memory.resident,
            "memtable_bytes": parts.memtable_bytes, "writing_bytes": parts.writing_bytes,
            "writes_bytes_max": parts.writes_bytes_max, "query_bytes": parts.query_bytes,
            "query_bytes_max": parts.query_bytes_max, "cache_bytes": parts.cache_bytes,
            "cache_bytes_max": parts.cache_bytes_max, "index_bytes": parts.index_bytes,
        },
        "wal_bytes": stats.wal.bytes, "wal_syncs": stats.wal.log.syncs,
        "flushes": stats.flushes.count, "flush_failures": stats.flushes.failures,
        "compaction": {
            "merges": compaction.merges, "failures": compaction.failures,
            "no_space": compaction.no_space, "read_bytes": compaction.read_bytes,
            "written_bytes": compaction.level_bytes + compaction.cold_bytes,
            "amplification": compaction.write_amplification(),
        },
    })
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
