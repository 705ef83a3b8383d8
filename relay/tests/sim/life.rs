//! The lives of a relay, one after the other, and what happens to it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tandem_http::Url;
use tandem_relay::{BackendConfig, Config, Relay};
use tandem_testkit::{Rng, SimFs};
use tandem_vfs::Clock;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::net::Net;
use crate::store::{Mood, Stores};
use crate::writer::{Connections, WRITERS, Writer, write_on};

/// Things that happen in one world.
const EVENTS: u64 = 8;
/// Batches of each writer, at least.
const BATCHES: u64 = 30;
/// More than a write may be late.
const WRITE_TIMEOUT: Duration = Duration::from_millis(2_500);
/// In the end everything is well, and this is enough.
const DRAIN_MAX: Duration = Duration::from_secs(600);
const HOUR_NS: u64 = 3_600_000_000_000;

/// See the module's head.
pub(crate) struct Life {
    seed: u64,
    rng: Rng,
    pub(crate) stores: Stores,
    net: Net,
    fs: SimFs,
    clock: Arc<WallClock>,
    writers: Vec<Arc<Mutex<Writer>>>,
    pub(crate) starts: u64,
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stop,
    Kill,
    PowerCut,
    /// All is through.
    Done,
}

impl Life {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let stores = Stores::new();
        let writer = |index| {
            Arc::new(Mutex::new(Writer::new(
                index,
                seed ^ (index as u64 + 7) << 32,
            )))
        };
        Self {
            seed,
            net: Net::new(stores.clone(), rng.next_u64()),
            fs: SimFs::new(rng.next_u64()),
            clock: Arc::new(WallClock::new(1_700_000_000_000_000_000)),
            writers: (0..WRITERS).map(writer).collect(),
            stores,
            rng,
            starts: 0,
        }
    }

    /// Lives until everything is through; gives what the writers have done.
    pub(crate) fn run(&mut self) -> Vec<Writer> {
        let mut events = EVENTS;
        loop {
            self.starts += 1;
            assert!(
                self.starts < 60,
                "seed {}: it does not come to an end",
                self.seed
            );
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            let pause = Duration::from_millis(self.rng.within(0..300));
            let end = runtime.block_on(async {
                let end = self.live(&mut events).await;
                // Said within it: outside it is another time.
                self.stores.end(pause);
                self.clock.end(pause);
                end
            });
            // Everything in memory is gone with it; what the stores have taken in is not.
            drop(runtime);
            crate::trace!("the relay ends: {end:?}");
            match end {
                End::Done => break,
                End::PowerCut => self.fs = self.fs.crash(self.rng.next_u64()),
                End::Stop | End::Kill => {}
            }
            self.fs.set_capacity(None);
            self.fs.calm();
        }
        let own = |writer: &Arc<Mutex<Writer>>| writer.lock().expect("no panic").clone();
        self.writers.iter().map(own).collect()
    }

    async fn live(&mut self, events: &mut u64) -> End {
        self.stores.begin();
        self.clock.begin();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopping = async {
            let _ = stopped.await;
        };
        let vfs = Arc::new(self.fs.clone());
        let started = Relay::start_unheard(self.config(), vfs, self.clock.clone(), stopping).await;
        let relay = match started {
            Ok(relay) => Arc::new(relay),
            // The disk failed while it began.
            Err(_) => return End::Kill,
        };
        let connections = Connections::default();
        let writing: Vec<_> = self
            .writers
            .iter()
            .map(|writer| {
                let (relay, connections) = (relay.clone(), connections.clone());
                tokio::spawn(write_on(relay, connections, writer.clone(), BATCHES))
            })
            .collect();
        while *events > 0 {
            *events -= 1;
            let wait = self.rng.within(1..400);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            if let Some(end) = self.event() {
                match end {
                    End::Stop => {
                        for task in writing {
                            task.abort();
                            let _ = task.await;
                        }
                        // Their clients have gone; what is in work comes to its end.
                        let tasks = std::mem::take(&mut *connections.lock().expect("no panic"));
                        for task in tasks {
                            task.await.expect("a connection");
                        }
                        let _ = stop.send(());
                        let relay = Arc::into_inner(relay).expect("nobody else has it");
                        relay.stopped().await;
                    }
                    _ => drop(stop),
                }
                return end;
            }
        }
        self.mend();
        let drained = tokio::time::timeout(DRAIN_MAX, async {
            for task in writing {
                task.await.expect("a writer");
            }
            loop {
                let status = relay.status();
                let dead: u64 = status.iter().map(|backend| backend.dead_batches).sum();
                assert_eq!(dead, 0, "seed {}: {status:?}", self.seed);
                let queued: u64 = status.iter().map(|backend| backend.queued_batches).sum();
                if queued == 0 && self.stores.is_quiet() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        if drained.await.is_err() {
            let status = relay.status();
            let is_broken = status.iter().any(|backend| backend.refused_batches > 0);
            // A log whose sync failed takes nothing until the relay is started anew.
            assert!(is_broken, "seed {}: it never drains: {status:?}", self.seed);
            return End::Kill;
        }
        End::Done
    }

    fn config(&self) -> Config {
        let backend = |name: &str| {
            let url = Url::parse(&format!("http://{name}:8086")).expect("a URL");
            BackendConfig::new(name, url)
        };
        let mut config = Config::new(vec![backend("primary"), backend("backup")], "/sim-relay");
        config.hedge_delay = Duration::from_millis(40);
        config.write_timeout = WRITE_TIMEOUT;
        config.connect_timeout = Duration::from_millis(500);
        config.retry_delay_min = Duration::from_millis(10);
        config.retry_delay_max = Duration::from_millis(500);
        config.network = Some(Arc::new(self.net.clone()));
        config.scatter_seed = Some(self.seed);
        config
    }

    fn event(&mut self) -> Option<End> {
        let store = self.rng.below(2);
        let event = self.rng.below(20);
        crate::trace!("event {event} to store {store}");
        match event {
            0 => self.stores.set_mood(store, Mood::Down),
            1 => self.stores.set_mood(store, Mood::Silent),
            2 | 3 => self.stores.set_mood(store, Mood::Slow),
            4 => self.stores.set_mood(store, Mood::TimesOut),
            5 => self.stores.set_mood(store, Mood::Breaks),
            6 => self
                .stores
                .set_mood(store, Mood::Refuses(503, "engine is busy")),
            7 => {
                let text = "database not found: d";
                self.stores.set_mood(store, Mood::Refuses(404, text));
            }
            8 => {
                let text = "retention policy not found: x";
                self.stores.set_mood(store, Mood::Refuses(500, text));
            }
            9 => self
                .stores
                .set_mood(store, Mood::Refuses(401, "authorization failed")),
            10 => self.net.cut(store),
            11 | 12 => {
                self.stores.set_mood(0, Mood::Well);
                self.stores.set_mood(1, Mood::Well);
            }
            13 => {
                let room = self.rng.within(0..2_000);
                self.fs.set_capacity(Some(self.fs.used_bytes() + room));
            }
            14 => self.fs.set_capacity(None),
            15 => {
                let kind = [io::ErrorKind::StorageFull, io::ErrorKind::Other][self.rng.below(2)];
                self.fs.fail_after(self.rng.within(0..60), kind);
            }
            16 => {
                let jump = self.rng.within(0..48 * HOUR_NS) as i64 - 24 * HOUR_NS as i64;
                self.clock.jump(jump);
            }
            17 => return Some(End::Stop),
            18 => return Some(End::Kill),
            _ => return Some(End::PowerCut),
        }
        None
    }

    fn mend(&mut self) {
        for store in 0..2 {
            self.stores.set_mood(store, Mood::Well);
        }
        self.fs.set_capacity(None);
        self.fs.calm();
    }
}

/// The clock on the wall: it goes with the time of the runtime, jumps when it is told to, and never says the same
/// twice.
#[derive(Debug)]
struct WallClock(Mutex<Wall>);

#[derive(Debug)]
struct Wall {
    base_ns: i64,
    begun: Option<Instant>,
}

impl WallClock {
    fn new(base_ns: i64) -> Self {
        let begun = None;
        Self(Mutex::new(Wall { base_ns, begun }))
    }

    fn begin(&self) {
        self.0.lock().expect("no panic").begun = Some(Instant::now());
    }

    fn end(&self, pause: Duration) {
        let now_ns = self.now_ns();
        let mut wall = self.0.lock().expect("no panic");
        *wall = Wall {
            base_ns: now_ns + pause.as_nanos() as i64,
            begun: None,
        };
    }

    fn jump(&self, by_ns: i64) {
        self.0.lock().expect("no panic").base_ns += by_ns;
    }
}

impl Clock for WallClock {
    fn now_ns(&self) -> i64 {
        let mut wall = self.0.lock().expect("no panic");
        wall.base_ns += 1;
        let elapsed = wall.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        wall.base_ns + elapsed.as_nanos() as i64
    }
}
