//! A store in a temporary directory, and results as the JSON that InfluxDB would send.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test uses a part"
)]

use std::path::Path;
use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value as Json, json};
use tandem_influxql::{Params, parse_query};
use tandem_model::Precision;
use tandem_query::{Context, Error, Executor, Gone, Message, Series, Sink, Value};
use tandem_store::{Options, Store, WriteRequest};
use tandem_vfs::RealFs;

/// A store with an executor over it.
pub struct Bench {
    pub store: Arc<Store>,
    pub executor: Executor,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(
            Arc::new(RealFs),
            &dir.path().join("data"),
            Options::default(),
        )
        .expect("open the store");
        let store = Arc::new(store);
        Self {
            executor: Executor::new(store.clone()),
            store,
            _dir: dir,
        }
    }

    /// Writes line protocol; the text of the error if it was not, or not wholly, stored.
    pub fn write(
        &self,
        database: &str,
        policy: Option<&str>,
        precision: Precision,
        now_ns: i64,
        body: &[u8],
    ) -> Result<(), String> {
        let request = WriteRequest {
            database,
            retention_policy: policy,
            precision,
            now_ns,
        };
        self.store
            .write(&request, body)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    /// The answer to a query text, as InfluxDB's `/query` gives it.
    pub fn query(&self, text: &str, context: &Context, epoch_ns: Option<i64>) -> Json {
        let query = match parse_query(text, &Params::default()) {
            Ok(query) => query,
            Err(error) => return json!({"error": format!("error parsing query: {error}")}),
        };
        let mut results = Vec::new();
        let mut failed = false;
        for (id, statement) in query.statements.iter().enumerate() {
            let mut sink = JsonSink {
                epoch_ns,
                ..JsonSink::default()
            };
            let error = if failed {
                Some("not executed".to_owned())
            } else {
                let done = self.executor.execute(statement, context, &mut sink);
                failed = done.as_ref().is_err_and(Error::ends_request);
                done.err().map(|error| error.to_string())
            };
            let mut result = Map::new();
            result.insert("statement_id".into(), json!(id));
            if !sink.messages.is_empty() {
                result.insert("messages".into(), Json::Array(sink.messages));
            }
            if !sink.series.is_empty() && error.is_none() {
                result.insert(
                    "series".into(),
                    Json::Array(sink.series.into_iter().map(Json::Object).collect()),
                );
            }
            if let Some(error) = error {
                result.insert("error".into(), json!(error));
            }
            results.push(Json::Object(result));
        }
        json!({ "results": results })
    }
}

#[derive(Default)]
struct JsonSink {
    /// Nanoseconds of the unit that times are printed in; `None` prints RFC 3339.
    epoch_ns: Option<i64>,
    series: Vec<Map<String, Json>>,
    messages: Vec<Json>,
}

impl Sink for JsonSink {
    fn series(&mut self, series: Series) -> Result<(), Gone> {
        let text = |bytes: &[u8]| json!(String::from_utf8_lossy(bytes));
        let zone = series
            .time_zone
            .as_deref()
            .map(|name| TimeZone::get(name).expect("a zone"));
        let cell = |value: &Value| match value {
            Value::Null => Json::Null,
            Value::Time(ns) => match self.epoch_ns {
                Some(unit) => json!(ns / unit),
                None => json!(rfc3339(*ns, zone.as_ref())),
            },
            Value::Float(v) => json!(v),
            Value::Integer(v) => json!(v),
            Value::Unsigned(v) => json!(v),
            Value::Boolean(v) => json!(v),
            Value::String(v) => text(v),
            Value::Strings(list) => list.iter().map(|v| text(v)).collect(),
        };
        let rows: Vec<Json> = series
            .values
            .iter()
            .map(|row| Json::Array(row.iter().map(cell).collect()))
            .collect();
        let mut object = Map::new();
        if let Some(name) = &series.name {
            object.insert("name".into(), text(name));
        }
        if let Some(tags) = &series.tags {
            let tags = tags
                .iter()
                .map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), text(value)));
            object.insert("tags".into(), Json::Object(tags.collect()));
        }
        object.insert(
            "columns".into(),
            Json::Array(series.columns.iter().map(|column| text(column)).collect()),
        );
        if let Some(last) = self.series.last_mut()
            && ["name", "tags", "columns"]
                .iter()
                .all(|key| last.get(*key) == object.get(*key))
            && let Some(Json::Array(values)) = last.get_mut("values")
        {
            values.extend(rows);
            return Ok(());
        }
        if !rows.is_empty() {
            object.insert("values".into(), Json::Array(rows));
        }
        self.series.push(object);
        Ok(())
    }

    fn message(&mut self, message: Message) {
        self.messages
            .push(json!({"level": message.level.to_string(), "text": message.text}));
    }
}

/// A time as Go prints it by `RFC3339Nano`.
fn rfc3339(ns: i64, zone: Option<&TimeZone>) -> String {
    let at = Timestamp::from_nanosecond(i128::from(ns)).expect("a time");
    let zoned = at.to_zoned(zone.cloned().unwrap_or(TimeZone::UTC));
    let seconds = zoned.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let fraction = format!("{:09}", zoned.subsec_nanosecond());
    let fraction = fraction.trim_end_matches('0');
    let offset = zoned.offset().seconds();
    let offset = match offset {
        0 => "Z".to_owned(),
        s => format!(
            "{}{:02}:{:02}",
            if s < 0 { '-' } else { '+' },
            s.abs() / 3600,
            s.abs() / 60 % 60
        ),
    };
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{seconds}{dot}{fraction}{offset}")
}

/// True when two answers say the same; sums of floats may differ in the last digits.
pub fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x == y,
            _ => {
                let (x, y) = (
                    x.as_f64().unwrap_or(f64::NAN),
                    y.as_f64().unwrap_or(f64::NAN),
                );
                x == y || (x - y).abs() <= 1e-13 * x.abs().max(y.abs())
            }
        },
        (Json::Array(x), Json::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Json::Object(x), Json::Object(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        (a, b) => a == b,
    }
}

/// A file of the workplace that is not part of the sources; says aloud when it is not there.
pub fn shared(path: &str) -> Option<std::path::PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared")
        .join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there", path.display());
    None
}
