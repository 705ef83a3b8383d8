//! `SHOW FIELD KEYS`.

use std::collections::BTreeSet;

use tandem_influxql::ast::{Measurement, ShowFieldKeys, Source};
use tandem_model::TimeRange;
use tandem_store::{PolicyChoice, Store};

use super::{Named, cut, database, table};
use crate::context::Context;
use crate::error::Error;
use crate::result::Sink;

/// `SHOW FIELD KEYS …`: of the default retention policy unless a source names another.
pub(crate) fn field_keys(
    store: &Store,
    statement: &ShowFieldKeys,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let own = statement.database.as_deref();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let everything = [Source::Measurement(Measurement {
        regex: Some(String::new()),
        ..Measurement::default()
    })];
    let sources = if statement.sources.is_empty() {
        &everything
    } else {
        statement.sources.as_slice()
    };
    for source in sources {
        let Source::Measurement(measurement) = source else {
            continue;
        };
        let database = database(measurement.database.as_deref().or(own), context)?;
        let policy = measurement
            .retention_policy
            .as_deref()
            .or(context.retention_policy.as_deref());
        let policy = policy.map_or(PolicyChoice::Default, PolicyChoice::Named);
        let view = store.view(database, policy, TimeRange::ALL)?;
        let named = Named::new(std::slice::from_ref(source))?;
        for name in view
            .measurements()
            .into_iter()
            .filter(|name| named.contains(name))
        {
            let rows: Vec<Vec<Vec<u8>>> = view
                .fields(&name)
                .into_iter()
                .map(|(field, field_type)| vec![field, field_type.name().as_bytes().to_vec()])
                .collect();
            if seen.insert((name.clone(), rows.clone())) {
                found.push((name, rows));
            }
        }
    }
    found.sort();
    for (name, rows) in found {
        let rows = cut(rows, statement.limit, statement.offset);
        if !rows.is_empty() {
            sink.series(table(Some(name), &["fieldKey", "fieldType"], rows))?;
        }
    }
    Ok(())
}
