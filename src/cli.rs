//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::Tool;
use crate::commands::queue::RelayTool;
use crate::health::HealthArgs;
use crate::shell::ShellArgs;

/// A monitoring relay and storage appliance.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// Configuration file (TOML). Order: default, file, environment (TANDEM_SECTION_KEY), flag.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where data is kept [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// What the log looks like: `human` or `json` [default: human]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,

    /// What is logged, as for RUST_LOG: `info`, `warn,tandem_relay=debug`, … [default: info]
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Agent, relay, primary, backup and pages in one process, on loopback (the default command)
    Up(UpArgs),
    /// One store with its API and its page
    Store(StoreArgs),
    /// The relay
    Relay(RelayArgs),
    /// The agent
    Agent(AgentArgs),
    /// A prompt for InfluxQL, used as `influx` is
    Shell(ShellArgs),
    /// Ask a store or a relay whether it is well; the exit code tells
    Health(HealthArgs),
    /// Read the configuration, say what is wrong with it, and end
    CheckConfig,
    #[command(flatten)]
    Tool(Tool),
}

/// Options of `tandem up`.
#[derive(Debug, Default, Args)]
pub(crate) struct UpArgs {
    /// Where the primary's API listens [default: 127.0.0.1:8086]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http: Option<String>,
    /// Where the primary's page listens [default: 127.0.0.1:8083]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) admin: Option<String>,
    /// Where the backup's API listens [default: 127.0.0.1:8087]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) backup_http: Option<String>,
    /// Where the backup's page listens [default: 127.0.0.1:8084]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) backup_admin: Option<String>,
    /// Where the relay listens [default: 127.0.0.1:9096]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) relay_http: Option<String>,
    /// How often the agent gathers [default: 1s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) interval: Option<String>,
}

/// Options of `tandem store`.
#[derive(Debug, Default, Args)]
pub(crate) struct StoreArgs {
    /// The store's name in logs [default: monitoring-server]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where the API listens [default: 127.0.0.1:8086]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http: Option<String>,
    /// Where the page listens; `off` for nowhere [default: 127.0.0.1:8083]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) admin: Option<String>,
    /// A relay that writes to this store, http://HOST:PORT; the page shows how it does
    #[arg(long = "relay", value_name = "URL")]
    pub(crate) relays: Vec<String>,
    /// A store that the same relays write to, http://HOST:PORT; the page shows how it does
    #[arg(long = "peer", value_name = "URL")]
    pub(crate) peers: Vec<String>,
}

/// Options of `tandem relay`.
#[derive(Debug, Default, Args)]
pub(crate) struct RelayArgs {
    /// Where the relay listens [default: 127.0.0.1:9096]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http: Option<String>,
    /// A store to write to, NAME=http://HOST:PORT; once for each
    #[arg(long = "backend", value_name = "NAME=URL")]
    pub(crate) backends: Vec<String>,
    /// Take over the listener and the outputs of an influxdb-relay
    #[arg(long, value_name = "FILE")]
    pub(crate) import: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) tool: Option<RelayTool>,
}

/// Options of `tandem agent`.
#[derive(Debug, Default, Args)]
pub(crate) struct AgentArgs {
    /// The relay to write to, http://HOST:PORT; several are tried in turn [default: http://127.0.0.1:9096]
    #[arg(long = "relay", value_name = "URL")]
    pub(crate) relays: Vec<String>,
    /// How often to gather [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) interval: Option<String>,
    /// Read this telegraf.conf first; what of it has no counterpart is logged
    #[arg(long, value_name = "FILE")]
    pub(crate) telegraf_config: Option<PathBuf>,
    /// Print one gather of every collector, a line of line protocol behind each `> `, and end
    #[arg(long, conflicts_with = "once")]
    pub(crate) test: bool,
    /// Gather and send once, and end; fails when nothing took it
    #[arg(long)]
    pub(crate) once: bool,
}
