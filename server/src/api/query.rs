//! `/query`: statements in, results out while they are computed.
//!
//! A query runs on a thread of its own, unless it is done in no time (`at_once`). It ends when its client
//! goes away, also in the middle of a computation that has not written anything yet. What goes wrong while it
//! runs is part of an answer with status 200.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use tandem_http::{
    Body, HeaderValue, Incoming, Method, Params, Response, StatusCode, empty, header,
};
use tandem_influxql::{
    ast::{Query, Statement},
    parse_query,
};
use tandem_query::{Context, Gone, Message, Running, Series, Sink};
use tokio::sync::oneshot;
use tracing::info;

use super::{Api, Ask, SetOnDrop, at_once::Small, bind_params, finished, multipart, now_ns};
use crate::{
    auth::Identity,
    output::{Chunks, Epoch, Opening, Outlet, Output, Style},
    statements::{RunError, Runner},
};

/// What a statement that comes after a failed one is answered with.
const NOT_EXECUTED: &str = "not executed";

impl Api {
    pub(super) async fn query(
        &self,
        ask: &Ask,
        identity: Identity,
        body: &mut Incoming,
    ) -> Response<Body> {
        let begun = Instant::now();
        self.counters.queries.add(1);
        let response = match self.run_query(ask, identity, body).await {
            Ok(response) | Err(response) => response,
        };
        self.counters
            .query_ns
            .add(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        response
    }

    async fn run_query(
        &self,
        ask: &Ask,
        identity: Identity,
        body: &mut Incoming,
    ) -> Result<Response<Body>, Response<Body>> {
        let bad = |text: &str| ask.bad(text);
        let params = self.form(ask, body).await?;
        let text = params
            .get("q")
            .map(str::trim)
            .filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| bad("missing required parameter \"q\""))?;
        let bound = match params.get_filled("params") {
            Some(json) => bind_params::parse(json).map_err(|text| bad(&text))?,
            None => tandem_influxql::Params::new(),
        };
        let query = parse_query(text, &bound)
            .map_err(|error| bad(&format!("error parsing query: {error}")))?;

        let database = params.get_filled("db");
        identity
            .authorize_query(&self.catalog, &query, database)
            .map_err(|denied| self.denied(ask, denied))?;

        let is = |name, value| params.get(name) == Some(value);
        let chunk_rows = params
            .get("chunk_size")
            .and_then(|text| text.parse().ok())
            .filter(|&rows| rows > 0);
        let chunk_rows = chunk_rows
            .unwrap_or(self.config.chunk_rows)
            .min(self.config.chunk_rows_max);
        let style = Style {
            format: ask.format,
            pretty: ask.pretty,
            epoch: Epoch::parse(params.get("epoch").unwrap_or_default()),
            chunk_rows: is("chunked", "true").then_some(chunk_rows),
            rows_max: Some(self.config.rows_max).filter(|&rows| rows > 0),
        };
        let gone = Arc::new(AtomicBool::new(false));
        let context = Context {
            database: database.map(str::to_owned),
            retention_policy: params.get_filled("rp").map(str::to_owned),
            now_ns: now_ns(),
            read_only: ask.method == Method::GET,
            cancel: gone.clone(),
            limits: self.config.query_limits,
            extensions: self.config.query_extensions,
            ..Context::default()
        };
        let look = self.at_once.look(&query, text, &style);
        // As InfluxDB lists it: the statements as they were read, without passwords.
        let text = query.to_string();

        let place = self.turn(&self.queries, 1, ask).await?;
        let runner = self.runner.clone();
        if is("async", "true") {
            tokio::task::spawn_blocking(move || {
                run_unheard(&runner, &query, text, context, &identity);
                drop(place);
            });
            return Ok(empty(StatusCode::NO_CONTENT));
        }

        let listed = listed(&runner, text, context);
        let gzip = super::takes_gzip(&ask.headers);
        let encoded = |body: Body| {
            let mut response = Response::new(body);
            if gzip {
                let encoding = HeaderValue::from_static("gzip");
                response
                    .headers_mut()
                    .insert(header::CONTENT_ENCODING, encoding);
            }
            response
        };
        if let (Some(look), Ok((_, context))) = (look, &listed) {
            let _active = self.counters.queries_active.hold();
            let small = Small {
                runner: &runner,
                query: &query,
                context,
                identity: &identity,
                style,
                gzip,
            };
            let answer = self.at_once.run(look, &small);
            if let Some((answer, bytes)) = answer {
                self.counters.query_bytes.add(bytes);
                return Ok(encoded(Body::from(answer)));
            }
        }
        let (opening, opened) = oneshot::channel();
        let (counters, stall_max) = (self.counters.clone(), self.config.reader_stall_max);
        let flag = gone.clone();
        let running = tokio::task::spawn_blocking(move || {
            let _active = counters.queries_active.hold();
            let output = Output::new(style, Outlet::new(opening, gzip, stall_max, flag));
            let context = listed.as_ref().map(|(_, context)| context);
            if let Ok(bytes) = run(&runner, &query, context, &identity, output) {
                counters.query_bytes.add(bytes);
            }
            drop((listed, place));
        });
        let guard = SetOnDrop::new(gone);
        let body = match opened.await {
            Ok(Opening::Whole(bytes)) => Body::from(bytes),
            Ok(Opening::Stream(body)) => body,
            // The thread has ended without an answer.
            Err(_) => {
                finished(running).await;
                return Err(ask.error(StatusCode::INTERNAL_SERVER_ERROR, "query interrupted"));
            }
        };
        guard.disarm();
        Ok(encoded(body))
    }

