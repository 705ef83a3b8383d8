//! The same store within this process, for what a server does not offer: each statement is run by the plain
//! executor, as it usually is, and by every fast path that is possible, over block files as well as over
//! memory.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use serde_json::{Map, Value as Json, json};
use tandem_influxql::ast::Statement;
use tandem_influxql::{Params, parse_query};
use tandem_model::Precision;
use tandem_query::{Context, Executor, Gone, Message, Paths, Series, Sink, Value};
use tandem_store::{Options, Store, WriteRequest};
use tandem_vfs::RealFs;

use crate::server::BUCKETS_MAX;

/// A store and what runs statements over it.
#[derive(Debug)]
pub(crate) struct Engine {
    store: Arc<Store>,
    executor: Executor,
    ways: [(&'static str, Paths); 3],
}

impl Engine {
    /// An empty one in `dir`, which is emptied.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        if dir.exists() {
            std::fs::remove_dir_all(dir).with_context(|| format!("empty {}", dir.display()))?;
        }
        let store = Store::open(Arc::new(RealFs), dir, Options::default())
            .with_context(|| format!("open a store in {}", dir.display()))?;
        let store = Arc::new(store);
        Ok(Self {
            executor: Executor::new(store.clone()),
            store,
            ways: [
                ("plain", Paths::plain()),
                ("usual", Paths::default()),
                ("eager", Paths::eager()),
            ],
        })
    }

    /// Runs a statement that changes something; what it answers does not matter.
    pub(crate) fn change(&self, database: &str, text: &str) -> anyhow::Result<()> {
        let query = parse_query(text, &Params::default()).map_err(|error| anyhow!("{error}"))?;
        for statement in &query.statements {
            let context = context(database, &Paths::plain())?;
            // What is not there cannot be dropped, here as elsewhere.
            let _ = self
                .executor
                .execute(statement, &context, &mut Results::default());
        }
        Ok(())
    }

    /// Writes line protocol; what is refused is left out, as elsewhere.
    pub(crate) fn write(&self, database: &str, lines: &[u8]) -> anyhow::Result<()> {
        let request = WriteRequest {
            database,
            retention_policy: None,
            precision: Precision::Nanosecond,
            now_ns: now_ns()?,
        };
        let _ = self.store.write(&request, lines);
        Ok(())
    }

    /// Brings all that is in memory into block files.
    pub(crate) fn flush(&self) -> anyhow::Result<()> {
        self.store.flush().context("flush")
    }

    /// The answers to `text`, by each way with its name, that of the plain executor first; `None` for what is no
    /// single `SELECT` that only reads.
    pub(crate) fn ask(
        &self,
        database: &str,
        text: &str,
    ) -> anyhow::Result<Option<[(&'static str, Json); 3]>> {
        let Ok(query) = parse_query(text, &Params::default()) else {
            return Ok(None);
        };
        let [statement @ Statement::Select(select)] = query.statements.as_slice() else {
            return Ok(None);
        };
        if select.into.is_some() {
            return Ok(None);
        }
        // All three at one time of the clock.
        let mut context = context(database, &Paths::plain())?;
        Ok(Some(self.ways.each_ref().map(|(name, paths)| {
            context.paths = paths.clone();
            (*name, self.run(statement, &context))
        })))
    }

    /// The answer to a single statement as it is usually run.
    #[cfg(test)]
    pub(crate) fn answer(&self, database: &str, text: &str) -> anyhow::Result<Json> {
        let query = parse_query(text, &Params::default()).map_err(|error| anyhow!("{error}"))?;
        let statement = query.statements.first().context("no statement")?;
        Ok(self.run(statement, &context(database, &Paths::default())?))
    }

    fn run(&self, statement: &Statement, context: &Context) -> Json {
        let mut results = Results::default();
        let done = self.executor.execute(statement, context, &mut results);
        let mut result = Map::new();
        result.insert("statement_id".into(), json!(0));
        match done {
            Err(error) => drop(result.insert("error".into(), json!(error.to_string()))),
            Ok(()) if results.series.is_empty() => {}
            Ok(()) => {
                let series = results.series.into_iter().map(Json::Object).collect();
                result.insert("series".into(), series);
            }
        }
        json!({ "results": [result] })
    }

    /// How often each way was taken by what was run usually, and eagerly.
    pub(crate) fn counts(&self) -> String {
        let [_, (_, usual), (_, eager)] = &self.ways;
        let counts = tandem_query::Path::ALL.map(|path| {
            let name = path.name();
            format!("{name} {} {}", usual.count(path), eager.count(path))
        });
        counts.join(", ")
    }
}

fn context(database: &str, paths: &Paths) -> anyhow::Result<Context> {
    let mut context = Context {
        database: Some(database.to_owned()),
        now_ns: now_ns()?,
        paths: paths.clone(),
        ..Context::default()
    };
    context.limits.buckets_max = BUCKETS_MAX;
    Ok(context)
}

fn now_ns() -> anyhow::Result<i64> {
    let now = SystemTime::UNIX_EPOCH.elapsed().context("read the clock")?;
    Ok(i64::try_from(now.as_nanos())?)
}

/// Results as JSON, times in nanoseconds.
#[derive(Debug, Default)]
struct Results {
    series: Vec<Map<String, Json>>,
}

impl Sink for Results {
    fn series(&mut self, series: Series) -> Result<(), Gone> {
        let rows: Vec<Json> = series
            .values
            .iter()
            .map(|row| row.iter().map(cell).collect())
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
        let columns = series.columns.iter().map(|column| text(column));
        object.insert("columns".into(), columns.collect());
        // Pieces of one series follow each other.
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

    fn message(&mut self, _: Message) {}
}

fn cell(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Time(ns) => json!(ns),
        Value::Float(v) => json!(v),
        Value::Integer(v) => json!(v),
        Value::Unsigned(v) => json!(v),
        Value::Boolean(v) => json!(v),
        Value::String(v) => text(v),
        Value::Strings(list) => list.iter().map(|v| text(v)).collect(),
    }
}

fn text(bytes: &[u8]) -> Json {
    json!(String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_asked_three_ways() {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = Engine::open(&dir.path().join("engine")).expect("open");
        engine.change("", "CREATE DATABASE db").expect("make it");
        engine
            .write("db", b"m,h=a f=1.5 5\nm f=2 7")
            .expect("write");
        engine.flush().expect("flush");
        let asked = engine.ask("db", "SELECT sum(f) FROM m").expect("ask");
        let expected = json!({"results": [{"statement_id": 0, "series": [
            {"name": "m", "columns": ["time", "sum"], "values": [[0, 3.5]]}
        ]}]});
        for (name, answer) in asked.expect("a select") {
            assert_eq!(answer, expected, "{name}");
        }
        for other in ["SELECT f INTO n FROM m", "SHOW SERIES", "SELECT"] {
            assert!(engine.ask("db", other).expect("ask").is_none(), "{other}");
        }
    }
}
