//! A store on a simulated file system, and its contents as line protocol.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod real;

use std::path::Path;
use std::sync::Arc;

use tandem_model::{FieldValue, Precision, SeriesId, SeriesKey, TimeRange};
use tandem_store::{Options, Order, PolicyChoice, Store, WriteError, WriteRequest, Written};
use tandem_testkit::SimFs;
use tandem_vfs::Vfs;

pub(crate) const DIR: &str = "/store";

/// The time of lines that have none.
pub(crate) const NOW_NS: i64 = 1_700_000_000_000_000_000;

pub(crate) struct Bed {
    pub(crate) fs: SimFs,
    pub(crate) store: Store,
    pub(crate) options: Options,
}

impl Bed {
    /// A fresh store with the database `db`.
    pub(crate) fn new() -> Self {
        Self::with_options(Options {
            free_bytes_min: 0,
            ..Options::default()
        })
    }

    pub(crate) fn with_options(options: Options) -> Self {
        let fs = SimFs::new(1);
        let store = open(&fs, &options);
        store.create_database("db", None).unwrap();
        Self { fs, store, options }
    }

    pub(crate) fn write(&self, body: &str) -> Result<Written, WriteError> {
        write(&self.store, body)
    }

    /// Drops the store as it is and opens it again.
    pub(crate) fn reopen(&mut self) {
        let other = SimFs::new(1);
        let placeholder = open(&other, &self.options);
        drop(std::mem::replace(&mut self.store, placeholder));
        self.store = open(&self.fs, &self.options);
    }

    /// The store as it comes up after the power went now.
    pub(crate) fn after_power_loss(&self, seed: u64) -> Self {
        let fs = self.fs.crash(seed);
        let store = open(&fs, &self.options);
        Self {
            fs,
            store,
            options: self.options.clone(),
        }
    }
}

pub(crate) fn open(fs: &SimFs, options: &Options) -> Store {
    let fs: Arc<dyn Vfs> = Arc::new(fs.clone());
    Store::open(fs, Path::new(DIR), options.clone()).unwrap()
}

pub(crate) fn write(store: &Store, body: &str) -> Result<Written, WriteError> {
    let request = WriteRequest {
        database: "db",
        retention_policy: None,
        precision: Precision::Nanosecond,
        now_ns: NOW_NS,
    };
    store.write(&request, body.as_bytes())
}

/// Every row of a measurement as a line of line protocol, by series key and time.
pub(crate) fn points(store: &Store, measurement: &str) -> Vec<String> {
    points_in(store, measurement, TimeRange::ALL, Order::Ascending)
}

pub(crate) fn points_in(
    store: &Store,
    measurement: &str,
    range: TimeRange,
    order: Order,
) -> Vec<String> {
    let view = store.view("db", PolicyChoice::All, range).unwrap();
    let fields = view.fields(measurement.as_bytes());
    let names: Vec<&[u8]> = fields.iter().map(|(name, _)| name.as_slice()).collect();
    let mut series: Vec<(Vec<u8>, u32)> = view
        .series(measurement.as_bytes())
        .iter()
        .map(|id| (view.series_key(SeriesId(id)), id))
        .collect();
    series.sort();
    let mut lines = Vec::new();
    for (key, id) in series {
        assert!(!key.is_empty(), "series {id} has rows and no key");
        let mut reader = view.read(SeriesId(id), &names, range, order);
        while let Some(rows) = reader.next().unwrap() {
            assert!(!rows.is_empty());
            for row in 0..rows.len() {
                let values: Vec<(&[u8], FieldValue<'_>)> = names
                    .iter()
                    .zip(&rows.columns)
                    .filter_map(|(name, column)| Some((*name, column.as_ref()?.get(row)?)))
                    .collect();
                lines.push(line(&key, &values, rows.times_ns[row]));
            }
        }
    }
    lines
}

fn line(key: &[u8], values: &[(&[u8], FieldValue<'_>)], time_ns: i64) -> String {
    let (measurement, tags) = SeriesKey::split(key);
    let mut out = String::from_utf8(measurement).unwrap();
    for (k, v) in tags {
        out.push_str(&format!(
            ",{}={}",
            String::from_utf8_lossy(&k),
            String::from_utf8_lossy(&v)
        ));
    }
    for (at, (name, value)) in values.iter().enumerate() {
        out.push(if at == 0 { ' ' } else { ',' });
        out.push_str(&String::from_utf8_lossy(name));
        out.push('=');
        out.push_str(&match value {
            FieldValue::Float(v) => v.to_string(),
            FieldValue::Integer(v) => format!("{v}i"),
            FieldValue::Unsigned(v) => format!("{v}u"),
            FieldValue::Boolean(v) => v.to_string(),
            FieldValue::String(v) => format!("{:?}", String::from_utf8_lossy(v)),
        });
    }
    format!("{out} {time_ns}")
}
