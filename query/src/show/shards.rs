//! `SHOW SHARDS` and `SHOW SHARD GROUPS`.

use jiff::Timestamp;
use tandem_store::{ShardInfo, Store};

use super::table;
use crate::error::Error;
use crate::result::{Series, Sink, Value};

/// `SHOW SHARDS`: a series for each database.
pub(crate) fn shards(store: &Store, sink: &mut dyn Sink) -> Result<(), Error> {
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
    for (database, own) in by_database(store) {
        let row = |shard: &ShardInfo| {
            vec![
                number(shard.id.0),
                text(&shard.database),
                text(&shard.policy),
                number(shard.id.0),
                time(shard.start_s),
                time(end_s(shard)),
                time(expiry_s(shard)),
                text(""),
            ]
        };
        let values = own.iter().map(row).collect();
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
            time(shard.start_s),
            time(end_s(shard)),
            time(expiry_s(shard)),
        ]
    };
    let mut series: Series = table(Some(b"shard groups".to_vec()), &columns, []);
    let groups = by_database(store).into_iter().flat_map(|(_, own)| own);
    series.values = groups.map(|shard| row(&shard)).collect();
    Ok(sink.series(series)?)
}

/// The databases with their shards: databases and policies in the order in which they were made, the
/// shards of a policy by time.
fn by_database(store: &Store) -> Vec<(String, Vec<ShardInfo>)> {
    let mut left = store.shards();
    let mut databases = Vec::new();
    for database in store.databases() {
        // Without any if it was dropped just now.
        let policies = store.retention_policies(&database).unwrap_or_default();
        let place = |shard: &ShardInfo| policies.iter().position(|p| p.name == shard.policy);
        let own = left.extract_if(.., |shard| shard.database == database);
        let mut own: Vec<ShardInfo> = own.collect();
        own.sort_by_key(|shard| (place(shard), shard.range.min_ns, shard.id));
        databases.push((database, own));
    }
    databases
}

fn end_s(shard: &ShardInfo) -> i64 {
    seconds(shard.range.max_ns.saturating_add(1))
}

/// As InfluxDB says it: where data is kept for ever, the end of the shard.
fn expiry_s(shard: &ShardInfo) -> i64 {
    shard.expires_ns.map_or_else(|| end_s(shard), seconds)
}

/// Cut to the second.
const fn seconds(time_ns: i64) -> i64 {
    time_ns.div_euclid(1_000_000_000)
}

fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn text(text: &str) -> Value {
    Value::String(text.as_bytes().to_vec())
}

/// RFC 3339.
fn time(second: i64) -> Value {
    let second = Timestamp::from_second(second);
    text(&second.map_or_else(|_| String::new(), |time| time.to_string()))
}
