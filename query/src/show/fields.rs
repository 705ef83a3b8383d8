//! `SHOW FIELD KEYS`: a field once for each type that it has in one of the shards.

use std::collections::BTreeSet;

use tandem_influxql::ast::ShowFieldKeys;
use tandem_model::TimeRange;
use tandem_store::Store;

use super::{cut, found, table};
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
    let mut fields = BTreeSet::new();
    for (view, names) in found(store, &statement.sources, own, TimeRange::ALL, context)? {
        for name in names {
            let rows = view.field_types(&name).into_iter();
            let rows = rows.map(|(field, kind)| vec![field, kind.name().as_bytes().to_vec()]);
            fields.insert((name, rows.collect::<Vec<_>>()));
        }
    }
    for (name, rows) in fields {
        let rows = cut(rows, statement.limit, statement.offset);
        if !rows.is_empty() {
            sink.series(table(Some(name), &["fieldKey", "fieldType"], rows))?;
        }
    }
    Ok(())
}
