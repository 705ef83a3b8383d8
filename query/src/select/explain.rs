//! `EXPLAIN` and `EXPLAIN ANALYZE`: how a statement is run, and what it takes.
//!
//! `EXPLAIN` looks at the index and at where rows lie, and reads none of them. Its first lines are those of
//! InfluxDB, for each expression that is computed from rows; a block is a page here, and its size is that in memory. Behind
//! them it tells by which way rows are read, and why. `EXPLAIN ANALYZE` runs the statement, throws its rows away
//! (what `INTO` would write too), and tells time and memory of each step.

use std::fmt::Write;
use std::time::{Duration, Instant};

use tandem_influxql::ast::{Call, DataType, Explain, Expr, VarRef};
use tandem_influxql::format_go_duration;
use tandem_model::TimeRange;
use tandem_store::{ReadCost, Store};

use super::fast;
use super::plan::{Leaf, Level, PlannedSource};
use super::{Prepared, Step};
use crate::context::Context;
use crate::error::Error;
use crate::meter::Meter;
use crate::result::{Gone, Message, Series, Sink, Value};

/// By which way rows are read, and why so.
pub(super) struct Path {
    pub(super) name: &'static str,
    pub(super) reason: String,
}

/// Answers `EXPLAIN [ANALYZE] SELECT …`.
///
/// # Errors
/// What the statement itself would end with.
pub(crate) fn explain(
    store: &Store,
    statement: &Explain,
    context: &Context,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let (column, text) = if statement.analyze {
        ("EXPLAIN ANALYZE", analyze(store, statement, context)?)
    } else {
        ("QUERY PLAN", plan(store, statement, context)?)
    };
    let row = |line: &str| vec![Value::String(line.as_bytes().to_vec())];
    Ok(sink.series(Series {
        columns: vec![column.as_bytes().to_vec()],
        values: text.lines().map(row).collect(),
        ..Series::default()
    })?)
}

impl Prepared {
    /// By which way its rows are read.
    pub(super) fn path(&self, context: &Context, meter: &Meter<'_>) -> Result<Path, Error> {
        let (name, reason) = fast::describe(self, context, meter)?;
        Ok(Path { name, reason })
    }

    /// Calls `visit` for each expression that is computed from the rows of a measurement.
    fn nodes(
        &self,
        level: &Level,
        range: TimeRange,
        visit: &mut dyn FnMut(&Node<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for source in &level.sources {
            match source {
                PlannedSource::Leaf(leaf) => {
                    let mut visit = |expression, driver| {
                        visit(&Node {
                            expression,
                            driver,
                            level,
                            leaf,
                            range,
                        })
                    };
                    if level.calls.is_empty() {
                        visit("<nil>".to_owned(), None)?;
                    }
                    for call in &level.calls {
                        let call = innermost(&call.what);
                        let driver = match call.args.first() {
                            Some(Expr::VarRef(reference)) => Some(reference),
                            _ => None,
                        };
                        visit(call.to_string(), driver)?;
                    }
                }
                PlannedSource::Subquery(inner) => {
                    let range = inner.compiled.bounds.range().intersect(&range);
                    self.nodes(inner, range, visit)?;
                }
            }
        }
        Ok(())
    }

    fn cost(&self, node: &Node<'_>, meter: &Meter<'_>) -> Result<(ReadCost, u64, u64), Error> {
        let fields = node.fields();
        let fields: Vec<&[u8]> = fields.iter().map(|name| name.as_bytes()).collect();
        let (mut cost, mut series) = (ReadCost::default(), 0);
        for id in node.leaf.found.ids() {
            meter.check()?;
            series += 1;
            let view = &node.leaf.measurement.view;
            view.add_read_cost(&mut cost, id, &fields, node.range)?;
        }
        let values = cost.memtable_rows * fields.len() as u64;
        Ok((cost, series, values))
    }
}

/// An expression that is computed from the rows of a measurement.
struct Node<'a> {
    expression: String,
    driver: Option<&'a VarRef>,
    level: &'a Level,
    leaf: &'a Leaf,
    range: TimeRange,
}

