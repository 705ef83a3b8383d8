//! Whole files: written, read back, damaged, measured.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use tandem_model::{FieldType, FieldValue, SeriesId, ShardId, TimeRange};
use tandem_vfs::{File, RealFs};

use super::*;
use crate::{Bitmap, Column, Rows, Validity, Values};

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_700_000_000 * SECOND;
const HEADER: Header = Header {
    shard: ShardId(7),
    level: 2,
    min_seq: 100,
    max_seq: 250,
};

/// A value that owns its bytes and compares bit by bit.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Float(u64),
    Integer(i64),
    Unsigned(u64),
    String(Vec<u8>),
    Boolean(bool),
}

impl Owned {
    fn borrow(&self) -> FieldValue<'_> {
        match self {
            Self::Float(bits) => FieldValue::Float(f64::from_bits(*bits)),
            Self::Integer(v) => FieldValue::Integer(*v),
            Self::Unsigned(v) => FieldValue::Unsigned(*v),
            Self::String(v) => FieldValue::String(v),
            Self::Boolean(v) => FieldValue::Boolean(*v),
        }
    }

    fn of(value: FieldValue<'_>) -> Self {
        match value {
            FieldValue::Float(v) => Self::Float(v.to_bits()),
            FieldValue::Integer(v) => Self::Integer(v),
            FieldValue::Unsigned(v) => Self::Unsigned(v),
            FieldValue::String(v) => Self::String(v.to_vec()),
            FieldValue::Boolean(v) => Self::Boolean(v),
        }
    }
}

type Row = (i64, Vec<Option<Owned>>);

/// The fields of a measurement and the rows of its series.
type Measurement = (Vec<(Vec<u8>, FieldType)>, BTreeMap<u32, Vec<Row>>);

/// What a file is to hold: the plain map that it is compared with.
#[derive(Clone, Debug, Default)]
struct Model {
    measurements: BTreeMap<Vec<u8>, Measurement>,
}

fn rows_of(fields: &[FieldType], rows: &[Row]) -> Rows {
    let columns = fields.iter().enumerate().map(|(at, field_type)| {
        let mut values = Values::new(*field_type);
        let mut written = Bitmap::default();
        for (_, row) in rows {
            written.push(row[at].is_some());
            match &row[at] {
                Some(value) => values.push(value.borrow()),
                None => values.push_null(),
            }
        }
        let validity = if written.count_ones() == rows.len() {
            Validity::All
        } else {
            Validity::Some(written.clone())
        };
        (written.count_ones() > 0).then_some(Column { values, validity })
    });
    Rows {
        times_ns: rows.iter().map(|(time, _)| *time).collect(),
        columns: columns.collect(),
    }
}

fn plain(rows: &Rows) -> Vec<Row> {
    let values = |row| {
        let columns = rows.columns.iter();
        columns
            .map(|column| column.as_ref().and_then(|c| c.get(row)).map(Owned::of))
            .collect()
    };
    (0..rows.len())
        .map(|row| (rows.times_ns[row], values(row)))
        .collect()
}

/// Writes the model; rows of a series come in batches of `batch`.
fn write(path: &Path, model: &Model, effort: Effort, batch: usize) -> FileMeta {
    let mut writer = BlockWriter::create(&RealFs, path, HEADER, effort).unwrap();
    for (name, (fields, series)) in &model.measurements {
        writer.measurement(name, fields).unwrap();
        let types: Vec<FieldType> = fields.iter().map(|(_, t)| *t).collect();
        for (id, rows) in series {
            for rows in rows.chunks(batch) {
                writer
                    .series(SeriesId(*id), &rows_of(&types, rows))
                    .unwrap();
            }
        }
    }
    writer.finish().unwrap()
}

fn open(path: &Path) -> BlockFile {
    let file = tandem_vfs::Vfs::open_read(&RealFs, path).unwrap();
    BlockFile::open(file, path).unwrap()
}

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
            let found = file.series_time_range(at, SeriesId(*id)).unwrap();
            assert_eq!(found, Some(whole));
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
    file.verify().unwrap();
    meta
}

fn value(field_type: FieldType, bits: u64) -> Owned {
    let small = bits % 100;
    match field_type {
        FieldType::Float if bits % 7 == 0 => Owned::Float(bits),
        FieldType::Float => Owned::Float((small as f64 / 10.0).to_bits()),
        FieldType::Integer if bits % 7 == 0 => Owned::Integer(bits.cast_signed()),
        FieldType::Integer => Owned::Integer(small.cast_signed()),
        FieldType::Unsigned if bits % 7 == 0 => Owned::Unsigned(bits),
        FieldType::Unsigned => Owned::Unsigned(small),
        FieldType::String if bits % 5 == 0 => Owned::String(vec![b'x'; small as usize]),
        FieldType::String => Owned::String(format!("state {}", bits % 4).into_bytes()),
        FieldType::Boolean => Owned::Boolean(bits % 3 == 0),
    }
}

