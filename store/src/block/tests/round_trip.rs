//! What was written is read, whole and in part.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tandem_model::{FieldType, SeriesId, TimeRange};
use tandem_vfs::RealFs;

use super::model::{Model, Owned, Row, effort, model, noise, plain, ranges, rows_of, write};
use super::{HEADER, SECOND, START, open};
use crate::block::footer::FileMeta;
use crate::block::{BlockCache, BlockError, BlockFile, BlockWriter, Effort};
use crate::{Column, Rows, Validity, Values};

/// Compares everything that a file can be asked with the model.
fn compare(file: &BlockFile, model: &Model, ranges: &[(u32, u32)]) {
    let with_rows = |(_, series): &&(_, BTreeMap<u32, Vec<Row>>)| !series.is_empty();
    assert_eq!(
        file.measurements().len(),
        model.measurements.values().filter(with_rows).count()
    );
    for (name, (fields, series)) in &model.measurements {
        let Some(at) = file.measurement(name) else {
            assert!(series.is_empty());
            continue;
        };
        let info = &file.measurements()[at];
        assert_eq!((&info.name, &info.fields), (name, fields));
        assert!(info.series.iter().eq(series.keys().copied()));
        let mut names: Vec<&[u8]> = fields.iter().map(|(name, _)| name.as_slice()).collect();
        let mut reader = file.reader(at, &names);
        for (id, rows) in series {
            let all = reader.read(SeriesId(*id), TimeRange::ALL).unwrap();
            assert_eq!(&plain(&all), rows, "series {id}");
            let whole = TimeRange::new(rows[0].0, rows[rows.len() - 1].0);
            let extent = reader.extent(SeriesId(*id)).unwrap();
            assert_eq!(extent, Some((rows.len() as u64, whole)));
            let spans = reader.spans(SeriesId(*id)).unwrap();
            assert!(rows.iter().all(|(time, _)| {
                let within = spans.iter().filter(|span| span.range.contains(*time));
                within.count() == 1
            }));
            let statistics = reader.statistics(SeriesId(*id), TimeRange::ALL).unwrap();
            for segment in &statistics {
                let inside = rows
                    .iter()
                    .filter(|(time, _)| segment.range.contains(*time));
                assert_eq!(inside.clone().count(), segment.rows);
                for (field, found) in segment.fields.iter().enumerate() {
                    let count = inside
                        .clone()
                        .filter(|(_, row)| row[field].is_some())
                        .count();
                    assert_eq!(found.as_ref().map_or(0, |s| s.count), count);
                }
            }
        }
        names.reverse();
        names.push(b"no such field");
        for (from, to) in ranges {
            for (id, rows) in series {
                let time = |at: u32| rows[((rows.len() as u64 * u64::from(at)) >> 32) as usize].0;
                let (from, to) = (time(*from), time(*to));
                let range = TimeRange::new(from, to.max(from) + 1);
                let found = file.read(at, SeriesId(*id), &names, range).unwrap();
                let expected = rows.iter().filter(|(time, _)| range.contains(*time));
                let expected = expected.map(|(time, row)| {
                    let reversed = row.iter().rev().cloned();
                    (*time, reversed.chain([None]).collect())
                });
                assert_eq!(plain(&found), expected.collect::<Vec<Row>>());
            }
        }
        let unknown = SeriesId(u32::MAX);
        assert!(
            file.read(at, unknown, &names, TimeRange::ALL)
                .unwrap()
                .is_empty()
        );
    }
}

