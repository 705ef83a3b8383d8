//! Which series belong to a measurement, and which carry a tag.
//!
//! A tag pair has one set of series over all measurements; what a measurement adds is the set of its
//! series and, for each tag key, which of them carry it. A lookup cuts these with one another. Mostly
//! all series of a measurement carry the same keys, and then there is nothing to be kept of that.

use std::collections::BTreeMap;
use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use roaring::RoaringBitmap;
use tandem_model::{SeriesId, split_measurement};

use super::sets::Sets;

/// The series of a measurement that carry a tag key.
#[derive(Debug)]
enum Carriers {
    All,
    Some(RoaringBitmap),
}

/// One measurement.
#[derive(Debug)]
pub(super) struct Measurement {
    /// As it stands in a canonical key.
    pub(super) escaped: Box<[u8]>,
    /// Without escapes.
    pub(super) name: Box<[u8]>,
    pub(super) series: RoaringBitmap,
    /// By the key's number. Sets may be empty: what lost its last series stays until there are many such.
    carriers: Vec<(u32, Carriers)>,
    /// The keys that all series carry: few, however many keys there are.
    by_all: Vec<u32>,
    /// How many of `carriers` are empty.
    emptied: usize,
    /// How many values a key has here, for keys of which somebody asked.
    values: HashMap<u32, u32, FixedState>,
}

impl Measurement {
    /// The series in `within` that carry a key.
    pub(super) fn carriers(&self, key: u32, within: &RoaringBitmap) -> RoaringBitmap {
        match self.carriers.binary_search_by_key(&key, |(k, _)| *k) {
            Err(_) => RoaringBitmap::new(),
            Ok(at) => match &self.carriers[at].1 {
                Carriers::All => &self.series & within,
                Carriers::Some(ids) => ids & within,
            },
        }
    }

    /// The numbers of the keys that a series in `within` carries, ascending.
    pub(super) fn keys(&self, within: &RoaringBitmap) -> impl Iterator<Item = u32> {
        let found = self.carriers.iter().filter(|(_, carriers)| match carriers {
            Carriers::All => !self.series.is_disjoint(within),
            Carriers::Some(ids) => !ids.is_disjoint(within),
        });
        found.map(|(key, _)| *key)
    }

    /// The place of a key in `carriers`.
    fn place(&self, key: u32) -> Result<usize, usize> {
        self.carriers.binary_search_by_key(&key, |(k, _)| *k)
    }

    fn add_carrier(&mut self, id: u32, keys: &[u32]) {
        let is_first = self.series.is_empty();
        for &key in keys {
            match self.place(key) {
                Ok(at) => {
                    if let Carriers::Some(ids) = &mut self.carriers[at].1 {
                        self.emptied -= usize::from(ids.is_empty());
                        ids.insert(id);
                    }
                }
                Err(at) if is_first => {
                    self.carriers.insert(at, (key, Carriers::All));
                    self.by_all.push(key);
                }
                Err(at) => {
                    let ids = std::iter::once(id).collect();
                    self.carriers.insert(at, (key, Carriers::Some(ids)));
                }
            }
        }
        // A look at those of all alone: a measurement may have a key for each of its series.
        let mut by_all = std::mem::take(&mut self.by_all);
        by_all.retain(|key| {
            let stays = keys.contains(key);
            if !stays && let Ok(at) = self.place(*key) {
                self.carriers[at].1 = Carriers::Some(self.series.clone());
            }
            stays
        });
        self.by_all = by_all;
    }

