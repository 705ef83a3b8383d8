//! What readers ask the index: series, keys and values by measurement, within a set of series.
//!
//! All of it is about the series of a set, mostly those that have rows in the shards at hand: values
//! that only others carry are not there. Where the set is small, its series are looked at one by one;
//! where it is large, the values are.

use std::borrow::Cow;
use std::sync::RwLockReadGuard;

use roaring::RoaringBitmap;
use tandem_model::{SeriesId, escape_tag, unescape_tag};

use super::postings::Measurement;
use super::sets::Ids;
use super::table::SeriesTable;

/// A series is looked at as fast as so many values.
const VALUES_A_SERIES: u64 = 4;

/// Values that are looked at under one lock.
const VALUES_AT_ONCE: usize = 4096;

/// The values of a tag key that some series carry.
struct Present {
    /// The series that carry the key.
    carriers: RoaringBitmap,
    /// The pairs of the key that they carry, by value.
    pairs: Vec<u32>,
    /// The table whose pairs they are.
    rewrites: u64,
}

/// Locks a table to be read.
pub(crate) type Lock<'a> = dyn Fn() -> RwLockReadGuard<'a, SeriesTable> + 'a;

/// One value of a tag key, and who carries it.
pub(crate) struct Value<'a> {
    /// Without escapes.
    pub(crate) text: Cow<'a, [u8]>,
    ids: Ids<'a>,
    carriers: &'a RoaringBitmap,
}

impl Value<'_> {
    /// The series that carry it.
    pub(crate) fn series(&self) -> RoaringBitmap {
        self.ids.intersection(self.carriers)
    }
}

