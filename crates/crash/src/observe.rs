//! What a store shows, read into a model, and what it must agree on with itself.

use std::collections::BTreeMap;

use tandem_model::{FieldType, SeriesId, SeriesKey, TimeRange};
use tandem_store::{Order, PolicyChoice, Store, View};

use crate::model::{Database, Model, Policy, Rows};
use crate::point::{Row, Value, measurement_of};

/// Whether a series may be listed of which no row is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// No.
    Exact,
    /// Yes: a read failed while rows were deleted, so that what is left could not be told.
    MayBeMore,
}

/// Everything in a store. `Err` when something cannot be read, or when two ways of asking
/// disagree: a row's series must have a key and be found by measurement and by each of its tags,
/// and its fields must be listed with their types.
///
/// # Errors
/// What is wrong, for people.
pub fn observe(store: &Store, listed: Listed) -> Result<Model, String> {
    let mut model = Model::default();
    for name in store.databases() {
        let mut database = Database {
            default_policy: Some(store.default_policy(&name).map_err(text)?),
            ..Database::default()
        };
        let policies = store.retention_policies(&name).map_err(text)?;
        for policy in policies {
            let choice = PolicyChoice::Named(&policy.name);
            let view = store.view(&name, choice, TimeRange::ALL).map_err(text)?;
            let series = series_of(&view, listed)
                .map_err(|what| format!("{name}.{}: {what}", policy.name))?;
            if policy.is_default != (database.default_policy.as_ref() == Some(&policy.name)) {
                let default = database.default_policy.unwrap_or_default();
                return Err(format!(
                    "{name} has the default policy {default}, and {policy:?}"
                ));
            }
            let read = Policy {
                duration_ns: policy.duration_ns,
                shard_duration_ns: policy.shard_duration_ns,
                series,
            };
            database.policies.insert(policy.name, read);
        }
        model.databases.insert(name, database);
    }
    Ok(model)
}

/// An error with what it came from.
pub(crate) fn text(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn series_of(view: &View, listed: Listed) -> Result<BTreeMap<String, Rows>, String> {
    let mut series = BTreeMap::new();
    let measurements = view.measurements();
    if !measurements.is_sorted() {
        return Err(format!("measurements are not sorted: {measurements:?}"));
    }
    for measurement in measurements {
        let fields = view.fields(&measurement);
        let ids = view.series(&measurement);
        for id in &ids {
            let id = SeriesId(id);
            let key = view.series_key(id);
            let name = utf8(&key);
            if key.is_empty() || measurement_of(&name).as_bytes() != measurement {
                let of = utf8(&measurement);
                return Err(format!("{id:?} of {of} has the key {name:?}"));
            }
            find_by_tags(view, &measurement, &key, id)?;
            let rows = read(view, id, &fields, TimeRange::ALL, Order::Ascending)
                .map_err(|what| format!("{name}: {what}"))?;
            if rows.is_empty() {
                if listed == Listed::MayBeMore {
                    continue;
                }
                return Err(format!("{name} is listed and has no row"));
            }
            if series.insert(name.clone(), rows).is_some() {
                return Err(format!("two series have the key {name}"));
            }
        }
    }
    Ok(series)
}

fn find_by_tags(view: &View, measurement: &[u8], key: &[u8], id: SeriesId) -> Result<(), String> {
    let (_, tags) = SeriesKey::split(key);
    let keys = view.tag_keys(measurement);
    for (tag, value) in tags {
        let values = view.tag_values(measurement, &tag);
        let carried = values.iter().find(|(v, _)| *v == value);
        if !keys.contains(&tag) || !carried.is_some_and(|(_, ids)| ids.contains(id.0)) {
            let (key, tag, value) = (utf8(key), utf8(&tag), utf8(&value));
            return Err(format!("{key} is not found by {tag}={value}"));
        }
    }
    Ok(())
}

fn read(
    view: &View,
    id: SeriesId,
    fields: &[(Vec<u8>, FieldType)],
    range: TimeRange,
    order: Order,
) -> Result<Rows, String> {
    let names: Vec<&[u8]> = fields.iter().map(|(name, _)| name.as_slice()).collect();
    let mut reader = view.read(id, &names, range, order);
    let mut all = Rows::new();
    let mut last: Option<i64> = None;
    while let Some(rows) = reader.next().map_err(text)? {
        if rows.is_empty() || rows.columns.len() != names.len() {
            return Err("a piece without rows, or of another width".into());
        }
        for (at, &time_ns) in rows.times_ns.iter().enumerate() {
            let in_order = last.is_none_or(|last| match order {
                Order::Ascending => last < time_ns,
                Order::Descending => last > time_ns,
            });
            if !in_order || !range.contains(time_ns) {
                return Err(format!(
                    "row at {time_ns} after {last:?}, asked for {range:?}"
                ));
            }
            last = Some(time_ns);
            let values = names
                .iter()
                .zip(&rows.columns)
                .filter_map(|(name, column)| {
                    let value = column.as_ref()?.get(at)?;
                    Some((utf8(name), Value::from(value)))
                });
            let row: Row = values.collect();
            if row.is_empty() {
                return Err(format!("the row at {time_ns} has no value"));
            }
            for (name, value) in &row {
                let listed = fields.iter().find(|(n, _)| n == name.as_bytes());
                // Where shards disagree the first type in their order is listed.
                if listed.is_none_or(|(_, t)| *t > value.field_type()) {
                    return Err(format!("{name}={value} is listed as {listed:?}"));
                }
            }
            all.insert(time_ns, row);
        }
    }
    Ok(all)
}

/// Reads a range of a policy in both orders and compares it with what the model holds.
///
/// # Errors
/// What is wrong, for people.
pub fn observe_range(
    store: &Store,
    model: &Model,
    database: &str,
    policy: &str,
    range: TimeRange,
) -> Result<(), String> {
    let Some(expected) = model.policy(database, policy) else {
        return Ok(());
    };
    let view = store
        .view(database, PolicyChoice::Named(policy), range)
        .map_err(text)?;
    let mut found = 0;
    for measurement in view.measurements() {
        let fields = view.fields(&measurement);
        for id in view.series(&measurement) {
            let id = SeriesId(id);
            let name = utf8(&view.series_key(id));
            let wanted: Rows = expected
                .rows_in(&name, range)
                .map(|(t, row)| (*t, row.clone()))
                .collect();
            for order in [Order::Ascending, Order::Descending] {
                let rows = read(&view, id, &fields, range, order)?;
                if rows != wanted {
                    return Err(format!(
                        "{name} in {range:?}, {order:?}: found {rows:?}, not {wanted:?}"
                    ));
                }
            }
            found += usize::from(!wanted.is_empty());
        }
    }
    let hold = |series: &&String| expected.rows_in(series, range).next().is_some();
    let wanted = expected.series.keys().filter(hold).count();
    if found != wanted {
        return Err(format!(
            "{found} series have rows in {range:?}, not {wanted}"
        ));
    }
    Ok(())
}
