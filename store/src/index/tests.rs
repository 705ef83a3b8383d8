//! The table held against a plain map, and what recovery may give it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::RwLock;

use proptest::prelude::*;
use roaring::RoaringBitmap;
use tandem_model::{SeriesId, SeriesKey};

use super::{SeriesTable, each_value, with_fitting_value};

#[test]
fn keys_and_aliases_find_their_series() {
    let mut table = SeriesTable::default();
    let a = table.insert(b"cpu,a=1,b=2");
    let b = table.insert(b"mem");
    table.alias(b"cpu,b=2,a=1", a);
    assert_eq!(table.find_raw(b"cpu,a=1,b=2"), Some(a));
    assert_eq!(table.find_raw(b"cpu,b=2,a=1"), Some(a));
    assert_eq!(table.find(b"cpu,b=2,a=1"), None);
    assert_eq!(table.find_raw(b"mem"), Some(b));
    assert_eq!(table.find_raw(b"cpu,a=1,b=2,"), None);
    assert_eq!(table.find_raw(b"cpu,a=1"), None);
    assert_eq!(
        (table.key(b), table.measurement_of(a)),
        (b"mem".to_vec(), &b"cpu"[..])
    );
    assert_eq!(table.key(SeriesId(7)), b"");
}

#[test]
fn a_tail_that_is_taken_back_was_never_there() {
    let mut table = SeriesTable::default();
    let kept: Vec<SeriesId> = (0..1000)
        .map(|i| table.insert(format!("m,k={i}").as_bytes()))
        .collect();
    for i in 0..30_000 {
        table.insert(format!("m,{}=v{i}", "x".repeat(90)).as_bytes());
    }
    table.alias(b"other", kept[3]);
    table.truncate(1000);
    assert_eq!((table.len(), table.generation()), (1000, 1));
    assert_eq!(table.find_raw(b"other"), None);
    let key = format!("m,{}=v7", "x".repeat(90));
    assert_eq!(table.find(key.as_bytes()), None);
    for (i, &id) in kept.iter().enumerate() {
        assert_eq!(table.find(format!("m,k={i}").as_bytes()), Some(id));
    }
    assert_eq!(table.insert(b"new"), SeriesId(1000));
}

#[test]
fn recovery_leaves_holes_where_definitions_were_lost() {
    let mut table = SeriesTable::default();
    table.insert_at(SeriesId(2), b"c");
    table.insert_at(SeriesId(2), b"other");
    assert_eq!(table.key(SeriesId(0)), b"");
    assert_eq!(table.find(b"c"), Some(SeriesId(2)));
    assert_eq!((table.len(), table.series_count()), (3, 1));
    // Ids from a damaged record may be anything: they cost nothing and are not reached.
    table.pad_to(u32::MAX);
    assert!(table.heap_bytes() < 100_000);
    table.insert_at(SeriesId(u32::MAX - 1), b"d");
    assert_eq!(table.find(b"d"), None);
}

#[test]
fn of_several_series_with_one_key_the_last_takes_the_rows() {
    let mut table = SeriesTable::default();
    for id in [1, 5, 9] {
        table.insert_at(SeriesId(id), b"cpu,a=1");
    }
    let all: RoaringBitmap = (0..20).collect();
    assert_eq!(table.find(b"cpu,a=1"), Some(SeriesId(9)));
    assert_eq!(table.series(b"cpu", &all).len(), 3);
    table.remove([SeriesId(5)].into_iter());
    assert_eq!(table.find(b"cpu,a=1"), Some(SeriesId(9)));
    table.remove([SeriesId(9)].into_iter());
    assert_eq!(table.find(b"cpu,a=1"), Some(SeriesId(1)));
    table.remove([SeriesId(1)].into_iter());
    assert_eq!(table.find(b"cpu,a=1"), None);
    assert_eq!(table.insert(b"cpu,a=1"), SeriesId(10));
}

#[test]
fn a_series_of_one_unique_tag_takes_few_bytes() {
    let mut table = SeriesTable::default();
    for n in 0..200_000 {
        table.insert(format!("m,id={n:07}").as_bytes());
    }
    let bytes = table.heap_bytes() / 200_000;
    assert!(bytes < 100, "{bytes} bytes a series");
    assert!(table.find_raw(b"m,id=0123456").is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u8, [u8; 3]),
    Remove(Vec<u32>),
    TakeBack(u32),
    WriteAnew,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0_u8..3, prop::array::uniform3(0_u8..6)).prop_map(|(m, tags)| Step::Insert(m, tags)),
        2 => prop::collection::vec(0_u32..60, 0..12).prop_map(Step::Remove),
        1 => (1_u32..5).prop_map(Step::TakeBack),
        1 => Just(Step::WriteAnew),
    ]
}

/// Tag values 0 stand for "no such tag".
fn key(measurement: u8, tags: [u8; 3]) -> SeriesKey {
    let name = [b"cpu".as_slice(), b"a b", b"mem"][usize::from(measurement)];
    let names = [b"dc".as_slice(), b"host,x", b"z"];
    let values: Vec<Vec<u8>> = tags
        .iter()
        .map(|&tag| {
            if tag == 0 {
                Vec::new()
            } else {
                vec![b'v', b'=', tag]
            }
        })
        .collect();
    let mut pairs: Vec<(&[u8], &[u8])> = names
        .into_iter()
        .zip(&values)
        .map(|(name, value)| (name, value.as_slice()))
        .collect();
    SeriesKey::new(name, &mut pairs).unwrap()
}

/// Series by id, each with its key.
type Model = BTreeMap<u32, SeriesKey>;

