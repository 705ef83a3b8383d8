//! The agent role.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tandem_agent::{Agent, Hostname, World};
use tandem_http::Url;

use crate::cli::Cli;
use crate::config::{AgentSection, Config};
use crate::roles::relay;
use crate::stop::Signals;

/// Makes the agent's run out of its section; `relays` and `interval` stand in where it has none.
pub(crate) fn config(
    section: &AgentSection,
    relays: Vec<Url>,
    interval: Duration,
    dir: &Path,
) -> anyhow::Result<tandem_agent::Config> {
    let named = section
        .relays
        .iter()
        .map(|text| Url::parse(text).with_context(|| format!("relay {text:?}")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let relays = if named.is_empty() { relays } else { named };
    let mut config = tandem_agent::Config::new(relays, dir.into());
    config.interval = section.interval.map_or(interval, |i| i.0);
    if let Some(database) = &section.database {
        config.database.clone_from(database);
    }
    if let Some(hostname) = &section.hostname {
        config.hostname = Hostname::Is(hostname.clone());
    }
    if section.omit_hostname {
        config.hostname = Hostname::Omit;
    }
    config.global_tags = section.global_tags.clone().into_iter().collect();
    if let Some(size) = section.spool_bytes_max {
        config.output.spool_bytes_max = size.0;
    }
    Ok(config)
}

fn from_config(whole: &Config) -> anyhow::Result<tandem_agent::Config> {
    let relay =
        Url::parse(&format!("http://{}", relay::HTTP)).context("the relay's default address")?;
    let interval = tandem_agent::Config::INTERVAL;
    config(&whole.agent, vec![relay], interval, &whole.data_dir())
}

/// `tandem agent --test`
pub(crate) fn test(whole: &Config) -> anyhow::Result<String> {
    Ok(tandem_agent::test(&from_config(whole)?, &World::default()))
}

/// `tandem agent --once`
pub(crate) async fn once(whole: &Config) -> anyhow::Result<()> {
    let lines = tandem_agent::once(&from_config(whole)?, &World::default()).await?;
    tracing::info!(lines, "sent");
    Ok(())
}

/// `tandem agent`
pub(crate) async fn run(whole: Config, cli: &Cli) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let config = from_config(&whole)?;
    let relays: Vec<String> = config.relays.iter().map(Url::authority).collect();
    let interval = config.interval;
    let agent = Agent::start(config, World::default())?;
    tracing::info!(relays = relays.join(" "), ?interval, "ready");
    agent.run(signals.received(cli)).await;
    Ok(())
}
