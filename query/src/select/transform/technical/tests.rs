//! Each function against values that were computed by hand.

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
