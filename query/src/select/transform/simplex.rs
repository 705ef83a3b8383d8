//! The simplex method of Nelder and Mead: finds a minimum of a function without its derivatives.
//!
//! Steps, constants and the order of sums are those of the optimizer of InfluxDB, which follows Michael
//! F. Hutt: a fit is chaotic in its last digits, so that forecasts are only equal if every step is.

/// Rounds at most.
const ROUNDS_MAX: usize = 1_000;
/// How far beyond the centroid a vertex is reflected.
const REFLECTION: f64 = 1.0;
/// How far towards it a vertex is drawn.
const CONTRACTION: f64 = 0.5;
/// How far a good reflection is carried on.
const EXPANSION: f64 = 2.0;

/// Finds arguments near `start` at which `objective` is low; returns the value there and them. It ends
/// when the values at all vertices differ by less than `epsilon`, or after [`ROUNDS_MAX`] rounds.
///
/// `objective` may move its arguments, for instance back into their bounds; they stay where it leaves them.
///
/// # Errors
/// The first of `objective`.
pub(super) fn minimize<E>(
    objective: &mut dyn FnMut(&mut [f64]) -> Result<f64, E>,
    start: &[f64],
    epsilon: f64,
) -> Result<(f64, Vec<f64>), E> {
    let mut vertices = first_vertices(start);
    let mut values = Vec::with_capacity(vertices.len());
    for vertex in &mut vertices {
        values.push(objective(vertex)?);
    }
    for _ in 0..ROUNDS_MAX {
        let (lowest, highest) = (lowest(&values), highest(&values));
        let second = second_highest(&values, lowest, highest);
        let centroid = centroid_without(&vertices, highest);

        let mut reflected = toward(&centroid, &vertices[highest], -REFLECTION);
        let value = objective(&mut reflected)?;
        if value < values[second] && value >= values[lowest] {
            vertices[highest].clone_from(&reflected);
            values[highest] = value;
        }
        if value < values[lowest] {
            let mut expanded = toward(&centroid, &reflected, EXPANSION);
            let farther = objective(&mut expanded)?;
            if farther < value {
                vertices[highest] = expanded;
                values[highest] = farther;
            } else {
                vertices[highest].clone_from(&reflected);
                values[highest] = value;
            }
        }
        if value >= values[second] {
            let mut contracted = if value < values[highest] {
                toward(&centroid, &reflected, CONTRACTION)
            } else {
                toward(&centroid, &vertices[highest], CONTRACTION)
            };
            let nearer = objective(&mut contracted)?;
            if nearer < values[highest] {
                vertices[highest] = contracted;
                values[highest] = nearer;
            } else {
                halve(&mut vertices, lowest);
                values[highest] = objective(&mut vertices[highest])?;
                values[second] = objective(&mut vertices[second])?;
            }
        }
        if deviation(&values) < epsilon {
            break;
        }
    }
    let lowest = lowest(&values);
    let found = vertices[lowest].clone();
    let value = objective(&mut vertices[lowest])?;
    Ok((value, found))
}

/// `start`, and as many points as it has coordinates, each at the same distance from all others.
fn first_vertices(start: &[f64]) -> Vec<Vec<f64>> {
    let n = start.len() as f64;
    let near = ((n + 1.0).sqrt() - 1.0) / (n * std::f64::consts::SQRT_2);
    let far = ((n + 1.0).sqrt() - 1.0 + n) / (n * std::f64::consts::SQRT_2);
    let moved = |axis: usize| {
        let coordinates = start.iter().enumerate();
        coordinates
            .map(|(at, x)| if at == axis { far + x } else { near + x })
            .collect()
    };
    let mut vertices = vec![start.to_vec()];
    vertices.extend((0..start.len()).map(moved));
    vertices
}

/// The first of the lowest values.
fn lowest(values: &[f64]) -> usize {
    let lower = |best: usize, at: usize| if values[at] < values[best] { at } else { best };
    (0..values.len()).fold(0, lower)
}

/// The first of the highest values.
fn highest(values: &[f64]) -> usize {
    let higher = |best: usize, at: usize| if values[at] > values[best] { at } else { best };
    (0..values.len()).fold(0, higher)
}

/// The highest value below the highest one; the lowest when there is none.
fn second_highest(values: &[f64], lowest: usize, highest: usize) -> usize {
    let higher = |best: usize, at: usize| {
        if values[at] > values[best] && values[at] < values[highest] {
            at
        } else {
            best
        }
    };
    (0..values.len()).fold(lowest, higher)
}

/// The mean of all vertices but one.
fn centroid_without(vertices: &[Vec<f64>], without: usize) -> Vec<f64> {
    let n = vertices.len() - 1;
    let mean = |axis: usize| {
        let others = vertices.iter().enumerate().filter(|(at, _)| *at != without);
        others
            .map(|(_, vertex)| vertex[axis])
            .fold(0.0, |sum, x| sum + x)
            / n as f64
    };
    (0..n).map(mean).collect()
}

/// The point that is `part` of the way from `from` to `to`.
fn toward(from: &[f64], to: &[f64], part: f64) -> Vec<f64> {
    let pairs = from.iter().zip(to);
    if part < 0.0 {
        return pairs.map(|(from, to)| from + -part * (from - to)).collect();
    }
    pairs.map(|(from, to)| from + part * (to - from)).collect()
}

/// Halves the distance of all vertices to the one at `center`.
fn halve(vertices: &mut [Vec<f64>], center: usize) {
    let origin = vertices[center].clone();
    for (at, vertex) in vertices.iter_mut().enumerate() {
        if at != center {
            for (x, origin) in vertex.iter_mut().zip(&origin) {
                *x = origin + (*x - origin) / 2.0;
            }
        }
    }
}

fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().fold(0.0, |sum, x| sum + x) / values.len() as f64;
    let n = (values.len() - 1) as f64;
    let squares = values
        .iter()
        .fold(0.0, |sum, x| sum + (x - mean) * (x - mean) / n);
    squares.sqrt()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn finds_the_end_of_a_bent_valley() {
        // Rosenbrock's function, whose one minimum is at (1, 1).
        let mut asked = 0;
        let mut valley = |x: &mut [f64]| -> Result<f64, Infallible> {
            asked += 1;
            Ok(100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2))
        };
        let (value, found) = minimize(&mut valley, &[-1.2, 1.0], 1e-5).unwrap();
        assert!(value < 1e-4, "{value} at {found:?}");
        assert!((found[0] - 1.0).abs() < 1e-2 && (found[1] - 1.0).abs() < 1e-2);
        assert!(asked < 300, "asked {asked} times");
    }

    #[test]
    fn stays_within_bounds_that_the_function_sets() {
        let mut bounded = |x: &mut [f64]| -> Result<f64, Infallible> {
            x[0] = x[0].clamp(0.0, 1.0);
            Ok(-x[0])
        };
        let (value, found) = minimize(&mut bounded, &[0.3], 1e-6).unwrap();
        assert_eq!((value, found), (-1.0, vec![1.0]));
    }

    #[test]
    fn ends_where_nothing_is_a_number_and_with_the_first_error() {
        let mut nowhere = |_: &mut [f64]| -> Result<f64, Infallible> { Ok(f64::NAN) };
        assert!(minimize(&mut nowhere, &[0.0; 6], 1e-4).unwrap().0.is_nan());
        let mut fails = |_: &mut [f64]| -> Result<f64, u8> { Err(7) };
        assert_eq!(minimize(&mut fails, &[0.0; 6], 1e-4).unwrap_err(), 7);
    }
}
