//! From a request to a [`Batch`]: the body whole and bounded, scanned once, its missing times
//! filled in.
//!
//! The payload lies in one buffer with room for its announced length, so that what a slow backend pins is
//! what is charged to the memory budget: capacity, not length. A gzip body is inflated for the scan only,
//! and sent on as it came when every line has its time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tandem_http::{
    BodyError, HeaderMap, HttpBody, Incoming, StatusCode, WireBody, discard_body, gunzip, header,
    waits_for_peer,
};
use tandem_line::Scan;
use tandem_model::Precision;
use tandem_vfs::Clock;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::{Ask, guess_precision};
use crate::batch::{Batch, Head, Target};
use crate::buffers::Buffers;
use crate::off_loop::off_loop;
use crate::scope::Scope;

/// The unit in which memory is charged.
const CHARGE_BYTES: usize = 1024;
/// So much of a body is charged before it comes; after that, as much again as has come.
const PART_BYTES: usize = 64 << 10;
/// How much of an inflated body is expected for each byte of gzip, when memory is charged.
const INFLATION: usize = 8;
/// Inflated and scanned on the event loop up to here, off it beyond.
const INLINE_GZIP_BYTES_MAX: usize = 64 << 10;
/// Plain bodies are only scanned, a megabyte in about as long as a hop to another thread takes.
const INLINE_PLAIN_BYTES_MAX: usize = 4 << 20;
/// A clock that goes back by less is held at the time that it had.
const CLOCK_NUDGE_NS: i64 = 1_000_000_000;
/// Lines without a time that get it as slices between those of the body. With more of them the slices
/// would take more memory, and more time to send, than a copy of the body with the times in it.
const SLICED_LINES_MAX: usize = 128;

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
    #[error("tandem relay: content encoding {0:?} is not understood; send it plain or as gzip")]
    Encoding(String),
}

impl ReceiveError {
    /// The status of the answer.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Gzip(_) | Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A request's body, still on its way.
pub(crate) enum Inflow<'a, 'b> {
    /// Behind the ordinary HTTP server.
    Ordinary(&'a mut Incoming),
    /// On the wire itself, its length known.
    Express(&'a mut WireBody<'b>),
}

impl Inflow<'_, '_> {
    /// The bytes that are certain to come.
    fn announced(&self) -> usize {
        match self {
            Self::Ordinary(body) => usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX),
            Self::Express(body) => body.left(),
        }
    }

