//! Stores under merges: whatever is merged and when, the rows stay what they are.

mod faults;
mod meanwhile;
mod schedules;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tandem_model::{FieldValue, Precision, SeriesId, TimeRange};
use tandem_testkit::{ManualClock, SimFs};

use std::ops::Range;

use roaring::RoaringBitmap;

use super::*;
use crate::compact::CompactionThread;
use crate::{Options, Order, PolicyChoice, Store, WriteRequest};

const DIR: &str = "/store";
const NOW_NS: i64 = 1_700_000_000_000_000_000;

/// Field by field what a row holds, by series key and time.
type Contents = BTreeMap<(String, i64), BTreeMap<String, String>>;

struct Bed {
    fs: SimFs,
    clock: Arc<ManualClock>,
    store: Store,
}

impl Bed {
    fn new() -> Self {
        let (fs, clock) = (SimFs::new(1), Arc::new(ManualClock::new(NOW_NS)));
        let store = open(&fs, &clock);
        store.create_database("db", None).unwrap();
        Self { fs, clock, store }
    }

    fn write(&self, body: &str) {
        let request = WriteRequest {
            database: "db",
            retention_policy: None,
            precision: Precision::Nanosecond,
            now_ns: NOW_NS,
        };
        self.store.write(&request, body.as_bytes()).unwrap();
    }

    /// Writes and flushes.
    fn write_file(&self, body: &str) {
        self.write(body);
        self.store.flush().unwrap();
    }

    fn reopen(&mut self) {
        let (fs, clock) = (SimFs::new(1), Arc::clone(&self.clock));
        drop(std::mem::replace(&mut self.store, open(&fs, &clock)));
        self.store = open(&self.fs, &self.clock);
    }

    fn contents(&self) -> Contents {
        contents(&self.store)
    }

    /// The only shard there is.
    fn shard(&self) -> Arc<Shard> {
        let shards = self.store.compactor.shards();
        assert_eq!(shards.len(), 1);
        Arc::clone(&shards[0])
    }

    fn levels(&self) -> Vec<u8> {
        let shard = self.shard();
        let data = shard.data();
        data.files.iter().map(|file| file.meta().level).collect()
    }

    /// Merges these files, whatever the policy says.
    fn merge(&self, files: Range<usize>, level: u8) -> Outcome {
        let compactor = &self.store.compactor;
        let shard = self.shard();
        let inputs = shard.data().files[files].to_vec();
        let job = compactor.begin(&shard, inputs, level, Effort::Hot);
        compactor.run(job.unwrap(), Mode::Settle).unwrap()
    }

    /// The id of the series of this key, whose measurement has one letter.
    fn series(&self, key: &str) -> RoaringBitmap {
        let view = self.store.view("db", PolicyChoice::All, TimeRange::ALL);
        let view = view.unwrap();
        let of_name = view.series(&key.as_bytes()[..1]);
        let is_wanted = |id: &u32| view.series_key(SeriesId(*id)) == key.as_bytes();
        of_name.iter().filter(is_wanted).collect()
    }

    fn delete(&self, key: &str, range: TimeRange) {
        self.store.delete("db", &self.series(key), range).unwrap();
    }
}

fn options(clock: &Arc<ManualClock>) -> Options {
    Options {
        clock: Arc::clone(clock) as _,
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    }
}

fn open(fs: &SimFs, clock: &Arc<ManualClock>) -> Store {
    Store::open(Arc::new(fs.clone()), Path::new(DIR), options(clock)).unwrap()
}

fn contents(store: &Store) -> Contents {
    let view = store.view("db", PolicyChoice::All, TimeRange::ALL).unwrap();
    let mut all = Contents::new();
    for name in view.measurements() {
        let fields = view.fields(&name);
        let names: Vec<&[u8]> = fields.iter().map(|(name, _)| name.as_slice()).collect();
        for id in view.series(&name) {
            let key = String::from_utf8(view.series_key(SeriesId(id))).unwrap();
            let mut reader = view.read(SeriesId(id), &names, TimeRange::ALL, Order::Ascending);
            while let Some(rows) = reader.next().unwrap() {
                for row in 0..rows.len() {
                    let values = names
                        .iter()
                        .zip(&rows.columns)
                        .filter_map(|(name, column)| {
                            let value = column.as_ref()?.get(row)?;
                            Some((String::from_utf8_lossy(name).into_owned(), show(value)))
                        });
                    let before = all.insert((key.clone(), rows.times_ns[row]), values.collect());
                    assert!(before.is_none(), "{key} has {} twice", rows.times_ns[row]);
                }
            }
        }
    }
    all
}

fn show(value: FieldValue<'_>) -> String {
    match value {
        FieldValue::String(text) => format!("{:?}", String::from_utf8_lossy(text)),
        other => format!("{other:?}"),
    }
}

/// Rows of one series, a second apart.
fn rows(key: &str, field: &str, times: Range<i64>) -> String {
    times
        .map(|at| format!("{key} {field}={} {}\n", at % 7, NOW_NS + at * 1_000_000_000))
        .collect()
}

