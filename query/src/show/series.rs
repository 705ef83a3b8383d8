//! `SHOW SERIES`.

use std::collections::BTreeSet;

use tandem_influxql::ast::{BinaryOp, Expr, ShowSeries};
use tandem_influxql::condition::{TimeContext, split_condition};
use tandem_model::SeriesId;
use tandem_store::Store;

use super::{cut, found, table};
use crate::context::Context;
use crate::error::Error;
use crate::predicate::Predicate;
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
    let time = TimeContext::utc(context.now_ns);
    let (bounds, condition) = split_condition(statement.condition.as_ref(), &time)?;
    if let Some(condition) = &condition {
        check_operators(condition)?;
    }
    let mut keys: BTreeSet<(Vec<u8>, Vec<u8>)> = BTreeSet::new();
    for (view, names) in found(store, &statement.sources, own, bounds.range(), context)? {
        for name in names {
            for id in Predicate::matching(condition.as_ref(), &view, &name)? {
                keys.insert((name.clone(), view.series_key(SeriesId(id))));
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
