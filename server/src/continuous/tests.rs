//! Continuous queries over a store and a catalog, with the time as a value.

use std::path::Path;

use tandem_model::Precision;
use tandem_query::Value;
use tandem_store::{Options, Store, WriteRequest};
use tandem_vfs::RealFs;
use tempfile::TempDir;

use super::*;
use crate::auth::{AuthConfig, Passwords};

const MINUTE_NS: i64 = 60_000_000_000;

struct Bench {
    store: Arc<Store>,
    catalog: Arc<Catalog>,
    runner: Arc<Runner>,
    queries: ContinuousQueries,
}

impl Bench {
    fn open(dir: &Path) -> Self {
        let store = Arc::new(Store::open(Arc::new(RealFs), dir, Options::default()).unwrap());
        store.create_database("db", None).unwrap();
        let own = dir.join("catalog");
        let options = tandem_catalog::Options::default();
        let catalog = Catalog::open(Arc::new(RealFs), &own, &Catalog::view_dir(&own), options);
        let catalog = Arc::new(catalog.unwrap());
        let passwords = Passwords::new(&AuthConfig::default(), Duration::from_secs(1)).unwrap();
        let runner = Runner::new(store.clone(), catalog.clone(), Arc::new(passwords));
        let runner = Arc::new(runner);
        let queries = ContinuousQueries::new(catalog.clone(), runner.clone(), Limits::default());
        Self {
            store,
            catalog,
            runner,
            queries,
        }
    }

    fn execute(&self, text: &str) -> Result<Vec<Series>, String> {
        struct Rows(Vec<Series>);
        impl Sink for Rows {
            fn series(&mut self, series: Series) -> Result<(), Gone> {
                self.0.push(series);
                Ok(())
            }

            fn message(&mut self, _: Message) {}
        }
        let statement = parse_statement(text, &Params::new()).unwrap();
        let context = Context {
            database: Some("db".into()),
            now_ns: 100 * MINUTE_NS,
            ..Context::default()
        };
        let mut rows = Rows(Vec::new());
        self.runner
            .execute(&statement, &context, &Identity::Anyone, &mut rows)
            .map_err(|error| error.to_string())?;
        Ok(rows.0)
    }

    fn write(&self, lines: &str) {
        let request = WriteRequest {
            database: "db",
            retention_policy: None,
            precision: Precision::parse_v1("m").unwrap(),
            now_ns: 0,
        };
        self.store.write(&request, lines.as_bytes()).unwrap();
    }

    /// Runs what is due this many minutes after 1970.
    fn tick(&mut self, minutes: i64) {
        let cancel = Arc::new(AtomicBool::new(false));
        self.queries.run_due(minutes * MINUTE_NS, &cancel);
    }

    /// The means so far: minute and value.
    fn means(&self) -> Vec<(i64, f64)> {
        let series = self.execute("SELECT mean FROM means").unwrap();
        let rows = series.into_iter().flat_map(|series| series.values);
        rows.map(|row| match &row[..] {
            [Value::Time(time_ns), Value::Float(mean)] => (time_ns / MINUTE_NS, *mean),
            other => panic!("{other:?}"),
        })
        .collect()
    }
}

const QUERY: &str = "CREATE CONTINUOUS QUERY q ON db BEGIN \
    SELECT mean(v) INTO means FROM m WHERE h = 'a' OR h = 'b' GROUP BY time(1m) END";

#[test]
fn windows_are_filled_as_they_pass() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::open(dir.path());
    bench.execute(QUERY).unwrap();
    bench.write("m,h=a v=1 10\nm,h=b v=3 10\nm,h=c v=100 10\nm,h=a v=5 11\nm,h=a v=7 12");
    bench.tick(10);
    assert_eq!(bench.means(), []);
    bench.tick(11);
    assert_eq!(bench.means(), [(10, 2.0)]);
    bench.tick(11);
    bench.tick(13);
    assert_eq!(bench.means(), [(10, 2.0), (11, 5.0), (12, 7.0)]);
}

/// InfluxDB forgets when it ran, and leaves a hole.
#[test]
fn windows_that_pass_while_the_store_is_down_are_filled_later() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::open(dir.path());
    bench.execute(QUERY).unwrap();
    bench.write("m,h=a v=1 10\nm,h=a v=2 11\nm,h=a v=3 12\nm,h=a v=4 13");
    bench.tick(10);
    bench.tick(11);
    assert_eq!(bench.means(), [(10, 1.0)]);
    drop(bench);
    let mut bench = Bench::open(dir.path());
    bench.tick(14);
    assert_eq!(bench.means(), [(10, 1.0), (11, 2.0), (12, 3.0), (13, 4.0)]);
}

#[test]
fn a_query_that_fails_is_tried_again_and_makes_up_for_it() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::open(dir.path());
    bench.execute("CREATE DATABASE other").unwrap();
    bench
        .execute(
            "CREATE CONTINUOUS QUERY q ON db BEGIN \
             SELECT mean(v) INTO db..means FROM other..m GROUP BY time(1m) END",
        )
        .unwrap();
    bench.tick(10);
    bench.execute("DROP DATABASE other").unwrap();
    bench.tick(11);
    assert_eq!(bench.queries.failed_ns.len(), 1);
    // Its own text stays as it was; the database is back with other data.
    bench.execute("CREATE DATABASE other").unwrap();
    let request = WriteRequest {
        database: "other",
        retention_policy: None,
        precision: Precision::parse_v1("m").unwrap(),
        now_ns: 0,
    };
    bench.store.write(&request, b"m v=1 10\nm v=2 11").unwrap();
    bench.tick(12);
    assert_eq!(bench.means(), [(10, 1.0), (11, 2.0)]);
    assert!(bench.queries.failed_ns.is_empty());
}

#[test]
fn a_query_that_is_dropped_runs_no_more_and_its_successor_begins_anew() {
    let dir = TempDir::new().unwrap();
    let mut bench = Bench::open(dir.path());
    bench.execute(QUERY).unwrap();
    bench.write("m,h=a v=1 10\nm,h=a v=2 11\nm,h=a v=3 12");
    bench.tick(10);
    bench.execute("DROP CONTINUOUS QUERY q ON db").unwrap();
    bench.tick(12);
    assert_eq!(bench.means(), []);
    bench.execute(QUERY).unwrap();
    bench.tick(12);
    bench.tick(13);
    // As at every first run, the window that has just passed is filled.
    assert_eq!(bench.means(), [(11, 2.0), (12, 3.0)]);
    let queries = bench.catalog.continuous_queries(Some("db")).unwrap();
    assert_eq!(
        bench.catalog.last_run(&queries[0]).unwrap(),
        Some(13 * MINUTE_NS)
    );
}