/// Deterministic noise.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn field_type() -> impl Strategy<Value = FieldType> {
    (0..5_u8).prop_map(|repr| FieldType::from_repr(repr).unwrap())
}

/// A model of series with up to `rows` rows each.
fn model(rows: usize) -> impl Strategy<Value = Model> {
    let series = (1..1000_u32, 1..=rows, any::<u64>());
    let measurement = (
        "[a-z]{1,8}",
        proptest::collection::vec((field_type(), 0..4_u8), 1..6),
        proptest::collection::vec(series, 0..8),
    );
    proptest::collection::vec(measurement, 0..4).prop_map(|measurements| {
        let mut model = Model::default();
        for (name, columns, series) in measurements {
            let fields = columns.iter().enumerate();
            let fields = fields.map(|(at, (t, _))| (format!("f{at}").into_bytes(), *t));
            let mut all = BTreeMap::new();
            let mut id = 0;
            for (skip, rows, seed) in series {
                id += skip;
                let mut next = noise(seed);
                let mut time = START + (next() % 3).cast_signed() * SECOND;
                let uneven = seed % 2 == 0;
                let row = |_| {
                    time += 10 * SECOND;
                    if uneven {
                        time += (next() % 1_000_000).cast_signed();
                    }
                    let cells = columns.iter().map(|(field_type, nulls)| {
                        let bits = next();
                        let null = match nulls {
                            0 | 1 => false,
                            2 => bits >> 60 < 8,
                            _ => (seed >> 1) % 2 == 0,
                        };
                        (!null).then(|| value(*field_type, bits % 1_000_003))
                    });
                    (time, cells.collect())
                };
                all.insert(id, (0..rows).map(row).collect());
            }
            model
                .measurements
                .insert(name.into_bytes(), (fields.collect(), all));
        }
        model
    })
}

fn effort() -> impl Strategy<Value = Effort> {
    prop_oneof![Just(Effort::Hot), Just(Effort::Cold)]
}

