//! Writes lines as Telegraf's serializer does (`influxdata/telegraf plugins/serializers/influx`).
//!
//! What line protocol cannot carry is left out rather than written wrong: a float that is not
//! finite, a tag without key or value, a field without name, a line without fields.

use std::io::Write as _;

use tandem_model::FieldValue;

/// Appends lines to a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    lines: usize,
}

impl Writer {
    /// A writer with an empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What has been written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// How many lines have been written.
    #[must_use]
    pub const fn lines(&self) -> usize {
        self.lines
    }

    /// What has been written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Empties the buffer and keeps its memory.
    pub fn clear(&mut self) {
        self.out.clear();
        self.lines = 0;
    }

    /// Starts a line. Tags come next, then fields, then [`LineWriter::end`]; a line that is
    /// dropped before its end leaves no trace.
    #[must_use = "a line that is not ended is not written"]
    pub fn line(&mut self, measurement: impl AsRef<[u8]>) -> LineWriter<'_> {
        let start = self.out.len();
        escape(skip_nul(measurement.as_ref()), b", ", &mut self.out);
        // A line that starts with `#` is a comment to whoever reads it.
        let named = self.out.get(start).is_some_and(|&byte| byte != b'#');
        LineWriter {
            writer: self,
            start,
            named,
            fields: 0,
            ended: false,
        }
    }
}

/// One line, being written.
#[derive(Debug)]
pub struct LineWriter<'a> {
    writer: &'a mut Writer,
    start: usize,
    named: bool,
    fields: usize,
    ended: bool,
}

impl LineWriter<'_> {
    /// Adds a tag; a tag without key or value is left out. Tags should come sorted by key, each
    /// key once; a tag after the first field is left out.
    #[must_use = "a line that is not ended is not written"]
    pub fn tag(self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        debug_assert!(self.fields == 0, "tags stand before fields");
        let (key, value) = (trim(key.as_ref()), trim(value.as_ref()));
        if self.fields == 0 && !key.is_empty() && !value.is_empty() {
            let out = &mut self.writer.out;
            out.push(b',');
            escape(key, b", =", out);
            out.push(b'=');
            escape(value, b", =", out);
        }
        self
    }

    /// Sorts `tags` by key and adds them; of equal keys the last one counts.
    #[must_use = "a line that is not ended is not written"]
    pub fn tags<K: AsRef<[u8]>, V: AsRef<[u8]>>(mut self, tags: &mut [(K, V)]) -> Self {
        tags.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        for (at, (key, value)) in tags.iter().enumerate() {
            let again = tags
                .get(at + 1)
                .is_some_and(|next| next.0.as_ref() == key.as_ref());
            if !again {
                self = self.tag(key, value);
            }
        }
        self
    }

    /// Adds a float, in the shortest form that gives the same bits, never with an exponent; left
    /// out when it is not finite.
    #[must_use = "a line that is not ended is not written"]
    pub fn float(mut self, name: impl AsRef<[u8]>, value: f64) -> Self {
        if value.is_finite() && self.name(name.as_ref()) {
            self.display(value, "");
        }
        self
    }

    /// Adds an integer.
    #[must_use = "a line that is not ended is not written"]
    pub fn integer(mut self, name: impl AsRef<[u8]>, value: i64) -> Self {
        if self.name(name.as_ref()) {
            self.display(value, "i");
        }
        self
    }

    /// Adds an unsigned integer as a signed one, cut off at the largest of those: InfluxDB 1.x
    /// refuses the suffix `u`.
    #[must_use = "a line that is not ended is not written"]
    pub fn unsigned(self, name: impl AsRef<[u8]>, value: u64) -> Self {
        self.integer(name, i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// Adds `true` or `false`.
    #[must_use = "a line that is not ended is not written"]
    pub fn boolean(mut self, name: impl AsRef<[u8]>, value: bool) -> Self {
        if self.name(name.as_ref()) {
            self.display(value, "");
        }
        self
    }

    /// Adds a string, quoted; any bytes.
    #[must_use = "a line that is not ended is not written"]
    pub fn string(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        if self.name(name.as_ref()) {
            let out = &mut self.writer.out;
            out.push(b'"');
            for &byte in value.as_ref() {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
        self
    }

    /// Adds a field of any type.
    #[must_use = "a line that is not ended is not written"]
    pub fn field(self, name: impl AsRef<[u8]>, value: FieldValue<'_>) -> Self {
        match value {
            FieldValue::Float(value) => self.float(name, value),
            FieldValue::Integer(value) => self.integer(name, value),
            FieldValue::Unsigned(value) => self.unsigned(name, value),
            FieldValue::String(value) => self.string(name, value),
            FieldValue::Boolean(value) => self.boolean(name, value),
        }
    }

    /// Ends the line with its time, in whatever unit the reader is told, or without one. False,
    /// and nothing written, when the line has no field or its measurement is empty or starts
    /// with `#`.
    pub fn end(mut self, time: Option<i64>) -> bool {
        if self.fields == 0 || !self.named {
            return false;
        }
        if let Some(time) = time {
            self.writer.out.push(b' ');
            self.display(time, "");
        }
        self.writer.out.push(b'\n');
        self.writer.lines += 1;
        self.ended = true;
        true
    }

    /// Writes what stands before a field's value; false, and nothing written, when the name is
    /// empty or holds a backslash before a byte that needs an escape: no spelling of that exists.
    fn name(&mut self, name: &[u8]) -> bool {
        let name = trim(skip_nul(name));
        let unwritable = |pair: &[u8]| pair[0] == b'\\' && b", =".contains(&pair[1]);
        if name.is_empty() || name.windows(2).any(unwritable) {
            return false;
        }
        let out = &mut self.writer.out;
        out.push(if self.fields == 0 { b' ' } else { b',' });
        escape(name, b", =", out);
        out.push(b'=');
        self.fields += 1;
        true
    }

    fn display(&mut self, value: impl std::fmt::Display, suffix: &str) {
        // Writing to a `Vec` does not fail.
        let _ = write!(self.writer.out, "{value}{suffix}");
    }
}

impl Drop for LineWriter<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.writer.out.truncate(self.start);
        }
    }
}

