//! A query's answer as JSON, byte for byte as InfluxDB writes it, while it is computed.
//!
//! Not chunked, an answer is one document: `{"results":[…]}`. As long as a statement's beginning is
//! still held, an error takes the place of its series, as in InfluxDB; after that the series end
//! where they are and the error follows them. Chunked, a document holds at most `chunk_rows` rows of
//! one series, and says `"partial":true` of a series and of a statement that goes on.

use jiff::tz::TimeZone;
use tandem_http::{Gone, write_json_string};
use tandem_query::{Block, Message, Series, Value};

use super::{
    block::{Printed, printed},
    layout::Layout,
    number::{write_integer, write_json_float},
    outlet::Outlet,
    time::{Day, Epoch, write_rfc3339, write_units},
};

/// Writes the answer of one request.
pub(crate) struct JsonOutput {
    outlet: Outlet,
    layout: Layout,
    epoch: Epoch,
    /// Rows a document; `None`: all in one document.
    chunk_rows: Option<usize>,
    /// The list of results is open.
    results: bool,
    statement: Statement,
    /// The day of the last time in columns.
    day: Day,
    /// JSON's word for a value that it cannot hold.
    unsupported: Option<&'static str>,
}

/// How the answer to a statement is cut into documents when a chunked answer is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// After so many rows, and after each series.
    #[default]
    Rows,
    /// After each series, without saying that more follows.
    Series,
    /// Not at all.
    Whole,
}

/// What of the current statement has been written.
#[derive(Default)]
struct Statement {
    id: usize,
    chunks: Chunks,
    /// Where its result begins in the buffer, and the punctuation there; `None` once it has left.
    mark: Option<(usize, Option<Layout>)>,
    /// Its result object is open.
    result: bool,
    /// The list of series is open.
    list: bool,
    /// The series that is open.
    series: Option<Open>,
    messages: Vec<Message>,
    /// The open series was cut off by the limit of rows.
    cut: bool,
}

/// A series whose closing brackets are not written yet.
struct Open {
    head: Series,
    zone: Option<TimeZone>,
    /// Rows in this document.
    rows: usize,
}

impl JsonOutput {
    pub(crate) fn new(
        outlet: Outlet,
        pretty: bool,
        epoch: Epoch,
        chunk_rows: Option<usize>,
    ) -> Self {
        Self {
            outlet,
            layout: Layout::new(pretty),
            epoch,
            chunk_rows,
            results: false,
            statement: Statement::default(),
            day: Day::default(),
            unsupported: None,
        }
    }

    /// Begins the result of statement `id`.
    pub(crate) fn begin(&mut self, id: usize, chunks: Chunks) {
        let mark = (
            self.outlet.buffer().len(),
            self.results.then_some(self.layout),
        );
        self.statement = Statement {
            id,
            chunks,
            mark: Some(mark),
            ..Statement::default()
        };
    }

    /// Takes a piece of a series.
    pub(crate) fn series(&mut self, mut series: Series) -> Result<(), Gone> {
        let rows = std::mem::take(&mut series.values);
        let zone = series
            .time_zone
            .as_deref()
            .and_then(|name| TimeZone::get(name).ok());
        let goes_on = self
            .statement
            .series
            .as_ref()
            .is_some_and(|open| same_series(&open.head, &series));
        if !goes_on {
            self.leave_series()?;
            self.begin_series(series, zone);
        }
        for row in &rows {
            if self.chunk_is_full() {
                self.continue_in_next_document()?;
            }
            self.row(row);
            if self.outlet.flush_if_full()? {
                self.statement.mark = None;
            }
        }
        Ok(())
    }

    /// Takes rows in columns, as a piece of the series `head`; false where they have to come as values.
    pub(crate) fn block(&mut self, head: &Series, block: &Block<'_>) -> Result<bool, Gone> {
        if self.layout.pretty() {
            return Ok(false);
        }
        let Some(columns) = printed(block) else {
            return Ok(false);
        };
        let open = self.statement.series.as_ref();
        if !open.is_some_and(|open| same_series(&open.head, head)) {
            let zone = head.time_zone.as_deref();
            let zone = zone.and_then(|name| TimeZone::get(name).ok());
            // There may be many small series, which mostly have the same columns.
            let last = self.leave_series()?.map(|open| open.head);
            let mut own = last.unwrap_or_default();
            own.name.clone_from(&head.name);
            own.tags.clone_from(&head.tags);
            own.columns.clone_from(&head.columns);
            own.time_zone.clone_from(&head.time_zone);
            self.begin_series(own, zone);
        }
        for at in 0..block.len() {
            if self.chunk_is_full() {
                self.continue_in_next_document()?;
            }
            self.block_row(block, &columns, block.source(at));
            if self.outlet.flush_if_full()? {
                self.statement.mark = None;
            }
        }
        Ok(true)
    }

