//! `tandem up`: the whole appliance in one process.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use tandem_agent::{Agent, World};
use tandem_http::Url;
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
    if config.store.https_enabled || config.backup.https_enabled {
        bail!(
            "https-enabled does not go with `tandem up`, whose relay calls its stores without TLS: \
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
    let relay_listener =
        tandem_http::bind(config.relay.http.as_deref().unwrap_or(relay::HTTP)).await?;

    // Each page shows the relay and the other store too.
    let relay_addr = reachable(relay_listener.local_addr().context("the relay's address")?);
    let (primary_addr, backup_addr) = (primary_bound.api_addr()?, backup_bound.api_addr()?);
    let primary_section = with_neighbours(&config.store, relay_addr, backup_addr);
    let backup_section = with_neighbours(&config.backup, relay_addr, primary_addr);

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
        backend("primary", primary.api_addr())?,
        backend("backup", backup.api_addr())?,
    ];
    let relay = relay::start(&config.relay, backends, &dir.join("relay"), relay_listener).await?;
    let relay_url = Url::parse(&format!("http://{relay_addr}")).context("the relay's address")?;
    let agent_config = agent::config(&config.agent, vec![relay_url], INTERVAL, &dir.join("agent"))?;
    let interval = agent_config.interval;
    let agent = Agent::start(agent_config, World::default())?;

    let page = |store: &store::Running| {
        store
            .page_addr()
            .map_or("off".into(), |a| format!("http://{a}"))
    };
    let rows = [
        [
            "agent".into(),
            format!("every {interval:?}"),
            String::new(),
            dir.join("agent").display().to_string(),
        ],
        [
            "relay".into(),
            format!("http://{}", relay.relay.local_addr()),
            String::new(),
            dir.join("relay").display().to_string(),
        ],
        [
            primary.name.clone(),
            format!("http://{}", primary.api_addr()),
            page(&primary),
            primary.dir.display().to_string(),
        ],
        [
            backup.name.clone(),
            format!("http://{}", backup.api_addr()),
            page(&backup),
            backup.dir.display().to_string(),
        ],
    ];
    print!("{}", table(["role", "listens on", "page", "data"], &rows));
    println!("\nOpen a page and type SHOW MEASUREMENTS. Ctrl-C stops.");

    signals.received(cli).await;
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
fn with_neighbours(section: &StoreSection, relay: SocketAddr, peer: SocketAddr) -> StoreSection {
    let mut section = section.clone();
    for (place, addr) in [(&mut section.relays, relay), (&mut section.peers, peer)] {
        if place.is_empty() {
            place.push(format!("http://{}", reachable(addr)));
        }
    }
    section
}

fn backend(name: &str, addr: SocketAddr) -> anyhow::Result<BackendConfig> {
    let url = Url::parse(&format!("http://{}", reachable(addr))).context("a store's address")?;
    Ok(BackendConfig::new(name, url))
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
