//! Meetings of threads and failures that can be arranged only from inside.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tandem_line::ParseOptions;
use tandem_model::{FieldType, Precision};
use tandem_testkit::SimFs;

use super::*;
use crate::parse::parse;
use crate::stats::Refusal;
use crate::{WriteRequest, Written};

/// What ends at all ends long before.
const WAIT_MAX: Duration = Duration::from_secs(10);

fn options() -> Options {
    Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    }
}

fn open(fs: &SimFs, options: Options) -> Arc<Store> {
    let store = Store::open(Arc::new(fs.clone()), Path::new("/store"), options).unwrap();
    Arc::new(store)
}

fn new(fs: &SimFs, options: Options) -> Arc<Store> {
    let store = open(fs, options);
    store.create_database("db", None).unwrap();
    store
}

fn write(store: &Store, body: &str) -> Result<Written, WriteError> {
    let request = WriteRequest {
        database: "db",
        retention_policy: None,
        precision: Precision::Nanosecond,
        now_ns: 0,
    };
    store.write(&request, body.as_bytes())
}

/// What `action` gives, on a thread of its own; panics when it does not end.
fn ends<T: Send + 'static>(
    store: &Arc<Store>,
    action: impl FnOnce(&Store) -> T + Send + 'static,
) -> T {
    let (store, (done, is_done)) = (Arc::clone(store), mpsc::channel());
    thread::spawn(move || {
        // Nobody listens any more once it took too long.
        let _ = done.send(action(&store));
    });
    is_done.recv_timeout(WAIT_MAX).expect("it ends in time")
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT_MAX, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A write was told that it had failed and kept its number, for which deletions and a stop waited
/// for ever.
#[test]
fn a_deletion_ends_although_cutting_the_wal_failed_under_a_staged_write() {
    let fs = SimFs::new(1);
    let store = new(&fs, options());
    write(&store, "m v=1i 1").unwrap();
    let wal = store.committer.wal();
    wal.rotate().unwrap();
    let database = store.core.find("db").unwrap();
    let shards = Core::shards_in(&database, PolicyChoice::Default, TimeRange::ALL).unwrap();
    let parsed = {
        let table = database.table();
        let options = ParseOptions::default();
        parse(&table, &database.schemas, b"m,k=new v=2i 2", options, 0)
    };
    let staged = store
        .committer
        .stage(&database, parsed.batch, parsed.generation, &shards)
        .unwrap()
        .0
        .unwrap();
    // The segment is renamed, the sync of its directory does not get through.
    fs.fail_after(1, ErrorKind::Other);
    wal.cut_below(wal.durable_end()).unwrap_err();
    wal.check().unwrap_err();
    // The store is read-only now, and says so.
    let dropped = ends(&store, |store| store.drop_measurement("db", b"m"));
    assert!(
        matches!(dropped, Err(StoreError::ReadOnly(_))),
        "{dropped:?}"
    );
    store.committer.commit(staged).unwrap_err();
    assert!(ends(&store, Store::close).is_err());
    let again = open(&fs.crash(1), options());
    let view = again.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
    assert_eq!(view.series(b"m").len(), 1);
    assert!(again.drop_measurement("db", b"m").unwrap());
}

/// Replay knows a dropped measurement by what it finds of it, and its series need not be in the
/// index any more: writes with new types were then refused, and lost with the next flush.
#[test]
fn a_dropped_measurement_takes_new_types_after_any_crash_although_its_series_left_the_index() {
    for calls in 0.. {
        let fs = SimFs::new(calls);
        let store = new(&fs, options());
        write(&store, "m v=1.5 1").unwrap();
        fs.fail_after(0, ErrorKind::StorageFull);
        store.flush().unwrap_err();
        write(&store, "m v=2.5 2").unwrap();
        assert!(store.drop_measurement("db", b"m").unwrap());
        assert_eq!(reclaim(&store.core, &store.committer), 1);
        write(&store, "m v=3i 3").unwrap();
        fs.power_off_after(calls);
        let flushed = store.flush().is_ok();
        // With the smallest memory, replay flushes behind every record.
        for memtable_bytes_max in [Options::MEMTABLE_BYTES_MAX, 1] {
            let options = Options {
                memtable_bytes_max,
                ..options()
            };
            let again = open(&fs.crash(calls), options);
            assert_eq!(again.report().skipped_rows, 0, "call {calls}");
            let view = again.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
            assert_eq!(view.series(b"m").len(), 1, "call {calls}");
            let fields = view.fields(b"m");
            assert_eq!(fields, [(b"v".to_vec(), FieldType::Integer)]);
        }
        if flushed {
            assert!(calls > 5, "a flush makes some calls");
            break;
        }
    }
}

/// A write that stored nothing held its series while it waited for the one who stops the thread, who
/// waited for the thread, which waited for the series.
#[test]
fn a_write_that_stores_nothing_lets_its_series_go_before_it_wakes_the_thread() {
    let fs = SimFs::new(1);
    // So little that every write wakes the thread.
    let options = Options {
        memtable_bytes_max: 1,
        ..options()
    };
    let store = new(&fs, options);
    let database = store.core.find("db").unwrap();
    let stopping = store.maintenance.lock().unwrap();
    let writing = thread::spawn({
        let store = Arc::clone(&store);
        move || write(&store, "no line").unwrap_err()
    });
    until("the write is parsed", || {
        let counts = store.core.writes.snapshot().writes;
        counts.refused[Refusal::Unparsable as usize] == 1
    });
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        drop(database.awaiting_ids());
        let _ = done.send(());
    });
    let let_go = is_done.recv_timeout(WAIT_MAX);
    drop(stopping);
    writing.join().unwrap();
    let_go.expect("the series are let go in time");
}

/// They are as long as the WAL's segments, and a flush that needs a part of that never came through.
#[test]
fn a_flush_that_finds_the_disk_full_gives_the_spare_files_of_the_wal_back() {
    let fs = SimFs::new(1);
    let store = new(&fs, options());
    write(&store, "m v=1i 1").unwrap();
    let wal = store.committer.wal();
    wal.rotate().unwrap();
    store.flush().unwrap();
    assert_eq!(wal.spares(), 1);
    write(&store, "m v=2i 2").unwrap();
    fs.set_capacity(Some(fs.used_bytes()));
    assert!(store.flush().unwrap_err().is_storage_full());
    assert_eq!(wal.spares(), 0);
    fs.set_capacity(None);
    store.flush().unwrap();
}

#[test]
fn a_store_that_waits_for_its_thread_to_end_keeps_no_write_waiting() {
    let fs = SimFs::new(1);
    let options = Options {
        background: true,
        ..options()
    };
    let store = new(&fs, options);
    write(&store, "m v=1i 1").unwrap();
    let database = store.core.find("db").unwrap();
    // As a write does between looking up its series and staging; the thread waits for it.
    let ids = database.using_ids();
    store.drop_measurement("db", b"m").unwrap();
    until("the thread looks for series that are gone", || {
        let waits = store.core.take_series_gone();
        if waits {
            store.core.note_series_gone();
            store.wake();
        }
        !waits
    });
    let closing = thread::spawn({
        let store = Arc::clone(&store);
        move || store.close()
    });
    until("who wakes the thread is not kept waiting", || {
        let maintenance = store.maintenance.try_lock();
        maintenance.is_ok_and(|maintenance| maintenance.is_none())
    });
    drop(ids);
    closing.join().unwrap().unwrap();
}
