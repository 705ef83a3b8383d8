//! `DELETE`, `DROP SERIES`, `DROP MEASUREMENT` and `DROP SHARD`.
//!
//! All work on the database of the request, over all of its retention policies. What a condition
//! says of tags and time is answered by the index; one that needs to look at a field is refused, before
//! anything is deleted (`influxdata/influxdb tsdb/store.go`, `DeleteSeries`).

use roaring::RoaringBitmap;
use tandem_influxql::ast::{Delete, DropSeries, Expr, Source};
use tandem_influxql::condition::{TimeContext, fold_constants, split_condition};
use tandem_model::{SeriesId, ShardId, TimeRange};
use tandem_store::{PolicyChoice, Store, StoreError, View};

use crate::context::Context;
use crate::error::Error;
use crate::meter::Meter;
use crate::predicate::{Predicate, Residual};
use crate::show::Named;

/// `DELETE [FROM …] [WHERE …]`: a condition on time takes a part of the rows.
pub(crate) fn delete(store: &Store, statement: &Delete, context: &Context) -> Result<(), Error> {
    database(store, context)?;
    let time = TimeContext::utc(context.now_ns);
    // Folded as a whole first: `time > 5 OR true` is no bound here.
    let folded = statement.condition.clone();
    let folded = folded.map(|condition| fold_constants(condition, Some(&time)));
    let (bounds, condition) = split_condition(folded.transpose()?.as_ref(), &time)?;
    remove(
        store,
        &statement.sources,
        condition.as_ref(),
        bounds.range(),
        context,
    )
}

/// `DROP SERIES [FROM …] [WHERE …]`: whole series, so it takes no time.
pub(crate) fn drop_series(
    store: &Store,
    statement: &DropSeries,
    context: &Context,
) -> Result<(), Error> {
    database(store, context)?;
    let condition = statement.condition.as_ref();
    if condition.is_some_and(|condition| condition.any(is_time)) {
        return Err(Error::refused(
            "DROP SERIES doesn't support time in WHERE clause",
        ));
    }
    remove(
        store,
        &statement.sources,
        condition,
        TimeRange::ALL,
        context,
    )
}

/// `DROP MEASUREMENT name`; one that is not there is fine.
pub(crate) fn drop_measurement(store: &Store, name: &str, context: &Context) -> Result<(), Error> {
    store.drop_measurement(database(store, context)?, name.as_bytes())?;
    Ok(())
}

/// `DROP SHARD id`; one that is not there is fine.
pub(crate) fn drop_shard(store: &Store, id: u64) -> Result<(), Error> {
    Ok(store.drop_shard(ShardId(id))?)
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::VarRef(reference) if reference.name.eq_ignore_ascii_case("time"))
}

/// The database of the request, which must be there; no name counts as one that is not.
fn database<'a>(store: &Store, context: &'a Context) -> Result<&'a str, Error> {
    let name = context.database.as_deref().unwrap_or_default();
    if store.databases().iter().any(|known| known == name) {
        Ok(name)
    } else {
        Err(StoreError::DatabaseNotFound(name.to_owned()).into())
    }
}

fn remove(
    store: &Store,
    sources: &[Source],
    condition: Option<&Expr>,
    range: TimeRange,
    context: &Context,
) -> Result<(), Error> {
    let database = database(store, context)?;
    let named = Named::new(sources)?;
    let view = store.view(database, PolicyChoice::All, range)?;
    let meter = Meter::new(store, context);
    let mut doomed = RoaringBitmap::new();
    for name in view.measurements() {
        if named.contains(&name) {
            doomed |= matching(&view, &name, condition, &meter)?;
        }
    }
    if !doomed.is_empty() {
        store.delete(database, &doomed, range)?;
    }
    Ok(())
}

/// The series of a measurement that a condition on tags finds.
fn matching(
    view: &View,
    measurement: &[u8],
    condition: Option<&Expr>,
    meter: &Meter<'_>,
) -> Result<RoaringBitmap, Error> {
    let fields = view.fields(measurement);
    let mut predicate = Predicate::new(condition, view, measurement, &fields, meter)?;
    let refused = || {
        let shard = view.first_shard_of(measurement).map_or(0, |shard| shard.0);
        Error::refused(format!(
            "shard {shard}: fields not supported in WHERE clause during deletion"
        ))
    };
    if predicate.has_arithmetic() {
        return Err(refused());
    }
    let mut found = predicate.candidates(meter)?;
    if predicate.references().is_empty() {
        return Ok(found);
    }
    let mut never = RoaringBitmap::new();
    for id in &found {
        meter.check()?;
        match predicate.residual(SeriesId(id)) {
            Residual::Always => {}
            Residual::Never => {
                never.insert(id);
            }
            Residual::When(_) => return Err(refused()),
        }
    }
    found -= never;
    Ok(found)
}
