//! From a request to a [`Batch`]: the body whole and bounded, scanned once, its missing times
//! filled in.
//!
//! The payload is allocated once, at its announced length, so that what a slow backend pins is what
//! is charged to the memory budget. A gzip body is inflated for the scan only, and sent on as it
//! came when every line has its time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tandem_http::{BodyError, HeaderMap, HttpBody, Incoming, StatusCode, gunzip, header};
use tandem_line::Scan;
use tandem_model::Precision;
use tandem_vfs::Clock;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::{Ask, guess_precision};
use crate::batch::{Batch, Head, Target};
use crate::scope::Scope;

/// The unit in which memory is charged.
const CHARGE_BYTES: usize = 1024;
/// How much of an inflated body is expected for each byte of gzip, when memory is charged.
const INFLATION: usize = 8;
/// Inflated and scanned on the event loop up to here, off it beyond.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Why a request does not become a batch.
#[derive(Debug, Error)]
pub(crate) enum ReceiveError {
    #[error("Request Entity Too Large")]
    TooLarge,
    #[error("{0}")]
    Gzip(std::io::Error),
    #[error("the client sent no complete body: {0}")]
    Broken(BodyError),
    #[error("tandem relay: no memory for another body, try again later")]
    Busy,
}

impl ReceiveError {
    /// The status of the answer.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Gzip(_) | Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Takes requests in.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) body_bytes_max: usize,
    pub(crate) inflated_bytes_max: usize,
    pub(crate) body_stall_max: Duration,
    pub(crate) memory: Arc<Semaphore>,
    pub(crate) memory_wait: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    /// The latest time that was given out: times do not go back within one run.
    pub(crate) latest_ns: AtomicI64,
}

impl Receiver {
    /// A semaphore for a budget of `bytes`.
    pub(crate) fn budget(bytes: usize) -> Arc<Semaphore> {
        let charges = (bytes / CHARGE_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Semaphore::new(charges))
    }

