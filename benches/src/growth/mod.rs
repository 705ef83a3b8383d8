//! `bench growth`: what ingest and queries cost as series and values grow, as tables and as plots.
//!
//! Two axes: series from a thousand to a million with ten million values in all, and values from a million to a hundred
//! million of a hundred hosts. Each point of an axis is a fresh store, loaded, settled, started again
//! and asked. Nothing may grow faster than `n log n` from one point to the next; what does fails the run.

mod plot;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::json;

use crate::args::Args;
use crate::bodies::Bodies;
use crate::http;
use crate::load::load;
use crate::report::machine;
use crate::servers::{DATABASE, Kind};
use crate::store::remove;
use plot::{Curve, plot};
use tandem_benches::generate::{Numbers, START_NS, Shape};

const SERIES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Of each point of the axis of series.
const SERIES_VALUES: u64 = 10_000_000;
const VALUES: [u64; 3] = [1_000_000, 10_000_000, 100_000_000];
const HOSTS: u32 = 100;
const HOUR_NS: i64 = 3_600_000_000_000;
/// Answers of a query, of which the median counts.
const ANSWERS: usize = 15;
/// Over what `n log n` allows: a figure of few milliseconds is not the same each time.
const SLACK: f64 = 1.5;
/// Below it a time says nothing about growth, in its unit.
const CPU_S_MIN: f64 = 0.2;
const QUERY_MS_MIN: f64 = 2.0;

/// What is measured at each point of an axis, and from where on it means something.
struct Measure {
    name: &'static str,
    unit: &'static str,
    floor: f64,
}

/// Points of one axis: its size, and a figure for each measure.
type Points = Vec<(u64, Vec<f64>)>;

