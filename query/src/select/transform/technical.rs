//! Functions of technical analysis: moving averages that weigh recent points more, and oscillators made
//! of gains and losses.
//!
//! Each takes a *period*, the number of points that it looks back over; a *hold period*, how many results are
//! left out at the beginning, by default as many as are not settled yet; and, where it rests on exponential
//! averages, how these *warm up*. Formulas and defaults are those of InfluxDB 1.7 and later (docs.influxdata.com,
//! "Technical Analysis").

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

#[cfg(test)]
mod tests {
    use tandem_influxql::{Params, parse_expr};

    use super::*;

    /// What the function in `call` makes of `values`, one a nanosecond from 1 on.
    fn run(call: &str, values: &[f64]) -> Vec<(i64, f64)> {
        let Ok(Expr::Call(call)) = parse_expr(call, &Params::default()) else {
            panic!("{call} is no call");
        };
        let mut state = Technical::of(&call).unwrap().state();
        let points = (1..).zip(values);
        points
            .filter_map(|(time, value)| state.add(time, Value::Float(*value)))
            .map(|(time, value)| (time, value.as_float().unwrap()))
            .collect()
    }

    #[track_caller]
    fn check(call: &str, values: &[f64], expected: &[(i64, f64)]) {
        let found = run(call, values);
        let near = |(a, b): (&(i64, f64), &(i64, f64))| a.0 == b.0 && (a.1 - b.1).abs() < 1e-9;
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(near),
            "{call}: {found:?} and not {expected:?}"
        );
    }

    /// By hand: a period of 3 has the weight 2 / (3 + 1). Warming up by averages of 1, 2 and 3 points, it is 2,
    /// 2 + 2/3 (5 - 2) = 4, then 4 + 1/2 (8 - 4) = 6, 6 + 1/2 (2 - 6) = 4.
    #[test]
    fn exponential_averages() {
        let values = [2.0, 5.0, 8.0, 2.0];
        check(
            "exponential_moving_average(v, 3)",
            &values,
            &[(3, 6.0), (4, 4.0)],
        );
        check(
            "exponential_moving_average(v, 3, 0)",
            &values,
            &[(1, 2.0), (2, 4.0), (3, 6.0), (4, 4.0)],
        );
        // The mean of the first three is 5, then 5 + 1/2 (2 - 5).
        check(
            "exponential_moving_average(v, 3, -1, 'simple')",
            &values,
            &[(3, 5.0), (4, 3.5)],
        );
    }

    /// By hand, from the averages 2, 4, 6, 4 of the test above: their averages are 2, 2 + 2/3 * 2 = 10/3, 10/3 + 1/2 *
    /// 8/3 = 14/3, 14/3 - 1/2 * 2/3 = 13/3; and theirs 2, 2 + 2/3 * 4/3 = 26/9, 26/9 + 1/2 * 16/9 = 34/9, 34/9 + 1/2 *
    /// 5/9 = 73/18.
    #[test]
    fn averages_of_averages() {
        let values = [2.0, 5.0, 8.0, 2.0];
        check(
            "double_exponential_moving_average(v, 3)",
            &values,
            &[(3, 12.0 - 14.0 / 3.0), (4, 8.0 - 13.0 / 3.0)],
        );
        check(
            "triple_exponential_moving_average(v, 3)",
            &values,
            &[
                (3, 18.0 - 14.0 + 34.0 / 9.0),
                (4, 12.0 - 13.0 + 73.0 / 18.0),
            ],
        );
        let rate = (73.0 / 18.0 / (34.0 / 9.0) - 1.0) * 100.0;
        check("triple_exponential_derivative(v, 3)", &values, &[(4, rate)]);
        // The first has no rate of change: it would be infinite.
        assert_eq!(
            run("triple_exponential_derivative(v, 3, 1)", &values).len(),
            3
        );
        let from_zero = run("triple_exponential_derivative(v, 1, 1)", &[0.0, 1.0, 2.0]);
        assert_eq!(from_zero, [(3, 100.0)]);
    }

    /// By hand, with means of two: of 2, 4, 6, 8 they are 3, then 5, 7 with the weight 2/3: 3 + 2/3 * 3 = 5, 7. What
    /// follows gets them from the second on: 3 and 5 have the mean 4, then 6.
    #[test]
    fn simple_warm_up_holds_back_what_follows() {
        let values = [2.0, 4.0, 6.0, 8.0];
        check(
            "double_exponential_moving_average(v, 2, -1, 'simple')",
            &values,
            &[(3, 6.0), (4, 8.0)],
        );
        check(
            "double_exponential_moving_average(v, 2, 0, 'simple')",
            &values,
            &[(1, 2.0), (2, 3.0), (3, 6.0), (4, 8.0)],
        );
        check(
            "triple_exponential_moving_average(v, 2, -1, 'simple')",
            &values,
            &[(4, 8.0)],
        );
        let rising = [2.0, 4.0, 6.0, 8.0, 10.0];
        check(
            "triple_exponential_derivative(v, 2, -1, 'simple')",
            &rising,
            &[(5, 40.0)],
        );
    }

    /// By hand: rising, there are no losses; then gains fade by 9/10 a step. The list goes up to 15 and down to 1.
    #[test]
    fn relative_strength() {
        let up = (1..=15).chain((1..=14).rev()).map(f64::from);
        let values: Vec<f64> = up.collect();
        let found = run("relative_strength_index(v, 10, -1, 'simple')", &values);
        assert_eq!(found.first(), Some(&(11, 100.0)));
        let expected = (0..).map(|step| 100.0 * 0.9_f64.powi(step));
        for ((time, value), expected) in found.iter().filter(|p| p.0 >= 15).zip(expected) {
            assert!(
                (value - expected).abs() < 1e-9,
                "{value} and not {expected} at {time}"
            );
        }
        assert_eq!(found.len(), 19);
        assert_eq!(
            run("relative_strength_index(v, 10)", &values)
                .first()
                .unwrap()
                .0,
            11
        );
        // Nothing has moved: no strength, and no number.
        assert!(
            run("relative_strength_index(v, 1)", &[0.0, 0.0])[0]
                .1
                .is_nan()
        );
    }

    /// By hand: over a period of 3 changes, of 1, 3, 2, 6, 6 they are 2, -1, 4, 0. The sums of gains are 2, 2, 6, 4; of
    /// losses 0, 1, 1, 1.
    #[test]
    fn momentum() {
        let values = [1.0, 3.0, 2.0, 6.0, 6.0];
        let all = [
            (1, 0.0),
            (2, 100.0),
            (3, 100.0 / 3.0),
            (4, 500.0 / 7.0),
            (5, 60.0),
        ];
        check("chande_momentum_oscillator(v, 3, 0)", &values, &all);
        check("chande_momentum_oscillator(v, 3)", &values, &all[2..]);
        check(
            "chande_momentum_oscillator(v, 3, -1, 'none')",
            &values,
            &all[2..],
        );
        check(
            "chande_momentum_oscillator(v, 1)",
            &[1.0, 2.0, 1.0],
            &[(1, 0.0), (2, 100.0), (3, -100.0)],
        );
        // Smoothed over 1, the first as a gain from zero: means of two first, then the last change alone.
        check(
            "chande_momentum_oscillator(v, 1, -1, 'simple')",
            &[2.0, 4.0, 3.0],
            &[(2, 100.0), (3, -100.0)],
        );
        check(
            "chande_momentum_oscillator(v, 1, -1, 'exponential')",
            &[3.0, 0.0],
            &[(2, 100.0 * (1.0 - 2.0) / 3.0)],
        );
    }

    /// By hand: from 1 over 4 to 3 is a gain of 2 on a way of 4; then from 4 over 3 to 7 of 3 on a way of 5.
    #[test]
    fn efficiency() {
        let values = [1.0, 4.0, 3.0, 7.0, 7.0];
        let ratios = [(3, 0.5), (4, 0.6), (5, 1.0)];
        check("kaufmans_efficiency_ratio(v, 2)", &values, &ratios);
        check("kaufmans_efficiency_ratio(v, 2, 4)", &values, &ratios[2..]);
        check(
            "kaufmans_efficiency_ratio(v, 1)",
            &[5.0, 5.0, 6.0],
            &[(2, 0.0), (3, 1.0)],
        );

        let weight = |ratio: f64| (ratio * (2.0 / 3.0 - 2.0 / 31.0) + 2.0 / 31.0).powi(2);
        let first = 4.0 + weight(0.5) * (3.0 - 4.0);
        let second = first + weight(0.6) * (7.0 - first);
        check(
            "kaufmans_adaptive_moving_average(v, 2)",
            &values[..4],
            &[(3, first), (4, second)],
        );
    }

    #[test]
    fn a_long_period_takes_no_memory_before_there_are_points() {
        for name in [
            "chande_momentum_oscillator",
            "kaufmans_efficiency_ratio",
            "kaufmans_adaptive_moving_average",
            "triple_exponential_derivative",
            "relative_strength_index",
        ] {
            let call = format!("{name}(v, 9223372036854775807)");
            assert_eq!(run(&call, &[1.0, 2.0]), [], "{call}");
        }
    }
}
