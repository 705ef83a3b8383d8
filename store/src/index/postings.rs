//! Which series belong to a measurement and carry a tag value.
//!
//! Measurement → tag key → tag value → set of series ids. Most sets of a churning fleet hold one
//! id, so a set starts as that id and becomes a bitmap with the second.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
use tandem_model::{SeriesId, SeriesKey};

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    measurements: BTreeMap<Box<[u8]>, Measurement>,
}

#[derive(Debug, Default)]
struct Measurement {
    series: RoaringBitmap,
    tags: BTreeMap<Box<[u8]>, TagValues>,
}

type TagValues = BTreeMap<Box<[u8]>, IdSet>;

#[derive(Debug)]
enum IdSet {
    One(u32),
    Many(Box<RoaringBitmap>),
}

impl IdSet {
    fn insert(&mut self, id: u32) {
        match self {
            Self::One(only) if *only == id => {}
            Self::One(only) => *self = Self::Many(Box::new([*only, id].into_iter().collect())),
            Self::Many(set) => {
                set.insert(id);
            }
        }
    }

    /// The ids that are also in `other`.
    fn intersect(&self, other: &RoaringBitmap) -> RoaringBitmap {
        match self {
            Self::One(id) if other.contains(*id) => std::iter::once(*id).collect(),
            Self::One(_) => RoaringBitmap::new(),
            Self::Many(set) => set.as_ref() & other,
        }
    }

    fn intersects(&self, other: &RoaringBitmap) -> bool {
        match self {
            Self::One(id) => other.contains(*id),
            Self::Many(set) => !set.is_disjoint(other),
        }
    }
}

impl Postings {
    /// Lets readers see a series. Seeing one twice changes nothing.
    pub(crate) fn insert(&mut self, id: SeriesId, canonical: &[u8]) {
        let (name, tags) = SeriesKey::split(canonical);
        let measurement = self.measurements.entry(name.into()).or_default();
        if !measurement.series.insert(id.0) {
            return;
        }
        for (key, value) in tags {
            measurement
                .tags
                .entry(key.into())
                .or_default()
                .entry(value.into())
                .and_modify(|set| set.insert(id.0))
                .or_insert(IdSet::One(id.0));
        }
    }

    /// The measurements that have a series in `within`, by name.
    pub(crate) fn measurements(&self, within: &RoaringBitmap) -> Vec<Vec<u8>> {
        self.measurements
            .iter()
            .filter(|(_, m)| !m.series.is_disjoint(within))
            .map(|(name, _)| name.to_vec())
            .collect()
    }

    /// The series of a measurement that are in `within`.
    pub(crate) fn series(&self, measurement: &[u8], within: &RoaringBitmap) -> RoaringBitmap {
        self.measurements
            .get(measurement)
            .map(|m| &m.series & within)
            .unwrap_or_default()
    }

    /// The tag keys that a series in `within` carries, sorted.
    pub(crate) fn tag_keys(&self, measurement: &[u8], within: &RoaringBitmap) -> Vec<Vec<u8>> {
        let Some(measurement) = self.measurements.get(measurement) else {
            return Vec::new();
        };
        measurement
            .tags
            .iter()
            .filter(|(_, values)| values.values().any(|set| set.intersects(within)))
            .map(|(key, _)| key.to_vec())
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
        let Some(values) = self
            .measurements
            .get(measurement)
            .and_then(|m| m.tags.get(key))
        else {
            return Vec::new();
        };
        values
            .iter()
            .map(|(value, set)| (value.to_vec(), set.intersect(within)))
            .filter(|(_, set)| !set.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Postings {
        let mut postings = Postings::default();
        let keys: [&[u8]; 4] = [
            b"cpu,host=a",
            b"cpu,host=b,rack=1",
            b"mem",
            b"cpu,host=a,rack=1",
        ];
        for (id, key) in (0..).zip(keys) {
            postings.insert(SeriesId(id), key);
            postings.insert(SeriesId(id), key);
        }
        postings
    }

    #[test]
    fn only_what_is_within_is_seen() {
        let postings = sample();
        let all: RoaringBitmap = (0..4).collect();
        let first: RoaringBitmap = std::iter::once(0).collect();
        assert_eq!(
            postings.measurements(&all),
            [b"cpu".to_vec(), b"mem".to_vec()]
        );
        assert_eq!(postings.measurements(&first), [b"cpu".to_vec()]);
        assert_eq!(
            postings.series(b"cpu", &all),
            [0, 1, 3].into_iter().collect()
        );
        assert_eq!(
            postings.tag_keys(b"cpu", &all),
            [b"host".to_vec(), b"rack".to_vec()]
        );
        assert_eq!(postings.tag_keys(b"cpu", &first), [b"host".to_vec()]);
        assert_eq!(
            postings.tag_values(b"cpu", b"host", &all),
            [
                (b"a".to_vec(), [0, 3].into_iter().collect()),
                (b"b".to_vec(), [1].into_iter().collect())
            ]
        );
        assert!(postings.tag_values(b"cpu", b"rack", &first).is_empty());
        assert!(postings.series(b"disk", &all).is_empty());
    }
}
