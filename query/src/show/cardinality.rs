//! `SHOW … CARDINALITY`: how many series, measurements, tag keys, tag values, field keys there are.
//!
//! What InfluxDB estimates by sketches is counted here: the index knows. The statement without
//! `EXACT` and without any clause answers for the whole database, all others per measurement in the
//! default retention policy.

use std::collections::{BTreeMap, BTreeSet};

use tandem_influxql::ast::{Expr, ShowCardinality, ShowTagValuesCardinality};
use tandem_model::TimeRange;
use tandem_store::{PolicyChoice, Store, View};

use super::tags::Keys;
use super::{cut, database, found, table};
use crate::context::Context;
use crate::error::Error;
use crate::predicate::Predicate;
use crate::result::{Series, Sink, Value};

/// `SHOW SERIES [EXACT] CARDINALITY …`
pub(crate) fn series_cardinality(
    store: &Store,
    statement: &ShowCardinality,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    if is_estimate(statement) {
        let view = whole(store, statement, context)?;
        let series = |name: &Vec<u8>| view.series(name).len();
        return estimate(view.measurements().iter().map(series).sum(), sink);
    }
    let counts = per_measurement(
        store,
        statement,
        context,
        "SHOW SERIES EXACT CARDINALITY",
        |view, name| {
            Ok(ids(Predicate::matching(
                statement.condition.as_ref(),
                view,
                name,
            )?
            .into_iter()
            .map(|id| view.series_key(tandem_model::SeriesId(id)))))
        },
    )?;
    emit(counts, statement, sink)
}

/// `SHOW MEASUREMENT [EXACT] CARDINALITY …`
pub(crate) fn measurement_cardinality(
    store: &Store,
    statement: &ShowCardinality,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    if is_estimate(statement) {
        let names = whole(store, statement, context)?.measurements();
        return estimate(u64::try_from(names.len()).unwrap_or(u64::MAX), sink);
    }
    let name = "SHOW MEASUREMENT EXACT CARDINALITY";
    let counts = per_measurement(store, statement, context, name, |view, name| {
        let series = Predicate::matching(statement.condition.as_ref(), view, name)?;
        Ok(ids((!series.is_empty()).then(|| name.to_vec())))
    })?;
    let names = counts.into_iter().filter(|(_, found)| !found.is_empty());
    let all: BTreeSet<Vec<u8>> = names.map(|(name, _)| name).collect();
    let counts = if all.is_empty() {
        BTreeMap::new()
    } else {
        BTreeMap::from([(Vec::new(), all)])
    };
    emit(counts, statement, sink)
}

/// `SHOW TAG KEY [EXACT] CARDINALITY …`
pub(crate) fn tag_key_cardinality(
    store: &Store,
    statement: &ShowCardinality,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let condition = statement.condition.as_ref();
    let counts = per_measurement(
        store,
        statement,
        context,
        "SHOW TAG KEY EXACT CARDINALITY",
        |view, name| {
            let mut keys = view.tag_keys(name);
            if condition.is_some() {
                let series = Predicate::matching(condition, view, name)?;
                keys.retain(|key| {
                    view.tag_values(name, key)
                        .iter()
                        .any(|(_, carriers)| !carriers.is_disjoint(&series))
                });
            }
            Ok(ids(keys))
        },
    )?;
    emit(counts, statement, sink)
}

/// `SHOW FIELD KEY [EXACT] CARDINALITY …`
pub(crate) fn field_key_cardinality(
    store: &Store,
    statement: &ShowCardinality,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let counts = per_measurement(
        store,
        statement,
        context,
        "SHOW FIELD KEY CARDINALITY",
        |view, name| {
            let series = Predicate::matching(statement.condition.as_ref(), view, name)?;
            let fields = if series.is_empty() {
                Vec::new()
            } else {
                view.fields(name)
            };
            Ok(ids(fields.into_iter().map(|(field, _)| field)))
        },
    )?;
    emit(counts, statement, sink)
}

/// `SHOW TAG VALUES [EXACT] CARDINALITY … WITH KEY …`: a value counts once, whatever keys have it. Here,
/// and nowhere else, a missing tag is not the empty string: InfluxDB looks at the tags of each series.
pub(crate) fn tag_values_cardinality(
    store: &Store,
    statement: &ShowTagValuesCardinality,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let wanted = Keys::new(&statement.with_key)?;
    let general = ShowCardinality {
        exact: statement.exact,
        database: statement.database.clone(),
        sources: statement.sources.clone(),
        condition: statement.condition.clone(),
        dimensions: statement.dimensions.clone(),
        limit: statement.limit,
        offset: statement.offset,
    };
    let counts = per_measurement(
        store,
        &general,
        context,
        "SHOW TAG VALUES EXACT CARDINALITY",
        |view, name| {
            let series = Predicate::matching_present(general.condition.as_ref(), view, name)?;
            let keys = view
                .tag_keys(name)
                .into_iter()
                .filter(|key| wanted.contains(key));
            let values = keys.flat_map(|key| view.tag_values(name, &key));
            Ok(ids(values
                .filter(|(_, carriers)| !carriers.is_disjoint(&series))
                .map(|(value, _)| value)))
        },
    )?;
    emit(counts, &general, sink)
}

/// What is counted, by measurement.
type Counted = BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>;

fn ids(names: impl IntoIterator<Item = Vec<u8>>) -> BTreeSet<Vec<u8>> {
    names.into_iter().collect()
}

fn is_estimate(statement: &ShowCardinality) -> bool {
    *statement
        == ShowCardinality {
            database: statement.database.clone(),
            ..ShowCardinality::default()
        }
}

fn whole(store: &Store, statement: &ShowCardinality, context: &Context) -> Result<View, Error> {
    let database = database(statement.database.as_deref(), context)?;
    Ok(store.view(database, PolicyChoice::All, TimeRange::ALL)?)
}

fn estimate(count: u64, sink: &mut dyn Sink) -> Result<(), Error> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let series = Series {
        values: vec![vec![Value::Integer(count)]],
        ..table(None, &["cardinality estimation"], [])
    };
    Ok(sink.series(series)?)
}

fn per_measurement(
    store: &Store,
    statement: &ShowCardinality,
    context: &Context,
    what: &str,
    count: impl Fn(&View, &[u8]) -> Result<BTreeSet<Vec<u8>>, Error>,
) -> Result<Counted, Error> {
    if statement
        .condition
        .as_ref()
        .is_some_and(Expr::has_time_comparison)
    {
        return Err(Error::refused(format!(
            "{what} doesn't support time in WHERE clause"
        )));
    }
    if !statement.dimensions.is_empty() {
        return Err(Error::Unsupported(format!("GROUP BY in {what}")));
    }
    let own = statement.database.as_deref();
    let mut counted = Counted::new();
    for (view, names) in found(store, &statement.sources, own, TimeRange::ALL, context)? {
        for name in names {
            let more = count(&view, &name)?;
            counted.entry(name).or_default().extend(more);
        }
    }
    counted.retain(|_, found| !found.is_empty());
    Ok(counted)
}

/// One row for each measurement; an empty name is left out.
fn emit(counts: Counted, statement: &ShowCardinality, sink: &mut dyn Sink) -> Result<(), Error> {
    for (name, found) in counts {
        let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
        let rows = cut(
            vec![vec![Value::Integer(count)]],
            statement.limit,
            statement.offset,
        );
        if !rows.is_empty() {
            let name = (!name.is_empty()).then_some(name);
            sink.series(Series {
                values: rows,
                ..table(name, &["count"], [])
            })?;
        }
    }
    Ok(())
}