    fn remove_carrier(&mut self, id: u32, keys: &[u32]) {
        if self.series.is_empty() {
            self.carriers.clear();
            self.by_all.clear();
            self.emptied = 0;
            return;
        }
        for &key in keys {
            if let Ok(at) = self.place(key)
                && let Carriers::Some(ids) = &mut self.carriers[at].1
                && ids.remove(id)
                && ids.is_empty()
            {
                self.emptied += 1;
            }
        }
        if self.emptied > self.carriers.len() / 2 {
            self.carriers
                .retain(|(_, carriers)| !matches!(carriers, Carriers::Some(ids) if ids.is_empty()));
            self.emptied = 0;
        }
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Postings {
    pub(super) sets: Sets,
    measurements: Vec<Measurement>,
    by_escaped: HashMap<Box<[u8]>, u32, FixedState>,
    by_name: BTreeMap<Box<[u8]>, u32>,
}

impl Postings {
    /// The number of a measurement, given as it stands in a canonical key.
    pub(super) fn intern(&mut self, escaped: &[u8]) -> u32 {
        if let Some(&number) = self.by_escaped.get(escaped) {
            return number;
        }
        let number = self.measurements.len() as u32;
        let name: Box<[u8]> = split_measurement(escaped).0.into();
        self.measurements.push(Measurement {
            escaped: escaped.into(),
            name: name.clone(),
            series: RoaringBitmap::new(),
            carriers: Vec::new(),
            by_all: Vec::new(),
            emptied: 0,
            values: HashMap::default(),
        });
        self.by_escaped.insert(escaped.into(), number);
        self.by_name.insert(name, number);
        number
    }

    /// The number of a measurement that there is, given as it stands in a canonical key.
    pub(super) fn find(&self, escaped: &[u8]) -> Option<u32> {
        self.by_escaped.get(escaped).copied()
    }

    /// The measurement with this number.
    pub(super) fn at(&self, number: u32) -> &Measurement {
        &self.measurements[number as usize]
    }

    /// The measurement with this name, without escapes.
    pub(super) fn named(&self, name: &[u8]) -> Option<&Measurement> {
        Some(self.at(*self.by_name.get(name)?))
    }

    /// All measurements, by name; some may have no series any more.
    pub(super) fn by_name(&self) -> impl Iterator<Item = &Measurement> {
        self.by_name.values().map(|&number| self.at(number))
    }

    /// Adds a series with its tag pairs and their keys.
    pub(super) fn insert(&mut self, id: SeriesId, measurement: u32, pairs: &[u32], keys: &[u32]) {
        let measurement = &mut self.measurements[measurement as usize];
        for (key, pair) in keys.iter().zip(pairs) {
            if let Some(count) = measurement.values.get_mut(key)
                && !self.sets.get(*pair).intersects(&measurement.series)
            {
                *count += 1;
            }
        }
        measurement.add_carrier(id.0, keys);
        measurement.series.insert(id.0);
        for &pair in pairs {
            self.sets.insert(pair, id.0);
        }
    }

    /// Adds the series of a measurement that follow one just added and carry the same tag keys; their
    /// pairs have them already.
    pub(super) fn insert_alike(&mut self, ids: Range<u32>, measurement: u32, keys: &[u32]) {
        let measurement = &mut self.measurements[measurement as usize];
        // To be counted again by who asks.
        measurement.values.clear();
        for &key in keys {
            if let Ok(at) = measurement.place(key)
                && let Carriers::Some(carriers) = &mut measurement.carriers[at].1
            {
                carriers.insert_range(ids.clone());
            }
        }
        measurement.series.insert_range(ids);
    }

    /// Takes out a series that was inserted with these.
    pub(super) fn remove(&mut self, id: SeriesId, measurement: u32, pairs: &[u32], keys: &[u32]) {
        let measurement = &mut self.measurements[measurement as usize];
        for &pair in pairs {
            self.sets.remove(pair, id.0);
        }
        measurement.series.remove(id.0);
        measurement.remove_carrier(id.0, keys);
        for (key, pair) in keys.iter().zip(pairs) {
            if let Some(count) = measurement.values.get_mut(key)
                && !self.sets.get(*pair).intersects(&measurement.series)
            {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// True when a series of the measurement carries the pair.
    pub(super) fn has_pair(&self, measurement: u32, pair: u32) -> bool {
        let series = &self.at(measurement).series;
        self.sets.get(pair).intersects(series)
    }

    /// How many values a key has in a measurement; `pairs` are all pairs of the key. The first call
    /// looks at each of them, later ones do not.
    pub(super) fn count_values(
        &mut self,
        measurement: u32,
        key: u32,
        pairs: impl Iterator<Item = u32>,
    ) -> u32 {
        let measurement = &mut self.measurements[measurement as usize];
        if let Some(count) = measurement.values.get(&key) {
            return *count;
        }
        let sets = &self.sets;
        let found = pairs.filter(|&pair| sets.get(pair).intersects(&measurement.series));
        let count = found.count() as u32;
        measurement.values.insert(key, count);
        count
    }

    /// Bytes taken from the allocator, near enough.
    pub(super) fn heap_bytes(&self) -> usize {
        let measurements = self.measurements.iter().map(|m| {
            let carriers = m.carriers.iter().map(|(_, carriers)| match carriers {
                Carriers::All => 0,
                Carriers::Some(ids) => ids.serialized_size(),
            });
            let own = size_of::<Measurement>() + 3 * (m.name.len() + 32) + 48;
            own + m.series.serialized_size()
                + m.carriers.capacity() * 40
                + m.values.capacity() * 9
                + carriers.sum::<usize>()
        });
        self.sets.heap_bytes() + measurements.sum::<usize>()
    }
}
