//! The next shard is there before its first row, where rows come in, and nowhere else.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Bed, NOW_NS, points};
use tandem_model::{Precision, TimeRange};
use tandem_store::{Options, PolicySpec, WriteRequest};
use tandem_testkit::ManualClock;

const HOUR: Duration = Duration::from_secs(3600);
const HOUR_NS: i64 = 3_600_000_000_000;
/// The begin of an hour.
const START_NS: i64 = NOW_NS - NOW_NS % HOUR_NS;

/// A store with the policy `short`, whose shards hold an hour and rows are kept for two.
fn bed() -> (Bed, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START_NS));
    let bed = Bed::with_options(Options {
        free_bytes_min: 0,
        background: false,
        clock: clock.clone(),
        ..Options::default()
    });
    let spec = PolicySpec {
        name: Some("short".into()),
        duration_ns: Some(2 * HOUR_NS),
        ..PolicySpec::default()
    };
    bed.store.create_policy("db", &spec, false).unwrap();
    (bed, clock)
}

fn write(bed: &Bed, time_ns: i64) {
    let request = WriteRequest {
        database: "db",
        retention_policy: Some("short"),
        precision: Precision::Nanosecond,
        now_ns: time_ns,
    };
    let line = format!("m v=1i {time_ns}");
    bed.store.write(&request, line.as_bytes()).unwrap();
}

/// The hours, from the start on, that have a shard of their own, by time.
fn hours(bed: &Bed) -> Vec<i64> {
    let shards = bed.store.shards();
    let mut hours: Vec<i64> = shards
        .iter()
        .map(|shard| {
            let min_ns = shard.range.min_ns;
            assert_eq!(shard.range, TimeRange::new(min_ns, min_ns + HOUR_NS - 1));
            (min_ns - START_NS) / HOUR_NS
        })
        .collect();
    hours.sort_unstable();
    hours
}

#[test]
fn the_next_shard_is_made_half_an_hour_before_the_newest_one_ends() {
    let (mut bed, clock) = bed();
    assert_eq!(
        bed.store.precreate_shards().unwrap(),
        0,
        "nothing was written"
    );
    write(&bed, START_NS);
    clock.set(START_NS + HOUR_NS / 2);
    assert_eq!(
        bed.store.precreate_shards().unwrap(),
        0,
        "half an hour is left"
    );
    clock.advance(Duration::from_nanos(1));
    assert_eq!(bed.store.precreate_shards().unwrap(), 1);
    assert_eq!(bed.store.precreate_shards().unwrap(), 0, "it is there");
    assert_eq!(hours(&bed), [0, 1]);
    // It is used, and stays over a restart.
    bed.reopen();
    assert_eq!(hours(&bed), [0, 1]);
    write(&bed, START_NS + HOUR_NS);
    bed = bed.after_power_loss(1);
    assert_eq!(hours(&bed), [0, 1]);
    assert_eq!(points(&bed.store, "m").len(), 2);
}

/// InfluxDB makes one after the other for a policy that nobody writes to any more.
#[test]
fn no_shard_follows_an_empty_one_and_the_empty_one_goes_as_others_do() {
    let (bed, clock) = bed();
    write(&bed, START_NS);
    let mut made = 0;
    for _ in 0..100 {
        clock.advance(HOUR / 4);
        made += bed.store.precreate_shards().unwrap();
    }
    assert_eq!((made, hours(&bed)), (1, vec![0, 1]));
    // The clock is a day ahead of the newest row, as retention wants it to be for another day.
    for _ in 0..120 {
        clock.advance(HOUR / 4);
        bed.store.enforce_retention().unwrap();
    }
    assert_eq!(hours(&bed), [] as [i64; 0]);
}

#[test]
fn old_and_future_data_have_no_shard_made_for_them() {
    let (bed, clock) = bed();
    write(&bed, START_NS);
    clock.set(START_NS + HOUR_NS);
    assert_eq!(
        bed.store.precreate_shards().unwrap(),
        0,
        "it has just ended"
    );
    clock.set(START_NS - 100 * HOUR_NS);
    assert_eq!(bed.store.precreate_shards().unwrap(), 0, "it is far ahead");
    clock.set(START_NS + 100 * HOUR_NS);
    assert_eq!(bed.store.precreate_shards().unwrap(), 0, "it is far behind");
    assert_eq!(hours(&bed), [0]);
}

#[test]
fn without_an_advance_period_a_shard_comes_with_its_first_row() {
    let clock = Arc::new(ManualClock::new(START_NS + HOUR_NS - 1));
    let bed = Bed::with_options(Options {
        free_bytes_min: 0,
        background: false,
        shard_advance: Duration::ZERO,
        clock,
        ..Options::default()
    });
    let spec = PolicySpec {
        name: Some("short".into()),
        duration_ns: Some(2 * HOUR_NS),
        ..PolicySpec::default()
    };
    bed.store.create_policy("db", &spec, false).unwrap();
    write(&bed, START_NS);
    assert_eq!(bed.store.precreate_shards().unwrap(), 0);
}

/// The last shard of all time has no next one.
#[test]
fn at_the_end_of_time_no_shard_is_made() {
    let clock = Arc::new(ManualClock::new(i64::MAX - 2));
    let bed = Bed::with_options(Options {
        free_bytes_min: 0,
        background: false,
        clock,
        ..Options::default()
    });
    bed.write("m v=1i 9223372036854775806").unwrap();
    assert_eq!(bed.store.precreate_shards().unwrap(), 0);
}
