//! What collectors fill: lines of one agent, all with its tags, all of one moment.
//!
//! A line's tags and fields are noted in buffers that the next line uses again, and written out
//! in one go when the line is finished: sorted, with the host's and the global tags, where the
//! collector's own tag wins over a global one of the same key
//! (`influxdata/telegraf models/makemetric.go`).

use std::ops::Range;
use std::sync::Arc;

use tandem_line::Writer;
use tandem_model::FieldValue;

/// Tags that every line bears, in any order.
pub(crate) type Tags = Arc<[(String, String)]>;

/// Lines of line protocol.
#[derive(Debug)]
pub(crate) struct Batch {
    tags: Tags,
    time_ns: i64,
    writer: Writer,
    /// Text of the line under way that the ranges below point into.
    text: Vec<u8>,
    own_tags: Vec<(&'static str, Range<usize>)>,
    fields: Vec<(Range<usize>, Noted)>,
}

/// A field's value, noted; a string lies in [`Batch::text`].
#[derive(Clone, Debug)]
enum Noted {
    Float(f64),
    Signed(i64),
    Unsigned(u64),
    String(Range<usize>),
}

impl Batch {
    /// An empty batch whose lines will bear `tags`.
    #[must_use]
    pub(crate) fn new(tags: Tags) -> Self {
        Self {
            tags,
            time_ns: 0,
            writer: Writer::new(),
            text: Vec::new(),
            own_tags: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Empties the batch, keeping its memory; further lines bear `time_ns`.
    pub(crate) fn start(&mut self, time_ns: i64) {
        self.time_ns = time_ns;
        self.writer.clear();
    }

    /// Begins a line.
    pub(crate) fn line(&mut self, measurement: &'static str) -> Line<'_> {
        self.text.clear();
        self.own_tags.clear();
        self.fields.clear();
        Line {
            batch: self,
            measurement,
        }
    }

    /// The lines so far.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.writer.as_bytes()
    }

    /// How many lines there are.
    #[must_use]
    pub(crate) fn lines(&self) -> u64 {
        self.writer.lines() as u64
    }

    fn note(&mut self, text: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        start..self.text.len()
    }

    fn write(&mut self, measurement: &str) {
        let text = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        let mut tags: Vec<(&[u8], &[u8])> =
            Vec::with_capacity(self.tags.len() + self.own_tags.len());
        tags.extend(
            self.tags
                .iter()
                .map(|(key, value)| (key.as_bytes(), value.as_bytes())),
        );
        // The writer lets the last of equal keys win.
        tags.extend(
            self.own_tags
                .iter()
                .map(|(key, value)| (key.as_bytes(), text(value))),
        );
        let mut line = self.writer.line(measurement).tags(&mut tags);
        for (name, value) in &self.fields {
            let value = match value {
                Noted::Float(value) => FieldValue::Float(*value),
                Noted::Signed(value) => FieldValue::Integer(*value),
                Noted::Unsigned(value) => FieldValue::Unsigned(*value),
                Noted::String(value) => FieldValue::String(text(value)),
            };
            line = line.field(text(name), value);
        }
        line.end(Some(self.time_ns));
    }
}

/// One line under way; nothing is written before [`Line::finish`].
#[derive(Debug)]
#[must_use = "a line is written only when it is finished"]
pub(crate) struct Line<'a> {
    batch: &'a mut Batch,
    measurement: &'static str,
}

impl Line<'_> {
    /// Adds a tag; one with an empty value is left out.
    pub(crate) fn tag(self, key: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = self.batch.note(value.as_ref());
        self.batch.own_tags.push((key, value));
        self
    }

    /// Adds a float; left out when it is not finite.
    pub(crate) fn float(self, name: &str, value: f64) -> Self {
        self.field(name, Noted::Float(value))
    }

    /// Adds an integer.
    pub(crate) fn signed(self, name: &str, value: i64) -> Self {
        self.field(name, Noted::Signed(value))
    }

    /// Adds an integer; what does not fit into 63 bits becomes the largest that does.
    pub(crate) fn unsigned(self, name: &str, value: u64) -> Self {
        self.field(name, Noted::Unsigned(value))
    }

    /// Adds a string.
    pub(crate) fn string(self, name: &str, value: &str) -> Self {
        let value = self.batch.note(value.as_bytes());
        self.field(name, Noted::String(value))
    }

    /// Writes the line, unless it has no field.
    pub(crate) fn finish(self) {
        self.batch.write(self.measurement);
    }

    fn field(self, name: &str, value: Noted) -> Self {
        let name = self.batch.note(name.as_bytes());
        self.batch.fields.push((name, value));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(tags: &[(&str, &str)]) -> Batch {
        let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut batch = Batch::new(tags.collect());
        batch.start(7_000_000_000);
        batch
    }

    fn text(batch: &Batch) -> &str {
        std::str::from_utf8(batch.as_bytes()).unwrap()
    }

    #[test]
    fn tags_are_sorted_and_a_lines_own_tag_wins() {
        let mut batch = batch(&[("host", "web 1"), ("dc", "x"), ("name", "global")]);
        batch
            .line("diskio")
            .tag("wwid", "")
            .tag("name", "sda")
            .unsigned("reads", u64::MAX)
            .signed("speed", -1)
            .float("io_util", 12.5)
            .float("io_await", f64::NAN)
            .string("note", "a \"b\"")
            .finish();
        assert_eq!(
            text(&batch),
            "diskio,dc=x,host=web\\ 1,name=sda \
             reads=9223372036854775807i,speed=-1i,io_util=12.5,note=\"a \\\"b\\\"\" 7000000000\n"
        );
        assert_eq!(batch.lines(), 1);
    }

    #[test]
    fn what_is_not_finished_or_has_no_field_leaves_nothing() {
        let mut batch = batch(&[]);
        let unfinished = batch.line("a").unsigned("x", 1);
        drop(unfinished);
        batch.line("b").tag("t", "v").finish();
        batch.line("c").float("x", f64::INFINITY).finish();
        batch.line("d").float("x", 100.0).finish();
        assert_eq!(text(&batch), "d x=100 7000000000\n");
        batch.start(8);
        assert_eq!((text(&batch), batch.lines()), ("", 0));
    }
}
