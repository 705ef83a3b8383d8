//! Curves over a logarithmic axis as an SVG picture that reads on light and dark pages.

use std::fmt::Write as _;

/// One line of a plot; its points are positive, in rising order of x.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 24.0;
/// Below the plot: the axis, then a line for each name.
const NAME_HEIGHT: f64 = 20.0;
const COLOURS: [&str; 5] = ["#2b7bba", "#c9622b", "#3f9142", "#8a5fb5", "#a8842c"];

/// Both axes are logarithmic, with a line at each power of ten.
pub(crate) fn plot(axis: &str, curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let (from_x, to_x) = decades(all().map(|(x, _)| *x));
    let (from_y, to_y) = decades(all().map(|(_, y)| *y));
    let x = |value: f64| LEFT + (value.log10() - from_x) / (to_x - from_x) * (WIDTH - LEFT - 20.0);
    let y = |value: f64| TOP + (to_y - value.log10()) / (to_y - from_y) * (HEIGHT - TOP);
    let full = HEIGHT + 44.0 + NAME_HEIGHT * curves.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {full}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#808080\">\n"
    );
    let mut line = |points: &[(f64, f64)], colour: &str, width: f64| {
        let text: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
            text.join(" ")
        );
    };
    for power in from_x as i32..=to_x as i32 {
        let at = x(10_f64.powi(power));
        line(&[(at, TOP), (at, HEIGHT)], "#80808055", 1.0);
    }
    for power in from_y as i32..=to_y as i32 {
        let at = y(10_f64.powi(power));
        line(&[(LEFT, at), (WIDTH - 20.0, at)], "#80808055", 1.0);
    }
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<(f64, f64)> = curve.points.iter().map(|(a, b)| (x(*a), y(*b))).collect();
        line(&points, colour, 2.5);
    }
    for power in from_x as i32..=to_x as i32 {
        let (at, below) = (x(10_f64.powi(power)), HEIGHT + 18.0);
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">10<tspan dy=\"-5\" font-size=\"10\">{power}</tspan></text>"
        );
    }
    for power in from_y as i32..=to_y as i32 {
        let at = y(10_f64.powi(power)) + 4.0;
        let label = 10_f64.powi(power);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{at:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 6.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{axis}</text>",
        WIDTH - 20.0,
        HEIGHT + 36.0
    );
    for (at, (curve, colour)) in curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let below = HEIGHT + 52.0 + NAME_HEIGHT * at as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{}\" width=\"18\" height=\"4\" fill=\"{colour}\"/>",
            below - 6.0
        );
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{below}\">{}</text>",
            LEFT + 26.0,
            curve.name
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The powers of ten around all values.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| *value > 0.0) {
        least = least.min(value.log10());
        most = most.max(value.log10());
    }
    if !least.is_finite() {
        return (0.0, 1.0);
    }
    let (least, most) = (least.floor(), most.ceil());
    (least, most.max(least + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_powers_of_ten_do() {
        let curve = Curve {
            name: "cost, ms".into(),
            points: vec![(1_000.0, 0.1), (1_000_000.0, 100.0)],
        };
        let svg = plot("series", &[curve]);
        assert!(
            svg.contains(&format!("{LEFT:.1},{HEIGHT:.1} 700.0,{TOP:.1}")),
            "{svg}"
        );
        assert!(svg.contains("cost, ms") && svg.contains(">series<"));
    }

    #[test]
    fn a_single_value_has_a_decade_around_it() {
        assert_eq!(decades([100.0].into_iter()), (2.0, 3.0));
        assert_eq!(decades([0.0].into_iter()), (0.0, 1.0));
        assert_eq!(decades([0.5, 20.0].into_iter()), (-1.0, 2.0));
    }
}
