//! Fifty queries that want everything, and small ones beside them, on memory for a few: each large one is
//! answered or refused by the name of the limit, no small one is, and what all hold stays within the bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tandem_influxql::{Params, parse_statement};
use tandem_model::Precision;
use tandem_query::{Context, Executor, Gone, Message, Paths, Series, Sink};
use tandem_store::{Options, Store, WriteRequest};
use tandem_vfs::RealFs;

const SERIES: usize = 4_000;
const POINTS: usize = 3;
const LARGE: usize = 50;
/// Room for about three of them.
const QUERY_BYTES_MAX: usize = 10 << 20;

#[derive(Default)]
struct Count(usize);

impl Sink for Count {
    fn series(&mut self, series: Series) -> Result<(), Gone> {
        self.0 += series.values.len();
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}

fn run(executor: &Executor, context: &Context, text: &str) -> Result<usize, String> {
    let statement = parse_statement(text, &Params::default()).expect(text);
    let mut count = Count::default();
    let done = executor.execute(&statement, context, &mut count);
    done.map(|()| count.0).map_err(|error| error.to_string())
}

#[test]
fn small_queries_run_beside_fifty_that_want_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        query_bytes_max: QUERY_BYTES_MAX,
        ..Options::default()
    };
    let store = Store::open(Arc::new(RealFs), &dir.path().join("data"), options).expect("open");
    let store = Arc::new(store);
    store.create_database("db", None).expect("a database");
    let mut lines = String::new();
    for point in 0..POINTS {
        for series in 0..SERIES {
            lines += &format!(
                "m,host=h{series:05},rack=r{} v={point} {point}\n",
                series / 100
            );
        }
    }
    let request = WriteRequest {
        database: "db",
        retention_policy: None,
        precision: Precision::Nanosecond,
        now_ns: 0,
    };
    store.write(&request, lines.as_bytes()).expect("write");
    let executor = Executor::new(Arc::clone(&store));

    for paths in [Paths::plain(), Paths::default()] {
        let context = Context {
            database: Some("db".to_owned()),
            now_ns: 1_000_000_000,
            paths,
            ..Context::default()
        };
        let (answered, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let ended = AtomicBool::new(false);
        let (mut asked, mut slowest, mut most_held) = (0, Duration::ZERO, 0);
        thread::scope(|scope| {
            let large: Vec<_> = (0..LARGE)
                .map(|_| {
                    scope.spawn(
                        || match run(&executor, &context, "SELECT * FROM m GROUP BY *") {
                            Ok(rows) => {
                                assert_eq!(rows, SERIES * POINTS);
                                answered.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => {
                                let named = error.starts_with("query-bytes-max limit exceeded: (");
                                assert!(named, "{error}");
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                        },
                    )
                })
                .collect();
            let small = scope.spawn(|| {
                let (mut asked, mut slowest, mut most_held) = (0_usize, Duration::ZERO, 0);
                while asked < 20 || !ended.load(Ordering::Relaxed) {
                    let host = asked * 37 % SERIES;
                    let text = format!("SELECT last(v) FROM m WHERE host = 'h{host:05}'");
                    let begun = Instant::now();
                    assert_eq!(run(&executor, &context, &text), Ok(1), "{text}");
                    slowest = slowest.max(begun.elapsed());
                    most_held = most_held.max(store.stats().memory.query_bytes);
                    asked += 1;
                }
                (asked, slowest, most_held)
            });
            let done: Vec<_> = large
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect();
            ended.store(true, Ordering::Relaxed);
            (asked, slowest, most_held) = small.join().expect("small queries");
            assert!(done.iter().all(Result::is_ok));
        });
        let (answered, refused) = (answered.into_inner(), refused.into_inner());
        eprintln!(
            "{answered} answered, {refused} refused, {asked} small ones of {slowest:?} at most, {most_held} bytes held"
        );
        assert!(answered > 0 && answered + refused == LARGE);
        assert!(most_held <= QUERY_BYTES_MAX as u64);
        assert_eq!(store.stats().memory.query_bytes, 0, "all is given back");
    }
}