fn ranges() -> impl Strategy<Value = Vec<(u32, u32)>> {
    proptest::collection::vec(any::<(u32, u32)>(), 3)
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

/// A file in memory.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl File for Bytes {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
    fn reserve(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// A file with every kind of column, pages that are shared and statistics; its bytes.
fn sample() -> (Model, Vec<u8>) {
    let mut model = Model::default();
    let mut next = noise(9);
    for (name, rows) in [("a", &[3, 200, 40][..]), ("b", &[1; 5])] {
        let fields = (0..6_u8).map(|at| {
            let field_type = FieldType::from_repr(at % 5).unwrap();
            (vec![b'f', b'0' + at], field_type)
        });
        let fields: Vec<_> = fields.collect();
        let series = (0..).zip(rows).map(|(id, rows)| {
            let row = |at: usize| {
                let cells = fields.iter().enumerate().map(|(field, (_, field_type))| {
                    let bits = next();
                    (field < 5 && bits >> 62 != 0).then(|| value(*field_type, bits % 10_007))
                });
                (START + at as i64 * SECOND, cells.collect())
            };
            (id * 2, (0..*rows).map(row).collect())
        });
        let series = series.collect();
        model
            .measurements
            .insert(name.as_bytes().to_vec(), (fields, series));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.block");
    write(&path, &model, Effort::Cold, 100);
    (model, std::fs::read(&path).unwrap())
}

/// Reads all that the model has; `Ok` only when all of it is right.
fn read_all(bytes: Vec<u8>, model: &Model) -> Result<(), BlockError> {
    let path = PathBuf::from("damaged");
    let file = BlockFile::open(Arc::new(Bytes(bytes)), &path)?;
    let verified = file.verify();
    for (name, (fields, series)) in &model.measurements {
        let at = file
            .measurement(name)
            .expect("a footer that was taken is right");
        let names: Vec<&[u8]> = fields.iter().map(|(name, _)| name.as_slice()).collect();
        let mut reader = file.reader(at, &names);
        for (id, rows) in series {
            match reader.read(SeriesId(*id), TimeRange::ALL) {
                Ok(found) => assert_eq!(&plain(&found), rows),
                Err(error) => assert!(verified.is_err(), "verify missed {error}"),
            }
            let _ = reader.statistics(SeriesId(*id), TimeRange::ALL);
        }
    }
    verified
}

#[test]
fn every_damaged_byte_is_found_and_nothing_wrong_is_read() {
    let (model, bytes) = sample();
    read_all(bytes.clone(), &model).unwrap();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let error = read_all(damaged, &model).expect_err("damage goes unnoticed");
            assert!(
                matches!(error, BlockError::Corrupt { .. }),
                "byte {at}: {error}"
            );
        }
    }
}

#[test]
fn every_cut_is_found() {
    let (model, bytes) = sample();
    for len in 0..bytes.len() {
        let error = read_all(bytes[..len].to_vec(), &model).expect_err("a cut goes unnoticed");
        assert!(
            matches!(error, BlockError::Corrupt { .. }),
            "{len}: {error}"
        );
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(read_all(longer, &model).is_err());
}

#[test]
fn another_version_is_named() {
    let (model, mut bytes) = sample();
    let start = bytes.len() - TRAILER_LEN;
    let mut trailer = bytes.split_off(start);
    trailer.truncate(TRAILER_LEN - piece::CRC_LEN);
    *trailer.last_mut().unwrap() = 9;
    piece::seal(&mut trailer, 0);
    bytes.append(&mut trailer);
    let error = read_all(bytes, &model).unwrap_err();
    assert!(
        matches!(error, BlockError::Version { version: 9, .. }),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes whose checksums fit but that no writer wrote: an error or any rows, no panic.
    #[test]
    fn forged_pieces_do_not_panic(
        at: Index,
        flips in proptest::collection::vec((any::<Index>(), 1..=u8::MAX), 1..4),
    ) {
        let (_, mut bytes) = sample();
        let ends = piece_ends(&bytes);
        let (start, end) = ends[at.index(ends.len())];
        let body_end = end - piece::CRC_LEN;
        for (at, flip) in flips {
            bytes[start + at.index(body_end - start)] ^= flip;
        }
        let mut forged = bytes[start..body_end].to_vec();
        piece::seal(&mut forged, 0);
        bytes[start..end].copy_from_slice(&forged);
        let path = PathBuf::from("forged");
        if let Ok(file) = BlockFile::open(Arc::new(Bytes(bytes)), &path) {
            let _ = file.verify();
            for at in 0..file.measurements().len() {
                let names: Vec<&[u8]> = [b"f0", b"f1", b"f2", b"f3", b"f4", b"f5"].map(|n| &n[..]).to_vec();
                let mut reader = file.reader(at, &names);
                for id in file.measurements()[at].series.iter().take(1000) {
                    let _ = reader.read(SeriesId(id), TimeRange::ALL);
                    let _ = reader.statistics(SeriesId(id), TimeRange::ALL);
                }
            }
        }
    }
}

/// Where the pieces of a whole file are: found by trying, since small ones are near.
fn piece_ends(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    let mut start = MAGIC.len();
    while start < bytes.len() {
        let end = (start + piece::CRC_LEN..=bytes.len())
            .find(|end| piece::open(&bytes[start..*end]).is_ok())
            .expect("pieces follow one another");
        pieces.push((start, end));
        start = end;
    }
    pieces
}

/// Ten fields of integers that walk at random, like the `cpu` measurement of TSBS.
fn walks(hosts: u32, rows: usize) -> (FileMeta, BlockFile, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cpu.block");
    let mut writer = BlockWriter::create(&RealFs, &path, HEADER, Effort::Cold).unwrap();
    let fields: Vec<_> = (0..10)
        .map(|at| (format!("usage_{at}").into_bytes(), FieldType::Integer))
        .collect();
    writer.measurement(b"cpu", &fields).unwrap();
    let mut next = noise(5);
    // A sum of twelve uniform numbers is nearly normal.
    let mut normal = move || {
        let sum: u64 = (0..3)
            .map(|_| {
                let bits = next();
                (0..4).map(|at| bits >> (16 * at) & 0xffff).sum::<u64>()
            })
            .sum();
        (sum as f64 - 6.0 * 65_535.0) / 65_535.0
    };
    for host in 0..hosts {
        let columns = (0..10).map(|_| {
            let mut at = 50.0 + 20.0 * normal();
            let values = (0..rows).map(|_| {
                at = (at + normal()).clamp(0.0, 100.0);
                at as i64
            });
            Some(Column {
                values: Values::Integer(values.collect()),
                validity: Validity::All,
            })
        });
        let rows = Rows {
            columns: columns.collect(),
            times_ns: (0..rows as i64).map(|n| START + n * 10 * SECOND).collect(),
        };
        writer.series(SeriesId(host), &rows).unwrap();
    }
    let meta = writer.finish().unwrap();
    let file = open(&path);
    (meta, file, dir)
}

fn bytes_per_value(meta: &FileMeta) -> f64 {
    let figure = meta.len_bytes as f64 / meta.values as f64;
    println!(
        "{} series, {} rows: {} bytes, {figure:.4} bytes per value",
        meta.series, meta.rows, meta.len_bytes
    );
    figure
}

#[test]
fn integers_of_a_few_long_series_are_small() {
    let (meta, file, _dir) = walks(30, 8640);
    assert!(bytes_per_value(&meta) < 0.32);
    let directory: usize = file.measurements()[0]
        .directory
        .iter()
        .map(|page| page.len)
        .sum();
    assert!(directory * 1000 < meta.len_bytes as usize);
}

#[test]
fn integers_of_many_short_series_are_small() {
    let (meta, file, _dir) = walks(800, 360);
    assert!(bytes_per_value(&meta) < 0.37);
    let directory: usize = file.measurements()[0]
        .directory
        .iter()
        .map(|page| page.len)
        .sum();
    assert!(directory * 1000 < 15 * meta.len_bytes as usize);
}
