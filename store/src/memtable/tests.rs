//! What a memtable holds is what was written to it, in any order and shape.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::schema::Schemas;

fn template(fields: &[(&str, FieldType)]) -> Arc<Template> {
    let fields = fields
        .iter()
        .map(|&(n, t)| (Arc::from(n.as_bytes()), t))
        .collect();
    Schemas::default().template(b"m", fields)
}

#[test]
fn the_last_of_equal_times_wins_also_out_of_order() {
    let t = template(&[("v", FieldType::Integer)]);
    let mut table = Memtable::default();
    for (time_ns, v) in [(5, 1), (5, 2), (3, 3), (9, 4), (3, 5), (5, 6)] {
        table.insert(SeriesId(0), &t, time_ns, &[v], b"");
    }
    let rows = table.read(SeriesId(0), &[b"v", b"w"], TimeRange::ALL);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].times_ns, [3, 5, 9]);
    let v = rows[0].columns[0].as_ref().unwrap();
    assert_eq!(v.values, Values::Integer(vec![5, 6, 4]));
    assert!(rows[0].columns[1].is_none());
    let some = table.read(SeriesId(0), &[b"v"], TimeRange::new(4, 5));
    assert_eq!(some[0].times_ns, [5]);
    assert!(
        table
            .read(SeriesId(0), &[b"v"], TimeRange::new(6, 8))
            .is_empty()
    );
}

#[test]
fn lines_that_alternate_share_runs_and_sequence_still_decides() {
    let schemas = Schemas::default();
    let make = |names: &[&str]| {
        let fields = names
            .iter()
            .map(|n| (Arc::from(n.as_bytes()), FieldType::Integer))
            .collect();
        schemas.template(b"m", fields)
    };
    let (a, b, ab) = (make(&["a"]), make(&["b"]), make(&["a", "b"]));
    let mut table = Memtable::default();
    for time_ns in 0..10 {
        table.insert(SeriesId(0), &a, time_ns, &[1], b"");
        table.insert(SeriesId(0), &b, time_ns, &[2], b"");
    }
    assert_eq!(table.read(SeriesId(0), &[b"a"], TimeRange::ALL).len(), 2);
    table.insert(SeriesId(0), &ab, 4, &[7, 7], b"");
    table.insert(SeriesId(0), &a, 4, &[8], b"");
    let runs = table.read(SeriesId(0), &[b"a", b"b"], TimeRange::new(4, 4));
    let rows = crate::merge::merge(runs, 2);
    let get = |at: usize| rows.columns[at].as_ref().and_then(|c| c.get(0));
    assert_eq!(get(0), Some(tandem_model::FieldValue::Integer(8)));
    assert_eq!(get(1), Some(tandem_model::FieldValue::Integer(7)));
}

#[test]
fn slices_hold_every_row_once() {
    let t = template(&[("v", FieldType::Integer)]);
    let mut table = Memtable::default();
    for time_ns in [9, 3, 7, 1, 3, 5, 8] {
        table.insert(SeriesId(0), &t, time_ns, &[1], b"");
    }
    let slices = |rows_max| slices([&table].into_iter(), SeriesId(0), rows_max);
    let expected = [(1, 3), (5, 7), (8, 9)].map(|(a, b)| TimeRange::new(a, b));
    assert_eq!(slices(2), expected);
    assert_eq!(slices(7), [TimeRange::ALL]);
    assert_eq!(slices(0).len(), 6);
}

#[test]
fn strings_are_copied_and_replaced() {
    let t = template(&[("s", FieldType::String)]);
    let mut table = Memtable::default();
    table.insert(SeriesId(3), &t, 1, &[string_word(1, 2)], b"xab");
    table.insert(SeriesId(3), &t, 1, &[string_word(0, 0)], b"");
    table.insert(SeriesId(3), &t, 2, &[string_word(0, 3)], b"cde");
    let rows = table.read(SeriesId(3), &[b"s"], TimeRange::ALL);
    let column = rows[0].columns[0].as_ref().unwrap();
    let Values::String(strings) = &column.values else {
        panic!("a string column")
    };
    assert_eq!(strings.iter().collect::<Vec<_>>(), [b"".as_slice(), b"cde"]);
}

#[test]
fn a_series_of_one_point_takes_few_bytes() {
    let t = template(&[("v", FieldType::Float)]);
    let mut table = Memtable::default();
    for id in 0..100_000 {
        assert!(table.insert(SeriesId(id), &t, 1, &[0], b""));
    }
    let bytes = table.bytes() / 100_000;
    assert!(bytes <= 42, "{bytes} bytes a series");
    for time_ns in 2..=8 {
        for id in 0..100_000 {
            assert!(!table.insert(SeriesId(id), &t, time_ns, &[0], b""));
        }
    }
    let bytes = table.bytes() / 100_000;
    assert!(
        bytes <= 8 * 16 + 4 * 16 + 10,
        "{bytes} bytes for eight rows"
    );
    assert_eq!(table.series_ids().count(), 100_000);
}

