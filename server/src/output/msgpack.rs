//! A query's answer as MessagePack, as InfluxDB writes it (`services/httpd/response_writer.go`,
//! `msgpackFormatter`): the documents of the JSON form, times as extension 5.
//!
//! MessagePack tells the length of a list before its items, so a document is held until it is whole.
//! Chunked, that is one chunk; not chunked, the whole answer, which may therefore not be larger than
//! [`DOCUMENT_BYTES_MAX`]. What is larger is refused with an error that says what to do.

use tandem_http::Gone;
use tandem_query::{Message, Series, Value};

use super::json::Chunks;
use super::outlet::Outlet;
use super::time::Epoch;

/// Bytes of one document.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// The type of tinylib/msgp's extension for times: seconds and nanoseconds, big-endian.
const TIME_EXTENSION: u8 = 5;

/// Writes the answer of one request.
pub(crate) struct MsgpackOutput {
    outlet: Outlet,
    epoch: Epoch,
    /// Rows a document; `None`: all in one document.
    chunk_rows: Option<usize>,
    /// The results of this document that are complete.
    results: List,
    statement: Statement,
    too_large: bool,
}

/// Items that are complete, one after another.
#[derive(Default)]
struct List {
    count: u32,
    items: Vec<u8>,
}

impl List {
    /// Counts one more item; it is to be appended to what is returned.
    fn item(&mut self) -> &mut Vec<u8> {
        self.count += 1;
        &mut self.items
    }

    fn append_to(&self, out: &mut Vec<u8>) {
        put_list(out, self.count);
        out.extend_from_slice(&self.items);
    }
}

#[derive(Default)]
struct Statement {
    id: usize,
    chunks: Chunks,
    /// The series that are complete.
    series: List,
    /// The series that may go on, and its rows.
    head: Option<Series>,
    rows: List,
    messages: Vec<Message>,
    cut: bool,
}

impl MsgpackOutput {
    pub(crate) fn new(outlet: Outlet, epoch: Epoch, chunk_rows: Option<usize>) -> Self {
        Self {
            outlet,
            epoch,
            chunk_rows,
            results: List::default(),
            statement: Statement::default(),
            too_large: false,
        }
    }

    /// Begins the result of statement `id`.
    pub(crate) fn begin(&mut self, id: usize, chunks: Chunks) {
        self.statement = Statement {
            id,
            chunks,
            ..Statement::default()
        };
    }

    /// Takes a piece of a series.
    pub(crate) fn series(&mut self, mut series: Series) -> Result<(), Gone> {
        let rows = std::mem::take(&mut series.values);
        let goes_on = self
            .statement
            .head
            .as_ref()
            .is_some_and(|head| super::json::same_series(head, &series));
        if !goes_on {
            self.end_series(false);
            let chunks = self.statement.chunks;
            if self.chunk_rows.is_some()
                && self.statement.series.count > 0
                && chunks != Chunks::Whole
            {
                self.end_document(chunks == Chunks::Rows)?;
            }
            self.statement.head = Some(series);
        }
        for row in &rows {
            if self.chunk_is_full() {
                let head = self.statement.head.clone();
                self.end_series(true);
                self.end_document(true)?;
                self.statement.head = head;
            }
            let epoch = self.epoch;
            let out = self.statement.rows.item();
            put_list(out, u32::try_from(row.len()).unwrap_or(u32::MAX));
            for (at, value) in row.iter().enumerate() {
                put_value(out, value, at, epoch);
            }
            let held = self.results.items.len()
                + self.statement.series.items.len()
                + self.statement.rows.items.len();
            if held > DOCUMENT_BYTES_MAX {
                self.too_large = true;
                return Err(Gone);
            }
        }
        // Notices here that nobody waits any more.
        self.outlet.flush_if_full().map(|_| ())
    }

    /// Takes a remark.
    pub(crate) fn message(&mut self, message: Message) {
        self.statement.messages.push(message);
    }

    /// The current series was cut off by the limit of rows.
    pub(crate) fn cut(&mut self) {
        self.statement.cut = true;
    }

