//! `/api/v2/delete`: deletes points by time and tags, as InfluxDB 1.12 does.
//!
//! It becomes a `DELETE` statement and runs as one: over all retention policies of the database,
//! whatever policy the bucket names.

use tandem_http::{Body, Incoming, Response, StatusCode, empty, read_body};
use tandem_influxql::ast::{BinaryOp, Delete, Expr, Measurement, Source, Statement};
use tandem_influxql::{Params, parse_expr};
use tandem_query::Context;
use tandem_store::StoreError;

use super::encoding::body_answer;
use super::query::Unheard;
use super::write::bucket_place;
use super::{Api, Ask, finished, now_ns};
use crate::auth::Identity;

/// Bytes of a body.
const BODY_BYTES_MAX: usize = 1 << 20;
/// What stands for the name of the measurement in a predicate.
const MEASUREMENT: &str = "_measurement";

/// What is to be deleted.
#[derive(Debug, PartialEq)]
struct Wanted {
    start: String,
    stop: String,
    predicate: String,
}

impl Api {
    pub(super) async fn delete(
        &self,
        ask: &Ask,
        identity: Identity,
        body: &mut Incoming,
    ) -> Response<Body> {
        let (Ok(response) | Err(response)) = self.delete_points(ask, identity, body).await;
        response
    }

    async fn delete_points(
        &self,
        ask: &Ask,
        identity: Identity,
        body: &mut Incoming,
    ) -> Result<Response<Body>, Response<Body>> {
        let missing = |text: &str| ask.error(StatusCode::NOT_FOUND, text);
        let bucket = ask.params.get("bucket").unwrap_or_default();
        let (database, policy) =
            bucket_place(bucket).map_err(|text| missing(&format!("delete - bucket: {text}")))?;
        let policies = match self.store.retention_policies(database) {
            Ok(policies) => policies,
            Err(StoreError::DatabaseNotFound(_)) => {
                return Err(missing(&format!(
                    "delete - database not found: {database:?}"
                )));
            }
            Err(error) => {
                return Err(ask.error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()));
            }
        };
        let is_there = policies.iter().any(|found| match policy {
            Some(name) => found.name == name,
            None => found.is_default,
        });
        if !is_there {
            let policy = policy.unwrap_or_default();
            return Err(missing(&format!(
                "delete - retention policy not found in {database:?}: {policy:?}"
            )));
        }
        identity
            .authorize_delete(&self.catalog, database)
            .map_err(|denied| self.denied(ask, denied))?;

        let bytes_max = BODY_BYTES_MAX.min(self.config.body_bytes_max);
        let sent = read_body(body, bytes_max, self.config.pace()).await;
        let sent = sent.map_err(|error| {
            let (status, text) = body_answer(&error);
            ask.error(status, &text)
        })?;
        let wanted = wanted(&sent.into_bytes()).map_err(|text| ask.bad(&text))?;
        let Wanted {
            start,
            stop,
            predicate,
        } = &wanted;
        let policy = policy.unwrap_or_default();
        let asked = format!(
            "database: {database:?}, retention policy: {policy:?}, start: {start:?}, stop: {stop:?}, predicate: {predicate:?}"
        );
        let statement = statement(&wanted, &asked).map_err(|text| ask.bad(&text))?;
        let context = Context {
            database: Some(database.to_owned()),
            now_ns: now_ns(),
            limits: self.config.query_limits,
            ..Context::default()
        };
        let place = self.turn(&self.queries, 1, ask).await?;
        let runner = self.runner.clone();
        // It goes on when its client has gone.
        let running = tokio::task::spawn_blocking(move || {
            let _place = place;
            runner.execute(&statement, &context, &identity, &mut Unheard)
        });
        match finished(running).await {
            Ok(()) => Ok(empty(StatusCode::OK)),
            Err(error) => Err(ask.bad(&format!("delete - {asked}, error: {error}"))),
        }
    }
}

/// Reads a body; an error is InfluxDB's text.
fn wanted(body: &[u8]) -> Result<Wanted, String> {
    let unreadable = |why: &str| format!("delete - cannot parse request body: {why}");
    let json: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
    let object = json
        .as_object()
        .ok_or_else(|| unreadable("it is no object"))?;
    let text = |name: &str| match object.get(name) {
        None | Some(serde_json::Value::Null) => Ok(String::new()),
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(unreadable(&format!("{name} is no string"))),
    };
    let wanted = Wanted {
        start: text("start")?,
        stop: text("stop")?,
        predicate: text("predicate")?,
    };
    for (name, time) in [("start", &wanted.start), ("stop", &wanted.stop)] {
        if time.is_empty() {
            return Err(format!(
                "delete - {name} field in RFC3339Nano format required"
            ));
        }
        if let Err(error) = time.parse::<jiff::Timestamp>() {
            return Err(format!(
                "delete - invalid format for {name} field {time:?}, please use RFC3339Nano: {error}"
            ));
        }
    }
    Ok(wanted)
}