    /// Reads and drops the rest; true when it came to its end.
    pub(crate) async fn discard(&mut self, bytes_max: usize, time_max: Duration) -> bool {
        match self {
            Self::Ordinary(body) => discard_body(&mut **body, bytes_max, time_max).await,
            Self::Express(body) => body.discard(bytes_max, time_max).await,
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
    /// The latest time that was given out.
    pub(crate) latest_ns: AtomicI64,
    pub(crate) buffers: Arc<Buffers>,
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
        body: &mut Inflow<'_, '_>,
    ) -> Result<Batch, ReceiveError> {
        let gzip = ask.target == Target::Write && is_gzip(headers)?;
        let announced = body.announced();
        if announced > self.body_bytes_max {
            return Err(ReceiveError::TooLarge);
        }
        // A body counts as held when it has come: else a few that never come would hold all there is.
        let mut memory = self.charge(announced.min(PART_BYTES)).await?;
        let body = match body {
            Inflow::Ordinary(body) => self.read(body, announced, &mut memory).await?,
            Inflow::Express(body) => {
                let mut buffer = self.buffers.take(announced);
                while body.left() > 0 {
                    let part = buffer.len().max(PART_BYTES).min(body.left());
                    self.top_up(buffer.len() + part, &mut memory).await?;
                    let read = body.read_part(&mut buffer, part, self.body_stall_max);
                    read.await.map_err(ReceiveError::Broken)?;
                }
                self.top_up(buffer.capacity(), &mut memory).await?;
                self.buffers.freeze(buffer)
            }
        };
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
        let inline_bytes_max = match head.gzip {
            true => INLINE_GZIP_BYTES_MAX,
            false => INLINE_PLAIN_BYTES_MAX,
        };
        let is_small = body.len() <= inline_bytes_max;
        let prepare = move || prepare(ask, head, body, inflated_bytes_max);
        let prepared = if is_small {
            prepare()?
        } else {
            off_loop(prepare).await?
        };
        let Prepared { head, body, is_new } = prepared;
        if is_new {
            // The buffer that was read into is gone, another one has its place.
            let kept: usize = body.iter().map(Bytes::len).sum();
            drop(memory.split(memory.num_permits().saturating_sub(charges(kept))));
            self.top_up(kept, &mut memory).await?;
        }
        Ok(Batch {
            head,
            body,
            memory: Some(Arc::new(memory)),
        })
    }

    /// Charges what is missing up to so many bytes.
    async fn top_up(
        &self,
        bytes: usize,
        memory: &mut OwnedSemaphorePermit,
    ) -> Result<(), ReceiveError> {
        let owed = charges(bytes).saturating_sub(memory.num_permits());
        if owed > 0 {
            memory.merge(self.charge((owed - 1) * CHARGE_BYTES).await?);
        }
        Ok(())
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

    /// Reads the body into one buffer, and charges it as it comes.
    async fn read(
        &self,
        body: &mut Incoming,
        announced: usize,
        memory: &mut OwnedSemaphorePermit,
    ) -> Result<Bytes, ReceiveError> {
        let mut buffer = self.buffers.take(announced);
        let mut body = pin!(body);
        let mut waiting = None;
        loop {
            let next = poll_fn(|cx| {
                let polled = body.as_mut().poll_frame(cx);
                if polled.is_pending() && waiting.is_none() {
                    waiting = waits_for_peer();
                }
                polled
            });
            let waited = self.body_stall_max;
            let frame = match tokio::time::timeout(waited, next).await {
                Err(_) => return Err(ReceiveError::Broken(BodyError::Stalled { waited })),
                Ok(None) => {
                    if let Some(waiting) = waiting {
                        waiting.end().await;
                    }
                    self.top_up(buffer.capacity(), memory).await?;
                    return Ok(self.buffers.freeze(buffer));
                }
                Ok(Some(frame)) => {
                    frame.map_err(|error| ReceiveError::Broken(BodyError::Read(error)))?
                }
            };
            if let Some(data) = frame.data_ref() {
                if buffer.len() + data.len() > self.body_bytes_max {
                    return Err(ReceiveError::TooLarge);
                }
                buffer.extend_from_slice(data);
                self.top_up(buffer.len(), memory).await?;
            }
        }
    }

    /// The time of a request: another one for each, and later than that of the one before it, unless the clock
    /// has gone back further than clocks are nudged. Then it is followed: else all points without a time would
    /// get one and the same until it has caught up, and each take the place of the one before.
    fn now_ns(&self) -> i64 {
        let now = self.clock.now_ns();
        let next = |latest: i64| {
            let has_jumped = now < latest.saturating_sub(CLOCK_NUDGE_NS);
            if has_jumped {
                now
            } else {
                now.max(latest.saturating_add(1))
            }
        };
        let taken = self
            .latest_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| {
                Some(next(latest))
            });
        taken.map_or(now, next)
    }
}

/// The charge for so many bytes.
const fn charges(bytes: usize) -> usize {
    bytes / CHARGE_BYTES + 1
}

/// Whether a body is gzip, as its sender says.
fn is_gzip(headers: &HeaderMap) -> Result<bool, ReceiveError> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(false);
    };
    let is = |word: &[u8]| value.as_bytes().eq_ignore_ascii_case(word);
    if is(b"gzip") || is(b"x-gzip") {
        return Ok(true);
    }
    if value.is_empty() || is(b"identity") {
        return Ok(false);
    }
    // It cannot be looked into, so each store would give its own time to lines without one.
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    Err(ReceiveError::Encoding(text))
}

/// A body that was looked into.
#[derive(Debug)]
struct Prepared {
    head: Head,
    body: Vec<Bytes>,
    /// It lies in another buffer than it came in.
    is_new: bool,
}

/// Scans a body and fills in the time of receipt where a line has none.
fn prepare(
    mut ask: Ask,
    mut head: Head,
    body: Bytes,
    inflated_bytes_max: usize,
) -> Result<Prepared, ReceiveError> {
    if head.target == Target::PromWrite {
        // Not looked into: it may touch every lane.
        head.scope = Scope::write(&ask.database, u64::MAX);
        head.query = ask.query;
        return Ok(Prepared {
            head,
            body: vec![body],
            is_new: false,
        });
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
        return Ok(Prepared {
            head,
            body: vec![body],
            is_new: false,
        });
    }
    let is_copied = scan.missing_time.len() > SLICED_LINES_MAX;
    let is_new = head.gzip || is_copied;
    head.gzip = false;
    let time = format!(" {}", head.received_ns.div_euclid(precision.nanos()));
    let body = if is_copied {
        vec![fill_copy(scanned, &scan, &time)]
    } else {
        fill(scanned, &scan, time)
    };
    Ok(Prepared { head, body, is_new })
}

