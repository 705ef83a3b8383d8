//! A statement with database and retention policy at each measurement, as InfluxDB shows statements to others.

use tandem_influxql::ast::{Measurement, SelectStatement, Source};
use tandem_store::Store;

use crate::context::Context;
use crate::error::Error;

/// `statement` with the places filled in that it leaves to the request.
///
/// # Errors
/// A database that is not there, or none at all.
pub(super) fn qualified(
    statement: &SelectStatement,
    store: &Store,
    context: &Context,
) -> Result<SelectStatement, Error> {
    let mut statement = statement.clone();
    if let Some(target) = &mut statement.into {
        place(target, store, context)?;
    }
    for source in &mut statement.sources {
        match source {
            Source::Measurement(measurement) => place(measurement, store, context)?,
            Source::Subquery(inner) => **inner = qualified(inner, store, context)?,
        }
    }
    Ok(statement)
}

fn place(measurement: &mut Measurement, store: &Store, context: &Context) -> Result<(), Error> {
    let database = measurement.database.as_ref().or(context.database.as_ref());
    let database = database.ok_or(Error::DatabaseRequired)?.clone();
    if measurement.retention_policy.is_none() {
        let of_request = context.retention_policy.clone();
        measurement.retention_policy = match of_request {
            Some(policy) => Some(policy),
            None => Some(store.default_policy(&database)?),
        };
    }
    measurement.database = Some(database);
    Ok(())
}
