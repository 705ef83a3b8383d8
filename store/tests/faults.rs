//! A full disk and a failed sync: writes are refused by name, what was acknowledged stays, and
//! reading goes on.

mod common;

use std::io;

use common::{Bed, points};
use tandem_store::WriteError;

fn line(i: usize) -> String {
    format!("m,host=h{i} v={i}i,s=\"{}\" {i}", "x".repeat(200))
}

#[test]
fn a_full_disk_refuses_writes_loses_nothing_and_is_left_behind() {
    let mut bed = Bed::new();
    bed.write(&line(0)).unwrap();
    bed.fs.set_capacity(Some(bed.fs.used_bytes() + 3_000));
    let mut acknowledged = 1;
    let mut refused = 0;
    for i in 1..40 {
        match bed.write(&line(i)) {
            Ok(_) => acknowledged += 1,
            Err(WriteError::Full(_) | WriteError::Overloaded(_)) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(
            points(&bed.store, "m").len(),
            acknowledged,
            "reading goes on"
        );
    }
    assert!(
        refused > 0 && acknowledged > 1,
        "{acknowledged} stored, {refused} refused"
    );
    bed.fs.set_capacity(None);
    bed.write(&line(100)).unwrap();
    acknowledged += 1;
    assert_eq!(points(&bed.store, "m").len(), acknowledged);
    bed.reopen();
    assert_eq!(points(&bed.store, "m").len(), acknowledged);
    bed.store.flush().unwrap();
    assert_eq!(points(&bed.store, "m").len(), acknowledged);
}

#[test]
fn a_series_whose_first_write_failed_was_never_there() {
    let bed = Bed::new();
    bed.write("m,host=a v=1i 1").unwrap();
    // A write asks for the free space, writes its record and syncs it.
    bed.fs.fail_after(1, io::ErrorKind::StorageFull);
    bed.write("m,host=b w=1i 1").unwrap_err();
    assert!(!bed.fs.fault_is_pending());
    assert_eq!(points(&bed.store, "m"), ["m,host=a v=1i 1"]);
    // The type that the failed write would have fixed is free again, and so is the series' id.
    bed.write("m,host=c w=2.5 1").unwrap();
    assert_eq!(
        points(&bed.store, "m"),
        ["m,host=a v=1i 1", "m,host=c w=2.5 1"]
    );
    let after = bed.after_power_loss(5);
    assert_eq!(
        points(&after.store, "m"),
        ["m,host=a v=1i 1", "m,host=c w=2.5 1"]
    );
}

#[test]
fn after_a_failed_sync_the_store_reads_and_takes_no_more_writes() {
    let mut bed = Bed::new();
    bed.write(&line(0)).unwrap();
    let before = points(&bed.store, "m");
    // A write asks for the free space, writes its record and syncs it.
    bed.fs.fail_after(2, io::ErrorKind::Other);
    bed.write(&line(1)).unwrap_err();
    assert!(!bed.fs.fault_is_pending());
    for i in 2..5 {
        let error = bed.write(&line(i)).unwrap_err();
        assert!(matches!(error, WriteError::ReadOnly(_)), "{error:?}");
    }
    assert!(bed.store.check().is_err());
    assert_eq!(points(&bed.store, "m"), before);
    bed.reopen();
    bed.write(&line(9)).unwrap();
    let now = points(&bed.store, "m");
    assert!(before.iter().all(|line| now.contains(line)));
}

#[test]
fn a_flush_that_fails_at_any_call_loses_nothing_and_is_made_up_for() {
    for calls in 0..60 {
        let mut bed = Bed::new();
        for i in 0..30 {
            bed.write(&line(i)).unwrap();
        }
        bed.fs.fail_after(calls, io::ErrorKind::Other);
        let failed = bed.store.flush().is_err();
        if bed.fs.fault_is_pending() {
            assert!(calls > 5, "a flush makes some calls");
            break;
        }
        assert_eq!(
            points(&bed.store, "m").len(),
            30,
            "call {calls}, failed: {failed}"
        );
        let after = bed.after_power_loss(calls);
        assert_eq!(
            points(&after.store, "m").len(),
            30,
            "call {calls} after power loss"
        );
        bed = after;
        bed.store.flush().unwrap();
        bed.reopen();
        assert_eq!(points(&bed.store, "m").len(), 30, "call {calls} after all");
    }
}

/// Each flush that was tried after the manifest's log had failed left its files on the disk.
#[test]
fn nothing_is_written_out_when_the_manifest_takes_no_changes() {
    let mut found = 0;
    for calls in 0..60 {
        let bed = Bed::with_options(tandem_store::Options {
            background: false,
            free_bytes_min: 0,
            ..tandem_store::Options::default()
        });
        for i in 0..30 {
            bed.write(&line(i)).unwrap();
        }
        bed.fs.fail_after(calls, io::ErrorKind::Other);
        let _ = bed.store.flush();
        let refusal = bed.store.check().err().map(|error| error.to_string());
        if !refusal.is_some_and(|text| text.contains("manifest: ")) {
            continue;
        }
        found += 1;
        let used = bed.fs.used_bytes();
        for _ in 0..3 {
            bed.store.flush().unwrap_err();
            assert_eq!(bed.fs.used_bytes(), used, "call {calls}");
        }
        assert_eq!(points(&bed.store, "m").len(), 30);
        let after = bed.after_power_loss(calls);
        assert_eq!(points(&after.store, "m").len(), 30);
    }
    assert!(found > 0, "some call is a sync of the manifest");
}
