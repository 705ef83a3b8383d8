//! Figures beside their goals and beside the rivals': a table for people and a JSON file for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value as Json, json};

use crate::args::Args;

/// What a figure counts; says how it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Values stored in a second of the server's CPU time, printed in millions.
    ValuesPerCpuSecond,
    /// Values stored in a second, printed in millions.
    ValuesPerSecond,
    BytesPerValue,
    Seconds,
    /// Printed in MiB.
    Bytes,
    Milliseconds,
    /// Of one core.
    Percent,
    /// Of something else in the same unit; more is better.
    Part,
    /// Bytes sent in a second of the server's CPU time, printed in millions.
    MegabytesPerCpuSecond,
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::ValuesPerCpuSecond => "M values/CPU-s",
            Self::ValuesPerSecond => "M values/s",
            Self::BytesPerValue => "bytes/value",
            Self::Seconds => "s",
            Self::Bytes => "MiB",
            Self::Milliseconds => "ms",
            Self::Percent => "% of a core",
            Self::Part => "of it",
            Self::MegabytesPerCpuSecond => "MB/CPU-s",
        }
    }

    fn print(self, value: f64) -> String {
        match self {
            Self::ValuesPerCpuSecond | Self::ValuesPerSecond => format!("{:.2}", value / 1e6),
            Self::BytesPerValue => format!("{value:.3}"),
            Self::Seconds => format!("{value:.2}"),
            Self::Percent | Self::Part => format!("{value:.2}"),
            Self::Milliseconds if value < 10.0 => format!("{value:.3}"),
            Self::Milliseconds => format!("{value:.1}"),
            Self::MegabytesPerCpuSecond => format!("{:.1}", value / 1e6),
            Self::Bytes => format!("{:.1}", value / f64::from(1 << 20)),
        }
    }
}

/// Where a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Only looked at.
    None,
}

impl Goal {
    /// What part of the goal is reached; 1 and more is all of it.
    fn reached(self, value: f64) -> Option<f64> {
        match self {
            Self::AtLeast(goal) => Some(value / goal),
            Self::AtMost(goal) => Some(goal / value),
            Self::None => None,
        }
    }

    const fn value(self) -> Option<f64> {
        match self {
            Self::AtLeast(goal) | Self::AtMost(goal) => Some(goal),
            Self::None => None,
        }
    }
}

/// One server's figure, with what it was made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    pub(crate) details: BTreeMap<&'static str, f64>,
}

impl Figure {
    pub(crate) fn new<const N: usize>(value: f64, details: [(&'static str, f64); N]) -> Self {
        let details = details.into_iter().collect();
        Self { value, details }
    }
}

/// A figure of every server.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    pub(crate) goal: Goal,
    /// By server; `Err` says why there is none.
    pub(crate) figures: BTreeMap<&'static str, Result<Figure, String>>,
}

const SERVERS: [&str; 4] = ["tandem", "influxd", "victoria-metrics", "duckdb"];
const COLUMNS: usize = 9;

impl Row {
    fn cell(&self, server: &str) -> String {
        match self.figures.get(server) {
            Some(Ok(figure)) => self.unit.print(figure.value),
            Some(Err(_)) => "failed".into(),
            None => "–".into(),
        }
    }

    /// How many times better ours is than the server's; "better" is more where the goal is at least
    /// something or the unit is a rate.
    fn ratio(&self, server: &str) -> Option<f64> {
        let (Some(Ok(ours)), Some(Ok(theirs))) =
            (self.figures.get("tandem"), self.figures.get(server))
        else {
            return None;
        };
        let more_is_better = matches!(
            self.unit,
            Unit::ValuesPerCpuSecond | Unit::ValuesPerSecond | Unit::MegabytesPerCpuSecond
        );
        Some(if more_is_better {
            ours.value / theirs.value
        } else {
            theirs.value / ours.value
        })
    }

    /// A rival's figure, and how many times better ours is.
    fn rival_cell(&self, server: &str) -> String {
        let cell = self.cell(server);
        match self.ratio(server) {
            Some(ratio) if ratio >= 10.0 => format!("{cell} ({ratio:.0}×)"),
            Some(ratio) => format!("{cell} ({ratio:.1}×)"),
            None => cell,
        }
    }

