//! `SHOW … CARDINALITY`: how many series, measurements, tag keys, tag values, field keys there are.
//!
//! What InfluxDB estimates by sketches is counted here: the index knows. The statement without
//! `EXACT` and without any clause answers for the whole database, all others per measurement in the
//! default retention policy.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use tandem_influxql::ast::{Expr, ShowCardinality, ShowTagValuesCardinality, Source};
use tandem_influxql::condition::{TimeContext, split_condition};
use tandem_model::{SeriesId, TimeRange};
use tandem_store::{PolicyChoice, Store, StoreError, View};

use super::grouping::{Grouping, Tags};
use super::tags::Keys;
use super::{EPOCH_NS, check_databases, cut, database, found, table};
use crate::context::Context;
use crate::error::Error;
use crate::meter::Meter;
use crate::predicate::Predicate;
use crate::result::{Series, Sink, Value};
use crate::select::check_condition;

/// `SHOW SERIES [EXACT] CARDINALITY …`
pub(crate) fn series_cardinality(
    store: &Store,
    statement: &ShowCardinality,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    if is_estimate(statement) {
        let Some(view) = whole(store, statement, context)? else {
            return estimate(0, sink);
        };
        let series = |name: &Vec<u8>| view.series_count(name);
        return estimate(view.measurements().iter().map(series).sum(), sink);
    }
    // In one database a series is its id; ids of several say nothing of one another.
    let one_database = statement.sources.iter().all(|source| match source {
        Source::Measurement(measurement) => measurement.database.is_none(),
        _ => true,
    });
    let meter = Meter::new(store, context);
    let counts = per_measurement(
        store,
        statement,
        context,
        Some("SHOW SERIES EXACT CARDINALITY"),
        |view, name, condition, within| {
            let series = chosen(series_of(condition, view, name, &meter)?, within);
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
        let names = whole(store, statement, context)?.map(|view| view.measurements());
        let names = names.unwrap_or_default();
        return estimate(u64::try_from(names.len()).unwrap_or(u64::MAX), sink);
    }
    let name = Some("SHOW MEASUREMENT EXACT CARDINALITY");
    let meter = Meter::new(store, context);
    let counts = per_measurement(
        store,
        statement,
        context,
        name,
        |view, name, condition, within| {
            let series = chosen(series_of(condition, view, name, &meter)?, within);
            Ok(names((!series.is_empty()).then(|| name.to_vec())))
        },
    )?;
    let mut together = Counted::new();
    for ((_, tags), more) in counts {
        match together.entry((Vec::new(), tags)) {
            Entry::Occupied(mut known) => known.get_mut().extend(more),
            Entry::Vacant(place) => {
                place.insert(more);
            }
        }
    }
    emit(together, statement, sink)
}

/// `SHOW TAG KEY [EXACT] CARDINALITY …`
pub(crate) fn tag_key_cardinality(
    store: &Store,
    statement: &ShowCardinality,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let meter = Meter::new(store, context);
    let counts = per_measurement(
        store,
        statement,
        context,
        Some("SHOW TAG KEY EXACT CARDINALITY"),
        |view, name, condition, within| {
            let mut keys = view.tag_keys(name);
            if condition.is_some() || within.is_some() {
                let series = chosen(series_of(condition, view, name, &meter)?, within);
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
    let meter = Meter::new(store, context);
    let counts = per_measurement(
        store,
        statement,
        context,
        Some("SHOW FIELD KEY CARDINALITY"),
        |view, name, condition, within| {
            let series = chosen(series_of(condition, view, name, &meter)?, within);
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
/// and nowhere else, a missing tag is not the empty string: InfluxDB looks at the tags of each series. And
/// nowhere else may a condition speak of time: values count in the shards of its range, as things of the
/// epoch, so that a range without the epoch has none.
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
    let meter = Meter::new(store, context);
    let counts = per_measurement(
        store,
        &general,
        context,
        None,
        |view, name, condition, within| {
            let series = match condition {
                Some(_) => certain(Predicate::present(condition, view, name, &meter)?, &meter)?,
                None => view.series(name),
            };
            let series = chosen(series, within);
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

/// The series of a measurement that fit a condition. What it asks of fields fits nothing: there are no
/// rows here to ask.
fn series_of(
    condition: Option<&Expr>,
    view: &View,
    measurement: &[u8],
    meter: &Meter<'_>,
) -> Result<RoaringBitmap, Error> {
    if condition.is_none() {
        return Ok(view.series(measurement));
    }
    let fields = view.fields(measurement);
    certain(
        Predicate::new(condition, view, measurement, &fields, meter)?,
        meter,
    )
}

/// The series whose tags alone fit.
fn certain(predicate: Predicate, meter: &Meter<'_>) -> Result<RoaringBitmap, Error> {
    predicate.fitting(meter, |_| false)
}

/// Those of `series` that belong to a group, if there are groups.
fn chosen(series: RoaringBitmap, within: Option<&RoaringBitmap>) -> RoaringBitmap {
    match within {
        Some(group) => series & group,
        None => series,
    }
}

/// What is counted, by measurement and by the tags of a group.
type Counted = BTreeMap<(Vec<u8>, Option<Tags>), Distinct>;

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

/// All that a database holds; `None` where there is no such database, of which InfluxDB counts nothing.
fn whole(
    store: &Store,
    statement: &ShowCardinality,
    context: &Context,
) -> Result<Option<View>, Error> {
    let database = database(statement.database.as_deref(), context)?;
    match store.view(database, PolicyChoice::All, TimeRange::ALL) {
        Ok(view) => Ok(Some(view)),
        Err(StoreError::DatabaseNotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn estimate(count: u64, sink: &mut dyn Sink) -> Result<(), Error> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let series = Series {
        values: vec![vec![Value::Integer(count)]],
        ..table(None, &["cardinality estimation"], [])
    };
    Ok(sink.series(series)?)
}

/// Counts for each measurement that is asked for, by the condition without time and the series of a group.
/// `timeless` is the name of a statement that does not know time.
fn per_measurement(
    store: &Store,
    statement: &ShowCardinality,
    context: &Context,
    timeless: Option<&str>,
    count: impl Fn(&View, &[u8], Option<&Expr>, Option<&RoaringBitmap>) -> Result<Distinct, Error>,
) -> Result<Counted, Error> {
    let condition = statement.condition.as_ref();
    if let Some(name) = timeless
        && condition.is_some_and(Expr::has_time_comparison)
    {
        return Err(Error::refused(format!(
            "{name} doesn't support time in WHERE clause"
        )));
    }
    let own = statement.database.as_deref();
    let mut counted = Counted::new();
    // What is told where several things are wrong: that a database is missing, then the condition, then that a
    // policy is.
    check_databases(store, &statement.sources, own, context)?;
    let time = TimeContext::utc(context.now_ns);
    let (bounds, condition) = split_condition(condition, &time)?;
    if let Some(condition) = &condition {
        check_condition(condition)?;
    }
    let condition = condition.as_ref();
    let range = bounds.range();
    let all = found(store, &statement.sources, own, range, context)?;
    let grouping = Grouping::new(&statement.dimensions, &all)?;
    if !range.contains(EPOCH_NS) {
        return Ok(counted);
    }
    let mut add = |key, more: Distinct| match counted.entry(key) {
        Entry::Occupied(mut known) => known.get_mut().extend(more),
        Entry::Vacant(place) => {
            place.insert(more);
        }
    };
    for (view, names) in &all {
        for name in names {
            let Some(grouping) = &grouping else {
                add((name.clone(), None), count(view, name, condition, None)?);
                continue;
            };
            for (tags, series) in grouping.split(view, name) {
                let more = count(view, name, condition, Some(&series))?;
                add((name.clone(), Some(tags)), more);
            }
        }
    }
    counted.retain(|_, found| found.len() > 0);
    Ok(counted)
}

/// One row for each measurement; an empty name is left out.
fn emit(counts: Counted, statement: &ShowCardinality, sink: &mut dyn Sink) -> Result<(), Error> {
    for ((name, tags), found) in counts {
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
                tags,
                ..table(name, &["count"], [])
            })?;
        }
    }
    Ok(())
}
