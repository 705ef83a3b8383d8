//! `tandem up`: the whole appliance in one process.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use tandem_agent::{Agent, World};
use tandem_http::{ClientTls, ClientTlsConfig, Listener, Url};
use tandem_relay::BackendConfig;

use crate::cli::Cli;
use crate::config::{Config, StoreSection};
use crate::roles::{agent, relay, store};
use crate::stop::Signals;

/// The backup's name, API and page when nobody says otherwise.
const BACKUP: (&str, &str, &str) = (
    "monitoring-server-backup",
    "127.0.0.1:8087",
    "127.0.0.1:8084",
);
/// They share the memory that is for stores.
const STORES: u64 = 2;
/// The agent gathers this often, so that the first look shows life.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the agent may take to hand over its last lines.
const AGENT_STOP_MAX: Duration = Duration::from_secs(2);
/// How long the relay may take to end its requests.
const RELAY_STOP_MAX: Duration = Duration::from_secs(3);

/// Runs until a signal comes.
pub(crate) async fn run(config: Config, cli: &Cli) -> anyhow::Result<()> {
    let client_ca = [
        config.store.https_client_ca.is_some(),
        config.backup.https_client_ca.is_some(),
        config.relay.https_client_ca.is_some(),
    ];
    if client_ca.contains(&true) {
        bail!(
            "https-client-ca does not go with `tandem up`, whose agent and relay have no certificates: \
             run the roles one by one, or leave it off"
        );
    }
    if config.store.auth_enabled || config.backup.auth_enabled {
        bail!(
            "auth-enabled does not go with `tandem up`, whose agent and relay have no passwords: \
             run the roles one by one, or leave it off"
        );
    }
    let mut signals = Signals::listen()?;
    let dir = config.data_dir();
    // Every port first: a busy one is told before data is touched.
    let primary_bound = store::bind(&config.store, store::HTTP, store::ADMIN).await?;
    let backup_bound = store::bind(&config.backup, BACKUP.1, BACKUP.2).await?;
    let relay_tls = relay::tls(&config.relay)?;
    let relay_listener =
        tandem_http::bind(config.relay.http.as_deref().unwrap_or(relay::HTTP)).await?;

    // Each page shows the relay and the other store too.
    let relay_addr = relay_listener.local_addr().context("the relay's address")?;
    let relay_url = url(relay_addr, relay_tls.is_some());
    let primary_url = url(primary_bound.api_addr()?, config.store.https_enabled);
    let backup_url = url(backup_bound.api_addr()?, config.backup.https_enabled);
    let primary_section = with_neighbours(&config.store, &relay_url, &backup_url);
    let backup_section = with_neighbours(&config.backup, &relay_url, &primary_url);
    let mut relay_listener = Listener::from(relay_listener);
    if let Some(tls) = &relay_tls {
        relay_listener = relay_listener.with_tls(tls.clone());
    }

    let primary_name = config.store.name.as_deref().unwrap_or(store::NAME);
    let backup_name = config.backup.name.as_deref().unwrap_or(BACKUP.0);
    let primary = store::start(
        &primary_section,
        primary_name,
        &dir.join("primary"),
        primary_bound,
        STORES,
    )
    .await?;
    let backup = store::start(
        &backup_section,
        backup_name,
        &dir.join("backup"),
        backup_bound,
        STORES,
    )
    .await?;
    let backends = vec![
        backend("primary", &primary_url)?,
        backend("backup", &backup_url)?,
    ];
    let relay = relay::start(&config.relay, backends, &dir.join("relay"), relay_listener).await?;
    let own_relay = Url::parse(&relay_url).context("the relay's address")?;
    let mut agent_config =
        agent::config(&config.agent, vec![own_relay], INTERVAL, &dir.join("agent"))?;
    let has_own = config.agent.relays.is_empty() && config.agent.telegraf_config.is_none();
    if relay_tls.is_some() && has_own {
        agent_config.output.tls = ClientTls::load(to_ourselves())?;
    }
    let interval = agent_config.interval;
    let agent = Agent::start(agent_config, World::default())?;

    let shown = |addr: SocketAddr, https: bool| format!("{}://{addr}", scheme(https));
    let page = |store: &store::Running, https: bool| {
        let addr = store.page_addr();
        addr.map_or("off".into(), |addr| shown(addr, https))
    };
    let (first_https, second_https) = (config.store.https_enabled, config.backup.https_enabled);
    let rows = [
        [
            "agent".into(),
            format!("every {interval:?}"),
            String::new(),
            dir.join("agent").display().to_string(),
        ],
        [
            "relay".into(),
            shown(relay.relay.local_addr(), relay_tls.is_some()),
            String::new(),
            dir.join("relay").display().to_string(),
        ],
        [
            primary.name.clone(),
            shown(primary.api_addr(), first_https),
            page(&primary, first_https),
            primary.dir.display().to_string(),
        ],
        [
            backup.name.clone(),
            shown(backup.api_addr(), second_https),
            page(&backup, second_https),
            backup.dir.display().to_string(),
        ],
    ];
    print!("{}", table(["role", "listens on", "page", "data"], &rows));
    println!("\nOpen a page and type SHOW MEASUREMENTS. Ctrl-C stops.");

    let reload = |_: &Config| {
        if let Some(tls) = &relay_tls
            && let Err(error) = tls.reload()
        {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "the relay's certificate stays as it was");
        }
    };
    signals.received_or(cli, reload, "certificates").await;
    // In the order in which data flows, so that each takes what the one before still sends. What
    // does not end in time is left: all that was acknowledged is on disk by then.
    if tokio::time::timeout(AGENT_STOP_MAX, agent.stop())
        .await
        .is_err()
    {
        tracing::warn!("the agent did not stop in time");
    }
    if tokio::time::timeout(RELAY_STOP_MAX, relay.stop())
        .await
        .is_err()
    {
        tracing::warn!("the relay did not stop in time; what it has queued stays queued");
    }
    let (first, second) = tokio::join!(primary.stop(), backup.stop());
    first.and(second)
}

