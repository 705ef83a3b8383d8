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
use tandem_model::{SeriesId, SeriesKey, TimeRange};
use tandem_store::{PolicyChoice, Store, StoreError, View};

use super::epoch::Fitting;
use super::grouping::{Grouping, Tags};
use super::tags::Keys;
use super::{EPOCH_NS, check_databases, cut, database, divided_again, found, table};
use crate::context::Context;
use crate::error::Error;
use crate::meter::Meter;
use crate::predicate::Predicate;
use crate::result::{Series, Sink, Value};
use crate::select::{check_condition, with_missing_as_false};

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
            let series = fitting(condition, view, name, within, &meter)?.series;
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
            let series = fitting(condition, view, name, within, &meter)?.series;
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
                let fitting = fitting(condition, view, name, within, &meter)?;
                let mut carried = view.tag_keys_of(name, &fitting.whole());
                for id in &fitting.by_row {
                    meter.check()?;
                    let key = view.series_key(SeriesId(id));
                    let first = SeriesKey::split(&key).1.next();
                    carried.extend(first.map(|(tag, _)| tag.to_vec()));
                }
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
            // Those of the shards that have one of the series.
            let fitting = fitting(condition, view, name, within, &meter)?;
            let mut fields = view.fields_beside(name, &fitting.whole());
            if fields.is_empty() && !fitting.by_row.is_empty() {
                fields = view.fields_beside(name, &fitting.by_row);
                fields.truncate(1);
            }
            Ok(names(fields))
        },
    )?;
    emit(counts, statement, sink)
}

/// `SHOW TAG VALUES [EXACT] CARDINALITY … WITH KEY …`: a value counts once, whatever keys have it. Here,
/// and nowhere else, a missing tag is not the empty string: InfluxDB looks at the tags of each series, where a field
/// is missing too, and then at rows. And nowhere else may a condition speak of time: values count in the shards of
/// its range, as things of the epoch, so that a range without the epoch has none.
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
            let keys = view.tag_keys(name).into_iter();
            let keys: Vec<Vec<u8>> = keys.filter(|key| wanted.contains(key)).collect();
            let mut fitting = fitting(condition, view, name, within, &meter)?;
            if let Some(condition) = condition {
                let by_tags = by_tags_alone(condition, view, name, &meter)?;
                fitting = fitting.within(Some(&by_tags));
            }
            let whole = fitting.whole();
            let values = |key: &Vec<u8>| view.tag_values_of(name, key, Some(&whole));
            let mut values: BTreeSet<Vec<u8>> = keys.iter().flat_map(values).collect();
            for id in &fitting.by_row {
                meter.check()?;
                let key = view.series_key(SeriesId(id));
                let mut tags = SeriesKey::split(&key).1;
                let first = tags.find(|(tag, _)| wanted.contains(tag));
                values.extend(first.map(|(_, value)| value.to_vec()));
            }
            Ok(Distinct::Names(values))
        },
    )?;
    emit(counts, &general, sink)
}

/// The series of a measurement that fit a condition, in a group if there are groups.
fn fitting(
    condition: Option<&Expr>,
    view: &View,
    measurement: &[u8],
    within: Option<&RoaringBitmap>,
    meter: &Meter<'_>,
) -> Result<Fitting, Error> {
    // Only values of tags know time, and they have the time of the epoch; without it nothing is counted.
    let range = TimeRange::ALL;
    Ok(Fitting::new(condition, view, measurement, range, meter)?.within(within))
}

/// The series whose tags fit where no field has a value, and a tag that is missing fits nothing.
fn by_tags_alone(
    condition: &Expr,
    view: &View,
    measurement: &[u8],
    meter: &Meter<'_>,
) -> Result<RoaringBitmap, Error> {
    let condition = with_missing_as_false(condition);
    let predicate = Predicate::present(Some(&condition), view, measurement, meter)?;
    let nothing = vec![Value::Null; predicate.references().len()];
    predicate.fitting(meter, |_, condition| Ok(condition.is_true(&nothing)))
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
    let range = bounds.range();
    let all = found(store, &statement.sources, own, range, context)?;
    let condition = divided_again(condition.as_ref(), &time)?;
    let condition = condition.as_ref();
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
