//! `chart SELECT …`: the first number of each series as a line of dots, for a look without leaving the terminal.

use serde_json::value::RawValue;

use super::render::{Answer, Series, text};

/// Lines that the dots of a series take.
const HEIGHT: usize = 10;
/// Series that are drawn; further ones are counted.
const SERIES_MAX: usize = 8;
/// Width of a terminal that does not tell its own.
const WIDTH: usize = 80;
/// Room for the numbers at the left edge.
const LABEL: usize = 12;
/// Dots of a braille character: two columns of four, as its bits.
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Characters in a line of the terminal.
pub(super) fn terminal_width() -> usize {
    let columns = std::env::var("COLUMNS").ok();
    columns
        .and_then(|columns| columns.parse().ok())
        .unwrap_or(WIDTH)
        .clamp(40, 400)
}

/// Draws an answer whose times are milliseconds.
pub(super) fn draw(answer: &Answer, width: usize) -> String {
    let mut drawn = String::new();
    let all = || answer.results.iter().flat_map(|result| &result.series);
    // A series that came in chunks is one series.
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for series in all() {
        let (title, points) = (title(series), points(series));
        match lines.last_mut() {
            Some((last, more)) if *last == title => more.extend(points),
            _ => lines.push((title, points)),
        }
    }
    lines.retain(|(_, points)| !points.is_empty());
    if lines.is_empty() {
        return "nothing to draw: no numbers over time".into();
    }
    for (title, points) in lines.iter().take(SERIES_MAX) {
        drawn.push_str(&format!("{title}\n{}", one(points, width)));
    }
    if lines.len() > SERIES_MAX {
        drawn.push_str(&format!("and {} more series\n", lines.len() - SERIES_MAX));
    }
    drawn.truncate(drawn.trim_end().len());
    drawn
}

fn title(series: &Series) -> String {
    let mut title = series.name.clone();
    for (key, value) in &series.tags {
        title.push_str(&format!(" {key}={value}"));
    }
    if let Some(at) = number_column(series)
        && let Some(column) = series.columns.get(at)
    {
        title.push_str(&format!(" {column}"));
    }
    title
}

/// The first column after the time that holds a number.
fn number_column(series: &Series) -> Option<usize> {
    (1..series.columns.len()).find(|&at| {
        let mut cells = series.values.iter().filter_map(|row| row.get(at));
        cells.any(|cell| cell.get().parse::<f64>().is_ok())
    })
}

/// Time in ms and value, by time.
fn points(series: &Series) -> Vec<(f64, f64)> {
    let Some(at) = number_column(series) else {
        return Vec::new();
    };
    let cell = |row: &[Box<RawValue>], at: usize| -> Option<f64> {
        text(row.get(at)?)
            .parse()
            .ok()
            .filter(|n: &f64| n.is_finite())
    };
    let rows = series.values.iter();
    let mut points: Vec<(f64, f64)> = rows
        .filter_map(|row| Some((cell(row, 0)?, cell(row, at)?)))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

fn one(points: &[(f64, f64)], width: usize) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return String::new();
    };
    let low = points.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let columns = width.saturating_sub(LABEL + 2).max(10);
    let place = |value: f64, from: f64, to: f64, dots: usize| {
        let part = if to > from {
            (value - from) / (to - from)
        } else {
            0.5
        };
        // A part of 0 to 1.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the dots"
        )]
        let dot = (part * (dots - 1) as f64).round() as usize;
        dot.min(dots - 1)
    };
    let mut cells = vec![0_u32; columns * HEIGHT];
    for &(time, value) in points {
        let x = place(time, first.0, last.0, columns * 2);
        let y = HEIGHT * 4 - 1 - place(value, low, high, HEIGHT * 4);
        let bits = DOTS.get(x % 2).and_then(|column| column.get(y % 4));
        if let (Some(cell), Some(bits)) = (cells.get_mut(y / 4 * columns + x / 2), bits) {
            *cell |= bits;
        }
    }
    let mut drawn = String::new();
    for (line, cells) in cells.chunks(columns).enumerate() {
        let label = match line {
            0 => number(high),
            l if l + 1 == HEIGHT => number(low),
            _ => String::new(),
        };
        let dots: String = cells
            .iter()
            .filter_map(|bits| char::from_u32(0x2800 + bits))
            .collect();
        drawn.push_str(&format!(
            "{label:>LABEL$} ┤{}\n",
            dots.trim_end_matches('\u{2800}')
        ));
    }
    let (from, to) = (clock(first.0), clock(last.0));
    let gap = columns.saturating_sub(to.len());
    drawn.push_str(&format!("{:LABEL$} └{from:<gap$}{to}\n", ""));
    drawn
}

/// Short enough for the left edge.
fn number(value: f64) -> String {
    let plain = format!("{value}");
    match plain.len() <= LABEL {
        true => plain,
        false => format!("{value:.4e}"),
    }
}

fn clock(ms: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "times of a server are whole"
    )]
    let ms = ms as i64;
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(body: &str) -> String {
        draw(&Answer::read(body.as_bytes()).unwrap(), 40)
    }

    #[test]
    fn a_rise_goes_from_the_lower_left_to_the_upper_right() {
        let body = r#"{"results":[{"series":[{"name":"m","tags":{"h":"a"},"columns":["time","s","v"],"values":[[0,"x",1],[1000,"x",2.5],[2000,null,4]]}]}]}"#;
        let drawn = drawn(body);
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines[0], "m h=a v");
        assert!(
            lines[1].trim_start().starts_with('4') && lines[1].ends_with('⠈'),
            "{drawn}"
        );
        assert!(lines[10].trim_start().starts_with("1 ┤⡀"), "{drawn}");
        assert!(lines[11].contains("1970-01-01T00:00:00Z"), "{drawn}");
        assert!(lines[11].ends_with("1970-01-01T00:00:02Z"), "{drawn}");
    }

    #[test]
    fn what_has_no_numbers_is_not_drawn() {
        for body in [
            r#"{"results":[{}]}"#,
            r#"{"results":[{"series":[{"name":"m","columns":["name"],"values":[["a"]]}]}]}"#,
        ] {
            assert!(drawn(body).starts_with("nothing to draw"));
        }
    }
}
