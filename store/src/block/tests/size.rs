//! How many bytes a value takes.

use tandem_model::{FieldType, SeriesId};
use tandem_vfs::RealFs;

use super::model::noise;
use super::{HEADER, SECOND, START, open};
use crate::block::footer::FileMeta;
use crate::block::{BlockFile, BlockWriter, Effort};
use crate::{Column, Rows, Validity, Values};

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
