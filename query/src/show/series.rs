//! `SHOW SERIES`.

use std::collections::BTreeMap;

use tandem_influxql::ast::{Expr, ShowSeries, Source};
use tandem_influxql::condition::{TimeContext, split_condition};
use tandem_model::{EscapedTag, SeriesId, SeriesKey, TimeRange, split_escaped};
use tandem_store::Store;

use super::epoch::Fitting;
use super::{
    EPOCH_NS, check_databases, check_operators, divided_again, found, found_together, in_pieces,
};
use crate::context::Context;
use crate::error::Error;
use crate::executor::warn_of_missing;
use crate::meter::Meter;
use crate::predicate::Predicate;
use crate::result::Sink;
use crate::select::check_condition;

/// Bytes of a key in the set beside its texts, about.
const KEY_BYTES: usize = 96;

/// `SHOW SERIES …`: canonical keys, of all policies of a database where the default one, or the one that a
/// source names, holds anything. With a time in the condition, the series of the shards that overlap it.
pub(crate) fn series(
    store: &Store,
    statement: &ShowSeries,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let own = statement.database.as_deref();
    let time = TimeContext::utc(context.now_ns);
    // What is told where several things are wrong: that a database is missing, then the condition, then that a
    // policy is.
    check_databases(store, &statement.sources, own, context)?;
    let (bounds, condition) = split_condition(statement.condition.as_ref(), &time)?;
    if let Some(condition) = &condition {
        check_condition(condition)?;
    }
    // With a time, InfluxDB asks the shards, and without one the index, which knows few operators.
    let asks_shards = statement
        .condition
        .as_ref()
        .is_some_and(Expr::has_time_comparison);
    let meter = Meter::new(store, context);
    let mut keys: BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>> = BTreeMap::new();
    let range = bounds.range();
    if range.max_ns < EPOCH_NS {
        // With a time, series are things of the epoch.
        found(store, &statement.sources, own, TimeRange::ALL, context)?;
        divided_again(condition.as_ref(), &time)?;
        return Ok(());
    }
    // InfluxDB takes a range that ends before it begins for the shards that hold both ends.
    let is_turned = range.is_empty();
    let within = match is_turned {
        true => TimeRange::new(range.max_ns, range.min_ns),
        false => range,
    };
    let mut found = found_together(store, &statement.sources, own, within, context)?;
    let condition = divided_again(condition.as_ref(), &time)?;
    if is_turned {
        for (view, names) in &mut found {
            *view = view.clone().around(within);
            let here = view.measurements();
            names.retain(|name| here.contains(name));
        }
    }
    let missing = found.iter().map(|(view, _)| store.missing_files(view));
    warn_of_missing(missing.max().unwrap_or(0), sink);
    for (at, (view, names)) in found.into_iter().enumerate() {
        let is_exact = matches!(
            statement.sources.get(at),
            Some(Source::Measurement(source)) if source.regex.is_none()
        );
        let is_asked = match is_exact {
            true => !view.measurements().is_empty(),
            false => !names.is_empty(),
        };
        if let (Some(condition), true, false) = (&condition, is_asked, asks_shards) {
            check_operators(condition)?;
        }
        for name in names {
            let series = match asks_shards {
                true => Fitting::new(condition.as_ref(), &view, &name, range, &meter)?.series,
                false => Predicate::matching(condition.as_ref(), &view, &name, &meter)?,
            };
            for id in series {
                let key = as_shown(view.series_key(SeriesId(id)));
                meter.count_row(KEY_BYTES + name.len() + 2 * key.len())?;
                keys.insert((name.clone(), order(&key)), key);
            }
        }
    }
    let rows = keys.into_values().map(|key| vec![key]);
    let limits = (statement.limit, statement.offset);
    in_pieces(None, &["key"], rows, limits, &meter, sink)
}

/// A key with its tags in the order of their keys' escaped bytes: InfluxDB sorts them as they are written, so that
/// `tA` comes before `t\ a`.
fn as_shown(key: Vec<u8>) -> Vec<u8> {
    match key.contains(&b'\\') {
        true => sorted_as_written(&key),
        false => key,
    }
}

fn sorted_as_written(key: &[u8]) -> Vec<u8> {
    let (measurement, tags) = split_escaped(key);
    let mut tags: Vec<EscapedTag<'_>> = tags.collect();
    let name = |tag: &EscapedTag<'_>| tag.text.get(..tag.key_len).map(<[u8]>::to_vec);
    tags.sort_by_cached_key(name);
    let mut shown = measurement.to_vec();
    for tag in tags {
        shown.push(b',');
        shown.extend_from_slice(tag.text);
    }
    shown
}

/// What keys of one measurement are sorted by: their tags, key by key and value by value, not their
/// escaped bytes, in which `host1=` would come before `host=` (`influxdata/influxdb tsdb/series_file.go`,
/// `CompareSeriesKeys`).
fn order(key: &[u8]) -> Vec<u8> {
    let mut order = Vec::with_capacity(key.len());
    for (tag, value) in SeriesKey::split(key).1 {
        for text in [tag, value] {
            for byte in text.iter().copied() {
                order.push(byte);
                // So that the end of a text, two zeros, comes before a zero in it.
                if byte == 0 {
                    order.push(1);
                }
            }
            order.extend_from_slice(&[0, 0]);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a real InfluxDB 1.6.7 shows them.
    #[test]
    fn tags_are_in_the_order_of_their_escaped_keys() {
        let shown = |key: &str| String::from_utf8(as_shown(key.as_bytes().to_vec())).unwrap();
        assert_eq!(shown("m\\,n,t\\ a=2,tA=1"), "m\\,n,tA=1,t\\ a=2");
        assert_eq!(shown("m,t1=1,t\\=a=2"), "m,t1=1,t\\=a=2");
        assert_eq!(shown("m,t\\ a=x\\,y,ta=1"), "m,t\\ a=x\\,y,ta=1");
        assert_eq!(shown("m,b=1"), "m,b=1");
    }

    #[test]
    fn shorter_names_and_fewer_tags_come_first() {
        let keys: [&[u8]; 7] = [
            b"m",
            b"m,host=a",
            b"m,host=a,zone=b",
            b"m,host=a\0b",
            b"m,host=a-1",
            b"m,host-x=a",
            b"m,host1=a",
        ];
        assert!(keys.windows(2).all(|pair| order(pair[0]) < order(pair[1])));
    }
}
