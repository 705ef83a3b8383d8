//! `POST /api/put`: 204 when the points are stored.
//!
//! With `summary` or `details` in the URL the answer counts them, as OpenTSDB's own does. Points that are none
//! are counted and left out, as by InfluxDB.

use std::time::Duration;

use tandem_http::{
    Body, BodyError, Incoming, Method, Pace, Params, Request, Response, StatusCode, discard_body,
    empty, full, gunzip_into, header, read_body_held,
};
use tandem_store::WriteError;

use super::{Room, point};

/// How slowly a sender may send a body.
const PACE: Pace = Pace {
    stall_max: Duration::from_secs(30),
    bytes_per_s_min: crate::Config::BODY_BYTES_PER_S_MIN,
};

/// How long a request waits for others to end.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);

/// What is said when there is no room.
const BUSY: &str = "too many requests in flight";

/// How long the rest of a body that nobody wants is read before the answer leaves.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(3);

impl Room {
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let answer = match (head.uri.path(), head.method) {
            ("/api/put", Method::POST) => {
                let zipped = head
                    .headers
                    .get(header::CONTENT_ENCODING)
                    .is_some_and(|encoding| encoding == "gzip");
                let params = Params::parse(head.uri.query().unwrap_or_default());
                match self.put(&mut body, zipped, &params).await {
                    Ok(answer) | Err(answer) => answer,
                }
            }
            ("/api/put", _) => plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed."),
            ("/api/metadata/put", _) => empty(StatusCode::NO_CONTENT),
            _ => plain(StatusCode::NOT_FOUND, "404 page not found"),
        };
        if !answer.status().is_success() {
            let most = self.limits.body_bytes_max.saturating_mul(2);
            discard_body(&mut body, most, DISCARD_TIME_MAX).await;
        }
        answer
    }

    async fn put(
        &self,
        body: &mut Incoming,
        zipped: bool,
        params: &Params,
    ) -> Result<Response<Body>, Response<Body>> {
        self.counters.messages.add(1);
        let (mut payload, mut held) = (Vec::new(), self.bodies.begin());
        let bytes_max = self.limits.body_bytes_max;
        let read = read_body_held(body, bytes_max, PACE, &mut held, &mut payload).await;
        read.map_err(|error| self.body_error(&error))?;
        self.counters.bytes.add(payload.len() as u64);
        // Not before: who sends slowly would have it for long.
        let waiting = self.places.clone().acquire_owned();
        let Ok(Ok(place)) = tokio::time::timeout(WAIT_MAX, waiting).await else {
            return Err(busy(BUSY));
        };
        let inflated_bytes_max = self.limits.inflated_bytes_max;
        let (intake, database, policy) = (
            self.intake.clone(),
            self.database.clone(),
            self.policy.clone(),
        );
        let writing = tokio::task::spawn_blocking(move || {
            let _held = (place, held);
            let body = if zipped {
                let mut inflated = Vec::new();
                gunzip_into(&payload, inflated_bytes_max, &mut inflated)?;
                inflated
            } else {
                payload
            };
            let lines = match point::read(&body) {
                Ok(lines) => lines,
                Err(text) => return Ok(Err(text)),
            };
            drop(body);
            let points = lines.writer.lines() as u64;
            let written = match points {
                0 => Ok(crate::intake::Taken::default()),
                _ => intake.write(&database, policy.as_deref(), lines.writer.as_bytes()),
            };
            Ok(Ok((points, lines.malformed, written)))
        });
        let written = crate::api::finished(writing)
            .await
            .map_err(|error: BodyError| self.body_error(&error))?;
        let (points, malformed, written) = written.map_err(|text| {
            self.counters.malformed.add(1);
            plain(StatusCode::BAD_REQUEST, &text)
        })?;
        let counters = &self.counters;
        counters.points.add(points);
        counters.malformed.add(malformed);
        match written {
            Ok(taken) => {
                counters.batches.add(1);
                let dropped = points.saturating_sub(taken.stored);
                counters.points_stored.add(taken.stored);
                counters.dropped_store.add(dropped);
                Ok(told(params, taken.stored, malformed + dropped))
            }
            Err(error) => {
                counters.batches_failed.add(1);
                counters.dropped_store.add(points);
                Err(refused(&error))
            }
        }
    }

    fn body_error(&self, error: &BodyError) -> Response<Body> {
        let is_malformed = !matches!(error, BodyError::NoRoom);
        self.counters.malformed.add(is_malformed.into());
        match error {
            BodyError::NoRoom => busy(BUSY),
            BodyError::TooLarge { .. } => {
                plain(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
            }
            BodyError::Gzip(source) => plain(
                StatusCode::BAD_REQUEST,
                &format!("could not read gzip, {source}"),
            ),
            BodyError::Stalled { .. } | BodyError::TooSlow { .. } => {
                plain(StatusCode::REQUEST_TIMEOUT, &error.to_string())
            }
            BodyError::Read(_) | BodyError::Broken(_) => {
                plain(StatusCode::BAD_REQUEST, "unexpected EOF")
            }
        }
    }
}

/// The answer when points were stored.
fn told(params: &Params, stored: u64, failed: u64) -> Response<Body> {
    let details = params.get("details").is_some();
    if !details && params.get("summary").is_none() {
        return empty(StatusCode::NO_CONTENT);
    }
    let errors = if details { "\"errors\":[]," } else { "" };
    let text = format!("{{{errors}\"failed\":{failed},\"success\":{stored}}}");
    let status = match failed {
        0 => StatusCode::OK,
        _ => StatusCode::BAD_REQUEST,
    };
    full(status, "application/json", text)
}

fn refused(error: &WriteError) -> Response<Body> {
    let text = format!("write series error: {error}");
    match error {
        WriteError::Overloaded(_) | WriteError::Full(_) | WriteError::ReadOnly(_) => busy(&text),
        WriteError::TooLarge(_) => plain(StatusCode::PAYLOAD_TOO_LARGE, &text),
        WriteError::Unparsable(_) => plain(StatusCode::BAD_REQUEST, &text),
        _ => plain(StatusCode::INTERNAL_SERVER_ERROR, &text),
    }
}

fn busy(text: &str) -> Response<Body> {
    let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    let again = tandem_http::HeaderValue::from_static("1");
    answer.headers_mut().insert(header::RETRY_AFTER, again);
    answer
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    full(status, "text/plain; charset=utf-8", format!("{text}\n"))
}
