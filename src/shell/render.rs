//! Answers as text: in columns, as CSV, as JSON; byte for byte what `influx` prints.
//!
//! Numbers are passed on as the server wrote them, so that none is rounded on its way. A header that equals that of the
//! series before is not printed again: a long series comes in chunks. Columns are as wide as their widest cell in a row of lines
//! without a break, and a space more.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How answers look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Column,
    Csv,
    Json,
}

impl Format {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "column" => Some(Self::Column),
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Column => "column",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// What a server answered to a request, chunks put together.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Answer {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) results: Vec<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The answer to one statement, or a chunk of it.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Outcome {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) series: Vec<Series>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    messages: Vec<Message>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Message {
    level: String,
    text: String,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Series {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) columns: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) values: Vec<Vec<Box<RawValue>>>,
    #[serde(default, skip_serializing_if = "is_false")]
    partial: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Answer {
    /// Reads one document, or one a chunk.
    pub(super) fn read(body: &[u8]) -> anyhow::Result<Self> {
        let mut whole = Self::default();
        for part in serde_json::Deserializer::from_slice(body).into_iter::<Self>() {
            let part = part.context("this is no answer of InfluxDB")?;
            whole.results.extend(part.results);
            whole.error = whole.error.or(part.error);
        }
        Ok(whole)
    }

    /// The first error, of the request or of a statement.
    pub(super) fn error(&self) -> Option<&str> {
        let of_statements = self
            .results
            .iter()
            .find_map(|result| result.error.as_deref());
        self.error.as_deref().or(of_statements)
    }

    /// The first column that has this name, of all series, as text.
    pub(super) fn texts(&self, column: &str) -> Vec<String> {
        let series = self.results.iter().flat_map(|result| &result.series);
        series
            .filter_map(|series| Some((series, series.columns.iter().position(|c| c == column)?)))
            .flat_map(|(series, at)| series.values.iter().filter_map(move |row| row.get(at)))
            .map(|cell| text(cell).into_owned())
            .collect()
    }

    /// Writes it all.
    pub(super) fn write(
        &self,
        format: Format,
        pretty: bool,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match format {
            Format::Column => self.write_columns(out),
            Format::Csv => self.write_csv(out),
            Format::Json => self.write_json(pretty, out),
        }
    }

    fn write_json(&self, pretty: bool, out: &mut dyn Write) -> io::Result<()> {
        if pretty {
            let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            let mut json = serde_json::Serializer::with_formatter(&mut *out, indent);
            self.serialize(&mut json)?;
        } else {
            serde_json::to_writer(&mut *out, self)?;
        }
        out.write_all(b"\n")
    }

    fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut before = None;
        for series in self.results.iter().flat_map(|result| &result.series) {
            let tags = tag_list(series);
            if before.replace(Head::of(series)) != Some(Head::of(series)) {
                let mut head = Vec::new();
                if !series.name.is_empty() {
                    head.push(Cow::from("name"));
                }
                if !tags.is_empty() {
                    head.push(Cow::from("tags"));
                }
                head.extend(series.columns.iter().map(|c| Cow::from(c.as_str())));
                csv_line(&head, out)?;
            }
            let tags = tags.join(",");
            for row in &series.values {
                let mut line = Vec::new();
                if !series.name.is_empty() {
                    line.push(Cow::from(series.name.as_str()));
                }
                if !tags.is_empty() {
                    line.push(Cow::from(tags.as_str()));
                }
                line.extend(row.iter().map(|cell| text(cell)));
                csv_line(&line, out)?;
            }
        }
        Ok(())
    }

    fn write_columns(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::default();
        let mut before = None;
        let mut first = true;
        for result in &self.results {
            for message in &result.messages {
                writeln!(out, "{}: {}.", message.level, message.text)?;
            }
            for series in &result.series {
                if before.replace(Head::of(series)) != Some(Head::of(series)) {
                    if !first {
                        table.line(Vec::new());
                    }
                    if !series.name.is_empty() {
                        table.line(vec![format!("name: {}", series.name).into()]);
                    }
                    let tags = tag_list(series);
                    if !tags.is_empty() {
                        table.line(vec![format!("tags: {}", tags.join(", ")).into()]);
                    }
                    table.line(series.columns.iter().map(|c| c.as_str().into()).collect());
                    let dashes = |name: &String| "-".repeat(name.chars().count()).into();
                    table.line(series.columns.iter().map(dashes).collect());
                }
                first = false;
                for row in &series.values {
                    table.line(row.iter().map(|cell| text(cell)).collect());
                }
            }
        }
        table.write(out)
    }
}

/// What a header is made of.
#[derive(PartialEq)]
struct Head<'a>(&'a str, &'a BTreeMap<String, String>, &'a [String]);

