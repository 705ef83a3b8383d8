//! Writes numbered points and remembers which were acknowledged.
//!
//! Each writer sends its batches one after the other, and one batch again and again until it is
//! acknowledged, so that at the end nothing is in doubt. Beside its numbered points, each with a
//! time of its own, every batch overwrites one point: what that holds in the end tells whether
//! order was kept.

use std::{
    fmt::Write as _,
    io::{self, Read, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{PATIENCE, await_true, http};

/// The one that a store makes at its first start.
pub(crate) const DATABASE: &str = "telegraf";
const WRITERS: usize = 3;
const BATCH_POINTS: usize = 10;
/// 2023-11-14T22:13:20Z
const FIRST_TIME_NS: i64 = 1_700_000_000_000_000_000;
const STEP_NS: i64 = 1_000_000;
/// Longer than the relay's write timeout, so that its own answer is seen.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Before a refused batch is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// What one writer wrote.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    writer: usize,
    /// Numbered from 0.
    pub(crate) points: usize,
}

/// Writers at work.
#[derive(Debug)]
pub(crate) struct Loader {
    writers: Vec<JoinHandle<Acknowledged>>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

impl Loader {
    /// Starts to write to `address`, a relay's or a store's.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (stop, acknowledged) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let writers = (0..WRITERS).map(|writer| {
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            thread::spawn(move || write_on(address, writer, &stop, &acknowledged))
        });
        Self {
            writers: writers.collect(),
            stop,
            acknowledged,
        }
    }

    /// Waits until `points` more are acknowledged.
    #[track_caller]
    pub(crate) fn await_more(&self, points: usize) {
        let wanted = self.acknowledged.load(Ordering::Relaxed) + points;
        await_true(
            &format!("{points} more points are acknowledged"),
            PATIENCE,
            || self.acknowledged.load(Ordering::Relaxed) >= wanted,
        );
    }

    /// Lets every writer have its last batch acknowledged.
    #[track_caller]
    pub(crate) fn finish(self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        self.writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer that got through"))
            .collect()
    }
}

impl Acknowledged {
    /// How many of its points the store at `address` holds.
    pub(crate) fn count_in(&self, address: SocketAddr) -> Option<usize> {
        let query = format!(
            "SELECT count(number) FROM numbered WHERE writer = '{}'",
            self.writer
        );
        let rows = http::rows(address, DATABASE, &query)?;
        let count = rows.first().map_or(0, |row| row[1].as_u64().unwrap_or(0));
        usize::try_from(count).ok()
    }

    /// Every point as it was written, and the overwritten one as it was written last.
    #[track_caller]
    pub(crate) fn assert_held_by(&self, address: SocketAddr) {
        let writer = self.writer;
        let query = format!("SELECT number FROM numbered WHERE writer = '{writer}'");
        let rows = http::rows(address, DATABASE, &query).expect("an answer");
        for (number, row) in rows.iter().enumerate() {
            assert_eq!(
                *row,
                serde_json::json!([time_ns(number), number]),
                "writer {writer}"
            );
        }
        assert_eq!(rows.len(), self.points, "writer {writer}");
        let query = format!("SELECT number FROM latest WHERE writer = '{writer}'");
        let rows = http::rows(address, DATABASE, &query).expect("an answer");
        assert_eq!(
            rows,
            [serde_json::json!([FIRST_TIME_NS, self.points])],
            "order was not kept"
        );
    }
}

fn time_ns(number: usize) -> i64 {
    FIRST_TIME_NS + i64::try_from(number).expect("a small number") * STEP_NS
}

fn batch(writer: usize, first: usize) -> String {
    let mut lines = String::new();
    for number in first..first + BATCH_POINTS {
        let _ = writeln!(
            lines,
            "numbered,writer={writer} number={number}i {}",
            time_ns(number)
        );
    }
    let _ = writeln!(
        lines,
        "latest,writer={writer} number={}i {FIRST_TIME_NS}",
        first + BATCH_POINTS
    );
    lines
}

fn write_on(
    address: SocketAddr,
    writer: usize,
    stop: &AtomicBool,
    count: &AtomicUsize,
) -> Acknowledged {
    let (mut points, mut connection) = (0, None);
    while !stop.load(Ordering::Relaxed) {
        let lines = batch(writer, points);
        let deadline = Instant::now() + 2 * PATIENCE;
        while !post(&mut connection, address, &lines).unwrap_or(false) {
            assert!(
                Instant::now() < deadline,
                "a batch was not acknowledged in time"
            );
            thread::sleep(RETRY_DELAY);
        }
        points += BATCH_POINTS;
        count.fetch_add(BATCH_POINTS, Ordering::Relaxed);
    }
    Acknowledged { writer, points }
}

/// True when the answer was 204. The connection is kept for the next batch only then.
fn post(kept: &mut Option<TcpStream>, address: SocketAddr, lines: &str) -> io::Result<bool> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
            stream.set_read_timeout(Some(ANSWER_MAX))?;
            stream.set_write_timeout(Some(ANSWER_MAX))?;
            stream.set_nodelay(true)?;
            stream
        }
    };
    let length = lines.len();
    let head = format!(
        "POST /write?db={DATABASE} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{lines}").as_bytes())?;
    // A 204 has no body: it ends with its head.
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    let acknowledged = answer.starts_with(b"HTTP/1.1 204 ");
    if acknowledged {
        *kept = Some(stream);
    }
    Ok(acknowledged)
}
