//! `SHOW DATABASES` and `SHOW RETENTION POLICIES`.

use tandem_influxql::format_go_duration;
use tandem_store::Store;

use super::{database, table};
use crate::context::Context;
use crate::error::Error;
use crate::result::{Series, Sink, Value};

/// `SHOW DATABASES`: a series even when there is no database.
pub(crate) fn databases(store: &Store, sink: &mut dyn Sink) -> Result<(), Error> {
    let rows = store
        .databases()
        .into_iter()
        .map(|name| vec![name.into_bytes()]);
    Ok(sink.series(table(Some(b"databases".to_vec()), &["name"], rows))?)
}

/// `SHOW RETENTION POLICIES [ON database]`
pub(crate) fn retention_policies(
    store: &Store,
    own: Option<&str>,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let policies = store.retention_policies(database(own, context)?)?;
    let text = |text: String| Value::String(text.into_bytes());
    let row = |policy: tandem_store::RetentionPolicy| {
        vec![
            text(policy.name),
            text(format_go_duration(policy.duration_ns)),
            text(format_go_duration(policy.shard_duration_ns)),
            Value::Integer(i64::from(policy.replicas)),
            Value::Boolean(policy.is_default),
        ]
    };
    let columns = [
        "name",
        "duration",
        "shardGroupDuration",
        "replicaN",
        "default",
    ];
    let mut series: Series = table(None, &columns, []);
    series.values = policies.into_iter().map(row).collect();
    Ok(sink.series(series)?)
}