/// Shows each value of a tag that series in `within` carry, by value. The table is locked for some of
/// them at a time, so that many values hold up no writer.
pub(crate) fn each_value(
    lock: &Lock<'_>,
    measurement: &[u8],
    key: &[u8],
    within: &RoaringBitmap,
    mut visit: impl FnMut(Value<'_>),
) {
    let find = || lock().present(measurement, key, within);
    let Some(mut present) = find() else {
        return;
    };
    let mut last: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < present.pairs.len() {
        let table = lock();
        if table.rewrites() != present.rewrites {
            // The pairs have other numbers now: go on behind the last value.
            drop(table);
            let Some(again) = find() else {
                return;
            };
            let table = lock();
            at = match &last {
                Some(last) if table.rewrites() == again.rewrites => again
                    .pairs
                    .partition_point(|&pair| *table.value(pair) <= **last),
                _ => 0,
            };
            present = again;
            continue;
        }
        let end = present.pairs.len().min(at + VALUES_AT_ONCE);
        for &pair in &present.pairs[at..end] {
            visit(Value {
                text: table.value(pair),
                ids: table.postings.sets.get(pair),
                carriers: &present.carriers,
            });
        }
        last = Some(table.value(present.pairs[end - 1]).into_owned());
        at = end;
    }
}

/// The series in `within` that carry a tag with a value for which `fits` is true. Each value is shown
/// to it once.
pub(crate) fn with_fitting_value(
    lock: &Lock<'_>,
    measurement: &[u8],
    key: &[u8],
    within: &RoaringBitmap,
    mut fits: impl FnMut(&[u8]) -> bool,
) -> RoaringBitmap {
    let (mut few, mut many) = (Vec::new(), RoaringBitmap::new());
    each_value(lock, measurement, key, within, |value| {
        if fits(&value.text) {
            value.ids.add_to(value.carriers, &mut few, &mut many);
        }
    });
    few.sort_unstable();
    many |= few.into_iter().collect::<RoaringBitmap>();
    many
}

/// Series whose records are looked at under one lock.
const SERIES_AT_ONCE: usize = 4096;

/// For each of `series` the place of its value of a tag among their values in order, from 1 on; 0 where it has
/// none. With that, how many values there are. Takes some 20 bytes a series meanwhile.
pub(crate) fn value_places(lock: &Lock<'_>, key: &[u8], series: &[u32]) -> (Vec<u32>, u32) {
    loop {
        let (key, rewrites) = {
            let table = lock();
            (table.dictionary.key(key), table.rewrites())
        };
        let Some(key) = key else {
            return (vec![0; series.len()], 0);
        };
        // First the pairs, one more than their numbers.
        let mut places = Vec::with_capacity(series.len());
        for some in series.chunks(SERIES_AT_ONCE) {
            let table = lock();
            if table.rewrites() != rewrites {
                break;
            }
            let pair = |id: &u32| table.pair_of(SeriesId(*id), key).map_or(0, |pair| pair + 1);
            places.extend(some.iter().map(pair));
        }
        let table = lock();
        if table.rewrites() != rewrites || places.len() != series.len() {
            // The pairs have other numbers now.
            continue;
        }
        let count = table.put_in_order(key, &mut places);
        return (places, count);
    }
}

impl SeriesTable {
    /// Makes of pairs of a key, each one more than its number, their places in the order of values, from 1 on;
    /// 0 stays. Returns how many places there are.
    fn put_in_order(&self, key: u32, pairs: &mut [u32]) -> u32 {
        let mut distinct: Vec<u32> = pairs
            .iter()
            .filter_map(|pair| pair.checked_sub(1))
            .collect();
        distinct.sort_unstable();
        distinct.dedup();
        let (Some(&first), Some(&last)) = (distinct.first(), distinct.last()) else {
            return 0;
        };
        let count = distinct.len() as u32;
        // A table over all numbers where they lie close, else a search.
        let span = (last - first) as usize + 1;
        let is_dense = span / 8 <= distinct.len();
        let at = |pair: u32| match is_dense {
            true => Some((pair.checked_sub(first)?) as usize).filter(|at| *at < span),
            false => distinct.binary_search(&pair).ok(),
        };
        let mut places = vec![0; if is_dense { span } else { distinct.len() }];
        let is_few = u64::from(count) * VALUES_A_SERIES < self.dictionary.pairs_of(key).into();
        if is_few {
            for (place, pair) in (1..).zip(self.dictionary.sort(distinct.clone())) {
                at(pair).into_iter().for_each(|at| places[at] = place);
            }
        } else {
            let mut place = 0;
            for pair in self.dictionary.sorted(key).iter() {
                if distinct.binary_search(pair).is_ok() {
                    place += 1;
                    at(*pair).into_iter().for_each(|at| places[at] = place);
                }
            }
        }
        for pair in pairs {
            let place = pair.checked_sub(1).and_then(at);
            *pair = place.map_or(0, |at| places[at]);
        }
        count
    }

    /// Whether a NUL is in any tag there ever was.
    pub(crate) const fn has_nul(&self) -> bool {
        self.dictionary.has_nul()
    }

    /// The values of these tags of a series, without escapes, empty where it has none; `None` when there is no
    /// such series any more.
    pub(crate) fn values_of(&self, id: SeriesId, keys: &[String]) -> Option<Vec<Vec<u8>>> {
        let record = self.record_of(id)?;
        let value = |name: &String| {
            let key = self.dictionary.key(name.as_bytes())?;
            let mut pairs = record.pairs.iter().copied();
            pairs.find(|&pair| self.dictionary.key_of(pair) == key)
        };
        let values = keys.iter().map(|name| match value(name) {
            Some(pair) => self.value(pair).into_owned(),
            None => Vec::new(),
        });
        Some(values.collect())
    }

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

    /// Those of `series` that carry the two tag keys with the same value.
    pub(crate) fn with_equal_values(&self, a: &[u8], b: &[u8], series: &[u32]) -> Vec<u32> {
        let Some((a, b)) = self.dictionary.key(a).zip(self.dictionary.key(b)) else {
            return Vec::new();
        };
        let is_equal = |id: &u32| {
            let pairs = self
                .pair_of(SeriesId(*id), a)
                .zip(self.pair_of(SeriesId(*id), b));
            // Equal values have equal escapes.
            pairs.is_some_and(|(a, b)| self.dictionary.value(a) == self.dictionary.value(b))
        };
        series.iter().copied().filter(is_equal).collect()
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
        Some(Present {
            carriers,
            pairs,
            rewrites: self.rewrites(),
        })
    }

    /// A pair's value without escapes.
    fn value(&self, pair: u32) -> Cow<'_, [u8]> {
        unescape_tag(self.dictionary.value(pair))
    }

    /// The pair with this key that a series carries.
    fn pair_of(&self, id: SeriesId, key: u32) -> Option<u32> {
        let pairs = self.record_of(id)?.pairs.iter().copied();
        pairs
            .into_iter()
            .find(|&pair| self.dictionary.key_of(pair) == key)
    }
}
