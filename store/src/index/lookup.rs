//! What readers ask the index: series, keys and values by measurement, within a set of series.
//!
//! All of it is about the series of a set, mostly those that have rows in the shards at hand: values
//! that only others carry are not there. Where the set is small, its series are looked at one by one;
//! where it is large, the values are.

use roaring::RoaringBitmap;
use tandem_model::{SeriesId, escape_tag, unescape_tag};

use super::postings::Measurement;
use super::table::SeriesTable;

/// A series is looked at as fast as so many values.
const VALUES_A_SERIES: u64 = 4;

/// The values of a tag key that some series carry.
struct Present {
    /// The series that carry the key.
    carriers: RoaringBitmap,
    /// The pairs of the key that they carry, by value.
    pairs: Vec<u32>,
}

impl SeriesTable {
    /// The measurements that have a series in `within`, by name.
    pub(crate) fn measurements(&self, within: &RoaringBitmap) -> Vec<Vec<u8>> {
        self.postings
            .by_name()
            .filter(|m| !m.series.is_disjoint(within))
            .map(|m| m.name.to_vec())
            .collect()
    }

    /// The series of a measurement that are in `within`.
    pub(crate) fn series(&self, measurement: &[u8], within: &RoaringBitmap) -> RoaringBitmap {
        let found = self.measurement(measurement);
        found.map(|m| &m.series & within).unwrap_or_default()
    }

    /// How many series of a measurement are in `within`.
    pub(crate) fn count_series(&self, measurement: &[u8], within: &RoaringBitmap) -> u64 {
        let found = self.measurement(measurement);
        found.map_or(0, |m| m.series.intersection_len(within))
    }

    /// The tag keys that a series in `within` carries, sorted.
    pub(crate) fn tag_keys(&self, measurement: &[u8], within: &RoaringBitmap) -> Vec<Vec<u8>> {
        let Some(measurement) = self.measurement(measurement) else {
            return Vec::new();
        };
        let keys = measurement.keys(within);
        let mut names: Vec<Vec<u8>> = keys
            .map(|key| self.dictionary.key_name(key).to_vec())
            .collect();
        names.sort_unstable();
        names
    }

    /// The series in `within` that carry a tag key, whatever its value.
    pub(crate) fn tagged(
        &self,
        measurement: &[u8],
        key: &[u8],
        within: &RoaringBitmap,
    ) -> RoaringBitmap {
        let found = self.measurement(measurement).zip(self.dictionary.key(key));
        found
            .map(|(measurement, key)| measurement.carriers(key, within))
            .unwrap_or_default()
    }

    /// The series in `within` that carry a tag with this value, which is not empty.
    pub(crate) fn with_value(
        &self,
        measurement: &[u8],
        key: &[u8],
        value: &[u8],
        within: &RoaringBitmap,
    ) -> RoaringBitmap {
        let mut text = Vec::with_capacity(key.len() + value.len() + 1);
        escape_tag(key, &mut text);
        text.push(b'=');
        escape_tag(value, &mut text);
        let pair = self.dictionary.find(&self.hasher, &text);
        let Some((measurement, pair)) = self.measurement(measurement).zip(pair) else {
            return RoaringBitmap::new();
        };
        let mut found = self.postings.sets.get(pair).intersection(within);
        found &= &measurement.series;
        found
    }

    /// The series in `within` that carry a tag with a value for which `fits` is true. Each value is
    /// shown to it once.
    pub(crate) fn with_fitting_value(
        &self,
        measurement: &[u8],
        key: &[u8],
        within: &RoaringBitmap,
        mut fits: impl FnMut(&[u8]) -> bool,
    ) -> RoaringBitmap {
        let (mut few, mut many) = (Vec::new(), RoaringBitmap::new());
        if let Some(present) = self.present(measurement, key, within) {
            for pair in present.pairs {
                if fits(&unescape_tag(self.dictionary.value(pair))) {
                    let ids = self.postings.sets.get(pair);
                    ids.add_to(&present.carriers, &mut few, &mut many);
                }
            }
        }
        few.sort_unstable();
        many |= few.into_iter().collect::<RoaringBitmap>();
        many
    }

    /// The values of a tag that series in `within` carry, sorted.
    pub(crate) fn values(
        &self,
        measurement: &[u8],
        key: &[u8],
        within: &RoaringBitmap,
    ) -> Vec<Vec<u8>> {
        let found = self.present(measurement, key, within);
        let pairs = found.into_iter().flat_map(|present| present.pairs);
        pairs
            .map(|pair| unescape_tag(self.dictionary.value(pair)).into_owned())
            .collect()
    }

    /// The values of a tag and the series in `within` that carry each, sorted by value; values
    /// that none carries are left out.
    pub(crate) fn tag_values(
        &self,
        measurement: &[u8],
        key: &[u8],
        within: &RoaringBitmap,
    ) -> Vec<(Vec<u8>, RoaringBitmap)> {
        let Some(present) = self.present(measurement, key, within) else {
            return Vec::new();
        };
        let pairs = present.pairs.iter();
        pairs
            .map(|&pair| {
                let value = unescape_tag(self.dictionary.value(pair)).into_owned();
                let ids = self.postings.sets.get(pair);
                (value, ids.intersection(&present.carriers))
            })
            .collect()
    }

    fn present(&self, measurement: &[u8], key: &[u8], within: &RoaringBitmap) -> Option<Present> {
        let measurement: &Measurement = self.measurement(measurement)?;
        let key = self.dictionary.key(key)?;
        let carriers = measurement.carriers(key, within);
        if carriers.is_empty() {
            return None;
        }
        let pairs = if carriers.len() * VALUES_A_SERIES < self.dictionary.pairs_of(key).into() {
            let ids = carriers.iter();
            let mut pairs: Vec<u32> = ids
                .filter_map(|id| self.pair_of(SeriesId(id), key))
                .collect();
            pairs.sort_unstable();
            pairs.dedup();
            self.dictionary.sort(pairs)
        } else {
            let sorted = self.dictionary.sorted(key);
            let carried = |pair: &&u32| self.postings.sets.get(**pair).intersects(&carriers);
            sorted.iter().filter(carried).copied().collect()
        };
        Some(Present { carriers, pairs })
    }

    /// The pair with this key that a series carries.
    fn pair_of(&self, id: SeriesId, key: u32) -> Option<u32> {
        let pairs = self.record_of(id)?.pairs.iter().copied();
        pairs
            .into_iter()
            .find(|&pair| self.dictionary.key_of(pair) == key)
    }
}