/// Without the NULs at the start, which readers take for blanks.
fn skip_nul(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| byte != 0);
    start.map_or(&[], |start| &text[start..])
}

/// Without the backslashes at the end, which would hide the delimiter.
fn trim(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte != b'\\');
    end.map_or(&[], |end| &text[..=end])
}

fn escape(text: &[u8], special: &[u8], out: &mut Vec<u8>) {
    for &byte in trim(text) {
        match byte {
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => {
                if special.contains(&byte) {
                    out.push(b'\\');
                }
                out.push(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Line, ParseOptions, Value, check, lines};

    #[test]
    fn a_line_looks_as_telegraf_writes_it() {
        let mut writer = Writer::new();
        let written = writer
            .line("a b,c")
            .tags(&mut [("host", "x=1, y"), ("dc", ""), ("az", "q\\"), ("dc", "")])
            .float("f", 0.1)
            .float("whole", 100.0)
            .float("nan", f64::NAN)
            .float("inf", f64::INFINITY)
            .integer("i", -3)
            .unsigned("u", u64::MAX)
            .boolean("b", true)
            .string("s", "say \"hi\\\"\n")
            .float("", 1.0)
            .float("\\=", 1.0)
            .end(Some(5));
        assert!(written);
        assert_eq!(
            std::str::from_utf8(writer.as_bytes()).unwrap(),
            "a\\ b\\,c,az=q,host=x\\=1\\,\\ y f=0.1,whole=100,i=-3i,u=9223372036854775807i,b=true,\
             s=\"say \\\"hi\\\\\\\"\n\" 5\n"
        );
    }

    #[test]
    fn a_line_without_fields_or_name_or_end_leaves_no_trace() {
        let mut writer = Writer::new();
        assert!(
            !writer
                .line("m")
                .tag("a", "b")
                .float("v", f64::NAN)
                .end(None)
        );
        assert!(!writer.line("").integer("v", 1).end(None));
        assert!(!writer.line("#m").integer("v", 1).end(None));
        drop(writer.line("m").integer("v", 1));
        assert_eq!(writer.as_bytes(), b"");
        assert_eq!(writer.lines(), 0);
        assert!(writer.line("m").integer("v", 1).end(None));
        assert_eq!(writer.into_bytes(), b"m v=1i\n");
    }

    proptest! {
        /// Whatever names and values go in, a line that parses comes out, with the same fields.
        #[test]
        fn what_is_written_can_be_read(
            name in ".{0,6}", tag in ".{0,6}", value in ".{0,6}", field in ".{0,6}",
            float: f64, text in ".{0,12}",
        ) {
            let mut writer = Writer::new();
            let written = writer
                .line(&name)
                .tag(&tag, &value)
                .float(&field, float)
                .string("text", &text)
                .end(Some(1));
            if !written {
                return Ok(());
            }
            let body = writer.into_bytes();
            let all: Vec<_> = lines(&body).collect();
            prop_assert_eq!(all.len(), 1);
            prop_assert_eq!(check(all[0], ParseOptions::default()), Ok(()));
            let mut line = Line::parse(all[0], ParseOptions::default()).unwrap();
            let mut last = None;
            while let Some(field) = line.next_field().unwrap() {
                last = Some(field);
            }
            let Some(Value::String(read)) = last.map(|field| field.value) else {
                return Err(TestCaseError::fail("no string"));
            };
            let mut buffer = Vec::new();
            prop_assert_eq!(read.unescape(&mut buffer), text.as_bytes());
        }
    }
}
