//! A relay from start to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tandem_http::{Client, ClientConfig, Drained, RequestIds, serve};
use tandem_vfs::{Clock, Vfs};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::backend::Backend;
use crate::config::{BackendConfig, Config};
use crate::drain::{Pauses, drain};
use crate::identity::warn_of_strangers;
use crate::lane::Lanes;
use crate::queue::{Queue, QueueError};
use crate::receive::Receiver;
use crate::report::{BackendStatus, Report, log_status};
use crate::service::Service;

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
    /// The listener has no address.
    #[error("ask the listener for its address")]
    Listener(#[source] std::io::Error),
}

/// A relay that runs. Dropping it is like killing the process: what was acknowledged is safe, what
/// is under way may be lost.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    service: Arc<Service>,
    serving: JoinHandle<Drained>,
    drainers: Vec<JoinHandle<()>>,
    reporter: JoinHandle<()>,
    /// Told when requests are over, to end the drainers.
    stopping: watch::Sender<bool>,
    busy: watch::Sender<()>,
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
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, StartError> {
        let addr = listener.local_addr().map_err(StartError::Listener)?;
        if config.backends.is_empty() {
            return Err(StartError::NoBackend);
        }
        let names: Vec<&str> = config.backends.iter().map(|b| b.name.as_str()).collect();
        if let Some(at) = (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
            return Err(StartError::SameName(names[at].to_owned()));
        }
        warn_of_strangers(&*vfs, &config.data_dir, &names);
        let busy = watch::Sender::new(());
        let mut backends = Vec::with_capacity(config.backends.len());
        for backend in &config.backends {
            let opened = open(&config, backend, &vfs, &*clock, &busy).await?;
            backends.push(Arc::new(opened));
        }
        let (stopping, stopped) = watch::channel(false);
        let pauses = Pauses {
            min: config.retry_delay_min,
            max: config.retry_delay_max,
        };
        let drainers = backends
            .iter()
            .map(|backend| {
                let drainer = drain(backend.clone(), pauses, stopped.clone(), STOP_DEADLINE);
                tokio::spawn(drainer)
            })
            .collect();
        let service = Arc::new(Service {
            backends,
            receiver: Receiver {
                body_bytes_max: config.body_bytes_max,
                inflated_bytes_max: config.inflated_bytes_max,
                body_stall_max: config.body_stall_max,
                memory: Receiver::budget(config.memory_bytes_max),
                memory_wait: config.limits.request_wait,
                clock,
                latest_ns: AtomicI64::new(i64::MIN),
            },
            ids: RequestIds::new(),
            order: Mutex::new(()),
        });
        let answering = service.clone();
        let handler = move |request, _peer| answering.clone().answer(request);
        let serving = tokio::spawn(serve(listener, handler, config.limits.clone(), stop));
        let reporter = tokio::spawn(report(service.clone(), config.report_interval));
        Ok(Self {
            addr,
            service,
            serving,
            drainers,
            reporter,
            stopping,
            busy,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// How each backend is doing, in the configured order.
    #[must_use]
    pub fn status(&self) -> Vec<BackendStatus> {
        self.service.status()
    }

    /// Waits until `stop` has completed and everything has come to its end: requests in flight are
    /// answered, writes that no client waits for any more have ended or are in the log, and the
    /// queues' positions are stored. Takes at most `limits.stop_deadline` and 4 s.
    ///
    /// # Panics
    /// When a part of the relay has panicked.
    pub async fn stopped(mut self) {
        let drained = joined((&mut self.serving).await);
        if drained.cut_off > 0 {
            warn!(cut_off = drained.cut_off, "requests were cut off");
        }
        if timeout(STOP_DEADLINE, self.busy.closed()).await.is_err() {
            warn!("writes to a slow backend were cut off; their batches are in its queue");
        }
        self.stopping.send_replace(true);
        for drainer in std::mem::take(&mut self.drainers) {
            joined(drainer.await);
        }
        for status in self.status() {
            log_status(&status);
        }
        info!("relay stopped");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
        self.reporter.abort();
        for drainer in &self.drainers {
            drainer.abort();
        }
    }
}

async fn open(
    config: &Config,
    backend: &BackendConfig,
    vfs: &Arc<dyn Vfs>,
    clock: &dyn Clock,
    busy: &watch::Sender<()>,
) -> Result<Backend, StartError> {
    let lanes = Arc::new(Lanes::default());
    let (vfs, dir, name) = (vfs.clone(), config.data_dir.clone(), backend.name.clone());
    let bounds = (config.queue_bytes_max, config.dead_bytes_max);
    let now = (clock.now_ns(), config.write_timeout);
    let (opening, open_name) = (lanes.clone(), name.clone());
    let opened = tokio::task::spawn_blocking(move || {
        Queue::open(&vfs, &dir, &open_name, bounds, now, opening)
    });
    let (queue, recovered) = joined(opened.await).map_err(|source| StartError::Queue {
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
        report.now(crate::report::Condition::Spilling, &why);
    }
    Ok(Backend {
        name,
        url: backend.url.clone(),
        client: Client::new(ClientConfig {
            connections_max: config.connections_max,
            connect_timeout: config.connect_timeout,
            request_timeout: config.write_timeout,
            ..ClientConfig::default()
        }),
        lanes,
        queue,
        report,
        hedge_delay: config.hedge_delay,
        write_timeout: config.write_timeout,
        turn_wait_max: config.write_timeout + config.write_timeout,
        busy: busy.clone(),
    })
}

/// One line a backend, at every interval.
async fn report(service: Arc<Service>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        for status in service.status() {
            log_status(&status);
        }
    }
}

fn joined<T>(result: Result<T, tokio::task::JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