#[test]
fn ten_files_become_one_and_cold_ones_are_settled() {
    let bed = Bed::new();
    let compactor = &bed.store.compactor;
    for file in 0..9 {
        bed.write_file(&rows("m,h=a", "v", file * 10..file * 10 + 10));
    }
    let before = bed.contents();
    compactor.run_due(&|| false).unwrap();
    assert_eq!(bed.levels(), [0; 9]);
    bed.write_file(&rows("m,h=b", "v", 0..10));
    compactor.run_due(&|| false).unwrap();
    assert_eq!(bed.levels(), [1]);
    bed.write_file(&rows("m,h=b", "v", 10..20));
    compactor.run_due(&|| false).unwrap();
    assert_eq!(bed.levels(), [1, 0]);
    assert_eq!(bed.contents().len(), before.len() + 20);

    // Four hours without a write.
    bed.clock.advance(Duration::from_secs(4 * 3600));
    compactor.run_due(&|| false).unwrap();
    assert_eq!(bed.levels(), [2]);
    let stats = bed.store.compaction_stats();
    assert_eq!(
        (stats.merges, stats.failures, stats.removals_pending),
        (2, 0, 0)
    );
    assert!(stats.level_bytes > 0 && stats.cold_bytes > 0);
    assert!(stats.write_amplification() < 3.0, "{stats:?}");
    assert_eq!(bed.contents().len(), before.len() + 20);
}

#[test]
fn what_is_settled_stays_as_it_is() {
    let mut bed = Bed::new();
    for file in 0..5 {
        bed.write_file(&rows("m,h=a", "v", file * 1000..file * 1000 + 1000));
    }
    let before = bed.contents();
    bed.store.compact().unwrap();
    assert_eq!(bed.levels(), [2]);
    let merges = bed.store.compaction_stats().merges;
    bed.store.compact().unwrap();
    bed.clock.advance(Duration::from_secs(30 * 24 * 3600));
    bed.store.compactor.run_due(&|| false).unwrap();
    assert_eq!(bed.store.compaction_stats().merges, merges);
    assert_eq!(bed.contents(), before);
    bed.reopen();
    bed.store.compact().unwrap();
    assert_eq!(bed.store.compaction_stats().merges, 0);
    assert_eq!(bed.contents(), before);
}

#[test]
fn a_shard_whose_time_is_over_is_cold_after_a_quarter_of_an_hour() {
    let bed = Bed::new();
    let week = Duration::from_secs(7 * 24 * 3600);
    bed.write_file(&rows("m,h=a", "v", 0..4000));
    bed.store.compactor.run_due(&|| false).unwrap();
    assert_eq!(bed.levels(), [0]);
    bed.clock.advance(week);
    // A late write makes it wait again.
    bed.write_file(&rows("m,h=b", "v", 0..4000));
    bed.store.compactor.run_due(&|| false).unwrap();
    assert_eq!(bed.levels(), [0, 0]);
    bed.clock.advance(Duration::from_secs(899));
    bed.store.compactor.run_due(&|| false).unwrap();
    assert_eq!(bed.levels(), [0, 0]);
    bed.clock.advance(Duration::from_secs(1));
    bed.store.compactor.run_due(&|| false).unwrap();
    assert_eq!(bed.levels(), [2]);
}

#[test]
fn deleted_rows_give_their_space_back() {
    let bed = Bed::new();
    bed.write_file(&(rows("m,h=a", "v", 0..3000) + &rows("m,h=b", "v", 0..3000)));
    bed.store.compact().unwrap();
    let used = |bed: &Bed| -> u64 {
        let shard = bed.shard();
        let data = shard.data();
        data.files.iter().map(|file| file.record.len_bytes).sum()
    };
    let before = used(&bed);
    bed.delete("m,h=a", TimeRange::ALL);
    let left = bed.contents();
    assert_eq!(left.len(), 3000);
    bed.store.compact().unwrap();
    assert_eq!(bed.contents(), left);
    assert!(used(&bed) < before * 2 / 3);
    bed.delete("m,h=b", TimeRange::ALL);
    bed.store.compact().unwrap();
    assert_eq!((used(&bed), bed.contents().len()), (0, 0));
}

#[test]
fn compaction_that_is_behind_says_so() {
    let bed = Bed::new();
    assert!(!bed.store.compactor.is_behind());
    for file in 0..FILES_BEHIND as i64 {
        bed.write_file(&rows("m,h=a", "v", file..file + 1));
    }
    assert!(bed.store.compactor.is_behind());
    bed.store.compactor.run_due(&|| false).unwrap();
    assert!(!bed.store.compactor.is_behind());
    assert!(bed.levels().len() < 12, "{:?}", bed.levels());
    assert_eq!(bed.contents().len(), FILES_BEHIND);
}

#[test]
fn the_thread_merges_when_it_is_woken_and_lets_flushes_go_on() {
    let bed = Bed::new();
    for file in 0..FILES_BEHIND as i64 {
        bed.write_file(&rows("m,h=a", "v", file..file + 1));
    }
    let compactor = Arc::clone(&bed.store.compactor);
    let thread = CompactionThread::start(compactor).unwrap();
    let before = Instant::now();
    thread.wait_while_behind(Duration::from_secs(60));
    assert!(before.elapsed() < Duration::from_secs(50));
    assert!(!bed.store.compactor.is_behind());
    drop(thread);
    assert_eq!(bed.contents().len(), FILES_BEHIND);
    // A thread that has stopped is not waited for.
    let thread = CompactionThread::start(Arc::clone(&bed.store.compactor)).unwrap();
    thread.stop();
    for file in 0..FILES_BEHIND as i64 {
        bed.write_file(&rows("m,h=a", "v", file..file + 1));
    }
    let before = Instant::now();
    thread.wait_while_behind(Duration::from_secs(60));
    assert!(before.elapsed() < Duration::from_secs(50));
}
