//! The relay role.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use tandem_http::Url;
use tandem_relay::{BackendConfig, Relay};
use tandem_vfs::{RealFs, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::cli::Cli;
use crate::config::{Config, RelaySection};
use crate::stop::Signals;

/// Where the relay listens when nobody says otherwise.
pub(crate) const HTTP: &str = "127.0.0.1:9096";

/// A relay that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) relay: Relay,
    stop: oneshot::Sender<()>,
}

/// Reads `NAME=URL`.
pub(crate) fn parse_backend(text: &str) -> anyhow::Result<BackendConfig> {
    let Some((name, url)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        bail!("backend {text:?}: write it as NAME=http://HOST:PORT");
    };
    let url = Url::parse(url).with_context(|| format!("backend {name:?}"))?;
    Ok(BackendConfig {
        name: name.into(),
        url,
    })
}

/// Starts a relay to `backends`, with its queues below `dir`.
pub(crate) async fn start(
    section: &RelaySection,
    backends: Vec<BackendConfig>,
    dir: &Path,
    listener: TcpListener,
) -> anyhow::Result<Running> {
    let mut config = tandem_relay::Config::new(backends, dir);
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    if let Some(size) = section.body_bytes_max {
        config.body_bytes_max = bytes(size.0);
    }
    if let Some(size) = section.memory_bytes_max {
        config.memory_bytes_max = bytes(size.0);
    }
    if let Some(size) = section.queue_bytes_max {
        config.queue_bytes_max = size.0;
    }
    if let Some(delay) = section.hedge_delay {
        config.hedge_delay = delay.0;
    }
    if let Some(timeout) = section.write_timeout {
        config.write_timeout = timeout.0;
    }
    let (stop, stopped) = oneshot::channel();
    let stopped = async move { drop(stopped.await) };
    let relay = Relay::start(
        config,
        Arc::new(RealFs),
        Arc::new(SystemClock),
        listener,
        stopped,
    )
    .await?;
    Ok(Running { relay, stop })
}

impl Running {
    /// Ends requests in flight; what is queued stays queued.
    pub(crate) async fn stop(self) {
        // The relay has ended by itself when nobody listens.
        let _ = self.stop.send(());
        self.relay.stopped().await;
    }
}

/// `tandem relay`
pub(crate) async fn run(config: Config, cli: &Cli) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let section = &config.relay;
    let backends = section
        .backends
        .iter()
        .map(|text| parse_backend(text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let listener = tandem_http::bind(section.http.as_deref().unwrap_or(HTTP)).await?;
    let names: Vec<String> = backends
        .iter()
        .map(|b| format!("{}={}", b.name, b.url.authority()))
        .collect();
    let running = start(section, backends, &config.data_dir(), listener).await?;
    tracing::info!(
        listen = %running.relay.local_addr(),
        backends = names.join(" "),
        data = %config.data_dir().display(),
        "ready"
    );
    signals.received(cli).await;
    running.stop().await;
    Ok(())
}
