//! Shards go when all of their rows are past their policy's duration, and not before; a clock that
//! jumps takes nothing with it.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Bed, points};
use tandem_model::Precision;
use tandem_store::{Options, PolicySpec, WriteError, WriteRequest};
use tandem_testkit::ManualClock;

const HOUR_NS: i64 = 3_600_000_000_000;
const START_NS: i64 = 1_000_000 * HOUR_NS;
const HOUR: Duration = Duration::from_secs(3600);

fn bed() -> (Bed, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(START_NS));
    let bed = Bed::with_options(Options {
        clock: Arc::clone(&clock) as _,
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    });
    let spec = PolicySpec {
        name: Some("short".into()),
        duration_ns: Some(2 * HOUR_NS),
        ..PolicySpec::default()
    };
    bed.store.create_policy("db", &spec, true).unwrap();
    (bed, clock)
}

fn write(bed: &Bed, policy: &str, time_ns: i64) -> Result<(), WriteError> {
    let request = WriteRequest {
        database: "db",
        retention_policy: Some(policy),
        precision: Precision::Nanosecond,
        now_ns: bed.options.clock.now_ns(),
    };
    let line = format!("m v=1i {time_ns}");
    bed.store.write(&request, line.as_bytes()).map(|_| ())
}

fn times(bed: &Bed) -> Vec<i64> {
    let points = points(&bed.store, "m");
    let hours = points.iter().map(|line| {
        let time_ns: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        (time_ns - START_NS) / HOUR_NS
    });
    hours.collect()
}

/// InfluxDB asks whether there is a shard for a point, and makes one for points that are young enough.
#[test]
fn an_old_point_is_taken_beside_a_young_one_of_its_shard() {
    let (bed, _) = bed();
    let quarter_ns = HOUR_NS / 4;
    let write = |quarters: &[i64]| {
        let request = WriteRequest {
            database: "db",
            retention_policy: Some("short"),
            precision: Precision::Nanosecond,
            now_ns: START_NS + 2 * quarter_ns,
        };
        let lines = quarters.iter().map(|quarter| {
            let time_ns = START_NS + quarter * quarter_ns;
            format!("m v=1i {time_ns}\n")
        });
        let body: String = lines.collect();
        match bed.store.write(&request, body.as_bytes()) {
            Ok(_) => 0,
            Err(WriteError::Partial { dropped, .. }) => dropped,
            Err(error) => panic!("{error}"),
        }
    };
    // Six quarters before are young enough, in a shard that begins eight before.
    assert_eq!(write(&[-7]), 1);
    assert_eq!(write(&[-7, -9, -5]), 1);
    assert_eq!(points(&bed.store, "m").len(), 2);
}

#[test]
fn shards_go_when_their_last_row_is_past_its_time_with_their_files() {
    let (mut bed, clock) = bed();
    write(&bed, "autogen", START_NS - 1000 * HOUR_NS).unwrap();
    for hour in 0..4 {
        write(&bed, "short", START_NS + hour * HOUR_NS).unwrap();
        clock.advance(HOUR);
        if hour == 1 {
            bed.store.flush().unwrap();
        }
    }
    // Four hours on: the shard of the first hour ended three hours ago, that of the second two.
    assert_eq!(bed.store.enforce_retention().unwrap(), 1);
    assert_eq!(times(&bed), [-1000, 1, 2, 3]);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(bed.store.enforce_retention().unwrap(), 1);
    assert_eq!(bed.store.enforce_retention().unwrap(), 0);
    let left = [-1000, 2, 3];
    assert_eq!(times(&bed), left);
    bed.reopen();
    assert_eq!(times(&bed), left, "after a restart");
    bed = bed.after_power_loss(1);
    assert_eq!(times(&bed), left, "after power loss");
    bed.store.close().unwrap();
    assert_eq!(bed.store.shards().len(), 3);
    // What is past its time is not taken again.
    assert!(write(&bed, "short", START_NS).is_err());
}

#[test]
fn a_clock_that_jumps_ahead_takes_no_data_with_it() {
    let (bed, clock) = bed();
    write(&bed, "short", START_NS).unwrap();
    clock.advance(1000 * HOUR);
    assert_eq!(bed.store.enforce_retention().unwrap(), 0);
    clock.set(START_NS + HOUR_NS / 2);
    assert_eq!(bed.store.enforce_retention().unwrap(), 0);
    assert_eq!(times(&bed), [0]);
}

/// Agents drop what is refused as expired, and all of it was refused.
#[test]
fn a_clock_that_jumps_ahead_refuses_no_row_of_the_true_time() {
    let (bed, clock) = bed();
    write(&bed, "short", START_NS).unwrap();
    clock.advance(1000 * HOUR);
    write(&bed, "short", START_NS + HOUR_NS / 2).unwrap();
    let expired = write(&bed, "short", START_NS - 2 * HOUR_NS);
    assert!(matches!(expired, Err(WriteError::Partial { .. })));
    clock.set(START_NS + HOUR_NS);
    write(&bed, "short", START_NS + HOUR_NS).unwrap();
    assert_eq!(times(&bed), [0, 0, 1]);
}

/// A single row with a wrong time made every clock up to it believed.
#[test]
fn a_row_of_the_far_future_does_not_speak_for_a_clock_that_jumps() {
    for is_seen_before in [false, true] {
        let (bed, clock) = bed();
        write(&bed, "short", START_NS).unwrap();
        write(&bed, "autogen", START_NS + 5000 * HOUR_NS).unwrap();
        if is_seen_before {
            assert_eq!(bed.store.enforce_retention().unwrap(), 0);
        }
        // To where the row is, in the second case.
        clock.advance(if is_seen_before { 5000 } else { 1000 } * HOUR);
        assert_eq!(bed.store.enforce_retention().unwrap(), 0);
        write(&bed, "short", START_NS + HOUR_NS).unwrap();
        clock.set(START_NS + HOUR_NS);
        assert_eq!(bed.store.enforce_retention().unwrap(), 0);
        assert_eq!(times(&bed), [0, 1, 5000]);
    }
}

#[test]
fn a_clock_far_ahead_is_believed_after_a_steady_day_or_with_data_of_its_time() {
    let (bed, clock) = bed();
    write(&bed, "short", START_NS).unwrap();
    clock.advance(1000 * HOUR);
    for _ in 0..24 {
        assert_eq!(bed.store.enforce_retention().unwrap(), 0);
        clock.advance(HOUR);
    }
    assert_eq!(bed.store.enforce_retention().unwrap(), 1);

    let (bed, clock) = self::bed();
    write(&bed, "short", START_NS).unwrap();
    clock.advance(1000 * HOUR);
    write(&bed, "short", START_NS + 1000 * HOUR_NS).unwrap();
    assert_eq!(bed.store.enforce_retention().unwrap(), 1);
    assert_eq!(times(&bed), [1000]);
}

#[test]
fn an_altered_duration_counts_for_shards_that_are_there() {
    let (bed, clock) = bed();
    write(&bed, "short", START_NS).unwrap();
    clock.advance(5 * HOUR);
    let change = tandem_store::PolicyChange {
        duration_ns: Some(24 * HOUR_NS),
        ..Default::default()
    };
    bed.store.alter_policy("db", "short", &change).unwrap();
    assert_eq!(bed.store.enforce_retention().unwrap(), 0);
    assert_eq!(times(&bed), [0]);
}
