//! `/api/v1/prom/read`: one query of Prometheus, answered with the samples of all series that fit.
//!
//! It becomes a `SELECT value … GROUP BY *` and runs as any other query, with the same bounds; a
//! reader sees what `/query` would show. Labels are the series' tags. Only floats are answered, as by
//! InfluxDB. Unlike there, a regular expression has to match the whole value, as Prometheus means it,
//! and with authentication READ on the database is needed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tandem_http::{Body, HeaderValue, Incoming, Response, StatusCode, full, header};
use tandem_influxql::ast::{
    BinaryOp, DataType, Expr, Field, Measurement, Query, SelectStatement, Source, Statement,
    VarRef, Wildcard,
};
use tandem_query::{Context, Gone, Message, Series, Sink, Value};

use super::super::{Api, Ask, SetOnDrop, finished, now_ns};
use super::{FIELD, NAME_LABEL, unsnap, wire};
use crate::auth::Identity;

const MS_NS: i64 = 1_000_000;
/// Bytes of one answer, before Snappy. It cannot flow: Snappy wants to know its length.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Matchers of a query.
const MATCHERS_MAX: usize = 100;
const TOO_LARGE: &str = "the answer is too large, ask for fewer series or a shorter time";

/// What Prometheus asks for.
#[derive(Debug, Default)]
struct Question {
    start_ms: i64,
    end_ms: i64,
    matchers: Vec<Matcher>,
}

#[derive(Debug, Default)]
struct Matcher {
    kind: i64,
    name: String,
    value: String,
}

impl Api {
    pub(in crate::api) async fn prometheus_read(
        &self,
        ask: &Ask,
        identity: Identity,
        body: &mut Incoming,
    ) -> Response<Body> {
        self.counters.prometheus_reads.add(1);
        let (Ok(response) | Err(response)) = self.read_samples(ask, identity, body).await;
        response
    }

    async fn read_samples(
        &self,
        ask: &Ask,
        identity: Identity,
        body: &mut Incoming,
    ) -> Result<Response<Body>, Response<Body>> {
        let mut sent = Vec::new();
        let read = self.read_held(body, &mut sent).await;
        let _held = read.map_err(|(status, text)| ask.error(status, &text))?;
        let request = unsnap(&sent, self.config.body_bytes_max);
        let request = request.map_err(|error| {
            let (status, text) = error.answer();
            ask.error(status, &text)
        })?;
        let question = question(&request).map_err(|text| ask.bad(&text))?;
        let database = ask.params.get("db").unwrap_or_default();
        let policy = ask.params.get_filled("rp");
        let select = select(question, database, policy).map_err(|text| ask.bad(&text))?;
        let query = Query {
            statements: vec![Statement::Select(Box::new(select))],
        };
        identity
            .authorize_query(&self.catalog, &query, Some(database))
            .map_err(|denied| self.denied(ask, denied))?;

        let gone = Arc::new(AtomicBool::new(false));
        let guard = SetOnDrop::new(gone.clone());
        let context = Context {
            database: Some(database.to_owned()),
            now_ns: now_ns(),
            cancel: gone,
            limits: self.config.query_limits,
            ..Context::default()
        };
        let place = self.turn(&self.queries, 1, ask).await?;
        let runner = self.runner.clone();
        let running = tokio::task::spawn_blocking(move || {
            let _place = place;
            let mut samples = Samples::default();
            for statement in &query.statements {
                let ran = runner.execute(statement, &context, &identity, &mut samples);
                if samples.too_large {
                    return Err(TOO_LARGE.to_owned());
                }
                ran.map_err(|error| error.to_string())?;
            }
            samples.answer()
        });
        let answer = finished(running).await.map_err(|text| ask.bad(&text))?;
        guard.disarm();
        self.counters.query_bytes.add(answer.len() as u64);
        let mut response = full(StatusCode::OK, "application/x-protobuf", answer);
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        Ok(response)
    }
}

