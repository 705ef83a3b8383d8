//! The store role: one store, its API and its page.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tandem_http::{Listener, ServerTls, ServerTlsConfig};
use tandem_server::{Input, Listeners, Server};
use tandem_store::{Options, Store};
use tandem_vfs::RealFs;
use tokio::net::TcpListener;

use crate::cli::Cli;
use crate::config::{self, Config, StoreSection};
use crate::memory;
use crate::roles::{catalog, serving};
use crate::stop::Signals;
use crate::units::{DurationText, SizeText};

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
    inputs: Vec<Input>,
    tls: Option<ServerTls>,
}

impl Bound {
    /// Where the API listens.
    pub(crate) fn api_addr(&self) -> anyhow::Result<SocketAddr> {
        self.api.local_addr().context("the address of a listener")
    }
}

/// Opens the listeners that a section names.
pub(crate) async fn bind(section: &StoreSection, http: &str, admin: &str) -> anyhow::Result<Bound> {
    let api = tandem_http::bind(section.http.as_deref().unwrap_or(http)).await?;
    let page = match section.admin.as_deref().unwrap_or(admin) {
        "off" => None,
        addr => Some(tandem_http::bind(addr).await?),
    };
    let mut inputs = Vec::new();
    for config in config::inputs::of(section)? {
        let bind = config.bind.clone();
        let input = Input::open(config).await;
        inputs.push(input.with_context(|| format!("open the listener on {bind}"))?);
    }
    Ok(Bound {
        api,
        page,
        inputs,
        tls: tls(section)?,
    })
}

/// What its listeners speak TLS with, if they are to.
fn tls(section: &StoreSection) -> anyhow::Result<Option<ServerTls>> {
    let Some(certificate) = &section.https_certificate else {
        return Ok(None);
    };
    if !section.https_enabled {
        return Ok(None);
    }
    let private_key = section.https_private_key.as_ref();
    let tls = ServerTls::load(ServerTlsConfig {
        certificate: certificate.clone(),
        private_key: private_key.unwrap_or(certificate).clone(),
        client_ca: section.https_client_ca.clone(),
    })?;
    Ok(Some(tls))
}

/// A store that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    store: Arc<Store>,
    server: Server,
    tls: Option<ServerTls>,
}

/// Opens the store in `dir` and serves it; one of `stores` in this process.
pub(crate) async fn start(
    section: &StoreSection,
    name: &str,
    dir: &Path,
    bound: Bound,
    stores: u64,
) -> anyhow::Result<Running> {
    let options = options(section, stores);
    let bodies_bytes_max =
        tandem_server::Config::BODIES_BYTES_MAX.min(options.memtable_bytes_max / 3);
    // What does not fit into the memory for rows cannot be written anyway.
    let inflated_bytes_max =
        tandem_server::Config::INFLATED_BYTES_MAX.min(options.memtable_bytes_max);
    let database = section.database.clone().unwrap_or_else(|| DATABASE.into());
    let (path, own_name, own_section) = (dir.to_owned(), name.to_owned(), section.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let store = Store::open(Arc::new(RealFs), &path, options)?;
        if store.databases().is_empty() {
            store.create_database(&database, None)?;
        }
        let catalog = catalog::open(&path, &own_name)?;
        catalog::make_users(&catalog, &own_section, &database)?;
        anyhow::Ok((store, catalog))
    })
    .await
    .context("open the store")?;
    let (store, catalog) =
        opened.with_context(|| format!("open the store in {}", dir.display()))?;
    let (store, catalog) = (Arc::new(store), Arc::new(catalog));
    let report = store.report();
    if report.replayed_records > 0 {
        tracing::info!(
            store = name,
            records = report.replayed_records,
            rows = report.replayed_rows,
            "read from the WAL"
        );
    }
    let mut config = tandem_server::Config {
        auth: catalog::auth(section),
        instance: name.to_owned(),
        bodies_bytes_max,
        inflated_bytes_max,
        ..tandem_server::Config::default()
    };
    config.limits.stop_deadline = STOP_DEADLINE;
    config.bind = bound.api.local_addr().map_or_else(
        |_| tandem_server::Config::BIND.to_owned(),
        |addr| addr.to_string(),
    );
    serving::apply(section, &mut config);
    config.neighbours = serving::neighbours(section)?;
    let secured = |tcp: TcpListener| {
        let listener = Listener::from(tcp);
        match &bound.tls {
            Some(tls) => listener.with_tls(tls.clone()),
            None => listener,
        }
    };
    let listeners = Listeners {
        api: secured(bound.api),
        page: bound.page.map(secured),
        inputs: bound.inputs,
    };
    let server =
        Server::start(listeners, Arc::clone(&store), catalog, config).context("serve the store")?;
    Ok(Running {
        name: name.into(),
        dir: dir.into(),
        store,
        server,
        tls: bound.tls,
    })
}

