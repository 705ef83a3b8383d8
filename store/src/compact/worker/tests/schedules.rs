//! Any schedule of flushes, merges and deletions leaves the same rows as none.

use proptest::prelude::*;

use super::*;

/// What happens to a store.
#[derive(Clone, Debug)]
enum Op {
    /// Points, each of a series and a time, with some of four fields of four types.
    Write(Vec<(u8, i64, u8, u8)>),
    /// Many rows of one series, so that it takes several pages.
    WriteLong {
        series: u8,
        start: i64,
        rows: i64,
    },
    Flush,
    Merge(usize, usize),
    Delete {
        series: u8,
        from: i64,
        to: i64,
    },
    Due,
    Settle,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let points = prop::collection::vec((0..6_u8, 0..30_i64, 1..16_u8, any::<u8>()), 1..25);
    let long = (0..6_u8, 0..30_i64, 1000..3000_i64);
    let hidden = (0..6_u8, -1..30_i64, 0..40_i64);
    prop_oneof![
        6 => points.prop_map(Op::Write),
        1 => long.prop_map(|(series, start, rows)| Op::WriteLong { series, start, rows }),
        6 => Just(Op::Flush),
        5 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Op::Merge(a, b)),
        2 => hidden.prop_map(|(series, from, len)| Op::Delete { series, from, to: from + len }),
        1 => Just(Op::Due),
        1 => Just(Op::Settle),
        1 => Just(Op::Reopen),
    ]
}

/// Series of two measurements.
fn key(series: u8) -> String {
    format!("{},h={series}", if series < 4 { "m" } else { "n" })
}

fn time_ns(at: i64) -> i64 {
    NOW_NS + at * 1_000_000_000
}

/// Name, line protocol and what is read of the fields whose bits are set in `which`.
fn fields(which: u8, bits: u8) -> Vec<(&'static str, String, String)> {
    let (even, text) = (bits.is_multiple_of(2), format!("\"s{}\"", bits % 9));
    let all = [
        ("b", format!("{even}"), format!("Boolean({even})")),
        ("f", format!("{bits}.5"), format!("Float({bits}.5)")),
        ("i", format!("{bits}i"), format!("Integer({bits})")),
        ("s", text.clone(), text),
    ];
    let wanted = all.into_iter().enumerate();
    wanted
        .filter(|(at, _)| which >> at & 1 == 1)
        .map(|(_, field)| field)
        .collect()
}

fn put(bed: &Bed, model: &mut Contents, points: &[(u8, i64, u8, u8)]) {
    let mut body = String::new();
    for &(series, at, which, bits) in points {
        let row = model.entry((key(series), time_ns(at))).or_default();
        let mut texts = Vec::new();
        for (name, written, shown) in fields(which, bits) {
            texts.push(format!("{name}={written}"));
            row.insert(name.into(), shown);
        }
        body += &format!("{} {} {}\n", key(series), texts.join(","), time_ns(at));
    }
    bed.write(&body);
}

fn run(ops: &[Op]) -> Result<(), TestCaseError> {
    let mut bed = Bed::new();
    let mut model = Contents::new();
    for op in ops {
        let shards = bed.store.compactor.shards();
        let files = shards.first().map_or(0, |shard| shard.data().files.len());
        match op {
            Op::Write(points) => put(&bed, &mut model, points),
            Op::WriteLong {
                series,
                start,
                rows,
            } => {
                let point = |at: i64| (*series, start + at, 2, (at % 100) as u8);
                put(&bed, &mut model, &(0..*rows).map(point).collect::<Vec<_>>());
            }
            Op::Flush => bed.store.flush().unwrap(),
            Op::Merge(a, b) if files > 0 => {
                let (a, b) = (a % files, b % files);
                bed.merge(a.min(b)..a.max(b) + 1, (a % 3) as u8);
            }
            Op::Merge(..) => {}
            Op::Delete { series, from, to } => {
                let range = TimeRange::new(time_ns(*from), time_ns(*to));
                let name = key(*series);
                let ids = bed.series(&name);
                bed.store.delete("db", &ids, range).unwrap();
                model.retain(|(key, at), _| *key != name || !range.contains(*at));
            }
            Op::Due => assert!(bed.store.compactor.run_due(&|| false).unwrap()),
            Op::Settle => {
                bed.store.compact().unwrap();
                prop_assert!(shards.is_empty() || bed.levels().len() <= 3);
            }
            Op::Reopen => bed.reopen(),
        }
    }
    prop_assert!(bed.contents() == model, "merged");
    for shard in bed.store.compactor.shards() {
        let files = shard.data().files.clone();
        files.iter().for_each(|file| file.verify().unwrap());
        let mut pairs = files.windows(2);
        prop_assert!(pairs.all(|pair| pair[0].record.max_sequence < pair[1].record.min_sequence));
    }
    bed.store.compact().unwrap();
    prop_assert!(bed.contents() == model, "settled");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn rows_stay_what_they_are(ops in prop::collection::vec(op(), 1..40)) {
        run(&ops)?;
    }
}

/// A newer file that lies between two older ones in time, and overwrites a field of each.
#[test]
fn the_newest_value_of_each_field_wins_after_any_merge() {
    let schedules: [&[(usize, usize)]; 4] = [
        &[(0, 2), (0, 2)],
        &[(1, 3), (0, 2)],
        &[(0, 3)],
        &[(0, 1), (1, 2), (2, 3), (0, 3)],
    ];
    for schedule in schedules {
        let bed = Bed::new();
        bed.write_file("m,h=a f=1,i=1i 1\nm,h=a f=1,i=1i 2\nm,h=a f=1 9");
        bed.write_file("m,h=a f=2 1\nm,h=a f=2,s=\"x\" 5");
        bed.write_file("m,h=a i=3i 1\nm,h=a i=3i 9");
        let before = bed.contents();
        for &(start, end) in schedule {
            bed.merge(start..end, 1);
            assert!(bed.contents() == before);
        }
        let row = &before[&("m,h=a".to_owned(), 1)];
        assert_eq!((&*row["f"], &*row["i"]), ("Float(2.0)", "Integer(3)"));
    }
}