/// A store's section that names the relay and the other store, unless it names others.
fn with_neighbours(section: &StoreSection, relay: &str, peer: &str) -> StoreSection {
    let mut section = section.clone();
    let names_others = !section.relays.is_empty() || !section.peers.is_empty();
    for (place, url) in [(&mut section.relays, relay), (&mut section.peers, peer)] {
        if place.is_empty() {
            place.push(url.to_owned());
        }
    }
    section.neighbour_insecure_skip_verify |= !names_others;
    section
}

fn backend(name: &str, url: &str) -> anyhow::Result<BackendConfig> {
    let url = Url::parse(url).context("a store's address")?;
    let mut backend = BackendConfig::new(name, url);
    backend.tls = to_ourselves();
    Ok(backend)
}

/// How a role calls another one of this process: the certificate is for another name than that of loopback,
/// and who listens on a port that this process has bound needs no proof.
fn to_ourselves() -> ClientTlsConfig {
    ClientTlsConfig {
        insecure_skip_verify: true,
        ..ClientTlsConfig::default()
    }
}

const fn scheme(https: bool) -> &'static str {
    if https { "https" } else { "http" }
}

/// How a listener is reached from this host.
fn url(addr: SocketAddr, https: bool) -> String {
    format!("{}://{}", scheme(https), reachable(addr))
}

/// The address by which a listener is reached from this host.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([head[at].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let cells: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let mut out = line(head);
    for row in rows {
        out.push_str(&line(std::array::from_fn(|at| row[at].as_str())));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["a".to_owned(), "long cell".to_owned()],
            ["wide one".to_owned(), "b".to_owned()],
        ];
        assert_eq!(
            table(["x", "y"], &rows),
            "x         y\na         long cell\nwide one  b\n"
        );
    }

    #[test]
    fn a_listener_on_every_interface_is_reached_on_loopback() {
        assert_eq!(
            reachable("0.0.0.0:80".parse().unwrap()),
            "127.0.0.1:80".parse().unwrap()
        );
        assert_eq!(
            reachable("10.0.0.1:80".parse().unwrap()),
            "10.0.0.1:80".parse().unwrap()
        );
    }
}
