//! What is written is read, and every damage is told.

use std::ops::Range;
use std::path::Path;
use std::sync::RwLock;

use roaring::RoaringBitmap;
use tandem_model::SeriesId;
use tandem_testkit::SimFs;
use tandem_vfs::Vfs;

use super::{BLOCK_BYTES, SegmentRead, read_segment, write_segment};
use crate::index::SeriesTable;

const ALL: Range<u32> = 0..50_000;

fn sample(series: u32) -> SeriesTable {
    let mut table = SeriesTable::default();
    for n in 0..series {
        let name = if n % 5 == 0 { r"a\ b" } else { "cpu" };
        let key = format!(
            r"{name},dc=eu-{},host=host-{n:05},z\ k=v\,{}",
            n % 3,
            n % 100
        );
        table.insert(key.replace(r"\\", r"\").as_bytes());
    }
    table.insert(b"plain");
    table
}

fn written(fs: &SimFs, table: SeriesTable, ids: Range<u32>) -> (RwLock<SeriesTable>, u32) {
    fs.create_dir_all(Path::new("/d")).unwrap();
    let table = RwLock::new(table);
    let lock = || table.read().unwrap();
    let series = write_segment(fs, Path::new("/d/a.sidx"), ids, &lock).unwrap();
    (table, series)
}

fn read(fs: &SimFs) -> (SeriesTable, SegmentRead) {
    let mut back = SeriesTable::default();
    let read = read_segment(fs, Path::new("/d/a.sidx"), ALL, &mut back).unwrap();
    (back, read)
}

#[test]
fn a_segment_gives_back_its_series() {
    let fs = SimFs::new(1);
    let mut table = sample(20_000);
    table.remove([SeriesId(7), SeriesId(19_999)].into_iter());
    let (table, series) = written(&fs, table, 5..20_001);
    assert_eq!(series, 19_994);
    let (mut back, read) = read(&fs);
    assert!(read.damage.is_none(), "{read:?}");
    assert_eq!(read.series, series);
    let table = table.into_inner().unwrap();
    for id in (5..20_001).map(SeriesId) {
        let key = table.key(id);
        assert_eq!(back.key(id), key);
        if !key.is_empty() {
            assert_eq!(back.find(&key), Some(id));
        }
    }
    assert_eq!(back.insert(b"new"), SeriesId(20_001));
    let len = fs.open(Path::new("/d/a.sidx")).unwrap().len().unwrap();
    assert!(len < 20 * 20_000, "{len} bytes");
}

#[test]
fn every_damaged_byte_is_told_and_no_series_gets_another_key() {
    let fs = SimFs::new(1);
    let (table, _) = written(&fs, sample(60), 0..61);
    let table = table.into_inner().unwrap();
    let file = fs.open(Path::new("/d/a.sidx")).unwrap();
    for offset in 0..file.len().unwrap() {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        for flip in [0x01, 0x80, 0xff] {
            file.write_all_at(&[byte[0] ^ flip], offset).unwrap();
            let (back, read) = read(&fs);
            assert!(read.damage.is_some(), "byte {offset}");
            for id in (0..61).map(SeriesId) {
                let key = back.key(id);
                assert!(key.is_empty() || key == table.key(id), "byte {offset}");
            }
        }
        file.write_all_at(&byte, offset).unwrap();
    }
    assert!(read(&fs).1.damage.is_none());
}

#[test]
fn a_damaged_block_takes_only_its_own_series() {
    let fs = SimFs::new(1);
    let (_, series) = written(&fs, sample(20_000), 0..20_001);
    let file = fs.open(Path::new("/d/a.sidx")).unwrap();
    assert!(file.len().unwrap() > 3 * BLOCK_BYTES as u64);
    file.write_all_at(b"damage", BLOCK_BYTES as u64 * 3 / 2)
        .unwrap();
    let (back, read) = read(&fs);
    assert!(read.damage.is_some());
    assert!(read.series > series / 2 && read.series < series);
    assert_eq!(back.series_count() as u32, read.series);
    assert!(!back.key(SeriesId(0)).is_empty() && !back.key(SeriesId(20_000)).is_empty());
}

#[test]
fn a_segment_cut_anywhere_is_told() {
    let fs = SimFs::new(1);
    written(&fs, sample(60), 0..61);
    let file = fs.open(Path::new("/d/a.sidx")).unwrap();
    let mut len = file.len().unwrap();
    while len > 0 {
        len -= 1;
        file.set_len(len).unwrap();
        assert!(read(&fs).1.damage.is_some(), "cut at {len}");
    }
}

/// A segment that names ids of another one would give keys to rows that are not theirs.
#[test]
fn ids_out_of_range_are_damage() {
    let fs = SimFs::new(1);
    let (table, _) = written(&fs, sample(60), 0..61);
    for ids in [0..60, 1..61, 61..99] {
        let mut back = SeriesTable::default();
        let read = read_segment(&fs, Path::new("/d/a.sidx"), ids, &mut back).unwrap();
        assert!(read.damage.is_some() && back.series_count() == 0);
    }
    let table = table.into_inner().unwrap();
    assert_eq!(read(&fs).0.key(SeriesId(60)), table.key(SeriesId(60)));
}

/// The second thread's way, and measurements and tag keys that come and go between series.
#[test]
fn a_long_segment_gives_back_all_that_was_in_it() {
    let fs = SimFs::new(1);
    let mut table = SeriesTable::default();
    for n in 0..45_000_u32 {
        let key = match n % 1_000 {
            0..600 => format!("cpu,host=h{n}"),
            600..603 => format!("cpu,dc=eu,host=h{n}"),
            603..605 => "gone".into(),
            605 => format!("bare{n}"),
            _ => format!("mem,host=h{},pod=p{n}", n % 7),
        };
        if table.find(key.as_bytes()).is_none() {
            table.insert(key.as_bytes());
        }
    }
    let gone = table.find(b"gone").unwrap();
    table.remove([gone, SeriesId(1_000)].into_iter());
    let len = table.len();
    let (table, series) = written(&fs, table, 0..len);
    assert!(fs.used_bytes() > 256 << 10, "{}", fs.used_bytes());
    let (back, read) = read(&fs);
    assert!(read.damage.is_none() && read.series == series, "{read:?}");
    let table = table.into_inner().unwrap();
    let all = |table: &SeriesTable| table.ids_in(ALL).map(|id| id.0).collect::<RoaringBitmap>();
    assert_eq!(all(&back), all(&table));
    let all = all(&table);
    for id in 0..len {
        let key = table.key(SeriesId(id));
        assert_eq!(back.key(SeriesId(id)), key);
        assert!(key.is_empty() || back.find(&key) == Some(SeriesId(id)));
    }
    for measurement in [&b"cpu"[..], b"mem", b"bare605", b"gone"] {
        assert_eq!(
            back.series(measurement, &all),
            table.series(measurement, &all)
        );
        assert_eq!(
            back.tag_keys(measurement, &all),
            table.tag_keys(measurement, &all)
        );
        for key in [&b"dc"[..], b"host", b"pod"] {
            let (a, b) = (
                back.tagged(measurement, key, &all),
                table.tagged(measurement, key, &all),
            );
            assert_eq!(a, b);
        }
        let carriers = back.with_value(measurement, b"host", b"h3", &all);
        assert_eq!(
            carriers,
            table.with_value(measurement, b"host", b"h3", &all)
        );
    }
}

/// Two series of one key, as after a deletion: new rows go to the later one.
#[test]
fn of_equal_keys_the_last_counts() {
    let fs = SimFs::new(1);
    let mut table = SeriesTable::default();
    for n in 0..3_000_u32 {
        table.insert_at(SeriesId(n), format!("m,k={}", n % 1_000).as_bytes());
    }
    let (_, series) = written(&fs, table, 0..3_000);
    assert_eq!(series, 3_000);
    let (mut back, _) = read(&fs);
    assert_eq!(back.find(b"m,k=7"), Some(SeriesId(2_007)));
    back.remove([SeriesId(2_007)].into_iter());
    assert_eq!(back.find(b"m,k=7"), Some(SeriesId(1_007)));
}
