//! Windows are made one by one: a statement that makes millions of them takes no more memory than one
//! that makes ten; faster ways keep to the cap. (InfluxDB 1.x takes gigabytes for this one, and dies.) The only test of its program, since
//! what it looks at belongs to the whole process.

mod common;

use common::Bench;
use tandem_influxql::{Params, parse_statement};
use tandem_model::Precision;
use tandem_query::{Context, Gone, Limits, Message, Paths, Series, Sink};

#[derive(Default)]
struct Count {
    rows: usize,
    most_rows_at_once: usize,
}

impl Sink for Count {
    fn series(&mut self, series: Series) -> Result<(), Gone> {
        self.rows += series.values.len();
        self.most_rows_at_once = self.most_rows_at_once.max(series.values.len());
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}

/// The most that was ever resident, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok())
        .expect("VmHWM")
        >> 10
}

#[test]
fn weeks_of_seconds_are_streamed() {
    const HOSTS: usize = 3;
    const WEEK_S: usize = 7 * 24 * 3_600;
    let bench = Bench::new();
    bench.store.create_database("db", None).expect("a database");
    let mut lines = String::new();
    for host in 0..HOSTS {
        for day in 0..7 {
            lines += &format!("m,host=h{host} v={day} {}\n", day * 86_400);
        }
    }
    bench
        .write("db", None, Precision::Second, 0, lines.as_bytes())
        .expect("write");
    // The plain executor needs next to nothing; what is faster may take what it is given.
    for (paths, bytes_max) in [(Paths::plain(), 8 << 20), (Paths::default(), 64 << 20)] {
        let context = Context {
            database: Some("db".to_owned()),
            now_ns: 1_000_000_000_000_000_000,
            limits: Limits {
                bytes_max,
                ..Limits::default()
            },
            paths: paths.clone(),
            ..Context::default()
        };
        let run = |text: &str| {
            let statement = parse_statement(text, &Params::default()).expect("a statement");
            let mut count = Count::default();
            bench
                .executor
                .execute(&statement, &context, &mut count)
                .expect(text);
            count
        };
        run("SELECT mean(v) FROM m WHERE time >= 0s AND time < 1h GROUP BY time(1s), *");
        let before = peak_mib();
        let count =
            run("SELECT mean(v) FROM m WHERE time >= 0s AND time < 7d GROUP BY time(1s), *");
        assert_eq!(count.rows, HOSTS * WEEK_S);
        assert!(count.most_rows_at_once <= 10_000);
        let (grown, allowed) = (peak_mib() - before, (bytes_max >> 20) as u64 + 32);
        assert!(
            grown < allowed,
            "{grown} MiB more for {} rows, {paths:?}",
            count.rows
        );
        eprintln!("{} rows took {grown} MiB more", count.rows);
    }
}
