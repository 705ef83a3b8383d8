//! What a server says of a measurement window by window: of every field, how many values there are, their sum,
//! the least and the greatest. Little to compute for a store that has statistics, and little to send.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde_json::Value as Json;

use super::{Place, RepairError, Server, window_ns};

/// Float sums may differ in their last digits, by the order in which they were added up.
const TOLERANCE: f64 = 1e-9;

/// Of one window: figures by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest(BTreeMap<String, Json>);

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): ((&String, &Json), (&String, &Json))| {
            one.0 == other.0 && same_figure(one.1, other.1)
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

fn same_figure(one: &Json, other: &Json) -> bool {
    if one == other {
        return true;
    }
    match (one, other) {
        (Json::Number(one), Json::Number(other)) if one.is_f64() || other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(0.0));
            (one - other).abs() <= TOLERANCE * one.abs().max(other.abs())
        }
        _ => false,
    }
}

impl Server {
    /// The digests of the windows that hold something, by their first nanosecond.
    pub(crate) async fn digest(
        &self,
        place: &Place,
        range: &Range<i64>,
        window: Duration,
    ) -> Result<BTreeMap<i64, Digest>, RepairError> {
        let text = format!(
            "SELECT count(*), sum(*), min(*), max(*) FROM {} WHERE time >= {} AND time < {} GROUP BY time({}ns) fill(none)",
            place.source(),
            range.start,
            range.end,
            window_ns(window)
        );
        let mut digests: BTreeMap<i64, Digest> = BTreeMap::new();
        for series in self.series(&place.database, &text).await? {
            let columns = series["columns"].as_array().cloned().unwrap_or_default();
            for row in series["values"].as_array().into_iter().flatten() {
                let Some(time) = row[0].as_i64() else {
                    continue;
                };
                let digest = digests.entry(time).or_default();
                for (at, column) in columns.iter().enumerate().skip(1) {
                    // A field that one store has never had is no column there.
                    let figure = &row[at];
                    if !figure.is_null() && figure.as_u64() != Some(0) {
                        let name = column.as_str().unwrap_or_default();
                        digest.0.insert(name.to_owned(), figure.clone());
                    }
                }
            }
        }
        Ok(digests)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sums_may_differ_in_their_last_digits_and_counts_may_not() {
        let digest = |count: u64, sum: f64| {
            let pairs = [
                ("count_v".to_owned(), json!(count)),
                ("sum_v".to_owned(), json!(sum)),
            ];
            Digest(pairs.into())
        };
        assert_eq!(digest(3, 0.3), digest(3, 0.1 + 0.2));
        assert_ne!(digest(3, 0.3), digest(4, 0.3));
        assert_ne!(digest(3, 0.3), digest(3, 0.301));
        assert_ne!(digest(3, 0.3), Digest::default());
    }
}
