//! `holt_winters()`: what comes next, by damped exponential smoothing with seasons.
//!
//! The parameters (how fast level, trend and seasons follow the data, how fast the trend dies away,
//! and where all three begin) are those with the least sum of squared errors that the simplex method finds from
//! sixteen starting points. As in `influxdata/influxdb query/functions.go`, one pass over the data leaves its
//! last seasons behind as the first of the next pass; fits depend on it.

use super::simplex::minimize;
use super::{Sample, State};
use crate::error::Error;
use crate::meter::Held;
use crate::result::Value;

/// Of the first value, what level and trend are first taken for where there are no seasons.
const FIRST_WEIGHT: f64 = 0.5;
/// How close the errors of all guesses must be for the fit to end.
const EPSILON: f64 = 1.0e-4;
/// What each of the four parameters is first tried with.
const GUESSES: [f64; 2] = [0.3, 0.7];

/// Parameters before those of seasons: four rates, the first level, the first trend.
const FIXED: usize = 6;

/// Gathers the points of a series.
#[derive(Debug)]
pub(super) struct HoltWinters {
    /// Points to forecast.
    pub(super) horizon: usize,
    /// Points of a season; below 2 there are none.
    pub(super) season: usize,
    /// Whether the fitted values of the points themselves are told too.
    pub(super) with_fit: bool,
    /// From point to point.
    pub(super) interval_ns: i64,
    pub(super) points: Vec<(i64, f64)>,
}

impl State for HoltWinters {
    fn add(&mut self, time_ns: i64, value: Value) -> Option<Sample> {
        self.points.push((time_ns, value.as_float()?));
        None
    }

    fn bytes(&self) -> usize {
        self.points.capacity() * size_of::<(i64, f64)>()
    }

    fn finish(&mut self, held: &mut Held<'_>) -> Result<Vec<Sample>, Error> {
        let season = if self.season < 2 { 0 } else { self.season };
        if self.points.len() < season.max(2) || self.horizon == 0 {
            return Ok(Vec::new());
        }
        let Some(values) = self.values(held)?.filter(|values| values.len() >= season) else {
            return Ok(Vec::new());
        };
        let made = self.forecast(&values, season, held)?;
        let (skip, from_ns) = match (self.with_fit, self.points.first(), self.points.last()) {
            (true, Some(first), _) => (0, first.0),
            (false, _, Some(last)) => (values.len(), last.0.wrapping_add(self.interval_ns)),
            _ => return Ok(Vec::new()),
        };
        let times = (0..).map(|at: i64| from_ns.wrapping_add(self.interval_ns.wrapping_mul(at)));
        let samples = times.zip(made.into_iter().skip(skip));
        Ok(samples
            .filter(|(_, value)| !value.is_nan())
            .map(|(time_ns, value)| (time_ns, Value::Float(value)))
            .collect())
    }
}

impl HoltWinters {
    /// The values at even distances, NaN where there is none; of several at one place the first.
    fn values(&self, held: &mut Held<'_>) -> Result<Option<Vec<f64>>, Error> {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return Ok(None);
        };
        if self.interval_ns <= 0 {
            return Ok(None);
        }
        let place = |time_ns: i64| {
            let whole = time_ns / self.interval_ns;
            let rest = time_ns % self.interval_ns;
            whole + i64::from(rest > self.interval_ns / 2)
        };
        let begin = place(first.0);
        let Ok(count) = usize::try_from(place(last.0) - begin) else {
            return Ok(None);
        };
        if count == 0 {
            return Ok(None);
        }
        // The values, and as many that are made of them, with those to come.
        let places = count.saturating_add(self.horizon).saturating_mul(2);
        held.grow(places.saturating_mul(size_of::<f64>()))?;
        let mut values = Vec::with_capacity(count + 1);
        values.push(first.1);
        for (time_ns, value) in &self.points {
            let at = usize::try_from(place(*time_ns) - begin).unwrap_or(0);
            if at >= values.len() {
                values.resize(at, f64::NAN);
                values.push(*value);
            }
        }
        Ok(Some(values))
    }

    /// Fits the parameters to `values` and continues them.
    fn forecast(
        &self,
        values: &[f64],
        season: usize,
        held: &mut Held<'_>,
    ) -> Result<Vec<f64>, Error> {
        let (level, trend, seasons) = first_guess(values, season);
        let mut start = vec![0.0, 0.0, 0.0, 0.0, level, trend];
        start.extend(seasons);
        let coordinates = start.len().saturating_mul(start.len() + 4);
        held.grow(coordinates.saturating_mul(size_of::<f64>()))?;

        let meter = held.meter();
        let mut made = Vec::new();
        let mut best: Option<(f64, Vec<f64>)> = None;
        let mut squared_error = |parameters: &mut [f64]| -> Result<f64, Error> {
            meter.check()?;
            run(values, 0, season, parameters, &mut made);
            Ok(squared_error(values, &made))
        };
        for guess in 0..GUESSES.len().pow(4) {
            for (parameter, place) in start.iter_mut().take(4).zip([3, 2, 1, 0]) {
                *parameter = GUESSES[guess >> place & 1];
            }
            let (error, parameters) = minimize(&mut squared_error, &start, EPSILON)?;
            if best.as_ref().is_none_or(|(least, _)| error < *least) {
                best = Some((error, parameters));
            }
        }
        let mut parameters = best.map(|(_, parameters)| parameters).unwrap_or_default();
        run(values, self.horizon, season, &mut parameters, &mut made);
        Ok(made)
    }
}

