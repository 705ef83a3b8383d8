//! `/write` and `/api/v2/write`: line protocol into the store; and what all ways of writing share.
//!
//! Parameters come from the URL alone, and the body is taken as it is, whatever its `Content-Type`
//! says: so does InfluxDB, and clients rely on it. 204 means that every point is durable and
//! readable.

use std::time::Instant;

use tandem_http::{Body, BodyError, Held, Incoming, Response, StatusCode, empty, read_body_held};
use tandem_model::Precision;
use tandem_store::{StoreError, WriteError, WriteRequest, Written};

use super::encoding::{DecodeError, Encoding, body_answer};
use super::{Api, Ask, THROTTLED, finished, now_ns};
use crate::auth::Identity;

/// A name that no retention policy can have.
const NO_POLICY: &str = "/";

/// Where the points of a request go.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) database: String,
    /// The default one when `None`.
    pub(super) policy: Option<String>,
    pub(super) precision: Precision,
}

impl Api {
    /// `/write`.
    pub(super) async fn write(
        &self,
        ask: &Ask,
        identity: &Identity,
        body: &mut Incoming,
    ) -> Response<Body> {
        let writing = async {
            let database = ask.params.get_filled("db");
            let database = database.ok_or_else(|| ask.bad("database is required"))?;
            self.may_write(ask, identity, database)?;
            let name = ask.params.get("precision").unwrap_or_default();
            let precision = Precision::parse_v1(name).ok_or_else(|| {
                ask.bad(&format!(
                    "invalid precision {name:?} (use n, u, ms, s, m or h)"
                ))
            })?;
            let target = Target {
                database: database.to_owned(),
                policy: ask.params.get_filled("rp").map(str::to_owned),
                precision,
            };
            self.store_body(ask, target, Encoding::of(&ask.headers), body)
                .await
        };
        self.counted_write(writing).await
    }

    /// `/api/v2/write`: a bucket is a database, or `database/policy`.
    pub(super) async fn write_v2(
        &self,
        ask: &Ask,
        identity: &Identity,
        body: &mut Incoming,
    ) -> Response<Body> {
        let writing = async {
            let precision = match ask.params.get("precision").unwrap_or_default() {
                "" | "ns" => Precision::Nanosecond,
                "us" => Precision::Microsecond,
                "ms" => Precision::Millisecond,
                "s" => Precision::Second,
                name => {
                    return Err(
                        ask.bad(&format!("invalid precision {name:?} (use ns, us, ms or s)"))
                    );
                }
            };
            let (database, policy) = bucket_place(ask.params.get("bucket").unwrap_or_default())
                .map_err(|text| ask.error(StatusCode::NOT_FOUND, &text))?;
            self.may_write(ask, identity, database)?;
            let target = Target {
                database: database.to_owned(),
                policy: policy.map(str::to_owned),
                precision,
            };
            self.store_body(ask, target, Encoding::of(&ask.headers), body)
                .await
        };
        self.counted_write(writing).await
    }