    /// The parameters: those of a form body first, then those of the URL, then a text that was
    /// uploaded as a file.
    async fn form(&self, ask: &Ask, body: &mut Incoming) -> Result<Params, Response<Body>> {
        let content_type = ask
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is_form = media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let is_multipart = media_type.eq_ignore_ascii_case("multipart/form-data");
        if ask.method != Method::POST || !(is_form || is_multipart) {
            return Ok(ask.params.clone());
        }
        let mut form = Vec::new();
        let read = self.read_held(body, &mut form).await;
        let _held = read.map_err(|(status, text)| ask.error(status, &text))?;
        if is_form {
            let mut params = Params::parse(&String::from_utf8_lossy(&form));
            params.append(&ask.params);
            return Ok(params);
        }
        // As in Go, what cannot be read of such a body counts as not sent.
        let parts = multipart::boundary(content_type)
            .map(|boundary| multipart::parts(&form, &boundary))
            .unwrap_or_default();
        let mut params = ask.params.clone();
        for part in parts.iter().filter(|part| !part.is_file) {
            params.push(&part.name, &String::from_utf8_lossy(part.content));
        }
        let has_text = params.get("q").is_some_and(|text| !text.trim().is_empty());
        let file = parts.iter().find(|part| part.is_file && part.name == "q");
        if let Some(file) = file.filter(|_| !has_text) {
            let mut with_file = Params::default();
            with_file.push("q", &String::from_utf8_lossy(file.content));
            with_file.append(&params);
            params = with_file;
        }
        Ok(params)
    }
}

/// Runs the statements one after another. After one that failed the others are not executed, and
/// each of them says so, so that results and statements stay paired.
pub(super) fn run(
    runner: &Runner,
    query: &Query,
    context: Result<&Context, &String>,
    identity: &Identity,
    mut output: Output,
) -> Result<u64, tandem_http::Gone> {
    let context = match context {
        Ok(context) => context,
        Err(error) => {
            output.begin(0, Chunks::Whole);
            output.end(Some(error.clone()))?;
            return output.finish();
        }
    };
    let mut failed = false;
    for (id, statement) in query.statements.iter().enumerate() {
        output.begin(id, chunks(statement));
        let error = if failed {
            Some(NOT_EXECUTED.to_owned())
        } else {
            let done = runner.execute(statement, context, identity, &mut output);
            failed = done.as_ref().is_err_and(RunError::ends_request);
            done.err().map(|error| error.to_string())
        };
        output.end(error)?;
        if output.is_full() {
            break;
        }
    }
    output.finish()
}

/// How InfluxDB cuts the answer to this kind of statement: what it runs as a `SELECT` by rows
/// (influxdata/influxdb coordinator/statement_executor.go).
fn chunks(statement: &Statement) -> Chunks {
    match statement {
        Statement::Select(_)
        | Statement::Explain(_)
        | Statement::ShowFieldKeys(_)
        | Statement::ShowSeries(_)
        | Statement::ShowSeriesCardinality(_)
        | Statement::ShowMeasurementCardinality(_)
        | Statement::ShowTagKeyCardinality(_)
        | Statement::ShowFieldKeyCardinality(_)
        | Statement::ShowTagValuesCardinality(_) => Chunks::Rows,
        Statement::ShowTagKeys(_) | Statement::ShowTagValues(_) => Chunks::Series,
        _ => Chunks::Whole,
    }
}

/// Runs the statements of a request that wants no answer.
fn run_unheard(
    runner: &Runner,
    query: &Query,
    text: String,
    context: Context,
    identity: &Identity,
) {
    let (_listed, context) = match listed(runner, text, context) {
        Ok(listed) => listed,
        Err(error) => {
            info!(%error, "a query that runs in the background was not begun");
            return;
        }
    };
    for statement in &query.statements {
        if let Err(error) = runner.execute(statement, &context, identity, &mut Unheard) {
            info!(%error, "a query that runs in the background failed");
            return;
        }
    }
}

/// Puts a query into the list of those that run, until what comes first is dropped.
fn listed(runner: &Runner, text: String, context: Context) -> Result<(Running, Context), String> {
    let running = runner
        .tasks()
        .attach(text, context.database.as_deref())
        .map_err(|error| error.to_string())?;
    let task = Some(running.task());
    Ok((running, Context { task, ..context }))
}

/// Takes results that nobody asked for.
pub(super) struct Unheard;

impl Sink for Unheard {
    fn series(&mut self, _: Series) -> Result<(), Gone> {
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}
