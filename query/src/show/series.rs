//! `SHOW SERIES`.

use std::collections::BTreeSet;

use tandem_influxql::ast::{BinaryOp, Expr, Measurement, ShowSeries, Source};
use tandem_influxql::condition::{TimeContext, split_condition};
use tandem_model::SeriesId;
use tandem_store::{PolicyChoice, Store};

use super::{Named, cut, database, table};
use crate::context::Context;
use crate::error::Error;
use crate::predicate::{Predicate, Residual};
use crate::result::Sink;

/// `SHOW SERIES …`: canonical keys, of the default retention policy unless a source names another.
/// With a time in the condition, the series of the shards that overlap it.
pub(crate) fn series(
    store: &Store,
    statement: &ShowSeries,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let own = statement.database.as_deref();
    let (bounds, condition) = split_condition(
        statement.condition.as_ref(),
        &TimeContext::utc(context.now_ns),
    )?;
    if let Some(condition) = &condition {
        check_operators(condition)?;
    }
    let mut keys: BTreeSet<(Vec<u8>, Vec<u8>)> = BTreeSet::new();
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
        let view = store.view(database, policy, bounds.range())?;
        let named = Named::new(std::slice::from_ref(source))?;
        for name in view
            .measurements()
            .into_iter()
            .filter(|name| named.contains(name))
        {
            let fields = view.fields(&name);
            let mut predicate = Predicate::new(condition.as_ref(), &view, &name, &fields)?;
            for id in predicate.candidates() {
                if !matches!(predicate.residual(SeriesId(id)), Residual::Never) {
                    keys.insert((name.clone(), view.series_key(SeriesId(id))));
                }
            }
        }
    }
    let keys = keys.into_iter().map(|(_, key)| vec![key]).collect();
    let rows = cut(keys, statement.limit, statement.offset);
    if rows.is_empty() {
        return Ok(());
    }
    Ok(sink.series(table(None, &["key"], rows))?)
}

/// Refuses operators that say nothing of tags.
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
