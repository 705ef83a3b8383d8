//! The store's own statistics, written into it every few seconds, where dashboards for InfluxDB 1.x read them: the
//! database `_internal` with the policy `monitor`, which keeps a week (`influxdata/influxdb monitor`).
//!
//! What the relays that write to this store tell of themselves goes with them, as `tandem_relay` and
//! `tandem_relay_backend`: a relay has no store of its own, and Grafana asks stores alone.
//!
//! A round costs a walk over databases and shards and one small write. A round that cannot be
//! written is left out: the next one comes soon.

use std::sync::Arc;
use std::time::Duration;

use tandem_http::Drained;
use tandem_line::Writer;
use tandem_model::Precision;
use tandem_query::Follower;
use tandem_store::{PolicySpec, Store, StoreError, WriteRequest};
use tokio::sync::watch;
use tracing::warn;

use crate::api::now_ns;
use crate::neighbours::Neighbours;
use crate::statistics::Statistic;
use crate::throttle::Throttle;

/// The policy that statistics are written to.
const POLICY: &str = "monitor";

/// How long they are kept.
const KEPT_NS: i64 = 7 * 24 * 3_600_000_000_000;

/// Whether and how often a store writes its statistics into itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorConfig {
    /// Whether it does.
    pub store_enabled: bool,
    /// Where.
    pub store_database: String,
    /// How often; at least a second.
    pub store_interval: Duration,
    /// The tag `hostname`, by which dashboards tell servers apart.
    pub hostname: String,
}

impl MonitorConfig {
    /// Default of [`MonitorConfig::store_database`].
    pub const STORE_DATABASE: &str = "_internal";
    /// Default of [`MonitorConfig::store_interval`].
    pub const STORE_INTERVAL: Duration = Duration::from_secs(10);
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            store_enabled: false,
            store_database: Self::STORE_DATABASE.to_owned(),
            store_interval: Self::STORE_INTERVAL,
            hostname: "localhost".to_owned(),
        }
    }
}

/// Gathers the statistics of a server. Blocks.
pub(crate) type Gather = Arc<dyn Fn() -> Vec<Statistic> + Send + Sync>;

/// Writes them.
pub(crate) struct Monitor {
    pub(crate) config: MonitorConfig,
    pub(crate) store: Arc<Store>,
    pub(crate) gather: Gather,
    pub(crate) neighbours: Arc<Neighbours>,
    /// Is told of what was written.
    pub(crate) follower: Option<Arc<dyn Follower>>,
}

impl Monitor {
    /// Writes every interval, at times that are multiples of it, until `stopped`.
    pub(crate) async fn run(self, mut stopped: watch::Receiver<bool>) -> Drained {
        let monitor = Arc::new(self);
        let complaints = Throttle::default();
        let interval = monitor.config.store_interval.max(Duration::from_secs(1));
        let interval_ns = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX);
        loop {
            let wait_ns = interval_ns - now_ns().rem_euclid(interval_ns);
            let wait = Duration::from_nanos(u64::try_from(wait_ns).unwrap_or(1));
            let stop = async { drop(stopped.wait_for(|stopped| *stopped).await) };
            if tokio::time::timeout(wait, stop).await.is_ok() {
                return Drained { cut_off: 0 };
            }
            let round = monitor.clone();
            // Whole seconds, as those of InfluxDB are.
            let time_ns = now_ns().div_euclid(1_000_000_000) * 1_000_000_000;
            let relays = round.neighbours.figures().await;
            let writing = tokio::task::spawn_blocking(move || round.write(relays, time_ns));
            match writing
                .await
                .map_err(tokio::task::JoinError::try_into_panic)
            {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    if let Some(silent) = complaints.speak() {
                        warn!(error, silent, "the store's own statistics were not written");
                    }
                }
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                Err(Err(_cancelled)) => return Drained { cut_off: 0 },
            }
        }
    }

    /// Writes one round: the store's own statistics, and what is told of `relays`.
    fn write(&self, relays: Vec<Statistic>, time_ns: i64) -> Result<(), String> {
        self.make_place().map_err(|error| error.to_string())?;
        let mut all = (self.gather)();
        all.extend(relays);
        let lines = lines(&all, &self.config.hostname, time_ns);
        let request = WriteRequest {
            database: &self.config.store_database,
            retention_policy: Some(POLICY),
            precision: Precision::Nanosecond,
            now_ns: time_ns,
        };
        let written = self.store.write(&request, &lines);
        written.map_err(|error| error.to_string())?;
        if let Some(follower) = &self.follower {
            follower.written(&request, &lines);
        }
        Ok(())
    }

    /// Makes database and policy where they are not there, or not any more.
    fn make_place(&self) -> Result<(), StoreError> {
        let database = &self.config.store_database;
        let spec = PolicySpec {
            name: Some(POLICY.to_owned()),
            duration_ns: Some(KEPT_NS),
            replicas: Some(1),
            ..PolicySpec::default()
        };
        match self.store.retention_policies(database) {
            Ok(policies) if policies.iter().any(|policy| policy.name == POLICY) => Ok(()),
            Ok(_) => self.store.create_policy(database, &spec, true),
            Err(_) => self.store.create_database(database, Some(&spec)),
        }
    }
}

fn lines(all: &[Statistic], hostname: &str, time_ns: i64) -> Vec<u8> {
    let mut writer = Writer::new();
    for statistic in all {
        let mut tags: Vec<(&str, &str)> = statistic
            .tags
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .chain([("hostname", hostname)])
            .collect();
        let mut line = writer.line(statistic.name).tags(&mut tags);
        for (name, value) in &statistic.values {
            line = line.integer(name, *value);
        }
        line.end(Some(time_ns));
    }
    writer.into_bytes()
}

#[cfg(test)]
mod tests {
    use tandem_model::TimeRange;
    use tandem_store::{Options, PolicyChoice};
    use tandem_vfs::RealFs;

    use super::*;
    use crate::NeighboursConfig;

    #[test]
    fn a_round_is_written_into_a_policy_of_a_week_whatever_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Arc::new(RealFs), dir.path(), Options::default()).unwrap();
        let store = Arc::new(store);
        let monitor = Monitor {
            config: MonitorConfig::default(),
            store: store.clone(),
            gather: Arc::new(|| {
                vec![
                    Statistic::new("write", [], [("req", 3)]),
                    Statistic::new(
                        "database",
                        [("database", "a b".to_owned())],
                        [("numSeries", 4)],
                    ),
                    Statistic::new("empty", [], []),
                ]
            }),
            neighbours: Arc::new(Neighbours::new(&NeighboursConfig::default()).unwrap()),
            follower: None,
        };
        let time_ns = now_ns();
        for make in [false, true] {
            if make {
                store.drop_database("_internal").unwrap();
                store.create_database("_internal", None).unwrap();
            }
            monitor.write(Vec::new(), time_ns).unwrap();
            let policies = store.retention_policies("_internal").unwrap();
            let own = policies.iter().find(|policy| policy.name == "monitor");
            let own = own.unwrap();
            assert!(own.is_default && own.duration_ns == KEPT_NS, "{own:?}");
            let view = store.view("_internal", PolicyChoice::All, TimeRange::ALL);
            let measurements = view.unwrap().measurements();
            assert_eq!(measurements, [b"database".to_vec(), b"write".to_vec()]);
        }
        let text = lines(&(monitor.gather)(), "h", 5);
        let expected =
            "write,hostname=h req=3i 5\ndatabase,database=a\\ b,hostname=h numSeries=4i 5\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