fn round_trip(model: &Model, effort: Effort, batch: usize, ranges: &[(u32, u32)]) -> FileMeta {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.block");
    let meta = write(&path, model, effort, batch);
    let file = open(&path);
    assert_eq!(file.meta(), &meta);
    assert_eq!(meta.len_bytes, std::fs::metadata(&path).unwrap().len());
    compare(&file, model, ranges);
    let cache = Arc::new(BlockCache::new(1 << 20));
    let file = file.with_cache(Arc::clone(&cache));
    for _ in 0..2 {
        compare(&file, model, ranges);
        assert!(cache.bytes() <= 1 << 20);
    }
    file.verify().unwrap();
    meta
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn small_series_round_trip(
        model in model(40),
        effort in effort(),
        batch in 1..50_usize,
        ranges in ranges(),
    ) {
        round_trip(&model, effort, batch, &ranges);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 40, max_shrink_iters: 50, ..ProptestConfig::default()
    })]

    #[test]
    fn large_series_round_trip(
        model in model(6000),
        effort in effort(),
        batch in 100..9000_usize,
        ranges in ranges(),
    ) {
        round_trip(&model, effort, batch, &ranges);
    }
}

fn integers(series: impl Iterator<Item = (u32, usize)>, fields: usize) -> Model {
    let mut model = Model::default();
    let mut next = noise(1);
    let names = (0..fields).map(|at| (format!("f{at}").into_bytes(), FieldType::Integer));
    let series = series.map(|(id, rows)| {
        let row = |at: usize| {
            let cells = (0..fields).map(|_| Some(Owned::Integer((next() % 3).cast_signed())));
            (START + at as i64 * SECOND, cells.collect())
        };
        (id, (0..rows).map(row).collect())
    });
    let series = series.collect();
    model
        .measurements
        .insert(b"m".to_vec(), (names.collect(), series));
    model
}

#[test]
fn a_series_over_several_chunks() {
    let model = integers([(1, 10), (5, 300_000), (6, 1), (9, 5000)].into_iter(), 1);
    let ranges = [
        (0, 0),
        (u32::MAX / 3, u32::MAX / 2),
        (u32::MAX / 5, u32::MAX),
    ];
    round_trip(&model, Effort::Hot, 70_000, &ranges);
}

#[test]
fn wide_measurements_have_short_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.block");
    let mut writer = BlockWriter::create(&RealFs, &path, HEADER, Effort::Hot).unwrap();
    let fields = (0..500).map(|at| (format!("f{at}").into_bytes(), FieldType::Boolean));
    writer
        .measurement(b"m", &fields.collect::<Vec<_>>())
        .unwrap();
    let mut rows = Rows {
        times_ns: (0..10_000).collect(),
        columns: vec![None; 500],
    };
    rows.columns[77] = Some(Column {
        values: Values::Boolean((0..10_000).map(|at| at % 1000 < 3).collect()),
        validity: Validity::All,
    });
    writer.series(SeriesId(1), &rows).unwrap();
    let meta = writer.finish().unwrap();
    assert_eq!((meta.rows, meta.values), (10_000, 10_000));
    let file = open(&path);
    file.verify().unwrap();
    assert!(file.measurements()[0].chunks.len() > 1);
    let found = file
        .read(0, SeriesId(1), &[b"f76", b"f77"], TimeRange::ALL)
        .unwrap();
    assert_eq!(found.times_ns, rows.times_ns);
    assert_eq!(found.columns, [None, rows.columns[77].clone()]);
}

#[test]
fn many_series_of_one_row_take_more_than_one_directory_page() {
    let model = integers((0..2000).map(|id| (id * 3, 1)), 2);
    let meta = round_trip(&model, Effort::Cold, 1, &[]);
    assert_eq!((meta.series, meta.rows, meta.values), (2000, 2000, 4000));
    assert!(meta.len_bytes < 14_000, "{} bytes", meta.len_bytes);
}

#[test]
fn a_file_without_rows() {
    let mut model = integers([].into_iter(), 2);
    let meta = round_trip(&model, Effort::Hot, 1, &[]);
    assert!(meta.range.is_empty());
    model.measurements.clear();
    round_trip(&model, Effort::Hot, 1, &[]);
}

