//! Retention policies: made, changed, dropped with their data, and so after a crash.

mod common;

use common::{Bed, DIR, points};
use tandem_model::Precision;
use tandem_store::{PolicyChange, PolicySpec, WriteRequest};
use tandem_vfs::Vfs;

const HOUR_NS: i64 = 3_600_000_000_000;

fn spec(name: &str, duration_ns: i64) -> PolicySpec {
    PolicySpec {
        name: Some(name.into()),
        duration_ns: Some(duration_ns),
        ..PolicySpec::default()
    }
}

fn write_to(bed: &Bed, policy: &str, body: &str) {
    let request = WriteRequest {
        database: "db",
        retention_policy: Some(policy),
        precision: Precision::Nanosecond,
        now_ns: common::NOW_NS,
    };
    bed.store.write(&request, body.as_bytes()).unwrap();
}

#[test]
fn a_database_is_made_again_if_all_that_is_said_of_its_policy_is_so() {
    let bed = Bed::new();
    let made = |spec: &PolicySpec| bed.store.create_database("again", Some(spec));
    made(&spec("day", 24 * HOUR_NS)).unwrap();
    let name = |name: &str| PolicySpec {
        name: Some(name.into()),
        ..PolicySpec::default()
    };
    made(&spec("day", 24 * HOUR_NS)).unwrap();
    made(&name("day")).unwrap();
    bed.store
        .create_policy("again", &spec("week", 168 * HOUR_NS), false)
        .unwrap();
    let of_shards = PolicySpec {
        shard_duration_ns: Some(24 * HOUR_NS),
        ..name("day")
    };
    // Another name, another duration, and one that is there and not the default.
    let others = [
        name("other"),
        spec("day", 48 * HOUR_NS),
        of_shards,
        spec("week", 168 * HOUR_NS),
        PolicySpec::default(),
    ];
    for other in others {
        let refused = made(&other).unwrap_err().to_string();
        assert_eq!(
            refused, "retention policy conflicts with an existing policy",
            "{other:?}"
        );
    }
}

#[test]
fn a_policy_is_made_once_changed_and_becomes_the_default() {
    let mut bed = Bed::new();
    bed.store
        .create_policy("db", &spec("week", 168 * HOUR_NS), false)
        .unwrap();
    bed.store
        .create_policy("db", &spec("week", 168 * HOUR_NS), false)
        .unwrap();
    let refused = |made: Result<(), tandem_store::StoreError>| made.unwrap_err().to_string();
    assert_eq!(
        refused(bed.store.create_policy("db", &spec("week", HOUR_NS), false)),
        "retention policy already exists"
    );
    assert_eq!(
        refused(
            bed.store
                .create_policy("db", &spec("week", 168 * HOUR_NS), true)
        ),
        "retention policy conflicts with an existing policy"
    );
    assert_eq!(
        refused(bed.store.create_policy("no", &spec("x", 0), false)),
        "database not found: no"
    );
    let change = PolicyChange {
        duration_ns: Some(24 * HOUR_NS),
        make_default: true,
        ..PolicyChange::default()
    };
    bed.store.alter_policy("db", "week", &change).unwrap();
    assert_eq!(
        refused(bed.store.alter_policy("db", "x", &change)),
        "retention policy not found: x"
    );
    let too_short = PolicyChange {
        duration_ns: Some(HOUR_NS),
        ..PolicyChange::default()
    };
    assert_eq!(
        refused(bed.store.alter_policy("db", "week", &too_short)),
        "retention policy duration must be greater than the shard duration"
    );
    for _ in 0..2 {
        let policies = bed.store.retention_policies("db").unwrap();
        let seen: Vec<_> = policies
            .iter()
            .map(|p| (p.name.as_str(), p.duration_ns, p.is_default))
            .collect();
        assert_eq!(seen, [("autogen", 0, false), ("week", 24 * HOUR_NS, true)]);
        bed.reopen();
    }
}

#[test]
fn dropping_a_policy_takes_its_rows_and_files_and_no_others() {
    let mut bed = Bed::new();
    bed.store
        .create_policy("db", &spec("other", 0), false)
        .unwrap();
    write_to(&bed, "other", "gone v=1i 1");
    write_to(&bed, "autogen", "kept v=1i 1");
    bed.store.flush().unwrap();
    write_to(&bed, "other", "gone v=2i 2");
    write_to(&bed, "autogen", "kept v=2i 2");
    bed.store.drop_policy("db", "other").unwrap();
    bed.store.drop_policy("db", "other").unwrap();
    for _ in 0..2 {
        assert!(points(&bed.store, "gone").is_empty());
        assert_eq!(points(&bed.store, "kept"), ["kept v=1i 1", "kept v=2i 2"]);
        let again = bed.after_power_loss(3);
        assert!(points(&again.store, "gone").is_empty());
        assert_eq!(points(&again.store, "kept").len(), 2);
        bed = again;
        bed.store.flush().unwrap();
    }
    bed.store.close().unwrap();
    let shards = bed
        .fs
        .read_dir(&std::path::Path::new(DIR).join("data/0"))
        .unwrap();
    assert_eq!(shards.len(), 2, "one shard and the index: {shards:?}");
}

/// A database whose default policy was dropped had none for good.
#[test]
fn a_dropped_default_policy_is_the_default_when_it_is_made_again() {
    let mut bed = Bed::new();
    bed.store
        .create_policy("db", &spec("b", 48 * HOUR_NS), false)
        .unwrap();
    bed.store.drop_policy("db", "autogen").unwrap();
    for round in 0..3 {
        let told = bed.write("m v=1i 1").unwrap_err().to_string();
        assert_eq!(told, "retention policy not found: autogen", "{round}");
        assert_eq!(bed.store.default_policy("db").unwrap(), "autogen");
        match round {
            0 => bed.reopen(),
            _ => bed = bed.after_power_loss(round),
        }
    }
    bed.store
        .create_policy("db", &spec("autogen", 0), false)
        .unwrap();
    for round in 0..3 {
        bed.write("m v=1i 1").unwrap();
        assert_eq!(points(&bed.store, "m"), ["m v=1i 1"]);
        let policies = bed.store.retention_policies("db").unwrap();
        let defaults: Vec<_> = policies.iter().map(|p| (&*p.name, p.is_default)).collect();
        assert_eq!(defaults, [("b", false), ("autogen", true)], "{round}");
        bed = bed.after_power_loss(round);
    }
}