impl Node<'_> {
    /// The fields that are read.
    fn fields(&self) -> Vec<&str> {
        let beside = self
            .level
            .references
            .iter()
            .map(|reference| &reference.what);
        let references = self.driver.into_iter().chain(beside);
        let references = references.chain(&self.leaf.conditions);
        let fields = references.filter(|reference| {
            reference.data_type != Some(DataType::Tag)
                && self.leaf.measurement.field(&reference.name).is_some()
        });
        let mut names: Vec<&str> = fields.map(|reference| reference.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The call of these that takes a field.
fn innermost(call: &Call) -> &Call {
    match call.args.first() {
        Some(Expr::Call(inner)) => innermost(inner),
        _ => call,
    }
}

/// The lines of `EXPLAIN`.
fn plan(store: &Store, statement: &Explain, context: &Context) -> Result<String, Error> {
    let meter = Meter::new(store, context);
    let prepared = Prepared::new(store, &statement.statement, context, &meter)?;
    let mut text = String::new();
    let line = |text: &mut String, name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{name}: {value}");
    };
    let level = &prepared.plan.level;
    prepared.nodes(level, prepared.options.range, &mut |node| {
        let (cost, series, values) = prepared.cost(node, &meter)?;
        if !text.is_empty() {
            text.push('\n');
        }
        line(&mut text, "EXPRESSION", &node.expression);
        let names = node.level.references.iter();
        let names: Vec<String> = names.map(|reference| reference.what.to_string()).collect();
        if !names.is_empty() {
            line(&mut text, "AUXILIARY FIELDS", &names.join(", "));
        }
        line(&mut text, "NUMBER OF SHARDS", &cost.shards.len());
        line(&mut text, "NUMBER OF SERIES", &series);
        line(&mut text, "CACHED VALUES", &values);
        line(&mut text, "NUMBER OF FILES", &cost.files.len());
        line(&mut text, "NUMBER OF BLOCKS", &cost.pages);
        line(&mut text, "SIZE OF BLOCKS", &cost.page_bytes);
        Ok(())
    })?;
    if !text.is_empty() {
        text.push('\n');
    }
    let Path { name, reason } = prepared.path(context, &meter)?;
    line(&mut text, "PATH", &format!("{name} ({reason})"));
    let groups = prepared.batches(false, 0, &meter).count();
    line(&mut text, "NUMBER OF GROUPS", &groups);
    line(&mut text, "SIZE OF PLAN", &meter.peak_bytes());
    Ok(text)
}

/// The lines of `EXPLAIN ANALYZE`.
fn analyze(store: &Store, statement: &Explain, context: &Context) -> Result<String, Error> {
    let begun = Instant::now();
    let context = &Context {
        paths: context.paths.counting_anew(),
        ..context.clone()
    };
    let meter = Meter::new(store, context).profiled();
    let prepared = Prepared::new(store, &statement.statement, context, &meter)?;
    let planning = begun.elapsed();
    let mut count = Count::default();
    prepared.rows(context, &meter, &mut count)?;
    let total = begun.elapsed();

    let execution = total.saturating_sub(planning);
    let (reading, batches) = meter.read();
    let Path { name, reason } = prepared.path(context, &meter)?;
    let mut tree = Tree::default();
    tree.line(0, "select");
    tree.line(1, &format!("execution_time: {}", duration(execution)));
    tree.line(1, &format!("planning_time: {}", duration(planning)));
    tree.line(1, &format!("total_time: {}", duration(total)));
    tree.line(1, &format!("peak_memory: {} bytes", meter.peak_bytes()));
    tree.line(1, "planning");
    for Step {
        name,
        time,
        peak_bytes,
    } in &prepared.steps
    {
        tree.line(2, name);
        tree.line(3, &format!("time: {}", duration(*time)));
        tree.line(3, &format!("peak_memory: {peak_bytes} bytes"));
    }
    tree.line(1, "execution");
    tree.line(2, &format!("path: {name}"));
    tree.line(2, &format!("reason: {reason}"));
    tree.line(2, &format!("taken: {}", context.paths.taken()));
    tree.line(2, "read");
    tree.line(3, &format!("time: {}", duration(reading)));
    tree.line(3, &format!("batches: {batches}"));
    tree.line(3, &format!("rows: {}", meter.points()));
    tree.line(2, "compute");
    let computing = execution.saturating_sub(reading);
    tree.line(3, &format!("time: {}", duration(computing)));
    tree.line(2, "result");
    tree.line(3, &format!("series: {}", count.series));
    tree.line(3, &format!("rows: {}", count.rows));
    tree.line(1, "expressions");
    let level = &prepared.plan.level;
    prepared.nodes(level, prepared.options.range, &mut |node| {
        let (cost, series, values) = prepared.cost(node, &meter)?;
        tree.line(2, &node.expression);
        let measurement = String::from_utf8_lossy(&node.leaf.measurement.name);
        tree.line(3, &format!("measurement: {measurement}"));
        for (name, number) in [
            ("shards", cost.shards.len() as u64),
            ("series", series),
            ("memtable_values", values),
            ("files", cost.files.len() as u64),
            ("pages", cost.pages),
            ("page_bytes", cost.page_bytes),
        ] {
            tree.line(3, &format!("{name}: {number}"));
        }
        Ok(())
    })?;
    Ok(tree.text())
}

fn duration(time: Duration) -> String {
    format_go_duration(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}

/// Counts rows and throws them away.
#[derive(Default)]
struct Count {
    series: u64,
    rows: u64,
    /// The series that came last, without rows.
    last: Series,
}

impl Sink for Count {
    fn series(&mut self, series: Series) -> Result<(), Gone> {
        self.rows += series.values.len() as u64;
        let is_new =
            self.series == 0 || self.last.name != series.name || self.last.tags != series.tags;
        if is_new {
            self.series += 1;
            self.last = Series {
                values: Vec::new(),
                ..series
            };
        }
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}

/// Lines with their depth, drawn as InfluxDB draws a tree.
#[derive(Default)]
struct Tree(Vec<(usize, String)>);

impl Tree {
    fn line(&mut self, depth: usize, text: &str) {
        self.0.push((depth, text.replace('\n', " ")));
    }

    fn text(&self) -> String {
        let mut out = ".\n".to_owned();
        for (at, (depth, text)) in self.0.iter().enumerate() {
            // True where a line of this depth follows below the same parent.
            let goes_on = |depth: usize| {
                let mut later = self.0.iter().skip(at + 1).map(|(other, _)| *other);
                later.find(|other| *other <= depth) == Some(depth)
            };
            for above in 0..*depth {
                out.push_str(if goes_on(above) { "│   " } else { "    " });
            }
            let fork = if goes_on(*depth) {
                "├── "
            } else {
                "└── "
            };
            let _ = writeln!(out, "{fork}{text}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_drawn() {
        let mut tree = Tree::default();
        for (depth, text) in [
            (0, "select"),
            (1, "a"),
            (2, "x"),
            (1, "b"),
            (2, "y"),
            (2, "z"),
        ] {
            tree.line(depth, text);
        }
        let expected = "\
.
└── select
    ├── a
    │   └── x
    └── b
        ├── y
        └── z
";
        assert_eq!(tree.text(), expected);
    }
}