    /// Ends the result of the current statement, which may have failed.
    pub(crate) fn end(&mut self, error: Option<String>) -> Result<(), Gone> {
        let error = match std::mem::take(&mut self.too_large) {
            true => Some(format!(
                "the answer is larger than {DOCUMENT_BYTES_MAX} bytes, which MessagePack cannot stream: ask with chunked=true"
            )),
            false => error,
        };
        let cut = self.statement.cut;
        self.end_series(cut);
        if let Some(error) = error {
            if self.chunk_rows.is_some() && self.statement.series.count > 0 {
                self.end_document(true)?;
            }
            let out = self.results.item();
            put_map(out, 1);
            put_string(out, b"error");
            put_string(out, error.as_bytes());
        } else {
            self.end_result(false);
        }
        self.statement = Statement::default();
        if self.chunk_rows.is_some() {
            return self.flush();
        }
        Ok(())
    }

    /// Ends the answer; returns its length.
    pub(crate) fn finish(mut self) -> Result<u64, Gone> {
        if self.chunk_rows.is_none() {
            let out = self.outlet.buffer();
            put_map(out, 1);
            put_string(out, b"results");
            self.results.append_to(out);
        }
        self.outlet.finish()
    }

    fn chunk_is_full(&self) -> bool {
        let rows = usize::try_from(self.statement.rows.count).unwrap_or(usize::MAX);
        self.statement.chunks == Chunks::Rows
            && self.chunk_rows.is_some_and(|chunk_rows| rows >= chunk_rows)
    }

    fn end_series(&mut self, partial: bool) {
        let Some(head) = self.statement.head.take() else {
            return;
        };
        let rows = std::mem::take(&mut self.statement.rows);
        let name = head.name.filter(|name| !name.is_empty());
        let tags = head.tags.filter(|tags| !tags.is_empty());
        let members =
            2 + u32::from(name.is_some()) + u32::from(tags.is_some()) + u32::from(partial);
        let out = self.statement.series.item();
        put_map(out, members);
        if let Some(name) = name {
            put_string(out, b"name");
            put_string(out, &name);
        }
        if let Some(tags) = tags {
            put_string(out, b"tags");
            put_map(out, u32::try_from(tags.len()).unwrap_or(u32::MAX));
            for (key, value) in tags {
                put_string(out, &key);
                put_string(out, &value);
            }
        }
        put_string(out, b"columns");
        put_list(out, u32::try_from(head.columns.len()).unwrap_or(u32::MAX));
        for column in &head.columns {
            put_string(out, column);
        }
        put_string(out, b"values");
        rows.append_to(out);
        if partial {
            put_string(out, b"partial");
            out.push(0xc3);
        }
    }

    fn end_result(&mut self, partial: bool) {
        let series = std::mem::take(&mut self.statement.series);
        let messages = std::mem::take(&mut self.statement.messages);
        let id = self.statement.id;
        let members = 2 + u32::from(!messages.is_empty()) + u32::from(partial);
        let out = self.results.item();
        put_map(out, members);
        put_string(out, b"statement_id");
        put_integer(out, i64::try_from(id).unwrap_or(i64::MAX));
        if !messages.is_empty() {
            put_string(out, b"messages");
            put_list(out, u32::try_from(messages.len()).unwrap_or(u32::MAX));
            for message in messages {
                put_map(out, 2);
                put_string(out, b"level");
                put_string(out, message.level.to_string().as_bytes());
                put_string(out, b"text");
                put_string(out, message.text.as_bytes());
            }
        }
        put_string(out, b"series");
        series.append_to(out);
        if partial {
            put_string(out, b"partial");
            out.push(0xc3);
        }
    }

    /// Ends a document in the middle of a statement.
    fn end_document(&mut self, partial: bool) -> Result<(), Gone> {
        self.end_result(partial);
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let results = std::mem::take(&mut self.results);
        let out = self.outlet.buffer();
        put_map(out, 1);
        put_string(out, b"results");
        results.append_to(out);
        self.outlet.flush()
    }
}

/// The body of an answer that is an error as a whole.
pub(crate) fn error_body(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_map(&mut out, 1);
    put_string(&mut out, b"error");
    put_string(&mut out, text.as_bytes());
    out
}

