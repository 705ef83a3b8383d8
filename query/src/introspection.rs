//! `SHOW STATS` and `SHOW DIAGNOSTICS`: what whoever serves the store tells of itself.
//!
//! What there is to tell is known by the server; how a statement shows it is said here
//! (`influxdata/influxdb coordinator/statement_executor.go`).

use std::fmt;

use crate::error::Error;
use crate::result::{Series, Sink, Value};

/// Numbers about one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistic {
    /// What kind of thing, such as `httpd`.
    pub name: String,
    /// Which one.
    pub tags: Vec<(String, String)>,
    /// The numbers.
    pub values: Vec<(String, Value)>,
}

/// A table about one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostic {
    /// What kind of thing, such as `system`.
    pub name: String,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Rows that are each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
}

/// Tells about the server; may take as long as a walk over databases and shards.
pub trait Introspection: fmt::Debug + Send + Sync {
    /// All numbers.
    fn statistics(&self) -> Vec<Statistic>;

    /// Bytes of the series index in memory.
    fn index_bytes(&self) -> u64;

    /// All tables.
    fn diagnostics(&self) -> Vec<Diagnostic>;
}

/// `SHOW STATS [FOR 'module']`: a series each. The size of the index is told only to who asks for it.
pub(crate) fn stats(
    source: &dyn Introspection,
    module: Option<&str>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    if module == Some("indexes") {
        let bytes = i64::try_from(source.index_bytes()).unwrap_or(i64::MAX);
        return Ok(sink.series(Series {
            name: Some(b"indexes".to_vec()),
            columns: vec![b"memoryBytes".to_vec()],
            values: vec![vec![Value::Integer(bytes)]],
            ..Series::default()
        })?);
    }
    for mut statistic in source.statistics() {
        if module.is_some_and(|module| module != statistic.name) {
            continue;
        }
        statistic.tags.sort();
        statistic.values.sort_by(|a, b| a.0.cmp(&b.0));
        let tags = statistic.tags.into_iter();
        let tags: Vec<_> = tags
            .map(|(key, value)| (key.into_bytes(), value.into_bytes()))
            .collect();
        let (columns, row) = statistic
            .values
            .into_iter()
            .map(|(key, value)| (key.into_bytes(), value))
            .unzip();
        sink.series(Series {
            name: Some(statistic.name.into_bytes()),
            tags: (!tags.is_empty()).then_some(tags),
            columns,
            values: vec![row],
            time_zone: None,
        })?;
    }
    Ok(())
}

/// `SHOW DIAGNOSTICS [FOR 'module']`: a series each, by name.
pub(crate) fn diagnostics(
    source: &dyn Introspection,
    module: Option<&str>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let mut all = source.diagnostics();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    for table in all {
        if module.is_none_or(|module| module == table.name) {
            sink.series(Series {
                name: Some(table.name.into_bytes()),
                columns: table.columns.into_iter().map(String::into_bytes).collect(),
                values: table.rows,
                ..Series::default()
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Gone, Message};

    #[derive(Debug)]
    struct Server;

    impl Introspection for Server {
        fn statistics(&self) -> Vec<Statistic> {
            let of = |name: &str| Statistic {
                name: name.to_owned(),
                tags: vec![("bind".to_owned(), ":8086".to_owned())],
                values: vec![
                    ("writeReq".to_owned(), Value::Integer(2)),
                    ("req".to_owned(), Value::Integer(3)),
                ],
            };
            vec![of("httpd"), of("write")]
        }

        fn index_bytes(&self) -> u64 {
            77
        }

        fn diagnostics(&self) -> Vec<Diagnostic> {
            let of = |name: &str| Diagnostic {
                name: name.to_owned(),
                columns: vec!["PID".to_owned()],
                rows: vec![vec![Value::Integer(1)]],
            };
            vec![of("system"), of("build")]
        }
    }

    #[derive(Default)]
    struct All(Vec<Series>);

    impl Sink for All {
        fn series(&mut self, series: Series) -> Result<(), Gone> {
            self.0.push(series);
            Ok(())
        }

        fn message(&mut self, _: Message) {}
    }

    fn names(show: impl Fn(&mut All) -> Result<(), Error>) -> Vec<String> {
        let mut all = All::default();
        show(&mut all).unwrap();
        let name = |series: &Series| String::from_utf8(series.name.clone().unwrap()).unwrap();
        all.0.iter().map(name).collect()
    }

    #[test]
    fn numbers_are_columns_by_name() {
        let mut all = All::default();
        stats(&Server, Some("httpd"), &mut all).unwrap();
        let [httpd] = &all.0[..] else {
            panic!("{:?}", all.0)
        };
        assert_eq!(httpd.columns, [b"req".to_vec(), b"writeReq".to_vec()]);
        assert_eq!(httpd.values, [[Value::Integer(3), Value::Integer(2)]]);
        assert_eq!(
            httpd.tags,
            Some(vec![(b"bind".to_vec(), b":8086".to_vec())])
        );
    }

    #[test]
    fn modules_are_chosen_by_name() {
        assert_eq!(names(|all| stats(&Server, None, all)), ["httpd", "write"]);
        assert_eq!(
            names(|all| stats(&Server, Some("indexes"), all)),
            ["indexes"]
        );
        assert_eq!(
            names(|all| diagnostics(&Server, None, all)),
            ["build", "system"]
        );
        assert_eq!(
            names(|all| diagnostics(&Server, Some("build"), all)),
            ["build"]
        );
        assert_eq!(
            names(|all| diagnostics(&Server, Some("x"), all)),
            [] as [&str; 0]
        );
    }
}