    /// Whether the goal is met, or how much of it.
    fn verdict(&self) -> String {
        let Some(Ok(figure)) = self.figures.get("tandem") else {
            return String::new();
        };
        match self.goal.reached(figure.value) {
            None => String::new(),
            Some(part) if part >= 1.0 => "met".into(),
            Some(part) => format!("{:.0} %", (part * 100.0).floor()),
        }
    }
}

/// The table in Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = [
        "row",
        "figure",
        "unit",
        "goal",
        "tandem",
        "",
        "influxd",
        "victoria-metrics",
        "duckdb",
    ];
    let mut lines: Vec<[String; COLUMNS]> = vec![head.map(str::to_owned)];
    for row in rows {
        let goal = row
            .goal
            .value()
            .map_or_else(|| "–".into(), |goal| row.unit.print(goal));
        let [ours, rivals @ ..] = SERVERS;
        let ours = row.cell(ours);
        let [influxd, victoria, duckdb] = rivals.map(|server| row.rival_cell(server));
        lines.push([
            row.name.into(),
            row.what.into(),
            row.unit.name().into(),
            goal,
            ours,
            row.verdict(),
            influxd,
            victoria,
            duckdb,
        ]);
    }
    let widths: [usize; COLUMNS] = std::array::from_fn(|at| {
        let lengths = lines.iter().map(|line| line[at].chars().count());
        lengths.max().unwrap_or(0)
    });
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for width in widths {
                let _ = write!(text, "|{:-<1$}", "", width + 2);
            }
            text.push_str("|\n");
        }
    }
    text
}

/// Writes the report to `NAME.json` in the work directory and prints the table, or the report where JSON is
/// asked for. An error when a figure could not be measured.
pub(crate) fn finish(args: &Args, name: &str, rows: &[Row]) -> anyhow::Result<()> {
    let machine = machine();
    let path = args.work.join(format!("{name}.json"));
    write_json(&path, &machine, rows)?;
    if args.json {
        print!("{}", std::fs::read_to_string(&path)?);
    } else {
        println!("\n{machine}\n\n{}\nreport: {}", table(rows), path.display());
    }
    let mut figures = rows.iter().flat_map(|row| row.figures.values());
    ensure!(
        figures.all(Result::is_ok),
        "some figures could not be measured"
    );
    Ok(())
}

/// Writes the rows with their details and what the machine is.
pub(crate) fn write_json(path: &Path, machine: &str, rows: &[Row]) -> anyhow::Result<()> {
    let rows: Vec<Json> = rows.iter().map(row_json).collect();
    let report = json!({ "machine": machine, "rows": rows });
    let text = serde_json::to_string_pretty(&report)?;
    std::fs::write(path, text + "\n").with_context(|| format!("write {}", path.display()))
}

fn row_json(row: &Row) -> Json {
    let figures: serde_json::Map<String, Json> = row
        .figures
        .iter()
        .map(|(server, figure)| {
            let json = match figure {
                Ok(figure) => json!({ "value": figure.value, "details": figure.details }),
                Err(why) => json!({ "failed": why }),
            };
            ((*server).to_owned(), json)
        })
        .collect();
    json!({
        "row": row.name,
        "figure": row.what,
        "unit": row.unit.name(),
        "goal": row.goal.value(),
        "verdict": row.verdict(),
        "servers": figures,
    })
}

/// Processor, cores and memory, in a line.
pub(crate) fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory, kernel) = (
        read("/proc/cpuinfo"),
        read("/proc/meminfo"),
        read("/proc/sys/kernel/osrelease"),
    );
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(|| "?".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kib: u64 = field(&memory, "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .unwrap_or(0);
    format!(
        "{}, {cores} cores, {} GiB, Linux {}",
        field(&cpu, "model name"),
        kib >> 20,
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(goal: Goal, value: f64) -> Row {
        let figure = Ok(Figure::new(value, [("values", 5.0)]));
        Row {
            name: "ingest",
            what: "…",
            unit: Unit::ValuesPerCpuSecond,
            goal,
            figures: [("tandem", figure), ("influxd", Err("gone".into()))].into(),
        }
    }

    #[test]
    fn verdicts_say_how_much_of_the_goal_is_reached() {
        for (goal, value, verdict) in [
            (Goal::AtLeast(8e6), 8e6, "met"),
            (Goal::AtLeast(8e6), 7.999e6, "99 %"),
            (Goal::AtLeast(8e6), 4e6, "50 %"),
            (Goal::AtMost(1.0), 0.9, "met"),
            (Goal::AtMost(1.0), 4.0, "25 %"),
            (Goal::None, 1.0, ""),
        ] {
            assert_eq!(row(goal, value).verdict(), verdict, "{goal:?} {value}");
        }
    }

    #[test]
    fn the_table_lines_up_and_tells_failures() {
        let table = table(&[row(Goal::AtLeast(8e6), 4.561e6)]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines
                .iter()
                .all(|line| line.chars().count() == lines[0].chars().count()),
            "{table}"
        );
        assert!(
            lines[2].contains("| 8.00 | 4.56   | 57 % | failed  | –"),
            "{table}"
        );
    }
}
