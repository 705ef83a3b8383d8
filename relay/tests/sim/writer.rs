//! A client that sends numbered points, one batch after the other, and repeats what was not acknowledged.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tandem_relay::Relay;
use tandem_testkit::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

pub(crate) const WRITERS: usize = 3;
const PIPE_BYTES: usize = 512;
/// Then it asks again.
const PATIENCE: Duration = Duration::from_secs(8);

/// What it has done; outlives every relay.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    index: usize,
    rng: Rng,
    /// The number of the next batch.
    pub(crate) next: u64,
    /// Numbers below have been dropped again.
    pub(crate) kept_from: u64,
    /// A statement waits for its acknowledgement, or else a batch does.
    drops: bool,
    has_untimed: bool,
    attempts: u64,
    pub(crate) untimed: Vec<u64>,
    /// Untimed numbers that were sent more than once.
    pub(crate) repeated: BTreeSet<u64>,
    pub(crate) acknowledged: u64,
}

impl Writer {
    pub(crate) fn new(index: usize, seed: u64) -> Self {
        let mut writer = Self {
            index,
            rng: Rng::new(seed),
            next: 0,
            kept_from: 0,
            drops: false,
            has_untimed: false,
            attempts: 0,
            untimed: Vec::new(),
            repeated: BTreeSet::new(),
            acknowledged: 0,
        };
        writer.choose();
        writer
    }

    /// What comes next.
    fn choose(&mut self) {
        self.drops = self.next > 3 && self.rng.chance(4);
        self.has_untimed = !self.drops && self.rng.chance(20);
        self.attempts = 0;
    }

    fn request(&self) -> String {
        let (index, number) = (self.index, self.next);
        if self.drops {
            let body = format!("q=DROP SERIES FROM n WHERE host = 'w{index}'");
            return format!(
                "POST /query?db=d HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        let mut body =
            format!("m,host=w{index} v={number}i 1\nn,host=w{index} v={number}i {number}\n");
        if self.has_untimed {
            body += &format!("u,host=w{index} v={number}i\n");
        }
        let length = body.len();
        format!("POST /write?db=d HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    fn is_acknowledged(&mut self) {
        if self.drops {
            self.kept_from = self.next;
        } else {
            if self.has_untimed {
                self.untimed.push(self.next);
            }
            self.next += 1;
            self.acknowledged += 1;
        }
        self.choose();
    }
}

/// The relay's ends of all connections.
pub(crate) type Connections = Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>>;

/// Writes until the relay's runtime ends, or `count` batches are through.
pub(crate) async fn write_on(
    relay: Arc<Relay>,
    connections: Connections,
    writer: Arc<Mutex<Writer>>,
    count: u64,
) {
    let mut stream: Option<DuplexStream> = None;
    loop {
        let (request, pause, goes_away, half) = {
            let mut writer = writer.lock().expect("no panic");
            if writer.next >= count {
                return;
            }
            writer.attempts += 1;
            if writer.has_untimed && writer.attempts > 1 {
                let number = writer.next;
                writer.repeated.insert(number);
            }
            let pause = Duration::from_millis(writer.rng.within(0..30));
            let goes_away = writer.rng.chance(3);
            (writer.request(), pause, goes_away, writer.rng.chance(50))
        };
        let mut connection = stream
            .take()
            .unwrap_or_else(|| connect(&relay, &connections));
        let bytes = match goes_away && half {
            true => &request.as_bytes()[..request.len() / 2],
            false => request.as_bytes(),
        };
        let sent = timeout(PATIENCE, connection.write_all(bytes)).await;
        if !goes_away && matches!(sent, Ok(Ok(()))) {
            let answer = timeout(PATIENCE, answer(&mut connection)).await;
            if let Ok(Some(status)) = answer {
                match status {
                    200 | 204 => writer.lock().expect("no panic").is_acknowledged(),
                    // Too late, too many, or both stores say no.
                    401 | 404 | 500 | 503 => {}
                    other => panic!("answered with {other}"),
                }
                stream = Some(connection);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

fn connect(relay: &Arc<Relay>, connections: &Connections) -> DuplexStream {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let relay = Arc::clone(relay);
    let task = tokio::spawn(async move { relay.serve_stream(far).await });
    connections.lock().expect("no panic").push(task);
    near
}

/// The status of an answer; its body is read over.
async fn answer(stream: &mut DuplexStream) -> Option<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("a head in ASCII");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    head.split(' ').nth(1)?.parse().ok()
}