    /// Reads one write request.
    pub(crate) async fn receive(
        &self,
        ask: Ask,
        headers: &HeaderMap,
        body: &mut Incoming,
    ) -> Result<Batch, ReceiveError> {
        let gzip = ask.target == Target::Write
            && headers
                .get(header::CONTENT_ENCODING)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"gzip"));
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > self.body_bytes_max {
            return Err(ReceiveError::TooLarge);
        }
        let mut memory = self.charge(announced).await?;
        let body = self.read(body, announced, &mut memory).await?;
        if gzip {
            let inflated = body.len().saturating_mul(INFLATION);
            memory.merge(self.charge(inflated.min(self.inflated_bytes_max)).await?);
        }
        let mut head = Head {
            target: ask.target,
            gzip,
            received_ns: self.now_ns(),
            ..Head::default()
        };
        head.take_headers(headers);
        self.batch(ask, head, body, memory).await
    }

    /// Takes lines in that came without a request.
    pub(crate) async fn lines(&self, ask: Ask, body: Bytes) -> Result<Batch, ReceiveError> {
        let memory = self.charge(body.len()).await?;
        let head = Head {
            received_ns: self.now_ns(),
            ..Head::default()
        };
        self.batch(ask, head, body, memory).await
    }

    /// Takes a statement in, which comes with the request that each backend gets.
    pub(crate) async fn statement(
        &self,
        mut head: Head,
        form: Bytes,
    ) -> Result<Batch, ReceiveError> {
        let memory = self.charge(form.len()).await?;
        head.received_ns = self.now_ns();
        Ok(Batch {
            head,
            body: vec![form],
            memory: Some(Arc::new(memory)),
        })
    }

    async fn batch(
        &self,
        ask: Ask,
        head: Head,
        body: Bytes,
        mut memory: OwnedSemaphorePermit,
    ) -> Result<Batch, ReceiveError> {
        let inflated_bytes_max = self.inflated_bytes_max;
        let is_small = body.len() <= INLINE_BYTES_MAX;
        let prepare = move || prepare(ask, head, body, inflated_bytes_max);
        let (head, body) = if is_small {
            prepare()?
        } else {
            match tokio::task::spawn_blocking(prepare).await {
                Ok(prepared) => prepared?,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        };
        let kept: usize = body.iter().map(Bytes::len).sum();
        drop(memory.split(memory.num_permits().saturating_sub(charges(kept))));
        Ok(Batch {
            head,
            body,
            memory: Some(Arc::new(memory)),
        })
    }

    /// Charges so many bytes to the budget.
    async fn charge(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ReceiveError> {
        let charges = u32::try_from(charges(bytes)).unwrap_or(u32::MAX);
        let acquiring = self.memory.clone().acquire_many_owned(charges);
        match tokio::time::timeout(self.memory_wait, acquiring).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(ReceiveError::Busy),
        }
    }

    /// Reads the body into one buffer. One whose length was not announced is charged as it grows.
    async fn read(
        &self,
        body: &mut Incoming,
        announced: usize,
        memory: &mut OwnedSemaphorePermit,
    ) -> Result<Bytes, ReceiveError> {
        let mut buffer = Vec::with_capacity(announced);
        let mut body = pin!(body);
        loop {
            let next = poll_fn(|cx| body.as_mut().poll_frame(cx));
            let waited = self.body_stall_max;
            let frame = match tokio::time::timeout(waited, next).await {
                Err(_) => return Err(ReceiveError::Broken(BodyError::Stalled { waited })),
                Ok(None) => return Ok(buffer.into()),
                Ok(Some(frame)) => {
                    frame.map_err(|error| ReceiveError::Broken(BodyError::Read(error)))?
                }
            };
            if let Some(data) = frame.data_ref() {
                if buffer.len() + data.len() > self.body_bytes_max {
                    return Err(ReceiveError::TooLarge);
                }
                buffer.extend_from_slice(data);
                let owed = charges(buffer.capacity()).saturating_sub(memory.num_permits());
                if owed > 0 {
                    memory.merge(self.charge(owed * CHARGE_BYTES).await?);
                }
            }
        }
    }

    /// The time, never less than it was before.
    fn now_ns(&self) -> i64 {
        let now = self.clock.now_ns();
        self.latest_ns.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

/// The charge for so many bytes.
const fn charges(bytes: usize) -> usize {
    bytes / CHARGE_BYTES + 1
}

/// Scans a body and fills in the time of receipt where a line has none.
fn prepare(
    mut ask: Ask,
    mut head: Head,
    body: Bytes,
    inflated_bytes_max: usize,
) -> Result<(Head, Vec<Bytes>), ReceiveError> {
    if head.target == Target::PromWrite {
        // Not looked into: it may touch every lane.
        head.scope = Scope::write(&ask.database, u64::MAX);
        head.query = ask.query;
        return Ok((head, vec![body]));
    }
    let plain = if head.gzip {
        let inflated = gunzip(std::slice::from_ref(&body), inflated_bytes_max);
        let inflated = inflated.map_err(|error| match error {
            BodyError::Gzip(error) => ReceiveError::Gzip(error),
            _ => ReceiveError::TooLarge,
        })?;
        Some(Bytes::from(inflated))
    } else {
        None
    };
    let scanned = plain.as_ref().unwrap_or(&body);
    let precision = ask.precision.take().unwrap_or_else(|| {
        let guessed = guess_precision(scanned);
        ask.query.push_str("&precision=");
        ask.query.push_str(guessed);
        guessed.to_owned()
    });
    // InfluxDB takes an unknown unit for nanoseconds, or refuses it; either way these fit.
    let precision = Precision::parse_v1(&precision).unwrap_or_default();
    let scan = tandem_line::scan(scanned);
    head.query = ask.query;
    head.scope = Scope::write(&ask.database, scan.lanes);
    head.lines = scan.lines;
    if scan.missing_time.is_empty() {
        return Ok((head, vec![body]));
    }
    head.gzip = false;
    let slices = fill(scanned, &scan, precision, head.received_ns);
    Ok((head, slices))
}

/// `body` with ` TIME` after each line that lacks one: slices of it, and between them one shared
/// slice with the time, truncated to the unit of the request as InfluxDB does.
fn fill(body: &Bytes, scan: &Scan, precision: Precision, now_ns: i64) -> Vec<Bytes> {
    let time = Bytes::from(format!(" {}", now_ns.div_euclid(precision.nanos())));
    let mut slices = Vec::with_capacity(scan.missing_time.len() * 2 + 1);
    let mut from = 0;
    for &at in &scan.missing_time {
        slices.push(body.slice(from..at));
        slices.push(time.clone());
        from = at;
    }
    if from < body.len() {
        slices.push(body.slice(from..));
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &'static str, precision: Precision, now_ns: i64) -> String {
        let body = Bytes::from_static(text.as_bytes());
        let slices = fill(&body, &tandem_line::scan(&body), precision, now_ns);
        String::from_utf8(slices.concat()).unwrap()
    }

    #[test]
    fn one_time_for_all_lines_of_a_request_in_its_unit() {
        let now = 1_500_000_000_123_456_789;
        assert_eq!(
            filled(
                "a v=1\nb v=2 7\nc v=\"x\ny\"\n",
                Precision::Millisecond,
                now
            ),
            "a v=1 1500000000123\nb v=2 7\nc v=\"x\ny\" 1500000000123\n"
        );
        assert_eq!(
            filled("a v=1", Precision::Nanosecond, now),
            "a v=1 1500000000123456789"
        );
        assert_eq!(filled("a v=1", Precision::Second, -1), "a v=1 -1");
    }

    #[test]
    fn filling_copies_no_byte_of_the_body() {
        let body = Bytes::from_static(b"a v=1\nb v=2\n");
        let slices = fill(&body, &tandem_line::scan(&body), Precision::Second, 0);
        let within = body.as_ptr_range();
        let ours: usize = slices
            .iter()
            .filter(|slice| within.contains(&slice.as_ptr()))
            .map(Bytes::len)
            .sum();
        assert_eq!(ours, body.len());
        let times: Vec<_> = slices
            .iter()
            .filter(|slice| slice.starts_with(b" "))
            .collect();
        assert_eq!(times.len(), 2);
        assert_eq!(times[0].as_ptr(), times[1].as_ptr());
    }

    #[test]
    fn gzip_with_all_times_is_sent_as_it_came() {
        use std::io::Write as _;
        let gzip = |text: &str| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            Bytes::from(encoder.finish().unwrap())
        };
        let head = || Head {
            gzip: true,
            received_ns: 5,
            ..Head::default()
        };
        let whole = gzip("m v=1 7\n");
        let ask = || crate::api::Api::V1.ask("db=d", "").unwrap();
        let (kept, body) = prepare(ask(), head(), whole.clone(), 1000).unwrap();
        assert!(kept.gzip && kept.scope.lanes != 0 && kept.lines == 1);
        assert_eq!(body[0].as_ptr(), whole.as_ptr());

        let lacking = gzip("m v=1\n");
        let (rewritten, body) = prepare(ask(), head(), lacking, 1000).unwrap();
        assert!(!rewritten.gzip);
        assert_eq!(body.concat(), b"m v=1 5\n");

        let bomb = gzip(&" ".repeat(2000));
        let error = prepare(ask(), head(), bomb, 1000).unwrap_err();
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let error = prepare(ask(), head(), Bytes::from_static(b"x"), 1000);
        assert_eq!(error.unwrap_err().status(), StatusCode::BAD_REQUEST);
    }
}
