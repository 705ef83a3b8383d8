//! Turning results into bytes, while they are computed.

mod accept;
mod block;
mod csv;
mod json;
mod layout;
mod msgpack;
mod number;
mod outlet;
mod time;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tandem_http::{Gone, write_json_string};
use tandem_query::{Block, Message, Series, Sink};
use tokio::sync::oneshot;

pub(crate) use self::{
    accept::Format,
    json::Chunks,
    number::write_plain_float,
    outlet::{Opening, Outlet},
    time::{Epoch, write_rfc3339},
};
use self::{csv::CsvOutput, json::JsonOutput, layout::Layout, msgpack::MsgpackOutput};

/// What a request wants its answer to look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// JSON, CSV or MessagePack.
    pub(crate) format: Format,
    /// Indented JSON.
    pub(crate) pretty: bool,
    /// How times are printed.
    pub(crate) epoch: Epoch,
    /// Rows a document of a chunked answer.
    pub(crate) chunk_rows: Option<usize>,
    /// Rows of an answer that is not chunked; the rest is left out, and the series says so.
    pub(crate) rows_max: Option<usize>,
}

/// Writes the answer of one request: for each statement [`Output::begin`], what the executor hands
/// over as to a [`Sink`], and [`Output::end`].
pub(crate) struct Output {
    form: Form,
    /// Rows that may still come.
    rows_left: Option<usize>,
    /// More came than may.
    cut: bool,
    /// What the last rows belonged to, once no more may come.
    last: Option<Series>,
}

enum Form {
    Json(Box<JsonOutput>),
    Csv(Box<CsvOutput>),
    Msgpack(Box<MsgpackOutput>),
}

impl Output {
    pub(crate) fn new(style: Style, outlet: Outlet) -> Self {
        let (epoch, chunk_rows) = (style.epoch, style.chunk_rows);
        let form = match style.format {
            Format::Json => Form::Json(Box::new(JsonOutput::new(
                outlet,
                style.pretty,
                epoch,
                chunk_rows,
            ))),
            Format::Csv { .. } => Form::Csv(Box::new(CsvOutput::new(
                outlet,
                epoch,
                chunk_rows.is_some(),
            ))),
            Format::Msgpack => {
                Form::Msgpack(Box::new(MsgpackOutput::new(outlet, epoch, chunk_rows)))
            }
        };
        Self {
            form,
            rows_left: style.rows_max.filter(|_| chunk_rows.is_none()),
            cut: false,
            last: None,
        }
    }

    /// Begins the result of statement `id`.
    pub(crate) fn begin(&mut self, id: usize, chunks: Chunks) {
        match &mut self.form {
            Form::Json(json) => json.begin(id, chunks),
            Form::Csv(csv) => csv.begin(),
            Form::Msgpack(msgpack) => msgpack.begin(id, chunks),
        }
    }

    /// Ends it, with InfluxDB's text of what went wrong.
    pub(crate) fn end(&mut self, error: Option<String>) -> Result<(), Gone> {
        // A statement that was ended because enough had come did not fail.
        let error = error.filter(|_| !self.cut);
        match &mut self.form {
            Form::Json(json) => json.end(error),
            Form::Csv(_) => Ok(()),
            Form::Msgpack(msgpack) => msgpack.end(error),
        }
    }

    /// Whether no more statements are wanted: there are as many rows as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.rows_left == Some(0)
    }

    /// Ends the answer; returns its length in bytes, before gzip.
    pub(crate) fn finish(self) -> Result<u64, Gone> {
        match self.form {
            Form::Json(json) => json.finish(),
            Form::Csv(csv) => csv.finish(),
            Form::Msgpack(msgpack) => msgpack.finish(),
        }
    }

    fn write(&mut self, series: Series) -> Result<(), Gone> {
        match &mut self.form {
            Form::Json(json) => json.series(series),
            Form::Csv(csv) => csv.series(&series),
            Form::Msgpack(msgpack) => msgpack.series(series),
        }
    }

    /// Ends the statement: a row too many has come.
    fn cut(&mut self, in_series: bool) -> Gone {
        self.cut = true;
        match &mut self.form {
            Form::Json(json) if in_series => json.cut(),
            Form::Msgpack(msgpack) if in_series => msgpack.cut(),
            _ => {}
        }
        Gone
    }
}

impl Sink for Output {
    fn series(&mut self, mut series: Series) -> Result<(), tandem_query::Gone> {
        let gone = |Gone| tandem_query::Gone;
        let Some(left) = self.rows_left else {
            return self.write(series).map_err(gone);
        };
        if left == 0 {
            let goes_on = self
                .last
                .as_ref()
                .is_some_and(|last| json::same_series(last, &series));
            return Err(gone(self.cut(goes_on)));
        }
        let rows = series.values.len();
        series.values.truncate(left);
        self.rows_left = Some(left - series.values.len());
        if self.rows_left == Some(0) {
            let values = std::mem::take(&mut series.values);
            self.last = Some(series.clone());
            series.values = values;
        }
        self.write(series).map_err(gone)?;
        if rows > left {
            return Err(gone(self.cut(true)));
        }
        Ok(())
    }

    fn block(&mut self, head: &Series, block: &Block<'_>) -> Result<(), tandem_query::Gone> {
        if let (Form::Json(json), None) = (&mut self.form, self.rows_left)
            && json.block(head, block).map_err(|Gone| tandem_query::Gone)?
        {
            return Ok(());
        }
        self.series(Series {
            values: block.values(),
            ..head.clone()
        })
    }

    fn message(&mut self, message: Message) {
        match &mut self.form {
            Form::Json(json) => json.message(message),
            Form::Csv(_) => {}
            Form::Msgpack(msgpack) => msgpack.message(message),
        }
    }
}

/// What the API answers to one statement as JSON, with times in nanoseconds; `execute` hands its result over, and is
/// told that nobody reads when it has become longer than a small answer (256 KiB): then there is none.
pub fn json_answer(execute: impl FnOnce(&mut dyn Sink)) -> Option<Bytes> {
    let style = Style {
        format: Format::Json,
        pretty: false,
        epoch: Epoch::Units { ns: 1 },
        chunk_rows: None,
        rows_max: None,
    };
    let (opening, mut opened) = oneshot::channel();
    let outlet = Outlet::new(opening, false, Duration::ZERO, Arc::default()).in_one_piece();
    let mut output = Output::new(style, outlet);
    output.begin(0, Chunks::default());
    execute(&mut output);
    output.end(None).ok()?;
    output.finish().ok()?;
    match opened.try_recv() {
        Ok(Opening::Whole(answer)) => Some(answer),
        _ => None,
    }
}

/// The body of an answer that is an error as a whole.
pub(crate) fn error_body(format: Format, pretty: bool, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    match format {
        Format::Json => {
            let mut layout = Layout::new(pretty);
            layout.open(&mut out, b'{');
            layout.key(&mut out, "error");
            write_json_string(&mut out, text.as_bytes());
            layout.close(&mut out, b'}');
        }
        Format::Csv { .. } => {
            out.extend_from_slice(b"error\n");
            csv::write_field(&mut out, text.as_bytes());
        }
        Format::Msgpack => return msgpack::error_body(text),
    }
    out.push(b'\n');
    out
}