/// The options that a section asks for, of one of `stores` stores in this process.
fn options(section: &StoreSection, stores: u64) -> Options {
    let size = |size: Option<SizeText>, default: usize| {
        size.map_or(default, |s| usize::try_from(s.0).unwrap_or(usize::MAX))
    };
    let duration = |given: Option<DurationText>, default| given.map_or(default, |d| d.0);
    let memory_bytes_max = section
        .memory_bytes_max
        .map_or_else(|| memory::store_bytes_max(stores), |s| s.0);
    let shares = Options::within(usize::try_from(memory_bytes_max).unwrap_or(usize::MAX));
    Options {
        memtable_bytes_max: size(section.memtable_bytes_max, shares.memtable_bytes_max),
        block_cache_bytes_max: size(section.block_cache_bytes_max, shares.block_cache_bytes_max),
        query_bytes_max: size(section.query_bytes_max, shares.query_bytes_max),
        overload_wait: duration(section.overload_wait, shares.overload_wait),
        wal_bytes_max: section.wal_bytes_max.map_or(shares.wal_bytes_max, |s| s.0),
        wal_fsync_delay: duration(section.wal_fsync_delay, shares.wal_fsync_delay),
        flush_age_max: duration(section.flush_age_max, shares.flush_age_max),
        free_bytes_min: section
            .free_bytes_min
            .map_or(shares.free_bytes_min, |s| s.0),
        compaction_bytes_per_s: section
            .compaction_bytes_per_s
            .map_or(shares.compaction_bytes_per_s, |s| s.0),
        cold_after: duration(section.cold_after, shares.cold_after),
        retention_check_interval: duration(
            section.retention_check_interval,
            shares.retention_check_interval,
        ),
        shard_advance: duration(section.shard_advance_period, shares.shard_advance),
        max_series_per_database: section
            .max_series_per_database
            .unwrap_or(shares.max_series_per_database),
        max_values_per_tag: section
            .max_values_per_tag
            .unwrap_or(shares.max_values_per_tag),
        max_fields_per_measurement: section
            .max_fields_per_measurement
            .unwrap_or(shares.max_fields_per_measurement),
        unsigned: section.unsigned.unwrap_or(shares.unsigned),
        ..shares
    }
}

impl Running {
    pub(crate) fn api_addr(&self) -> SocketAddr {
        self.server.api_addr()
    }

    pub(crate) fn page_addr(&self) -> Option<SocketAddr> {
        self.server.page_addr()
    }

    /// Reads again what can be exchanged while it runs: certificates.
    pub(crate) fn reload(&self) {
        let Some(tls) = &self.tls else { return };
        match tls.reload() {
            Ok(()) => tracing::info!(store = self.name, "the certificate was read again"),
            Err(error) => tracing::error!(
                store = self.name,
                error = &error as &dyn std::error::Error,
                "the certificate was not taken; the one before stays in use"
            ),
        }
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
    let running = start(section, &name, &config.data_dir(), bound, 1).await?;
    tracing::info!(
        store = name,
        api = %running.api_addr(),
        page = running.page_addr().map(tracing::field::display),
        data = %running.dir.display(),
        "ready"
    );
    signals
        .received_or(cli, |_| running.reload(), "certificates")
        .await;
    running.stop().await
}
