//! What a store acknowledges is there after it is dropped without a close, after a close, after
//! flushes, and after power loss.

mod common;

use common::{Bed, points};

#[test]
fn acknowledged_points_survive_a_store_that_is_just_dropped() {
    let mut bed = Bed::new();
    bed.write("cpu,host=a v=1i 1\ncpu,host=b v=2i,s=\"x\" 2")
        .unwrap();
    bed.write("cpu,host=a v=3i 1").unwrap();
    bed.reopen();
    assert_eq!(
        points(&bed.store, "cpu"),
        ["cpu,host=a v=3i 1", "cpu,host=b s=\"x\",v=2i 2"]
    );
    assert!(bed.store.report().replayed_rows > 0);
}

#[test]
fn a_clean_close_leaves_nothing_to_replay() {
    let mut bed = Bed::new();
    bed.write("cpu,host=a v=1i 1\nmem,host=a f=0.5,b=true 5")
        .unwrap();
    bed.store.close().unwrap();
    let refused = bed.write("cpu v=1i 1").unwrap_err();
    assert_eq!(refused.to_string(), "engine is closed");
    bed.reopen();
    assert_eq!(bed.store.report().replayed_records, 0);
    assert_eq!(points(&bed.store, "cpu"), ["cpu,host=a v=1i 1"]);
    assert_eq!(points(&bed.store, "mem"), ["mem,host=a b=true,f=0.5 5"]);
}

#[test]
fn the_newest_write_wins_field_by_field_over_files_and_memtables() {
    let mut bed = Bed::new();
    bed.write("m a=1i,b=1i 10").unwrap();
    bed.store.flush().unwrap();
    bed.write("m b=2i,c=2i 10\nm a=9i 11").unwrap();
    bed.store.flush().unwrap();
    bed.write("m c=3i 10").unwrap();
    let expected = ["m a=1i,b=2i,c=3i 10", "m a=9i 11"];
    assert_eq!(points(&bed.store, "m"), expected);
    bed.reopen();
    assert_eq!(points(&bed.store, "m"), expected);
    bed.store.close().unwrap();
    bed.reopen();
    assert_eq!(points(&bed.store, "m"), expected);
}

#[test]
fn a_batch_over_many_shards_is_whole_after_power_loss() {
    const WEEK_NS: i64 = 7 * 24 * 3_600_000_000_000;
    let bed = Bed::new();
    let lines: Vec<String> = (0..40)
        .map(|i| format!("m,k={} v={i}i {}", i % 3, i * WEEK_NS))
        .collect();
    bed.write(&lines.join("\n")).unwrap();
    for seed in 0..20 {
        let mut after = bed.after_power_loss(seed);
        assert_eq!(points(&after.store, "m").len(), 40, "seed {seed}");
        after.store.flush().unwrap();
        after.reopen();
        assert_eq!(
            points(&after.store, "m").len(),
            40,
            "seed {seed} after a flush"
        );
    }
}

#[test]
fn a_database_made_anew_under_the_same_name_is_empty_also_after_a_crash() {
    let bed = Bed::new();
    bed.write("old v=1i 1").unwrap();
    bed.store.drop_database("db").unwrap();
    bed.store.create_database("db", None).unwrap();
    bed.write("new v=1i 1").unwrap();
    let mut after = bed.after_power_loss(7);
    assert!(points(&after.store, "old").is_empty());
    assert_eq!(points(&after.store, "new"), ["new v=1i 1"]);
    after.store.flush().unwrap();
    after.reopen();
    assert!(points(&after.store, "old").is_empty());
    assert_eq!(points(&after.store, "new"), ["new v=1i 1"]);
}

#[test]
fn every_series_of_every_visible_row_is_known_after_recovery() {
    let bed = Bed::new();
    for round in 0..5 {
        for i in 0..20 {
            bed.write(&format!("m,host=h{round}_{i} v={i}i {round}"))
                .unwrap();
        }
        if round % 2 == 0 {
            bed.store.flush().unwrap();
        }
    }
    for seed in 0..10 {
        let after = bed.after_power_loss(seed);
        assert_eq!(points(&after.store, "m").len(), 100, "seed {seed}");
    }
}

#[test]
fn nothing_acknowledged_while_the_store_closes_is_lost() {
    for round in 0..10 {
        let mut bed = Bed::new();
        bed.write("m,w=0 v=0i 0").unwrap();
        let store = &bed.store;
        let acknowledged: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = (1..4)
                .map(|writer| {
                    scope.spawn(move || {
                        (0..200)
                            .filter(|i| {
                                common::write(store, &format!("m,w={writer} v=1i {i}")).is_ok()
                            })
                            .count()
                    })
                })
                .collect();
            std::thread::yield_now();
            store.close().unwrap();
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .sum()
        });
        bed.reopen();
        assert_eq!(bed.store.report().replayed_records, 0);
        assert_eq!(
            points(&bed.store, "m").len(),
            acknowledged + 1,
            "round {round}"
        );
    }
}

#[test]
fn a_line_of_very_many_fields_keeps_them_all() {
    let mut bed = Bed::new();
    let fields: Vec<String> = (0..70_000).map(|i| format!("f{i}={i}i")).collect();
    bed.write(&format!("wide {},f7=8i 1", fields.join(",")))
        .unwrap();
    bed.reopen();
    let lines = points(&bed.store, "wide");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].matches('=').count(), 70_000);
    assert!(lines[0].contains(",f69999=69999i") && lines[0].contains(",f7=8i"));
}

#[test]
fn many_rows_that_each_have_a_field_of_their_own_are_flushed() {
    let mut bed = Bed::new();
    let lines: Vec<String> = (0..3_000).map(|i| format!("m f{i}={i}i {i}")).collect();
    bed.write(&lines.join("\n")).unwrap();
    bed.store.flush().unwrap();
    bed.reopen();
    assert_eq!(bed.store.report().replayed_rows, 0);
    let stored = points(&bed.store, "m");
    assert_eq!(stored.len(), 3_000);
    assert!(
        stored
            .iter()
            .zip(&lines)
            .all(|(stored, line)| stored == line)
    );
}

#[test]
fn a_key_that_grows_past_its_bound_by_its_escapes_is_refused() {
    let bed = Bed::new();
    let tags: String = (0..100).map(|i| format!(",t{i:02}==")).collect();
    let value = "x".repeat(65_535 - tags.len() - "m,zz=".len());
    let refused = bed
        .write(&format!("m{tags},zz={value} v=1i 1"))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("max key length exceeded"),
        "{}",
        &refused[refused.len() - 100..]
    );
    bed.write(&format!("m{tags},zz={} v=1i 1", &value[200..]))
        .unwrap();
    assert_eq!(points(&bed.store, "m").len(), 1);
}