    /// Counts a write, and the time that it takes.
    pub(super) async fn counted_write(
        &self,
        writing: impl Future<Output = Result<Response<Body>, Response<Body>>>,
    ) -> Response<Body> {
        let begun = Instant::now();
        self.counters.writes.add(1);
        let _active = self.counters.writes_active.hold();
        let (Ok(response) | Err(response)) = writing.await;
        self.counters
            .write_ns
            .add(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        response
    }

    /// Whether points may be written to `database`; an error is the answer.
    #[expect(
        clippy::result_large_err,
        reason = "an error is the answer, and goes out as it is"
    )]
    pub(super) fn may_write(
        &self,
        ask: &Ask,
        identity: &Identity,
        database: &str,
    ) -> Result<(), Response<Body>> {
        let Err(denied) = identity.authorize_write(&self.catalog, database) else {
            return Ok(());
        };
        Err(self.unless_missing(ask, database, self.denied(ask, denied)))
    }

    /// What is wrong with a write, unless there is no such database: that is told first, as by InfluxDB.
    fn unless_missing(&self, ask: &Ask, database: &str, wrong: Response<Body>) -> Response<Body> {
        match self.store.retention_policies(database) {
            Err(StoreError::DatabaseNotFound(name)) => {
                let error = WriteError::DatabaseNotFound(name);
                ask.error(StatusCode::NOT_FOUND, &error.to_string())
            }
            _ => wrong,
        }
    }

    /// Reads a body behind what is in `out`, and holds its bytes among those of all bodies.
    ///
    /// # Errors
    /// The status of the answer, and its text.
    pub(super) async fn read_held(
        &self,
        body: &mut Incoming,
        out: &mut Vec<u8>,
    ) -> Result<Held, (StatusCode, String)> {
        let mut held = self.bodies.begin();
        let (bytes_max, pace) = (self.config.body_bytes_max, self.config.pace());
        let read = read_body_held(body, bytes_max, pace, &mut held, out).await;
        match read {
            Ok(()) => Ok(held),
            Err(BodyError::NoRoom) => {
                self.counters.throttled.add(1);
                Err((StatusCode::SERVICE_UNAVAILABLE, THROTTLED.to_owned()))
            }
            Err(error) => Err(body_answer(&error)),
        }
    }

    /// Reads a body and stores what is in it.
    pub(super) async fn store_body(
        &self,
        ask: &Ask,
        target: Target,
        encoding: Encoding,
        body: &mut Incoming,
    ) -> Result<Response<Body>, Response<Body>> {
        let mut sent = self.buffers.take();
        let database = target.database.clone();
        let wrong = |status, text: &str| {
            let wrong = ask.error(status, text);
            self.unless_missing(ask, &database, wrong)
        };
        let read = self.read_held(body, &mut sent).await;
        let held = read.map_err(|(status, text)| wrong(status, &text))?;
        if encoding == Encoding::Gzip && sent.is_empty() {
            return Err(wrong(StatusCode::BAD_REQUEST, "EOF"));
        }

        // What InfluxDB says of lines comes before what it says of the level, and nothing is stored.
        let is_known = consistency_is_known(ask);
        let policy = if is_known {
            target.policy
        } else {
            Some(NO_POLICY.to_owned())
        };
        let place = self.turn(&self.writes, 1, ask).await?;
        let (store, inflated_bytes_max) = (self.store.clone(), self.config.inflated_bytes_max);
        let (buffers, feed) = (self.buffers.clone(), self.sources.parts.feed.clone());
        let writing = tokio::task::spawn_blocking(move || {
            // Held here, because the write goes on when its client has gone.
            let _held = (held, place);
            let request = WriteRequest {
                database: &target.database,
                retention_policy: policy.as_deref(),
                precision: target.precision,
                now_ns: now_ns(),
            };
            if encoding == Encoding::Plain {
                let written = store.write(&request, &sent);
                feed.follow(&written, &request, &sent);
                return Ok((sent.len(), written));
            }
            let mut lines = buffers.take();
            match encoding.decode(&store, &sent, inflated_bytes_max, &mut lines)? {
                Some(room) => {
                    let written = store.write_in(room, &request, &lines);
                    feed.follow(&written, &request, &lines);
                    Ok((lines.len(), written))
                }
                None => Ok((sent.len(), store.write(&request, &sent))),
            }
        });
        let waiting = tokio::time::timeout(self.config.write_timeout, finished(writing));
        let Ok(written) = waiting.await else {
            return Err(ask.error(StatusCode::INTERNAL_SERVER_ERROR, "timeout"));
        };
        let (bytes, written) = written.map_err(|error: DecodeError| {
            let (status, text) = error.answer();
            wrong(status, &text)
        })?;
        self.counters.write_bytes.add(bytes as u64);
        if !is_known && matches!(written, Err(WriteError::PolicyNotFound(_))) {
            return Err(ask.bad("invalid consistency level"));
        }
        Ok(self.written(ask, written))
    }

    fn written(&self, ask: &Ask, written: Result<Written, WriteError>) -> Response<Body> {
        let error = match written {
            Ok(written) => {
                self.counters.points_written.add(written.points);
                return empty(StatusCode::NO_CONTENT);
            }
            Err(error) => error,
        };
        let status = match &error {
            WriteError::DatabaseNotFound(_) => StatusCode::NOT_FOUND,
            WriteError::Unparsable(_) => StatusCode::BAD_REQUEST,
            WriteError::Partial {
                points, dropped, ..
            } => {
                self.counters.points_written.add(*points);
                self.counters.points_dropped.add(*dropped);
                StatusCode::BAD_REQUEST
            }
            // Never 4xx: agents drop a batch that is answered so, but for 413, upon which they halve it.
            WriteError::Overloaded(_) | WriteError::Full(_) | WriteError::ReadOnly(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            WriteError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            WriteError::PolicyNotFound(_) | WriteError::Store(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        ask.error(status, &error.to_string())
    }
}

/// Whether it is known how many copies a write wants; there is one store, so no more is needed.
fn consistency_is_known(ask: &Ask) -> bool {
    let level = ask.params.get("consistency").unwrap_or_default();
    matches!(
        level.to_ascii_lowercase().as_str(),
        "" | "any" | "one" | "quorum" | "all"
    )
}

/// The database and, after a slash, the retention policy that a bucket's name stands for; an error
/// is InfluxDB's text.
pub(super) fn bucket_place(bucket: &str) -> Result<(&str, Option<&str>), String> {
    match bucket.split_once('/') {
        None if bucket.is_empty() => Err(format!(
            "bucket name {bucket:?} is missing a slash; not in \"database/retention-policy\" format"
        )),
        None => Ok((bucket, None)),
        Some(("", _)) => Err(format!(
            "bucket name {bucket:?} is in db/rp form but has an empty database"
        )),
        Some((database, policy)) => Ok((database, Some(policy).filter(|name| !name.is_empty()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_places() {
        assert_eq!(bucket_place("db"), Ok(("db", None)));
        assert_eq!(bucket_place("db/"), Ok(("db", None)));
        assert_eq!(bucket_place("db/rp/x"), Ok(("db", Some("rp/x"))));
        let text = "bucket name \"/rp\" is in db/rp form but has an empty database";
        assert_eq!(bucket_place("/rp"), Err(text.into()));
        assert!(bucket_place("").is_err());
    }
}