/// Reads a `ReadRequest`, which has to hold one query.
fn question(request: &[u8]) -> Result<Question, String> {
    let mut questions = Vec::new();
    let mut matchers_max = MATCHERS_MAX;
    wire::each(request, |number, value| {
        if number != 1 {
            return Ok(());
        }
        let mut question = Question::default();
        wire::each(value.bytes(), |number, value| {
            match number {
                1 => question.start_ms = value.integer(),
                2 => question.end_ms = value.integer(),
                3 if matchers_max > 0 => {
                    matchers_max -= 1;
                    question.matchers.push(matcher(value.bytes())?);
                }
                3 => question.matchers.clear(),
                _ => {}
            }
            Ok(())
        })?;
        questions.push(question);
        Ok::<(), wire::Broken>(())
    })
    .map_err(|error| error.to_string())?;
    if matchers_max == 0 {
        return Err(format!("a query may have {MATCHERS_MAX} matchers at most"));
    }
    let mut questions = questions.into_iter();
    match (questions.next(), questions.next()) {
        (Some(question), None) => Ok(question),
        _ => Err("Prometheus read endpoint currently only supports one query at a time".to_owned()),
    }
}

fn matcher(message: &[u8]) -> Result<Matcher, wire::Broken> {
    let mut matcher = Matcher::default();
    wire::each(message, |number, value| {
        let text = || String::from_utf8_lossy(value.bytes()).into_owned();
        match number {
            1 => matcher.kind = value.integer(),
            2 => matcher.name = text(),
            3 => matcher.value = text(),
            _ => {}
        }
        Ok::<(), wire::Broken>(())
    })?;
    Ok(matcher)
}

/// The statement that answers a question.
fn select(
    question: Question,
    database: &str,
    policy: Option<&str>,
) -> Result<SelectStatement, String> {
    if question.matchers.is_empty() {
        return Err("expected matcher".to_owned());
    }
    let mut source = Measurement {
        database: Some(database.to_owned()).filter(|name| !name.is_empty()),
        retention_policy: policy.map(str::to_owned),
        ..Measurement::default()
    };
    let bound = |op, time_ms: i64| {
        Expr::binary(
            op,
            Expr::var("time"),
            Expr::Time(time_ms.saturating_mul(MS_NS)),
        )
    };
    let mut condition = Expr::binary(
        BinaryOp::And,
        bound(BinaryOp::Gte, question.start_ms),
        bound(BinaryOp::Lte, question.end_ms),
    );
    for matcher in question.matchers {
        let whole = format!("^(?:{})$", matcher.value);
        let is_name = matcher.name == NAME_LABEL;
        let (op, value) = match matcher.kind {
            0 if is_name && source.name.is_empty() && source.regex.is_none() => {
                source.name = matcher.value;
                continue;
            }
            2 if is_name && source.name.is_empty() && source.regex.is_none() => {
                source.regex = Some(whole);
                continue;
            }
            0 => (BinaryOp::Eq, Expr::String(matcher.value)),
            1 => (BinaryOp::Neq, Expr::String(matcher.value)),
            2 => (BinaryOp::EqRegex, Expr::Regex(whole)),
            3 => (BinaryOp::NeqRegex, Expr::Regex(whole)),
            other => return Err(format!("unknown match type {other}")),
        };
        let tag = Expr::VarRef(VarRef {
            name: matcher.name,
            data_type: Some(DataType::Tag),
        });
        condition = Expr::binary(BinaryOp::And, condition, Expr::binary(op, tag, value));
    }
    if source.name.is_empty() && source.regex.is_none() {
        source.regex = Some(String::new());
    }
    let value = Expr::VarRef(VarRef {
        name: FIELD.to_owned(),
        data_type: Some(DataType::AnyField),
    });
    Ok(SelectStatement {
        fields: vec![Field {
            expr: value,
            alias: None,
        }],
        sources: vec![Source::Measurement(source)],
        condition: Some(condition),
        dimensions: vec![Expr::Wildcard(Wildcard::Tags)],
        ..SelectStatement::default()
    })
}

/// Takes the series of a result, as messages.
#[derive(Default)]
struct Samples {
    /// The series that are complete, each as a field of a `QueryResult`.
    done: Vec<u8>,
    /// The series that may go on.
    head: Option<Series>,
    /// Its message, so far.
    open: Vec<u8>,
    has_samples: bool,
    too_large: bool,
}

impl Samples {
    fn close(&mut self) {
        if self.has_samples {
            wire::put_bytes(&mut self.done, 1, &self.open);
        }
        self.open.clear();
        self.has_samples = false;
        self.head = None;
    }

