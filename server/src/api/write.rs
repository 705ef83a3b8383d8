//! `/write`: line protocol into the store.
//!
//! Parameters come from the URL alone, and the body is taken as it is, whatever its `Content-Type`
//! says: so does InfluxDB, and clients rely on it. 204 means that every point is durable and
//! readable.

use std::time::Instant;

use tandem_http::{
    Body, BodyError, HttpBody, Incoming, Response, StatusCode, empty, gunzip_into, header,
    read_body_into,
};
use tandem_model::Precision;
use tandem_store::{BodyRoom, Store, StoreError, WriteError, WriteRequest, Written};

use super::{Api, Ask, finished, now_ns};
use crate::auth::Identity;

impl Api {
    pub(super) async fn write(
        &self,
        ask: &Ask,
        identity: &Identity,
        body: &mut Incoming,
    ) -> Response<Body> {
        let begun = Instant::now();
        self.counters.writes.add(1);
        let _active = self.counters.writes_active.hold();
        let response = match self.write_body(ask, identity, body).await {
            Ok(response) | Err(response) => response,
        };
        self.counters
            .write_ns
            .add(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        response
    }

    async fn write_body(
        &self,
        ask: &Ask,
        identity: &Identity,
        body: &mut Incoming,
    ) -> Result<Response<Body>, Response<Body>> {
        let bad = |text: &str| ask.error(StatusCode::BAD_REQUEST, text);
        let params = &ask.params;
        let database = params
            .get_filled("db")
            .ok_or_else(|| bad("database is required"))?
            .to_owned();
        if let Err(denied) = identity.authorize_write(&self.catalog, &database) {
            // That there is no such database is told first, as by InfluxDB.
            if let Err(StoreError::DatabaseNotFound(name)) =
                self.store.retention_policies(&database)
            {
                let error = WriteError::DatabaseNotFound(name);
                return Err(ask.error(StatusCode::NOT_FOUND, &error.to_string()));
            }
            return Err(self.denied(ask, denied));
        }
        let name = params.get("precision").unwrap_or_default();
        let precision = Precision::parse_v1(name).ok_or_else(|| {
            bad(&format!(
                "invalid precision {name:?} (use n, u, ms, s, m or h)"
            ))
        })?;
        let consistency = params
            .get("consistency")
            .unwrap_or_default()
            .to_ascii_lowercase();
        if !matches!(consistency.as_str(), "" | "any" | "one" | "quorum" | "all") {
            return Err(bad("invalid consistency level"));
        }
        let policy = params.get_filled("rp").map(str::to_owned);

        let length = body
            .size_hint()
            .upper()
            .and_then(|length| usize::try_from(length).ok());
        let held = length
            .unwrap_or(usize::MAX)
            .min(self.config.body_bytes_max)
            .min(self.config.bodies_bytes_max);
        let kib = u32::try_from(held / 1024).unwrap_or(u32::MAX);
        let room = self.turn(&self.body_kib, kib, ask).await?;
        let mut sent = self.buffers.take();
        let read = read_body_into(
            &mut *body,
            self.config.body_bytes_max,
            self.config.body_stall_max,
            &mut sent,
        );
        read.await.map_err(|error| body_error(ask, &error))?;
        let zipped = ask
            .headers
            .get(header::CONTENT_ENCODING)
            .is_some_and(|encoding| encoding == "gzip");

        if zipped && sent.is_empty() {
            return Err(bad("EOF"));
        }

        let place = self.turn(&self.writes, 1, ask).await?;
        let (store, inflated_bytes_max) = (self.store.clone(), self.config.inflated_bytes_max);
        let buffers = self.buffers.clone();
        let writing = tokio::task::spawn_blocking(move || {
            // Held here, because the write goes on when its client has gone.
            let _held = (room, place);
            let request = WriteRequest {
                database: &database,
                retention_policy: policy.as_deref(),
                precision,
                now_ns: now_ns(),
            };
            if !zipped {
                return Ok((sent.len(), store.write(&request, &sent)));
            }
            let mut lines = buffers.take();
            match inflate(&store, &sent, inflated_bytes_max, &mut lines)? {
                Ok(room) => Ok((lines.len(), store.write_in(room, &request, &lines))),
                Err(overloaded) => Ok((0, Err(overloaded))),
            }
        });
        let (bytes, written) = finished(writing)
            .await
            .map_err(|error: BodyError| body_error(ask, &error))?;
        self.counters.write_bytes.add(bytes as u64);
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
            // Never 4xx: agents drop a batch that is answered so.
            WriteError::Overloaded(_) | WriteError::Full(_) | WriteError::ReadOnly(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            WriteError::PolicyNotFound(_) | WriteError::Store(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        ask.error(status, &error.to_string())
    }
}

/// Inflates a body once there is room for it in the store's memory, and keeps that room.
fn inflate(
    store: &Store,
    sent: &[u8],
    inflated_bytes_max: usize,
    lines: &mut Vec<u8>,
) -> Result<Result<BodyRoom, WriteError>, BodyError> {
    // The last member's length stands at its end; of most bodies it is the only member.
    let told = sent
        .last_chunk()
        .map_or(0, |tail| u32::from_le_bytes(*tail));
    let told = usize::try_from(told).unwrap_or(usize::MAX);
    let mut bytes_max = told.max(sent.len()).min(inflated_bytes_max);
    loop {
        let room = match store.room_for_body(bytes_max) {
            Ok(room) => room,
            Err(overloaded) => return Ok(Err(overloaded)),
        };
        lines.clear();
        match gunzip_into(sent, bytes_max, lines) {
            Ok(()) => return Ok(Ok(room)),
            Err(BodyError::TooLarge { .. }) if bytes_max < inflated_bytes_max => {
                bytes_max = inflated_bytes_max;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The answer to a body that cannot be taken.
pub(super) fn body_error(ask: &Ask, error: &BodyError) -> Response<Body> {
    match error {
        BodyError::TooLarge { .. } => {
            ask.error(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
        }
        BodyError::Gzip(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            ask.error(StatusCode::BAD_REQUEST, "unexpected EOF")
        }
        BodyError::Gzip(_) => ask.error(StatusCode::BAD_REQUEST, "gzip: invalid header"),
        BodyError::Read(_) => ask.error(StatusCode::BAD_REQUEST, "unexpected EOF"),
        BodyError::Stalled { .. } => ask.error(StatusCode::REQUEST_TIMEOUT, &error.to_string()),
    }
}