/// What level, trend and seasons are first taken for. There are two values at least.
fn first_guess(values: &[f64], season: usize) -> (f64, f64, Vec<f64>) {
    let (mut level, mut trend) = (0.0, 0.0);
    if season == 0 {
        level += FIRST_WEIGHT * values[0];
        if !values[1].is_nan() {
            trend = FIRST_WEIGHT * (values[1] - values[0]);
        }
    }
    for value in values.iter().take(season).filter(|value| !value.is_nan()) {
        level += 1.0 / season as f64 * value;
    }
    for (value, later) in values.iter().take(season).zip(values.iter().skip(season)) {
        if !value.is_nan() && !later.is_nan() {
            trend += 1.0 / (season * season) as f64 * (later - value);
        }
    }
    let of_level = |value: &f64| if value.is_nan() { 0.0 } else { value / level };
    let seasons = values.iter().take(season).map(of_level).collect();
    (level, trend, seasons)
}

/// Smooths along `values` and `horizon` points beyond, each made of the one made before, into `made`. Rates
/// are moved into their bounds, and the seasons in `parameters` are left as the run has changed them.
fn run(values: &[f64], horizon: usize, season: usize, parameters: &mut [f64], made: &mut Vec<f64>) {
    made.clear();
    let (fixed, seasons) = parameters.split_at_mut(FIXED.min(parameters.len()));
    let (Some(first), [alpha, beta, gamma, phi, level, trend]) = (values.first(), fixed) else {
        return;
    };
    for rate in [&mut *alpha, &mut *beta, &mut *gamma, &mut *phi] {
        *rate = rate.clamp(0.0, 1.0);
    }
    let (alpha, beta, gamma, phi) = (*alpha, *beta, *gamma, *phi);
    let (mut level, mut trend, mut value) = (*level, *trend, *first);
    let mut damped = phi;
    made.push(value);
    for t in 1..values.len() + horizon {
        let (mut now, mut then) = (1.0, 1.0);
        if season > 0 {
            now = seasons[(2 * t - 2) % season];
            then = seasons[(2 * t - 2 + t % season) % season];
        }
        let before = level;
        let expected = before + phi * trend;
        level = alpha * (value / now) + (1.0 - alpha) * expected;
        let seasonal = gamma * (value / expected) + (1.0 - gamma) * now;
        trend = beta * (level - before) + (1.0 - beta) * phi * trend;
        value = (level + damped * trend) * then;
        damped += power(phi, t as u64);
        if season > 0 {
            seasons[(2 * t + season - 2) % season] = seasonal;
        }
        made.push(value);
    }
}

/// The sum of squared differences where there is a value; infinite where there should be one and is none.
fn squared_error(values: &[f64], made: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (value, made) in values.iter().zip(made).filter(|(value, _)| !value.is_nan()) {
        if made.is_nan() {
            return f64::INFINITY;
        }
        let difference = made - value;
        sum += difference * difference;
    }
    sum
}

/// `base` to a whole power, multiplied in the order in which Go does it.
fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}
