//! The log on the host's file system: what is committed is read back, by a reader and by the next open.

use std::path::Path;
use std::sync::Arc;

use tandem_seglog::{Cursor, Error, Log, Options, Recovery, Sequence};
use tandem_vfs::RealFs;

fn small() -> Options {
    Options {
        segment_bytes_max: 256,
        record_bytes_max: 100,
        ..Options::default()
    }
}

fn open(dir: &Path, options: Options) -> (Log, Recovery, Vec<(Sequence, Vec<u8>)>) {
    let mut records = Vec::new();
    let (log, recovery) = Log::open(Arc::new(RealFs), dir, options, &mut |sequence, record| {
        records.push((sequence, record.to_vec()));
        Ok(())
    })
    .unwrap();
    assert_eq!(recovery.records, records.len() as u64);
    (log, recovery, records)
}

fn numbered(range: std::ops::Range<u64>) -> Vec<(Sequence, Vec<u8>)> {
    range
        .map(|n| (n, format!("record {n}").into_bytes()))
        .collect()
}

fn append(log: &Log, range: std::ops::Range<u64>) {
    for n in range {
        let ticket = log.append(&[b"record ", n.to_string().as_bytes()]).unwrap();
        assert_eq!(ticket.sequence(), n);
        log.commit(&ticket).unwrap();
    }
}

#[test]
fn committed_records_come_back_over_several_segments() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b/log");
    let (log, recovery, records) = open(&dir, small());
    assert_eq!((recovery, records), (Recovery::default(), vec![]));
    append(&log, 1..40);
    assert!(log.segments() > 5, "{}", log.segments());
    assert_eq!(log.durable_end(), 40);
    drop(log);
    let (log, recovery, records) = open(&dir, small());
    assert_eq!(records, numbered(1..40));
    assert_eq!(recovery.torn_tail, None);
    assert_eq!(recovery.corruptions, []);
    append(&log, 40..50);
    drop(log);
    assert_eq!(open(&dir, small()).2, numbered(1..50));
}

#[test]
fn a_reader_follows_and_a_cut_frees() {
    let root = tempfile::tempdir().unwrap();
    let (log, ..) = open(root.path(), small());
    let mut reader = log.reader(0);
    assert_eq!(reader.next().unwrap(), None);
    append(&log, 1..20);
    let staged = log.append(&[b"record 20"]).unwrap();
    let mut read = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        read.push(record);
    }
    assert_eq!(read, numbered(1..20));
    log.commit(&staged).unwrap();
    assert_eq!(reader.next().unwrap(), Some((20, b"record 20".to_vec())));
    assert_eq!(reader.next().unwrap(), None);

    log.rotate().unwrap();
    log.cut_below(21).unwrap();
    assert_eq!((log.segments(), log.first_sequence()), (1, 21));
    let mut late = log.reader(3);
    assert_eq!(late.next().unwrap(), None);
    append(&log, 21..23);
    assert_eq!(late.next().unwrap(), Some((21, b"record 21".to_vec())));
    drop((log, reader, late));
    assert_eq!(open(root.path(), small()).2, numbered(21..23));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_staged() {
    let root = tempfile::tempdir().unwrap();
    let (log, ..) = open(root.path(), small());
    let error = log.append(&[&[0; 60], &[0; 41]]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                bytes: 101,
                bytes_max: 100
            }
        ),
        "{error}"
    );
    let error = log
        .append_with(|_, buf| {
            buf.extend_from_slice(&[0; 101]);
            Ok(())
        })
        .unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    let error = log
        .append_with(|_, buf| {
            buf.push(1);
            Err("no".into())
        })
        .unwrap_err();
    assert!(matches!(error, Error::Encode { .. }), "{error}");
    let ticket = log
        .append_with(|sequence, buf| {
            buf.extend_from_slice(format!("record {sequence}").as_bytes());
            Ok(())
        })
        .unwrap();
    log.commit(&ticket).unwrap();
    log.commit(&ticket).unwrap();
    drop(log);
    assert_eq!(open(root.path(), small()).2, numbered(1..2));
}

