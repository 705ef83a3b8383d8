//! Functions of technical analysis: moving averages that weigh recent points more, and oscillators made
//! of gains and losses.
//!
//! Each takes a *period*, the number of points that it looks back over; a *hold period*, how many results are
//! left out at the beginning, by default as many as are not settled yet; and, where it rests on exponential
//! averages, how these *warm up*. Formulas and defaults are those of InfluxDB 1.7 and later (docs.influxdata.com,
//! "Technical Analysis").

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use tandem_influxql::ast::{Call, Expr};

use super::{Sample, State};
use crate::result::Value;

/// Which function with which arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Technical {
    kind: Kind,
    /// At least 1.
    period: usize,
    /// `None` is the default.
    hold: Option<usize>,
    warmup: Warmup,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ExponentialAverage,
    DoubleAverage,
    TripleAverage,
    TripleDerivative,
    RelativeStrength,
    EfficiencyRatio,
    AdaptiveAverage,
    Momentum,
}

/// What an average is while it has seen fewer points than its period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warmup {
    /// An exponential average of a period as long as what it has seen.
    Exponential,
    /// The mean.
    Simple,
    /// There is no exponential average.
    None,
}

impl Technical {
    /// The function that `call` names, if it is one of these; its arguments have been checked.
    pub(crate) fn of(call: &Call) -> Option<Self> {
        let kind = match call.name.as_str() {
            "exponential_moving_average" => Kind::ExponentialAverage,
            "double_exponential_moving_average" => Kind::DoubleAverage,
            "triple_exponential_moving_average" => Kind::TripleAverage,
            "triple_exponential_derivative" => Kind::TripleDerivative,
            "relative_strength_index" => Kind::RelativeStrength,
            "kaufmans_efficiency_ratio" => Kind::EfficiencyRatio,
            "kaufmans_adaptive_moving_average" => Kind::AdaptiveAverage,
            "chande_momentum_oscillator" => Kind::Momentum,
            _ => return None,
        };
        let whole = |at: usize| match call.args.get(at) {
            Some(Expr::Integer(number)) => usize::try_from(*number).ok(),
            _ => None,
        };
        let warmup = match call.args.get(3) {
            Some(Expr::String(warmup)) if warmup == "simple" => Warmup::Simple,
            Some(Expr::String(warmup)) if warmup == "exponential" => Warmup::Exponential,
            _ if kind == Kind::Momentum => Warmup::None,
            _ => Warmup::Exponential,
        };
        Some(Self {
            kind,
            period: whole(1)?.max(1),
            hold: whole(2),
            warmup,
        })
    }

    /// How many results are left out at the beginning.
    fn hold(self) -> usize {
        let Self { kind, period, .. } = self;
        let stages = |count: usize| match self.warmup {
            Warmup::Simple => (period - 1).saturating_mul(count),
            _ => period - 1,
        };
        self.hold.unwrap_or_else(|| match (kind, self.warmup) {
            (Kind::ExponentialAverage, _) => stages(1),
            (Kind::DoubleAverage, _) => stages(2),
            (Kind::TripleAverage, _) => stages(3),
            (Kind::TripleDerivative, _) => stages(3).saturating_add(1),
            (Kind::Momentum, Warmup::None) => period - 1,
            _ => period,
        })
    }

    pub(super) fn state(self) -> Box<dyn State> {
        Box::new(Holding {
            results_to_hold: self.hold(),
            indicator: self.indicator(),
        })
    }

    fn indicator(self) -> Box<dyn Indicator> {
        let Self { kind, period, .. } = self;
        let average = Average::new(period, self.warmup);
        match kind {
            Kind::ExponentialAverage => Box::new(average),
            Kind::DoubleAverage => Box::new(DoubleAverage([average; 2])),
            Kind::TripleAverage => Box::new(TripleAverage([average; 3])),
            Kind::TripleDerivative => Box::new(TripleDerivative {
                averages: [average; 3],
                last: 0.0,
            }),
            Kind::RelativeStrength => Box::new(Smoothed::new(period, self.warmup, |up, down| {
                100.0 - 100.0 / (1.0 + up / down)
            })),
            Kind::Momentum if self.warmup != Warmup::None => {
                Box::new(Smoothed::new(period, self.warmup, |up, down| {
                    100.0 * ((up - down) / (up + down))
                }))
            }
            Kind::Momentum => Box::new(Momentum {
                changes: VecDeque::new(),
                period,
                last: None,
                up: 0.0,
                down: 0.0,
            }),
            Kind::EfficiencyRatio => Box::new(EfficiencyRatio::new(period)),
            Kind::AdaptiveAverage => Box::new(AdaptiveAverage {
                ratio: EfficiencyRatio::new(period),
                last: 0.0,
            }),
        }
    }
}

