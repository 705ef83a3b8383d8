//! Two stores, and what is still on its way into them when nobody waits for it any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// What one store does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Nobody listens.
    Down,
    /// Connections are never made.
    Silent,
    /// Every write takes long.
    Slow,
    /// This answer, and nothing is stored.
    Refuses(u16, &'static str),
    /// Takes writes, answers 500 `timeout`, and stores them later.
    TimesOut,
    /// Reads the request and closes; stores it at once, later or never.
    Breaks,
}

/// Values by series and time.
pub(crate) type PointMap = BTreeMap<(String, u64), u64>;

#[derive(Debug, Default)]
struct Store {
    points: PointMap,
}

/// Applied by itself, whoever has gone away meanwhile.
#[derive(Clone, Debug)]
struct Late {
    store: usize,
    due: Duration,
    request: Request,
}

/// What came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) body: String,
}

#[derive(Debug)]
struct Shared {
    stores: [Store; 2],
    moods: [Mood; 2],
    late: BTreeMap<u64, Late>,
    next: u64,
    /// Time that passed in earlier lives.
    base: Duration,
    begun: Option<Instant>,
}

/// See the module's head; outlives every relay.
#[derive(Clone, Debug)]
pub(crate) struct Stores(Arc<Mutex<Shared>>);

impl Stores {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Shared {
            stores: Default::default(),
            moods: [Mood::Well; 2],
            late: BTreeMap::new(),
            next: 0,
            base: Duration::ZERO,
            begun: None,
        })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.0.lock().expect("no test goes on after a panic")
    }

    pub(crate) fn mood(&self, store: usize) -> Mood {
        self.lock().moods[store]
    }

    pub(crate) fn set_mood(&self, store: usize, mood: Mood) {
        self.lock().moods[store] = mood;
    }

    pub(crate) fn points(&self, store: usize) -> PointMap {
        self.lock().stores[store].points.clone()
    }

    /// A runtime has begun: what was under way in the last one goes on here.
    pub(crate) fn begin(&self) {
        let late: Vec<u64> = {
            let mut shared = self.lock();
            shared.begun = Some(Instant::now());
            shared.late.keys().copied().collect()
        };
        for id in late {
            self.wait_for(id);
        }
    }

    /// The runtime ends; so long after it the next one begins.
    pub(crate) fn end(&self, pause: Duration) {
        let mut shared = self.lock();
        shared.base = shared.now() + pause;
        shared.begun = None;
    }

    /// Applies a request now.
    pub(crate) fn apply(&self, store: usize, request: &Request) {
        let mut shared = self.lock();
        crate::trace!("{:?} store {store} applies {request:?}", shared.now());
        shared.stores[store].apply(request);
    }

    /// Applies a request after a while, even if its sender, or the relay, has gone.
    pub(crate) fn apply_later(&self, store: usize, request: Request, wait: Duration) {
        let id = {
            let mut shared = self.lock();
            let (id, due) = (shared.next, shared.now() + wait);
            shared.next += 1;
            let late = Late {
                store,
                due,
                request,
            };
            shared.late.insert(id, late);
            id
        };
        self.wait_for(id);
    }

    fn wait_for(&self, id: u64) {
        let stores = self.clone();
        tokio::spawn(async move {
            let wait = {
                let shared = stores.lock();
                let Some(late) = shared.late.get(&id) else {
                    return;
                };
                late.due.saturating_sub(shared.now())
            };
            tokio::time::sleep(wait).await;
            let mut shared = stores.lock();
            if let Some(late) = shared.late.remove(&id) {
                crate::trace!(
                    "{:?} store {} applies late {:?}",
                    shared.now(),
                    late.store,
                    late.request
                );
                shared.stores[late.store].apply(&late.request);
            }
        });
    }

    /// Whether nothing is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.lock().late.is_empty()
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.base + self.begun.map_or(Duration::ZERO, |begun| begun.elapsed())
    }
}

impl Store {
    /// Takes `series field=NUMBERi TIME`, or drops a measurement.
    fn apply(&mut self, request: &Request) {
        if request.path.starts_with("/query") {
            let text = request
                .body
                .strip_prefix("q=")
                .expect("a form with a statement");
            let text = text
                .replace("%20", " ")
                .replace("%3D", "=")
                .replace("%27", "'")
                .replace('+', " ");
            let host = text
                .strip_prefix("DROP SERIES FROM n WHERE host = '")
                .expect(&text);
            let series = format!("n,host={}", host.trim_end_matches('\''));
            self.points.retain(|(name, _), _| *name != series);
            return;
        }
        for line in request.body.lines() {
            let mut parts = line.split(' ');
            let (series, value, time) = (parts.next(), parts.next(), parts.next());
            let number =
                value.and_then(|value| value.strip_prefix("v=")?.strip_suffix('i')?.parse().ok());
            let time = time.and_then(|time| time.parse().ok());
            let (Some(series), Some(number), Some(time)) = (series, number, time) else {
                panic!("what no writer sent: {line:?} in {:?}", request.body);
            };
            self.points.insert((series.to_owned(), time), number);
        }
    }
}
