//! The agent's life: one thread gathers, one sends, and both end on request.
//!
//! The sender has a small runtime of its own on its thread, because it syncs files: waiting for a
//! disk there holds up nobody else. The gatherer never waits for the sender.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tandem_vfs::{Clock, RealFs, SystemClock, Vfs};
use thiserror::Error;
use tokio::sync::oneshot;
use tracing::info;

use crate::collect::{Collectors, Moment};
use crate::config::Config;
use crate::counters::{Accounts, Counters};
use crate::gather::{Gatherer, PATIENCE, Plan};
use crate::hostname;
use crate::inbox::Inbox;
use crate::record::Record;
use crate::schedule::Rhythm;
use crate::sender::Sender;
use crate::spool::Spool;
use crate::uplink::Uplink;
use crate::verdict::Verdict;

/// How soon a clock that was set is noticed.
const CLOCK_CHECK_PAUSE: Duration = Duration::from_secs(1);
/// Time between the two samples of [`test`] and [`once`], as Telegraf has it.
const SAMPLE_PAUSE: Duration = Duration::from_millis(500);
/// How long [`test`] and [`once`] wait for a slow collector.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an agent does not run.
#[derive(Debug, Error)]
pub enum AgentError {
    /// A setting makes no sense.
    #[error("{0}")]
    Config(String),
    /// The spool cannot be opened.
    #[error("cannot open the spool in {}", data_dir.display())]
    Spool {
        /// The data directory.
        data_dir: PathBuf,
        /// Why.
        source: tandem_seglog::Error,
    },
    /// The operating system refuses a thread or what a thread waits on.
    #[error("cannot start the agent's threads")]
    Start(#[source] io::Error),
    /// The relays did not take the lines of [`once`].
    #[error("{lines} lines were not written: {reason}")]
    NotWritten {
        /// How many.
        lines: u64,
        /// What the relay said, or why there is no answer.
        reason: String,
    },
}

/// What an agent takes from the world beside its files under [`crate::Roots`].
#[derive(Clone, Debug)]
pub struct World {
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Where the spool is.
    pub vfs: Arc<dyn Vfs>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            vfs: Arc::new(RealFs),
        }
    }
}

