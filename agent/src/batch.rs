//! What collectors fill: lines of one agent, all with its tags, all of one moment.
//!
//! A line's tags and fields are noted in buffers that the next line uses again, and written out
//! in one go when the line is finished: sorted, with the host's and the global tags, where the
//! collector's own tag wins over a global one of the same key
//! (`influxdata/telegraf models/makemetric.go`). What settings ask of lines beyond that is done in
//! between (`shape.rs`).

use std::ops::Range;
use std::sync::Arc;

use tandem_line::Writer;
use tandem_model::FieldValue;

use crate::guard::{Guard, SeriesHash};
use crate::shape::{self, Shape, Shaper};
use crate::window::Window;

/// Tags that every line bears, in any order.
pub(crate) type Tags = Arc<[(String, String)]>;

/// Stores take 64 KiB of a line's name and tags, in which a backslash may stand before every byte.
const TAGS_BYTES_MAX: usize = 31 << 10;

/// Stores refuse a tag of this name, and the line with it. A container may have a label that is called so.
const TIME: &[u8] = b"time";

/// Lines of line protocol.
#[derive(Debug)]
pub(crate) struct Batch {
    tags: Tags,
    time_ns: i64,
    /// Of the line under way.
    line_time_ns: i64,
    writer: Writer,
    /// Text of the line under way that the ranges below point into.
    text: Vec<u8>,
    own_tags: Vec<(Range<usize>, Range<usize>)>,
    fields: Vec<(Range<usize>, Noted)>,
    guard: Option<Guard>,
    sampling: Sampling,
    window: Window,
    /// What settings ask of lines; mostly nothing.
    shapers: Vec<Shaper>,
    /// Of the line under way, where it is not what the collector calls it.
    name: Vec<u8>,
}

/// What becomes of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sampling {
    /// They are written.
    #[default]
    Off,
    /// Their floats are noted, and nothing is written.
    Note,
    /// They are written with what was noted.
    Write,
}

/// A field's value, noted; a string lies in [`Batch::text`].
#[derive(Clone, Debug)]
enum Noted {
    Float(f64),
    Signed(i64),
    Unsigned(u64),
    String(Range<usize>),
    Boolean(bool),
}

impl Batch {
    /// An empty batch whose lines will bear `tags`.
    #[must_use]
    pub(crate) fn new(tags: Tags) -> Self {
        Self {
            tags,
            time_ns: 0,
            line_time_ns: 0,
            writer: Writer::new(),
            text: Vec::new(),
            own_tags: Vec::new(),
            fields: Vec::new(),
            guard: None,
            sampling: Sampling::Off,
            window: Window::default(),
            shapers: Vec::new(),
            name: Vec::new(),
        }
    }

    /// Has further lines bear other tags, and be as `shape` and then `all` ask.
    pub(crate) fn dress(&mut self, tags: &Tags, shape: &Shape, all: &Shape) {
        (self.tags, self.shapers) = shape::ready(tags, shape, all);
    }

    /// Lets at most so many series through.
    pub(crate) fn set_series_max(&mut self, series_max: usize) {
        match &mut self.guard {
            Some(guard) => guard.set_max(series_max),
            None => self.guard = Some(Guard::new(series_max)),
        }
    }

    /// Lines that were left out since the last call, because there are too many series.
    pub(crate) fn take_refused(&mut self) -> u64 {
        self.guard.as_mut().map_or(0, Guard::take_refused)
    }

    /// Says what becomes of the lines up to the next call.
    pub(crate) fn sample(&mut self, sampling: Sampling) {
        if self.sampling == Sampling::Write {
            self.window.clear();
        }
        self.sampling = sampling;
    }

