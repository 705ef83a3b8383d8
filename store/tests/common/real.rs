//! Stores on the real file system, with their contents as text, and what checks them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tandem_model::{FieldValue, Precision, SeriesId, TimeRange};
use tandem_store::{
    BackupOptions, BackupReport, Finding, Options, Order, PolicyChoice, Store, VerifyReport,
    WriteRequest,
};
use tandem_vfs::{RealFs, Vfs};

pub(crate) const HOUR_NS: i64 = 3_600_000_000_000;
pub(crate) const WEEK_NS: i64 = 7 * 24 * HOUR_NS;

pub(crate) fn vfs() -> Arc<dyn Vfs> {
    Arc::new(RealFs)
}

pub(crate) fn open(dir: &Path) -> Store {
    let options = Options {
        background: false,
        free_bytes_min: 0,
        ..Options::default()
    };
    Store::open(vfs(), dir, options).unwrap()
}

pub(crate) fn write(store: &Store, database: &str, body: &str) {
    let request = WriteRequest {
        database,
        retention_policy: None,
        precision: Precision::Nanosecond,
        now_ns: 0,
    };
    store.write(&request, body.as_bytes()).unwrap();
}

/// Every value of a database, as text, sorted.
pub(crate) fn contents(store: &Store, database: &str) -> Vec<String> {
    let view = store
        .view(database, PolicyChoice::All, TimeRange::ALL)
        .unwrap();
    let mut all = Vec::new();
    for measurement in view.measurements() {
        let fields: Vec<Vec<u8>> = view
            .fields(&measurement)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let names: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        for id in view.series(&measurement) {
            let key = view.series_key(SeriesId(id));
            let key = String::from_utf8_lossy(&key).into_owned();
            let mut reader = view.read(SeriesId(id), &names, TimeRange::ALL, Order::Ascending);
            while let Some(rows) = reader.next().unwrap() {
                for (at, time) in rows.times_ns.iter().enumerate() {
                    for (name, column) in names.iter().zip(&rows.columns) {
                        if let Some(value) = column.as_ref().and_then(|c| c.get(at)) {
                            let name = String::from_utf8_lossy(name);
                            all.push(format!("{key} {name}={} {time}", text(value)));
                        }
                    }
                }
            }
        }
    }
    all.sort();
    all
}

fn text(value: FieldValue<'_>) -> String {
    format!("{value:?}")
}

pub(crate) fn backup(dir: &Path, target: &Path, options: &BackupOptions) -> BackupReport {
    tandem_store::backup(&vfs(), dir, target, options).unwrap()
}

pub(crate) fn check(dir: &Path, chain: &[PathBuf]) -> (VerifyReport, Vec<Finding>) {
    let mut findings = Vec::new();
    let report = tandem_store::verify(&vfs(), dir, chain, &mut |f| findings.push(f)).unwrap();
    (report, findings)
}

#[track_caller]
pub(crate) fn assert_sound(dir: &Path) -> VerifyReport {
    let (report, findings) = check(dir, &[]);
    assert_eq!(report.faults, 0, "{findings:#?}");
    report
}

/// A store with two databases, files, index segments, a deletion, and rows that are in its WAL alone.
pub(crate) fn sample(dir: &Path) -> Store {
    let store = open(dir);
    store.create_database("a", None).unwrap();
    store.create_database("b", None).unwrap();
    for round in 0..3_i64 {
        for host in 0..20 {
            let time = round * WEEK_NS + host;
            write(
                &store,
                "a",
                &format!(
                    "cpu,host=h{host} u={round}i,v=0.{host},s=\"x{round}\",t=true {time}\nmem,host=h{host} f=1 {time}"
                ),
            );
        }
        write(&store, "b", &format!("other x={round} {round}"));
        store.flush().unwrap();
    }
    store.drop_measurement("a", b"mem").unwrap();
    write(&store, "a", "cpu,host=new u=7i 5\ncpu,host=h1 u=70i 1");
    write(&store, "b", "other x=99 0");
    store
}
