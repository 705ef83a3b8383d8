//! `SHOW SHARDS` and `SHOW SHARD GROUPS`.

use jiff::Timestamp;
use tandem_store::{ShardInfo, Store};

use super::table;
use crate::error::Error;
use crate::result::{Series, Sink, Value};

/// `SHOW SHARDS`: a series for each database, by name.
pub(crate) fn shards(store: &Store, sink: &mut dyn Sink) -> Result<(), Error> {
    let all = store.shards();
    let columns = [
        "id",
        "database",
        "retention_policy",
        "shard_group",
        "start_time",
        "end_time",
        "expiry_time",
        "owners",
    ];
    for database in store.databases() {
        let own = all.iter().filter(|shard| shard.database == database);
        let row = |shard: &ShardInfo| {
            vec![
                number(shard.id.0),
                text(&shard.database),
                text(&shard.policy),
                number(shard.id.0),
                time(shard.range.min_ns),
                time(shard.range.max_ns.saturating_add(1)),
                time(expiry_ns(shard)),
                text(""),
            ]
        };
        let values = own.map(row).collect();
        let mut series: Series = table(Some(database.into_bytes()), &columns, []);
        series.values = values;
        sink.series(series)?;
    }
    Ok(())
}

/// `SHOW SHARD GROUPS`: a shard is the only one of its group.
pub(crate) fn shard_groups(store: &Store, sink: &mut dyn Sink) -> Result<(), Error> {
    let columns = [
        "id",
        "database",
        "retention_policy",
        "start_time",
        "end_time",
        "expiry_time",
    ];
    let row = |shard: &ShardInfo| {
        vec![
            number(shard.id.0),
            text(&shard.database),
            text(&shard.policy),
            time(shard.range.min_ns),
            time(shard.range.max_ns.saturating_add(1)),
            time(expiry_ns(shard)),
        ]
    };
    let mut series: Series = table(Some(b"shard groups".to_vec()), &columns, []);
    series.values = store.shards().iter().map(row).collect();
    Ok(sink.series(series)?)
}

/// As InfluxDB says it: where data is kept for ever, the end of the shard.
fn expiry_ns(shard: &ShardInfo) -> i64 {
    let end_ns = shard.range.max_ns.saturating_add(1);
    shard.expires_ns.unwrap_or(end_ns)
}

fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn text(text: &str) -> Value {
    Value::String(text.as_bytes().to_vec())
}

/// RFC 3339, cut to the second.
fn time(time_ns: i64) -> Value {
    let second = Timestamp::from_second(time_ns.div_euclid(1_000_000_000));
    text(&second.map_or_else(|_| String::new(), |time| time.to_string()))
}