/// What a series holds, written plainly: by time, and of each field the last value.
type Model = BTreeMap<i64, [Option<u64>; 3]>;

proptest! {
    #[test]
    fn rows_of_any_order_and_shape_are_as_written_one_by_one(
        rows in prop::collection::vec((0_u32..40, 0_i64..30, 1_usize..8, 0_u64..100), 0..600),
    ) {
        let schemas = Schemas::default();
        let mut table = Memtable::default();
        let mut model: BTreeMap<u32, Model> = BTreeMap::new();
        let names: [&[u8]; 3] = [b"a", b"b", b"s"];
        for (at, &(id, time_ns, mask, value)) in rows.iter().enumerate() {
            // A few series get most of the rows, so that chunks of all sizes come up.
            let id = if at % 3 == 0 { id } else { id % 2 };
            let text = format!("{value}").repeat(at % 5);
            let fields: Vec<(Arc<[u8]>, FieldType)> = (0..3)
                .filter(|at| mask >> at & 1 == 1)
                .map(|at| {
                    let t = if at == 2 { FieldType::String } else { FieldType::Unsigned };
                    (Arc::from(names[at]), t)
                })
                .collect();
            let t = schemas.template(b"m", fields);
            let values: Vec<u64> = (0..3)
                .filter(|at| mask >> at & 1 == 1)
                .map(|at| if at == 2 { string_word(0, text.len()) } else { value + at as u64 })
                .collect();
            let first = table.insert(SeriesId(id), &t, time_ns, &values, text.as_bytes());
            prop_assert_eq!(first, !model.contains_key(&id));
            let row = model.entry(id).or_default().entry(time_ns).or_default();
            for (at, place) in row.iter_mut().enumerate().take(3) {
                if mask >> at & 1 == 1 {
                    *place = Some(if at == 2 { text.len() as u64 } else { value + at as u64 });
                }
            }
        }
        let counted = table.words.bytes_counted() + table.strings.bytes_counted();
        prop_assert_eq!(table.words.bytes() + table.strings.bytes(), counted);
        prop_assert!(table.bytes() >= counted);
        for (id, expected) in &model {
            for range in [TimeRange::ALL, TimeRange::new(7, 19)] {
                let rows = crate::merge::merge(table.read(SeriesId(*id), &names, range), 3);
                let expected: Vec<_> = expected.iter().filter(|(t, _)| range.contains(**t)).collect();
                let times: Vec<i64> = expected.iter().map(|(t, _)| **t).collect();
                prop_assert_eq!(&rows.times_ns, &times);
                prop_assert_eq!(table.has_rows(SeriesId(*id), range), !times.is_empty());
                for (row, (_, fields)) in expected.iter().enumerate() {
                    for (at, want) in fields.iter().enumerate() {
                        let got = rows.columns[at].as_ref().and_then(|c| c.get(row)).map(|v| match v {
                            tandem_model::FieldValue::Unsigned(v) => v,
                            tandem_model::FieldValue::String(v) => v.len() as u64,
                            other => panic!("{other:?}"),
                        });
                        prop_assert_eq!(got, *want);
                    }
                }
            }
        }
    }
}

#[test]
fn lines_of_ever_new_shapes_are_charged_for_their_shapes() {
    let schemas = Schemas::default();
    let mut table = Memtable::default();
    for n in 0..1000 {
        let name: Arc<[u8]> = format!("field{n}").into_bytes().into();
        let t = schemas.template(b"m", vec![(name, FieldType::Float)]);
        table.insert(SeriesId(0), &t, n, &[0], b"");
    }
    assert!(table.bytes() > 1000 * (32 + 100), "{}", table.bytes());
    assert_eq!(table.templates().count(), 1000);
}

#[test]
fn a_row_of_very_many_fields_fits() {
    let fields: Vec<(Arc<[u8]>, FieldType)> = (0..40_000)
        .map(|n| {
            (
                Arc::from(format!("f{n:05}").into_bytes()),
                FieldType::Integer,
            )
        })
        .collect();
    let t = Schemas::default().template(b"m", fields);
    let values: Vec<u64> = (0..40_000).collect();
    let mut table = Memtable::default();
    for time_ns in [3, 1, 2] {
        table.insert(SeriesId(9), &t, time_ns, &values, b"");
    }
    let rows = table.read(SeriesId(9), &[b"f39999", b"f00000"], TimeRange::ALL);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].times_ns, [1, 2, 3]);
    let last = &rows[0].columns[0].as_ref().unwrap().values;
    assert_eq!(*last, Values::Integer(vec![39_999; 3]));
}
