//! The agent role.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use tandem_agent::{Agent, Budget, World, telegraf};
use tandem_http::Url;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::config::agent::AgentSection;
use crate::notify::{notify, watchdog_interval};
use crate::roles::relay;
use crate::stop::Signals;

/// Makes the agent's run out of its section; `relays` and `interval` stand in where it has none.
pub(crate) fn config(
    section: &AgentSection,
    relays: Vec<Url>,
    interval: Duration,
    dir: &Path,
) -> anyhow::Result<tandem_agent::Config> {
    let mut config = tandem_agent::Config::new(relays, dir.into());
    config.interval = interval;
    if let Some(path) = &section.telegraf_config {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let lookup = |name: &str| std::env::var(name).ok();
        let import = telegraf::read(&text, lookup, config)
            .with_context(|| format!("in {}", path.display()))?;
        for line in &import.left_out {
            tracing::warn!("{}: {line}", path.display());
        }
        config = import.config;
    }
    section.apply(&mut config)?;
    Ok(config)
}

/// The run of an agent in a process of its own.
pub(crate) fn from_config(whole: &Config) -> anyhow::Result<tandem_agent::Config> {
    let relay =
        Url::parse(&format!("http://{}", relay::HTTP)).context("the relay's default address")?;
    let interval = tandem_agent::Config::INTERVAL;
    let mut config = config(&whole.agent, vec![relay], interval, &whole.data_dir())?;
    // With other roles in the process, its memory says nothing about the agent.
    config
        .budget
        .memory_bytes
        .get_or_insert(Budget::MEMORY_BYTES);
    Ok(config)
}

/// `tandem agent --test`: lines as Telegraf prints them.
pub(crate) fn test(whole: &Config) -> anyhow::Result<String> {
    let lines = tandem_agent::test(&from_config(whole)?, &World::default());
    Ok(lines.lines().flat_map(|line| ["> ", line, "\n"]).collect())
}

/// `tandem agent --once`
pub(crate) async fn once(whole: &Config) -> anyhow::Result<()> {
    let lines = tandem_agent::once(&from_config(whole)?, &World::default()).await?;
    tracing::info!(lines, "sent");
    Ok(())
}

/// Tells the service manager that `agent` gathers, again and again as long as it does.
async fn watch(agent: &Agent) {
    let Some(every) = watchdog_interval() else {
        return std::future::pending().await;
    };
    let (mut last, mut turned_at) = (agent.turns(), Instant::now());
    loop {
        tokio::time::sleep(every).await;
        let turns = agent.turns();
        if std::mem::replace(&mut last, turns) != turns {
            turned_at = Instant::now();
        }
        if turned_at.elapsed() <= Agent::TURN_MAX {
            notify("WATCHDOG=1");
        }
    }
}

/// `tandem agent`: SIGHUP takes the configuration anew, SIGUSR1 sends what waits.
/// `load` reads the configuration.
pub(crate) async fn run(
    whole: Config,
    load: impl Fn() -> anyhow::Result<Config>,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut flush = signal(SignalKind::user_defined1()).context("listen for SIGUSR1")?;
    let config = from_config(&whole)?;
    let relays: Vec<String> = config.relays.iter().map(Url::authority).collect();
    let interval = config.interval;
    let agent = Agent::start(config, World::default())?;
    tracing::info!(relays = relays.join(" "), ?interval, "ready");
    notify("READY=1");
    let reload = |whole: &Config| {
        let reloaded = from_config(whole).and_then(|config| Ok(agent.reload(config)?));
        if let Err(error) = reloaded {
            tracing::error!("the agent goes on as before: {error:#}");
        }
    };
    {
        let mut ended = std::pin::pin!(signals.received_with(
            load,
            reload,
            "collectors, intervals, tags, relays and credentials"
        ));
        let mut watching = std::pin::pin!(watch(&agent));
        loop {
            tokio::select! {
                () = &mut ended => break,
                () = &mut watching => {}
                _ = flush.recv() => agent.flush(),
            }
        }
    }
    notify("STOPPING=1");
    agent.stop().await;
    Ok(())
}
