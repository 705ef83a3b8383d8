//! A relay from start to stop.

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tandem_http::{
    BindError, Client, ClientConfig, ClientTls, ClientTlsConfig, Drained, Limits, Listener, Peer,
    RequestIds, Stream, TlsError, bind_udp, serve_connection_express, serve_express,
};
use tandem_vfs::{Clock, Vfs, random_u64};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use crate::backend::{Backend, Link, joined};
use crate::compare::{Compared, compare};
use crate::config::{BackendConfig, Config};
use crate::drain::{Manner, Source, drain};
use crate::identity::warn_of_strangers;
use crate::join::Joiner;
use crate::lane::Lanes;
use crate::metronome::Metronome;
use crate::off_loop::off_loop;
use crate::queue::{Bounds, Queue, QueueError};
use crate::rate::Rates;
use crate::receive::Receiver;
use crate::report::{BackendStatus, Condition, Report, log_status};
use crate::scope::{Kind, Scope};
use crate::service::{Door, Service};
use crate::{query, udp, unix};

/// What a drainer, and writes that no client waits for, may still take after the stop.
const STOP_DEADLINE: Duration = Duration::from_secs(2);

/// Why a relay does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// There is nobody to relay to.
    #[error("no backend; give at least one as NAME=http://HOST:PORT")]
    NoBackend,
    /// Two backends have one name, so they would share a queue.
    #[error("two backends are named {0:?}; a name is the identity of a backend's queue")]
    SameName(String),
    /// A backend's queue cannot be opened.
    #[error("open the queue of backend {name:?} in {}", data_dir.display())]
    Queue {
        /// The backend.
        name: String,
        /// The directory of all queues.
        data_dir: PathBuf,
        /// Why.
        source: QueueError,
    },
    /// The certificates for a backend cannot be used.
    #[error("set up TLS to backend {name:?}")]
    Tls {
        /// The backend.
        name: String,
        /// Why.
        source: Box<TlsError>,
    },
    /// The listener has no address.
    #[error("ask the listener for its address")]
    Listener(#[source] std::io::Error),
    /// A port for datagrams cannot be opened.
    #[error(transparent)]
    Udp(#[from] BindError),
    /// The Unix socket cannot be opened.
    #[error("listen on the Unix socket {}", path.display())]
    Unix {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A relay that runs. Dropping it is like killing the process: what was acknowledged is safe, what
/// is under way may be lost.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    udp_addrs: Vec<SocketAddr>,
    limits: Limits,
    service: Arc<Service>,
    serving: JoinHandle<Drained>,
    drainers: Mutex<HashMap<String, Drainer>>,
    /// Those that left the configuration: their queues stay open, for what was on its way to them, and for
    /// their return. Two that hold one queue would write over each other.
    retired: Mutex<HashMap<String, Arc<Backend>>>,
    /// The Unix listener, and the reporter.
    helpers: Vec<JoinHandle<()>>,
    /// Those who take datagrams.
    udp_listeners: Vec<JoinHandle<()>>,
    /// Told when requests are over, to end the drainers and listeners.
    stopping: watch::Sender<bool>,
    busy: watch::Sender<()>,
    vfs: Arc<dyn Vfs>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Drainer {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Relay {
    /// Opens every backend's queue in `config.data_dir`, serves on `listener` until `stop`
    /// completes, and delivers what the queues hold. Call [`Relay::stopped`] after it.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub async fn start(
        config: Config,
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        listener: impl Into<Listener>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, StartError> {
        Self::begin(config, vfs, clock, Some(listener.into()), stop).await
    }

    /// As [`Relay::start`], but nobody can connect: who has streams hands them to [`Relay::serve_stream`].
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub async fn start_unheard(
        config: Config,
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, StartError> {
        Self::begin(config, vfs, clock, None, stop).await
    }

    /// Serves one connection over any stream of bytes until it ends, or the relay does.
    pub async fn serve_stream(&self, stream: impl Stream + 'static) {
        let answering = self.service.clone();
        let handler = move |request, peer| answering.clone().answer(request, peer);
        let (door, limits) = (Door(self.service.clone()), self.limits.clone());
        let peer = Peer(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let stopped = self.stopping.subscribe();
        serve_connection_express(stream, peer, handler, door, &limits, stopped).await;
    }

    async fn begin(
        config: Config,
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        listener: Option<Listener>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, StartError> {
        let addr = match &listener {
            Some(listener) => listener.tcp().local_addr().map_err(StartError::Listener)?,
            None => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        };
        check(&config)?;
        let names: Vec<&str> = config.backends.iter().map(|b| b.name.as_str()).collect();
        warn_of_strangers(&*vfs, &config.data_dir, &names);
        let mut sockets = Vec::new();
        let mut udp_addrs = Vec::new();
        for udp in &config.udp {
            let socket = bind_udp(&udp.addr.to_string()).await?;
            udp_addrs.push(socket.local_addr().map_err(StartError::Listener)?);
            sockets.push((socket, udp.clone()));
        }
        let unix = match &config.unix_socket {
            Some(path) => {
                let bound = unix::bind(path).await;
                let path = path.clone();
                Some(bound.map_err(|source| StartError::Unix { path, source })?)
            }
            None => None,
        };
        let busy = watch::Sender::new(());
        let mut backends = Vec::with_capacity(config.backends.len());
        for backend in &config.backends {
            backends.push(open(&config, backend, &vfs, &clock, &busy).await?);
        }
        let mut drainers = HashMap::new();
        for (backend, was_killed) in &backends {
            let drainer = start_drainer(&config, backend, *was_killed);
            drainers.insert(backend.name.clone(), drainer);
        }
        let backends: Vec<Arc<Backend>> = backends.into_iter().map(|(b, _)| b).collect();
        let service = Arc::new(Service {
            backends: RwLock::new(Arc::new(backends)),
            receiver: Receiver {
                body_bytes_max: config.body_bytes_max,
                inflated_bytes_max: config.inflated_bytes_max,
                body_stall_max: config.body_stall_max,
                memory: Receiver::budget(config.memory_bytes_max),
                memory_wait: config.limits.request_wait,
                clock: clock.clone(),
                latest_ns: AtomicI64::new(i64::MIN),
                buffers: Arc::default(),
            },
            default_retention_policy: config.default_retention_policy.clone(),
            ids: RequestIds::new(),
            order: Mutex::new(()),
            received_bytes: AtomicU64::new(0),
            received_bytes_per_s: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            udp_failed: AtomicU64::new(0),
            busy: busy.clone(),
            rates: Rates::new(config.client_bytes_per_s, config.database_bytes_per_s),
            joiner: Joiner::new(config.join_delay, config.join_bytes_max),
            consistency_of_clients: config.consistency_of_clients,
            compared: Compared::default(),
            metronome: Metronome::default(),
        });
        let (stopping, stopped) = watch::channel(false);
        let mut helpers = vec![
            tokio::spawn(report(service.clone(), config.report_interval)),
            tokio::spawn(compare(service.clone(), config.compare)),
            tokio::spawn(beat(service.clone())),
        ];
        let udp_listeners = sockets
            .into_iter()
            .map(|(socket, udp)| tokio::spawn(udp::listen(service.clone(), socket, udp)))
            .collect();
        if let Some(listener) = unix {
            let limits = config.limits.clone();
            let listening = unix::listen(service.clone(), listener, limits, stopped);
            helpers.push(tokio::spawn(listening));
        }
        let answering = service.clone();
        let handler = move |request, peer| answering.clone().answer(request, peer);
        let (door, limits) = (Door(service.clone()), config.limits.clone());
        let serving = match listener {
            Some(listener) => tokio::spawn(serve_express(listener, handler, door, limits, stop)),
            None => tokio::spawn(async move {
                stop.await;
                Drained { cut_off: 0 }
            }),
        };
        Ok(Self {
            addr,
            udp_addrs,
            limits: config.limits,
            service,
            serving,
            drainers: Mutex::new(drainers),
            retired: Mutex::default(),
            helpers,
            udp_listeners,
            stopping,
            busy,
            vfs,
            clock,
        })
    }

    /// Where it listens; nowhere after [`Relay::start_unheard`].
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it takes datagrams, in the configured order.
    #[must_use]
    pub fn udp_addrs(&self) -> &[SocketAddr] {
        &self.udp_addrs
    }

    /// How each backend is doing, in the configured order.
    #[must_use]
    pub fn status(&self) -> Vec<BackendStatus> {
        self.service.status()
    }

    /// Takes over the backends of `config`, without a request being dropped: those that stay keep
    /// their queues and get their new address, credentials, times and routes; new ones are opened;
    /// those that are gone are not written to any more, and their queues stay on disk. Listeners,
    /// bounds of memory and of queues stay as they were at the start.
    ///
    /// # Errors
    /// See [`StartError`]; then nothing has changed but that some backends may have been relinked.
    pub async fn reload(&self, config: &Config) -> Result<(), StartError> {
        check(config)?;
        let before = self.service.backends();
        let mut after = Vec::with_capacity(config.backends.len());
        for wanted in &config.backends {
            if let Some(known) = before.iter().find(|known| known.name == wanted.name) {
                known.relink(link(config, wanted)?);
                after.push(known.clone());
            } else if let Some(known) = self.lock_retired().remove(&wanted.name) {
                let relinked = link(config, wanted).map(|link| known.relink(link));
                if let Err(error) = relinked {
                    self.lock_retired().insert(wanted.name.clone(), known);
                    return Err(error);
                }
                let drainer = start_drainer(config, &known, false);
                self.lock_drainers().insert(wanted.name.clone(), drainer);
                after.push(known);
            } else {
                let opening = open(config, wanted, &self.vfs, &self.clock, &self.busy);
                let (opened, was_killed) = opening.await?;
                let drainer = start_drainer(config, &opened, was_killed);
                self.lock_drainers().insert(wanted.name.clone(), drainer);
                after.push(opened);
            }
        }
        let names: Vec<String> = after.iter().map(|backend| backend.name.clone()).collect();
        let backends = &self.service.backends;
        *backends.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
        let gone: Vec<Drainer> = {
            let mut drainers = self.lock_drainers();
            let gone: Vec<String> = drainers
                .keys()
                .filter(|name| !names.contains(name))
                .cloned()
                .collect();
            gone.iter()
                .filter_map(|name| drainers.remove(name))
                .collect()
        };
        for drainer in gone {
            drainer.stop.send_replace(true);
            joined(drainer.task.await).await;
        }
        for backend in before.iter().filter(|known| !names.contains(&known.name)) {
            let (name, backend) = (backend.name.clone(), backend.clone());
            self.lock_retired().insert(name, backend);
        }
        info!(backends = names.join(" "), "the backends were read again");
        Ok(())
    }

    /// Waits until `stop` has completed and everything has come to its end: requests in flight are
    /// answered, writes that no client waits for any more have ended or are in the log, and the
    /// queues' positions are stored. Takes at most `limits.stop_deadline` and 4 s.
    ///
    /// # Panics
    /// When a part of the relay has panicked.
    pub async fn stopped(mut self) {
        let drained = joined((&mut self.serving).await).await;
        if drained.cut_off > 0 {
            warn!(cut_off = drained.cut_off, "requests were cut off");
        }
        for listener in &self.udp_listeners {
            // What it has taken is in tasks of its own.
            listener.abort();
        }
        self.stopping.send_replace(true);
        let all_ended = timeout(STOP_DEADLINE, self.busy.closed()).await.is_ok();
        if !all_ended {
            warn!("writes to a slow backend were cut off; their batches are in its queue");
        }
        let drainers = std::mem::take(&mut *self.lock_drainers());
        for drainer in drainers.values() {
            drainer.stop.send_replace(true);
        }
        for drainer in drainers.into_values() {
            joined(drainer.task.await).await;
        }
        if all_ended && drained.cut_off == 0 {
            let mut backends = self.service.backends().to_vec();
            backends.extend(self.lock_retired().values().cloned());
            close(backends).await;
        }
        for status in self.status() {
            log_status(&status);
        }
        for helper in self.helpers.drain(..).chain(self.udp_listeners.drain(..)) {
            helper.abort();
            // Each holds the queues, which whoever opens them next must not find locked.
            let _ = helper.await;
        }
        info!("relay stopped");
    }

    fn lock_retired(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Backend>>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_drainers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Drainer>> {
        self.drainers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
        for helper in self.helpers.iter().chain(&self.udp_listeners) {
            helper.abort();
        }
        for drainer in self.lock_drainers().values() {
            drainer.task.abort();
        }
    }
}

/// Says on disk that no write is under way.
async fn close(backends: Vec<Arc<Backend>>) {
    off_loop(move || {
        let ended = |backend: &&Arc<Backend>| {
            !backend.cut_off.load(Ordering::Relaxed) && !backend.has_ghosts()
        };
        for backend in backends.iter().filter(ended) {
            if let Err(error) = backend.queue.close() {
                // The next start waits for writes that are not there: harmless.
                warn!(backend = %backend.name, %error, "cannot say on disk that the relay has ended");
            }
        }
    })
    .await;
}

fn check(config: &Config) -> Result<(), StartError> {
    if config.backends.is_empty() {
        return Err(StartError::NoBackend);
    }
    let names: Vec<&str> = config.backends.iter().map(|b| b.name.as_str()).collect();
    match (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
        Some(at) => Err(StartError::SameName(names[at].to_owned())),
        None => Ok(()),
    }
}

/// What stands before everything at a backend while writes of a killed relay may be under way.
const GHOSTS: Scope = Scope {
    kind: Kind::Destroy,
    domain: None,
    lanes: 0,
};

/// Starts the drainer of a backend. If the last relay was killed, writes of it that nobody knows of
/// may still be applied, so that all goes through the log until they are too old.
fn start_drainer(config: &Config, backend: &Arc<Backend>, was_killed: bool) -> Drainer {
    let (stop, stopped) = watch::channel(false);
    let not_before = was_killed.then(|| Instant::now() + backend.link().write_timeout);
    if let Some(not_before) = not_before {
        backend.lanes.recovered(GHOSTS);
        // A stop before then leaves word of them for the next start, as of its own.
        backend.ghosts_until(not_before);
        let lanes = backend.lanes.clone();
        tokio::spawn(async move {
            sleep_until(not_before).await;
            lanes.drained([GHOSTS]);
        });
    }
    let manner = Manner {
        pause_min: config.retry_delay_min,
        pause_max: config.retry_delay_max,
        flights_max: config.drain_flights_max.max(1),
        request_bytes_max: config.drain_request_bytes_max,
        not_before,
        stop: stopped,
        stop_deadline: STOP_DEADLINE,
        scatter_seed: config.scatter_seed.unwrap_or_else(random_u64) | 1,
    };
    let task = tokio::spawn(drain(backend.clone(), Source::Main, manner));
    Drainer { task, stop }
}

fn link(config: &Config, backend: &BackendConfig) -> Result<Link, StartError> {
    // Read before the first call, so that a mistake is told at the start; a backend without TLS must not need the
    // system's authorities, which a small image does not have.
    let is_plain = !backend.url.is_https() && backend.tls == ClientTlsConfig::default();
    let tls = match is_plain {
        true => ClientTls::default(),
        false => ClientTls::load(backend.tls.clone()).map_err(|source| StartError::Tls {
            name: backend.name.clone(),
            source: source.into(),
        })?,
    };
    let mut route = backend.route.clone();
    route.forget_credentials |= backend.url.credentials().is_some();
    let write_timeout = backend.write_timeout.unwrap_or(config.write_timeout);
    Ok(Link {
        url: backend.url.clone(),
        reader: query::reader(config, tls.clone()),
        client: Client::new(ClientConfig {
            connections_max: config.connections_max,
            connect_timeout: config.connect_timeout,
            request_timeout: write_timeout,
            network: config.network.clone(),
            tls,
            ..ClientConfig::default()
        }),
        route,
        hedge_delay: config.hedge_delay,
        write_timeout,
        turn_wait_max: write_timeout + write_timeout,
    })
}

async fn open(
    config: &Config,
    backend: &BackendConfig,
    vfs: &Arc<dyn Vfs>,
    clock: &Arc<dyn Clock>,
    busy: &watch::Sender<()>,
) -> Result<(Arc<Backend>, bool), StartError> {
    let link = link(config, backend)?;
    let lanes = Arc::new(Lanes::default());
    let (vfs, dir, name) = (vfs.clone(), config.data_dir.clone(), backend.name.clone());
    let bounds = Bounds {
        bytes_max: config.queue_bytes_max,
        dead_bytes_max: config.dead_bytes_max,
        overflow: backend.overflow,
    };
    let now = (clock.now_ns(), link.write_timeout);
    let (opening, open_name) = (lanes.clone(), name.clone());
    let opened = off_loop(move || Queue::open(&vfs, &dir, &open_name, bounds, now, opening));
    let (queue, recovered) = opened.await.map_err(|source| StartError::Queue {
        name: name.clone(),
        data_dir: config.data_dir.clone(),
        source,
    })?;
    let report = Report::new(&name);
    for corruption in recovered.corruptions {
        report.corrupt(&corruption);
    }
    if recovered.hints > 0 {
        let why = format!(
            "{} batches of the last run are in its queue",
            recovered.hints
        );
        report.now(Condition::Spilling, &why);
    }
    let backend = Backend {
        name,
        link: RwLock::new(Arc::new(link)),
        lanes,
        queue,
        arrivals: AtomicU64::new(0),
        report,
        clock: clock.clone(),
        busy: busy.clone(),
        cut_off: AtomicBool::new(false),
        ghosts_until: Mutex::default(),
    };
    Ok((Arc::new(backend), recovered.was_killed))
}

async fn beat(service: Arc<Service>) {
    service.metronome.run().await;
}

/// One line a backend, at every interval; and how much comes in.
async fn report(service: Arc<Service>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.tick().await;
    let mut before = 0;
    loop {
        ticks.tick().await;
        let received = service.received_bytes.load(Ordering::Relaxed);
        let per_s = (received - before) as f64 / interval.as_secs_f64();
        service
            .received_bytes_per_s
            .store(per_s.ceil() as u64, Ordering::Relaxed);
        before = received;
        for status in service.status() {
            log_status(&status);
        }
    }
}
