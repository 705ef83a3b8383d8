//! The relay role.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use tandem_http::{Listener, ServerTls, ServerTlsConfig};
use tandem_relay::{BackendConfig, Relay};
use tandem_vfs::{RealFs, SystemClock};
use tokio::sync::{mpsc, oneshot};

use super::backends;
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

/// What a relay to `backends` is run with, its queues below `dir`.
fn settings(
    section: &RelaySection,
    backends: Vec<BackendConfig>,
    dir: &Path,
) -> anyhow::Result<tandem_relay::Config> {
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
    if let Some(size) = section.dead_bytes_max {
        config.dead_bytes_max = size.0;
    }
    if let Some(delay) = section.hedge_delay {
        config.hedge_delay = delay.0;
    }
    if let Some(timeout) = section.write_timeout {
        config.write_timeout = timeout.0;
    }
    if let Some(count) = section.drain_flights_max {
        config.drain_flights_max = count;
    }
    if let Some(size) = section.drain_request_bytes_max {
        config.drain_request_bytes_max = size.0;
    }
    if let Some(policy) = &section.default_retention_policy {
        config.default_retention_policy.clone_from(policy);
    }
    config.consistency_of_clients = match section.consistency_from_clients.as_deref() {
        None | Some("ignore") => false,
        Some("honour") => true,
        Some(other) => {
            bail!("[relay] consistency-from-clients is {other:?}; give ignore or honour")
        }
    };
    config.client_bytes_per_s = section.client_bytes_per_s.map(|size| size.0);
    config.database_bytes_per_s = section.database_bytes_per_s.map(|size| size.0);
    if let Some(delay) = section.batch_delay {
        config.join_delay = delay.0;
    }
    if let Some(size) = section.batch_bytes_max {
        config.join_bytes_max = size.0;
    }
    let compare = &mut config.compare;
    for (own, set) in [
        (&mut compare.interval, section.compare_interval),
        (&mut compare.window, section.compare_window),
        (&mut compare.span, section.compare_span),
        (&mut compare.settle, section.compare_settle),
    ] {
        if let Some(duration) = set {
            *own = duration.0;
        }
    }
    if compare.window.is_zero() {
        bail!("[relay] compare-window is 0; give a duration, such as 10m");
    }
    compare.mend = section.compare_mend;
    config.unix_socket.clone_from(&section.unix_socket);
    for udp in &section.udp {
        config.udp.push(udp.config()?);
    }
    Ok(config)
}

/// Starts a relay to `backends`, with its queues below `dir`.
pub(crate) async fn start(
    section: &RelaySection,
    backends: Vec<BackendConfig>,
    dir: &Path,
    listener: impl Into<Listener>,
) -> anyhow::Result<Running> {
    let config = settings(section, backends, dir)?;
    let (stop, stopped) = oneshot::channel();
    let stopped = async move { drop(stopped.await) };
    let (vfs, clock) = (Arc::new(RealFs), Arc::new(SystemClock));
    let relay = Relay::start(config, vfs, clock, listener, stopped).await?;
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

/// What its listener speaks TLS with, if it is to.
pub(crate) fn tls(section: &RelaySection) -> anyhow::Result<Option<ServerTls>> {
    let Some(certificate) = &section.https_certificate else {
        return Ok(None);
    };
    let private_key = section.https_private_key.as_ref();
    let tls = ServerTls::load(ServerTlsConfig {
        certificate: certificate.clone(),
        private_key: private_key.unwrap_or(certificate).clone(),
        client_ca: section.https_client_ca.clone(),
    });
    tls.context("[relay] https-certificate").map(Some)
}

/// `tandem relay`
pub(crate) async fn run(config: Config, cli: &Cli) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let section = &config.relay;
    let backends = backends::of_section(section)?;
    let tls = tls(section)?;
    let tcp = tandem_http::bind(section.http.as_deref().unwrap_or(HTTP)).await?;
    let mut listener = Listener::from(tcp);
    if let Some(tls) = &tls {
        listener = listener.with_tls(tls.clone());
    }
    let names: Vec<String> = backends
        .iter()
        .map(|b| format!("{}={}", b.name, b.url.authority()))
        .collect();
    let dir = config.data_dir();
    let running = start(section, backends, &dir, listener).await?;
    tracing::info!(
        listen = %running.relay.local_addr(),
        backends = names.join(" "),
        data = %dir.display(),
        "ready"
    );
    let (wish, mut wishes) = mpsc::unbounded_channel();
    let reload = |config: &Config| {
        // Nobody listens any more only when all ends.
        let _ = wish.send(config.relay.clone());
    };
    {
        let mut ending = std::pin::pin!(signals.received_or(cli, reload, "backends, certificates"));
        loop {
            tokio::select! {
                () = &mut ending => break,
                Some(section) = wishes.recv() => {
                    if let Err(error) = again(&running.relay, &section, &dir, tls.as_ref()).await {
                        tracing::error!("the backends stay as they were: {error:#}");
                    }
                }
            }
        }
    }
    running.stop().await;
    Ok(())
}

/// Takes over what can be changed while the relay runs.
async fn again(
    relay: &Relay,
    section: &RelaySection,
    dir: &Path,
    tls: Option<&ServerTls>,
) -> anyhow::Result<()> {
    if let Some(tls) = tls {
        tls.reload().context("read the certificates again")?;
    }
    let config = settings(section, backends::of_section(section)?, dir)?;
    Ok(relay.reload(&config).await?)
}
