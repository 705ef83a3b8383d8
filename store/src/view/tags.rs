//! What a view says of tags: which keys and values the series with rows here carry.
//!
//! Where many values are looked at, the index is locked for some of them at a time; a series that is
//! deleted meanwhile may then be missing, and one that stays is there.

use roaring::RoaringBitmap;
use tandem_model::SeriesId;

use super::View;
use crate::index::{each_value, value_places, with_fitting_value};

/// Series that are looked at under one lock.
const SERIES_AT_ONCE: usize = 4096;

impl View {
    /// The tag keys that series of a measurement carry here, sorted.
    #[must_use]
    pub fn tag_keys(&self, measurement: &[u8]) -> Vec<Vec<u8>> {
        self.database.table().tag_keys(measurement, &self.series)
    }

    /// The tag keys that some series of a measurement carry, sorted.
    #[must_use]
    pub fn tag_keys_of(&self, measurement: &[u8], series: &RoaringBitmap) -> Vec<Vec<u8>> {
        let within = &self.series & series;
        self.database.table().tag_keys(measurement, &within)
    }

    /// The values of a tag, sorted, each with the series that carry it here. With many values that is
    /// much; the other methods say less and take less.
    #[must_use]
    pub fn tag_values(&self, measurement: &[u8], key: &[u8]) -> Vec<(Vec<u8>, RoaringBitmap)> {
        let mut values = Vec::new();
        let lock = || self.database.table();
        each_value(&lock, measurement, key, &self.series, |value| {
            values.push((value.text.to_vec(), value.series()));
        });
        values
    }

    /// The values of a tag that some series of a measurement carry, sorted; all its series when
    /// `series` is `None`.
    #[must_use]
    pub fn tag_values_of(
        &self,
        measurement: &[u8],
        key: &[u8],
        series: Option<&RoaringBitmap>,
    ) -> Vec<Vec<u8>> {
        let mut values = Vec::new();
        let lock = || self.database.table();
        let cut = series.map(|series| &self.series & series);
        let within = cut.as_ref().unwrap_or(&self.series);
        each_value(&lock, measurement, key, within, |value| {
            values.push(value.text.into_owned());
        });
        values
    }

    /// The series that carry a tag here, whatever its value.
    #[must_use]
    pub fn series_with_tag(&self, measurement: &[u8], key: &[u8]) -> RoaringBitmap {
        self.database.table().tagged(measurement, key, &self.series)
    }

    /// The series that carry a tag with this value, which is not empty: one lookup.
    #[must_use]
    pub fn series_with_value(&self, measurement: &[u8], key: &[u8], value: &[u8]) -> RoaringBitmap {
        self.database
            .table()
            .with_value(measurement, key, value, &self.series)
    }

    /// The series that carry a tag with a value for which `fits` is true; each value is shown to it
    /// once.
    #[must_use]
    pub fn series_with_fitting_value(
        &self,
        measurement: &[u8],
        key: &[u8],
        fits: impl FnMut(&[u8]) -> bool,
    ) -> RoaringBitmap {
        let lock = || self.database.table();
        with_fitting_value(&lock, measurement, key, &self.series, fits)
    }

    /// The series of a measurement that carry both tags here, with the same value.
    #[must_use]
    pub fn series_with_equal_values(
        &self,
        measurement: &[u8],
        a: &[u8],
        b: &[u8],
    ) -> RoaringBitmap {
        let both = {
            let table = self.database.table();
            let with_a = table.tagged(measurement, a, &self.series);
            table.tagged(measurement, b, &with_a)
        };
        let both: Vec<u32> = both.iter().collect();
        // Some at a time, so that no writer waits long for the table.
        let equal = both.chunks(SERIES_AT_ONCE).flat_map(|series| {
            let table = self.database.table();
            table.with_equal_values(a, b, series)
        });
        equal.collect()
    }

    /// For each of `series` the place of its value of a tag among their values in order, from 1 on; 0 where it has
    /// none. With that, how many values there are. Takes some 20 bytes a series meanwhile.
    #[must_use]
    pub fn tag_value_places(&self, key: &[u8], series: &[u32]) -> (Vec<u32>, u32) {
        let lock = || self.database.table();
        value_places(&lock, key, series)
    }

    /// Whether some tag of the database may hold a NUL, which sorts before what one puts between values.
    #[must_use]
    pub fn has_nul_in_tags(&self) -> bool {
        self.database.table().has_nul()
    }

    /// The values of these tags in a series, empty where it has none; `None` when it was removed meanwhile.
    #[must_use]
    pub fn tag_values_at(&self, id: SeriesId, keys: &[String]) -> Option<Vec<Vec<u8>>> {
        self.database.table().values_of(id, keys)
    }

    /// How many series of a measurement have rows here.
    #[must_use]
    pub fn series_count(&self, measurement: &[u8]) -> u64 {
        self.database
            .table()
            .count_series(measurement, &self.series)
    }
}
