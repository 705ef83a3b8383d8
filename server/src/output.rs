//! Turning results into bytes, while they are computed.

mod accept;
mod csv;
mod json;
mod layout;
mod number;
mod outlet;
mod time;

#[cfg(test)]
mod tests;

use tandem_http::{Gone, write_json_string};
use tandem_query::{Message, Series, Sink};

pub(crate) use self::{
    accept::Format,
    json::Chunks,
    outlet::{Opening, Outlet},
    time::Epoch,
};
use self::{csv::CsvOutput, json::JsonOutput, layout::Layout};

/// What a request wants its answer to look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// JSON or CSV.
    pub(crate) format: Format,
    /// Indented JSON.
    pub(crate) pretty: bool,
    /// How times are printed.
    pub(crate) epoch: Epoch,
    /// Rows a document of a chunked answer.
    pub(crate) chunk_rows: Option<usize>,
}

/// Writes the answer of one request: for each statement [`Output::begin`], what the executor hands
/// over as to a [`Sink`], and [`Output::end`].
pub(crate) enum Output {
    Json(Box<JsonOutput>),
    Csv(Box<CsvOutput>),
}

impl Output {
    pub(crate) fn new(style: Style, outlet: Outlet) -> Self {
        match style.format {
            Format::Json => Self::Json(Box::new(JsonOutput::new(
                outlet,
                style.pretty,
                style.epoch,
                style.chunk_rows,
            ))),
            Format::Csv { .. } => Self::Csv(Box::new(CsvOutput::new(
                outlet,
                style.epoch,
                style.chunk_rows.is_some(),
            ))),
        }
    }

    /// Begins the result of statement `id`.
    pub(crate) fn begin(&mut self, id: usize, chunks: Chunks) {
        match self {
            Self::Json(json) => json.begin(id, chunks),
            Self::Csv(csv) => csv.begin(),
        }
    }

    /// Ends it, with InfluxDB's text of what went wrong.
    pub(crate) fn end(&mut self, error: Option<String>) -> Result<(), Gone> {
        match self {
            Self::Json(json) => json.end(error),
            Self::Csv(_) => Ok(()),
        }
    }

    /// Ends the answer; returns its length in bytes, before gzip.
    pub(crate) fn finish(self) -> Result<u64, Gone> {
        match self {
            Self::Json(json) => json.finish(),
            Self::Csv(csv) => csv.finish(),
        }
    }
}

impl Sink for Output {
    fn series(&mut self, series: Series) -> Result<(), tandem_query::Gone> {
        let written = match self {
            Self::Json(json) => json.series(series),
            Self::Csv(csv) => csv.series(&series),
        };
        written.map_err(|Gone| tandem_query::Gone)
    }

    fn message(&mut self, message: Message) {
        if let Self::Json(json) = self {
            json.message(message);
        }
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
    }
    out.push(b'\n');
    out
}
