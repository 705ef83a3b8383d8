//! Continuous queries: their texts, and up to where each has run.

use tandem_seglog::Sequence;

use crate::catalog::Catalog;
use crate::entry::{self, Kind};
use crate::error::CatalogError;
use crate::record::Op;
use crate::wire::{Malformed, Reader, put_str};

/// A continuous query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinuousQuery {
    /// Its database.
    pub database: String,
    /// Unique in its database.
    pub name: String,
    /// The whole statement that makes it, with every name qualified.
    pub text: String,
    /// The number of the operation that made it.
    created: Sequence,
}

impl ContinuousQuery {
    fn decode(key: &[u8], value: &[u8]) -> Result<Self, Malformed> {
        let [database, name] = entry::names(key)?[..] else {
            return Err(Malformed);
        };
        let mut reader = Reader::new(value);
        let created = reader.u64()?;
        let text = reader.str()?.to_owned();
        reader.end()?;
        Ok(Self {
            database: database.to_owned(),
            name: name.to_owned(),
            text,
            created,
        })
    }

    /// Tells it from one that had the same name before.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.created
    }
}

impl Catalog {
    /// Makes a continuous query. One that is there and says the same, in whatever case, is left alone.
    ///
    /// # Errors
    /// [`CatalogError::ContinuousQueryExists`] for one that says something else, and what an operation gives.
    pub fn create_continuous_query(
        &self,
        database: &str,
        name: &str,
        text: &str,
    ) -> Result<(), CatalogError> {
        self.check_name("a database name", database)?;
        self.check_name("a continuous query's name", name)?;
        self.check_text("a continuous query", text.len())?;
        let mut writer = self.writer();
        let view = self.view()?;
        let key = Kind::Query.key(&[database, name]);
        if let Some(value) = view.get(&key)? {
            let old = ContinuousQuery::decode(&key, &value).map_err(|_| view.malformed())?;
            if old.text.to_lowercase() == text.to_lowercase() {
                return Ok(());
            }
            return Err(CatalogError::ContinuousQueryExists);
        }
        let mut value = self.next(&writer).to_le_bytes().to_vec();
        put_str(&mut value, text);
        let mut op = Op::default();
        op.put(key, value);
        self.commit(&mut writer, &op)
    }

    /// Removes a continuous query; one that is not there is no error, as in InfluxDB.
    ///
    /// # Errors
    /// What an operation gives.
    pub fn drop_continuous_query(&self, database: &str, name: &str) -> Result<(), CatalogError> {
        let mut writer = self.writer();
        let mut op = Op::default();
        for kind in [Kind::Query, Kind::Run] {
            let key = kind.key(&[database, name]);
            if self.view()?.get(&key)?.is_some() {
                op.remove(key);
            }
        }
        self.commit(&mut writer, &op)
    }

    /// The continuous queries of one database, or of all, in the order in which they were made.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn continuous_queries(
        &self,
        database: Option<&str>,
    ) -> Result<Vec<ContinuousQuery>, CatalogError> {
        let view = self.view()?;
        let prefix = Kind::Query.key(database.as_slice());
        let mut queries = Vec::new();
        for entry in view.scan(&prefix)? {
            let (key, value) = entry?;
            queries.push(ContinuousQuery::decode(&key, &value).map_err(|_| view.malformed())?);
        }
        queries.sort_by_key(|query| query.created);
        Ok(queries)
    }

    /// The end of the last window that this continuous query has filled, in nanoseconds since 1970; `None` when it
    /// has not run.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn last_run(&self, query: &ContinuousQuery) -> Result<Option<i64>, CatalogError> {
        let view = self.view()?;
        let key = Kind::Run.key(&[&query.database, &query.name]);
        let Some(value) = view.get(&key)? else {
            return Ok(None);
        };
        let mut reader = Reader::new(&value);
        let run = reader.i64().and_then(|run| reader.end().map(|()| run));
        run.map(Some).map_err(|_| view.malformed())
    }

    /// Notes up to where this continuous query has run. Nothing happens if it has been dropped, or another
    /// has its name.
    ///
    /// # Errors
    /// What an operation gives.
    pub fn set_last_run(&self, query: &ContinuousQuery, end_ns: i64) -> Result<(), CatalogError> {
        let mut writer = self.writer();
        let view = self.view()?;
        let key = Kind::Query.key(&[&query.database, &query.name]);
        let is_there = match view.get(&key)? {
            Some(value) => {
                let now = ContinuousQuery::decode(&key, &value).map_err(|_| view.malformed())?;
                now.created == query.created
            }
            None => false,
        };
        let mut op = Op::default();
        if is_there {
            let key = Kind::Run.key(&[&query.database, &query.name]);
            op.put(key, end_ns.to_le_bytes().to_vec());
        }
        self.commit(&mut writer, &op)
    }
}