fn put_value(out: &mut Vec<u8>, value: &Value, at: usize, epoch: Epoch) {
    match value {
        Value::Null => out.push(0xc0),
        // Only the first column is printed by the request's epoch.
        Value::Time(time_ns) => match epoch {
            Epoch::Units { ns } if at == 0 => put_integer(out, time_ns / ns),
            _ => put_time(out, *time_ns),
        },
        Value::Float(value) if value.is_nan() => out.push(0xc0),
        Value::Float(value) => {
            out.push(0xcb);
            out.extend_from_slice(&value.to_bits().to_be_bytes());
        }
        Value::Integer(value) => put_integer(out, *value),
        Value::Unsigned(value) => put_unsigned(out, *value),
        Value::Boolean(value) => out.push(0xc2 | u8::from(*value)),
        Value::String(value) => put_string(out, value),
        Value::Strings(values) => {
            put_list(out, u32::try_from(values.len()).unwrap_or(u32::MAX));
            for value in values {
                put_string(out, value);
            }
        }
    }
}

fn put_time(out: &mut Vec<u8>, time_ns: i64) {
    let seconds = time_ns.div_euclid(1_000_000_000);
    let nanos = time_ns.rem_euclid(1_000_000_000) as u32;
    out.extend_from_slice(&[0xc7, 12, TIME_EXTENSION]);
    out.extend_from_slice(&seconds.to_be_bytes());
    out.extend_from_slice(&nanos.to_be_bytes());
}

/// As tinylib/msgp does: signed forms, also for what is not negative.
fn put_integer(out: &mut Vec<u8>, value: i64) {
    if (-32..=127).contains(&value) {
        out.push(value as u8);
    } else if let Ok(value) = i8::try_from(value) {
        out.push(0xd0);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn put_unsigned(out: &mut Vec<u8>, value: u64) {
    if let Ok(value) = u8::try_from(value) {
        if value > 127 {
            out.push(0xcc);
        }
        out.push(value);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xcd);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xce);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    let length = text.len();
    if length < 32 {
        out.push(0xa0 | length as u8);
    } else if let Ok(length) = u8::try_from(length) {
        out.extend_from_slice(&[0xd9, length]);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(0xda);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        // A string of 4 GiB is beyond what any body can bring.
        out.push(0xdb);
        out.extend_from_slice(&(length as u32).to_be_bytes());
    }
    out.extend_from_slice(text);
}

fn put_list(out: &mut Vec<u8>, length: u32) {
    put_head(out, length, 0x90, 0xdc);
}

fn put_map(out: &mut Vec<u8>, length: u32) {
    put_head(out, length, 0x80, 0xde);
}

/// The head of a list or map: in one byte, in three (`long`), or in five (`long + 1`).
fn put_head(out: &mut Vec<u8>, length: u32, short: u8, long: u8) {
    if length < 16 {
        out.push(short | length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(long);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(long + 1);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_little_as_msgp_gives_them() {
        for (value, bytes) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0xd1, 0, 128]),
            (-32, &[0xe0]),
            (-33, &[0xd0, 0xdf]),
            (-129, &[0xd1, 0xff, 0x7f]),
            (40_000, &[0xd2, 0, 0, 0x9c, 0x40]),
            (i64::MIN, &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            let mut out = Vec::new();
            put_integer(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
        for (value, bytes) in [
            (127, &[127][..]),
            (255, &[0xcc, 255]),
            (256, &[0xcd, 1, 0]),
            (65_536, &[0xce, 0, 1, 0, 0]),
            (u64::MAX, &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            let mut out = Vec::new();
            put_unsigned(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
    }

    #[test]
    fn times_before_1970_have_positive_nanoseconds() {
        let mut out = Vec::new();
        put_time(&mut out, -1);
        assert_eq!(
            out,
            [
                0xc7, 12, 5, 255, 255, 255, 255, 255, 255, 255, 255, 0x3b, 0x9a, 0xc9, 0xff
            ]
        );
    }

    #[test]
    fn heads_grow_with_their_lengths() {
        for (length, bytes) in [
            (15, &[0x9f][..]),
            (16, &[0xdc, 0, 16]),
            (65_536, &[0xdd, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            put_list(&mut out, length);
            assert_eq!(out, bytes);
        }
        assert_eq!(
            error_body("x"),
            [0x81, 0xa5, b'e', b'r', b'r', b'o', b'r', 0xa1, b'x']
        );
    }
}
