//! `SHOW` statements about data: databases, policies, measurements, tags, fields, series.
//!
//! All answer from the index and the schema; of rows, none but that of the epoch is read, for a condition. Columns are those that clients
//! find by position (`influxdata/influxdb coordinator/statement_executor.go`).

mod cardinality;
mod epoch;
mod fields;
mod grouping;
mod measurements;
mod policies;
mod series;
mod shards;
mod tags;

use tandem_influxql::ast::{BinaryOp, Expr, Measurement, Source};
use tandem_influxql::condition::{TimeContext, split_condition};
use tandem_model::TimeRange;
use tandem_store::{PolicyChoice, Store, View};

pub(crate) use cardinality::{
    field_key_cardinality, measurement_cardinality, series_cardinality, tag_key_cardinality,
    tag_values_cardinality,
};
pub(crate) use fields::field_keys;
pub(crate) use measurements::measurements;
pub(crate) use policies::{databases, retention_policies};
pub(crate) use series::series;
pub(crate) use shards::{shard_groups, shards};
pub(crate) use tags::{tag_keys, tag_values};

use crate::context::Context;
use crate::error::Error;
use crate::meter::Meter;
use crate::regex::Regex;
use crate::result::{Series, Sink, Value};

/// The database of a statement: its own or that of the request.
fn database<'a>(own: Option<&'a str>, context: &'a Context) -> Result<&'a str, Error> {
    own.or(context.database.as_deref())
        .filter(|name| !name.is_empty())
        .ok_or(Error::DatabaseRequired)
}

/// A result of strings under these columns.
fn table(
    name: Option<Vec<u8>>,
    columns: &[&str],
    rows: impl IntoIterator<Item = Vec<Vec<u8>>>,
) -> Series {
    Series {
        name,
        tags: None,
        columns: columns
            .iter()
            .map(|column| column.as_bytes().to_vec())
            .collect(),
        values: rows
            .into_iter()
            .map(|row| row.into_iter().map(Value::String).collect())
            .collect(),
        time_zone: None,
    }
}

/// Rows that are handed over at once.
const ROWS_PER_PIECE: usize = 1_000;

/// Hands rows to the sink, within `LIMIT` and `OFFSET`, some at a time; nothing where there is none.
fn in_pieces(
    name: Option<&[u8]>,
    columns: &[&str],
    rows: impl Iterator<Item = Vec<Vec<u8>>>,
    (limit, offset): (u64, u64),
    meter: &Meter<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let whole = |number| usize::try_from(number).unwrap_or(usize::MAX);
    let limit = if limit == 0 { u64::MAX } else { limit };
    let mut rows = rows.skip(whole(offset)).take(whole(limit)).peekable();
    while rows.peek().is_some() {
        meter.check()?;
        let name = name.map(<[u8]>::to_vec);
        let piece = rows.by_ref().take(ROWS_PER_PIECE);
        sink.series(table(name, columns, piece))?;
    }
    Ok(())
}

/// `LIMIT` and `OFFSET`; a limit of 0 is none.
fn cut<T>(items: Vec<T>, limit: u64, offset: u64) -> Vec<T> {
    let skip = usize::try_from(offset).unwrap_or(usize::MAX);
    let take = match limit {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    items.into_iter().skip(skip).take(take).collect()
}

/// The measurements that a `FROM` clause names; none named means all.
pub(crate) struct Named(Vec<Name>);

enum Name {
    Exact(Vec<u8>),
    Matching(Regex),
}

impl Named {
    pub(crate) fn new(sources: &[Source]) -> Result<Self, Error> {
        let measurement = |source: &Source| match source {
            Source::Measurement(measurement) => Self::name(measurement),
            Source::Subquery(_) => Err(Error::refused("subqueries are not allowed here")),
        };
        sources
            .iter()
            .map(measurement)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn name(measurement: &Measurement) -> Result<Name, Error> {
        Ok(match &measurement.regex {
            Some(pattern) => Name::Matching(Regex::new(pattern)?),
            None => Name::Exact(measurement.name.clone().into_bytes()),
        })
    }

    pub(crate) fn contains(&self, measurement: &[u8]) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|name| match name {
                Name::Exact(exact) => exact == measurement,
                Name::Matching(regex) => regex.is_match(measurement),
            })
    }
}

