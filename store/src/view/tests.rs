//! Series are read in slices: all rows, each once, in order, and never many at a time.

use std::path::Path;
use std::sync::Arc;

use tandem_model::{FieldType, FieldValue, Precision, SeriesId, TimeRange};
use tandem_testkit::SimFs;

use super::*;
use crate::{Options, PolicyChoice, Store, WriteRequest};

fn store() -> Store {
    let options = Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    };
    let store = Store::open(Arc::new(SimFs::new(1)), Path::new("/store"), options).unwrap();
    store.create_database("db", None).unwrap();
    store
}

fn write(store: &Store, body: &str) {
    let request = WriteRequest {
        database: "db",
        retention_policy: None,
        precision: Precision::Second,
        now_ns: 0,
    };
    store.write(&request, body.as_bytes()).unwrap();
}

fn view(store: &Store) -> View {
    let view = store.view("db", PolicyChoice::All, TimeRange::ALL);
    view.unwrap()
}

/// All slices of the only series.
fn slices(view: &View, field: &[u8], range: TimeRange, order: Order) -> Vec<Rows> {
    let mut reader = view.read(SeriesId(0), &[field], range, order);
    let mut slices = Vec::new();
    while let Some(rows) = reader.next().unwrap() {
        assert!(!rows.is_empty());
        slices.push(rows);
    }
    slices
}

fn plain(slices: &[Rows]) -> Vec<(i64, String)> {
    let rows = slices.iter().flat_map(|rows| {
        (0..rows.len()).map(|row| {
            let value = rows.columns[0].as_ref().and_then(|c| c.get(row));
            (rows.times_ns[row], format!("{value:?}"))
        })
    });
    rows.collect()
}