#[test]
fn one_directory_is_open_once() {
    let root = tempfile::tempdir().unwrap();
    let (log, ..) = open(root.path(), small());
    let again = Log::open(Arc::new(RealFs), root.path(), small(), &mut |_, _| Ok(()));
    assert!(matches!(again, Err(Error::Locked { .. })));
    drop(log);
    open(root.path(), small());
}

#[test]
fn numbers_can_be_skipped_but_not_taken_back() {
    let root = tempfile::tempdir().unwrap();
    let (log, ..) = open(root.path(), small());
    append(&log, 1..4);
    drop(log);
    let later = Options {
        first_sequence: 100,
        ..small()
    };
    let (log, recovery, _) = open(root.path(), later);
    assert_eq!(recovery.corruptions, []);
    append(&log, 100..102);
    let mut reader = log.reader(2);
    let read: Vec<_> = std::iter::from_fn(|| reader.next().unwrap()).collect();
    let whole = [numbered(1..4), numbered(100..102)].concat();
    assert_eq!(read, whole[1..]);
    drop((log, reader));
    let (log, recovery, records) = open(root.path(), small());
    assert_eq!(recovery.corruptions, []);
    assert_eq!(records, whole);
    assert_eq!(log.next_sequence(), 102);
}

#[test]
fn a_visitor_that_refuses_stops_the_opening() {
    let root = tempfile::tempdir().unwrap();
    let (log, ..) = open(root.path(), small());
    append(&log, 1..4);
    drop(log);
    let error = Log::open(Arc::new(RealFs), root.path(), small(), &mut |n, _| {
        if n == 2 {
            Err("not this".into())
        } else {
            Ok(())
        }
    })
    .unwrap_err();
    assert!(matches!(error, Error::Visit { sequence: 2, .. }), "{error}");
}

#[test]
fn a_cursor_moves_forward_and_stays() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("cursor");
    let mut cursor = Cursor::open(&RealFs, &path).unwrap();
    assert_eq!((cursor.value(), cursor.payload()), (0, &b""[..]));
    cursor.store(7).unwrap();
    cursor.store_with(9, b"lane").unwrap();
    let error = cursor.store(8).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Backwards {
                current: 9,
                asked: 8,
                ..
            }
        ),
        "{error}"
    );
    drop(cursor);
    let mut cursor = Cursor::open(&RealFs, &path).unwrap();
    assert_eq!((cursor.value(), cursor.payload()), (9, &b"lane"[..]));
    cursor.store(10).unwrap();
    drop(cursor);
    let cursor = Cursor::open(&RealFs, &path).unwrap();
    assert_eq!((cursor.value(), cursor.payload()), (10, &b"lane"[..]));
}

#[test]
fn threads_share_their_syncs_and_keep_their_order() {
    let root = tempfile::tempdir().unwrap();
    let options = Options {
        segment_bytes_max: 4096,
        pending_bytes_max: 512,
        ..Options::default()
    };
    let (log, ..) = open(root.path(), options.clone());
    std::thread::scope(|scope| {
        for writer in 0..8_u8 {
            let log = log.clone();
            scope.spawn(move || {
                for n in 0..100_u8 {
                    let ticket = log.append(&[&[writer], &[n], &[0; 50]]).unwrap();
                    if n % 3 != 0 {
                        log.commit(&ticket).unwrap();
                        assert!(log.durable_end() > ticket.sequence());
                    }
                }
                log.commit_all().unwrap();
            });
        }
    });
    drop(log);
    let (_, recovery, records) = open(root.path(), options);
    assert_eq!(recovery.corruptions, []);
    assert_eq!(records.len(), 800);
    for writer in 0..8 {
        let of_one: Vec<_> = records.iter().filter(|r| r.1[0] == writer).collect();
        assert!(of_one.iter().map(|r| r.1[1]).eq(0..100));
    }
    assert!(records.iter().map(|r| r.0).eq(1..801));
}
