//! Damaged files: an error or the right rows.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use tandem_model::{FieldType, SeriesId, TimeRange};
use tandem_testkit::SimFs;
use tandem_vfs::Vfs;

use super::model::{Model, noise, plain, try_write, value, write};
use super::{SECOND, START};
use crate::block::{BlockError, BlockFile, Effort, MAGIC, TRAILER_LEN, piece};
use crate::fuzzing::Bytes;

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
    let file = BlockFile::open_file(Arc::new(Bytes::new(bytes)), &path)?;
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

/// Written by version 1 and never again: what a later program must still read.
#[test]
fn a_file_of_version_1() {
    let (model, _) = sample();
    read_all(include_bytes!("../golden/v1.block").to_vec(), &model).unwrap();
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

/// Writes the sample on a file system of its own.
fn write_to(fs: &SimFs, model: &Model) -> Result<(), BlockError> {
    try_write(fs, Path::new("/a.block"), model, Effort::Hot, 100).map(drop)
}

#[test]
fn a_call_that_fails_fails_the_writer() {
    let (model, _) = sample();
    let fs = SimFs::new(1);
    write_to(&fs, &model).unwrap();
    let calls = fs.calls();
    assert!(calls > 4);
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        for call in 0..calls {
            let fs = SimFs::new(call);
            fs.fail_after(call, kind);
            match write_to(&fs, &model) {
                Err(BlockError::Io { source, .. }) => assert_eq!(source.kind(), kind),
                other => panic!("call {call} failed and the writer said {other:?}"),
            }
        }
    }
}

/// Zero-length files after power loss made databases unwritable elsewhere.
#[test]
fn what_was_finished_survives_power_loss() {
    let (model, _) = sample();
    let fs = SimFs::new(1);
    write_to(&fs, &model).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    for seed in 0..20 {
        let fs = fs.crash(seed);
        let file = fs.open_read(Path::new("/a.block")).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        read_all(bytes, &model).unwrap();
    }
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
        if let Ok(file) = BlockFile::open_file(Arc::new(Bytes::new(bytes)), &path) {
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
