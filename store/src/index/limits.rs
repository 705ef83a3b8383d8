//! How many series and tag values a database, and how many fields a measurement of it may have.
//!
//! The texts, but for that of fields, are those of InfluxDB 1.x (`influxdata/influxdb tsdb/index/inmem/inmem.go`). It drops all
//! new series of a request when they do not all fit; here those that fit are taken.

use tandem_model::split_escaped;

use super::table::SeriesTable;
use crate::options::Options;

/// What a database may have. 0 is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Series of the database.
    pub(crate) series_max: usize,
    /// Values of a tag key of a measurement.
    pub(crate) values_max: usize,
    /// Fields of a measurement in a shard, and of the lines of one request that look like nothing known.
    pub(crate) fields_max: usize,
}

/// Why a series was not made, in InfluxDB's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitExceeded(pub(crate) String);

impl Limits {
    /// Those of a store's databases.
    pub(crate) const fn of(options: &Options) -> Self {
        Self {
            series_max: options.max_series_per_database,
            values_max: options.max_values_per_tag,
            fields_max: options.max_fields_per_measurement,
        }
    }

    /// Whether so many fields are too many.
    pub(crate) const fn forbids_fields(self, fields: usize) -> bool {
        self.fields_max > 0 && fields > self.fields_max
    }

    /// Why a point with too many was dropped.
    pub(crate) fn fields_exceeded(self, measurement: &[u8]) -> LimitExceeded {
        LimitExceeded(format!(
            "max-fields-per-measurement limit exceeded ({}): measurement={}",
            self.fields_max,
            quoted(measurement)
        ))
    }

    /// Whether the series with this canonical key, which there is not yet, may be made.
    pub(super) fn check(
        self,
        table: &mut SeriesTable,
        canonical: &[u8],
    ) -> Result<(), LimitExceeded> {
        let values_max = u32::try_from(self.values_max).unwrap_or(u32::MAX);
        if values_max > 0 {
            self.check_values(table, canonical, values_max)?;
        }
        let is_over = self.series_max > 0 && table.series_count() >= self.series_max;
        if is_over || table.is_full() {
            let max = if is_over {
                self.series_max
            } else {
                table.series_count()
            };
            return Err(LimitExceeded(format!(
                "max-series-per-database limit exceeded: ({max})"
            )));
        }
        Ok(())
    }

    fn check_values(
        self,
        table: &mut SeriesTable,
        canonical: &[u8],
        values_max: u32,
    ) -> Result<(), LimitExceeded> {
        let (escaped, tags) = split_escaped(canonical);
        let Some(number) = table.postings.find(escaped) else {
            return Ok(());
        };
        // A measurement of few series has few values.
        if table.postings.at(number).series.len() < values_max.into() {
            return Ok(());
        }
        for tag in tags {
            let known = table.dictionary.find(&table.hasher, tag.text);
            if known.is_some_and(|pair| table.postings.has_pair(number, pair)) {
                continue;
            }
            let name = tandem_model::unescape_tag(&tag.text[..tag.key_len]);
            let Some(key) = table.dictionary.key(&name) else {
                continue;
            };
            if table.dictionary.pairs_of(key) < values_max {
                continue;
            }
            let pairs = table.dictionary.pairs(key);
            let count = table.postings.count_values(number, key, pairs);
            if count >= values_max {
                let value = tag.text.get(tag.key_len + 1..).unwrap_or_default();
                return Err(LimitExceeded(format!(
                    "max-values-per-tag limit exceeded ({count}/{values_max}): measurement={} tag={} value={}",
                    quoted(&table.postings.at(number).name),
                    quoted(&name),
                    quoted(&tandem_model::unescape_tag(value)),
                )));
            }
        }
        Ok(())
    }
}

/// As Go's `%q` writes it, near enough: invalid UTF-8 is replaced.
fn quoted(text: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_exceeds_is_refused_and_room_comes_back() {
        let limits = Limits {
            series_max: 3,
            ..Limits::default()
        };
        let mut table = SeriesTable::default();
        for n in 0..3 {
            let key = format!("m,k={n}");
            table.insert_within(key.as_bytes(), limits).unwrap();
        }
        let refused = table.insert_within(b"m,k=3", limits).unwrap_err();
        assert_eq!(refused.0, "max-series-per-database limit exceeded: (3)");
        let gone = table.find(b"m,k=1").unwrap();
        table.remove(std::iter::once(gone));
        table.insert_within(b"m,k=3", limits).unwrap();
        table.insert_within(b"m,k=4", limits).unwrap_err();
        table.truncate(3);
        assert_eq!(table.series_count(), 2);
        table.insert_within(b"m,k=4", limits).unwrap();
    }

    #[test]
    fn values_are_counted_by_measurement_and_key() {
        let limits = Limits {
            values_max: 2,
            ..Limits::default()
        };
        let mut table = SeriesTable::default();
        // Another measurement's values do not count.
        for n in 0..5 {
            table.insert(format!("other,k={n}").as_bytes());
        }
        for key in ["m,j=1,k=0", "m,j=1,k=7", "m,j=2,k=7", "m,k=0"] {
            table.insert_within(key.as_bytes(), limits).unwrap();
        }
        let refused = table.insert_within(b"m,j=1,k=3", limits).unwrap_err();
        assert_eq!(
            refused.0,
            "max-values-per-tag limit exceeded (2/2): measurement=\"m\" tag=\"k\" value=\"3\""
        );
        table.insert_within(b"m,k=7", limits).unwrap();
        table.insert_within(b"n,k=3", limits).unwrap();
        // A value is free again with its last series.
        let ids: Vec<_> = ["m,j=1,k=0", "m,k=0"]
            .map(|key| table.find(key.as_bytes()).unwrap())
            .into();
        table.remove(ids[..1].iter().copied());
        table.insert_within(b"m,k=3", limits).unwrap_err();
        table.remove(ids[1..].iter().copied());
        table.insert_within(b"m,k=3", limits).unwrap();
        table.insert_within(b"m,k=4", limits).unwrap_err();
        let last = table.find(b"m,k=3").unwrap();
        table.truncate(last.0);
        table.insert_within(b"m,k=4", limits).unwrap();
    }
}