    /// Gives memory back that the last lines needed and the next may not.
    pub(crate) fn shrink(&mut self) {
        self.writer = Writer::new();
        self.text = Vec::new();
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
        self.line_time_ns = self.time_ns;
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

    /// Takes the floats of the line under way in, and puts what was noted of them into it.
    fn sum_up(&mut self, series: u64) {
        for at in 0..self.fields.len() {
            let Some((name, Noted::Float(value))) = self.fields.get(at).cloned() else {
                continue;
            };
            let key = self.text.get(name.clone()).unwrap_or_default();
            self.window.take(series, key, value);
            if self.sampling != Sampling::Write {
                continue;
            }
            let Some(summary) = self.window.summary(series, key) else {
                continue;
            };
            if let Some((_, noted)) = self.fields.get_mut(at) {
                *noted = Noted::Float(summary.mean);
            }
            for (suffix, value) in [
                ("_min", summary.min),
                ("_max", summary.max),
                ("_p95", summary.p95),
            ] {
                let start = self.text.len();
                self.text.extend_from_within(name.clone());
                self.text.extend_from_slice(suffix.as_bytes());
                let made = self.text.get(start..).unwrap_or_default();
                if !self.shapers.iter().any(|shaper| shaper.drops_field(made)) {
                    self.fields
                        .push((start..self.text.len(), Noted::Float(value)));
                }
            }
        }
    }

    fn series(&self, measurement: &[u8]) -> u64 {
        let mut hash = SeriesHash::default();
        hash.add(measurement);
        for (key, value) in &self.own_tags {
            for part in [key, value] {
                hash.add(self.text.get(part.clone()).unwrap_or_default());
            }
        }
        hash.finish()
    }

    /// Bytes of the tags of the line under way, as they are.
    fn tags_bytes(&self) -> usize {
        let all = self.tags.iter().map(|(key, value)| key.len() + value.len());
        let own = self
            .own_tags
            .iter()
            .map(|(key, value)| key.len() + value.len());
        all.chain(own).sum()
    }

    /// Ends the line under way.
    fn write(&mut self, measurement: &'static str) {
        if self.shapers.is_empty() {
            return self.write_as(measurement.as_bytes());
        }
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        name.extend_from_slice(measurement.as_bytes());
        if self.shape(&mut name) {
            self.write_as(&name);
        }
        self.name = name;
    }

    /// Makes of the line under way what settings ask for; false when it is not wanted.
    fn shape(&mut self, name: &mut Vec<u8>) -> bool {
        let text = &self.text;
        let part = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
        for shaper in &self.shapers {
            let own = self.own_tags.iter();
            let own = own.map(|(key, value)| (part(key), part(value)));
            if !shaper.chooses(name, own) {
                return false;
            }
            shaper.rename(name);
            self.own_tags.retain(|(key, _)| shaper.keeps_tag(part(key)));
            self.fields
                .retain(|(name, _)| shaper.keeps_field(part(name)));
        }
        !self.fields.is_empty()
    }

    fn write_as(&mut self, measurement: &[u8]) {
        if self.tags_bytes() > TAGS_BYTES_MAX
            && let Some(guard) = &mut self.guard
        {
            guard.refuse();
            return;
        }
        if self.guard.is_some() || self.sampling != Sampling::Off {
            let series = self.series(measurement);
            let time_ns = self.time_ns;
            if self
                .guard
                .as_mut()
                .is_some_and(|guard| !guard.admits(series, time_ns))
            {
                return;
            }
            if self.sampling != Sampling::Off {
                self.sum_up(series);
            }
            if self.sampling == Sampling::Note {
                return;
            }
        }
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
                .map(|(key, value)| (text(key), text(value))),
        );
        tags.retain(|(key, _)| *key != TIME);
        let mut line = self.writer.line(measurement).tags(&mut tags);
        for (name, value) in &self.fields {
            let value = match value {
                Noted::Float(value) => FieldValue::Float(*value),
                Noted::Signed(value) => FieldValue::Integer(*value),
                Noted::Unsigned(value) => FieldValue::Unsigned(*value),
                Noted::String(value) => FieldValue::String(text(value)),
                Noted::Boolean(value) => FieldValue::Boolean(*value),
            };
            line = line.field(text(name), value);
        }
        line.end(Some(self.line_time_ns));
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
    /// Has the line bear this time instead of the batch's: that of an event.
    pub(crate) fn at(self, time_ns: i64) -> Self {
        self.batch.line_time_ns = time_ns;
        self
    }

    /// Adds a tag; one with an empty value is left out.
    pub(crate) fn tag(self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let key = self.batch.note(key.as_ref());
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

    /// Adds `true` or `false`.
    pub(crate) fn boolean(self, name: &str, value: bool) -> Self {
        self.field(name, Noted::Boolean(value))
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
    fn a_tag_that_costs_the_line_is_left_out() {
        let mut batch = batch(&[("time", "now"), ("host", "h")]);
        let line = batch.line("m").tag("time", "then").tag("times", "2");
        line.signed("v", 1).finish();
        assert_eq!(text(&batch), "m,host=h,times=2 v=1i 7000000000\n");
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
    fn samples_between_lines_show_in_the_next_line() {
        let mut batch = batch(&[]);
        for value in [1.0, 9.0] {
            batch.sample(Sampling::Note);
            batch.line("cpu").float("usage", value).finish();
        }
        assert_eq!(batch.lines(), 0);
        batch.sample(Sampling::Write);
        batch
            .line("cpu")
            .float("usage", 2.0)
            .unsigned("n", 3)
            .finish();
        let expected = "cpu usage=4,n=3i,usage_min=1,usage_max=9,usage_p95=9 7000000000\n";
        assert_eq!(text(&batch), expected);
        batch.sample(Sampling::Off);
        batch.start(8);
        batch.line("cpu").float("usage", 2.0).finish();
        assert_eq!(text(&batch), "cpu usage=2 8\n");
    }

    #[test]
    fn too_many_series_are_left_out_and_counted() {
        let mut batch = batch(&[]);
        batch.set_series_max(1);
        for name in ["a", "b", "a"] {
            batch.line("m").tag("name", name).unsigned("x", 1).finish();
        }
        assert_eq!((batch.lines(), batch.take_refused()), (2, 1));
        assert_eq!(batch.take_refused(), 0);
    }

    #[test]
    fn a_line_with_more_tags_than_a_store_takes_is_left_out_and_counted() {
        let mut batch = batch(&[]);
        batch.set_series_max(10);
        let long = "x".repeat(TAGS_BYTES_MAX - 5);
        for name in ["a", "abcdef"] {
            batch.line("m").tag(name, &long).unsigned("x", 1).finish();
        }
        assert_eq!((batch.lines(), batch.take_refused()), (1, 1));
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