#[test]
fn strings_longer_than_a_page_get_pages_of_their_own() {
    let mut model = Model::default();
    let rows = (0..40).map(|at| {
        let string = vec![b'a' + at as u8 % 7; 300_000 + at];
        (START + at as i64, vec![Some(Owned::String(string)), None])
    });
    let fields = vec![
        (b"log".to_vec(), FieldType::String),
        (b"none".to_vec(), FieldType::Float),
    ];
    let series = BTreeMap::from([(3, rows.collect())]);
    model
        .measurements
        .insert(b"logs".to_vec(), (fields, series));
    round_trip(&model, Effort::Hot, 40, &[]);
}

#[test]
fn a_field_without_values_takes_two_bytes() {
    let with = |fields: usize| {
        let mut model = integers([(1, 2000)].into_iter(), 1);
        for (declared, series) in model.measurements.values_mut() {
            for at in 1..fields {
                declared.push((format!("f{at}").into_bytes(), FieldType::Float));
                let rows = series.values_mut().flatten();
                rows.for_each(|(_, row)| row.push(None));
            }
        }
        round_trip(&model, Effort::Cold, 2000, &[]).len_bytes
    };
    // Beside the name's length, its two bytes and the type in the footer.
    assert_eq!(with(9) - with(1), 8 * (2 + 4));
}

#[test]
fn the_ends_of_time_and_ids() {
    let mut model = Model::default();
    let cells = |n| vec![Some(Owned::Integer(n))];
    let rows = vec![
        (i64::MIN, cells(1)),
        (0, cells(i64::MIN)),
        (i64::MAX, cells(i64::MAX)),
    ];
    let series = BTreeMap::from([(0, rows.clone()), (u32::MAX - 1, rows)]);
    let fields = vec![(b"f".to_vec(), FieldType::Integer)];
    model.measurements.insert(b"m".to_vec(), (fields, series));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.block");
    write(&path, &model, Effort::Cold, 2);
    let file = open(&path);
    file.verify().unwrap();
    let all = TimeRange::new(i64::MIN, i64::MAX);
    for id in [0, u32::MAX - 1] {
        let rows = file.read(0, SeriesId(id), &[b"f"], all).unwrap();
        assert_eq!(plain(&rows), model.measurements[b"m".as_slice()].1[&id]);
    }
}

#[test]
fn what_breaks_the_order_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut names = 0..;
    let mut writer = || {
        let path = dir.path().join(format!("{}", names.next().unwrap()));
        let mut writer = BlockWriter::create(&RealFs, &path, HEADER, Effort::Hot).unwrap();
        let fields = [(b"f".to_vec(), FieldType::Integer)];
        writer.measurement(b"m", &fields).unwrap();
        let rows = rows_of(&[FieldType::Integer], &[(5, vec![None]), (6, vec![None])]);
        writer.series(SeriesId(4), &rows).unwrap();
        writer
    };
    let refused = |result: Result<(), BlockError>| {
        assert!(
            matches!(result, Err(BlockError::Refused { .. })),
            "{result:?}"
        );
    };
    let rows = |types: &[FieldType], times: &[i64]| {
        let nulls = times
            .iter()
            .map(|time| (*time, vec![Some(Owned::Boolean(true)); types.len()]));
        rows_of(types, &nulls.collect::<Vec<Row>>())
    };
    refused(writer().series(
        SeriesId(3),
        &rows_of(&[FieldType::Integer], &[(9, vec![None])]),
    ));
    refused(writer().series(
        SeriesId(4),
        &rows_of(&[FieldType::Integer], &[(6, vec![None])]),
    ));
    let twice = [(7, vec![None]), (7, vec![None])];
    refused(writer().series(SeriesId(5), &rows_of(&[FieldType::Integer], &twice)));
    refused(writer().series(SeriesId(5), &rows(&[], &[7])));
    refused(writer().series(SeriesId(5), &rows(&[FieldType::Boolean], &[7])));
    refused(writer().measurement(b"m", &[]));
    refused(writer().measurement(b"a", &[]));
    let twice = [
        (b"f".to_vec(), FieldType::Float),
        (b"f".to_vec(), FieldType::Float),
    ];
    refused(writer().measurement(b"n", &twice));
}