/// `body` with `time` after each line that lacks one: slices of it, and between them one shared slice with
/// the time, truncated to the unit of the request as InfluxDB does.
fn fill(body: &Bytes, scan: &Scan, time: String) -> Vec<Bytes> {
    let time = Bytes::from(time);
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

/// The same in one piece.
fn fill_copy(body: &Bytes, scan: &Scan, time: &str) -> Bytes {
    let mut out = Vec::with_capacity(body.len() + scan.missing_time.len() * time.len());
    let mut from = 0;
    for &at in &scan.missing_time {
        out.extend_from_slice(body.get(from..at).unwrap_or_default());
        out.extend_from_slice(time.as_bytes());
        from = at;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &'static str, precision: &str, now_ns: i64) -> String {
        let body = Bytes::from_static(text.as_bytes());
        let head = Head {
            received_ns: now_ns,
            ..Head::default()
        };
        let mut ask = crate::api::Api::V1.ask("db=d", "").unwrap();
        ask.precision = Some(precision.to_owned());
        let prepared = prepare(ask, head, body.clone(), 1000).unwrap();
        let time = format!(" {}", prepared.body.concat().len());
        let scan = tandem_line::scan(&body);
        let copy = fill_copy(&body, &scan, &time);
        assert_eq!(
            copy,
            fill(&body, &scan, time).concat(),
            "both ways give the same"
        );
        String::from_utf8(prepared.body.concat()).unwrap()
    }

    #[test]
    fn times_go_on_when_the_clock_is_nudged_and_follow_it_when_it_jumps() {
        let clock = Arc::new(tandem_testkit::ManualClock::new(10 * CLOCK_NUDGE_NS));
        let receiver = Receiver {
            body_bytes_max: 1,
            inflated_bytes_max: 1,
            body_stall_max: Duration::ZERO,
            memory: Receiver::budget(1),
            memory_wait: Duration::ZERO,
            clock: clock.clone(),
            latest_ns: AtomicI64::new(i64::MIN),
            buffers: Arc::default(),
        };
        let first = receiver.now_ns();
        assert_eq!(first, 10 * CLOCK_NUDGE_NS);
        assert_eq!(receiver.now_ns(), first + 1, "no two are the same");
        clock.set(first - CLOCK_NUDGE_NS / 2);
        assert_eq!(receiver.now_ns(), first + 2);
        clock.set(5 * CLOCK_NUDGE_NS);
        assert_eq!(receiver.now_ns(), 5 * CLOCK_NUDGE_NS);
        clock.set(20 * CLOCK_NUDGE_NS);
        assert_eq!(receiver.now_ns(), 20 * CLOCK_NUDGE_NS);
    }

    #[test]
    fn many_lines_without_a_time_get_it_in_one_piece() {
        let lines = SLICED_LINES_MAX + 1;
        let body = Bytes::from("m v=1\n".repeat(lines));
        let head = Head {
            received_ns: 7,
            ..Head::default()
        };
        let ask = crate::api::Api::V1.ask("db=d", "").unwrap();
        let prepared = prepare(ask, head, body, 1 << 20).unwrap();
        assert!(prepared.is_new && prepared.body.len() == 1);
        assert_eq!(prepared.body[0], "m v=1 7\n".repeat(lines));
    }

    #[test]
    fn one_time_for_all_lines_of_a_request_in_its_unit() {
        let now = 1_500_000_000_123_456_789;
        assert_eq!(
            filled("a v=1\nb v=2 7\nc v=\"x\ny\"\n", "ms", now),
            "a v=1 1500000000123\nb v=2 7\nc v=\"x\ny\" 1500000000123\n"
        );
        assert_eq!(filled("a v=1", "n", now), "a v=1 1500000000123456789");
        assert_eq!(filled("a v=1", "s", -1), "a v=1 -1");
    }

    #[test]
    fn filling_copies_no_byte_of_the_body() {
        let body = Bytes::from_static(b"a v=1\nb v=2\n");
        let slices = fill(&body, &tandem_line::scan(&body), " 0".to_owned());
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
        let prepared = prepare(ask(), head(), whole.clone(), 1000).unwrap();
        let (kept, body) = (prepared.head, prepared.body);
        assert!(kept.gzip && kept.scope.lanes != 0 && kept.lines == 1);
        assert_eq!(body[0].as_ptr(), whole.as_ptr());

        let lacking = gzip("m v=1\n");
        let rewritten = prepare(ask(), head(), lacking, 1000).unwrap();
        assert!(!rewritten.head.gzip && rewritten.is_new);
        assert_eq!(rewritten.body.concat(), b"m v=1 5\n");

        let bomb = gzip(&" ".repeat(2000));
        let error = prepare(ask(), head(), bomb, 1000).unwrap_err();
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let error = prepare(ask(), head(), Bytes::from_static(b"x"), 1000);
        assert_eq!(error.unwrap_err().status(), StatusCode::BAD_REQUEST);
    }
}