/// Measures both axes, prints them, writes the report and the plots, and says what grows too fast.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let axes = [("series", series_measures()), ("values", values_measures())];
    if args.list {
        axes.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let dir = args.work.join(format!("growth-{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let program = dir.join("tandem");
    fs::copy(&args.tandem, &program).with_context(|| format!("copy {}", args.tandem.display()))?;
    let kind = Kind::Tandem(program.canonicalize()?);
    println!("{}", machine());
    let mut too_fast = Vec::new();
    let mut report = serde_json::Map::new();
    for (axis, measures) in &axes {
        if !args.wants(axis) {
            continue;
        }
        let points = match *axis {
            "series" => series(args, &kind, &dir)?,
            _ => values(args, &kind, &dir)?,
        };
        print(axis, measures, &points);
        too_fast.extend(faster_than_n_log_n(axis, measures, &points));
        let curves: Vec<Curve> = measures
            .iter()
            .enumerate()
            .map(|(at, measure)| Curve {
                name: format!("{}, {}", measure.name, measure.unit),
                points: points
                    .iter()
                    .map(|(size, figures)| (*size as f64, figures[at]))
                    .collect(),
            })
            .collect();
        let file = args.work.join(format!("growth-{axis}.svg"));
        fs::write(&file, plot(axis, &curves))
            .with_context(|| format!("write {}", file.display()))?;
        println!("plot: {}\n", file.display());
        report.insert(
            (*axis).to_owned(),
            json!({
                "measures": measures.iter().map(|measure| measure.name).collect::<Vec<_>>(),
                "points": points,
            }),
        );
    }
    remove(&dir)?;
    let file = args.work.join("growth.json");
    let text = serde_json::to_string_pretty(&json!({ "machine": machine(), "axes": report }))?;
    fs::write(&file, text + "\n").with_context(|| format!("write {}", file.display()))?;
    ensure!(
        too_fast.is_empty(),
        "faster than n log n: {}",
        too_fast.join("; ")
    );
    Ok(())
}

fn series_measures() -> Vec<Measure> {
    vec![
        cpu("ingest of 10 M values"),
        query("last value of one series"),
        query("count of all series"),
        query("sum by 1 of 100 groups"),
    ]
}

fn values_measures() -> Vec<Measure> {
    vec![
        cpu("ingest"),
        query("an hour of one host"),
        query("count of everything"),
        query("means by hour and host"),
    ]
}

const fn cpu(name: &'static str) -> Measure {
    Measure {
        name,
        unit: "CPU s",
        floor: CPU_S_MIN,
    }
}

const fn query(name: &'static str) -> Measure {
    Measure {
        name,
        unit: "ms",
        floor: QUERY_MS_MIN,
    }
}

fn series(args: &Args, kind: &Kind, dir: &Path) -> anyhow::Result<Points> {
    let sizes = &SERIES[..if args.quick { 3 } else { SERIES.len() }];
    let values = if args.quick {
        SERIES_VALUES / 10
    } else {
        SERIES_VALUES
    };
    let point = |&count: &u32| {
        let texts = [
            format!(
                "SELECT last(served) FROM requests WHERE instance = 'i{}'",
                count - 1
            ),
            "SELECT count(served) FROM requests".to_owned(),
            "SELECT sum(served) FROM requests WHERE instance =~ /^i\\d?\\d$/ GROUP BY instance"
                .to_owned(),
        ];
        let figures = measure(args, kind, dir, Shape::Series { count }, values, &texts);
        Ok((u64::from(count), figures?))
    };
    sizes.iter().map(point).collect()
}

fn values(args: &Args, kind: &Kind, dir: &Path) -> anyhow::Result<Points> {
    let sizes = &VALUES[..if args.quick { 2 } else { VALUES.len() }];
    let shape = Shape::Cpu {
        hosts: HOSTS,
        numbers: Numbers::Integers,
    };
    let point = |&count: &u64| {
        let texts = [
            format!(
                "SELECT max(usage_user) FROM cpu WHERE hostname = 'host_7' AND time >= {START_NS} \
                 AND time < {} GROUP BY time(1m)",
                START_NS + HOUR_NS
            ),
            "SELECT count(*) FROM cpu".to_owned(),
            format!(
                "SELECT mean(usage_user) FROM cpu WHERE time >= {START_NS} GROUP BY time(1h), hostname"
            ),
        ];
        Ok((count, measure(args, kind, dir, shape, count, &texts)?))
    };
    sizes.iter().map(point).collect()
}

/// Loads a store, settles it, starts it again and asks: CPU seconds, and the median of each query.
fn measure(
    args: &Args,
    kind: &Kind,
    dir: &Path,
    shape: Shape,
    values: u64,
    texts: &[String],
) -> anyhow::Result<Vec<f64>> {
    let mut bodies = Bodies::prepare(&args.work.join("bodies"), shape, values, false)?;
    bodies.truncate(values);
    let data = dir.join("data");
    remove(&data)?;
    let server = kind.start(&data)?;
    load(server.address, &kind.write_target(), &bodies)?;
    let mut figures = vec![kind.settle_and_stop(server, &data)?.cpu_s];
    let server = kind.start(&data)?;
    for text in texts {
        let mut times_ms = Vec::new();
        for _ in 0..=ANSWERS {
            let asked = Instant::now();
            let answer = http::query(server.address, DATABASE, text)?;
            times_ms.push(asked.elapsed().as_secs_f64() * 1e3);
            let first = &answer["results"][0]["series"][0]["values"][0];
            ensure!(first.is_array(), "nothing answers {text}: {answer}");
        }
        // The first one reads from the disk.
        times_ms.remove(0);
        times_ms.sort_by(f64::total_cmp);
        figures.push(times_ms[times_ms.len() / 2]);
    }
    server.process.stop()?;
    remove(&data)?;
    Ok(figures)
}

fn print(axis: &str, measures: &[Measure], points: &Points) {
    print!("\n| {axis} |");
    measures
        .iter()
        .for_each(|measure| print!(" {}, {} |", measure.name, measure.unit));
    print!("\n|---|");
    measures.iter().for_each(|_| print!("---|"));
    println!();
    for (size, figures) in points {
        print!("| {size} |");
        figures.iter().for_each(|figure| print!(" {figure:.2} |"));
        println!();
    }
}

/// Steps of an axis by which a figure grew faster than `n log n`.
fn faster_than_n_log_n(axis: &str, measures: &[Measure], points: &Points) -> Vec<String> {
    let mut found = Vec::new();
    for (at, measure) in measures.iter().enumerate() {
        for pair in points.windows(2) {
            let [(small, before), (large, after)] = pair else {
                continue;
            };
            let n_log_n = |n: u64| n as f64 * (n as f64).ln();
            let allowed = n_log_n(*large) / n_log_n(*small) * SLACK;
            let grown = after[at] / before[at].max(measure.floor);
            if grown > allowed {
                found.push(format!(
                    "{} grew {grown:.1} times from {small} to {large} {axis}",
                    measure.name
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quadratic_growth_is_found_and_linear_is_not() {
        let measures = [query("linear"), query("quadratic"), query("tiny")];
        let points: Points = vec![
            (1_000, vec![10.0, 10.0, 0.01]),
            (10_000, vec![100.0, 1_000.0, 1.0]),
        ];
        let found = faster_than_n_log_n("series", &measures, &points);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("quadratic grew 100.0 times"),
            "{found:?}"
        );
    }
}
