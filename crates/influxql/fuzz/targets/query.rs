//! Any statement that changes nothing, over a small store: compiled, bound, planned and run, on the plain
//! way and on the fast ones.
#![no_main]

mod text;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use tandem_influxql::{Params, ast::Statement, parse_query};
use tandem_model::Precision;
use tandem_query::{Context, Executor, Gone, Limits, Message, Series, Sink};
use tandem_store::{Options, Store, WriteRequest};
use tandem_vfs::RealFs;

/// What `now()` is: an hour after the points.
const NOW_NS: i64 = 946_688_400_000_000_000;
const POINTS: &str = "\
m,host=a,region=eu f=1.5,i=1i,b=true,s=\"x\",x=1 946684800000000000
m,host=a,region=eu f=-2,i=20i,b=false,x=2 946684810000000000
m,host=b f=7.25,s=\"y\",x=3 946684800000000000
m f=0,i=-3i 946684900000000000
m,host=b f=5,i=2i,x=\"a\" 947900000000000000
cpu,host=a f=3 946684800000000000
cpu,host=a f=4,i=5i 946684860000000000
a\\ b,host=c b=true 946684800000000000
";

struct Nowhere;

impl Sink for Nowhere {
    fn series(&mut self, series: Series) -> Result<(), Gone> {
        let columns = series.columns.len();
        assert!(series.values.iter().all(|row| row.len() == columns));
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}

fn executor() -> &'static Executor {
    static EXECUTOR: OnceLock<Executor> = OnceLock::new();
    EXECUTOR.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("tandem-fuzz-query-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let store =
            Store::open(Arc::new(RealFs), &dir, Options::default()).expect("open the store");
        store.create_database("db", None).expect("make a database");
        let request = WriteRequest {
            database: "db",
            retention_policy: None,
            precision: Precision::Nanosecond,
            now_ns: NOW_NS,
        };
        store.write(&request, POINTS.as_bytes()).expect("write");
        Executor::new(Arc::new(store))
    })
}

/// How long a statement may take: some ask for windows of seconds over decades.
const STATEMENT_MAX: Duration = Duration::from_millis(300);
/// The statement that runs: since when, and what ends it.
static RUNNING: Mutex<Option<(Instant, Arc<AtomicBool>)>> = Mutex::new(None);

/// Ends what takes too long, as a client does that goes away.
fn watch() {
    static WATCH: OnceLock<()> = OnceLock::new();
    WATCH.get_or_init(|| {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(STATEMENT_MAX / 3);
                if let Some((since, cancel)) = &*RUNNING.lock().expect("the lock")
                    && since.elapsed() > STATEMENT_MAX
                {
                    cancel.store(true, Ordering::Relaxed);
                }
            }
        });
    });
}

fuzz_target!(|bytes: &[u8]| {
    let Some(text) = text::text(bytes) else {
        return;
    };
    let Ok(query) = parse_query(&text, &Params::new()) else {
        return;
    };
    watch();
    let cancel = Arc::new(AtomicBool::new(false));
    *RUNNING.lock().expect("the lock") = Some((Instant::now(), cancel.clone()));
    let context = Context {
        cancel,
        database: Some("db".to_owned()),
        now_ns: NOW_NS,
        limits: Limits {
            points_max: 10_000,
            buckets_max: 1_000,
            ..Limits::default()
        },
        ..Context::default()
    };
    for statement in query.statements.iter().take(4) {
        let only_reads = match statement {
            Statement::Select(select) => select.into.is_none(),
            other => other.to_string().starts_with("SHOW "),
        };
        if only_reads {
            let _ = executor().execute(statement, &context, &mut Nowhere);
        }
    }
});
