//! The store role: one store, its API and its page.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tandem_server::{Listeners, Server};
use tandem_store::{Options, Store};
use tandem_vfs::RealFs;
use tokio::net::TcpListener;

use crate::cli::Cli;
use crate::config::{Config, StoreSection};
use crate::stop::Signals;

/// The name of a store when nobody says otherwise.
pub(crate) const NAME: &str = "monitoring-server";
/// Where the API listens when nobody says otherwise.
pub(crate) const HTTP: &str = "127.0.0.1:8086";
/// Where the page listens when nobody says otherwise.
pub(crate) const ADMIN: &str = "127.0.0.1:8083";
/// The database made at the first start when nobody says otherwise.
pub(crate) const DATABASE: &str = "telegraf";

/// How long requests in flight may take once the store is told to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// The listeners of a store that is not open yet, so that a busy port is told before data is
/// touched.
#[derive(Debug)]
pub(crate) struct Bound {
    api: TcpListener,
    page: Option<TcpListener>,
}

/// Opens the listeners that a section names.
pub(crate) async fn bind(section: &StoreSection, http: &str, admin: &str) -> anyhow::Result<Bound> {
    let api = tandem_http::bind(section.http.as_deref().unwrap_or(http)).await?;
    let page = match section.admin.as_deref().unwrap_or(admin) {
        "off" => None,
        addr => Some(tandem_http::bind(addr).await?),
    };
    Ok(Bound { api, page })
}

/// A store that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    store: Arc<Store>,
    server: Server,
}

/// Opens the store in `dir` and serves it.
pub(crate) async fn start(
    section: &StoreSection,
    name: &str,
    dir: &Path,
    bound: Bound,
) -> anyhow::Result<Running> {
    let options = options(section);
    let database = section.database.clone().unwrap_or_else(|| DATABASE.into());
    let path = dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let store = Store::open(Arc::new(RealFs), &path, options)?;
        if store.databases().is_empty() {
            store.create_database(&database, None)?;
        }
        anyhow::Ok(store)
    })
    .await
    .context("open the store")?;
    let store = Arc::new(opened.with_context(|| format!("open the store in {}", dir.display()))?);
    let report = store.report();
    if report.replayed_records > 0 {
        tracing::info!(
            store = name,
            records = report.replayed_records,
            rows = report.replayed_rows,
            "read from the WAL"
        );
    }
    let mut config = tandem_server::Config::default();
    config.limits.stop_deadline = STOP_DEADLINE;
    if let Some(size) = section.body_bytes_max {
        config.body_bytes_max = usize::try_from(size.0).unwrap_or(usize::MAX);
    }
    let listeners = Listeners {
        api: bound.api,
        page: bound.page,
    };
    let server = Server::start(listeners, Arc::clone(&store), config).context("serve the store")?;
    Ok(Running {
        name: name.into(),
        dir: dir.into(),
        store,
        server,
    })
}

fn options(section: &StoreSection) -> Options {
    let defaults = Options::default();
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    Options {
        memtable_bytes_max: section
            .memtable_bytes_max
            .map_or(defaults.memtable_bytes_max, |s| bytes(s.0)),
        wal_bytes_max: section
            .wal_bytes_max
            .map_or(defaults.wal_bytes_max, |s| s.0),
        wal_fsync_delay: section
            .wal_fsync_delay
            .map_or(defaults.wal_fsync_delay, |d| d.0),
        flush_age_max: section
            .flush_age_max
            .map_or(defaults.flush_age_max, |d| d.0),
        free_bytes_min: section
            .free_bytes_min
            .map_or(defaults.free_bytes_min, |s| s.0),
        ..defaults
    }
}

impl Running {
    pub(crate) fn api_addr(&self) -> SocketAddr {
        self.server.api_addr()
    }

    pub(crate) fn page_addr(&self) -> Option<SocketAddr> {
        self.server.page_addr()
    }

    /// Ends requests in flight and writes everything out.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let drained = self.server.stop().await;
        if drained.cut_off > 0 {
            tracing::warn!(
                store = self.name,
                requests = drained.cut_off,
                "cut off to stop in time"
            );
        }
        let store = self.store;
        tokio::task::spawn_blocking(move || store.close())
            .await
            .context("close the store")?
            .with_context(|| format!("close the store in {}; nothing is lost", self.dir.display()))
    }
}

/// `tandem store`
pub(crate) async fn run(config: Config, cli: &Cli) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let section = &config.store;
    let name = section.name.clone().unwrap_or_else(|| NAME.into());
    let bound = bind(section, HTTP, ADMIN).await?;
    let running = start(section, &name, &config.data_dir(), bound).await?;
    tracing::info!(
        store = name,
        api = %running.api_addr(),
        page = running.page_addr().map(tracing::field::display),
        data = %running.dir.display(),
        "ready"
    );
    signals.received(cli).await;
    running.stop().await
}