/// The time of what has none.
const EPOCH_NS: i64 = 0;

/// Refuses databases that are not there.
fn check_databases(
    store: &Store,
    sources: &[Source],
    own: Option<&str>,
    context: &Context,
) -> Result<(), Error> {
    for source in sources {
        if let Source::Measurement(measurement) = source {
            let named = measurement.database.as_deref().or(own);
            store.retention_policies(database(named, context)?)?;
        }
    }
    if sources.is_empty() {
        store.retention_policies(database(own, context)?)?;
    }
    Ok(())
}

/// Measurements and the view that they were found in.
type Found = (View, Vec<Vec<u8>>);

/// The measurements that `sources` find, each with the view it was found in: in the default retention
/// policy unless a source names another; all measurements when there is no source.
fn found(
    store: &Store,
    sources: &[Source],
    own: Option<&str>,
    range: TimeRange,
    context: &Context,
) -> Result<Vec<Found>, Error> {
    found_with(store, sources, own, range, context, false)
}

/// As [`found`], but where the policy holds anything, all that its database holds: InfluxDB's index has the
/// series of all policies together.
fn found_together(
    store: &Store,
    sources: &[Source],
    own: Option<&str>,
    range: TimeRange,
    context: &Context,
) -> Result<Vec<Found>, Error> {
    found_with(store, sources, own, range, context, true)
}

fn found_with(
    store: &Store,
    sources: &[Source],
    own: Option<&str>,
    range: TimeRange,
    context: &Context,
    together: bool,
) -> Result<Vec<Found>, Error> {
    let everything = [Source::Measurement(Measurement {
        regex: Some(String::new()),
        ..Measurement::default()
    })];
    let sources = if sources.is_empty() {
        &everything
    } else {
        sources
    };
    let mut found = Vec::new();
    for source in sources {
        let Source::Measurement(measurement) = source else {
            continue;
        };
        let database = database(measurement.database.as_deref().or(own), context)?;
        let policy = measurement.retention_policy.as_deref();
        let policy = policy.or(context.retention_policy.as_deref());
        let policy = policy.map_or(PolicyChoice::Default, PolicyChoice::Named);
        let mut view = store.view(database, policy, range)?;
        let named = Named::new(std::slice::from_ref(source))?;
        let mut names = view.measurements();
        if together && !names.is_empty() {
            view = store.view(database, PolicyChoice::All, range)?;
            names = view.measurements();
        }
        names.retain(|name| named.contains(name));
        found.push((view, names));
    }
    Ok(found)
}

/// What is left of a condition without its time when it is divided once more, as InfluxDB does when it runs what it takes
/// for a `SELECT`: by then `5 + 1` is a number, which is no condition.
fn divided_again(condition: Option<&Expr>, time: &TimeContext) -> Result<Option<Expr>, Error> {
    Ok(split_condition(condition, time)?.1)
}

/// Refuses operators that say nothing of tags. What follows in the request is not executed then: InfluxDB runs
/// `SHOW SERIES` as a `SELECT`.
fn check_operators(condition: &Expr) -> Result<(), Error> {
    let is_bad = |expr: &Expr| match expr {
        Expr::Binary { op, .. } => {
            !op.is_logical() && !op.is_regex() && !matches!(op, BinaryOp::Eq | BinaryOp::Neq)
        }
        _ => false,
    };
    if condition.any(is_bad) {
        Err(Error::refused("invalid tag comparison operator"))
    } else {
        Ok(())
    }
}