/// A running agent. Dropped, it stops as with [`Agent::stop`], in the background.
#[derive(Debug)]
pub struct Agent {
    counters: Arc<Counters>,
    /// Where the spool is: it cannot move while the agent runs.
    data_dir: PathBuf,
    inbox: Arc<Inbox>,
    /// Times that the gatherer looked whether a tick is due.
    turns: Arc<AtomicU64>,
    /// Takes other settings to the gatherer; dropped to stop it, which then closes the inbox, which
    /// stops the sender.
    stop: Option<std::sync::mpsc::Sender<Box<Config>>>,
    /// Nothing once it was seen.
    ended: Option<oneshot::Receiver<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// Refuses settings that make no sense.
fn check(config: &Config) -> Result<(), AgentError> {
    let refuse = |why: &str| Err(AgentError::Config(why.to_owned()));
    if config.relays.is_empty() {
        return refuse("no relay is given; name one, such as http://127.0.0.1:9096");
    }
    if config.interval < Config::INTERVAL_MIN {
        return refuse("the interval must be at least 100ms");
    }
    if config.offset >= config.interval || config.jitter >= config.interval {
        return refuse("offset and jitter must be below the interval");
    }
    if config.database.is_empty() {
        return refuse("the database has no name");
    }
    if let Some(sampling) = &config.sampling
        && sampling.every < Config::INTERVAL_MIN
    {
        return refuse("the time between samples must be at least 100ms");
    }
    let sampled = config
        .sampling
        .iter()
        .flat_map(|sampling| &sampling.collectors);
    let shapes = &config.collectors.shapes;
    let named = config.collectors.timings.keys().chain(shapes.keys());
    for name in named.chain(sampled) {
        if !Collectors::NAMES.contains(&name.as_str()) {
            let known = Collectors::NAMES.join(", ");
            return refuse(&format!(
                "there is no collector {name:?}; there are {known}"
            ));
        }
    }
    for (name, timing) in &config.collectors.timings {
        let interval = timing.interval.unwrap_or(config.interval);
        let least = Config::INTERVAL_MIN;
        if interval < least {
            return refuse(&format!("the interval of {name} must be at least 100ms"));
        }
        if timing.offset.is_some_and(|offset| offset >= interval)
            || timing.jitter.is_some_and(|jitter| jitter >= interval)
        {
            return refuse(&format!(
                "offset and jitter of {name} must be below its interval"
            ));
        }
    }
    let own = shapes.iter().map(|(name, shape)| (name.as_str(), shape));
    for (name, shape) in own.chain([("all collectors", &config.shape)]) {
        if let Some(objection) = shape.objection() {
            return refuse(&format!("of {name}: {objection}"));
        }
    }
    Ok(())
}

fn plan(config: &Config) -> Plan {
    let sampling = config.sampling.as_ref();
    Plan {
        tags: hostname::tags(config),
        rhythm: Rhythm {
            interval: config.interval,
            offset: config.offset,
            jitter: config.jitter,
        },
        precision: config.precision,
        sampling: sampling.map(|sampling| (sampling.every, sampling.collectors.clone())),
        series_max: config.series_max,
        budget: config.budget,
        shape: config.shape.clone(),
    }
}

fn chosen(config: &Config, counters: &Arc<Counters>) -> Vec<crate::collect::Chosen> {
    let output = &config.output;
    let buffer_bytes_max = output.spool_bytes_max + output.memory_bytes_max as u64;
    config.collectors.choose(counters, buffer_bytes_max)
}

fn gatherer(config: &Config, counters: &Arc<Counters>, now_ns: i64) -> Gatherer {
    Gatherer::new(
        chosen(config, counters),
        config.roots.clone(),
        &plan(config),
        PATIENCE,
        Arc::clone(counters),
        now_ns,
    )
}

fn elapsed_ns(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl Agent {
    /// Starts an agent: opens its spool and begins to gather at the next tick.
    ///
    /// # Errors
    /// See [`AgentError`]; nothing runs then.
    pub fn start(config: Config, world: World) -> Result<Self, AgentError> {
        check(&config)?;
        let counters = Arc::new(Counters::default());
        let spool = Spool::open(
            &world.vfs,
            &config.data_dir,
            config.output.spool_bytes_max,
            Arc::clone(&counters),
        )
        .map_err(|source| AgentError::Spool {
            data_dir: config.data_dir.clone(),
            source,
        })?;
        let inbox = Arc::new(Inbox::new(
            config.output.memory_bytes_max,
            Arc::clone(&counters),
        ));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(AgentError::Start)?;
        let (over, ended) = oneshot::channel();
        let sending = {
            let (inbox, counters) = (Arc::clone(&inbox), Arc::clone(&counters));
            let mut sender = Sender::new(&config, inbox, spool, counters, Arc::clone(&world.clock));
            move || {
                let _over = over;
                runtime.block_on(sender.run());
            }
        };
        let (stop, orders) = channel();
        let turns = Arc::new(AtomicU64::new(0));
        let data_dir = config.data_dir.clone();
        let gathering = {
            let (inbox, counters) = (Arc::clone(&inbox), Arc::clone(&counters));
            let turns = Arc::clone(&turns);
            // The first tick is the first after the start, however late the thread comes.
            let gatherer = gatherer(&config, &counters, world.clock.now_ns());
            move || {
                let _closing = Closing(Arc::clone(&inbox));
                gather_until(gatherer, &*world.clock, &inbox, &counters, &orders, &turns);
            }
        };
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(body)
                .map_err(AgentError::Start)
        };
        let sender = spawn("agent-send", Box::new(sending))?;
        // Where the second cannot start, the first ends with the inbox.
        let gatherer = spawn("agent-gather", Box::new(gathering)).inspect_err(|_| inbox.close())?;
        Ok(Self {
            counters,
            data_dir,
            inbox,
            turns,
            stop: Some(stop),
            ended: Some(ended),
            threads: vec![gatherer, sender],
        })
    }

    /// The books of this run.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        self.counters.read()
    }

    /// Grows at least once in [`Agent::TURN_MAX`] as long as the agent gathers, for whoever watches it.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// See [`Agent::turns`]: a pause, and every collector waited for as long as it is.
    pub const TURN_MAX: Duration = Duration::from_secs(5);

    /// Takes other settings on, without losing what waits or what collectors remember. `HOST_*` and
    /// the size of what waits in memory stay as they were at the start.
    ///
    /// # Errors
    /// When the settings make no sense; the old ones stay.
    pub fn reload(&self, config: Config) -> Result<(), AgentError> {
        check(&config)?;
        if config.data_dir != self.data_dir {
            return Err(AgentError::Config(
                "the data directory cannot change while the agent runs".to_owned(),
            ));
        }
        let config = Box::new(config);
        self.inbox.set_config(config.clone());
        if let Some(orders) = &self.stop {
            // An ended gatherer has panicked, which shows elsewhere.
            let _ = orders.send(config);
        }
        Ok(())
    }