impl<'a> Head<'a> {
    fn of(series: &'a Series) -> Self {
        Self(&series.name, &series.tags, &series.columns)
    }
}

fn tag_list(series: &Series) -> Vec<String> {
    let tags = series.tags.iter();
    tags.map(|(key, value)| format!("{key}={value}")).collect()
}

/// A cell without quotes; null is empty.
pub(super) fn text(cell: &RawValue) -> Cow<'_, str> {
    match cell.get() {
        "null" => Cow::from(""),
        raw if raw.starts_with('"') => match serde_json::from_str::<String>(raw) {
            Ok(text) => Cow::from(text),
            Err(_) => Cow::from(raw),
        },
        raw => Cow::from(raw),
    }
}

/// A line of CSV. A field is quoted as Go's writer does: when it holds a comma, a quote or an end of line, begins with
/// a space, or is `\.`.
fn csv_line(fields: &[Cow<'_, str>], out: &mut dyn Write) -> io::Result<()> {
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        let quoted = field.contains([',', '"', '\r', '\n'])
            || field.starts_with(char::is_whitespace)
            || *field == r"\.";
        if quoted {
            write!(out, "\"{}\"", field.replace('"', "\"\""))?;
        } else {
            out.write_all(field.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}

/// Lines of cells; the last cell of a line belongs to no column.
#[derive(Default)]
struct Table<'a> {
    lines: Vec<Vec<Cow<'a, str>>>,
}

impl<'a> Table<'a> {
    fn line(&mut self, cells: Vec<Cow<'a, str>>) {
        self.lines.push(cells);
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        // A column ends where a line has no cell for it; so neighbouring lines of as many cells share widths.
        let blocks = self.lines.chunk_by(|a, b| a.len() == b.len());
        for block in blocks {
            let columns = block.first().map_or(0, Vec::len);
            let mut widths = vec![0; columns];
            for line in block {
                for (width, cell) in widths.iter_mut().zip(line) {
                    *width = cell.chars().count().max(*width);
                }
            }
            for line in block {
                for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
                    if at + 1 == columns {
                        out.write_all(cell.as_bytes())?;
                    } else {
                        let space = width + 1 - cell.chars().count();
                        write!(out, "{cell}{:space$}", "")?;
                    }
                }
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"{"results":[{"statement_id":0,"series":[{"name":"cpu","tags":{"host":"a","zone":""},"columns":["time","s","v"],"values":[[1,"x,\"y\"",1.50],[20,null,1e21]]},{"name":"cpu","tags":{"host":"b","zone":"z"},"columns":["time","s","v"],"values":[[3,"ü",true]]}]}]}
{"results":[{"statement_id":0,"series":[{"name":"cpu","tags":{"host":"b","zone":"z"},"columns":["time","s","v"],"values":[[4,"more",0]],"partial":true}]}]}"#;

    fn shown(body: &str, format: Format) -> String {
        let mut out = Vec::new();
        let answer = Answer::read(body.as_bytes()).unwrap();
        answer.write(format, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_a_header_is_not_repeated() {
        let expected = "name: cpu\ntags: host=a, zone=\ntime s     v\n---- -     -\n1    x,\"y\" 1.50\n20         1e21\n\n\
                        name: cpu\ntags: host=b, zone=z\ntime s    v\n---- -    -\n3    ü    true\n4    more 0\n";
        assert_eq!(shown(TWO, Format::Column), expected);
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let expected = "name,tags,time,s,v\ncpu,\"host=a,zone=\",1,\"x,\"\"y\"\"\",1.50\ncpu,\"host=a,zone=\",20,,1e21\n\
                        name,tags,time,s,v\ncpu,\"host=b,zone=z\",3,ü,true\ncpu,\"host=b,zone=z\",4,more,0\n";
        assert_eq!(shown(TWO, Format::Csv), expected);
    }

    #[test]
    fn json_keeps_numbers_as_they_came() {
        let json = shown(TWO, Format::Json);
        assert!(json.contains(r#"[1,"x,\"y\"",1.50]"#), "{json}");
        assert!(
            json.contains("1e21") && !json.contains("statement_id"),
            "{json}"
        );
    }

    #[test]
    fn errors_are_found_wherever_they_are() {
        let of = |body: &str| {
            let answer = Answer::read(body.as_bytes()).unwrap();
            answer.error().map(str::to_owned)
        };
        assert_eq!(of(r#"{"error":"a"}"#).as_deref(), Some("a"));
        assert_eq!(
            of(r#"{"results":[{},{"error":"b"}]}"#).as_deref(),
            Some("b")
        );
        assert_eq!(of(r#"{"results":[{}]}"#), None);
        assert!(Answer::read(b"<html>").is_err());
    }
}
