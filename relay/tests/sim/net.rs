//! The network between the relay and its stores: streams in memory, with delays, refusals and breaks.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tandem_http::{Network, Opening, Stream};
use tandem_testkit::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::store::{Mood, Request, Stores};

/// For so long a write may be applied after it was sent; the relay is told a little more.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(2_400);
const PIPE_BYTES: usize = 256;

/// See the module's head.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    stores: Stores,
    rng: Arc<Mutex<Rng>>,
    /// Counts up when the connections to a store are cut.
    cuts: [watch::Sender<u64>; 2],
}

impl Net {
    pub(crate) fn new(stores: Stores, seed: u64) -> Self {
        Self {
            stores,
            rng: Arc::new(Mutex::new(Rng::new(seed))),
            cuts: [0, 0].map(watch::Sender::new),
        }
    }

    /// Breaks every connection to a store.
    pub(crate) fn cut(&self, store: usize) {
        self.cuts[store].send_modify(|cuts| *cuts += 1);
    }

    fn within(&self, range: std::ops::Range<u64>) -> u64 {
        self.rng.lock().expect("no panic").within(range)
    }

    fn chance(&self, of_hundred: u64) -> bool {
        self.rng.lock().expect("no panic").chance(of_hundred)
    }

    fn ms(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// One connection to a store, served until somebody ends it.
    async fn serve(self, store: usize, mut stream: DuplexStream) {
        let mut cut = self.cuts[store].subscribe();
        cut.mark_unchanged();
        loop {
            let request = tokio::select! {
                biased;
                _ = cut.changed() => return,
                request = read(&mut stream) => request,
            };
            let Some(request) = request else { return };
            let arrived = Instant::now();
            let mood = self.stores.mood(store);
            if mood == Mood::Down {
                return;
            }
            // What a store has taken in it works on, whatever becomes of the connection.
            let answer = tokio::select! {
                biased;
                _ = cut.changed() => {
                    self.perhaps_later(store, request, arrived);
                    return;
                }
                answer = self.work(store, mood, &request) => answer,
            };
            let Some(answer) = answer else { return };
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// Does what the mood says; no answer for a connection that breaks.
    async fn work(&self, store: usize, mood: Mood, request: &Request) -> Option<String> {
        let arrived = Instant::now();
        let done = if request.path.starts_with("/query") {
            let body = "{\"results\":[{\"statement_id\":0}]}";
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        } else {
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        };
        match mood {
            Mood::Well | Mood::Down | Mood::Silent => {
                tokio::time::sleep(self.ms(0..6)).await;
                self.stores.apply(store, request);
                // Applied, and the answer is still under way.
                tokio::time::sleep(self.ms(0..6)).await;
                Some(done)
            }
            Mood::Slow => {
                let wait = self.ms(50..2_000);
                // From here on it will happen.
                self.stores.apply_later(store, request.clone(), wait);
                tokio::time::sleep(wait + self.ms(1..100)).await;
                Some(done)
            }
            Mood::Refuses(status, text) => {
                tokio::time::sleep(self.ms(0..6)).await;
                Some(refusal(status, text))
            }
            Mood::TimesOut => {
                tokio::time::sleep(self.ms(0..100)).await;
                self.perhaps_later(store, request.clone(), arrived);
                Some(refusal(500, "timeout"))
            }
            Mood::Breaks => {
                tokio::time::sleep(self.ms(0..6)).await;
                self.perhaps_later(store, request.clone(), arrived);
                None
            }
        }
    }

    /// A write that broke off: never later than any write may be after it has arrived.
    fn perhaps_later(&self, store: usize, request: Request, arrived: Instant) {
        if self.chance(70) {
            let at = arrived + self.ms(0..LATE_MAX.as_millis() as u64 - 200);
            let wait = at.saturating_duration_since(Instant::now());
            self.stores.apply_later(store, request, wait);
        }
    }
}

fn refusal(status: u16, text: &str) -> String {
    let body = format!("{{\"error\":\"{text}\"}}\n");
    format!(
        "HTTP/1.1 {status} No\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Network for Net {
    fn connect(&self, host: &str, _port: u16) -> Opening {
        let store = usize::from(host == "backup");
        let net = self.clone();
        Box::pin(async move {
            tokio::time::sleep(net.ms(0..3)).await;
            match net.stores.mood(store) {
                Mood::Down => return Err(io::ErrorKind::ConnectionRefused.into()),
                Mood::Silent => std::future::pending::<()>().await,
                _ => {}
            }
            let (near, far) = tokio::io::duplex(PIPE_BYTES);
            tokio::spawn(net.clone().serve(store, far));
            let stream: Box<dyn Stream> = Box::new(near);
            Ok(stream)
        })
    }
}

/// Reads one request, or nothing when the stream ends before.
async fn read(stream: &mut DuplexStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("a head in ASCII");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length
        .expect("an announced length")
        .parse()
        .expect("a number");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let target = head.split(' ').nth(1).expect("a target");
    Some(Request {
        path: target.to_owned(),
        body: String::from_utf8(body).expect("a body in ASCII"),
    })
}