    /// The answer, in a block of Snappy.
    fn answer(mut self) -> Result<Vec<u8>, String> {
        self.close();
        let mut message = Vec::with_capacity(self.done.len() + 16);
        wire::put_bytes(&mut message, 1, &self.done);
        snap::raw::Encoder::new()
            .compress_vec(&message)
            .map_err(|error| error.to_string())
    }
}

impl Sink for Samples {
    fn series(&mut self, mut series: Series) -> Result<(), Gone> {
        let rows = std::mem::take(&mut series.values);
        let goes_on = self
            .head
            .as_ref()
            .is_some_and(|head| head.name == series.name && head.tags == series.tags);
        if !goes_on {
            self.close();
            // A tag that this series does not have comes empty.
            let tags = series.tags.iter().flatten();
            for (key, value) in tags.filter(|(_, value)| !value.is_empty()) {
                let mut label = Vec::with_capacity(key.len() + value.len() + 8);
                wire::put_bytes(&mut label, 1, key);
                wire::put_bytes(&mut label, 2, value);
                wire::put_bytes(&mut self.open, 1, &label);
            }
            self.head = Some(series);
        }
        for row in &rows {
            let [Value::Time(time_ns), Value::Float(value)] = row[..] else {
                continue;
            };
            let mut sample = Vec::with_capacity(24);
            wire::put_double(&mut sample, 1, value);
            wire::put_integer(&mut sample, 2, time_ns.div_euclid(MS_NS));
            wire::put_bytes(&mut self.open, 2, &sample);
            self.has_samples = true;
        }
        if self.done.len() + self.open.len() > ANSWER_BYTES_MAX {
            self.too_large = true;
            return Err(Gone);
        }
        Ok(())
    }

    fn message(&mut self, _: Message) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(matchers: &[(i64, &str, &str)]) -> Vec<u8> {
        let mut query = Vec::new();
        wire::put_integer(&mut query, 1, 5);
        wire::put_integer(&mut query, 2, 9);
        for (kind, name, value) in matchers {
            let mut matcher = Vec::new();
            wire::put_integer(&mut matcher, 1, *kind);
            wire::put_bytes(&mut matcher, 2, name.as_bytes());
            wire::put_bytes(&mut matcher, 3, value.as_bytes());
            wire::put_bytes(&mut query, 3, &matcher);
        }
        let mut out = Vec::new();
        wire::put_bytes(&mut out, 1, &query);
        out
    }

    fn statement(matchers: &[(i64, &str, &str)]) -> Result<String, String> {
        select(question(&request(matchers))?, "db", Some("rp")).map(|select| select.to_string())
    }

    #[test]
    fn matchers_become_a_condition() {
        assert_eq!(
            statement(&[(0, "__name__", "up"), (1, "a", "b'c"), (3, "d", "e/f|g")]).unwrap(),
            "SELECT value::field FROM db.rp.up WHERE time >= '1970-01-01T00:00:00.005Z' AND time <= \
             '1970-01-01T00:00:00.009Z' AND a::tag != 'b\\'c' AND d::tag !~ /^(?:e\\/f|g)$/ GROUP BY *::tag"
        );
        let text = statement(&[(2, "__name__", "up|down"), (1, "__name__", "down")]).unwrap();
        assert!(
            text.contains("FROM db.rp./^(?:up|down)$/ WHERE")
                && text.contains("\"__name__\"::tag != 'down'")
                || text.contains("__name__::tag != 'down'"),
            "{text}"
        );
        let text = statement(&[(0, "job", "x")]).unwrap();
        assert!(text.contains("FROM db.rp.// WHERE"), "{text}");
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        let many = vec![(0, "a", "b"); MATCHERS_MAX + 1];
        for (matchers, text) in [
            (&[][..], "expected matcher"),
            (&[(7, "a", "b")], "unknown match type 7"),
            (&many, "a query may have 100 matchers at most"),
        ] {
            assert_eq!(statement(matchers), Err(text.to_owned()));
        }
        let two = [request(&[(0, "a", "b")]), request(&[(0, "a", "b")])].concat();
        for bytes in [&two[..], b""] {
            let refused = question(bytes).unwrap_err();
            assert!(refused.contains("one query at a time"), "{refused}");
        }
        assert_eq!(question(&[0x0a, 9]).unwrap_err(), "unexpected EOF");
    }
}