    /// Appends row `row` of a block, not indented.
    fn block_row(&mut self, block: &Block<'_>, columns: &[Printed<'_>], row: usize) {
        let Some(open) = &mut self.statement.series else {
            return;
        };
        let (layout, out) = (&mut self.layout, self.outlet.buffer());
        if open.rows == 0 {
            layout.key(out, "values");
            layout.open(out, b'[');
        }
        open.rows += 1;
        layout.item(out);
        out.push(b'[');
        let time_ns = block.times_ns[row];
        match self.epoch {
            Epoch::Units { ns } => write_units(out, time_ns, ns),
            Epoch::Rfc3339 => match &open.zone {
                None => self.day.write_quoted(out, time_ns),
                zone => {
                    out.push(b'"');
                    write_rfc3339(out, time_ns, zone.as_ref());
                    out.push(b'"');
                }
            },
        }
        for column in columns {
            column.write(out, row);
        }
        out.push(b']');
    }

    /// Ends the series before another begins, and its document where answers are cut there; hands back
    /// what it was.
    fn leave_series(&mut self) -> Result<Option<Open>, Gone> {
        let last = self.end_series(false);
        if self.chunk_rows.is_some()
            && self.statement.list
            && self.statement.chunks != Chunks::Whole
        {
            self.end_document(self.statement.chunks == Chunks::Rows)?;
        }
        Ok(last)
    }

    /// The current series was cut off by the limit of rows.
    pub(crate) fn cut(&mut self) {
        self.statement.cut = true;
    }

    /// Takes a remark.
    pub(crate) fn message(&mut self, message: Message) {
        self.statement.messages.push(message);
    }

    /// Ends the result of the current statement, which may have failed.
    pub(crate) fn end(&mut self, error: Option<String>) -> Result<(), Gone> {
        let unsupported = self
            .unsupported
            .filter(|_| !self.outlet.holds_all() || self.chunk_rows.is_some());
        let error = error.or_else(|| unsupported.map(str::to_owned));
        if error.is_some() && self.chunk_rows.is_none() {
            self.go_back();
        }
        self.end_series(self.statement.cut);
        if error.is_some() && self.chunk_rows.is_some() && self.statement.list {
            self.end_document(true)?;
        }
        self.begin_result();
        self.end_list();
        self.messages();
        if let Some(error) = error {
            self.layout.key(self.outlet.buffer(), "error");
            write_json_string(self.outlet.buffer(), error.as_bytes());
        }
        self.end_result(false);
        if self.chunk_rows.is_some() {
            self.unsupported = None;
            return self.close_document();
        }
        self.outlet.flush_if_full().map(|_| ())
    }

    /// Ends the answer; returns its length.
    pub(crate) fn finish(mut self) -> Result<u64, Gone> {
        match self.unsupported.filter(|_| self.outlet.holds_all()) {
            Some(text) => {
                // As InfluxDB: one such value, and there is no result at all.
                self.outlet.buffer().clear();
                self.layout = Layout::new(self.layout.pretty());
                self.layout.open(self.outlet.buffer(), b'{');
                self.layout.key(self.outlet.buffer(), "error");
                write_json_string(self.outlet.buffer(), text.as_bytes());
                self.layout.close(self.outlet.buffer(), b'}');
                self.outlet.buffer().push(b'\n');
            }
            None if self.results => self.close_results(),
            None if self.chunk_rows.is_none() => self.outlet.buffer().extend_from_slice(b"{}\n"),
            None => {}
        }
        self.outlet.finish()
    }

    fn go_back(&mut self) {
        let Some((length, layout)) = self.statement.mark else {
            return;
        };
        self.outlet.buffer().truncate(length);
        self.results = layout.is_some();
        self.layout = layout.unwrap_or(Layout::new(self.layout.pretty()));
        let id = self.statement.id;
        self.statement = Statement {
            id,
            mark: self.statement.mark,
            ..Statement::default()
        };
    }

    fn begin_result(&mut self) {
        if self.statement.result {
            return;
        }
        let out = self.outlet.buffer();
        if !self.results {
            self.layout.open(out, b'{');
            self.layout.key(out, "results");
            self.layout.open(out, b'[');
            self.results = true;
        }
        self.layout.item(out);
        self.layout.open(out, b'{');
        self.layout.key(out, "statement_id");
        write_integer(out, self.statement.id);
        self.statement.result = true;
    }

    fn begin_series(&mut self, head: Series, zone: Option<TimeZone>) {
        self.begin_result();
        let (layout, out) = (&mut self.layout, self.outlet.buffer());
        if !self.statement.list {
            layout.key(out, "series");
            layout.open(out, b'[');
            self.statement.list = true;
        }
        layout.item(out);
        layout.open(out, b'{');
        if let Some(name) = head.name.as_ref().filter(|name| !name.is_empty()) {
            layout.key(out, "name");
            write_json_string(out, name);
        }
        if let Some(tags) = head.tags.as_ref().filter(|tags| !tags.is_empty()) {
            layout.key(out, "tags");
            layout.open(out, b'{');
            for (key, value) in tags {
                layout.item(out);
                write_json_string(out, key);
                layout.colon(out);
                write_json_string(out, value);
            }
            layout.close(out, b'}');
        }
        if !head.columns.is_empty() {
            layout.key(out, "columns");
            layout.open(out, b'[');
            for column in &head.columns {
                layout.item(out);
                write_json_string(out, column);
            }
            layout.close(out, b']');
        }
        self.statement.series = Some(Open {
            head,
            zone,
            rows: 0,
        });
    }

    fn row(&mut self, row: &[Value]) {
        let Some(open) = &mut self.statement.series else {
            return;
        };
        let (layout, out) = (&mut self.layout, self.outlet.buffer());
        if open.rows == 0 {
            layout.key(out, "values");
            layout.open(out, b'[');
        }
        open.rows += 1;
        layout.item(out);
        layout.open(out, b'[');
        for (at, value) in row.iter().enumerate() {
            layout.item(out);
            match value {
                Value::Null => out.extend_from_slice(b"null"),
                // Only the first column is printed by the request's epoch.
                Value::Time(time_ns) => match self.epoch {
                    Epoch::Units { ns } if at == 0 => write_units(out, *time_ns, ns),
                    _ => {
                        out.push(b'"');
                        write_rfc3339(out, *time_ns, open.zone.as_ref());
                        out.push(b'"');
                    }
                },
                Value::Float(value) if value.is_finite() => write_json_float(out, *value),
                Value::Float(value) => {
                    if value.is_infinite() {
                        let sign = value.is_sign_positive();
                        let text = if sign {
                            "json: unsupported value: +Inf"
                        } else {
                            "json: unsupported value: -Inf"
                        };
                        self.unsupported = self.unsupported.or(Some(text));
                    }
                    out.extend_from_slice(b"null");
                }
                Value::Integer(value) => write_integer(out, *value),
                Value::Unsigned(value) => write_integer(out, *value),
                Value::Boolean(true) => out.extend_from_slice(b"true"),
                Value::Boolean(false) => out.extend_from_slice(b"false"),
                Value::String(value) => write_json_string(out, value),
                Value::Strings(values) => {
                    layout.open(out, b'[');
                    for value in values {
                        layout.item(out);
                        write_json_string(out, value);
                    }
                    layout.close(out, b']');
                }
            }
        }
        layout.close(out, b']');
    }

    /// Closes the open series, and hands back what it was.
    fn end_series(&mut self, partial: bool) -> Option<Open> {
        let open = self.statement.series.take()?;
        let out = self.outlet.buffer();
        if open.rows > 0 {
            self.layout.close(out, b']');
        }
        if partial {
            self.layout.key(out, "partial");
            out.extend_from_slice(b"true");
        }
        self.layout.close(out, b'}');
        Some(open)
    }

    fn end_list(&mut self) {
        if self.statement.list {
            self.layout.close(self.outlet.buffer(), b']');
            self.statement.list = false;
        }
    }

    fn messages(&mut self) {
        let messages = std::mem::take(&mut self.statement.messages);
        if messages.is_empty() {
            return;
        }
        let (layout, out) = (&mut self.layout, self.outlet.buffer());
        layout.key(out, "messages");
        layout.open(out, b'[');
        for message in messages {
            layout.item(out);
            layout.open(out, b'{');
            layout.key(out, "level");
            write_json_string(out, message.level.to_string().as_bytes());
            layout.key(out, "text");
            write_json_string(out, message.text.as_bytes());
            layout.close(out, b'}');
        }
        layout.close(out, b']');
    }

    fn end_result(&mut self, partial: bool) {
        let out = self.outlet.buffer();
        if partial {
            self.layout.key(out, "partial");
            out.extend_from_slice(b"true");
        }
        self.layout.close(out, b'}');
        self.statement.result = false;
    }

    fn close_results(&mut self) {
        let out = self.outlet.buffer();
        self.layout.close(out, b']');
        self.layout.close(out, b'}');
        out.push(b'\n');
        self.results = false;
    }

    fn chunk_is_full(&self) -> bool {
        let rows = self.statement.series.as_ref().map_or(0, |open| open.rows);
        self.statement.chunks == Chunks::Rows
            && self.chunk_rows.is_some_and(|chunk_rows| rows >= chunk_rows)
    }

    fn continue_in_next_document(&mut self) -> Result<(), Gone> {
        if let Some(open) = self.end_series(true) {
            self.end_document(true)?;
            self.begin_series(open.head, open.zone);
        }
        Ok(())
    }

    /// Ends a document in the middle of a statement.
    fn end_document(&mut self, partial: bool) -> Result<(), Gone> {
        self.end_list();
        self.end_result(partial);
        self.close_document()
    }

    fn close_document(&mut self) -> Result<(), Gone> {
        self.close_results();
        self.outlet.flush()
    }
}

/// Whether `b` goes on where `a` ended (influxdata/influxdb models/rows.go, `SameSeries`).
pub(super) fn same_series(a: &Series, b: &Series) -> bool {
    a.name == b.name && a.tags == b.tags && a.columns == b.columns
}
