//! `SHOW … CARDINALITY`: how many series, measurements, tag keys, tag values, field keys there are.
//!
//! What InfluxDB estimates by sketches is counted here: the index knows. The statement without
//! `EXACT` and without any clause answers for the whole database, all others per measurement in the
//! default retention policy.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use tandem_influxql::ast::{Expr, ShowCardinality, ShowTagValuesCardinality, Source};
use tandem_model::{SeriesId, TimeRange};
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
        let series = |name: &Vec<u8>| view.series_count(name);
        return estimate(view.measurements().iter().map(series).sum(), sink);
    }
    // In one database a series is its id; ids of several say nothing of one another.
    let one_database = statement.sources.iter().all(|source| match source {
        Source::Measurement(measurement) => measurement.database.is_none(),
        _ => true,
    });
    let counts = per_measurement(
        store,
        statement,
        context,
        "SHOW SERIES EXACT CARDINALITY",
        |view, name| {
            let series = Predicate::matching(statement.condition.as_ref(), view, name)?;
            if one_database {
                return Ok(Distinct::Series(series));
            }
            let keys = series.into_iter();
            Ok(names(keys.map(|id| view.series_key(SeriesId(id)))))
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
        Ok(names((!series.is_empty()).then(|| name.to_vec())))
    })?;
    let counts = if counts.is_empty() {
        BTreeMap::new()
    } else {
        BTreeMap::from([(Vec::new(), names(counts.into_keys()))])
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
                let carried = view.tag_keys_of(name, &series);
                keys.retain(|key| carried.contains(key));
            }
            Ok(names(keys))
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
            Ok(names(fields.into_iter().map(|(field, _)| field)))
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
            Ok(names(keys.flat_map(|key| {
                view.tag_values_of(name, &key, Some(&series))
            })))
        },
    )?;
    emit(counts, &general, sink)
}

/// What is counted, by measurement.
type Counted = BTreeMap<Vec<u8>, Distinct>;

/// Things of which each counts once.
enum Distinct {
    Names(BTreeSet<Vec<u8>>),
    /// Series of one database.
    Series(RoaringBitmap),
}

impl Distinct {
    fn len(&self) -> u64 {
        match self {
            Self::Names(names) => names.len() as u64,
            Self::Series(series) => series.len(),
        }
    }

    /// Adds more of the same kind.
    fn extend(&mut self, more: Self) {
        match (self, more) {
            (Self::Names(names), Self::Names(more)) => names.extend(more),
            (Self::Series(series), Self::Series(more)) => *series |= more,
            _ => unreachable!("a statement counts one kind of things"),
        }
    }
}

fn names(names: impl IntoIterator<Item = Vec<u8>>) -> Distinct {
    Distinct::Names(names.into_iter().collect())
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
    count: impl Fn(&View, &[u8]) -> Result<Distinct, Error>,
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
            match counted.entry(name) {
                Entry::Occupied(mut known) => known.get_mut().extend(more),
                Entry::Vacant(place) => {
                    place.insert(more);
                }
            }
        }
    }
    counted.retain(|_, found| found.len() > 0);
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