/// Makes one number of each number, and of those before it.
trait Indicator {
    fn add(&mut self, value: f64) -> f64;

    /// Bytes of the numbers that are kept.
    fn bytes(&self) -> usize {
        0
    }
}

/// Leaves out the first results, and those that are infinite: a rate of change from zero is none.
struct Holding {
    results_to_hold: usize,
    indicator: Box<dyn Indicator>,
}

impl State for Holding {
    fn add(&mut self, time_ns: i64, value: Value) -> Option<Sample> {
        let result = self.indicator.add(value.as_float()?);
        if self.results_to_hold > 0 {
            self.results_to_hold -= 1;
            return None;
        }
        (!result.is_infinite()).then_some((time_ns, Value::Float(result)))
    }

    fn bytes(&self) -> usize {
        self.indicator.bytes()
    }
}

/// An exponential moving average: each value moves it by a part of the distance.
#[derive(Clone, Copy)]
struct Average {
    period: usize,
    /// The part.
    weight: f64,
    warmup: Warmup,
    last: f64,
    /// Values seen, counted up to the period.
    seen: usize,
}

impl Average {
    fn new(period: usize, warmup: Warmup) -> Self {
        Self {
            period,
            weight: 2.0 / (period as f64 + 1.0),
            warmup,
            last: 0.0,
            seen: 0,
        }
    }

    fn is_warm(&self) -> bool {
        self.seen == self.period
    }

    /// Takes a value. Returns the average, and whether it is fit to be averaged again.
    fn next(&mut self, value: f64) -> (f64, bool) {
        let seen = self.seen as f64;
        self.last = match (self.seen, self.warmup) {
            (0, _) => value,
            _ if self.is_warm() => (value - self.last) * self.weight + self.last,
            (_, Warmup::Simple) => (self.last * seen + value) / (seen + 1.0),
            _ => (value - self.last) * (2.0 / (seen + 2.0)) + self.last,
        };
        self.seen = self.period.min(self.seen + 1);
        (self.last, self.is_warm() || self.warmup != Warmup::Simple)
    }
}

impl Indicator for Average {
    fn add(&mut self, value: f64) -> f64 {
        self.next(value).0
    }
}

/// `2 a - a(a)`
struct DoubleAverage([Average; 2]);

impl Indicator for DoubleAverage {
    fn add(&mut self, value: f64) -> f64 {
        let [once, twice] = chained(&mut self.0, value);
        2.0 * once - twice
    }
}

/// `3 a - 3 a(a) + a(a(a))`
struct TripleAverage([Average; 3]);

impl Indicator for TripleAverage {
    fn add(&mut self, value: f64) -> f64 {
        let [once, twice, thrice] = chained(&mut self.0, value);
        3.0 * once - 3.0 * twice + thrice
    }
}

/// The averages of the averages. One that is not warm passes on what it got to none behind it, and those
/// are as it is.
fn chained<const N: usize>(averages: &mut [Average; N], value: f64) -> [f64; N] {
    let mut results = [0.0; N];
    let (mut value, mut is_fit) = (value, true);
    for (average, result) in averages.iter_mut().zip(&mut results) {
        if is_fit {
            (value, is_fit) = average.next(value);
        }
        *result = value;
    }
    results
}

/// The rate of change of an average of averages of averages, in per cent.
struct TripleDerivative {
    averages: [Average; 3],
    last: f64,
}

impl Indicator for TripleDerivative {
    fn add(&mut self, value: f64) -> f64 {
        let [.., average] = chained(&mut self.averages, value);
        let rate = (average / self.last - 1.0) * 100.0;
        self.last = average;
        rate
    }
}