fn check(
    table: &RwLock<SeriesTable>,
    model: &Model,
    within: &RoaringBitmap,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(table.read().unwrap().series_count(), model.len());
    type Tags = Vec<(Vec<u8>, Vec<u8>)>;
    let mut by_measurement: BTreeMap<Vec<u8>, Vec<(u32, Tags)>> = BTreeMap::new();
    for (&id, key) in model {
        prop_assert_eq!(table.read().unwrap().key(SeriesId(id)), key.as_bytes());
        prop_assert_eq!(
            table.read().unwrap().find_raw(key.as_bytes()),
            Some(SeriesId(id))
        );
        let (name, tags) = SeriesKey::split(key.as_bytes());
        if within.contains(id) {
            by_measurement
                .entry(name)
                .or_default()
                .push((id, tags.collect()));
        }
    }
    let names: Vec<Vec<u8>> = by_measurement.keys().cloned().collect();
    prop_assert_eq!(table.read().unwrap().measurements(within), names);
    for (name, series) in &by_measurement {
        let ids: RoaringBitmap = series.iter().map(|(id, _)| *id).collect();
        prop_assert_eq!(table.read().unwrap().count_series(name, within), ids.len());
        prop_assert_eq!(table.read().unwrap().series(name, within), ids);
        let mut tags: BTreeMap<&[u8], BTreeMap<&[u8], RoaringBitmap>> = BTreeMap::new();
        for (id, pairs) in series {
            for (k, v) in pairs {
                tags.entry(k).or_default().entry(v).or_default().insert(*id);
            }
        }
        let keys: Vec<Vec<u8>> = tags.keys().map(|k| k.to_vec()).collect();
        prop_assert_eq!(table.read().unwrap().tag_keys(name, within), keys);
        for k in [b"dc".as_slice(), b"host,x", b"z", b"none"] {
            let expected = tags.get(k).cloned().unwrap_or_default();
            let carriers = expected
                .values()
                .fold(RoaringBitmap::new(), |all, ids| all | ids);
            prop_assert_eq!(table.read().unwrap().tagged(name, k, within), carriers);
            let values: Vec<Vec<u8>> = expected.keys().map(|v| v.to_vec()).collect();
            let listed: Vec<(Vec<u8>, RoaringBitmap)> = values
                .into_iter()
                .map(|v| (v.clone(), expected[v.as_slice()].clone()))
                .collect();
            let lock = || table.read().unwrap();
            let mut got = Vec::new();
            each_value(&lock, name, k, within, |value| {
                got.push((value.text.to_vec(), value.series()));
            });
            prop_assert_eq!(got, listed);
            for tag in 1..6 {
                let value = [b'v', b'=', tag];
                let ids = expected.get(value.as_slice()).cloned().unwrap_or_default();
                prop_assert_eq!(
                    table.read().unwrap().with_value(name, k, &value, within),
                    ids
                );
            }
            let odd = |value: &[u8]| value[2] % 2 == 1;
            let fitting = expected.iter().filter(|(v, _)| odd(v));
            let fitting = fitting.fold(RoaringBitmap::new(), |all, (_, ids)| all | ids);
            prop_assert_eq!(with_fitting_value(&lock, name, k, within, odd), fitting);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_table_holds_what_was_put_in_and_not_taken_out(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut table = SeriesTable::default();
        let mut model = Model::new();
        let mut len = 0;
        for step in steps {
            match step {
                Step::Insert(measurement, tags) => {
                    let key = key(measurement, tags);
                    if table.find(key.as_bytes()).is_none() {
                        let id = table.insert(key.as_bytes());
                        prop_assert_eq!(id.0, len);
                        model.insert(id.0, key);
                        len += 1;
                    }
                }
                Step::Remove(ids) => {
                    table.remove(ids.iter().map(|id| SeriesId(*id)));
                    ids.iter().for_each(|id| {
                        model.remove(id);
                    });
                }
                Step::TakeBack(count) => {
                    len = len.saturating_sub(count);
                    table.truncate(len);
                    model.split_off(&len);
                }
                Step::WriteAnew => {
                    let mut fresh = table.fresh();
                    let middle = table.len() / 2;
                    fresh.copy_from(&table, 0..middle);
                    fresh.copy_from(&table, middle..table.len());
                    fresh.succeed(&table);
                    table = fresh;
                }
            }
            prop_assert_eq!(table.len(), len);
        }
        let all: RoaringBitmap = (0..len).collect();
        let table = RwLock::new(table);
        check(&table, &model, &all)?;
        check(&table, &model, &all.iter().filter(|id| id % 3 == 0).collect())?;
    }
}

#[test]
fn a_table_written_anew_meanwhile_shows_each_value_once() {
    let mut table = SeriesTable::default();
    for n in 0..20_000 {
        table.insert(format!("m,k={n:05}").as_bytes());
    }
    table.remove((0..20_000).filter(|id| id % 2 == 0).map(SeriesId));
    let table = RwLock::new(table);
    let within: RoaringBitmap = (0..20_000).collect();
    let locked = Cell::new(0);
    let lock = || {
        locked.set(locked.get() + 1);
        if [3, 4, 6].contains(&locked.get()) {
            let fresh = {
                let old = table.read().unwrap();
                let mut fresh = old.fresh();
                fresh.copy_from(&old, 0..old.len());
                fresh.succeed(&old);
                fresh
            };
            *table.write().unwrap() = fresh;
        }
        table.read().unwrap()
    };
    let mut seen = Vec::new();
    each_value(&lock, b"m", b"k", &within, |value| {
        seen.push(String::from_utf8(value.text.to_vec()).unwrap());
    });
    let expected: Vec<String> = (0..10_000).map(|n| format!("{:05}", n * 2 + 1)).collect();
    assert_eq!(seen, expected);
    assert!(locked.get() > 9);
}
