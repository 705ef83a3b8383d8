//! A store's listeners: the API, the page with the API beside it, and those for other protocols.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tandem_catalog::Catalog;
use tandem_http::{Drained, Listener, serve};
use tandem_query::Tasks;
use tandem_store::Store;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    Config, Counters, Input,
    api::{Api, Mount, now_ns},
    monitor::Monitor,
    parts::Parts,
    sources::Sources,
    subscriptions::Feed,
};

/// How often it is looked whether a certificate was renewed.
const CERTIFICATE_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The open listeners that a server takes over ([`tandem_http::bind`] and [`Input::open`] open them).
#[derive(Debug)]
pub struct Listeners {
    /// For the API: 8086, or 8087 for the backup.
    pub api: Listener,
    /// For the page: 8083, or 8084 for the backup.
    pub page: Option<Listener>,
    /// For other protocols.
    pub inputs: Vec<Input>,
}

/// A store that answers over HTTP. Dropped, it ends at once; [`Server::stop`] ends it gently.
#[derive(Debug)]
pub struct Server {
    api_addr: SocketAddr,
    page_addr: Option<SocketAddr>,
    counters: Arc<Counters>,
    stopping: watch::Sender<bool>,
    listeners: JoinSet<Drained>,
}

impl Server {
    /// Begins to serve `store`, with the users of `catalog`, on the current tokio runtime. What the catalog knows of
    /// databases that are not in the store is forgotten.
    ///
    /// # Errors
    /// When a listener cannot tell its address, the catalog cannot be written, or the system gives no randomness.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        listeners: Listeners,
        store: Arc<Store>,
        catalog: Arc<Catalog>,
        config: Config,
    ) -> io::Result<Self> {
        let api_addr = listeners.api.tcp().local_addr()?;
        let page_addr = listeners
            .page
            .as_ref()
            .map(|page| page.tcp().local_addr())
            .transpose()?;
        let (stopping, stopped) = watch::channel(false);
        let limits = config.limits.clone();
        let feed = Feed::new(store.clone(), catalog.clone(), &config.subscriptions);
        let served = [
            ("api", Some(&listeners.api)),
            ("page", listeners.page.as_ref()),
        ];
        let parts = Arc::new(Parts {
            listeners: served
                .into_iter()
                .filter_map(|(serves, listener)| Some((serves, listener?.stats())))
                .collect(),
            inputs: listeners.inputs.iter().map(Input::counters).collect(),
            feed: feed.map_err(io::Error::other)?,
        });
        let monitor = config.monitor.clone();
        let sources = Arc::new(Sources {
            store: store.clone(),
            counters: Arc::default(),
            parts,
            tasks: Tasks::new(config.task_limits),
            bind: config.bind.clone(),
            version: config.version.clone(),
            hostname: monitor.hostname.clone(),
            started_ns: now_ns(),
        });
        let api = Api::new(store.clone(), catalog, config, sources.clone())?;
        let api = Arc::new(api);
        let mut tasks = JoinSet::new();
        if monitor.store_enabled {
            let feed = sources.parts.feed.clone();
            let monitor = Monitor {
                config: monitor,
                store,
                gather: Arc::new(move || sources.all()),
                neighbours: api.neighbours(),
                follower: Some(Arc::new(feed)),
            };
            tasks.spawn(monitor.run(stopped.clone()));
        }
        for input in listeners.inputs {
            input.start(api.intake(), stopped.clone(), &mut tasks);
        }
        let mounted = [
            (Some(listeners.api), Mount::Api),
            (listeners.page, Mount::Page),
        ];
        for (listener, mount) in mounted
            .into_iter()
            .filter_map(|(listener, mount)| Some((listener?, mount)))
        {
            let serving = api.clone();
            let handler = move |request, peer| {
                let api = serving.clone();
                async move { api.handle(mount, request, peer).await }
            };
            let mut stopping = stopped.clone();
            let stop = async move { until(&mut stopping).await };
            if let Some(tls) = listener.tls().cloned() {
                let mut stopped = stopped.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        never = tls.watch(CERTIFICATE_CHECK_INTERVAL) => match never {},
                        () = until(&mut stopped) => Drained { cut_off: 0 },
                    }
                });
            }
            tasks.spawn(serve(listener, handler, limits.clone(), stop));
        }
        if let Some(queries) = api.continuous_queries() {
            tasks.spawn(queries.run(stopped, now_ns));
        }
        Ok(Self {
            api_addr,
            page_addr,
            counters: api.counters(),
            stopping,
            listeners: tasks,
        })
    }

    /// Where the API listens.
    #[must_use]
    pub fn api_addr(&self) -> SocketAddr {
        self.api_addr
    }

    /// Where the page listens.
    #[must_use]
    pub fn page_addr(&self) -> Option<SocketAddr> {
        self.page_addr
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Completes never, unless a handler panics: then with the same panic.
    ///
    /// # Panics
    /// As said.
    pub async fn failed(&mut self) {
        while let Some(ended) = self.listeners.join_next().await {
            pass_panic_on(ended);
        }
    }

    /// Takes no new request, lets those in flight end within the deadline of the limits, and tells
    /// how many it had to cut off. What was acknowledged is in the store.
    ///
    /// # Panics
    /// When a handler has panicked.
    pub async fn stop(mut self) -> Drained {
        self.stopping.send_replace(true);
        let mut cut_off = 0;
        while let Some(ended) = self.listeners.join_next().await {
            cut_off += pass_panic_on(ended).map_or(0, |drained| drained.cut_off);
        }
        Drained { cut_off }
    }
}

async fn until(stopped: &mut watch::Receiver<bool>) {
    drop(stopped.wait_for(|stopped| *stopped).await);
}

fn pass_panic_on(ended: Result<Drained, tokio::task::JoinError>) -> Option<Drained> {
    match ended.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(drained) => Some(drained),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_cancelled)) => None,
    }
}
