//! Samples that are taken more often than lines are sent: of each float the least, the greatest
//! and the 95th percentile go out as further fields of the same line, and the field itself is the
//! mean. So a peak of a second shows at an interval of ten, at no further series.
//!
//! Floats are what is measured (shares, rates, loads); integers count something and go out as they
//! were last. Times of processors, floats that count, are left alone, too.

use std::collections::HashMap;

/// Samples of one field in one window.
const SAMPLES_MAX: usize = 1000;
/// Series of one collector.
const SERIES_MAX: usize = 20_000;
/// Begin of names of floats that count.
const COUNTERS: &str = "time_";
const PERCENTILE: f64 = 0.95;

/// A field by its name, and its samples.
type Samples = (Box<[u8]>, Vec<f64>);

/// The samples of one collector since its last lines.
#[derive(Debug, Default)]
pub(crate) struct Window {
    series: HashMap<u64, Vec<Samples>>,
}

/// What the samples of one field say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) mean: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) p95: f64,
}

impl Window {
    /// Takes one sample in.
    pub(crate) fn take(&mut self, series: u64, field: &[u8], value: f64) {
        if field.starts_with(COUNTERS.as_bytes()) || !value.is_finite() {
            return;
        }
        if self.series.len() >= SERIES_MAX && !self.series.contains_key(&series) {
            return;
        }
        let fields = self.series.entry(series).or_default();
        match fields.iter_mut().find(|(name, _)| **name == *field) {
            Some((_, samples)) if samples.len() < SAMPLES_MAX => samples.push(value),
            Some(_) => {}
            None => fields.push((field.into(), vec![value])),
        }
    }

    /// What the samples of a field say; `None` where there are none.
    pub(crate) fn summary(&mut self, series: u64, field: &[u8]) -> Option<Summary> {
        let fields = self.series.get_mut(&series)?;
        let (_, samples) = fields.iter_mut().find(|(name, _)| **name == *field)?;
        samples.sort_by(f64::total_cmp);
        let (min, max) = (*samples.first()?, *samples.last()?);
        // The nearest rank.
        let rank = (PERCENTILE * samples.len() as f64).ceil() as usize;
        let p95 = *samples.get(rank.saturating_sub(1))?;
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        Some(Summary {
            mean,
            min,
            max,
            p95,
        })
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.series.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_up_by_series_and_field() {
        let mut window = Window::default();
        for value in 1..=20 {
            window.take(1, b"usage", f64::from(value));
            window.take(2, b"usage", 7.0);
            window.take(1, b"time_user", 1.0);
        }
        window.take(1, b"usage", f64::NAN);
        let expected = Summary {
            mean: 10.5,
            min: 1.0,
            max: 20.0,
            p95: 19.0,
        };
        assert_eq!(window.summary(1, b"usage"), Some(expected));
        assert_eq!(window.summary(2, b"usage").unwrap().mean, 7.0);
        assert_eq!(window.summary(1, b"time_user"), None);
        window.clear();
        assert_eq!(window.summary(1, b"usage"), None);
    }
}
