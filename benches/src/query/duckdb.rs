//! DuckDB in a process of its own, asked in SQL: the mark of what a vector engine does with the same rows.
//!
//! It has two threads, sends nothing over HTTP and makes no JSON; its rows lie in memory, in the order of time. The
//! time of a statement is taken beside it, from its text to a result that is there as a whole.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::args::Args;
use crate::bodies::Bodies;

/// Reads statements, a line each, and answers each with its time in milliseconds and whether it has rows, or
/// with what is wrong.
const PROGRAM: &str = r#"
import sys, time
import duckdb
connection = duckdb.connect(config={"threads": 2})
for line in sys.stdin:
    try:
        begun = time.perf_counter()
        result = connection.sql(line)
        if result is not None:
            result = result.materialize()
        taken_ms = (time.perf_counter() - begun) * 1e3
        rows = 0 if result is None else len(result.limit(1).fetchall())
        print(taken_ms, rows, flush=True)
    except Exception as error:
        print("error:", " ".join(str(error).split()), flush=True)
"#;

/// Says aloud that it is missing, where that is so.
pub(super) fn find(args: &Args) -> Option<std::path::PathBuf> {
    if args.alone {
        return None;
    }
    let python = args.work.join("duckdb/bin/python");
    if !python.is_file() {
        println!("duckdb is not here and is left out (PyPI's package duckdb; --install brings it)");
        return None;
    }
    Some(python)
}

/// A DuckDB that holds the rows.
#[derive(Debug)]
pub(super) struct Duck {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Duck {
    /// Starts it and loads the rows of `bodies`; `dir` is for a file in between.
    pub(super) fn start(python: &Path, dir: &Path, bodies: &Bodies) -> anyhow::Result<Self> {
        let csv = dir.join("cpu.csv");
        write_csv(&csv, bodies).with_context(|| format!("write {}", csv.display()))?;
        let mut child = Command::new(python)
            .args(["-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", python.display()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("no output")?;
        let mut duck = Self {
            child,
            input,
            output: BufReader::new(output),
        };
        let path = csv.to_str().context("a path that is no text")?;
        duck.ask(&format!(
            "CREATE TABLE cpu AS SELECT * FROM read_csv('{path}', header = true)"
        ))?;
        fs::remove_file(&csv)?;
        Ok(duck)
    }

    /// Runs a statement; its time in milliseconds, and whether there were rows.
    pub(super) fn ask(&mut self, sql: &str) -> anyhow::Result<(f64, bool)> {
        ensure!(!sql.contains('\n'), "a statement is one line");
        let input = self.input.as_mut().context("it was stopped")?;
        writeln!(input, "{sql}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        let mut words = answer.split_whitespace();
        match (words.next().map(str::parse), words.next()) {
            (Some(Ok(taken_ms)), Some(rows)) => Ok((taken_ms, rows != "0")),
            _ => bail!("{sql}: {}", answer.trim()),
        }
    }
}

impl Drop for Duck {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The points of a load as a table: all tags, all fields and the time in nanoseconds.
fn write_csv(path: &Path, bodies: &Bodies) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let (mut body, mut has_head) = (Vec::new(), false);
    for index in bodies.index() {
        body.clear();
        bodies.read(index, &mut body)?;
        for line in std::str::from_utf8(&body)?.lines() {
            let (cells, time_ns) = cells(line).with_context(|| format!("no point: {line}"))?;
            if !has_head {
                let names: Vec<&str> = cells.iter().map(|(name, _)| *name).collect();
                writeln!(file, "{},time", names.join(","))?;
                has_head = true;
            }
            for (_, value) in &cells {
                write!(file, "{value},")?;
            }
            writeln!(file, "{time_ns}")?;
        }
    }
    file.flush()?;
    Ok(())
}

/// Tags and fields of a line that has no escapes, and its time.
fn cells(line: &str) -> Option<(Vec<(&str, &str)>, &str)> {
    let mut parts = line.split(' ');
    let (key, fields, time_ns) = (parts.next()?, parts.next()?, parts.next()?);
    let cells = key.split(',').skip(1).chain(fields.split(','));
    let cells: Option<Vec<_>> = cells
        .map(|cell| {
            let (name, value) = cell.split_once('=')?;
            let is_integer = value.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            Some((
                name,
                value
                    .strip_suffix('i')
                    .filter(|_| is_integer)
                    .unwrap_or(value),
            ))
        })
        .collect();
    Some((cells?, time_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_cells() {
        let (cells, time_ns) =
            cells("cpu,hostname=host_0,os=hi usage_user=71i,load=0.5 1451").unwrap();
        let expected = [
            ("hostname", "host_0"),
            ("os", "hi"),
            ("usage_user", "71"),
            ("load", "0.5"),
        ];
        assert_eq!((cells.as_slice(), time_ns), (&expected[..], "1451"));
        assert!(super::cells("cpu").is_none());
    }
}