    /// Sends what waits, now.
    pub fn flush(&self) {
        self.inbox.flush();
    }

    /// Runs until `shutdown` completes, then stops.
    ///
    /// # Panics
    /// When one of the agent's threads panicked.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Accounts {
        tokio::select! {
            () = shutdown => {}
            // Only a panic ends it early; stopping passes that on.
            () = self.wait_for_end() => {}
        }
        self.stop().await
    }

    /// Stops gathering, sends what is left or spools it for the next start: a request under way
    /// and the last one have [`crate::Output::stop_timeout`] each.
    ///
    /// # Panics
    /// When one of the agent's threads panicked.
    pub async fn stop(mut self) -> Accounts {
        self.stop.take();
        self.wait_for_end().await;
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        let accounts = self.counters.read();
        info!("agent stopped; {accounts}");
        accounts
    }
}

impl Agent {
    /// Waits until the sender has ended, which is after the gatherer.
    async fn wait_for_end(&mut self) {
        if let Some(ended) = &mut self.ended {
            // An error says that the other half is gone, which is what was waited for.
            let _ = ended.await;
            self.ended = None;
        }
    }
}

/// Closes the inbox however its thread ends.
struct Closing(Arc<Inbox>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Gathers at each tick until the other end of `orders` is gone.
fn gather_until(
    mut gatherer: Gatherer,
    clock: &dyn Clock,
    inbox: &Inbox,
    counters: &Arc<Counters>,
    orders: &Receiver<Box<Config>>,
    turns: &AtomicU64,
) {
    let origin = Instant::now();
    let mut out = Vec::new();
    loop {
        turns.fetch_add(1, Ordering::Relaxed);
        let now_ns = clock.now_ns();
        out.clear();
        let round = gatherer.run_due(now_ns, elapsed_ns(origin), &mut out);
        if round.lines > 0 {
            let body = Bytes::copy_from_slice(&out);
            inbox.push(Record::new(round.lines, now_ns, body));
        }
        match orders.recv_timeout(round.wait.min(CLOCK_CHECK_PAUSE)) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(config) => {
                gatherer.apply(chosen(&config, counters), &plan(&config), clock.now_ns());
            }
        }
    }
}

/// Gathers twice, a moment apart, and gives the lines of the second time: with one sample alone
/// there would be no shares of the processors.
fn sample_twice(config: &Config, clock: &dyn Clock, counters: &Arc<Counters>) -> (Vec<u8>, u64) {
    let mut gatherer = gatherer(config, counters, clock.now_ns());
    let origin = Instant::now();
    let mut out = Vec::new();
    let mut lines = 0;
    for pause in [Duration::ZERO, SAMPLE_PAUSE] {
        std::thread::sleep(pause);
        let at = Moment {
            time_ns: clock.now_ns(),
            monotonic_ns: elapsed_ns(origin),
        };
        out.clear();
        lines = gatherer.run_all(at, &mut out);
        lines += gatherer.settle(Instant::now() + SETTLE_TIMEOUT, &mut out);
    }
    (out, lines)
}

/// Gathers and returns the lines, without sending anything. Blocks for half a second, and longer
/// where a mount hangs.
#[must_use]
pub fn test(config: &Config, world: &World) -> String {
    let (lines, _) = sample_twice(config, &*world.clock, &Arc::default());
    String::from_utf8_lossy(&lines).into_owned()
}

/// Gathers and sends once, past the spool; returns the number of lines written.
///
/// # Errors
/// When not all lines were written.
pub async fn once(config: &Config, world: &World) -> Result<u64, AgentError> {
    check(config)?;
    let gathering = {
        let (config, clock) = (config.clone(), Arc::clone(&world.clock));
        tokio::task::spawn_blocking(move || sample_twice(&config, &*clock, &Arc::default()))
    };
    let (body, lines) = gathering
        .await
        .map_err(|error| AgentError::Start(error.into()))?;
    let mut uplink = Uplink::new(config);
    let timeout = config.output.request_timeout;
    let outcome = uplink.write(&[Bytes::from(body)], timeout).await;
    match outcome.verdict {
        Verdict::Written => Ok(lines),
        Verdict::WrittenBut(rejected) => Err(AgentError::NotWritten {
            lines: rejected,
            reason: outcome.reason,
        }),
        _ => Err(AgentError::NotWritten {
            lines,
            reason: outcome.reason,
        }),
    }
}