#[test]
fn series_with_equal_values_of_two_tags() {
    let store = store();
    write(
        &store,
        "m,a=x,b=x v=1 1\nm,a=x,b=y v=1 1\nm,a=y v=1 1\nn,a=x,b=x v=1 1\nm,a=p\\ q,b=p\\ q,c=x v=1 1",
    );
    let view = view(&store);
    let keys = |measurement: &[u8], a: &[u8], b: &[u8]| {
        let equal = view.series_with_equal_values(measurement, a, b);
        let keys = equal.iter().map(|id| view.series_key(SeriesId(id)));
        keys.map(|key| String::from_utf8(key).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(b"m", b"a", b"b"),
        ["m,a=x,b=x", "m,a=p\\ q,b=p\\ q,c=x"]
    );
    assert_eq!(keys(b"n", b"b", b"a"), ["n,a=x,b=x"]);
    assert_eq!(keys(b"m", b"a", b"c"), [""; 0]);
    assert_eq!(keys(b"m", b"a", b"gone"), [""; 0]);
}

#[test]
fn places_of_values_are_those_of_their_order() {
    let store = store();
    write(
        &store,
        "m,a=b,c=1 v=1 1\nm,a=a\\ x v=1 1\nm,c=2 v=1 1\nm,a=a v=1 1\nm,a=b,c=2 v=1 1",
    );
    let view = view(&store);
    let ids: Vec<u32> = view.series(b"m").iter().collect();
    assert_eq!(view.tag_value_places(b"a", &ids), (vec![3, 2, 0, 1, 3], 3));
    assert_eq!(
        view.tag_value_places(b"c", &ids[1..]),
        (vec![0, 1, 0, 1], 1)
    );
    assert_eq!(view.tag_value_places(b"gone", &ids), (vec![0; 5], 0));
    assert_eq!(view.tag_value_places(b"a", &[999]), (vec![0], 0));
    let tags = ["c".to_owned(), "a".to_owned(), "x".to_owned()];
    let values = view.tag_values_at(SeriesId(ids[1]), &tags).unwrap();
    assert_eq!(values, [&b""[..], b"a x", b""]);
    assert_eq!(view.tag_values_at(SeriesId(999), &tags), None);
    // Of many values few are asked for, which are put in order for themselves.
    let lines: String = (0..500).map(|at| format!("n,a=v{at:03} v=1 1\n")).collect();
    write(&store, &lines);
    let view = self::view(&store);
    let ids: Vec<u32> = view.series(b"n").iter().collect();
    let (places, count) = view.tag_value_places(b"a", &ids);
    assert_eq!((count, places.is_sorted()), (500, true));
    let some = [ids[400], ids[3], ids[400], ids[77]];
    assert_eq!(view.tag_value_places(b"a", &some), (vec![3, 1, 3, 2], 3));
}

#[test]
fn a_field_and_a_series_are_in_one_shard_or_not() {
    let store = store();
    // Two shards: a series without the field, and a field of two types.
    write(
        &store,
        "m,h=a f=1 100\nm,h=b x=\"y\" 2000000\nm,h=c x=1 100",
    );
    for _ in 0..2 {
        let view = view(&store);
        let has = |field: &[u8], host: &[u8], wanted: FieldType| {
            let series = view.series_with_value(b"m", b"h", host);
            view.has_field_beside(b"m", field, |found| found == wanted, &series)
        };
        assert!(has(b"x", b"b", FieldType::String));
        assert!(has(b"x", b"a", FieldType::Float));
        assert!(!has(b"x", b"a", FieldType::String));
        assert!(!has(b"x", b"b", FieldType::Float));
        assert!(!has(b"f", b"b", FieldType::Float));
        assert!(!has(b"gone", b"a", FieldType::Float));
        let beside = |host: &[u8]| {
            let series = view.series_with_value(b"m", b"h", host);
            view.fields_beside(b"m", &series)
        };
        assert_eq!(beside(b"a"), [b"f", b"x"]);
        assert_eq!(beside(b"b"), [b"x"]);
        assert!(beside(b"gone").is_empty());
        store.flush().unwrap();
    }
}

#[test]
fn shards_around_a_range_hold_all_of_it() {
    let store = store();
    write(&store, "m v=1 100\nn v=1 2000000");
    let around = |min_s: i64, max_s: i64| {
        let range = TimeRange::new(min_s * 1_000_000_000, max_s * 1_000_000_000);
        view(&store).around(range).measurements()
    };
    assert_eq!(around(50, 100), [b"m"]);
    assert_eq!(around(2_000_000, 2_000_000), [b"n"]);
    assert!(around(100, 2_000_000).is_empty());
}

#[test]
fn the_extent_is_that_of_files_or_of_a_whole_shard() {
    let store = store();
    assert!(view(&store).extent().is_empty());
    write(&store, "m v=1 100\nm v=1 200");
    let whole = view(&store).extent();
    assert!(whole.min_ns <= 0 && whole.max_ns > 1_000_000_000_000);
    store.flush().unwrap();
    let range = TimeRange::new(100_000_000_000, 200_000_000_000);
    assert_eq!(view(&store).extent(), range);
}

#[test]
fn a_long_series_comes_in_slices_of_both_orders() {
    let store = store();
    // Three files and a memtable over two shards, every other row in two of them.
    for (part, step) in [(0, 2), (1, 3), (2, 6), (3, 11)] {
        let lines = (0..60_000).filter(|at| at % step == 0);
        let body: String = lines
            .map(|at| format!("m v={part} {}\n", at * 20))
            .collect();
        write(&store, &body);
        if part < 3 {
            store.flush().unwrap();
        }
    }
    let view = view(&store);
    let up = slices(&view, b"v", TimeRange::ALL, Order::Ascending);
    assert!(up.len() > 4, "{} slices", up.len());
    assert!(up.iter().all(|rows| rows.len() < 30_000));
    let up = plain(&up);
    assert!(up.is_sorted_by(|a, b| a.0 < b.0));
    let expected = (0..60_000).filter(|at| [2, 3, 6, 11].iter().any(|step| at % step == 0));
    assert_eq!(up.len(), expected.count());
    let newest = |at: i64| [11, 6, 3, 2].iter().position(|step| at % step == 0);
    assert!(up.iter().all(|(time_ns, value)| {
        let part = 3 - newest(time_ns / 20_000_000_000).unwrap();
        *value == format!("{:?}", Some(FieldValue::Float(part as f64)))
    }));
    let mut down = plain(&slices(&view, b"v", TimeRange::ALL, Order::Descending));
    down.reverse();
    assert!(up == down);
    let range = TimeRange::new(400_000_000_000, 500_000_000_000_000);
    let some = plain(&slices(&view, b"v", range, Order::Ascending));
    let inside = up
        .into_iter()
        .filter(|(time_ns, _)| range.contains(*time_ns));
    assert!(some == inside.collect::<Vec<_>>());
}

#[test]
fn long_strings_come_a_few_at_a_time() {
    let store = store();
    let text = "x".repeat(600_000);
    for at in 0..12 {
        write(&store, &format!("m v=\"{at}{text}\" {at}"));
    }
    store.flush().unwrap();
    let view = view(&store);
    for order in [Order::Ascending, Order::Descending] {
        let slices = slices(&view, b"v", TimeRange::ALL, order);
        assert!(slices.iter().all(|rows| rows.len() <= 2));
        assert_eq!(plain(&slices).len(), 12);
    }
}

#[test]
fn rows_that_are_written_while_a_series_is_read_come_once_or_not() {
    let store = store();
    let body = |from: i64| -> String {
        let lines = (0..40_000).map(|at| format!("m v=1 {}\n", from + at * 2));
        lines.collect()
    };
    write(&store, &body(0));
    store.flush().unwrap();
    let view = view(&store);
    let mut reader = view.read(SeriesId(0), &[b"v"], TimeRange::ALL, Order::Ascending);
    let mut times_ns = reader.next().unwrap().unwrap().times_ns;
    let first = times_ns.len();
    write(&store, &body(1));
    store.compact().unwrap();
    while let Some(rows) = reader.next().unwrap() {
        times_ns.extend(rows.times_ns);
    }
    assert!(times_ns.is_sorted_by(|a, b| a < b));
    assert_eq!(times_ns.len(), 80_000 - first);
}

#[test]
fn a_field_has_a_type_for_each_shard() {
    let store = store();
    for (at, value) in ["1", "\"x\"", "2i", "true"].iter().enumerate() {
        write(&store, &format!("m v={value},w=1 {}", at * 100_000_000));
    }
    let view = view(&store);
    let types = |name: &[u8]| -> Vec<&str> {
        let fields = view.field_types(b"m").into_iter();
        fields
            .filter(|(n, _)| n == name)
            .map(|(_, t)| t.name())
            .collect()
    };
    assert_eq!(types(b"v"), ["boolean", "float", "integer", "string"]);
    assert_eq!(types(b"w"), ["float"]);
    let merged = view.fields(b"m");
    assert_eq!(merged.len(), 2);
    assert_eq!(merged[0], (b"v".to_vec(), FieldType::Float));
}