/// The statement for it; `asked` is all of it, for the text of an error.
fn statement(wanted: &Wanted, asked: &str) -> Result<Statement, String> {
    let bound = |op, text: &str| {
        let time = text
            .parse::<jiff::Timestamp>()
            .map(|time| time.as_nanosecond());
        let time_ns = time.ok().and_then(|ns| i64::try_from(ns).ok());
        // A time outside of the range of times is as good as none.
        let end = if text.starts_with('-') || text < "1970" {
            i64::MIN
        } else {
            i64::MAX
        };
        Expr::binary(op, Expr::var("time"), Expr::Time(time_ns.unwrap_or(end)))
    };
    let range = Expr::binary(
        BinaryOp::And,
        bound(BinaryOp::Gte, &wanted.start),
        bound(BinaryOp::Lt, &wanted.stop),
    );
    let mut sources = Vec::new();
    let mut condition = range;
    if !wanted.predicate.is_empty() {
        let predicate = parse_expr(&wanted.predicate, &Params::new()).map_err(|error| {
            format!(
                "delete - cannot parse predicate {:?}: {error}",
                wanted.predicate
            )
        })?;
        let rest = without_measurement(predicate, &mut sources).map_err(|NotEqual| {
            format!("delete - predicate only supports equality operators and conjunctions. {asked}")
        })?;
        if let Some(rest) = rest {
            condition = Expr::binary(BinaryOp::And, rest, condition);
        }
    }
    Ok(Statement::Delete(Delete {
        sources,
        condition: Some(condition),
    }))
}

/// A predicate has something else than equality and AND in it.
#[derive(Debug)]
struct NotEqual;

/// Takes `_measurement = name` out of a conjunction. A name in double quotes on the right is a string,
/// as in version 2.
fn without_measurement(expr: Expr, sources: &mut Vec<Source>) -> Result<Option<Expr>, NotEqual> {
    match expr {
        Expr::Paren(inner) => {
            Ok(without_measurement(*inner, sources)?.map(|inner| Expr::Paren(Box::new(inner))))
        }
        Expr::Binary {
            op: BinaryOp::And,
            lhs,
            rhs,
        } => {
            let lhs = without_measurement(*lhs, sources)?;
            let rhs = without_measurement(*rhs, sources)?;
            Ok(match (lhs, rhs) {
                (Some(lhs), Some(rhs)) => Some(Expr::binary(BinaryOp::And, lhs, rhs)),
                (one, other) => one.or(other),
            })
        }
        Expr::Binary {
            op: BinaryOp::Neq | BinaryOp::EqRegex | BinaryOp::NeqRegex | BinaryOp::Or,
            ..
        } => Err(NotEqual),
        Expr::Binary {
            op: BinaryOp::Eq,
            lhs,
            rhs,
        } => {
            let rhs = match *rhs {
                Expr::VarRef(name) if matches!(*lhs, Expr::VarRef(_)) => Expr::String(name.name),
                other => other,
            };
            if let (Expr::VarRef(tag), Expr::String(name)) = (&*lhs, &rhs)
                && tag.name == MEASUREMENT
            {
                sources.push(Source::Measurement(Measurement::new(name.clone())));
                return Ok(None);
            }
            Ok(Some(Expr::binary(BinaryOp::Eq, *lhs, rhs)))
        }
        other => Ok(Some(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(predicate: &str) -> Result<String, String> {
        let body = serde_json::json!({
            "start": "1970-01-01T00:00:00Z", "stop": "2020-01-01T00:00:00+01:00", "predicate": predicate,
        });
        let wanted = wanted(body.to_string().as_bytes())?;
        statement(&wanted, "ASKED").map(|statement| statement.to_string())
    }

    #[test]
    fn predicates_become_statements() {
        let time = "time >= '1970-01-01T00:00:00Z' AND time < '2019-12-31T23:00:00Z'";
        for (predicate, text) in [
            ("", format!("DELETE WHERE {time}")),
            (
                "_measurement = \"cpu\" AND host=\"a\"",
                format!("DELETE FROM cpu WHERE host = 'a' AND {time}"),
            ),
            (
                "(_measurement='a b') and (x = 'y' AND z='1')",
                format!("DELETE FROM \"a b\" WHERE (x = 'y' AND z = '1') AND {time}"),
            ),
        ] {
            assert_eq!(check(predicate), Ok(text), "{predicate}");
        }
        for predicate in ["a != 'b'", "a = 'b' OR c = 'd'", "a =~ /b/", "(a !~ /b/)"] {
            let text =
                "delete - predicate only supports equality operators and conjunctions. ASKED";
            assert_eq!(check(predicate), Err(text.into()), "{predicate}");
        }
        assert!(
            check("a =")
                .unwrap_err()
                .starts_with("delete - cannot parse predicate \"a =\": ")
        );
    }

    #[test]
    fn bodies_are_checked() {
        for (body, text) in [
            ("", "delete - cannot parse request body: "),
            ("[]", "delete - cannot parse request body: "),
            (
                "{\"start\":1}",
                "delete - cannot parse request body: start is no string",
            ),
            ("{}", "delete - start field in RFC3339Nano format required"),
            (
                "{\"start\":\"2020-01-01T00:00:00Z\"}",
                "delete - stop field in RFC3339Nano format required",
            ),
            (
                "{\"start\":\"x\",\"stop\":\"y\"}",
                "delete - invalid format for start field \"x\", please use RFC3339Nano: ",
            ),
        ] {
            let refused = wanted(body.as_bytes()).unwrap_err();
            assert!(refused.starts_with(text), "{body}: {refused}");
        }
    }
}