/// What a function makes of the averages of gains and of losses. The first value counts as a gain from
/// zero.
struct Smoothed<F> {
    up: Average,
    down: Average,
    last: f64,
    result: F,
}

impl<F: Fn(f64, f64) -> f64> Smoothed<F> {
    fn new(period: usize, warmup: Warmup, result: F) -> Self {
        let average = Average {
            weight: 1.0 / period as f64,
            ..Average::new(period.saturating_add(1), warmup)
        };
        Self {
            up: average,
            down: average,
            last: 0.0,
            result,
        }
    }
}

impl<F: Fn(f64, f64) -> f64> Indicator for Smoothed<F> {
    fn add(&mut self, value: f64) -> f64 {
        let change = value - std::mem::replace(&mut self.last, value);
        let (up, _) = self.up.next(change.max(0.0));
        let (down, _) = self.down.next((-change).max(0.0));
        (self.result)(up, down)
    }
}

/// Chande's oscillator without smoothing: gains less losses, in per cent of both, over a period.
struct Momentum {
    /// The last changes, one less than the period.
    changes: VecDeque<f64>,
    period: usize,
    last: Option<f64>,
    up: f64,
    down: f64,
}

impl Indicator for Momentum {
    fn add(&mut self, value: f64) -> f64 {
        let change = self.last.replace(value).map_or(0.0, |last| value - last);
        self.up += change.max(0.0);
        self.down += (-change).max(0.0);
        let result = if self.up == 0.0 && self.down == 0.0 {
            0.0
        } else {
            100.0 * ((self.up - self.down) / (self.up + self.down))
        };
        self.changes.push_back(change);
        if self.changes.len() >= self.period
            && let Some(oldest) = self.changes.pop_front()
        {
            self.up -= oldest.max(0.0);
            self.down -= (-oldest).max(0.0);
        }
        result
    }

    fn bytes(&self) -> usize {
        self.changes.capacity() * size_of::<f64>()
    }
}

/// Kaufman's ratio: how far the values got over a period, of all the way they went.
struct EfficiencyRatio {
    /// The last values, each with its distance to the one before; zeros came before the first.
    recent: VecDeque<(f64, f64)>,
    period: usize,
    noise: f64,
    /// Values seen, counted to one more than the period.
    seen: usize,
}

impl EfficiencyRatio {
    const fn new(period: usize) -> Self {
        Self {
            recent: VecDeque::new(),
            period,
            noise: 0.0,
            seen: 0,
        }
    }

    fn last(&self) -> f64 {
        self.recent.back().map_or(0.0, |(value, _)| *value)
    }
}

impl Indicator for EfficiencyRatio {
    fn add(&mut self, value: f64) -> f64 {
        let distance = (value - self.last()).abs();
        let (oldest, left) = if self.recent.len() == self.period {
            self.recent.pop_front().unwrap_or_default()
        } else {
            (0.0, 0.0)
        };
        let signal = (value - oldest).abs();
        self.noise -= left;
        self.noise += distance;
        self.recent.push_back((value, distance));
        self.seen = self.period.saturating_add(1).min(self.seen + 1);
        if signal == 0.0 || self.noise == 0.0 {
            0.0
        } else {
            signal / self.noise
        }
    }

    fn bytes(&self) -> usize {
        self.recent.capacity() * size_of::<(f64, f64)>()
    }
}

/// Kaufman's average: one that follows the faster, the more efficient the values move.
struct AdaptiveAverage {
    ratio: EfficiencyRatio,
    last: f64,
}

impl AdaptiveAverage {
    /// The weights of averages over 2 and over 30 points: how fast and how slow it may follow.
    const FASTEST: f64 = 2.0 / 3.0;
    const SLOWEST: f64 = 2.0 / 31.0;
}

impl Indicator for AdaptiveAverage {
    fn add(&mut self, value: f64) -> f64 {
        if self.ratio.seen <= self.ratio.period {
            self.last = self.ratio.last();
        }
        let ratio = self.ratio.add(value);
        let weight = (ratio * (Self::FASTEST - Self::SLOWEST) + Self::SLOWEST).powi(2);
        self.last += weight * (value - self.last);
        self.last
    }

    fn bytes(&self) -> usize {
        self.ratio.bytes()
    }
}
